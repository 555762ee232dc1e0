package redcap_test

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longitude/connectors"
	"longitude/internal/config"
	edc "longitude/internal/edctest/redcap"
	"longitude/internal/publishedtest"
	"longitude/study"
	"longitude/transform"
	jsonformat "longitude/transform/formats/json"
	format "longitude/transform/formats/redcap"
)

// pulled is what came of a project: rows of its export, records of forms that the
// described documents map them to, and how many of those are refused.
type pulled struct{ rows, records, rejected int }

// Every published project is served, described, pulled in batches of three and mapped
// with what was described; its values are those of its own file, cell by cell.
func TestPublishedProjects(t *testing.T) {
	data := publishedtest.Data(t)
	found := map[string]pulled{}
	for name := range publishedProjects {
		t.Run(name, func(t *testing.T) {
			p, file := load(t, data, name)
			s := edc.NewServer(p, token)
			c := opened(t, s)
			pages := pagesOf(t, c)
			var rows []map[string]string
			for _, page := range pages {
				rows = append(rows, cellsOf(t, page)...)
			}
			if file != nil {
				sameRows(t, rows, file)
			}
			records, rejected := mapPages(t, describe(t, c), pages)
			found[name] = pulled{len(rows), records, rejected}
		})
	}
	for name, want := range publishedProjects {
		if found[name] != want {
			t.Errorf("%q: {%d, %d, %d}, // want %v", name, found[name].rows, found[name].records, found[name].rejected, want)
		}
	}
}

// load loads a project, and its data file where it has one of its own.
func load(t *testing.T, data, name string) (*edc.Project, [][]string) {
	t.Helper()
	path := filepath.Join(data, filepath.FromSlash(name))
	switch filepath.Ext(name) {
	case ".json":
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := edc.JSON(text)
		if err != nil {
			t.Fatal(err)
		}
		return p, rowsOfJSON(t, text)
	case ".xml":
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, records, err := edc.XML(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			p.Put(r.ID, r.Group, r.Row)
		}
		return p, nil
	}
	p, err := edc.Folder(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(path, "data.csv"))
	if err != nil {
		return p, nil
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return p, rows
}

func rowsOfJSON(t *testing.T, text []byte) [][]string {
	t.Helper()
	var doc struct{ Records []map[string]any }
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var header []string
	out := [][]string{nil}
	for _, r := range doc.Records {
		if header == nil {
			header = slices.Sorted(maps.Keys(r))
		}
		cells := make([]string, len(header))
		for i, name := range header {
			cells[i], _ = r[name].(string)
		}
		out = append(out, cells)
	}
	out[0] = header
	return out
}

// pagesOf pulls a project.
func pagesOf(t *testing.T, s connectors.Source) (pages []string) {
	t.Helper()
	for d, err := range s.Pull(t.Context(), connectors.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Holds == connectors.Participants {
			pages = append(pages, contentOf(t, d))
		}
	}
	return pages
}

func cellsOf(t *testing.T, page string) (rows []map[string]string) {
	t.Helper()
	var raw []map[string]any
	d := json.NewDecoder(strings.NewReader(page))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		t.Fatal(err)
	}
	for _, r := range raw {
		cells := map[string]string{}
		for name, value := range r {
			switch v := value.(type) {
			case string:
				cells[name] = v
			case json.Number:
				cells[name] = v.String()
			}
		}
		rows = append(rows, cells)
	}
	return rows
}

// sameRows compares rows with a file as sets, each by its non-empty cells. The status
// of a form that was never opened is 0 in the file, and blank as it is pulled.
func sameRows(t *testing.T, rows []map[string]string, file [][]string) {
	t.Helper()
	line := func(cells map[string]string) string {
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(cells)) {
			if v := cells[name]; v != "" && (v != "0" || !strings.HasSuffix(name, "_complete")) {
				b.WriteString(name + "=" + strings.ReplaceAll(v, "\r", "") + "\x1f")
			}
		}
		return b.String()
	}
	left := map[string]int{}
	for _, row := range rows {
		left[line(row)]++
	}
	other := 0
	for i := 1; i < len(file); i++ {
		cells := map[string]string{}
		for k, v := range file[i] {
			cells[file[0][k]] = v
		}
		if left[line(cells)]--; left[line(cells)] < 0 {
			other++
		}
	}
	if other > 0 || len(rows) != max(0, len(file)-1) {
		t.Errorf("%d rows pulled of %d in the file; %d of the file's came otherwise", len(rows), len(file)-1, other)
	}
}

// describe has a project described, as valid documents.
func describe(t *testing.T, s connectors.Source) *transform.Description {
	t.Helper()
	metadata, err := s.(connectors.Discoverer).Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := format.Format{}.Describe(t.Context(), "demo", metadata)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// mapPages maps pages with described documents.
func mapPages(t *testing.T, d *transform.Description, pages []string) (records, rejected int) {
	t.Helper()
	f := format.Format{JSON: jsonformat.Format{}}
	dir := t.TempDir()
	for file, doc := range map[string][]byte{"study.yaml": d.Study, "source.yaml": append(d.Source, "connector: {type: folder, path: \"in/*.json\"}\n"...)} {
		if err := os.WriteFile(filepath.Join(dir, file), doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, findings := config.Load(dir, config.Options{Formats: map[string]func(study.FormatSpec) map[string]string{"redcap": f.Check},
		CheckExpr: transform.CheckExpr, CheckCross: transform.CheckCross, CheckPick: transform.CheckPick, CheckUnits: transform.CheckUnits})
	for _, f := range findings {
		if f.Severity == config.Error {
			t.Error(f.String())
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	m, problems := transform.NewMapper(c.Studies[0], &c.Sources[0].Source)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	spec := c.Sources[0].Format
	spec.Columns = m.Columns()
	rules := map[string]int{}
	for _, page := range pages {
		out := &transform.Mapped{}
		for rows, err := range f.Decode(t.Context(), spec, strings.NewReader(page)) {
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Bind(rows.Columns); err != nil {
				t.Fatal(err)
			}
			m.Map(rows, out)
		}
		m.Finish(out)
		records += len(out.Drafts)
		for _, r := range out.Rejections {
			rejected++
			rules[r.Form+"."+r.Field+" "+r.Rule]++
		}
	}
	t.Logf("refused: %v", rules)
	return records, rejected
}

func opened(t *testing.T, s *edc.Server) connectors.Source {
	p := &puller{t: t, server: s, config: configOf(t, s)}
	return p.open()
}

// publishedProjects are the projects and what comes of them.
var publishedProjects = map[string]pulled{
	"redcapr-test-projects/arm-single-longitudinal":  {9, 9, 0},
	"redcapr-test-projects/checkboxes-1":             {4, 3, 0}, // one record was never opened
	"redcapr-test-projects/clinical-trial-1":         {500, 500, 0},
	"redcapr-test-projects/dag":                      {3, 3, 0},
	"redcapr-test-projects/decimal-dot":              {4, 4, 0},
	"redcapr-test-projects/empty-rows":               {},
	"redcapr-test-projects/longitudinal":             {18, 40, 0},
	"redcapr-test-projects/metadata-write":           {5, 15, 0},
	"redcapr-test-projects/repeating-instruments":    {6, 6, 0},
	"redcapr-test-projects/simple":                   {5, 10, 5}, // the file holds labels of one field, not codes
	"redcapr-test-projects/simple-write":             {5, 15, 0},
	"redcapr-test-projects/single-column":            {},
	"redcapr-test-projects/survey":                   {2, 2, 0},
	"redcap-etl/data/projects/basic-demography.json": {100, 100, 0},
	"redcap-etl/projects/BasicDemography.REDCap.xml": {100, 100, 0},
	"redcap-etl/projects/MultipleChoice.REDCap.xml":  {50, 50, 0},
	"redcap-etl/projects/RepeatingForms.REDCap.xml":  {182, 232, 0},
	"pycap/doctest_project.xml":                      {3, 3, 0},
	"pycap/test_simple_project.xml":                  {3, 3, 0},
}
