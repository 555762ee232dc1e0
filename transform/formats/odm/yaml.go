package odm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// The documents are written as text: what they hold is small and regular, and
// comments are a part of it.

// study is the study document.
func (m *model) study(name string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Proposed from the metadata of an ODM file. Review every class, and say who is\n# enrolled, where consent comes from and which windows hold.\nstudy: %s\ntitle: %s\n", quoted(name), quoted(m.title))
	version := m.metadata.at("OID")
	fmt.Fprintf(&b, "protocol: {id: %s, version: %s}\ntimezone: UTC\ndays: elapsed\nenrolment: first_seen\nconsent: external\n", quoted(m.title), quoted(version))
	for _, note := range m.notes {
		fmt.Fprintf(&b, "# %s\n", printable(note))
	}
	if len(m.visits) > 0 {
		b.WriteString("visits:\n")
	}
	for i := range m.visits {
		m.writeVisit(&b, &m.visits[i])
	}
	b.WriteString("forms:\n")
	for _, f := range m.forms {
		fmt.Fprintf(&b, "  %s:\n    label: %s\n", f.name, quoted(f.label))
		if !m.visited(f) {
			b.WriteString("    log: true\n")
		}
		b.WriteString("    fields:\n")
		for _, field := range f.fields {
			m.writeField(&b, field)
		}
	}
	return b.Bytes()
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

func (m *model) writeVisit(b *bytes.Buffer, v *visitModel) {
	fmt.Fprintf(b, "  - name: %s\n    label: %s\n", v.name, quoted(label(v.def)))
	if v.timed {
		fmt.Fprintf(b, "    day: %d\n    window: [%d, %d]\n    anchor: %s\n", v.day, -v.before, v.after, v.anchor)
	} else if v.def.at("Repeating") == yes {
		b.WriteString("    repeats: true\n")
	}
	if v.optional {
		b.WriteString("    required: false\n")
	}
	var forms []string
	for _, f := range m.forms {
		switch oid := v.has(f); {
		case oid == "":
		case v.required[oid]:
			forms = append(forms, f.name+": required")
		default:
			forms = append(forms, f.name+": optional")
		}
	}
	if len(forms) > 0 {
		fmt.Fprintf(b, "    forms: {%s}\n", strings.Join(forms, ", "))
	}
}

func (m *model) writeField(b *bytes.Buffer, f fieldModel) {
	kind := m.typeOf(f.item)
	fmt.Fprintf(b, "      - {name: %s, label: %s, type: %s", f.name, quoted(label(f.item)), quoted(kind))
	if kind == "choice" {
		var codes []string
		for _, c := range m.choices(f.item) {
			codes = append(codes, quoted(c.code)+": "+quoted(c.label))
		}
		fmt.Fprintf(b, ", choices: {%s}", strings.Join(codes, ", "))
	}
	if ends := limits(f.item, kind); ends != "" {
		fmt.Fprintf(b, ", range: {%s}", ends)
	}
	if unit := m.unit(f.item); unit != "" {
		fmt.Fprintf(b, ", unit: %s", quoted(unit))
	}
	if f.required {
		b.WriteString(", required: true")
	}
	fmt.Fprintf(b, ", class: %s}\n", class(f.item, kind))
}

// source is the source document.
func (m *model) source(name string) []byte {
	var b bytes.Buffer
	records, key := byForm, "@FormOID"
	if m.byGroup {
		records, key = byGroup, "@ItemGroupOID"
	}
	fmt.Fprintf(&b, "# Proposed from the metadata of an ODM file. Say where the files come from, and which\n# item has the date of a visit (visit_date: {column: OID}): metadata do not say it.\nsource: %s\nstudy: %s\n", quoted(name+"-odm"), quoted(name))
	fmt.Fprintf(&b, "connector: {type: folder, path: \"odm/*.xml\"}\nformat: {type: odm, records: %s}\nmap:\n", records)
	fmt.Fprintf(&b, "  participant: {column: \"@SubjectKey\", namespace: %s}\n  site: {column: \"@LocationOID\"}\n  deleted: {column: \"@Removed\"}\n", quoted(name))
	if len(m.visits) > 0 {
		var aliases []string
		for _, v := range m.visits {
			aliases = append(aliases, quoted(v.def.at("OID"))+": "+v.name)
		}
		fmt.Fprintf(&b, "  visit: {column: \"@StudyEventOID\", by: name, aliases: {%s}, repeat: {expr: %s}}\n", strings.Join(aliases, ", "), quoted(`col("@StudyEventRepeatKey") ?? "1"`))
	}
	b.WriteString("  forms:\n")
	for _, f := range m.forms {
		fmt.Fprintf(&b, "    %s:\n      when: {column: %s, in: [%s]}\n", f.name, quoted(key), quoted(f.oid))
		if f.occurrence != "" {
			fmt.Fprintf(&b, "      occurrence: {column: %s}\n", quoted(f.occurrence))
		}
		b.WriteString("      fields:\n")
		for _, field := range f.fields {
			fmt.Fprintf(&b, "        %s: {column: %s", field.name, quoted(field.column))
			if layout := layout(field.item); layout != "" && m.typeOf(field.item) == "datetime" {
				fmt.Fprintf(&b, ", format: %s", quoted(layout))
				if layout == surveyLayout {
					fmt.Fprintf(&b, ", missing: {%s: not_done}", quoted(surveyBegun))
				}
			}
			b.WriteString("}\n")
		}
	}
	return b.Bytes()
}

// quoted is text as a double-quoted scalar of YAML on one line.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"', r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String() + `"`
}

// printable is text for people: on one line, without what an editor would not show.
func printable(text string) string {
	shown := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(shown), " ")
}
