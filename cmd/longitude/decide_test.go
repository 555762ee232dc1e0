//go:build unix

package main

import (
	"crypto/ed25519"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"longitude/deid"
	"longitude/internal/decision"
	"longitude/internal/status"
	"longitude/study"
)

func id(n int64) string { return strconv.FormatInt(n, 10) }

// decided runs a command that records decisions and answers them.
func (x *trial) decided(args ...string) []status.DecisionItem {
	x.t.Helper()
	var items []status.DecisionItem
	x.answer(study.ExitOK, &items, args...)
	if len(items) == 0 {
		x.t.Fatalf("longitude %s records nothing", strings.Join(args, " "))
	}
	return items
}

// deviation is the one deviation that a list with these filters answers.
func (x *trial) deviation(filters ...string) status.DeviationItem {
	x.t.Helper()
	var items []status.DeviationItem
	x.answer(study.ExitOK, &items, append([]string{"deviation", "list"}, filters...)...)
	if len(items) != 1 {
		x.t.Fatalf("deviation list %v: %+v", filters, items)
	}
	return items[0]
}

// late delivers a participant whose month 1 is six days late.
func (x *trial) late(exit int) {
	x.t.Helper()
	x.drop("a.csv", smallHeader+person("P-1")+acuityRow("P-1", "M1", "20/04/2026", "OD", "47")+acuityRow("P-1", "M1", "20/04/2026", "OS", "47"))
	x.sync(exit)
}

func TestExplain(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.late(study.ExitOK)
	open := x.deviation("--code", study.VisitOutOfWindow)
	for _, c := range []struct {
		exit int
		code string
		say  string
		args []string
	}{
		{study.ExitUsage, "usage.number", "deviation list", []string{"late", "--reason", "travel"}},
		{study.ExitUsage, "status.not_found", "deviation 4711", []string{"4711", "--reason", "travel"}},
		{study.ExitUsage, "decision.reason", "participant_request, illness", []string{id(open.ID), "--reason", "travle"}},
		{study.ExitUsage, "decision.reason", "use one of", []string{id(open.ID)}},
		{study.ExitUsage, "decision.note", "sealed", []string{id(open.ID), "--reason", "other"}},
		{study.ExitUsage, "decision.actor", "plain", []string{id(open.ID), "--reason", "travel", "--actor", "a\nb"}},
		{study.ExitUsage, "usage.arguments", "explain ID", nil},
	} {
		x.refused(c.exit, c.code, []string{c.say}, append([]string{"deviation", "explain"}, c.args...)...)
	}
	if n := x.number(`SELECT count(*) FROM research.decision`); n != 0 {
		t.Fatalf("%d decisions were recorded by mistakes", n)
	}

	said := x.decided("deviation", "explain", id(open.ID), "--reason", "travel", "--note", "Dr Quux was away", "--actor", "Ada L.")[0]
	if said.Kind != "explain" || said.Reason != "travel" || said.By != "Ada L." || said.Evidence != open.Evidence {
		t.Errorf("recorded: %+v", said)
	}
	x.signed("small-01", "Dr Quux was away")
	now := x.deviation("--code", study.VisitOutOfWindow, "--state", "explained")
	if now.Explanation == nil || now.Explanation.Reason != "travel" || now.Explanation.Decision != said.ID {
		t.Errorf("listed: %+v", now)
	}
	if out, _ := x.run(study.ExitOK, "deviation", "list"); !strings.Contains(out, "travel, Ada L.") || strings.Contains(out, "Quux") {
		t.Errorf("listed: %s", out)
	}
	if out, _ := x.run(study.ExitOK, "participant", "timeline", now.Code); !strings.Contains(out, "visit_out_of_window (travel)") {
		t.Errorf("timeline: %s", out)
	}
	x.refused(study.ExitBlocked, "decision.outdated", []string{"deviation list"}, "deviation", "explain", id(open.ID), "--reason", "illness")
	again := x.decided("deviation", "explain", id(now.ID), "--reason", "illness")[0] // a later one counts
	if e := x.deviation("--code", study.VisitOutOfWindow).Explanation; e == nil || e.Decision != again.ID || e.Reason != "illness" {
		t.Errorf("explained again: %+v", e)
	}
}

// signed checks what is stored of the newest decision: its signature, under the
// study's key, and its note, for who has the keys.
func (x *trial) signed(studyName, note string) {
	x.t.Helper()
	row := x.query(`SELECT d.decision_id, kind, coalesce(participant_id, 0), visit, code, visit_no, detail, evidence, source, coalesce(quarantine_id, 0), coalesce(lifts, 0),
		reason, actor, statement, signature, signed_by, d.recorded_at, n.box FROM research.decision d LEFT JOIN vault.decision_note n USING (decision_id)
		ORDER BY decision_id DESC LIMIT 1`)[0]
	text := func(i int) string { s, _ := row[i].(string); return s }
	number := func(i int) int64 { n, _ := row[i].(int64); return n }
	visitNo, _ := row[5].(int32)
	d := study.Decision{Kind: study.DecisionKind(text(1)), Study: studyName, Participant: number(2), Visit: text(3),
		Deviation: study.DeviationKey{Code: text(4), VisitNo: visitNo, Detail: text(6)}, Evidence: text(7), Source: text(8),
		Quarantine: number(9), Lifts: number(10), Reason: text(11), Actor: text(12), SignedBy: text(15)}
	d.Statement, _ = row[13].([]byte)
	d.Signature, _ = row[14].([]byte)
	d.At, _ = row[16].(time.Time)
	d.Note, _ = row[17].([]byte)
	x.inside(func(h *house) {
		keyID, public, err := h.ring.Public(studyName)
		x.must(err)
		if keyID != d.SignedBy || !decision.Verify(&d, public) {
			x.t.Errorf("the signature of the decision does not hold:\n%s", d.Statement)
		}
		if decision.Verify(&d, make(ed25519.PublicKey, ed25519.PublicKeySize)) {
			x.t.Error("the signature holds for any key")
		}
		if note == "" {
			return
		}
		if got, err := deid.OpenNote(h.ring, studyName, decision.About(&d), d.Note); err != nil || got != note {
			x.t.Errorf("the note is %q, %v", got, err)
		}
	})
}

// A note can come from standard input, where no history of a shell keeps it.
func TestNoteFromStandardInput(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.late(study.ExitOK)
	x.write("note", "  Dr Quux was away\n")
	in, err := os.Open(x.path("note"))
	x.must(err)
	stdin := os.Stdin
	os.Stdin = in
	defer func() { os.Stdin = stdin; _ = in.Close() }()
	x.decided("deviation", "explain", id(x.deviation("--code", study.VisitOutOfWindow).ID), "--reason", "other", "--note", "-")
	x.signed("small-01", "Dr Quux was away")
}

// Where the protocol requires a reason, giving one releases what waited.
func TestExplanationReleasesWhatIsHeld(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("study.yaml", "visit_out_of_window: accept", "visit_out_of_window: require_reason")
	x.late(study.ExitOK)
	held := func() int64 { return x.number(`SELECT count(*) FROM research.hold_current WHERE code <> ''`) }
	if held() != 2 {
		t.Fatalf("%d records are held, want 2", held())
	}
	x.run(study.ExitOK, "deviation", "explain", id(x.deviation("--code", study.VisitOutOfWindow).ID), "--reason", "protocol_exception")
	if held() != 0 {
		t.Errorf("%d records are still held", held())
	}
}

func TestWaive(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1")+acuityRow("P-1", "M1", "31/03/2026", "OD", "seventy")+acuityRow("P-1", "M1", "31/03/2026", "OS", "eighty"))
	x.sync(study.ExitRejections)
	var rows []status.QuarantineItem
	x.answer(study.ExitOK, &rows, "quarantine", "list", "--state", "open")
	if len(rows) != 2 {
		t.Fatalf("quarantine: %+v", rows)
	}
	newest := id(rows[0].ID)
	out, _ := x.run(study.ExitOK, "quarantine", "show", newest)
	for _, word := range []string{"is open", "acuity_invalid", "no visual acuity", "scale", "acuity va"} {
		if !strings.Contains(out, word) || strings.Contains(out, "eighty") {
			t.Errorf("quarantine show does not say %q:\n%s", word, out)
		}
	}
	var shown struct {
		status.QuarantinedRow
		Fix string `json:"fix"`
	}
	x.answer(study.ExitOK, &shown, "quarantine", "show", newest)
	if shown.Fix == "" || len(shown.Sightings) != 1 || !shown.Sightings[0].Current {
		t.Errorf("quarantine show: %+v", shown)
	}
	x.refused(study.ExitUsage, "status.not_found", []string{"4711"}, "quarantine", "show", "4711")
	x.refused(study.ExitUsage, "usage.number", nil, "quarantine", "show", "x")
	x.refused(study.ExitUsage, "usage.state", []string{"waived"}, "quarantine", "list", "--state", "closed")
	x.refused(study.ExitUsage, "status.not_found", []string{"4711"}, "quarantine", "waive", "4711", "--reason", "duplicate")
	x.refused(study.ExitUsage, "decision.reason", []string{"not_study_data"}, "quarantine", "waive", newest, "--reason", "dup")
	x.refused(study.ExitUsage, "usage.arguments", nil, "quarantine", "waive")

	if done := x.decided("quarantine", "waive", id(rows[0].ID), id(rows[1].ID), "--reason", "duplicate", "--note", "sent by fax"); len(done) != 2 {
		t.Errorf("waived: %+v", done)
	}
	x.signed("small-01", "sent by fax")
	x.refused(study.ExitBlocked, "decision.repeated", []string{"waived already"}, "quarantine", "waive", newest, "--reason", "duplicate")
	if out, _ := x.run(study.ExitOK, "quarantine", "show", newest); !strings.Contains(out, "is waived") || !strings.Contains(out, "waived      duplicate by") {
		t.Errorf("quarantine show: %s", out)
	}
	if left := x.table(study.ExitOK, "quarantine", "list", "--state", "open"); len(left) != 1 {
		t.Errorf("open: %v", left)
	}
	if again := x.sync(study.ExitOK); again.Objects != 0 {
		t.Errorf("synced again: %+v", again)
	}
}

func TestLocks(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2"))
	x.sync(study.ExitOK)
	x.refused(study.ExitUsage, "status.not_found", []string{"month_7"}, "lock", "visit", "month_7")
	x.refused(study.ExitUsage, "status.not_found", []string{"SML-NOBODY"}, "lock", "participant", "SML-NOBODY")
	x.refused(study.ExitUsage, "decision.reason", nil, "lock", "study", "--reason", "final")
	x.refused(study.ExitUsage, "study.unknown", nil, "lock", "study", "--study", "other-01")
	x.refused(study.ExitUsage, "usage.command", nil, "lock", "everything")
	x.refused(study.ExitUsage, "status.not_found", []string{"lock 3"}, "unlock", "3")
	x.refused(study.ExitUsage, "usage.number", []string{"lock list"}, "unlock", "baseline")

	lock := x.decided("lock", "visit", "baseline", "--actor", "ada")[0]
	x.signed("small-01", "")
	person2, _ := x.query(`SELECT code FROM research.participant_current ORDER BY participant_id DESC LIMIT 1`)[0][0].(string)
	other := x.decided("lock", "participant", person2, "--reason", "correction")[0]
	if list, _ := x.run(study.ExitOK, "lock", "list"); !strings.Contains(list, "visit type baseline") || !strings.Contains(list, "participant "+person2) || !strings.Contains(list, "ada") {
		t.Errorf("lock list: %s", list)
	}

	if again := x.decided("lock", "visit", "baseline", "--actor", "grace")[0]; again.ID != lock.ID || again.By != "ada" {
		t.Errorf("locked twice: %+v, and %+v", lock, again)
	}
	corrected := strings.Replace(acuityRow("P-1", "BL", "01/03/2026", "OD", "49"), "2026-03-02T", "2026-03-09T", 1)
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2")+corrected)
	if got := x.sync(study.ExitRejections).Counts; got.Quarantined != 1 || got.Accepted != 0 || got.Unchanged != 6 {
		t.Errorf("under the lock: %+v", got)
	}
	locked := x.deviation("--code", study.EditedAfterLock)
	if out, said := x.run(study.ExitOK, "participant", "timeline", locked.Code); !strings.Contains(out, "edited_after_lock") || !strings.Contains(said, "locked: visit type baseline") || strings.Contains(said, person2) {
		t.Errorf("timeline: %s%s", said, out)
	}
	if _, said := x.run(study.ExitOK, "participant", "timeline", person2); !strings.Contains(said, "locked: participant "+person2) {
		t.Errorf("timeline of who is locked: %s", said)
	}

	if _, said := x.run(study.ExitOK, "unlock", id(lock.ID)); !strings.Contains(said, "1 new") {
		t.Errorf("unlock says: %s", said)
	}
	x.signed("small-01", "")
	value, _ := x.query(`SELECT split_part(answers, E'\x1f', 2) FROM research.record_version WHERE version = 2`)[0][0].(string)
	if value != "etdrs:49" {
		t.Errorf("after the unlock the value is %q", value)
	}
	if open := x.table(study.ExitOK, "quarantine", "list", "--state", "open"); len(open) != 1 {
		t.Errorf("still in quarantine: %v", open)
	}
	x.deviation("--code", study.EditedAfterLock, "--state", "resolved")
	x.refused(study.ExitBlocked, "decision.repeated", []string{"lifted already"}, "unlock", id(lock.ID))
	if list := x.table(study.ExitOK, "lock", "list"); len(list) != 2 || list[1][0] != id(other.ID) {
		t.Errorf("in force: %v", list)
	}
	if list := x.table(study.ExitOK, "lock", "list", "--all"); len(list) != 3 {
		t.Errorf("all locks: %v", list)
	}
}

func TestRecalculate(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.late(study.ExitOK)
	code := x.deviation("--code", study.VisitOutOfWindow).Code
	x.refused(study.ExitUsage, "usage.arguments", []string{"--all"}, "participant", "recalculate")
	x.refused(study.ExitUsage, "usage.arguments", nil, "participant", "recalculate", code, "--all")
	x.refused(study.ExitUsage, "status.not_found", []string{"SML-X"}, "participant", "recalculate", code, "SML-X")
	before := x.number(`SELECT count(*) FROM research.deviation_version`)
	var done recalculated
	x.answer(study.ExitOK, &done, "participant", "recalculate", code, code, "--actor", "ada")
	if done.Participants != 1 || done.Run == 0 {
		t.Errorf("recalculated: %+v", done)
	}
	x.answer(study.ExitOK, &done, "participant", "recalculate", "--all")
	if done.Participants != 1 {
		t.Errorf("recalculated all: %+v", done)
	}
	if after := x.number(`SELECT count(*) FROM research.deviation_version`); after != before {
		t.Errorf("recalculating changed %d deviations of which nothing changed", after-before)
	}
	if n := x.number(`SELECT count(*) FROM audit.event WHERE actor = 'ada'`); n != 1 {
		t.Errorf("%d audit events of who asked", n)
	}
}

func TestParticipantList(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.late(study.ExitOK)
	x.drop("b.csv", smallHeader+acuityRow("P-2", "BL", "01/03/2026", "OD", "47"))
	x.sync(study.ExitOK)
	x.refused(study.ExitUsage, "usage.status", []string{"screen_failure"}, "participant", "list", "--status", "gone")
	x.refused(study.ExitUsage, "study.unknown", nil, "participant", "list", "--study", "other-01")
	var all []status.ParticipantItem
	x.answer(study.ExitOK, &all, "participant", "list")
	if len(all) != 2 || all[0].Enrolled || all[0].Held != 1 || !all[1].Enrolled || all[1].Visits != 2 || all[1].Open == 0 || all[1].Held != 0 || all[1].Consented == nil {
		t.Errorf("participants: %+v", all)
	}
	if one := x.table(study.ExitOK, "participant", "list", "--limit", "1"); len(one) != 2 || one[1][0] != all[0].Code {
		t.Errorf("one: %v", one)
	}
	if none := x.table(study.ExitOK, "participant", "list", "--site", "elsewhere"); len(none) != 1 {
		t.Errorf("elsewhere: %v", none)
	}
	if none := x.table(study.ExitOK, "participant", "list", "--status", "withdrawn"); len(none) != 1 {
		t.Errorf("withdrawn: %v", none)
	}
}
