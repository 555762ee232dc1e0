//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"longitude/internal/audit"
	"longitude/internal/lineage"
	"longitude/internal/openlineage/openlineagetest"
	"longitude/internal/status"
	"longitude/study"
)

// corrected is a trial in which one reading was corrected between two releases.
func corrected(t *testing.T) (x *trial, before, after *released) {
	t.Helper()
	x = newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2"))
	x.sync(study.ExitOK)
	before = &released{t, strings.TrimPrefix(x.release().Publications[0].Location, "file://")}
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2")+strings.Replace(acuityRow("P-1", "BL", "01/03/2026", "OD", "49"), "2026-03-02T", "2026-03-09T", 1))
	x.sync(study.ExitOK)
	after = &released{t, strings.TrimPrefix(x.release().Publications[0].Location, "file://")}
	return x, before, after
}

// reading is the row of a table of acuity with a value of 44 or 49 letters.
func (rel *released) reading(letters int64) row {
	rel.t.Helper()
	for _, r := range rel.table("acuity") {
		if r["va_letters"] == letters {
			return r
		}
	}
	rel.t.Fatalf("no reading of %d letters", letters)
	return nil
}

func TestTraceAsOfEachRelease(t *testing.T) {
	x, before, after := corrected(t)
	id := after.reading(49).text("record_id")
	if !slices.ContainsFunc(before.table("acuity"), func(r row) bool { return r.text("record_id") == id && r["va_letters"] == int64(44) }) {
		t.Fatal("the corrected record has another id")
	}
	as := x.staff(map[string]string{"vera": "auditor", "max": "operator"})
	look := func(release, who string) []string {
		return append([]string{"lineage", "trace", release, "acuity", id, "--show-line", "--reason", "correction"}, as(who)...)
	}
	x.refused(study.ExitBlocked, "people.role_missing", nil, look("small_01_r001", "max")...)
	x.refused(study.ExitBlocked, "people.role_missing", nil, look("small_01_r001", "ada")...)
	x.refused(study.ExitBlocked, "people.unknown", nil, look("small_01_r001", "zoe")...)
	for release, want := range map[string]string{"small_01_r001": ",44,", "small_01_r002": ",49,"} {
		var traced lineage.Trace
		x.answer(study.ExitOK, &traced, look(release, "vera")...)
		v := onlyVersion(t, &traced)
		if !strings.Contains(v.Text, want) || !strings.Contains(v.Text, "P-1") || v.Line != v.Ordinal+1 {
			t.Errorf("%s: line %d, row %d, not the reading of that release", release, v.Line, v.Ordinal)
		}
	}
	if shown, _ := x.run(study.ExitOK, look("small_01_r002", "vera")...); !strings.Contains(shown, ",49,") {
		t.Error("the line is not shown in words")
	}
	var events []audit.Entry
	x.answer(study.ExitOK, &events, "audit", "show", "--action", "record.viewed")
	if len(events) != 3 || events[0].Event.Actor != "vera" || events[0].Event.Reason != "correction" || events[0].Index < 0 {
		t.Errorf("events of who looked: %+v", events)
	}
}

// A terminal is shown what was landed, and is not steered by it.
func TestLandedTextOnATerminal(t *testing.T) {
	for landed, want := range map[string]string{
		"P-1,\"two\r\nlines\",é":     "P-1,\"two\nlines\",é",
		"a\x1b[2Jb\u009bc\rd\te\x00": "a\ufffd[2Jb\ufffdc\ufffdd\te\ufffd",
	} {
		if got := onTerminal(landed); got != want {
			t.Errorf("%q is shown as %q", landed, got)
		}
	}
}

// A deviation leads back to its visit, and to what the visit was judged from.
func TestTraceOfDeviations(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.late(study.ExitOK)
	rel := &released{t, strings.TrimPrefix(x.release().Publications[0].Location, "file://")}
	deviations := rel.table("deviations")
	if len(deviations) == 0 {
		t.Fatal("no deviations")
	}
	for _, r := range deviations {
		var traced lineage.Trace
		x.answer(study.ExitOK, &traced, "lineage", "trace", "small_01_r001", "deviations", "participant_id="+r.text("participant_id")+",deviation_seq="+r.text("deviation_seq"))
		kinds := map[string]int{}
		for _, v := range traced.Made {
			kinds[v.Kind]++
			if v.Kind == lineage.OfDeviation && v.Deviation != r.text("deviation") {
				t.Errorf("%s leads to %s", r.text("deviation"), v.Deviation)
			}
			if v.Kind == lineage.OfRecord && (v.Proof == nil || !v.Proof.Holds) {
				t.Errorf("%s: a record is not proven", r.text("deviation"))
			}
		}
		seen := r["visit_id"] != nil
		if kinds[lineage.OfDeviation] != 1 || seen && (kinds[lineage.OfVisit] != 1 || kinds[lineage.OfRecord] == 0) || len(traced.Batches) == 0 {
			t.Errorf("%s is made of %v in %d batches", r.text("deviation"), kinds, len(traced.Batches))
		}
	}
}

// The trace of a row in words names what the one in JSON does.
func TestTraceInWords(t *testing.T) {
	x, _, rel := corrected(t)
	out, _ := x.run(study.ExitOK, "lineage", "trace", "small_01_r002", "acuity", rel.reading(49).text("record_id"))
	for _, want := range []string{"proven against the signed log", "bytes, sound", "version 2 of acuity is leaf", ": proven", "mapping  ", "leaf 0 of 1 "} {
		if !strings.Contains(out, want) {
			t.Errorf("the trace does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "NOT PROVEN") || strings.Contains(out, "P-1") {
		t.Errorf("trace:\n%s", out)
	}
}

// Every table about participants can be walked back, by its key and by its ids,
// and no trace says anything of the row unless a line was asked for.
func TestTraceOfEveryTable(t *testing.T) {
	x, _, rel := corrected(t)
	for _, table := range []string{"participants", "visits", "visit_status", "acuity", "consent"} {
		for n, r := range rel.table(table)[:1] {
			key := "participant_id=" + r.text("participant_id")
			for _, column := range []string{"visit_seq", "record_seq", "visit_order"} {
				if _, there := r[column]; there {
					key += "," + column + "=" + r.text(column)
				}
			}
			var traced lineage.Trace
			out, _ := x.run(study.ExitOK, "lineage", "trace", "small_01_r002", table, key, "--output", "json")
			x.must(json.Unmarshal([]byte(out), &traced))
			if len(traced.Made) == 0 || len(traced.Batches) == 0 || len(traced.Notes) > 0 {
				t.Fatalf("%s %d: made of %d versions in %d batches, %v", table, n, len(traced.Made), len(traced.Batches), traced.Notes)
			}
			for _, v := range traced.Made {
				if v.Kind == lineage.OfRecord && (v.Proof == nil || !v.Proof.Holds || v.Line == 0) {
					t.Errorf("%s %d: a version is not proven or has no line: %+v", table, n, v)
				}
			}
			if strings.Contains(out, "P-1") || strings.Contains(out, "P-2") {
				t.Errorf("%s %d: the trace names a person", table, n)
			}
			for _, column := range []string{"record_id", "visit_id"} {
				if _, there := r[column]; there && r[column] != nil && (column == "record_id") == (table != "visits") && table != "visit_status" {
					var byID lineage.Trace
					x.answer(study.ExitOK, &byID, "lineage", "trace", "small_01_r002", table, r.text(column))
					if byID.RowID != traced.RowID || len(byID.Made) != len(traced.Made) {
						t.Errorf("%s %d: %s leads elsewhere than its key", table, n, column)
					}
				}
			}
		}
	}
}

func TestTraceRefuses(t *testing.T) {
	x, _, rel := corrected(t)
	id := rel.reading(49).text("record_id")
	for name, c := range map[string]struct {
		exit int
		code string
		args []string
	}{
		"no reason":        {study.ExitUsage, "lineage.reason", []string{"small_01_r002", "acuity", id, "--show-line"}},
		"a made-up reason": {study.ExitUsage, "lineage.reason", []string{"small_01_r002", "acuity", id, "--show-line", "--reason", "curiosity"}},
		"no such release":  {study.ExitUsage, "status.not_found", []string{"small_01_r009", "acuity", id}},
		"no such table":    {study.ExitUsage, "lineage.table", []string{"small_01_r002", "secrets", id}},
		"about nobody":     {study.ExitUsage, "lineage.table", []string{"small_01_r002", "codelists", "participant_id=" + rel.reading(49).text("participant_id")}},
		"no such row":      {study.ExitFailed, "lineage.no_row", []string{"small_01_r002", "acuity", "R" + strings.Repeat("0", 25)}},
		"several rows":     {study.ExitUsage, "lineage.several", []string{"small_01_r002", "acuity", "participant_id=" + rel.reading(49).text("participant_id")}},
		"a foreign column": {study.ExitUsage, "lineage.column", []string{"small_01_r002", "visits", id}},
		"no key":           {study.ExitUsage, "usage.key", []string{"small_01_r002", "visits", "baseline"}},
	} {
		t.Run(name, func(t *testing.T) {
			x.refused(c.exit, c.code, nil, append([]string{"lineage", "trace"}, c.args...)...)
		})
	}
	if n := x.number(`SELECT count(*) FROM audit.event WHERE action = 'record.viewed'`); n != 0 {
		t.Errorf("%d events say that somebody looked, and nobody did", n)
	}
}

// A landed object that was changed, and a version that was, both show in a trace.
func TestTraceShowsTampering(t *testing.T) {
	x, _, rel := corrected(t)
	x.tampered = true
	id := rel.reading(49).text("record_id")
	x.exec(`ALTER TABLE research.record_version DISABLE TRIGGER append_only; UPDATE research.record_version SET findings = 'va:range' WHERE version = 2;
		ALTER TABLE research.record_version ENABLE ALWAYS TRIGGER append_only`)
	var traced lineage.Trace
	x.answer(study.ExitBlocked, &traced, "lineage", "trace", "small_01_r002", "acuity", id)
	if p := traced.Made[0].Proof; p == nil || p.Holds || !traced.Batches[0].Event.Proven {
		t.Errorf("a changed version is proven: %+v", p)
	}
}

func TestHistory(t *testing.T) {
	x, _, _ := corrected(t)
	code := x.query(`SELECT code FROM research.participant JOIN research.record_version USING (participant_id) WHERE version = 2`)[0][0].(string)
	var h status.RecordHistory
	x.answer(study.ExitOK, &h, "history", code, "--form", "acuity", "--field", "va", "--visit", "baseline")
	var corrections []status.Change
	for _, c := range h.Changes {
		if c.Form != "acuity" || c.Field != "va" || c.Visit != "baseline" {
			t.Errorf("not asked for: %+v", c)
		}
		if c.What == status.Corrected {
			corrections = append(corrections, c)
		}
	}
	if len(corrections) != 1 {
		t.Fatalf("%d corrections, want one", len(corrections))
	}
	c := corrections[0]
	if *c.Before != "etdrs:44" || *c.After != "etdrs:49" || c.Version != 2 || c.Modified == nil || c.Batch == 0 || c.Run == 0 || c.Row == 0 || c.Source == "" || c.Received.IsZero() {
		t.Errorf("correction: %+v", c)
	}
	h = status.RecordHistory{}
	x.answer(study.ExitOK, &h, "history", code)
	forms := map[string]bool{}
	for _, c := range h.Changes {
		if c.Sealed && (c.Before != nil || c.After != nil) {
			t.Errorf("a sealed value is shown: %s.%s", c.Form, c.Field)
		}
		if c.Field == "arm" {
			t.Error("a blinded field is in the history")
		}
		if (c.Field == "comments" || c.Field == "initials") && !c.Sealed {
			t.Errorf("%s is not sealed", c.Field)
		}
		if c.Author != status.SealedWords || c.Reason != "" {
			t.Errorf("author %q, reason %q: the source says who and not why", c.Author, c.Reason)
		}
		forms[c.Form] = true
	}
	if !forms["consent"] || !forms["acuity"] {
		t.Error("the whole history lacks a form")
	}
	x.refused(study.ExitUsage, "status.not_found", nil, "history", code, "--form", "nonsense")
	x.refused(study.ExitUsage, "status.not_found", nil, "history", code, "--field", "nonsense")
	x.refused(study.ExitUsage, "status.not_found", nil, "history", "SML-NOBODY")
}

// Every run of the small study is told of, with what it read and wrote, by the
// commands themselves, and a column of the release leads back to its source.
func TestOpenLineageToAFile(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("service.yaml", "service:\n", "service:\n  lineage: {openlineage: file:told/events.ndjson}\n")
	x.drop("a.csv", smallHeader+person("P-1"))
	x.sync(study.ExitOK)
	rel := &released{t, strings.TrimPrefix(x.release().Publications[0].Location, "file://")}
	told := x.told("told/events.ndjson")
	last := told[len(told)-1]
	if last.EventType != "COMPLETE" || last.Job.Name != "small-01.release" || last.Run.Facets.Parent.Job.Name != "release.build" {
		t.Errorf("the last event is %s of %s", last.EventType, last.Job.Name)
	}
	for _, out := range last.Outputs {
		if strings.HasSuffix(out.Name, "/data/acuity") && out.OutputFacets.OutputStatistics.RowCount != int64(len(rel.table("acuity"))) {
			t.Errorf("%s has %d rows", out.Name, out.OutputFacets.OutputStatistics.RowCount)
		}
	}
	columns := readCSV(t, filepath.Join(rel.dir, "lineage_columns.csv"), ',')
	i := slices.IndexFunc(columns, func(c map[string]string) bool { return c["table_name"] == "acuity" && c["column_name"] == "va_letters" })
	if i < 0 || columns[i]["source"] != "clinic" || columns[i]["source_column"] != "VA" || columns[i]["transform"] != "letters" || columns[i]["masking"] == "" {
		t.Errorf("the lineage of va_letters: %v", columns[max(i, 0)])
	}
	text, err := os.ReadFile(x.path("told/events.ndjson"))
	x.must(err)
	for _, word := range []string{"P-1", "a.csv", "nurse", "Quux"} {
		if strings.Contains(string(text), word) {
			t.Errorf("an event says %s", word)
		}
	}
}

// toldEvent is what is read in an event.
type toldEvent struct {
	EventType string
	Run       struct {
		RunID  string
		Facets struct {
			Parent struct{ Job struct{ Name string } }
		}
	}
	Job     struct{ Name string }
	Outputs []struct {
		Name         string
		OutputFacets struct{ OutputStatistics struct{ RowCount int64 } }
	}
}

// told checks the events in a file: each is of the schema, each run began and
// ended, in this order, and no run of the database is missing.
func (x *trial) told(file string) (events []toldEvent) {
	x.t.Helper()
	text, err := os.ReadFile(x.path(file))
	x.must(err)
	state := map[string]string{}
	for line := range strings.Lines(string(text)) {
		var e toldEvent
		openlineagetest.Check(x.t, []byte(line))
		x.must(json.Unmarshal([]byte(line), &e))
		if began := state[e.Run.RunID] == "START"; began == (e.EventType == "START") {
			x.t.Errorf("%s of a run of %s after %q", e.EventType, e.Job.Name, state[e.Run.RunID])
		}
		state[e.Run.RunID] = e.EventType
		events = append(events, e)
	}
	if runs := x.number(`SELECT count(*) FROM jobs.run`); int64(len(state)) != runs || len(events) != 2*len(state) {
		x.t.Errorf("%d events of %d runs, and there were %d runs", len(events), len(state), runs)
	}
	if n := x.number(`SELECT count(*) FROM jobs.outbox`); n != 0 {
		x.t.Errorf("%d events wait", n)
	}
	return events
}

// Killed between the end of a run and the delivery, or while nobody takes events,
// no event is lost.
func TestOpenLineageLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	binary := newProgram(t).binary
	x := newTrial(t, smallStudy)
	x.edit("service.yaml", "service:\n", "service:\n  lineage: {openlineage: file:told.ndjson}\n")
	x.drop("a.csv", smallHeader+person("P-1"))
	cmd := exec.CommandContext(t.Context(), binary, "--config", x.dir, "sync")
	cmd.Env = append(os.Environ(), "LONGITUDE_CRASH="+study.PointBeforeDelivery)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.Success() {
		t.Fatalf("not killed: %v\n%s", err, out)
	}
	if _, err := os.Stat(x.path("told.ndjson")); !os.IsNotExist(err) || x.number(`SELECT count(*) FROM jobs.outbox`) == 0 {
		t.Fatal("the kill came too late")
	}
	x.run(study.ExitOK, "status")
	x.told("told.ndjson")

	var down atomic.Bool
	down.Store(true)
	var taken [][]byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		taken = append(taken, body)
	}))
	defer server.Close()
	x.edit("service.yaml", "file:told.ndjson", server.URL)
	if out, errOut := x.run(study.ExitOK, "release", "build"); strings.Contains(out, "openlineage") || !strings.Contains(errOut, "events wait") {
		t.Errorf("a receiver that is down: %s", errOut)
	}
	down.Store(false)
	time.Sleep(1100 * time.Millisecond) // what was put off is due
	x.run(study.ExitOK, "status")
	if n := x.number(`SELECT count(*) FROM jobs.outbox`); n != 0 || len(taken) == 0 {
		t.Errorf("%d taken, %d wait", len(taken), n)
	}
}
