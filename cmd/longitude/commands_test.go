//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longitude/internal/status"
	"longitude/pipeline"
	"longitude/study"
)

const smallStudy = "testdata/small"

// One participant's way through every command.
func TestEveryCommand(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.run(study.ExitOK, "check")
	x.drop("first.csv", smallHeader+person("P-1")+person("P-2")+
		acuityRow("P-1", "M1", "20/04/2026", "OD", "47")+ // late: the window ends on 14 April
		acuityRow("P-1", "M1", "20/04/2026", "OS", "seventy"))

	first := x.sync(study.ExitRejections)
	want := study.Counts{Read: 8, Mapped: 8, Produced: 8, Accepted: 7, Quarantined: 1}
	if first.Counts != want {
		t.Errorf("first sync: %+v, want %+v", first.Counts, want)
	}
	before := x.versions()
	if again := x.sync(study.ExitOK); again.Counts != (study.Counts{}) || again.Objects != 0 || x.versions() != before {
		t.Errorf("the second sync of the same drop found something: %+v", again)
	}

	var sources []status.SourceStatus
	x.answer(study.ExitOK, &sources, "status")
	if len(sources) != 1 || sources[0].LastSuccess == nil || sources[0].QuarantineOpen != 1 {
		t.Errorf("status: %+v", sources)
	}
	var runs []status.Run
	x.answer(study.ExitOK, &runs, "run", "list", "--kind", "sync")
	if len(runs) != 2 || runs[1].Counts != want {
		t.Fatalf("runs: %+v", runs)
	}
	x.run(study.ExitOK, "run", "show", "1")
	quarantine := x.table(study.ExitOK, "quarantine", "list")
	if len(quarantine) != 2 || strings.Contains(strings.Join(quarantine[1], " "), "seventy") {
		t.Errorf("quarantine: %v", quarantine)
	}
	out, _ := x.run(study.ExitOK, "quarantine", "list")
	if !strings.Contains(out, "acuity_invalid") || strings.Contains(out, "seventy") {
		t.Errorf("quarantine: %s", out)
	}
	var deviations []status.DeviationItem
	x.answer(study.ExitOK, &deviations, "deviation", "list", "--code", study.VisitOutOfWindow)
	if len(deviations) != 1 || !strings.Contains(deviations[0].Evidence, "late 6 days") {
		t.Fatalf("deviations: %+v", deviations)
	}
	x.timeline(deviations[0].Code)
	x.run(study.ExitOK, "migrate")
	x.run(study.ExitOK, "version")
	if out, _ := x.run(study.ExitOK, "completion", "bash"); !strings.Contains(out, "longitude") {
		t.Error("completion prints no script")
	}
}

// timeline checks what the timeline of the late participant says.
func (x *trial) timeline(code string) {
	x.t.Helper()
	var line status.Timeline
	x.answer(study.ExitOK, &line, "participant", "timeline", code)
	if len(line.Visits) != 2 || line.Visits[1].Timing != "late" || line.Visits[1].Outside == nil || *line.Visits[1].Outside != 6 {
		x.t.Errorf("timeline: %+v", line)
	}
	out, _ := x.run(study.ExitOK, "participant", "timeline", code)
	if !strings.Contains(out, "✓acuity/R") || strings.Contains(out, "P-1") {
		x.t.Errorf("timeline: %s", out)
	}
}

// A corrected file adds versions; what was before is kept and released before.
func TestCorrectionAndReleases(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2"))
	x.sync(study.ExitOK)
	first := x.release()

	corrected := strings.Replace(acuityRow("P-1", "BL", "01/03/2026", "OD", "49"), "2026-03-02T", "2026-03-09T", 1)
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2")+corrected)
	got := x.sync(study.ExitOK).Counts
	if want := (study.Counts{Read: 7, Mapped: 7, Produced: 7, Accepted: 1, Unchanged: 6}); got != want {
		t.Errorf("corrected file: %+v, want %+v", got, want)
	}
	kept := x.query(`SELECT version, split_part(answers, E'\x1f', 2) FROM research.record_version
		WHERE (participant_id, form_id, visit_no, occurrence) IN (SELECT participant_id, form_id, visit_no, occurrence FROM research.record_version WHERE version = 2)
		ORDER BY version`)
	if len(kept) != 2 || kept[0][1] != "etdrs:44" || kept[1][1] != "etdrs:49" {
		t.Errorf("versions of the corrected record: %v", kept)
	}

	second := x.release()
	if first.Plan.ID == second.Plan.ID || second.Plan.Previous != first.Plan.ID {
		t.Errorf("second release is %s after %q", second.Plan.ID, second.Plan.Previous)
	}
	var list []status.Release
	x.answer(study.ExitOK, &list, "release", "list")
	if len(list) != 2 || list[0].ID != second.Plan.ID {
		t.Errorf("releases: %+v", list)
	}
	x.verifies(strings.TrimPrefix(first.Publications[0].Location, "file://"))
}

func (x *trial) release() (r pipeline.Release) {
	x.t.Helper()
	x.answer(study.ExitOK, &r, "release", "build")
	if len(r.Publications) != 1 {
		x.t.Fatalf("published to %d places, want one", len(r.Publications))
	}
	return r
}

// verifies checks that a release is sound, and that any flipped byte shows.
func (x *trial) verifies(dir string) {
	x.t.Helper()
	policy := policyFile(x.path("data"), "small-01")
	x.run(study.ExitOK, "release", "verify", dir, "--policy", policy)
	files, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.parquet"))
	x.must(err)
	for _, file := range append(files, filepath.Join(dir, "datapackage.json"), filepath.Join(dir, "release.dsse.json")) {
		sound, err := os.ReadFile(file)
		x.must(err)
		flipped := append([]byte{}, sound...)
		flipped[len(flipped)/2] ^= 1
		info, err := os.Stat(file)
		x.must(err)
		x.must(os.Chmod(file, 0o600))
		x.must(os.WriteFile(file, flipped, 0o600))
		x.run(study.ExitBlocked, "release", "verify", dir, "--policy", policy)
		x.must(os.WriteFile(file, sound, 0o600))
		x.must(os.Chmod(file, info.Mode()))
	}
	x.run(study.ExitOK, "release", "verify", dir, "--policy", policy)
	x.refused(study.ExitEnvironment, "verify.policy", nil, "release", "verify", dir, "--policy", x.path("no-policy.json"))
}

func TestUsage(t *testing.T) {
	x := newTrial(t, smallStudy)
	for _, c := range []struct {
		code string
		args []string
	}{
		{"unknown command", []string{"synchronise"}},
		{"unknown flag", []string{"sync", "--hard"}},
		{"usage.output", []string{"status", "--output", "xml"}},
		{"source.unknown", []string{"sync", "nowhere"}},
		{"source.unknown", []string{"preview", "nowhere"}},
		{"usage.limit", []string{"preview", "clinic", "--limit", "-1"}},
		{"usage.run", []string{"run", "show", "one"}},
		{"study.unknown", []string{"release", "build", "other-01"}},
		{"usage.date", []string{"release", "build", "--as-of", "31/02/2026"}},
		{"usage.policy", []string{"release", "verify", "."}},
		{"usage.arguments", []string{"participant", "timeline"}},
		{"usage.command", []string{"release", "bild"}},
		{"usage.command", []string{"completion", "tcsh"}},
		{"usage.flag", []string{"run", "list", "--limit", "ten"}},
		{"usage.limit", []string{"run", "list", "--limit", "0"}},
		{"usage.state", []string{"deviation", "list", "--state", "closed"}},
		{"usage.rule", []string{"quarantine", "list", "--rule", "date_invalidd"}},
		{"usage.date", []string{"release", "build", "--as-of", "9999-01-01"}},
		{"usage.participants", []string{"demo", "--participants", "0"}},
	} {
		x.refused(study.ExitUsage, c.code, nil, c.args...)
	}
}

// Interrupted between two objects, a sync says so by its exit code, keeps the
// first and records nothing of the second by halves.
func TestInterrupted(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1"))
	x.drop("b.csv", smallHeader+person("P-2"))
	ctx, cancel := context.WithCancel(t.Context())
	told := told{after: "object 1", call: func(string) { cancel() }}
	if code := run(ctx, []string{"sync", "--config", x.dir}, io.Discard, &told); code != 130 {
		t.Errorf("exit %d, want 130\n%s", code, told.text.String())
	}
	if n := x.versions(); n != 3 {
		t.Errorf("%d versions after the first object, want 3", n)
	}
	if got := x.sync(study.ExitOK).Counts; got.Accepted != 3 {
		t.Errorf("run again: %+v", got)
	}
}

// An unknown name in a filter is an error: an empty list would read as "all well".
func TestUnknownNamesInFilters(t *testing.T) {
	x := newTrial(t, smallStudy)
	for _, c := range []struct {
		code string
		args []string
	}{
		{"source.unknown", []string{"quarantine", "list", "--source", "nosuch"}},
		{"source.unknown", []string{"run", "list", "--source", "nosuch"}},
		{"study.unknown", []string{"deviation", "list", "--study", "nosuch"}},
		{"study.unknown", []string{"release", "list", "nosuch"}},
	} {
		x.refused(study.ExitUsage, c.code, nil, c.args...)
	}
}
