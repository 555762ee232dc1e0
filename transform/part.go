package transform

import (
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// rulePart says that a row tells only a part of what a computed value or a long
// table is made of.
const rulePart = "told_in_part"

// extent is how much row i tells of its records.
func (r *Rows) extent(i int) study.Extent {
	switch {
	case r.InPart == nil:
		return study.ToldWhole
	case r.InPart[i]:
		return study.ToldInPart
	}
	return study.ToldAll
}

// said reports whether a row that tells only something tells what the pick takes;
// partly, that it tells some of the columns that it is computed from, and not all.
func (p *pick) said(row [][]byte) (said, partly bool) {
	switch {
	case !p.mapped || p.index == absent:
		return false, false
	case p.column != "":
		return row[p.index] != nil, false
	case p.expr == nil:
		return true, false // a constant
	}
	n := 0
	for _, i := range p.expr.index {
		if i != absent && row[i] != nil {
			n++
		}
	}
	return n == len(p.expr.index), n > 0 && n < len(p.expr.index)
}

// tellsOf reports whether a row tells anything of a form that it could feed: a value
// out of a column or, where it is known to be of this form, when its visit was or
// where its participant stands.
func (m *Mapper) tellsOf(f *formMap, row [][]byte) bool {
	tells := func(p *pick) bool {
		said, partly := p.said(row)
		return (said || partly) && (p.column != "" || p.expr != nil)
	}
	for i := range f.fields {
		if tells(&f.fields[i].pick) {
			return true
		}
	}
	r := &m.row
	return f.pivot != nil || f.when.mapped && slices.ContainsFunc([]*pick{&r.deleted, &r.visitDate, &r.visitDay, &r.planned, &r.declared, &r.withdrawn, &r.status}, tells)
}

// leaveUnsaid takes nothing back of a visit that a row says nothing of.
func (m *Mapper) leaveUnsaid(row [][]byte, t *told) {
	r := &m.row
	for _, of := range []struct {
		fact study.Unsaid
		pick *pick
	}{{study.UnsaidPlanned, &r.planned}, {study.UnsaidDeclared, &r.declared}, {study.UnsaidReason, &r.reason}} {
		if said, _ := of.pick.said(row); !said {
			t.visit.Unsaid |= of.fact
		}
	}
	date, _ := r.visitDate.said(row)
	day, _ := r.visitDay.said(row)
	if !date && !day {
		t.visit.Unsaid |= study.UnsaidActual
	}
}

// mapPart builds the record of one form from a row that tells only some of its
// fields. What is required, and what is checked across fields, is judged once the
// record is merged with what was known of it.
func (m *Mapper) mapPart(f *formMap, row [][]byte, t *told, at *place, out *Mapped) {
	m.begin()
	if f.pivot != nil {
		m.reject(f, "", rulePart, at, out)
	}
	for i := range f.fields {
		p := &f.fields[i].pick
		said, partly := p.said(row)
		if partly {
			m.reject(f, f.fields[i].field.Name, rulePart, at, out)
		}
		switch {
		case !said && i == f.repeats:
			m.reject(f, f.fields[i].field.Name, ruleRequired, at, out)
			m.record.leave(i, study.UntoldMark)
		case !said:
			m.record.leave(i, study.UntoldMark)
		default:
			m.readPart(f, i, row, at, out)
		}
	}
	var own []byte
	if f.repeats >= 0 {
		own = m.record.values[f.repeats]
	}
	m.end(f, m.occurrenceOf(f, row, own, at, out), t, at, out)
}

// leave packs a mark in the place of field i.
func (r *record) leave(i int, mark string) {
	if i > 0 {
		r.answers = append(r.answers, study.FieldSeparator)
	}
	r.answers = append(r.answers, mark...)
	r.values = append(r.values, nil)
}

// readPart packs field i as the row gives it. That it gives none is no fault: what is
// required is required of the record.
func (m *Mapper) readPart(f *formMap, i int, row [][]byte, at *place, out *Mapped) {
	p := &f.fields[i].pick
	text, reason := p.take(row)
	if text != nil || p.failed() || i == f.repeats {
		m.mapField(f, i, cell{text: text, reason: reason, failed: p.failed()}, at, out)
		return
	}
	if i > 0 {
		m.record.answers = append(m.record.answers, study.FieldSeparator)
	}
	m.record.miss(i, reason)
}

// State is what is known of a record, field by field.
type State struct {
	cells, reasons []string
	findings       [][]string // by field: rule, or rule:note
	digests        []study.SealedDigest
}

// Merger lays what rows tell of some fields over what was known of their records. It
// is for one goroutine.
type Merger struct {
	mapper *Mapper
	forms  []*formMap // by form; nil where the source feeds it not
	values [][]byte
}

// NewMerger compiles what is asked of the records of a source once they are merged.
// Its mapping is known to be sound.
func NewMerger(s *study.Study, src *study.Source) *Merger {
	g := &Merger{forms: make([]*formMap, len(s.Forms))}
	mapper, problems := NewMapper(s, src)
	if len(problems) > 0 {
		return g
	}
	g.mapper = mapper
	for i := range mapper.forms {
		g.forms[mapper.forms[i].index] = &mapper.forms[i]
	}
	return g
}

// Stored reads what a stored version says.
func (g *Merger) Stored(form int, c *study.VersionContent) *State {
	return g.read(form, c.Answers, c.Missing, c.Findings, c.Digests)
}

// Told reads what a record says, of which some fields may be untold.
func (g *Merger) Told(r *study.Record) *State {
	return g.read(r.Form, r.Answers, r.Missing, r.Findings, r.Part.Digests)
}

func (g *Merger) read(form int, answers, missing, findings string, digests []study.SealedDigest) *State {
	fields := g.mapper.study.Forms[form].Fields
	s := &State{cells: make([]string, len(fields)), reasons: make([]string, len(fields)), findings: make([][]string, len(fields)), digests: digests}
	copy(s.cells, strings.Split(answers, string(study.FieldSeparator)))
	for pair := range strings.SplitSeq(missing, ",") {
		at, reason, _ := strings.Cut(pair, "=")
		if i, err := strconv.Atoi(at); err == nil && i < len(fields) {
			s.reasons[i] = reason
		}
	}
	for finding := range strings.SplitSeq(findings, ",") {
		field, rule, _ := strings.Cut(finding, ":")
		if i := g.mapper.study.Forms[form].FieldIndex(field); i >= 0 && !strings.HasPrefix(rule, ruleRequired) && !strings.HasPrefix(rule, ruleCheck) {
			s.findings[i] = append(s.findings[i], rule)
		}
	}
	return s
}

// Fields are the places that s tells of.
func (s *State) Fields() (told []int) {
	for i, cell := range s.cells {
		if cell != study.UntoldMark {
			told = append(told, i)
		}
	}
	return told
}

// Only keeps of what a version says what its own row told.
func (s *State) Only(fields []int) *State {
	part := &State{cells: slices.Clone(s.cells), reasons: s.reasons, findings: s.findings}
	for i := range part.cells {
		if !slices.Contains(fields, i) {
			part.cells[i] = study.UntoldMark
		}
	}
	for _, d := range s.digests {
		if d.Field < 0 || slices.Contains(fields, d.Field) {
			part.digests = append(part.digests, d)
		}
	}
	return part
}

// Over is s laid over what was known before; nil = nothing was.
func (s *State) Over(before *State) *State {
	out := &State{cells: slices.Clone(s.cells), reasons: slices.Clone(s.reasons), findings: slices.Clone(s.findings)}
	for i, cell := range out.cells {
		if cell != study.UntoldMark {
			continue
		}
		out.cells[i], out.reasons[i], out.findings[i] = study.MissingMark, "", nil
		if before != nil {
			out.cells[i], out.reasons[i], out.findings[i] = before.cells[i], before.reasons[i], before.findings[i]
		}
	}
	out.digests = slices.Clone(s.digests)
	if before != nil {
		for _, d := range before.digests {
			untold := d.Field >= 0 && s.cells[d.Field] == study.UntoldMark
			if untold || d.Field < 0 && s.digestOf(d.Field) == (study.Digest{}) {
				out.digests = append(out.digests, d)
			}
		}
	}
	slices.SortFunc(out.digests, func(a, b study.SealedDigest) int { return a.Field - b.Field })
	return out
}

// Changes reports whether s tells otherwise of a field of which something was known.
func (s *State) Changes(before *State) bool {
	for i, cell := range s.cells {
		known := before != nil && before.cells[i] != study.MissingMark
		if cell != study.UntoldMark && known && (cell != before.cells[i] || study.IsSealed(cell) && s.digestOf(i) != before.digestOf(i)) {
			return true
		}
	}
	return false
}

func (s *State) digestOf(field int) (d study.Digest) {
	for _, of := range s.digests {
		if of.Field == field {
			return of.Digest
		}
	}
	return d
}

// Empty reports whether s tells that there is nothing.
func (s *State) Empty() bool {
	return !slices.ContainsFunc(s.cells, func(cell string) bool { return cell != study.MissingMark })
}

// Same reports whether two rows tell the same of the same fields.
func (s *State) Same(as *State) bool {
	for i, cell := range s.cells {
		if cell != as.cells[i] {
			return false
		}
		if cell != study.UntoldMark && (s.reasons[i] != as.reasons[i] || study.IsSealed(cell) && s.digestOf(i) != as.digestOf(i)) {
			return false
		}
	}
	return true
}

// Give has r say all that is known: answers, missing reasons, findings, and what it
// tells of its participant. What is required and lacks, and checks that do not hold,
// are found and reject nothing: the next row may cure it.
func (g *Merger) Give(s *State, r *study.Record) {
	form := &g.mapper.study.Forms[r.Form]
	r.Answers, r.Part.Digests = strings.Join(s.cells, string(study.FieldSeparator)), s.digests
	var missing, findings []string
	g.values = g.values[:0]
	for i, cell := range s.cells {
		var value []byte
		if cell != study.MissingMark && !study.IsSealed(cell) {
			value = []byte(cell)
		}
		g.values = append(g.values, value)
		if cell == study.MissingMark && s.reasons[i] != "" {
			missing = append(missing, strconv.Itoa(i)+"="+s.reasons[i])
		}
		for _, rule := range s.findings[i] {
			findings = append(findings, form.Fields[i].Name+":"+rule)
		}
		if lacks := cell == study.MissingMark && (s.reasons[i] == "" || s.reasons[i] == study.NotAsked); lacks && form.Fields[i].Required {
			findings = append(findings, form.Fields[i].Name+":"+ruleRequired+noted(severities(form.Fields[i].Severity).Required))
		}
	}
	if f := g.forms[r.Form]; f != nil {
		for i := range f.checks {
			if c := &f.checks[i]; g.seen(form, c, s) && !g.mapper.checker.passes(c, form, g.values) {
				findings = append(findings, c.name+":"+ruleCheck+noted(c.severity))
			}
		}
		r.Facts = g.mapper.factsOf(f, g.values)
		if f.consent >= 0 {
			r.Consented, _ = study.ParseDate(string(g.values[f.consent]))
		}
	}
	r.Missing, r.Findings = strings.Join(missing, ","), strings.Join(findings, ",")
}

// seen reports whether a check reads nothing that only the vault knows.
func (g *Merger) seen(form *study.Form, c *check, s *State) bool {
	return !slices.ContainsFunc(c.fields, func(i int) bool { return study.IsSealed(s.cells[i]) })
}

func noted(s study.Severity) string {
	if s == study.Note {
		return ":note"
	}
	return ""
}
