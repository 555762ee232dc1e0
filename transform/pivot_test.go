package transform

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// longSource maps a long table: CODE says which field a row is about.
func longSource() *study.Source {
	src := testSource()
	src.Map.Modified, src.Map.ChangeReason = study.Pick{Column: "MODIFIED"}, column("WHY")
	src.Map.Deleted, src.Map.DeletedValues = column("GONE"), []string{"D"}
	src.Map.Forms = src.Map.Forms[:1]
	f := &src.Map.Forms[0]
	f.When, f.WhenValues, f.Occurrence = study.Pick{}, nil, study.Pick{}
	f.Pivot = study.Pivot{Code: study.Pick{Column: "CODE", Trim: true}, Value: study.Pick{Column: "RESULT", Trim: true}}
	f.Fields = []study.FieldMapping{
		{Field: "eye", Pick: study.Pick{Column: "EYE", Values: map[string]string{"OD": "R", "OS": "L"}}},
		{Field: "letters", Pick: study.Pick{Code: "VA", Scale: "etdrs_letters", Missing: map[string]string{"NA": "unknown"}}},
		{Field: "iop", Pick: study.Pick{Code: "IOP"}},
		{Field: "notes", Pick: column("NOTES")},
	}
	return src
}

func long(who, day, eye, code, value string) string {
	return fmt.Sprintf("PID=%s;SITE=a;VISIT=BL;DATE=%s;EYE=%s;CODE=%s;RESULT=%s", who, day, eye, code, value)
}

func TestPivot(t *testing.T) {
	const day = "01/01/2026"
	va, iop := long("P1", day, "OD", " VA", "44 "), long("P1", day, "OD", "IOP", "15.5")
	left := long("P1", day, "OS", "VA", "50")
	other := long("P2", day, "OD", "VA", "60")
	for name, c := range map[string]struct {
		rows     []string
		drafts   string // ordinal identity/visit/occurrence answers missing findings, by line
		rejected string
		ignored  int64
	}{
		"one record of two rows": {rows: []string{va + ";NOTES=first", iop + ";NOTES=second"},
			drafts: "11 P1/baseline/R " + packed("R", "etdrs:44", "15.5", study.SealedMark, "") + "  \n"},
		"two eyes, mixed": {rows: []string{va, left, iop},
			drafts: "11 P1/baseline/R " + packed("R", "etdrs:44", "15.5", "", "") + "  \n12 P1/baseline/L " + packed("L", "etdrs:50", "", "", "") + "  \n"},
		"two participants": {rows: []string{va, other},
			drafts: "11 P1/baseline/R " + packed("R", "etdrs:44", "", "", "") + "  \n12 P2/baseline/R " + packed("R", "etdrs:60", "", "", "") + "  \n"},
		"an unknown code": {rows: []string{va, long("P1", day, "OD", "WEIGHT", "80"), long("P1", day, "OD", "", "80")}, ignored: 2,
			drafts: "11 P1/baseline/R " + packed("R", "etdrs:44", "", "", "") + "  \n"},
		"a missing code of the field": {rows: []string{strings.Replace(va, "44 ", "NA", 1)},
			drafts: "11 P1/baseline/R " + packed("R", "", "", "", "") + " 1=unknown \n"},
		"findings of the values": {rows: []string{long("P1", day, "OD", "IOP", "0")},
			drafts: "11 P1/baseline/R " + packed("R", "", "0", "", "") + "  letters:required,iop_needs_va:check,iop_seen:check:note\n"},
		"the same field twice": {rows: []string{va, iop, va}, rejected: "va/letters/pivot_twice/1"},
		"twice and wrong":      {rows: []string{long("P1", day, "OD", "IOP", "high"), va, va}, rejected: "va/iop/decimal_invalid/1 va/letters/pivot_twice/0"},
		"scattered": {rows: []string{va, other, iop}, rejected: "//pivot_scattered/0",
			drafts: "11 P1/baseline/R " + packed("R", "etdrs:44", "", "", "") + "  \n12 P2/baseline/R " + packed("R", "etdrs:60", "", "", "") + "  \n"},
		"scattered by what feeds nothing": {rows: []string{va, strings.Replace(other, "=VA", "=WEIGHT", 1), iop}, ignored: 1,
			drafts: "11 P1/baseline/R " + packed("R", "etdrs:44", "15.5", "", "") + "  \n"},
		"no eye": {rows: []string{va, long("P1", day, "", "IOP", "15")}, rejected: "va/eye/required/1",
			drafts: "11 P1/baseline/R " + packed("R", "etdrs:44", "", "", "") + "  \n"},
		"an unknown eye": {rows: []string{long("P1", day, "XX", "IOP", "15")}, rejected: "va/eye/choice_unknown/1"},
		"a bad date": {rows: []string{va, long("P1", "31/02/2026", "OD", "IOP", "15")}, rejected: "/DATE/date_invalid/0",
			drafts: "11 P1/baseline/R " + packed("R", "etdrs:44", "", "", "") + "  \n"},
		"one value removed": {rows: []string{va, iop + ";GONE=D", iop},
			drafts: "11 P1/baseline/R " + packed("R", "etdrs:44", "15.5", "", "") + "  \n"},
		"all removed": {rows: []string{va + ";GONE=D", iop + ";GONE=D"},
			drafts: "11 P1/baseline/R removed " + packed("", "", "", "", "") + "  \n"},
		"a check that rejects": {rows: []string{va, long("P1", day, "OD", "IOP", "66")}, rejected: "va/iop_measurable/check/1"},
	} {
		out := mapping(t, testStudy(), longSource(), c.rows...)
		var got strings.Builder
		for _, d := range out.Drafts {
			removed := map[bool]string{true: "removed "}[d.Removed]
			fmt.Fprintf(&got, "%d %s/%s/%s %s%s %s %s\n", d.Ordinal, d.Identity, d.Visit.Key, d.Occurrence, removed, d.Answers, d.Missing, d.Findings)
		}
		if got.String() != c.drafts || rejected(out) != c.rejected || out.Counts.Ignored != c.ignored {
			t.Errorf("%s: drafts\n%qwant\n%q, rejections %q, counts %+v", name, got.String(), c.drafts, rejected(out), out.Counts)
		}
	}
}

// What a record says beside its values is of its first row; when, by whom and why
// it was changed of the row changed last.
func TestPivotTells(t *testing.T) {
	row := func(code, more string) string { return long("P1", "01/01/2026", "OD", code, "15") + more }
	out := mapping(t, testStudy(), longSource(),
		row("VA", ";MODIFIED=2026-01-02T00:00:00Z;AUTHOR=a;WHY=x;REASON=snow;NOTES=n1"), row("IOP", ";MODIFIED=2026-01-03T00:00:00Z;AUTHOR=b;REASON=rain;NOTES=n2"))
	d := out.Drafts[0]
	want := []study.PrivateItem{{Field: 3, Text: "n1"}, {Field: study.PrivateReason, Text: "snow"}, {Field: study.PrivateAuthor, Text: "b"}}
	if !slices.Equal(d.Private, want) || !d.Modified.Equal(time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)) || d.Change != study.ChangeUnexplained || d.Line != 100 {
		t.Errorf("draft %+v", d)
	}
	if bytes.Count(d.Raw, []byte("\n")) != 2 {
		t.Errorf("the record keeps %q", d.Raw)
	}
	out = mapping(t, testStudy(), longSource(), row("VA", ""), row("VA", ""))
	if r := out.Rejections[0]; r.Ordinal != 12 || r.Line != 101 || bytes.Count(r.Raw, []byte("\n")) != 2 {
		t.Errorf("rejection %+v", r)
	}
}

// A participant with more rows than are kept together, or longer ones, is refused whole.
func TestPivotIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ most, size int }{"many rows": {3, 3}, "long rows": {mostRows, mostBytes/6 + 1}} {
		m, _ := NewMapper(testStudy(), longSource())
		m.gathering.most = c.most
		columns := append(slices.Clone(fuzzColumns), "DAY", "SPARE", "REPEAT", "STATUS", "SINCE", "WHY", "GONE", "CODE", "RESULT")
		if err := m.Bind(columns); err != nil {
			t.Fatal(err)
		}
		out, raw := &Mapped{}, bytes.Repeat([]byte("x"), c.size)
		for i, r := range [][2]string{{"P1", "VA"}, {"P1", "IOP"}, {"P1", "VA"}, {"P1", "IOP"}, {"P1", "VA"}, {"P2", "VA"}} {
			cells := make([][]byte, len(columns))
			for name, value := range map[string]string{"PID": r[0], "SITE": "a", "VISIT": "BL", "EYE": []string{"OD", "OS"}[i%2], "CODE": r[1], "RESULT": "20"} {
				cells[slices.Index(columns, name)] = []byte(value)
			}
			m.Map(&Rows{Columns: columns, First: int64(i + 1), Cells: cells, Lines: []int64{int64(i + 2)}, Raw: [][]byte{raw}}, out)
		}
		m.Finish(out)
		want := study.Counts{Read: 6, Mapped: 4, RowsQuarantined: 2, Produced: 3, Quarantined: 2}
		if out.Counts != want || rejected(out) != "va//pivot_rows/1 va//pivot_rows/1 //pivot_rows/0 //pivot_rows/0" {
			t.Errorf("%s: counts %+v, rejections %q", name, out.Counts, rejected(out))
		}
		if len(out.Drafts) != 1 || out.Drafts[0].Identity != "P2" {
			t.Errorf("%s: drafts %+v", name, out.Drafts)
		}
	}
}

func TestPivotProblems(t *testing.T) {
	for want, spoil := range map[string]func(*study.FormMapping){
		"map.forms.va.pivot":               func(f *study.FormMapping) { f.Pivot.Value = study.Pick{} },
		"map.forms.va.pivot ":              func(f *study.FormMapping) { f.Fields = f.Fields[:1] },
		"map.forms.va.pivot.code.expr":     func(f *study.FormMapping) { f.Pivot.Code = study.Pick{Expr: "col("} },
		"map.forms.va.fields.letters.code": func(f *study.FormMapping) { f.Fields[1].Pick.Column = "VA" },
		"map.forms.va.fields.iop.code":     func(f *study.FormMapping) { f.Fields[2].Pick.Code = "VA" },
		"map.forms.va.fields.eye.code":     func(f *study.FormMapping) { f.Fields[0].Pick = study.Pick{Code: "EYE"} },
		"map.forms.va.fields.iop.code ": func(f *study.FormMapping) {
			f.Pivot, f.Fields = study.Pivot{}, []study.FieldMapping{{Field: "iop", Pick: study.Pick{Code: "IOP"}}}
		},
	} {
		src := longSource()
		spoil(&src.Map.Forms[0])
		if _, problems := NewMapper(testStudy(), src); len(problems) != 1 || problems[0].Key != strings.TrimSpace(want) {
			t.Errorf("%s: problems %+v", want, problems)
		}
	}
}

// longMapper reads PID, VISIT, DATE, EYE, CODE, RESULT, GONE and NOTES.
func longMapper(t testing.TB) *Mapper {
	src := longSource()
	src.Map.Site, src.Map.Planned, src.Map.BaselineDate, src.Map.Reason, src.Map.Modified, src.Map.Entered, src.Map.Author, src.Map.Withdrawn, src.Map.ChangeReason =
		study.Pick{}, study.Pick{}, study.Pick{}, study.Pick{}, study.Pick{}, study.Pick{}, study.Pick{}, study.Pick{}, study.Pick{}
	src.Map.Forms = append(src.Map.Forms, study.FormMapping{Form: "ae", When: column("NOTES"), WhenValues: []string{"ae"},
		Fields: []study.FieldMapping{{Field: "grade", Pick: column("RESULT")}}})
	m, problems := NewMapper(testStudy(), src)
	if problems != nil {
		t.Fatal(problems)
	}
	if err := m.Bind(longColumns); err != nil {
		t.Fatal(err)
	}
	m.gathering.most = 40
	return m
}

var longColumns = []string{"PID", "VISIT", "DATE", "EYE", "CODE", "RESULT", "GONE", "NOTES"}

// pivoted maps a delivery in batches and checks that everything is accounted for.
func pivoted(t testing.TB, m *Mapper, lines [][]byte, batch int) *Mapped {
	out := &Mapped{}
	first := int64(1)
	for rows := range slices.Chunk(lines, batch) {
		b := &Rows{Columns: longColumns, First: first}
		for i, line := range rows {
			cells := bytes.Split(line, []byte(";"))
			if len(cells) != len(longColumns) {
				b.Broken, cells = append(b.Broken, Broken{i, "column_count"}), make([][]byte, len(longColumns))
			}
			b.Cells, b.Lines, b.Raw = append(b.Cells, cells...), append(b.Lines, first+int64(i)), append(b.Raw, line)
		}
		m.Map(b, out)
		first += int64(len(rows))
	}
	m.Finish(out)
	if rows, records := balance(out); rows != 0 || records != 0 || out.Counts.Read != int64(len(lines)) {
		t.Fatalf("counts do not balance: %+v", out.Counts)
	}
	if len(m.gathering.order)+len(m.gathering.done) != 0 {
		t.Fatal("rows are left after Finish")
	}
	keys := map[string]bool{}
	for _, d := range out.Drafts {
		key := fmt.Sprint(d.Identity, "/", d.Form, "/", d.Visit.Key, "/", d.Occurrence)
		if d.Form == 0 && keys[key] {
			t.Fatalf("two records of %s", key)
		}
		keys[key] = true
	}
	return out
}

// Ten thousand deliveries of any rows: the counts reconcile, a record is made
// once, and where the batches end makes no difference.
func TestLongTablesAreAccountedFor(t *testing.T) {
	m := longMapper(t)
	rng := rand.New(rand.NewPCG(7, 8))
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	seen := map[string]bool{}
	for round := range 10_000 {
		var lines [][]byte
		who := "P1"
		for range rng.IntN(12) {
			if rng.IntN(4) == 0 {
				who = pick("P1", "P2", "P3", "")
			}
			lines = append(lines, []byte(strings.Join([]string{who, pick("BL", "BL", "extra", ""), pick("01/01/2026", "02/01/2026", "31/02/2026", ""),
				pick("OD", "OD", "OS", "XX", ""), pick("VA", "IOP", "IOP", "HR", ""), pick("44", "15.5", "NA", "0", "66", "é", ""),
				pick("", "", "", "D"), pick("", "", "ae", "note")}, ";")))
		}
		batch := 1 + rng.IntN(5)
		out := pivoted(t, m, lines, batch)
		if round%8 == 0 {
			whole := pivoted(t, m, lines, len(lines)+1)
			if a, b := fmt.Sprint(out.Drafts, out.Rejections, out.Counts), fmt.Sprint(whole.Drafts, whole.Rejections, whole.Counts); a != b {
				t.Fatalf("in batches of %d\n%s\nat once\n%s", batch, a, b)
			}
		}
		for _, r := range out.Rejections {
			seen[r.Rule] = true
		}
	}
	for _, rule := range []string{rulePivotTwice, rulePivotScattered, ruleCheck, RuleChoice, ruleRequired, ruleParticipant, ruleVisit, ruleDate, ruleDecimal, ruleAcuity} {
		if !seen[rule] {
			t.Errorf("no row was refused by %s", rule)
		}
	}
}

func FuzzPivot(f *testing.F) {
	f.Add([]byte("P1;BL;01/01/2026;OD;VA;44;;\nP1;BL;01/01/2026;OD;IOP;15.5;;note\nP2;BL;;OS;VA;50;;"), 1)
	f.Add([]byte("P1;BL;;OD;VA;44;D;\nP2;BL;;OD;VA;44;;ae\nP1;BL;;OD;IOP;44;;\nbroken"), 2)
	f.Fuzz(func(t *testing.T, data []byte, batch int) {
		pivoted(t, longMapper(t), bytes.Split(data, []byte("\n")), 1+batch&7)
	})
}
