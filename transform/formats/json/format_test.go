package json

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"longitude/study"
	"longitude/transform"
)

var (
	document1 = Format{}
	lines1    = Format{Lines: true}
)

// decoded is one row, copied out of its batch.
type decoded struct {
	cells []string // "∅" is nil
	line  int64
	raw   string
	rule  string
}

// String is cells by "|", then @line, then !rule.
func (r decoded) String() string {
	s := strings.Join(r.cells, "|") + fmt.Sprintf("@%d", r.line)
	if r.rule != "" {
		s += "!" + r.rule
	}
	return s
}

func decode(t testing.TB, f Format, spec study.FormatSpec, r io.Reader) (rows []decoded, unasked []string, err error) {
	t.Helper()
	batches := 0
	for batch, e := range f.Decode(context.Background(), spec, r) {
		if e != nil {
			return rows, unasked, e
		}
		batches++
		if batch.First != int64(len(rows))+1 || !slices.Equal(batch.Columns, spec.Columns) {
			t.Fatalf("batch of %q starts at ordinal %d after %d rows", batch.Columns, batch.First, len(rows))
		}
		if len(batch.Cells) != batch.Len()*len(batch.Columns) || len(batch.Raw) != batch.Len() {
			t.Fatalf("%d cells and %d raw rows for %d rows", len(batch.Cells), len(batch.Raw), batch.Len())
		}
		for i := range batch.Len() {
			got := decoded{line: batch.Lines[i], raw: string(batch.Raw[i])}
			for _, c := range batch.Row(i) {
				if c == nil {
					got.cells = append(got.cells, "∅")
				} else {
					got.cells = append(got.cells, string(c))
				}
			}
			rows = append(rows, got)
		}
		for _, b := range batch.Broken {
			r := &rows[len(rows)-batch.Len()+b.Row]
			if slices.ContainsFunc(r.cells, func(c string) bool { return c != "∅" }) {
				t.Fatalf("broken row has cells %q", r.cells)
			}
			r.rule, r.cells = b.Rule, nil
		}
		unasked = slices.Clone(batch.Unasked)
	}
	if batches == 0 {
		t.Fatal("no batch")
	}
	return rows, unasked, nil
}

// readers are ways in which the same bytes can arrive.
func readers(in string) map[string]io.Reader {
	return map[string]io.Reader{
		"whole":   strings.NewReader(in),
		"by byte": iotest.OneByteReader(strings.NewReader(in)),
		"eof":     iotest.DataErrReader(strings.NewReader(in)),
	}
}

func show(rows []decoded) string {
	var all []string
	for _, r := range rows {
		all = append(all, r.String())
	}
	return strings.Join(all, "\n")
}

func asking(columns ...string) study.FormatSpec { return study.FormatSpec{Columns: columns} }

func TestCells(t *testing.T) {
	deep := strings.Repeat(`{"x":`, maxDepth) + "1" + strings.Repeat("}", maxDepth)
	for _, c := range []struct{ name, row, columns, want string }{
		{"strings", `{"a":"x","b":" y "}`, "a,b", "x| y "},
		{"numbers as written", `{"a":0.10,"b":-0,"c":12345678901234567890.0}`, "a,b,c", "0.10|-0|12345678901234567890.0"},
		{"exponents", `{"a":1.5e3,"b":-25E-4,"c":1.50e+1,"d":0e0}`, "a,b,c,d", "1500|-0.0025|15.0|0"},
		{"exponents of zeros", `{"a":0.0012e2,"b":100e-2,"c":0.5e-1,"d":0.001e1}`, "a,b,c,d", "0.12|1.00|0.05|0.01"},
		{"an exponent at the bound", `{"a":1e399}`, "a", "1" + strings.Repeat("0", 399)},
		{"an exponent over the bound", `{"a":1e400}`, "a", "!number_invalid"},
		{"a tiny number at the bound", `{"a":1e-399}`, "a", "0." + strings.Repeat("0", 398) + "1"},
		{"a tiny number over the bound", `{"a":1e-400}`, "a", "!number_invalid"},
		{"an endless exponent", `{"a":1e99999999999999999999}`, "a", "!number_invalid"},
		{"an exponent nobody asked for", `{"a":1e99999999999999999999,"b":1}`, "b", "1"},
		{"booleans", `{"a":true,"b":false}`, "a,b", "true|false"},
		{"absent", `{"a":null,"b":""}`, "a,b,c", "∅|∅|∅"},
		{"order is the mapping's", `{"b":2,"a":1}`, "a,b,a", "1|2|1"},
		{"white space", " { \"a\" :\t1 ,\r\"b\" : [ 1 , 2 ] } ", "a,b", "1|1|2"},
		{"no columns", `{"a":1}`, "", ""},
		{"escapes", `{"a":"\"\\\/\n\t\r\u00e9\ud835\udd18"}`, "a", "\"\\/\n\t\ré𝔘"},
		{"escaped names", `{"\u0061\"b":1,"a\/c":2}`, `a"b,a/c`, "1|2"},
		{"utf-8", `{"ä":"日本"}`, "ä", "日本"},

		{"pointers", `{"a":{"b":{"c":1}},"d":[10,{"e":2}]}`, "/a/b/c,/d/0,/d/1/e", "1|10|2"},
		{"a pointer of one name", `{"a":1}`, "/a,a", "1|1"},
		{"escapes of pointers", `{"a/b":{"c~d":1,"~1":2}}`, "/a~1b/c~0d,/a~1b/~01", "1|2"},
		{"an empty name", `{"":{"":1}}`, "//", "1"},
		{"pointers into nothing", `{"a":1,"b":[1],"c":null}`, "/a/x,/b/1,/b/00,/b/-,/c/d", "∅|∅|∅|∅|∅"},
		{"a name that is a number", `{"a":{"0":1}}`, "/a/0", "1"},
		{"a list and one of it", `{"a":["x","y"]}`, "a,/a/1", "x|y|y"},

		{"one of a list, by what it says", `{"f":[{"value":9},{"oid":"DBP","value":"80"},{"value":"128","x":[{"oid":"SBP"}],"oid":"SBP"}]}`, "/f/oid=SBP/value,/f/oid=DBP/value,/f/oid=HR/value", "128|80|∅"},
		{"one of a list, by a number", `{"f":[{"n":1,"v":"x"},{"n":2.5e1,"v":"y"}]}`, "/f/n=25/v", "y"},
		{"one of a list, escaped", `{"f":[{"\u006fid":"a\/b","v":"x"}]}`, "/f/oid=a~1b/v", "x"},
		{"one of a list, and one by its place", `{"f":[{"oid":"A","v":1},{"oid":"B","v":2}]}`, "/f/0/v,/f/oid=B/v", "1|2"},
		{"a name with =, of an object", `{"f":{"a=b":1}}`, "/f/a=b", "1"},
		{"two that say so", `{"f":[{"oid":"A","v":1},{"oid":"A","v":2}]}`, "/f/oid=A/v", "!json_duplicate_key"},
		{"two that say so, in two lists", `{"f":[[{"oid":"A","v":1}],[{"oid":"A","v":2}]]}`, "/f/0/oid=A/v,/f/1/oid=A/v", "1|2"},
		{"two that nobody asked for", `{"f":[{"oid":"A","v":1},{"oid":"A","v":2},{"oid":"B","v":3}]}`, "/f/oid=B/v", "3"},
		{"twice in one that is picked", `{"f":[{"v":1,"oid":"A","v":2}]}`, "/f/oid=A/v", "!json_duplicate_key"},

		{"lists of scalars", `{"a":["x",1e1,true],"b":[],"c":[null,""],"d":["x",null,"y"]}`, "a,b,c,d", "x|10|true|∅|∅|x|y"},
		{"a list of lists", `{"a":[["x"]]}`, "a", "!json_not_scalar"},
		{"a list of objects", `{"a":["x",{"b":1}]}`, "a", "!json_not_scalar"},
		{"a separator in a list", `{"a":["x|y"]}`, "a", "!json_not_scalar"},
		{"an object", `{"a":{"b":1}}`, "a", "!json_not_scalar"},
		{"an empty object", `{"a":{}}`, "a", "!json_not_scalar"},
		{"not an object", `[1,2]`, "a", "!json_not_object"},
		{"a scalar", `null`, "a", "!json_not_object"},

		{"the same name twice", `{"a":1,"b":2,"a":1}`, "b", "!json_duplicate_key"},
		{"the same name, escaped", `{"a":1,"\u0061":1}`, "b", "!json_duplicate_key"},
		{"twice, deep", `{"z":[{"a":1},{"a":{"c":1,"c":1}}]}`, "a", "!json_duplicate_key"},
		{"twice in two objects", `{"z":[{"a":1},{"a":1}]}`, "a", "∅"},
		{"deep", deep, "a", "∅"},
		{"too deep", `{"x":` + deep + "}", "a", "!json_too_deep"},
		{"too deep in lists", `{"x":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + "}", "a", "!json_too_deep"},

		{"half a surrogate pair", `{"a":"\ud835"}`, "a", "!text_invalid"},
		{"the other half", `{"a":"\udd18x"}`, "a", "!text_invalid"},
		{"half a pair and another escape", `{"a":"\ud835\u0061"}`, "a", "!text_invalid"},
		{"half a pair in a name", `{"\ud835":1}`, "a", "!text_invalid"},
		{"not utf-8", "{\"b\":\"\xe9\"}", "a", "!text_invalid"},
		{"the separator of packed answers", `{"a":"x\u001fy"}`, "a", "!text_control"},
		{"NUL", `{"a":"\u0000"}`, "a", "!text_control"},
		{"C1 control, escaped", `{"a":"\u0085"}`, "a", "!text_control"},
		{"C1 control", "{\"a\":\"\u0085\"}", "a", "!text_control"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var columns []string
			if c.columns != "" {
				columns = strings.Split(c.columns, ",")
			}
			want := strings.Replace(c.want+"@2", "!"+strings.TrimPrefix(c.want, "!")+"@2", "@2"+c.want, 1)
			for f, in := range map[Format]string{lines1: "\n" + c.row + "\n\n", document1: "[\n" + c.row + "]\n"} {
				for name, r := range readers(in) {
					rows, _, err := decode(t, f, asking(columns...), r)
					if err != nil || show(rows) != want {
						t.Errorf("%+v, %s: %q, %v; want %q", f, name, show(rows), err, want)
					}
					if len(rows) == 1 && rows[0].raw != strings.TrimSpace(c.row) && rows[0].raw != c.row {
						t.Errorf("%+v, %s: raw %q", f, name, rows[0].raw)
					}
				}
			}
		})
	}
}

var notJSON = []string{
	`{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{'a':1}`, `{"a":1 "b":2}`, `{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":1e}`,
	`{"a":-}`, `{"a":NaN}`, `{"a":tru}`, `{"a":truex}`, `{"a":"x}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, "{\"a\":\"\t\"}", `{"a":[1,]}`, `{"a":[1 2]}`,
	`{"b":[{"x":1,]}`, `{"b":[{]}`, `{"b":[{"oid":}]}`, `{"b":[{"oid":"A"`,
	`{"a":[,]}`, `{"a":1}}`, `{"a":1}{"a":2}`, `{"a":1},`, `{"a":[}]`, `nul`, `"x`, `{"a":0x1}`, `{"a":1_0}`, `[1,2`, `{"a":"x"y}`, `{"b":1,"b":[}`,
}

// A broken line is a broken row; the next line goes on.
func TestBrokenLines(t *testing.T) {
	for _, in := range notJSON {
		rows, _, err := decode(t, lines1, asking("a", "/b/oid=A"), strings.NewReader(in+"\n{\"a\":7}\n"))
		if want := "@1!json_invalid\n7|∅@2"; err != nil || show(rows) != want {
			t.Errorf("%s: %q, %v", in, show(rows), err)
		}
	}
}

// In a document it ends the object: where the next row starts cannot be told.
func TestBrokenDocuments(t *testing.T) {
	for _, in := range notJSON {
		for name, r := range readers("[\n" + in + ",\n{\"a\":7}]") {
			_, _, err := decode(t, document1, asking("a"), r)
			var e *study.Error
			if in == `{"a":1},` {
				in = "" // two commas
			}
			if !errors.As(err, &e) || e.Code != "json.syntax" || !strings.HasPrefix(e.Place, "line ") {
				t.Errorf("%s, %s: %v", in, name, err)
			}
		}
	}
}

func TestLines(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"a mark", "\ufeff", ""},
		{"blank lines", "\n \r\n\t\n", ""},
		{"lf", "{\"a\":1}\n{\"a\":2}\n", "1@1\n2@2"},
		{"crlf", "{\"a\":1}\r\n\r\n{\"a\":2}\r\n", "1@1\n2@3"},
		{"no last line end", "{\"a\":1}\n{\"a\":2}", "1@1\n2@2"},
		{"with mark", "\ufeff{\"a\":1}\n", "1@1"},
		{"an object over two lines", "{\"a\":\n1}\n", "@1!json_invalid\n@2!json_invalid"},
		{"other lines", "[]\n3\n{\"a\":1}\n", "@1!json_not_object\n@2!json_not_object\n1@3"},
	} {
		for name, r := range readers(c.in) {
			rows, _, err := decode(t, lines1, asking("a"), r)
			if err != nil || show(rows) != c.want {
				t.Errorf("%s, %s: %q, %v", c.name, name, show(rows), err)
			}
		}
	}
}

func TestRecords(t *testing.T) {
	big := `"` + strings.Repeat(`\"]}`, maxRow/2) + `"`
	for _, c := range []struct{ records, in, want string }{
		{"", "[]", ""},
		{"", " [ ] ", ""},
		{"", "\ufeff[{\"a\":1},\n{\"a\":2}\n]\n", "1@1\n2@2"},
		{"", "[1,\"x\",[{}],{\"a\":1},null]", "@1!json_not_object\n@1!json_not_object\n@1!json_not_object\n1@1\n@1!json_not_object"},
		{"/data", `{"data":[{"a":1}]}`, "1@1"},
		{"/data", `{"data":[]}`, ""},
		{"/data/items", "{\"n\":1,\n\"x\":{\"data\":[{\"a\":0}]},\"data\":{\"items\":[{\"a\":1},\n{\"a\":2}],\"y\":[[]]},\"z\":\"}\"}", "1@2\n2@3"},
		{"/1/2", `[0,[1,"]",[{"a":1}],4],[[[]]]]`, "1@1"},
		{"/a~1b/~0", `{"a\/b":{"~":[{"a":1}]}}`, "1@1"},
		{"/ä", `{"\u00e4":[{"a":1}]}`, "1@1"},
		{"/data", `{"before":` + big + `,"data":[{"a":1}],"after":{"x":[` + big + `,-1.5e3]}}`, "1@1"},
		{"/data", `{"deep":` + strings.Repeat("[{\"a\":", 100) + "1" + strings.Repeat("}]", 100) + `,"data":[{"a":1}]}`, "1@1"},
	} {
		for name, r := range readers(c.in) {
			if name == "by byte" && len(c.in) > 1000 {
				continue
			}
			spec := asking("a")
			spec.Records = c.records
			rows, _, err := decode(t, document1, spec, r)
			if err != nil || show(rows) != c.want {
				t.Errorf("%.80s at %q, %s: %q, %v", c.in, c.records, name, show(rows), err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ records, in, code, place string }{
		{"", "", "json.empty", ""},
		{"", "\ufeff \n", "json.empty", ""},
		{"/data", "", "json.records_missing", "line 1, byte 1"},
		{"", `{"data":[]}`, "json.records_not_array", "line 1, byte 1"},
		{"/data", `{"data":{"a":1}}`, "json.records_not_array", "line 1, byte 9"},
		{"/data", `{"other":[]}`, "json.records_missing", "line 1, byte 13"},
		{"/0", `[]`, "json.records_missing", "line 1, byte 3"},
		{"/00", `[[]]`, "json.records_missing", "line 1, byte 5"},
		{"/data/x", `{"data":1}`, "json.records_missing", "line 1, byte 9"},
		{"/data", `{"data":[],"data":[]}`, "json.duplicate_key", "line 1, byte 19"},
		{"/data", `{"data":[`, "json.syntax", "line 1, byte 10"},
		{"/data", `{"data":[{"a":1}`, "json.syntax", "line 1, byte 17"},
		{"/data", `{"data":[{"a":1}]`, "json.syntax", "line 1, byte 18"},
		{"/data", `{"data":[{"a":1}],}`, "json.syntax", "line 1, byte 19"},
		{"/data", `{"x":[}],"data":[]}`, "json.syntax", "line 1, byte 7"},
		{"/data", `{"x":,"data":[]}`, "json.syntax", "line 1, byte 6"},
		{"/data", `{x:1,"data":[]}`, "json.syntax", "line 1, byte 2"},
		{"/data", `{"x" 1,"data":[]}`, "json.syntax", "line 1, byte 6"},
		{"/data", `{"\x":1,"data":[]}`, "json.syntax", "line 1, byte 2"},
		{"/data", `{"` + strings.Repeat("x", maxRow) + `":1}`, "json.syntax", "line 1, byte 2"},
		{"", "[\n{\"a\":1},\n{\"a\":x}]", "json.syntax", "line 3, byte 17"},
		{"", "[{\"a\":1}\n{\"a\":2}]", "json.syntax", "line 2, byte 10"},
		{"", "[{\"a\":1}]\n[]", "json.syntax", "line 2, byte 11"},
		{"", "[,]", "json.syntax", "line 1, byte 2"},
		{"", "\xff\xfe[\x00]\x00", "json.encoding", "line 1"},
		{"", "\xfe\xff\x00[", "json.encoding", "line 1"},
		{"", "[\x00{\x00", "json.encoding", "line 1"},
		{"", "\x00[\x00{", "json.encoding", "line 1"},
	} {
		for name, r := range readers(c.in) {
			spec := asking("a")
			spec.Records = c.records
			_, _, err := decode(t, document1, spec, r)
			var e *study.Error
			if !errors.As(err, &e) || e.Code != c.code || e.Place != c.place || e.Hint == "" {
				t.Errorf("%.60s at %q, %s: %s %s; want %s %s", c.in, c.records, name, err, e.Place, c.code, c.place)
			}
		}
	}
	for _, columns := range []string{"/a~2", "/~"} {
		_, _, err := decode(t, lines1, asking(columns), strings.NewReader(""))
		var e *study.Error
		if !errors.As(err, &e) || e.Code != "json.pointer" {
			t.Errorf("%s: %v", columns, err)
		}
	}
}

func TestUnasked(t *testing.T) {
	rows := []string{`{"id":1,"z":null,"list":[{"inner":1}],"name":{"first":"x","more":{"deep":1,"none":{}}},"P-001":1}`,
		`{"id":2,"new":"x","name":{"last":"y","a b":1},"` + strings.Repeat("n", 65) + `":1,"2026":1}`}
	want := []string{"/name/last", "/name/more/deep", "/name/more/none", "list", "new", "z"}
	for f, in := range map[Format]string{lines1: strings.Join(rows, "\n"), document1: "[" + strings.Join(rows, ",") + "]"} {
		_, unasked, err := decode(t, f, asking("id", "/name/first", "gone"), strings.NewReader(in))
		if err != nil || !slices.Equal(unasked, want) {
			t.Errorf("%+v: %q, %v", f, unasked, err)
		}
	}
	var many bytes.Buffer
	const learned = maxNodes + 500
	for i := range learned {
		fmt.Fprintf(&many, "{\"n%d\":1,\"n%d\":{},\"id\":%d}\n", i, i+1, i)
	}
	many.WriteString("{\"unlearned\":1,\"id\":1,\"unlearned\":1}\n")
	got, unasked, err := decode(t, lines1, asking("id"), &many)
	if err != nil || len(unasked) != maxUnasked || !slices.IsSorted(unasked) {
		t.Errorf("%d names, %v", len(unasked), err)
	}
	if last := got[len(got)-1]; last.rule != "json_duplicate_key" || got[len(got)-2].cells[0] != fmt.Sprint(learned-1) {
		t.Errorf("a name beyond those learned: %s", last)
	}
}

func TestLongRows(t *testing.T) {
	long := `{"a":"` + strings.Repeat(`x\"{`, maxRow) + `"}`
	fits := `{"a":"` + strings.Repeat("y", maxRow-20) + `"}`
	rows := []string{`{"a":1}`, long, `{"a":2}`, long, fits, long}
	for f, in := range map[Format]string{lines1: strings.Join(rows, "\n"), document1: "[" + strings.Join(rows, ",\n") + "]"} {
		got, _, err := decode(t, f, asking("a"), strings.NewReader(in))
		if err != nil || len(got) != len(rows) {
			t.Fatalf("%+v: %d rows, %v", f, len(got), err)
		}
		for i, r := range got {
			switch {
			case rows[i] == long:
				if r.rule != "row_too_long" || len(r.raw) == 0 || !strings.HasPrefix(long, r.raw) {
					t.Errorf("%+v: row %d is %q with %d raw bytes", f, i, r.rule, len(r.raw))
				}
			case r.raw != rows[i] || r.rule != "" || r.line != int64(i+1):
				t.Errorf("%+v: row %d is %q on line %d", f, i, r.rule, r.line)
			}
		}
	}
}

// Many batches: rows that cross the ends of the buffer come out whole.
func TestManyRows(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var rows []string
	for i := range 10_000 {
		rows = append(rows, fmt.Sprintf(`{"n":%d,"text":"%s","list":[%d]}`, i, strings.Repeat("é ]}", rnd.IntN(30)), i))
	}
	for f, in := range map[Format]string{lines1: strings.Join(rows, "\n"), document1: `{"meta":{},"rows":[` + strings.Join(rows, "\n,") + "]}"} {
		spec := asking("n", "/list/0")
		if !f.Lines {
			spec.Records = "/rows"
		}
		got, _, err := decode(t, f, spec, iotest.HalfReader(strings.NewReader(in)))
		if err != nil || len(got) != len(rows) {
			t.Fatalf("%+v: %d rows, %v", f, len(got), err)
		}
		for i, r := range got {
			if want := fmt.Sprintf("%d|%d@%d", i, i, i+1); r.String() != want || r.raw != rows[i] {
				t.Fatalf("%+v: row %s; want %s", f, r, want)
			}
		}
	}
}

func TestCutReader(t *testing.T) {
	for _, f := range []Format{lines1, document1} {
		for _, cut := range []error{io.ErrUnexpectedEOF, errors.New("connection lost"), &study.Error{Code: "landing.digest", Op: "reading"}} {
			for _, data := range []string{"", "[", "[{\"a\":1}", "[" + strings.Repeat("{\"a\":1},\n", firstBuffer/8)} {
				_, _, err := decode(t, f, asking("a"), io.MultiReader(strings.NewReader(data), iotest.ErrReader(cut)))
				var e *study.Error
				if !errors.As(err, &e) || !errors.Is(err, cut) {
					t.Errorf("%+v, %d bytes and %v: error %v", f, len(data), cut, err)
				}
			}
		}
	}
}

func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	var last error
	for _, err := range lines1.Decode(ctx, asking("a"), strings.NewReader(strings.Repeat("{}\n", 3*maxRows))) {
		n++
		last = err
		cancel()
	}
	if n != 2 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d batches, then %v", n, last)
	}
}

func TestCheck(t *testing.T) {
	if wrong := document1.Check(study.FormatSpec{Type: "json", Records: "/data/a~1b", Encoding: "utf-8", DecimalMark: "."}); len(wrong) != 0 {
		t.Errorf("findings %v", wrong)
	}
	for key, c := range map[string]struct {
		f    Format
		spec study.FormatSpec
	}{
		"records":      {lines1, study.FormatSpec{Records: "/data"}},
		"encoding":     {lines1, study.FormatSpec{Encoding: "utf-16"}},
		"decimal_mark": {document1, study.FormatSpec{DecimalMark: ","}},
		"skip_lines":   {lines1, study.FormatSpec{SkipLines: 1}},
		"names":        {document1, study.FormatSpec{Names: []string{"a"}}},
		"table":        {document1, study.FormatSpec{Table: "a"}},
	} {
		if wrong := c.f.Check(c.spec); len(wrong) != 1 || wrong[key] == "" {
			t.Errorf("%s: findings %v", key, wrong)
		}
	}
	for _, records := range []string{"data", "/data/*", "/data~", "/da~2ta"} {
		if document1.Check(study.FormatSpec{Records: records})["records"] == "" {
			t.Errorf("nothing found wrong with records %q", records)
		}
	}
}

// FuzzDecode holds both formats to the standard library: what it refuses is a
// broken row, and what it reads says the same here.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[1,"x"],"c":{"d":1.50e-3}}`, `{"a":"\ud835\udd18","\u0061":2}`, `{"a":[[],{}],"b":null,"c":{"d":""}} `, "[1]", `{"a":1}{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		spec := asking("a", "b", "/c/d", "/b/1", "/c/a=1/b")
		line := bytes.Map(func(r rune) rune {
			if r == '\n' {
				return ' '
			}
			return r
		}, in)
		if bytes.ContainsRune(line, '\ufeff') || !stdjson.Valid(line) && len(bytes.TrimSpace(line)) == 0 {
			return
		}
		rows, unasked, err := decode(t, lines1, spec, bytes.NewReader(line))
		var e *study.Error
		if err != nil && (!errors.As(err, &e) || e.Code != "json.encoding") {
			t.Fatal(err)
		}
		again, unasked2, err2 := decode(t, lines1, spec, iotest.OneByteReader(bytes.NewReader(line)))
		if !reflect.DeepEqual(rows, again) || !slices.Equal(unasked, unasked2) || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatal("reading by byte gives something else")
		}
		if err != nil {
			return
		}
		if len(rows) != 1 {
			t.Fatalf("%d rows", len(rows))
		}
		agrees(t, line, rows[0])
		inDocument(t, spec, line, rows[0])
	})
}

// agrees compares a row with what encoding/json says of it.
func agrees(t *testing.T, line []byte, r decoded) {
	valid := stdjson.Valid(line)
	if deep := r.rule == "json_too_deep" || r.rule == "text_invalid"; !deep && valid != (r.rule != ruleInvalid) {
		t.Fatalf("rule %q; the standard library says valid: %v", r.rule, valid)
	}
	if r.rule != "" {
		return
	}
	var want struct{ root map[string]any }
	d := stdjson.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&want.root); err != nil {
		t.Fatal(err)
	}
	for i, at := range [][]string{{"a"}, {"b"}, {"c", "d"}} {
		var v any = want.root
		for _, name := range at {
			object, _ := v.(map[string]any)
			v = object[name]
		}
		if !same(r.cells[i], v) {
			t.Fatalf("column %d is %q; the standard library says %v", i, r.cells[i], v)
		}
	}
}

// same reports whether a cell says what the standard library read.
func same(cell string, v any) bool {
	switch v := v.(type) {
	case nil:
		return cell == "∅"
	case string:
		return cell == v || v == "" && cell == "∅"
	case stdjson.Number:
		a, ok := new(big.Rat).SetString(v.String())
		b, ok2 := new(big.Rat).SetString(cell)
		return ok && ok2 && a.Cmp(b) == 0 && !strings.ContainsAny(cell, "eE")
	case bool:
		return cell == fmt.Sprint(v)
	case []any:
		var parts []any
		for _, e := range v {
			if e != nil && e != "" {
				parts = append(parts, e)
			}
		}
		if len(parts) == 0 {
			return cell == "∅"
		}
		cells := strings.Split(cell, "|")
		return slices.EqualFunc(cells, parts, same)
	}
	return false
}

// inDocument compares a row with the same row in a document.
func inDocument(t *testing.T, spec study.FormatSpec, line []byte, r decoded) {
	spec.Records = "/rows"
	rows, _, err := decode(t, document1, spec, bytes.NewReader(slices.Concat([]byte(`{"rows":[`), line, []byte(`,{}]}`))))
	if r.rule == ruleInvalid || r.rule == ruleText && !stdjson.Valid(line) || r.rule == "json_too_deep" && !stdjson.Valid(line) {
		return // the brackets may go astray
	}
	if err != nil || len(rows) != 2 || !slices.Equal(rows[0].cells, r.cells) || rows[0].rule != r.rule {
		t.Fatalf("%v in a document; %s on a line (%v)", rows, r, err)
	}
}

// BenchmarkDecode reads 100,000 rows of twelve members, six of them asked for.
func BenchmarkDecode(b *testing.B) {
	const row = `{"id":"P-000123","form":"visual_acuity","visit":"month_3","date":"2026-04-01","modified":"2026-04-01T10:11:12Z","eye":"R","letters":44,"iop":15.5,"method":"ETDRS","comment":null,"refraction":{"sphere":-1.25,"axis":90},"entered":"2026-04-02"}`
	for f, in := range map[Format]string{lines1: strings.Repeat(row+"\n", 100_000), document1: "[" + strings.Repeat(row+",", 99_999) + row + "]"} {
		b.Run(map[bool]string{true: "ndjson", false: "json"}[f.Lines], func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for rows, err := range f.Decode(context.Background(), asking("id", "visit", "date", "eye", "letters", "/refraction/sphere"), strings.NewReader(in)) {
					if err != nil {
						b.Fatal(err)
					}
					n += rows.Len() - len(rows.Broken)
				}
				if n != 100_000 {
					b.Fatal(n)
				}
			}
		})
	}
}

var _ transform.Format = Format{}
