package console

import (
	"fmt"
	"testing"
	"time"

	"longitude/internal/status"
	"longitude/study"
)

func TestWords(t *testing.T) {
	now := time.Date(2026, 7, 31, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	days := func(n int) *int { return &n }
	for _, c := range []struct{ got, want string }{
		{number(0), "0"}, {number(999), "999"}, {number(1000), "1,000"}, {number(int64(61204)), "61,204"}, {number(-1234567), "−1,234,567"}, {number(-999), "−999"},
		{signed(days(15)), "+15 d"}, {signed(days(-1)), "−1 d"}, {signed(days(0)), "0 d"},
		{bytesText(0), "0 B"}, {bytesText(999), "999 B"}, {bytesText(1500), "1.5 kB"}, {bytesText(2_400_000), "2.4 MB"}, {bytesText(9e15), "9000.0 TB"},
		{plural(1, "day", "days"), "1 day"}, {plural(int64(2000), "day", "days"), "2,000 days"},
		{percent(0, 0), ""}, {percent(0, 5), "0.0%"}, {percent(1, 3), "33.3%"}, {percent(1, 10000), "<0.1%"},
		{ago(nil, now), "never"}, {ago(before(5*time.Second), now), "just now"}, {ago(before(9*time.Minute), now), "9 min ago"},
		{ago(before(26*time.Hour), now), "26 h ago"}, {ago(before(80*time.Hour), now), "3 days ago"}, {ago(before(-6*time.Minute), now), "in 6 min"},
		{dayText(nil), "—"}, {dayText(&status.Day{}), "—"}, {dayText(status.NewDay(study.ExactDate(-5), study.NoDate, true)), "day −5"},
		{tookText(status.Run{Started: before(1500 * time.Millisecond), Finished: &now}), "1.5 s"},
		{tookText(status.Run{Started: before(90 * time.Second), Finished: &now}), "1m30s"}, {tookText(status.Run{Started: &now}), "—"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestBarIsFullWhenPartsExceedTheTotal(t *testing.T) {
	b := bar(10, part{"a", "good", 15}, part{"b", "bad", 5}, part{"c", "bad", -3})
	if b[0].W != "75.00%" || b[1].X != "75.00%" || b[1].W != "25.00%" || b[2].W != "0.00%" || b[0].Share != "150.0%" {
		t.Errorf("bar = %+v", b)
	}
	if b := bar(0); len(b) != 0 {
		t.Errorf("a bar of nothing has %d segments", len(b))
	}
}

// Whatever the span of a timeline, its axis has few labels, each once and in order.
func TestTicks(t *testing.T) {
	first, _ := study.NewDate(2026, 1, 31)
	for span := study.Date(0); span < 3_000_000; span = span*5/4 + 1 {
		for _, relative := range []bool{true, false} {
			if !relative && first+span > 2_900_000 {
				continue // past the year 9999
			}
			a := axis{first, first + span}
			got := ticks(a, relative)
			if len(got) > maxTicks+2 {
				t.Fatalf("%d days have %d ticks", span, len(got))
			}
			if span > 62 && len(got) < 2 {
				t.Errorf("%d days have %d ticks (relative %v)", span, len(got), relative)
			}
			seen := map[string]bool{}
			for _, k := range got {
				if seen[k.Label] {
					t.Fatalf("%d days: %q twice", span, k.Label)
				}
				seen[k.Label] = true
				var x float64
				if _, err := fmt.Sscanf(k.X, "%f%%", &x); err != nil || x < 3 || x > 97 {
					t.Fatalf("%d days: a tick at %q", span, k.X)
				}
			}
		}
	}
}

func TestEveryTimingLooksDifferent(t *testing.T) {
	seen := map[string]string{}
	for _, timing := range []study.Timing{study.InWindow, study.Early, study.Late, study.Indeterminate} {
		text, _, shape := verdict(status.TimelineVisit{Status: string(study.Completed), Timing: string(timing)})
		if other, ok := seen[shape]; ok {
			t.Errorf("%s and %s share the shape %s", text, other, shape)
		}
		seen[shape] = text
	}
}

func TestDrawWithoutAnyDate(t *testing.T) {
	d := draw(status.Timeline{Visits: []status.TimelineVisit{{Label: "Baseline", Status: "scheduled"}}})
	if len(d.Rows) != 1 || len(d.Ticks) != 0 || d.Rows[0].X != "" || d.Rows[0].Aria != "Baseline: scheduled" {
		t.Errorf("draw = %+v", d)
	}
}

func TestProse(t *testing.T) {
	for text, want := range map[string]string{
		"map it: `values`, then go":   "Map it: <code>values</code>, then go.",
		"`a < b` & <b>":               "<code>a &lt; b</code> &amp; &lt;b&gt;.",
		"<script>alert(`1`)</script>": "&lt;script&gt;alert(<code>1</code>)&lt;/script&gt;.",
	} {
		if got := string(prose(text)); got != want {
			t.Errorf("prose(%q) = %q, want %q", text, got, want)
		}
	}
}
