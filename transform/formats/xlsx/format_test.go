package xlsx

import (
	"archive/zip"
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/xuri/excelize/v2"

	"longitude/study"
	"longitude/transform"
)

// decoded is one row, copied out of its batch.
type decoded struct {
	cells []string // "∅" is nil
	line  int64
	raw   string
	rule  string
}

// String is cells by "|", then @row, then !rule.
func (r decoded) String() string {
	s := strings.Join(r.cells, "|") + fmt.Sprintf("@%d", r.line)
	if r.rule != "" {
		s += "!" + r.rule
	}
	return s
}

func decode(t testing.TB, spec study.FormatSpec, object []byte) (columns []string, rows []decoded, err error) {
	t.Helper()
	for batch, e := range (Format{}).Decode(context.Background(), spec, bytes.NewReader(object)) {
		if e != nil {
			return columns, rows, e
		}
		columns = batch.Columns
		if batch.First != int64(len(rows))+1 || len(batch.Cells) != batch.Len()*len(columns) || len(batch.Raw) != batch.Len() {
			t.Fatalf("batch of %d rows, %d cells and %d raw rows starts at ordinal %d after %d rows", batch.Len(), len(batch.Cells), len(batch.Raw), batch.First, len(rows))
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
			r.rule, r.cells = b.Rule, nil
		}
	}
	return columns, rows, nil
}

func show(rows []decoded) string {
	var all []string
	for _, r := range rows {
		all = append(all, r.String())
	}
	return strings.Join(all, "\n")
}

var headed = study.FormatSpec{Type: "xlsx", Header: true}

// book is a workbook written by a library that is not ours.
func book(t testing.TB, fill func(f *excelize.File, set func(cell string, value any))) []byte {
	t.Helper()
	f := excelize.NewFile()
	fill(f, func(cell string, value any) {
		must(t, f.SetCellValue("Sheet1", cell, value))
	})
	var b bytes.Buffer
	must(t, f.Write(&b))
	must(t, f.Close())
	return b.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// styled gives cells a number format, by its number or its code.
func styled(t testing.TB, f *excelize.File, cells string, number int, code string) {
	t.Helper()
	s := excelize.Style{NumFmt: number}
	if code != "" {
		s.CustomNumFmt = &code
	}
	id, err := f.NewStyle(&s)
	must(t, err)
	from, to, _ := strings.Cut(cells, ":")
	must(t, f.SetCellStyle("Sheet1", from, max(from, to), id))
}

func expect(t *testing.T, spec study.FormatSpec, object []byte, columns, want string) {
	t.Helper()
	got, rows, err := decode(t, spec, object)
	if err != nil || strings.Join(got, "|") != columns || show(rows) != want {
		t.Errorf("columns %q, rows:\n%s\nerror %v; want %q:\n%s", got, show(rows), err, columns, want)
	}
}

func TestValues(t *testing.T) {
	expect(t, headed, book(t, func(f *excelize.File, set func(string, any)) {
		for i, name := range []string{"text", "number", "yes", "day", "moment", "time", "none"} {
			set(fmt.Sprintf("%c1", 'A'+i), name)
		}
		set("A2", " x\ty \n z ")
		set("B2", 0.1)
		set("C2", true)
		set("D2", time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
		set("E2", time.Date(2026, 4, 1, 13, 5, 59, 0, time.UTC))
		set("F2", 0.75)
		must(t, f.SetCellRichText("Sheet1", "A3", []excelize.RichTextRun{{Text: "a "}, {Text: "b", Font: &excelize.Font{Bold: true}}}))
		set("B3", -1234567)
		set("C3", false)
		set("D3", 45000)
		set("E3", 45000.5)
		set("A5", "日本 <&> \U0001d518")
		set("B5", "007")
		set("A6", "")
		styled(t, f, "D2:D9", 14, "")
		styled(t, f, "E2:E9", 22, "")
		styled(t, f, "F2:F9", 20, "")
		styled(t, f, "B2", 0, `0.00" d"`)
		styled(t, f, "A9:G9", 14, "")
	}), "text|number|yes|day|moment|time|none", strings.Join([]string{
		" x\ty \n z |0.1|true|2026-04-01|2026-04-01T13:05:59|18:00:00|∅@2",
		"a b|-1234567|false|2023-03-15|2023-03-15T12:00:00|∅|∅@3",
		"日本 <&> \U0001d518|007|∅|∅|∅|∅|∅@5",
	}, "\n"))
}

// Numbers as files have them, in sheet XML written by hand.
func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "007": "7", "1.0": "1", "4.3499999999999996": "4.35", "0.30000000000000004": "0.30000000000000004", "1E-3": "0.001",
		"1.5E+3": "1500", "1e21": "1000000000000000000000", "9007199254740993": "9007199254740992", "-12.5": "-12.5", "1E-7": "0.0000001",
		"1e999": "!number_invalid", "nan": "!number_invalid", "Infinity": "!number_invalid", "0x1p4": "!number_invalid", "1_0": "!number_invalid",
		"1,5": "!number_invalid", " 1": "!number_invalid", "-": "!number_invalid",
	} {
		_, rows, err := decode(t, headed, pack{rows: `<c t="inlineStr"><is><t>n</t></is></c>|<c><v>` + text + `</v></c>`}.bytes(t))
		got := strings.Replace(show(rows), "@2", "", 1)
		if err != nil || got != want {
			t.Errorf("%s is %s (%v); want %s", text, got, err, want)
		}
	}
}

// The days around the leap year that Excel's first calendar has and 1900 had not.
func TestDates(t *testing.T) {
	for _, c := range []struct{ serial, format, in1900, in1904 string }{
		{"1", "14", "1900-01-01", "1904-01-02"},
		{"59", "14", "1900-02-28", "1904-02-29"},
		{"60", "14", "!date_invalid", "1904-03-01"},
		{"61", "14", "1900-03-01", "1904-03-02"},
		{"0", "14", "!date_invalid", "1904-01-01"},
		{"0.5", "14", "!date_invalid", "1904-01-01T12:00:00"},
		{"0.5", "20", "12:00:00", "12:00:00"},
		{"1.5", "20", "1900-01-01T12:00:00", "1904-01-02T12:00:00"},
		{"44197", "14", "2021-01-01", "2025-01-02"},
		{"42735", "22", "2016-12-31", "2021-01-01"},
		{"44197.999999999", "22", "2021-01-02", "2025-01-03"},
		{"44197.000011574", "14", "2021-01-01T00:00:01", "2025-01-02T00:00:01"},
		{"44197.5215277778", "14", "2021-01-01T12:31:00", "2025-01-02T12:31:00"},
		{"44197.00000578704", "22", "2021-01-01T00:00:00.5", "2025-01-02T00:00:00.5"},
		{"2958465", "14", "9999-12-31", "!date_invalid"},
		{"2958466", "14", "!date_invalid", "!date_invalid"},
		{"1e12", "14", "!date_invalid", "!date_invalid"},
		{"-1", "14", "!date_invalid", "!date_invalid"},
		{"1.5", "46", "1.5", "1.5"},
	} {
		for i, want := range []string{c.in1900, c.in1904} {
			_, rows, err := decode(t, headed, pack{rows: `<c t="inlineStr"><is><t>d</t></is></c>|<c s="1"><v>` + c.serial + `</v></c>`,
				properties: fmt.Sprintf(`<workbookPr date1904="%d"/>`, i), formats: c.format}.bytes(t))
			if got := strings.Replace(show(rows), "@2", "", 1); err != nil || got != want {
				t.Errorf("%s in format %s, system %d: %s (%v); want %s", c.serial, c.format, i, got, err, want)
			}
		}
	}
	// Every day is the day that the library makes of it.
	w := &workbook{}
	for serial := 1.0; serial < 60000; serial++ {
		want, err := excelize.ExcelDateToTime(serial, false)
		must(t, err)
		text, ok := w.date(nil, serial, dated)
		if ok != (serial != 60) || ok && string(text) != want.Format(time.DateOnly) {
			t.Fatalf("%v is %s %v; want %s", serial, text, ok, want)
		}
	}
}

func TestFormatStyles(t *testing.T) {
	for code, want := range map[string]style{
		"General": plainNumber, "0.00": plainNumber, "#,##0.00_);[Red](#,##0.00)": plainNumber, "0.00E+00": plainNumber, "@": plainNumber, "": plainNumber,
		`0.0" days"`: plainNumber, `0\d`: plainNumber, "[Red]0": plainNumber, "0;d": plainNumber, "[h]:mm": plainNumber, "[mm]:ss": plainNumber, "[ss].00": plainNumber,
		`[$-409]General`: plainNumber, "_d0": plainNumber, "*m0": plainNumber, `"y`: plainNumber, `[$kr-41D]0`: plainNumber,
		"yyyy-mm-dd": dated, "DD/MM/YY": dated, "[$-409]d-mmm-yy;@": dated, "mmm": dated, "m/d/yy h:mm": dated, `yyyy\-mm\-dd\ hh:mm:ss`: dated,
		`d" of "mmmm`: dated, "[$-F800]dddd, mmmm dd, yyyy": dated, "yyyy": dated,
		"h:mm": timeOnly, "mm:ss.0": timeOnly, "h:mm AM/PM": timeOnly, "[$-F400]h:mm:ss a/p": timeOnly, "hh": timeOnly,
	} {
		if got := formatStyle(code); got != want {
			t.Errorf("%q is %d; want %d", code, got, want)
		}
	}
}

func TestBrokenRows(t *testing.T) {
	long := strings.Repeat("x", maxCell)
	cell := func(attributes, inside string) string { return "<c " + attributes + ">" + inside + "</c>" }
	header := cell(`t="inlineStr"`, "<is><t>n</t></is>") + cell(`t="inlineStr"`, "<is><t>m</t></is>")
	for name, c := range map[string]struct{ row, want string }{
		"error":                       {cell(`t="e"`, "<v>#N/A</v>"), "!cell_error"},
		"error of a formula":          {cell(`t="e"`, "<f>1/0</f><v>#DIV/0!</v>"), "!cell_error"},
		"text that looks like one":    {cell(`t="str"`, "<v>#N/A</v>"), "#N/A|∅"},
		"formula":                     {cell("", "<f>1+1</f><v>2</v>"), "2|∅"},
		"text formula":                {cell(`t="str"`, "<f>A1</f><v>x</v>") + cell(`t="str"`, `<f>""</f><v></v>`), "x|∅"},
		"formula never calculated":    {cell("", "<f>1+1</f>"), "!formula_without_value"},
		"boolean":                     {cell(`t="b"`, "<v>1</v>") + cell(`t="b"`, "<v>0</v>"), "true|false"},
		"no boolean":                  {cell(`t="b"`, "<v>yes</v>"), "!cell_invalid"},
		"ISO dates":                   {cell(`t="d"`, "<v>2026-04-01T00:00:00.000</v>") + cell(`t="d"`, "<v>2026-04-01T10:30:00Z</v>"), "2026-04-01|2026-04-01T10:30:00"},
		"no ISO date":                 {cell(`t="d"`, "<v>1.4.2026</v>"), "!date_invalid"},
		"unknown type":                {cell(`t="x"`, "<v>1</v>"), "!cell_invalid"},
		"no shared text":              {cell(`t="s"`, "<v>7</v>"), "!cell_invalid"},
		"no number of one":            {cell(`t="s"`, "<v>x</v>"), "!cell_invalid"},
		"shared text":                 {cell(`t="s"`, "<v>0</v>") + cell(`t="s"`, "<v>1</v>"), "AB|∅"},
		"two in one place":            {cell(`r="A2"`, "<v>1</v>") + cell(`r="A2"`, "<v>2</v>"), "!cell_invalid"},
		"no place":                    {cell(`r="2A"`, "<v>1</v>"), "!cell_invalid"},
		"place in another row":        {cell(`r="A3"`, "<v>1</v>"), "!cell_invalid"},
		"no style":                    {cell(`s="x"`, "<v>1</v>"), "!cell_invalid"},
		"style nobody defined":        {cell(`s="9"`, "<v>1</v>"), "1|∅"},
		"out of order":                {cell(`r="B2"`, "<v>2</v>") + cell(`r="A2"`, "<v>1</v>"), "1|2"},
		"escapes":                     {cell(`t="str"`, "<v>a_x000A_b_xD835__xDD18_</v>"), "a\nb\U0001d518|∅"},
		"half an escape":              {cell(`t="str"`, "<v>_xD835_</v>"), "!text_invalid"},
		"escaped control":             {cell(`t="str"`, "<v>_x001F_</v>"), "!text_control"},
		"C1 control":                  {cell(`t="str"`, "<v>\u0085</v>"), "!text_control"},
		"entities and CDATA":          {cell(`t="str"`, "<v>&lt;<![CDATA[&]]></v>"), "<&|∅"},
		"readings are no text":        {cell(`t="inlineStr"`, "<is><r><t>東</t></r><r><t>京</t></r><rPh><t>トウ</t></rPh></is>"), "東京|∅"},
		"the longest cell":            {cell(`t="str"`, "<v>"+long+"</v>"), long + "|∅"},
		"longer":                      {cell(`t="str"`, "<v>"+long+"y</v>"), "!cell_too_long"},
		"a longer row":                {strings.Repeat(cell("", ""), 3) + cell(`t="str"`, "<v>"+strings.Repeat("x", maxRow+1)+"</v>"), "!row_too_long"},
		"the first rule holds":        {cell(`t="e"`, "<v>#REF!</v>") + cell("", "<v>x</v>"), "!cell_error"},
		"more beside what is ours":    {`<x:c xmlns:x="y"><x:v>1</x:v></x:c>` + cell("", "<v>2</v><extLst><v>5</v></extLst>"), "1|2"},
		"a value of another notation": {cell("", "<v>1<!-- a comment -->2</v>"), "12|∅"},
	} {
		t.Run(name, func(t *testing.T) {
			_, rows, err := decode(t, headed, pack{rows: header + "|" + c.row + "|" + cell("", "<v>3</v>"), shared: "<si><r><t>A</t></r><r><t>B</t></r></si><si><t/></si>"}.bytes(t))
			var want string
			if rule, broken := strings.CutPrefix(c.want, "!"); broken {
				want = "@2!" + rule
			} else {
				want = c.want + "@2"
			}
			if want += "\n3|∅@3"; err != nil || show(rows) != want {
				t.Errorf("rows:\n%.200s\n%v; want:\n%.200s", show(rows), err, want)
			}
			for _, r := range rows {
				var texts []*string
				if err := stdjson.Unmarshal([]byte(r.raw), &texts); err != nil || len(texts) != 2 {
					t.Errorf("raw %.200s: %v", r.raw, err)
				}
			}
		})
	}
}

func TestLayout(t *testing.T) {
	fill := func(f *excelize.File, set func(string, any)) {
		set("A1", "Title of the sheet")
		set("B3", "id")
		set("D3", "value")
		set("B5", 1)
		set("D5", "x")
		set("D6", "y")
		set("B8", 3)
		must(t, f.SetRowVisible("Sheet1", 5, false))
		must(t, f.SetColVisible("Sheet1", "D", false))
		styled(t, f, "A20:Z20", 14, "")
	}
	object := book(t, fill)
	expect(t, study.FormatSpec{Header: true, SkipLines: 1}, object, "id|value", "1|x@5\n∅|y@6\n3|∅@8")
	expect(t, study.FormatSpec{Header: true, SkipLines: 2}, object, "id|value", "1|x@5\n∅|y@6\n3|∅@8")
	expect(t, study.FormatSpec{SkipLines: 4}, object, "c1|c2|c3|c4", "∅|1|∅|x@5\n∅|∅|∅|y@6\n∅|3|∅|∅@8")
	expect(t, study.FormatSpec{SkipLines: 6}, object, "c1|c2", "∅|3@8")
	expect(t, study.FormatSpec{SkipLines: 4, Names: []string{"a", "b", "c", "d", "e"}}, object, "a|b|c|d|e", "∅|1|∅|x|∅@5\n∅|∅|∅|y|∅@6\n∅|3|∅|∅|∅@8")
	expect(t, study.FormatSpec{Header: true, SkipLines: 7}, object, "3", "")
	expect(t, study.FormatSpec{SkipLines: 20, Names: []string{"a"}}, object, "a", "")

	merged := func(areas ...string) []byte {
		return book(t, func(f *excelize.File, set func(string, any)) {
			for row := 1; row <= 9; row++ {
				set(fmt.Sprintf("A%d", row), fmt.Sprintf("a%d", row))
				set(fmt.Sprintf("B%d", row), row)
			}
			for _, a := range areas {
				from, to, _ := strings.Cut(a, ":")
				must(t, f.MergeCell("Sheet1", from, to))
			}
		})
	}
	_, rows, err := decode(t, headed, merged("A2:A3", "A7:A8", "C9:D10"))
	if want := "@2!merged_cells\n@3!merged_cells\na4|4@4\na5|5@5\na6|6@6\n@7!merged_cells\n@8!merged_cells\na9|9@9"; err != nil || show(rows) != want {
		t.Errorf("rows:\n%s\n%v", show(rows), err)
	}
	// Within a row the first cell has the value, and a header may reach into the rows.
	_, rows, err = decode(t, headed, merged("A5:B5", "A1:A2"))
	if want := "@2!merged_cells\na3|3@3\na4|4@4\na5|∅@5\na6|6@6\na7|7@7\na8|8@8\na9|9@9"; err != nil || show(rows) != want {
		t.Errorf("rows:\n%s\n%v", show(rows), err)
	}
	_, rows, err = decode(t, study.FormatSpec{}, pack{rows: strings.Repeat("<c><v>1</v></c>|", 6),
		tail: `</sheetData><mergeCells><mergeCell ref="A5:A4"/><mergeCell ref="A2:A3"/><mergeCell ref="A1:A2"/></mergeCells><sheetData>`}.bytes(t))
	if want := "@1!merged_cells\n@2!merged_cells\n@3!merged_cells\n@4!merged_cells\n@5!merged_cells\n1@6"; err != nil || show(rows) != want {
		t.Errorf("rows:\n%s\n%v", show(rows), err)
	}
}

func TestSheets(t *testing.T) {
	object := book(t, func(f *excelize.File, set func(string, any)) {
		set("A1", "hidden")
		for _, name := range []string{"Chart", "Vitals", "More <&>"} {
			_, err := f.NewSheet(name)
			must(t, err)
			must(t, f.SetCellValue(name, "A1", name))
			must(t, f.SetCellValue(name, "A2", 1))
		}
		f.SetActiveSheet(2)
		must(t, f.SetSheetVisible("Sheet1", false))
		must(t, f.SetSheetVisible("Chart", false, true))
	})
	for table, want := range map[string]string{"": "Vitals", "Vitals": "Vitals", "More <&>": "More <&>", "Sheet1": "hidden", "Chart": "Chart"} {
		columns, _, err := decode(t, study.FormatSpec{Header: true, Table: table}, object)
		if err != nil || !slices.Equal(columns, []string{want}) {
			t.Errorf("table %q: columns %q, %v", table, columns, err)
		}
	}
}

func TestErrors(t *testing.T) {
	plain := pack{rows: `<c t="inlineStr"><is><t>a</t></is></c>|<c><v>1</v></c>`}
	text := func(s string) string { return `<c t="inlineStr"><is><t>` + s + `</t></is></c>` }
	locked := func() []byte {
		var b bytes.Buffer
		f := excelize.NewFile()
		must(t, f.SetCellValue("Sheet1", "A1", "x"))
		must(t, f.Write(&b, excelize.Options{Password: "secret"}))
		return b.Bytes()
	}
	change := func(f func(p *pack)) []byte {
		p := plain
		f(&p)
		return p.bytes(t)
	}
	for name, c := range map[string]struct {
		object []byte
		spec   study.FormatSpec
		code   string
		says   string // in its place or operation
	}{
		"nothing":            {nil, headed, "xlsx.not_workbook", "zip"},
		"text":               {[]byte("a,b\n1,2\n"), headed, "xlsx.not_workbook", "zip"},
		"cut":                {plain.bytes(t)[:900], headed, "xlsx.not_workbook", "zip"},
		"password":           {locked(), headed, "xlsx.encrypted", "password"},
		"another archive":    {archive(t, map[string]string{"a.txt": "x"}), headed, "xlsx.not_workbook", ""},
		"macros":             {change(func(p *pack) { p.kind = "application/vnd.ms-excel.sheet.macroEnabled.main+xml" }), headed, "xlsx.not_workbook", "kind"},
		"no such sheet":      {plain.bytes(t), study.FormatSpec{Header: true, Table: "Vitals"}, "xlsx.sheet_unknown", "among the 1 of"},
		"only hidden sheets": {change(func(p *pack) { p.state = "hidden" }), headed, "xlsx.sheet_unknown", "visible"},
		"a chart sheet":      {change(func(p *pack) { p.sheetKind = "chartsheet" }), study.FormatSpec{Header: true, Table: "S"}, "xlsx.sheet_kind", "sheet 1"},
		"no part":            {change(func(p *pack) { p.without = "xl/worksheets/sheet1.xml" }), headed, "xlsx.damaged", "the sheet"},
		"cut styles":         {change(func(p *pack) { p.formats = `14"` }), headed, "xlsx.damaged", "number formats"},
		"cut texts":          {change(func(p *pack) { p.shared = "<si><t>x" }), headed, "xlsx.damaged", "texts"},
		"cut sheet":          {change(func(p *pack) { p.rows += "|<c><v>2" }), headed, "xlsx.damaged", "after row 3"},
		"rows out of order":  {change(func(p *pack) { p.tail = `</sheetData><row r="1"/><sheetData>` }), headed, "xlsx.damaged", "after row 2"},
		"an endless text":    {change(func(p *pack) { p.rows += "|" + text(strings.Repeat("x", maxPiece+1<<16)) }), headed, "xlsx.damaged", "after row 3"},
		"an endless name": {change(func(p *pack) { p.rows += `|<c a="` + strings.Repeat("x", maxPiece+1<<16) + `"/>` }),
			headed, "xlsx.damaged", "after row 3"},
		"an empty sheet":  {change(func(p *pack) { p.rows = "" }), headed, "xlsx.empty", "header"},
		"only titles":     {plain.bytes(t), study.FormatSpec{Header: true, SkipLines: 2}, "xlsx.empty", "header"},
		"no columns":      {plain.bytes(t), study.FormatSpec{SkipLines: 2}, "xlsx.empty", "header"},
		"same name twice": {change(func(p *pack) { p.rows = text("a") + text("b") + text("a") }), headed, "xlsx.header_duplicate", "columns A and C"},
		"no name":         {change(func(p *pack) { p.rows = text("a") + "|" + text("a") + text("b") }), headed, "xlsx.header_empty", "column B"},
		"an error as name": {change(func(p *pack) { p.rows = text("a") + `<c t="e"><v>#REF!</v></c>|` + text("b") }), headed,
			"xlsx.header_invalid", "row 1, column B"},
		"too few names": {change(func(p *pack) { p.rows = text("a") + text("b") }), study.FormatSpec{Names: []string{"x"}}, "xlsx.names", "has 2, and `names` has 1"},
		"too wide":      {change(func(p *pack) { p.rows += `|<c r="FAO3"><v>1</v></c>` }), headed, "xlsx.too_wide", "column FAO"},
		"too large":     {make([]byte, maxObject+1), headed, "xlsx.too_large", "64 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decode(t, c.spec, c.object)
			var e *study.Error
			if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Place+" "+e.Op, c.says) || e.Hint == "" || e.Err != nil {
				t.Errorf("error %+v; want %s saying %q", e, c.code, c.says)
			}
		})
	}
	must(t, func() error { _, _, err := decode(t, headed, plain.bytes(t)); return err }())
}

// A bomb says its size, or is caught saying less.
func TestBomb(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, size := range []uint64{maxUnzipped, 1 << 63, 1 << 63} {
		w, err := z.CreateRaw(&zip.FileHeader{Name: "x", Method: zip.Deflate, UncompressedSize64: size, CompressedSize64: 1})
		must(t, err)
		_, err = w.Write([]byte{0})
		must(t, err)
	}
	must(t, z.Close())
	_, _, err := decode(t, headed, b.Bytes())
	var e *study.Error
	if !errors.As(err, &e) || e.Code != "xlsx.too_large" {
		t.Errorf("error %v", err)
	}
}

func TestCutReader(t *testing.T) {
	object := pack{rows: `<c><v>1</v></c>`}.bytes(t)
	for _, cut := range []error{io.ErrUnexpectedEOF, &study.Error{Code: "landing.digest", Op: "reading"}} {
		for _, err := range (Format{}).Decode(context.Background(), headed, io.MultiReader(bytes.NewReader(object), iotest.ErrReader(cut))) {
			if !errors.Is(err, cut) {
				t.Errorf("%v: error %v", cut, err)
			}
		}
	}
}

// Against the library's own reading, on a sheet of many batches.
func TestAgainstLibrary(t *testing.T) {
	object := book(t, func(f *excelize.File, _ func(string, any)) {
		w, err := f.NewStreamWriter("Sheet1")
		must(t, err)
		must(t, w.SetRow("A1", []any{"n", "text", "half"}))
		for i := 2; i < 6_000; i++ {
			must(t, w.SetRow(fmt.Sprintf("A%d", i), []any{i, fmt.Sprintf("row %d é", i), float64(i) / 2}))
		}
		must(t, w.Flush())
	})
	f, err := excelize.OpenReader(bytes.NewReader(object))
	must(t, err)
	defer f.Close()
	want, err := f.GetRows("Sheet1", excelize.Options{RawCellValue: true})
	must(t, err)
	columns, rows, err := decode(t, headed, object)
	if err != nil || !slices.Equal(columns, want[0]) || len(rows) != len(want)-1 {
		t.Fatalf("columns %q, %d rows, %v; want %d", columns, len(rows), err, len(want)-1)
	}
	for i, r := range rows {
		if !slices.Equal(r.cells, want[i+1]) || r.line != int64(i+2) {
			t.Fatalf("row %s; want %q", r, want[i+1])
		}
	}
}

func TestCheck(t *testing.T) {
	for _, spec := range []study.FormatSpec{{Header: true, SkipLines: 2, Table: "Sheet 1", Encoding: "auto", DecimalMark: "."}, {Names: []string{"a", "b"}}} {
		if wrong := (Format{}).Check(spec); len(wrong) != 0 {
			t.Errorf("findings %v", wrong)
		}
	}
	for _, spec := range []study.FormatSpec{{Header: true, Names: []string{"a"}}, {Names: []string{"a", "a"}}, {Names: []string{""}}} {
		if wrong := (Format{}).Check(spec); wrong["names"] == "" {
			t.Errorf("nothing found wrong with names %q", spec.Names)
		}
	}
}

// pack is a workbook of one sheet written by hand.
type pack struct {
	rows       string // cells of each row, rows by "|"
	tail       string // after the rows
	shared     string
	formats    string // of style 1
	properties string
	kind       string // content type
	sheetKind  string
	state      string
	without    string // a part that is missing
}

func (p pack) bytes(t testing.TB) []byte {
	t.Helper()
	const main, rels = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`, `xmlns="http://schemas.openxmlformats.org/package/2006/relationships"`
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	var sheet strings.Builder
	if p.rows != "" {
		for i, row := range strings.Split(p.rows, "|") {
			fmt.Fprintf(&sheet, `<row r="%d">%s</row>`, i+1, row)
		}
	}
	parts := map[string]string{
		"[Content_Types].xml":        `<Types><Override PartName="/xl/workbook.xml" ContentType="` + or(p.kind, contentType) + `"/></Types>`,
		"_rels/.rels":                `<Relationships ` + rels + `><Relationship Id="r1" Type="http://purl.oclc.org/ooxml/officeDocument/relationships/officeDocument" Target="/xl/workbook.xml"/></Relationships>`,
		"xl/_rels/workbook.xml.rels": `<Relationships ` + rels + `><Relationship Id="a" Type="x/` + or(p.sheetKind, "worksheet") + `" Target="worksheets/sheet1.xml"/><Relationship Id="b" Type="x/styles" Target="styles.xml"/><Relationship Id="c" Type="x/sharedStrings" Target="sharedStrings.xml"/></Relationships>`,
		"xl/workbook.xml": `<workbook ` + main + ` xmlns:r="x">` + p.properties + `<sheets><sheet name="S" sheetId="1" state="` + or(p.state, "visible") +
			`" r:id="a"/></sheets></workbook>`,
		"xl/styles.xml":            `<styleSheet ` + main + `><cellXfs><xf numFmtId="0"/><xf numFmtId="` + or(p.formats, "0") + `"/></cellXfs></styleSheet>`,
		"xl/sharedStrings.xml":     `<sst ` + main + `>` + p.shared + `</sst>`,
		"xl/worksheets/sheet1.xml": `<worksheet ` + main + `><sheetData>` + sheet.String() + p.tail + `</sheetData></worksheet>`,
	}
	delete(parts, p.without)
	return archive(t, parts)
}

func archive(t testing.TB, parts map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range parts {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		must(t, err)
		_, err = io.WriteString(w, text)
		must(t, err)
	}
	must(t, z.Close())
	return b.Bytes()
}

// FuzzDecode fuzzes the XML of a sheet and its texts, and the archive.
func FuzzDecode(f *testing.F) {
	object := book(f, func(_ *excelize.File, set func(string, any)) {
		set("A1", "a")
		set("A2", 1.5)
	})
	f.Add(object, `<c t="inlineStr"><is><t>a</t></is></c>|<c s="1"><f>1</f><v>60.5</v></c>`, "<si><t>x</t></si>", "14")
	f.Add([]byte("PK"), `<c t="s"><v>0</v></c>|<c r="B2" t="e"><v>#N/A</v></c></row><mergeCell ref="A1:B2"/><row>`, `<si><r><t>_x0041_</t></r></si>`, "20")
	f.Fuzz(func(t *testing.T, object []byte, rows, shared, formats string) {
		for _, o := range [][]byte{object, pack{rows: rows, shared: shared, formats: formats}.bytes(t)} {
			for _, spec := range []study.FormatSpec{headed, {}, {Names: []string{"a", "b"}, SkipLines: 1}} {
				columns, got, err := decode(t, spec, o)
				var e *study.Error
				if err != nil && (!errors.As(err, &e) || e.Err != nil) {
					t.Fatalf("error %T", err)
				}
				for _, r := range got {
					var texts []*string
					if stdjson.Unmarshal([]byte(r.raw), &texts) != nil || len(texts) != len(columns) {
						t.Fatalf("raw %q of %d columns", r.raw, len(columns))
					}
				}
			}
		}
	})
}

// BenchmarkDecode reads 20,000 rows of ten cells; bytes are those of the sheet's XML.
func BenchmarkDecode(b *testing.B) {
	row := strings.Repeat(`<c r="" s="1"><v>45000.5</v></c><c t="s"><v>0</v></c>`, 5)
	row = strings.ReplaceAll(row, ` r=""`, "")
	object := pack{rows: strings.Repeat("<c t=\"inlineStr\"><is><t>x</t></is></c>", 1) + strings.Repeat("|"+row, 20_000), formats: "22", shared: "<si><t>some text</t></si>"}.bytes(b)
	b.SetBytes(int64(20_000 * len(row)))
	for b.Loop() {
		_, rows, err := decode(b, study.FormatSpec{}, object)
		if err != nil || len(rows) != 20_001 {
			b.Fatal(len(rows), err)
		}
	}
}

var _ transform.Format = Format{}
