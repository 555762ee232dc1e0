//go:build unix

package main

import (
	"strings"
	"testing"

	"longitude/internal/audit"
	"longitude/internal/status"
	"longitude/study"
)

// Every decision is listed, and its signature holds: also after the key was rotated,
// and not once somebody has changed what it says.
func TestDecisionsHold(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.late(study.ExitOK)
	x.run(study.ExitOK, "deviation", "explain", id(x.deviation("--code", study.VisitOutOfWindow).ID), "--reason", "travel", "--note", "sealed words")
	x.run(study.ExitOK, "keys", "rotate", "--kind", "sign", "--study", "small-01")
	x.run(study.ExitOK, "lock", "visit", "baseline", "--reason", "database_lock")
	var items []status.DecisionItem
	x.answer(study.ExitOK, &items, "decision", "list")
	if len(items) != 2 || items[0].Kind != string(study.LockData) || items[1].Reason != "travel" || items[0].SignedBy == items[1].SignedBy {
		t.Errorf("decisions: %+v", items)
	}
	x.answer(study.ExitOK, &items, "decision", "list", "--kind", "explain", "--study", "small-01")
	if len(items) != 1 || items[0].Kind != string(study.Explain) {
		t.Errorf("explanations: %+v", items)
	}
	x.refused(study.ExitUsage, "usage.kind", nil, "decision", "list", "--kind", "guess")
	x.refused(study.ExitUsage, "usage.limit", nil, "decision", "list", "--limit", "-1")
	if out, _ := x.run(study.ExitOK, "decision", "verify"); !strings.Contains(out, "valid") {
		t.Errorf("verify says %s", out)
	}
	x.tampered = true
	for change, back := range map[string]string{
		`reason = 'illness' WHERE kind = 'explain'`:                   `reason = 'travel' WHERE kind = 'explain'`,
		`visit = 'month_1' WHERE kind = 'lock'`:                       `visit = 'baseline' WHERE kind = 'lock'`,
		`signature = set_byte(signature, 3, get_byte(signature,3)#1)`: `signature = set_byte(signature, 3, get_byte(signature,3)#1)`,
		`signed_by = reverse(signed_by)`:                              `signed_by = reverse(signed_by)`,
	} {
		set := func(what string) {
			x.exec(`ALTER TABLE research.decision DISABLE TRIGGER append_only; UPDATE research.decision SET ` + what + `; ALTER TABLE research.decision ENABLE ALWAYS TRIGGER append_only`)
		}
		set(change)
		x.refused(study.ExitBlocked, "decision.tampered", nil, "decision", "verify")
		set(back)
	}
	x.run(study.ExitOK, "decision", "verify", "--study", "small-01")
}

// Words beside an event are deleted by the signature of an admin or a custodian.
func TestRedactIsSigned(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1"))
	x.sync(study.ExitOK)
	x.edit("study.yaml", "day: 30, window: [-7, 14]", "day: 30, window: [-7, 28]")
	x.run(study.ExitOK, "apply", "--plan", x.plan().Hash)
	of := id(x.number(`SELECT max(event_id) FROM audit.payload`))
	as := x.staff(map[string]string{"mia": "data_manager"})
	redact := func(who, reason string) []string {
		return append([]string{"audit", "redact", of, "--reason", reason}, as(who)...)
	}
	x.refused(study.ExitUsage, "decision.reason", nil, redact("ada", "curiosity")...)
	x.refused(study.ExitBlocked, "people.role_missing", nil, redact("mia", "correction")...)
	x.run(study.ExitOK, redact("ada", "correction")...)
	x.refused(study.ExitUsage, "status.not_found", nil, redact("ada", "correction")...)
	var events []audit.Entry
	x.answer(study.ExitOK, &events, "audit", "show", "--action", "audit.redacted")
	if len(events) != 1 || events[0].Event.Actor != "ada" || events[0].Event.Object != "event/"+of || events[0].Event.Reason != "correction" {
		t.Errorf("events: %+v", events)
	}
}
