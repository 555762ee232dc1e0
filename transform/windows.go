package transform

import (
	"slices"

	"longitude/study"
)

// slot is a visit type in one version of the protocol, with its days in one
// convention: elapsed from the anchor.
type slot struct {
	name          string
	offset        int // target, in days from the anchor
	before, after int
	reach         int  // days outside the window that it still takes visits by date from
	targeted      bool // has a due date at all
	windowed      bool
	required      bool
	repeats       bool // takes any number of visits and owes none
	absent        bool // this version has no such visit; the rest says when it would have been due
	own           bool // is its own anchor
	anchor        int  // type whose visit's actual date the days count from, -1 = none
	event         int  // fact whose date the days count from instead, -1 = none
	forms         []expectedForm
}

// expectedForm is a form whose absence from a completed visit is a deviation.
type expectedForm struct {
	form        int
	name        string
	critical    bool
	occurrences []string // each expected for itself; none: any record will do
}

// compileSlots compiles the visit types of one version of the protocol.
func compileSlots(s *study.Study, baseline int, definition func(int) (v *study.VisitType, absent bool)) []slot {
	slots := make([]slot, len(s.Visits))
	for i := range slots {
		v, absent := definition(i)
		slots[i] = newSlot(s, v, i, baseline)
		slots[i].absent = absent
	}
	return slots
}

func newSlot(s *study.Study, v *study.VisitType, i, baseline int) slot {
	t := slot{name: v.Name, offset: s.Offset(v), before: v.Before, after: v.After, reach: v.MaxDays, repeats: v.Repeats,
		targeted: !v.NoTarget && !v.Repeats, windowed: v.HasWindow && !v.Repeats, required: v.Required && !v.Repeats,
		anchor: baseline, event: -1}
	if v.Anchor != "" {
		t.anchor = s.VisitIndex(v.Anchor)
		t.event = slices.IndexFunc(s.Facts, func(f study.FactSource) bool { return f.Kind == study.EventFact && f.Name == v.Anchor })
	}
	if t.own = t.anchor == i; t.own {
		t.offset = 0 // the anchor is due on the day it happens
	}
	for _, f := range v.Forms {
		form := s.FormIndex(f.Form)
		if form < 0 || f.Optional || s.Forms[form].Log {
			continue // a log record names no visit, so none can be missing from one, even where a visit lists its form
		}
		expect := slices.Sorted(slices.Values(s.Forms[form].Expect))
		t.forms = append(t.forms, expectedForm{form, f.Form, f.Critical, expect})
	}
	return t
}

// anchor is the date that the days of slot s count from, or NoDate: a missing or
// partial date is not guessed. It is a date that happened, never one that is due,
// so anchors may form chains, and a circle of them has no dates.
func (j *judging) anchor(s *slot) study.Date {
	switch {
	case s.event >= 0:
		return j.events[s.event]
	case j.study.Relative && s.anchor == j.baseline:
		return 0
	case s.anchor < 0 || j.holders[s.anchor] < 0:
		return study.NoDate
	}
	if at := j.out.Visits[j.holders[s.anchor]].Actual; at.Exact() {
		return at.First()
	}
	return study.NoDate
}

// window computes the due date and window of slot s for v; both are NoDate where
// they do not exist. The anchor itself is due on its declared date, where one is
// declared.
func (j *judging) window(s *slot, v *study.Visit) study.Verdict {
	d := study.Verdict{Due: j.anchor(s), WindowStart: study.NoDate, WindowEnd: study.NoDate}
	if s.own && v.Declared.Exact() {
		d.Due = v.Declared.First()
	}
	if !d.Due.Known() || !s.targeted {
		d.Due = study.NoDate
		return d
	}
	d.Due += study.Date(s.offset)
	if s.windowed {
		d.WindowStart, d.WindowEnd = d.Due-study.Date(s.before), d.Due+study.Date(s.after)
	}
	return d
}

// timing places a date against a window. A partial date is judged only where
// every day it could be falls on the same side.
func timing(at study.PartialDate, d study.Verdict, windowed bool) study.Timing {
	switch {
	case !windowed:
		return study.NoWindow
	case !d.Due.Known():
		return study.NoAnchor
	case at.Last() < d.WindowStart:
		return study.Early
	case at.First() > d.WindowEnd:
		return study.Late
	case at.First() >= d.WindowStart && at.Last() <= d.WindowEnd:
		return study.InWindow
	}
	return study.Indeterminate
}

// verdict is what the protocol says of v on the as-of date.
func (j *judging) verdict(v *study.Visit) study.Verdict {
	if v.Type < 0 {
		return j.untyped(v)
	}
	version := j.version(v.Type, v)
	s := &j.versions[version][v.Type]
	d := j.window(s, v)
	d.Protocol = version
	if !v.Actual.Known() {
		d.Status = j.pending(v, &d, s)
		return d
	}
	d.Status, d.Timing = study.Completed, timing(v.Actual, d, s.windowed)
	if at := v.Actual; d.WindowStart.Known() && at.Exact() {
		d.HasDistance, d.FromTarget = true, int(at.First()-d.Due)
		switch d.Timing {
		case study.Early:
			d.OutsideWindow = int(at.First() - d.WindowStart)
		case study.Late:
			d.OutsideWindow = int(at.First() - d.WindowEnd)
		}
	}
	d.Withheld = v.Type > j.baseline && j.baseline >= 0 && j.holders[j.baseline] == vacant
	return d
}

// untyped is the verdict on a visit of no type: it matches none, it was owed to a
// slot that another visit has taken, or its records were removed.
func (j *judging) untyped(v *study.Visit) study.Verdict {
	d := study.Verdict{Due: study.NoDate, WindowStart: study.NoDate, WindowEnd: study.NoDate, Protocol: j.version(-1, v)}
	switch {
	case !v.Actual.Known() && (j.isExpected(v) || j.isGone(v)):
		d.Status = study.Cancelled
	case !v.Actual.Known() && v.Planned.Known():
		d.Status = j.pending(v, &d, &slot{}) // planned, and has not happened
	case j.study.Relative || j.baseline >= 0 && j.holders[j.baseline] >= 0 && j.out.Visits[j.holders[j.baseline]].Actual.Exact():
		d.Status, d.Timing = study.Unscheduled, study.NoWindow
	default:
		d.Status, d.Timing = study.Unscheduled, study.NoAnchor
		d.Withheld = j.baseline >= 0 && j.holders[j.baseline] == vacant
	}
	return d
}

// pending is the status of a visit that has not happened. Where nobody knows when
// participation ended, what is still to come is cancelled and stays so, and what
// was over before is judged as ever.
func (j *judging) pending(v *study.Visit, d *study.Verdict, s *slot) study.VisitStatus {
	open := !d.WindowEnd.Known() || j.asOf <= d.WindowEnd
	switch {
	case s.absent || j.out.Participant.Status == study.ScreenFailure:
		return study.Cancelled
	case j.isGone(v) && !j.isExpected(v):
		return study.Cancelled // what is identified by more than its type was never owed
	case j.over && j.ended.Known() && (!d.WindowEnd.Known() || j.ended <= d.WindowEnd):
		return study.Cancelled
	case j.over && !j.ended.Known() && (open || v.Status == study.Cancelled):
		return study.Cancelled
	case open:
		return study.Scheduled
	case s.required:
		return study.Missed
	}
	return study.NotDone
}
