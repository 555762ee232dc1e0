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
// A study in a relative calendar has no calendar to keep or shift: its derived
// dates are released as study days whatever the policy, and dates that a form
// asked for, being of the real calendar, do not leave.
func (r *Recipient) dateRule(t *study.Table, c study.Column) (rule, error) {
	if c.Kind != study.DateKind && c.Kind != study.TimestampKind && c.Kind != study.TextKind {
		return rule{}, misfit(t, c)
	}
	policy := r.study.Deid.Dates
	if r.study.Relative {
		if c.Kind != study.DateKind || c.Field != "" {
			return rule{}, nil
		}
		policy = "study_day"
	}
	civil := r.civil(c.Kind)
	switch policy {
	case "", "study_day":
		c.Kind, c.Name, c.Nullable, c.Unit, c.Masking = study.Int64Kind, c.Name+"_day", true, "days", "study day"
		c.Description = sentence(c.Description, "Days elapsed from the participant's anchor visit, which is day 0; missing where the anchor is unknown or the date is partial.")
		return rule{column: c, mask: dayMask(t, c, civil)}, nil
	case "year":
		c.Kind, c.Name, c.Nullable, c.Masking = study.Int64Kind, c.Name+"_year", true, "year"
		c.Description = sentence(c.Description, "Calendar year only.")
		return rule{column: c, mask: yearMask(civil)}, nil
	case "shift":
		key := keyColumn(t)
		if key < 0 {
			return rule{}, &study.Error{Code: "deid.no_participant", Op: "shift dates of " + t.Name + "." + c.Name + ": the table has no participant",
				Hint: "class the column study_date if it is about no participant", Exit: study.ExitBlocked}
		}
		c.Kind, c.Nullable, c.Masking = study.DateKind, true, "date shifted into the past, per participant and series"
		c.Description = sentence(c.Description, "All dates of a participant are moved by the same number of days: intervals are exact, the calendar is not.")
		return rule{column: c, mask: r.shiftMask(key, civil), limit: limit{"expert", t.Name + "." + c.Name + ": dates shifted"}}, nil
	case "keep":
		kept := kept(c, "kept")
		kept.limit = limit{"limited", t.Name + "." + c.Name + ": real dates kept"}
		return kept, nil
	}
	return rule{}, &study.Error{Code: "deid.dates", Op: "release refused: deidentification.dates is not one of study_day, shift, year, keep",
		Hint: "correct it in the study document", Exit: study.ExitUsage}
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

func dayMask(t *study.Table, c study.Column, civil civilDate) mask {
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		if len(b.Anchors) != b.Rows {
			return study.Vector{}, &study.Error{Code: "deid.no_anchor", Op: "compute " + t.Name + "." + c.Name + ": the rows came without anchors",
				Hint: "class the column study_date if it is about no participant", Exit: study.ExitBlocked}
		}
		return ints(b, v, func(i int) (int64, bool) {
			date, anchor := civil(v, i), b.Anchors[i]
			if !date.Exact() || !anchor.Known() {
				return 0, false
			}
			return int64(date.First()) - int64(anchor), true
		}), nil
	}
}

func yearMask(civil civilDate) mask {
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		return ints(b, v, func(i int) (int64, bool) {
			date := civil(v, i)
			if !date.Known() {
				return 0, false
			}
			return int64(date.First().Time().Year()), true
		}), nil
	}
}

func (r *Recipient) shiftMask(key int, civil civilDate) mask {
	var last string
	var days study.Date
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		return ints(b, v, func(i int) (int64, bool) {
			date := civil(v, i)
			if !date.Exact() || b.Vectors[key].Null(i) {
				return 0, false
			}
			if code := b.Vectors[key].Texts[i]; code != last || days == 0 {
				last, days = code, r.shift(code)
			}
			return int64(date.First() - days), true
		}), nil
	}
}

// ints builds a nullable integer vector from the non-NULL rows of v.
func ints(b *study.Batch, v *study.Vector, value func(i int) (int64, bool)) study.Vector {
	out := study.Vector{Valid: make([]bool, b.Rows), Ints: make([]int64, b.Rows)}
	for i := range b.Rows {
		if !v.Null(i) {
			out.Ints[i], out.Valid[i] = value(i)
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
