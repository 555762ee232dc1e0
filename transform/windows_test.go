package transform

import (
	"fmt"
	"strconv"
	"testing"

	"longitude/study"
)

// The worked example of the study model, verbatim: baseline 1 January 2026.
func TestWorkedExample(t *testing.T) {
	for _, c := range []struct {
		visit, due, start, end, actual string
		status                         study.VisitStatus
		timing                         study.Timing
		outside                        int
		code                           string
	}{
		{"baseline", "2026-01-01", "2026-01-01", "2026-01-01", "2026-01-01", study.Completed, study.InWindow, 0, ""},
		{"month_1", "2026-01-31", "2026-01-24", "2026-02-14", "2026-01-26", study.Completed, study.InWindow, 0, ""},
		{"month_1", "2026-01-31", "2026-01-24", "2026-02-14", "2026-02-14", study.Completed, study.InWindow, 0, ""},
		{"month_1", "2026-01-31", "2026-01-24", "2026-02-14", "2026-02-15", study.Completed, study.Late, 1, study.VisitOutOfWindow},
		{"month_3", "2026-04-01", "2026-03-18", "2026-04-22", "2026-03-17", study.Completed, study.Early, -1, study.VisitOutOfWindow},
		{"month_6", "2026-06-30", "2026-06-09", "2026-07-30", "", study.Missed, "", 0, study.VisitMissed},
	} {
		news := seen(t, "baseline", "2026-01-01")
		if c.actual != "" && c.visit != "baseline" {
			news = append(news, seen(t, c.visit, c.actual)...)
		}
		_, j := settled(amd(), date(t, "2026-07-31"), news)
		v := find(t, j.Visits, c.visit)
		if v.Due.String() != c.due || v.WindowStart.String() != c.start || v.WindowEnd.String() != c.end {
			t.Errorf("%s: due %s, window %s..%s", c.visit, v.Due, v.WindowStart, v.WindowEnd)
		}
		if v.Status != c.status || v.Timing != c.timing || v.OutsideWindow != c.outside {
			t.Errorf("%s on %q: %s %s, %d days outside", c.visit, c.actual, v.Status, v.Timing, v.OutsideWindow)
		}
		if v.HasDistance != (c.actual != "") || v.HasDistance && v.FromTarget != int(v.Actual.First()-v.Due) {
			t.Errorf("%s on %q: distance %v %d", c.visit, c.actual, v.HasDistance, v.FromTarget)
		}
		code := ""
		for _, d := range j.Deviations {
			if d.VisitNo == v.No {
				code += d.Code
			}
		}
		if code != c.code {
			t.Errorf("%s on %q: deviation %q, want %q", c.visit, c.actual, code, c.code)
		}
	}
}

// The same target days in the other convention: every visit but baseline is due a
// day earlier, and the verdicts at the ends of its window change.
func TestWorkedExampleInCDISC(t *testing.T) {
	s := amd()
	s.Days, s.Visits[0].Day = study.CDISC, 1
	for _, c := range []struct {
		visit, due, start, end, actual string
		timing                         study.Timing
		outside                        int
	}{
		{"baseline", "2026-01-01", "2026-01-01", "2026-01-01", "2026-01-01", study.InWindow, 0},
		{"month_1", "2026-01-30", "2026-01-23", "2026-02-13", "2026-01-26", study.InWindow, 0},
		{"month_1", "2026-01-30", "2026-01-23", "2026-02-13", "2026-02-14", study.Late, 1},
		{"month_1", "2026-01-30", "2026-01-23", "2026-02-13", "2026-02-15", study.Late, 2},
		{"month_3", "2026-03-31", "2026-03-17", "2026-04-21", "2026-03-17", study.InWindow, 0},
		{"month_6", "2026-06-29", "2026-06-08", "2026-07-29", "", "", 0},
	} {
		news := seen(t, "baseline", "2026-01-01")
		if c.actual != "" && c.visit != "baseline" {
			news = append(news, seen(t, c.visit, c.actual)...)
		}
		_, j := settled(s, date(t, "2026-07-31"), news)
		v := find(t, j.Visits, c.visit)
		if v.Due.String() != c.due || v.WindowStart.String() != c.start || v.WindowEnd.String() != c.end || v.Timing != c.timing || v.OutsideWindow != c.outside {
			t.Errorf("%s on %q: due %s, window %s..%s, %s, %d days outside", c.visit, c.actual, v.Due, v.WindowStart, v.WindowEnd, v.Timing, v.OutsideWindow)
		}
	}
}

func TestStatus(t *testing.T) {
	for name, c := range map[string]struct {
		asOf, withdrawn string
		optional        bool
		want            study.VisitStatus
	}{
		"before the window":         {asOf: "2026-01-02", want: study.Scheduled},
		"on the last day":           {asOf: "2026-02-14", want: study.Scheduled},
		"the day after":             {asOf: "2026-02-15", want: study.Missed},
		"optional":                  {asOf: "2026-02-15", optional: true, want: study.NotDone},
		"withdrawn on the last day": {asOf: "2026-02-15", withdrawn: "2026-02-14", want: study.Cancelled},
		"withdrawn the day after":   {asOf: "2026-02-16", withdrawn: "2026-02-15", want: study.Missed},
	} {
		t.Run(name, func(t *testing.T) {
			s := amd()
			s.Visits[1].Required = !c.optional
			news := seen(t, "baseline", "2026-01-01")
			if c.withdrawn != "" {
				news[0].Withdrawn = date(t, c.withdrawn)
			}
			_, j := course(s, date(t, c.asOf), news)
			if got := find(t, j.Visits, "month_1").Status; got != c.want {
				t.Errorf("status %s, want %s", got, c.want)
			}
		})
	}
}

func TestVisitsWithoutWindow(t *testing.T) {
	s := amd()
	s.Visits = append(s.Visits, study.VisitType{Name: "early_termination", NoTarget: true})
	_, j := course(s, date(t, "2030-01-01"), seen(t, "baseline", "2026-01-01"))
	if len(j.Visits) != 4 {
		t.Errorf("%d visits: one without target or window is not owed", len(j.Visits))
	}
	_, j = course(s, date(t, "2030-01-01"), seen(t, "baseline", "2026-01-01"), seen(t, "early_termination", "2026-02-01"))
	if v := find(t, j.Visits, "early_termination"); v.Status != study.Completed || v.Timing != study.NoWindow || v.HasDistance || v.Due.Known() {
		t.Errorf("verdict %+v", v.Verdict)
	}
}

// Both conventions of target days, over leap days, year ends and the change to
// summer time, which a civil date does not know.
func TestConventions(t *testing.T) {
	for _, c := range []struct {
		days           study.DayConvention
		day            int
		baseline, want string
	}{
		{study.Elapsed, 30, "2026-01-01", "2026-01-31"},
		{study.CDISC, 30, "2026-01-01", "2026-01-30"},
		{study.Elapsed, 1, "2024-02-28", "2024-02-29"},
		{study.CDISC, 2, "2024-02-28", "2024-02-29"},
		{study.Elapsed, 1, "2023-02-28", "2023-03-01"},
		{study.Elapsed, 1, "1900-02-28", "1900-03-01"},
		{study.Elapsed, 1, "2000-02-28", "2000-02-29"},
		{study.Elapsed, 1, "2025-12-31", "2026-01-01"},
		{study.Elapsed, 1, "2026-03-28", "2026-03-29"},
		{study.Elapsed, -7, "2026-01-01", "2025-12-25"},
		{study.CDISC, -7, "2026-01-01", "2025-12-25"},
		{study.CDISC, -1, "2024-03-01", "2024-02-29"},
	} {
		s := amd()
		s.Days, s.Visits[1].Day = c.days, c.day
		if c.days == study.CDISC {
			s.Visits[0].Day = 1
		}
		_, j := course(s, date(t, "1950-01-01"), seen(t, "baseline", c.baseline))
		if got := find(t, j.Visits, "month_1").Due.String(); got != c.want {
			t.Errorf("%s day %d of %s is due %s, want %s", c.days, c.day, c.baseline, got, c.want)
		}
		if v := find(t, j.Visits, "baseline"); v.Timing != study.InWindow || v.FromTarget != 0 {
			t.Errorf("%s: the baseline is %d days from itself", c.days, v.FromTarget)
		}
	}
}

func TestPartialDates(t *testing.T) {
	for _, c := range []struct {
		actual string
		before int
		want   study.Timing
		code   string
	}{
		{"2026-02", 7, study.Indeterminate, ""}, // 24 January to 14 February
		{"2026-01", 7, study.Indeterminate, ""},
		{"2026-01", 30, study.InWindow, ""},
		{"2026-03", 7, study.Late, "late: actual 2026-03, window 2026-01-24..2026-02-14"},
		{"2025", 7, study.Early, "early: actual 2025, window 2026-01-24..2026-02-14"},
		{"2026", 7, study.Indeterminate, ""},
	} {
		s := amd()
		s.Visits[1].Before = c.before
		_, j := course(s, date(t, "2026-01-02"), append(seen(t, "baseline", "2026-01-01"), seen(t, "month_1", c.actual)...))
		if v := find(t, j.Visits, "month_1"); v.Timing != c.want || v.HasDistance {
			t.Errorf("%s: %s, distance %v, want %s and none", c.actual, v.Timing, v.HasDistance, c.want)
		}
		evidence := ""
		for _, d := range j.Deviations {
			if d.Code == study.VisitOutOfWindow {
				evidence = d.Evidence
			}
		}
		if evidence != c.code {
			t.Errorf("%s: evidence %q, want %q", c.actual, evidence, c.code)
		}
	}
}

func TestAnchor(t *testing.T) {
	t.Run("partial", func(t *testing.T) {
		_, j := course(amd(), date(t, "2026-07-31"), append(seen(t, "baseline", "2026-01"), seen(t, "month_1", "2026-02-01")...))
		if v := find(t, j.Visits, "month_1"); v.Timing != study.NoAnchor || v.Due.Known() || v.Withheld || len(j.Visits) != 2 {
			t.Errorf("verdict %+v of %d visits", v.Verdict, len(j.Visits))
		}
	})
	t.Run("corrected", func(t *testing.T) {
		_, j := course(amd(), date(t, "2026-01-02"), seen(t, "baseline", "2026-01-01"), seen(t, "baseline", "2026-01-03"))
		if got := find(t, j.Visits, "month_6").Due.String(); got != "2026-07-02" {
			t.Errorf("due %s after the baseline moved by two days", got)
		}
	})
	t.Run("another visit", func(t *testing.T) {
		s := amd()
		s.Visits[2].Anchor = "month_1"
		_, j := course(s, date(t, "2026-01-02"), seen(t, "baseline", "2026-01-01"))
		if len(j.Visits) != 3 {
			t.Errorf("%d visits: month_3 has no anchor before month_1 happened", len(j.Visits))
		}
		_, j = course(s, date(t, "2026-01-02"), seen(t, "baseline", "2026-01-01"), seen(t, "month_1", "2026-02-01"))
		if got := find(t, j.Visits, "month_3").Due.String(); got != "2026-05-02" {
			t.Errorf("due %s, want 90 days after month_1", got)
		}
	})
	t.Run("without a visit named baseline", func(t *testing.T) {
		s := amd()
		s.Visits[0].Name = "enrolment"
		_, j := course(s, date(t, "2026-01-02"), seen(t, "enrolment", "2026-01-01"))
		if got := find(t, j.Visits, "month_1").Due.String(); got != "2026-01-31" {
			t.Errorf("due %s", got)
		}
	})
	t.Run("declared date is what the baseline was due on", func(t *testing.T) {
		news := seen(t, "baseline", "2026-01-02")
		for i := range news {
			news[i].Visit.Declared = partial(t, "2026-01-01")
		}
		_, j := course(amd(), date(t, "2026-01-03"), news)
		if v := find(t, j.Visits, "baseline"); v.Due.String() != "2026-01-01" || v.Timing != study.Late || v.FromTarget != 1 {
			t.Errorf("verdict %+v", v.Verdict)
		}
		if got := find(t, j.Visits, "month_1").Due.String(); got != "2026-02-01" {
			t.Errorf("due %s: the visit itself is the anchor", got)
		}
		expectCodes(t, j, study.BaselineDateMismatch, study.VisitOutOfWindow)
	})
}

func TestRelativeCalendar(t *testing.T) {
	s := amd()
	s.Relative = true
	on := func(day study.Date) []study.Record {
		at, key := study.ExactDate(day), "d:"+strconv.Itoa(int(day))
		right, left := row(key, acuityForm, at), row(key, acuityForm, at)
		right.Occurrence, left.Occurrence = "R", "L"
		return []study.Record{right, left, row(key, imagingForm, at)}
	}
	_, j := settled(s, date(t, "2026-07-31"), on(0), on(31), on(127))
	got := ""
	for _, v := range j.Visits {
		got += fmt.Sprint(v.No, " ", v.Key, " ", v.Type, " ", v.Status, " ", v.Timing, "\n")
	}
	// The day that counts as today is the last one seen: day 127.
	want := `1 d:0 0 completed in_window
2 month_1 -1 cancelled 
3 month_3 2 missed 
4 month_6 3 scheduled 
5 d:31 1 completed in_window
6 d:127 -1 unscheduled no_window
`
	if got != want {
		t.Errorf("visits\n%swant\n%s", got, want)
	}
	expectCodes(t, j, study.VisitMissed)
	if got := the(t, j, study.VisitMissed, study.Open).Evidence; got != "no visit in day 76..111" {
		t.Errorf("evidence %q", got)
	}
}
