//go:build unix

package main

import (
	"testing"

	"longitude/study"
)

// While the audit log cannot be sealed for more than five minutes nothing is released,
// signed or opened; when it can be again, the next command seals it and goes on.
func TestNothingStandsOnALogThatIsNotSealed(t *testing.T) {
	x := newTrial(t, smallStudy)
	as := x.staff(map[string]string{"nora": "data_manager", "cleo": "custodian"})
	with := func(who string, args ...string) []string { return append(args, as(who)...) }
	x.drop("a.csv", smallHeader+person("P-1"))
	x.sync(study.ExitOK)
	var made []struct{ Request int64 }
	x.answer(study.ExitOK, &made, with("nora", "vault", "request", "--purpose", "safety", "--reason", "call", "--participants", x.codes()[0])...)
	request := id(made[0].Request)

	x.tampered = true
	const flip = "UPDATE audit.node SET hash = set_byte(hash, 0, get_byte(hash, 0) # 1)" // and back
	x.exec(`ALTER TABLE audit.node DISABLE TRIGGER ALL; ` + flip + `; ALTER TABLE audit.node ENABLE ALWAYS TRIGGER append_only`)
	x.drop("b.csv", smallHeader+person("P-2"))
	x.run(study.ExitOK, "sync")
	x.exec(`ALTER TABLE audit.event DISABLE TRIGGER ALL; UPDATE audit.event SET recorded_at = recorded_at - interval '6 minutes' WHERE event_id IN (SELECT event_id FROM jobs.unsealed);
		ALTER TABLE audit.event ENABLE ALWAYS TRIGGER append_only`)
	done := func() int64 {
		return x.number(`SELECT (SELECT count(*) FROM audit.signature) + (SELECT count(*) FROM research.release) + (SELECT count(*) FROM audit.vault_step)`)
	}
	before := done()
	build := []string{"release", "build", "--as-of", "2026-05-01"}
	for _, args := range [][]string{
		build, with("nora", "vault", "request", "--purpose", "safety", "--reason", "call", "--participants", x.codes()[0]), with("cleo", "vault", "approve", request),
		{"vault", "run", request, "--out", x.path("identities.age")}, with("ada", "person", "grant", "nora", "--role", "auditor"),
	} {
		x.refused(study.ExitBlocked, "audit.unsealed", []string{"audit checkpoint", "audit verify"}, args...)
	}
	if n := done(); n != before {
		t.Errorf("%d things were done although the log is not sealed", n-before)
	}

	x.run(study.ExitBlocked, "audit", "checkpoint")
	x.exec(`ALTER TABLE audit.node DISABLE TRIGGER ALL; ` + flip + `; ALTER TABLE audit.node ENABLE ALWAYS TRIGGER append_only`)
	x.run(study.ExitOK, build...)
	x.run(study.ExitOK, with("cleo", "vault", "approve", request)...)
}
