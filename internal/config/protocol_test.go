package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"longitude/study"
)

func TestAmendmentsMakeWholeVersions(t *testing.T) {
	c, findings := Load("testdata/complete", options(map[string]string{"DATABASE_URL": "x"}))
	if Failed(findings) {
		t.Fatal(print(findings))
	}
	s := c.Studies[0]
	var names []string
	for _, v := range s.Visits {
		names = append(names, v.Name)
	}
	order := []string{"baseline", "month_1", "month_3", "month_4", "month_6", "injection_1", "injection_2", "injection_3", "injection_4", "phone_call", "early_termination"}
	if diff := cmp.Diff(order, names); diff != "" {
		t.Errorf("protocol order: %s", diff)
	}
	day := func(text string) study.Date { d, _ := study.ParseDate(text); return d }
	for i, want := range []study.ProtocolVersion{
		{Version: "3.0", Effective: study.NoDate},
		{Version: "4.0", Effective: day("2026-03-01"), Sites: map[string]study.Date{"site-b": day("2026-04-15"), "site-c": study.NoDate}},
		{Version: "5.0", Effective: day("2026-06-01")},
	} {
		got := s.Versions[i]
		if len(got.Visits) != len(s.Visits) {
			t.Fatalf("version %s has %d visits beside %d", got.Version, len(got.Visits), len(s.Visits))
		}
		got.Visits = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if s.Protocol.Version != "5.0" {
		t.Errorf("the newest version is %q", s.Protocol.Version)
	}
	type rule struct {
		Label              string
		Day, Before, After int
		Days               study.DayConvention
		Absent             bool
	}
	for _, want := range []struct {
		visit    string
		versions [3]rule
	}{
		{"month_3", [3]rule{{"Month 3", 90, 14, 21, "", false}, {"Month 3", 90, 7, 7, "", false}, {"Third month", 90, 7, 7, "", false}}},
		{"month_4", [3]rule{{"", 120, 7, 7, "", true}, {"", 120, 7, 7, "", false}, {"", 120, 7, 7, "", false}}},
		{"month_6", [3]rule{{"Month 6", 180, 21, 30, "", false}, {"Month 6", 180, 21, 30, "", true}, {"Month 6", 180, 21, 30, "", true}}},
		{"injection_2", [3]rule{{"Injection 2", 57, 3, 3, "cdisc", false}, {"Injection 2", 57, 3, 3, "cdisc", false}, {"Dose 2", 58, 3, 3, "elapsed", false}}},
		{"injection_4", [3]rule{{"Dose 4", 118, 0, 0, "elapsed", true}, {"Dose 4", 118, 0, 0, "elapsed", true}, {"Dose 4", 118, 0, 0, "elapsed", false}}},
	} {
		i := s.VisitIndex(want.visit)
		for k, version := range s.Versions {
			v := version.Visits[i]
			if diff := cmp.Diff(want.versions[k], rule{v.Label, v.Day, v.Before, v.After, v.Days, v.Absent}); diff != "" || v.Name != want.visit {
				t.Errorf("%s in version %s: %s", want.visit, version.Version, diff)
			}
		}
		if s.Visits[i].Absent {
			t.Errorf("%s is absent from the study", want.visit)
		}
	}
	first := s.Visits[s.VisitIndex("injection_1")]
	if first.MaxDays != 5 || first.Anchor != "informed_consent.consented_on" || !s.Visits[s.VisitIndex("phone_call")].Repeats {
		t.Errorf("%+v", first)
	}
}

func TestWindowsOverlapOnlyWhereVisitsArePlacedByDate(t *testing.T) {
	const protocol = `study: s
timezone: UTC
enrolment: first_seen
consent: external
protocol: {version: "1"}
visits:
  - {name: baseline, day: 0, window: [0, 0], forms: [f]}
  - {name: a, day: 30, window: [-7, 7], forms: [f]}
  - {name: b, day: 44, window: [-6, 7], forms: [f]}
  - {name: other, day: 30, window: [-7, 7], anchor: a, forms: [f]}
amendments: [{version: "2", effective: 2026-01-01, visits: [{name: b, window: [-7, 7]}]}]
forms: {f: {fields: [{name: x, type: integer, class: clinical}]}}
---
source: a
study: s
connector: {type: folder, path: x}
map: {participant: {column: ID, namespace: n}, visit_date: {column: D}, visit: {`
	const end = `}, forms: {f: {fields: {x: {column: X}}}}}
`
	if _, findings := Load(write(t, protocol+"column: V"+end), options(nil)); len(findings) > 0 {
		t.Errorf("placed by name:\n%s", print(findings))
	}
	_, findings := Load(write(t, protocol+"by: date"+end), options(nil))
	if len(findings) != 1 || findings[0].Severity != Warning || findings[0].Line != 11 ||
		findings[0].Message != `source a places visits by date, and the windows of a and b share day 37 in version "2" of the protocol` {
		t.Errorf("placed by date:\n%s", print(findings))
	}
}
