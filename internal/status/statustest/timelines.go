package statustest

import (
	"strings"

	"longitude/internal/status"
	"longitude/study"
)

// The participants with a timeline: one in dates, one in days, one without an anchor.
const (
	Dated      = "AMD-7KQ2M8T4XW5P9RCD3FGH"
	InDays     = "AMD-2C4E6G8J0K2M4N6P8QRS"
	Unanchored = "AMD-NOANCHOR000000000000"
)

func (s *Store) addTimelines() {
	base, _ := study.ParseDate("2026-01-01")
	dated := timeline(base, false)
	dated.Code, dated.Deviations, dated.Locks = Dated, s.Departures[:3], s.Decided[:1]
	s.Timelines[amd+"/"+Dated] = dated

	days := timeline(0, true)
	days.Code, days.AsOf = InDays, nil
	s.Timelines[amd+"/"+InDays] = days

	none := status.Timeline{Study: amd, Code: Unanchored, Site: "site-b", AsOf: dated.AsOf, Visits: []status.TimelineVisit{
		{No: 1, Type: "baseline", Label: "Baseline", Status: "scheduled"},
		{No: 2, Type: "month_1", Label: "Month 1", Status: "completed", Timing: "no_anchor", Withheld: true,
			Actual:     status.NewDay(study.ExactDate(base+33), study.NoDate, false),
			Deviations: []string{"baseline_missing"}}}}
	s.Timelines[amd+"/"+Unanchored] = none
}

// timeline is the worked example of the study model, with a correction, a
// missing form, an unscheduled visit and a partial date.
func timeline(base study.Date, relative bool) status.Timeline {
	day := func(n int) *status.Day {
		return status.NewDay(study.ExactDate(base+study.Date(n)), base, relative)
	}
	visit := func(no int32, name, label string, due, before, after int) status.TimelineVisit {
		return status.TimelineVisit{No: no, Type: name, Label: label, Due: day(due), WindowStart: day(due - before), WindowEnd: day(due + after),
			Status: "scheduled", Forms: []status.FormBadge{}, Deviations: []string{}}
	}
	done := func(v status.TimelineVisit, at, due, outside int, timing string, forms ...status.FormBadge) status.TimelineVisit {
		from := at - due
		v.Protocol = "3.0"
		v.Status, v.Timing, v.Actual, v.FromTarget, v.Outside, v.Forms = "completed", timing, day(at), &from, &outside, forms
		return v
	}
	present := func(form, occurrence string, versions int) status.FormBadge {
		return status.FormBadge{Form: form, Occurrence: occurrence, State: status.FormPresent, Versions: versions}
	}
	t := status.Timeline{Study: amd, Site: "site-a", Relative: relative, AsOf: day(211), Enrolled: true, Consented: day(-3), Status: "enrolled", StatusOn: day(0), Locks: []status.DecisionItem{},
		LogForms: []status.LogForm{{Form: "adverse_events", Records: 3}, {Form: "medications", Records: 5, Held: 1}}}
	t.Visits = []status.TimelineVisit{
		done(visit(1, "baseline", "Baseline", 0, 0, 0), 0, 0, 0, "in_window", present("informed_consent", "", 1),
			present("visual_acuity", "R", 2), present("visual_acuity", "L", 1)),
		done(visit(2, "month_1", "Month 1", 30, 7, 14), 45, 30, 1, "late", present("visual_acuity", "R", 1), present("visual_acuity", "L", 1)),
		done(visit(3, "month_3", "Month 3", 90, 14, 21), 75, 90, -1, "early", present("visual_acuity", "R", 1),
			status.FormBadge{Form: "oct_imaging", State: status.FormMissing}),
		visit(4, "month_6", "Month 6", 180, 21, 30),
		visit(5, "month_9", "Month 9", 270, 28, 28),
		visit(6, "month_12", "Month 12", 365, 30, 30),
		{No: 7, Label: "Unscheduled", Status: "unscheduled", Timing: "no_window", Actual: day(118),
			Forms: []status.FormBadge{{Form: "visual_acuity", Occurrence: "R", State: status.FormHeld, Versions: 1}}, Deviations: []string{}},
	}
	t.Visits[1].Deviations = []string{"visit_out_of_window"}
	t.Visits[2].Deviations = []string{"visit_out_of_window", "form_missing"}
	t.Visits[3].Status, t.Visits[3].Deviations = "missed", []string{"visit_missed"}
	if !relative {
		p, _ := study.ParsePartialDate("2026-10")
		t.Visits[4].Status, t.Visits[4].Timing, t.Visits[4].Actual = "completed", "indeterminate", status.NewDay(p, base, false)
	}
	return t
}

// Hostile fills every text with markup, quotes and a name of 400 letters.
func Hostile() *Store {
	const attack = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{.}}`
	long := attack + strings.Repeat("Llanfairpwllgwyngyll", 20)
	run := status.Run{ID: 1, Kind: attack, Study: attack, Source: long, Trigger: attack, State: status.Failed, Outcome: attack, Started: &Now, Finished: &Now,
		ErrorCode: attack, ErrorText: long, ErrorHint: attack, Counts: study.Counts{Read: 3, Mapped: 1, Produced: 9}}
	d := status.DeviationItem{ID: 1, Study: attack, Code: long, Visit: attack, DeviationCode: attack, Kind: attack, State: attack, Detail: long, Evidence: long, Since: Now,
		Explanation: &status.Explanation{Decision: 1, Reason: attack, By: long, At: Now}}
	decision := status.DecisionItem{ID: 1, Kind: attack, Study: attack, Code: long, Visit: attack, DeviationCode: attack, Detail: long, Evidence: long, Source: attack, Reason: attack, By: long, At: Now, SignedBy: attack}
	return &Store{
		SourceList: []status.SourceStatus{{Study: attack, Source: long, Connector: attack, Schedule: attack, LastRun: &run, LastErrorCode: attack, LastErrorText: long, ConsecutiveFailures: 1}},
		RunList:    []status.Run{run},
		Summaries: map[string]status.StudySummary{attack: {Study: attack, Title: long, Protocol: attack, AsOf: attack, Participants: 1,
			Sites: []status.SiteRow{{Site: long}}, Visits: []status.VisitRow{{Visit: attack, Label: long, Window: attack, Expected: 1, Missed: 1}},
			Deviations: []status.CodeCount{{Code: long, Kind: attack, Open: 1}}, Findings: []status.CheckCount{{Form: attack, Check: long, Open: 1}}, Quarantine: []status.RuleCount{{Rule: long, Count: 1}},
			MissingForms: []status.MissingFormAt{{Visit: attack, Form: long, Missing: 1}}}},
		Timelines: map[string]status.Timeline{attack + "/" + "X": {Study: attack, Code: long, Site: long, Enrolled: true,
			Visits: []status.TimelineVisit{{No: 1, Type: attack, Label: long, Status: attack, Timing: attack, Actual: status.NewDay(study.ExactDate(20000), 19999, false),
				Forms: []status.FormBadge{{Form: long, Occurrence: attack, State: status.FormMissing}}, Deviations: []string{attack}}},
			LogForms: []status.LogForm{{Form: long, Records: 1}}, Deviations: []status.DeviationItem{d}, Locks: []status.DecisionItem{decision}}},
		Rejected:   []status.QuarantineItem{{ID: 1, Study: attack, Source: long, Site: attack, Form: attack, Field: long, Rule: attack, State: attack, FirstSeen: Now}},
		Departures: []status.DeviationItem{d},
		Decided:    []status.DecisionItem{decision},
		Drifts:     []status.DriftItem{{ID: 1, Study: attack, Source: long, Kind: attack, Column: long, From: attack, To: attack, Action: attack, At: Now}},
		Shapes:     map[string]status.SourceShape{attack: {Study: attack, Source: long, Dialect: attack, Columns: []status.ColumnShape{{Name: long, Kind: attack}}}},
		Published: []status.Release{{ID: long, Study: attack, Number: 1, State: status.ReleasePublished, AsOf: attack, Cutoff: attack, Created: &Now,
			Location: long, Claim: long, EnvelopeDigest: long}},
	}
}
