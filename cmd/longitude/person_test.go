//go:build unix

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"longitude/internal/audit"
	"longitude/study"
)

const passphrase = "a lamp in the harbour"

// staff adds people in a trial: ada, who is an admin, and others by id and role. Their
// passphrase is the same; it answers the arguments with which one of them signs.
func (x *trial) staff(others map[string]string) (as func(id string) []string) {
	x.t.Helper()
	cost := keyCost
	keyCost = 4
	x.t.Cleanup(func() { keyCost = cost })
	x.write("passphrase", passphrase+"\n")
	as = func(id string) []string {
		return []string{"--as", id, "--key", x.path("people/" + id + ".key"), "--passphrase-file", x.path("passphrase")}
	}
	add := func(id, role string) {
		x.run(study.ExitOK, append([]string{"person", "add", id, "--printed-name", "Dr " + id, "--role", role,
			"--out", x.path("people/" + id + ".key"), "--new-passphrase-file", x.path("passphrase")}, as("ada")...)...)
	}
	add("ada", "admin")
	for id, role := range others {
		add(id, role)
	}
	return as
}

func TestPeopleAndSignatures(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.run(study.ExitUsage, "person", "add", "ada", "--printed-name", "Ada", "--role", "custodian", "--out", x.path("no.key"), "--new-passphrase-file", x.path("nowhere"))
	as := x.staff(map[string]string{"cleo": "custodian"})
	if info, err := os.Stat(x.path("people/cleo.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info, err)
	}
	with := func(who string, args ...string) []string { return append(args, as(who)...) }
	x.run(study.ExitOK, with("ada", "person", "grant", "cleo", "--role", "auditor")...)
	x.refused(study.ExitUsage, "usage.role", nil, with("ada", "person", "grant", "cleo", "--role", "auditor")...)
	x.refused(study.ExitUsage, "people.role", nil, with("ada", "person", "grant", "cleo", "--role", "root")...)
	x.refused(study.ExitBlocked, "people.role_missing", []string{"cleo"}, with("cleo", "person", "grant", "cleo", "--role", "admin")...)
	x.refused(study.ExitBlocked, "people.last_admin", nil, with("ada", "person", "deactivate", "ada")...)
	x.refused(study.ExitBlocked, "people.unknown", nil, with("zoe", "person", "grant", "cleo", "--role", "admin")...)
	x.write("wrong", "a lamp in the harbor!\n")
	x.refused(study.ExitBlocked, "people.passphrase", nil, append(with("ada", "person", "revoke", "cleo", "--role", "auditor"), "--passphrase-file", x.path("wrong"))...)
	x.refused(study.ExitBlocked, "people.other_key", nil, append(with("ada", "person", "revoke", "cleo", "--role", "auditor"), "--key", x.path("people/cleo.key"))...)

	// A person who is not added leaves no key file behind.
	x.run(study.ExitBlocked, with("cleo", "person", "add", "zoe", "--printed-name", "Zoe", "--out", x.path("people/zoe.key"), "--new-passphrase-file", x.path("passphrase"))...)
	if _, err := os.Stat(x.path("people/zoe.key")); err == nil {
		t.Error("the key of nobody stays")
	}

	x.run(study.ExitOK, with("ada", "person", "rekey", "cleo", "--out", x.path("people/second.key"), "--new-passphrase-file", x.path("passphrase"))...)
	x.run(study.ExitOK, with("ada", "person", "deactivate", "cleo")...)
	x.refused(study.ExitBlocked, "people.inactive", nil, with("ada", "person", "grant", "cleo", "--role", "viewer")...)
	people := x.table(study.ExitOK, "person", "list")
	if len(people) != 3 || people[2][2] != "auditor, custodian" || people[2][3] != "no" {
		t.Errorf("people: %v", people)
	}

	// Each of those refusals is an event, which says who asked for what and nothing else.
	var denied []audit.Entry
	x.answer(study.ExitOK, &denied, "audit", "show", "--action", "access.denied")
	codes := map[string]int{}
	for _, e := range denied {
		code, _ := e.Event.Detail["code"].(string)
		codes[code]++
		if e.Event.Outcome != audit.Denied || len(e.Event.Detail) != 1 || !strings.HasPrefix(e.Event.Object, "person/") {
			t.Errorf("%+v", e.Event)
		}
	}
	for _, code := range strings.Fields("people.role_missing people.last_admin people.unknown people.passphrase people.other_key people.inactive") {
		if codes[code] == 0 {
			t.Errorf("no event of %s: %v", code, codes)
		}
	}
	if strings.Contains(x.said.String(), passphrase) || strings.Contains(x.said.String(), "harbor!") {
		t.Error("a passphrase is printed")
	}

	// Whoever reads a signature reads name, time, meaning and record.
	rows := x.table(study.ExitOK, "signature", "list", "--record", "cleo")
	if len(rows) != 5 || rows[1][1] != "Dr ada" || !strings.Contains(rows[1][2], " UTC (") || rows[1][3] != "approval" || rows[1][4] != "person cleo" || rows[1][7] != "valid" {
		t.Errorf("signatures: %v", rows)
	}
	var one struct {
		Rendered string
		Envelope struct{ PayloadType string } `json:"dsse"`
	}
	out, _ := x.run(study.ExitOK, "signature", "show", rows[1][0], "--output", "json")
	if err := json.Unmarshal([]byte(out), &one); err != nil || !strings.Contains(one.Rendered, "approval of person cleo version 4") || one.Envelope.PayloadType == "" {
		t.Errorf("shown: %s", out)
	}
	x.run(study.ExitUsage, "signature", "show", "999")
	x.run(study.ExitOK, "signature", "verify")
	x.tampered = true
	x.exec(`INSERT INTO audit.person_version SELECT person_id, version + 1, printed_name, '{admin}', public_key, recipient, true, fingerprint, signature_id FROM audit.person_version WHERE person_id = 'cleo' AND version = 4`)
	x.refused(study.ExitBlocked, "people.tampered", []string{"version 5 of person cleo"}, "signature", "verify")
}
