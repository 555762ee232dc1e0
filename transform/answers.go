package transform

import (
	"slices"
	"strconv"
	"time"

	"longitude/study"
)

// record is the scratch of the record being built.
type record struct {
	answers                []byte // packed, of all records of the batch so far
	from                   int    // where those of this one begin
	ends                   []int  // where those of each draft end
	missing, findings, key []byte
	values                 [][]byte // packed value by field, nil = missing; before sealing; of a form that weighs them
	private                []study.PrivateItem
	rejected               bool
}

// mapForm builds the record of one form from a row, or its rejections.
func (m *Mapper) mapForm(f *formMap, row [][]byte, t *told, at *place, out *Mapped) {
	m.begin()
	var own []byte // the field's value that tells occurrences apart
	switch {
	case t.removed: // the source says that the record is gone: no answers
		own = m.ownOccurrence(f, row, at, out)
		m.record.empty(len(f.fields))
	default:
		for i := 0; i < len(f.fields); i++ {
			if i = m.record.copy(f, i, row); i < len(f.fields) {
				m.readField(f, i, row, at, out)
			}
		}
		if f.repeats >= 0 {
			own = m.record.values[f.repeats]
		}
	}
	m.end(f, m.occurrenceOf(f, row, own, at, out), t, at, out)
}

// ownOccurrence reads the field that tells occurrences apart, and nothing else;
// nil where that is not what tells them apart.
func (m *Mapper) ownOccurrence(f *formMap, row [][]byte, at *place, out *Mapped) []byte {
	if f.repeats < 0 || f.occurrence.mapped {
		return nil
	}
	field := &f.fields[f.repeats]
	var rule string
	text, _ := field.pick.take(row)
	switch {
	case field.pick.failed():
		rule = ruleExpr
	case text == nil:
		rule = ruleRequired
	default:
		var packed []byte
		if packed, rule, _ = field.read(nil, text); rule == "" {
			return packed
		}
	}
	m.reject(f, field.field.Name, rule, at, out)
	return nil
}

// begin makes the scratch ready for a record.
func (m *Mapper) begin() {
	r := &m.record
	r.answers, r.missing, r.findings = r.answers[:r.from], r.missing[:0], r.findings[:0]
	r.values, r.private, r.rejected = r.values[:0], r.private[:0], false
}

// copy packs the fields from i on whose cells stand as they are, or are empty and
// may be, as most do. It returns the first that has to be read.
func (r *record) copy(form *formMap, i int, row [][]byte) int {
	answers, values := r.answers, r.values
	for ; i < len(form.fields); i++ {
		f := &form.fields[i]
		if f.plain == noPlain || f.pick.index == absent {
			break
		}
		cell := row[f.pick.index]
		if len(cell) == 0 && (f.field.Required || i == form.repeats) {
			break
		}
		packed, short := f.glance(cell)
		if !short && !f.stands(cell) {
			break
		}
		if i > 0 {
			answers = append(answers, study.FieldSeparator)
		}
		at := len(answers)
		if short {
			answers = packed.append(answers)
		} else {
			answers = append(answers, cell...)
		}
		if form.weighed {
			value := answers[at:len(answers):len(answers)]
			if len(cell) == 0 {
				value = nil
			}
			values = append(values, value)
		}
	}
	r.answers, r.values = answers, values
	return i
}

// empty packs that none of n fields has a value.
func (r *record) empty(n int) {
	for i := range n {
		if i > 0 {
			r.answers = append(r.answers, study.FieldSeparator)
		}
		r.answers = append(r.answers, study.MissingMark...)
		r.values = append(r.values, nil)
	}
}

// end makes of the scratch a draft, or counts it as rejected.
func (m *Mapper) end(f *formMap, occurrence string, t *told, at *place, out *Mapped) {
	out.Counts.Produced++
	r := &m.record
	inPart := m.extent == study.ToldInPart && !t.removed // what it comes to is judged once it is merged
	if len(f.checks) > 0 && !r.rejected && !t.removed && !inPart {
		m.check(f, at, out)
	}
	if r.rejected {
		out.Counts.Quarantined++
		return
	}
	d := out.draft()
	d.Ordinal, d.Line, d.Identity, d.Site = at.ordinal, at.line, t.identity, t.site
	d.Form, d.Occurrence, d.Visit.Type = f.index, occurrence, -1
	d.Modified, d.Entered, d.Withdrawn, d.Consented = t.modified, t.entered, t.withdrawn, study.NoDate
	d.Status, d.StatusOn, d.Change, d.Removed = t.status, t.statusOn, t.change, t.removed
	if d.Extent = m.extent; d.Extent == study.ToldInPart && t.removed {
		d.Extent = study.ToldAll
	}
	d.Missing, d.Findings = m.texts.intern(r.missing), m.texts.intern(r.findings)
	r.from = len(r.answers)
	r.ends = append(r.ends, r.from)
	if !f.form.Log {
		d.Visit = t.visit
		r.seal(study.PrivateReason, t.reason)
	}
	r.seal(study.PrivateAuthor, t.author)
	r.seal(study.PrivateChangeReason, t.changeReason)
	if len(r.private) > 0 {
		d.Private = slices.Clone(r.private)
	}
	if !t.removed && !inPart {
		if f.consent >= 0 {
			d.Consented, _ = study.ParseDate(string(r.values[f.consent]))
		}
		d.Facts = m.factsOf(f, r.values)
	}
	if m.keepRaw || f.pivot != nil || inPart { // of a long table the rows may be gone when door 1 refuses them
		d.Raw = at.keep()
	}
}

// hand gives the drafts made since it was called last their answers, which share
// one text.
func (r *record) hand(out *Mapped) {
	drafts, text, from := out.Drafts[len(out.Drafts)-len(r.ends):], string(r.answers[:r.from]), 0
	for i, to := range r.ends {
		drafts[i].Answers, from = text[from:to], to
	}
	r.answers, r.from, r.ends = r.answers[:0], 0, r.ends[:0]
}

// factsOf is what the record tells of the participant: exact dates of events,
// codes of sex, years of birth. values are those of its fields.
func (m *Mapper) factsOf(f *formMap, values [][]byte) (told []study.Fact) {
	for _, of := range m.facts[f.index] {
		value := values[of.field]
		switch kind := m.study.Facts[of.index].Kind; {
		case value == nil, kind == study.EventFact && len(value) != len(time.DateOnly):
			continue
		case kind == study.BirthYearFact && f.fields[of.field].field.Type == study.DateType:
			value = value[:len("2006")]
		}
		told = append(told, study.Fact{Index: of.index, Value: string(value)})
	}
	return told
}

// seal sets text apart for the vault.
func (r *record) seal(field int, text []byte) {
	if text != nil {
		r.private = append(r.private, study.PrivateItem{Field: field, Text: string(text)})
	}
}

// readField packs field i, the next of the record, as the row gives it.
func (m *Mapper) readField(f *formMap, i int, row [][]byte, at *place, out *Mapped) {
	p := &f.fields[i].pick
	text, reason := p.take(row)
	m.mapField(f, i, cell{text: text, reason: reason, failed: p.failed()}, at, out)
}

// cell is what a pick gives for a row.
type cell struct {
	text   []byte // nil: nothing
	reason string // why there is nothing
	failed bool   // it is computed, and could not be
}

// mapField packs the value of field i, the next of the record, or why there is none.
func (m *Mapper) mapField(f *formMap, i int, from cell, at *place, out *Mapped) {
	r, field := &m.record, &f.fields[i]
	if i > 0 {
		r.answers = append(r.answers, study.FieldSeparator)
	}
	start := len(r.answers)
	switch {
	case from.failed:
		m.refuse(f, i, ruleExpr, at, out)
		return
	case from.text == nil:
		m.leave(f, i, from.reason, at, out)
		return
	}
	packed, invalid, finding := field.read(r.answers, from.text)
	if invalid != "" {
		r.answers = packed[:start]
		m.refuse(f, i, invalid, at, out)
		return
	}
	r.answers = packed
	value := packed[start:len(packed):len(packed)]
	if finding != "" {
		m.weigh(f, i, finding, at, out)
	}
	if !field.matches(value) {
		m.weigh(f, i, rulePattern, at, out)
	}
	if field.sealed {
		item := study.PrivateItem{Field: i, Text: string(value)}
		r.private = append(r.private, item)
		value = []byte(item.Text)
		r.answers = append(r.answers[:start], study.SealedMark...)
	}
	r.values = append(r.values, value)
}

// reasonInvalid is why a value is missing that is none of its type, where that
// does not reject the record.
const reasonInvalid = "invalid"

// refuse leaves field i without a value because what the source gives is none.
func (m *Mapper) refuse(f *formMap, i int, rule string, at *place, out *Mapped) {
	m.weigh(f, i, rule, at, out)
	m.record.miss(i, reasonInvalid)
}

// leave packs that the source gives no value of field i.
func (m *Mapper) leave(f *formMap, i int, reason string, at *place, out *Mapped) {
	m.record.miss(i, reason)
	switch field := &f.fields[i]; {
	case i == f.repeats:
		m.reject(f, field.field.Name, ruleRequired, at, out)
	case (reason == "" || reason == study.NotAsked) && field.field.Required:
		m.weigh(f, i, ruleRequired, at, out)
	}
}

// miss packs that field i has no value, and the reason if there is one.
func (r *record) miss(i int, reason string) {
	r.values = append(r.values, nil)
	r.answers = append(r.answers, study.MissingMark...)
	if reason != "" {
		r.missing = strconv.AppendInt(separate(r.missing), int64(i), 10)
		r.missing = append(append(r.missing, '='), reason...)
	}
}

// weigh does what field i says of a broken rule. The field that tells occurrences
// apart cannot be without its value.
func (m *Mapper) weigh(f *formMap, i int, rule string, at *place, out *Mapped) {
	field := &f.fields[i]
	severity := field.weight(rule)
	if i == f.repeats && !field.bears(rule) {
		severity = study.Reject
	}
	m.judge(f, field.field.Name, rule, severity, f.form.Name+"."+field.field.Name+":"+rule, at, out)
}

func separate(list []byte) []byte {
	if len(list) > 0 {
		list = append(list, ',')
	}
	return list
}

// judge rejects the record, or notes a finding of it: "name:rule", and
// "name:rule:note" where it only counts, under note.
func (m *Mapper) judge(f *formMap, name, rule string, severity study.Severity, note string, at *place, out *Mapped) {
	if severity == study.Reject {
		m.reject(f, name, rule, at, out)
		return
	}
	r := &m.record
	r.findings = append(separate(r.findings), name...)
	r.findings = append(append(r.findings, ':'), rule...)
	if severity == study.Note {
		r.findings = append(r.findings, ":note"...)
		if out.Notes == nil {
			out.Notes = map[string]int64{}
		}
		out.Notes[note]++
	}
}

// reject quarantines the record. The first rejection stands for the record in
// the counts, further ones say what else is wrong.
func (m *Mapper) reject(f *formMap, field, rule string, at *place, out *Mapped) {
	records := 1
	if m.record.rejected {
		records = 0
	}
	m.record.rejected = true
	out.Rejections = append(out.Rejections, study.Rejection{Ordinal: at.ordinal, Line: at.line, Site: at.site,
		Form: f.form.Name, Field: field, Rule: rule, Records: records, Raw: at.keep()})
}

// occurrenceOf is the source's own repeat, else the value of the field that tells
// occurrences apart, own, else "1". A repeat that is no plain code does not enter the research schema.
func (m *Mapper) occurrenceOf(f *formMap, row [][]byte, own []byte, at *place, out *Mapped) string {
	text := own
	switch {
	case f.occurrence.mapped:
		if text, _ = f.occurrence.take(row); text == nil {
			rule := ruleRequired
			if f.occurrence.failed() {
				rule = ruleExpr
			}
			m.reject(f, f.occurrence.name("occurrence"), rule, at, out)
			return ""
		}
	case f.repeats < 0:
		return "1"
	}
	m.record.key = appendCode(m.record.key[:0], text)
	return m.texts.intern(m.record.key)
}

// check runs the cross-field checks of a form over the record.
func (m *Mapper) check(f *formMap, at *place, out *Mapped) {
	for i := range f.checks {
		if c := &f.checks[i]; !m.checker.passes(c, f.form, m.record.values) {
			m.judge(f, c.name, ruleCheck, c.severity, f.form.Name+"."+c.name, at, out)
		}
	}
}
