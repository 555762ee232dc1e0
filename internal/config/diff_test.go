package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longitude/study"
)

// whole is the config that says everything.
func whole(t *testing.T) *Config {
	t.Helper()
	c, findings := Load("testdata/complete", options(map[string]string{"DATABASE_URL": "x"}))
	if Failed(findings) {
		t.Fatal(print(findings))
	}
	return c
}

func TestNothingChangesWhereNothingChanged(t *testing.T) {
	for _, dir := range []string{"../../configs", "testdata/complete"} {
		a, _ := Load(dir, options(nil))
		b, _ := Load(dir, options(nil))
		for i := range a.Studies {
			if changes := Compare(a.Studies[i], b.Studies[i], 0); len(changes) > 0 {
				t.Errorf("study %s: %v", a.Studies[i].Name, changes)
			}
		}
		for i := range a.Sources {
			if changes := CompareSources(&a.Sources[i].Source, &b.Sources[i].Source); len(changes) > 0 {
				t.Errorf("source %s: %v", a.Sources[i].Name, changes)
			}
		}
	}
}

// silent are the fields whose change alone is no change of what the document means.
var silent = []*regexp.Regexp{
	regexp.MustCompile(`\.Digest$`),                                       // of the text, which may change in nothing but a comment
	regexp.MustCompile(`^Study\.Visits`),                                  // say again what Versions say
	regexp.MustCompile(`^Study\.Protocol\.Version$`),                      // that of the last of Versions
	regexp.MustCompile(`^Study\.Versions\[[1-9]\]\.Visits\[\d+\]\.Name$`), // the visits of all versions are parallel
	regexp.MustCompile(`\.Facts\[\d+\]\.(Form|Field)$`),                   // indexes of what Name says
	regexp.MustCompile(`^Source\.Format\.Columns`),                        // follow from the mapping
}

// Every field of a study and of a source is compared: whoever adds one is told here.
func TestEveryFieldIsCompared(t *testing.T) {
	c := whole(t)
	old, changed := c.Studies[0], whole(t).Studies[0]
	mutate(t, "Study", reflect.ValueOf(changed).Elem(), func(path string) {
		if len(Compare(old, changed, 0)) == 0 {
			t.Errorf("a change of %s is not seen", path)
		}
	})
	if len(Compare(old, changed, 0)) > 0 {
		t.Error("the study was not put back as it was")
	}
	source, other := &c.Sources[0].Source, &whole(t).Sources[0].Source
	mutate(t, "Source", reflect.ValueOf(other).Elem(), func(path string) {
		if len(CompareSources(source, other)) == 0 {
			t.Errorf("a change of %s is not seen", path)
		}
	})
}

// mutate changes each value below v, one at a time, and puts it back after check.
func mutate(t *testing.T, path string, v reflect.Value, check func(path string)) {
	if slices.ContainsFunc(silent, func(r *regexp.Regexp) bool { return r.MatchString(path) }) {
		return
	}
	change := func(to reflect.Value) {
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		v.Set(to)
		check(path)
		v.Set(before)
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; meant(v, name) {
				mutate(t, path+"."+name, v.Field(i), check)
			}
		}
	case reflect.Slice:
		if v.Len() == 0 && v.Type().Elem().Kind() == reflect.Struct && !mayBeEmpty.MatchString(path) {
			t.Fatalf("testdata/complete has no %s", path)
		}
		for i := range v.Len() {
			mutate(t, fmt.Sprintf("%s[%d]", path, i), v.Index(i), check)
		}
		if v.Type().Elem().Kind() == reflect.String {
			change(reflect.Append(v.Slice3(0, v.Len(), v.Len()), reflect.ValueOf("more").Convert(v.Type().Elem())))
		}
	case reflect.Map:
		more := reflect.MakeMap(v.Type())
		for _, key := range v.MapKeys() {
			more.SetMapIndex(key, v.MapIndex(key))
		}
		more.SetMapIndex(reflect.ValueOf("more"), reflect.Zero(v.Type().Elem()))
		change(more)
	case reflect.String:
		change(reflect.ValueOf(v.String() + "x").Convert(v.Type()))
	case reflect.Bool:
		change(reflect.ValueOf(!v.Bool()))
	case reflect.Int, reflect.Int32, reflect.Int64:
		change(reflect.ValueOf(v.Int() + 1).Convert(v.Type()))
	case reflect.Float64:
		change(reflect.ValueOf(v.Float() + 0.5))
	default:
		t.Fatalf("%s has a kind that this test does not know", path)
	}
}

// mayBeEmpty are lists that not every part of testdata/complete has.
var mayBeEmpty = regexp.MustCompile(`\.Choices$|Forms\[\d\]\.Checks$|Visits\[\d+\]\.Forms$`)

// meant reports whether a field says anything, given what stands beside it.
func meant(v reflect.Value, field string) bool {
	visit, ok := v.Interface().(study.VisitType)
	if !ok {
		return true
	}
	switch {
	case visit.Absent:
		return field == "Absent"
	case field == "Before" || field == "After":
		return visit.HasWindow
	case field == "Day":
		return !visit.NoTarget
	}
	return true
}

const amendment = `  - {version: "2", effective: 2026-03-01, visits: [{name: month_3, label: Third month}]}
`

const plain = `study: s
title: A study
protocol: {id: P, version: "1"}
code_prefix: S
timezone: UTC
enrolment: first_seen
consent: external
deviations: {form_grace_days: 10, kinds: {late_entry: violation}}
visits:
  - {name: baseline, day: 0, window: [0, 0], forms: [vitals]}
  - {name: month_3, label: Month 3, number: 3, day: 90, window: [-14, 21], forms: {vitals: critical}}
amendments:
` + amendment + `forms:
  vitals:
    fields:
      - {name: weight, type: "decimal(4,1)", range: [2, 300], class: clinical}
      - {name: sex, type: choice, choices: {F: Female, M: Male}, class: quasi}
      - {name: note, type: text, class: free_text}
    checks: [{name: heavy, expr: weight < 500}]
---
source: a
study: s
connector: {type: sftp, path: x}
schedule: {cron: "@every 1h"}
map:
  participant: {column: ID, namespace: n}
  visit: {column: V, aliases: {M3: month_3}}
  visit_date: {column: D}
  forms: {vitals: {fields: {weight: {column: W}, sex: {column: S}}}}
`

func TestChangesInPlainWords(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"# nothing", "# a comment", ""},
		{"window: [-14, 21]", "window: [-7, 7]", "destructive visits.month_3.window: window of month_3: -14..21 days becomes -7..7 days"},
		{"day: 90", "day: 91", "destructive visits.month_3.day: target of month_3: day 90 becomes day 91"},
		{"label: Month 3", "label: Quarter", "additive visits.month_3.label: label of month_3: Month 3 becomes Quarter"},
		{"number: 3,", "", "replay visits.month_3.number: number of month_3: 3 becomes none"},
		{"number: 3,", "number: 3, aliases: [M3],", "additive visits.month_3.aliases: aliases of month_3: none becomes M3"},
		{"number: 3,", "number: 3, anchor: baseline,", ""},
		{"number: 3,", "number: 3, required: false,", "rejudge visits.month_3.required: expectation of month_3: required becomes optional"},
		{"forms: {vitals: critical}", "forms: [vitals]", "rejudge visits.month_3.forms: forms of month_3: vitals (critical) becomes vitals"},
		{"amendments:\n", "  - {name: month_6, day: 180, forms: [vitals]}\namendments:\n", "additive visits.month_6: visit month_6 is new"},
		{"name: baseline,", "name: first,", "destructive baseline: visit that windows count from: baseline becomes first\n" +
			"additive visits.first: visit first is new\ndestructive visits.baseline: visit baseline is removed"},
		{"forms:\n  vitals", "  - {version: \"3\", effective: 2026-09-01, visits: [{name: month_3, window: [-7, 7]}]}\nforms:\n  vitals",
			"additive amendments[3]: version 3 of the protocol, in force from 2026-09-01, is new"},
		{"amendments:\n", "amendments:\n  - {version: \"1b\", effective: 2026-02-01, visits: [{name: month_3, window: [-7, 7]}]}\n",
			"destructive amendments[1b]: version 1b of the protocol, in force from 2026-02-01, is new"},
		{"2026-03-01,", "2026-04-01,", "destructive amendments[2].effective: day on which version 2 takes effect: 2026-03-01 becomes 2026-04-01"},
		{"2026-03-01,", "2026-03-01, sites: {b: 2026-05-01, a: never},", "rejudge amendments[2].sites: sites that adopted version 2 otherwise: none becomes a never, b 2026-05-01"},
		{"label: Third month", "label: Third month, window: [-7, 7]", "destructive amendments[2].visits.month_3.window: window of month_3 in version 2: as before becomes -7..7 days"},
		{"visits: [{name: month_3, label: Third month}]", "retired: [month_3]", "destructive amendments[2].visits.month_3.retired: retirement of month_3 in version 2 is new\n" +
			"additive amendments[2].visits.month_3.label: label of month_3 in version 2: Third month becomes as before"},
		{"form_grace_days: 10", "form_grace_days: 3", "rejudge deviations.form_grace_days: days until a form is missing: 10 becomes 3"},
		{"{late_entry: violation}", "{}", "rejudge deviations.kinds: kinds: late_entry is a violation becomes none"},
		{"form_grace_days: 10", "form_grace_days: 10, visit_out_of_window: block", "destructive deviations.visit_out_of_window: policy for visits outside their windows: accept becomes block"},
		{"code_prefix: S", "code_prefix: T", "destructive code_prefix: prefix of participant codes: S becomes T"},
		{"title: A study", "title: The study", "additive title: title: A study becomes The study"},
		{"decimal(4,1)", "decimal(6,2)", "additive forms.vitals.fields.weight.type: type of vitals.weight: decimal(4,1) becomes decimal(6,2)"},
		{"decimal(4,1)", "decimal(4,2)", "destructive forms.vitals.fields.weight.type: type of vitals.weight: decimal(4,1) becomes decimal(4,2)"},
		{"[2, 300]", "[20, 300]", "rejudge forms.vitals.fields.weight.range: range of vitals.weight: from 2 to 300 becomes from 20 to 300"},
		{"[2, 300]", "{gt: 2, le: 300}, severity: {range: reject}", "destructive forms.vitals.fields.weight.range: range of vitals.weight: from 2 to 300 becomes more than 2 to 300\n" +
			"destructive forms.vitals.fields.weight.severity.range: severity of the range of vitals.weight: flag becomes reject"},
		{"[2, 300]", "[2, 300], severity: {range: note}", "rejudge forms.vitals.fields.weight.severity.range: severity of the range of vitals.weight: flag becomes note"},
		{"{F: Female, M: Male}", "{F: Female}", "destructive forms.vitals.fields.sex.choices[M]: choice M of vitals.sex is removed"},
		{"{F: Female, M: Male}", "{M: Male, F: Female, X: Other}", "additive forms.vitals.fields.sex.choices[X]: choice X of vitals.sex is new"},
		{"      - {name: note, type: text, class: free_text}\n", "", "destructive forms.vitals.fields.note: field vitals.note is removed"},
		{"    checks: [", "      - {name: pulse, type: integer, class: clinical}\n    checks: [", "additive forms.vitals.fields.pulse: field vitals.pulse is new"},
		{"    checks: [", "      - {name: pulse, type: integer, class: clinical, required: true, severity: reject}\n    checks: [", "destructive forms.vitals.fields.pulse: field vitals.pulse is new"},
		{"type: text, class: free_text", "type: text, class: attachment", "none forms.vitals.fields.note.class: class of vitals.note: free_text becomes attachment"},
		{"class: quasi", "class: direct_identifier", "destructive forms.vitals.fields.sex.class: class of vitals.sex: quasi becomes direct_identifier"},
		{"weight < 500", "weight < 400", "rejudge forms.vitals.checks.heavy.expr: check heavy of vitals: weight < 500 becomes weight < 400"},
		{"column: W", "column: WT", "replay map.forms.vitals.fields.weight.pick: what feeds vitals.weight: {column: W} becomes {column: WT}"},
		{", sex: {column: S}", "", "replay map.forms.vitals.fields.sex: mapping of vitals.sex is removed"},
		{"namespace: n", "namespace: m", "destructive map.participant.namespace: namespace of the identifiers: n becomes m"},
		{"{M3: month_3}", "{}", `replay map.visit.aliases: words for visits: {"M3": month_3} becomes none`},
		{"@every 1h", "@every 2h", "none schedule.cron: schedule: @every 1h becomes @every 2h"},
		{"connector:", "max_removed: 50%\nconnector:", "none max_removed: share of records that may vanish at once: 5% becomes 50%"},
		{"connector:", "precedence: 3\nconnector:", "none precedence: precedence among sources that disagree: 0 becomes 3"},
		{"connector:", "snapshot: complete\nconnector:", "destructive snapshot: what absence means: incremental becomes complete"},
	} {
		old, now := read(t, plain), read(t, strings.Replace(plain, test.from, test.to, 1))
		changes := append(Compare(old.Studies[0], now.Studies[0], 0), CompareSources(&old.Sources[0].Source, &now.Sources[0].Source)...)
		var got []string
		for _, c := range changes {
			got = append(got, fmt.Sprintf("%s %s: %s", c.Class, c.Path, c.Text))
		}
		if diff := cmp.Diff(test.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s → %s\n%s", test.from, test.to, diff)
		}
	}
}

// read loads text, which has no mistakes.
func read(t *testing.T, text string) *Config {
	t.Helper()
	opt := options(nil)
	opt.CheckExpr = nil
	c, findings := Load(write(t, text), opt)
	if Failed(findings) {
		t.Fatal(print(findings))
	}
	return c
}

func documents(c *Config) []Document { return c.Documents(c.Studies[0].Name) }

// An amendment that is in force already where it is new judges visits again that
// another version has judged.
func TestAmendmentInThePast(t *testing.T) {
	old := read(t, plain)
	for text, want := range map[string]map[string]Class{
		`  - {version: "3", effective: 2026-09-01, visits: [{name: month_3, window: [-7, 7]}]}`: {
			"2026-08-31": Additive, "2026-09-01": Destructive, "2026-09-02": Destructive},
		`  - {version: "3", effective: 2026-09-01, sites: {b: 2026-08-01}, visits: [{name: month_3, window: [-7, 7]}]}`: {
			"2026-07-31": Additive, "2026-08-01": Destructive},
		`  - {version: "3", effective: 2026-09-01, sites: {b: never}, visits: [{name: month_3, window: [-7, 7]}]}`: {"2026-08-31": Additive},
	} {
		now := read(t, strings.Replace(plain, "forms:\n  vitals", text+"\nforms:\n  vitals", 1))
		for day, class := range want {
			today, _ := study.ParseDate(day)
			if changes := Compare(old.Studies[0], now.Studies[0], today); len(changes) != 1 || changes[0].Class != class {
				t.Errorf("%s on %s: %+v, want %s", text, day, changes, class)
			}
		}
	}
}

func TestPlan(t *testing.T) {
	old := documents(read(t, plain))
	plan := func(recorded []Document, text string) Plan {
		t.Helper()
		p, _ := NewPlan(recorded, documents(read(t, text)), Options{})
		return p
	}
	if p := plan(old, plain); len(p) > 0 {
		t.Errorf("nothing changed: %v", p)
	}
	comment := plan(old, strings.Replace(plain, "title:", "# words\ntitle:", 1))
	if len(comment) != 1 || comment[0].Kind != "study" || Gravest(comment[0].Changes) != NoEffect || comment[0].Old == comment[0].New ||
		comment[0].Changes[0].Text != "comments or layout changed" {
		t.Errorf("a comment: %v", comment)
	}
	both := plan(old, strings.NewReplacer("[-14, 21]", "[-7, 7]", "column: W", "column: WT").Replace(plain))
	if len(both) != 2 || both[0].Name != "s" || Gravest(both[0].Changes) != Destructive || both[1].Name != "a" || Gravest(both[1].Changes) != Replay {
		t.Errorf("two documents: %v", both)
	}
	if PlanHash(both) != PlanHash(plan(old, strings.NewReplacer("[-14, 21]", "[-7, 7]", "column: W", "column: WT").Replace(plain))) {
		t.Error("the same plan has two hashes")
	}
	if PlanHash(both) == PlanHash(plan(old, strings.NewReplacer("[-14, 21]", "[-7, 8]", "column: W", "column: WT").Replace(plain))) {
		t.Error("two plans have the same hash")
	}
	if p := plan(nil, plain); len(p) != 2 || Gravest(p[0].Changes) != Additive || p[0].Changes[0].Text != "study s is new" {
		t.Errorf("the first time: %v", p)
	}
	p, _ := NewPlan(old, old[:1], Options{})
	if len(p) != 1 || !p[0].New.IsZero() || p[0].Changes[0].Class != NoEffect {
		t.Errorf("a source is gone: %v", p)
	}
	if p, _ = NewPlan(old, old[1:], Options{}); !slices.ContainsFunc(p, func(d DocumentChange) bool { return Gravest(d.Changes) == Destructive }) {
		t.Errorf("a study is gone: %v", p)
	}
	days := plan(old, strings.NewReplacer("visit_date:", "visit_day:", "amendments:", "", amendment, "").Replace(plain))
	if len(days) != 2 || !slices.ContainsFunc(days[0].Changes, func(c Change) bool { return c.Path == "calendar" }) || Gravest(days[1].Changes) != Destructive {
		t.Errorf("days instead of dates: %v", days)
	}
	broken := []Document{{Kind: "study", Name: "s", Body: "study: [", Digest: study.Digest{1}}, old[1]}
	if p := plan(broken, plain); len(p) == 0 || Gravest(p[0].Changes) != Destructive {
		t.Errorf("what was recorded cannot be read: %v", p)
	}
}

func TestReadToleratesKeysOfOtherVersions(t *testing.T) {
	body, _, _ := strings.Cut(plain, "---\n")
	s, source, findings := Read("study", strings.Replace(body, "title:", "telepathy: true\ntitle:", 1), Options{})
	if s == nil || source != nil || s.Title != "A study" || len(findings) != 1 || findings[0].Code != "config.unknown_key" || findings[0].Line != 2 {
		t.Errorf("%v %v %v", s, source, findings)
	}
	_, rest, _ := strings.Cut(plain, "---\n")
	s, source, findings = Read("source", rest, Options{})
	if s != nil || source == nil || source.Map.Namespace != "n" || len(findings) > 0 {
		t.Errorf("%v %v %v", s, source, findings)
	}
	if s, source, findings = Read("study", "\tno", Options{}); s != nil || source != nil || !Failed(findings) {
		t.Errorf("%v %v %v", s, source, findings)
	}
}

// FuzzCompare: any two documents can be compared, and one without mistakes does not
// differ from itself.
func FuzzCompare(f *testing.F) {
	for _, file := range []string{"testdata/complete/all.yaml", "testdata/broken/protocol.yaml", "testdata/broken/mapping.yaml"} {
		text, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			f.Fatal(err)
		}
		for _, d := range splitDocuments(file, string(text)) {
			f.Add(strings.Join(d.lines, "\n"))
		}
	}
	f.Add(plain)
	whole, _, _ := strings.Cut(plain, "---\n")
	base, _, _ := Read("study", whole, Options{})
	f.Fuzz(func(t *testing.T, body string) {
		s, source, findings := Read("study", body, Options{})
		if s != nil {
			Compare(base, s, 0)
			if changes := Compare(s, s, 0); len(changes) > 0 && !Failed(findings) {
				t.Error(changes)
			}
		}
		if source != nil {
			if changes := CompareSources(source, source); len(changes) > 0 && !Failed(findings) {
				t.Error(changes)
			}
		}
	})
}
