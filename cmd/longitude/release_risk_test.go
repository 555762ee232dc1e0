package main

import (
	"os"
	"strings"
	"testing"

	"longitude/study"
)

// A release whose participants do not hide among each other is refused, until
// somebody who may signs for this very risk; the report prints who did, and is as
// signed as the data.
func TestTheRiskOfAReleaseIsWaivedBySignature(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("study.yaml", "dates: study_day}", "dates: study_day, risk: {k: 5, suppress_max: 0.05}}")
	as := x.staff(map[string]string{"rita": "release_manager", "olga": "operator"})
	x.drop("first.csv", smallHeader+person("P-1")+person("P-2")+person("P-3"))
	x.sync(study.ExitOK)
	build := []string{"release", "build", "--as-of", "2026-04-01"}
	waive := func(id string) []string {
		return append([]string{"release", "waive-risk", "--as-of", "2026-04-01", "--reason", "the committee agreed"}, as(id)...)
	}
	x.refused(study.ExitBlocked, "deid.risk", []string{"fewer than 5", "waive-risk"}, build...)
	x.refused(study.ExitBlocked, "deid.risk", nil, "deid", "check")
	x.refused(study.ExitBlocked, "people.role_missing", nil, waive("olga")...)
	x.refused(study.ExitBlocked, "deid.risk", nil, build...)
	x.refused(study.ExitUsage, "usage.reason", nil, append([]string{"release", "waive-risk"}, as("rita")...)...)
	_, shown := x.run(study.ExitOK, waive("rita")...)
	if !strings.Contains(shown, "fewer than 5") || !strings.Contains(shown, "the committee agreed") {
		t.Errorf("the signer is shown:\n%s", shown)
	}
	x.run(study.ExitOK, waive("rita")...) // signed already
	x.run(study.ExitOK, build...)

	dir := x.path("data/releases/small-01/small_01_r001")
	risk, err := os.ReadFile(dir + "/reports/risk.md")
	x.must(err)
	if !strings.Contains(string(risk), "Waived: Dr rita (rita)") || !strings.Contains(string(risk), "the committee agreed") || !strings.Contains(string(risk), "It does not hold") {
		t.Errorf("the report:\n%s", risk)
	}
	policy := policyFile(x.path("data"), "small-01")
	x.run(study.ExitOK, "release", "verify", dir, "--policy", policy)
	for _, report := range []string{"risk.md", "deidentification.json"} {
		text, err := os.ReadFile(dir + "/reports/" + report)
		x.must(err)
		x.must(os.Chmod(dir+"/reports/"+report, 0o600))
		x.must(os.WriteFile(dir+"/reports/"+report, append(text, '\n'), 0o600))
		x.run(study.ExitBlocked, "release", "verify", dir, "--policy", policy)
		x.must(os.WriteFile(dir+"/reports/"+report, text, 0o600))
	}

	// What was signed was that risk and no other.
	x.drop("second.csv", smallHeader+person("P-1")+person("P-2")+person("P-3")+person("P-4"))
	x.sync(study.ExitOK)
	x.refused(study.ExitBlocked, "deid.risk", nil, "release", "build", "--as-of", "2026-04-01")

	x.drop("third.csv", smallHeader+person("P-5")+person("P-6"))
	x.sync(study.ExitOK)
	x.refused(study.ExitUsage, "release.no_risk", nil, waive("rita")...)
	x.run(study.ExitOK, "release", "build", "--as-of", "2026-04-01")
}

// Releases keep the least interval of the study, but for the first and for those that
// a release manager signs for; and they are built in the open series.
func TestReleasesKeepAnInterval(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("study.yaml", "dates: study_day}", "dates: study_day, min_release_interval: 7d}")
	as := x.staff(map[string]string{"rita": "release_manager", "cleo": "custodian"})
	x.drop("first.csv", smallHeader+person("P-1")+person("P-2"))
	x.sync(study.ExitOK)
	build := func(asOf string, more ...string) []string {
		return append([]string{"release", "build", "--as-of", asOf}, more...)
	}
	x.refused(study.ExitUsage, "series.closed", []string{"main"}, build("2026-04-01", "--series", "other")...)
	x.run(study.ExitOK, build("2026-04-01", "--series", "main")...)
	x.refused(study.ExitBlocked, "release.too_soon", []string{"2026-04-01", "7 days", "2026-04-08"}, build("2026-04-07")...)
	x.refused(study.ExitBlocked, "people.role_missing", nil, append(build("2026-04-07", "--urgent", "a safety signal"), as("cleo")...)...)
	x.refused(study.ExitBlocked, "release.too_soon", nil, build("2026-04-07")...)
	x.run(study.ExitOK, append(build("2026-04-07", "--urgent", "a safety signal"), as("rita")...)...)
	x.refused(study.ExitBlocked, "release.too_soon", nil, build("2026-04-13")...)
	x.run(study.ExitOK, build("2026-04-14")...)
	if n := x.number("SELECT count(*) FROM research.release_publication"); n != 3 {
		t.Errorf("%d releases are published", n)
	}
}

// What a profile promises and the rules do not keep is refused before a file is
// written.
func TestFalseClaimsAreRefused(t *testing.T) {
	for _, c := range []struct{ policy, against string }{
		{"profile: safe_harbor, pseudonym: derived, dates: study_day", "derived from the source identifier"},
		{"profile: safe_harbor, pseudonym: random, dates: shift", "dates shifted"},
	} {
		x := newTrial(t, smallStudy)
		x.edit("study.yaml", "profile: limited, dates: study_day", c.policy)
		x.drop("first.csv", smallHeader+person("P-1"))
		x.sync(study.ExitOK)
		x.refused(study.ExitBlocked, "deid.claim", []string{c.against}, "release", "build")
		if n := x.number("SELECT count(*) FROM research.release_publication"); n != 0 {
			t.Errorf("%s: %d releases are published", c.policy, n)
		}
		if found, err := os.ReadDir(x.path("data/releases")); err == nil && len(found) > 0 {
			t.Errorf("%s: a file was written", c.policy)
		}
	}
}

// Shifted releases leave out what lies near the ends of the data.
func TestShiftedReleasesAreTruncated(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("study.yaml", "dates: study_day", "dates: shift, truncate: true")
	x.drop("first.csv", smallHeader+strings.ReplaceAll(person("P-1"), "01/03/2026", "01/03/2023")+strings.ReplaceAll(person("P-2"), "01/03/2026", "01/09/2024"))
	x.sync(study.ExitOK)
	_, said := x.run(study.ExitOK, "release", "build", "--as-of", "2026-04-01")
	if !strings.Contains(said, "weekdays") {
		t.Errorf("the plan does not warn: %s", said)
	}
	dir := x.path("data/releases/small-01/small_01_r001")
	visits := (&released{t, dir}).table("visits")
	if len(visits) != 1 { // whatever the shift, the first day of the data is not told
		t.Errorf("visits: %v", visits)
	}
	text, err := os.ReadFile(dir + "/reports/reconciliation.md")
	x.must(err)
	if !strings.Contains(string(text), "| near the ends of shifted data | <11 |") || !strings.Contains(string(text), "Yes") {
		t.Errorf("%s", text)
	}
}
