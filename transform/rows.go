package transform

import (
	"bytes"
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
	ruleStatus      = "status_unknown"
	ruleCheck       = "check"
)

// maxDay bounds days of a relative calendar: more is a misread column.
const maxDay = 100_000

// fault is why a row cannot be read, and at which column.
type fault struct{ rule, column string }

// told is what a row tells, whatever its forms.
type told struct {
	identity, site               string
	visit                        study.VisitRef
	modified                     time.Time
	entered, withdrawn, statusOn study.Date
	status                       study.ParticipantStatus
	change                       study.ChangeReason
	removed                      bool
	reason, author, changeReason []byte
}

// statuses of participants, by what a recoded column says.
var statuses = map[string]study.ParticipantStatus{
	string(study.Screening): study.Screening, string(study.ScreenFailure): study.ScreenFailure, string(study.Enrolled): study.Enrolled,
	string(study.Finished): study.Finished, string(study.Withdrew): study.Withdrew, string(study.Lost): study.Lost, string(study.Died): study.Died,
}

// maxSite is the length of a site's code.
const maxSite = 32

// tell reads the participant and the facts of a row; visits says whether it
// feeds a form that belongs to a visit.
func (m *Mapper) tell(row [][]byte, visits bool, t *told) fault {
	r := &m.row
	*t = told{visit: study.VisitRef{Type: -1, Unsaid: r.unsaid}}
	site, _ := r.site.take(row)
	if string(site) != m.site {
		if site != nil && !isCode(site, maxSite) {
			return fault{ruleSite, r.site.name("site")}
		}
		m.site = string(site)
	}
	t.site = m.site
	if key := m.undecided(false); key != "" {
		return fault{ruleExpr, key}
	}
	identity, _ := r.participant.take(row)
	if identity == nil {
		return fault{ruleParticipant, r.participant.name("participant")}
	}
	if m.identity != string(identity) { // rows of one participant mostly follow each other
		m.identity = string(identity)
	}
	t.identity = m.identity
	if wrong := m.history(row, t); wrong.rule != "" || !visits {
		return wrong
	}
	t.reason, _ = r.reason.take(row)
	t.visit.Reason = t.reason != nil
	return m.visitOf(row, &t.visit)
}

// history reads when, by whom and why a row was changed, and where its
// participant stands.
func (m *Mapper) history(row [][]byte, t *told) fault {
	r := &m.row
	if text, _ := r.modified.take(row); text != nil {
		var ok bool
		if t.modified, ok = m.modifiedAt(text); !ok {
			return fault{ruleModified, r.modified.name("modified")}
		}
	}
	var entered, withdrawn, statusOn study.PartialDate
	switch {
	case !m.day(&r.entered, row, &entered):
		return fault{ruleDate, r.entered.name("entered")}
	case !m.day(&r.withdrawn, row, &withdrawn):
		return fault{ruleDate, r.withdrawn.name("withdrawal")}
	case !m.day(&r.statusOn, row, &statusOn):
		return fault{ruleDate, r.statusOn.name("status_date")}
	}
	t.entered, t.withdrawn, t.statusOn = exact(entered), exact(withdrawn), exact(statusOn)
	t.author, _ = r.author.take(row)
	if r.status.mapped {
		if text, _ := r.status.take(row); text != nil {
			status, ok := statuses[string(text)]
			if t.status = status; !ok {
				return fault{ruleStatus, r.status.name("status")}
			}
		}
	}
	if r.change.mapped {
		t.change = study.ChangeUnexplained
		if t.changeReason, _ = r.change.take(row); t.changeReason != nil {
			t.change = study.ChangeExplained
		}
	}
	if r.deleted.mapped {
		text, _ := r.deleted.take(row)
		t.removed = text != nil && (r.deletedValues == nil || r.deletedValues[string(text)])
	}
	return fault{}
}

// modifiedAt reads when a row was modified. What takes long to read is not read
// again for the next row.
func (m *Mapper) modifiedAt(text []byte) (time.Time, bool) {
	l, last := &m.row.modified.layout, &m.modified
	if l.text == "" {
		if at, ok := zulu(text); ok {
			return at, true
		}
	}
	if !bytes.Equal(text, last.text) {
		at, ok := l.instant(text, m.loc)
		*last = instant{append(last.text[:0], text...), at.Truncate(time.Microsecond), ok}
	}
	return last.at, last.ok
}

func exact(p study.PartialDate) study.Date {
	if !p.Exact() {
		return study.NoDate
	}
	return p.First()
}

// day reads the civil date that p gives; false when there is text that is none.
func (m *Mapper) day(p *pick, row [][]byte, to *study.PartialDate) bool {
	return !p.mapped || m.readDay(p, row, to)
}

func (m *Mapper) readDay(p *pick, row [][]byte, to *study.PartialDate) bool {
	text, _ := p.give(row)
	if text == nil {
		return true
	}
	if p.layout.iso {
		if d, ok := isoDay(text); ok {
			*to = study.ExactDate(d)
			return true
		}
	}
	*to = p.days.recall(text, func(s string) study.PartialDate {
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
		v.Key = m.visitKey([]byte("d:"), row, v.Actual)
		return fault{}
	}
	if i, ok := m.typeOf(source); ok {
		return m.named(i, row, v)
	}
	return m.unnamed(source, row, v)
}

// visitName is what a source calls a visit type.
type visitName struct {
	text  string
	index int
	after *visitName // what came after it the last time
}

// typeOf is the visit type that a text names. Rows come in order of visits, mostly,
// so what came after a name before is looked at first.
func (m *Mapper) typeOf(text []byte) (index int, ok bool) {
	if m.visit != nil {
		if next := m.visit.after; next != nil && next.text == string(text) {
			m.visit = next
			return next.index, true
		}
	}
	name, ok := m.row.types[string(text)]
	if !ok {
		return 0, false
	}
	if m.visit != nil {
		m.visit.after = name
	}
	m.visit = name
	return name.index, true
}

// named keys a visit of a type of the protocol: by the type's name, and where the
// type repeats by the source's repeat too, or else by date.
func (m *Mapper) named(i int, row [][]byte, v *study.VisitRef) fault {
	t := &m.study.Visits[i]
	v.Key, v.Type = t.Name, i
	if !t.Repeats {
		return fault{}
	}
	key := append(append(m.record.key[:0], t.Name...), '/')
	repeat, _ := m.row.repeat.take(row)
	switch {
	case repeat != nil:
		key = appendCode(key, repeat)
	case v.Actual.Known():
		key = m.appendDay(key, v.Actual)
	default:
		return fault{ruleVisit, m.row.repeat.name("visit.repeat")}
	}
	m.record.key, v.Key = key, m.texts.intern(key)
	return fault{}
}

// unnamed keys a visit that is no visit type by name: by the source's own event
// and repeat, so that a corrected date leaves it the visit it is; where the source
// has no repeat, by event and date, so that two unscheduled visits stay two. A
// number stands in the key as it is; any other text does not enter the research
// schema.
func (m *Mapper) unnamed(source []byte, row [][]byte, v *study.VisitRef) fault {
	key := m.record.key[:0]
	if m.row.by == "number" {
		number, _, _, ok := appendNumber(append(key, "n:"...), source, '.')
		if i, is := m.typeOf(number[min(2, len(number)):]); ok && is {
			return m.named(i, row, v)
		}
		if ok && len(number) <= 10 {
			key = number
		}
	}
	if len(key) == 0 {
		key = fingerprint(key, source)
	}
	if repeat, _ := m.row.repeat.take(row); repeat != nil {
		m.record.key = appendCode(append(key, '#'), repeat)
		v.Key = m.texts.intern(m.record.key)
		return fault{}
	}
	v.Key = m.visitKey(append(key, '/'), row, v.Actual)
	return fault{}
}

// visitKey appends to key the visit's date and what the source tells visits of
// one date apart by.
func (m *Mapper) visitKey(key []byte, row [][]byte, on study.PartialDate) string {
	if on.Known() {
		key = m.appendDay(key, on)
	}
	if m.row.repeat.mapped {
		if repeat, _ := m.row.repeat.take(row); repeat != nil {
			key = appendCode(append(key, '#'), repeat)
		}
	}
	return m.texts.intern(key)
}

// appendDay appends a date, or its day in a relative calendar.
func (m *Mapper) appendDay(key []byte, on study.PartialDate) []byte {
	if m.study.Relative {
		return strconv.AppendInt(key, int64(on.First()), 10)
	}
	return append(key, on.String()...)
}
