package release

import (
	"slices"
	"strings"

	"longitude/study"
)

// personal binds a field of a form to columns with one value per participant: the
// first that the released records give, in the order of visits.
type personal struct {
	form int
	fieldColumns
}

// quasiColumns adds the quasi-identifiers of the forms, those of class quasi and those
// that the risk policy names, to the columns of participants, without the reasons why
// they are missing. They are released there and in no table of
// a form: what tells people apart is said of each of them once.
func quasiColumns(s *study.Study, t *study.Table) []personal {
	taken := map[string]bool{}
	for _, c := range t.Columns {
		taken[c.Name] = true
	}
	var all []personal
	for i := range s.Forms {
		for f := range s.Forms[i].Fields {
			field := &s.Forms[i].Fields[f]
			named := slices.Contains(s.Deid.Risk.Quasi, s.Forms[i].Name+"."+field.Name)
			if field.Class != study.Quasi && !named || field.Class == study.Blinded || field.Sealed() || field.Release.Action == study.Drop {
				continue
			}
			p := personalColumns(s, i, f, len(t.Columns), taken)
			if p.value[0].Class == study.DateClass { // released as dates are
				continue
			}
			for c := range p.value {
				taken[p.value[c].Name] = true
				p.value[c].Description += ". Told once per participant, as first recorded, and not in the table of its form."
			}
			t.Columns = append(t.Columns, p.value...)
			all = append(all, p)
		}
	}
	return all
}

func personalColumns(s *study.Study, form, field, at int, taken map[string]bool) personal {
	f := &s.Forms[form]
	value, read := valueColumns(f, &f.Fields[field])
	for collides(value, taken) {
		for c := range value {
			value[c].Name = f.Name + "_" + value[c].Name
		}
	}
	return personal{form, fieldColumns{field, at, value, read, study.ByClass}}
}

// addPersonal appends the value of p to its columns of a batch.
func (b *Builder) addPersonal(batch *study.Batch, p personal, records []study.CurrentRecord) error {
	columns := batch.Vectors[p.first : p.first+len(p.value)]
	for _, i := range b.order {
		if records[i].Key.Form != p.form {
			continue
		}
		answer := answerOf(records[i].Answers, p.field)
		if answer == study.MissingMark || study.IsSealed(answer) {
			continue
		}
		if _, ok := p.read(columns, answer); !ok {
			return misfit(&b.study.Forms[p.form], p.field, "a stored answer is not of the field's type")
		}
		return nil
	}
	for c := range columns {
		columns[c].AppendNull(p.value[c].Kind)
	}
	return nil
}

// answerOf is the canonical answer of a field; a record of fewer has none.
func answerOf(answers string, field int) string {
	answer, rest, more := strings.Cut(answers, string(study.FieldSeparator))
	for ; field > 0; field-- {
		if !more {
			return study.MissingMark
		}
		answer, rest, more = strings.Cut(rest, string(study.FieldSeparator))
	}
	return answer
}

// rowsOf is the rows of a batch from one to before another. It shares their memory.
func rowsOf(b *study.Batch, from, to int) *study.Batch {
	out := &study.Batch{Table: b.Table, Rows: to - from, Participants: b.Participants[from:to:to], Anchors: b.Anchors[from:to:to], Vectors: make([]study.Vector, len(b.Vectors))}
	for i, v := range b.Vectors {
		out.Vectors[i] = study.Vector{Valid: rows(v.Valid, from, to), Ints: rows(v.Ints, from, to), Floats: rows(v.Floats, from, to), Texts: rows(v.Texts, from, to)}
	}
	return out
}

// rows is part of a slice, nil where there is none.
func rows[T any](all []T, from, to int) []T {
	if len(all) == 0 {
		return nil
	}
	return slices.Clip(all[from:to])
}
