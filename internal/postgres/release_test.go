package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"longitude/study"
)

var policy = study.Digest(sha256.Sum256([]byte("policy")))

func plan(t testing.TB, s *Store, asOf study.Date) study.ReleasePlan {
	t.Helper()
	p, err := s.PlanRelease(t.Context(), "amd-obs", asOf, policy, at("2026-08-01T10:00:00.123456789Z"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func publish(t testing.TB, s *Store, p study.ReleasePlan, sink string) {
	t.Helper()
	if err := s.Published(t.Context(), p, study.Publication{Sink: sink, Location: sink + "/" + p.ID, Envelope: policy, Claim: "limited data set", Tables: 3, Rows: 42, Bytes: 1000}, "test"); err != nil {
		t.Fatal(err)
	}
}

func TestAPlanIsTakenUpAgainUntilItIsPublished(t *testing.T) {
	s, asOf := open(t, amd()), day("2026-07-31")
	if _, err := s.PlanRelease(t.Context(), "amd-obs", asOf, policy, time.Now()); err == nil {
		t.Error("a release of nothing is planned")
	}
	enrol(t, s, "A")
	first := plan(t, s, asOf)
	if first.ID != "amd_obs_r001" || first.Number != 1 || first.MaxBatch == 0 || first.Previous != "" || first.Batches != 1 || first.Cutoff != asOf {
		t.Errorf("plan %+v", first)
	}
	if again := plan(t, s, asOf); !reflect.DeepEqual(first, again) {
		t.Errorf("after a crash %+v, before %+v", again, first)
	}
	if other := plan(t, s, asOf+1); other.Number != 2 {
		t.Errorf("another date, plan %+v", other)
	}
	enrol(t, s, "B")
	moved := plan(t, s, asOf)
	if moved.Number != 3 || moved.MaxBatch <= first.MaxBatch || moved.Batches != 2 {
		t.Errorf("after new data, plan %+v", moved)
	}
	left, err := s.LeftBehind(t.Context(), moved, policy)
	if err != nil || len(left) != 2 || !reflect.DeepEqual(left[0], first) || left[1].Number != 2 {
		t.Errorf("left behind: %+v, %v", left, err)
	}
	if left, err := s.LeftBehind(t.Context(), moved, study.Digest{1}); err != nil || len(left) != 0 {
		t.Errorf("left behind under another policy: %+v, %v", left, err)
	}
	publish(t, s, moved, "local")
	publish(t, s, moved, "local") // once is enough
	publish(t, s, moved, "second")
	if n := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'release.published'`); n != 2 {
		t.Errorf("%d publications in the log", n)
	}
	next := plan(t, s, asOf)
	if next.Number != 4 || next.Previous != moved.ID || next.PreviousLocation == "" {
		t.Errorf("after publishing, plan %+v", next)
	}
}

func TestAPlanWaitsForOpenIngest(t *testing.T) {
	s := open(t, amd())
	enrol(t, s, "A")
	in := begin(t, s, "amd-obs")
	planned := make(chan study.ReleasePlan)
	go func() {
		p, err := s.PlanRelease(t.Context(), "amd-obs", 0, policy, time.Unix(0, 0))
		if err != nil {
			t.Error(err)
		}
		planned <- p
	}()
	select {
	case p := <-planned:
		t.Fatalf("planned %+v while batch %d is undecided", p, in.Batch())
	case <-time.After(100 * time.Millisecond):
	}
	finish(t, in, batch("a", "late", 0))
	if p := <-planned; p.MaxBatch != in.Batch() {
		t.Errorf("the plan ends at batch %d, not %d", p.MaxBatch, in.Batch())
	}
}

func TestASnapshotIsWhatWasPlanned(t *testing.T) {
	s := open(t, amd())
	id := enrol(t, s, "A")[0]
	facts := study.Participant{ID: id, Code: "A", Site: "before", Consented: study.NoDate, Withdrawn: study.NoDate}
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{packed(id, 1, "R", 1, "before")}, Participants: []study.Participant{facts}})
	p := plan(t, s, 0)
	facts.Site = "after"
	enrol(t, s, "B")
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{packed(id, 1, "R", 2, "after"), packed(id, 2, "R", 1, "after")}, Participants: []study.Participant{facts},
		Holds: []study.HoldVersion{{Participant: id, Hold: study.Hold{Key: study.RecordKey{VisitNo: 1, Occurrence: "R"}, Code: study.ConsentMissing}}}})
	snap, err := s.OpenSnapshot(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close(context.Background())
	people, err := snap.Participants(t.Context())
	if err != nil || len(people) != 1 || people[0].Code != "A" {
		t.Errorf("participants %+v, %v", people, err)
	}
	h, err := snap.Histories(t.Context(), []int64{id})
	if err != nil || h[0].Participant.Site != "before" || len(h[0].Versions) != 1 || len(h[0].Holds) != 0 {
		t.Errorf("history %+v, %v", h, err)
	}
	_, records, err := snap.Read(t.Context(), []int64{id})
	if err != nil || len(records[0]) != 1 || records[0][0].Answers != "before" {
		t.Errorf("records %+v, %v", records, err)
	}
}

// One run at a time per source, across processes; runs that hold a lock leave the
// pool to those that work.
func TestALockIsExclusive(t *testing.T) {
	a := open(t, amd())
	b := connect(t, a.urls.App)
	unlock, ok, err := a.LockSource(t.Context(), "drop")
	if err != nil || !ok {
		t.Fatalf("locked %v, %v", ok, err)
	}
	for _, s := range []*Store{a, b} {
		if _, ok, err := s.LockSource(t.Context(), "drop"); err != nil || ok {
			t.Errorf("locked twice: %v, %v", ok, err)
		}
	}
	free, ok, err := b.LockRelease(t.Context(), "drop")
	if err != nil || !ok {
		t.Errorf("a release is not a source: %v, %v", ok, err)
	}
	free()
	unlock()
	again, ok, err := b.LockSource(t.Context(), "drop")
	if err != nil || !ok {
		t.Fatalf("locked %v after unlocking, %v", ok, err)
	}
	again()
	for i := range poolConnections + 2 {
		unlock, ok, err := a.LockSource(t.Context(), fmt.Sprint("source ", i))
		if err != nil || !ok {
			t.Fatalf("lock %d: %v, %v", i, ok, err)
		}
		t.Cleanup(unlock)
	}
	if err := a.Ping(t.Context()); err != nil {
		t.Errorf("the pool is used up: %v", err)
	}
}

func TestRuns(t *testing.T) {
	s := open(t, amd())
	start := func(kind, source string) int64 {
		id, err := s.StartRun(t.Context(), kind, "amd-obs", source, "schedule")
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	finish := func(id int64, c study.Counts, failure error) {
		if err := s.FinishRun(t.Context(), id, 2, c, failure); err != nil {
			t.Fatal(err)
		}
	}
	killed, other := start("sync", "a"), start("sync", "b")
	good := start("sync", "a") // the process that ran the first is gone
	finish(good, study.Counts{Read: 3, Mapped: 3, Produced: 3, Unchanged: 3}, nil)
	bad, stopped, odd := start("sync", "a"), start("release", ""), start("rejudge", "")
	finish(bad, study.Counts{}, fmt.Errorf("wrapped: %w", &study.Error{Code: "sftp.host_key_changed", Op: "connecting", Hint: "ask"}))
	finish(stopped, study.Counts{}, fault("x", context.Canceled))
	finish(odd, study.Counts{}, errors.New("secret of a library"))
	for id, want := range map[int64][3]string{
		killed: {"interrupted", "run.interrupted", "the process ended before the run did"}, other: {"running", "", ""}, good: {"succeeded", "", ""},
		bad: {"failed", "sftp.host_key_changed", "connecting [sftp.host_key_changed]"}, stopped: {"interrupted", "run.interrupted", "the run was told to stop"},
		odd: {"failed", "internal", "an internal error [internal]"},
	} {
		r, err := s.Run(t.Context(), id)
		if got := [3]string{r.State, r.ErrorCode, r.ErrorText}; err != nil || got != want || (r.Finished == nil) != (r.State == "running") {
			t.Errorf("run %d: %q, want %q, %v", id, got, want, err)
		}
	}
}

func TestSchedulesAreDurable(t *testing.T) {
	s := open(t, amd())
	monday, tuesday := at("2026-08-03T08:00:00Z"), at("2026-08-04T08:00:00Z")
	due := func(cron string, first time.Time) time.Time {
		at, err := s.NextDue(t.Context(), "a", cron, first)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if got := due("0 8 * * *", monday); !got.Equal(monday) {
		t.Errorf("new: due %s", got)
	}
	if got := due("0 8 * * *", tuesday); !got.Equal(monday) {
		t.Errorf("missed while nothing ran: due %s", got)
	}
	if err := s.SetNextDue(t.Context(), "a", tuesday); err != nil {
		t.Fatal(err)
	}
	if got := due("0 8 * * *", monday); !got.Equal(tuesday) {
		t.Errorf("moved on: due %s", got)
	}
	if got := due("0 9 * * *", monday); !got.Equal(monday) {
		t.Errorf("rewritten: due %s", got)
	}
}
