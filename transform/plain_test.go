package transform

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"longitude/study"
)

// plainFields are fields of which every short text that is packed as it is
// written, and breaks no rule, stands.
func plainFields(t testing.TB) []*fieldMap {
	t.Helper()
	many := make([]study.ChoiceItem, 0, 2*fewCodes)
	for i := range 2 * fewCodes {
		many = append(many, study.ChoiceItem{Code: string(rune('a' + i))})
	}
	var fields []*fieldMap
	for _, f := range []study.Field{
		{Type: study.Integer},
		{Type: study.Integer, Min: "0", Max: "100"},
		{Type: study.Integer, Min: "-12", MinOpen: true, Max: "7", MaxOpen: true},
		{Type: study.Decimal},
		{Type: study.Decimal, Precision: 4, Scale: 1, Min: "0", Max: "80"},
		{Type: study.Decimal, Precision: 3, Scale: 2, Min: "-1.5", MinOpen: true, Max: "1.25", MaxOpen: true},
		{Type: study.Decimal, Precision: 2, Scale: 2},
		{Type: study.Choice, Choices: []study.ChoiceItem{{Code: "1"}, {Code: "0.5"}, {Code: "R"}, {Code: "L"}}},
		{Type: study.Choice, Choices: many},
		{Type: study.DateType},
		{Type: study.DateType, Min: "2020", Max: "2026-02-28"},
	} {
		m, problem := newFieldMap(&f, study.Pick{Column: "c"}, '.', time.UTC)
		if problem != "" || m.plain == noPlain {
			t.Fatalf("%+v: %q, plain %d", f, problem, m.plain)
		}
		fields = append(fields, &m)
	}
	return fields
}

// asRead reports whether reading packs text as it is written, and finds nothing;
// partial dates are for reading.
func (f *fieldMap) asRead(text []byte) bool {
	text, _ = f.pick.refine(text)
	if text == nil || f.plain == plainDate && len(text) != len(time.DateOnly) {
		return false
	}
	packed, invalid, finding := f.read(nil, text)
	return invalid == "" && finding == "" && string(packed) == string(text)
}

// glanced is how text is packed where that is seen at once, as a cell of a row.
func (f *fieldMap) glanced(text []byte) (packed string, ok bool) {
	cell := append(append(make([]byte, 0, len(text)+2*wordSize), text...), "7.0L9-12"...)[:len(text)]
	w, ok := f.glance(cell)
	return string(w.append(nil)), ok
}

// glancedAsRead says what is wrong with how text is packed at once, "" if nothing is.
// A short text that stands is seen to, unless it has a sign.
func (f *fieldMap) glancedAsRead(text []byte) string {
	packed, ok := f.glanced(text)
	short := len(text) < wordSize && f.plain != plainDate
	switch {
	case ok && len(text) == 0 && packed == study.MissingMark:
	case !ok && short && text[0] != '-' && f.stands(text):
		return "is not seen to stand"
	case ok:
		if read, invalid, finding := f.read(nil, text); invalid != "" || finding != "" || string(read) != packed {
			return "is packed as " + packed + ", and read as " + string(read) + invalid + finding
		}
	}
	return ""
}

func FuzzStands(f *testing.F) {
	fields := plainFields(f)
	for _, text := range []string{"", "0", "-0", "-", "7", "007", "-12", "100", "101", "80.0", "79.9", "-1.5", "1.24", "0.5", ".5", "5.", "0.25", "1.2.3", "11.0", "0.0", "00.5", "12345678", "1234567.", "123.4567", "R\x00",
		"999999999999999999", "1000000000000000000", "R", "p", "2020-01-01", "2026-02-28", "2026-02-29", "2026-03-01", "0000-01-01", "2024-1-01", "2024-02"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, field := range fields {
			if stands, read := field.stands([]byte(text)), field.asRead([]byte(text)); stands && !read || read && !stands && (len(text) < 9 || field.plain == plainDate) {
				t.Errorf("field %d: %q stands %t, read as it is written %t", i, text, stands, read)
			}
			if wrong := field.glancedAsRead([]byte(text)); wrong != "" {
				t.Errorf("field %d: %q %s", i, text, wrong)
			}
		}
	})
}

// Of random texts made of what values are made of, those stand that are read as
// they are written.
func TestStandsAsRead(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	fields := plainFields(t)
	stood := make([]int, len(fields))
	for range 40_000 {
		text := make([]byte, random.IntN(6))
		for i := range text {
			text[i] = "00112579..-LRap"[random.IntN(15)]
		}
		if random.IntN(4) == 0 {
			day, _ := study.NewDate(2019+random.IntN(9), 1, 1)
			text = []byte((day + study.Date(random.IntN(366))).String())
			text[random.IntN(10)] = "0123-"[random.IntN(5)]
		}
		for i, f := range fields {
			stands := f.stands(text)
			if read := f.asRead(text); stands != read {
				t.Fatalf("field %d: %q stands %t, read as it is written %t", i, text, stands, read)
			}
			if wrong := f.glancedAsRead(text); wrong != "" {
				t.Fatalf("field %d: %q %s", i, text, wrong)
			}
			if stands {
				stood[i]++
			}
		}
	}
	for i, n := range stood {
		if n < 50 {
			t.Errorf("field %d: only %d texts stand", i, n)
		}
	}
}

// What has to be read stays to be read.
func TestNotPlain(t *testing.T) {
	column := study.Pick{Column: "c"}
	for name, c := range map[string]struct {
		field study.Field
		pick  study.Pick
		mark  byte
	}{
		"computed":     {study.Field{Type: study.Integer}, study.Pick{Expr: "1"}, '.'},
		"trimmed":      {study.Field{Type: study.Integer}, study.Pick{Column: "c", Trim: true}, '.'},
		"recoded":      {study.Field{Type: study.Integer}, study.Pick{Column: "c", Values: map[string]string{"1": "2"}}, '.'},
		"missing code": {study.Field{Type: study.Integer}, study.Pick{Column: "c", Missing: map[string]string{"9": "unknown"}}, '.'},
		"sealed":       {study.Field{Type: study.Integer, Class: study.DirectIdentifier}, column, '.'},
		"converted":    {study.Field{Type: study.Integer, Unit: "kg"}, study.Pick{Column: "c", Unit: "g"}, '.'},
		"pattern":      {study.Field{Type: study.Integer, Pattern: "1."}, column, '.'},
		"comma":        {study.Field{Type: study.Decimal}, column, ','},
		"fine range":   {study.Field{Type: study.Integer, Min: "0.5"}, column, '.'},
		"layout":       {study.Field{Type: study.DateType}, study.Pick{Column: "c", Format: "02/01/2006"}, '.'},
		"other script": {study.Field{Type: study.Choice, Choices: []study.ChoiceItem{{Code: "e\u0301"}}}, column, '.'},
		"text":         {study.Field{Type: study.Text}, column, '.'},
	} {
		m, problem := newFieldMap(&c.field, c.pick, c.mark, time.UTC)
		if problem != "" || m.plain != noPlain {
			t.Errorf("%s: %q, plain %d", name, problem, m.plain)
		}
	}
}

// An instant read at a glance is the one that package time reads.
func FuzzZulu(f *testing.F) {
	for _, text := range []string{"2024-02-29T23:59:59Z", "2023-02-29T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z", "0001-01-01T00:00:00Z",
		"0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00+01:00", "2024-01-01T00:00:00.5Z", "2O24-01-01T00:00:00Z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := zulu([]byte(text))
		want, err := time.Parse(time.RFC3339, text)
		if ok && (err != nil || got != want.UTC()) {
			t.Errorf("%q: %v, not %v", text, got, want)
		}
		if !ok && err == nil && len(text) == len("2006-01-02T15:04:05Z") && want.Year() > 0 {
			t.Errorf("%q is left to package time", text)
		}
	})
}

// Records are the same whether their cells are seen at a glance or read, and
// whether or not anything is asked of their values.
func TestCopyAsRead(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	form := study.Form{Name: "f", RepeatsBy: "eye", Fields: []study.Field{
		{Name: "a", Type: study.Integer, Max: "50"}, {Name: "b", Type: study.Decimal, Precision: 3, Scale: 1, Required: true}, {Name: "c", Type: study.DateType},
		{Name: "eye", Type: study.Choice, Choices: []study.ChoiceItem{{Code: "L"}, {Code: "R"}}}, {Name: "d", Type: study.Integer}}}
	loose := form
	loose.Name, loose.RepeatsBy = "g", ""
	src := &study.Source{Map: study.Mapping{Participant: study.Pick{Column: "id"}, VisitDate: study.Pick{Column: "c"}}}
	columns := []string{"id"}
	for _, f := range form.Fields {
		columns = append(columns, f.Name)
	}
	for _, name := range []string{"f", "g"} {
		fed := study.FormMapping{Form: name}
		for _, f := range form.Fields {
			fed.Fields = append(fed.Fields, study.FieldMapping{Field: f.Name, Pick: study.Pick{Column: f.Name}})
		}
		src.Map.Forms = append(src.Map.Forms, fed)
	}
	cells := [][]string{{"p"}, {"", "7", "51", "007", "x"}, {"", "1.5", "1.50", "100", "11.0"}, {"2024-01-01", "2024-01-01", "2024-02"}, {"L", "R", "", "B"}, {"", "1"}}
	rows := &Rows{Columns: columns, First: 1}
	for i := range 2000 {
		for _, of := range cells {
			text := of[random.IntN(len(of))]
			rows.Cells = append(rows.Cells, append(make([]byte, 0, len(text)+random.IntN(2)*wordSize), text...))
		}
		rows.Lines, rows.Raw = append(rows.Lines, int64(i)), append(rows.Raw, nil)
	}
	mapped := func(plainly bool) (out Mapped) {
		m, problems := NewMapper(&study.Study{Timezone: "UTC", Forms: []study.Form{form, loose}}, src)
		if problems != nil {
			t.Fatal(problems)
		}
		if err := m.Bind(columns); err != nil {
			t.Fatal(err)
		}
		for i := range m.forms {
			for k := range m.forms[i].fields {
				if f := &m.forms[i].fields[k]; f.plain == noPlain {
					t.Fatalf("%s is not plain", f.field.Name)
				} else if !plainly {
					f.plain = noPlain
				}
			}
			m.forms[i].weighed = m.forms[i].weighed || !plainly
		}
		m.Map(rows, &out)
		return out
	}
	got, want := mapped(true), mapped(false)
	if len(got.Drafts) < 1000 || len(got.Rejections) < 1000 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d drafts and %d rejections differ from %d and %d", len(got.Drafts), len(got.Rejections), len(want.Drafts), len(want.Rejections))
	}
}
