package json

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform/formattest"
)

// TestBehaviour runs the suite of all formats, for lines and for documents.
func TestBehaviour(t *testing.T) {
	rows := []string{`{"id":1,"text":"` + formattest.Canary + `","n":{"v":5e-1}}`, `{"n":{"v":null},"text":"a,\"b\"\nÅ","id":2}`, `{"id":3,"text":"","n":{"v":-1}}`}
	bad := []string{`{"id":1,"id":"` + formattest.Canary + `"}`, `{"id":2,"text":"x","n":{"v":0}}`, `["` + formattest.Canary + `"]`, `{"text":["` + formattest.Canary + `|x"]}`,
		`{"id":1e999}`}
	s := formattest.Subject{
		Format: Format{Lines: true},
		Spec:   study.FormatSpec{Type: "ndjson", Columns: []string{"id", "text", "/n/v"}, Encoding: "auto", Header: true, DecimalMark: "."},
		Rows: [][]string{{"1", formattest.Canary, "0.5"}, {"2", "a,\"b\"\nÅ", formattest.Absent},
			{"3", formattest.Absent, "-1"}},
		Good: map[string][]byte{
			"plain": []byte(strings.Join(rows, "\n") + "\n"),
			"crlf":  []byte("\ufeff" + strings.Join(rows, "\r\n\r\n")),
		},
		Empty: []byte(""),
		Bad:   []byte(strings.Join(append(bad, `{"id":"`+formattest.Canary), "\n")),
		Rules: []string{"json_duplicate_key", "", "json_not_object", "json_not_scalar", "number_invalid", "json_invalid"},
		Ends:  formattest.AtRows,
		Wrong: map[string][]study.FormatSpec{
			"encoding":     {{Encoding: "utf-16"}},
			"decimal_mark": {{DecimalMark: ","}},
			"records":      {{Records: "/data"}},
		},
		Big:     func() io.Reader { return repeat("", rowOf100, "\n", "") },
		BigRows: bigRows,
		Memory:  4 << 20,
	}
	s.Columns = s.Spec.Columns
	t.Run("ndjson", func(t *testing.T) { formattest.Run(t, s) })

	s.Format, s.Spec.Type, s.Spec.Records, s.Keys, s.Ends = Format{}, "json", "/data/items", []string{"records"}, formattest.Told
	wrap := func(rows []string) []byte {
		return []byte(`{"meta":{"items":["` + formattest.Canary + `"]},"data":{"items":[` + strings.Join(rows, ",\n") + `],"n":1}}`)
	}
	s.Good = map[string][]byte{"plain": wrap(rows), "spaced": []byte(" { \"data\" :\n{ \"items\" : [ " + strings.Join(rows, " , ") + " ] } } ")}
	s.Empty, s.Bad, s.Rules = wrap(nil), wrap(bad), s.Rules[:5]
	s.Wrong["records"] = []study.FormatSpec{{Records: "data"}, {Records: "/data/*"}, {Records: "/~"}}
	s.Big = func() io.Reader {
		return io.MultiReader(repeat(`{"before":[`, rowOf100, ",", `0],`), repeat(`"data":{"items":[`, rowOf100, ",", rowOf100+`]},"after":[`), repeat("", rowOf100, ",", "0]}"))
	}
	s.BigRows++
	t.Run("json", func(t *testing.T) { formattest.Run(t, s) })
}

const (
	bigRows  = 90_000
	rowOf100 = `{"id":"123456789","text":"some words, and \"more\" \u00e9","n":{"v":1.50e-3},"other":[1,{"x":null}]}`
)

// repeat is a row, bigRows times, each with an end, which nobody holds in memory.
func repeat(before, row, end, after string) io.Reader {
	thousand := []byte(strings.Repeat(row+end, 1000))
	readers := []io.Reader{strings.NewReader(before)}
	for range bigRows / 1000 {
		readers = append(readers, bytes.NewReader(thousand))
	}
	return io.MultiReader(append(readers, strings.NewReader(after))...)
}
