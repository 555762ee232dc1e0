package transform

import (
	"testing"

	"longitude/study"
)

func partStudy() *study.Study {
	return &study.Study{Name: "s", Timezone: "UTC", Visits: []study.VisitType{{Name: "baseline"}}, Forms: []study.Form{
		{Name: "vs", Fields: []study.Field{{Name: "sbp", Type: study.Integer, Class: study.Clinical}, {Name: "dbp", Type: study.Integer, Required: true, Severity: study.FieldSeverity{Required: study.Reject}, Class: study.Clinical},
			{Name: "sum", Type: study.Integer, Class: study.Clinical}}},
		{Name: "other", Fields: []study.Field{{Name: "x", Type: study.Text, Class: study.FreeText}}}}}
}

func partSource() *study.Source {
	column := func(name string) study.Pick { return study.Pick{Column: name} }
	return &study.Source{Map: study.Mapping{Participant: column("ID"), Visit: column("V"), VisitBy: "name", VisitDate: column("DATE"), Planned: column("DUE"), Forms: []study.FormMapping{
		{Form: "vs", Fields: []study.FieldMapping{{Field: "sbp", Pick: column("SBP")}, {Field: "dbp", Pick: column("DBP")}, {Field: "sum", Pick: study.Pick{Expr: `num(col("SBP")) + num(col("DBP"))`}}}},
		{Form: "other", Fields: []study.FieldMapping{{Field: "x", Pick: column("X")}}}}}}
}

// What a row told in part says, field by field; what it says nothing of; and what only
// the whole row could say.
func TestRowsToldInPart(t *testing.T) {
	const u = study.UntoldMark
	for _, c := range []struct {
		name   string
		cells  map[string]string
		want   string // answers of vs, "" = no record
		rule   string
		unsaid study.Unsaid
	}{
		{"both", map[string]string{"SBP": "120", "DBP": "80"}, "120\x1f80\x1f200", "", study.UnsaidActual | study.UnsaidPlanned},
		{"one of two that are added", map[string]string{"SBP": "120"}, "", rulePart, 0},
		{"emptied, and required", map[string]string{"SBP": "", "DBP": ""}, "", ruleExpr, 0},
		{"only when it was, of no form", map[string]string{"DATE": "2026-01-05"}, "", "", 0},
		{"only when it was", map[string]string{"DATE": "2026-01-05", "FORM": "vs"}, u + "\x1f" + u + "\x1f" + u, "", study.UnsaidPlanned},
		{"nothing of ours", map[string]string{"Z": "1"}, "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := partSource()
			if c.cells["FORM"] != "" {
				src.Map.Forms[0].When = study.Pick{Column: "FORM"}
			}
			m, problems := NewMapper(partStudy(), src)
			if problems != nil {
				t.Fatal(problems)
			}
			columns := []string{"ID", "V", "DATE", "DUE", "SBP", "DBP", "X", "Z", "FORM"}
			row := make([][]byte, len(columns))
			for i, name := range columns {
				if text, told := c.cells[name]; told {
					row[i] = []byte(text)
				}
			}
			row[0], row[1] = []byte("1"), []byte("baseline")
			if missing := m.Bind(columns); missing != nil {
				t.Fatal(missing)
			}
			var out Mapped
			m.Map(&Rows{Columns: columns, First: 1, Cells: row, Lines: []int64{1}, Raw: [][]byte{nil}, InPart: []bool{true}}, &out)
			var answers, rule string
			for _, d := range out.Drafts {
				if d.Form == 0 {
					if answers = d.Answers; d.Extent != study.ToldInPart || d.Visit.Unsaid&(study.UnsaidActual|study.UnsaidPlanned) != c.unsaid {
						t.Errorf("extent %d, unsaid %b", d.Extent, d.Visit.Unsaid)
					}
				}
			}
			if len(out.Rejections) > 0 {
				rule = out.Rejections[0].Rule
			}
			if answers != c.want || rule != c.rule {
				t.Errorf("answers %q, rule %q; want %q, %q", answers, rule, c.want, c.rule)
			}
			if rows, records := (study.Counts{Read: out.Counts.Read, Mapped: out.Counts.Mapped, Ignored: out.Counts.Ignored, RowsQuarantined: out.Counts.RowsQuarantined}).Unaccounted(); rows != 0 || records != 0 {
				t.Errorf("%+v", out.Counts)
			}
		})
	}
}
