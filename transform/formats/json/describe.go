package json

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// shape is what a source says of the records of one of its lists: names and types,
// and nothing that a record says.
type shape struct {
	Stream  string   `json:"stream"`
	Format  string   `json:"format"`
	Records string   `json:"records"`
	Columns []column `json:"columns"`
	Hidden  int      `json:"hidden"`
}

type column struct {
	At    string   `json:"at"` // JSON pointer
	Types []string `json:"types"`
}

// who are names under which lists say whom a record is about, most telling first.
var who = []*regexp.Regexp{
	regexp.MustCompile(`(?i)(participant|subject|patient)[_-]?(id|code|number|no|key)?$`),
	regexp.MustCompile(`(?i)record[_-]?id$`),
	regexp.MustCompile(`(?i)id$`),
}

// Describe proposes a study with a log form for each list that a source tells the
// shape of. A shape says nothing of privacy, so no field has a class but those that
// look as if they were a person's: what has no class is never released.
func (f Format) Describe(_ context.Context, name string, metadata []study.Metadata) (*transform.Description, error) {
	var shapes []shape
	written := "json"
	if f.Lines {
		written = "ndjson"
	}
	for _, m := range metadata {
		var s shape
		if json.Unmarshal(m.Bytes, &s) != nil {
			return nil, &study.Error{Code: "json.shape", Op: "describing a source by what is not the shape of a list",
				Hint: "use the connector and the format that belong together"}
		}
		if len(s.Columns) > 0 && s.Format == written {
			shapes = append(shapes, s)
		}
	}
	if len(shapes) == 0 {
		return nil, errNothing
	}
	p := propose(name, shapes)
	if len(p.Forms) == 0 {
		return nil, errNothing
	}
	return p.Documents(), nil
}

var errNothing = &study.Error{Code: "json.no_shape", Op: "describing a source whose lists have no records",
	Hint: "a list without a record shows no columns: discover again once there is one"}

func propose(name string, shapes []shape) *transform.Proposal {
	p := &transform.Proposal{Study: name, Source: name + "-source", From: "the shape of its lists", Title: name, Version: "1",
		Advice: "Names and types are as one page had them.",
		Notes:  []string{"every field waits for its privacy class: without one it is never released", "say which column tells the visit and its date, and move the forms of visits under visits"}}
	settings := "{type: json, records: " + transform.QuoteYAML(shapes[0].Records) + "}"
	if shapes[0].Format == "ndjson" {
		settings = "{type: ndjson}"
	}
	p.Settings = []transform.Setting{{Key: "format", Value: settings}}
	whom := participant(shapes[0])
	p.Map = []transform.Setting{{Key: "participant", Value: "{column: " + transform.QuoteYAML(whom) + ", namespace: " + transform.QuoteYAML(name) + "}"}}
	forms := transform.Names{}
	for _, s := range shapes {
		if s.Records != shapes[0].Records {
			p.Notes = append(p.Notes, "lists whose records lie elsewhere in a page need a source of their own; they are left out here")
			continue
		}
		if f := form(s, forms.Give(s.Stream), whom); len(f.Fields) > 0 {
			p.Forms = append(p.Forms, f)
		}
		if s.Hidden > 0 {
			p.Notes = append(p.Notes, "columns whose names could be a person's are left out")
		}
	}
	if len(p.Forms) > 1 {
		p.Notes = append(p.Notes, "say with when which rows are of which form")
	}
	return p
}

// participant is the column that most likely says whom a record is about.
func participant(s shape) string {
	for _, likely := range who {
		for _, c := range s.Columns {
			if likely.MatchString(c.At) {
				return c.At
			}
		}
	}
	return s.Columns[0].At
}

func form(s shape, name, whom string) transform.ProposedForm {
	out := transform.ProposedForm{Name: name, Label: transform.Printable(s.Stream), Log: true}
	fields := transform.Names{}
	for _, c := range s.Columns {
		if c.At == whom || strings.Join(c.Types, "") == "list" {
			continue
		}
		kind, class := typeOf(c.Types), ""
		label := transform.Printable(strings.ReplaceAll(strings.Trim(c.At, "/"), "/", " "))
		if proposed := transform.ProposeClass("integer", false, label); proposed == "direct_identifier" {
			kind, class = "text", proposed
		}
		out.Fields = append(out.Fields, transform.ProposedField{Name: fields.Give(label), Label: label, Type: kind, Class: class, Column: c.At})
	}
	return out
}

// typeOf is the type of a field whose values had these types.
func typeOf(types []string) string {
	switch strings.Join(types, " ") {
	case "integer", "boolean", "date", "datetime":
		return types[0]
	case "decimal", "decimal integer":
		return "decimal(18,6)" // a shape does not tell how many decimals
	}
	return "text"
}
