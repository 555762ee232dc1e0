package csv

import (
	"bytes"
	"context"
	stdcsv "encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"

	"longitude/study"
	"longitude/transform"
)

// row is one decoded row, copied out of its batch.
type row struct {
	cells []string
	line  int64
	raw   string
	rule  string
}

func decode(t testing.TB, spec study.FormatSpec, r io.Reader) (columns []string, rows []row, err error) {
	t.Helper()
	for batch, e := range (Format{}).Decode(context.Background(), spec, r) {
		if e != nil {
			return columns, rows, e
		}
		columns = batch.Columns
		if batch.First != int64(len(rows))+1 {
			t.Fatalf("batch starts at ordinal %d after %d rows", batch.First, len(rows))
		}
		if len(batch.Cells) != batch.Len()*len(batch.Columns) || len(batch.Raw) != batch.Len() {
			t.Fatalf("%d cells and %d raw rows for %d rows of %d columns", len(batch.Cells), len(batch.Raw), batch.Len(), len(batch.Columns))
		}
		for i := range batch.Len() {
			got := row{line: batch.Lines[i], raw: string(batch.Raw[i])}
			for _, c := range batch.Row(i) {
				got.cells = append(got.cells, string(c))
			}
			rows = append(rows, got)
		}
		for _, b := range batch.Broken {
			r := &rows[len(rows)-batch.Len()+b.Row]
			r.rule, r.cells = b.Rule, nil
		}
	}
	return columns, rows, nil
}

func header(spec study.FormatSpec) study.FormatSpec { spec.Header = true; return spec }

func TestDialects(t *testing.T) {
	semicolon := study.FormatSpec{Delimiter: ";", Header: true}
	comma := study.FormatSpec{Encoding: "auto", Header: true}
	for _, c := range []struct {
		name, in string
		spec     study.FormatSpec
		columns  string
		rows     string // cells by "|", then @line, then !rule; rows by "\n"
	}{
		{"lf", "a,b\n1,2\n3,4\n", comma, "a|b", "1|2@2\n3|4@3"},
		{"crlf", "a,b\r\n1,2\r\n3,4\r\n", comma, "a|b", "1|2@2\n3|4@3"},
		{"cr", "a,b\r1,2\r3,4\r", comma, "a|b", "1|2@2\n3|4@3"},
		{"no last line end", "a,b\n1,2", comma, "a|b", "1|2@2"},
		{"header only", "a,b\n", comma, "a|b", ""},
		{"header only, no line end", "a,b", comma, "a|b", ""},
		{"empty cells", "a,b\n,\n\"\",x\n", comma, "a|b", "|@2\n|x@3"},
		{"blank lines", "\n\na,b\n\n1,2\r\n\r\n\n3,4\n\n", comma, "a|b", "1|2@5\n3|4@8"},
		{"quotes", "a,b\n\"x,\"\"y\"\"\",\"\"\"\"\n", comma, "a|b", `x,"y"|"@2`},
		{"line ends inside quotes", "a,b\n\"1\r\n2\r3\n4\",z\n5,6\n", comma, "a|b", "1\r\n2\r3\n4|z@2\n5|6@6"},
		{"spaces stay", "a, b\n 1 ,\t2\n", comma, "a| b", " 1 |\t2@2"},
		{"semicolon", "a;b\n1,5;\"2;3\"\n", semicolon, "a|b", "1,5|2;3@2"},
		{"tab", "a\tb\n1\t2\n", header(study.FormatSpec{Delimiter: "\t"}), "a|b", "1|2@2"},
		{"pipe", "a|b\n1|2\n", header(study.FormatSpec{Delimiter: "|"}), "a|b", "1|2@2"},
		{"no header", "1,2\n3,4\n", study.FormatSpec{}, "c1|c2", "1|2@1\n3|4@2"},
		{"one column", "a\n1\n2\n", comma, "a", "1@2\n2@3"},
		{"quoted comma in the only name", "\"a, b\"\n1\n", comma, "a, b", "1@2"},
		{"utf-8", "ä,b\n日本,é\n", comma, "ä|b", "日本|é@2"},
		{"utf-8 with mark", "\ufeffa,b\n1,é\n", comma, "a|b", "1|é@2"},
		{"declared utf-8 with mark", "\ufeffa,b\n1,2\n", header(study.FormatSpec{Encoding: "utf-8"}), "a|b", "1|2@2"},
		{"empty names", ",a,,b\n1,2,3,4\n", comma, "|a||b", "1|2|3|4@2"},

		{"too few cells", "a,b\n1\n2,3\n", comma, "a|b", "@2!column_count\n2|3@3"},
		{"too many cells", "a,b\n1,2,3\n2,3\n", comma, "a|b", "@2!column_count\n2|3@3"},
		{"cut in a quote", "a,b\n1,2\n3,\"4", comma, "a|b", "1|2@2\n@3!quote_unclosed"},
		{"cut after an opening quote", "a,b\n1,2\n3,\"", comma, "a|b", "1|2@2\n@3!quote_unclosed"},
		{"quote inside a cell", "a,b\n5\" x,2\n3,4\n", comma, "a|b", "@2!quote_stray\n3|4@3"},
		{"text after a quote", "a,b\n\"5\"x,2\n3,4\n", comma, "a|b", "@2!quote_stray\n3|4@3"},
		{"NUL", "a,b\n1,\x00\n3,4\n", comma, "a|b", "@2!text_control\n3|4@3"},
		{"separator of packed answers", "a,b\n1,x\x1fy\n\"\x1a\",4\n5,6\n", comma, "a|b", "@2!text_control\n@3!text_control\n5|6@4"},
		{"C1 control", "a,b\n1,é\u0085\n3,4\n", comma, "a|b", "@2!text_control\n3|4@3"},
		{"not the declared utf-8", "a,b\n1,\xe9\n3,4\n", header(study.FormatSpec{Encoding: "utf-8"}), "a|b", "@2!text_invalid\n3|4@3"},
		{"not the utf-8 that the mark promised", "\ufeffa,b\n1,\xe9\n", comma, "a|b", "@2!text_invalid"},
		{"windows text declared iso-8859-1", "a,b\n1,\x92\n3,\xe9\n", header(study.FormatSpec{Encoding: "iso-8859-1"}), "a|b", "@2!text_control\n3|é@3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for reader, r := range map[string]io.Reader{
				"whole":   strings.NewReader(c.in),
				"by byte": iotest.OneByteReader(strings.NewReader(c.in)),
				"eof":     iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				columns, rows, err := decode(t, c.spec, r)
				if err != nil {
					t.Fatal(err)
				}
				got := told(rows)
				if strings.Join(columns, "|") != c.columns || got != c.rows {
					t.Errorf("%s: columns %q, rows %q; want %q, %q", reader, columns, got, c.columns, c.rows)
				}
			}
		})
	}
}

func TestErrors(t *testing.T) {
	comma := header(study.FormatSpec{})
	for _, c := range []struct{ name, in, code, hint string }{
		{"nothing", "", "csv.empty", "header"},
		{"only a mark", "\ufeff", "csv.empty", "header"},
		{"only blank lines", "\r\n\n", "csv.empty", "header"},
		{"same name twice", "a,b,a\n", "csv.header_duplicate", "rename"},
		{"semicolons", "a;b;c\n1;2;3\n", "csv.delimiter", `delimiter: ";"`},
		{"quoted semicolons", "\"a\";\"b\"\n", "csv.delimiter", `delimiter: ";"`},
		{"tabs", "a\tb\n", "csv.delimiter", `delimiter: "\t"`},
		{"pipes", "a|b", "csv.delimiter", `delimiter: "|"`},
		{"windows-1252 in the header", "a,gr\xf6\xdfe\n", "csv.encoding_unknown", "windows-1252"},
		{"windows-1252 in a row", "a,b\n1,\xe9\n", "csv.encoding_unknown", "windows-1252"},
		{"utf-16 without a mark", "a\x00;\x00b\x00\n\x00", "csv.encoding_unknown", "utf-16le"},
		{"open quote", "a,\"b\n1,2\n", "csv.header_invalid", "quote"},
		{"stray quote", "a,b\"\n", "csv.header_invalid", "quote"},
		{"too many columns", strings.Repeat(",", maxColumns) + "\n", "csv.header_invalid", "4096"},
		{"endless first line", strings.Repeat("x", 2*maxRow), "csv.header_invalid", "line end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := decode(t, comma, strings.NewReader(c.in))
			wantError(t, err, c.code, c.hint)
		})
	}
	_, _, err := decode(t, header(study.FormatSpec{Encoding: "utf-16"}), strings.NewReader("a\x00\n\x00"))
	wantError(t, err, "csv.encoding_unknown", "utf-16le")
	_, _, err = decode(t, header(study.FormatSpec{Encoding: "windows-1252"}), strings.NewReader("a\x00,\x00\n\x00"))
	wantError(t, err, "csv.header_invalid", "encoding:")
}

func wantError(t *testing.T, err error, code, hint string) {
	t.Helper()
	var e *study.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Hint, hint) {
		t.Errorf("error %+v; want %s with a hint of %q", e, code, hint)
	}
}

// A reader below that is cut short is an error, never the end of the object.
func TestCutReader(t *testing.T) {
	for _, cut := range []error{io.ErrUnexpectedEOF, errors.New("connection lost"),
		&study.Error{Code: "landing.digest", Op: "reading"}} {
		for _, data := range []string{"", "a", "a,b\n1,2\n", strings.Repeat("a,b\n", firstBuffer)} {
			r := io.MultiReader(strings.NewReader(data), iotest.ErrReader(cut))
			_, _, err := decode(t, header(study.FormatSpec{}), r)
			var e *study.Error
			if !errors.As(err, &e) || !errors.Is(err, cut) {
				t.Errorf("%d bytes and %v: error %v", len(data), cut, err)
			}
		}
	}
}

func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	var last error
	for _, err := range (Format{}).Decode(ctx, header(study.FormatSpec{}), strings.NewReader("a,b\n"+strings.Repeat("1,2\n", 3*maxRows))) {
		n++
		last = err
		cancel()
	}
	if n != 2 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d batches, then %v", n, last)
	}
}

func TestEncodings(t *testing.T) {
	const text = "näme,b\r\n€5,’é\r\n𝔘,\"ü\"\"\n\"\r\n"
	latin := strings.NewReplacer("€", "¤", "’", "´", "𝔘", "Ü").Replace(text)
	euro := strings.NewReplacer("’", "Ž", "𝔘", "Ü").Replace(text)
	windows := strings.Replace(text, "𝔘", "Ü", 1)
	wide := func(order interface {
		AppendUint16([]byte, uint16) []byte
	}, mark bool) string {
		var b []byte
		if mark {
			b = order.AppendUint16(b, 0xfeff)
		}
		for _, u := range utf16.Encode([]rune(text)) {
			b = order.AppendUint16(b, u)
		}
		return string(b)
	}
	le, be := encodings["utf-16le"].utf16, encodings["utf-16be"].utf16
	narrow := func(m *charmap.Charmap, s string) string {
		out, err := m.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct{ encoding, in, text string }{
		{"auto", text, text},
		{"utf-8", text, text},
		{"auto", wide(le, true), text},
		{"auto", wide(be, true), text},
		{"utf-16", wide(le, true), text},
		{"utf-16", wide(be, true), text},
		{"utf-16le", wide(le, true), text},
		{"utf-16le", wide(le, false), text},
		{"utf-16be", wide(be, false), text},
		{"windows-1252", narrow(charmap.Windows1252, windows), windows},
		{"iso-8859-1", narrow(charmap.ISO8859_1, latin), latin},
		{"iso-8859-15", narrow(charmap.ISO8859_15, euro), euro},
		{"macintosh", narrow(charmap.Macintosh, windows), windows},
	} {
		records, err := stdcsv.NewReader(strings.NewReader(c.text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		columns, rows, err := decode(t, header(study.FormatSpec{Encoding: c.encoding}), strings.NewReader(c.in))
		if err != nil {
			t.Fatalf("%s: %v", c.encoding, err)
		}
		width := len(records[0])
		trailing := width > 1 && records[0][width-1] == ""
		if trailing {
			records[0] = records[0][:width-1]
		}
		if !slices.Equal(columns, records[0]) || len(rows) != len(records)-1 {
			t.Errorf("%s: columns %q, %d rows", c.encoding, columns, len(rows))
		}
		for i, r := range rows {
			if r.rule != "" || !slices.Equal(r.cells, records[i+1]) {
				t.Errorf("%s: row %d is %q %s; want %q", c.encoding, i, r.cells, r.rule, records[i+1])
			}
			if !strings.Contains(c.in, r.raw) || len(r.raw) == 0 {
				t.Errorf("%s: row %d: its raw bytes are not in the object", c.encoding, i)
			}
		}
	}
	// Half a character at the end is a cut object, and an unpaired surrogate is no text.
	_, rows, err := decode(t, header(study.FormatSpec{Encoding: "utf-16le"}), strings.NewReader("a\x00\n\x00b"))
	if err != nil || len(rows) != 1 || rows[0].rule != "text_invalid" {
		t.Errorf("rows %v, %v", rows, err)
	}
}

func TestLongRows(t *testing.T) {
	long := strings.Repeat("x,", maxRow) // two buffers
	quoted := "\"" + strings.Repeat("line\r\n\"\"", maxRow/4) + "\""
	for name, c := range map[string]struct {
		in    string
		lines []int64
	}{
		"plain":             {"a,b\n1,2\n" + long + "\n3,4\n", []int64{2, 3, 4}},
		"carriage return":   {"a,b\r1,2\r" + long + "\r3,4\r", []int64{2, 3, 4}},
		"crlf":              {"a,b\r\n1,2\r\n" + long + "\r\n3,4\r\n", []int64{2, 3, 4}},
		"in quotes":         {"a,b\n1,2\n" + quoted + ",2\n3,4\n", []int64{2, 3, 4 + maxRow/4}},
		"at the end":        {"a,b\n1,2\n" + long, []int64{2, 3}},
		"two of them":       {"a,b\n" + long + "\n" + long + "\n3,4\n", []int64{2, 3, 4}},
		"long but not too":  {"a,b\n1,2\n" + strings.Repeat("y", maxRow-3) + ",\n3,4\n", []int64{2, 3, 4}},
		"unclosed for long": {"a,b\n1,2\n\"" + long + "\n3,4\n", []int64{2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			_, rows, err := decode(t, header(study.FormatSpec{}), strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			var lines []int64
			for _, r := range rows {
				lines = append(lines, r.line)
				wantLong := !strings.HasPrefix(name, "long but") && len(r.raw) > 3
				if (r.rule == "row_too_long") != wantLong || len(r.raw) > maxRow {
					t.Errorf("line %d: rule %q, %d raw bytes", r.line, r.rule, len(r.raw))
				}
			}
			if !slices.Equal(lines, c.lines) {
				t.Errorf("lines %d; want %d", lines, c.lines)
			}
		})
	}
}

// Where the standard reader and this one agree on what CSV is, they agree on
// what it says, wherever the buffer happens to end.
func TestAgainstStandardReader(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var in bytes.Buffer
	w := stdcsv.NewWriter(&in)
	w.Write([]string{"a", "b", "c"})
	alphabet := []string{"x", "1", `"`, ",", "\n", " ", "é", "", "0", "long text that fills the buffer sooner"}
	for range 40_000 {
		record := []string{"k", "", ""}
		for i := range record {
			for range rnd.IntN(8) {
				record[i] += alphabet[rnd.IntN(len(alphabet))]
			}
		}
		w.Write(record)
	}
	w.Flush()
	if in.Len() < 4*firstBuffer {
		t.Fatalf("only %d bytes", in.Len())
	}
	compare(t, in.Bytes())
}

// compare checks rows against encoding/csv, which drops the CR of a CRLF inside
// quotes; this package keeps it.
func compare(t *testing.T, in []byte) {
	std := stdcsv.NewReader(bytes.NewReader(in))
	std.FieldsPerRecord = -1
	records, err := std.ReadAll()
	if err != nil || len(records) == 0 {
		return
	}
	columns, rows, err := decode(t, header(study.FormatSpec{}), bytes.NewReader(in))
	if err != nil {
		return // stricter: encoding, duplicate names, delimiter
	}
	width := len(records[0])
	trailing := width > 1 && records[0][width-1] == ""
	if trailing {
		records[0] = records[0][:width-1]
	}
	if !slices.Equal(columns, records[0]) || len(rows) != len(records)-1 {
		t.Fatalf("columns %q and %d rows; want %q and %d", columns, len(rows), records[0], len(records)-1)
	}
	for i, r := range rows {
		want := records[i+1]
		switch {
		case r.rule == "text_control":
		case len(want) != width, trailing && want[width-1] != "":
			if r.rule != "column_count" {
				t.Fatalf("row %d has %d cells and is %q", i, len(want), r.rule)
			}
		case r.rule != "":
			t.Fatalf("row %d is %s; the standard reader says %q", i, r.rule, want)
		default:
			for k := range r.cells {
				r.cells[k] = strings.ReplaceAll(r.cells[k], "\r\n", "\n")
			}
			if !slices.Equal(r.cells, want[:len(columns)]) {
				t.Fatalf("row %d is %q; want %q", i, r.cells, want)
			}
		}
	}
}

// measured are 100,000 rows of twelve cells, as they come from most systems and
// with every cell quoted.
func measured() map[string][]byte {
	plain := "P-000123,visual_acuity,month_3,2026-04-01,2026-04-01T10:11:12Z,R,44,15.5,ETDRS,,,2026-04-02\n"
	quoted := `"` + strings.ReplaceAll(strings.TrimSpace(plain), ",", `","`) + "\"\n"
	rows := map[string][]byte{}
	for name, line := range map[string]string{"plain": plain, "quoted": quoted} {
		rows[name] = []byte("a,b,c,d,e,f,g,h,i,j,k,l\n" + strings.Repeat(line, 100_000))
	}
	return rows
}

func BenchmarkDecode(b *testing.B) {
	benchmark(b, func(in []byte) (n int) {
		for rows, err := range (Format{}).Decode(context.Background(), header(study.FormatSpec{}), bytes.NewReader(in)) {
			if err != nil {
				b.Fatal(err)
			}
			n += rows.Len()
		}
		return n
	})
}

// BenchmarkStandardLibrary is what encoding/csv takes for the same bytes at its
// fastest setting: docs/decisions/0007-own-csv-splitter.md compares the two.
func BenchmarkStandardLibrary(b *testing.B) {
	benchmark(b, func(in []byte) (n int) {
		r := stdcsv.NewReader(bytes.NewReader(in))
		r.ReuseRecord = true
		for _, err := r.Read(); err == nil; _, err = r.Read() {
			n++
		}
		return n - 1 // the header
	})
}

func benchmark(b *testing.B, read func(in []byte) (rows int)) {
	for name, in := range measured() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if n := read(in); n != 100_000 {
					b.Fatal(n)
				}
			}
		})
	}
}

// BenchmarkDecodeAndMap is the way from bytes to drafts of the study's densest form.
func BenchmarkDecodeAndMap(b *testing.B) {
	const records = 100_000
	column := func(name string) study.Pick { return study.Pick{Column: name} }
	choice := func(codes ...string) (items []study.ChoiceItem) {
		for _, c := range codes {
			items = append(items, study.ChoiceItem{Code: c})
		}
		return items
	}
	s := &study.Study{Timezone: "Europe/London", Visits: []study.VisitType{{Name: "month_3"}}, Forms: []study.Form{{Name: "va", RepeatsBy: "eye",
		Fields: []study.Field{{Name: "eye", Type: study.Choice, Choices: choice("R", "L")}, {Name: "va", Type: study.Acuity},
			{Name: "iop", Type: study.Decimal, Precision: 4, Scale: 1, Min: "0", Max: "80"}, {Name: "method", Type: study.Choice, Choices: choice("ETDRS")},
			{Name: "comments", Type: study.Text}}}}}
	src := &study.Source{Map: study.Mapping{Participant: column("a"), Visit: column("c"), VisitBy: "name", VisitDate: column("d"),
		Modified: column("e"), Entered: column("l"), Forms: []study.FormMapping{{Form: "va", When: column("b"), WhenValues: []string{"visual_acuity"},
			Fields: []study.FieldMapping{{Field: "eye", Pick: column("f")}, {Field: "va", Pick: study.Pick{Column: "g", Scale: "etdrs_letters"}},
				{Field: "iop", Pick: column("h")}, {Field: "method", Pick: column("i")}, {Field: "comments", Pick: column("j")}}}}}}
	m, problems := transform.NewMapper(s, src)
	if problems != nil {
		b.Fatal(problems)
	}
	var in bytes.Buffer
	in.WriteString("a,b,c,d,e,f,g,h,i,j,k,l\n")
	for i := range records {
		fmt.Fprintf(&in, "P-%06d,visual_acuity,month_3,2026-%02d-%02d,2026-04-01T10:%02d:12Z,R,%d,%d.5,ETDRS,,,2026-04-02\n", i/8, i%12+1, i%28+1, i%60, i%101, i%40)
	}
	b.SetBytes(int64(in.Len()))
	b.ReportAllocs()
	for b.Loop() {
		var out transform.Mapped
		total := 0
		for rows, err := range (Format{}).Decode(context.Background(), header(study.FormatSpec{}), bytes.NewReader(in.Bytes())) {
			if err != nil {
				b.Fatal(err)
			}
			if err := m.Bind(rows.Columns); err != nil {
				b.Fatal(err)
			}
			m.Map(rows, &out)
			total += len(out.Drafts)
			out.Reset()
		}
		if total != records {
			b.Fatal(total)
		}
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

var _ transform.Format = Format{}
