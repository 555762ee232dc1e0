//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/keys"
	"longitude/internal/postgres"
	"longitude/study"
)

// An auditor's way through the log: what was done, its proof, a copy, an anchor.
func TestAuditor(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("first.csv", smallHeader+person("P-1")+person("P-2")+acuityRow("P-1", "M1", "10/04/2026", "OD", "47")+acuityRow("P-1", "M1", "10/04/2026", "OS", "seventy"))
	x.sync(study.ExitRejections)
	x.run(study.ExitOK, "release", "build")
	var report audit.Report
	x.answer(study.ExitOK, &report, "audit", "verify", "--deep")
	if report.Size < 4 || report.Batches < 1 || report.Pending != 0 || len(report.Findings) != 0 {
		t.Errorf("verified: %+v", report)
	}

	var events []audit.Entry
	x.answer(study.ExitOK, &events, "audit", "show", "--action", "batch.recorded", "--since", "2020-01-01")
	if len(events) == 0 || events[0].Index < 0 || events[0].Event.Software == "" || events[0].Event.Authority != "longitude_app" {
		t.Fatalf("shown: %+v", events)
	}
	for _, args := range [][]string{{"--action", "x"}, {"--since", "yesterday"}, {"--limit", "0"}} {
		x.run(study.ExitUsage, append([]string{"audit", "show"}, args...)...)
	}
	people := x.query(`SELECT code FROM research.participant ORDER BY participant_id LIMIT 1`)[0][0].(string)
	x.answer(study.ExitOK, &events, "audit", "show", "--participant", people)
	if len(events) == 0 {
		t.Error("nothing is shown of a participant")
	}

	proof, policy := x.path("proof"), x.path("data/policy/audit.tlog-policy")
	id := strconv.FormatInt(events[0].Event.ID, 10)
	x.run(study.ExitOK, "audit", "prove", id, "--to", proof)
	x.run(study.ExitUsage, "audit", "prove", id, "--to", proof) // nothing is written over
	x.run(study.ExitUsage, "audit", "prove", "99999")
	var proven audit.Entry
	x.answer(study.ExitOK, &proven, "audit", "check", proof, "--policy", policy)
	if proven.Event.ID != events[0].Event.ID {
		t.Errorf("proven: %+v", proven)
	}
	text, err := os.ReadFile(proof)
	x.must(err)
	x.must(os.WriteFile(proof, []byte(strings.Replace(string(text), "\nindex ", "\nindex 1", 1)), 0o600))
	x.run(study.ExitBlocked, "audit", "check", proof, "--policy", policy)
	x.must(os.WriteFile(proof, []byte("x"), 0o600))
	x.run(study.ExitEnvironment, "audit", "check", proof, "--policy", policy)
	x.run(study.ExitUsage, "audit", "check", proof)

	anchors := x.path("anchors")
	x.must(os.Mkdir(anchors, 0o755))
	x.run(study.ExitOK, "audit", "anchor", anchors)
	x.run(study.ExitOK, "audit", "anchor", anchors)
	x.answer(study.ExitOK, &report, "audit", "verify", "--anchors", anchors)
	if report.Anchors != 1 {
		t.Errorf("%d anchors", report.Anchors)
	}
	x.run(study.ExitEnvironment, "audit", "verify", "--anchors", x.path("nowhere"))

	x.certifiedCopy(policy)
	x.tampered = true
	x.exec(`ALTER TABLE audit.event DISABLE TRIGGER append_only; UPDATE audit.event SET actor = 'x' WHERE event_id = ` + id + `; ALTER TABLE audit.event ENABLE ALWAYS TRIGGER append_only`)
	out, _ := x.run(study.ExitBlocked, "audit", "verify", "--output", "json")
	x.must(json.Unmarshal([]byte(out), &report))
	if len(report.Findings) != 1 || report.Findings[0].Kind != audit.KindColumn || report.Findings[0].Event != events[0].Event.ID {
		t.Errorf("found %+v", report.Findings)
	}
	x.exec(`ALTER TABLE audit.event DISABLE TRIGGER append_only`)
	if _, said := x.run(study.ExitBlocked, "status"); !strings.Contains(said, "database.guard_missing") {
		t.Errorf("without a guard: %s", said)
	}
	// Whoever has to find out what was done must still be able to look.
	out, _ = x.run(study.ExitBlocked, "audit", "verify", "--output", "json")
	x.must(json.Unmarshal([]byte(out), &report))
	if len(report.Findings) != 2 || report.Findings[1].Kind != audit.KindGuard {
		t.Errorf("without a guard is found %+v", report.Findings)
	}
}

// exec does with the owner's rights what no command does.
func (x *trial) exec(sql string) {
	x.t.Helper()
	conn, err := pgx.Connect(x.t.Context(), x.url)
	x.must(err)
	_, err = conn.Exec(x.t.Context(), sql)
	x.must(errors.Join(err, conn.Close(x.t.Context())))
}

// logIsSound verifies at the end of a trial that whatever it did is in the audit log,
// to the last answer of the last version.
func (x *trial) logIsSound() {
	if _, err := os.Stat(x.path("keys")); x.tampered || x.t.Failed() || err != nil {
		return
	}
	ctx := context.Background()
	ring, err := keys.Open("file:" + x.path("keys"))
	x.must(err)
	id, all, err := ring.AuditSigners()
	x.must(err)
	signer, err := audit.NewSigner(id, all...)
	x.must(err)
	s, err := postgres.Open(ctx, postgres.URLs{Owner: x.url, App: x.url, Vault: x.url, Release: x.url}, "")
	x.must(err)
	defer s.Close()
	_, _, err = s.Seal(ctx, signer)
	x.must(err)
	if r, err := s.VerifyAudit(ctx, signer.Policy(), nil, true); err != nil || r.Err() != nil {
		x.t.Errorf("the audit log: %+v, %v", r, err)
	}
}

// certifiedCopy is checked offline, and a change of any of its files is found.
func (x *trial) certifiedCopy(policy string) {
	x.t.Helper()
	dir := x.path("copy")
	x.run(study.ExitOK, "audit", "export", "--into", dir)
	x.run(study.ExitUsage, "audit", "export", "--into", dir)
	var copied audit.ExportReport
	x.answer(study.ExitOK, &copied, "audit", "check", dir, "--policy", policy)
	if copied.Events < 4 {
		x.t.Errorf("copied: %+v", copied)
	}
	for _, name := range []string{"events.ndjson", "events.csv", "index.html", "checkpoint", "SHA256SUMS", "SHA256SUMS.note", "proofs/1.tlog-proof"} {
		file := filepath.Join(dir, name)
		text, err := os.ReadFile(file)
		x.must(err)
		changed := append([]byte(nil), text...)
		changed[len(changed)/2] ^= 1
		x.must(os.WriteFile(file, changed, 0o600))
		x.run(study.ExitBlocked, "audit", "check", dir, "--policy", policy)
		x.must(os.WriteFile(file, text, 0o600))
	}
	x.write("copy/proofs/more.html", "events that never were")
	x.run(study.ExitBlocked, "audit", "check", dir, "--policy", policy)
	x.must(os.Remove(x.path("copy/proofs/more.html")))
	x.answer(study.ExitOK, &copied, "audit", "check", dir, "--policy", policy)
}
