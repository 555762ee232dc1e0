package main

import (
	"slices"
	"strings"
	"testing"

	"longitude/deid"
	"longitude/study"
)

// What leaves is explained from the configuration alone; check takes the data
// through the same rules, and leaves neither plan nor run nor release.
func TestDeidCommands(t *testing.T) {
	x := newTrial(t, smallStudy)
	var explained deid.Report
	x.answer(study.ExitOK, &explained, "deid", "explain")
	if explained.Claim == "" || len(explained.Identifiers) != 18 || len(explained.Columns) < 20 {
		t.Fatalf("explained: %+v", explained)
	}
	if rows := x.table(study.ExitOK, "deid", "explain", "--table", "participants"); len(rows) < 5 || slices.ContainsFunc(rows[1:], func(r []string) bool { return r[0] != "participants" }) {
		t.Errorf("one table: %v", rows)
	}
	x.run(study.ExitUsage, "deid", "explain", "--table", "nonsense")

	x.drop("first.csv", smallHeader+person("P-1")+person("P-2"))
	x.sync(study.ExitOK)
	var runs, after []any
	x.answer(study.ExitOK, &runs, "run", "list")
	var checked deid.Report
	x.answer(study.ExitOK, &checked, "deid", "check")
	if len(checked.Columns) != len(explained.Columns) || checked.Claim != explained.Claim {
		t.Errorf("checked %d columns with claim %s, explained %d with %s", len(checked.Columns), checked.Claim, len(explained.Columns), explained.Claim)
	}
	out, _ := x.run(study.ExitOK, "deid", "check", "--markdown")
	if !strings.Contains(out, "# De-identification of") || strings.Contains(out, "P-1") {
		t.Errorf("the report:\n%s", out)
	}
	x.answer(study.ExitOK, &after, "run", "list")
	var releases []any
	x.answer(study.ExitOK, &releases, "release", "list")
	if len(after) != len(runs) || len(releases) != 0 {
		t.Errorf("a check left %d runs (before: %d) and %d releases", len(after), len(runs), len(releases))
	}
	x.edit("study.yaml", "profile: limited", "profile: safe_harbor")
	_, said := x.run(study.ExitBlocked, "deid", "check")
	if !strings.Contains(said, "deid.claim") || !strings.Contains(said, "derived") {
		t.Errorf("a false claim: %s", said)
	}
}
