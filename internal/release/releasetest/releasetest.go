// Package releasetest is what an analyst may take for granted of any release, as
// checks of a release folder.
package releasetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longitude/internal/columnar"
	"longitude/internal/release"
	"longitude/study"
)

// Table is all rows of a table, in memory.
type Table struct {
	release.Resource
	Rows []map[string]any // nil = NULL; int64, float64 or string
}

// Check fails t unless keys are unique and sorted, references are met, dictionary and
// code lists are complete in both directions, every column has a description, what the
// manifest calls required is there, and no sentinel is among numbers.
func Check(t *testing.T, dir string) map[string]*Table {
	t.Helper()
	before, err := release.ReadBefore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]*Table{}
	for _, r := range before.Manifest.Resources {
		tables[r.Name] = read(t, dir, r)
	}
	for _, table := range tables {
		keys(t, table)
		references(t, table, tables)
		fields(t, table)
	}
	dictionary(t, tables)
	codes(t, tables)
	return tables
}

func read(t *testing.T, dir string, r release.Resource) *Table {
	t.Helper()
	table := &Table{Resource: r}
	for _, path := range r.Path {
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range columnar.Read(t.Context(), f, path) {
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.Rows {
				row := map[string]any{}
				for c := range b.Vectors {
					row[b.Table.Columns[c].Name] = value(&b.Vectors[c], i)
				}
				table.Rows = append(table.Rows, row)
			}
		}
		_ = f.Close()
	}
	if int64(len(table.Rows)) != r.Rows {
		t.Errorf("%s holds %d rows, the manifest says %d", r.Name, len(table.Rows), r.Rows)
	}
	return table
}

func value(v *study.Vector, i int) any {
	switch {
	case v.Null(i):
		return nil
	case len(v.Texts) > 0:
		return v.Texts[i]
	case len(v.Floats) > 0:
		return v.Floats[i]
	}
	return v.Ints[i]
}

func key(row map[string]any, columns []string) string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "%T %v\x00", row[c], row[c])
	}
	return b.String()
}

func keys(t *testing.T, table *Table) {
	t.Helper()
	seen := map[string]bool{}
	for _, row := range table.Rows {
		k := key(row, table.Schema.PrimaryKey)
		if seen[k] {
			t.Errorf("%s: a key is there twice", table.Name)
			return
		}
		seen[k] = true
		if slices.ContainsFunc(table.Schema.PrimaryKey, func(c string) bool { return row[c] == nil }) {
			t.Errorf("%s: a part of a key is NULL", table.Name)
			return
		}
	}
}

func references(t *testing.T, table *Table, all map[string]*Table) {
	t.Helper()
	for _, f := range table.Schema.ForeignKeys {
		target := all[f.Reference.Resource]
		if target == nil {
			t.Errorf("%s refers to a table that is not there", table.Name)
			continue
		}
		there := map[string]bool{}
		for _, row := range target.Rows {
			there[key(row, f.Reference.Fields)] = true
		}
		for _, row := range table.Rows {
			if row[f.Fields[0]] != nil && !there[key(row, f.Fields)] {
				t.Errorf("%s.%s: a row refers to nothing", table.Name, f.Fields[0])
				break
			}
		}
	}
}

// sentinels are numbers that mean that there is none, where a form has room for a
// number only.
var sentinels = []int64{-9, -99, -999, -9999, 999, 9999}

func fields(t *testing.T, table *Table) {
	t.Helper()
	for _, f := range table.Schema.Fields {
		if f.Description == "" && f.Field == "" || f.Title == "" {
			t.Errorf("%s.%s is not described", table.Name, f.Name)
		}
		for _, row := range table.Rows {
			v := row[f.Name]
			if f.Constraints.Required && v == nil {
				t.Errorf("%s.%s is required and NULL", table.Name, f.Name)
				break
			}
			if n, is := v.(int64); is && f.Type == "integer" && f.Field != "" && slices.Contains(sentinels, n) {
				t.Errorf("%s.%s holds a number that means that there is none", table.Name, f.Name)
				break
			}
		}
	}
}

func dictionary(t *testing.T, all map[string]*Table) {
	t.Helper()
	described := map[string]bool{}
	for _, row := range all["data_dictionary"].Rows {
		described[row["table_name"].(string)+"."+row["column_name"].(string)] = true
		if row["label"] == "" {
			t.Errorf("the dictionary has no label for a column of %s", row["table_name"])
		}
	}
	for name, table := range all {
		for _, f := range table.Schema.Fields {
			if !described[name+"."+f.Name] {
				t.Errorf("%s.%s is not in the dictionary", name, f.Name)
			}
			delete(described, name+"."+f.Name)
		}
	}
	for name := range described {
		t.Errorf("the dictionary describes %s, which is not there", name)
	}
}

// codes are all in their lists.
func codes(t *testing.T, all map[string]*Table) {
	t.Helper()
	known := map[string]bool{}
	for _, row := range all["codelists"].Rows {
		known[row["codelist"].(string)+"\x00"+row["code"].(string)] = true
	}
	for _, row := range all["data_dictionary"].Rows {
		list, coded := row["codelist"].(string)
		name, column := row["table_name"].(string), row["column_name"].(string)
		for _, r := range all[name].Rows {
			text, is := r[column].(string)
			if coded && is && !known[list+"\x00"+text] {
				t.Errorf("%s.%s holds a code that is not in list %s", name, column, list)
				break
			}
		}
	}
}
