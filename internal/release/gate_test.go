package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"longitude/deid"
	"longitude/study"
)

// gated is a study whose participants are told apart by sex and age, with a
// sensitive answer, and a gate.
func gated() *study.Study {
	s := trial()
	s.Forms = append(s.Forms, study.Form{Name: "demographics", Label: "Demographics", Fields: []study.Field{
		{Name: "sex", Label: "Sex", Type: study.Choice, Class: study.Quasi, Choices: []study.ChoiceItem{{Code: "f", Label: "Female"}, {Code: "m", Label: "Male"}}},
		{Name: "site", Label: "Ward", Type: study.Integer, Class: study.Quasi, Release: study.Treatment{Action: study.Generalise, Hierarchy: "tens"}},
		{Name: "smoker", Label: "Smoker", Type: study.Boolean, Class: study.Sensitive},
		{Name: "height", Label: "Height", Type: study.Integer, Class: study.Clinical},
		{Name: "seen", Label: "Seen", Type: study.DateType, Class: study.Quasi},
	}})
	s.Deid = study.DeidPolicy{Profile: "limited", Pseudonym: "derived", Dates: "study_day", MissedLagDays: 30,
		Hierarchies: []study.Hierarchy{{Name: "tens", Levels: []study.Level{{Keep: true}, {Band: 10}, {Drop: true}}}},
		Risk:        study.RiskPolicy{K: 11, L: 2, SuppressMax: 0.05, Quasi: []string{"demographics.height"}, Sensitive: []string{"demographics.smoker"}, OnFailure: "block"}}
	return s
}

// patient is someone with demographics at baseline.
func patient(n int64, sex string, ward int64, smoker string) person {
	w := someone(n)
	w.records = append(w.records,
		study.CurrentRecord{Key: study.RecordKey{Form: 3, VisitNo: 2, Occurrence: "1"}, Answers: pack("m", "99", "true", "180", "2026-02-15")},
		study.CurrentRecord{Key: study.RecordKey{Form: 3, VisitNo: 1, Occurrence: "1"}, Answers: pack(sex, fmt.Sprint(ward), smoker, "170", "2026-01-01")})
	return w
}

func patients(n int) []person {
	var all []person
	for i := range n {
		all = append(all, patient(int64(i+1), []string{"f", "m"}[i%2], int64(20+i%10), []string{"true", "false"}[i/2%2]))
	}
	return all
}

func nobody(context.Context, study.Digest) (string, error) { return "", nil }

// judged is what came of the gate.
type judged struct {
	*Risk
	recipient *deid.Recipient
	builder   *Builder
	held      []*study.Batch
}

// judge takes people to the gate as the pipeline does, in two parts.
func judge(t *testing.T, s *study.Study, before map[string]bool, waived Waived, people ...person) (judged, error) {
	t.Helper()
	recipient, err := deid.NewRecipient(s, "main", testKeys{})
	if err != nil {
		t.Fatal(err)
	}
	recipient.Begin(day("2026-07-01"), study.NoDate, day("2026-06-30"))
	p := plan(2)
	if before != nil {
		p.Before = &Before{Participants: before}
	}
	b := NewBuilder(s, p)
	for _, table := range b.Tables() {
		if _, err := recipient.Project(table); err != nil {
			t.Fatal(err)
		}
	}
	var held []*study.Batch
	for i, w := range people {
		if err := b.Add(w.Participant, &w.Judgement, w.records); err != nil {
			t.Fatal(err)
		}
		if i == len(people)/2 || i == len(people)-1 {
			batches := b.Take()
			if err := recipient.Survey(batches); err != nil {
				t.Fatal(err)
			}
			held = append(held, batches[0])
		}
	}
	x, err := b.Judge(t.Context(), recipient, waived)
	return judged{x, recipient, b, held}, err
}

// Quasi-identifiers of forms are columns of participants, once each and as first
// recorded, and of no other released table.
func TestQuasiIdentifiersLeaveInParticipants(t *testing.T) {
	got, err := judge(t, gated(), nil, nobody, patients(60)...)
	if err != nil {
		t.Fatal(err)
	}
	held := got.held
	if len(held) != 2 || held[0].Rows != 31 || held[1].Rows != 29 {
		t.Fatalf("%d parts", len(held))
	}
	same(t, "first recorded", cells(held[1], "sex", "demographics_site", "height")[:2], "m 21 170", "f 22 170")
	for _, table := range got.builder.Tables() {
		released, err := got.recipient.Project(table)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range released.Columns {
			names = append(names, c.Name)
		}
		switch list := strings.Join(names, " "); table.Name {
		case "participants":
			if !strings.HasSuffix(list, " sex demographics_site height") || !strings.Contains(list, " site ") {
				t.Errorf("participants have %s", list)
			}
		case "demographics":
			if strings.Contains(list, "sex") || strings.Contains(list, "site") || strings.Contains(list, "height") || !strings.Contains(list, "smoker") || !strings.Contains(list, "seen_day") {
				t.Errorf("demographics has %s", list)
			}
		}
	}
}

// The gate coarsens what it must and nothing else, and its report says so, the same
// whenever it is asked.
func TestTheGateGeneralises(t *testing.T) {
	x, err := judge(t, gated(), nil, nobody, patients(60)...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x.report()
	if err != nil {
		t.Fatal(err)
	}
	chosen := map[string]string{}
	for _, c := range r.Quasi {
		chosen[c.Column] = c.Chosen
	}
	if chosen["sex"] != "keep" || chosen["demographics_site"] != "bands of 10" || chosen[patterns[0]] != "in bands" {
		t.Errorf("chosen %v", chosen)
	}
	if r.Before.Smallest != "<11" || r.Before.MaxRisk != notShown || r.After.Smallest != "30" || r.After.MaxRisk != "0.033" || !r.Met || r.New != nil || len(r.Sites) != 1 {
		t.Errorf("%+v", r)
	}
	again, _ := judge(t, gated(), nil, nobody, patients(60)...)
	if other, _ := again.report(); string(other.text()) != string(r.text()) || again.Digest != x.Digest {
		t.Error("the same people are judged otherwise the second time")
	}
	fewer, _ := judge(t, gated(), nil, nobody, patients(58)...)
	if fewer.Digest == x.Digest {
		t.Error("other people have the same digest")
	}
}

// Rare patterns of visits tell people apart like any other attribute.
func TestVisitPatternsTakePart(t *testing.T) {
	people := patients(60)
	for i := range 20 { // as often, but over a longer time: their last visit is the first of them again
		people[i].Visits[5].Actual, _ = study.ParsePartialDate("2026-02-20")
	}
	s := gated()
	s.Deid.Risk.K = 21
	x, err := judge(t, s, nil, nobody, people...)
	var refused *study.Error
	if !errors.As(err, &refused) || refused.Code != "deid.risk" || refused.Exit != study.ExitBlocked {
		t.Fatalf("%v", err)
	}
	if x.alone.Smallest != 20 || x.alone.Classes != 2 {
		t.Errorf("patterns %+v", x.alone)
	}
}

// What fails blocks, unless the study only warns or somebody has signed for this
// very risk; both are told in the report.
func TestAFailedGate(t *testing.T) {
	s := gated()
	s.Deid.Risk.K = 61
	x, err := judge(t, s, nil, nobody, patients(60)...)
	var refused *study.Error
	if !errors.As(err, &refused) || refused.Code != "deid.risk" || refused.Exit != study.ExitBlocked || !strings.Contains(refused.Op, "fewer than 61") || len(x.Unmet) != 1 {
		t.Fatalf("%v, %+v", err, x)
	}
	signed := func(_ context.Context, digest study.Digest) (string, error) {
		if digest != x.Digest {
			t.Error("a waiver is looked for under another digest")
		}
		return "Dr A, approval", nil
	}
	waived, err := judge(t, s, nil, signed, patients(60)...)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := waived.report(); r.Met || r.Waiver != "Dr A, approval" || !strings.Contains(string(r.text()), "Waived: Dr A, approval") {
		t.Errorf("%s", r.text())
	}
	s.Deid.Risk.OnFailure = "warn"
	warned, err := judge(t, s, nil, nobody, patients(60)...)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := warned.report(); r.Met || !strings.Contains(string(r.text()), "It does not hold") {
		t.Errorf("%s", r.text())
	}
}

// Who is new can be told by who has the release before too: that blocks a release to
// others, and is told in one that stays under an agreement.
func TestNewParticipantsAreJudged(t *testing.T) {
	before := map[string]bool{}
	s := gated()
	recipient, err := deid.NewRecipient(s, "main", testKeys{})
	if err != nil {
		t.Fatal(err)
	}
	people := patients(60)
	for _, w := range people[:57] {
		before[recipient.Participant(w.Participant.Code)] = true
	}
	x, err := judge(t, s, before, nobody, people...)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := x.report()
	if r.New == nil || r.New.Participants != "<11" || r.New.Smallest != "<11" {
		t.Errorf("%+v", r.New)
	}
	s.Deid.Profile = "expert"
	if _, err = judge(t, s, before, nobody, people...); err == nil || !strings.Contains(err.Error(), "new since the release before") {
		t.Errorf("three new participants: %v", err)
	}
}

// A study that asks nothing is measured, and nothing is changed.
func TestWithoutAPolicyTheGateMeasures(t *testing.T) {
	s := gated()
	s.Deid.Risk = study.RiskPolicy{}
	s.Deid.Profile = "internal"
	x, err := judge(t, s, nil, nobody, patients(60)...)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := x.report()
	text, _ := json.Marshal(r)
	if r.Before.Smallest != "6" || r.After.Smallest != "6" || strings.Contains(string(text), "<11") || !strings.Contains(string(r.text()), "asks for no size") {
		t.Errorf("%s", text)
	}
}

// What lies outside of a participant's window is in no table, and every record of it
// is accounted for.
func TestNothingOutsideTheWindowIsReleased(t *testing.T) {
	b := NewBuilder(trial(), plan(1))
	b.Within(func(string) (first, last study.Date) { return day("2026-01-15"), day("2026-03-31") })
	w := someone(1)
	w.Withdrawn = day("2026-04-01")
	if err := b.Add(w.Participant, &w.Judgement, w.records); err != nil {
		t.Fatal(err)
	}
	batches := b.Take()
	same(t, "visits", cells(batches[atVisits], "visit_seq", "study_day"), "1 20", "2 46")
	same(t, "participants", cells(batches[atParticipants], "withdrawn", "n_visits"), "0 2")
	same(t, "status", cells(batches[atStatus], "visit", "visit_status"), "month_1 completed")
	if tally := b.Tally(); tally.Truncated != 4 || tally.Unaccounted() != 0 {
		t.Errorf("%+v", tally)
	}
}

// Small sites are one in what leaves and in what is said of it, and under Safe Harbor
// no site is called what it is.
func TestSitesAreToldAsReleased(t *testing.T) {
	s := gated()
	s.Deid.MinSite, s.Deid.Risk.K = 12, 2
	people := patients(60)
	for i := range people {
		people[i].Participant.Site = []string{"large", "large", "large", "small-1", "small-2"}[i%5]
	}
	sites := func() (names, counts []string, text string) {
		got, err := judge(t, s, nil, nobody, people...)
		if err != nil {
			t.Fatal(err)
		}
		r, err := got.report()
		if err != nil {
			t.Fatal(err)
		}
		for _, site := range r.Sites {
			names, counts = append(names, site.Name), append(counts, site.Participants)
		}
		return names, counts, string(r.text())
	}
	names, counts, _ := sites()
	same(t, "sites of twelve and more", names, "large", "small-1", "small-2")
	same(t, "their participants", counts, "36", "12", "12")
	s.Deid.MinSite = 13
	names, counts, text := sites()
	same(t, "pooled", names, "large", deid.PooledSite)
	same(t, "their participants", counts, "36", "24")
	if strings.Contains(text, "small-") {
		t.Error("the report names a small site")
	}
	s.Deid.Profile, s.Deid.Pseudonym = "safe_harbor", deid.Random
	if _, _, text := sites(); strings.Contains(text, "large") || !strings.Contains(text, deid.PooledSite) {
		t.Errorf("the report names a site:\n%s", text)
	}
}
