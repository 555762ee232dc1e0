package csv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"longitude/study"
)

// TestGoldenDialects reads one table written in every dialect. The table is in
// testdata/dialects.golden; each way of writing it says the same.
func TestGoldenDialects(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "dialects.golden"))
	if err != nil {
		t.Fatal(err)
	}
	const plain = "id,visit,note,n\nP-1,Månad 1,\"a,b\",0.5\nP-2,Månad 3,\"5\"\" x\",\nP-3,Månad 6,,-1\n"
	const quoted = "\"id\",\"visit\",\"note\",\"n\"\n\"P-1\",\"Månad 1\",\"a,b\",\"0.5\"\n\"P-2\",\"Månad 3\",\"5\"\" x\",\"\"\n\"P-3\",\"Månad 6\",\"\",\"-1\"\n"
	const none = "id;visit;note;n\nP-1;Månad 1;a,b;0.5\nP-2;Månad 3;5\" x;\nP-3;Månad 6;;-1\n"
	rows := plain[strings.Index(plain, "\n")+1:]
	names := []string{"id", "visit", "note", "n"}
	encoded := func(m *charmap.Charmap) string {
		s, err := m.NewEncoder().String(plain)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, c := range map[string]struct {
		in   string
		spec study.FormatSpec
	}{
		"comma":                {plain, study.FormatSpec{Header: true}},
		"mark":                 {"\ufeff" + plain, study.FormatSpec{Header: true}},
		"CRLF":                 {strings.ReplaceAll(plain, "\n", "\r\n"), study.FormatSpec{Header: true}},
		"CR":                   {strings.ReplaceAll(plain, "\n", "\r"), study.FormatSpec{Header: true}},
		"mixed line ends":      {strings.NewReplacer("1\n", "1\r", ",\n", ",\r\n").Replace(plain), study.FormatSpec{Header: true}},
		"all quoted":           {quoted, study.FormatSpec{Header: true}},
		"semicolon":            {strings.ReplaceAll(strings.ReplaceAll(plain, ",", ";"), "a;b", "a,b"), study.FormatSpec{Header: true, Delimiter: ";"}},
		"tab, no quotes":       {strings.ReplaceAll(none, ";", "\t"), study.FormatSpec{Header: true, Delimiter: "\t", Quote: "none"}},
		"pipe, no quotes":      {strings.ReplaceAll(none, ";", "|"), study.FormatSpec{Header: true, Delimiter: "|", Quote: "none"}},
		"single quotes":        {strings.NewReplacer(`""`, `"`, `"`, "'").Replace(plain), study.FormatSpec{Header: true, Quote: "'"}},
		"backslash":            {strings.ReplaceAll(plain, `""`, `\"`), study.FormatSpec{Header: true, Escape: "backslash"}},
		"backslash, no quotes": {none, study.FormatSpec{Header: true, Escape: "backslash", Quote: "none", Delimiter: ";"}},
		"backslash delimiter":  {strings.NewReplacer(`"a,b"`, `a\,b`, `"5"" x"`, `5" x`).Replace(plain), study.FormatSpec{Header: true, Escape: "backslash", Quote: "none"}},
		"comments":             {"# exported by, the \"system\n" + strings.ReplaceAll(plain, "\n", "\n#\n# more\n"), study.FormatSpec{Header: true, Comment: "#"}},
		"preamble":             {"Study: \"AMD\n\nexported on, 1 May\n" + plain, study.FormatSpec{Header: true, SkipLines: 3}},
		"names":                {rows, study.FormatSpec{Names: names}},
		"names for a header":   {plain, study.FormatSpec{Names: names, SkipLines: 1}},
		"trailing delimiter":   {strings.ReplaceAll(plain, "\n", ",\n"), study.FormatSpec{Header: true}},
		"names and trailing":   {strings.ReplaceAll(rows, "\n", ",\n"), study.FormatSpec{Names: names}},
		"no last line end":     {strings.TrimSuffix(plain, "\n"), study.FormatSpec{Header: true}},
		"windows-1252":         {encoded(charmap.Windows1252), study.FormatSpec{Header: true, Encoding: "windows-1252"}},
		"iso-8859-15":          {encoded(charmap.ISO8859_15), study.FormatSpec{Header: true, Encoding: "iso-8859-15"}},
		"macintosh":            {encoded(charmap.Macintosh), study.FormatSpec{Header: true, Encoding: "macintosh"}},
		"utf-16":               {wide("\ufeff# x\n" + plain), study.FormatSpec{Header: true, Encoding: "utf-16", Comment: "#"}},
	} {
		t.Run(name, func(t *testing.T) {
			if wrong := (Format{}).Check(c.spec); len(wrong) > 0 {
				t.Errorf("refused: %v", wrong)
			}
			columns, all, err := decode(t, c.spec, strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(columns, "|") + "\n"
			for _, r := range all {
				got += strings.Join(r.cells, "|") + r.rule + "\n"
			}
			if got != string(want) {
				t.Errorf("read as\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// wide is s in UTF-16LE.
func wide(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// TestDialectRows are the rows that a dialect breaks, and the lines of the others.
func TestDialectRows(t *testing.T) {
	backslash := header(study.FormatSpec{Escape: "backslash"})
	bare := header(study.FormatSpec{Escape: "backslash", Quote: "none"})
	hash := header(study.FormatSpec{Comment: "#"})
	for _, c := range []struct {
		name, in string
		spec     study.FormatSpec
		rows     string // as in TestDialects
	}{
		{"escaped escape", "a,b\n\"1\\\\\",2\n\\\\,\\,\n", backslash, "1\\|2@2\n\\|,@3"},
		{"escaped quote outside quotes", "a,b\n\\\"1,2\n", backslash, "\"1|2@2"},
		{"escaped line ends", "a,b\n\"1\\\n2\",x\\\ny\n3,4\n", backslash, "1\n2|x\ny@2\n3|4@5"},
		{"escaped carriage return", "a,b\n1\\\r\\\n,2\n3,4\n", bare, "1\r\n|2@2\n3|4@5"},
		{"line ends in quotes", "a,b\n\"1\r\n2\r3\n\",4\n5,6\n", backslash, "1\r\n2\r3\n|4@2\n5|6@6"},
		{"empty cells", "a,b\n\"\",\n", backslash, "|@2"},
		{"other escapes", "a,b\n1\\n,2\n\\N,2\n3,\"\\x\"\n4,5\n", backslash, "@2!escape_unknown\n@3!escape_unknown\n@4!escape_unknown\n4|5@5"},
		{"backslash at the end", "a,b\n1,2\n3,4\\", backslash, "1|2@2\n@3!escape_unknown"},
		{"doubled quote with backslashes", "a,b\n\"1\"\"\",2\n", backslash, "@2!quote_stray"},
		{"unclosed", "a,b\n\"1\\\",2\n", backslash, "@2!quote_unclosed"},
		{"stray quote", "a,b\n1\"x,2\n3,4\n", backslash, "@2!quote_stray\n3|4@3"},
		{"control", "a,b\n1\x02,\"\t\"\n\t,\"\x02\"\n", backslash, "@2!text_control\n@3!text_control"},
		{"too many cells", "a,b\n1,2,3\n4,5\n", bare, "@2!column_count\n4|5@3"},

		{"quotes mean nothing", "a,b\n\"1,2\"\n3,\"\n", header(study.FormatSpec{Quote: "none"}), "\"1|2\"@2\n3|\"@3"},
		{"double quotes among single ones", "a,b\n'1,\"2',\"\n'it''s',x\n", header(study.FormatSpec{Quote: "'"}), "1,\"2|\"@2\nit's|x@3"},
		{"apostrophe in a cell", "a,b\nit's,2\n3,4\n", header(study.FormatSpec{Quote: "'"}), "@2!quote_stray\n3|4@3"},

		{"comment mark in a cell", "a,b\n1,#2\n\"#3\",4\n #5,6\n", hash, "1|#2@2\n#3|4@3\n #5|6@4"},
		{"comment in quotes", "a,b\n\"1\n#2\",3\n#4,5\n6,7\n", hash, "1\n#2|3@2\n6|7@5"},
		{"comment at the end", "a,b\n1,2\n#3", hash, "1|2@2"},
		{"mark of two", "a,b\n1,2\n/3,4\n//5,6\n/", header(study.FormatSpec{Comment: "//"}), "1|2@2\n/3|4@3\n@5!column_count"},
		{"comment longer than the buffer", "#" + strings.Repeat("x\"", firstBuffer) + "\r\na,b\r\n#" + strings.Repeat("y", firstBuffer) + "\r\n1,2\r\n", hash, "1|2@4"},
		{"preamble longer than the buffer", strings.Repeat("x\"", firstBuffer) + "\r\ny\ra,b\n1,2\n", header(study.FormatSpec{SkipLines: 2}), "1|2@4"},

		{"trailing delimiter", "a,b,\n1,2,\n3,4,\"\"\n5,6\n7,8,9\n10,11,,\n", header(study.FormatSpec{}), "1|2@2\n3|4@3\n@4!column_count\n@5!column_count\n@6!column_count"},
		{"trailing delimiter of rows only", "a,b\n1,2,\n", header(study.FormatSpec{}), "@2!column_count"},
		{"trailing delimiter and backslashes", "a,b,\n1,2,\n3,4,5\n", backslash, "1|2@2\n@3!column_count"},
		{"one column, trailing delimiter", "a,\n1,\n", header(study.FormatSpec{}), "1@2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole": strings.NewReader(c.in), "by byte": iotest.OneByteReader(strings.NewReader(c.in)),
			} {
				_, rows, err := decode(t, c.spec, r)
				if err != nil {
					t.Fatal(err)
				}
				if got := told(rows); got != c.rows {
					t.Errorf("%s: rows %q; want %q", how, got, c.rows)
				}
			}
		})
	}
}

// told writes rows as the tables of the tests do.
func told(rows []row) string {
	var all []string
	for _, r := range rows {
		s := strings.Join(r.cells, "|") + fmt.Sprintf("@%d", r.line)
		if r.rule != "" {
			s += "!" + r.rule
		}
		all = append(all, s)
	}
	return strings.Join(all, "\n")
}

// A row that is too long ends where its dialect says.
func TestLongRowsOfDialects(t *testing.T) {
	long := strings.Repeat("x", maxRow)
	for name, c := range map[string]struct {
		in   string
		spec study.FormatSpec
	}{
		"single quotes":     {"'" + long + "\n\"''\n',2", study.FormatSpec{Quote: "'"}},
		"no quotes":         {"\"" + long, study.FormatSpec{Quote: "none"}},
		"backslash":         {"\"" + long + "\\\"\n\\\\\",2", study.FormatSpec{Escape: "backslash"}},
		"escaped line ends": {long + "\\\n\\\\\\\r\\\n,2", study.FormatSpec{Escape: "backslash"}},
	} {
		lines := int64(3 + strings.Count(c.in, "\n") + strings.Count(c.in, "\r"))
		_, rows, err := decode(t, header(c.spec), strings.NewReader("a,b\n"+c.in+"\n3,4\n"))
		if err != nil || len(rows) != 2 || rows[0].rule != "row_too_long" || rows[1].rule != "" || rows[1].line != lines {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		in    string
		names []string
		say   string
	}{
		{"1,2,3\n", []string{"a", "b"}, "has 3, but 2 names"},
		{"1,2\n", []string{"a", "b", "c"}, "has 2, but 3 names"},
		{"1,2,,\n", []string{"a", "b"}, "has 4, but 2 names"},
	} {
		_, _, err := decode(t, study.FormatSpec{Names: c.names}, strings.NewReader(c.in))
		wantError(t, err, "csv.names", "`names`")
		if !strings.Contains(fmt.Sprint(err), c.say) {
			t.Errorf("%v; want %q in it", err, c.say)
		}
	}
	for _, in := range []string{"# only\n# comments", "x\ny", "x\ny\n"} {
		_, _, err := decode(t, header(study.FormatSpec{Comment: "#", SkipLines: 2}), strings.NewReader(in))
		wantError(t, err, "csv.empty", "skip_lines")
	}
}

// A header of many long names fills more than the first buffer.
func TestLongHeader(t *testing.T) {
	var names []string
	for i := range 4000 {
		names = append(names, fmt.Sprintf("%0100d", i))
	}
	columns, rows, err := decode(t, header(study.FormatSpec{}), strings.NewReader(strings.Join(names, ",")+"\n"+strings.Repeat(",", len(names)-1)))
	if err != nil || !slices.Equal(columns, names) || len(rows) != 1 || rows[0].rule != "" {
		t.Errorf("%d columns, %d rows, %v", len(columns), len(rows), err)
	}
}

// Rows say which encoding they were read in.
func TestDialectIsTheEncoding(t *testing.T) {
	for declared, c := range map[string]struct{ in, want string }{
		"":             {"a\n1\n", "utf-8"},
		"auto":         {wide("\ufeffa\n1\n"), "utf-16le"},
		"utf-16":       {"\xfe\xff\x00a\x00\n\x001", "utf-16be"},
		"windows-1252": {"a\n\x80\n", "windows-1252"},
		"macintosh":    {"a\n\x80\n", "macintosh"},
	} {
		for rows, err := range (Format{}).Decode(context.Background(), header(study.FormatSpec{Encoding: declared}), strings.NewReader(c.in)) {
			if err != nil || rows.Dialect != c.want {
				t.Errorf("%q is read as %q, %v; want %q", declared, rows.Dialect, err, c.want)
			}
		}
	}
}

// fuzzed is a dialect for each of the 72 numbers below 72.
func fuzzed(n uint8) study.FormatSpec {
	return study.FormatSpec{
		Quote: []string{"", "'", "none"}[n%3], Escape: []string{"double", "backslash"}[n/3%2],
		Comment: []string{"", "#", "//"}[n/6%3], SkipLines: int(n / 18 % 2), Header: n/36%2 == 0, Encoding: "auto",
	}
}

func FuzzDecode(f *testing.F) {
	for i, s := range []string{"a,b\n1,2\n", "a,b\r\n\"1\r\n\"\"2\",\r\n", "\"a\";b\n", "a\r\r\n1", "a,b\n\"x", "\xff\xfea\x00\n\x00", "a\n\xe9\n", "a,b\n5\" x,2\n",
		"a,b,\n1,'2',\n", "x\n#\na,b\n\\\"1\\,,\\\n2\n", "//\n/a,b\n'1''',\"2\\\"\"\r"} {
		f.Add([]byte(s), uint8(7*i))
	}
	f.Fuzz(func(t *testing.T, in []byte, n uint8) {
		if utf8.Valid(in) && !bytes.ContainsAny(in, "\r\ufeff") {
			compare(t, in) // a lone CR as line end and the mark are this package's own
		}
		specs := []study.FormatSpec{fuzzed(n % 72)}
		for _, name := range slices.Sorted(maps.Keys(encodings)) {
			specs = append(specs, header(study.FormatSpec{Encoding: name}))
		}
		for _, spec := range specs {
			columns, rows, err := decode(t, spec, bytes.NewReader(in))
			again, rows2, err2 := decode(t, spec, iotest.OneByteReader(bytes.NewReader(in)))
			if !slices.Equal(columns, again) || !reflect.DeepEqual(rows, rows2) || fmt.Sprint(err) != fmt.Sprint(err2) {
				t.Fatalf("%+v: reading by byte gives something else", spec)
			}
			var e *study.Error
			if err != nil && !errors.As(err, &e) {
				t.Fatalf("%+v: error %T", spec, err)
			}
		}
		sameInOtherQuotes(t, in, fuzzed(n%72))
	})
}

// sameInOtherQuotes exchanges the two quotes in the text and in the dialect.
func sameInOtherQuotes(t *testing.T, in []byte, spec study.FormatSpec) {
	if spec.Quote == "none" || !utf8.Valid(in) { // two bytes a character are not exchanged one by one
		return
	}
	exchange := func(s string) string {
		return strings.NewReplacer(`"`, "'", "'", `"`).Replace(s)
	}
	other := spec
	if other.Quote = "'"; spec.Quote == "'" {
		other.Quote = `"`
	}
	columns, rows, err := decode(t, spec, bytes.NewReader(in))
	columns2, rows2, err2 := decode(t, other, strings.NewReader(exchange(string(in))))
	for i := range columns2 {
		columns2[i] = exchange(columns2[i])
	}
	for i := range rows2 {
		rows2[i].raw = exchange(rows2[i].raw)
		for k := range rows2[i].cells {
			rows2[i].cells[k] = exchange(rows2[i].cells[k])
		}
	}
	if !slices.Equal(columns, columns2) || !reflect.DeepEqual(rows, rows2) || fmt.Sprint(err) != fmt.Sprint(err2) {
		t.Fatalf("%+v: the other quotes give something else: %v %v, %v %v", spec, rows, err, rows2, err2)
	}
}
