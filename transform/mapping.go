package transform

import (
	"bytes"
	"slices"
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

	keepRaw   bool       // a rule may still reject the record
	computed  []*pick    // every pick with an expression
	deciding  []deciding // those of them that decide what a row feeds
	facts     [][]fact   // by form: what its fields tell of the participant
	identity  string     // told last, as is the site
	site      string
	told      told       // by the row being mapped
	visit     *visitName // found last
	modified  instant    // read last: rows of one visit mostly share it
	texts     texts
	checker   checker
	record    record
	extent    study.Extent // of the row being mapped
	gathering gathering
}

// deciding is a computed pick that a row cannot be read without.
type deciding struct {
	key  string
	pick *pick
	when bool // it says whether the row feeds a form at all
}

// fact is a field whose value is a fact of the participant.
type fact struct{ index, field int }

// instant is what a text was read as; ok false = none.
type instant struct {
	text []byte
	at   time.Time
	ok   bool
}

// rowMap says what every row tells, whatever its forms.
type rowMap struct {
	participant, site, visit, repeat, visitDate, visitDay, planned, declared,
	reason, modified, entered, author, withdrawn, status, statusOn, change, deleted pick
	deletedValues map[string]bool // nil: any text

	by     string                // name | number | date
	unsaid study.Unsaid          // facts of a visit that no column carries
	types  map[string]*visitName // by name, alias or number as the source writes it
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
	pivot      *pivotMap       // nil: every row is a record of its own
	fields     []fieldMap      // all fields of the form, in its order
	checks     []check
	weighed    bool // something is asked of its values: checks, facts, consent, occurrence
	fed        bool // by the row being mapped
}

// Problem is a mistake in a mapping or in the definition of what it maps onto:
// the key it is about and what is wrong.
type Problem struct{ Key, Message string }

// Mapped is what rows became. Map appends to it.
type Mapped struct {
	Drafts     []study.Draft
	Rejections []study.Rejection
	Counts     study.Counts     // Read, Mapped, RowsQuarantined, Ignored, Produced and Quarantined
	Notes      map[string]int64 // what is only noted: by "form.check" and "form.field:rule"
}

// Reset empties m and keeps its memory, until Map writes over it.
func (m *Mapped) Reset() {
	clear(m.Rejections)
	*m = Mapped{Drafts: m.Drafts[:0], Rejections: m.Rejections[:0]}
}

// draft appends an empty draft, to be filled where it stands: it is too large to
// be copied there.
func (m *Mapped) draft() *study.Draft {
	m.Drafts = slices.Grow(m.Drafts, 1)[:len(m.Drafts)+1]
	d := &m.Drafts[len(m.Drafts)-1]
	*d = study.Draft{}
	return d
}

// NewMapper compiles the mapping of src onto s. It finds every problem at once;
// the mapper is nil if there is any.
func NewMapper(s *study.Study, src *study.Source) (*Mapper, []Problem) {
	var problems []Problem
	loc, err := time.LoadLocation(s.Timezone)
	if err != nil {
		problems = append(problems, Problem{"timezone", "is not the IANA name of a time zone"})
	}
	mark := byte('.')
	if src.Format.DecimalMark == "," {
		mark = ','
	}
	m := &Mapper{study: s, loc: loc, row: newRowMap(s, &src.Map, mark), facts: factsOf(s), texts: texts{},
		keepRaw: s.Deviations.VisitOutOfWindow == policyBlock || s.Deviations.PlannedOutOfWindow == policyBlock}
	if !m.row.participant.mapped {
		problems = append(problems, Problem{"map.participant", "is missing: a row belongs to a participant"})
	}
	if len(src.Map.Forms) == 0 {
		problems = append(problems, Problem{"map.forms", "is empty: the rows would feed nothing"})
	}
	for i := range src.Map.Forms {
		f, wrong := newFormMap(s, &src.Map.Forms[i], mark, loc)
		problems = append(problems, wrong...)
		if f.form != nil {
			f.weighed = len(f.checks)+len(m.facts[f.index]) > 0 || f.consent >= 0 || f.repeats >= 0
		}
		m.forms = append(m.forms, f)
	}
	problems = append(problems, m.row.problems()...)
	if len(problems) > 0 {
		return nil, problems
	}
	m.findComputed()
	return m, nil
}

// findComputed collects the picks with an expression.
func (m *Mapper) findComputed() {
	m.each(func(p *pick, _ bool) {
		if p.expr != nil {
			m.computed = append(m.computed, p)
		}
	})
	m.row.each(func(key string, p *pick) {
		if p.expr != nil {
			m.deciding = append(m.deciding, deciding{key, p, false})
		}
	})
	for i := range m.forms {
		f := &m.forms[i]
		if f.when.expr != nil {
			m.deciding = append(m.deciding, deciding{f.form.Name + ".when", &f.when, true})
		}
		if f.pivot != nil && f.pivot.code.expr != nil {
			m.deciding = append(m.deciding, deciding{f.form.Name + ".pivot.code", &f.pivot.code, true})
		}
	}
}

// factsOf finds the fields that tell facts, by form. What is sealed tells none.
func factsOf(s *study.Study) [][]fact {
	byForm := make([][]fact, len(s.Forms))
	for i, f := range s.Facts {
		if !s.Forms[f.Form].Fields[f.Field].Sealed() {
			byForm[f.Form] = append(byForm[f.Form], fact{i, f.Field})
		}
	}
	return byForm
}

func newRowMap(s *study.Study, from *study.Mapping, mark byte) rowMap {
	of := func(p study.Pick) pick { return newPick(p, mark) }
	r := rowMap{
		participant: of(from.Participant), site: of(from.Site), visit: of(from.Visit), repeat: of(from.VisitRepeat),
		visitDate: of(from.VisitDate), visitDay: of(from.VisitDay), planned: of(from.Planned), declared: of(from.BaselineDate),
		reason: of(from.Reason), modified: of(from.Modified), entered: of(from.Entered), author: of(from.Author),
		withdrawn: of(from.Withdrawn), status: of(from.Status), statusOn: of(from.StatusDate),
		change: of(from.ChangeReason), deleted: of(from.Deleted), deletedValues: textSet(from.DeletedValues),
		by: from.VisitBy, types: visitTypes(s, from),
	}
	for fact, said := range map[study.Unsaid]bool{study.UnsaidActual: r.visitDate.mapped || r.visitDay.mapped, study.UnsaidPlanned: r.planned.mapped,
		study.UnsaidDeclared: r.declared.mapped, study.UnsaidReason: r.reason.mapped} {
		if !said {
			r.unsaid |= fact
		}
	}
	return r
}

// visitTypes is what a source may call the visit types.
func visitTypes(s *study.Study, from *study.Mapping) map[string]*visitName {
	types := map[string]*visitName{}
	name := func(text string, i int) { types[text] = &visitName{text: text, index: i} }
	for i, v := range s.Visits {
		if from.VisitBy == "number" {
			if v.Number != "" {
				name(v.Number, i)
				if number, _, _, ok := appendNumber(nil, []byte(v.Number), '.'); ok {
					name(string(number), i)
				}
			}
			continue
		}
		name(norm.NFC.String(v.Name), i)
		for _, alias := range v.Aliases {
			name(norm.NFC.String(alias), i)
		}
	}
	for alias, of := range from.VisitAliases {
		if i := s.VisitIndex(of); i >= 0 {
			name(norm.NFC.String(alias), i)
		}
	}
	return types
}

// textSet is nil where there are no texts.
func textSet(texts []string) map[string]bool {
	if len(texts) == 0 {
		return nil
	}
	set := make(map[string]bool, len(texts))
	for _, t := range texts {
		set[norm.NFC.String(t)] = true
	}
	return set
}

func (r *rowMap) problems() (found []Problem) {
	r.each(func(key string, p *pick) {
		if p.problem != "" {
			found = append(found, Problem{"map." + key + ".expr", p.problem})
		}
	})
	dated := []struct {
		key  string
		pick *pick
	}{{"map.visit_date", &r.visitDate}, {"map.planned_date", &r.planned}, {"map.baseline_date", &r.declared},
		{"map.modified", &r.modified}, {"map.entered", &r.entered}, {"map.withdrawal", &r.withdrawn}, {"map.status_date", &r.statusOn}}
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
	m = formMap{index: s.FormIndex(from.Form), when: newPick(from.When, mark), whenValues: textSet(from.WhenValues),
		occurrence: newPick(from.Occurrence, mark), consent: -1}
	if m.index < 0 {
		return m, []Problem{{key, "is not a form of the study"}}
	}
	m.form = &s.Forms[m.index]
	m.repeats = m.form.FieldIndex(m.form.RepeatsBy)
	if s.Consent.Form == m.form.Name {
		m.consent = m.form.FieldIndex(s.Consent.Field)
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
	problems = append(problems, m.newPivot(from, picks, mark)...)
	m.each(func(of string, p *pick) {
		if p.problem != "" {
			problems = append(problems, Problem{key + "." + of + ".expr", p.problem})
		}
	})
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

// Map appends what rows become. A row is mapped when a record came from it, even
// a rejected one; quarantined when it is broken or what it tells of participant,
// visit and dates cannot be read; ignored when it feeds no form. Bind comes first
// and Finish last. Findings of a record stand in the order of its fields, then of
// its checks.
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
		m.extent = rows.extent(i)
		m.mapRow(rows.Row(i), &at, out)
	}
	m.record.hand(out)
}

// Finish appends the records whose rows were still being gathered. It comes after
// the last batch of an object.
func (m *Mapper) Finish(out *Mapped) {
	m.flush(out)
	m.record.hand(out)
	m.gathering = gathering{most: m.gathering.most}
}

// KeepRows keeps the row with each record, for a rule that may still reject it.
func (m *Mapper) KeepRows() { m.keepRaw = true }

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
	for _, p := range m.computed {
		p.expr.evaluate(row)
	}
	if key := m.undecided(true); key != "" {
		m.rejectRow(at, key, ruleExpr, out)
		return
	}
	feeds, visits, pivots := false, false, false
	for i := range m.forms {
		f := &m.forms[i]
		f.fed = f.fedBy(row)
		if f.fed && m.extent == study.ToldInPart {
			f.fed = m.tellsOf(f, row)
		}
		if f.fed {
			feeds, visits, pivots = true, visits || !f.form.Log, pivots || f.pivot != nil
		}
	}
	if !feeds {
		out.Counts.Ignored++
		return
	}
	told := &m.told
	fault := m.tell(row, visits, told)
	at.site = told.site
	if fault.rule == "" && pivots {
		fault.rule = m.follows(told.identity, out)
	}
	if fault.rule != "" {
		m.rejectRow(at, fault.column, fault.rule, out)
		return
	}
	if m.extent == study.ToldInPart {
		m.leaveUnsaid(row, told)
	}
	out.Counts.Mapped++
	for i := range m.forms {
		switch f := &m.forms[i]; {
		case !f.fed:
		case m.extent == study.ToldInPart && !told.removed:
			m.mapPart(f, row, told, at, out)
		case f.pivot != nil:
			m.gather(f, row, told, at, out)
		default:
			m.mapForm(f, row, told, at, out)
		}
	}
}

// undecided is the key of an expression that could not be evaluated for the row,
// of those that say what it feeds, or of those that say what it tells.
func (m *Mapper) undecided(when bool) string {
	for _, d := range m.deciding {
		if d.when == when && d.pick.expr.failed {
			return d.key
		}
	}
	return ""
}

func (f *formMap) fedBy(row [][]byte) bool {
	if f.when.mapped {
		text, _ := f.when.take(row)
		if len(text) == 0 || f.whenValues != nil && !f.whenValues[string(text)] {
			return false
		}
	}
	return f.pivot == nil || f.pivot.takes(row)
}
