package json

import (
	"bufio"
	"bytes"
	stdjson "encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"longitude/internal/publishedtest"
	"longitude/study"
)

// Every published NDJSON file, array of objects and FHIR bundle says the same
// here as to the standard library, in all members that are scalars or lists of them.
func TestPublished(t *testing.T) {
	found := map[string][3]int{} // files, rows and broken rows of a kind
	err := filepath.WalkDir(publishedtest.Data(t), func(path string, e fs.DirEntry, err error) error {
		ext := filepath.Ext(path)
		if err != nil || e.IsDir() || ext != ".ndjson" && ext != ".json" {
			return err
		}
		object, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, spec, want := readings(object, ext == ".ndjson")
		if want == nil {
			return nil
		}
		n := found[f.kind(spec)]
		found[f.kind(spec)] = [3]int{n[0] + 1, n[1] + len(want), n[2] + sameRows(t, f, spec, object, want)}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The broken rows have a Windows-1252 apostrophe.
	if want := map[string][3]int{"json": {1, 33, 3}, "json/entry": {18, 2491, 0}, "ndjson": {100, 3861, 0}}; !maps.Equal(found, want) {
		t.Errorf("found %v; want %v", found, want)
	}
}

func (f Format) kind(spec study.FormatSpec) string {
	if f.Lines {
		return "ndjson"
	}
	return "json" + spec.Records
}

// readings is how a file is read, and its rows as the standard library has them; nil
// when it has none.
func readings(object []byte, lines bool) (f Format, spec study.FormatSpec, rows []map[string]any) {
	if lines {
		s := bufio.NewScanner(bytes.NewReader(object))
		s.Buffer(nil, maxRow)
		for s.Scan() {
			var row map[string]any
			if number(s.Bytes(), &row) {
				rows = append(rows, row)
			}
		}
		return lines1, spec, rows
	}
	if number(object, &rows) {
		return document1, spec, rows
	}
	var bundle struct{ Entry []map[string]any }
	spec.Records = "/entry"
	number(object, &bundle)
	return document1, spec, bundle.Entry
}

func number(text []byte, v any) bool {
	d := stdjson.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	d.UseNumber()
	return d.Decode(v) == nil
}

// sameRows compares the rows and counts those that are not UTF-8.
func sameRows(t *testing.T, f Format, spec study.FormatSpec, object []byte, want []map[string]any) (broken int) {
	t.Helper()
	names, other := map[string]bool{}, map[string]bool{}
	for _, row := range want {
		for name, v := range row {
			names[name] = true
			other[name] = other[name] || !joins(v)
		}
	}
	maps.DeleteFunc(names, func(name string, _ bool) bool { return other[name] })
	spec.Columns = slices.Sorted(maps.Keys(names))
	rows, _, err := decode(t, f, spec, bytes.NewReader(object))
	if err != nil || len(rows) != len(want) {
		t.Errorf("%d rows, %v; want %d", len(rows), err, len(want))
		return 0
	}
	for i, r := range rows {
		if r.rule == ruleText {
			broken++
			continue
		}
		for c, name := range spec.Columns {
			if r.rule != "" || !same(r.cells[c], want[i][name]) {
				t.Errorf("row %d (%s): a cell of %s is another", i+1, r.rule, name)
			}
		}
	}
	return broken
}

// joins reports whether a value can be one cell.
func joins(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return false
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool {
			switch e := e.(type) {
			case map[string]any, []any:
				return true
			case string:
				return bytes.ContainsRune([]byte(e), '|')
			}
			return false
		})
	}
	return true
}
