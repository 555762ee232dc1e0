package transform

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longitude/internal/publishedtest"
	"longitude/study"
)

// shapeOf observes the rows of a small table, split as its batches are.
func shapeOf(t testing.TB, o Observer, text string, batch int) study.Shape {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	header := records[0]
	for rows := range slices.Chunk(records[1:], batch) {
		b := &Rows{Columns: header, Dialect: "utf-8", Lines: make([]int64, len(rows))}
		for _, r := range rows {
			for _, cell := range r {
				b.Cells = append(b.Cells, []byte(cell))
			}
		}
		o.See(b)
	}
	return o.Shape()
}

func TestShape(t *testing.T) {
	const table = `id,n,comma,e,iso,uk,month,named,time,mixed,none,late,spaced
P1,1,"1,5",1e-3,2026-01-02,02/01/2026,2026-01,02-Jan-2026,08:30,1,,,  7
P2,-2.5,",5",+2.E4,2026-01-02T03:04:05Z,2.1.26,2026-02,2/JANUARY/2026,8:30,x,, ,8
P3,,.,,2026-01-02 03:04,,,,,2026-01-01,,3,9
`
	want := "id:text n:number comma:number e:number iso:date uk:date month:date named:date time:text mixed:text none: late:number spaced:number"
	header, rows, _ := strings.Cut(table, "\n")
	for _, batch := range []int{1, 2, 100} {
		s := shapeOf(t, Observer{}, header+"\n"+strings.Repeat(rows, typedValues), batch)
		var got []string
		for _, c := range s.Columns {
			got = append(got, c.Name+":"+c.Kind)
		}
		if strings.Join(got, " ") != want || s.Dialect != "utf-8" {
			t.Errorf("shape %s, dialect %q", got, s.Dialect)
		}
	}
}

func TestObserver(t *testing.T) {
	rows := func(n int, cell string) *Rows {
		r := &Rows{Columns: []string{"A"}, Lines: make([]int64, n), Cells: make([][]byte, n)}
		for i := range r.Cells {
			r.Cells[i] = []byte(cell)
		}
		return r
	}
	var o Observer
	if o.See(rows(observedRows-1, "1")) || !o.See(rows(2, "2026-01-01")) || !o.See(rows(5, "text")) {
		t.Error("the observer stops elsewhere")
	}
	if s := o.Shape(); s.Columns[0].Kind != "text" { // numbers and one date
		t.Errorf("shape %+v", s)
	}
	o = Observer{}
	o.See(rows(typedValues-1, "1"))
	if s := o.Shape(); s.Columns[0].Kind != "" {
		t.Errorf("shape %+v of too few values", s)
	}
	declared := rows(typedValues, "12")
	declared.Columns, declared.Cells = []string{"A", "B", "C", "D"}, slices.Repeat([][]byte{[]byte("12"), []byte("13"), []byte("14"), []byte("15")}, typedValues)
	declared.Types, declared.Unasked = []string{"datetime", "", "boolean", "number"}, []string{"B", "extra"}
	o = Observer{}
	o.See(declared)
	if got := fmt.Sprint(o.Shape().Columns); got != "[{A date} {B number} {C text} {D number} {extra }]" {
		t.Errorf("columns %s", got)
	}
	// What the mapping takes for missing is no value.
	m, _ := NewMapper(testStudy(), testSource())
	o = m.Observer()
	va := rows(typedValues+1, "44")
	va.Columns, va.Cells[1] = []string{"VA"}, []byte("NA")
	o.See(va)
	if s := o.Shape(); s.Columns[0].Kind != "number" {
		t.Errorf("shape %+v", s)
	}
}

func TestDrifts(t *testing.T) {
	shape := func(text string) (s study.Shape) {
		for c := range strings.FieldsSeq(text) {
			name, kind, _ := strings.Cut(c, ":")
			s.Columns = append(s.Columns, study.ColumnShape{Name: strings.ReplaceAll(name, "+", " "), Kind: kind})
		}
		s.Dialect = "utf-8"
		return s
	}
	standard := study.DriftPolicy{NewColumn: study.Evolve, MissingColumn: study.QuarantineDrift, TypeChange: study.QuarantineDrift}
	strict := study.DriftPolicy{NewColumn: study.Freeze, MissingColumn: study.Freeze, TypeChange: study.Freeze}
	const accepted = "id:text n:number on:date note:text"
	asked := []string{"id", "n", "on"}
	for name, c := range map[string]struct {
		accepted, seen string
		policy         study.DriftPolicy
		want           string
	}{
		"nothing":                   {accepted, accepted, standard, ""},
		"another order":             {accepted, "note:text on:date n:number id:text", standard, ""},
		"a new column":              {accepted, accepted + " more:number", standard, "new_column more >number evolve;"},
		"a new column, strict":      {accepted, accepted + " more:number", strict, "new_column more >number freeze;"},
		"a column read has gone":    {accepted, "id:text on:date note:text", standard, "missing_column n number> mapped quarantine;"},
		"a column unread has gone":  {accepted, "id:text n:number on:date", strict, "missing_column note text> evolve;"},
		"number to text":            {accepted, "id:text n:text on:date note:text", standard, "type_change n number>text mapped quarantine;"},
		"nothing seen":              {accepted, "id:text n: on:date note:text", standard, ""},
		"nothing seen before":       {"id:text n: on:date note:text", accepted, standard, ""},
		"unread text to date":       {accepted, "id:text n:number on:date note:date", strict, "type_change note text>date evolve;"},
		"most has gone":             {accepted, "Jane:text n:number 1950:number x:text", standard, "header_unknown  > mapped quarantine;"},
		"most has gone, strict":     {accepted, "Jane:text n:number 1950:number x:text", strict, "header_unknown  > mapped freeze;"},
		"most has gone, lenient":    {accepted, "x:text", study.DriftPolicy{MissingColumn: study.Evolve}, "header_unknown  > mapped quarantine;"},
		"a name that is no name":    {accepted, accepted + " Jane<jane@x>:text", standard, "new_column column 5 >text evolve;"},
		"a name that is too long":   {accepted, accepted + " " + strings.Repeat("x", 65) + ":text", standard, "new_column column 5 >text evolve;"},
		"a name that is a number":   {accepted, accepted + " 7739-1004:text", standard, "new_column column 5 >text evolve;"},
		"a name in another script":  {accepted, accepted + " Größe+2:number", standard, "new_column Größe 2 >number evolve;"},
		"the first object":          {"", accepted, strict, ""},
		"the first, with one short": {"", "id:text n:number note:text", strict, "missing_column on > mapped freeze;"},
		"read again at last":        {"id:text on:date note:text", accepted, standard, "new_column n >number mapped evolve;"},
		"no policy":                 {accepted, "id:text on:date note:text n2:text", study.DriftPolicy{}, "missing_column n number> mapped evolve;new_column n2 >text evolve;"},
	} {
		var got strings.Builder
		for _, d := range Drifts(shape(c.accepted), shape(c.seen), asked, c.policy) {
			mapped := map[bool]string{true: "mapped "}[d.Mapped]
			fmt.Fprintf(&got, "%s %s %s>%s %s%s;", d.Kind, d.Column, d.From, d.To, mapped, d.Action)
		}
		if got.String() != c.want {
			t.Errorf("%s: drifts %q; want %q", name, got.String(), c.want)
		}
	}
	other := shape(accepted)
	other.Dialect = "utf-16le"
	if d := Drifts(shape(accepted), other, asked, standard); len(d) != 1 || d[0].Kind != study.DialectChange || d[0].From != "utf-8" || d[0].To != "utf-16le" || d[0].Action != study.QuarantineDrift {
		t.Errorf("drifts %+v", d)
	}
}

// The published history of one file of a data library: three commits of it, oldest
// first. The file is not part of the project.
func TestDriftsOfAPublishedFile(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(publishedtest.Data(t), "rho-data-library", "history", "visits.*.csv"))
	if len(files) < 3 {
		t.Skip("the history of visits.csv is not here")
	}
	slices.Sort(files) // by date
	asked := []string{"subjectnameoridentifier", "visit_name", "visit_date", "visit_abbreviation"}
	var accepted study.Shape
	var got []string
	for i, file := range files[:3] {
		seen := shapeOfFile(t, file)
		for _, d := range Drifts(accepted, seen, asked, study.DriftPolicy{NewColumn: study.Evolve, MissingColumn: study.QuarantineDrift, TypeChange: study.QuarantineDrift}) {
			event := fmt.Sprintf("%d: %s %s %q to %q, mapped %v: %s", i+1, d.Kind, d.Column, d.From, d.To, d.Mapped, d.Action)
			t.Log(event)
			got = append(got, event)
		}
		accepted = seen
	}
	want := []string{
		`1: missing_column visit_abbreviation "" to "", mapped true: quarantine`,
		`2: new_column visit_abbreviation "" to "text", mapped true: evolve`,
		`3: missing_column visit_abbreviation "text" to "", mapped true: quarantine`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("drifts %q", got)
	}
}

func shapeOfFile(t *testing.T, file string) study.Shape {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	header, err := r.Read()
	var o Observer
	for full := false; err == nil && !full; {
		var record []string
		if record, err = r.Read(); err != nil {
			break
		}
		row := &Rows{Columns: header, Lines: []int64{0}}
		for _, cell := range record {
			row.Cells = append(row.Cells, []byte(cell))
		}
		full = o.See(row)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal("the file cannot be read")
	}
	return o.Shape()
}

// What is kept of a shape has no name that may be somebody's, unless a document names
// the column.
func TestShownShape(t *testing.T) {
	var seen study.Shape
	for _, name := range []string{"id", "VA (letters)", "jane@x.invalid", "note", "123456", "Jane Smith", "SMITH", "Weight", "iop_mmhg", "V1", "Anne-Marie", "José Müller", "va/iop"} {
		seen.Columns = append(seen.Columns, study.ColumnShape{Name: name})
	}
	digest := func(name string) string { return "of" + strings.Repeat("x", len(name)) }
	named := []string{"id", "VA (letters)", "note", "weight"}
	want := []string{"id", "VA (letters)", "column 3", "note", "column 5", "untold_ofxxxxxxxxxx", "untold_ofxxxxx", "Weight", "iop_mmhg", "V1", "untold_ofxxxxxxxxxx", "untold_ofxxxxxxxxxxxxx", "va/iop"}
	shown := Shown(seen, named, digest)
	for _, s := range []study.Shape{shown, Shown(shown, named, digest)} { // and again
		var got []string
		for _, c := range s.Columns {
			got = append(got, c.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("shown as %q, want %q", got, want)
		}
	}
	if seen.Columns[2].Name != "jane@x.invalid" {
		t.Error("the shape itself was changed")
	}
}
