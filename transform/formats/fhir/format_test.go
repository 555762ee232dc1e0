package fhir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// decode reads an object: a line for each row, its cells between bars, ∅ where there
// is none, or the rule it breaks after an exclamation mark.
func decode(t *testing.T, spec study.FormatSpec, object []byte) (rows []string, unasked []string, err error) {
	t.Helper()
	spec.Type = "fhir"
	for batch, err := range (Format{}).Decode(context.Background(), spec, bytes.NewReader(object)) {
		if err != nil {
			return rows, unasked, err
		}
		broken := map[int]string{}
		for _, b := range batch.Broken {
			broken[b.Row] = b.Rule
		}
		for i := range batch.Len() {
			if broken[i] != "" {
				rows = append(rows, "!"+broken[i])
				continue
			}
			var cells []string
			for _, cell := range batch.Row(i) {
				if cell == nil {
					cells = append(cells, "∅")
				} else {
					cells = append(cells, string(cell))
				}
			}
			rows = append(rows, strings.Join(cells, " · "))
		}
		unasked = batch.Unasked
	}
	return rows, unasked, nil
}

const pressure = `{"resourceType":"Observation","id":"bp","status":"final","subject":{"reference":"Patient/7/_history/2"},
"encounter":{"reference":"https://ehr.example/fhir/Encounter/e1"},
"code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},"effectiveDateTime":"2026-01-05T09:30:00+01:00",
"component":[
{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"},{"system":"urn:site","code":"SYS"}]},"valueQuantity":{"value":121.0,"unit":"mmHg","code":"mm[Hg]"}},
{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"dataAbsentReason":{"coding":[{"code":"not-performed"}]}}]}`

const person = `{"resourceType":"Patient","id":"7","birthDate":"1950-08","_gender":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"asked-declined"}]},
"text":{"status":"generated","div":"<div>narrative</div>"},
"extension":[{"url":"urn:sex","valueCode":"F"},{"url":"urn:race","extension":[{"url":"detailed","valueCoding":{"system":"urn:cdc","code":"2106-3"}}]}],
"identifier":[{"system":"urn:mrn","value":"M-1"},{"system":"urn:study","use":"official","value":"S-1"}],
"name":[{"family":"A","given":["B","C"]},{"family":"D"}],"deceasedBoolean":false,"multipleBirthInteger":1.0e1,
"contact":[{"name":{"family":"E"}}]}`

const answers = `{"resourceType":"QuestionnaireResponse","id":"q","questionnaire":"http://site.example/Questionnaire/vision|2.0","authored":"2026-01",
"item":[{"linkId":"1","item":[{"linkId":"1.1","answer":[{"valueInteger":70,"item":[{"linkId":"1.1.1","answer":[{"valueString":"why"}]}]}]},{"linkId":"1.2","text":"not answered"}]},
{"linkId":"2","answer":[{"valueCoding":{"code":"a"}},{"valueCoding":{"code":"b"}}]}]}`

// What a column says of one resource.
func TestColumns(t *testing.T) {
	for _, c := range []struct{ resource, column, want string }{
		{pressure, "@type", "Observation"},
		{pressure, "@id", "bp"},
		{pressure, "@patient", "7"},
		{pressure, "@encounter", "e1"},
		{pressure, "@removed", "∅"},
		{`{"resourceType":"Observation","status":"entered-in-error"}`, "@removed", "Yes"},
		{pressure, "status", "final"},
		{pressure, "Observation.status", "final"},
		{pressure, "Patient.status", "∅"},
		{pressure, "effective", "2026-01-05T09:30:00+01:00"},
		{pressure, "effectiveDateTime", "2026-01-05T09:30:00+01:00"},
		{pressure, "effective.ofType(dateTime)", "2026-01-05T09:30:00+01:00"},
		{pressure, "effective.ofType(Period).start", "∅"},
		{pressure, "code", "85354-9"},
		{pressure, "component.code", "!fhir_codings"},
		{pressure, "component.code.coding.where(system='http://loinc.org').code", "8480-6|8462-4"},
		{pressure, "component.code.coding.where(system='http://loinc.org').code.first()", "8480-6"},
		{pressure, "component.code.coding.where(system='http://loinc.org').code[1]", "8462-4"},
		{pressure, "component.code.coding.where(system='http://loinc.org').code[2]", "∅"},
		{pressure, "component.where(code.coding.code='8480-6').value", "121.0"},
		{pressure, "component.where(code.coding.code='SYS').value.ofType(Quantity).where(code='mm[Hg]').value", "121.0"},
		{pressure, "component.where(code.coding.code='SYS').value.ofType(Quantity).where(code='kPa').value", "∅"},
		{pressure, "component.where(code.coding.code='8462-4').value", "absent:not-performed"},
		{pressure, "component.where(code.coding.code='8462-4').value.ofType(Quantity).where(code='mm[Hg]').value", "absent:not-performed"},
		{pressure, "component.value", "121.0"},
		{pressure, "component", "!fhir_not_scalar"},
		{pressure, "subject", "7"},
		{pressure, "subject.reference", "Patient/7/_history/2"},
		{pressure, "subject.getReferenceKey(Group)", "∅"},
		{pressure, "nothing", "∅"},
		{pressure, "@code", "∅"},
		{person, "@patient", "7"},
		{person, "getResourceKey()", "7"},
		{person, "birthDate", "1950-08"},
		{person, "gender", "absent:asked-declined"},
		{person, "extension('urn:sex').value", "F"},
		{person, "extension('urn:race').extension('detailed').value.code", "2106-3"},
		{person, "extension('urn:race').extension('detailed').value", "2106-3"},
		{person, "identifier.where(system='urn:study').value", "S-1"},
		{person, "identifier.where(system='urn:study' and use='official')", "S-1"},
		{person, "identifier.where(system='urn:study' and use='usual')", "∅"},
		{person, "name.given", "B|C"},
		{person, "name[1].family", "D"},
		{person, "(name.family | contact.name.family)", "A|D|E"},
		{person, "(nothing | name.family).first()", "A"},
		{person, "name.first().given.first() | contact.name.family", "B|E"},
		{person, "name", "!fhir_not_scalar"},
		{person, "text.status", "generated"},
		{person, "deceased", "false"},
		{person, "multipleBirth", "10"},
		{person, "where(deceased=false).birthDate", "1950-08"},
		{person, "name.given.where($this='C')", "C"},
		{answers, "questionnaire", "http://site.example/Questionnaire/vision|2.0"},
		{answers, "questionnaire.getReferenceKey()", "vision"},
		{answers, "repeat(item | answer.item).where(linkId='1.1.1').answer.value", "why"},
		{answers, "repeat(item).where(linkId='1.1').answer.value", "70"},
		{answers, "repeat(item).where(linkId='1.1.1').answer.value", "∅"},
		{answers, "item.where(linkId='2').answer.value", "a|b"},
		{`{"resourceType":"Observation","valueQuantity":{"value":5,"comparator":"<","unit":"g"}}`, "value", "<5"},
		{`{"resourceType":"Observation","valuePeriod":{"start":"2026","end":"2027"}}`, "value", "2026"},
		{`{"resourceType":"Observation","valueRatio":{"numerator":{"value":5}}}`, "value", "!fhir_not_scalar"},
		{`{"resourceType":"Observation","valueCodeableConcept":{"text":"words"}}`, "value", "words"},
		{`{"resourceType":"Observation","valueCodeableConcept":{"coding":[{"code":"a"},{"code":"b","userSelected":true}]}}`, "value", "b"},
		{`{"resourceType":"Observation","category":["a|b","c"]}`, "category", "!fhir_value_bar"},
		{`{"resourceType":"Observation","category":["a|b"]}`, "category", "a|b"},
		{`{"resourceType":"Observation","valueDecimal":1e500}`, "value", "!number_invalid"},
		{`{"resourceType":"Observation","valueDecimal":-1.50E-2}`, "value", "-0.0150"},
		{`{"resourceType":"Observation","valueSet":"x","valueString":"y"}`, "value", "y"},
		{`{"resourceType":"Observation","valueString":"\u00c5 \"x\""}`, "value", `Å "x"`},
		{`{"resourceType":"AdverseEvent","contained":[{"resourceType":"Condition","id":"c","onsetString":"x"}],"resultingCondition":[{"reference":"#c"}]}`, "resultingCondition.resolve().onset", "x"},
		{`{"resourceType":"ResearchSubject","individual":{"reference":"urn:uuid:ab-1"}}`, "@patient", "ab-1"},
		{`{"resourceType":"ResearchSubject","individual":{"reference":"Patient?identifier=urn:mrn|1"}}`, "@patient", "∅"},
		{`{"resourceType":"Consent","patient":{"reference":"Patient/9"}}`, "@patient", "9"},
	} {
		object := []byte(strings.ReplaceAll(c.resource, "\n", ""))
		rows, _, err := decode(t, study.FormatSpec{Columns: []string{c.column}}, object)
		if err != nil || len(rows) != 1 || rows[0] != c.want {
			t.Errorf("%s of %.40s: %q, %v; want %q", c.column, c.resource, rows, err, c.want)
		}
		rows, _, err = decode(t, study.FormatSpec{Columns: []string{c.column}}, []byte("{\n"+c.resource[1:]))
		if err != nil || len(rows) != 1 || rows[0] != c.want {
			t.Errorf("%s of %.40s over several lines: %q, %v; want %q", c.column, c.resource, rows, err, c.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	spec := study.FormatSpec{Records: "answer", Columns: []string{"@id", "@code", "@value", "@unit", "%answer.linkId"}}
	simple := `{"resourceType":"Observation","id":"w","code":{"coding":[{"code":"w"}]},"valueQuantity":{"value":70,"unit":"kg"}}`
	whole := strings.Replace(strings.ReplaceAll(pressure, `,{"system":"urn:site","code":"SYS"}`, ""), `"component"`, `"valueBoolean":true,"component"`, 1)
	object := bundleOf("\n", simple, pressure, whole, answers, person)
	rows, _, err := decode(t, spec, object)
	want := []string{
		"w · |w · 70 · kg · ∅",
		"!fhir_codings", "bp · http://loinc.org|8462-4 · absent:not-performed · ∅ · ∅",
		"bp · http://loinc.org|85354-9 · true · ∅ · ∅", "bp · http://loinc.org|8480-6 · 121.0 · mm[Hg] · ∅", "bp · http://loinc.org|8462-4 · absent:not-performed · ∅ · ∅",
		"q · 1.1 · 70 · ∅ · 1.1", "q · 1.1.1 · why · ∅ · 1.1.1", "q · 2 · a|b · ∅ · 2",
		"7 · ∅ · ∅ · ∅ · ∅",
	}
	if err != nil || !slices.Equal(rows, want) {
		t.Errorf("%v\n%s\nwant\n%s", err, strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}

// References are followed to what stands before and behind them, in the same bundle only.
func TestReferences(t *testing.T) {
	bundle := `{"resourceType":"Bundle","type":"transaction","entry":[
{"fullUrl":"urn:uuid:o","resource":{"resourceType":"Observation","encounter":{"reference":"urn:uuid:e"}}},
{"resource":{"resourceType":"Observation","id":"2","encounter":{"reference":"Encounter/e2/_history/1"}}},
{"resource":{"resourceType":"Observation","id":"3","encounter":{"reference":"Encounter/gone"}}},
{"resource":{"resourceType":"Observation","id":"4","encounter":{"reference":"Encounter/both"}}},
{"resource":{"resourceType":"Observation","id":"5","encounter":{"reference":"https://other.example/Encounter/e2"}}},
{"resource":{"resourceType":"Observation","id":"6","instantiatesCanonical":"urn:plan|1"}},
{"fullUrl":"urn:uuid:e","resource":{"resourceType":"Encounter","id":"temporary","period":{"start":"2026-01-01"},"basedOn":[{"reference":"ServiceRequest/s"}]}},
{"resource":{"resourceType":"Encounter","id":"e2","period":{"start":"2026-01-02"}}},
{"resource":{"resourceType":"Encounter","id":"both","period":{"start":"2026-01-03"}}},
{"resource":{"resourceType":"Encounter","id":"both","period":{"start":"2026-01-04"}}},
{"resource":{"resourceType":"ServiceRequest","id":"s","identifier":[{"value":"V1"}]}},
{"resource":{"resourceType":"PlanDefinition","id":"p","url":"urn:plan","status":"active"}}]}`
	spec := study.FormatSpec{Columns: []string{"@id", "@encounter", "(Encounter.period.start | encounter.resolve().period.start).first()",
		"(encounter.resolve() | Encounter.where(status='x')).basedOn.resolve().identifier.value", "instantiatesCanonical.resolve().status"}}
	want := []string{"o · e · 2026-01-01 · V1 · ∅", "2 · e2 · 2026-01-02 · ∅ · ∅", "3 · gone · ∅ · ∅ · ∅", "!fhir_reference_twice", "5 · e2 · ∅ · ∅ · ∅", "6 · ∅ · ∅ · ∅ · active",
		"e · e · 2026-01-01 · ∅ · ∅", "e2 · e2 · 2026-01-02 · ∅ · ∅", "both · both · 2026-01-03 · ∅ · ∅", "both · both · 2026-01-04 · ∅ · ∅", "s · ∅ · ∅ · ∅ · ∅", "p · ∅ · ∅ · ∅ · ∅"}
	alone := "3 · gone · ∅ · ∅ · ∅"
	for name, object := range map[string]string{
		"a document": bundle, "a line": strings.ReplaceAll(bundle, "\n", ""),
	} {
		rows, _, err := decode(t, spec, []byte(object))
		if err != nil || !slices.Equal(rows, want) {
			t.Errorf("%s: %v\n%s", name, err, strings.Join(rows, "\n"))
		}
	}
	line := strings.ReplaceAll(bundle, "\n", "")
	other := `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","id":"3","encounter":{"reference":"Encounter/gone"}}}]}`
	rows, _, err := decode(t, spec, []byte(other+"\n"+line+"\n"+`{"resourceType":"Encounter","id":"gone"}`+"\n"+other))
	if err != nil || !slices.Equal(rows, slices.Concat([]string{alone}, want, []string{"gone · gone · ∅ · ∅ · ∅", alone})) {
		t.Errorf("bundles and resources in lines: %v\n%s", err, strings.Join(rows, "\n"))
	}
}

// What a source deleted is a row that says so, in bundles as bulk exports list them.
func TestRemoved(t *testing.T) {
	object := `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/7"}},{"request":{"method":"DELETE","url":"Observation/1"}}]}
{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Observation?code=1"}},{"request":{"method":"PUT","url":"Observation/2"}},{"request":{"method":"DELETE"}},{"search":{}}]}`
	rows, _, err := decode(t, study.FormatSpec{Columns: []string{"@type", "@id", "@patient", "@removed", "status"}}, []byte(object))
	want := []string{"Patient · 7 · 7 · Yes · ∅", "Observation · 1 · ∅ · Yes · ∅", "∅ · ∅ · ∅ · Yes · ∅", "!fhir_no_type", "∅ · ∅ · ∅ · Yes · ∅", "!fhir_no_type"}
	if err != nil || !slices.Equal(rows, want) {
		t.Errorf("%v\n%s", err, strings.Join(rows, "\n"))
	}
}

func TestErrors(t *testing.T) {
	long := `{"resourceType":"Binary","data":"` + strings.Repeat("x", maxRow) + `"}`
	for _, c := range []struct{ column, object, code string }{
		{"status", "{\"resourceType\":\"Bundle\",\n\"entry\":[{\"resource\":{}},x]}", "fhir.syntax"},
		{"status", "{\"resourceType\":\"Bundle\",\n\"entry\":[]}]", "fhir.syntax"},
		{"status", "{\"resourceType\":\"Bundle\",\n\"entry\":[]} 1", "fhir.syntax"},
		{"status", "{\"resourceType\":\"Bundle\",\n\"entry\":[]}\n{\"resourceType\":\"Patient\"}", "fhir.not_bundle"},
		{"status", "{\"resourceType\":\"Bundle\",\n\"entry\":[{\"resource\":" + long + "}]}", "fhir.limit"},
		{"status", "{\"resourceType\":\"Binary\",\n" + long[1:], "fhir.limit"},
		{"resolve().status", string(bundleOf("\n", slices.Repeat([]string{`{"resourceType":"Binary","data":"` + strings.Repeat("x", maxRow/2) + `"}`}, 9)...)), "fhir.bundle_too_long"},
		{"a..b", "", "fhir.path"}, {"a.b(", "", "fhir.path"}, {"a.where(b)", "", "fhir.path"}, {"a.where(b='c)", "", "fhir.path"}, {"a.nothing()", "", "fhir.path"},
		{"a[x]", "", "fhir.path"}, {"a[1", "", "fhir.path"}, {"", "", "fhir.path"}, {"(a", "", "fhir.path"}, {"a b", "", "fhir.path"}, {"@nothing", "", "fhir.path"},
		{"$other", "", "fhir.path"}, {"a.ofType()", "", "fhir.path"}, {"a.where(b=.)", "", "fhir.path"}, {strings.Repeat("(", 100) + "a" + strings.Repeat(")", 100), "", "fhir.path"},
		{"a" + strings.Repeat(".a", 100), "", "fhir.path"}, {"a |", "", "fhir.path"}, {"repeat(a.resolve())", "", "fhir.path"}, {"repeat(repeat(a))", "", "fhir.path"}, {"a.extension(x)", "", "fhir.path"}, {"a.first(", "", "fhir.path"},
	} {
		_, _, err := decode(t, study.FormatSpec{Columns: []string{c.column}}, []byte(c.object))
		var e *study.Error
		if !errors.As(err, &e) || e.Code != c.code || e.Hint == "" {
			t.Errorf("%.40s of %.60s: %v; want %s", c.column, c.object, err, c.code)
		}
	}
}

// A bundle that is cut anywhere is told, unless nothing at all is left.
func TestCutBundle(t *testing.T) {
	object := bundleOf("\n", strings.ReplaceAll(pressure, "\n", ""), `{"resourceType":"Patient"}`)
	end := bytes.LastIndexByte(object, '}') + 1
	for _, column := range []string{"@id", "encounter.resolve().id"} {
		for n := 1; n < end; n++ {
			rows, _, err := decode(t, study.FormatSpec{Columns: []string{column}}, object[:n])
			if err == nil && !slices.ContainsFunc(rows, func(row string) bool { return row[0] == '!' }) {
				t.Fatalf("cut to %d bytes of %d: %q", n, len(object), rows)
			}
		}
	}
}

// A line that is not JSON, or too long, is one broken row; those after it are read.
func TestLines(t *testing.T) {
	good := `{"resourceType":"Patient","id":"1"}`
	long := `{"resourceType":"Binary","data":"` + strings.Repeat("x", maxRow) + `"}`
	middling := `{"resourceType":"Binary","data":"` + strings.Repeat("x", 2*lookAhead) + `","id":"2"}`
	for _, c := range []struct {
		lines []string
		want  []string
	}{
		{[]string{good, good[:20], good}, []string{"1", "!json_invalid", "1"}},
		{[]string{good[:20], good}, []string{"!json_invalid", "1"}},
		{[]string{good, `{"resourceType":"Bundle","entry":[`, good}, []string{"1", "!json_invalid", "1"}},
		{[]string{long, good, long, good}, []string{"!row_too_long", "1", "!row_too_long", "1"}},
		{[]string{good, middling, good}, []string{"1", "2", "1"}},
		{[]string{middling, good}, []string{"2", "1"}},
		{[]string{good + good, good}, []string{"!json_invalid", "1"}},
		{[]string{"[1]", "1", good, "\xff"}, []string{"!fhir_no_type", "!fhir_no_type", "1", "!text_invalid"}},
		{[]string{good, `{"resourceType":"X","a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`}, []string{"1", "∅"}},
		{[]string{good, `{"resourceType":"X","id":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`}, []string{"1", "!json_too_deep"}},
		{[]string{good, `{"resourceType":"X","a":{"b":1,"b":2}}`}, []string{"1", "!json_duplicate_key"}},
	} {
		rows, _, err := decode(t, study.FormatSpec{Columns: []string{"id"}}, []byte(strings.Join(c.lines, "\n")))
		if err != nil || !slices.Equal(rows, c.want) {
			t.Errorf("%.80q: %q, %v; want %q", c.lines, rows, err, c.want)
		}
	}
}

func TestUnasked(t *testing.T) {
	_, unasked, err := decode(t, study.FormatSpec{Columns: []string{"@id", "birthDate", "value"}}, bundleOf("", person, pressure))
	want := []string{"Observation.effectiveDateTime", "Observation.status", "Patient.deceasedBoolean", "Patient.multipleBirthInteger"}
	if err != nil || !slices.Equal(unasked, want) {
		t.Errorf("%q, %v", unasked, err)
	}
	rows, _, err := decode(t, study.FormatSpec{Columns: unasked}, bundleOf("", person))
	if err != nil || !slices.Equal(rows, []string{"∅ · ∅ · false · 10"}) {
		t.Errorf("asked for: %q, %v", rows, err)
	}
	var many strings.Builder
	for i := range 2 * maxNames {
		fmt.Fprintf(&many, "{\"resourceType\":\"X\",\"n%d\":1,\"P-1\":2,\"with space\":3}\n", i)
	}
	if _, unasked, err = decode(t, study.FormatSpec{Columns: []string{"@id"}}, []byte(many.String())); err != nil || len(unasked) != maxTold || !slices.IsSorted(unasked) {
		t.Errorf("%d names, %v", len(unasked), err)
	}
}

func BenchmarkDecode(b *testing.B) {
	line := []byte(strings.Repeat(bigResource+"\n", 10_000))
	bundle := []byte(`{"resourceType":"Bundle","entry":[{"resource":` + strings.Repeat(bigResource+`},{"resource":`, 9_999) + bigResource + "}]}")
	plain := []string{"@type", "@id", "@patient", "code.coding.where(system='http://loinc.org').code", "value", "@encounter", "effective"}
	for _, c := range []struct {
		name    string
		object  []byte
		columns []string
	}{{"lines", line, plain}, {"bundle", bundle, plain}, {"followed", bundle, append(plain, "encounter.resolve().period.start")}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.object)))
			for b.Loop() {
				for _, err := range (Format{}).Decode(context.Background(), study.FormatSpec{Type: "fhir", Columns: c.columns}, bytes.NewReader(c.object)) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
