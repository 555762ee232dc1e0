package fhir

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform/formattest"
)

// TestBehaviour runs the suite of all formats, for lines and for bundles.
func TestBehaviour(t *testing.T) {
	resources := []string{
		`{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/p"},"valueString":"` + formattest.Canary + `"}`,
		`{"valueQuantity":{"value":1.50e1,"code":"kg"},"id":"2","resourceType":"Observation"}`,
		`{"resourceType":"Observation","id":"3","subject":{"reference":"https://ehr.example/fhir/Patient/q"},"valueString":"a\nÅ"}`,
	}
	bad := []string{
		`{"resourceType":"Observation","id":"1","id":"` + formattest.Canary + `"}`,
		`{"resourceType":"Observation","id":"2"}`,
		`{"id":"` + formattest.Canary + `"}`,
		`{"resourceType":"Observation","valueCodeableConcept":{"coding":[{"code":"` + formattest.Canary + `"},{"code":"b"}]}}`,
		`{"resourceType":"Observation","valueRatio":{"numerator":{"value":1}}}`,
		"{\"resourceType\":\"Observation\",\"valueString\":\"" + formattest.Canary + "\\u0001\"}",
		`{"resourceType":"Bundle","entry":[]}`,
	}
	rules := []string{ruleTwice, "", ruleNoType, ruleCodings, ruleNotScalar, ruleControl, ruleBundle}
	s := formattest.Subject{
		Format: Format{},
		Spec:   study.FormatSpec{Type: "fhir", Columns: []string{"@id", "@patient", "value"}, Encoding: "auto", Header: true, DecimalMark: "."},
		Rows:   [][]string{{"1", "p", formattest.Canary}, {"2", formattest.Absent, "15.0"}, {"3", "q", "a\nÅ"}},
		Good: map[string][]byte{
			"plain": []byte(strings.Join(resources, "\n") + "\n"),
			"crlf":  []byte("\ufeff" + strings.Join(resources, "\r\n\r\n")),
		},
		Empty: []byte(""),
		Bad:   []byte(strings.Join(append(bad[:6:6], `{"id":"`+formattest.Canary), "\n")),
		Rules: append(rules[:6:6], ruleInvalid),
		Ends:  formattest.AtRows,
		Wrong: map[string][]study.FormatSpec{
			"encoding": {{Encoding: "utf-16"}}, "decimal_mark": {{DecimalMark: ","}}, "records": {{Records: "/data"}, {Records: "row"}},
		},
		Big:     func() io.Reader { return repeat("", bigResource, "\n", "") },
		BigRows: bigRows,
		Memory:  3 << 20,
	}
	s.Columns = s.Spec.Columns
	t.Run("lines", func(t *testing.T) { formattest.Run(t, s) })

	s.Good = map[string][]byte{"collection": bundleOf("\n ", resources...), "one line": bundleOf("", resources...),
		"type last": []byte(`{"entry":[{"resource":` + strings.Join(resources, `},{"resource":`) + `}],"resourceType":"Bundle"}`)}
	s.Empty, s.Bad, s.Rules = bundleOf("\n"), bundleOf("\n", bad...), rules
	s.Big = func() io.Reader {
		return repeat("{\"resourceType\":\"Bundle\",\n\"entry\":[", `{"resource":`+bigResource+"}", ",", `{"resource":`+bigResource+`}],"type":"collection"}`)
	}
	s.BigRows++
	t.Run("bundle", func(t *testing.T) { formattest.Run(t, s) })

	s.Spec.Columns = []string{"@id", "subject.getReferenceKey(Patient)", "(value | subject.resolve().id).first()"}
	s.Columns, s.Big = s.Spec.Columns, nil
	t.Run("bundle, references followed", func(t *testing.T) { formattest.Run(t, s) })
}

// bundleOf is a bundle of resources, with spaces between everything.
func bundleOf(space string, resources ...string) []byte {
	var b strings.Builder
	b.WriteString(`{` + space + `"resourceType":"Bundle",` + space + `"type":"searchset",` + space + `"entry":[`)
	for i, r := range resources {
		if i > 0 {
			b.WriteString("," + space)
		}
		b.WriteString(space + `{"resource":` + r + `,"search":{"mode":"match"}}`)
	}
	b.WriteString(`],` + space + `"link":[]` + space + `}` + space)
	return []byte(b.String())
}

const (
	bigRows     = 25_000
	bigResource = `{"resourceType":"Observation","id":"123456789","text":{"div":"<div>words that nobody reads</div>"},"subject":{"reference":"Patient/4711"},` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"some words"}]},"valueQuantity":{"value":120.5,"unit":"mmHg","code":"mm[Hg]"}}`
)

// repeat is a text, bigRows times, each with an end, which nobody holds in memory.
func repeat(before, text, end, after string) io.Reader {
	thousand := []byte(strings.Repeat(text+end, 1000))
	readers := []io.Reader{strings.NewReader(before)}
	for range bigRows / 1000 {
		readers = append(readers, bytes.NewReader(thousand))
	}
	return io.MultiReader(append(readers, strings.NewReader(after))...)
}
