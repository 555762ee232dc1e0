package transform

import (
	"slices"
	"strconv"
	"time"

	"longitude/study"
)

// Rules of rows: what they tell of participant, visit and dates cannot be read.
const (
	ruleParticipant = "participant_missing"
	ruleSite        = "site_invalid"
	ruleVisit       = "visit_missing"
	ruleVisitDay    = "visit_day_invalid"
	ruleModified    = "modified_invalid"
	ruleCheck       = "check"
)

// maxDay bounds days of a relative calendar: more is a misread column.
const maxDay = 100_000

// fault is why a row cannot be read, and at which column.
type fault struct{ rule, column string }

// told is what a row tells, whatever its forms.
type told struct {
	identity, site     string
	visit              study.VisitRef
	modified           time.Time
	entered, withdrawn study.Date
	reason, author     []byte
}

// tell reads the participant and the facts of a row; visits says whether it
// feeds a form that belongs to a visit.
func (m *Mapper) tell(row [][]byte, visits bool) (t told, wrong fault) {
	r := &m.row
	t.visit.Type, t.visit.Unsaid = -1, r.unsaid
	site, _ := r.site.take(row)
	if t.site = m.texts.intern(site, same); site != nil && !isCode(site, 32) {
		return told{}, fault{ruleSite, r.site.name("site")}
	}
	identity, _ := r.participant.take(row)
	if identity == nil {
		return t, fault{ruleParticipant, r.participant.name("participant")}
	}
	if m.identity != string(identity) { // rows of one participant mostly follow each other
		m.identity = string(identity)
	}
	t.identity = m.identity
	if text, _ := r.modified.take(row); text != nil {
		at, ok := r.modified.layout.instant(text, m.loc)
		if !ok {
			return t, fault{ruleModified, r.modified.name("modified")}
		}
		t.modified = at.Truncate(time.Microsecond)
	}
	var entered, withdrawn study.PartialDate
	if !m.day(&r.entered, row, &entered) {
		return t, fault{ruleDate, r.entered.name("entered")}
	}
	if !m.day(&r.withdrawn, row, &withdrawn) {
		return t, fault{ruleDate, r.withdrawn.name("withdrawal")}
	}
	t.entered, t.withdrawn = exact(entered), exact(withdrawn)
	t.author, _ = r.author.take(row)
	if visits {
		t.reason, _ = r.reason.take(row)
		t.visit.Reason = t.reason != nil
		wrong = m.visitOf(row, &t.visit)
	}
	return t, wrong
}

func exact(p study.PartialDate) study.Date {
	if !p.Exact() {
		return study.NoDate
	}
	return p.First()
}

// day reads the civil date that p gives; false when there is text that is none.
func (m *Mapper) day(p *pick, row [][]byte, to *study.PartialDate) bool {
	text, _ := p.take(row)
	if text == nil {
		return true
	}
	*to = p.days.intern(text, func(s string) study.PartialDate {
		d, _ := p.layout.day(s, m.loc)
		return d
	})
	return to.Known()
}

// visitOf reads which visit a row belongs to and when it was.
func (m *Mapper) visitOf(row [][]byte, v *study.VisitRef) fault {
	r := &m.row
	switch {
	case !m.day(&r.visitDate, row, &v.Actual):
		return fault{ruleDate, r.visitDate.name("visit_date")}
	case !m.day(&r.planned, row, &v.Planned):
		return fault{ruleDate, r.planned.name("planned_date")}
	case !m.day(&r.declared, row, &v.Declared):
		return fault{ruleDate, r.declared.name("baseline_date")}
	}
	if text, _ := r.visitDay.take(row); text != nil {
		day, err := strconv.Atoi(string(text))
		if err != nil || day < -maxDay || day > maxDay {
			return fault{ruleVisitDay, r.visitDay.name("visit_day")}
		}
		v.Actual = study.ExactDate(study.Date(day))
	}
	source, _ := r.visit.take(row)
	if source == nil || r.by == "date" {
		if !v.Actual.Known() {
			return fault{ruleVisit, r.visit.name("visit")}
		}
		v.Key = m.visitKey([]byte("d:"), v.Actual, true)
		return fault{}
	}
	if i, ok := r.types[string(source)]; ok {
		v.Key, v.Type = m.study.Visits[i].Name, i
		return fault{}
	}
	m.unnamed(source, v)
	return fault{}
}

// unnamed keys a visit that is no visit type by name. A number stands in the key
// as it is; any other text of the source does not enter the research schema.
func (m *Mapper) unnamed(source []byte, v *study.VisitRef) {
	key := m.record.key[:0]
	if m.row.by == "number" {
		number, _, _, ok := appendNumber(append(key, "n:"...), source, '.')
		if i, is := m.row.types[string(number[min(2, len(number)):])]; ok && is {
			v.Key, v.Type = m.study.Visits[i].Name, i
			return
		}
		if ok && len(number) <= 10 {
			key = number
		}
	}
	if len(key) == 0 {
		key = fingerprint(key, source)
	}
	v.Key = m.visitKey(append(key, '/'), v.Actual, v.Actual.Known())
}

// visitKey appends the visit's date, or day in a relative calendar, to key.
func (m *Mapper) visitKey(key []byte, on study.PartialDate, known bool) string {
	switch {
	case !known:
	case m.study.Relative:
		key = strconv.AppendInt(key, int64(on.First()), 10)
	default:
		key = append(key, on.String()...)
	}
	return m.texts.intern(key, same)
}

// record is the scratch of the record being built.
type record struct {
	answers, missing, findings, key []byte
	values                          [][]byte // packed value by field, nil = missing; before sealing
	private                         []study.PrivateItem
	rejected                        bool
}

// mapForm builds the record of one form from a row, or its rejections.
func (m *Mapper) mapForm(f *formMap, row [][]byte, t *told, at *place, out *Mapped) {
	out.Counts.Produced++
	r := &m.record
	*r = record{answers: r.answers[:0], missing: r.missing[:0], findings: r.findings[:0], key: r.key,
		values: r.values[:0], private: r.private[:0]}
	for i := range f.fields {
		if i > 0 {
			r.answers = append(r.answers, study.FieldSeparator)
		}
		m.mapField(f, i, row, at, out)
	}
	occurrence := m.occurrenceOf(f, row, at, out)
	if len(f.checks) > 0 && !r.rejected {
		m.check(f, at, out)
	}
	if r.rejected {
		out.Counts.Quarantined++
		return
	}
	d := study.Draft{Ordinal: at.ordinal, Line: at.line, Identity: t.identity, Site: t.site,
		Form: f.index, Occurrence: occurrence, Visit: study.VisitRef{Type: -1},
		Modified: t.modified, Entered: t.entered, Withdrawn: t.withdrawn, Consented: study.NoDate,
		Answers: string(r.answers), Missing: m.texts.intern(r.missing, same), Findings: m.texts.intern(r.findings, same)}
	if !f.form.Log {
		d.Visit = t.visit
		r.seal(study.PrivateReason, t.reason)
	}
	r.seal(study.PrivateAuthor, t.author)
	if len(r.private) > 0 {
		d.Private = slices.Clone(r.private)
	}
	if f.consent >= 0 {
		d.Consented, _ = study.ParseDate(string(r.values[f.consent]))
	}
	if m.keepRaw {
		d.Raw = at.keep()
	}
	out.Drafts = append(out.Drafts, d)
}

// seal sets text apart for the vault.
func (r *record) seal(field int, text []byte) {
	if text != nil {
		r.private = append(r.private, study.PrivateItem{Field: field, Text: string(text)})
	}
}

// mapField packs the value of field i, or why there is none.
func (m *Mapper) mapField(f *formMap, i int, row [][]byte, at *place, out *Mapped) {
	r, field := &m.record, &f.fields[i]
	text, reason := field.pick.take(row)
	if text == nil {
		r.values = append(r.values, nil)
		r.answers = append(r.answers, study.MissingMark...)
		switch {
		case i == f.repeats:
			m.reject(f, field.field.Name, ruleRequired, at, out)
		case reason != "":
			r.missing = strconv.AppendInt(separate(r.missing), int64(i), 10)
			r.missing = append(append(r.missing, '='), reason...)
		case field.field.Required:
			r.find(field.field.Name, ruleRequired)
		}
		return
	}
	start := len(r.answers)
	packed, reject, finding := field.read(r.answers, text)
	r.answers = packed
	value := packed[start:len(packed):len(packed)]
	if reject != "" {
		m.reject(f, field.field.Name, reject, at, out)
	}
	if finding != "" {
		r.find(field.field.Name, finding)
	}
	if field.sealed {
		item := study.PrivateItem{Field: i, Text: string(value)}
		r.private = append(r.private, item)
		value = []byte(item.Text)
		r.answers = append(r.answers[:start], study.SealedMark...)
	}
	r.values = append(r.values, value)
}

func separate(list []byte) []byte {
	if len(list) > 0 {
		list = append(list, ',')
	}
	return list
}

// find notes a finding of the record.
func (r *record) find(name, rule string) {
	r.findings = append(separate(r.findings), name...)
	r.findings = append(append(r.findings, ':'), rule...)
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

// occurrenceOf is the source's own repeat, else the repeats field's value, else
// "1". A repeat that is no plain code does not enter the research schema.
func (m *Mapper) occurrenceOf(f *formMap, row [][]byte, at *place, out *Mapped) string {
	var text []byte
	switch {
	case f.occurrence.mapped:
		if text, _ = f.occurrence.take(row); text == nil {
			m.reject(f, f.occurrence.name("occurrence"), ruleRequired, at, out)
			return ""
		}
	case f.repeats >= 0:
		text = m.record.values[f.repeats]
	default:
		return "1"
	}
	if !isCode(text, 40) {
		m.record.key = fingerprint(m.record.key[:0], text)
		text = m.record.key
	}
	return m.texts.intern(text, same)
}

// check runs the cross-field checks of a form over the record.
func (m *Mapper) check(f *formMap, at *place, out *Mapped) {
	for i := range f.checks {
		c := &f.checks[i]
		if m.checker.passes(c, f.form, m.record.values) {
			continue
		}
		switch c.severity {
		case study.Reject:
			m.reject(f, c.name, ruleCheck, at, out)
		case study.Note:
			if out.Notes == nil {
				out.Notes = map[string]int64{}
			}
			out.Notes[f.form.Name+"."+c.name]++
		default:
			m.record.find(c.name, ruleCheck)
		}
	}
}
