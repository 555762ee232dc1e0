package transform

import (
	"slices"

	"longitude/study"
)

// slot is a visit type with its days in one convention: elapsed from the anchor.
type slot struct {
	name          string
	offset        int // target, in days from the anchor
	before, after int
	targeted      bool // has a due date at all
	windowed      bool
	required      bool
	anchor        int // slot whose visit's actual date the days count from, -1 = none
	forms         []expectedForm
}

// expectedForm is a form whose absence from a completed visit is a deviation.
type expectedForm struct {
	form        int
	name        string
	critical    bool
	occurrences []string // each expected for itself; none: any record will do
}

func newSlot(s *study.Study, i, baseline int) slot {
	v := &s.Visits[i]
	t := slot{name: v.Name, offset: s.Days.Elapsed(v.Day), before: v.Before, after: v.After,
		targeted: !v.NoTarget, windowed: v.HasWindow, required: v.Required, anchor: baseline}
	if v.Anchor != "" {
		t.anchor = s.VisitIndex(v.Anchor)
	}
	if t.anchor == i {
		t.offset = 0 // the anchor is due on the day it happens
	}
	for _, f := range v.Forms {
		form := s.FormIndex(f.Form)
		if form < 0 || f.Optional || s.Forms[form].Log {
			continue // a log record names no visit, so none can be missing from one
		}
		expect := slices.Sorted(slices.Values(s.Forms[form].Expect))
		t.forms = append(t.forms, expectedForm{form, f.Form, f.Critical, expect})
	}
	return t
}

// anchor is the date that the days of slot t count from, or NoDate: a missing or
// partial date is not guessed.
func (j *judging) anchor(t int) study.Date {
	from := j.slots[t].anchor
	if j.study.Relative && from == j.baseline {
		return 0
	}
	if from < 0 || j.holders[from] < 0 {
		return study.NoDate
	}
	if at := j.out.Visits[j.holders[from]].Actual; at.Exact() {
		return at.First()
	}
	return study.NoDate
}

// window computes the due date and window of slot t for v; both are NoDate where
// they do not exist. The anchor itself is due on its declared date, where one is
// declared.
func (j *judging) window(t int, v *study.Visit) study.Verdict {
	d := study.Verdict{Due: j.anchor(t), WindowStart: study.NoDate, WindowEnd: study.NoDate}
	s := &j.slots[t]
	if s.anchor == t && v.Declared.Exact() {
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
	d, s := j.window(v.Type, v), &j.slots[v.Type]
	if !v.Actual.Known() {
		d.Status = j.pending(d, s.required)
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

// untyped is the verdict on a visit of no type: it matches none, or it was owed
// to a slot that another visit has taken.
func (j *judging) untyped(v *study.Visit) study.Verdict {
	d := study.Verdict{Due: study.NoDate, WindowStart: study.NoDate, WindowEnd: study.NoDate}
	switch {
	case !v.Actual.Known() && j.isExpected(v):
		d.Status = study.Cancelled
	case j.study.Relative || j.baseline >= 0 && j.holders[j.baseline] >= 0 && j.out.Visits[j.holders[j.baseline]].Actual.Exact():
		d.Status, d.Timing = study.Unscheduled, study.NoWindow
	default:
		d.Status, d.Timing = study.Unscheduled, study.NoAnchor
	}
	return d
}

// pending is the status of a visit that has not happened.
func (j *judging) pending(d study.Verdict, required bool) study.VisitStatus {
	ended := j.out.Participant.Withdrawn
	switch {
	case !j.study.Relative && ended.Known() && (!d.WindowEnd.Known() || ended <= d.WindowEnd):
		return study.Cancelled
	case !d.WindowEnd.Known() || j.asOf <= d.WindowEnd:
		return study.Scheduled
	case required:
		return study.Missed
	}
	return study.NotDone
}
