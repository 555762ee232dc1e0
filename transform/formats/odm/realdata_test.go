package odm

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longitude/internal/publishedtest"
	"longitude/study"
	"longitude/transform"
)

// published is what is in a file: forms, item groups, those of them that are broken,
// and items with a value; or the code of the error that refuses it.
type published struct {
	forms, groups, broken, items int
	code                         string
}

// TestPublished reads every published ODM file that holds clinical data, and all
// of those of CDISC, and finds in each what the standard library finds.
func TestPublished(t *testing.T) {
	found := map[string]published{}
	for _, folder := range []string{"cdisc-odm-examples", "odmlib", "openedc", "rwslib", "redcapr-test-projects", "redcap-etl", "pycap"} {
		root := publishedtest.Data(t)
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".xml" {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			found[filepath.ToSlash(name)] = readPublished(t, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if found[name] != inFiles[name] {
			t.Errorf("%q: %#v; want %#v", name, found[name], inFiles[name])
		}
	}
	if len(found) != allFiles {
		t.Errorf("%d files; want %d", len(found), allFiles)
	}
}

func readPublished(t *testing.T, path string) (p published) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := groupsOf(t, text)
	oids := map[string]bool{}
	for _, group := range want {
		for oid := range group {
			oids[oid] = true
		}
	}
	columns := slices.Sorted(maps.Keys(oids))
	got, err := decode(t, byGroup, string(text), columns...)
	var refused *study.Error
	if errors.As(err, &refused) {
		return published{code: refused.Code}
	}
	if len(got.rows) != len(want) {
		t.Errorf("%s: %d item groups; want %d", filepath.Base(path), len(got.rows), len(want))
		return p
	}
	for i, row := range got.rows {
		if p.groups++; row[0] == '[' {
			p.broken++
			continue
		}
		var cells []string
		for _, oid := range columns {
			value := want[i][oid]
			if value == "" {
				value = "-"
			} else {
				p.items++
			}
			cells = append(cells, value)
		}
		if strings.Join(cells, "|") != strings.TrimSuffix(row, "|in part") {
			t.Errorf("%s: item group %d is another", filepath.Base(path), i+1)
		}
	}
	forms, err := decode(t, byForm, string(text))
	if err != nil {
		t.Errorf("%s: %v", filepath.Base(path), err)
	}
	p.forms = len(forms.rows)
	return p
}

// groupsOf are the values of the item groups that are rows, in the order in which
// they end, by the standard library.
func groupsOf(t *testing.T, text []byte) (groups []map[string]string) {
	t.Helper()
	type open struct {
		values map[string]string
		nested bool
	}
	var stack []open
	oid, inClinical, inValue, values := "", 0, false, 0
	r, _, err := decodeText(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(r)
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return groups
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			attribute := map[string]string{}
			for _, a := range e.Attr {
				attribute[a.Name.Local] = a.Value
			}
			switch {
			case e.Name.Local == "ClinicalData":
				inClinical++
			case inClinical == 0:
			case e.Name.Local == "ItemGroupData":
				if len(stack) > 0 {
					stack[len(stack)-1].nested = true
				}
				stack = append(stack, open{values: map[string]string{}})
			case strings.HasPrefix(e.Name.Local, "ItemData"):
				oid, values = attribute["ItemOID"], 0
				stack[len(stack)-1].values[oid] = strings.ReplaceAll(attribute["Value"], "\n", " ")
				inValue = e.Name.Local != "ItemData"
			case e.Name.Local == "Value":
				if inValue, values = true, values+1; values > 1 {
					stack[len(stack)-1].values[oid] += "|"
				}
			}
		case xml.CharData:
			if inValue {
				stack[len(stack)-1].values[oid] += string(e)
			}
		case xml.EndElement:
			switch {
			case e.Name.Local == "ClinicalData":
				inClinical--
			case inClinical > 0 && e.Name.Local == "ItemGroupData":
				last := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				if len(last.values) > 0 || !last.nested {
					groups = append(groups, last.values)
				}
			default:
				inValue = inValue && e.Name.Local != "Value" && !strings.HasPrefix(e.Name.Local, "ItemData")
			}
		}
	}
}

// TestPublishedDrift reads the ten dated versions of OpenEDC's example, which hold
// metadata alone, as deliveries of one source: what changed between them are events.
func TestPublishedDrift(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(publishedtest.Data(t, "openedc", "odm-example-history"), "*.xml"))
	if err != nil || len(files) != 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	slices.Sort(files)
	var accepted study.Shape
	var columns []string
	var got []map[study.DriftKind]int
	var document []byte
	anew := 0
	policy := study.DriftPolicy{NewColumn: study.Evolve, MissingColumn: study.Evolve, TypeChange: study.Evolve}
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 { // the mapping asks for what was there first
			columns = sound(t, "", string(text)).unasked
		}
		var o transform.Observer
		for rows, err := range (Format{}).Decode(t.Context(), study.FormatSpec{Columns: columns}, strings.NewReader(string(text))) {
			if err != nil {
				t.Fatal(err)
			}
			o.See(rows)
		}
		if d := described(t, text); !bytes.Equal(d.Study, document) {
			document = d.Study
			anew++
		}
		shape := o.Shape()
		if i > 0 {
			events := map[study.DriftKind]int{}
			for _, d := range transform.Drifts(accepted, shape, columns, policy) {
				events[d.Kind]++
			}
			got = append(got, events)
		}
		accepted = shape
	}
	if anew != studiesOfOpenEDC {
		t.Errorf("%d different studies are described; want %d", anew, studiesOfOpenEDC)
	}
	if !slices.EqualFunc(got, driftsOfOpenEDC, maps.Equal[map[study.DriftKind]int]) {
		t.Errorf("drifts %v; want %v", got, driftsOfOpenEDC)
	}
}
