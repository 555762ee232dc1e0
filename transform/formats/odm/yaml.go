package odm

import (
	"slices"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// proposal is what the metadata propose, to be written as documents.
func (m *model) proposal(name string) *transform.Proposal {
	records := byForm
	if m.byGroup {
		records = byGroup
	}
	p := &transform.Proposal{Study: name, Source: name + "-odm", From: "the metadata of an ODM file", Title: m.title, Version: m.metadata.at("OID"),
		Advice:   "Say which\n# item has the date of a visit (visit_date: {column: OID}): metadata do not say it.",
		Settings: []transform.Setting{{Key: "format", Value: "{type: odm, records: " + records + "}"}},
		Map: []transform.Setting{
			{Key: "participant", Value: `{column: "@SubjectKey", namespace: ` + transform.QuoteYAML(name) + "}"},
			{Key: "site", Value: `{column: "@LocationOID"}`}, {Key: "deleted", Value: `{column: "@Removed"}`}},
		Notes: m.notes}
	if len(m.visits) > 0 {
		var aliases []string
		for _, v := range m.visits {
			aliases = append(aliases, transform.QuoteYAML(v.def.at("OID"))+": "+v.name)
		}
		p.Map = append(p.Map, transform.Setting{Key: "visit", Value: `{column: "@StudyEventOID", by: name, aliases: {` + strings.Join(aliases, ", ") +
			"}, repeat: {expr: " + transform.QuoteYAML(`col("@StudyEventRepeatKey") ?? "1"`) + "}}"})
	}
	for i := range m.visits {
		p.Visits = append(p.Visits, m.proposedVisit(&m.visits[i]))
	}
	for _, f := range m.forms {
		p.Forms = append(p.Forms, m.proposedForm(f))
	}
	return p
}

// visited reports whether a form belongs to a visit, as far as there are any.
func (m *model) visited(f formModel) bool {
	return slices.ContainsFunc(m.visits, func(v visitModel) bool { return v.has(f) != "" })
}

// has is the OID by which a form belongs to the visit; "" if it does not.
func (v *visitModel) has(f formModel) string {
	for _, oid := range f.of {
		if slices.Contains(v.forms, oid) {
			return oid
		}
	}
	return ""
}

func (m *model) proposedVisit(v *visitModel) transform.ProposedVisit {
	out := transform.ProposedVisit{Name: v.name, Label: label(v.def), Timed: v.timed, Day: v.day, Before: v.before, After: v.after, Anchor: v.anchor,
		Repeats: v.def.at("Repeating") == yes, Optional: v.optional}
	for _, f := range m.forms {
		switch oid := v.has(f); {
		case oid == "":
		case v.required[oid]:
			out.Forms = append(out.Forms, transform.Setting{Key: f.name, Value: "required"})
		default:
			out.Forms = append(out.Forms, transform.Setting{Key: f.name, Value: "optional"})
		}
	}
	return out
}

func (m *model) proposedForm(f formModel) transform.ProposedForm {
	key := "@FormOID"
	if m.byGroup {
		key = "@ItemGroupOID"
	}
	out := transform.ProposedForm{Name: f.name, Label: f.label, Log: !m.visited(f), When: key, In: []string{f.oid}}
	if f.occurrence != "" {
		out.Occurrence = transform.Setting{Key: "column", Value: f.occurrence}
	}
	for _, field := range f.fields {
		out.Fields = append(out.Fields, m.proposedField(field))
	}
	return out
}

func (m *model) proposedField(f fieldModel) transform.ProposedField {
	kind := m.typeOf(f.item)
	out := transform.ProposedField{Name: f.name, Label: label(f.item), Type: kind, Range: limits(f.item, kind), Unit: m.unit(f.item),
		Required: f.required, Class: class(f.item, kind), Column: f.column}
	if kind == "choice" {
		out.Choices = m.choices(f.item)
	}
	if layout := layout(f.item); layout != "" && kind == "datetime" {
		if out.Format = layout; layout == surveyLayout {
			out.Missing = []study.ChoiceItem{{Code: surveyBegun, Label: "not_done"}}
		}
	}
	return out
}
