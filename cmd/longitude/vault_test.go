//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"longitude/internal/decision"
	"longitude/internal/landing"
	"longitude/internal/lineage"
	"longitude/internal/objectstore"
	"longitude/internal/postgres"
	"longitude/internal/release"
	"longitude/study"
)

// randomTrial is a trial whose study draws its codes.
func randomTrial(t *testing.T) *trial {
	t.Helper()
	x := newTrial(t, smallStudy)
	x.edit("study.yaml", "profile: limited", "profile: limited, pseudonym: random")
	x.edit("source.yaml", "retry:", "drift: {type_change: evolve}\nretry:")
	return x
}

// codes are the participant codes, in order of their numbers.
func (x *trial) codes() (out []string) {
	x.t.Helper()
	for _, row := range x.query("SELECT code FROM research.participant ORDER BY participant_id") {
		out = append(out, row[0].(string))
	}
	return out
}

// Somebody asks, somebody else approves, it is opened once and only the requester
// reads it; each step is in the sealed log.
func TestVaultRequests(t *testing.T) {
	x := newTrial(t, smallStudy)
	as := x.staff(map[string]string{"nora": "data_manager", "cleo": "custodian", "carl": "custodian"})
	with := func(who string, args ...string) []string { return append(args, as(who)...) }
	x.drop("a.csv", smallHeader+person("ZZCANARY-MRN-1")+person("P-2"))
	x.sync(study.ExitOK)
	code := x.codes()[0]
	ask := func(extra ...string) []string {
		return with("nora", append([]string{"vault", "request", "--purpose", "safety", "--reason", "call Jane ZZCANARY"}, extra...)...)
	}
	x.refused(study.ExitUsage, "status.not_found", nil, ask("--participants", "SML-NOBODY")...)
	x.refused(study.ExitUsage, "usage.arguments", nil, ask()...)
	x.refused(study.ExitUsage, "vault.unknown_id", nil, ask("--tokens", "P00000000000000000000")...)
	x.refused(study.ExitUsage, "usage.arguments", []string{"--out"}, with("nora", "vault", "read", x.path("identities.age"))...)
	x.refused(study.ExitUsage, "vault.request", []string{"purpose"}, append(ask("--participants", code), "--purpose", "curiosity")...)
	x.refused(study.ExitBlocked, "people.role_missing", nil, append(ask("--participants", code), "--break-glass")...)

	var made []postgres.VaultState
	x.answer(study.ExitOK, &made, ask("--participants", code)...)
	request := id(made[0].ID)
	out := x.path("identities.age")
	x.refused(study.ExitBlocked, "vault.state", []string{"pending"}, "vault", "run", request, "--out", out)
	x.refused(study.ExitBlocked, "people.role_missing", nil, with("ada", "vault", "approve", request)...)
	x.refused(study.ExitUsage, "usage.arguments", nil, "vault", "run", request)
	x.run(study.ExitOK, with("cleo", "vault", "approve", request)...)
	x.refused(study.ExitBlocked, "vault.state", []string{"approved"}, with("carl", "vault", "deny", request)...)
	if shown, _ := x.run(study.ExitOK, "vault", "show", request); !strings.Contains(shown, "call Jane ZZCANARY") || !strings.Contains(shown, "cleo") {
		t.Errorf("vault show: %s", shown)
	}
	x.said.Reset() // the reason is for who answers, at their terminal
	x.refused(study.ExitUsage, "vault.unwritten", nil, "vault", "run", request, "--out", x.path("study.yaml"))
	x.run(study.ExitOK, "vault", "run", request, "--out", out, "--debug")
	x.refused(study.ExitBlocked, "vault.state", []string{"executed"}, "vault", "run", request, "--out", x.path("twice.age"))
	if _, err := os.Stat(x.path("twice.age")); err == nil {
		t.Error("a file is left of a request that was spent")
	}
	plain := x.path("identities.json")
	x.refused(study.ExitBlocked, "people.decrypt", nil, with("cleo", "vault", "read", out, "--out", plain)...)
	x.run(study.ExitOK, with("nora", "vault", "read", out, "--out", plain)...)
	var found []identified
	text, err := os.ReadFile(plain)
	if x.must(err); json.Unmarshal(text, &found) != nil || len(found) != 1 || found[0].Identifier != "ZZCANARY-MRN-1" || found[0].Code != code {
		t.Errorf("identities: %s", text)
	}
	if box, _ := os.ReadFile(out); bytes.Contains(box, []byte("ZZCANARY")) || bytes.Contains(x.said.Bytes(), []byte("ZZCANARY")) {
		t.Error("an identifier is in the encrypted file, or was said")
	}

	// A second request is denied; a third is broken into; a fourth is too many.
	x.answer(study.ExitOK, &made, ask("--participants", code)...)
	x.run(study.ExitOK, with("carl", "vault", "deny", id(made[0].ID))...)
	x.refused(study.ExitBlocked, "vault.state", []string{"denied"}, "vault", "run", id(made[0].ID), "--out", x.path("denied.age"))
	x.run(study.ExitOK, ask("--participants", code)...)
	x.refused(study.ExitBlocked, "vault.rate", []string{"nora"}, ask("--participants", code)...)

	alone := with("cleo", "vault", "request", "--purpose", "safety", "--reason", "emergency", "--participants", code, "--break-glass")
	x.answer(study.ExitOK, &made, alone...)
	request = id(made[0].ID)
	x.run(study.ExitOK, "vault", "run", request, "--out", x.path("alone.age"))
	x.refused(study.ExitBlocked, "vault.same_person", nil, with("cleo", "vault", "review", request)...)
	x.run(study.ExitOK, with("carl", "vault", "review", request)...)
	if list := x.table(study.ExitOK, "vault", "list"); len(list) != 5 {
		t.Errorf("vault list: %v", list)
	}
	for action, want := range map[string]int64{"vault.requested": 4, "vault.approved": 1, "vault.denied": 1, "vault.executed": 2, "vault.broke_glass": 1, "vault.reviewed": 1} {
		if got := x.number("SELECT count(*) FROM audit.event e JOIN audit.seal USING (event_id) WHERE action = $1", action); got != want {
			t.Errorf("%d sealed events %s, want %d", got, action, want)
		}
	}
	if n := x.number("SELECT count(*) FROM audit.event WHERE convert_from(leaf, 'UTF8') LIKE '%ZZCANARY%'"); n != 0 {
		t.Errorf("%d events hold an identifier or a reason", n)
	}
}

// Released ids lead to whom they were given, through their series.
func TestVaultRequestForReleasedIds(t *testing.T) {
	x := newTrial(t, smallStudy)
	as := x.staff(map[string]string{"nora": "data_manager", "cleo": "custodian"})
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2")+person("P-3"))
	x.sync(study.ExitOK)
	h := x.house()
	s := h.cfg.Studies[0]
	all, err := h.store.SeriesOf(t.Context(), s.Name)
	x.must(err)
	recipient, err := h.recipient(s, all[0])
	x.must(err)
	codes := x.codes()
	var made []postgres.VaultState
	x.answer(study.ExitOK, &made, append([]string{"vault", "request", "--purpose", "regulator", "--reason", "inspection", "--tokens",
		recipient.Participant(codes[2]) + "," + recipient.Participant(codes[0]) + "," + recipient.Participant(codes[2])}, as("nora")...)...)
	if r := made[0]; len(r.Participants) != 0 || r.Series != "main" {
		t.Errorf("request %+v", r)
	}
	request, out, plain := id(made[0].ID), x.path("identities.age"), x.path("identities.json")
	if text, _ := x.run(study.ExitOK, "vault", "show", request, "--output", "json"); strings.Contains(text, codes[0]) || !strings.Contains(text, `"participants": null`) {
		t.Errorf("who is asked for is told before it is approved: %s", text)
	}
	x.run(study.ExitOK, append([]string{"vault", "approve", request}, as("cleo")...)...)
	x.run(study.ExitOK, "vault", "run", request, "--out", out)
	x.run(study.ExitOK, append([]string{"vault", "read", out, "--out", plain}, as("nora")...)...)
	var found []identified
	text, err := os.ReadFile(plain)
	if x.must(err); json.Unmarshal(text, &found) != nil || len(found) != 2 {
		t.Fatalf("%s", text)
	}
	for i, want := range []int{0, 2} {
		if p := found[i]; p.Released != recipient.Participant(codes[want]) || p.Code != codes[want] || p.Identifier != "P-"+strconv.Itoa(want+1) {
			t.Errorf("%+v", p)
		}
	}
}

// house opens the trial's configuration and database.
func (x *trial) house() *house {
	x.t.Helper()
	a := &app{out: io.Discard, err: io.Discard, dir: x.dir, output: "table"}
	h, err := a.open(x.t.Context(), needReading)
	x.must(err)
	x.t.Cleanup(h.close)
	return h
}

// A participant who has withdrawn is in no release that is planned afterwards.
func TestWithdrawal(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2")+person("P-3"))
	x.sync(study.ExitOK)
	codes := x.codes()
	x.run(study.ExitOK, "release", "build", "--as-of", "2026-05-01")
	x.refused(study.ExitUsage, "usage.arguments", nil, "participant", "withdraw", codes[0])
	x.refused(study.ExitUsage, "usage.arguments", nil, "participant", "withdraw", codes[0], "--from", "next", "--stop-use")
	x.refused(study.ExitUsage, "usage.arguments", nil, "participant", "withdraw", codes[0], "--from", "yesterday")
	x.refused(study.ExitBlocked, "vault.derived", []string{"random"}, "participant", "withdraw", codes[0], "--erase", "--why", "asked")
	x.run(study.ExitOK, "participant", "withdraw", codes[0], "--from", "next", "--actor", "ada")
	x.refused(study.ExitBlocked, "decision.repeated", nil, "participant", "withdraw", codes[0], "--from", "next")
	x.run(study.ExitOK, "participant", "withdraw", codes[1], "--stop-use")
	x.run(study.ExitOK, "release", "build", "--as-of", "2026-05-01")
	for name, want := range map[string]int64{"small_01_r001": 3, "small_01_r002": 1} {
		if got := x.participantsOf(name); got != want {
			t.Errorf("%s has %d participants, want %d", name, got, want)
		}
	}
	corrected := strings.Replace(acuityRow("P-2", "BL", "01/03/2026", "OD", "49"), "2026-03-02T", "2026-03-09T", 1)
	x.drop("b.csv", smallHeader+corrected)
	if got := x.sync(study.ExitRejections).Counts; got.Quarantined != 1 {
		t.Errorf("after --stop-use: %+v", got)
	}
	x.signed("small-01", "")
}

// participantsOf is how many participants a release has.
func (x *trial) participantsOf(id string) int64 {
	x.t.Helper()
	text, err := os.ReadFile(x.path("data/releases/small-01/" + id + "/datapackage.json"))
	x.must(err)
	var doc struct{ Resources []release.Resource }
	x.must(json.Unmarshal(text, &doc))
	for _, r := range doc.Resources {
		if r.Name == "participants" {
			return r.Rows
		}
	}
	x.t.Fatalf("no participants in %s", id)
	return 0
}

// Two identifiers of one person come to one participant, and apart again.
func TestLinks(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1"))
	x.drop("b.csv", smallHeader+acuityRow("OLD-1", "M1", "31/03/2026", "OD", "50")+person("P-3"))
	x.sync(study.ExitOK)
	codes := x.codes()
	live := func() (out []int64) {
		for _, code := range codes {
			out = append(out, x.number("SELECT count(*) FROM research.record_current r JOIN research.participant p USING (participant_id) WHERE p.code = $1 AND op = 'u'", code))
		}
		return out
	}
	first, old := codes[0], codes[1]
	before := live()
	x.refused(study.ExitBlocked, "decision.link", nil, "participant", "link", first, "--same-as", first, "--reason", "correction")
	x.refused(study.ExitUsage, "status.not_found", nil, "participant", "link", first, "--same-as", "SML-X", "--reason", "correction")
	x.refused(study.ExitBlocked, "decision.link", nil, "participant", "unlink", old)
	x.run(study.ExitOK, "participant", "link", old, "--same-as", first, "--reason", "data_entry", "--note", "same birth date")
	if now := live(); now[0] != before[0]+before[1] || now[1] != 0 || now[2] != before[2] {
		t.Errorf("records %v, before %v", now, before)
	}
	for _, code := range []string{old, first} {
		if _, said := x.run(study.ExitOK, "participant", "timeline", code); !strings.Contains(said, first) {
			t.Errorf("timeline of %s: %s", code, said)
		}
	}
	x.refused(study.ExitBlocked, "decision.link", nil, "participant", "link", codes[2], "--same-as", old, "--reason", "correction")
	x.drop("c.csv", smallHeader+acuityRow("OLD-1", "M1", "31/03/2026", "OS", "51"))
	x.sync(study.ExitOK)
	if now := live(); now[0] != before[0]+before[1]+1 {
		t.Errorf("after a delivery: %v", now)
	}
	x.run(study.ExitOK, "release", "build", "--as-of", "2026-05-01")
	if n := x.participantsOf("small_01_r001"); n != 2 {
		t.Errorf("%d participants are released, want 2", n)
	}
	x.run(study.ExitOK, "participant", "unlink", old)
	if now := live(); now[0] != before[0] || now[1] != before[1]+1 {
		t.Errorf("apart: %v", now)
	}
	x.signed("small-01", "")
}

// erasable is a trial with somebody to erase: in two files, one named after them,
// in quarantine, and in the pairs of a release series.
type erasable struct {
	*trial
	with         func(who string, args ...string) []string
	shared, code string
	others       int64 // records of the others
}

const erasedPerson = "ZZCANARY-MRN-77"

func newErasable(t *testing.T) *erasable {
	t.Helper()
	x := &erasable{trial: randomTrial(t)}
	as := x.staff(map[string]string{"nora": "data_manager", "cleo": "custodian"})
	x.with = func(who string, args ...string) []string { return append(args, as(who)...) }
	canary := erasedPerson
	x.shared = smallHeader + person("P-1") + person(canary) + acuityRow(canary, "M1", "31/03/2026", "OD", "ZZCANARY-VA") +
		acuityRow(canary, "M1", "never ZZCANARY", "OS", "50") + canary + ",M1,ZZCANARY-broken\n" + person("P-3")
	x.drop("ZZCANARY-file.csv", x.shared)
	x.drop("own.csv", smallHeader+strings.ReplaceAll(person(canary), "Dr Quux", "ZZCANARY-NOTE"))
	x.sync(study.ExitRejections)
	x.code = x.codes()[1]
	x.run(study.ExitOK, "series", "open", "s2")
	x.others = x.number("SELECT count(*) FROM research.record_current WHERE op = 'u' AND participant_id <> 2")
	x.drop("c.csv", smallHeader+person("P-4"))
	x.sync(study.ExitOK)
	// A file of a name that nobody read further than.
	h := x.house()
	f, err := h.landed(h.cfg.Sources[0])
	x.must(err)
	x.must(h.store.RefuseFile(t.Context(), "small-01", "ada", study.FileRecord{Source: "clinic", Item: "refused", Version: "1", Code: "ingest.row_count",
		RunID: x.number("SELECT max(run_id) FROM jobs.run"), SealedName: f.Intake.SealName(canary + ".csv"), KeyVersion: f.Intake.KeyVersion()}))
	return x
}

// asked asks for the erasure, and answers the number of the request.
func (x *erasable) asked() string {
	x.t.Helper()
	var made []postgres.VaultState
	x.answer(study.ExitOK, &made, x.with("nora", "participant", "withdraw", x.code, "--erase", "--why", "letter of ZZCANARY")...)
	return id(made[0].ID)
}

// nothing checks that nothing leads to the erased any more, and all else is there.
func (x *erasable) nothing(when string) {
	x.t.Helper()
	for _, hit := range x.erasedTraces() {
		x.t.Errorf("%s: something is left in %s", when, hit)
	}
	if n := x.number("SELECT count(*) FROM research.record_current WHERE op = 'u' AND participant_id <> 2"); n != x.others+3 {
		x.t.Errorf("%s: %d records of others, want %d", when, n, x.others+3)
	}
	if n := len(x.codes()); n != 4 {
		x.t.Errorf("%s: %d participants, want 4", when, n)
	}
}

// Who is erased is nowhere any more, whatever is read or delivered again.
func TestErasure(t *testing.T) {
	x := newErasable(t)
	if hits := x.erasedTraces(); len(hits) == 0 {
		t.Fatal("the search finds nothing where there is something")
	}
	request := x.asked()
	x.refused(study.ExitBlocked, "vault.state", []string{"pending"}, "vault", "run", request)
	x.run(study.ExitOK, x.with("cleo", "vault", "approve", request)...)
	var done erased
	x.answer(study.ExitOK, &done, "vault", "run", request, "--debug")
	if done.Objects != 2 || done.Rows != 9 || done.Unread != 0 {
		t.Errorf("erased %+v", done)
	}
	x.refused(study.ExitBlocked, "vault.state", []string{"executed"}, "vault", "run", request)
	if shown, _ := x.run(study.ExitOK, "vault", "show", request); !strings.Contains(shown, "(erased)") {
		t.Errorf("vault show: %s", shown)
	}
	x.nothing("after the erasure")
	x.run(study.ExitOK, "replay", "clinic", "--all")
	x.nothing("after reading everything again")
	x.drop("ZZCANARY-file.csv", x.shared+acuityRow(erasedPerson, "BL", "01/03/2026", "OD", "45"))
	x.drop("ZZCANARY-again.csv", x.shared)
	x.sync(study.ExitRejections)
	x.must(os.RemoveAll(x.path("drop")))
	x.nothing("after it was delivered again")
	x.run(study.ExitOK, "release", "build", "--as-of", "2026-05-01")
	if n := x.participantsOf("small_01_r001"); n != 3 {
		t.Errorf("%d participants are released, want 3", n)
	}
	x.run(study.ExitOK, "audit", "verify")

	// What is left of the file is still what the rows of others come from.
	rel := &released{t, x.path("data/releases/small-01/small_01_r001")}
	states := map[lineage.Landed]int{}
	for _, r := range rel.table("acuity") {
		var traced lineage.Trace
		x.answer(study.ExitOK, &traced, "lineage", "trace", "small_01_r001", "acuity", r.text("record_id"))
		states[traced.Batches[0].Landed]++
		if v := traced.Made[0]; !v.Proof.Holds || v.Line != v.Ordinal+1 {
			t.Errorf("row %d is told as line %d, proven %v", v.Ordinal, v.Line, v.Proof.Holds)
		}
	}
	if states[lineage.Reduced] != 4 || states[lineage.Sound] != 2 {
		t.Errorf("objects: %v", states)
	}
}

// An erasure that was killed, wherever, is complete when it is run again, also when
// what was landed is read in between and loses its rows by that.
func TestErasureIsTakenUpAgain(t *testing.T) {
	x := newErasable(t)
	request := x.asked()
	x.run(study.ExitOK, x.with("cleo", "vault", "approve", request)...)
	number, err := strconv.ParseInt(request, 10, 64)
	x.must(err)
	killed := errors.New("killed")
	x.inside(func(h *house) {
		r, err := h.store.StartVault(t.Context(), number, "shell")
		x.must(err)
		x.must(h.withdrawAll(t.Context(), &r, study.Erasure, decision.Why{Reason: "participant_request", Actor: "shell"}))
		x.must(h.store.EraseIdentities(t.Context(), &r))
		f, err := h.landed(h.cfg.Sources[0])
		x.must(err)
		if _, err := h.ingester().Erase(t.Context(), f, func(study.LandedObject, study.ErasedRows) error { return killed }); !errors.Is(err, killed) {
			t.Errorf("%v", err)
		}
	})
	x.run(study.ExitRejections, "replay", "clinic", "--all")
	if n := x.number("SELECT count(*) FROM vault.object_name"); n != 3 {
		t.Fatalf("%d names of objects are there before, want 3", n)
	}
	x.run(study.ExitOK, "vault", "run", request)
	x.nothing("after it was run again")
	x.refused(study.ExitBlocked, "vault.state", []string{"executed"}, "vault", "run", request)
	x.run(study.ExitOK, "audit", "verify")
}

// erasedTraces are the places that hold a canary: landing once opened, boxes of
// the vault once opened, any column of the database, any file of data and landing.
func (x *trial) erasedTraces() (hits []string) {
	x.t.Helper()
	h := x.house()
	objects, err := objectstore.Open(h.cfg.Service.Landing)
	x.must(err)
	kept, err := landing.New(objects, h.ring, "small-01")
	x.must(err)
	all, err := h.store.Objects(x.t.Context(), "clinic", false)
	x.must(err)
	for _, o := range all {
		r, err := kept.Open(x.t.Context(), o.Object)
		x.must(err)
		text, err := io.ReadAll(r)
		x.must(errors.Join(err, r.Close()))
		if bytes.Contains(text, []byte("ZZCANARY")) {
			hits = append(hits, "landing")
		}
	}
	hits = append(hits, x.openedVault(h)...)
	for _, table := range x.query(`SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('research', 'vault', 'audit', 'jobs')`) {
		if n := x.number(`SELECT count(*) FROM ` + table[0].(string) + ` t WHERE t::text LIKE '%ZZCANARY%' OR t::text LIKE '%5a5a43414e415259%'`); n > 0 {
			hits = append(hits, table[0].(string))
		}
	}
	search := newHunt(x.t).scanner
	for _, folder := range []string{"data", "landing"} {
		_ = filepath.WalkDir(x.path(folder), func(path string, e os.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				if text, _ := os.ReadFile(path); len(search.Text(text))+len(search.Text([]byte(path))) > 0 {
					hits = append(hits, folder)
				}
			}
			return nil
		})
	}
	return hits
}

// openedVault are the tables of the vault that hold a row of the erased, opened.
func (x *trial) openedVault(h *house) (hits []string) {
	x.t.Helper()
	f, err := h.landed(h.cfg.Sources[0])
	x.must(err)
	for _, row := range x.query("SELECT box FROM vault.quarantined_row") {
		if text, err := f.Intake.OpenRow(row[0].([]byte)); err != nil || bytes.Contains(text, []byte("ZZCANARY")) {
			hits = append(hits, "quarantine")
		}
	}
	for _, row := range x.query("SELECT box FROM vault.object_name UNION ALL SELECT name FROM jobs.file WHERE name IS NOT NULL") {
		if text, err := f.Intake.OpenName(row[0].([]byte)); err != nil || strings.Contains(text, "ZZCANARY") {
			hits = append(hits, "names")
		}
	}
	for table, sql := range map[string]string{"identity": "SELECT count(*) FROM vault.identity WHERE participant_id = 2",
		"sealed_value": "SELECT count(*) FROM vault.sealed_value WHERE participant_id = 2", "crosswalk": "SELECT count(*) FROM vault.crosswalk WHERE participant_id = 2",
		"request_reason": "SELECT count(*) FROM vault.request_reason", "uid": "SELECT count(*) - (SELECT count(*) FROM vault.identity) FROM vault.uid"} {
		if x.number(sql) > 0 {
			hits = append(hits, table)
		}
	}
	return hits
}
