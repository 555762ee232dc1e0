package console

import (
	"strconv"
	"strings"
	"time"

	"longitude/internal/status"
	"longitude/study"
)

// Drawings are inline SVG in percent of their width, so that they fit any
// screen; colours come from the stylesheet by class.

// part is one share of a bar. Tone is a class of the stylesheet.
type part struct {
	Label, Tone string
	N           int64
}

// segment is a part placed on its bar.
type segment struct {
	part
	X, W  string // percent of the width
	Share string // percent of the whole, for reading
}

// bar lays parts side by side on a bar that stands for total. When the parts
// are more than total the bar is full and the shares say by how much.
func bar(total int64, parts ...part) []segment {
	var have int64
	for _, p := range parts {
		have += max(p.N, 0)
	}
	sum := max(total, have, 1)
	var at float64
	segments := make([]segment, 0, len(parts))
	for _, p := range parts {
		w := 100 * float64(max(p.N, 0)) / float64(sum)
		segments = append(segments, segment{p, pct(at), pct(w), percent(p.N, total)})
		at += w
	}
	return segments
}

func pct(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) + "%" }

// drawing is a participant's timeline: one row per visit over a common axis.
type drawing struct {
	Ticks []tick
	Rows  []timelineRow
	AsOf  string // percent; "" = not drawn
}

type tick struct{ X, Label string }

type timelineRow struct {
	Visit            status.TimelineVisit
	Verdict, Tone    string // in words; the class of its mark
	Shape            string // circle, left, right, cross, hollow, span
	X, Due           string // percent; "" = not drawn
	WindowX, WindowW string
	SpanX, SpanW     string // of a partial date
	Aria             string // the row read aloud
	AsOf             string // percent of the date of judgement
	Ticks            []tick
}

// axis maps days onto percent of the width, with room at both ends.
type axis struct{ first, last study.Date }

func (a axis) at(d study.Date) float64 {
	return 3 + 94*float64(int64(d)-int64(a.first))/float64(max(int64(a.last)-int64(a.first), 1))
}

func draw(t status.Timeline) drawing {
	a, any := spread(t)
	var d drawing
	if !any {
		a = axis{0, 1}
	} else {
		d.Ticks = ticks(a, t.Relative)
	}
	if t.AsOf != nil && any && t.AsOf.First >= a.first && t.AsOf.First <= a.last {
		d.AsOf = pct(a.at(t.AsOf.First))
	}
	for _, v := range t.Visits {
		row := place(a, v)
		row.AsOf, row.Ticks = d.AsOf, d.Ticks
		d.Rows = append(d.Rows, row)
	}
	return d
}

// spread is the axis that holds every day of every visit.
func spread(t status.Timeline) (a axis, any bool) {
	for _, v := range t.Visits {
		for _, d := range []*status.Day{v.Due, v.WindowStart, v.WindowEnd, v.Actual} {
			if d == nil {
				continue
			}
			if !any {
				a, any = axis{d.First, d.Last}, true
			}
			a.first, a.last = min(a.first, d.First), max(a.last, d.Last)
		}
	}
	return a, any
}

func place(a axis, v status.TimelineVisit) timelineRow {
	row := timelineRow{Visit: v}
	row.Verdict, row.Tone, row.Shape = verdict(v)
	if v.WindowStart != nil && v.WindowEnd != nil {
		from, to := a.at(v.WindowStart.First), a.at(v.WindowEnd.First)
		row.WindowX, row.WindowW = pct(from), pct(max(to-from, 0.6))
	}
	if v.Due != nil {
		row.Due = pct(a.at(v.Due.First))
	}
	switch {
	case v.Actual != nil && v.Actual.First == v.Actual.Last:
		row.X = pct(a.at(v.Actual.First))
	case v.Actual != nil:
		from, to := a.at(v.Actual.First), a.at(v.Actual.Last)
		row.SpanX, row.SpanW = pct(from), pct(to-from)
		row.X = pct((from + to) / 2)
	case v.Status == string(study.Missed) && v.WindowEnd != nil:
		row.X = pct(a.at(v.WindowEnd.First))
	}
	row.Aria = aria(v, row.Verdict)
	return row
}

// verdict says what became of a visit, and with which tone and shape it is
// marked; the shape alone tells the timings apart.
func verdict(v status.TimelineVisit) (text, tone, shape string) {
	switch study.VisitStatus(v.Status) {
	case study.Completed:
	case study.Missed:
		return "missed", "bad", "cross"
	case study.Unscheduled:
		return "unscheduled", "calm", "hollow"
	default:
		return words(v.Status), "quiet", "hollow"
	}
	outside := ""
	if v.Outside != nil && *v.Outside != 0 {
		outside = ", " + plural(max(*v.Outside, -*v.Outside), "day", "days") + " outside"
	}
	switch study.Timing(v.Timing) {
	case study.InWindow:
		return "in window", "good", "circle"
	case study.Early:
		return "early" + outside, "early", "left"
	case study.Late:
		return "late" + outside, "warn", "right"
	}
	return words(v.Timing), "calm", "hollow"
}

func aria(v status.TimelineVisit, verdict string) string {
	parts := []string{or(v.Label, v.Type) + ": " + verdict}
	if v.Actual != nil {
		parts = append(parts, "seen "+dayText(v.Actual))
	}
	if v.Due != nil {
		parts = append(parts, "due "+dayText(v.Due))
	}
	if v.WindowStart != nil && v.WindowEnd != nil {
		parts = append(parts, "window "+dayText(v.WindowStart)+" to "+dayText(v.WindowEnd))
	}
	return strings.Join(parts, ", ")
}

// maxTicks keeps the labels of an axis apart on a small screen.
const maxTicks = 5

func ticks(a axis, relative bool) []tick {
	if relative {
		return dayTicks(a)
	}
	return monthTicks(a)
}

func dayTicks(a axis) []tick {
	step := study.Date(7)
	for _, s := range []study.Date{14, 30, 60, 90, 180, 365} {
		if int64(a.last)-int64(a.first) > maxTicks*int64(step) {
			step = s
		}
	}
	for int64(a.last)-int64(a.first) > maxTicks*int64(step) {
		step *= 2
	}
	var out []tick
	for d := int64(a.first) / int64(step) * int64(step); d <= int64(a.last); d += int64(step) {
		if d >= int64(a.first) {
			out = append(out, a.tick(study.Date(d), "day "+number(d)))
		}
	}
	return out
}

func monthTicks(a axis) []tick {
	first, last := a.first.Time(), a.last.Time()
	months := (last.Year()-first.Year())*12 + int(last.Month()-first.Month())
	step := 1
	for _, s := range []int{2, 3, 6, 12} {
		if months > maxTicks*step {
			step = s
		}
	}
	for months > maxTicks*step {
		step *= 2
	}
	start := time.Date(first.Year(), (first.Month()-1)/time.Month(min(step, 12))*time.Month(min(step, 12))+1, 1, 0, 0, 0, 0, time.UTC)
	var out []tick
	for t := start; !t.After(last); t = t.AddDate(0, step, 0) {
		if d := study.DateOf(t, time.UTC); d >= a.first {
			out = append(out, a.tick(d, t.Format("Jan ’06")))
		}
	}
	return out
}

func (a axis) tick(d study.Date, label string) tick { return tick{pct(a.at(d)), label} }
