package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longitude/study"
)

var update = flag.Bool("update", false, "rewrite golden files")

// password is a secret as a connector has one.
type password struct{ resolve func() (string, error) }

func (p *password) SetReference(resolve func() (string, error)) { p.resolve = resolve }

// drop is the config of a connector, with every kind of key that connectors use.
type drop struct {
	Address    string   `yaml:"address"`
	User       string   `yaml:"user"`
	PrivateKey password `yaml:"private_key"`
	Password   password `yaml:"password"`
	HostKey    string   `yaml:"host_key"`
	KnownHosts string   `yaml:"known_hosts"`
	Path       string   `yaml:"path"`
	Ready      struct {
		Marker    string        `yaml:"marker"`
		StableFor time.Duration `yaml:"stable_for"`
	} `yaml:"ready"`
	After string `yaml:"after"`
}

func options(env map[string]string) Options {
	spec := OwnKeys{
		New: func() any { return &drop{After: "keep"} },
		Validate: func(config any) (found []KeyFinding) {
			c := config.(*drop)
			if c.Path == "" {
				found = append(found, KeyFinding{"path", "no files named", "write path: /outgoing/*.csv"})
			}
			if c.Ready.Marker != "" && c.Ready.StableFor > 0 {
				found = append(found, KeyFinding{"ready.marker", "one of the two", ""})
			}
			return found
		},
	}
	return Options{
		Connectors: map[string]OwnKeys{"sftp": spec, "folder": spec},
		Sinks: map[string]OwnKeys{
			"local": {New: func() any { return &struct{}{} }, Validate: func(any) []KeyFinding { return nil }},
			"gcs": {New: func() any { return &cloud{} }, Validate: func(config any) []KeyFinding {
				if config.(*cloud).Location == "" {
					return []KeyFinding{{"location", "not a place", "write it like gs://bucket"}}
				}
				return nil
			}},
		},
		Formats: map[string]func(study.FormatSpec) map[string]string{"csv": func(f study.FormatSpec) map[string]string {
			if f.Escape == "slash" {
				return map[string]string{"escape": "must be double or backslash"}
			}
			if f.Encoding == "klingon" {
				return map[string]string{"encoding": "unknown encoding"}
			}
			return nil
		}},
		CheckExpr: func(fields []string, expr string) string {
			if word, _, _ := strings.Cut(expr, " "); !slices.Contains(fields, word) && !strings.Contains(expr, "null") {
				return fmt.Sprintf("unknown name %q", word)
			}
			return ""
		},
		CheckCross: func(forms map[string][]string, expr string) string {
			word, _, _ := strings.Cut(expr, " ")
			if form, field, _ := strings.Cut(word, "."); !slices.Contains(forms[form], field) {
				return fmt.Sprintf("unknown name %q", word)
			}
			return ""
		},
		CheckPick: func(expr string) string {
			if !strings.Contains(expr, "col(") {
				return "no column is read"
			}
			return ""
		},
		CheckUnits: func(from, to string) string {
			if from == "parsec" {
				return fmt.Sprintf("%s cannot become %s", from, to)
			}
			return ""
		},
		Getenv: func(name string) string { return env[name] },
	}
}

func print(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

func TestExamplesLoadWithoutFindings(t *testing.T) {
	for _, dir := range []string{"amd", "studies/moorfields", "studies/cdisc-pilot", "studies"} {
		c, findings := Load(filepath.Join("../../configs", dir), options(nil))
		if len(findings) > 0 {
			t.Errorf("%s:\n%s", dir, print(findings))
		}
		if len(c.Studies) == 0 || len(c.Sources) == 0 {
			t.Errorf("%s: %d studies and %d sources", dir, len(c.Studies), len(c.Sources))
		}
	}
}

func TestBrokenFolderGivesEveryFinding(t *testing.T) {
	_, findings := Load("testdata/broken", options(nil))
	got := print(findings)
	const golden = "testdata/broken.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
	for _, literal := range []string{"hunter", "pass-in-url", "not-shown"} {
		if strings.Contains(got, literal) {
			t.Errorf("a finding shows a literal secret (%s…)", literal)
		}
	}
}

func TestEveryKeyOfTheContractIsAccepted(t *testing.T) {
	c, findings := Load("testdata/complete", options(map[string]string{"DATABASE_URL": "postgres:///x"}))
	for _, f := range findings {
		if f.Severity == Error {
			t.Error(f)
		} else if f.Code != "config.no_effect" {
			t.Errorf("unexpected warning: %v", f)
		}
	}
	if len(c.Studies) != 1 || len(c.Sources) != 1 {
		t.Fatalf("%d studies and %d sources", len(c.Studies), len(c.Sources))
	}
	s, source := c.Studies[0], c.Sources[0]
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("window", s.Visits[1], study.VisitType{Name: "month_1", Label: "Month 1", Number: "2", Aliases: []string{"M1"}, Day: 30,
		Before: 7, After: 14, HasWindow: true, Required: true,
		Forms: []study.VisitForm{{Form: "visual_acuity", Critical: true}, {Form: "adverse_events"}, {Form: "medications", Optional: true}}})
	check("no target", s.Visits[s.VisitIndex("early_termination")], study.VisitType{Name: "early_termination", NoTarget: true})
	acuity := s.Forms[s.FormIndex("visual_acuity")]
	check("decimal in braces", acuity.Fields[2], study.Field{Name: "iop_mmhg", Label: "Intraocular pressure", Type: study.Decimal,
		Precision: 4, Scale: 1, Min: "0", Max: "80", Unit: "mmHg", Class: study.Clinical})
	check("choices keep their order", acuity.Fields[0].Choices, []study.ChoiceItem{{Code: "R", Label: "Right"}, {Code: "L", Label: "Left"}})
	check("repeats", acuity.Expect, []string{"R", "L"})
	check("missed lag", s.Deid.MissedLagDays, 14)
	check("schedule", source.Schedule, study.Schedule{Cron: "*/15 * * * *", Timezone: "Europe/Dublin", Jitter: 30 * time.Second, CatchUp: "latest"})
	check("retry", source.Retry, study.Retry{Attempts: 3, Initial: time.Second, Max: time.Minute})
	check("format", source.Format, study.FormatSpec{Type: "csv", Delimiter: ";", Quote: "'", Escape: "backslash", Comment: "#", SkipLines: 2,
		Encoding: "auto", Names: []string{"PATIENT_ID", "VISIT"}, DecimalMark: ",", Table: "AE", Records: "/data"})
	check("snapshot", source.Snapshot, study.Snapshot{Kind: study.CompleteByName, MaxRemoved: 0.1})
	check("precedence", source.Precedence, int32(2))
	check("limit", source.MaxRejected, study.Limit{Share: 0.05})
	check("status", source.Map.Status, study.Pick{Column: "STATUS", Values: map[string]string{"finished": "completed"}})
	check("removal", []any{source.Map.Deleted, source.Map.DeletedValues}, []any{study.Pick{Column: "REMOVED"}, []string{"1"}})
	check("repeat", source.Map.VisitRepeat, study.Pick{Column: "VISIT_NO"})
	check("unit", source.Map.Forms[0].Fields[2].Pick, study.Pick{Column: "IOP", Unit: "kPa", Trim: true})
	check("expression", source.Map.Forms[0].Fields[4].Pick, study.Pick{Expr: `trim(col("NOTES"))`})
	check("pivot, short", source.Map.Forms[1].Pivot, study.Pivot{Code: study.Pick{Column: "TESTCD"}, Value: study.Pick{Column: "RESULT"}})
	check("pivot, long", source.Map.Forms[2].Pivot, study.Pivot{Code: study.Pick{Column: "QNAM", Trim: true}, Value: study.Pick{Column: "QVAL"}})
	check("kinds", s.Deviations, study.DeviationPolicy{LateEntryDays: 14, FormGraceDays: 10, VisitOutOfWindow: "accept", PlannedOutOfWindow: "block",
		Kinds: map[string]study.DeviationKind{study.LateEntry: study.IsViolation}})
	check("facts", s.Facts, []study.FactSource{{Name: "informed_consent.consented_on", Kind: study.EventFact},
		{Name: "demographics.sex", Kind: study.SexFact, Form: 1, Field: 1}, {Name: "demographics.birth_year", Kind: study.BirthYearFact, Form: 1}})
	check("cross checks", s.Checks, []study.CrossCheck{{Name: "dated_after_consent", On: s.FormIndex("medications"), Severity: study.Note,
		Expr: "medications.taken_at == null || informed_consent.consented_on != null"}})
	check("open end", s.Forms[3].Fields[0], study.Field{Name: "thickness_um", Type: study.Decimal, Precision: 6, Scale: 2, Required: true, Min: "0", Max: "900.5",
		MinOpen: true, Class: study.Clinical, Severity: study.FieldSeverity{Required: study.Reject, Range: study.Reject, Pattern: study.Reject}})
	check("severities", s.Forms[1].Fields[1].Severity, study.FieldSeverity{Choice: study.Flag, Type: study.Note})
	check("mapping", source.Map.Forms[0].Fields[1], study.FieldMapping{Field: "va", Pick: study.Pick{Column: "VA", Scale: "etdrs_letters",
		Missing: map[string]string{"-1": "not_done", "NA": "unknown"}}})
	check("constant", source.Map.Forms[0].Fields[3].Pick, study.Pick{Value: "ETDRS", Const: true})
	check("connector", source.ConnectorConfig.(*drop).Ready.StableFor, time.Minute)
	check("database", c.Service.Database.Vault, "postgres:///x")
	if s.Digest.IsZero() || source.Digest.IsZero() || s.Digest == source.Digest {
		t.Error("documents have no digests of their own")
	}
}

// write makes a config folder of one file.
func write(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const minimal = `study: s
timezone: UTC
enrolment: first_seen
consent: external
forms: {f: {log: true, fields: [{name: x, type: integer, class: clinical}]}}
---
source: a
study: s
connector: {type: sftp, path: "${env:DATA}/in/*.csv", private_key: "${file:key}"}
map: {participant: {column: ID, namespace: n}, forms: {f: {occurrence: {value: "1"}, fields: {x: {column: X}}}}}
`

func TestDefaults(t *testing.T) {
	dir := write(t, minimal)
	c, findings := Load(dir, options(map[string]string{"DATA": "/data"}))
	if len(findings) > 0 {
		t.Fatal(print(findings))
	}
	want := Service{DataDir: filepath.Join(dir, ".longitude"), Landing: "file:" + filepath.Join(dir, ".longitude/landing"),
		Keys: "file:" + filepath.Join(dir, ".longitude/keys"), Listen: "127.0.0.1:8080", AdminListen: "127.0.0.1:9090", ReceiveListen: "127.0.0.1:8081", Workers: 2}
	if diff := cmp.Diff(want, c.Service); diff != "" || !c.Service.Database.Local() {
		t.Errorf("service: %s", diff)
	}
	s, source := c.Studies[0], c.Sources[0]
	if diff := cmp.Diff(study.DeviationPolicy{LateEntryDays: 14, FormGraceDays: 10, VisitOutOfWindow: "accept", PlannedOutOfWindow: "flag"}, s.Deviations); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(study.DeidPolicy{Profile: "limited", Pseudonym: "derived", Dates: "study_day", MissedLagDays: 30,
		Expert: study.Determination{Date: study.NoDate, Expires: study.NoDate}}, s.Deid); diff != "" {
		t.Error(diff)
	}
	if s.CodePrefix != "S" || s.Days != study.Elapsed || s.Relative {
		t.Errorf("prefix %q, days %q, relative %v", s.CodePrefix, s.Days, s.Relative)
	}
	wanted := study.Source{Name: "a", Study: "s", Connector: "sftp", Schedule: study.Schedule{Timezone: "UTC", CatchUp: "latest"},
		Retry:    study.Retry{Attempts: 5, Initial: 2 * time.Second, Max: 5 * time.Minute},
		Format:   study.FormatSpec{Type: "csv", Delimiter: ",", Encoding: "auto", Header: true, DecimalMark: "."},
		Snapshot: study.Snapshot{Kind: study.Incremental, MaxRemoved: 0.05},
		Drift:    study.DriftPolicy{NewColumn: study.Evolve, MissingColumn: study.QuarantineDrift, TypeChange: study.QuarantineDrift},
		Map:      source.Map, Digest: source.Digest}
	if diff := cmp.Diff(wanted, source.Source); diff != "" {
		t.Error(diff)
	}
	if got := source.ConnectorConfig.(*drop); got.Path != "/data/in/*.csv" || got.After != "keep" {
		t.Errorf("connector: path %q, after %q", got.Path, got.After)
	}
}

func TestReferencesAreResolvedLate(t *testing.T) {
	dir := write(t, minimal)
	c, findings := Load(dir, options(nil))
	if Failed(findings) {
		t.Fatalf("validation needs no secret to exist:\n%s", print(findings))
	}
	missing := c.Resolve()
	if len(missing) != 2 || !strings.Contains(missing[0].Message, "DATA") || !strings.Contains(missing[1].Message, "does not exist") {
		t.Fatalf("missing references:\n%s", print(missing))
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("the key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := c.Sources[0].ConnectorConfig.(*drop).PrivateKey
	if text, err := key.resolve(); err != nil || text != "the key" {
		t.Errorf("secret %q, error %v", text, err)
	}
	if missing := c.Sources[0].Resolve(); len(missing) != 1 {
		t.Errorf("still missing:\n%s", print(missing))
	}
}

func TestDatabaseURLComesFromTheEnvironment(t *testing.T) {
	const url = "postgres://u:p@h/d"
	c, _ := Load(write(t, minimal), options(map[string]string{"DATABASE_URL": url}))
	if c.Service.Database.App != url {
		t.Error("DATABASE_URL was not used")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if strings.Contains(fmt.Sprintf(verb, c.Service), "u:p@") {
			t.Errorf("%s prints the password", verb)
		}
	}
	c, _ = Load(write(t, "service: {database: \"${env:ELSEWHERE}\"}\n"), options(nil))
	if c.Service.Database.Local() || len(c.ResolveService()) != 1 {
		t.Error("an unset variable must not mean the private local cluster")
	}
}

func TestDigestFollowsContentNotLayoutOfTheFile(t *testing.T) {
	digest := func(text string) study.Digest {
		c, findings := Load(write(t, text), options(nil))
		if Failed(findings) {
			t.Fatal(print(findings))
		}
		return c.Studies[0].Digest
	}
	first := digest(minimal)
	if digest(strings.ReplaceAll(minimal, "\n", "\r\n")) != first || digest("---\n\n"+minimal) != first {
		t.Error("line ends or a document marker changed the digest of a study")
	}
	if digest(strings.Replace(minimal, "UTC", "Europe/Rome", 1)) == first {
		t.Error("a changed study has the same digest")
	}
}

func TestRelativeCalendar(t *testing.T) {
	c, findings := Load("../../configs/studies/moorfields", options(nil))
	if Failed(findings) || !c.Studies[0].Relative || c.Sources[0].Map.VisitBy != "date" {
		t.Errorf("Moorfields counts days:\n%s", print(findings))
	}
	c, _ = Load("../../configs/studies/cdisc-pilot", options(nil))
	if c.Studies[0].Relative || c.Studies[0].VisitIndex("week_26") != 17 || !c.Studies[0].Visits[18].NoTarget {
		t.Error("the CDISC pilot has dates, 18 planned visits and one without a day")
	}
}

func TestFolderWithoutConfig(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "absent")} {
		if _, findings := Load(dir, options(nil)); !Failed(findings) || findings[0].Code != "config.io" {
			t.Errorf("%v", findings)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{"testdata/complete/all.yaml", "testdata/broken/study.yaml", "testdata/broken/source.yaml", "testdata/broken/syntax.yaml", "testdata/broken/kinds.yaml",
		"testdata/broken/protocol.yaml", "testdata/broken/mapping.yaml"} {
		text, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(minimal)
	f.Fuzz(func(t *testing.T, text string) {
		c, findings := Load(write(t, text), options(nil))
		for _, finding := range findings {
			if finding.Line < 1 || finding.Column < 1 || finding.Message == "" || !strings.HasPrefix(finding.Code, "config.") {
				t.Errorf("a finding without a place: %+v", finding)
			}
		}
		if c == nil {
			t.Error("no config")
		}
	})
}
