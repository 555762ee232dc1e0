package transform

import (
	"cmp"
	"slices"
	"time"

	"longitude/study"
)

// Rules is a protocol compiled for judging. It is safe for concurrent use.
type Rules struct {
	study     *study.Study
	slots     []slot // one per visit type, in protocol order
	baseline  int    // slot whose visit is the anchor unless a type names another, -1 = none
	enrolment int    // form that enrols, -1 = none
	consent   int    // form that carries consent, -1 = consent is recorded elsewhere
}

// NewRules compiles the protocol of s, which config has validated.
func NewRules(s *study.Study) *Rules {
	r := &Rules{study: s, slots: make([]slot, len(s.Visits)), baseline: s.Baseline(), enrolment: -1, consent: -1}
	if s.Enrolment.Kind == "form" {
		r.enrolment = s.FormIndex(s.Enrolment.Form)
	}
	if s.Consent.Kind == "form" {
		r.consent = s.FormIndex(s.Consent.Form)
	}
	for i := range s.Visits {
		r.slots[i] = newSlot(s, i, r.baseline)
	}
	return r
}

// Judge says everything that follows for one participant from what is stored
// (prior), the records that arrived (news, in order of arrival) and an as-of
// date. It is pure and deterministic. Judging its own outcome again without news
// on the same date changes nothing.
//
// In a relative calendar nobody knows which day today is, so time passes only as
// far as the data show: the as-of date is at most the last day the participant
// was seen.
func (r *Rules) Judge(prior study.History, news []study.Record, asOf study.Date) study.Judgement {
	j := judging{Rules: r, prior: prior, news: news, asOf: asOf, site: -1, withdrawn: -1}
	j.out.Participant = prior.Participant
	j.out.Blocked = make([]string, len(news))
	if j.stored = prior.Deviations; !slices.IsSortedFunc(j.stored, compareDeviations) {
		j.stored = slices.SortedFunc(slices.Values(j.stored), compareDeviations)
	}
	j.merge()
	j.place()
	for r.study.Deviations.VisitOutOfWindow == policyBlock && j.refuse() {
		j.merge()
		j.place()
	}
	j.asOf = j.today(asOf)
	j.file()
	j.enrol()
	j.expect()
	for i := range j.out.Visits {
		v := &j.out.Visits[i]
		v.Verdict = j.verdict(v)
	}
	j.deviate()
	j.settle()
	return j.out
}

// The policies for a visit outside its window; anything else accepts it.
const (
	policyRequireReason = "require_reason"
	policyBlock         = "block"
)

// judging is one call of Judge: the judgement as it grows.
type judging struct {
	*Rules
	prior study.History
	news  []study.Record
	asOf  study.Date
	out   study.Judgement

	holders   []int             // per slot: index of the visit that holds it, or one of the values below
	tied      []int             // indexes of visits that fit two slots, or a slot two visits, equally well
	stated    []int32           // numbers of stored visits for which this call brought a reason
	known     map[string]int32  // visit key → index + 1, for participants with many visits
	records   []filed           // live records by visit, form and occurrence
	site      int               // index of the new row that says the participant's site, -1 = none
	withdrawn int               // likewise, the date of withdrawal
	stored    []study.Deviation // what deviations are stored, in order
}

// The holders of a slot without a visit.
const (
	vacant    = -1
	contested = -2 // two visits tie for it: it was neither seen nor missed
)

// filed is the current version of one record: stored, or new.
type filed struct {
	visit, form int32
	row         int32 // index in news, -1 = stored
	version     int32 // index in prior.Versions, -1 = never stored
	entered     study.Date
	occurrence  string
}

// file lists the live records: what is stored, overlaid with what arrived.
func (j *judging) file() {
	all := make([]filed, 0, len(j.prior.Versions)+len(j.news))
	for i := range j.prior.Versions {
		v := &j.prior.Versions[i]
		all = append(all, filed{v.Key.VisitNo, int32(v.Key.Form), -1, int32(i), v.Entered, v.Key.Occurrence})
	}
	for i := range j.news {
		if j.out.Blocked[i] == "" {
			n := &j.news[i]
			all = append(all, filed{j.out.VisitNo[i], int32(n.Form), int32(i), -1, n.Entered, n.Occurrence})
		}
	}
	slices.SortFunc(all, func(a, b filed) int {
		return cmp.Or(compareKeys(&a, &b), cmp.Compare(a.row, b.row), cmp.Compare(a.version, b.version))
	})
	j.records = all[:0]
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && compareKeys(&all[from], &all[to]) == 0 {
			to++
		}
		if current, live := j.current(all[from:to]); live {
			j.records = append(j.records, current)
		}
		from = to
	}
}

func compareKeys(a, b *filed) int {
	if a.visit != b.visit {
		return cmp.Compare(a.visit, b.visit)
	}
	if a.form != b.form {
		return cmp.Compare(a.form, b.form)
	}
	return cmp.Compare(a.occurrence, b.occurrence)
}

// current reduces the versions of one record, in order of arrival, to the one
// that counts, with the date of the first entry. A tombstone is not live.
func (j *judging) current(versions []filed) (filed, bool) {
	top := versions[0]
	j.hear(top.row)
	for _, next := range versions[1:] {
		entered := earlier(top.entered, next.entered)
		if j.replaces(next, top) {
			j.hear(next.row)
			stored := top.version
			if top = next; top.version < 0 {
				top.version = stored
			}
		}
		top.entered = entered
	}
	return top, top.row >= 0 || !j.prior.Versions[top.version].Removed
}

// replaces reports whether next counts instead of top, which arrived before it.
func (j *judging) replaces(next, top filed) bool {
	if next.row < 0 {
		return !j.prior.Versions[next.version].Late
	}
	if top.row < 0 {
		return newer(j.news[next.row].Modified, j.prior.Versions[top.version].Modified)
	}
	return newer(j.news[next.row].Modified, j.news[top.row].Modified)
}

// newer reports whether a row modified at m replaces what was modified at than
// and arrived before it. Where either does not say, arrival decides.
func newer(m, than time.Time) bool { return m.IsZero() || than.IsZero() || !m.Before(than) }

// earlier is the earlier of two dates, of which either may be unknown.
func earlier(a, b study.Date) study.Date {
	if !a.Known() || b.Known() && b < a {
		return b
	}
	return a
}

// enrol updates what is known of the participant from the current records.
func (j *judging) enrol() {
	p := &j.out.Participant
	for i := range j.records {
		p.Enrolled = p.Enrolled || j.study.Enrolment.Kind == "first_seen" || int(j.records[i].form) == j.enrolment
	}
	if j.site >= 0 {
		p.Site = j.news[j.site].Site
	}
	if j.withdrawn >= 0 {
		p.Withdrawn = j.news[j.withdrawn].Withdrawn
	}
	if j.consent >= 0 {
		p.Consented = j.consented()
	}
}

// hear notes what a row says of the participant, once it is not older than what
// is known of its record. Silence takes nothing back.
func (j *judging) hear(row int32) {
	if row < 0 {
		return
	}
	if j.news[row].Site != "" {
		j.site = j.later(j.site, int(row))
	}
	if j.news[row].Withdrawn.Known() {
		j.withdrawn = j.later(j.withdrawn, int(row))
	}
}

// later is which of two new rows counts as the later; -1 is no row. A row that
// does not say when it was modified is as of now.
func (j *judging) later(a, b int) int {
	if a < 0 {
		return b
	}
	x, y := j.news[a].Modified, j.news[b].Modified
	switch {
	case x.IsZero() != y.IsZero():
		if x.IsZero() {
			return a
		}
		return b
	case x.Equal(y):
		return max(a, b)
	case x.After(y):
		return a
	}
	return b
}

// consented is the participant's first consent. A correction of the first
// consent record replaces it; a consent given anew later does not move it.
func (j *judging) consented() study.Date {
	date, first := j.prior.Participant.Consented, true
	for i := range j.records {
		f := &j.records[i]
		if int(f.form) != j.consent {
			continue
		}
		if f.row >= 0 {
			if first && f.version >= 0 {
				date = study.NoDate
			}
			date = earlier(date, j.news[f.row].Consented)
		}
		first = first && f.version < 0
	}
	return date
}

// today is asOf, in a relative calendar capped at the last day seen.
func (j *judging) today(asOf study.Date) study.Date {
	if !j.study.Relative {
		return asOf
	}
	last := study.NoDate
	for i := range j.out.Visits {
		last = max(last, j.out.Visits[i].Actual.Last())
	}
	return min(asOf, last)
}
