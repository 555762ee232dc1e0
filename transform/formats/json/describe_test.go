package json

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longitude/internal/config"
	"longitude/study"
	"longitude/transform"
)

const shapeOfVisits = `{"stream":"vital signs","format":"json","records":"/data","hidden":1,"columns":[{"at":"/id","types":["integer"]},{"at":"/subject/code","types":["text"]},
{"at":"/pulse","types":["integer"]},{"at":"/weight","types":["decimal","integer"]},{"at":"/seen","types":["date"]},{"at":"/patient_name","types":["text"]},{"at":"/subject","types":["text"]},{"at":"/tags","types":["list"]},{"at":"/note","types":[]}]}`

func TestDescribe(t *testing.T) {
	d, err := Format{}.Describe(t.Context(), "demo", []study.Metadata{{Name: "visits", Bytes: []byte(shapeOfVisits)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`study: "demo"`, "  vital_signs:\n", "log: true", "{name: pulse, label: \"pulse\", type: \"integer\"}\n", "type: \"decimal(18,6)\"}", "{name: seen, label: \"seen\", type: \"date\"}\n",
		"{name: patient_name, label: \"patient_name\", type: \"text\", class: direct_identifier}\n"} {
		if !strings.Contains(string(d.Study), want) {
			t.Errorf("the study lacks %q:\n%s", want, d.Study)
		}
	}
	for _, want := range []string{`format: {type: json, records: "/data"}`, `participant: {column: "/subject", namespace: "demo"}`, `weight: {column: "/weight"}`} {
		if !strings.Contains(string(d.Source), want) {
			t.Errorf("the source lacks %q:\n%s", want, d.Source)
		}
	}
	if strings.Contains(string(d.Source), "tags") || len(d.Notes) != 3 {
		t.Errorf("%v\n%s", d.Notes, d.Source)
	}
}

func TestDescribeNothing(t *testing.T) {
	for text, want := range map[string]string{`{"stream":"a","format":"json","columns":[]}`: "json.no_shape", `{"stream":"a","format":"csv","columns":[{"at":"x"},{"at":"y"}]}`: "json.no_shape", `{"stream":"a","format":"json","columns":[{"at":"x"}]}`: "json.no_shape", `[1]`: "json.shape", ``: "json.shape"} {
		_, err := Format{}.Describe(t.Context(), "demo", []study.Metadata{{Bytes: []byte(text)}})
		var told *study.Error
		if !errors.As(err, &told) || told.Code != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// What is proposed is valid as it is.
func TestDescribedIsValid(t *testing.T) {
	d, err := Format{}.Describe(t.Context(), "demo", []study.Metadata{{Bytes: []byte(shapeOfVisits)}, {Bytes: []byte(strings.Replace(shapeOfVisits, "vital signs", `1: \"x\"\n#`, 1))}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, doc := range map[string][]byte{"study.yaml": d.Study, "source.yaml": append(d.Source, "connector: {type: folder, path: \"*.json\"}\n"...)} {
		if err := os.WriteFile(filepath.Join(dir, file), doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, findings := config.Load(dir, config.Options{Formats: map[string]func(study.FormatSpec) map[string]string{"json": Format{}.Check},
		CheckExpr: transform.CheckExpr, CheckCross: transform.CheckCross, CheckPick: transform.CheckPick, CheckUnits: transform.CheckUnits})
	for _, f := range findings {
		if f.Severity == config.Error {
			t.Error(f.String())
		}
	}
	if len(c.Studies) != 1 || len(c.Sources) != 1 {
		t.Fatalf("%d studies, %d sources", len(c.Studies), len(c.Sources))
	}
	if _, problems := transform.NewMapper(c.Studies[0], &c.Sources[0].Source); len(problems) > 0 {
		t.Error(problems)
	}
	for _, form := range c.Studies[0].Forms {
		for _, field := range form.Fields {
			if field.Class != study.Unclassified && field.Class != study.DirectIdentifier {
				t.Errorf("%s.%s would be released", form.Name, field.Name)
			}
		}
	}
}
