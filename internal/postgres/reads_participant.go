package postgres

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"

	"longitude/internal/status"
	"longitude/study"
)

// Timeline answers everything that is known of one participant's visits. Any of
// the participant's codes finds it.
func (s *Store) Timeline(ctx context.Context, studyName, code string) (status.Timeline, error) {
	reg, err := s.shown(studyName)
	if err != nil {
		return status.Timeline{}, err
	}
	id, err := s.ParticipantByCode(ctx, studyName, code)
	if err != nil {
		return status.Timeline{}, err
	}
	asOf, err := s.judgedOn(ctx, reg)
	if err != nil {
		return status.Timeline{}, err
	}
	past := past{q: s.app, reg: reg, upTo: math.MaxInt64}
	all, err := past.histories(ctx, []int64{id})
	if err != nil {
		return status.Timeline{}, err
	}
	t := timelineOf(reg.study, &all[0], asOf)
	t.Deviations, err = s.Deviations(ctx, status.DeviationFilter{Study: studyName, Participant: t.Code, Page: status.Page{Limit: 1000}})
	if err != nil {
		return t, err
	}
	t.Locks, err = collect(ctx, s, "list the locks", readDecision, decided+`
		WHERE d.kind = 'lock' AND d.study_id = $1 AND (d.participant_id IS NULL OR d.participant_id = $2)
		  AND NOT EXISTS (SELECT 1 FROM research.decision u WHERE u.kind = 'unlock' AND u.lifts = d.decision_id)
		ORDER BY d.decision_id DESC`, reg.id, id)
	return t, err
}

// timelineOf draws up a history. Dates of consent, withdrawal and judgement are
// dates even in a relative calendar, and have no place in it.
func timelineOf(st *study.Study, h *study.History, asOf study.Date) status.Timeline {
	anchor := anchorOf(st, h.Visits)
	date := func(d study.Date) *status.Day { return status.NewDay(study.ExactDate(d), anchor, false) }
	p := &h.Participant
	t := status.Timeline{Study: st.Name, Code: p.Code, Site: p.Site, Relative: st.Relative, Enrolled: p.Enrolled,
		Consented: date(p.Consented), Withdrawn: date(p.Withdrawn), Status: string(p.Status), StatusOn: date(p.StatusOn), Visits: []status.TimelineVisit{}, LogForms: []status.LogForm{}}
	if !st.Relative {
		t.AsOf = date(asOf)
	}
	badges := map[int32][]status.FormBadge{}
	logs := make([]status.LogForm, len(st.Forms))
	for key, badge := range badgesOf(st, h) {
		if key.VisitNo != 0 {
			badges[key.VisitNo] = append(badges[key.VisitNo], badge)
			continue
		}
		logs[key.Form].Form = badge.Form
		logs[key.Form].Records++
		if badge.State == status.FormHeld {
			logs[key.Form].Held++
		}
	}
	for _, l := range logs {
		if l.Records > 0 {
			t.LogForms = append(t.LogForms, l)
		}
	}
	for _, v := range slices.SortedFunc(slices.Values(h.Visits), inProtocolOrder) {
		t.Visits = append(t.Visits, timelineVisit(st, &v, anchor, badges[v.No], h.Deviations))
	}
	return t
}

// anchorOf is the exact date of the baseline visit. A relative calendar has
// none: its dates are days from the anchor already.
func anchorOf(st *study.Study, visits []study.Visit) study.Date {
	baseline := st.Baseline()
	for i := range visits {
		if v := &visits[i]; !st.Relative && baseline >= 0 && v.Type == baseline && v.Actual.Exact() {
			return v.Actual.First()
		}
	}
	return study.NoDate
}

// inProtocolOrder puts unscheduled visits last, by date, undated ones at the end.
func inProtocolOrder(a, b study.Visit) int {
	if a.Type != b.Type {
		return cmp.Compare(uint(a.Type), uint(b.Type)) // -1 is the largest
	}
	if a.Type < 0 && a.Actual.Known() != b.Actual.Known() {
		if a.Actual.Known() {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Actual.First(), b.Actual.First()), cmp.Compare(a.No, b.No))
}

// badgesOf goes through the records that are there, in dictionary order.
func badgesOf(st *study.Study, h *study.History) iter.Seq2[study.RecordKey, status.FormBadge] {
	versions := slices.SortedStableFunc(slices.Values(h.Versions), func(a, b study.VersionRef) int {
		return cmp.Or(cmp.Compare(a.Key.Form, b.Key.Form), cmp.Compare(a.Key.VisitNo, b.Key.VisitNo), cmp.Compare(a.Key.Occurrence, b.Key.Occurrence))
	})
	return func(yield func(study.RecordKey, status.FormBadge) bool) {
		var end int
		for start := 0; start < len(versions); start = end {
			key, there := versions[start].Key, false
			for end = start; end < len(versions) && versions[end].Key == key; end++ {
				if !versions[end].Late {
					there = !versions[end].Removed
				}
			}
			if !there {
				continue
			}
			badge := status.FormBadge{Form: st.Forms[key.Form].Name, Occurrence: key.Occurrence, State: status.FormPresent, Versions: end - start}
			if st.Forms[key.Form].RepeatsBy == "" {
				badge.Occurrence = "" // it is always the first
			}
			if slices.ContainsFunc(h.Holds, func(hold study.Hold) bool { return hold.Key == key }) {
				badge.State = status.FormHeld
			}
			if !yield(key, badge) {
				return
			}
		}
	}
}

func timelineVisit(st *study.Study, v *study.Visit, anchor study.Date, forms []status.FormBadge, deviations []study.Deviation) status.TimelineVisit {
	day := func(p study.PartialDate) *status.Day { return status.NewDay(p, anchor, st.Relative) }
	t := status.TimelineVisit{No: v.No, Label: "Unscheduled", Status: string(v.Status), Timing: string(v.Timing), Withheld: v.Withheld,
		Due: day(study.ExactDate(v.Due)), WindowStart: day(study.ExactDate(v.WindowStart)), WindowEnd: day(study.ExactDate(v.WindowEnd)),
		Actual: day(v.Actual), Forms: append([]status.FormBadge{}, forms...), Deviations: []string{}}
	if v.Type >= 0 {
		t.Type, t.Label = st.Visits[v.Type].Name, st.Visits[v.Type].Label
	}
	if v.Protocol >= 0 && v.Protocol < len(st.Versions) {
		t.Protocol = st.Versions[v.Protocol].Version
	}
	if v.HasDistance {
		t.FromTarget, t.Outside = &v.FromTarget, &v.OutsideWindow
	}
	for _, d := range deviations {
		if d.VisitNo != v.No || d.State == study.Resolved || d.Kind == study.IsFinding {
			continue
		}
		if !slices.Contains(t.Deviations, d.Code) {
			t.Deviations = append(t.Deviations, d.Code)
		}
		if d.Code == study.FormMissing || d.Code == study.FormsMissing {
			t.Forms = append(t.Forms, missingFrom(d.Evidence)...)
		}
	}
	return t
}
