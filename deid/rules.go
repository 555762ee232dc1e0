package deid

import (
	"slices"
	"strings"

	"longitude/study"
)

// rule is what door 2 does with one column: what leaves in its place, and why.
// Nothing leaves where there are no outlets.
type rule struct {
	outlets      []outlet
	why          string // in a few words, for the report
	limit        limit
	unclassified bool
}

// outlet is a released column and its mask.
type outlet struct {
	column study.Column
	mask   mask
}

// missingReason is the transform of columns that say why a value is missing.
const missingReason = "missing_reason"

func dropped(why string) rule { return rule{why: "dropped: " + why} }

// one is a rule by which one column leaves.
func one(c study.Column, masking string, m mask) rule {
	c.Masking = masking
	return rule{outlets: []outlet{{c, m}}, why: masking}
}

func kept(c study.Column, masking string) rule { return one(c, masking, keep) }

func keep(_ *study.Batch, v *study.Vector) (study.Vector, error) { return *v, nil }

// limited is r with the strongest claim that it allows.
func (r rule) limited(claim, because string) rule {
	r.limit = limit{claim, because}
	return r
}

// rule decides by the column's class and its field's treatment, and only for
// quasi-identifiers and values by name or unit (ages, birth years, places).
func (r *Recipient) rule(t *study.Table, c study.Column, n *Counts) (rule, error) {
	field := r.field(c)
	if field != nil {
		switch {
		case field.Class == study.Blinded:
			return dropped("blinded"), nil
		case field.Release.Action == study.Drop:
			return dropped("as the study says"), nil
		case field.Sealed():
			return r.sealedRule(t, c, field)
		}
	}
	switch c.Class {
	case study.DirectIdentifier, study.FreeText, study.Attachment, study.System, study.Blinded:
		return dropped("class " + string(c.Class)), nil
	case study.ParticipantKey:
		return r.keyRule(t, c, "pseudonym (HMAC-SHA-256, series key)", r.Participant)
	case study.OtherKey:
		initial := strings.ToUpper(c.Name[:1])[0]
		return r.keyRule(t, c, "keyed id (HMAC-SHA-256, series key)", func(key string) string { return r.other(initial, key) })
	case study.DateClass:
		return r.dateRule(t, c, field, n)
	case study.StudyDate:
		return kept(c, "kept"), nil
	case study.Quasi, study.Clinical, study.Sensitive:
		return r.valueRule(t, c, field, n)
	}
	return rule{unclassified: true}, nil
}

// field is the field that a column comes from, nil where it is derived.
// Conversions and missing reasons of a private field are as telling as its value,
// so the field decides whatever class the column itself was given.
func (r *Recipient) field(c study.Column) *study.Field {
	form := r.study.FormIndex(c.Form)
	if form < 0 {
		return nil
	}
	i := r.study.Forms[form].FieldIndex(c.Field)
	if i < 0 {
		return nil
	}
	return &r.study.Forms[form].Fields[i]
}

// sealedRule is about columns of fields whose values are in the vault: what
// leaves is whether there is one (a boolean column), a file's digest keyed for the
// series, or a text that two people have read and signed.
func (r *Recipient) sealedRule(t *study.Table, c study.Column, f *study.Field) (rule, error) {
	switch {
	case f.Release.Action == study.HasText && c.Kind == study.BoolKind:
		return kept(c, "whether there was a text"), nil
	case f.Release.Action == study.DigestOnly && c.Kind == study.TextKind:
		return r.keyRule(t, c, "keyed digest (HMAC-SHA-256, series key)", func(digest string) string { return r.other('F', digest) })
	case f.Release.Action == study.Reviewed && c.Kind == study.TextKind && c.Transform == missingReason:
		return kept(c, "kept"), nil
	case f.Release.Action == study.Reviewed && c.Kind == study.TextKind:
		return r.textRule(t, c), nil
	}
	return dropped("class " + string(f.Class)), nil
}

// keyRule replaces ids. Ids repeat from row to row, so the last one is remembered.
func (r *Recipient) keyRule(t *study.Table, c study.Column, masking string, released func(string) string) (rule, error) {
	if c.Kind != study.TextKind {
		return rule{}, misfit(t, c)
	}
	var last, lastReleased string
	return one(c, masking, func(b *study.Batch, v *study.Vector) (study.Vector, error) {
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
	}), nil
}

// valueRule keeps values, except what would give away the age of the very old or
// where somebody lives, and what the study rounds, clips or generalises. A
// quasi-identifier leaves in participants and nowhere else, so that the risk gate
// sees all there is.
func (r *Recipient) valueRule(t *study.Table, c study.Column, f *study.Field, n *Counts) (rule, error) {
	if f != nil && (f.Class == study.Quasi || slices.Contains(r.study.Deid.Risk.Quasi, c.Form+"."+c.Field)) && !perPerson(t) && r.gathered(c) {
		return dropped("a quasi-identifier leaves in participants only"), nil
	}
	out, err := r.plainRule(t, c, f, n)
	if err != nil || !perPerson(t) || len(out.outlets) == 0 {
		return out, err
	}
	return r.gated(t, c, f, out, n)
}

// plainRule is valueRule before the risk gate: the finest that may leave.
func (r *Recipient) plainRule(t *study.Table, c study.Column, f *study.Field, n *Counts) (rule, error) {
	numeric := c.Kind == study.Int64Kind || c.Kind == study.DecimalKind || c.Kind == study.FloatKind
	value := c.Transform != missingReason
	switch {
	case !value && perPerson(t) && f != nil && f.Class == study.Quasi:
		return dropped("why a quasi-identifier is missing tells people apart"), nil
	case f != nil && f.Type == study.Zip && value:
		return r.zipRule(t, c, n)
	case value && numeric && r.isBirth(c):
		return r.birthYearRule(t, c, n), nil
	case value && numeric && ageLimit(c) > 0:
		return r.treat(t, c, f, r.ageRule(t, c, n), n)
	case isSite(t, c):
		return r.siteRule(t, c, n), nil
	case c.Class == study.Quasi && value && isPlace(c.Name):
		return kept(c, "kept").limited("limited", t.Name+"."+c.Name+": a place smaller than a state kept"), nil
	case value:
		return r.treat(t, c, f, kept(c, "kept"), n)
	}
	return kept(c, "kept"), nil
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
