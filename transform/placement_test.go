package transform

import (
	"fmt"
	"testing"
	"time"

	"longitude/study"
)

// dated is a visit of which only the date is known.
func dated(t testing.TB, on string) study.Record {
	t.Helper()
	return row("d:"+on, imagingForm, partial(t, on))
}

func TestPlaceByDate(t *testing.T) {
	overlap := func(s *study.Study) { s.Visits[2].Before = 50 } // month_3 from 10 February on
	for name, c := range map[string]struct {
		change func(*study.Study)
		dates  []string
		want   []int // type of each date
		codes  []string
	}{
		"the one window that holds it":      {dates: []string{"2026-01-24"}, want: []int{1}},
		"outside every window":              {dates: []string{"2026-01-23", "2026-02-15"}, want: []int{-1, -1}},
		"the nearer of two visits":          {dates: []string{"2026-01-25", "2026-02-01"}, want: []int{-1, 1}},
		"the nearer of two targets":         {change: overlap, dates: []string{"2026-02-11"}, want: []int{1}},
		"the other target when one is held": {change: overlap, dates: []string{"2026-01-30", "2026-02-11"}, want: []int{1, 2}},
		"two visits tie":                    {dates: []string{"2026-01-30", "2026-02-01"}, want: []int{-1, -1}, codes: []string{study.VisitAmbiguous, study.VisitAmbiguous}},
		"two targets tie":                   {change: func(s *study.Study) { s.Visits[2].Day, s.Visits[2].Before = 40, 14 }, dates: []string{"2026-02-05"}, want: []int{-1}, codes: []string{study.VisitAmbiguous}},
		"a partial date is not placed":      {change: func(s *study.Study) { s.Visits[1].Before = 30 }, dates: []string{"2026-01"}, want: []int{-1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := amd()
			s.Deviations.FormGraceDays = 1000
			if c.change != nil {
				c.change(s)
			}
			news := seen(t, "baseline", "2026-01-01")
			for _, d := range c.dates {
				news = append(news, dated(t, d))
			}
			_, j := course(s, date(t, "2026-01-01"), news)
			for i, d := range c.dates {
				if v := find(t, j.Visits, "d:"+d); v.Type != c.want[i] {
					t.Errorf("%s is of type %d, want %d", d, v.Type, c.want[i])
				}
			}
			expectCodes(t, j, c.codes...)
		})
	}
}

func TestTiedSlotIsNotMissed(t *testing.T) {
	s := amd()
	s.Deviations.FormGraceDays = 1000
	_, j := course(s, date(t, "2026-02-20"), append(seen(t, "baseline", "2026-01-01"), dated(t, "2026-01-30"), dated(t, "2026-02-01")))
	expectCodes(t, j, study.VisitAmbiguous, study.VisitAmbiguous)
}

func TestDatedVisitAnchorsTheNext(t *testing.T) {
	s := amd()
	s.Visits[2].Anchor, s.Visits[2].Day = "month_1", 60
	_, j := course(s, date(t, "2026-01-02"), append(seen(t, "baseline", "2026-01-01"), dated(t, "2026-02-01"), dated(t, "2026-04-02")))
	if v := find(t, j.Visits, "d:2026-04-02"); v.Type != 2 || v.Due.String() != "2026-04-02" {
		t.Errorf("type %d due %s", v.Type, v.Due)
	}
}

func TestMovedBaselineRetypesWithoutRekeying(t *testing.T) {
	asOf := date(t, "2026-01-02")
	h, before := course(amd(), asOf, append(seen(t, "baseline", "2026-01-01"), dated(t, "2026-01-31")))
	news := seen(t, "baseline", "2025-11-02")
	after := NewRules(amd()).Judge(h, news, asOf)
	was, is := find(t, before.Visits, "d:2026-01-31"), find(t, after.Visits, "d:2026-01-31")
	if was.No != is.No || was.Type != 1 || is.Type != 2 {
		t.Errorf("visit %d of type %d became %d of type %d", was.No, was.Type, is.No, is.Type)
	}
	if v := find(t, after.Visits, "month_3"); v.Status != study.Cancelled || v.Type != -1 {
		t.Errorf("the visit that was expected: %+v", v)
	}
	if v := find(t, after.Visits, "month_1"); v.Status != study.Missed {
		t.Errorf("month_1 after its visit became month_3: %+v", v)
	}
}

func TestKeysAndNumbers(t *testing.T) {
	asOf := date(t, "2026-01-02")
	unknown := row("u:00ff/2026-01-26", imagingForm, partial(t, "2026-01-26"))
	again := row("u:00ff/2026-01-27", imagingForm, partial(t, "2026-01-27"))
	event := row("", eventForm, study.PartialDate{})
	event.Visit.Type = 0 // of the zero VisitRef: a log record has no visit
	news := append(seen(t, "month_1", "2026-01-31"), again, unknown, event)
	news = append(news, seen(t, "baseline", "2026-01-01")...)
	h, j := course(amd(), asOf, news)
	got := ""
	for _, v := range j.Visits {
		got += fmt.Sprint(v.No, " ", v.Key, " ", v.Type, " ", v.Status, "\n")
	}
	want := `1 baseline 0 completed
2 u:00ff/2026-01-26 -1 unscheduled
3 u:00ff/2026-01-27 -1 unscheduled
4 month_1 1 completed
5 month_3 2 scheduled
6 month_6 3 scheduled
`
	if got != want {
		t.Errorf("visits\n%swant\n%s", got, want)
	}
	if fmt.Sprint(j.VisitNo) != "[4 4 4 3 2 0 1 1 1]" {
		t.Errorf("visit numbers %v", j.VisitNo)
	}
	next := NewRules(amd()).Judge(h, append(seen(t, "month_6", "2026-06-30"), dated(t, "2026-02-20")), asOf)
	if fmt.Sprint(next.VisitNo) != "[6 6 6 7]" {
		t.Errorf("visit numbers %v: what was expected keeps its number", next.VisitNo)
	}
}

func TestLatestRowSetsTheFacts(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 12, minute, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		first, second time.Time
		want          string
	}{
		"a later row corrects":      {at(1), at(2), "2026-02-02"},
		"an older row is history":   {at(2), at(1), "2026-02-01"},
		"the same minute: arrival":  {at(1), at(1), "2026-02-02"},
		"no time: arrival":          {time.Time{}, time.Time{}, "2026-02-02"},
		"only the first has a time": {at(1), time.Time{}, "2026-02-02"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := row("month_1", imagingForm, partial(t, "2026-02-01")), row("month_1", imagingForm, partial(t, "2026-02-02"))
			a.Modified, b.Modified = c.first, c.second
			for _, deliveries := range [][][]study.Record{{{a, b}}, {{a}, {b}}} {
				_, j := course(amd(), date(t, "2026-01-02"), deliveries...)
				if got := find(t, j.Visits, "month_1").Actual.String(); got != c.want {
					t.Errorf("%d deliveries: actual %s, want %s", len(deliveries), got, c.want)
				}
			}
		})
	}
}

// A participant with very many visits, as a wrong mapping makes them.
func TestManyVisits(t *testing.T) {
	var news []study.Record
	for i := range study.Date(20000) {
		news = append(news, row("d:"+i.String(), imagingForm, study.ExactDate(i)))
	}
	_, j := course(amd(), 30000, news, news[:1000])
	if len(j.Visits) != 20000 || j.VisitNo[999] != 1000 {
		t.Errorf("%d visits, the thousandth is %d", len(j.Visits), j.VisitNo[999])
	}
}

// Rows of one visit say different things of it. Silence takes nothing back; a
// blank of a row that is known to be newer does, where its source has the column.
func TestBlanksTakeBackOnlyWhenNewer(t *testing.T) {
	const noColumns = study.UnsaidActual | study.UnsaidPlanned | study.UnsaidDeclared | study.UnsaidReason
	at := func(day int, reason bool) func(*study.Record) {
		return func(r *study.Record) {
			r.Visit.Actual, r.Visit.Reason = partial(t, "2026-01-26"), reason
			if day > 0 {
				r.Modified = time.Unix(int64(day), 0)
			}
		}
	}
	blank := func(day int, unsaid study.Unsaid) func(*study.Record) {
		return func(r *study.Record) {
			r.Visit.Unsaid = unsaid
			if day > 0 {
				r.Modified = time.Unix(int64(day), 0)
			}
		}
	}
	moved := func(r *study.Record) { r.Visit.Actual = partial(t, "2026-01-27") }
	for name, c := range map[string]struct {
		rows   []func(*study.Record)
		actual string
		reason bool
	}{
		"a source without the columns":        {[]func(*study.Record){at(1, true), blank(2, noColumns)}, "2026-01-26", true},
		"a source without the columns, first": {[]func(*study.Record){blank(2, noColumns), at(1, true)}, "2026-01-26", true},
		"undated":                             {[]func(*study.Record){at(0, true), blank(0, 0)}, "2026-01-26", true},
		"undated, first":                      {[]func(*study.Record){blank(0, 0), at(0, true)}, "2026-01-26", true},
		"of the same moment":                  {[]func(*study.Record){at(1, true), blank(1, 0)}, "2026-01-26", true},
		"newer":                               {[]func(*study.Record){at(1, true), blank(2, 0)}, "", false},
		"older":                               {[]func(*study.Record){at(2, true), blank(1, 0)}, "2026-01-26", true},
		"a reason is bound to its date":       {[]func(*study.Record){at(0, true), moved}, "2026-01-27", false},
	} {
		var records []study.Record
		for i, change := range c.rows {
			r := row("month_1", acuityForm, study.PartialDate{})
			r.Occurrence = string(rune('A' + i))
			change(&r)
			records = append(records, r)
		}
		j := NewRules(amd()).Judge(newcomer(), records, partial(t, "2026-06-01").First())
		if v := j.Visits[0]; v.Actual.String() != c.actual || v.Reason != c.reason {
			t.Errorf("%s: actual %q, reason %v", name, v.Actual, v.Reason)
		}
	}
}
