package xport

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform/formattest"
)

// TestBehaviour runs the suite of all formats.
func TestBehaviour(t *testing.T) {
	m := member{name: "DM", vars: []variable{{name: "ID", width: 8}, {name: "TEXT", width: 70, text: true}, {name: "D", width: 4, format: "DATE"}},
		rows: [][]any{{1.0, formattest.Canary, 0.0}, {2.5, "a,\"b\"\nÅ", missing('.')}, {missing('N'), "", 24107.0}}}
	good := map[string][]byte{"version 5": library(5, m), "version 8": library(8, m), "beside another": library(5, visits, m)}
	bad, none := m, m
	bad.rows, none.rows = [][]any{{1.0, formattest.Canary + "\xff", 0.0}, m.rows[1], {2.0, formattest.Canary + "\x01", 0.0}, m.rows[0]}, nil
	s := formattest.Subject{
		Format: Format{}, Spec: study.FormatSpec{Encoding: "utf-8", Header: true, DecimalMark: ".", Table: "dm"},
		Columns: []string{"ID", "TEXT", "D"},
		Rows:    [][]string{{"1", formattest.Canary, "1960-01-01"}, {"2.5", "a,\"b\"\nÅ", formattest.Absent}, {".N", formattest.Absent, "2026-01-01"}},
		Good:    good, Empty: library(8, none), Bad: library(5, bad), Rules: []string{"text_invalid", "", "text_control", ""},
		Ends: formattest.AtRows, Keys: []string{"encoding", "table"},
		Wrong: map[string][]study.FormatSpec{
			"encoding": {{Encoding: "utf-16"}}, "decimal_mark": {{DecimalMark: ","}}, "table": {{Table: strings.Repeat("x", 33)}},
		},
		Big: manyRows, BigRows: 500_000,
	}
	formattest.Run(t, s)
}

// manyRows is 41 MB of rows, which nobody holds in memory.
func manyRows() io.Reader {
	m := member{name: "DM", vars: []variable{{name: "TEXT", width: 74, text: true}, {name: "N", width: 8}}, tail: []byte{}}
	for range 1000 {
		m.rows = append(m.rows, []any{"text", 1.5})
	}
	object := library(5, m)
	rows := object[len(object)-82*1000:]
	readers := []io.Reader{bytes.NewReader(object)}
	for range 499 {
		readers = append(readers, bytes.NewReader(rows))
	}
	return io.MultiReader(readers...)
}
