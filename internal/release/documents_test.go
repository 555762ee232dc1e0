package release

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"longitude/study"
)

func TestManifestDescribesTheRelease(t *testing.T) {
	b := build(t, trial(), plan(1), people()...)
	m := b.manifest
	if m.Created != "2026-07-01T00:00:00Z" || m.Longitude.Claim != "limited" || m.Longitude.Protocol.Version != "3.0" {
		t.Errorf("manifest %+v", m.Longitude)
	}
	tables := map[string]*Resource{}
	for i := range m.Resources {
		tables[m.Resources[i].Name] = &m.Resources[i]
	}
	for name, rows := range map[string]int64{"participants": 25, "visits": 100, "visit_status": 100, "deviations": 75, "consent": 25, "visual_acuity": 125, "adverse_events": 50, "visit_schedule": 4, "release_info": 1} {
		if r := tables[name]; r == nil || r.Rows != rows {
			t.Errorf("%s: %+v, want %d rows", name, r, rows)
		}
	}
	va := tables["visual_acuity"]
	var names []string
	for _, f := range va.Schema.Fields {
		names = append(names, f.Name)
		if f.Masking == "" || f.Class == "" || f.Title == "" || f.Description == "" {
			t.Errorf("visual_acuity.%s is not described: %+v", f.Name, f)
		}
		if f.Name == "eye" && !slices.Equal(f.Categories, []Category{{"R", "Right"}, {"L", "Left"}}) {
			t.Errorf("eye has categories %v", f.Categories)
		}
	}
	same(t, "columns in dictionary order", names, "participant_id", "visit_seq", "visit_id", "visit", "study_day", "record_seq", "record_id",
		"eye", "eye_missing", "va_original", "va_scale", "va_logmar", "va_letters", "va_offchart", "va_conversion_rule", "va_missing",
		"iop_mmhg", "iop_mmhg_missing", "injections", "injections_missing")
	same(t, "key", va.Schema.PrimaryKey, "participant_id", "visit_seq", "record_seq")
	if len(va.Schema.ForeignKeys) != 2 || va.Schema.ForeignKeys[1].Reference.Resource != "visits" {
		t.Errorf("foreign keys %+v", va.Schema.ForeignKeys)
	}
	for _, f := range tables["adverse_events"].Schema.Fields {
		if f.Name == "onset" || f.Type == "date" || f.Type == "datetime" {
			t.Errorf("adverse_events.%s carries a calendar date", f.Name)
		}
	}
}

// TestReadmeNamesTheProtocol says nothing of a protocol that has no name.
func TestReadmeNamesTheProtocol(t *testing.T) {
	named := trial()
	if got := doc(t, build(t, named, plan(1), people()...), "README.md"); !strings.Contains(got, "- Protocol AMD-P2-2024, version 3.0\n- As of ") {
		t.Error(got)
	}
	named.Protocol = study.Protocol{}
	if got := doc(t, build(t, named, plan(1), people()...), "README.md"); strings.Contains(got, "- Protocol") || !strings.Contains(got, "- As of ") {
		t.Error(got)
	}
}

// TestForeignKeysHold reads the parts as an analyst does.
func TestForeignKeysHold(t *testing.T) {
	b := build(t, trial(), plan(1), people()...)
	participants, visits := column(t, b, "participants", "participant_id"), column(t, b, "visits", "visit_id")
	if !slices.IsSorted(participants) || len(slices.Compact(slices.Clone(participants))) != 25 {
		t.Error("participants are not sorted by released id, each once")
	}
	for _, r := range b.manifest.Resources {
		for _, f := range r.Schema.ForeignKeys {
			among := participants
			if f.Fields[0] == "visit_id" {
				among = visits
			}
			for _, id := range column(t, b, r.Name, f.Fields[0]) {
				if id != "∅" && !slices.Contains(among, id) {
					t.Fatalf("%s.%s refers to nothing", r.Name, f.Fields[0])
				}
			}
		}
	}
	if slices.ContainsFunc(slices.Concat(participants, visits), func(id string) bool { return strings.Contains(id, "AMD") }) {
		t.Error("an internal code left")
	}
}

func column(t *testing.T, b bundle, table, name string) (values []string) {
	t.Helper()
	f, err := file.OpenParquetFile(filepath.Join(b.dir, "data", table, "part-00000.parquet"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := r.ReadTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	for _, chunk := range rows.Column(rows.Schema().FieldIndices(name)[0]).Data().Chunks() {
		texts := chunk.(*array.String)
		for i := range texts.Len() {
			if texts.IsNull(i) {
				values = append(values, "∅")
			} else {
				values = append(values, strings.Clone(texts.Value(i)))
			}
		}
	}
	return values
}

// TestDictionaryFileAndTableAgree: the dictionary in Parquet, in CSV and in the
// manifest describe the same columns, all of them.
func TestDictionaryFileAndTableAgree(t *testing.T) {
	b := build(t, trial(), plan(1), people()...)
	rows, err := csv.NewReader(strings.NewReader(doc(t, b, "data_dictionary.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range rows[0] {
		if name != "table_name" && name != "column_name" && name != "masking" && name != "description" {
			continue
		}
		var inFile []string
		for _, row := range rows[1:] {
			inFile = append(inFile, row[i])
		}
		if inTable := column(t, b, "data_dictionary", name); !slices.Equal(inFile, inTable) {
			t.Errorf("column %s of the dictionary differs between file and table", name)
		}
	}
	n := 0
	for _, r := range b.manifest.Resources {
		n += len(r.Schema.Fields)
	}
	if len(rows)-1 != n {
		t.Errorf("the dictionary describes %d columns, the manifest %d", len(rows)-1, n)
	}
	lists, err := csv.NewReader(strings.NewReader(doc(t, b, "codelists.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, row := range lists[1:] {
		known[row[0]] = true
	}
	at := slices.Index(rows[0], "codelist")
	for _, row := range rows[1:] {
		if row[at] != "" && !known[row[at]] {
			t.Errorf("code list %s is not in codelists.csv", row[at])
		}
	}
}

func TestChangelogAgainstTheReleaseBefore(t *testing.T) {
	s := trial()
	first := build(t, s, plan(1), people()...)
	if !strings.Contains(doc(t, first, "CHANGELOG.md"), "first release") {
		t.Error("the first release's changelog compares")
	}
	next := plan(2)
	next.Previous = "amd_obs_01_r001"
	next.Before = beforeIn(t, first.dir)
	s.Forms[1].Fields = append(s.Forms[1].Fields[:3:3], study.Field{Name: "injections", Type: study.Decimal, Scale: 2, Class: study.Clinical}, study.Field{Name: "notes_seen", Type: study.Boolean, Class: study.Clinical})
	more := append(people()[:24], someone(101), someone(102))
	for i := range more {
		for r := range more[i].records {
			if more[i].records[r].Key.Form == 1 {
				more[i].records[r].Answers = pack("R", m, m, m, m)
			}
		}
	}
	second := build(t, s, next, more...)
	log := doc(t, second, "CHANGELOG.md")
	for _, want := range []string{
		"Since amd_obs_01_r001", "| `participants` | about as before (fewer than 11 differ) | changed |", "| `visit_schedule` | <11 (as before) | the same |",
		"version 2.0.0", "something is gone or means something else (major)",
		"`visual_acuity.injections` is number (was integer)", "`visual_acuity.notes_seen` added (boolean)",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the changelog does not say %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, " 26 ") || strings.Contains(log, " 104 ") {
		t.Error("a difference of one participant shows")
	}
	if r := verified(t, second); !r.Sound() {
		t.Errorf("findings %+v", r.Findings)
	}
	out, in := teller{}, teller{exact: true}
	if out.change(100, 80) != "100 (80)" || out.change(30, 5) != "30 (<11)" || out.change(7, 7) != "<11 (as before)" || in.change(7, 5) != "7 (5)" || in.alone(3) != "3" {
		t.Error("counts are shown wrongly")
	}
	var e signedFile
	var st statement
	if err := json.Unmarshal(second.read(t, envelopeName), &e); err != nil {
		t.Fatal(err)
	}
	payload, _ := decodeBase64(e.Payload)
	if err := json.Unmarshal(payload, &st); err != nil || st.Predicate.Previous == nil || st.Predicate.Previous.SHA256 != next.Before.Envelope.String() {
		t.Errorf("the chain is %+v, %v", st.Predicate.Previous, err)
	}
}

func TestReconciliation(t *testing.T) {
	b := build(t, trial(), plan(1), people()...)
	var r reconciliation
	if err := json.Unmarshal([]byte(doc(t, b, "reports/reconciliation.json")), &r); err != nil || !r.Balanced || r.Equations[2].Total != "300" || r.Equations[2].Parts[0].Count != "200" {
		t.Errorf("%+v, %v", r, err)
	}
	text := doc(t, b, "reports/reconciliation.md")
	if !strings.Contains(text, "Yes") || !strings.Contains(text, "| quarantined | <11 |") || strings.Contains(text, "| 5 |") {
		t.Errorf("the report reads\n%s", text)
	}
	p := plan(1)
	p.Counts.Mapped--
	if r, err := newReconciliation(p, teller{}); err != nil || !strings.Contains(string(r.text()), "**No**") {
		t.Error("counts that do not balance are reported as balanced")
	}
}

// No small count can be computed from what is shown beside it.
func TestSmallCountsAreNotGivenAway(t *testing.T) {
	for _, c := range []struct {
		total int64
		parts []int64
		want  string
	}{
		{100, []int64{95, 5}, "not shown <11 of 100"},
		{100, []int64{60, 35, 5}, "60 not shown <11 of 100"},
		{100, []int64{60, 33, 4, 3}, "60 33 <11 <11 of 100"},
		{100, []int64{82, 9, 9}, "82 <11 <11 of 100"},
		{100, []int64{80, 20, 0}, "80 20 0 of 100"},
		{7, []int64{7, 0}, "<11 0 of <11"},
	} {
		parts := make([]part, len(c.parts))
		for i, n := range c.parts {
			parts[i].count = n
		}
		e, err := newEquation("", c.total, parts, teller{})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, p := range e.Parts {
			said = append(said, p.Count)
		}
		if got := strings.Join(said, " ") + " of " + e.Total; got != c.want {
			t.Errorf("%v: %s, want %s", c.parts, got, c.want)
		}
	}
}

func TestSumsAreWhatSha256sumReads(t *testing.T) {
	b := build(t, trial(), plan(1), someone(1))
	lines := strings.Split(strings.TrimSpace(doc(t, b, sumsName)), "\n")
	if !slices.IsSortedFunc(lines, func(a, c string) int { return strings.Compare(a[66:], c[66:]) }) || len(lines) != len(b.docs)-1+len(b.parts) {
		t.Errorf("%d lines, sorted by path: %q", len(lines), lines)
	}
}

func TestNoInternalNumbersLeave(t *testing.T) {
	b := build(t, trial(), plan(1), people()...)
	err := filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, secret := range []string{"AMD-000000", "2026-02-15", "2026-01-20", "late 1 day"} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s contains %q", filepath.Base(path), secret)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMissingPartIsAnError(t *testing.T) {
	if _, err := Documents(plan(1), trial(), Tables(trial()), nil); err == nil {
		t.Error("tables without parts were described")
	}
}
