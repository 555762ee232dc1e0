//go:build unix

package main

import (
	"slices"
	"strings"
	"testing"

	"longitude/internal/config"
	"longitude/internal/status"
	"longitude/study"
)

func (x *trial) plan() (p planShown) {
	x.t.Helper()
	x.answer(study.ExitOK, &p, "plan")
	return p
}

// The first documents are in force at once; comments and layout ask nothing; what
// only adds is in force from the next command on, and recorded.
func TestChangesThatAskNobody(t *testing.T) {
	x := newTrial(t, smallStudy)
	if p := x.plan(); len(p.Documents) != 2 || p.Class != config.Additive {
		t.Errorf("plan of an empty database: %+v", p)
	}
	x.run(study.ExitOK, "status")
	if p := x.plan(); len(p.Documents) != 0 || p.Hash != "" {
		t.Errorf("plan of what is in force: %+v", p)
	}
	x.edit("study.yaml", "title:", "# said otherwise\ntitle:  ")
	if p := x.plan(); p.Class != config.NoEffect {
		t.Errorf("plan of a comment: %+v", p)
	}
	if _, said := x.run(study.ExitOK, "status"); strings.Contains(said, "in force") {
		t.Errorf("a comment is news: %s", said)
	}
	x.edit("study.yaml", "choices: [ETDRS, Snellen]", "choices: [ETDRS, Snellen, LogMAR]")
	x.edit("study.yaml", "form_grace_days: 10", "form_grace_days: 20")
	_, said := x.run(study.ExitOK, "status")
	for _, words := range []string{"choice LogMAR of acuity.method is new", "days until a form is missing: 10", "participant recalculate --all --study small-01"} {
		if !strings.Contains(said, words) {
			t.Errorf("it is not told that %q:\n%s", words, said)
		}
	}
	if _, said := x.run(study.ExitOK, "status"); strings.Contains(said, "in force") {
		t.Errorf("told twice: %s", said)
	}
	x.edit("source.yaml", "iop_mmhg: {column: IOP}", "iop_mmhg: {column: PRESSURE}")
	if p := x.plan(); p.Class != config.Replay {
		t.Errorf("plan of a mapping: %+v", p)
	}
	if _, said := x.run(study.ExitOK, "run", "list"); !strings.Contains(said, "longitude replay clinic --all") {
		t.Errorf("a changed mapping: %s", said)
	}
	if n := x.number(`SELECT count(*) FROM audit.event WHERE action = 'config.applied'`); n != 4 {
		t.Errorf("%d audit events, want 4", n)
	}
}

// A window that is changed in place stops whatever records, and nothing else,
// until it is applied or taken back; applied, everybody is judged by it.
func TestDestructiveChanges(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.late(study.ExitOK)
	const was, is = "day: 30, window: [-7, 14]", "day: 30, window: [-7, 28]"
	x.edit("study.yaml", was, is)
	for _, args := range [][]string{{"sync"}, {"release", "build"}, {"serve"}, {"replay", "clinic"}, {"participant", "recalculate", "--all"}, {"lock", "study"}} {
		x.refused(study.ExitBlocked, "config.destructive", []string{"window of month_1", "longitude plan"}, args...)
	}
	for _, args := range [][]string{{"status"}, {"run", "list"}, {"quarantine", "list"}, {"deviation", "list"}, {"drift", "list"}, {"lock", "list"}, {"release", "list"}, {"check"}, {"validate"}} {
		x.run(study.ExitOK, args...)
	}
	if d := x.deviation("--code", study.VisitOutOfWindow); d.State != "open" {
		t.Errorf("under what is in force: %+v", d)
	}
	p := x.plan()
	if p.Class != config.Destructive || len(p.Documents) != 1 || !strings.Contains(p.Documents[0].Changes[0].Text, "-7..14 days becomes -7..28 days") {
		t.Errorf("plan: %+v", p)
	}
	out, _ := x.run(study.ExitOK, "plan")
	if !strings.Contains(out, "longitude apply --plan "+p.Hash[:16]) {
		t.Errorf("plan: %s", out)
	}
	x.refused(study.ExitUsage, "usage.plan", nil, "apply")
	x.refused(study.ExitUsage, "usage.plan", nil, "apply", "--plan", p.Hash[:15])
	x.refused(study.ExitBlocked, "config.plan_other", []string{"longitude plan"}, "apply", "--plan", strings.Repeat("0", 16))

	x.edit("study.yaml", is, was) // taken back, nothing has happened
	x.run(study.ExitOK, "sync")
	x.edit("study.yaml", was, is)
	versions := x.versions()
	if _, said := x.run(study.ExitOK, "apply", "--plan", p.Hash[:16], "--actor", "ada"); !strings.Contains(said, "1 participant judged again") {
		t.Errorf("apply says: %s", said)
	}
	if d := x.deviation("--code", study.VisitOutOfWindow); d.State != "resolved" {
		t.Errorf("after the window was widened: %+v", d)
	}
	if x.versions() != versions {
		t.Error("a window changed records")
	}
	if n := x.number(`SELECT count(*) FROM audit.event WHERE action = 'config.applied' AND actor = 'ada'`); n != 1 {
		t.Errorf("%d audit events of who applied", n)
	}
	if _, said := x.run(study.ExitOK, "apply", "--plan", p.Hash[:16]); !strings.Contains(said, "nothing changes") {
		t.Errorf("applied twice: %s", said)
	}
	x.run(study.ExitOK, "sync")
}

// A field that goes is read out of what was delivered before, and history stays.
func TestApplyReadsAgain(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1"))
	x.sync(study.ExitOK)
	x.edit("study.yaml", "      - {name: iop_mmhg, type: \"decimal(4,1)\", range: [0, 80], unit: mmHg, class: clinical}\n", "")
	x.edit("source.yaml", "        iop_mmhg: {column: IOP}\n", "")
	x.refused(study.ExitBlocked, "config.destructive", []string{"field acuity.iop_mmhg is removed"}, "sync")
	p := x.plan()
	var replayed []syncResult
	x.answer(study.ExitOK, &replayed, "apply", "--plan", p.Hash)
	if len(replayed) != 1 || replayed[0].Objects != 1 || replayed[0].Counts.Accepted != 2 {
		t.Errorf("apply: %+v", replayed)
	}
	x.sync(study.ExitOK)
	x.run(study.ExitOK, "release", "build")
}

// After a fix of the mapping, replay clears what it should, and twice is once.
func TestReplayCommands(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1")+acuityRow("P-1", "M1", "31/03/2026", "RE", "50")+acuityRow("P-1", "M1", "31/03/2026", "OS", "fifty"))
	x.sync(study.ExitRejections)
	x.refused(study.ExitUsage, "source.unknown", nil, "replay", "nowhere")
	x.refused(study.ExitUsage, "source.unknown", nil, "quarantine", "replay", "--source", "nowhere")
	x.refused(study.ExitUsage, "usage.number", nil, "quarantine", "replay", "RE")
	x.refused(study.ExitUsage, "status.not_found", []string{"4711"}, "quarantine", "replay", "4711")
	x.refused(study.ExitUsage, "usage.arguments", nil, "quarantine", "replay", "1", "--source", "clinic")
	x.refused(study.ExitUsage, "usage.kind", []string{"replay"}, "run", "list", "--kind", "again")
	x.edit("source.yaml", "{OD: R, OS: L}", "{OD: R, RE: R, OS: L}")
	var results []syncResult
	x.answer(study.ExitRejections, &results, "quarantine", "replay", "1")
	if len(results) != 1 || results[0].Counts.Accepted != 1 || results[0].Counts.Quarantined != 1 {
		t.Errorf("replayed: %+v", results)
	}
	var rows []status.QuarantineItem
	x.answer(study.ExitOK, &rows, "quarantine", "list")
	states := []string{}
	for _, q := range rows {
		states = append(states, q.State)
	}
	if !slices.Equal(states, []string{"open", "replayed"}) {
		t.Errorf("states: %v", states)
	}
	before := x.versions()
	for _, args := range [][]string{{"quarantine", "replay"}, {"replay", "clinic", "--all"}, {"quarantine", "replay", "--source", "clinic"}} {
		x.answer(study.ExitOK, &results, args...)
		if len(results) != 1 || results[0].Objects != 0 || x.versions() != before {
			t.Errorf("longitude %v again: %+v", args, results)
		}
	}
	x.run(study.ExitOK, "quarantine", "waive", id(rows[0].ID), "--reason", "not_study_data")
	if _, said := x.run(study.ExitOK, "quarantine", "replay"); !strings.Contains(said, "nothing waits") {
		t.Errorf("with nothing waiting: %s", said)
	}
}

// A frozen source goes on once a person accepts its shape.
func TestDriftCommands(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("source.yaml", "map:", "drift: {new_column: freeze}\nmap:")
	x.refused(study.ExitUsage, "status.not_found", []string{"clinic"}, "drift", "show", "clinic")
	x.refused(study.ExitUsage, "status.not_found", []string{"clinic"}, "drift", "accept", "clinic")
	x.refused(study.ExitUsage, "source.unknown", nil, "drift", "accept", "nowhere")
	x.refused(study.ExitUsage, "source.unknown", nil, "drift", "list", "nowhere")
	x.refused(study.ExitUsage, "usage.kind", []string{"new_column"}, "drift", "list", "--kind", "new")
	x.drop("a.csv", smallHeader+person("P-1"))
	x.sync(study.ExitOK)
	if shape := x.table(study.ExitOK, "drift", "show", "clinic"); len(shape) != 14 || shape[3][1] != "DATE" || shape[3][2] != "date" || shape[10][2] != "too few values" {
		t.Errorf("shape: %v", shape)
	}
	wider := strings.ReplaceAll(smallHeader+person("P-1")+person("P-2"), "\n", ",x\n")
	wider = strings.Replace(wider, ",x\n", ",LENS_TYPE\n", 1)
	x.drop("b.csv", wider)
	x.refused(study.ExitBlocked, "drift.frozen", []string{"LENS_TYPE", "longitude drift accept clinic"}, "sync")
	said := x.decided("drift", "accept", "clinic", "--reason", "protocol_exception")[0]
	if said.Source != "clinic" || said.Reason != "protocol_exception" {
		t.Errorf("accepted: %+v", said)
	}
	x.signed("small-01", "")
	if got := x.sync(study.ExitOK); got.Counts.Accepted != 3 {
		t.Errorf("after the shape was accepted: %+v", got)
	}
	if shape := x.table(study.ExitOK, "drift", "show", "clinic"); len(shape) != 15 {
		t.Errorf("shape: %v", shape)
	}
	x.run(study.ExitOK, "drift", "list", "clinic", "--kind", "new_column")
}

// A column that the mapping still reads is not let go by mistake.
func TestAcceptingThatAColumnIsGone(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1"))
	x.sync(study.ExitOK)
	x.drop("b.csv", strings.Replace(smallHeader, ",IOP", ",TENSION", 1)+person("P-1"))
	x.sync(study.ExitRejections)
	x.refused(study.ExitBlocked, "drift.still_read", []string{"clinic", "IOP", "--without"}, "drift", "accept", "clinic")
	x.decided("drift", "accept", "clinic", "--without")
	x.edit("source.yaml", "column: IOP", "column: TENSION")
	x.decided("drift", "accept", "clinic")
}
