package redcap

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var dictionaryKeys = []string{"field_name", "form_name", "section_header", "field_type", "field_label", "select_choices_or_calculations",
	"field_note", "text_validation_type_or_show_slider_number", "text_validation_min", "text_validation_max", "identifier", "branching_logic",
	"required_field", "custom_alignment", "question_number", "matrix_group_name", "matrix_ranking", "field_annotation"}

// parts are the columns of a dictionary's row, in their order.
func (f *Field) parts() []*string {
	return []*string{&f.Name, &f.Form, &f.Section, &f.Type, &f.Label, &f.Choices, &f.Note, &f.Validation, &f.Min, &f.Max, &f.Identifier,
		&f.Branching, &f.Required, &f.Alignment, &f.Question, &f.Matrix, &f.Ranking, &f.Annotation}
}

// describe answers what a project says of itself.
func (s *Server) describe(content string, q query, a *Access) (*table, *refusal) {
	p := s.Project
	switch content {
	case "metadata":
		return p.dictionary(q, a)
	case "instrument":
		t := &table{root: "items", columns: []string{"instrument_name", "instrument_label"}}
		for _, f := range p.Forms {
			t.rows = append(t.rows, []any{f.Name, f.Label})
		}
		return t, nil
	case "exportFieldNames":
		return p.exportNames(q, a)
	case "arm", "event", "formEventMapping":
		return s.schedule(content, q)
	case "repeatingFormsEvents":
		return p.repeating()
	case "dag":
		t := &table{root: "dags", columns: []string{"data_access_group_name", "unique_group_name", "data_access_group_id"}}
		for _, g := range p.Groups {
			t.rows = append(t.rows, []any{g.Name, g.Unique, g.ID})
		}
		return t, nil
	case "user":
		return &table{root: "users", columns: []string{"username", "api_export", "logging", "data_access_group"},
			rows: [][]any{{"coordinator", 1, boolean(!a.NoLog), a.Group}}}, nil
	case "project":
		return s.project(), nil
	}
	return nil, bad(`The value of the parameter "content" is not valid`)
}

func (p *Project) dictionary(q query, a *Access) (*table, *refusal) {
	fields, forms := q.list("fields"), q.list("forms")
	if no := p.unknown(fields, forms, nil); no != nil {
		return nil, no
	}
	t := &table{root: "records", columns: dictionaryKeys}
	for i := range p.Fields {
		f := &p.Fields[i]
		if slices.Contains(a.Hidden, f.Form) || len(fields)+len(forms) > 0 && !slices.Contains(fields, f.Name) && !slices.Contains(forms, f.Form) {
			continue
		}
		row := make([]any, 0, len(dictionaryKeys))
		for _, part := range f.parts() {
			row = append(row, *part)
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

func (p *Project) exportNames(q query, a *Access) (*table, *refusal) {
	t := &table{root: "fields", columns: []string{"original_field_name", "choice_value", "export_field_name"}}
	asked := q.get("field")
	if asked != "" && p.field(asked) == nil {
		return nil, bad("The following values in the parameter fields are not valid: '" + asked + "'")
	}
	for _, c := range p.columns(a, false) {
		original := c.name
		if c.field != nil {
			if original = c.field.Name; c.field.Type == "file" {
				continue
			}
		}
		if asked == "" || asked == original {
			t.rows = append(t.rows, []any{original, c.choice, c.name})
		}
	}
	return t, nil
}

// schedule answers arms, events and which forms are expected at them.
func (s *Server) schedule(content string, q query) (*table, *refusal) {
	p := s.Project
	if !p.longitudinal() {
		return nil, bad("You cannot export " + map[string]string{"arm": "arms", "event": "events", "formEventMapping": "form/event mappings"}[content] + " for classic projects")
	}
	arms := q.list("arms")
	asked := func(arm int) bool { return len(arms) == 0 || slices.Contains(arms, strconv.Itoa(arm)) }
	switch content {
	case "arm":
		t := &table{root: "arms", columns: []string{"arm_num", "name"}}
		for _, arm := range p.Arms {
			if asked(arm.Num) {
				t.rows = append(t.rows, []any{arm.Num, arm.Name})
			}
		}
		return t, nil
	case "event":
		t := &table{root: "events", columns: []string{"event_name", "arm_num", "unique_event_name", "custom_event_label", "event_id"}}
		offsets := p.Scheduling && !s.NoOffsets
		if offsets {
			t.columns = append(t.columns, "day_offset", "offset_min", "offset_max")
		}
		for _, e := range p.Events {
			if !asked(e.Arm) {
				continue
			}
			row := []any{e.Name, e.Arm, e.Unique, e.Label, e.ID}
			if offsets {
				row = append(row, e.DayOffset, e.OffsetMin, e.OffsetMax)
			}
			t.rows = append(t.rows, row)
		}
		return t, nil
	}
	t := &table{root: "items", columns: []string{"arm_num", "unique_event_name", "form"}}
	for _, m := range p.Mappings {
		if asked(m.Arm) {
			t.rows = append(t.rows, []any{m.Arm, m.Event, m.Form})
		}
	}
	return t, nil
}

func (p *Project) repeating() (*table, *refusal) {
	if len(p.Repeats) == 0 {
		return nil, bad("You cannot export repeating instruments and events because the project does not contain any repeating instruments and events")
	}
	t := &table{root: "items", columns: []string{"form_name", "custom_form_label"}}
	if p.longitudinal() {
		t.columns = append([]string{"event_name"}, t.columns...)
	}
	for _, r := range p.Repeats {
		row := []any{r.Form, r.Label}
		if p.longitudinal() {
			row = append([]any{r.Event}, row...)
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

func (s *Server) project() *table {
	p := s.Project
	t := &table{root: "items", single: true, rows: [][]any{{}}}
	add := func(key string, value any) {
		t.columns, t.rows[0] = append(t.columns, key), append(t.rows[0], value)
	}
	add("project_id", p.ID)
	add("project_title", p.Title)
	add("creation_time", "2024-01-02 03:04:05")
	add("production_time", "")
	add("in_production", 0)
	add("project_language", "English")
	add("purpose", 2)
	add("purpose_other", "")
	add("project_notes", "")
	add("custom_record_label", "")
	add("secondary_unique_field", "")
	add("is_longitudinal", boolean(p.longitudinal()))
	add("has_repeating_instruments_or_events", boolean(len(p.Repeats) > 0))
	add("surveys_enabled", boolean(len(p.Surveys) > 0))
	add("scheduling_enabled", boolean(p.Scheduling))
	add("record_autonumbering_enabled", 0)
	add("randomization_enabled", 0)
	add("ddp_enabled", 0)
	if !s.NoCodes {
		add("missing_data_codes", p.MissingCodes)
	}
	add("external_modules", "")
	add("bypass_branching_erase_field_prompt", 0)
	return t
}

// metadataXML is the project as ODM without data: what the other contents do not
// tell, which are offsets and surveys, with the definitions around them.
func (p *Project) metadataXML(offsets bool) []byte {
	var b bytes.Buffer
	at := func(text string) string {
		var out bytes.Buffer
		_ = xml.EscapeText(&out, []byte(text)) // into memory: cannot fail
		return out.String()
	}
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8" ?>
<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:redcap="https://projectredcap.org" ODMVersion="1.3.1" FileOID="000-00-0000" FileType="Snapshot" SourceSystem="REDCap">
<Study OID="Project.%d">
<GlobalVariables>
	<StudyName>%s</StudyName>
	<redcap:SchedulingEnabled>%d</redcap:SchedulingEnabled>
	<redcap:MissingDataCodes>%s</redcap:MissingDataCodes>
`, p.ID, at(p.Title), boolean(p.Scheduling), at(p.MissingCodes))
	if len(p.Surveys) > 0 {
		b.WriteString("\t<redcap:SurveysGroup>\n")
		for _, form := range p.Surveys {
			fmt.Fprintf(&b, "\t\t<redcap:Surveys form_name=\"%s\"/>\n", at(form))
		}
		b.WriteString("\t</redcap:SurveysGroup>\n")
	}
	fmt.Fprintf(&b, "</GlobalVariables>\n<MetaDataVersion OID=\"Metadata.%d\" Name=\"%s\" redcap:RecordIdField=\"%s\">\n", p.ID, at(p.Title), p.Fields[0].Name)
	for _, e := range p.Events {
		fmt.Fprintf(&b, `	<StudyEventDef OID="Event.%s" Name="%s" Type="Common" Repeating="No" redcap:EventName="%s" redcap:UniqueEventName="%s" redcap:ArmNum="%d"`,
			e.Unique, at(e.Name), at(e.Name), e.Unique, e.Arm)
		if offsets {
			fmt.Fprintf(&b, ` redcap:DayOffset="%d" redcap:OffsetMin="%d" redcap:OffsetMax="%d"`, e.DayOffset, e.OffsetMin, e.OffsetMax)
		}
		b.WriteString(">\n")
		for _, m := range p.Mappings {
			if m.Event == e.Unique {
				fmt.Fprintf(&b, "\t\t<FormRef FormOID=\"Form.%s\" Mandatory=\"No\" redcap:FormName=\"%s\"/>\n", m.Form, m.Form)
			}
		}
		b.WriteString("\t</StudyEventDef>\n")
	}
	for _, f := range p.Forms {
		fmt.Fprintf(&b, "\t<FormDef OID=\"Form.%s\" Name=\"%s\" Repeating=\"No\" redcap:FormName=\"%s\"/>\n", f.Name, at(f.Label), f.Name)
	}
	for i := range p.Fields {
		f := &p.Fields[i]
		fmt.Fprintf(&b, "\t<ItemDef OID=\"%s\" Name=\"%s\" DataType=\"text\" redcap:Variable=\"%s\" redcap:FieldType=\"%s\"><Question><TranslatedText>%s</TranslatedText></Question></ItemDef>\n",
			f.Name, f.Name, f.Name, at(f.Type), at(strings.TrimSpace(f.Label)))
	}
	b.WriteString("</MetaDataVersion>\n</Study>\n</ODM>")
	return b.Bytes()
}
