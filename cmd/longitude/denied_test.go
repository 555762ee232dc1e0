//go:build unix

package main

import (
	"fmt"
	"testing"
	"time"

	"longitude/internal/audit"
	"longitude/study"
)

// A caller who is refused over and over is in the log, and does not fill it.
func TestDenialsAreCounted(t *testing.T) {
	now := time.Unix(0, 0)
	var said []string
	d := &denials{now: func() time.Time { return now }, last: map[denial]time.Time{}, more: map[denial]int{},
		record: func(d denial, times int) { said = append(said, fmt.Sprint(d.code, " ", times)) }}
	now = now.Add(deniedEvery)
	for range 1000 {
		d.noteAPI("api.unauthorized")
	}
	d.noteAPI("api.cross_origin")
	now = now.Add(deniedEvery)
	d.noteAPI("api.unauthorized")
	d.noteAPI("api.unauthorized")
	d.flush()
	d.flush()
	want := []string{"api.unauthorized 1", "api.cross_origin 1", "api.unauthorized 1000", "api.unauthorized 1"}
	if fmt.Sprint(said) != fmt.Sprint(want) {
		t.Errorf("recorded %q, want %q", said, want)
	}
}

// What is refused by policy is an event, with the code of the refusal alone.
func TestRefusalsAreEvents(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.late(study.ExitOK)
	x.edit("study.yaml", "day: 30, window: [-7, 14]", "day: 30, window: [-7, 28]")
	x.run(study.ExitBlocked, "sync")
	x.run(study.ExitBlocked, "apply", "--plan", "0123456789abcdef")
	var denied []audit.Entry
	x.answer(study.ExitOK, &denied, "audit", "show", "--action", "access.denied")
	codes := map[any]int{}
	for _, e := range denied {
		codes[e.Event.Detail["code"]]++
		if e.Event.Outcome != audit.Denied || e.Event.Object != "configuration" || len(e.Event.Detail) != 1 || e.Event.Actor == "unknown" {
			t.Errorf("%+v", e.Event)
		}
	}
	if codes["config.destructive"] != 1 || codes["config.plan_other"] != 1 {
		t.Errorf("refusals: %v", codes)
	}
}
