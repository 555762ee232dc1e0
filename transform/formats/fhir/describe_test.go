package fhir

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"longitude/study"
)

const vision = `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Questionnaire","id":"v","url":"https://site.example/Questionnaire/vision","title":"Vision: \"both\" eyes","status":"active","item":[
{"linkId":"intro","text":"Read aloud","type":"display"},
{"linkId":"1","text":"Right eye","type":"group","item":[
 {"linkId":"1.1","text":"ETDRS letters","type":"integer","required":true},
 {"linkId":"1.2","text":"Glasses worn","type":"choice","answerOption":[{"valueCoding":{"code":"y","display":"Yes"}},{"valueCoding":{"code":"n"}}]},
 {"linkId":"1.3","text":"Drops","type":"choice","repeats":true,"answerOption":[{"valueString":"A"},{"valueString":"B"}]}]},
{"linkId":"phone","text":"Phone number","type":"string"},
{"linkId":"seen","text":"Day of the visit","type":"date"},
{"linkId":"it's","text":"?","type":"integer"},
{"linkId":"more","text":"Each drug","type":"group","repeats":true,"item":[{"linkId":"drug","text":"Drug","type":"open-choice","answerOption":[{"valueString":"A"}]}]}]}},
{"resource":{"resourceType":"Questionnaire","id":"old","status":"retired","item":[{"linkId":"1","type":"integer"}]}},
{"resource":{"resourceType":"Questionnaire","id":"scores","item":[{"linkId":"a","type":"choice","answerOption":[{"valueInteger":0},{"valueInteger":1}]}]}}]}`

// The proposal is as in the golden files, and its columns find the answers.
func TestDescribe(t *testing.T) {
	d, err := Format{}.Describe(context.Background(), "vision", []study.Metadata{{Name: "CapabilityStatement", Bytes: []byte("{}")}, {Name: "Questionnaire", Bytes: []byte(vision)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{"study": d.Study, "source": d.Source} {
		path := "testdata/described-" + name + ".yaml"
		if *update {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || string(want) != string(got) {
			t.Errorf("%v, %s document:\n%s", err, name, got)
		}
	}
	if len(d.Notes) != 2 {
		t.Errorf("notes %q", d.Notes)
	}
	_, column, _ := strings.Cut(string(d.Source), `drug: {column: "`)
	column, _, _ = strings.Cut(column, `"`)
	rows, _, err := decode(t, study.FormatSpec{Columns: []string{column}},
		[]byte(`{"resourceType":"QuestionnaireResponse","item":[{"linkId":"more","item":[{"linkId":"drug","answer":[{"valueString":"A"}]}]},{"linkId":"more","item":[{"linkId":"drug","answer":[{"valueString":"B"}]}]}]}`))
	if err != nil || len(rows) != 1 || rows[0] != "A|B" {
		t.Errorf("%q, %v", rows, err)
	}
}

func TestDescribeErrors(t *testing.T) {
	for text, code := range map[string]string{"": "fhir.metadata", "{": "fhir.metadata", "{}": "fhir.no_questionnaires", `{"resourceType":"Questionnaire","id":"a","item":[{"type":"display"}]}`: "fhir.no_questionnaires"} {
		_, err := Format{}.Describe(context.Background(), "x", []study.Metadata{{Name: "Questionnaire", Bytes: []byte(text)}})
		var e *study.Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%q: %v; want %s", text, err, code)
		}
	}
}

// FuzzDescribe describes whatever a server says: an error of ours, or two documents.
func FuzzDescribe(f *testing.F) {
	f.Add([]byte(vision))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Format{}.Describe(context.Background(), "x", []study.Metadata{{Name: "Questionnaire", Bytes: text}})
		var e *study.Error
		if err != nil && !errors.As(err, &e) || err == nil && (len(d.Study) == 0 || len(d.Source) == 0) {
			t.Fatalf("%v", err)
		}
	})
}
