package pipeline

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"longitude/deid"
	"longitude/study"
)

// A chunk is what is judged and written at once: bounded, so that memory is,
// and large enough that the database works in bulk.
const (
	chunkParticipants = 1000
	chunkRecords      = 12_000
)

// judging collects participants into chunks, judges each against what is
// stored, and writes what is new.
type judging struct {
	feed   *Feed
	tx     Ingest
	asOf   study.Date
	fresh  map[int64]bool   // participants without history
	codes  map[int64]string // participant codes seen in this object
	counts *study.Counts
	tree   *merkle
	leaf   []byte

	participants []int64
	news         [][]study.Record
	records      int

	judged  *study.Changes // to be written while the next chunk is judged
	writing aside          // has the transaction, which serves one caller at a time
}

// add takes over the records of one participant, in arrival order.
func (j *judging) add(ctx context.Context, participant int64, news []study.Record) error {
	j.participants = append(j.participants, participant)
	j.news = append(j.news, news)
	j.records += len(news)
	if len(j.participants) >= chunkParticipants || j.records >= chunkRecords {
		return j.flush(ctx)
	}
	return nil
}

// flush judges the chunk while the database writes the one before.
func (j *judging) flush(ctx context.Context) error {
	if len(j.participants) == 0 {
		return nil
	}
	histories, err := j.histories(ctx)
	if err != nil {
		return err
	}
	if err := j.write(ctx); err != nil {
		return err
	}
	changes := &study.Changes{Records: make([]study.RecordVersion, 0, j.records)}
	for i := range histories {
		if err := j.judge(ctx, &histories[i], j.news[i], changes); err != nil {
			return err
		}
	}
	j.judged = changes
	j.participants, j.news, j.records = j.participants[:0], j.news[:0], 0
	return nil
}

// finish judges and writes what is left.
func (j *judging) finish(ctx context.Context) error {
	if err := j.flush(ctx); err != nil {
		return err
	}
	if err := j.write(ctx); err != nil {
		return err
	}
	return j.writing.wait()
}

// write starts writing what was judged last.
func (j *judging) write(ctx context.Context) error {
	if j.judged == nil {
		return nil
	}
	changes := j.judged
	j.judged = nil
	return j.writing.start(func() error { return j.tx.Write(ctx, changes) })
}

// histories reads what is stored, asking the database only about participants
// that were there before this transaction.
func (j *judging) histories(ctx context.Context) ([]study.History, error) {
	var stored []int64
	for _, p := range j.participants {
		if !j.fresh[p] {
			stored = append(stored, p)
		}
	}
	var read []study.History
	if len(stored) > 0 {
		err := j.writing.wait()
		if err != nil {
			return nil, err
		}
		if read, err = j.tx.Histories(ctx, stored); err != nil {
			return nil, err
		}
	}
	out := make([]study.History, len(j.participants))
	for i, p := range j.participants {
		if j.fresh[p] {
			out[i].Participant = study.Participant{ID: p, Code: j.codes[p], Consented: study.NoDate, Withdrawn: study.NoDate}
			continue
		}
		out[i], read = read[0], read[1:]
	}
	return out, nil
}

// judge adds to changes what one participant's new records bring.
func (j *judging) judge(ctx context.Context, h *study.History, news []study.Record, changes *study.Changes) error {
	verdict := j.feed.Rules.Judge(*h, news, j.asOf)
	if err := j.refuseBlocked(ctx, news, &verdict); err != nil {
		return err
	}
	held := make(map[study.RecordKey]bool, len(verdict.Holds))
	for _, hold := range verdict.Holds {
		held[hold.Key] = true
	}
	for _, a := range arrivals(h.Versions, news, verdict.VisitNo, verdict.Blocked) {
		j.count(&a, held[a.key])
		if a.version > 0 {
			changes.Records = append(changes.Records, study.RecordVersion{Key: a.key, Version: a.version, Late: !a.current, Record: a.record})
		}
	}
	difference(h, &verdict, changes)
	return nil
}

// refuseBlocked quarantines the records that a `block` policy refuses.
func (j *judging) refuseBlocked(ctx context.Context, news []study.Record, verdict *study.Judgement) error {
	var refused []study.SealedRejection
	for i, rule := range verdict.Blocked {
		if rule == "" {
			continue
		}
		r := &news[i]
		form := j.feed.Study.Forms[r.Form].Name
		refused = append(refused, study.SealedRejection{KeyVersion: r.KeyVersion, Box: r.SealedRaw, Item: j.feed.Intake.RowDigest(refusal(r, form, rule)),
			Rejection: study.Rejection{Ordinal: r.Ordinal, Line: r.Line, Site: r.Site, Form: form, Rule: rule, Records: 1}})
		j.counts.Quarantined++
		j.leaf = recordLeaf(j.leaf, r, study.RecordKey{Form: r.Form, Occurrence: r.Occurrence}, 'q')
		j.tree.add(j.leaf)
	}
	if len(refused) == 0 {
		return nil
	}
	if err := j.writing.wait(); err != nil {
		return err
	}
	return j.tx.Quarantine(ctx, j.feed.Config.Name, refused)
}

// refusal is what a refused record is recognised by when it comes again. Whose it
// is and of which visit is part of it: two eyes with the same reading are two rows
// that a person has to look at.
func refusal(r *study.Record, form, rule string) []byte {
	v := &r.Visit
	return append(deid.Frame(form, rule, strconv.FormatInt(r.Participant, 10), v.Key, v.Actual.String(), v.Planned.String(), v.Declared.String(),
		r.Occurrence, strconv.FormatInt(micros(r.Modified), 10)), r.Hash[:]...)
}

// count books an arrival in the second equation and commits it to the root.
func (j *judging) count(a *arrival, held bool) {
	outcome := byte('a')
	switch {
	case a.version == 0:
		j.counts.Unchanged++
		return
	case !a.current:
		j.counts.Superseded++
		outcome = 's'
	case held:
		j.counts.Held++
		outcome = 'h'
	default:
		j.counts.Accepted++
	}
	j.leaf = recordLeaf(j.leaf, a.record, a.key, outcome)
	j.tree.add(j.leaf)
}

// difference adds to changes what the verdict says that storage does not.
func difference(h *study.History, v *study.Judgement, changes *study.Changes) {
	if v.Participant != h.Participant {
		changes.Participants = append(changes.Participants, v.Participant)
	}
	stored := 0
	for i := range v.Visits {
		for stored < len(h.Visits) && h.Visits[stored].No < v.Visits[i].No {
			stored++
		}
		if stored < len(h.Visits) && sameVisit(&h.Visits[stored], &v.Visits[i]) {
			continue
		}
		changes.Visits = append(changes.Visits, study.VisitVersion{Participant: h.Participant.ID, Visit: v.Visits[i]})
	}
	for _, d := range v.Deviations {
		if !slices.Contains(h.Deviations, d) {
			changes.Deviations = append(changes.Deviations, study.DeviationVersion{Participant: h.Participant.ID, Deviation: d})
		}
	}
	differenceOfHolds(h, v, changes)
}

func differenceOfHolds(h *study.History, v *study.Judgement, changes *study.Changes) {
	for _, hold := range v.Holds {
		if !slices.Contains(h.Holds, hold) {
			changes.Holds = append(changes.Holds, study.HoldVersion{Participant: h.Participant.ID, Hold: hold})
		}
	}
	for _, hold := range h.Holds {
		if !slices.ContainsFunc(v.Holds, func(now study.Hold) bool { return now.Key == hold.Key }) {
			hold.Code = "" // waits no more
			changes.Holds = append(changes.Holds, study.HoldVersion{Participant: h.Participant.ID, Hold: hold})
		}
	}
}

func sameVisit(a, b *study.Visit) bool {
	x, y := *a, *b
	sameTime := x.Modified.Equal(y.Modified)
	x.Modified = y.Modified
	return sameTime && x == y
}

// arrival is a new record against the stored versions of its key.
type arrival struct {
	key     study.RecordKey
	record  *study.Record
	version int32 // 0 = nothing new
	current bool  // it is, or becomes, the current version
}

// arrivals compares new records with the stored versions, key by key. versions
// is ordered by key, then version.
func arrivals(versions []study.VersionRef, news []study.Record, visitNo []int32, blocked []string) []arrival {
	out := make([]arrival, 0, len(news))
	for i := range news {
		if len(blocked) > 0 && blocked[i] != "" {
			continue
		}
		out = append(out, arrival{record: &news[i], key: study.RecordKey{Form: news[i].Form, VisitNo: visitNo[i], Occurrence: news[i].Occurrence}})
	}
	slices.SortStableFunc(out, func(a, b arrival) int { return compareKeys(a.key, b.key) })
	byKey := versionsByKey(versions)
	for start := 0; start < len(out); {
		end := start + 1
		for end < len(out) && out[end].key == out[start].key {
			end++
		}
		settle(byKey(out[start].key), out[start:end])
		start = end
	}
	return out
}

func compareKeys(a, b study.RecordKey) int {
	return cmp.Or(cmp.Compare(a.Form, b.Form), cmp.Compare(a.VisitNo, b.VisitNo), cmp.Compare(a.Occurrence, b.Occurrence))
}

// versionsByKey finds the stored versions of a key. Storage orders by its own
// form numbers, so the slice is sorted here once.
func versionsByKey(versions []study.VersionRef) func(study.RecordKey) []study.VersionRef {
	slices.SortStableFunc(versions, func(a, b study.VersionRef) int { return compareKeys(a.Key, b.Key) })
	return func(k study.RecordKey) []study.VersionRef {
		start, found := slices.BinarySearchFunc(versions, k, func(v study.VersionRef, k study.RecordKey) int { return compareKeys(v.Key, k) })
		if !found {
			return nil
		}
		end := start
		for end < len(versions) && versions[end].Key == k {
			end++
		}
		return versions[start:end]
	}
}

// settle decides what each arrival of one key is. A record that is stored with
// the same modification time and content is unchanged, wherever in the history
// it stands; without modification times, the arrivals are unchanged when they
// repeat the newest versions in order, else each that differs from the one
// before it is new. What the source itself says is older than the current
// version becomes history.
func settle(stored []study.VersionRef, in []arrival) {
	if repeats(stored, in) {
		return
	}
	next := int32(len(stored)) + 1
	var head *arrival // the newest of the arrivals
	current := newest(stored)
	for i := range in {
		a := &in[i]
		if known(stored, in[:i], a, current, head) {
			continue
		}
		a.version = next
		next++
		if olderThan(a.record.Modified, current, head) {
			continue
		}
		if head != nil {
			head.current = false
		}
		a.current, head = true, a
	}
}

// newest is the stored current version: the last that was not late.
func newest(stored []study.VersionRef) *study.VersionRef {
	for i := len(stored) - 1; i >= 0; i-- {
		if !stored[i].Late {
			return &stored[i]
		}
	}
	return nil
}

// known reports whether the arrival says nothing new. Between equal or missing
// modification times the order of landing decides, so there only what is current
// counts: a value may change back. Older ones are known when they are stored.
func known(stored []study.VersionRef, before []arrival, a *arrival, current *study.VersionRef, head *arrival) bool {
	now, hash, any := standing(current, head)
	switch modified := a.record.Modified; {
	case !any:
		return false
	case modified.IsZero() || now.IsZero() || modified.Equal(now):
		return hash == a.record.Hash
	case modified.Before(now):
		return has(stored, before, a)
	}
	return false
}

// standing is what is current before an arrival: the newest arrival of its key,
// else the stored version; any is false when there is none. A tombstone has no content.
func standing(current *study.VersionRef, head *arrival) (modified time.Time, hash [16]byte, any bool) {
	switch {
	case head != nil:
		return head.record.Modified, head.record.Hash, true
	case current != nil && current.Removed:
		return current.Modified, hash, true
	case current != nil:
		return current.Modified, current.Hash, true
	}
	return time.Time{}, hash, false
}

// olderThan reports whether the source says that the arrival is older than what
// is current. Where either has no modification time, the order of landing decides.
func olderThan(modified time.Time, current *study.VersionRef, head *arrival) bool {
	now, _, _ := standing(current, head)
	return !modified.IsZero() && !now.IsZero() && modified.Before(now)
}

func has(stored []study.VersionRef, before []arrival, a *arrival) bool {
	for i := range stored {
		if !stored[i].Removed && stored[i].Hash == a.record.Hash && stored[i].Modified.Equal(a.record.Modified) {
			return true
		}
	}
	for i := range before {
		if before[i].version > 0 && before[i].record.Hash == a.record.Hash && before[i].record.Modified.Equal(a.record.Modified) {
			return true
		}
	}
	return false
}

// repeats reports whether the arrivals are, in order, the newest stored versions.
func repeats(stored []study.VersionRef, in []arrival) bool {
	var said []*study.Record // without those that repeat the one before
	for i := range in {
		r := in[i].record
		if n := len(said); n == 0 || said[n-1].Hash != r.Hash || !said[n-1].Modified.Equal(r.Modified) {
			said = append(said, r)
		}
	}
	if len(stored) < len(said) {
		return false
	}
	tail := stored[len(stored)-len(said):]
	for i := range tail {
		if tail[i].Removed || tail[i].Hash != said[i].Hash || !tail[i].Modified.Equal(said[i].Modified) {
			return false
		}
	}
	return true
}
