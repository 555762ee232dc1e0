package transform

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"longitude/study"
)

// Mapper turns the rows of one source into drafts of its study. It is compiled
// once per source and bound to each object's columns; one goroutine uses it.
type Mapper struct {
	study *study.Study
	loc   *time.Location
	row   rowMap
	forms []formMap

	keepRaw  bool // a rule may still reject the record
	identity string
	texts    memory[string]
	checker  checker
	record   record
}

// rowMap says what every row tells, whatever its forms.
type rowMap struct {
	participant, site, visit, visitDate, visitDay, planned, declared,
	reason, modified, entered, author, withdrawn pick
	by     string         // name | number | date
	unsaid study.Unsaid   // facts of a visit that no column carries
	types  map[string]int // name, alias or number as the source writes it → index of the visit type
}

// formMap is one form fed by rows.
type formMap struct {
	form       *study.Form
	index      int // in Study.Forms
	when       pick
	whenValues map[string]bool // nil: any text
	occurrence pick            // not mapped: from the repeats field, else "1"
	repeats    int             // index of the field whose value is the occurrence, or -1
	consent    int             // index of the consent date, or -1
	fields     []fieldMap      // all fields of the form, in its order
	checks     []check
}

// Problem is a mistake in a mapping or in the definition of what it maps onto:
// the key it is about and what is wrong.
type Problem struct{ Key, Message string }

// Mapped is what rows became. Map appends to it.
type Mapped struct {
	Drafts     []study.Draft
	Rejections []study.Rejection
	Counts     study.Counts     // Read, Mapped, RowsQuarantined, Ignored, Produced and Quarantined
	Notes      map[string]int64 // failed checks of severity note, by "form.check"
}

// Reset empties m and keeps its memory.
func (m *Mapped) Reset() {
	clear(m.Drafts)
	clear(m.Rejections)
	*m = Mapped{Drafts: m.Drafts[:0], Rejections: m.Rejections[:0]}
}

// NewMapper compiles the mapping of src onto s. It finds every problem at once;
// the mapper is nil if there is any.
func NewMapper(s *study.Study, src *study.Source) (*Mapper, []Problem) {
	var problems []Problem
	loc, err := time.LoadLocation(s.Timezone)
	if err != nil {
		problems = append(problems, Problem{"timezone", "is not the IANA name of a time zone"})
	}
	m := &Mapper{study: s, loc: loc, row: newRowMap(s, &src.Map),
		keepRaw: s.Deviations.VisitOutOfWindow == "block", texts: memory[string]{}}
	if !m.row.participant.mapped {
		problems = append(problems, Problem{"map.participant", "is missing: a row belongs to a participant"})
	}
	if len(src.Map.Forms) == 0 {
		problems = append(problems, Problem{"map.forms", "is empty: the rows would feed nothing"})
	}
	mark := byte('.')
	if src.Format.DecimalMark == "," {
		mark = ','
	}
	for i := range src.Map.Forms {
		f, wrong := newFormMap(s, &src.Map.Forms[i], mark, loc)
		problems = append(problems, wrong...)
		m.forms = append(m.forms, f)
	}
	problems = append(problems, m.row.problems()...)
	if len(problems) > 0 {
		return nil, problems
	}
	return m, nil
}

func newRowMap(s *study.Study, from *study.Mapping) rowMap {
	r := rowMap{
		participant: newPick(from.Participant), site: newPick(from.Site), visit: newPick(from.Visit),
		visitDate: newPick(from.VisitDate), visitDay: newPick(from.VisitDay),
		planned: newPick(from.Planned), declared: newPick(from.BaselineDate),
		reason: newPick(from.Reason), modified: newPick(from.Modified), entered: newPick(from.Entered),
		author: newPick(from.Author), withdrawn: newPick(from.Withdrawn),
		by: from.VisitBy, types: map[string]int{},
	}
	for fact, said := range map[study.Unsaid]bool{study.UnsaidActual: r.visitDate.mapped || r.visitDay.mapped, study.UnsaidPlanned: r.planned.mapped,
		study.UnsaidDeclared: r.declared.mapped, study.UnsaidReason: r.reason.mapped} {
		if !said {
			r.unsaid |= fact
		}
	}
	for i, v := range s.Visits {
		if r.by == "number" {
			if v.Number != "" {
				r.types[v.Number] = i
				if number, _, _, ok := appendNumber(nil, []byte(v.Number), '.'); ok {
					r.types[string(number)] = i
				}
			}
			continue
		}
		r.types[norm.NFC.String(v.Name)] = i
		for _, alias := range v.Aliases {
			r.types[norm.NFC.String(alias)] = i
		}
	}
	for alias, name := range from.VisitAliases {
		if i := s.VisitIndex(name); i >= 0 {
			r.types[norm.NFC.String(alias)] = i
		}
	}
	return r
}

func (r *rowMap) problems() (found []Problem) {
	dated := []struct {
		key  string
		pick *pick
	}{{"map.visit_date", &r.visitDate}, {"map.planned_date", &r.planned}, {"map.baseline_date", &r.declared},
		{"map.modified", &r.modified}, {"map.entered", &r.entered}, {"map.withdrawal", &r.withdrawn}}
	for _, d := range dated {
		if d.pick.layout.text != "" && d.pick.layout.precision == 0 {
			found = append(found, Problem{d.key + ".format", `is a Go reference layout, such as "02/01/2006"; this one has no year`})
		}
	}
	switch r.by {
	case "", "name", "number", "date":
	default:
		found = append(found, Problem{"map.visit.by", "must be one of name, number, date"})
	}
	return found
}

func newFormMap(s *study.Study, from *study.FormMapping, mark byte, loc *time.Location) (m formMap, problems []Problem) {
	key := "map.forms." + from.Form
	m = formMap{index: s.FormIndex(from.Form), when: newPick(from.When), occurrence: newPick(from.Occurrence), consent: -1}
	if m.index < 0 {
		return m, []Problem{{key, "is not a form of the study"}}
	}
	m.form = &s.Forms[m.index]
	m.repeats = m.form.FieldIndex(m.form.RepeatsBy)
	if s.Consent.Form == m.form.Name {
		m.consent = m.form.FieldIndex(s.Consent.Field)
	}
	if len(from.WhenValues) > 0 {
		m.whenValues = map[string]bool{}
		for _, v := range from.WhenValues {
			m.whenValues[norm.NFC.String(v)] = true
		}
	}
	picks := make([]study.Pick, len(m.form.Fields))
	for _, f := range from.Fields {
		if i := m.form.FieldIndex(f.Field); i >= 0 {
			picks[i] = f.Pick
		} else {
			problems = append(problems, Problem{key + ".fields." + f.Field, "is not a field of the form"})
		}
	}
	for i := range m.form.Fields {
		f, wrong := newFieldMap(&m.form.Fields[i], picks[i], mark, loc)
		if wrong != "" {
			problems = append(problems, Problem{key + ".fields." + m.form.Fields[i].Name, wrong})
		}
		m.fields = append(m.fields, f)
	}
	// The occurrence from the column of the repeats field is that field's value:
	// its codes are recoded before keys are formed.
	if o := &m.occurrence; m.repeats >= 0 && o.column != "" && o.column == m.fields[m.repeats].pick.column && len(o.values) == 0 {
		m.occurrence = pick{}
	}
	for _, c := range m.form.Checks {
		compiled, wrong := compileCheck(m.form, c)
		if wrong != "" {
			problems = append(problems, Problem{"forms." + m.form.Name + ".checks." + c.Name, wrong})
		}
		m.checks = append(m.checks, compiled)
	}
	return m, problems
}

// Bind resolves the columns that the mapping asks for against an object's
// header. Its error names every one that is missing.
func (m *Mapper) Bind(columns []string) *study.Error {
	index := make(map[string]int, len(columns))
	for i, c := range columns {
		index[norm.NFC.String(c)] = i
	}
	var missing []string
	bind := func(p *pick) {
		if p.column == "" {
			return
		}
		i, ok := index[norm.NFC.String(p.column)]
		if p.index = i; !ok && !slices.Contains(missing, p.column) {
			missing = append(missing, p.column)
		}
	}
	r := &m.row
	for _, p := range []*pick{&r.participant, &r.site, &r.visit, &r.visitDate, &r.visitDay, &r.planned, &r.declared,
		&r.reason, &r.modified, &r.entered, &r.author, &r.withdrawn} {
		bind(p)
	}
	for i := range m.forms {
		bind(&m.forms[i].when)
		bind(&m.forms[i].occurrence)
		for k := range m.forms[i].fields {
			bind(&m.forms[i].fields[k].pick)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return &study.Error{Code: "map.column_missing",
		Op: fmt.Sprintf("mapping an object of %d columns: the mapping asks for %s, which it does not have",
			len(columns), strings.Join(missing, ", ")),
		Hint: "check the column names in the source's map (they are case-sensitive) and that this is the right object"}
}

// Map appends what rows become. A row is mapped when a record came from it, even
// a rejected one; quarantined when it is broken or what it tells of participant,
// visit and dates cannot be read; ignored when it feeds no form. Bind comes first.
func (m *Mapper) Map(rows *Rows, out *Mapped) {
	broken := rows.Broken
	for i := range rows.Len() {
		at := place{ordinal: rows.First + int64(i), line: rows.Lines[i], raw: rows.Raw[i]}
		out.Counts.Read++
		if len(broken) > 0 && broken[0].Row == i {
			at.site = string(m.row.site.constant)
			m.rejectRow(&at, "", broken[0].Rule, out)
			broken = broken[1:]
			continue
		}
		m.mapRow(rows.Row(i), &at, out)
	}
}

// place is where a row stands, for what is said of it.
type place struct {
	ordinal, line int64
	site          string
	raw           []byte // valid until the next batch
	kept          []byte // a copy of raw, made once
}

func (p *place) keep() []byte {
	if p.kept == nil {
		p.kept = bytes.Clone(p.raw)
	}
	return p.kept
}

func (m *Mapper) rejectRow(at *place, column, rule string, out *Mapped) {
	out.Counts.RowsQuarantined++
	out.Rejections = append(out.Rejections, study.Rejection{Ordinal: at.ordinal, Line: at.line, Site: at.site,
		Field: column, Rule: rule, Raw: at.keep()})
}

// mapRow reads what the row tells and then each form it feeds.
func (m *Mapper) mapRow(row [][]byte, at *place, out *Mapped) {
	feeds, visits := false, false
	for i := range m.forms {
		if f := &m.forms[i]; f.fedBy(row) {
			feeds, visits = true, visits || !f.form.Log
		}
	}
	if !feeds {
		out.Counts.Ignored++
		return
	}
	told, fault := m.tell(row, visits)
	if at.site = told.site; fault.rule != "" {
		m.rejectRow(at, fault.column, fault.rule, out)
		return
	}
	out.Counts.Mapped++
	for i := range m.forms {
		if f := &m.forms[i]; f.fedBy(row) {
			m.mapForm(f, row, &told, at, out)
		}
	}
}

func (f *formMap) fedBy(row [][]byte) bool {
	if !f.when.mapped {
		return true
	}
	text, _ := f.when.take(row)
	if f.whenValues == nil {
		return len(text) > 0
	}
	return f.whenValues[string(text)]
}
