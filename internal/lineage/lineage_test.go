package lineage

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

func code(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestParseKey(t *testing.T) {
	for text, want := range map[string]string{
		"P7":                                   "participant_id P7, by id",
		"RZZ":                                  "record_id RZZ, by id",
		"VZZ":                                  "visit_id VZZ, by id",
		"participant_id=P7,visit_seq=2":        "participant_id P7",
		"participant_id=P7, record_id=R1":      "record_id R1, by id",
		"participant_id=P7,visit_id=V=1":       "visit_id V=1, by id",
		"":                                     "usage.key",
		"baseline":                             "usage.key",
		"visit_seq":                            "usage.key",
		"visit_seq=":                           "usage.key",
		"=P7":                                  "usage.key",
		"participant_id=P7,participant_id=P8":  "usage.key",
		"participant_id=P7,":                   "usage.key",
		"visit_seq=1":                          " ",
		"participant_id=P7,visit=baseline,x=1": "participant_id P7",
	} {
		k, err := ParseKey(text)
		got := code(err)
		if err == nil {
			column, id := k.ID()
			got = column + " " + id
			if k.ByID() {
				got += ", by id"
			}
		}
		if got != want {
			t.Errorf("ParseKey(%q): %s, want %s", text, got, want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"", "P7", "a=b", "a=b,c=d", ",", "=,="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err == nil && len(k) == 0 || err != nil && code(err) != "usage.key" {
			t.Errorf("%d parts, %v", len(k), err)
		}
		if len(text) > 8 && err != nil && strings.Contains(err.Error(), text) {
			t.Error("the error repeats the key")
		}
	})
}

func TestFind(t *testing.T) {
	table := &study.Table{Name: "visits", Key: []string{"participant_id", "visit_seq"}, Columns: []study.Column{
		{Name: "participant_id", Kind: study.TextKind, Class: study.ParticipantKey},
		{Name: "visit_seq", Kind: study.Int64Kind, Class: study.Clinical},
		{Name: "visit_id", Kind: study.TextKind, Class: study.OtherKey, Nullable: true},
		{Name: "in_window", Kind: study.BoolKind}}}
	b := &study.Batch{Table: table, Rows: 3, Vectors: []study.Vector{
		{Texts: []string{"A", "A", "A"}}, {Ints: []int64{1, 2, 2}},
		{Texts: []string{"A/1", "", "A/3"}, Valid: []bool{true, false, true}}, {Ints: []int64{1, 0, 1}}}}
	released := func(column, id string) string { return column[:1] + id }
	for text, want := range map[string]any{
		"participant_id=pA,visit_seq=1": 0,
		"visit_id=vA/3":                 2,
		"visit_id=v":                    "lineage.no_row", // NULL is no id
		"participant_id=A,visit_seq=1":  "lineage.no_row", // an internal one
		"participant_id=pA,visit_seq=2": "lineage.several",
		"record_id=r1":                  "lineage.column",
		"in_window=1":                   "lineage.no_row",
	} {
		k, err := ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		row, err := k.Find(b, released)
		if err != nil && code(err) != want || err == nil && row != want {
			t.Errorf("%s: row %d, %v, want %v", text, row, err, want)
		}
	}
}

func TestColumns(t *testing.T) {
	s := &study.Study{Name: "amd", Forms: []study.Form{{Name: "acuity", Checks: []study.Check{{Name: "both", Expr: "va_2 > 0 and va != missing"}}, Fields: []study.Field{
		{Name: "va", Type: study.Integer, Required: true, Max: "100"}, {Name: "va_2", Type: study.Integer}}}}}
	source := func(name, of string, fields ...study.FieldMapping) *study.Source {
		return &study.Source{Name: name, Study: of, Map: study.Mapping{Participant: study.Pick{Column: "ID"}, Site: study.Pick{Const: true, Value: "x"},
			Forms: []study.FormMapping{{Form: "acuity", Pivot: study.Pivot{Value: study.Pick{Column: "VALUE"}}, Fields: fields}}}}
	}
	sources := []*study.Source{
		source("one", "amd", study.FieldMapping{Field: "va", Pick: study.Pick{Column: "VA", Trim: true, Unit: "m", Values: map[string]string{"a": "1", "secret": "2"}}}),
		source("two", "amd", study.FieldMapping{Field: "va", Pick: study.Pick{Code: "VA-CODE", Missing: map[string]string{"-1": "not_done"}}},
			study.FieldMapping{Field: "va_2", Pick: study.Pick{Expr: "A + B"}}),
		source("other", "another", study.FieldMapping{Field: "va", Pick: study.Pick{Column: "NOT_OURS"}}),
	}
	table := &study.Table{Name: "acuity", Columns: []study.Column{
		{Name: "participant_id", Class: study.ParticipantKey, Masking: "pseudonym"},
		{Name: "study_day", Masking: "kept"},
		{Name: "va", Form: "acuity", Field: "va", Transform: "identity", Masking: "kept"},
		{Name: "va_2", Form: "acuity", Field: "va_2", Transform: "identity", Masking: "kept"},
		{Name: "site", Masking: "kept"}}}
	var got []string
	for _, c := range Columns(s, sources, []*study.Table{table}) {
		cells := c.Cells()
		if len(cells) != len(Header) {
			t.Fatalf("%d cells under %d names", len(cells), len(Header))
		}
		got = append(got, strings.Join(cells[1:], "|"))
	}
	want := []string{
		"participant_id|||one|ID|as it is|derived||pseudonym",
		"participant_id|||two|ID|as it is|derived||pseudonym",
		"study_day||||||derived||kept",
		"va|acuity|va|one|VA|trimmed; recode of 2 codes; unit m|identity|type; both; range; required|kept",
		"va|acuity|va|two|VALUE|rows of one code; missing by 1 codes|identity|type; both; range; required|kept",
		"va_2|acuity|va_2|two||computed: A + B|identity|type; both|kept",
		"site|||one||constant|derived||kept",
		"site|||two||constant|derived||kept",
	}
	if !slices.Equal(got, want) {
		t.Errorf("columns:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPurposes(t *testing.T) {
	for _, p := range Purposes {
		if err := CheckPurpose(p.Code); err != nil || p.Label == "" {
			t.Errorf("%s: %v", p.Code, err)
		}
	}
	for _, none := range []string{"", "curiosity"} {
		if code(CheckPurpose(none)) != "lineage.reason" {
			t.Errorf("%q is a reason", none)
		}
	}
}
