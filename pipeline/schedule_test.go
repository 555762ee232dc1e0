package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"longitude/study"
)

// slots is Schedules in memory, with the rules of storage: a schedule that is new
// or written differently starts afresh, any other goes on where it was.
type slots struct {
	mu   sync.Mutex
	cron map[string]string
	due  map[string]time.Time
	down int // so many calls fail first
}

func newSlots() *slots { return &slots{cron: map[string]string{}, due: map[string]time.Time{}} }

func (s *slots) fails() error {
	if s.down > 0 {
		s.down--
		return &study.Error{Code: "database.failed", Temporary: true}
	}
	return nil
}

func (s *slots) NextDue(_ context.Context, source, cron string, first time.Time) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cron[source] != cron {
		s.cron[source], s.due[source] = cron, first
	}
	return s.due[source], s.fails()
}

func (s *slots) SetNextDue(_ context.Context, source string, due time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fails(); err != nil {
		return err
	}
	s.due[source] = due
	return nil
}

func scheduler(store Schedules) *Scheduler {
	return &Scheduler{Store: store, Log: slog.New(slog.DiscardHandler), Now: time.Now, Slots: 2, Random: func(n int64) int64 { return n - 1 }}
}

// midnight is when a bubble's clock starts.
var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// serve runs one job for so long and answers when it ran, from the start.
func serve(t *testing.T, store Schedules, schedule study.Schedule, takes, long time.Duration) (ran []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	start := time.Now()
	job := Job{Name: "site-a", Schedule: schedule, Run: func(context.Context) {
		ran = append(ran, time.Since(start))
		time.Sleep(takes)
	}}
	if err := scheduler(store).Serve(ctx, []Job{job}); err != nil {
		t.Error(err)
	}
	return ran
}

func minutes(all ...float64) (out []time.Duration) {
	for _, m := range all {
		out = append(out, time.Duration(m*float64(time.Minute)))
	}
	return out
}

func TestSlots(t *testing.T) {
	const quarterly = "*/15 * * * *"
	for _, c := range []struct {
		what     string
		schedule study.Schedule
		missed   float64 // minutes ago that the stored slot was due; 0 = nothing stored
		takes    float64 // minutes of a run
		want     []time.Duration
	}{
		{"every slot", study.Schedule{Cron: quarterly}, 0, 0, minutes(15, 30, 45, 60)},
		{"an interval", study.Schedule{Cron: "@every 25m"}, 0, 0, minutes(25, 50)},
		{"jitter comes after the slot, below its bound", study.Schedule{Cron: "0 * * * *", Jitter: 2*time.Minute + 1}, 0, 0, minutes(62)},
		{"latest: missed slots count as one, at once", study.Schedule{Cron: quarterly, CatchUp: "latest"}, 45, 0, minutes(0, 15, 30, 45, 60)},
		{"all: each missed slot runs", study.Schedule{Cron: quarterly, CatchUp: "all"}, 45, 0, minutes(0, 0, 0, 0, 15, 30, 45, 60)},
		{"skip: missed slots are left out", study.Schedule{Cron: quarterly, CatchUp: "skip"}, 45, 0, minutes(15, 30, 45, 60)},
		{"skip: seconds late is not missed", study.Schedule{Cron: quarterly, CatchUp: "skip"}, 0.5, 0, minutes(0, 0, 15, 30, 45, 60)},
		{"a run longer than its slot: the next is the next free one", study.Schedule{Cron: quarterly, CatchUp: "latest"}, 0, 20, minutes(15, 45)},
		{"a run longer than its slot, all", study.Schedule{Cron: quarterly, CatchUp: "all"}, 0, 20, minutes(15, 35, 55)},
		{"by hand", study.Schedule{}, 0, 0, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newSlots()
				if c.missed > 0 {
					store.cron["site-a"], store.due["site-a"] = c.schedule.Cron, midnight.Add(-minutes(c.missed)[0])
				}
				got := serve(t, store, c.schedule, minutes(c.takes)[0], 62*time.Minute+time.Second)
				if !slices.Equal(got, c.want) {
					t.Errorf("ran after %v, want %v", got, c.want)
				}
			})
		})
	}
}

// A slot belongs to the database: what one process did another does not do
// again, and what it did not finish the next one does.
func TestSlotsAreDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hourly := newSlots(), study.Schedule{Cron: "0 * * * *", CatchUp: "latest"}
		if got := serve(t, store, hourly, 0, 90*time.Minute); !slices.Equal(got, minutes(60)) {
			t.Fatalf("ran after %v", got)
		}
		if got := serve(t, store, hourly, 0, 20*time.Minute); got != nil {
			t.Errorf("ran again after %v", got)
		}
		// Told to stop in the middle of the 2:00 run, ten minutes into it.
		if got := serve(t, store, hourly, 15*time.Minute, 20*time.Minute); !slices.Equal(got, minutes(10)) {
			t.Fatalf("ran after %v", got)
		}
		if got := serve(t, store, hourly, 0, time.Minute); !slices.Equal(got, minutes(0)) {
			t.Errorf("what was interrupted ran after %v", got)
		}
		hourly.Cron = "30 * * * *"
		if got := serve(t, store, hourly, 0, 30*time.Minute); !slices.Equal(got, minutes(14)) {
			t.Errorf("a new schedule ran after %v", got)
		}
	})
}

// While the database is away nothing runs, and nothing is lost.
func TestSlotsWithoutDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlots()
		store.down = 30 // tried every ten seconds: five minutes
		if got := serve(t, store, study.Schedule{Cron: "*/2 * * * *", CatchUp: "latest"}, 0, 5*time.Minute+30*time.Second); !slices.Equal(got, minutes(5)) {
			t.Errorf("ran after %v", got)
		}
	})
}

// No more jobs run at once than there are slots, and all of them get their turn.
func TestJobsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		var mu sync.Mutex
		running, most, done := 0, 0, 0
		var jobs []Job
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			jobs = append(jobs, Job{Name: name, Schedule: study.Schedule{Cron: "0,10 0 1 1 *"}, Run: func(context.Context) {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(time.Minute)
				mu.Lock()
				running--
				done++
				mu.Unlock()
			}})
		}
		if err := scheduler(newSlots()).Serve(ctx, jobs); err != nil || most != 2 || done != 5 {
			t.Errorf("%d at once, %d done, %v", most, done, err)
		}
	})
}

// Slots are times of the study's clock. In the night that loses an hour a slot
// in that hour is left out; in the night that has it twice it comes twice, which
// a run that adds nothing does not mind. The days around them are untouched.
func TestSlotsInDSTNights(t *testing.T) {
	instant := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct {
		cron, from string
		want       []string
	}{
		{"0 3 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T02:00:00Z", "2026-03-30T02:00:00Z"}},
		{"0 3 * * *", "2026-10-24T12:00:00Z", []string{"2026-10-25T03:00:00Z", "2026-10-26T03:00:00Z"}},
		{"30 1 * * *", "2026-03-27T12:00:00Z", []string{"2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"}},
		{"30 1 * * *", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"}},
		{"*/30 * * * *", "2026-03-29T00:10:00Z", []string{"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}},
		{"*/30 * * * *", "2026-10-25T00:10:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"}},
	} {
		sched, err := ParseSchedule(study.Schedule{Cron: c.cron, Timezone: "Europe/London"})
		if err != nil {
			t.Fatal(err)
		}
		at := instant(c.from)
		for _, want := range c.want {
			if at = sched.Next(at); !at.Equal(instant(want)) {
				t.Errorf("%s after %s: %s, want %s", c.cron, c.from, at.UTC().Format(time.RFC3339), want)
			}
		}
	}
}

func TestParseSchedule(t *testing.T) {
	for _, s := range []study.Schedule{{Cron: "* * * *"}, {Cron: "61 * * * *"}, {Cron: "@sometimes"}, {Cron: "@every 1x"}, {Cron: "0 * * * *", Timezone: "Mars/Olympus"}} {
		_, err := ParseSchedule(s)
		var e *study.Error
		if !errors.As(err, &e) || e.Code != "schedule.invalid" || e.Exit != study.ExitUsage {
			t.Errorf("%q in %q: %v", s.Cron, s.Timezone, err)
		}
	}
}
