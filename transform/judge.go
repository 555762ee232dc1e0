package transform

import (
	"slices"
	"sync"

	"longitude/study"
)

// Rules is a protocol compiled for judging. It is safe for concurrent use.
type Rules struct {
	study     *study.Study
	versions  [][]slot // per version of the protocol: one slot per visit type, in protocol order
	baseline  int      // type whose visit is the anchor unless another names its own, -1 = none
	enrolment int      // form that enrols, -1 = none
	consent   int      // form that carries consent, -1 = consent is recorded elsewhere
	reaches   bool     // some type takes visits by date outside its window too
	anchored  bool     // some window counts from an event
	desks     sync.Pool
}

// NewRules compiles the protocol of s, which config has validated.
func NewRules(s *study.Study) *Rules {
	r := &Rules{study: s, baseline: s.Baseline(), enrolment: -1, consent: -1}
	if s.Enrolment.Kind == "form" {
		r.enrolment = s.FormIndex(s.Enrolment.Form)
	}
	if s.Consent.Kind == "form" {
		r.consent = s.FormIndex(s.Consent.Form)
	}
	r.versions = compileVersions(s, r.baseline)
	for _, slots := range r.versions {
		for i := range slots {
			r.reaches = r.reaches || slots[i].reach > 0
			r.anchored = r.anchored || slots[i].event >= 0
		}
	}
	return r
}

// Judge says everything that follows for one participant from what is stored
// (prior), the records that arrived (news, in order of arrival) and an as-of
// date. It is pure and deterministic. Judging its own outcome again without news
// on the same date changes nothing.
//
// Files arrive one by one, so absence (form_missing, forms_missing, visit_missed,
// baseline_missing) is raised only in a call without news: after a run, every day,
// before a release. In a call with news what was raised before stays while its
// cause holds, and is resolved when that has gone. All else is raised at once, and
// the verdicts on visits (missed, withheld) wait for nothing.
//
// In a relative calendar nobody knows which day today is, so time passes only as
// far as the data show: the as-of date is at most the last day the participant
// was seen.
func (r *Rules) Judge(prior study.History, news []study.Record, asOf study.Date) study.Judgement {
	d, _ := r.desks.Get().(*desk)
	if d == nil {
		d = new(desk)
	}
	defer r.desks.Put(d)
	j := judging{Rules: r, prior: prior, news: news, asOf: asOf, desk: d}
	j.out.Blocked = make([]string, len(news))
	if j.stored = prior.Deviations; !slices.IsSortedFunc(j.stored, compareDeviations) {
		j.stored = slices.SortedFunc(slices.Values(j.stored), compareDeviations)
	}
	d.told = d.told[:0]
	for i := range news {
		d.told = append(d.told, study.ToldBy(&news[i], prior.Landing))
	}
	j.lock()
	for again := true; again; again = j.lockPlaced() || j.refuse() {
		j.merge()
		j.file()
		j.enrol()
		j.adopt(asOf)
		j.place()
	}
	j.asOf = j.today(asOf)
	j.expect()
	j.ended, j.over = j.end()
	for i := range j.out.Visits {
		v := &j.out.Visits[i]
		v.Verdict = j.verdict(v)
	}
	j.deviate()
	j.settle()
	return j.out
}

// The policies for a visit, or its planned date, outside the window; anything
// else accepts it.
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
	desk  *desk
	out   study.Judgement

	holders   []int             // per slot: index of the visit that holds it, or one of the values below
	tied      map[int]bool      // indexes of visits that fit two slots, or a slot two visits, equally well
	stated    []int32           // numbers of stored visits for which this call brought a reason
	known     map[string]int32  // visit key → index + 1, for participants with many visits
	records   []filed           // live records by visit, form and occurrence
	removed   []study.RecordKey // records that have versions, the current one a tombstone
	gone      []int32           // numbers of visits that had records and have none any more, in order
	changes   []change          // records that changed without a reason
	site      int               // index of the new row that tells the participant's site anew, -1 = none
	withdrawn int               // likewise, the date of withdrawal
	status    int               // likewise, the status
	stored    []study.Deviation // what deviations are stored, in order

	heads     map[study.RecordKey]int32  // stored current version of each record, index in prior.Versions; made when asked for
	said      map[saidAt]bool            // all that is stored, by when it was said; made when asked for
	locked    []int64                    // per new record: the lock that refuses it; nil = no locks
	adopted   []study.Date               // per version of the protocol: when the participant's site adopted it; nil = there is one version
	newest    int                        // version of the protocol in force on the as-of date
	events    []study.Date               // per fact of the study: the day of the event
	conflicts map[study.RecordKey]string // records that contradict who the participant is: the evidence names the fact and both forms, never the values
	over      bool                       // participation has ended …
	ended     study.Date                 // … on this day, NoDate = nobody knows
}

// The holders of a slot without a visit.
const (
	vacant    = -1
	contested = -2 // two visits tie for it: it was neither seen nor missed
)

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
