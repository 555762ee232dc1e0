package datasetjson

import (
	"io"
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform/formattest"
)

// TestBehaviour runs the suite of all formats.
func TestBehaviour(t *testing.T) {
	rows := []string{`["` + formattest.Canary + `",1.50,"2026-01-31"]`, `["a,\"b\"\nÅ",null,""]`, `["\u00e9",-2e1,null]`}
	s := formattest.Subject{
		Format: Format{}, Spec: study.FormatSpec{Encoding: "auto", Header: true, DecimalMark: ".", Table: "vs"},
		Columns: []string{"USUBJID", "VSSTRESN", "VSDTC"},
		Rows:    [][]string{{formattest.Canary, "1.50", "2026-01-31"}, {"a,\"b\"\nÅ", formattest.Absent, ""}, {"é", "-20", formattest.Absent}},
		Good:    map[string][]byte{"object": []byte(asObject(rows...)), "lines": []byte(asLines(rows...))},
		Empty:   []byte(asObject()),
		Bad:     []byte(asLines(rows[0], `["`+formattest.Canary+`"`, `["`+formattest.Canary+`",1]`, rows[1], `["\u0001",1,null]`)),
		Rules:   []string{"", "json_invalid", "column_count", "", "text_control"},
		Ends:    formattest.Told, Keys: []string{"table"},
		Wrong: map[string][]study.FormatSpec{
			"encoding": {{Encoding: "windows-1252"}}, "decimal_mark": {{DecimalMark: ","}}, "delimiter": {{Delimiter: ","}},
		},
		Big: manyRows, BigRows: 500_000,
	}
	formattest.Run(t, s)
}

// manyRows is 40 MB of rows, which nobody holds in memory.
func manyRows() io.Reader {
	rows := strings.Repeat(`["`+strings.Repeat("x", 60)+`",1.5,"2026-01-31"],`+"\n", 1000)
	readers := []io.Reader{strings.NewReader(head(500_000) + `,"rows":[`)}
	for range 499 {
		readers = append(readers, strings.NewReader(rows))
	}
	return io.MultiReader(append(readers, strings.NewReader(strings.TrimSuffix(rows, ",\n")+"]}"))...)
}
