package transform

import (
	"bytes"
	"strings"
	"testing"

	"longitude/study"
)

func TestExpressions(t *testing.T) {
	row := map[string]string{"A": "12.5", "B": "", "NAME": "  Left eye ", "N": "-3", "Größe": "1,80", "CODE": "OD|OS"}
	for _, c := range []struct {
		expr, want string
		failed     bool
	}{
		{`col("A")`, "12.5", false},
		{`col("B")`, "", false},
		{`col("B") == null ? "none" : "some"`, "none", false},
		{`col("B") ?? col("A")`, "12.5", false},
		{`trim(upper(col("NAME")))`, "LEFT EYE", false},
		{`split(col("CODE"), "|")[1]`, "OS", false},
		{`replace(col("Größe"), ",", ".")`, "1.80", false},
		{`num(col("A")) * 2`, "25", false},
		{`num(col("A")) / 10`, "1.25", false},
		{`0.1 + 0.2`, "0.3", false},
		{`1.0 / 3`, "0.333333333333333", false},
		{`num(col("N")) < 0`, "true", false},
		{`num(col("B"))`, "", false},
		{`num(num(col("A")))`, "12.5", false},
		{`num(3)`, "3", false},
		{`len(col("A"))`, "4", false},
		{`1e20`, "100000000000000000000", false},
		{`num(col("NAME"))`, "", true},
		{`num(true)`, "", true},
		{`num(col("B")) + 1`, "", true},
		{`1 / 0`, "", true},
		{`[1, 2]`, "", true},
		{`split(col("CODE"), "|")[7]`, "", true},
		{`repeat(col("A"), 900000)`, "", true},
		{`all(1..100000, # > 0)`, "", true},
		{`let f = col; f("A")`, "", true},
	} {
		x, problem := newExpression(c.expr, '.')
		if problem != "" {
			if !c.failed {
				t.Errorf("%s: %s", c.expr, problem)
			}
			continue
		}
		var cells [][]byte
		for i, name := range x.columns {
			text, ok := row[name]
			if !ok {
				t.Fatalf("%s asks for %q", c.expr, name)
			}
			cells, x.index[i] = append(cells, []byte(text)), i
		}
		for range 2 {
			if x.evaluate(cells); string(x.text) != c.want || x.failed != c.failed {
				t.Errorf("%s is %q, failed %v", c.expr, x.text, x.failed)
			}
		}
	}
	comma, _ := newExpression(`num(col("A")) + 1`, ',')
	if comma.evaluate([][]byte{[]byte("1,5")}); string(comma.text) != "2,5" {
		t.Errorf("with a decimal comma: %q", comma.text)
	}
}

func TestExpressionProblems(t *testing.T) {
	for expression, want := range map[string]string{
		`A`:                            "unknown name A",
		`col(A)`:                       "unknown name",
		`col("A" + "B")`:               "",
		`col(upper("a"))`:              "in quotes",
		`col()`:                        "not enough arguments",
		`now()`:                        "now",
		`timezone("UTC")`:              "timezone",
		`col("A") +`:                   "unexpected token",
		strings.Repeat(`num(1)+`, 300): "longer",
	} {
		if got := CheckPick(expression); !strings.Contains(got, want) || want == "" != (got == "") || strings.Contains(got, "\n") {
			t.Errorf("%.40s: problem %q; want one with %q", expression, got, want)
		}
	}
}

// An expression is bound like a column, its columns are asked for, and what
// cannot be computed is refused where it stands.
func TestMapComputes(t *testing.T) {
	src := testSource()
	src.Map.Forms[0].Fields[2].Pick = study.Pick{Expr: `num(col("GRADE")) / 10`, Missing: map[string]string{"0.9": "refused"}}
	out := mapping(t, testStudy(), src, vaRow+";GRADE=155", vaRow+";GRADE=9", vaRow+";GRADE=many", vaRow)
	if d := out.Drafts; len(d) != 2 || d[0].Answers != packed("R", "etdrs:44", "15.5", "", "") || d[1].Missing != "2=refused" {
		t.Errorf("drafts %+v", d)
	}
	if got := rejected(out); got != "va/iop/expr_failed/1 va/iop/expr_failed/1" {
		t.Errorf("rejections %q", got)
	}
	src = testSource()
	src.Map.Forms[0].When, src.Map.Forms[0].WhenValues = study.Pick{Expr: `num(col("GRADE")) > 1`}, []string{"true"}
	src.Map.Forms[0].Occurrence = study.Pick{Expr: `num(col("DAY")) + 1`}
	src.Map.Site = study.Pick{Expr: `lower(col("SITE"))`}
	src.Map.Participant = study.Pick{Expr: `split(col("PID"), "-")[1]`}
	src.Map.Forms = src.Map.Forms[:1]
	row := "PID=X-1;SITE=A;VISIT=BL;DATE=01/01/2026;EYE=OD;VA=44;GRADE=2;DAY=1"
	out = mapping(t, testStudy(), src, row, strings.Replace(row, "GRADE=2", "GRADE=1", 1), strings.Replace(row, "GRADE=2", "GRADE=?", 1),
		strings.Replace(row, "X-1", "X", 1), strings.Replace(row, "DAY=1", "DAY=", 1))
	if d := out.Drafts; len(d) != 1 || d[0].Identity != "1" || d[0].Site != "a" || d[0].Occurrence != "2" {
		t.Errorf("drafts %+v", d)
	}
	if got := rejected(out); got != "/va.when/expr_failed/0 /participant/expr_failed/0 va/occurrence/expr_failed/1" || out.Counts.Ignored != 1 {
		t.Errorf("rejections %q, counts %+v", got, out.Counts)
	}
	m, _ := NewMapper(testStudy(), src)
	if got := strings.Join(m.Columns(), " "); got != "AUTHOR BASE DATE DAY DONE ENTERED EYE GRADE IOP MODIFIED NOTES PID PLANNED REASON SITE VA VISIT WITHDRAWN" {
		t.Errorf("columns %s", got)
	}
	src.Map.Site.Expr, src.Map.Forms[0].When.Expr, src.Map.Forms[0].Fields[0].Pick = "col(", "1 +", study.Pick{Expr: "nothing"}
	if _, problems := NewMapper(testStudy(), src); len(problems) != 3 {
		t.Errorf("problems %+v", problems)
	}
}

// Whatever a mapping says, an expression is refused when it is compiled or gives
// the same for the same row, and never the text of an error.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{`num(col("A")) * 2`, `upper(trim(col("B")))`, `split(col("A"), "|")[1]`, `col("A") ?? "x"`,
		`map(1..9, # * 2)`, `reduce(1..9, #acc + #)`, `{"a": 1}.a`, `let x = num(col("A")); x ?? 0`, `date("2026-01-01")`} {
		f.Add(seed, []byte("12.5"), []byte("a|b"))
	}
	f.Fuzz(func(t *testing.T, expression string, a, b []byte) {
		x, problem := newExpression(expression, '.')
		if problem != "" {
			return
		}
		cells := [][]byte{a, b}
		for i := range x.index {
			x.index[i] = i % 2
		}
		x.evaluate(cells)
		text, failed := bytes.Clone(x.text), x.failed
		if failed && text != nil {
			t.Fatalf("failed with %q", text)
		}
		if x.evaluate(cells); !bytes.Equal(text, x.text) || failed != x.failed {
			t.Fatalf("%q, then %q", text, x.text)
		}
	})
}
