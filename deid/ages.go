package deid

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

func wordsOf(name string) []string { return strings.Split(strings.ToLower(name), "_") }

// oldest is the age from which ages are hidden.
const oldest = study.OldestAge

// isAge reports whether a column's name says that it is an age.
func isAge(c study.Column) bool { return study.TellsAge(c.Name) }

// isSince reports whether a column's name says that it is a time since something.
func isSince(c study.Column) bool { return study.TellsSince(c.Name) }

// ageLimit is the oldest age in the unit of an age or duration, 0 for other columns.
func ageLimit(c study.Column) int64 {
	if c.Class == study.StudyDate {
		return 0
	}
	return study.AgeLimit(c.Name, c.Unit)
}

// isBirth reports whether a column tells of birth: by its name, or because the
// study tells people apart by it.
func (r *Recipient) isBirth(c study.Column) bool {
	for _, fact := range r.study.Facts {
		if fact.Kind == study.BirthYearFact && c.Field != "" && fact.Name == c.Form+"."+c.Field {
			return true
		}
	}
	return study.TellsBirth(c.Name)
}

// strict reports whether the profile promises de-identification, so that ages and
// what they follow from are hidden together.
func (r *Recipient) strict() bool {
	return r.study.Deid.Profile == "expert" || r.study.Deid.Profile == "safe_harbor"
}

// birthYearRule is about years of birth. Those of the very old, on the day of the
// release, are missing. Beside shifted dates they do not leave: with an age they
// tell the year that the shift hides.
func (r *Recipient) birthYearRule(t *study.Table, c study.Column, n *Counts) rule {
	switch {
	case !r.strict():
		return kept(c, "kept").limited("limited", t.Name+"."+c.Name+": birth year kept")
	case r.study.Deid.Dates == "shift":
		return dropped("a year of birth beside shifted dates")
	}
	c.Nullable = true
	c.Description = sentence(c.Description, "Missing for who is 90 or older.")
	return one(c, "missing for ages of 90 or more", func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		if !r.asOf.Known() {
			return study.Vector{}, noReference(t, c)
		}
		latest := int64(r.asOf.Time().Year() - oldest)
		if c.Kind == study.DecimalKind {
			latest *= int64(math.Pow10(c.Scale))
		}
		old, err := r.oldRows(t, c, b)
		if err != nil {
			return study.Vector{}, err
		}
		return without(b, v, n, func(i int) bool { return old[i] || below(v, i, latest+1) }), nil
	})
}

func noReference(t *study.Table, c study.Column) error {
	return &study.Error{Code: "deid.no_reference", Op: "release " + t.Name + "." + c.Name + ": no day was named on which ages are reckoned", Exit: study.ExitBlocked,
		Hint: "this is a fault of the program: report it with the code"}
}

// ageRule top-codes ages and durations at 90 years; a flag goes with each age. Of
// who is known to be 90 or older, ages below 90 are missing, because with the time
// that has passed they would give the age back, and so are the times since
// something, which would do the same beside another age.
func (r *Recipient) ageRule(t *study.Table, c study.Column, n *Counts) rule {
	limit := ageLimit(c)
	if limit == oldest {
		c.Description = sentence(c.Description, "90 stands for 90 or more.")
	} else {
		c.Description = sentence(c.Description, strconv.FormatInt(limit, 10)+" stands for as many or more: 90 years.")
	}
	if c.Kind == study.DecimalKind {
		limit *= int64(math.Pow10(c.Scale))
	}
	c.Nullable = c.Nullable || r.strict()
	out := one(c, "top-coded at 90", r.ageMask(t, c, limit, n))
	if !isAge(c) {
		return out
	}
	flag := study.Column{Name: c.Name + "_topcoded", Label: c.Label + ": 90 or more", Kind: study.BoolKind, Nullable: true, Class: c.Class, Form: c.Form, Field: c.Field,
		Transform: "topcoded", Masking: "top-coded at 90", Description: "Whether the age is 90 or more, of which no more is told."}
	told := r.ageMask(t, c, limit, new(Counts)) // counted once, with the age
	out.outlets = append(out.outlets, outlet{flag, func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		age, err := told(b, v)
		return atLeast(b, &age, limit), err
	}})
	return out
}

func (r *Recipient) ageMask(t *study.Table, c study.Column, limit int64, n *Counts) mask {
	capped := topCode(limit, n)
	if !r.strict() || !isAge(c) && !isSince(c) {
		return capped
	}
	young := func(v *study.Vector, i int) bool { return isSince(c) || below(v, i, limit) }
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		old, err := r.oldRows(t, c, b)
		if err != nil {
			return study.Vector{}, err
		}
		cleared := without(b, v, n, func(i int) bool { return old[i] && young(v, i) })
		return capped(b, &cleared)
	}
}

// below reports whether the value of row i, stored as numbers of its column are,
// is less than limit.
func below(v *study.Vector, i int, limit int64) bool {
	if v.Floats != nil {
		return v.Floats[i] < float64(limit)
	}
	return v.Ints[i] < limit
}

// topCode replaces values above limit by it.
func topCode(limit int64, n *Counts) mask {
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		out := study.Vector{Valid: v.Valid, Ints: slices.Clone(v.Ints), Floats: slices.Clone(v.Floats)}
		for i := range out.Ints {
			if out.Ints[i] > limit && !v.Null(i) {
				n.TopCoded++
			}
			out.Ints[i] = min(out.Ints[i], limit)
		}
		for i := range out.Floats {
			if out.Floats[i] > float64(limit) && !v.Null(i) {
				n.TopCoded++
			}
			out.Floats[i] = min(out.Floats[i], float64(limit))
		}
		return out, nil
	}
}

func atLeast(b *study.Batch, v *study.Vector, limit int64) study.Vector {
	out := study.Vector{Valid: v.Valid, Ints: make([]int64, b.Rows)}
	for i := range min(b.Rows, max(len(v.Ints), len(v.Floats))) {
		if !below(v, i, limit) {
			out.Ints[i] = 1
		}
	}
	return out
}

// without is v with NULL where hide says so.
func without(b *study.Batch, v *study.Vector, n *Counts, hide func(i int) bool) study.Vector {
	out, own := *v, false
	for i := range b.Rows {
		if v.Null(i) || !hide(i) {
			continue
		}
		if !own {
			out.Valid, own = validity(v, b.Rows), true
		}
		out.Valid[i] = false
		n.Nulled++
	}
	return out
}

// validity is a copy of v.Valid that can be written to.
func validity(v *study.Vector, rows int) []bool {
	valid := make([]bool, rows)
	for i := range valid {
		valid[i] = !v.Null(i)
	}
	return valid
}

// Survey looks through batches for participants of 90 or more years: by an age, by
// a year of birth, or by an age at an event and the time since it. All batches of
// a participant come in one call, before any of them comes to Apply, because the
// very old lose the siblings of their age in every table.
func (r *Recipient) Survey(batches []*study.Batch) error {
	if !r.strict() {
		return nil
	}
	times := map[elapse]*[2]float64{}
	for _, b := range batches {
		for i, c := range b.Table.Columns {
			v := &b.Vectors[i]
			switch {
			case c.Transform == "missing_reason" || len(b.Participants) != b.Rows || c.Kind == study.TextKind || c.Kind == study.BoolKind:
			case r.isBirth(c):
				if !r.asOf.Known() {
					return noReference(b.Table, c)
				}
				r.surveyBirth(b, v, c)
			case c.Class != study.DateClass && ageLimit(c) > 0 && (isAge(c) || isSince(c)):
				r.surveyAge(b, v, c, times)
			}
		}
		for i, p := range b.Participants {
			if i > 0 && p == b.Participants[i-1] {
				continue
			}
			if _, met := r.old[p]; !met {
				r.old[p] = false
			}
		}
	}
	for at, both := range times {
		if both[0]+both[1] >= oldest {
			r.old[at.participant] = true
		}
	}
	return nil
}

// elapse is an event of a participant, by what its age and the time since it have
// in common in their names: age_at_diagnosis and years_since_diagnosis.
type elapse struct {
	participant int64
	event       string
}

func eventOf(name string) string {
	words := slices.DeleteFunc(wordsOf(name), func(w string) bool {
		return slices.Contains([]string{"age", "aged", "at", "since", "duration", "of", "in", "time", "years", "year", "months", "days", "yrs"}, w)
	})
	return strings.Join(words, "_")
}

func (r *Recipient) surveyBirth(b *study.Batch, v *study.Vector, c study.Column) {
	certain := float64(r.asOf.Time().Year() - oldest) // born before it, 90 on the day of the release
	born := func(i int) float64 { return number(v, c, i) }
	if c.Kind == study.DateKind || c.Kind == study.TimestampKind {
		civil := r.civil(c.Kind)
		born = func(i int) float64 { return float64(civil(v, i).First().Time().Year()) }
	}
	for i, p := range b.Participants {
		if !v.Null(i) && born(i) < certain {
			r.old[p] = true
		}
	}
}

func (r *Recipient) surveyAge(b *study.Batch, v *study.Vector, c study.Column, times map[elapse]*[2]float64) {
	side, event, unit := 0, eventOf(c.Name), float64(ageLimit(c)/oldest)
	if isSince(c) {
		side = 1
	}
	for i := 0; i < b.Rows; {
		p, most := b.Participants[i], -1.0 // rows of a participant follow each other
		for ; i < b.Rows && b.Participants[i] == p; i++ {
			if !v.Null(i) {
				most = max(most, number(v, c, i)/unit)
			}
		}
		if side == 0 && most >= oldest {
			r.old[p] = true
		}
		at := elapse{p, event}
		if times[at] == nil {
			times[at] = new([2]float64)
		}
		times[at][side] = max(times[at][side], most)
	}
}

// number is the value of row i of a numeric column.
func number(v *study.Vector, c study.Column, i int) float64 {
	switch c.Kind {
	case study.FloatKind:
		return v.Floats[i]
	case study.DecimalKind:
		return float64(v.Ints[i]) / math.Pow10(c.Scale)
	}
	return float64(v.Ints[i])
}

// oldRows tells which rows are about somebody of 90 or more years.
func (r *Recipient) oldRows(t *study.Table, c study.Column, b *study.Batch) ([]bool, error) {
	if len(b.Participants) != b.Rows {
		return nil, noParticipants(t)
	}
	rows := make([]bool, b.Rows)
	for i, p := range b.Participants {
		if i > 0 && p == b.Participants[i-1] {
			rows[i] = rows[i-1]
			continue
		}
		old, met := r.old[p]
		if !met {
			return nil, &study.Error{Code: "deid.no_survey", Op: "release " + t.Name + "." + c.Name + ": it was not asked before whether the participants are 90 or older", Exit: study.ExitBlocked,
				Hint: "this is a fault of the program: report it with the code"}
		}
		rows[i] = old
	}
	return rows, nil
}
