package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One mistake makes one finding, where it was made.
func TestOneMistakeOneFinding(t *testing.T) {
	const protocol = `study: s
timezone: Europe/London
protocol: {version: "1"}
enrolment: first_seen
consent: external
deviations: {late_entry_days: 14, form_grace_days: 10}
visits:
  - {name: baseline, day: 0, window: [0, 0], forms: {vision: required}}
  - {name: month_1, day: 30, window: [-7, 14], max_days: 3, forms: {vision: required}}
  - {name: month_3, day: 90, window: [-7, 14], forms: {vision: required}}
forms:
  vision:
    repeats: {by: eye}
    fields:
      - {name: eye, type: choice, choices: [R, L], class: clinical}
      - {name: iop, type: integer, class: clinical}
`
	const source = `source: drop
study: s
connector: {type: folder, path: ../in}
format: {type: csv}
map:
  participant: {column: ID, namespace: n}
  visit: {column: VISIT, by: name}
  visit_date: {column: DATE}
  forms:
    vision: {fields: {eye: {column: EYE}, iop: {column: IOP}}}
`
	for _, c := range []struct{ name, from, to, file, want string }{
		{"nothing wrong", "", "", "", ""},
		{"a day beyond reckoning", "day: 30", "day: 3000000000", "study.yaml:9", "3000000000 days"},
		{"a window beyond reckoning", "[-7, 14], max", "[-7, 3000000000], max", "study.yaml:9", "3000000000 days"},
		{"a reach beyond reckoning", "max_days: 3", "max_days: 100001", "study.yaml:9", "100001 days"},
		{"a grace beyond reckoning", "form_grace_days: 10", "form_grace_days: 3000000000", "study.yaml:6", "3000000000 days"},
		{"as far as can be reckoned", "day: 30", "day: 99999", "", ""},
		{"no YAML in the study", "timezone: ", "\ttimezone: ", "study.yaml:2", "not valid YAML"},
		{"a retired anchor of two visits", "forms:\n  vision:\n", "amendments:\n  - {version: \"2\", effective: 2026-01-01, retired: [baseline]}\nforms:\n  vision:\n", "study.yaml:12", "baseline is retired, and month_1 still counts from it"},
		{"half a pivot", "vision: {fields", "vision: {pivot: {code: T}, fields", "source.yaml:10", "value is missing"},
		{"sealed repeats", "[R, L], class: clinical", "[R, L], class: direct_identifier", "study.yaml:13", "which is sealed"},
		{"numbers that no visit has", "by: name", "by: number", "source.yaml:7", "no visit of the study has one"},
	} {
		dir := t.TempDir()
		for file, text := range map[string]string{"study.yaml": protocol, "source.yaml": source} {
			if c.from != "" {
				text = strings.Replace(text, c.from, c.to, 1)
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, findings := Load(dir, options(nil))
		got := print(findings)
		switch {
		case c.want == "" && len(findings) == 0:
		case c.want != "" && len(findings) == 1 && strings.Contains(got, c.file+":") && strings.Contains(got, c.want):
		default:
			t.Errorf("%s: want %s %q, got\n%s", c.name, c.file, c.want, got)
		}
	}
}
