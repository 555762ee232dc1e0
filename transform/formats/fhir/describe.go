package fhir

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// questionnaire is what is read of a form's definition (R4 Questionnaire).
type questionnaire struct {
	ResourceType string
	ID           string
	URL          string
	Name         string
	Title        string
	Status       string
	Item         []question
	Entry        []struct{ Resource json.RawMessage }
}

// question is an item of a questionnaire, or a group of items.
type question struct {
	LinkID       string
	Text         string
	Type         string
	Required     bool
	Repeats      bool
	AnswerOption []struct {
		ValueCoding  *struct{ Code, Display string }
		ValueString  string
		ValueInteger *json.Number
	}
	Item []question
}

// fieldTypes are the types of items as types of fields; others are text.
var fieldTypes = map[string]string{"boolean": "boolean", "decimal": "decimal(18,6)", "integer": "integer", "date": "date", "dateTime": "datetime",
	"time": "time", "quantity": "decimal(18,6)", "attachment": "file"}

// Describe implements transform.Describer: each questionnaire is a form, each item
// that is answered a field. A server's other resources say nothing of a study.
func (Format) Describe(_ context.Context, name string, metadata []study.Metadata) (*transform.Description, error) {
	p := &transform.Proposal{Study: name, Source: name + "-fhir", From: "the questionnaires of a FHIR server", Title: name, Version: "1",
		Settings: []transform.Setting{{Key: "format", Value: "{type: fhir}"}},
		Map: []transform.Setting{{Key: "participant", Value: `{column: "@patient", namespace: ` + transform.QuoteYAML(name) + `}`},
			{Key: "visit", Value: "{by: date}"}, {Key: "visit_date", Value: "{column: authored}"},
			{Key: "modified", Value: "{column: meta.lastUpdated}"}, {Key: "deleted", Value: `{column: "@removed"}`}},
		Advice: "Map Observations and Encounters beside the\n# questionnaires: which there are, no metadata say."}
	d := describer{p: p, names: transform.Names{}}
	for _, part := range metadata {
		if part.Name != "Questionnaire" {
			continue
		}
		var q questionnaire
		if json.Unmarshal(part.Bytes, &q) != nil {
			return nil, &study.Error{Code: "fhir.metadata", Op: "reading the questionnaires of the server",
				Hint: "run discover again; if it keeps happening, ask whoever runs the server"}
		}
		d.add(q)
	}
	if len(p.Forms) == 0 {
		return nil, &study.Error{Code: "fhir.no_questionnaires", Op: "describing a server that shows no questionnaire with an item",
			Hint: "write the study by hand: of Observations and Encounters a server does not say which a study has; the page of the format shows how they are mapped"}
	}
	return p.Documents(), nil
}

// describer makes forms of questionnaires.
type describer struct {
	p     *transform.Proposal
	names transform.Names
}

// add proposes the form of a questionnaire, or of each in a bundle.
func (d *describer) add(q questionnaire) {
	for _, e := range q.Entry {
		var one questionnaire
		if json.Unmarshal(e.Resource, &one) == nil {
			one.Entry = nil
			d.add(one)
		}
	}
	key := q.ID
	if i := strings.LastIndexByte(q.URL, '/'); i >= 0 {
		key = q.URL[i+1:]
	}
	if q.ResourceType != "Questionnaire" || q.Status == "retired" || key == "" {
		return
	}
	f := transform.ProposedForm{Name: d.names.Give(q.Name, q.Title, key), Label: cmp.Or(transform.Printable(q.Title), transform.Printable(q.Name), key),
		When: "questionnaire.getReferenceKey()", In: []string{key}, Occurrence: transform.Setting{Key: "column", Value: colID}}
	d.fields(&f, q.Item, transform.Names{}, 0)
	if len(f.Fields) > 0 {
		d.p.Forms = append(d.p.Forms, f)
	}
}

// fields adds the items that are answered, and those inside of items.
func (d *describer) fields(f *transform.ProposedForm, items []question, taken transform.Names, depth int) {
	for _, q := range items {
		if q.Type == "display" || depth > maxDepth {
			continue
		}
		if q.Type != "group" {
			if strings.ContainsRune(q.LinkID, '\'') || q.LinkID == "" {
				d.p.Notes = append(d.p.Notes, fmt.Sprintf("an item of %s is left out: its link id cannot stand in a path", f.Name))
			} else {
				f.Fields = append(f.Fields, q.field(taken))
			}
		}
		if q.Type == "group" && q.Repeats {
			d.p.Notes = append(d.p.Notes, fmt.Sprintf("a group of %s repeats: its answers come joined, or as a long table with records: answer", f.Name))
		}
		d.fields(f, q.Item, taken, depth+1)
	}
}

func (q question) field(taken transform.Names) transform.ProposedField {
	f := transform.ProposedField{Name: taken.Give(q.LinkID, q.Text), Label: cmp.Or(transform.Printable(q.Text), transform.Printable(q.LinkID), "unnamed"),
		Type: cmp.Or(fieldTypes[q.Type], "text"), Required: q.Required, Choices: q.choices(),
		Column: "repeat(item | answer.item).where(linkId='" + q.LinkID + "').answer.value"}
	switch {
	case len(f.Choices) > 0 && q.Repeats:
		f.Type = "choices"
	case len(f.Choices) > 0:
		f.Type = "choice"
	case q.Repeats:
		f.Type = "text"
	}
	f.Class = transform.ProposeClass(f.Type, false, f.Name, q.Text)
	return f
}

// choices are the answers that an item offers, where each has a code of its own and
// no other can be given.
func (q question) choices() (all []study.ChoiceItem) {
	if q.Type == "open-choice" {
		return nil
	}
	for _, o := range q.AnswerOption {
		item := study.ChoiceItem{Code: o.ValueString, Label: o.ValueString}
		switch {
		case o.ValueCoding != nil:
			item = study.ChoiceItem{Code: o.ValueCoding.Code, Label: cmp.Or(o.ValueCoding.Display, o.ValueCoding.Code)}
		case o.ValueInteger != nil:
			item = study.ChoiceItem{Code: o.ValueInteger.String(), Label: o.ValueInteger.String()}
		}
		if item.Code == "" || strings.ContainsAny(item.Code, "|\n") || slices.ContainsFunc(all, func(i study.ChoiceItem) bool { return i.Code == item.Code }) {
			return nil
		}
		item.Label = cmp.Or(transform.Printable(item.Label), item.Code)
		all = append(all, item)
	}
	return all
}
