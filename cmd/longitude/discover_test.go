//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	edc "longitude/internal/edctest/redcap"
	"longitude/study"
)

const redcapToken = "0123456789ABCDEF0123456789ABCDEF"

// redcapTrial is a REDCap project of so many people with two timed visits, and a
// folder whose documents are what discover wrote of it, unchanged.
func redcapTrial(t *testing.T, people int) (*trial, *edc.Project, string) {
	p := &edc.Project{ID: 14, Title: "Made up", Scheduling: true,
		Fields: []edc.Field{
			{Name: "record_id", Form: "demographics", Type: "text"},
			{Name: "dob", Form: "demographics", Type: "text", Validation: "date_ymd", Identifier: "y"},
			{Name: "group", Form: "demographics", Type: "radio", Choices: "1, A | 2, B"},
			{Name: "visit_date", Form: "vitals", Type: "text", Validation: "date_ymd"},
			{Name: "sbp", Form: "vitals", Type: "text", Validation: "integer", Min: "40", Max: "300"},
			{Name: "grade", Form: "ae", Type: "radio", Choices: "1, mild | 2, severe"},
		},
		Forms:  []edc.Form{{Name: "demographics", Label: "Demographics"}, {Name: "vitals", Label: "Vitals"}, {Name: "ae", Label: "Adverse events"}},
		Arms:   []edc.Arm{{Num: 1, Name: "One"}},
		Events: []edc.Event{{Name: "Baseline", Unique: "baseline_arm_1", Arm: 1, ID: 1}, {Name: "Month 1", Unique: "month_1_arm_1", Arm: 1, ID: 2, DayOffset: 30, OffsetMin: 7, OffsetMax: 14}},
		Mappings: []edc.Mapping{{Arm: 1, Event: "baseline_arm_1", Form: "demographics"}, {Arm: 1, Event: "baseline_arm_1", Form: "vitals"},
			{Arm: 1, Event: "month_1_arm_1", Form: "vitals"}, {Arm: 1, Event: "month_1_arm_1", Form: "ae"}},
		Repeats: []edc.Repeat{{Event: "month_1_arm_1", Form: "ae"}}, Groups: []edc.Group{{Name: "North", Unique: "north", ID: 1}},
	}
	for i := range people {
		id := fmt.Sprintf("MRN-%03d", i)
		p.Put(id, "north", edc.Row{Event: "baseline_arm_1", Values: map[string]string{"dob": "1980-01-01", "group": "1", "demographics_complete": "2",
			"visit_date": "2026-01-01", "sbp": fmt.Sprint(100 + i), "vitals_complete": "2"}})
		p.Put(id, "", edc.Row{Event: "month_1_arm_1", Values: map[string]string{"visit_date": "2026-02-02", "sbp": fmt.Sprint(110 + i), "vitals_complete": "2"}})
		p.Put(id, "", edc.Row{Event: "month_1_arm_1", Instrument: "ae", Instance: 1, Values: map[string]string{"grade": "1", "ae_complete": "2"}})
	}
	address := edc.Start(t, edc.NewServer(p, redcapToken))
	dir := t.TempDir()
	t.Setenv("REDCAP_TOKEN", redcapToken)
	code := run(t.Context(), []string{"discover", "--type", "redcap", "--set", "url=" + address, "--set", "token=${env:REDCAP_TOKEN}", "--set", "timezone=UTC",
		"--set", "web.allow=[127.0.0.1]", "--set", "web.per_minute=0", "--set", "project_id=14", "--study", "made-up", "--write", dir}, t.Output(), t.Output())
	if code != study.ExitOK {
		t.Fatalf("discover: exit %d", code)
	}
	return newTrial(t, dir), p, dir
}

// What discover writes of a REDCap project runs it to a release, unchanged: visits
// are judged by the project's own windows, and what is deleted there goes.
func TestDiscoveredProjectIsReleased(t *testing.T) {
	x, p, _ := redcapTrial(t, 40)
	x.run(study.ExitOK, "check")
	x.run(study.ExitOK, "preview", "made-up-redcap")
	got := x.sync(study.ExitOK)
	if got.Counts.Accepted != 160 || got.Counts.Quarantined != 0 || got.Counts.RowsQuarantined != 0 {
		t.Fatalf("%+v", got.Counts)
	}
	if n := x.number("SELECT count(*) FROM research.visit_current WHERE visit_type = 'month_1_arm_1'"); n != 40 {
		t.Errorf("%d visits of month 1", n)
	}
	if got := x.sync(study.ExitOK).Counts; got != (study.Counts{}) && got.Accepted+got.Removed+got.Superseded != 0 {
		t.Errorf("pulled again: %+v", got)
	}
	p.Delete("MRN-007")
	p.DeleteRow("MRN-008", edc.Row{Event: "month_1_arm_1", Instrument: "ae", Instance: 1})
	p.Put("MRN-009", "", edc.Row{Event: "month_1_arm_1", Values: map[string]string{"sbp": "333"}})
	if got := x.sync(study.ExitOK).Counts; got.Removed != 5 || x.live() != 155 {
		t.Errorf("one record and one instance deleted: %+v, %d left", got, x.live())
	}
	if n := x.number(`SELECT count(*) FROM research.record_version WHERE version = 2 AND op = 'u'`); n != 1 {
		t.Errorf("%d records changed", n)
	}
	x.run(study.ExitOK, "release", "build")
	if said := x.said.String(); strings.Contains(said, "MRN-0") || strings.Contains(said, redcapToken) {
		t.Error("somebody was named, or the token was")
	}
}

// A record that is renamed in REDCap is held under its new name, and nothing of the
// old one goes, until a person says what it is.
func TestRenamedInREDCap(t *testing.T) {
	x, p, _ := redcapTrial(t, 30)
	x.sync(study.ExitOK)
	p.Rename("MRN-003", "MRN-777")
	for range 2 {
		x.sync(study.ExitOK)
		held := x.number("SELECT count(*) FROM research.hold_current WHERE code = 'identity_conflict'")
		if held != 4 || x.live() != 124 {
			t.Errorf("%d held, %d live", held, x.live())
		}
	}
}

// A source that is configured is compared with what it says now.
func TestDiscoverCompares(t *testing.T) {
	x, p, dir := redcapTrial(t, 1)
	if out, _ := x.run(study.ExitOK, "discover", "made-up-redcap", "--compare", "-o", "json"); strings.TrimSpace(out) != "null" && strings.TrimSpace(out) != "[]" {
		t.Errorf("nothing changed, and it says\n%s", out)
	}
	p.Fields = append(p.Fields, edc.Field{Name: "ae_on", Form: "ae", Type: "text", Validation: "date_ymd"})
	if out, _ := x.run(study.ExitOK, "discover", "made-up-redcap", "--compare"); !strings.Contains(out, "ae_on") {
		t.Errorf("a new field is not told\n%s", out)
	}
	out, _ := x.run(study.ExitOK, "discover", "made-up-redcap")
	for _, name := range []string{"study.yaml", "source.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		x.must(err)
		if want, _, _ := strings.Cut(string(text), "ae:"); !strings.Contains(out, want) {
			t.Errorf("%s is proposed otherwise", name)
		}
	}
	x.refused(study.ExitUsage, "discover.exists", nil, "discover", "made-up-redcap", "--write", dir)
	x.refused(study.ExitUsage, "usage.discover", nil, "discover")
	x.refused(study.ExitUsage, "usage.set", nil, "discover", "--type", "redcap", "--set", "url")
	x.refused(study.ExitUsage, "discover.format", []string{"redcap"}, "discover", "made-up-redcap", "--format", "csv")
}

// A source that only the command line names has no document: what is wrong is said
// of its keys, a secret's file starts where the documents will be, and a folder to
// write to is made.
func TestDiscoverFromTheCommandLine(t *testing.T) {
	p := &edc.Project{ID: 14, Title: "Made up", Forms: []edc.Form{{Name: "vitals"}},
		Fields: []edc.Field{{Name: "record_id", Form: "vitals", Type: "text"}, {Name: "sbp", Form: "vitals", Type: "text", Validation: "integer"}}}
	address, dir := edc.Start(t, edc.NewServer(p, redcapToken)), t.TempDir()
	discover := func(args ...string) (int, string) {
		var said bytes.Buffer
		code := run(t.Context(), append([]string{"discover", "--type", "redcap", "--set", "url=" + address, "--set", "web.allow=[127.0.0.1]", "--set", "timezone=UTC"}, args...), &said, &said)
		return code, said.String()
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a key mistyped":    {[]string{"--set", "token=${env:NONE}", "--set", "batsh=3"}, `unknown key "batsh"`},
		"no credential":     {nil, "token: no credential"},
		"no such variable":  {[]string{"--set", "token=${env:LONGITUDE_TEST_NONE}"}, "config.secret_missing"},
		"the secret itself": {[]string{"--set", "token=" + redcapToken}, "config.literal_secret"},
	} {
		if code, said := discover(c.args...); code != study.ExitUsage || !strings.Contains(said, c.want) || strings.Contains(said, "stub") ||
			strings.Contains(said, "config.one_record") || strings.Contains(said, redcapToken) {
			t.Errorf("%s: exit %d\n%s", name, code, said)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(redcapToken), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := discover("--set", "token=${file:../token}", "--study", "made-up", "--write", filepath.Join(dir, "config")); code != study.ExitOK {
		t.Errorf("exit %d\n%s", code, said)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "config", "source.yaml")); err != nil || !strings.Contains(string(text), "${file:../token}") {
		t.Errorf("%v\n%s", err, text)
	}
}
