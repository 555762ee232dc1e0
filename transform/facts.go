package transform

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"longitude/study"
)

// remember keeps what current records say of the participant as a whole. A
// corrected record says what it says now, and a removed one nothing.
func (j *judging) remember() {
	j.conflicts, j.events = nil, nil
	if len(j.study.Facts) == 0 && j.consent < 0 {
		return
	}
	before := j.study.UnpackFacts(j.prior.Participant.Facts)
	slices.SortFunc(before, study.CompareFacts)
	facts := j.facts(before)
	if !slices.Equal(facts, before) {
		j.out.Participant.Facts = j.study.PackFacts(facts)
	}
	if j.consent >= 0 {
		j.out.Participant.Consented = j.consented(facts)
	}
	j.suspect(facts, before)
	if j.anchored {
		j.occur(facts)
	}
}

// facts are those told before by records that have not changed, and those that
// the new ones tell.
func (j *judging) facts(before []study.KnownFact) (facts []study.KnownFact) {
	for _, f := range before {
		if from, live := j.filedAt(f.From); live && from.row < 0 {
			facts = append(facts, f)
		}
	}
	for i := range j.records {
		r := &j.records[i]
		if r.row < 0 {
			continue
		}
		for _, f := range j.news[r.row].Facts {
			facts = append(facts, study.KnownFact{Name: j.study.Facts[f.Index].Name, Value: f.Value, From: r.key()})
		}
		if int(r.form) == j.consent {
			facts = append(facts, study.KnownFact{Name: study.ConsentFact, Value: j.news[r.row].Consented.String(), From: r.key()})
		}
	}
	slices.SortFunc(facts, study.CompareFacts)
	return facts
}

// occur dates the events that windows count from: as the record told last says.
// A date known only in part is no anchor.
func (j *judging) occur(facts []study.KnownFact) {
	j.events = slices.Repeat([]study.Date{study.NoDate}, len(j.study.Facts))
	if j.study.Relative {
		return // dates do not compare with days
	}
	for i := range j.study.Facts {
		if j.study.Facts[i].Kind != study.EventFact {
			continue
		}
		last := study.Order{}
		for _, f := range facts {
			if f.Name != j.study.Facts[i].Name || j.conflicts[f.From] != "" {
				continue
			}
			from, _ := j.filedAt(f.From)
			if order := j.since(*from); last == (study.Order{}) || order.Replaces(last) {
				last = order
				j.events[i], _ = study.ParseDate(f.Value)
			}
		}
	}
}

// since is the order of the version that first said what f says: a source that does
// not say when it modifies rows repeats itself with every export.
func (j *judging) since(f filed) study.Order {
	if j.repeats(f) && j.news[f.row].Modified.IsZero() {
		return j.prior.Versions[f.version].Order()
	}
	return j.order(f)
}

// testimony is a fact that tells one person from another.
type testimony struct {
	study.KnownFact
	kind    study.FactKind
	arrives bool // with this call, or doubted before
}

// suspect finds the records that contradict who the participant is known to be:
// perhaps they are somebody else's. What was known first counts; of records that
// arrive together, the one first in order of visit, form and occurrence. A record
// never contradicts itself, so correcting it is no conflict.
func (j *judging) suspect(facts, before []study.KnownFact) {
	var all []testimony
	for _, f := range facts {
		if kind := j.factKind(f.Name); kind == study.SexFact || kind == study.BirthYearFact {
			at, known := slices.BinarySearchFunc(before, f, study.CompareFacts)
			all = append(all, testimony{f, kind, !known || before[at] != f})
		}
	}
	if len(all) < 2 {
		return
	}
	doubted := j.doubted()
	slices.SortFunc(all, compareTestimonies)
	for record := range byRecord(all) { // one of which a fact is new arrives as a whole
		arrives := doubted[record[0].From] || slices.ContainsFunc(record, func(t testimony) bool { return t.arrives })
		for i := range record {
			record[i].arrives = arrives
		}
	}
	slices.SortStableFunc(all, func(a, b testimony) int {
		switch {
		case a.arrives == b.arrives:
			return 0
		case b.arrives:
			return -1
		}
		return 1
	})
	var accepted []testimony // of those that agree the first
	for record := range byRecord(all) {
		evidence := j.contradiction(record, accepted)
		if evidence == "" {
			accepted = accept(accepted, record)
			continue
		}
		if j.conflicts == nil {
			j.conflicts = map[study.RecordKey]string{}
		}
		j.conflicts[record[0].From] = evidence
	}
}

// byRecord hands on, of testimonies sorted by record, those of each.
func byRecord(all []testimony) iter.Seq[[]testimony] {
	return func(yield func([]testimony) bool) {
		for len(all) > 0 {
			n := 1
			for n < len(all) && all[n].From == all[0].From {
				n++
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// doubted are the records that are held for who they may be about.
func (j *judging) doubted() (keys map[study.RecordKey]bool) {
	for _, h := range j.prior.Holds {
		if h.Code != study.IdentityConflict {
			continue
		}
		if keys == nil {
			keys = map[study.RecordKey]bool{}
		}
		keys[h.Key] = true
	}
	return keys
}

// accept adds what a record tells and nothing accepted so far does.
func accept(accepted, record []testimony) []testimony {
	for _, t := range record {
		if !slices.ContainsFunc(accepted, func(a testimony) bool { return a.kind == t.kind && agree(t.kind, t.Value, a.Value) }) {
			accepted = append(accepted, t)
		}
	}
	return accepted
}

func compareTestimonies(a, b testimony) int {
	return cmp.Or(cmp.Compare(a.From.VisitNo, b.From.VisitNo), cmp.Compare(a.From.Form, b.From.Form),
		cmp.Compare(a.From.Occurrence, b.From.Occurrence), cmp.Compare(a.Name, b.Name))
}

// contradiction is the evidence that what one record tells differs from what is
// accepted, "" if it does not.
func (j *judging) contradiction(record, accepted []testimony) string {
	for _, t := range record {
		for _, a := range accepted {
			if a.kind == t.kind && !agree(t.kind, t.Value, a.Value) {
				return strings.ReplaceAll(string(t.kind), "_", " ") + " in " + j.study.Forms[t.From.Form].Name +
					" differs from " + j.study.Forms[a.From.Form].Name
			}
		}
	}
	return ""
}

// agree compares two facts of one kind: codes of sex but for case, years of birth
// exactly (of a date, its year).
func agree(kind study.FactKind, a, b string) bool {
	if kind == study.BirthYearFact {
		return a[:min(len(a), 4)] == b[:min(len(b), 4)]
	}
	return strings.EqualFold(a, b)
}

func (j *judging) factKind(name string) study.FactKind {
	for i := range j.study.Facts {
		if j.study.Facts[i].Name == name {
			return j.study.Facts[i].Kind
		}
	}
	return "" // the study asks for it no more
}
