package postgres

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"
	"time"

	"longitude/internal/openlineage"
	"longitude/study"
)

// telling is a store that tells of runs in short: kind, source and state.
func telling(t *testing.T) *Store {
	t.Helper()
	s := open(t, amd())
	s.TellRuns(func(r openlineage.Run) ([]byte, error) { return []byte(r.Kind + " " + r.Source + " " + r.State), nil })
	return s
}

// delivered delivers what is due, refusing what refuse names.
func delivered(t *testing.T, s *Store, refuse map[string]error) (got []string, err error) {
	t.Helper()
	err = s.Deliver(t.Context(), func(_ context.Context, event []byte) error {
		if failure := refuse[string(event)]; failure != nil {
			return failure
		}
		got = append(got, string(event))
		return nil
	})
	return got, err
}

func start(t *testing.T, s *Store, source string) int64 {
	t.Helper()
	id, err := s.StartRun(t.Context(), "sync", "amd-obs", source, "command")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func end(t *testing.T, s *Store, id int64, failure error) {
	t.Helper()
	if err := s.FinishRun(t.Context(), id, 1, study.Counts{}, failure); err != nil {
		t.Fatal(err)
	}
}

func unsent(t *testing.T, s *Store) int64 {
	t.Helper()
	return one[int64](t, s, `SELECT count(*) FROM jobs.outbox WHERE refused = ''`)
}

func TestEveryRunIsToldTwice(t *testing.T) {
	s := telling(t)
	end(t, s, start(t, s, "a"), nil)
	end(t, s, start(t, s, "b"), errors.New("broken"))
	end(t, s, start(t, s, "c"), context.Canceled)
	start(t, s, "d") // is killed
	start(t, s, "d")
	got, err := delivered(t, s, nil)
	want := []string{"sync a running", "sync a succeeded", "sync b running", "sync b failed", "sync c running", "sync c interrupted",
		"sync d running", "sync d interrupted", "sync d running"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("told %q, %v", got, err)
	}
	if again, err := delivered(t, s, nil); len(again) > 0 || err != nil || unsent(t, s) != 0 {
		t.Errorf("told again: %q, %v", again, err)
	}
}

// One that does not get through holds back its own run's next event, and no other run.
func TestDeliveryKeepsTheOrderOfARun(t *testing.T) {
	s := telling(t)
	end(t, s, start(t, s, "a"), nil)
	end(t, s, start(t, s, "b"), nil)
	busy := map[string]error{"sync a running": &study.Error{Code: "openlineage.unreachable", Temporary: true, RetryAfter: time.Hour}}
	if got, err := delivered(t, s, busy); len(got) > 0 || err == nil {
		t.Errorf("told %q, %v although the first was not taken", got, err)
	}
	got, err := delivered(t, s, busy)
	if want := []string{"sync b running", "sync b succeeded"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("told %q, %v", got, err)
	}
	if wait := one[float64](t, s, `SELECT extract(epoch FROM min(not_before) - clock_timestamp())::float8 FROM jobs.outbox WHERE attempts = 1`); wait < 3500 || wait > 3600 {
		t.Errorf("it is offered again in %v s, and an hour was asked for", wait)
	}
	if _, err := s.app.Exec(t.Context(), `UPDATE jobs.outbox SET not_before = clock_timestamp()`); err != nil {
		t.Fatal(err)
	}
	got, err = delivered(t, s, nil)
	if want := []string{"sync a running", "sync a succeeded"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("told %q, %v", got, err)
	}
}

func TestRefusedEventsStandNobodyInTheWay(t *testing.T) {
	s := telling(t)
	end(t, s, start(t, s, "a"), nil)
	got, err := delivered(t, s, map[string]error{"sync a running": &study.Error{Code: "openlineage.refused"}})
	if want := []string{"sync a succeeded"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("told %q, %v", got, err)
	}
	start(t, s, "b")
	if _, err := s.app.Exec(t.Context(), `UPDATE jobs.outbox SET recorded_at = recorded_at - interval '3 days' WHERE refused = ''`); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Outbox(t.Context()); err != nil || o.Waiting != 1 || o.Refused != 1 || o.Oldest < 72*time.Hour || o.Oldest > 73*time.Hour {
		t.Errorf("in the outbox: %+v, %v", o, err)
	}
	if code := one[string](t, s, `SELECT refused FROM jobs.outbox WHERE refused <> ''`); code != "openlineage.refused" {
		t.Errorf("the refused event says %q", code)
	}
}

// A run whose event cannot be written does not begin, and one that nobody is told
// of leaves nothing.
func TestEventsAreOfTheRunsOwnTransaction(t *testing.T) {
	s := telling(t)
	s.TellRuns(func(openlineage.Run) ([]byte, error) { return nil, errors.New("no event") })
	if _, err := s.StartRun(t.Context(), "sync", "amd-obs", "a", "command"); err == nil {
		t.Error("a run began without its event")
	}
	if n := one[int64](t, s, `SELECT count(*) FROM jobs.run`); n != 0 {
		t.Errorf("%d runs are left", n)
	}
	s.TellRuns(nil)
	end(t, s, start(t, s, "a"), nil)
	if n := unsent(t, s); n != 0 {
		t.Errorf("%d events that nobody asked for", n)
	}
}

// Why a run failed is told in our words: those of a file system name files.
func TestFailuresAreToldInOurWords(t *testing.T) {
	s := open(t, amd())
	s.TellRuns(func(r openlineage.Run) ([]byte, error) { return []byte(r.Error), nil })
	cause := &fs.PathError{Op: "open", Path: "/in/P-1.csv", Err: fs.ErrNotExist}
	end(t, s, start(t, s, "a"), &study.Error{Code: "outer", Op: "could not read", Err: errors.Join(cause, &study.Error{Code: "inner", Op: "the part is damaged", Err: cause})})
	got, err := delivered(t, s, nil)
	if want := []string{"", "could not read: the part is damaged [inner] [outer]"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("told %q, %v", got, err)
	}
	if text := one[string](t, s, `SELECT error_text FROM jobs.run`); text != got[1] {
		t.Errorf("the run says %q", text)
	}
}

func TestOneDeliversAtATime(t *testing.T) {
	s := telling(t)
	end(t, s, start(t, s, "a"), nil)
	inside := 0
	err := s.Deliver(t.Context(), func(ctx context.Context, _ []byte) error {
		return s.Deliver(ctx, func(context.Context, []byte) error { inside++; return nil })
	})
	if err != nil || inside != 0 || unsent(t, s) != 0 {
		t.Errorf("%d delivered beside, %v", inside, err)
	}
}
