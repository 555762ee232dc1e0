package xport

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"longitude/study"
)

// The first bytes are those of SAS's note TS-140, which gives 1 and its signs.
func TestStoredNumbers(t *testing.T) {
	for _, c := range []struct{ stored, want string }{
		{"\x41\x10\x00\x00\x00\x00\x00\x00", "1"},
		{"\xc1\x10\x00\x00\x00\x00\x00\x00", "-1"},
		{"\x41\x10", "1"},
		{"\x42\x64", "100"},
		{"\x00\x00\x00\x00\x00\x00\x00\x00", "0"},
		{"\x80\x00\x00\x00\x00\x00\x00\x00", "0"},
		{"\x40\x19\x99\x99\x99\x99\x99\x9a", "0.1"},
		{"\x40\x19\x99\x99\x99\x99", "0.0999999999994543"}, // a number of 6 bytes has lost the rest
		{"\x4e\x1f\xff\xff\xff\xff\xff\xff", "9007199254740991"},
		{"\x4e\x20\x00\x00\x00\x00\x00\x01", "9007199254740992"},   // half: to even
		{"\x4e\x20\x00\x00\x00\x00\x00\x03", "9007199254740996"},   // half: to even
		{"\x48\x80\x00\x00\x00\x00\x00\x04", "2147483648"},         // half of the last bit: to even
		{"\x48\x80\x00\x00\x00\x00\x00\x05", "2147483648.0000005"}, // above half
		{"\x48\x80\x00\x00\x00\x00\x00\x0c", "2147483648.000001"},  // half: to even
		{"\x54\x21\xe1\x9e\x0c\x9b\xab\x24", "160000000000000000000000"},
		{"\x01\x00\x00\x00\x00\x00\x00\x01", ""}, // smaller than any normal IBM number; compared below
	} {
		if c.want == "" {
			c.want = stands([]byte(c.stored))
		}
		if got := string(appendValue(nil, []byte(c.stored), numeric)); got != c.want {
			t.Errorf("%x reads as %s; want %s", c.stored, got, c.want)
		}
	}
}

func TestNumbersComeBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, version := range []int{5, 8} {
		m := member{name: "N", vars: []variable{{name: "X", width: 8}}}
		var want []float64
		for range 50_000 {
			x := math.Ldexp(rnd.Float64()+0.5, rnd.IntN(400)-200)
			switch rnd.IntN(4) {
			case 0:
				x = -x
			case 1:
				x = float64(rnd.Int64N(1e12)) / math.Pow10(rnd.IntN(8))
			}
			want = append(want, x)
			m.rows = append(m.rows, []any{x})
		}
		got := mustDecode(t, study.FormatSpec{}, library(version, m))
		for i, x := range want {
			if cell := got.cells[i][0]; cell != strconv.FormatFloat(x, 'f', -1, 64) {
				t.Fatalf("%v comes back as %s", x, cell)
			}
		}
	}
}

// Any stored number, of any length, is the float64 nearest to it.
func TestAnyStoredNumber(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 100_000 {
		var stored [8]byte
		binary.BigEndian.PutUint64(stored[:], rnd.Uint64()>>rnd.IntN(3)<<rnd.IntN(50))
		cell := stored[:2+rnd.IntN(7)]
		if got := string(appendValue(nil, cell, numeric)); got != stands(cell) && !strings.HasPrefix(got, ".") && got != "" {
			t.Fatalf("%x reads as %s; want %s", cell, got, stands(cell))
		}
	}
}

func TestMissing(t *testing.T) {
	for width := 2; width <= 8; width++ {
		m := member{name: "M", vars: []variable{{name: "X", width: width}, {name: "D", format: "DATETIME", width: width}}}
		want := [][]string{}
		for _, c := range "._ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
			said := "." + string(c)
			if c == '.' {
				said = "<nil>"
			}
			m.rows, want = append(m.rows, []any{missing(c), missing(c)}), append(want, []string{said, said})
		}
		if len(want) != 28 {
			t.Fatal(len(want))
		}
		equal(t, "missing", mustDecode(t, study.FormatSpec{}, library(5, m)).cells, want)
	}
}

func TestMoments(t *testing.T) {
	for _, c := range []struct {
		format string
		value  float64
		kind   string
		want   string
	}{
		{"DATE", 0, "date", "1960-01-01"}, {"DATE9.", 21915, "date", "2020-01-01"}, {"E8601DA", 24107, "date", "2026-01-01"},
		{"MMDDYY", -138061, "date", "1582-01-01"}, {"yymmdd", 59, "date", "1960-02-29"}, {"MONYY", 31, "date", "1960-02-01"},
		{"DATE", 10.5, "date", "10.5"}, {"DATE", -715509, "date", "0001-01-01"}, {"DATE", -715510, "date", "-715510"},
		{"DATE", 2936549, "date", "9999-12-31"}, {"DATE", 2936550, "date", "2936550"}, {"DATE", 1e30, "date", "1000000000000000000000000000000"},
		{"DATETIME", 0, "datetime", "1960-01-01T00:00:00"}, {"E8601DT", 1893456000.5, "datetime", "2020-01-01T00:00:00.5"},
		{"DATETIME", -0.25, "datetime", "1959-12-31T23:59:59.75"}, {"DATETIME", -86400, "datetime", "1959-12-31T00:00:00"},
		{"E8601DZ", 3661, "datetime", "1960-01-01T01:01:01Z"}, {"B8601DX", 3661, "datetime", "1960-01-01T01:01:01Z"}, {"DATETIME", 1e-12, "datetime", "0.000000000001"},
		{"TIME", 0, "time", "00:00:00"}, {"HHMM", 86399, "time", "23:59:59"}, {"TIME8.", 36000.125, "time", "10:00:00.125"},
		{"TIME", 86400, "time", "86400"}, {"TIME", -1, "time", "-1"},
		{"YEAR", 2020, "number", "2020"}, {"BEST12.", 1.5, "number", "1.5"}, {"", 7, "number", "7"}, {"MYFORMAT", 3, "number", "3"},
	} {
		m := member{name: "M", vars: []variable{{name: "X", format: c.format, width: 8}}, rows: [][]any{{c.value}}}
		got := mustDecode(t, study.FormatSpec{}, library(5, m))
		if got.types[0] != c.kind || got.cells[0][0] != c.want {
			t.Errorf("%v as %s is a %s, %s; want a %s, %s", c.value, c.format, got.types[0], got.cells[0][0], c.kind, c.want)
		}
	}
}
