package transform

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// crossStudy has a form per eye, a form per visit, one without a visit, and a log.
func crossStudy(on int, expression string) *study.Study {
	eye := study.Field{Name: "eye", Type: study.Choice, Choices: []study.ChoiceItem{{Code: "R"}, {Code: "L"}}, Class: study.Clinical}
	return &study.Study{Timezone: "UTC", Forms: []study.Form{
		{Name: "va", RepeatsBy: "eye", Fields: []study.Field{eye, {Name: "letters", Type: study.Acuity, Class: study.Clinical}}},
		{Name: "oct", RepeatsBy: "eye", Fields: []study.Field{eye, {Name: "cst", Type: study.Integer, Class: study.Clinical}}},
		{Name: "vitals", Fields: []study.Field{{Name: "pulse", Type: study.Integer, Class: study.Clinical}, {Name: "note", Type: study.Text, Class: study.FreeText}}},
		{Name: "person", Log: true, Fields: []study.Field{{Name: "sex", Type: study.Choice, Choices: []study.ChoiceItem{{Code: "F"}, {Code: "M"}}, Class: study.Quasi}}},
	}, Checks: []study.CrossCheck{{Name: "c", Expr: expression, On: on, Severity: study.Flag}}}
}

func current(form int, visit int32, occurrence string, answers ...string) study.CurrentRecord {
	return study.CurrentRecord{Key: study.RecordKey{Form: form, VisitNo: visit, Occurrence: occurrence}, Answers: packed(answers...)}
}

func visitOn(no int32, day string) study.Visit {
	d, _ := study.ParsePartialDate(day)
	return study.Visit{No: no, Actual: d}
}

func TestCrossChecks(t *testing.T) {
	visits := []study.Visit{visitOn(1, "2026-01-01"), visitOn(2, "2026-02-01"), visitOn(3, "2026-03-01"), visitOn(4, ""), visitOn(5, "2026-02")}
	for name, c := range map[string]struct {
		on      int
		expr    string
		records []study.CurrentRecord
		want    string // findings: visit detail, by "; "
	}{
		"its own value": {2, "vitals.pulse < 100", []study.CurrentRecord{current(2, 1, "1", "120", ""), current(2, 2, "1", "90", "")}, "1 vitals:c"},
		"nothing said":  {2, "vitals.pulse < 100", []study.CurrentRecord{current(2, 1, "1", "", "")}, ""},
		"same visit, same eye": {0, "oct.cst < 400 || va.letters == null", []study.CurrentRecord{
			current(0, 1, "R", "R", "etdrs:44"), current(0, 1, "L", "L", "etdrs:44"), current(1, 1, "R", "R", "300"), current(1, 1, "L", "L", "500")}, "1 va/L:c"},
		"letters and logMAR": {0, "letters(va.letters) > 40 && logmar(va.letters) < 1", []study.CurrentRecord{
			current(0, 1, "R", "R", "etdrs:40"), current(0, 1, "L", "L", "snellen:20/40"), current(0, 2, "R", "R", "off:CF"), current(0, 2, "L", "L", "")}, "1 va/R:c"},
		"off the chart by name": {0, "letters(va.letters) != null", []study.CurrentRecord{current(0, 2, "R", "R", "off:CF")}, "2 va/R:c"},
		"the latest before":     {2, "vitals.pulse == person_pulse", nil, "problem"},
		"an earlier visit": {0, "vitals.pulse < 100", []study.CurrentRecord{current(0, 3, "R", "R", ""),
			current(2, 1, "1", "120", ""), current(2, 2, "1", "90", "")}, ""},
		"an earlier visit, the latest": {0, "vitals.pulse < 100", []study.CurrentRecord{current(0, 3, "R", "R", ""),
			current(2, 1, "1", "90", ""), current(2, 2, "1", "120", "")}, "3 va/R:c"},
		"a later visit":           {0, "vitals.pulse < 100", []study.CurrentRecord{current(0, 1, "R", "R", ""), current(2, 2, "1", "120", "")}, ""},
		"a visit without a date":  {0, "vitals.pulse < 100", []study.CurrentRecord{current(0, 4, "R", "R", ""), current(2, 1, "1", "120", "")}, ""},
		"a day that may be later": {0, "vitals.pulse < 100", []study.CurrentRecord{current(0, 5, "R", "R", ""), current(2, 2, "1", "120", "")}, ""},
		"a month after the day":   {0, "vitals.pulse < 100", []study.CurrentRecord{current(0, 5, "R", "R", ""), current(2, 1, "1", "120", "")}, "5 va/R:c"},
		"of no visit":             {2, `person.sex == "F"`, []study.CurrentRecord{current(2, 1, "1", "90", ""), current(3, 0, "1", "M")}, "1 vitals:c"},
		"of no visit, two":        {2, `person.sex == "F"`, []study.CurrentRecord{current(2, 1, "1", "90", ""), current(3, 0, "1", "M"), current(3, 0, "2", "F")}, `1 vitals:c`},
		"two eyes for one form": {2, "oct.cst < 400", []study.CurrentRecord{current(2, 1, "1", "90", ""),
			current(1, 1, "R", "R", "500"), current(1, 1, "L", "L", "500")}, ""},
		"log on itself":  {3, `person.sex == "F"`, []study.CurrentRecord{current(3, 0, "1", "F"), current(3, 0, "x-7", "M")}, "0 person/x-7:c"},
		"log and visits": {3, `vitals.pulse < 100`, []study.CurrentRecord{current(3, 0, "1", "F"), current(2, 1, "1", "120", "")}, ""},
	} {
		checks, problems := NewCrossChecks(crossStudy(c.on, c.expr))
		if c.want == "problem" {
			if len(problems) != 1 || problems[0].Key != "checks.c" {
				t.Errorf("%s: problems %+v", name, problems)
			}
			continue
		}
		if problems != nil {
			t.Errorf("%s: problems %+v", name, problems)
			continue
		}
		for range 2 { // and again, in another order
			if got := findings(checks, visits, c.records); got != c.want {
				t.Errorf("%s: findings %q; want %q", name, got, c.want)
			}
			slices.Reverse(c.records)
		}
	}
}

func findings(checks *CrossChecks, visits []study.Visit, records []study.CurrentRecord) string {
	var got []string
	checks.Check(visits, records, func(d study.Deviation) {
		if d.Code != study.CheckFailed || d.Kind != study.IsFinding || d.State != study.Open {
			got = append(got, "not a finding")
		}
		got = append(got, fmt.Sprint(d.VisitNo)+" "+d.Detail)
	})
	return strings.Join(got, "; ")
}

func TestCrossCheckEvidence(t *testing.T) {
	s := crossStudy(0, "oct.cst < 400 || letters(va.letters) > 50 || vitals.pulse > oct.cst")
	s.Checks = append(s.Checks, study.CrossCheck{Name: "d", Expr: "oct.cst < 400", On: 0, Severity: study.Note})
	checks, problems := NewCrossChecks(s)
	if problems != nil {
		t.Fatal(problems)
	}
	var got []string
	checks.Check([]study.Visit{visitOn(1, "2026-01-01")}, []study.CurrentRecord{current(0, 1, "R", "R", "etdrs:44"), current(1, 1, "R", "R", "412"), current(2, 1, "1", "77", "")},
		func(d study.Deviation) { got = append(got, d.Evidence) })
	want := []string{"the check does not hold: oct.cst, va.letters, vitals.pulse", "note: the check does not hold: oct.cst"}
	if !slices.Equal(got, want) {
		t.Errorf("evidence %q", got)
	}
}

func TestCrossCheckProblems(t *testing.T) {
	forms := map[string][]string{}
	for _, f := range crossStudy(0, "").Forms {
		for _, field := range f.Fields {
			forms[f.Name] = append(forms[f.Name], field.Name)
		}
	}
	for expression, want := range map[string]string{
		"va.letters != nil":          "",
		"vitals.note != nil":         "only the vault",
		"vitals.nothing > 1":         "nothing",
		"nothing.pulse > 1":          "nothing",
		"vitals != nil":              "vitals.FIELD",
		`vitals["pulse"] > 1`:        "",
		`vitals["pu"+"lse"] > 1`:     "",
		"len(keys(vitals)) > 0":      "keys",
		"vitals[person.sex] > 1":     "vitals.FIELD",
		"vitals.pulse + 1":           "bool",
		`vitals.pulse > "x"`:         "mismatched",
		"letters(va.letters, 1) > 1": "too many",
	} {
		_, problems := NewCrossChecks(crossStudy(0, expression))
		got := ""
		if len(problems) > 0 {
			got = problems[0].Message
		}
		if want == "" != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: problem %q; want one with %q", expression, got, want)
		}
		// By names alone types and the vault are unknown.
		got = CheckCross(forms, expression)
		if typed := want == "mismatched" || want == "bool" || want == "only the vault"; !typed && (want == "" != (got == "") || !strings.Contains(got, want)) {
			t.Errorf("%s: by names, problem %q; want one with %q", expression, got, want)
		}
	}
	s := crossStudy(9, "true")
	if _, problems := NewCrossChecks(s); len(problems) != 1 {
		t.Errorf("problems %+v", problems)
	}
}

// Whatever order the records come in, the findings are the same.
func TestCrossChecksAreDeterministic(t *testing.T) {
	s := crossStudy(0, "oct.cst < 250 || vitals.pulse < 80")
	s.Checks = append(s.Checks, study.CrossCheck{Name: "d", Expr: `person.sex == "F" && va.eye == "R"`, On: 1, Severity: study.Note})
	checks, problems := NewCrossChecks(s)
	if problems != nil {
		t.Fatal(problems)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	found := 0
	for range 500 {
		var visits []study.Visit
		var records []study.CurrentRecord
		for no := range int32(4) {
			visits = append(visits, visitOn(no+1, []string{"2026-01-01", "2026-01-02", "2026-01", "2026", ""}[rng.IntN(5)]))
			for _, eye := range []string{"R", "L"} {
				if rng.IntN(3) > 0 {
					records = append(records, current(0, no+1, eye, eye, "etdrs:44"))
				}
				if rng.IntN(3) > 0 {
					records = append(records, current(1, no+1, eye, eye, []string{"200", "300", ""}[rng.IntN(3)]))
				}
			}
			if rng.IntN(2) == 0 {
				records = append(records, current(2, no+1, "1", []string{"70", "90"}[rng.IntN(2)], ""))
			}
		}
		records = append(records, current(3, 0, "1", "M"))
		want := findings(checks, visits, records)
		found += len(want)
		rng.Shuffle(len(records), func(i, k int) { records[i], records[k] = records[k], records[i] })
		rng.Shuffle(len(visits), func(i, k int) { visits[i], visits[k] = visits[k], visits[i] })
		if got := findings(checks, visits, records); got != want {
			t.Fatalf("findings %q, then %q", want, got)
		}
	}
	if found == 0 {
		t.Error("nothing was found")
	}
}
