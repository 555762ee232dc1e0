package release

import (
	"cmp"
	"slices"
	"strings"

	"longitude/study"
)

// Tally says what became of every record that was read:
//
//	Records = Released + Held + Withheld + NotHappened + AfterCutoff + Truncated
type Tally struct {
	Participants     int64 `json:"participants_released"`
	ParticipantsHeld int64 `json:"participants_held"` // not enrolled, or without consent
	Visits           int64 `json:"visits_released"`
	Records          int64 `json:"records_read"`
	Released         int64 `json:"records_released"`
	Held             int64 `json:"records_held"`
	Withheld         int64 `json:"records_withheld"`     // of visits kept out of releases
	NotHappened      int64 `json:"records_not_happened"` // of visits without a date
	AfterCutoff      int64 `json:"records_after_cutoff"`
	Truncated        int64 `json:"records_truncated"` // of visits near the ends of shifted data
}

// Unaccounted is how far the equation is from balancing.
func (t Tally) Unaccounted() int64 {
	return t.Records - t.Released - t.Held - t.Withheld - t.NotHappened - t.AfterCutoff - t.Truncated
}

// Builder makes the rows of a release's tables. Only what happened is in them:
// held records, withheld visits, and scheduled or open visits are not.
type Builder struct {
	study    *study.Study
	plan     Plan
	baseline int
	tables   []*study.Table
	fields   [][]fieldColumns // per form
	batches  []*study.Batch   // of the tables about participants
	people   *study.Batch     // participants, of all Takes
	taken    int              // rows of people that were taken
	quasi    []personal       // fields of forms that are columns of participants
	gate     gate
	analysis *analysis
	about    int // how many of tables are about participants
	window   func(code string) (first, last study.Date)
	quality  *quality
	unread   [][]int // texts that await review, per form and field
	tally    Tally
	visits   []happened // of the participant at hand
	order    []int      // the released ones among the participant's records
}

// The tables about participants, in the order of Tables; forms follow.
const (
	atParticipants = iota
	atVisits
	atStatus
	atDeviations
	atForms
)

// NewBuilder starts the release that p plans, judged on p.AsOf. Nothing that
// happened after p.Cutoff is released; NoDate means no cut-off.
func NewBuilder(s *study.Study, p Plan) *Builder {
	b := &Builder{study: s, plan: p, baseline: s.Baseline(), tables: Tables(s)}
	for i := range s.Forms {
		_, fields := formTable(s, i)
		b.fields, b.unread = append(b.fields, fields), append(b.unread, make([]int, len(s.Forms[i].Fields)))
	}
	_, b.quasi = participantsTable(s)
	b.quality = newQuality(s, b.tables)
	b.analysis = analysisOf(s)
	b.about = b.analysis.at + len(b.analysis.tables())
	b.people, b.gate = newBatch(b.tables[atParticipants]), newGate(s, b.tables[atParticipants])
	b.reset()
	return b
}

// Within bounds what is released of each participant, of an internal code, to the days
// from first to last; a day of NoDate is no bound.
func (b *Builder) Within(window func(code string) (first, last study.Date)) { b.window = window }

// Tables are the tables before door 2; the batches of Take and Static are of
// these very descriptions.
func (b *Builder) Tables() []*study.Table { return b.tables }

// Tally is what became of the records added so far.
func (b *Builder) Tally() Tally { return b.tally }

// Take gives the rows added since the last Take, one batch per table about
// participants (an empty one where there are none), in the order of Tables.
func (b *Builder) Take() []*study.Batch {
	full := b.batches
	full[atParticipants] = rowsOf(b.people, b.taken, b.people.Rows)
	b.taken = b.people.Rows
	b.reset()
	return full
}

// reset makes batches with room for as many rows as those before had: parts are of
// about one size.
func (b *Builder) reset() {
	before := b.batches
	b.batches = make([]*study.Batch, b.about)
	for i := range b.batches {
		b.batches[i] = newBatch(b.tables[i])
		if before != nil && i != atParticipants {
			makeRoom(b.batches[i], before[i].Rows+before[i].Rows/8)
		}
	}
	b.batches[atParticipants] = b.people
}

// happened is a visit that is released.
type happened struct {
	*study.Visit
	seq      int64
	id       string
	released int // records
}

// Add appends the rows of one participant to the tables: what j judges of them
// on the as-of date, and their current records, held or not. Participants come
// in the order of their released ids, each once. An error means that a stored
// answer does not fit the study document: the release stops.
func (b *Builder) Add(p study.Participant, j *study.Judgement, records []study.CurrentRecord) error {
	b.tally.Records += int64(len(records))
	if !p.Enrolled || b.study.Consent.Kind == "form" && !p.Consented.Known() {
		b.tally.ParticipantsHeld++
		b.tally.Held += int64(len(records))
		return nil
	}
	b.tally.Participants++
	row := owner{&p, b.anchor(j), study.NoDate, study.NoDate}
	if b.window != nil {
		row.first, row.last = b.window(p.Code)
	}
	if !row.sees(p.Withdrawn, p.Withdrawn) {
		p.Withdrawn = study.NoDate
	}
	visits := b.happenedVisits(row, j, records)
	b.sort(records, visits)
	if err := b.addParticipant(row, visits, records); err != nil {
		return err
	}
	for i := range visits {
		b.addVisit(row, &visits[i], j.Deviations)
	}
	settled := b.addStatus(row, j, visits)
	b.addDeviations(row, j, visits, settled)
	b.quality.across(b.study, j.Deviations, func(key study.RecordKey) bool {
		return slices.ContainsFunc(b.order, func(i int) bool { return records[i].Key == key })
	})
	b.analysis.begin(b.batches[atForms:b.analysis.at])
	if err := b.addRecords(row, records, visits); err != nil {
		return err
	}
	b.analyse(row, visits)
	return nil
}

// owner is whose row it is.
type owner struct {
	*study.Participant
	anchor      study.Date
	first, last study.Date // days between which anything is released; NoDate = no bound
}

// sees reports whether what happened from one day to another may be released.
func (o owner) sees(from, to study.Date) bool {
	return (!o.first.Known() || from >= o.first) && (!o.last.Known() || to <= o.last)
}

// studyDay is the study day of d, false where it or the anchor is unknown.
func (o owner) studyDay(d study.Date) (int, bool) {
	if !d.Known() || !o.anchor.Known() {
		return 0, false
	}
	return study.StudyDay(d, o.anchor), true
}

func (o owner) elapsed(d study.Date) (int, bool) {
	return int(d - o.anchor), d.Known() && o.anchor.Known()
}

// anchor is the date of the baseline visit, if it is known to the day.
func (b *Builder) anchor(j *study.Judgement) study.Date {
	if b.study.Relative {
		return 0
	}
	for i := range j.Visits {
		if v := &j.Visits[i]; b.baseline >= 0 && v.Type == b.baseline && v.Actual.Exact() {
			return v.Actual.First()
		}
	}
	return study.NoDate
}

// happenedVisits decides about every record of the participant and with it
// about every visit: a visit is released when one of its records is. b.order
// is left with the indexes of the released records.
func (b *Builder) happenedVisits(o owner, j *study.Judgement, records []study.CurrentRecord) []happened {
	held := make(map[study.RecordKey]bool, len(j.Holds))
	for _, h := range j.Holds {
		held[h.Key] = true
	}
	b.order = b.order[:0]
	b.visits = b.visits[:0]
	for i := range j.Visits {
		b.visits = append(b.visits, happened{Visit: &j.Visits[i]})
	}
	for i := range records {
		key := records[i].Key
		v := visitNo(b.visits, key.VisitNo)
		switch {
		case held[key]:
			b.tally.Held++
			continue
		case key.VisitNo == 0:
		case v == nil || v.Status != study.Completed && v.Status != study.Unscheduled:
			b.tally.NotHappened++
			continue
		case v.Withheld:
			b.tally.Withheld++
			continue
		case b.plan.Cutoff.Known() && !b.study.Relative && v.Actual.First() > b.plan.Cutoff:
			b.tally.AfterCutoff++
			continue
		case !b.study.Relative && !o.sees(v.Actual.First(), v.Actual.Last()):
			b.tally.Truncated++
			continue
		default:
			v.released++
		}
		b.tally.Released++
		b.order = append(b.order, i)
	}
	b.visits = slices.DeleteFunc(b.visits, func(v happened) bool { return v.released == 0 })
	slices.SortFunc(b.visits, func(x, y happened) int {
		return cmp.Or(cmp.Compare(x.Actual.First(), y.Actual.First()), cmp.Compare(x.No, y.No))
	})
	for i := range b.visits {
		b.visits[i].seq = int64(i + 1)
		b.visits[i].id = VisitKey(o.Code, b.visits[i].No)
	}
	b.tally.Visits += int64(len(b.visits))
	return b.visits
}

func visitNo(visits []happened, no int32) *happened {
	for i := range visits {
		if visits[i].No == no && no != 0 {
			return &visits[i]
		}
	}
	return nil
}

// sort brings the released records into the order of form, visit and occurrence.
func (b *Builder) sort(records []study.CurrentRecord, visits []happened) {
	seqOf := func(i int) int64 {
		if v := visitNo(visits, records[i].Key.VisitNo); v != nil {
			return v.seq
		}
		return 0
	}
	slices.SortFunc(b.order, func(x, y int) int {
		a, c := &records[x].Key, &records[y].Key
		return cmp.Or(cmp.Compare(a.Form, c.Form), cmp.Compare(seqOf(x), seqOf(y)), compareOccurrence(a.Occurrence, c.Occurrence))
	})
}

// addRecords appends the released records to the tables of their forms.
func (b *Builder) addRecords(o owner, records []study.CurrentRecord, visits []happened) error {
	recordSeq, before := int64(0), study.RecordKey{Form: -1}
	for _, i := range b.order {
		key := records[i].Key
		if key.Form != before.Form || key.VisitNo != before.VisitNo {
			recordSeq = 0
		}
		recordSeq, before = recordSeq+1, key
		if err := b.addRecord(o, &records[i], visitNo(visits, key.VisitNo), recordSeq); err != nil {
			return err
		}
	}
	return nil
}

// compareOccurrence orders numbers as numbers and all else as text.
func compareOccurrence(a, c string) int {
	if isNumber(a) && isNumber(c) {
		return cmp.Or(cmp.Compare(len(a), len(c)), strings.Compare(a, c))
	}
	return strings.Compare(a, c)
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
