package redcap

import (
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

const (
	eventColumn      = "redcap_event_name"
	instrumentColumn = "redcap_repeat_instrument"
	instanceColumn   = "redcap_repeat_instance"
	identifierColumn = "redcap_survey_identifier"
	groupColumn      = "redcap_data_access_group"
	stamp            = "2006-01-02 15:04:05"
)

// column is one column of the flat export.
type column struct {
	name   string
	form   string
	field  *Field // nil: status or survey timestamp
	choice string // of a checkbox
	status bool
}

// columns are those of the fields that the token may see.
func (p *Project) columns(a *Access, surveys bool) (out []column) {
	for _, form := range p.Forms {
		if slices.Contains(a.Hidden, form.Name) {
			continue
		}
		stamped := surveys && slices.Contains(p.Surveys, form.Name)
		for i := range p.Fields {
			f := &p.Fields[i]
			if f.Form != form.Name || f.Type == "descriptive" || i > 0 && a.Deidentified && f.tells() {
				continue
			}
			if stamped && i > 0 { // the identifier comes before it
				out, stamped = append(out, column{name: form.Name + "_timestamp", form: form.Name}), false
			}
			if f.Type == "checkbox" {
				out = p.boxes(f, out)
			} else {
				out = append(out, column{name: f.Name, form: form.Name, field: f})
			}
		}
		out = append(out, column{name: form.Name + "_complete", form: form.Name, status: true})
	}
	return out
}

func (p *Project) boxes(f *Field, out []column) []column {
	for _, c := range slices.Concat(codesOf(f.Choices), codesOf(p.MissingCodes)) {
		out = append(out, column{name: box(f.Name, c.code), form: f.Form, field: f, choice: c.code})
	}
	return out
}

// tells reports whether de-identified rights leave the field out.
func (f *Field) tells() bool {
	return f.Identifier == "y" || f.Type == "notes" || f.Type == "text" && f.Validation == "" || strings.HasPrefix(f.Validation, "date")
}

// recordsTable answers content=record.
func (s *Server) recordsTable(q query, a *Access) (*table, *refusal) {
	p := s.Project
	fields, forms, events, ids := q.list("fields"), q.list("forms"), q.list("events"), q.list("records")
	if no := p.unknown(fields, forms, events); no != nil {
		return nil, no
	}
	filter, ok := parseFilter(q.get("filterLogic"))
	if !ok {
		return nil, bad(`The filterLogic could not be parsed`)
	}
	all := p.columns(a, q.flag("exportSurveyFields"))
	chosen := slices.DeleteFunc(slices.Clone(all), func(c column) bool { return !c.wanted(fields, forms) })
	e := &exporting{Project: p, access: a, q: q, columns: chosen, filter: filter, events: events}
	e.keys = len(fields)+len(forms) == 0 || slices.ContainsFunc(chosen, func(c column) bool { return c.name == p.Fields[0].Name })
	since, until := p.moment(q.get("dateRangeBegin")), p.moment(q.get("dateRangeEnd"))
	if len(ids) > 0 {
		since, until = time.Time{}, time.Time{} // the two do not go together
	}
	var picked []*record
	for _, r := range p.sorted() {
		switch {
		case a.Group != "" && r.group != a.Group,
			len(ids) > 0 && !slices.Contains(ids, e.identity(r)),
			!since.IsZero() && !r.modified.After(since), !until.IsZero() && !r.modified.Before(until):
		default:
			picked = append(picked, r)
		}
	}
	if q.get("type") == "eav" {
		return e.eav(picked), nil
	}
	return e.flat(picked), nil
}

// wanted reports whether a column was asked for.
func (c column) wanted(fields, forms []string) bool {
	if len(fields)+len(forms) == 0 || slices.Contains(forms, c.form) {
		return true
	}
	if c.field != nil {
		return slices.Contains(fields, c.field.Name)
	}
	return slices.Contains(fields, c.name)
}

func (p *Project) unknown(fields, forms, events []string) *refusal {
	no := func(what string, asked []string, known func(string) bool) *refusal {
		var wrong []string
		for _, name := range asked {
			if !known(name) {
				wrong = append(wrong, "'"+name+"'")
			}
		}
		if len(wrong) == 0 {
			return nil
		}
		return bad("The following values in the parameter " + what + " are not valid: " + strings.Join(wrong, ", "))
	}
	form := func(name string) bool {
		return slices.ContainsFunc(p.Forms, func(f Form) bool { return f.Name == name })
	}
	for _, r := range []*refusal{
		no("fields", fields, func(name string) bool {
			return p.field(name) != nil || strings.HasSuffix(name, "_complete") && form(strings.TrimSuffix(name, "_complete"))
		}),
		no("forms", forms, form),
		no("events", events, func(name string) bool {
			return slices.ContainsFunc(p.Events, func(e Event) bool { return e.Unique == name })
		}),
	} {
		if r != nil {
			return r
		}
	}
	return nil
}

// moment is a time as parameters write it, in the server's zone.
func (p *Project) moment(text string) time.Time {
	at, err := time.ParseInLocation(stamp, text, p.zone())
	if err != nil {
		return time.Time{}
	}
	return at
}

// exporting is one export of records.
type exporting struct {
	*Project
	access  *Access
	q       query
	columns []column
	keys    bool // the identifier is among them, and with it event and instance
	filter  filter
	events  []string
}

// identity is what the token sees as the identifier of a record.
func (e *exporting) identity(r *record) string {
	if !e.access.Deidentified {
		return r.id
	}
	sum := md5.Sum([]byte("salt of the project" + r.id))
	return hex.EncodeToString(sum[:])
}

// rows are the rows of a record that pass event list and filter.
func (e *exporting) rows(r *record) (out []*Row) {
	for _, row := range e.ordered(r) {
		if len(e.events) > 0 && !slices.Contains(e.events, row.Event) {
			continue
		}
		if e.filter.passes(func(name string) string {
			if name == e.Fields[0].Name {
				return r.id
			}
			return row.Values[name]
		}) {
			out = append(out, row)
		}
	}
	return out
}

func (e *exporting) groups() bool {
	return len(e.Groups) > 0 && e.access.Group == "" && e.q.flag("exportDataAccessGroups")
}

func (e *exporting) flat(records []*record) *table {
	t := &table{root: "records"}
	id := e.Fields[0].Name
	if e.keys {
		t.columns = append(t.columns, id)
		if e.longitudinal() {
			t.columns = append(t.columns, eventColumn)
		}
		if len(e.Repeats) > 0 {
			t.columns = append(t.columns, instrumentColumn, instanceColumn)
		}
		if e.q.flag("exportSurveyFields") && len(e.Surveys) > 0 {
			t.columns = append(t.columns, identifierColumn)
		}
		if e.groups() {
			t.columns = append(t.columns, groupColumn)
		}
	}
	for _, c := range e.columns {
		if c.name != id {
			t.columns = append(t.columns, c.name)
		}
	}
	for _, r := range records {
		for _, row := range e.rows(r) {
			t.rows = append(t.rows, e.flatRow(r, row, len(t.columns)))
		}
	}
	return t
}

func (e *exporting) flatRow(r *record, row *Row, size int) []any {
	cells := make([]any, 0, size)
	if e.keys {
		cells = append(cells, e.identity(r))
		if e.longitudinal() {
			cells = append(cells, row.Event)
		}
		if len(e.Repeats) > 0 {
			cells = append(cells, row.Instrument, instance(row))
		}
		if e.q.flag("exportSurveyFields") && len(e.Surveys) > 0 {
			cells = append(cells, "")
		}
		if e.groups() {
			cells = append(cells, r.group)
		}
	}
	for _, c := range e.columns {
		if c.name != e.Fields[0].Name {
			cells = append(cells, e.cell(c, row))
		}
	}
	return cells
}

// instance is a number on rows that repeat, and text on others.
func instance(row *Row) any {
	if row.Instance == 0 {
		return ""
	}
	return row.Instance
}

// cell is the value of a column: an unchecked box is 0 where its form belongs, and a
// form that was never opened is 0 or blank as asked.
func (e *exporting) cell(c column, row *Row) string {
	value := row.Values[c.name]
	switch {
	case value != "":
		if c.field != nil && e.q.get("decimalCharacter") == "." && strings.Contains(c.field.Validation, "comma_decimal") {
			value = strings.Replace(value, ",", ".", 1)
		}
		return value
	case !e.belongs(c.form, row):
		return ""
	case c.choice != "":
		return "0"
	case c.status && (!e.q.flag("exportBlankForGrayFormStatus") || e.opened(c.form, row)):
		return "0"
	}
	return ""
}

// opened reports whether anything of the form was saved in the row.
func (e *exporting) opened(form string, row *Row) bool {
	for i := range e.Fields {
		f := &e.Fields[i]
		if f.Form != form {
			continue
		}
		if row.Values[f.Name] != "" {
			return true
		}
		for name := range row.Values {
			if strings.HasPrefix(name, f.Name+"___") {
				return true
			}
		}
	}
	return false
}

// eav lists values one by one, blank ones left out.
func (e *exporting) eav(records []*record) *table {
	t := &table{root: "records", columns: []string{"record"}}
	if e.longitudinal() {
		t.columns = append(t.columns, eventColumn)
	}
	if len(e.Repeats) > 0 {
		t.columns = append(t.columns, instrumentColumn, instanceColumn)
	}
	t.columns = append(t.columns, "field_name", "value")
	for _, r := range records {
		for _, row := range e.rows(r) {
			lead := []any{e.identity(r)}
			if e.longitudinal() {
				lead = append(lead, row.Event)
			}
			if len(e.Repeats) > 0 {
				lead = append(lead, row.Instrument, instance(row))
			}
			for _, c := range e.columns {
				name, value := c.name, e.cell(c, row)
				switch {
				case name == e.Fields[0].Name:
					value = e.identity(r)
				case c.choice != "" && value != "1":
					continue
				case c.choice != "":
					name, value = c.field.Name, c.choice
				}
				if value != "" {
					t.rows = append(t.rows, append(slices.Clone(lead), name, value))
				}
			}
		}
	}
	return t
}

// logTable answers content=log, newest first.
func (p *Project) logTable(q query, withRecord bool) *table {
	t := &table{root: "logs", columns: []string{"timestamp", "username", "action", "details"}, comma: true}
	if withRecord {
		t.columns = append(t.columns, "record")
	}
	minute := func(text string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04", text, p.zone())
		if err != nil {
			return time.Time{}
		}
		return at
	}
	begin, end := minute(q.get("beginTime")), minute(q.get("endTime"))
	kinds := map[string]string{"record_add": "create record", "record_edit": "update record", "record_delete": "delete record"}
	for _, e := range slices.Backward(p.log) {
		at := e.at.In(p.zone()).Truncate(time.Minute)
		if !begin.IsZero() && at.Before(begin) || !end.IsZero() && at.After(end) ||
			q.get("record") != "" && q.get("record") != e.ofRecord || !strings.HasPrefix(strings.ToLower(e.action), kinds[q.get("logtype")]) {
			continue
		}
		row := []any{at.Format("2006-01-02 15:04"), e.user, e.action, e.details}
		if withRecord {
			row = append(row, e.ofRecord)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// boolean is how flags of a project are written.
func boolean(b bool) int {
	return map[bool]int{true: 1}[b]
}
