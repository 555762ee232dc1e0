package datasetjson

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"longitude/study"
	"longitude/transform"
)

// decoded is an object with its rows copied out of their batches. A cell is
// "<nil>" where it is absent.
type decoded struct {
	columns, labels, types []string
	dialect                string
	cells                  [][]string
	raw                    []string
	lines                  []int64
	rules                  []string // by row
}

func decode(t testing.TB, spec study.FormatSpec, r io.Reader) (all decoded, err error) {
	t.Helper()
	for batch, e := range (Format{}).Decode(context.Background(), spec, r) {
		if e != nil {
			return all, e
		}
		all.columns, all.labels, all.types, all.dialect = batch.Columns, batch.Labels, batch.Types, batch.Dialect
		before := len(all.cells)
		if batch.First != int64(before)+1 {
			t.Fatalf("batch starts at ordinal %d after %d rows", batch.First, before)
		}
		if len(batch.Cells) != batch.Len()*len(batch.Columns) || len(batch.Raw) != batch.Len() {
			t.Fatalf("%d cells and %d raw rows for %d rows of %d columns", len(batch.Cells), len(batch.Raw), batch.Len(), len(batch.Columns))
		}
		for i := range batch.Len() {
			var cells []string
			for _, c := range batch.Row(i) {
				if c == nil {
					c = []byte("<nil>")
				}
				cells = append(cells, string(c))
			}
			all.cells, all.lines, all.raw = append(all.cells, cells), append(all.lines, batch.Lines[i]), append(all.raw, string(batch.Raw[i]))
			all.rules = append(all.rules, "")
		}
		for _, b := range batch.Broken {
			all.rules[before+b.Row], all.cells[before+b.Row] = b.Rule, nil
		}
	}
	return all, nil
}

func code(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v; want %v", what, got, want)
	}
}

// head is the metadata of a data set with three columns, without its end.
func head(records int) string {
	return fmt.Sprintf(`{"datasetJSONCreationDateTime": "2026-01-02T03:04:05", "datasetJSONVersion": "1.1.0", "sourceSystem": {"name": "a, } \" ]", "version": "1"}, `+
		`"itemGroupOID": "IG.VS", "records": %d, "name": "VS", "label": "Vital Signs", "columns": [`+
		`{"itemOID": "IT.USUBJID", "name": "USUBJID", "label": "Unique Subject Identifier", "dataType": "string", "length": 10, "keySequence": 1}, `+
		`{"itemOID": "IT.VSSTRESN", "name": "VSSTRESN", "label": "Result", "dataType": "double"}, `+
		`{"itemOID": "IT.VSDTC", "name": "VSDTC", "label": "Date", "dataType": "date", "targetDataType": "integer"}]`, records)
}

func asObject(rows ...string) string {
	return head(len(rows)) + `, "rows": [` + strings.Join(rows, ", ") + "]}\n"
}

func asLines(rows ...string) string { return head(len(rows)) + "}\n" + strings.Join(rows, "\n") }

// both reads rows in both forms, which must say the same.
func both(t *testing.T, rows ...string) decoded {
	t.Helper()
	object, err := decode(t, study.FormatSpec{}, strings.NewReader(asObject(rows...)))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := decode(t, study.FormatSpec{}, strings.NewReader(asLines(rows...)))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "lines against object: raw", lines.raw, object.raw)
	equal(t, "lines against object: cells", lines.cells, object.cells)
	equal(t, "lines against object: rules", lines.rules, object.rules)
	for i := range rows {
		if object.lines[i] != int64(i)+1 || lines.lines[i] != int64(i)+2 {
			t.Errorf("row %d is row %d and line %d", i+1, object.lines[i], lines.lines[i])
		}
	}
	return object
}

func TestBothForms(t *testing.T) {
	rows := []string{`["01-001", 36.60, "2026-01-31"]`, `[ "é\u00e9\n\"\\\/\ud83d\ude00" ,null,""]`, `["",-0,"2026"]`}
	got := both(t, rows...)
	equal(t, "columns", got.columns, []string{"USUBJID", "VSSTRESN", "VSDTC"})
	equal(t, "labels", got.labels, []string{"Unique Subject Identifier", "Result", "Date"})
	equal(t, "types", got.types, []string{"text", "number", "date"})
	equal(t, "cells", got.cells, [][]string{{"01-001", "36.60", "2026-01-31"}, {"éé\n\"\\/😀", "<nil>", ""}, {"", "-0", "2026"}})
	equal(t, "raw", got.raw, rows)
	equal(t, "dialect", got.dialect, "1.1.0, object")
}

func TestTypes(t *testing.T) {
	columns, want := "", []string{}
	for kind, said := range map[string]string{"string": "text", "integer": "number", "float": "number", "double": "number", "decimal": "number",
		"boolean": "boolean", "date": "date", "datetime": "datetime", "time": "time", "URI": "text", "other": ""} {
		columns += fmt.Sprintf(`,{"name":%q,"dataType":%q}`, kind, kind)
		want = append(want, said)
	}
	in := `{"datasetJSONVersion":"1.1","name":"X","columns":[` + columns[1:] + `]}` + "\n[" + strings.Repeat("true,", len(want)-1) + "false]"
	got, err := decode(t, study.FormatSpec{}, strings.NewReader(in))
	equal(t, "error", err, nil)
	equal(t, "types", got.types, want)
	equal(t, "first and last", got.cells[0][0]+got.cells[0][len(want)-1], "truefalse")
	equal(t, "dialect", got.dialect, "1.1, lines")
}

func TestNumbersStayAsWritten(t *testing.T) {
	for written, want := range map[string]string{
		"0": "0", "-1.500": "-1.500", "12345678901234567890.123456789": "12345678901234567890.123456789", "1e0": "1",
		"1.5e3": "1500", "1.50E+1": "15.0", "-15e-1": "-1.5", "5e-3": "0.005", "0.00": "0.00", "0e5": "0", "1.25e1": "12.5", "100e-2": "1.00",
	} {
		if got := both(t, `["A",`+written+`,null]`); got.cells[0][1] != want {
			t.Errorf("%s reads as %s; want %s", written, got.cells[0][1], want)
		}
	}
	for _, far := range []string{"1e400", "1e-400", "1e99999999999999999999"} {
		equal(t, far, both(t, `["A",`+far+`,null]`).rules, []string{"number_invalid"})
	}
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 20_000 {
		written := fmt.Sprintf("%d.%0*de%d", rnd.Int64N(1e6)-5e5, 1+rnd.IntN(6), rnd.IntN(10), rnd.IntN(61)-30)
		got, rule := new(decoder).cell([]byte(written), scanScalar([]byte(written)))
		a, _ := new(big.Rat).SetString(string(got))
		b, _ := new(big.Rat).SetString(written)
		if rule != "" || a == nil || a.Cmp(b) != 0 || bytes.ContainsAny(got, "eE") {
			t.Fatalf("%s reads as %s %s", written, got, rule)
		}
	}
}

func TestBrokenRows(t *testing.T) {
	for row, rule := range map[string]string{
		`["A",1]`: "column_count", `["A",1,"x",2]`: "column_count", `[]`: "column_count",
		`["A" 1 "x"]`: "json_invalid", `["A",01,"x"]`: "json_invalid", `["A",1,"\x"]`: "json_invalid", "[\"A\t\",1,null]": "json_invalid",
		`{"a":1}`: "json_not_array", `"A"`: "json_not_array", `12`: "json_not_array", `["A",[1],2]`: "json_not_scalar", `["A",1,{"a":[2]}]`: "json_not_scalar",
		"[\"A\xe9\",1,null]": "text_invalid", `["\ud83d",1,null]`: "text_invalid", `["\ud83d\u0041",1,null]`: "text_invalid", `["\ude00",1,null]`: "text_invalid",
		`["\u0000",1,null]`: "text_control", `["\u0085",1,null]`: "text_control", "[\"\u0085\",1,null]": "text_control",
	} {
		got := both(t, `["A",1,null]`, row, `["B",2,"x"]`)
		equal(t, row, got.rules, []string{"", rule, ""})
		equal(t, "the row after "+row, got.cells[2], []string{"B", "2", "x"})
		equal(t, "raw", got.raw[1], row)
	}
	got, err := decode(t, study.FormatSpec{}, strings.NewReader(asLines(`["A",1,null]`, `["B",`, `]`, `["C",1,null]`)))
	equal(t, "error", err, nil)
	equal(t, "a row on two lines", got.rules, []string{"", "json_invalid", "json_invalid", ""})
}

func TestLongRows(t *testing.T) {
	long := `["` + strings.Repeat("x", maxRow-12) + `",1,null]` // one byte short of the limit
	longer := `["` + strings.Repeat("\\\"", 3*maxRow) + `",[1],null]`
	got := both(t, `["A",1,null]`, long[:2]+"x"+long[2:], longer, long, longer, `["B",2,null]`)
	equal(t, "rules", got.rules[1:], []string{"row_too_long", "row_too_long", "", "row_too_long", ""})
	equal(t, "raw bytes kept", len(got.raw[2]), maxRow)
	equal(t, "last", got.cells[5], []string{"B", "2", "<nil>"})
	equal(t, "long", len(got.cells[3][0]), maxRow-12)
}

func TestLines(t *testing.T) {
	in := "\ufeff" + strings.ReplaceAll(head(2), `, "name"`, ",\n\"name\"") + "}\r\n\n" + `["A",1,null]` + "\r\n \r\n" + `["B",2,null]` + "\n\n"
	got, err := decode(t, study.FormatSpec{Table: "vs"}, strings.NewReader(in))
	equal(t, "error", err, nil)
	equal(t, "raw", got.raw, []string{`["A",1,null]`, `["B",2,null]`})
	first := int64(4 + strings.Count(in[:strings.Index(in, "}\r\n\n")], "\n") - 1)
	equal(t, "lines", got.lines, []int64{first, first + 2})
}

func TestEmptyDataSetHasColumns(t *testing.T) {
	for name, in := range map[string]string{"object": asObject(), "lines": asLines(), "no line end": head(0) + "}", "no rows": head(0) + "}\n\n"} {
		got, err := decode(t, study.FormatSpec{}, strings.NewReader(in))
		if err != nil || len(got.columns) != 3 || len(got.cells) != 0 {
			t.Errorf("%s: %d columns, %d rows: %v", name, len(got.columns), len(got.cells), err)
		}
	}
}

func TestErrors(t *testing.T) {
	row := `["A",1,null]`
	change := func(from, to string) string { return strings.Replace(asObject(row), from, to, 1) }
	for name, c := range map[string]struct{ in, code string }{
		"nothing":              {"", "datasetjson.truncated"},
		"no object":            {"[1]", "datasetjson.invalid"},
		"text":                 {"a,b\n1,2\n", "datasetjson.invalid"},
		"compressed":           {"\x1f\x8b\x08", "datasetjson.invalid"},
		"empty object":         {"{}", "datasetjson.invalid"},
		"fewer rows":           {strings.Replace(asObject(row, row), `"records": 2`, `"records": 3`, 1), "datasetjson.records"},
		"more rows":            {strings.Replace(asLines(row, row), `"records": 2`, `"records": 1`, 1), "datasetjson.records"},
		"none of the rows":     {head(1) + "}", "datasetjson.records"},
		"version 1.0":          {change("1.1.0", "1.0.0"), "datasetjson.version"},
		"version 1.10":         {change("1.1.0", "1.10"), "datasetjson.version"},
		"version missing":      {change("datasetJSONVersion", "version"), "datasetjson.invalid"},
		"columns missing":      {change(`"columns"`, `"items"`), "datasetjson.invalid"},
		"rows before columns":  {`{"datasetJSONVersion":"1.1.0","rows":[["A",1,null]],"columns":[{"name":"a"}]}`, "datasetjson.invalid"},
		"columns no list":      {change(`"columns": [`, `"columns": "x", "y": [`), "datasetjson.invalid"},
		"a column twice":       {change("VSDTC\", \"label", "USUBJID\", \"label"), "datasetjson.invalid"},
		"a column without":     {change("\"name\": \"VSDTC\"", "\"name\": \"\""), "datasetjson.invalid"},
		"columns not UTF-8":    {change("Unique Subject", "\xe9"), "datasetjson.invalid"},
		"member twice":         {change(`"label": "Vital`, `"name": "Vital`), "datasetjson.invalid"},
		"rows twice":           {strings.Replace(asObject(row), "]}\n", `], "rows": []}`, 1), "datasetjson.invalid"},
		"rows no list":         {change(`"rows": [`, `"rows": {`), "datasetjson.invalid"},
		"no colon":             {change(`"rows": [`, `"rows" [`), "datasetjson.invalid"},
		"no comma":             {change(`], "rows"`, `] "rows"`), "datasetjson.invalid"},
		"metadata no JSON":     {change(`{"name": "a, }`, `{"name" "a, }`), "datasetjson.invalid"},
		"comma at the end":     {head(1) + `, "rows": [` + row + ",]}", "datasetjson.invalid"},
		"two commas":           {head(1) + `, "rows": [` + row + ",," + row + "]}", "datasetjson.invalid"},
		"no comma of rows":     {head(1) + `, "rows": [` + row + row + "]}", "datasetjson.invalid"},
		"something after":      {asObject(row) + "x", "datasetjson.invalid"},
		"row beside metadata":  {head(1) + "} " + row, "datasetjson.invalid"},
		"comma after members":  {head(0) + ", }", "datasetjson.invalid"},
		"member without name":  {head(0) + ", 1: 2}", "datasetjson.invalid"},
		"metadata without end": {`{"a":"` + strings.Repeat("x", maxMember+10) + `"}`, "datasetjson.invalid"},
	} {
		if _, err := decode(t, study.FormatSpec{}, strings.NewReader(c.in)); code(err) != c.code {
			t.Errorf("%s: %v; want %s", name, err, c.code)
		}
	}
	if _, err := decode(t, study.FormatSpec{Table: "DM"}, strings.NewReader(asObject(row))); code(err) != "datasetjson.table" {
		t.Errorf("another data set: %v", err)
	}
	var e *study.Error
	if _, err := decode(t, study.FormatSpec{}, strings.NewReader(head(2)+`, "rows": [`+row+"; "+row+"]}")); !errors.As(err, &e) || e.Place != "row 2" {
		t.Errorf("place of a wrong separator: %v", err)
	}
}

// An object that is cut anywhere is an error; of lines, only the announced
// number of rows can tell.
func TestTruncated(t *testing.T) {
	rows := []string{`["A",1,null]`, `["B",2.5,"x"]`, `["C",3,"2026-01-31"]`}
	object, lines := asObject(rows...), asLines(rows...)
	for cut := range len(object) - 1 {
		if _, err := decode(t, study.FormatSpec{}, strings.NewReader(object[:cut])); code(err) != "datasetjson.truncated" {
			t.Fatalf("cut to %d bytes of %d: %v", cut, len(object), err)
		}
	}
	for cut := range len(lines) {
		got, err := decode(t, study.FormatSpec{}, strings.NewReader(lines[:cut]))
		if err == nil && (len(got.rules) < 3 || got.rules[2] != "json_invalid") {
			t.Fatalf("lines cut to %d bytes of %d", cut, len(lines))
		}
	}
}

func TestCheck(t *testing.T) {
	if wrong := (Format{}).Check(study.FormatSpec{Type: "datasetjson", Encoding: "utf-8", Table: "DM", Header: true, DecimalMark: "."}); len(wrong) != 0 {
		t.Errorf("findings %v", wrong)
	}
}

func FuzzDecode(f *testing.F) {
	for _, in := range []string{
		asObject(`["A",1e2,null]`, `[ "\u00e9\ud83d\ude00", true, {} ]`), asLines(`["A",-1.5,"x"]`, "", `["B"`), head(0) + "}", asObject(),
		strings.Replace(asObject(`["A",1,null]`), "]}\n", `],"x":[]}`, 1),
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := decode(t, study.FormatSpec{}, bytes.NewReader(in))
		again, err2 := decode(t, study.FormatSpec{}, iotest.OneByteReader(bytes.NewReader(in)))
		if !reflect.DeepEqual(got, again) || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatal("reading by byte gives something else")
		}
		var e *study.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("error %T", err)
		}
		for i, rule := range got.rules {
			if raw := []byte(got.raw[i]); json.Valid(raw) == (rule == "json_invalid") && len(raw) < maxRow {
				t.Fatalf("row %d is %q, the standard library disagrees", i+1, rule)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	rows := make([]string, 100_000)
	for i := range rows {
		rows[i] = `["01-701-1015",36.6,"2026-01-31"]`
	}
	for name, in := range map[string]string{"object": asObject(rows...), "lines": asLines(rows...)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if got := count(b, in); got != len(rows) {
					b.Fatal(got)
				}
			}
		})
	}
}

func count(b *testing.B, in string) (n int) {
	for rows, err := range (Format{}).Decode(context.Background(), study.FormatSpec{}, strings.NewReader(in)) {
		if err != nil {
			b.Fatal(err)
		}
		n += rows.Len()
	}
	return n
}

var _ transform.Format = Format{}
