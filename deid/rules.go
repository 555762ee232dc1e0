package deid

import (
	"math"
	"slices"
	"strings"

	"longitude/study"
)

// rule is what door 2 does with one column: the released column and its mask; a
// nil mask drops the column.
type rule struct {
	column       study.Column
	mask         mask
	limit        limit
	unclassified bool
}

// rule decides by the column's class, and only for quasi-identifiers and values
// by its name or unit (ages and birth years).
func (r *Recipient) rule(t *study.Table, c study.Column) (rule, error) {
	if r.private(c) {
		return rule{}, nil
	}
	switch c.Class {
	case study.DirectIdentifier, study.FreeText, study.Attachment, study.System, study.Blinded:
		return rule{}, nil
	case study.ParticipantKey:
		return r.keyRule(t, c, "pseudonym (HMAC-SHA-256, series key)", r.Participant)
	case study.OtherKey:
		initial := strings.ToUpper(c.Name[:1])[0]
		return r.keyRule(t, c, "keyed id (HMAC-SHA-256, series key)", func(key string) string { return r.other(initial, key) })
	case study.DateClass:
		return r.dateRule(t, c)
	case study.StudyDate:
		return kept(c, "kept"), nil
	case study.Quasi, study.Clinical, study.Sensitive:
		return r.valueRule(t, c), nil
	}
	return rule{unclassified: true}, nil
}

// private reports whether the column comes from a field that may not leave,
// whatever class the column itself was given: conversions and missing reasons of
// a blinded field are as telling as its value.
func (r *Recipient) private(c study.Column) bool {
	form := r.study.FormIndex(c.Form)
	if form < 0 {
		return false
	}
	field := r.study.Forms[form].FieldIndex(c.Field)
	if field < 0 {
		return false
	}
	f := r.study.Forms[form].Fields[field]
	return f.Sealed() || f.Class == study.Blinded
}

func kept(c study.Column, masking string) rule {
	c.Masking = masking
	return rule{column: c, mask: keep}
}

func keep(_ *study.Batch, v *study.Vector) (study.Vector, error) { return *v, nil }

// keyRule replaces ids. Ids repeat from row to row, so the last one is remembered.
func (r *Recipient) keyRule(t *study.Table, c study.Column, masking string, released func(string) string) (rule, error) {
	if c.Kind != study.TextKind {
		return rule{}, misfit(t, c)
	}
	c.Masking = masking
	var last, lastReleased string
	return rule{column: c, mask: func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		out := study.Vector{Valid: v.Valid, Texts: make([]string, b.Rows)}
		for i := range b.Rows {
			if v.Null(i) {
				continue
			}
			if key := v.Texts[i]; key != last || lastReleased == "" {
				last, lastReleased = key, released(key)
			}
			out.Texts[i] = lastReleased
		}
		return out, nil
	}}, nil
}

const oldest = 90

// valueRule keeps values, except what would give away the age of the very old:
// numeric ages, and durations in years, are top-coded at 90, and birth years
// leave only under the profiles that promise no de-identification.
func (r *Recipient) valueRule(t *study.Table, c study.Column) rule {
	words := strings.Split(c.Name, "_")
	numeric := c.Kind == study.Int64Kind || c.Kind == study.DecimalKind || c.Kind == study.FloatKind
	switch {
	case strings.HasSuffix(c.Name, "birth_year") || strings.HasSuffix(c.Name, "year_of_birth"):
		if p := r.study.Deid.Profile; p != "internal" && p != "limited" {
			return rule{}
		}
		kept := kept(c, "kept")
		kept.limit = limit{"limited", t.Name + "." + c.Name + ": birth year kept"}
		return kept
	case numeric && (slices.Contains(words, "age") || c.Unit == "years"):
		c.Masking = "top-coded at 90"
		c.Description = sentence(c.Description, "90 stands for 90 or more.")
		return rule{column: c, mask: topCode(c.Kind, c.Scale)}
	}
	return kept(c, "kept")
}

func topCode(kind study.Kind, scale int) mask {
	if kind == study.FloatKind {
		return func(_ *study.Batch, v *study.Vector) (study.Vector, error) {
			return study.Vector{Valid: v.Valid, Floats: capped(v.Floats, oldest)}, nil
		}
	}
	limit := int64(oldest)
	if kind == study.DecimalKind {
		limit *= int64(math.Pow10(scale))
	}
	return func(_ *study.Batch, v *study.Vector) (study.Vector, error) {
		return study.Vector{Valid: v.Valid, Ints: capped(v.Ints, limit)}, nil
	}
}

func capped[N int64 | float64](values []N, limit N) []N {
	out := slices.Clone(values)
	for i := range out {
		out[i] = min(out[i], limit)
	}
	return out
}

// sentence adds a sentence to a description.
func sentence(description, more string) string {
	if description == "" {
		return more
	}
	return strings.TrimRight(description, ". ") + ". " + more
}

func unclassified(columns []string) error {
	return &study.Error{Code: "deid.unclassified", Op: "release refused: no privacy class for " + strings.Join(columns, ", "),
		Hint: "give each of them a class in the study document", Exit: study.ExitBlocked}
}

// misfit is the error for a column whose class has no rule for its type.
func misfit(t *study.Table, c study.Column) error {
	return &study.Error{Code: "deid.no_rule", Op: "release refused: " + t.Name + "." + c.Name + " is of class " + string(c.Class) + " but of type " + c.Kind.String(),
		Hint: "no rule de-identifies this type: give it another class or type", Exit: study.ExitBlocked}
}
