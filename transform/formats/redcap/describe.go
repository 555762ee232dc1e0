package redcap

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// model is a project as its metadata tell it.
type model struct {
	about     project
	fields    []field
	forms     []instrument
	exported  []exported
	events    []event
	mappings  []mapping
	repeats   []repeat
	groups    []struct{}
	surveys   []string
	missing   []study.ChoiceItem // code, reason
	formNames map[string]string  // instrument → form
	visits    map[string]string  // event → visit
	dateNames []string           // columns that say when a visit was
	notes     []string
}

type project struct {
	ID     json.Number `json:"project_id"`
	Title  string      `json:"project_title"`
	Codes  string      `json:"missing_data_codes"`
	Timing json.Number `json:"scheduling_enabled"`
}

type field struct {
	Name       string `json:"field_name"`
	Form       string `json:"form_name"`
	Type       string `json:"field_type"`
	Label      string `json:"field_label"`
	Choices    string `json:"select_choices_or_calculations"`
	Validation string `json:"text_validation_type_or_show_slider_number"`
	Min        string `json:"text_validation_min"`
	Max        string `json:"text_validation_max"`
	Identifier string `json:"identifier"`
	Branching  string `json:"branching_logic"`
	Required   string `json:"required_field"`
}

type instrument struct {
	Name  string `json:"instrument_name"`
	Label string `json:"instrument_label"`
}

type exported struct {
	Original string `json:"original_field_name"`
	Choice   string `json:"choice_value"`
	Export   string `json:"export_field_name"`
}

type event struct {
	Name   string      `json:"event_name"`
	Arm    json.Number `json:"arm_num"`
	Unique string      `json:"unique_event_name"`
	Day    json.Number `json:"day_offset"`
	Days   json.Number `json:"days_offset"`
	Min    json.Number `json:"offset_min"`
	Max    json.Number `json:"offset_max"`
}

type mapping struct {
	Event string `json:"unique_event_name"`
	Form  string `json:"form"`
}

type repeat struct {
	Event string `json:"event_name"`
	Form  string `json:"form_name"`
}

// definitions are what only the project's XML tells: offsets, which are there also
// where scheduling is off, and which forms are surveys.
type definitions struct {
	Surveys []struct {
		Form string `xml:"form_name,attr"`
	} `xml:"Study>GlobalVariables>SurveysGroup>Surveys"`
	Events []struct {
		Unique string `xml:"UniqueEventName,attr"`
		Day    string `xml:"DayOffset,attr"`
		Min    string `xml:"OffsetMin,attr"`
		Max    string `xml:"OffsetMax,attr"`
	} `xml:"Study>MetaDataVersion>StudyEventDef"`
}

// Describe implements transform.Describer.
func (Format) Describe(_ context.Context, name string, metadata []study.Metadata) (*transform.Description, error) {
	m := &model{formNames: map[string]string{}, visits: map[string]string{}}
	if err := m.read(metadata); err != nil {
		return nil, err
	}
	if len(m.fields) == 0 {
		return nil, &study.Error{Code: "redcap.no_fields", Op: "describing a project without a field",
			Hint: "define the project's fields, and have the user granted the right to export its forms"}
	}
	m.missing = missingCodes(m.about.Codes)
	p := &transform.Proposal{Study: name, Source: name + "-redcap", From: "the dictionary of a REDCap project",
		Title: cmp.Or(transform.Printable(m.about.Title), name), Version: "1",
		Settings: []transform.Setting{{Key: "format", Value: "{type: redcap}"}}}
	m.name()
	p.Visits, p.Forms = m.proposedVisits(), m.proposedForms()
	p.Map = m.rows(name)
	if len(m.visits) > 0 && len(m.dateNames) == 0 {
		p.Advice = "Say which\n# field has the date of a visit (visit_date: {column: FIELD}): REDCap has no place for it."
	}
	if m.about.ID != "" {
		m.note("the project is number %s: project_id: %s under connector refuses the token of another", m.about.ID, m.about.ID)
	}
	p.Notes = m.notes
	return p.Documents(), nil
}

func (m *model) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// read takes the parts of the metadata in, whatever their order.
func (m *model) read(metadata []study.Metadata) error {
	var about definitions
	into := map[string]any{"project": &m.about, "metadata": &m.fields, "instrument": &m.forms, "exportFieldNames": &m.exported, "event": &m.events,
		"formEventMapping": &m.mappings, "repeatingFormsEvents": &m.repeats, "dag": &m.groups}
	for _, part := range metadata {
		var err error
		switch to := into[part.Name]; {
		case part.Name == "project_xml":
			err = xml.Unmarshal(part.Bytes, &about)
		case to != nil:
			err = json.Unmarshal(part.Bytes, to)
		}
		if err != nil {
			return &study.Error{Code: "redcap.metadata", Op: "reading what REDCap says of the project as " + part.Name,
				Hint: "run discover again; if it keeps happening, please report it with the version of REDCap"}
		}
	}
	for _, survey := range about.Surveys {
		m.surveys = append(m.surveys, survey.Form)
	}
	for i := range m.events {
		e := &m.events[i]
		e.Day = cmp.Or(e.Day, e.Days)
		for _, told := range about.Events {
			if told.Unique == e.Unique {
				e.Day, e.Min, e.Max = cmp.Or(e.Day, json.Number(told.Day)), cmp.Or(e.Min, json.Number(told.Min)), cmp.Or(e.Max, json.Number(told.Max))
			}
		}
	}
	if len(m.forms) == 0 {
		for _, f := range m.fields {
			if !slices.ContainsFunc(m.forms, func(i instrument) bool { return i.Name == f.Form }) {
				m.forms = append(m.forms, instrument{f.Form, f.Form})
			}
		}
	}
	return nil
}

// name gives forms and visits their names in the study.
func (m *model) name() {
	forms, visits := transform.Names{}, transform.Names{}
	for _, f := range m.forms {
		m.formNames[f.Name] = forms.Give(f.Name, f.Label)
	}
	for _, e := range m.events {
		m.visits[e.Unique] = visits.Give(e.Unique, e.Name)
	}
}

// rows is what every row tells.
func (m *model) rows(name string) []transform.Setting {
	out := []transform.Setting{{Key: "participant", Value: fmt.Sprintf("{column: %s, namespace: %s}", transform.QuoteYAML(m.fields[0].Name), transform.QuoteYAML(name))}}
	if len(m.groups) > 0 {
		out = append(out, transform.Setting{Key: "site", Value: "{column: redcap_data_access_group}"})
	}
	if len(m.events) == 0 {
		return out
	}
	var aliases []string
	for _, e := range m.events {
		aliases = append(aliases, transform.QuoteYAML(e.Unique)+": "+m.visits[e.Unique])
	}
	visit := "{column: redcap_event_name, by: name, aliases: {" + strings.Join(aliases, ", ") + "}"
	if len(m.repeats) > 0 { // of rows of a form that repeats, the number is the form's
		visit += ", repeat: {expr: " + transform.QuoteYAML(`(col("redcap_repeat_instrument") ?? "") == "" ? col("redcap_repeat_instance") ?? "1" : "1"`) + "}"
	}
	out = append(out, transform.Setting{Key: "visit", Value: visit + "}"})
	if len(m.dateNames) > 0 {
		out = append(out, transform.Setting{Key: "visit_date", Value: "{" + m.visitDate() + "}"})
	}
	return out
}

// visitDate takes the date of a visit from the fields that are named for it.
func (m *model) visitDate() string {
	pick := "column: " + m.dateNames[0]
	if len(m.dateNames) > 1 {
		parts := make([]string, len(m.dateNames))
		for i, column := range m.dateNames {
			parts[i] = fmt.Sprintf("col(%q)", column)
		}
		pick = "expr: " + transform.QuoteYAML(strings.Join(parts, " ?? "))
	}
	var codes []string
	for _, c := range m.missing {
		codes = append(codes, transform.QuoteYAML(c.Code)+": "+c.Label)
	}
	if len(codes) > 0 {
		pick += ", missing: {" + strings.Join(codes, ", ") + "}"
	}
	return pick
}

// proposedVisits are the events with the days that the project gives them, counted
// from the first of each arm. REDCap keeps no anchor and enforces no window.
func (m *model) proposedVisits() (out []transform.ProposedVisit) {
	first, days := map[json.Number]string{}, map[json.Number]int64{}
	for _, e := range m.events {
		if day, err := e.Day.Int64(); err == nil && day != 0 {
			days[e.Arm] = 0 // the arm has offsets at all
		}
	}
	for _, e := range m.events {
		v := transform.ProposedVisit{Name: m.visits[e.Unique], Label: transform.Printable(cmp.Or(e.Name, e.Unique)),
			Repeats: slices.Contains(m.repeats, repeat{Event: e.Unique})}
		for _, f := range m.forms {
			if slices.Contains(m.mappings, mapping{e.Unique, f.Name}) {
				v.Forms = append(v.Forms, transform.Setting{Key: m.formNames[f.Name], Value: "optional"})
			}
		}
		day, err := e.Day.Int64()
		before, _ := e.Min.Int64()
		after, _ := e.Max.Int64()
		_, timed := days[e.Arm]
		switch start, known := first[e.Arm]; {
		case err != nil || !timed || v.Repeats:
		case !known:
			first[e.Arm], days[e.Arm] = v.Name, day
		default:
			v.Timed, v.Day, v.Anchor = true, int(day-days[e.Arm]), start
			v.Before, v.After = int(max(before, -before)), int(max(after, -after))
			if v.Open = before == 0 && after == 0; v.Open {
				m.note("event %s has no window in REDCap: it is never late until you write one", transform.Printable(e.Unique))
			}
		}
		out = append(out, v)
	}
	return out
}

// proposedForms are the instruments. A row feeds one where its status is not blank:
// it is blank where the form was never opened, or belongs to other rows.
func (m *model) proposedForms() (out []transform.ProposedForm) {
	for _, f := range m.forms {
		form := transform.ProposedForm{Name: m.formNames[f.Name], Label: label(cmp.Or(f.Label, f.Name)), When: f.Name + "_complete"}
		form.Log = !slices.ContainsFunc(m.mappings, func(of mapping) bool { return of.Form == f.Name })
		if slices.ContainsFunc(m.repeats, func(r repeat) bool { return r.Form == f.Name }) {
			form.Occurrence = transform.Setting{Key: "expr", Value: `col("redcap_repeat_instance") ?? "1"`}
		}
		form.Fields = m.proposedFields(f.Name, transform.Names{})
		out = append(out, form)
	}
	return out
}

var visitDate = regexp.MustCompile(`^(visit_?date|date_?(of_)?visit|visit_?dt|vis_?date|date_?vis)$`)

// proposedFields are the fields of an instrument, its survey's time and its status.
func (m *model) proposedFields(form string, taken transform.Names) (out []transform.ProposedField) {
	if slices.Contains(m.surveys, form) {
		out = append(out, transform.ProposedField{Name: taken.Give(form + "_timestamp"), Label: "Survey completed", Type: "datetime", Class: "date",
			Column: form + "_timestamp", Format: secondsLayout, Missing: []study.ChoiceItem{{Code: "[not completed]", Label: "not_done"}}})
	}
	for i, f := range m.fields {
		if f.Form != form || i == 0 || f.Type == "descriptive" {
			continue
		}
		if f.Type == "checkbox" {
			out = append(out, m.boxes(f, taken)...)
			continue
		}
		kind, layout := typeOf(f)
		field := transform.ProposedField{Name: taken.Give(f.Name), Label: label(f.Label), Type: kind, Format: layout,
			Required: f.Required == "y" && f.Branching == "", Column: f.Name, Class: class(f, kind)}
		if kind == "choice" {
			field.Choices = choices(f)
		}
		field.Range = transform.ProposeRange(kind, transform.Setting{Key: "ge", Value: f.Min}, transform.Setting{Key: "le", Value: f.Max})
		field.Missing = m.missingOf(field.Choices)
		if kind == "date" && len(m.mappings) > 0 && visitDate.MatchString(f.Name) {
			m.dateNames = append(m.dateNames, f.Name)
		}
		out = append(out, field)
	}
	return append(out, transform.ProposedField{Name: taken.Give(form + "_complete"), Label: "Status of the form", Type: "choice", Class: "clinical", Column: form + "_complete",
		Choices: []study.ChoiceItem{{Code: "0", Label: "Incomplete"}, {Code: "1", Label: "Unverified"}, {Code: "2", Label: "Complete"}}})
}

// boxes are the columns of a checkbox, which only the list of export names tells.
func (m *model) boxes(f field, taken transform.Names) (out []transform.ProposedField) {
	codes := codesOf(f.Choices)
	for _, e := range m.exported {
		if e.Original != f.Name {
			continue
		}
		says := e.Choice
		if i := slices.IndexFunc(codes, func(c study.ChoiceItem) bool { return c.Code == e.Choice }); i >= 0 {
			says = codes[i].Label
		}
		out = append(out, transform.ProposedField{Name: taken.Give(e.Export), Label: label(f.Label + ": " + says), Type: "boolean", Class: class(f, "boolean"), Column: e.Export})
	}
	return out
}

// missingOf are the codes of missing data, without those that a field has among its
// own choices.
func (m *model) missingOf(own []study.ChoiceItem) []study.ChoiceItem {
	return slices.DeleteFunc(slices.Clone(m.missing), func(c study.ChoiceItem) bool {
		return slices.ContainsFunc(own, func(o study.ChoiceItem) bool { return o.Code == c.Code })
	})
}
