package pipeline

import (
	"context"
	"slices"
	"strconv"

	"longitude/deid"
	"longitude/study"
	"longitude/transform"
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
	*reading
	fresh   map[int64]bool   // participants without history
	codes   map[int64]string // participant codes seen in this object
	removal *removal         // nil where absence means nothing

	participants []int64
	news         [][]study.Record
	records      int

	judged  *study.Changes // to be written while the next chunk is judged
	writing aside          // has the transaction, which serves one caller at a time

	merger   *transform.Merger // nil until something is told in part
	contents map[study.VersionID]study.VersionContent
}

// add takes over the records of one participant, in arrival order.
func (j *judging) add(ctx context.Context, participant int64, news []study.Record) error {
	if j.removal != nil && j.fresh[participant] {
		j.removal.renames.meet(participant, news)
	}
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
	if err := j.recall(ctx, histories); err != nil {
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
	j.changed = j.changed || len(changes.Participants)+len(changes.Records)+len(changes.Visits)+len(changes.Deviations)+len(changes.Holds) > 0
	return j.writing.start(func() error { return j.tx.Write(ctx, changes) })
}

// histories reads what is stored, asking the database only about participants
// that were there before this transaction. The others have no history, but what is
// locked for all is locked for them.
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
		for i := range read {
			unasserted(read[i].Versions)
		}
	}
	landing := j.landing()
	onAll := slices.DeleteFunc(slices.Clone(j.locks), func(l study.Lock) bool { return l.Participant > 0 })
	out := make([]study.History, len(j.participants))
	for i, p := range j.participants {
		if j.fresh[p] {
			out[i] = study.History{Locks: onAll, Participant: study.Participant{ID: p, Code: j.codes[p], Consented: study.NoDate,
				Withdrawn: study.NoDate, StatusOn: study.NoDate}}
		} else {
			out[i], read = read[0], read[1:]
		}
		out[i].Landing = landing
	}
	return out, nil
}

// judge adds to changes what one participant's new records bring, and what is
// gone. Of a participant without new records only what is gone counts.
func (j *judging) judge(ctx context.Context, h *study.History, news []study.Record, changes *study.Changes) error {
	given, told := news, len(news)
	if j.origin > 0 {
		j.facts.silence(h, given, j.overtaken, j.fresh[h.Participant.ID])
	}
	news, verdict, err := j.verdict(h, given)
	if err != nil {
		return err
	}
	if j.origin > 0 && j.again(h, news, &verdict) && (told > 0 || h.InParts) {
		for i := range given {
			given[i].Entered = news[i].Entered
		}
		if news, verdict, err = j.verdict(h, given); err != nil {
			return err
		}
	}
	if j.removal != nil {
		if gone := j.removal.absent(h, news, verdict.VisitNo); len(gone) > 0 {
			news = append(slices.Clip(news), gone...)
			verdict = judge(j.feed.Rules, h, news, j.asOf)
		}
		if j.removal.renames.suspects[h.Participant.ID] {
			j.suspect(h, news, &verdict)
		}
	}
	if verdict.Participant.ID == 0 {
		return nil // nothing new, nothing gone
	}
	if err := j.refuseBlocked(ctx, news, told, &verdict); err != nil {
		return err
	}
	held := make(map[study.RecordKey]bool, len(verdict.Holds))
	for _, hold := range verdict.Holds {
		held[hold.Key] = true
	}
	for _, a := range arrivals(h.Versions, news, verdict.VisitNo, verdict.Blocked) {
		j.count(&a, held[a.key], a.index >= told)
		if a.version > 0 {
			v := study.RecordVersion{Key: a.key, Version: a.version, Late: !a.current, Record: a.record}
			j.mask(&v)
			changes.Records = append(changes.Records, v)
			j.tree.Version(&v, j.forms[a.key.Form])
		}
	}
	difference(h, &verdict, changes)
	return nil
}

// again prepares a participant whose records are read again: stored versions that
// came of no row any more step back, and a record that says nothing new was not
// entered anew. It reports whether that changes what is judged.
func (j *judging) again(h *study.History, news []study.Record, verdict *study.Judgement) (any bool) {
	if j.removal != nil {
		any = j.removal.void(h, news, verdict)
	}
	for _, a := range arrivals(h.Versions, news, verdict.VisitNo, verdict.Blocked) {
		if a.version == 0 && a.record.Entered.Known() {
			a.record.Entered, any = study.NoDate, true
		}
	}
	return any
}

// suspect says of a participant that it may be another's new identifier, or have one.
func (j *judging) suspect(h *study.History, news []study.Record, verdict *study.Judgement) {
	if len(news) == 0 { // nothing else is judged of it
		*verdict = study.Judgement{Participant: h.Participant, Visits: h.Visits, Holds: h.Holds}
	}
	j.removal.renames.hold(h, len(news) > 0 || j.removal.renames.newcomers[h.Participant.ID], news, verdict)
}

// refuseBlocked quarantines the records that a policy or a lock refuses. Those
// from told on are removals that no row says: they are in no equation.
func (j *judging) refuseBlocked(ctx context.Context, news []study.Record, told int, verdict *study.Judgement) error {
	var refused []study.SealedRejection
	for i, rule := range verdict.Blocked {
		if rule == "" {
			continue
		}
		r := &news[i]
		form := j.feed.Study.Forms[r.Form].Name
		q := study.SealedRejection{KeyVersion: r.KeyVersion, Box: r.SealedRaw, Item: j.feed.Intake.RowDigest(refusal(r, form, rule)),
			Rejection: study.Rejection{Ordinal: r.Ordinal, Line: r.Line, Site: r.Site, Form: form, Rule: rule}}
		if q.Box == nil { // no row says it
			q.Box, q.KeyVersion = j.feed.Intake.SealRow(nil), j.feed.Intake.KeyVersion()
		}
		if i < told {
			q.Records = 1
			j.counts.Quarantined++
			j.refusals.add(rule)
		}
		refused = append(refused, q)
	}
	if len(refused) == 0 {
		return nil
	}
	if err := j.writing.wait(); err != nil {
		return err
	}
	return j.quarantine(ctx, refused)
}

// refusal is what a refused record is recognised by when it comes again. Whose it
// is and of which visit is part of it: two eyes with the same reading are two rows
// that a person has to look at.
func refusal(r *study.Record, form, rule string) []byte {
	v := &r.Visit
	return append(deid.Frame(form, rule, strconv.FormatInt(r.Participant, 10), v.Key, v.Actual.String(), v.Planned.String(), v.Declared.String(),
		r.Occurrence, strconv.FormatInt(micros(r.Modified), 10)), r.Hash[:]...)
}

// count books an arrival in the second equation. A removal that no row says is in
// neither equation, nor is what rows told before come to.
func (j *judging) count(a *arrival, held, unsaid bool) {
	switch {
	case unsaid && (a.version == 0 || !a.record.Removed):
		return
	case a.version == 0:
		j.counts.Unchanged++
		return
	case unsaid:
		j.counts.Removed++
	case !a.current:
		j.counts.Superseded++
	case held:
		j.counts.Held++
	default:
		j.counts.Accepted++
	}
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
