package status

import (
	"testing"
	"time"

	"longitude/study"
)

func TestNewDay(t *testing.T) {
	partial := func(s string) study.PartialDate {
		p, ok := study.ParsePartialDate(s)
		if !ok {
			t.Fatalf("ParsePartialDate(%q) refused", s)
		}
		return p
	}
	anchor := partial("2026-01-01").First()
	day := func(n int) *int { return &n }
	for _, c := range []struct {
		name     string
		p        study.PartialDate
		anchor   study.Date
		relative bool
		date     string
		day      *int
	}{
		{"after the anchor", partial("2026-01-31"), anchor, false, "2026-01-31", day(30)},
		{"before the anchor", partial("2025-12-31"), anchor, false, "2025-12-31", day(-1)},
		{"no anchor", partial("2026-01-31"), study.NoDate, false, "2026-01-31", nil},
		{"a month only", partial("2026-02"), anchor, false, "2026-02", nil},
		{"relative", study.ExactDate(30), study.NoDate, true, "", day(30)},
		{"relative, before the anchor", study.ExactDate(-5), study.NoDate, true, "", day(-5)},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDay(c.p, c.anchor, c.relative)
			if d.Date != c.date || (d.Day == nil) != (c.day == nil) || d.Day != nil && *d.Day != *c.day {
				t.Errorf("NewDay = %+v, want date %q, day %v", d, c.date, c.day)
			}
			if d.First != c.p.First() || d.Last != c.p.Last() {
				t.Errorf("NewDay places it at %d..%d", d.First, d.Last)
			}
		})
	}
	if NewDay(study.PartialDate{}, anchor, false) != nil {
		t.Error("an unknown date has a place")
	}
}

func TestRunTook(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := start.Add(90 * time.Second)
	if got := (Run{Started: &start, Finished: &end}).Took(); got != 90*time.Second {
		t.Errorf("Took = %v", got)
	}
	if got := (Run{Started: &start}).Took(); got != 0 {
		t.Errorf("Took of a running run = %v", got)
	}
}
