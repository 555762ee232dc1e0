package transform

import (
	"strings"
	"testing"

	"longitude/study"
)

func checkForm(expr string) *study.Form {
	return &study.Form{Name: "va", Fields: []study.Field{
		{Name: "method", Type: study.Choice}, {Name: "iop", Type: study.Decimal}, {Name: "n", Type: study.Integer},
		{Name: "dilated", Type: study.Boolean}, {Name: "on", Type: study.DateType}, {Name: "fluid", Type: study.Choices},
		{Name: "sight", Type: study.Acuity},
	}, Checks: []study.Check{{Name: "c", Expr: expr, Severity: study.Flag}}}
}

func TestChecks(t *testing.T) {
	full := []string{"ETDRS", "15.5", "3", "true", "2026-02-01", "irf,srf", "snellen:20/40"}
	none := []string{"", "", "", "", "", "", ""}
	for _, c := range []struct {
		expr   string
		values []string
		want   bool
	}{
		{"method == null || iop != null", full, true},
		{"method == null || iop != null", []string{"ETDRS", "", "", "", "", "", ""}, false},
		{"method == null || iop != null", none, true},
		{"method == nil or iop > n", full, true},
		{"iop < 10", full, false},
		{"iop < 10", none, true}, // cannot be evaluated: a value is missing
		{"n == 3 && iop == 15.5", full, true},
		{`method == "Snellen"`, full, false},
		{`method == "Snellen"`, none, false},
		{"not dilated", full, false},
		{`on >= "2026-01-01"`, full, true},
		{`on < "2026-01-01"`, full, false},
		{`"srf" in fluid`, full, true},
		{"len(fluid) == 2", full, true},
		{"n % 2 == 1", full, false}, // a float: cannot be evaluated although nothing is missing
		{"all(1..100000, # > 0)", full, false},
		{"letters(sight) == 70", full, true},
		{"letters(sight) > 70", full, false},
		{"logmar(sight) > 0.3 && logmar(sight) < 0.302", full, true},
		{"letters(sight) > 70", none, true},
		{"letters(sight) > 70", []string{"", "", "", "", "", "", "off:CF"}, true}, // no letters off the chart
		{"letters(sight) != null", []string{"", "", "", "", "", "", "off:CF"}, false},
		{"letters(method) == null", full, true}, // not an acuity
	} {
		form := checkForm(c.expr)
		compiled, problem := compileCheck(form, form.Checks[0])
		if strings.Contains(c.expr, "%") {
			if problem == "" {
				t.Errorf("%s: nothing found wrong", c.expr)
			}
			continue
		}
		if problem != "" {
			t.Errorf("%s: %s", c.expr, problem)
			continue
		}
		values := make([][]byte, len(c.values))
		for i, v := range c.values {
			if v != "" {
				values[i] = []byte(v)
			}
		}
		var k checker
		for range 2 {
			if got := k.passes(&compiled, form, values); got != c.want {
				t.Errorf("%s over %q is %v", c.expr, c.values, got)
			}
		}
	}
}

func TestCheckProblems(t *testing.T) {
	form := checkForm("")
	for expr, want := range map[string]string{
		"iop > other":                  "other",
		"iop >":                        "unexpected token",
		`iop > "x"`:                    "mismatched types",
		"iop + 1":                      "bool",
		"now() == now()":               "now",
		strings.Repeat("iop>1||", 400): "longer",
		strings.Repeat("(n>1)||", 200): "nodes",
		"dilated && method > 3":        "mismatched types",
	} {
		_, problem := compileCheck(form, study.Check{Name: "c", Expr: expr})
		if !strings.Contains(problem, want) || strings.Contains(problem, "\n") {
			t.Errorf("%.40s: problem %q; want one with %q", expr, problem, want)
		}
	}
	if problem := CheckExpr([]string{"a", "b"}, "a > b"); problem != "" {
		t.Error(problem)
	}
	if problem := CheckExpr([]string{"a"}, "a > b"); !strings.Contains(problem, "b") {
		t.Errorf("problem %q", problem)
	}
}
