package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longitude/study"
)

// policied is a study whose fields, hierarchies and policy can be varied.
const policied = `study: s
timezone: UTC
enrolment: first_seen
consent: external
forms:
  f:
    log: true
    fields:
      - {name: age, type: integer, class: quasi, release: {generalise: ages}}
      - {name: race, type: choice, choices: ["1", "2", "3"], class: quasi, release: {generalise: race}}
      - {name: zip, type: zip, class: quasi}
      - {name: weight, type: "decimal(4,1)", class: clinical, release: {clip: [30, 150.5]}}
      - {name: seen_at, type: datetime, class: date, release: keep}
      - {name: note, type: text, class: free_text, release: has_text}
deidentification:
  profile: expert
  pseudonym: random
  dates: shift
  whole_weeks: true
  truncate: true
  min_site: 10
  min_release_interval: 7d
  hierarchies:
    ages: [keep, {band: 5}, {band: 10}, drop]
    race: [{groups: {one: ["1"], other: ["2", "3"]}}, drop]
  risk: {k: 11, l: 2, max_risk: 9%, suppress_max: 0.05, quasi: [site, f.age], sensitive: [f.race], on_failure: warn}
  expert_determination: {document: opinion.txt, expert: Dr A. Example, date: 2026-01-01, expires: 2028-01-01, sha256: DIGEST}
---
source: a
study: s
connector: {type: sftp, path: "/in/*.csv", private_key: "${file:key}"}
map: {participant: {column: ID, namespace: n}, forms: {f: {occurrence: {value: "1"}, fields: {zip: {column: ZIP, format: numeric}}}}}
`

const opinion = "The risk is very small.\n"

func loadPolicied(t *testing.T, change ...string) (*Config, []Finding) {
	t.Helper()
	sum := sha256.Sum256([]byte(opinion))
	text := strings.ReplaceAll(policied, "DIGEST", hex.EncodeToString(sum[:]))
	if len(change) > 0 {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the study does not say %q", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	dir := write(t, text)
	if err := os.WriteFile(filepath.Join(dir, "opinion.txt"), []byte(opinion), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(dir, options(nil))
}

func TestDeidentificationIsRead(t *testing.T) {
	c, findings := loadPolicied(t)
	if len(findings) > 0 {
		t.Fatal(print(findings))
	}
	s, d := c.Studies[0], func(text string) study.Date { d, _ := study.ParseDate(text); return d }
	sum := sha256.Sum256([]byte(opinion))
	want := study.DeidPolicy{Profile: "expert", Pseudonym: "random", Dates: "shift", WholeWeeks: true, Truncate: true, MissedLagDays: 30, MinReleaseInterval: 7, MinSite: 10,
		Hierarchies: []study.Hierarchy{
			{Name: "ages", Levels: []study.Level{{Keep: true}, {Band: 5}, {Band: 10}, {Drop: true}}},
			{Name: "race", Levels: []study.Level{{Groups: []study.Group{{Name: "one", Codes: []string{"1"}}, {Name: "other", Codes: []string{"2", "3"}}}}, {Drop: true}}},
		},
		Risk:   study.RiskPolicy{Quasi: []string{"site", "f.age"}, K: 11, L: 2, MaxRisk: 0.09, SuppressMax: 0.05, Sensitive: []string{"f.race"}, OnFailure: "warn"},
		Expert: study.Determination{Document: "opinion.txt", Expert: "Dr A. Example", Date: d("2026-01-01"), Expires: d("2028-01-01"), SHA256: hex.EncodeToString(sum[:])}}
	if diff := cmp.Diff(want, s.Deid); diff != "" {
		t.Error(diff)
	}
	for i, want := range []study.Treatment{{Action: study.Generalise, Hierarchy: "ages"}, {Action: study.Generalise, Hierarchy: "race"}, {},
		{Action: study.Clip, Low: "30", High: "150.5"}, {Action: study.Keep}, {Action: study.HasText}} {
		if got := s.Forms[0].Fields[i].Release; got != want {
			t.Errorf("%s is released as %+v, want %+v", s.Forms[0].Fields[i].Name, got, want)
		}
	}
}

// Each mistake is one error where it was made.
func TestDeidentificationIsChecked(t *testing.T) {
	for _, test := range []struct{ name, from, to, line, want string }{
		{"a treatment that the class forbids", "release: {clip: [30, 150.5]}", "release: zip3", "12:72", "cannot be released as zip3"},
		{"text that is kept", "class: free_text, release: has_text", "class: free_text, release: keep", "14:", "class free_text cannot be released as keep"},
		{"a date that is kept", "type: datetime, class: date", "type: date, class: date", "13:", "only a datetime or time"},
		{"rounding a code", "release: {generalise: race}", "release: {round: 5}", "10:", "has no number to round"},
		{"rounding to nothing", "release: {clip: [30, 150.5]}", "release: {round: 0}", "12:", "above 0"},
		{"clipping backwards", "clip: [30, 150.5]", "clip: [150, 30]", "12:", "ends before it begins"},
		{"clipping with one end", "clip: [30, 150.5]", "clip: [30]", "12:", "two ends"},
		{"two treatments", "{clip: [30, 150.5]}", "{clip: [30, 150.5], round: 5}", "12:", "one treatment"},
		{"an unknown treatment", "release: has_text", "release: has_txt", "14:", `cannot be "has_txt"`},
		{"an unknown hierarchy", "generalise: ages", "generalise: age", "9:", `no hierarchy "age"`},
		{"bands of codes", "generalise: race", "generalise: ages", "10:", "does not fall in bands"},
		{"groups of numbers", "generalise: ages", "generalise: race", "9:", "has no codes to group"},
		{"a code in no group", `other: ["2", "3"]`, `other: ["2"]`, "10:", "leave out 3"},
		{"a code in two groups", `other: ["2", "3"]`, `other: ["1", "2", "3"]`, "", `"1" is in two groups`},
		{"a group of an unknown code", `other: ["2", "3"]`, `other: ["2", "3", "4"]`, "10:", `no choice "4"`},
		{"keep that is not first", "[keep, {band: 5}", "[{band: 5}, keep", "24:", "comes first"},
		{"drop that is not last", "{band: 10}, drop]", "drop, {band: 10}]", "24:", "comes last"},
		{"bands that part what finer ones join", "{band: 10}", "{band: 8}", "24:", "parts what a finer one joins"},
		{"groups that part what finer ones join", `"3"]}}, drop]`, `"3"]}}, {groups: {a: ["1", "2"], b: ["3"]}}, drop]`, "25:", "parts what a finer one joins"},
		{"a band of one", "{band: 5}", "{band: 1}", "24:", "at least 2 wide"},
		{"a ZIP code as clinical", "type: zip, class: quasi", "type: zip, class: clinical", "11:", "it is a place"},
		{"a layout of ZIP codes", "format: numeric", "format: 01/2006", "32:", "can only be numeric"},
		{"truncation without shift", "dates: shift\n  whole_weeks: true", "dates: year", "", "about shifted dates"},
		{"an interval of hours", "7d", "36h", "22:", "whole days"},
		{"a negative site", "min_site: 10", "min_site: -1", "21:", "cannot be negative"},
		{"k of one", "k: 11", "k: 1", "26:", "at least 2"},
		{"no k", "k: 11, ", "", "26:", "k is missing"},
		{"a gate of an unknown field", "f.age]", "f.aeg]", "26:", `no field "f.aeg"`},
		{"an unknown consequence", "on_failure: warn", "on_failure: ignore", "26:", `cannot be "ignore"`},
		{"another document", "document: opinion.txt", "document: config.yaml", "27:", "not the one with this digest"},
		{"no document", "document: opinion.txt", "document: opinion.pdf", "27:", "cannot be read"},
		{"no digest", "sha256: ", "sha256: x", "27:", "64 hexadecimal digits"},
		{"expired before made", "expires: 2028", "expires: 2025", "27:", "before it was made"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, findings := loadPolicied(t, test.from, test.to)
			if len(findings) != 1 || findings[0].Severity != Error || !strings.Contains(findings[0].Message, test.want) ||
				!strings.HasPrefix(fmt.Sprintf("%d:%d", findings[0].Line, findings[0].Column), test.line) {
				t.Errorf("want one error at %s about %q, got\n%s", test.line, test.want, print(findings))
			}
		})
	}
}
