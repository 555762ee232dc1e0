package deid

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"longitude/deid/risk"
	"longitude/study"
)

// gateStudy has a quasi-identifier of each kind in one form.
func gateStudy() *study.Study {
	s := testStudy()
	s.Forms = append(s.Forms, study.Form{Name: "demographics", Fields: []study.Field{
		{Name: "sex", Type: study.Choice, Class: study.Quasi, Choices: []study.ChoiceItem{{Code: "f"}, {Code: "m"}}},
		{Name: "age", Type: study.Integer, Unit: "years", Class: study.Quasi, Release: study.Treatment{Action: study.Generalise, Hierarchy: "ages"}},
		{Name: "race", Type: study.Choice, Class: study.Quasi, Release: study.Treatment{Action: study.Generalise, Hierarchy: "race"}},
		{Name: "weight", Type: study.Decimal, Precision: 4, Scale: 1, Class: study.Quasi, Release: study.Treatment{Action: study.Round, Step: "5"}},
		{Name: "diagnosis", Type: study.Choice, Class: study.Sensitive},
	}})
	s.Deid = study.DeidPolicy{Profile: "expert", Dates: "study_day", MinSite: 3, Hierarchies: []study.Hierarchy{
		{Name: "ages", Levels: []study.Level{{Keep: true}, {Band: 5}, {Band: 10}, {Drop: true}}},
		{Name: "race", Levels: []study.Level{{Groups: []study.Group{{Name: "white", Codes: []string{"1"}}, {Name: "other", Codes: []string{"2", "3"}}}}, {Drop: true}}},
	}, Risk: study.RiskPolicy{K: 2, Quasi: []string{"n_visits"}, Sensitive: []string{"demographics.diagnosis"}}}
	return s
}

func gateBatch() *study.Batch {
	from := func(field string, kind study.Kind, class study.Class) study.Column {
		c := study.Column{Name: field, Kind: kind, Class: class, Form: "demographics", Field: field, Nullable: true}
		if field == "age" {
			c.Unit = "years"
		}
		if kind == study.DecimalKind {
			c.Scale = 1
		}
		return c
	}
	t := &study.Table{Name: "participants", Key: []string{"participant_id"}, Columns: []study.Column{
		{Name: "participant_id", Kind: study.TextKind, Class: study.ParticipantKey},
		{Name: "site", Kind: study.TextKind, Class: study.Quasi, Nullable: true},
		from("sex", study.TextKind, study.Quasi), from("age", study.Int64Kind, study.Quasi), from("race", study.TextKind, study.Quasi),
		from("weight", study.DecimalKind, study.Quasi), from("diagnosis", study.TextKind, study.Sensitive),
		{Name: "n_visits", Kind: study.Int64Kind, Class: study.Clinical},
	}}
	b := &study.Batch{Table: t, Vectors: make([]study.Vector, len(t.Columns))}
	for i, row := range []struct {
		site, sex, race, diagnosis string
		age, weight, visits        int64
	}{
		{"a", "f", "1", "x", 61, 702, 3}, {"a", "f", "1", "y", 63, 675, 3}, {"a", "m", "2", "x", 64, 725, 3}, {"a", "m", "3", "y", 71, 774, 2},
		{"b", "f", "1", "x", 93, 500, 3}, {"b", "m", "2", "y", 95, 776, 3}, {"c", "f", "1", "x", 40, 1000, 1},
	} {
		b.Rows++
		b.Participants, b.Anchors = append(b.Participants, int64(i+1)), append(b.Anchors, 0)
		b.Vectors[0].AppendText(fmt.Sprint("AMD-", i+1))
		for c, text := range []string{row.site, row.sex, "", row.race, "", row.diagnosis} {
			if text != "" {
				b.Vectors[c+1].AppendText(text)
			}
		}
		b.Vectors[3].AppendInt(row.age)
		b.Vectors[5].AppendInt(row.weight)
		b.Vectors[7].AppendInt(row.visits)
	}
	return b
}

func gateRecipient(t testing.TB, b *study.Batch) *Recipient {
	t.Helper()
	r, err := NewRecipient(gateStudy(), "main", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	r.Begin(day(t, "2026-06-30"), study.NoDate, study.NoDate)
	return surveyed(t, r, b)
}

// The gate sees what would leave, at every level, and nothing else.
func TestPopulation(t *testing.T) {
	b := gateBatch()
	p, err := gateRecipient(t, b).Population(b, []bool{true, false, false, false, false, false, true})
	if err != nil {
		t.Fatal(err)
	}
	level := func(name string, classes ...int32) risk.Level { return risk.Level{Name: name, Classes: classes} }
	none := level("drop", 0, 0, 0, 0, 0, 0, 0)
	want := risk.Population{
		Quasi: []risk.Attribute{
			{Name: "site", Levels: []risk.Level{level("keep", 1, 1, 1, 1, 0, 0, 0), none}}, // POOLED, a
			{Name: "sex", Levels: []risk.Level{level("keep", 0, 0, 1, 1, 0, 1, 0), none}},
			{Name: "age", Levels: []risk.Level{level("keep", 1, 2, 3, 4, 5, 5, 0), level("bands of 5", 1, 1, 1, 2, 3, 3, 0), level("bands of 10", 1, 1, 1, 2, 3, 3, 0), none}},
			{Name: "race", Levels: []risk.Level{level("groups 0", 1, 1, 0, 0, 1, 0, 1), none}},
			// 67.5 and 72.5 both lie between two multiples of 5 and go to the even one.
			{Name: "weight", Levels: []risk.Level{level("keep", 1, 1, 1, 2, 0, 3, 4), none}},
			{Name: "n_visits", Levels: []risk.Level{level("keep", 2, 2, 2, 1, 2, 2, 0), none}},
		},
		Sensitive: []risk.Sensitive{{Name: "diagnosis", Values: []int32{0, 1, 0, 1, 0, 1, 0}}},
		New:       []bool{true, false, false, false, false, false, true},
		Site:      []int32{0, 0, 0, 0, 1, 1, 1}, Sites: []string{"a", PooledSite},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("the gate sees\n%+v, want\n%+v", p, want)
	}
}

func TestPopulationRefuses(t *testing.T) {
	b := gateBatch()
	r := gateRecipient(t, b)
	r.study.Deid.Risk.Quasi = []string{"shoe_size"}
	if _, err := r.Population(b, nil); code(err) != "deid.risk_column" || !strings.Contains(err.Error(), "shoe_size") {
		t.Errorf("a column that is not there: %v", err)
	}
	r = gateRecipient(t, b)
	r.study.Deid.Risk.K = 0
	if _, err := r.Apply(b); code(err) != "deid.no_population" {
		t.Errorf("sites that were not counted: %v", err)
	}
	r = gateRecipient(t, b)
	if _, err := r.Population(b, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Apply(b); code(err) != "deid.unjudged" {
		t.Errorf("a population that was not judged: %v", err)
	}
	if err := r.Choose(risk.Result{Levels: []int{1}, Suppressed: make([]bool, b.Rows)}); code(err) != "deid.shape" {
		t.Errorf("a choice of another population: %v", err)
	}
	b.Participants = nil
	if _, err := r.Population(b, nil); code(err) != "deid.no_participant" {
		t.Errorf("rows of nobody: %v", err)
	}
	b.Table.Key = nil
	if _, err := r.Population(b, nil); code(err) != "deid.shape" {
		t.Errorf("a table of records: %v", err)
	}
}

// What the gate chose is what leaves: coarser values, and of the suppressed none.
func TestChoiceOfTheGate(t *testing.T) {
	b := gateBatch()
	r := gateRecipient(t, b)
	if _, err := r.Population(b, nil); err != nil {
		t.Fatal(err)
	}
	suppressed := make([]bool, b.Rows)
	suppressed[6] = true
	if err := r.Choose(risk.Result{Levels: []int{0, 1, 1, 0, 0, 0}, Suppressed: suppressed}); err != nil {
		t.Fatal(err)
	}
	out, err := r.Apply(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(out.b.Table), "participant_id site age race weight diagnosis n_visits"; got != want {
		t.Fatalf("released columns %s, want %s", got, want)
	}
	check := func(name string, want ...string) {
		t.Helper()
		_, v := out.column(name)
		var got []string
		for i := range out.b.Rows {
			switch {
			case v.Null(i):
				got = append(got, "∅")
			case v.Texts != nil:
				got = append(got, v.Texts[i])
			default:
				got = append(got, fmt.Sprint(v.Ints[i]))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	check("site", "a", "a", "a", "a", PooledSite, PooledSite, "∅")
	check("age", "60-64", "60-64", "60-64", "70-74", "90+", "90+", "∅")
	check("race", "white", "white", "other", "other", "white", "other", "∅")
	check("weight", "700", "700", "700", "750", "500", "800", "∅")
	check("n_visits", "3", "3", "3", "2", "3", "3", "∅")
	check("diagnosis", "x", "y", "x", "y", "x", "y", "x")

	report := r.Report()
	for _, c := range report.Columns {
		if c.Column == "sex" && (len(c.Released) != 0 || c.Level != "drop") || c.Column == "age" && (c.Level != "bands of 5" || c.Counts["suppressed"] != "<11") {
			t.Errorf("the report says of %s: %+v", c.Column, c)
		}
	}
}

// A quasi-identifier of a form leaves in participants and nowhere else.
func TestQuasiIdentifiersLeaveInParticipantsOnly(t *testing.T) {
	b := gateBatch()
	r := gateRecipient(t, b)
	form := &study.Table{Name: "demographics", Columns: []study.Column{b.Table.Columns[0], b.Table.Columns[2], b.Table.Columns[3], b.Table.Columns[6],
		{Name: "sex_missing", Kind: study.TextKind, Class: study.Clinical, Form: "demographics", Field: "sex", Transform: "missing_reason"}}}
	if out, err := r.Project(form); err != nil || names(out) != "participant_id diagnosis" {
		t.Errorf("with a gate the form releases %q, %v", names(out), err)
	}
	r.study.Deid.Risk.K = 0
	r.forget()
	if out, err := r.Project(form); err != nil || names(out) != "participant_id sex age age_topcoded diagnosis sex_missing" {
		t.Errorf("of what participants do not carry the form releases %q, %v", names(out), err)
	}
	r.forget()
	if _, err := r.Project(b.Table); err != nil {
		t.Fatal(err)
	}
	if out, err := r.Project(form); err != nil || names(out) != "participant_id diagnosis" {
		t.Errorf("of what participants carry the form releases %q, %v", names(out), err)
	}
}

func TestPool(t *testing.T) {
	for _, test := range []struct {
		count map[string]int
		least int
		want  []string
	}{
		{map[string]int{"a": 50, "b": 2, "c": 4}, 5, []string{"b", "c"}},
		{map[string]int{"a": 50, "b": 2, "c": 1, "d": 20}, 5, []string{"b", "c", "d"}}, // three together are too few
		{map[string]int{"a": 2}, 5, []string{"a"}},
		{map[string]int{"a": 5, "b": 6}, 5, nil},
		{map[string]int{"a": 1, "b": 2}, 0, nil},
	} {
		var got []string
		for site := range pool(test.count, test.least) {
			got = append(got, site)
		}
		if slices.Sort(got); !slices.Equal(got, test.want) {
			t.Errorf("of %v the sites %v are pooled, want %v", test.count, got, test.want)
		}
	}
}

func TestBands(t *testing.T) {
	ages, numbers := bandMask(quasi("age", study.Int64Kind, "years"), 5), bandMask(study.Column{Name: "x", Kind: study.DecimalKind, Scale: 1}, 10)
	out, _ := ages(&study.Batch{Rows: 5}, &study.Vector{Ints: []int64{0, 4, 5, 89, 90}})
	if want := []string{"0-4", "0-4", "5-9", "85-89", "90+"}; !slices.Equal(out.Texts, want) {
		t.Errorf("ages fall in %v, want %v", out.Texts, want)
	}
	out, _ = numbers(&study.Batch{Rows: 4}, &study.Vector{Ints: []int64{-1, 0, 99, 100}})
	if want := []string{"-10-<0", "0-<10", "0-<10", "10-<20"}; !slices.Equal(out.Texts, want) {
		t.Errorf("numbers fall in %v, want %v", out.Texts, want)
	}
}
