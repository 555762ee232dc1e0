package fhir

import (
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longitude/internal/publishedtest"
	"longitude/study"
)

// TestVisitsOfThePilot reads three participants of the CDISC pilot study from FHIR
// bundles, and finds the visits that their SDTM files have: the same visit numbers
// on the same days. The five visits with a decimal number (ambulatory ECG, telephone,
// unscheduled) have no Encounter.
func TestVisitsOfThePilot(t *testing.T) {
	type visit struct{ participant, number, day string }
	var ours, theirs []visit
	decimals := 0
	for _, participant := range []string{"01-701-1015", "01-701-1023", "01-701-1057"} {
		rows := decodeFile(t, study.FormatSpec{Columns: []string{"Encounter.period.start", "@patient",
			"Encounter.basedOn.resolve().basedOn.resolve().identifier.value",
			"Encounter.basedOn.resolve().basedOn.resolve().instantiatesCanonical.resolve().identifier.value.first()",
			"ResearchSubject.id", "ResearchSubject.individual"}},
			publishedtest.Data(t, "lzzt-fhir-bundles", "subjects_30", "LZZT_FHIR_Bundle_"+participant+"_All_Resources.json"))
		person := ""
		for _, row := range rows {
			if row[4] == participant {
				person = row[5]
			}
		}
		for _, row := range rows {
			if row[0] == "∅" {
				continue
			}
			plan, number := strings.Split(row[2], "-"), ""
			if len(plan) == 3 {
				number = strings.TrimSuffix(plan[1], ".0")
			}
			if row[1] != person || plan[0] != person || !planned(row[3], number) {
				t.Errorf("visit %s of %s is of another participant, or planned as another", number, participant)
			}
			ours = append(ours, visit{participant, number, strings.TrimSuffix(row[0], "T00:00:00")})
		}
		for _, row := range table(t, publishedtest.Data(t, "rho-data-library", "sdtm", "cdisc-pilot-01", "sv.csv")) {
			if row["USUBJID"] != participant {
				continue
			}
			if strings.Contains(row["VISITNUM"], ".") {
				decimals++
				continue
			}
			theirs = append(theirs, visit{participant, row["VISITNUM"], row["SVSTDTC"]})
		}
	}
	if len(theirs) != 21 || decimals != 5 || !slices.Equal(ours, theirs) {
		t.Errorf("%d visits in FHIR, %d and %d with a decimal number in SDTM; want the same 21, and 5", len(ours), len(theirs), decimals)
	}
}

// planned reports whether the plan of that name is that of the visit number.
func planned(plan, number string) bool {
	return plan == "VISIT-"+number || plan == "ET" && number == "101" || plan == "RT" && number == "201"
}

// decodeFile reads a file of which no row may be broken.
func decodeFile(t *testing.T, spec study.FormatSpec, path string) (rows [][]string) {
	t.Helper()
	object, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, _, err := decode(t, spec, object)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		if line[0] == '!' {
			t.Fatalf("row %d: %s", i+1, line)
		}
		rows = append(rows, strings.Split(line, " · "))
	}
	return rows
}

// table is a CSV file with a header.
func table(t *testing.T, path string) (rows []map[string]string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

var update = flag.Bool("update", false, "rewrite the golden file")

// countedRows is what is in a published file.
type countedRows struct{ rows, withID, patients, encounters int }

// TestPublished reads every published FHIR file whole. What is counted is also
// counted by the standard library.
func TestPublished(t *testing.T) {
	got := map[string]countedRows{}
	root := publishedtest.Data(t)
	for _, pattern := range []string{"bulk-fhir-10-patients/*.ndjson", "lzzt-fhir-bundles/subjects_30/*.json", "cumulus-etl/simple/input/*.ndjson"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if filepath.Base(path) == "log.ndjson" {
				continue
			}
			name, _ := filepath.Rel(root, path)
			n := countFile(t, path)
			if want := countByLibrary(t, path); n != want {
				t.Errorf("%s: %+v; the standard library says %+v", name, n, want)
			}
			got[filepath.ToSlash(name)] = n
		}
	}
	golden := filepath.Join("testdata", "published.golden")
	var b strings.Builder
	b.WriteString("file: resources, with an id, of a patient, at an encounter\n")
	for _, name := range slices.Sorted(maps.Keys(got)) {
		n := got[name]
		fmt.Fprintf(&b, "%s: %d, %d, %d, %d\n", name, n.rows, n.withID, n.patients, n.encounters)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != b.String() {
		t.Errorf("%v; counted\n%s", err, b.String())
	}
}

func countFile(t *testing.T, path string) (n countedRows) {
	for _, row := range decodeFile(t, study.FormatSpec{Columns: []string{"@id", "@patient", "@encounter"}}, path) {
		n.rows++
		for i, to := range []*int{&n.withID, &n.patients, &n.encounters} {
			if row[i] != "∅" {
				*to++
			}
		}
	}
	return n
}

func countByLibrary(t *testing.T, path string) (n countedRows) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type reference struct{ Reference string }
	type resource struct {
		ResourceType, ID                                 string
		Subject, Patient, Individual, Encounter, Context *json.RawMessage
	}
	var all []resource
	if strings.HasSuffix(path, ".json") {
		var bundle struct{ Entry []struct{ Resource resource } }
		if err := json.Unmarshal(text, &bundle); err != nil {
			t.Fatal(err)
		}
		for _, e := range bundle.Entry {
			all = append(all, e.Resource)
		}
	} else {
		for line := range strings.Lines(string(text)) {
			var r resource
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	refers := func(kind string, to ...*json.RawMessage) bool {
		return slices.ContainsFunc(to, func(raw *json.RawMessage) bool {
			var r reference
			return raw != nil && json.Unmarshal(*raw, &r) == nil && strings.HasPrefix(r.Reference, kind+"/")
		})
	}
	for _, r := range all {
		n.rows++
		if r.ID != "" {
			n.withID++
		}
		if r.ResourceType == "Patient" && r.ID != "" || refers("Patient", r.Subject, r.Patient, r.Individual) {
			n.patients++
		}
		if r.ResourceType == "Encounter" && r.ID != "" || refers("Encounter", r.Encounter, r.Context) {
			n.encounters++
		}
	}
	return n
}

// A bulk export of ten patients: how often they were seen, and when first and last,
// as the standard library reads it.
func TestEncountersOfTheExport(t *testing.T) {
	path := publishedtest.Data(t, "bulk-fhir-10-patients", "Encounter.000.ndjson")
	rows := decodeFile(t, study.FormatSpec{Columns: []string{"@patient", "@id", "period.start", "class", "type.coding.code.first()"}}, path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for line := range strings.Lines(string(text)) {
		var e struct {
			ID      string
			Subject struct{ Reference string }
			Period  struct{ Start string }
			Class   struct{ Code string }
			Type    []struct{ Coding []struct{ Code string } }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		want := []string{strings.TrimPrefix(e.Subject.Reference, "Patient/"), e.ID, e.Period.Start, e.Class.Code, e.Type[0].Coding[0].Code}
		if !slices.Equal(rows[i], want) {
			t.Fatalf("row %d is another", i+1)
		}
		i++
	}
	if i != len(rows) {
		t.Errorf("%d rows of %d", len(rows), i)
	}
}
