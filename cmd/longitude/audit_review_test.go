//go:build unix

package main

import (
	"os"
	"strings"
	"testing"

	"longitude/internal/audit"
	"longitude/study"
)

// An auditor looks at what matters since the last review, and closes it.
func TestAuditReview(t *testing.T) {
	x := newTrial(t, smallStudy)
	as := x.staff(map[string]string{"vera": "auditor"})
	x.late(study.ExitOK)
	x.run(study.ExitOK, "deviation", "explain", id(x.deviation("--code", study.VisitOutOfWindow).ID), "--reason", "travel")
	x.edit("study.yaml", "day: 30, window: [-7, 14]", "day: 30, window: [-7, 28]")
	x.run(study.ExitOK, "apply", "--plan", x.plan().Hash)

	var r reviewed
	x.refused(study.ExitUsage, "usage.zone", nil, "audit", "review", "open", "--timezone", "Atlantis")
	x.refused(study.ExitUsage, "usage.place", nil, "audit", "review", "open", "--until", "999999")
	x.answer(study.ExitOK, &r, "audit", "review", "open", "--timezone", "Europe/Zurich")
	for _, c := range strings.Fields("access explanation destructive_change") {
		if r.Count[audit.Concern(c)] == 0 || r.Why[audit.Concern(c)] == "" {
			t.Errorf("not on the list: %s; %v", c, r.Count)
		}
	}
	x.refused(study.ExitBlocked, "review.open", nil, "audit", "review", "open")
	rows := x.table(study.ExitOK, "audit", "review", "show")
	if len(rows) < 6 || rows[0][0] != "concern" || !strings.Contains(strings.Join(rows[len(rows)-1], " "), ".") {
		t.Errorf("shown: %v", rows)
	}
	args := append([]string{"audit", "review", "close"}, as("vera")...)
	x.refused(study.ExitUsage, "review.disposition", nil, args...)
	for c := range r.Count {
		args = append(args, "--disposition", string(c)+"=as_expected")
	}
	x.refused(study.ExitBlocked, "people.role_missing", nil, append(args, as("ada")...)...)
	x.answer(study.ExitOK, &r, args...)
	if !strings.Contains(r.ClosedBy, "Dr vera (vera)") || !strings.Contains(r.ClosedBy, "review of audit_review 1") || !strings.HasSuffix(r.ClosedBy, ", valid") {
		t.Errorf("closed: %+v", r)
	}
	var events []audit.Entry
	x.answer(study.ExitOK, &events, "audit", "show", "--action", "audit.reviewed")
	if len(events) != 1 || events[0].Event.Actor != "vera" || events[0].Event.After != r.Digest {
		t.Errorf("events: %+v", events)
	}
	// A copy to take away shows both: who signed what, and what the review was about.
	x.run(study.ExitOK, "audit", "export", "--into", x.path("copy"))
	x.run(study.ExitOK, "audit", "check", x.path("copy"), "--policy", x.path("data/policy/audit.tlog-policy"))
	for file, words := range map[string][]string{
		"index.html":        {"<h2>Signatures</h2>", "Dr vera", " UTC (", "review", "<h2>Reviews of the log</h2>", "a deviation was explained"},
		"signatures.csv":    {"Dr ada", "approval", "I have reviewed the audit log"},
		"signatures.ndjson": {"application/vnd.longitude.signature"},
		"reviews.csv":       {"explanation", "as_expected", "Dr vera (vera)"},
		"reviews.ndjson":    {"Europe/Zurich"},
	} {
		text, err := os.ReadFile(x.path("copy/" + file))
		x.must(err)
		for _, word := range words {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s does not show %q", file, word)
			}
		}
	}
	if rows := x.table(study.ExitOK, "audit", "review", "list"); len(rows) != 2 || rows[1][6] != "closed" {
		t.Errorf("listed: %v", rows)
	}
}
