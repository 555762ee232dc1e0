package lineage

import (
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// Column says where one column of a released table comes from, by one source. It
// is about names and rules; there is no value of data in it.
type Column struct {
	Table, Name string
	Form, Field string
	Source      string // "" = derived, from what all sources bring
	From        string // column or pointer of the source's rows; "" = a constant, or computed
	Read        string // what the mapping does with it: recode of 2 codes, unit mg/dL, …
	Transform   string // what the release does with the field
	Checks      string // of the field, by name
	Masking     string // what door 2 does
}

// Columns answers the lineage of all columns of released tables. A column that
// several sources or mappings feed is there once for each.
func Columns(s *study.Study, sources []*study.Source, tables []*study.Table) []Column {
	var out []Column
	for _, t := range tables {
		for _, c := range t.Columns {
			base := Column{Table: t.Name, Name: c.Name, Form: c.Form, Field: c.Field, Transform: c.Transform, Masking: c.Masking}
			if base.Transform == "" {
				base.Transform = "derived"
			}
			base.Checks = checksOf(s, c.Form, c.Field)
			fed := feeds(s, sources, c)
			if len(fed) == 0 {
				out = append(out, base)
			}
			for _, f := range fed {
				base.Source, base.From, base.Read = f.Source, f.From, f.Read
				out = append(out, base)
			}
		}
	}
	return out
}

// What a mapping or door 2 says where it changes nothing.
const (
	AsItIs = "as it is"
	Kept   = "kept"
)

// Mapped answers what a source feeds: the fields of forms, and of the participant
// (with no form) the identifier and the site. Masking is what door 1 does.
func Mapped(s *study.Study, src *study.Source) (out []Column) {
	add := func(form, field, masking string, p, code study.Pick) {
		if p.Mapped() {
			from, read := pick(p, code)
			out = append(out, Column{Form: form, Field: field, Source: src.Name, From: from, Read: read, Masking: masking})
		}
	}
	add("", "participant", "pseudonym (HMAC-SHA-256, study key)", src.Map.Participant, study.Pick{})
	add("", "site", "", src.Map.Site, study.Pick{})
	for _, m := range src.Map.Forms {
		form := s.FormIndex(m.Form)
		for _, f := range m.Fields {
			masking := ""
			if form >= 0 {
				if n := s.Forms[form].FieldIndex(f.Field); n >= 0 && s.Forms[form].Fields[n].Sealed() {
					masking = "sealed in the vault"
				}
			}
			if f.Pick.Code != "" { // of a long table: the value of the rows with this code
				add(m.Form, f.Field, masking, m.Pivot.Value, f.Pick)
			} else {
				add(m.Form, f.Field, masking, f.Pick, study.Pick{})
			}
		}
	}
	return out
}

// feeds are the sources of a column: of a field, those that map it; of an id of the
// participant, those that identify participants.
func feeds(s *study.Study, sources []*study.Source, c study.Column) (out []Column) {
	field := c.Field
	switch {
	case c.Form != "" && c.Field != "":
	case c.Class == study.ParticipantKey:
		field = "participant"
	case c.Name == "site":
		field = "site"
	default:
		return nil
	}
	for _, src := range sources {
		if src.Study != s.Name {
			continue
		}
		for _, m := range Mapped(s, src) {
			if m.Form == c.Form && m.Field == field && !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out
}

// pick says where a pick takes its value and what it does with it. code is the
// pick of the field where rows are about one field each.
func pick(p, code study.Pick) (from, read string) {
	var done []string
	say := func(parts ...string) { done = append(done, strings.Join(parts, " ")) }
	from = p.Column
	switch {
	case p.Const:
		say("constant")
	case p.Expr != "":
		say("computed:", p.Expr)
	}
	if code.Code != "" {
		say("rows of one code")
	}
	for _, p := range []study.Pick{p, code} {
		if p.Trim {
			say("trimmed")
		}
		if n := len(p.Values); n > 0 {
			say("recode of", strconv.Itoa(n), "codes")
		}
		if n := len(p.Missing); n > 0 {
			say("missing by", strconv.Itoa(n), "codes")
		}
		if p.Unit != "" {
			say("unit", p.Unit)
		}
		if p.Format != "" {
			say("date as", p.Format)
		}
		if p.Scale != "" {
			say("scale", p.Scale)
		}
	}
	if len(done) == 0 {
		return from, AsItIs
	}
	return from, strings.Join(done, "; ")
}

// checksOf are the rules that a field is checked by.
func checksOf(s *study.Study, form, field string) string {
	i := s.FormIndex(form)
	if i < 0 {
		return ""
	}
	n := s.Forms[i].FieldIndex(field)
	if n < 0 {
		return ""
	}
	f := &s.Forms[i].Fields[n]
	checks := []string{"type"}
	for name, there := range map[string]bool{"required": f.Required, "range": f.Min != "" || f.Max != "", "pattern": f.Pattern != "", "choice": len(f.Choices) > 0} {
		if there {
			checks = append(checks, name)
		}
	}
	for _, c := range s.Forms[i].Checks {
		if slices.Contains(strings.FieldsFunc(c.Expr, notName), field) {
			checks = append(checks, c.Name)
		}
	}
	slices.Sort(checks[1:])
	return strings.Join(checks, "; ")
}

// notName reports whether r cannot be part of the name of a field.
func notName(r rune) bool {
	return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
}

// Header are the names of the cells of a Column.
var Header = []string{"table_name", "column_name", "source_form", "source_field", "source", "source_column", "mapping", "transform", "checks", "masking"}

// Cells is the column as a row of lineage_columns.csv.
func (c Column) Cells() []string {
	return []string{c.Table, c.Name, c.Form, c.Field, c.Source, c.From, c.Read, c.Transform, c.Checks, c.Masking}
}
