package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// ruleStudy has a form with a field for every rule of values.
func ruleStudy(severity study.Severity) (*study.Study, *study.Source) {
	all := study.FieldSeverity{Type: severity, Choice: severity, Required: severity, Range: severity, Pattern: severity}
	field := func(name string, of study.FieldType) study.Field {
		return study.Field{Name: name, Type: of, Class: study.Clinical, Severity: all}
	}
	n, dec, must, code := field("n", study.Integer), field("dec", study.Decimal), field("must", study.Boolean), field("code", study.Choice)
	n.Min, n.Max, n.MaxOpen, n.Pattern = "1", "99", true, "[0-9]{2}"
	dec.Precision, dec.Scale = 3, 1
	must.Required = true
	code.Choices = []study.ChoiceItem{{Code: "a"}}
	inexact := field("weeks", study.Integer)
	inexact.Unit = "wk"
	s := &study.Study{Timezone: "UTC", Visits: []study.VisitType{{Name: "baseline"}}, Forms: []study.Form{{Name: "f",
		Fields: []study.Field{n, dec, must, code, field("day", study.DateType), field("at", study.DateTime), field("time", study.TimeType),
			field("sight", study.Acuity), inexact, field("computed", study.Integer)}}}}
	src := &study.Source{Map: study.Mapping{Participant: column("PID"), Visit: column("VISIT"), VisitDate: column("DATE"), VisitBy: "name",
		Forms: []study.FormMapping{{Form: "f", Fields: []study.FieldMapping{
			{Field: "n", Pick: column("GRADE")}, {Field: "dec", Pick: column("IOP")}, {Field: "must", Pick: column("DONE")}, {Field: "code", Pick: column("CODE")},
			{Field: "day", Pick: column("BASE")}, {Field: "at", Pick: column("MODIFIED")}, {Field: "time", Pick: column("ENTERED")},
			{Field: "sight", Pick: column("VA")}, {Field: "weeks", Pick: study.Pick{Column: "DAY", Unit: "d"}},
			{Field: "computed", Pick: study.Pick{Expr: `num(col("SPARE"))`}},
		}}}}}
	return s, src
}

// Rule by rule: what a value does that breaks it, where the study says nothing,
// and where it says reject, flag or note.
func TestRuleOfValues(t *testing.T) {
	const whole = "PID=P1;VISIT=baseline;DATE=2026-01-01;DONE=y"
	for _, c := range []struct {
		rule, cell, field string
		invalid           bool           // the value is none of its type: it does not stay
		standard          study.Severity // where nothing is said
	}{
		{ruleInteger, "GRADE=x", "n", true, study.Reject},
		{ruleRange, "GRADE=99", "n", false, study.Flag},
		{rulePattern, "GRADE=7", "n", false, study.Flag},
		{ruleDecimal, "IOP=x", "dec", true, study.Reject},
		{rulePrecision, "IOP=1.25", "dec", true, study.Reject},
		{ruleBoolean, "DONE=maybe", "must", true, study.Reject},
		{ruleRequired, "DONE=", "must", false, study.Flag},
		{RuleChoice, "CODE=b", "code", true, study.Reject},
		{ruleDate, "BASE=31/02/2026", "day", true, study.Reject},
		{ruleDateTime, "MODIFIED=2026", "at", true, study.Reject},
		{ruleTime, "ENTERED=25:00", "time", true, study.Reject},
		{ruleAcuity, "VA=44", "sight", true, study.Reject},
		{ruleUnitInexact, "DAY=10", "weeks", true, study.Reject},
		{ruleExpr, "SPARE=x", "computed", true, study.Reject},
	} {
		for _, severity := range []study.Severity{"", study.Reject, study.Flag, study.Note} {
			t.Run(c.rule+"/"+string(severity), func(t *testing.T) {
				s, src := ruleStudy(severity)
				out := mapping(t, s, src, whole+";"+c.cell)
				does := severity
				if severity == "" {
					does = c.standard
				}
				finding := c.field + ":" + c.rule
				var wantNotes map[string]int64
				switch does {
				case study.Reject:
					if got := rejected(out); got != "f/"+c.field+"/"+c.rule+"/1" || len(out.Drafts) != 0 {
						t.Errorf("rejections %q, drafts %+v", got, out.Drafts)
					}
					return
				case study.Note:
					wantNotes = map[string]int64{"f." + finding: 1}
					finding += ":note"
				}
				if len(out.Drafts) != 1 || len(out.Rejections) != 0 || out.Drafts[0].Findings != finding || !maps.Equal(out.Notes, wantNotes) {
					t.Fatalf("drafts %+v, rejections %q, notes %v; want finding %q", out.Drafts, rejected(out), out.Notes, finding)
				}
				missing := ""
				if c.invalid {
					missing = fmt.Sprintf("%d=invalid", s.Forms[0].FieldIndex(c.field))
				}
				d := out.Drafts[0]
				if d.Missing != missing || c.invalid && strings.Split(d.Answers, string(study.FieldSeparator))[s.Forms[0].FieldIndex(c.field)] != study.MissingMark {
					t.Errorf("answers %q, missing %q; want %q", d.Answers, d.Missing, missing)
				}
			})
		}
	}
}

// Two rules broken by one value are two findings, each as its own severity says.
func TestRulesAddUp(t *testing.T) {
	s, src := ruleStudy(study.Flag)
	s.Forms[0].Fields[0].Severity.Range = study.Note
	const row = "PID=P1;VISIT=baseline;DATE=2026-01-01;DONE=y;GRADE=0;CODE=b"
	if d := mapping(t, s, src, row).Drafts; len(d) != 1 || d[0].Findings != "n:range:note,n:pattern,code:choice_unknown" {
		t.Errorf("drafts %+v", d)
	}
	s.Forms[0].Fields[0].Severity.Pattern = study.Reject
	if got := rejected(mapping(t, s, src, row)); got != "f/n/pattern/1" {
		t.Errorf("rejections %q", got)
	}
	// A datetime finer than microseconds is kept as it can be, and flagged, whatever is said.
	s, src = ruleStudy(study.Reject)
	const fine = "PID=P1;VISIT=baseline;DATE=2026-01-01;DONE=y;MODIFIED=2026-01-01T00:00:00.1234567Z"
	if d := mapping(t, s, src, fine).Drafts; len(d) != 1 || d[0].Findings != "at:precision" {
		t.Errorf("drafts %+v", d)
	}
}

// The field that tells occurrences apart is not left without its value.
func TestOccurrenceIsNeverInvalid(t *testing.T) {
	s, src := testStudy(), testSource()
	s.Forms[0].Fields[0].Severity = study.FieldSeverity{Type: study.Note, Choice: study.Note, Required: study.Note}
	for cell, want := range map[string]string{"XX": "va/eye/choice_unknown/1", "": "va/eye/required/1"} {
		if got := rejected(mapping(t, s, src, strings.Replace(vaRow, "OD", cell, 1))); got != want {
			t.Errorf("%q: rejections %q", cell, got)
		}
	}
}

func TestOpenEnds(t *testing.T) {
	date := study.Field{Type: study.DateType, Min: "2026-01-01", Max: "2026-12", MinOpen: true, MaxOpen: true}
	number := study.Field{Type: study.Decimal, Min: "0", Max: "10", MinOpen: true}
	for _, c := range []struct {
		field   study.Field
		text    string
		outside bool
	}{
		{number, "0", true}, {number, "0.0", true}, {number, "0.001", false}, {number, "10", false}, {number, "10.1", true},
		{date, "2026-01-01", true}, {date, "2026-01-02", false}, {date, "2026-01", false}, {date, "2025", true},
		{date, "2026-11-30", false}, {date, "2026-12-01", true}, {date, "2026-12", true}, {date, "2026", false},
	} {
		m, problem := newFieldMap(&c.field, study.Pick{}, '.', nil)
		if problem != "" {
			t.Fatal(problem)
		}
		if _, invalid, finding := m.read(nil, []byte(c.text)); invalid != "" || (finding == ruleRange) != c.outside {
			t.Errorf("%s %s: %s%s", c.field.Type, c.text, invalid, finding)
		}
	}
}

func TestTrim(t *testing.T) {
	s, src := testStudy(), testSource()
	for i := range src.Map.Forms[0].Fields {
		src.Map.Forms[0].Fields[i].Pick.Trim = true
	}
	src.Map.Visit.Trim, src.Map.Participant.Trim = true, true
	out := mapping(t, s, src, "PID= P1 ;SITE=a;FORM=va;VISIT=\u00a0BL\t;DATE=01/01/2026;EYE= OD;VA= NA ;IOP= 15.5;NOTES=  ")
	if len(out.Drafts) != 1 {
		t.Fatalf("rejections %q", rejected(out))
	}
	if d := out.Drafts[0]; d.Identity != "P1" || d.Visit.Key != "baseline" || d.Answers != packed("R", "", "15.5", "", "") || d.Missing != "1=unknown" {
		t.Errorf("draft %+v", d)
	}
	if got := rejected(mapping(t, testStudy(), testSource(), vaRow+";IOP= 15.5")); got != "va/iop/decimal_invalid/1" {
		t.Errorf("rejections %q where nothing says to trim", got)
	}
}

func TestRecodedToNothing(t *testing.T) {
	src := testSource()
	src.Map.Forms[0].Fields[2].Pick.Values = map[string]string{"-": ""}
	if d := mapping(t, testStudy(), src, vaRow+";IOP=-").Drafts; len(d) != 1 || d[0].Answers != packed("R", "etdrs:44", "", "", "") {
		t.Errorf("drafts %+v", d)
	}
}

// An expression over two columns goes on with the one that is there; what cannot
// be computed for the lack of the other is missing, not refused.
func TestBindTolerantOfPartOfAnExpression(t *testing.T) {
	for expression, want := range map[string]string{
		`col("OLD") ?? col("IOP")`:          "12.5",
		`col("OLD") ?? col("OLDER")`:        "",
		`num(col("OLD")) + num(col("IOP"))`: "",
		`col("OLD") ?? ""`:                  "",
	} {
		src := testSource()
		src.Map.Forms[0].Fields[2].Pick = study.Pick{Expr: expression}
		m, problems := NewMapper(testStudy(), src)
		if problems != nil {
			t.Fatal(problems)
		}
		columns := slices.DeleteFunc(m.Columns(), func(c string) bool { return strings.HasPrefix(c, "OLD") })
		if err := m.BindTolerant(columns); err != nil {
			t.Fatal(err)
		}
		cells := make([][]byte, len(columns))
		for i, c := range columns {
			cells[i] = []byte(map[string]string{"PID": "P1", "SITE": "a", "FORM": "va", "VISIT": "BL", "DATE": "01/01/2026", "EYE": "OD", "VA": "44", "IOP": "12.5"}[c])
		}
		out := &Mapped{}
		m.Map(&Rows{Columns: columns, First: 1, Cells: cells, Lines: []int64{2}, Raw: [][]byte{nil}}, out)
		if len(out.Drafts) != 1 {
			t.Fatalf("%s: %q", expression, rejected(out))
		}
		answer, missing := strings.Split(out.Drafts[0].Answers, string(study.FieldSeparator))[2], out.Drafts[0].Missing
		if want == "" && !strings.Contains(missing, "2=not_asked") || want != "" && answer != want {
			t.Errorf("%s: %q, missing %q", expression, answer, missing)
		}
	}
}

func TestBindTolerant(t *testing.T) {
	src := testSource()
	src.Map.Forms[0].Fields[4].Pick = study.Pick{Expr: `num(col("DONE")) > 0`}
	m, problems := NewMapper(testStudy(), src)
	if problems != nil {
		t.Fatal(problems)
	}
	full := m.Columns()
	without := func(gone ...string) (left []string) {
		for _, c := range full {
			if !strings.Contains(" "+strings.Join(gone, " ")+" ", " "+c+" ") {
				left = append(left, c)
			}
		}
		return left
	}
	columns := without("IOP", "NOTES", "DONE", "MRN")
	if err := m.Bind(columns); err == nil || !strings.Contains(err.Error(), "DONE, IOP, MRN, NOTES") {
		t.Errorf("bound without four columns: %v", err)
	}
	if err := m.BindTolerant(columns); err != nil {
		t.Fatal(err)
	}
	cells := make([][]byte, len(columns))
	for i, c := range columns {
		cells[i] = []byte(map[string]string{"PID": "P1", "SITE": "a", "FORM": "va", "VISIT": "BL", "DATE": "01/01/2026", "EYE": "OD", "VA": "44"}[c])
	}
	out := &Mapped{}
	m.Map(&Rows{Columns: columns, First: 1, Cells: cells, Lines: []int64{2}, Raw: [][]byte{nil}}, out)
	if d := out.Drafts; len(d) != 1 || d[0].Missing != "2=not_asked,3=not_asked,4=not_asked" || d[0].Findings != "" {
		t.Errorf("drafts %+v, rejections %q", d, rejected(out))
	}
	// What tells participant, visit, dates, occurrence and consent is never spared.
	for _, column := range full {
		err := m.BindTolerant(without(column))
		spared := strings.Contains(" VA IOP NOTES DONE GRADE MRN ", " "+column+" ")
		if (err == nil) != spared {
			t.Errorf("bound without %s: %v", column, err)
		}
	}
	if err := m.Bind(full); err != nil {
		t.Errorf("bound to everything after that: %v", err)
	}
}
