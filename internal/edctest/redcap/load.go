package redcap

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Folder loads a project of files: project.xml, and where they are there
// dictionary.csv, event.csv, arm.csv and data.csv, which then count instead.
func Folder(dir string) (*Project, error) {
	text, err := os.ReadFile(filepath.Join(dir, "project.xml"))
	if err != nil {
		return nil, err
	}
	p, records, err := XML(text)
	if err != nil {
		return nil, err
	}
	if rows, err := readCSV(filepath.Join(dir, "dictionary.csv")); err == nil {
		p.Fields = nil
		for _, row := range rows[1:] {
			var f Field
			for i, part := range f.parts() {
				*part = row[i]
			}
			p.Fields = append(p.Fields, f)
		}
	}
	if rows, err := readCSV(filepath.Join(dir, "event.csv")); err == nil {
		for _, row := range rows[1:] {
			id, _ := strconv.Atoi(row[4])
			for i := range p.Events {
				if p.Events[i].Unique == row[2] {
					p.Events[i].Name, p.Events[i].Label, p.Events[i].ID = row[0], row[3], id
				}
			}
		}
	}
	rows, err := readCSV(filepath.Join(dir, "data.csv"))
	if err != nil {
		for _, r := range records {
			p.Put(r.ID, r.Group, r.Row)
		}
		return p, nil // the data are in the XML
	}
	if len(rows) > 0 {
		p.load(rows[0], rows[1:])
	}
	return p, nil
}

func readCSV(file string) ([][]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.LazyQuotes = true
	return r.ReadAll()
}

// load puts rows of a flat export. A form whose status is 0 and that says nothing
// else was never opened: the export could not tell.
func (p *Project) load(header []string, rows [][]string) {
	for _, cells := range rows {
		row, id, group := Row{Values: map[string]string{}}, "", ""
		for i, name := range header {
			switch value := cells[i]; {
			case name == p.Fields[0].Name:
				id = value
			case name == eventColumn:
				row.Event = value
			case name == instrumentColumn:
				row.Instrument = value
			case name == instanceColumn:
				row.Instance, _ = strconv.Atoi(value)
			case name == groupColumn:
				group = value
			case name == identifierColumn, value == "", value == "0" && strings.Contains(name, "___"):
			default:
				row.Values[name] = value
			}
		}
		for _, f := range p.Forms {
			e := exporting{Project: p}
			if status := f.Name + "_complete"; row.Values[status] == "0" && !e.opened(f.Name, &row) {
				delete(row.Values, status)
			}
		}
		p.Put(id, group, row)
	}
}

// JSON loads a project kept as the answers of the API: projectInfo, metadata,
// instruments, records.
func JSON(text []byte) (*Project, error) {
	var doc struct {
		ProjectInfo struct {
			ID    int    `json:"project_id"`
			Title string `json:"project_title"`
		}
		Metadata    []map[string]any
		Instruments map[string]string
		Records     []map[string]any
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	p := &Project{ID: doc.ProjectInfo.ID, Title: doc.ProjectInfo.Title}
	for _, row := range doc.Metadata {
		var f Field
		for i, part := range f.parts() {
			*part = fmt.Sprint(row[dictionaryKeys[i]])
		}
		p.Fields = append(p.Fields, f)
		if !slices.ContainsFunc(p.Forms, func(form Form) bool { return form.Name == f.Form }) {
			p.Forms = append(p.Forms, Form{f.Form, doc.Instruments[f.Form]})
		}
	}
	for _, row := range doc.Records {
		header, cells := make([]string, 0, len(row)), make([]string, 0, len(row))
		for name, value := range row {
			header, cells = append(header, name), append(cells, fmt.Sprint(value))
		}
		p.load(header, [][]string{cells})
	}
	return p, nil
}

// Loaded is a row of a record out of a file.
type Loaded struct {
	ID, Group string
	Row
}

// odm is what is read of REDCap's ODM.
type odm struct {
	Study struct {
		Title   string `xml:"GlobalVariables>StudyName"`
		Codes   string `xml:"GlobalVariables>MissingDataCodes"`
		Timed   int    `xml:"GlobalVariables>SchedulingEnabled"`
		Surveys []struct {
			Form string `xml:"form_name,attr"`
		} `xml:"GlobalVariables>SurveysGroup>Surveys"`
		Groups []struct {
			Name string `xml:"group_name,attr"`
		} `xml:"GlobalVariables>DataAccessGroupsGroup>DataAccessGroups"`
		Instruments []odmRepeat `xml:"GlobalVariables>RepeatingInstrumentsAndEvents>RepeatingInstruments>RepeatingInstrument"`
		Whole       []odmRepeat `xml:"GlobalVariables>RepeatingInstrumentsAndEvents>RepeatingEvents>RepeatingEvent"`
		Metadata    struct {
			Events []odmEvent `xml:"StudyEventDef"`
			Forms  []struct {
				Name   string `xml:"FormName,attr"`
				Label  string `xml:"Name,attr"`
				Groups []struct {
					OID string `xml:"ItemGroupOID,attr"`
				} `xml:"ItemGroupRef"`
			} `xml:"FormDef"`
			Groups []struct {
				OID   string `xml:"OID,attr"`
				Items []struct {
					OID string `xml:"ItemOID,attr"`
				} `xml:"ItemRef"`
			} `xml:"ItemGroupDef"`
			Items []odmItem `xml:"ItemDef"`
			Lists []struct {
				OID   string `xml:"OID,attr"`
				Boxes string `xml:"CheckboxChoices,attr"`
				Items []struct {
					Code  string `xml:"CodedValue,attr"`
					Label string `xml:"Decode>TranslatedText"`
				} `xml:"CodeListItem"`
			} `xml:"CodeList"`
		} `xml:"MetaDataVersion"`
	}
	Subjects []odmSubject `xml:"ClinicalData>SubjectData"`
}

type odmRepeat struct {
	Event string `xml:"UniqueEventName,attr"`
	Form  string `xml:"RepeatInstrument,attr"`
	Label string `xml:"CustomLabel,attr"`
}

type odmEvent struct {
	Name    string `xml:"EventName,attr"`
	Unique  string `xml:"UniqueEventName,attr"`
	Arm     int    `xml:"ArmNum,attr"`
	ArmName string `xml:"ArmName,attr"`
	Day     int    `xml:"DayOffset,attr"`
	Min     int    `xml:"OffsetMin,attr"`
	Max     int    `xml:"OffsetMax,attr"`
	Forms   []struct {
		Name string `xml:"FormName,attr"`
	} `xml:"FormRef"`
}

type odmItem struct {
	OID        string `xml:"OID,attr"`
	Variable   string `xml:"Variable,attr"`
	Type       string `xml:"FieldType,attr"`
	Validation string `xml:"TextValidationType,attr"`
	Identifier string `xml:"Identifier,attr"`
	Required   string `xml:"RequiredField,attr"`
	Calc       string `xml:"Calculation,attr"`
	Label      string `xml:"Question>TranslatedText"`
	List       struct {
		OID string `xml:"CodeListOID,attr"`
	} `xml:"CodeListRef"`
}

type odmSubject struct {
	Key    string `xml:"SubjectKey,attr"`
	Events []struct {
		Event  string    `xml:"UniqueEventName,attr"`
		Repeat int       `xml:"StudyEventRepeatKey,attr"`
		Forms  []odmForm `xml:"FormData"`
	} `xml:"StudyEventData"`
	Forms []odmForm `xml:"FormData"`
}

type odmForm struct {
	OID    string `xml:"FormOID,attr"`
	Repeat int    `xml:"FormRepeatKey,attr"`
	Groups []struct {
		Items []struct {
			OID   string `xml:"ItemOID,attr"`
			Value string `xml:"Value,attr"`
		} `xml:"ItemData"`
		Files []struct {
			OID  string `xml:"ItemOID,attr"`
			Name string `xml:"DocName,attr"`
		} `xml:"ItemDataBase64Binary"`
	} `xml:"ItemGroupData"`
}

// XML reads a project as REDCap writes it in ODM, and the records in it, which are
// not put yet.
func XML(text []byte) (*Project, []Loaded, error) {
	var doc odm
	if err := xml.Unmarshal(text, &doc); err != nil {
		return nil, nil, err
	}
	s := &doc.Study
	p := &Project{ID: 1, Title: s.Title, MissingCodes: s.Codes, Scheduling: s.Timed == 1}
	for _, survey := range s.Surveys {
		p.Surveys = append(p.Surveys, survey.Form)
	}
	for i, g := range s.Groups {
		unique := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
				return r
			}
			return -1
		}, strings.ReplaceAll(strings.ToLower(g.Name), " ", "_"))
		p.Groups = append(p.Groups, Group{g.Name, unique, i + 1})
	}
	for i, e := range s.Metadata.Events {
		p.Events = append(p.Events, Event{Name: e.Name, Unique: e.Unique, Arm: e.Arm, ID: i + 1, DayOffset: e.Day, OffsetMin: e.Min, OffsetMax: e.Max})
		if !slices.ContainsFunc(p.Arms, func(a Arm) bool { return a.Num == e.Arm }) {
			p.Arms = append(p.Arms, Arm{e.Arm, e.ArmName})
		}
		for _, f := range e.Forms {
			p.Mappings = append(p.Mappings, Mapping{e.Arm, e.Unique, f.Name})
		}
	}
	for _, r := range slices.Concat(s.Instruments, s.Whole) {
		if len(p.Events) == 0 {
			r.Event = ""
		}
		p.Repeats = append(p.Repeats, Repeat(r))
	}
	p.dictionaryOf(&doc)
	return p, p.recordsOf(&doc), nil
}

// dictionaryOf makes the dictionary of the definitions of items.
func (p *Project) dictionaryOf(doc *odm) {
	m := &doc.Study.Metadata
	for _, form := range m.Forms {
		p.Forms = append(p.Forms, Form{form.Name, form.Label})
		for _, ref := range form.Groups {
			for _, g := range m.Groups {
				if g.OID != ref.OID {
					continue
				}
				for _, item := range g.Items {
					p.addField(form.Name, item.OID, doc)
				}
			}
		}
	}
}

func (p *Project) addField(form, oid string, doc *odm) {
	m := &doc.Study.Metadata
	i := slices.IndexFunc(m.Items, func(item odmItem) bool { return item.OID == oid })
	if i < 0 || m.Items[i].Type == "" || oid == form+"_complete" || p.field(m.Items[i].Variable) != nil {
		return
	}
	item := m.Items[i]
	f := Field{Name: item.Variable, Form: form, Type: item.Type, Label: item.Label, Validation: item.Validation, Identifier: item.Identifier, Required: item.Required}
	switch item.Type {
	case "textarea":
		f.Type = "notes"
	case "select":
		f.Type = "dropdown"
	case "calc":
		f.Choices = item.Calc
	}
	if f.Validation == "int" || f.Validation == "float" {
		f.Validation = map[string]string{"int": "integer", "float": "number"}[f.Validation]
	}
	for _, list := range m.Lists {
		if list.OID != item.List.OID || item.List.OID == "" || f.Type == "yesno" || f.Type == "truefalse" {
			continue
		}
		if f.Choices = list.Boxes; list.Boxes == "" {
			parts := make([]string, len(list.Items))
			for i, c := range list.Items {
				parts[i] = c.Code + ", " + c.Label
			}
			f.Choices = strings.Join(parts, " | ")
		}
	}
	p.Fields = append(p.Fields, f)
}

// recordsOf makes rows of the clinical data.
func (p *Project) recordsOf(doc *odm) (out []Loaded) {
	for _, s := range doc.Subjects {
		rows := map[string]*Loaded{}
		var order []string
		put := func(event string, repeat int, f odmForm) {
			form := strings.TrimPrefix(f.OID, "Form.")
			row := Row{Event: event, Values: map[string]string{}}
			switch {
			case p.repeats(event, form):
				row.Instrument, row.Instance = form, f.Repeat
			case p.repeats(event, ""):
				row.Instance = repeat
			}
			key := fmt.Sprint(row.Event, "/", row.Instrument, "/", row.Instance)
			if rows[key] == nil {
				rows[key] = &Loaded{ID: s.Key, Row: row}
				order = append(order, key)
			}
			to := rows[key]
			for _, g := range f.Groups {
				for _, item := range g.Items {
					switch {
					case item.OID == groupColumn:
						to.Group = item.Value
					case item.OID == p.Fields[0].Name, item.Value == "", item.Value == "0" && strings.Contains(item.OID, "___"):
					default:
						to.Values[item.OID] = p.exported(item.OID, item.Value)
					}
				}
				for _, file := range g.Files {
					to.Values[file.OID] = file.Name
				}
			}
		}
		for _, e := range s.Events {
			for _, f := range e.Forms {
				put(e.Event, e.Repeat, f)
			}
		}
		for _, f := range s.Forms {
			put("", 0, f)
		}
		for _, key := range order {
			out = append(out, *rows[key])
		}
	}
	return out
}

// exported is a value as the API writes it: ODM has a T between day and time.
func (p *Project) exported(name, value string) string {
	if f := p.field(name); f != nil && strings.HasPrefix(f.Validation, "datetime") {
		return strings.Replace(value, "T", " ", 1)
	}
	return value
}
