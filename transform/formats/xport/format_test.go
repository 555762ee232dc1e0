package xport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
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
	rules                  map[int]string // by row, from 0
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
			if batch.Lines[i] != int64(before+i)+1 {
				t.Fatalf("row %d is on line %d", before+i+1, batch.Lines[i])
			}
			var cells []string
			for _, c := range batch.Row(i) {
				if c == nil {
					c = []byte("<nil>")
				}
				cells = append(cells, string(c))
			}
			all.cells = append(all.cells, cells)
			all.raw = append(all.raw, string(batch.Raw[i]))
		}
		for _, b := range batch.Broken {
			if all.rules == nil {
				all.rules = map[int]string{}
			}
			all.rules[before+b.Row] = b.Rule
		}
	}
	return all, nil
}

func mustDecode(t testing.TB, spec study.FormatSpec, object []byte) decoded {
	t.Helper()
	all, err := decode(t, spec, bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	return all
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

var visits = member{name: "SV", vars: []variable{
	{name: "USUBJID", label: "Unique Subject Identifier", width: 11, text: true},
	{name: "VISITNUM", label: "Visit Number", width: 8},
	{name: "SVDT", label: "Date", format: "DATE", width: 8},
}, rows: [][]any{{"01-701-1015", 1.0, 19724.0}, {"A", 8.1, missing('.')}, {"", missing('U'), -1.0}, {"  B", -0.5, 0.0}}}

var visitCells = [][]string{{"01-701-1015", "1", "2014-01-01"}, {"A", "8.1", "<nil>"}, {"<nil>", ".U", "1959-12-31"}, {"  B", "-0.5", "1960-01-01"}}

func TestBothVersions(t *testing.T) {
	for _, version := range []int{5, 8} {
		got := mustDecode(t, study.FormatSpec{}, library(version, visits))
		equal(t, "columns", got.columns, []string{"USUBJID", "VISITNUM", "SVDT"})
		equal(t, "labels", got.labels, []string{"Unique Subject Identifier", "Visit Number", "Date"})
		equal(t, "types", got.types, []string{"text", "number", "date"})
		equal(t, "cells", got.cells, visitCells)
		equal(t, "dialect", got.dialect, fmt.Sprintf("version %d, utf-8", version))
		equal(t, "raw bytes", got.raw[1], "A"+strings.Repeat(" ", 10)+string(ibm(8.1))+".\x00\x00\x00\x00\x00\x00\x00")
	}
}

func TestLongNamesLabelsAndFormats(t *testing.T) {
	label := strings.Repeat("a label longer than forty bytes ", 7) + "end"
	m := member{name: "a_member_with_a_long_name", vars: []variable{
		{name: "a_name_of_exactly_32_characters_", label: label, width: 300, text: true},
		{name: "Short", label: "brief", width: 3},
	}, rows: [][]any{{strings.Repeat("x", 300), 5.0}}}
	check := func(types ...string) {
		t.Helper()
		got := mustDecode(t, study.FormatSpec{Table: "A_MEMBER_with_a_long_name"}, library(8, m))
		equal(t, "columns", got.columns[:2], []string{m.vars[0].name, "Short"})
		equal(t, "labels", got.labels[:2], []string{label, "brief"})
		equal(t, "cells", got.cells[0][:2], []string{strings.Repeat("x", 300), "5"})
		equal(t, "types", got.types, types)
	}
	check("text", "number")
	m.vars = append(m.vars, variable{name: "When", format: "NLDATMMDS30.", width: 8}, variable{name: "Then", format: "E8601DA10.", width: 8, label: label})
	m.rows[0] = append(m.rows[0], 1.0, 1.0)
	check("text", "number", "number", "date")
}

func TestEncodings(t *testing.T) {
	object := func(text string) []byte {
		return library(5, member{name: "T", vars: []variable{{name: "X", width: 8, text: true}}, rows: [][]any{{"a"}, {text}}})
	}
	for _, c := range []struct{ encoding, text, want, rule, code string }{
		{"auto", "é €", "é €", "", ""},
		{"", "caf\xe9", "", "", "xport.encoding_unknown"},
		{"utf-8", "caf\xe9", "<nil>", "text_invalid", ""},
		{"windows-1252", "caf\xe9\x80", "café€", "", ""},
		{"windows-1252", "caf\x81", "<nil>", "text_control", ""},
		{"iso-8859-1", "caf\xe9", "café", "", ""},
		{"iso-8859-1", "\x80", "<nil>", "text_control", ""},
		{"auto", "a\x00b", "<nil>", "text_control", ""},
		{"auto", "a\tb\n", "a\tb\n", "", ""},
		{"auto", "\u0085", "<nil>", "text_control", ""},
		{"windows-1252", "plain", "plain", "", ""},
	} {
		got, err := decode(t, study.FormatSpec{Encoding: c.encoding}, bytes.NewReader(object(c.text)))
		switch {
		case c.code != "":
			var e *study.Error
			if code(err) != c.code || !errors.As(err, &e) || e.Place != "row 2" {
				t.Errorf("%s %q: %v", c.encoding, c.text, err)
			}
		case err != nil:
			t.Errorf("%s %q: %v", c.encoding, c.text, err)
		case got.cells[1][0] != c.want || got.rules[1] != c.rule || got.cells[0][0] != "a":
			t.Errorf("%s %q: %q, %v; want %q, %s", c.encoding, c.text, got.cells[1][0], got.rules, c.want, c.rule)
		}
	}
}

func TestMembers(t *testing.T) {
	other := member{name: "DM", vars: []variable{{name: "AGE", width: 8}}, rows: [][]any{{60.0}, {61.0}}}
	for _, version := range []int{5, 8} {
		both := library(version, visits, other)
		equal(t, "first", mustDecode(t, study.FormatSpec{Table: "sv"}, both).cells, visitCells)
		equal(t, "second", mustDecode(t, study.FormatSpec{Table: "DM"}, both).cells, [][]string{{"60"}, {"61"}})
		for table, want := range map[string]string{"": "xport.members", "AE": "xport.member_unknown"} {
			_, err := decode(t, study.FormatSpec{Table: table}, bytes.NewReader(both))
			if code(err) != want || !strings.Contains(err.Error(), "SV, DM") {
				t.Errorf("asking for %q: %v", table, err)
			}
		}
		if _, err := decode(t, study.FormatSpec{Table: "SV"}, bytes.NewReader(library(version))); code(err) != "xport.member_unknown" {
			t.Errorf("an empty library: %v", err)
		}
		if _, err := decode(t, study.FormatSpec{}, bytes.NewReader(library(version))); code(err) != "xport.member_unknown" {
			t.Errorf("an empty library: %v", err)
		}
	}
	if _, err := decode(t, study.FormatSpec{Table: "SV"}, bytes.NewReader(library(5, visits, visits))); code(err) != "xport.members" {
		t.Errorf("two members of one name: %v", err)
	}
	odd := visits
	odd.name = "Jo Bloggs"
	if _, err := decode(t, study.FormatSpec{Table: "X"}, bytes.NewReader(library(8, odd))); strings.Contains(err.Error(), "Bloggs") {
		t.Errorf("a name that is no name is repeated: %v", err)
	}
}

func TestEmptyMemberHasColumns(t *testing.T) {
	empty := visits
	empty.rows = nil
	for _, version := range []int{5, 8} {
		got := mustDecode(t, study.FormatSpec{}, library(version, empty))
		equal(t, "columns", got.columns, []string{"USUBJID", "VISITNUM", "SVDT"})
		if len(got.cells) != 0 {
			t.Errorf("%d rows", len(got.cells))
		}
	}
}

// Blanks that pad the last record are not rows, whatever the length of a row;
// blank rows before them are.
func TestPadding(t *testing.T) {
	for width := 1; width <= 170; width += 1 + width/20 {
		for _, n := range []int{0, 1, 2, 3, 7, 8, 20, 40, 79, 80, 81} {
			m := member{name: "P", vars: []variable{{name: "X", width: width, text: true}}}
			for i := range n {
				m.rows = append(m.rows, []any{map[bool]string{true: "", false: "x"}[i%3 == 1 && i < n-1]})
			}
			for _, version := range []int{5, 8} {
				two := library(version, m, visits)
				if got := mustDecode(t, study.FormatSpec{Table: "P"}, two); len(got.cells) != n {
					t.Fatalf("version %d: %d rows of %d bytes are read as %d", version, n, width, len(got.cells))
				}
				if n > 40 {
					equal(t, "the member after it", mustDecode(t, study.FormatSpec{Table: "SV"}, two).cells, visitCells)
				}
			}
		}
	}
}

func TestTruncated(t *testing.T) {
	m := visits
	m.rows = slices.Repeat(m.rows[:1], 100) // of 27 bytes
	for _, version := range []int{5, 8} {
		whole := library(version, m)
		start := len(whole) - (100*27/80+1)*80
		for cut := 0; cut < len(whole); cut += 1 + cut%3 {
			_, err := decode(t, study.FormatSpec{}, bytes.NewReader(whole[:cut]))
			if version == 5 && cut >= start && cut%(27*80) == start%(27*80) || cut == 240 {
				continue // the end of a row at the end of a record cannot be told from the end
			}
			var e *study.Error
			if !errors.As(err, &e) || e.Code != "xport.truncated" || !strings.HasPrefix(e.Place, "record ") {
				t.Fatalf("version %d, %d of %d bytes: %v", version, cut, len(whole), err)
			}
			if got, _ := strconv.Atoi(e.Place[len("record "):]); got != cut/80+1 {
				t.Fatalf("version %d, cut at %d: %s", version, cut, e.Place)
			}
		}
	}
	short := visits
	short.tail = []byte{}
	short.rows = append(slices.Clone(short.rows), slices.Repeat([][]any{short.rows[0]}, 76)...) // 80 rows end at a record
	two := library(5, short, visits)
	cut := bytes.LastIndex(two, []byte("HEADER RECORD*******MEMBER"))
	two = slices.Delete(two, cut-80, cut)
	if _, err := decode(t, study.FormatSpec{Table: "SV"}, bytes.NewReader(two)); code(err) != "xport.truncated" {
		t.Errorf("a record is missing before the next member: %v", err)
	}
}

func TestInvalid(t *testing.T) {
	good := library(5, visits)
	change := func(at int, to string) []byte {
		b := slices.Clone(good)
		copy(b[at:], to)
		return b
	}
	twice := visits
	twice.vars = slices.Clone(visits.vars)
	twice.vars[1].name = "usubjid"
	more := library(8, visits)
	more = append(more, padded([]byte("more"))...)
	for name, c := range map[string]struct {
		object []byte
		code   string
	}{
		"text":              {bytes.Repeat([]byte("a,b\n"), 100), "xport.unknown"},
		"no member header":  {change(240, "x"), "xport.header_invalid"},
		"size of NAMESTR":   {change(240+74, "0141"), "xport.header_invalid"},
		"no DSCRPTR":        {change(320, "x"), "xport.header_invalid"},
		"no variables":      {change(560+54, "0000"), "xport.header_invalid"},
		"no number of them": {change(560+54, "3 x "), "xport.header_invalid"},
		"type":              {change(640, "\x00\x03"), "xport.header_invalid"},
		"length of text":    {change(644, "\xff\xff"), "xport.header_invalid"},
		"length of number":  {change(640+140+4, "\x00\x09"), "xport.header_invalid"},
		"no OBS":            {change(640+480, "x"), "xport.header_invalid"},
		"names":             {library(8, twice), "xport.header_invalid"},
		"name":              {change(648, "\x00\x00\x00\x00\x00\x00\x00\x00"), "xport.header_invalid"},
		"label":             {change(656, "\x01"), "xport.header_invalid"},
		"long label":        {library(8, member{name: "L", vars: []variable{{name: "X", label: strings.Repeat("l", 5000), width: 8}}}), "xport.header_invalid"},
		"rows after all":    {more, "xport.header_invalid"},
		"encoding of label": {change(656, "\xe9"), "xport.encoding_unknown"},
	} {
		if _, err := decode(t, study.FormatSpec{}, bytes.NewReader(c.object)); code(err) != c.code {
			t.Errorf("%s: %v; want %s", name, err, c.code)
		}
	}
}

func TestReaderFails(t *testing.T) {
	whole := library(5, visits)
	for cut := range whole {
		_, err := decode(t, study.FormatSpec{}, io.MultiReader(bytes.NewReader(whole[:cut]), iotest.ErrReader(io.ErrUnexpectedEOF)))
		if code(err) != "xport.read" || !study.IsTemporary(err) {
			t.Fatalf("failing after %d bytes: %v", cut, err)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range (Format{}).Decode(stopped, study.FormatSpec{}, bytes.NewReader(whole)) {
		if code(err) != "xport.stopped" || !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
	}
}

// However the reader portions them, the bytes say the same.
func TestAnyPortion(t *testing.T) {
	m := visits
	m.rows = slices.Repeat(m.rows, 1000) // more than the buffer holds
	for _, version := range []int{5, 8} {
		other := visits
		other.name = "OTHER"
		whole := library(version, m, other)
		spec := study.FormatSpec{Table: "SV"}
		want := mustDecode(t, spec, whole)
		if len(want.cells) != 4000 {
			t.Fatalf("%d rows", len(want.cells))
		}
		for name, r := range map[string]io.Reader{"half": iotest.HalfReader(bytes.NewReader(whole)), "data and error": iotest.DataErrReader(bytes.NewReader(whole))} {
			got, err := decode(t, spec, r)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("version %d, %s: %v", version, name, err)
			}
		}
	}
}

// A row longer than the first buffer makes it grow; one longer than maxRow is refused.
func TestWideRows(t *testing.T) {
	m := member{name: "WIDE"}
	var row []any
	for i := range 100 {
		m.vars = append(m.vars, variable{name: fmt.Sprintf("V%d", i), width: 30_000, text: true})
		row = append(row, fmt.Sprint(i))
	}
	m.rows = [][]any{row, row, row}
	got := mustDecode(t, study.FormatSpec{}, library(8, m))
	if len(got.cells) != 3 || got.cells[2][99] != "99" {
		t.Errorf("%d rows", len(got.cells))
	}
	m.vars = append(m.vars, m.vars[:50]...)
	if _, err := decode(t, study.FormatSpec{}, bytes.NewReader(library(8, m.without()))); code(err) != "xport.header_invalid" {
		t.Errorf("a row of 4.5 MB: %v", err)
	}
}

func (m member) without() member {
	m.vars, m.rows = slices.Clone(m.vars), nil
	for i := range m.vars {
		m.vars[i].name = fmt.Sprintf("W%d", i)
	}
	return m
}

func TestCheck(t *testing.T) {
	if wrong := (Format{}).Check(study.FormatSpec{Type: "xport", Encoding: "windows-1252", Table: "DM", Header: true, DecimalMark: "."}); len(wrong) != 0 {
		t.Errorf("findings %v", wrong)
	}
	wrong := Format{}.Check(study.FormatSpec{Encoding: "utf-16", DecimalMark: ",", Table: strings.Repeat("x", 33)})
	for _, key := range []string{"encoding", "decimal_mark", "table"} {
		if wrong[key] == "" {
			t.Errorf("nothing found wrong with %s", key)
		}
	}
}

func FuzzDecode(f *testing.F) {
	long := member{name: "L", vars: []variable{{name: "a_long_name", label: strings.Repeat("l", 60), format: "DATE", width: 3}}, rows: [][]any{{1.0}}}
	for _, version := range []int{5, 8} {
		f.Add(library(version, visits), "")
		f.Add(library(version, visits, long), "L")
	}
	f.Fuzz(func(t *testing.T, in []byte, table string) {
		for name := range charsets {
			spec := study.FormatSpec{Encoding: name, Table: table}
			got, err := decode(t, spec, bytes.NewReader(in))
			again, err2 := decode(t, spec, iotest.HalfReader(bytes.NewReader(in)))
			if !reflect.DeepEqual(got, again) || fmt.Sprint(err) != fmt.Sprint(err2) {
				t.Fatalf("%s: reading in portions gives something else", name)
			}
			var e *study.Error
			if err != nil && !errors.As(err, &e) {
				t.Fatalf("%s: error %T", name, err)
			}
		}
	})
}

// BenchmarkDecode reads 100,000 rows as visits come (mostly text), and rows of
// numbers only: as people measure them, and computed ones of 17 digits, which
// take longest.
func BenchmarkDecode(b *testing.B) {
	lab := member{name: "LB"}
	var measured, computed []any
	for i := range 10 {
		lab.vars = append(lab.vars, variable{name: fmt.Sprintf("X%d", i), width: 8})
		measured = append(measured, []any{36.6, 120.0, 7.35}[i%3])
		computed = append(computed, 36.6+float64(i)/7)
	}
	wide := visits
	wide.vars = append(slices.Clone(wide.vars), variable{name: "COMMENT", width: 60, text: true}, variable{name: "VISIT", width: 20, text: true})
	for name, m := range map[string]member{
		"visits":   {name: "SV", vars: wide.vars, rows: slices.Repeat([][]any{{"01-701-1015", 8.1, 19724.0, "as planned", "WEEK 2"}}, 100_000)},
		"measured": {name: "LB", vars: lab.vars, rows: slices.Repeat([][]any{measured}, 100_000)},
		"computed": {name: "LB", vars: lab.vars, rows: slices.Repeat([][]any{computed}, 100_000)},
	} {
		in := library(5, m)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for rows, err := range (Format{}).Decode(context.Background(), study.FormatSpec{}, bytes.NewReader(in)) {
					if err != nil {
						b.Fatal(err)
					}
					n += rows.Len()
				}
				if n != 100_000 {
					b.Fatal(n)
				}
			}
		})
	}
}

var _ transform.Format = Format{}
