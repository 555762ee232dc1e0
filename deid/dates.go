package deid

import (
	"time"

	"longitude/study"
)

// dateRule applies the study's date policy to one column of class date.
//
//	study_day  <name>_day: days elapsed from the participant's anchor, which is
//	           day 0; NULL where the anchor is unknown or the date partial
//	year       <name>_year; NULL where nothing is known
//	shift      the civil date, moved 1…364 days into the past; NULL where partial
//	keep       the value as it is
//
// The time of day does not leave, nor does the offset of the source's clock, which
// hints at a place; a datetime of treatment keep has <name>_time beside its date.
//
// A study in a relative calendar has no calendar to keep or shift: its derived
// dates are released as study days whatever the policy, and dates that a form
// asked for, being of the real calendar, do not leave.
//
// Of a date of birth at most the year leaves: the day, however counted, is the
// exact age.
func (r *Recipient) dateRule(t *study.Table, c study.Column, f *study.Field, n *Counts) (rule, error) {
	if c.Kind != study.DateKind && c.Kind != study.TimestampKind && c.Kind != study.TextKind {
		return rule{}, misfit(t, c)
	}
	if f != nil && f.Type == study.TimeType {
		if f.Release.Action == study.Keep {
			return kept(c, "kept").limited("expert", t.Name+"."+c.Name+": time of day kept"), nil
		}
		return dropped("a time of day"), nil
	}
	policy := r.study.Deid.Dates
	if r.study.Relative {
		if c.Kind != study.DateKind || c.Field != "" {
			return dropped("a date of the real calendar"), nil
		}
		policy = "study_day"
	}
	civil := r.civil(c.Kind)
	if policy != "keep" && r.strict() && r.isBirth(c) {
		return r.birthDateRule(t, c, civil, n), nil
	}
	out, err := r.policyRule(t, c, policy, civil, n)
	if err == nil && c.Kind == study.TimestampKind && policy != "keep" && f != nil && f.Release.Action == study.Keep {
		out.outlets = append(out.outlets, r.clock(c))
		out = out.limited("expert", t.Name+"."+c.Name+": time of day kept")
	}
	return out, err
}

func (r *Recipient) policyRule(t *study.Table, c study.Column, policy string, civil civilDate, n *Counts) (rule, error) {
	switch policy {
	case "", "study_day":
		c.Kind, c.Name, c.Nullable, c.Unit = study.Int64Kind, c.Name+"_day", true, "days"
		c.Description = sentence(c.Description, "Days elapsed from the participant's anchor visit, which is day 0; missing where the anchor is unknown or the date is partial.")
		return one(c, "study day", dayMask(t, c, civil, n)), nil
	case "year":
		c.Kind, c.Name, c.Nullable = study.Int64Kind, c.Name+"_year", true
		c.Description = sentence(c.Description, "Calendar year only.")
		return one(c, "year", yearMask(civil, n)), nil
	case "shift":
		key := keyColumn(t)
		if key < 0 {
			return rule{}, &study.Error{Code: "deid.no_participant", Op: "shift dates of " + t.Name + "." + c.Name + ": the table has no participant",
				Hint: "class the column study_date if it is about no participant", Exit: study.ExitBlocked}
		}
		c.Kind, c.Nullable = study.DateKind, true
		c.Description = sentence(c.Description, "All dates of a participant are moved by the same number of days: intervals are exact, the calendar is not.")
		out := one(c, "date shifted into the past, per participant and series", r.shiftMask(t, c, key, civil, n))
		return out.limited("expert", t.Name+"."+c.Name+": dates shifted"), nil
	case "keep":
		return kept(c, "kept").limited("limited", t.Name+"."+c.Name+": real dates kept"), nil
	}
	return rule{}, &study.Error{Code: "deid.dates", Op: "release refused: deidentification.dates is not one of study_day, shift, year, keep",
		Hint: "correct it in the study document", Exit: study.ExitUsage}
}

// birthDateRule lets the year of birth out as birthYearRule does.
func (r *Recipient) birthDateRule(t *study.Table, c study.Column, civil civilDate, n *Counts) rule {
	c.Kind, c.Name, c.Nullable = study.Int64Kind, c.Name+"_year", true
	out := r.birthYearRule(t, c, n)
	for i := range out.outlets {
		years, hidden := yearMask(civil, n), out.outlets[i].mask
		out.outlets[i].mask = func(b *study.Batch, v *study.Vector) (study.Vector, error) {
			of, err := years(b, v)
			if err != nil {
				return of, err
			}
			return hidden(b, &of)
		}
	}
	return out
}

// clock releases the time of day at the study, to the minute.
func (r *Recipient) clock(c study.Column) outlet {
	c.Name, c.Label, c.Kind, c.Masking = c.Name+"_time", c.Label+": time of day", study.TextKind, "time of day kept, without offset"
	c.Description = "Local time of day, hours and minutes."
	return outlet{c, func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		out := study.Vector{Valid: v.Valid, Texts: make([]string, b.Rows)}
		for i := range b.Rows {
			if !v.Null(i) {
				out.Texts[i] = time.UnixMicro(v.Ints[i]).In(r.zone).Format("15:04")
			}
		}
		return out, nil
	}}
}

// civilDate reads the value of row i as the interval of days it could be.
type civilDate func(v *study.Vector, i int) study.PartialDate

func (r *Recipient) civil(kind study.Kind) civilDate {
	switch kind {
	case study.TimestampKind:
		return func(v *study.Vector, i int) study.PartialDate {
			return study.ExactDate(study.DateOf(time.UnixMicro(v.Ints[i]), r.zone))
		}
	case study.TextKind: // partial dates travel as text
		return func(v *study.Vector, i int) study.PartialDate {
			p, _ := study.ParsePartialDate(v.Texts[i])
			return p
		}
	}
	return func(v *study.Vector, i int) study.PartialDate { return study.ExactDate(study.Date(v.Ints[i])) }
}

func dayMask(t *study.Table, c study.Column, civil civilDate, n *Counts) mask {
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		if len(b.Anchors) != b.Rows {
			return study.Vector{}, &study.Error{Code: "deid.no_anchor", Op: "compute " + t.Name + "." + c.Name + ": the rows came without anchors",
				Hint: "class the column study_date if it is about no participant", Exit: study.ExitBlocked}
		}
		return ints(b, v, n, func(i int) (int64, bool) {
			date, anchor := civil(v, i), b.Anchors[i]
			if !date.Exact() || !anchor.Known() {
				return 0, false
			}
			return int64(date.First()) - int64(anchor), true
		}), nil
	}
}

func yearMask(civil civilDate, n *Counts) mask {
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		return ints(b, v, n, func(i int) (int64, bool) {
			date := civil(v, i)
			if !date.Known() {
				return 0, false
			}
			return int64(date.First().Time().Year()), true
		}), nil
	}
}

func (r *Recipient) shiftMask(t *study.Table, c study.Column, key int, civil civilDate, n *Counts) mask {
	var last string
	var days study.Date
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		if r.study.Deid.Truncate && (!r.windowed || !r.first.Known() || !r.cutoff.Known()) {
			return study.Vector{}, noWindow(t, c)
		}
		return ints(b, v, n, func(i int) (int64, bool) {
			date := civil(v, i)
			if !date.Exact() || b.Vectors[key].Null(i) {
				return 0, false
			}
			if code := b.Vectors[key].Texts[i]; code != last || days == 0 {
				last, days = code, r.shift(code)
			}
			moved := date.First() - days
			if r.study.Deid.Truncate && r.beyond(moved) {
				n.Truncated++
				return 0, false
			}
			return int64(moved), true
		}), nil
	}
}

// ints builds a nullable integer vector from the non-NULL rows of v.
func ints(b *study.Batch, v *study.Vector, n *Counts, value func(i int) (int64, bool)) study.Vector {
	out := study.Vector{Valid: make([]bool, b.Rows), Ints: make([]int64, b.Rows)}
	for i := range b.Rows {
		if v.Null(i) {
			continue
		}
		if out.Ints[i], out.Valid[i] = value(i); !out.Valid[i] {
			n.Nulled++
		}
	}
	return out
}

// keyColumn is the index of the column that says whose row it is, or -1.
func keyColumn(t *study.Table) int {
	for i, c := range t.Columns {
		if c.Class == study.ParticipantKey {
			return i
		}
	}
	return -1
}
