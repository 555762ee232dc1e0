package transform

import (
	"testing"

	"longitude/study"
)

// Each code, raised by one delivery and resolved by the next.
func TestCodesAreRaisedAndResolved(t *testing.T) {
	const asOf = "2026-03-01"
	baseline := func() []study.Record { return seen(t, "baseline", "2026-01-01") }
	month1 := func(on string) []study.Record { return seen(t, "month_1", on) }
	planned := func(on string) []study.Record {
		r := row("month_6", imagingForm, study.PartialDate{})
		r.Visit.Planned = partial(t, on)
		return []study.Record{r}
	}
	declared := func(on string) []study.Record {
		news := baseline()
		for i := range news {
			news[i].Visit.Declared = partial(t, on)
		}
		return news
	}
	entered := func(on string) []study.Record {
		news := month1("2026-01-31")
		for i := range news {
			news[i].Entered = date(t, on)
		}
		return news
	}
	withdrawn := func(on string) []study.Record {
		news := baseline()
		news[0].Withdrawn = date(t, on)
		return news
	}
	join := func(parts ...[]study.Record) (news []study.Record) {
		for _, p := range parts {
			news = append(news, p...)
		}
		return news
	}
	for _, c := range []struct {
		code, detail  string
		kind          study.DeviationKind
		study         *study.Study
		before, after []study.Record
		evidence      string
	}{
		{code: study.VisitOutOfWindow, kind: study.IsDeviation, before: join(baseline(), month1("2026-02-15")), after: month1("2026-02-14"),
			evidence: "late 1 day: actual 2026-02-15, window 2026-01-24..2026-02-14"},
		{code: study.PlannedOutOfWindow, kind: study.IsDeviation, before: join(baseline(), month1("2026-01-31"), planned("2026-06-01")), after: planned("2026-06-09"),
			evidence: "early 8 days: planned 2026-06-01, window 2026-06-09..2026-07-30"},
		{code: study.VisitMissed, kind: study.IsDeviation, before: baseline(), after: month1("2026-01-31"),
			evidence: "no visit in 2026-01-24..2026-02-14"},
		{code: study.FormMissing, detail: "imaging", kind: study.IsDeviation, before: join(baseline(), month1("2026-01-31")[:2]), after: month1("2026-01-31")[2:],
			evidence: "no imaging"},
		{code: study.FormsMissing, kind: study.IsViolation, before: join(baseline(), month1("2026-01-31")[1:]), after: month1("2026-01-31")[:1],
			evidence: "no acuity/R"},
		{code: study.FormsMissing, kind: study.IsViolation, before: join(baseline(), month1("2026-01-31")[1:2]), after: month1("2026-01-31"),
			evidence: "no acuity/R, imaging"},
		{code: study.BaselineDateMismatch, kind: study.IsDeviation, before: join(declared("2025-12-31"), month1("2026-01-31")), after: declared("2026-01-01"),
			evidence: "declared 2025-12-31, actual 2026-01-01", study: withBaselineWindow(3)},
		{code: study.VisitOrder, kind: study.IsDeviation, before: join(baseline(), month1("2026-02-14"), seen(t, "month_3", "2026-02-13")), after: month1("2026-02-12"),
			evidence: "2026-02-13 before month_1 on 2026-02-14", study: withEarlyMonth3()},
		{code: study.BaselineMissing, kind: study.IsViolation, before: month1("2026-01-31"), after: baseline(),
			evidence: "actual 2026-01-31, no baseline"},
		{code: study.AfterWithdrawal, kind: study.IsViolation, before: join(withdrawn("2026-01-30"), month1("2026-01-31")), after: withdrawn("2026-01-31"),
			evidence: "collected 2026-01-31, withdrawn 2026-01-30"},
		{code: study.LateEntry, detail: "imaging", kind: study.IsDeviation, before: join(baseline(), entered("2026-02-15")[2:], month1("2026-01-31")), after: month1("2026-02-01"),
			evidence: "entered 2026-02-15, 15 days after 2026-01-31"},
		{code: study.UnknownParticipant, kind: study.IsViolation, study: enrolling(), before: baseline(), after: []study.Record{consented(t, "2026-01-01")},
			evidence: "not enrolled"},
		{code: study.ConsentMissing, kind: study.IsViolation, study: consentOnly(), before: baseline(), after: []study.Record{consented(t, "2026-01-01")},
			evidence: "no consent"},
		{code: study.ConsentMissing, kind: study.IsViolation, study: consentOnly(), before: join(baseline(), month1("2026-01-31"), []study.Record{lateConsent(t, "2026-01-02")}), after: []study.Record{lateConsent(t, "2026-01-01")},
			evidence: "collected 2026-01-01, consent 2026-01-02"},
		{code: study.VisitAmbiguous, kind: study.IsDeviation, before: join(baseline(), []study.Record{dated(t, "2026-01-30"), dated(t, "2026-02-01")}), after: month1("2026-01-31"),
			evidence: "actual 2026-01-30 fits no one visit best"},
	} {
		t.Run(c.code+" "+c.evidence, func(t *testing.T) {
			s := c.study
			if s == nil {
				s = amd()
			}
			h, first := settled(s, date(t, asOf), c.before)
			raised := the(t, first, c.code, study.Open)
			if raised.Kind != c.kind || raised.Detail != c.detail || raised.Evidence != c.evidence {
				t.Errorf("raised %+v", raised)
			}
			second := NewRules(s).Judge(h, c.after, date(t, asOf))
			if got := the(t, second, c.code, study.Resolved); got.DeviationKey != raised.DeviationKey || got.Evidence != raised.Evidence {
				t.Errorf("resolved %+v", got)
			}
			third := NewRules(s).Judge(keep(h, c.after, second), nil, date(t, asOf))
			for _, d := range third.Deviations {
				if d.DeviationKey == raised.DeviationKey {
					t.Errorf("still there: %+v", d)
				}
			}
		})
	}
}

// the is the first deviation with code, which must be in state.
func the(t *testing.T, j study.Judgement, code string, state study.DeviationState) study.Deviation {
	t.Helper()
	for _, d := range j.Deviations {
		if d.Code == code {
			if d.State != state {
				t.Errorf("%s is %s, want %s", code, d.State, state)
			}
			return d
		}
	}
	t.Fatalf("no %s among %+v", code, j.Deviations)
	return study.Deviation{}
}

func withBaselineWindow(days int) *study.Study {
	s := amd()
	s.Visits[0].Before, s.Visits[0].After = days, days
	return s
}

func withEarlyMonth3() *study.Study {
	s := amd()
	s.Visits[2].Before = 60
	return s
}

func enrolling() *study.Study {
	s := amd()
	s.Enrolment = study.Enrolment{Kind: "form", Form: "consent"}
	return s
}

func consentOnly() *study.Study {
	s := amd()
	s.Consent = study.Consent{Kind: "form", Form: "consent", Field: "consented_on"}
	return s
}

// lateConsent is signed on a date of its own, on the baseline form.
func lateConsent(t testing.TB, on string) study.Record {
	c := consented(t, "2026-01-01")
	c.Consented = date(t, on)
	return c
}

func TestHeldUntilConsentArrives(t *testing.T) {
	s, asOf := consenting(), date(t, "2026-01-02")
	event := row("", eventForm, study.PartialDate{})
	event.Entered = date(t, "2026-01-02")
	h, j := course(s, asOf, append(seen(t, "baseline", "2026-01-01"), event))
	if len(j.Holds) != 4 || j.Participant.Enrolled {
		t.Fatalf("enrolled %v, holds %+v", j.Participant.Enrolled, j.Holds)
	}
	for _, hold := range j.Holds {
		if hold.Code != study.UnknownParticipant {
			t.Errorf("held for %s before enrolment", hold.Code)
		}
	}
	expectCodes(t, j, study.UnknownParticipant, study.ConsentMissing, study.UnknownParticipant+":events", study.ConsentMissing+":events")
	if len(j.Visits) != 1 {
		t.Errorf("%d visits: nobody is expected before enrolment", len(j.Visits))
	}

	unsigned := consented(t, "2026-01-01")
	unsigned.Consented = study.NoDate
	news := []study.Record{unsigned}
	j = NewRules(s).Judge(h, news, asOf)
	h = keep(h, news, j)
	if len(j.Holds) != 4 || j.Holds[0].Code != study.ConsentMissing || !j.Participant.Enrolled {
		t.Errorf("enrolled %v, holds %+v", j.Participant.Enrolled, j.Holds)
	}

	news = []study.Record{consented(t, "2026-01-01")}
	j = NewRules(s).Judge(h, news, asOf)
	if len(j.Holds) != 0 || len(open(j)) != 0 || j.Participant.Consented != date(t, "2026-01-01") {
		t.Errorf("after consent: consented %s, holds %+v, deviations %q", j.Participant.Consented, j.Holds, open(j))
	}
	if len(j.Visits) != 4 {
		t.Errorf("%d visits, want the expected ones too", len(j.Visits))
	}
}

func TestFirstConsentCounts(t *testing.T) {
	renewed := row("month_3", consentForm, partial(t, "2026-04-01"))
	renewed.Consented = date(t, "2026-04-01")
	for name, c := range map[string]struct {
		deliveries [][]study.Record
		want       string
	}{
		"given anew, the first counts":       {[][]study.Record{{consented(t, "2026-01-01")}, {renewed}}, "2026-01-01"},
		"given anew, in one delivery":        {[][]study.Record{{renewed, consented(t, "2026-01-01")}}, "2026-01-01"},
		"corrected":                          {[][]study.Record{{consented(t, "2026-01-01")}, {lateConsent(t, "2026-01-05")}}, "2026-01-05"},
		"corrected after it was given anew":  {[][]study.Record{{consented(t, "2026-01-01")}, {renewed}, {lateConsent(t, "2026-01-05")}}, "2026-01-05"},
		"the one given anew stays where not": {[][]study.Record{{consented(t, "2026-01-01"), renewed}, {renewed}}, "2026-01-01"},
	} {
		t.Run(name, func(t *testing.T) {
			_, j := course(consenting(), date(t, "2026-04-01"), c.deliveries...)
			if got := j.Participant.Consented.String(); got != c.want {
				t.Errorf("consented %s, want %s", got, c.want)
			}
		})
	}
	t.Run("roster", func(t *testing.T) {
		s := amd()
		s.Enrolment.Kind = "roster"
		_, j := course(s, date(t, "2026-01-02"), seen(t, "baseline", "2026-01-01"))
		expectCodes(t, j, study.UnknownParticipant)
		h := newcomer()
		h.Participant.Enrolled = true
		j = NewRules(s).Judge(h, seen(t, "baseline", "2026-01-01"), date(t, "2026-01-02"))
		expectCodes(t, j)
	})
}

func TestFormsAreJudgedAfterTheGrace(t *testing.T) {
	news := seen(t, "baseline", "2026-01-01")[:1]
	_, j := settled(amd(), date(t, "2026-01-11"), news)
	expectCodes(t, j)
	_, j = settled(amd(), date(t, "2026-01-12"), news)
	expectCodes(t, j, study.FormsMissing)
}

// So is a visit of no type, which may be later than the baseline as well as before it.
func TestUnscheduledIsWithheldWithoutBaseline(t *testing.T) {
	s, asOf := amd(), date(t, "2026-06-01")
	patient(s)
	unscheduled := []study.Record{row("u:0a1b/2026-03-01", imagingForm, partial(t, "2026-03-01"))}
	h, j := settled(s, asOf, unscheduled)
	if v := find(t, j.Visits, "u:0a1b/2026-03-01"); !v.Withheld || v.Status != study.Unscheduled || v.Timing != study.NoAnchor {
		t.Errorf("%+v", v)
	}
	the(t, j, study.BaselineMissing, study.Open)
	j = NewRules(s).Judge(h, seen(t, "baseline", "2026-01-01"), asOf)
	if v := find(t, j.Visits, "u:0a1b/2026-03-01"); v.Withheld || v.Timing != study.NoWindow {
		t.Errorf("once there is a baseline: %+v", v)
	}
	the(t, j, study.BaselineMissing, study.Resolved)
	s.Relative = true
	if _, j = settled(s, asOf, []study.Record{row("u:0a1b/7", imagingForm, study.ExactDate(7))}); find(t, j.Visits, "u:0a1b/7").Withheld {
		t.Error("in a relative calendar the anchor is known without its visit")
	}
}

func TestWithheldWithoutBaseline(t *testing.T) {
	s := amd()
	s.Visits = append([]study.VisitType{{Name: "screening", Day: -14, Before: 14, After: 10, HasWindow: true, Required: true}}, s.Visits...)
	_, j := course(s, date(t, "2026-02-01"), append(seen(t, "screening", "2025-12-20"), seen(t, "month_1", "2026-01-31")...))
	if v := find(t, j.Visits, "screening"); v.Withheld || v.Timing != study.NoAnchor {
		t.Errorf("screening comes before baseline: %+v", v.Verdict)
	}
	if v := find(t, j.Visits, "month_1"); !v.Withheld || v.Status != study.Completed {
		t.Errorf("month_1: %+v", v.Verdict)
	}
	_, j = course(s, date(t, "2026-02-01"), append(seen(t, "screening", "2025-12-20"), seen(t, "baseline", "2026-01-01")...))
	if v := find(t, j.Visits, "screening"); v.FromTarget != 2 || v.Due.String() != "2025-12-18" || v.Timing != study.InWindow {
		t.Errorf("screening once baseline exists: %+v", v.Verdict)
	}
}

func TestReasons(t *testing.T) {
	asOf := date(t, "2026-02-20")
	late := func(on string, reason bool) []study.Record {
		news := seen(t, "month_1", on)
		for i := range news {
			news[i].Visit.Reason = reason
		}
		return news
	}
	s := amd()
	s.Deviations.VisitOutOfWindow = policyRequireReason
	h, j := course(s, asOf, seen(t, "baseline", "2026-01-01"), late("2026-02-15", false))
	the(t, j, study.VisitOutOfWindow, study.Open)
	if len(j.Holds) != 3 || j.Holds[0].Code != study.VisitOutOfWindow {
		t.Errorf("holds %+v without a reason", j.Holds)
	}
	step := func(news []study.Record, state study.DeviationState, holds int) {
		t.Helper()
		j = NewRules(s).Judge(h, news, asOf)
		h = keep(h, news, j)
		the(t, j, study.VisitOutOfWindow, state)
		if len(j.Holds) != holds {
			t.Errorf("%d holds, want %d", len(j.Holds), holds)
		}
	}
	step(late("2026-02-15", true), study.Explained, 0)
	step(nil, study.Explained, 0)
	step(seen(t, "baseline", "2025-12-31"), study.Open, 3) // other evidence: the reason was for the former window
	step(late("2026-02-15", true), study.Open, 3)          // the same row again says nothing new
	step(late("2026-02-16", true), study.Explained, 0)
	step(late("2026-02-10", true), study.Resolved, 0)

	h.Deviations = []study.Deviation{{DeviationKey: study.DeviationKey{Code: study.CheckFailed}, State: study.Open}}
	if j = NewRules(s).Judge(h, nil, asOf); len(j.Deviations) != 0 {
		t.Errorf("%+v: what others raise is not ours to resolve", j.Deviations)
	}
}

func TestExplainedByAPerson(t *testing.T) {
	asOf := date(t, "2026-02-20")
	h, _ := course(amd(), asOf, seen(t, "baseline", "2026-01-01"), seen(t, "month_1", "2026-02-15"))
	for i := range h.Deviations {
		if h.Deviations[i].State == study.Open {
			h.Deviations[i].State = study.Explained
		}
	}
	the(t, NewRules(amd()).Judge(h, nil, asOf), study.VisitOutOfWindow, study.Explained)
	the(t, NewRules(amd()).Judge(h, seen(t, "month_1", "2026-02-16"), asOf), study.VisitOutOfWindow, study.Open)
}

func TestBlock(t *testing.T) {
	s, asOf := amd(), date(t, "2026-02-20")
	s.Deviations.VisitOutOfWindow = policyBlock
	h, j := course(s, asOf, append(seen(t, "baseline", "2026-01-01"), seen(t, "month_1", "2026-02-15")...))
	for i, code := range j.Blocked {
		if want := map[bool]string{true: study.VisitOutOfWindow}[i >= 3]; code != want {
			t.Errorf("record %d: blocked %q, want %q", i, code, want)
		}
	}
	if v := find(t, j.Visits, "month_1"); v.Actual.Known() || v.Status != study.Missed {
		t.Errorf("a refused visit left its facts: %+v", v)
	}
	j = NewRules(s).Judge(h, seen(t, "month_1", "2026-02-14"), asOf)
	if v := find(t, j.Visits, "month_1"); j.Blocked[0] != "" || v.Timing != study.InWindow {
		t.Errorf("blocked %q, %+v", j.Blocked, v)
	}

	moved := seen(t, "baseline", "2026-01-20")
	for i := range moved {
		moved[i].Visit.Declared = partial(t, "2026-01-01")
	}
	j = NewRules(s).Judge(h, append(seen(t, "month_1", "2026-02-10"), moved...), asOf)
	if j.Blocked[0] != "" || j.Blocked[3] != study.VisitOutOfWindow || find(t, j.Visits, "month_1").Due != date(t, "2026-01-31") {
		t.Errorf("blocked %q: the refused baseline moves no window", j.Blocked)
	}

	s.Deviations.VisitOutOfWindow, s.Deviations.PlannedOutOfWindow = "accept", policyBlock // each for itself
	plan := row("month_3", imagingForm, study.PartialDate{})
	plan.Visit.Planned = partial(t, "2026-06-01")
	if j = NewRules(s).Judge(h, []study.Record{plan}, asOf); j.Blocked[0] != study.PlannedOutOfWindow {
		t.Errorf("blocked %q", j.Blocked)
	}
}
