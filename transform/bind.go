package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"longitude/study"
)

// each hands on the picks of a row with their keys in the mapping.
func (r *rowMap) each(do func(key string, p *pick)) {
	for _, of := range []struct {
		key  string
		pick *pick
	}{{"participant", &r.participant}, {"site", &r.site}, {"visit", &r.visit}, {"visit.repeat", &r.repeat},
		{"visit_date", &r.visitDate}, {"visit_day", &r.visitDay}, {"planned_date", &r.planned}, {"baseline_date", &r.declared},
		{"reason", &r.reason}, {"modified", &r.modified}, {"entered", &r.entered}, {"author", &r.author},
		{"withdrawal", &r.withdrawn}, {"status", &r.status}, {"status_date", &r.statusOn},
		{"change_reason", &r.change}, {"deleted", &r.deleted}} {
		do(of.key, of.pick)
	}
}

// each hands on the picks of a form that decide whether and which record a row
// feeds.
func (f *formMap) each(do func(key string, p *pick)) {
	do("when", &f.when)
	do("occurrence", &f.occurrence)
	if f.pivot != nil {
		do("pivot.code", &f.pivot.code)
		do("pivot.value", &f.pivot.value)
	}
}

// each hands on every pick. spare says that the records of a source are still
// themselves without it.
func (m *Mapper) each(do func(p *pick, spare bool)) {
	m.row.each(func(_ string, p *pick) { do(p, false) })
	for i := range m.forms {
		f := &m.forms[i]
		f.each(func(_ string, p *pick) { do(p, false) })
		for k := range f.fields {
			do(&f.fields[k].pick, k != f.repeats && k != f.consent)
		}
	}
}

// Columns are the names of the columns that the mapping asks for, sorted.
func (m *Mapper) Columns() []string {
	asked := map[string]bool{}
	m.each(func(p *pick, _ bool) {
		if p.column != "" {
			asked[p.column] = true
		} else if p.expr != nil {
			for _, c := range p.expr.columns {
				asked[c] = true
			}
		}
	})
	return slices.Sorted(maps.Keys(asked))
}

// Bind resolves the columns that the mapping asks for against an object's
// header. Its error names every one that is missing.
func (m *Mapper) Bind(columns []string) *study.Error { return m.bind(columns, false) }

// BindTolerant is Bind, but a column that only fields are read from may be missing:
// they are then missing with the reason not_asked. An expression sees null for a
// column that is missing beside others; it gives nothing where it then cannot be
// evaluated, or where none of its columns is there. What tells participant, visit,
// occurrence, dates and consent must be there.
func (m *Mapper) BindTolerant(columns []string) *study.Error { return m.bind(columns, true) }

func (m *Mapper) bind(columns []string, tolerant bool) *study.Error {
	index := make(map[string]int, len(columns))
	for i, c := range columns {
		index[norm.NFC.String(c)] = i
	}
	missing := map[string]bool{}
	find := func(column string, spare bool) int {
		if i, ok := index[norm.NFC.String(column)]; ok {
			return i
		}
		if !spare || !tolerant {
			missing[column] = true
		}
		return absent
	}
	m.each(func(p *pick, spare bool) {
		p.index, p.partly = 0, false
		if p.column != "" {
			p.index = find(p.column, spare)
		} else if p.expr != nil && len(p.expr.columns) > 0 {
			p.index = absent
			for i, c := range p.expr.columns {
				p.expr.index[i] = find(c, spare)
				p.index = max(p.index, min(p.expr.index[i], 0))
				p.partly = p.partly || p.expr.index[i] == absent
			}
		}
	})
	if len(missing) == 0 {
		return nil
	}
	return &study.Error{Code: "map.column_missing",
		Op: fmt.Sprintf("mapping an object of %d columns: the mapping asks for %s, which it does not have",
			len(columns), strings.Join(slices.Sorted(maps.Keys(missing)), ", ")),
		Hint: "check the column names in the source's map (they are case-sensitive) and that this is the right object"}
}
