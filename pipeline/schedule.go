package pipeline

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"longitude/study"
)

// Schedules keeps the durable next-due time of each source.
type Schedules interface {
	NextDue(ctx context.Context, source, cron string, first time.Time) (time.Time, error)
	SetNextDue(ctx context.Context, source string, due time.Time) error
}

// Scheduler runs jobs when they are due. The due time is durable, so a slot that
// passed while nothing ran is seen at the next start and treated as the source's
// catch_up says.
type Scheduler struct {
	Store  Schedules
	Log    *slog.Logger
	Now    func() time.Time
	Random func(int64) int64
	Slots  int // jobs at once, >= 1
}

// Job is one thing that has a schedule.
type Job struct {
	Name     string
	Schedule study.Schedule
	Run      func(ctx context.Context)
}

// ParseSchedule reads a cron expression of five fields (or @every, @daily …) in
// its time zone.
func ParseSchedule(s study.Schedule) (cron.Schedule, error) {
	spec := s.Cron
	if s.Timezone != "" {
		spec = "CRON_TZ=" + s.Timezone + " " + spec
	}
	sched, err := cron.ParseStandard(spec)
	if err != nil {
		return nil, &study.Error{Code: "schedule.invalid", Op: "the schedule cannot be read", Exit: study.ExitUsage,
			Hint: `write five cron fields such as "*/15 * * * *", or "@every 1h"`}
	}
	return sched, nil
}

// Serve runs the jobs until ctx ends, then waits for those that are running.
func (s *Scheduler) Serve(ctx context.Context, jobs []Job) error {
	slots := make(chan struct{}, max(1, s.Slots))
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, j := range jobs {
		if j.Schedule.Cron == "" {
			continue
		}
		sched, err := ParseSchedule(j.Schedule)
		if err != nil {
			return err
		}
		wg.Go(func() { s.follow(ctx, j, sched, slots) })
	}
	<-ctx.Done()
	return nil
}

// follow waits for each slot of one job in turn.
func (s *Scheduler) follow(ctx context.Context, j Job, sched cron.Schedule, slots chan struct{}) {
	for ctx.Err() == nil {
		due, err := s.Store.NextDue(ctx, j.Name, j.Schedule.Cron, sched.Next(s.Now()))
		if err != nil {
			s.Log.Error("schedule unreadable", "source", j.Name, "code", codeOf(err))
			if !wait(ctx, 10*time.Second) {
				return
			}
			continue
		}
		if late := s.Now().Sub(due) > time.Minute; late && j.Schedule.CatchUp == "skip" {
			s.moveOn(ctx, j, sched.Next(s.Now()))
			continue
		}
		if !wait(ctx, due.Sub(s.Now())+s.jitter(j.Schedule.Jitter)) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		j.Run(ctx)
		<-slots
		if ctx.Err() != nil {
			return // the slot stays due: the next start runs it again
		}
		next := sched.Next(due)
		if j.Schedule.CatchUp != "all" && next.Before(s.Now()) {
			next = sched.Next(s.Now())
		}
		s.moveOn(ctx, j, next)
	}
}

func (s *Scheduler) moveOn(ctx context.Context, j Job, due time.Time) {
	if err := s.Store.SetNextDue(ctx, j.Name, due); err != nil {
		s.Log.Error("schedule not moved on", "source", j.Name, "code", codeOf(err))
		wait(ctx, 10*time.Second)
	}
}

func (s *Scheduler) jitter(bound time.Duration) time.Duration {
	if bound <= 0 {
		return 0
	}
	return time.Duration(s.Random(int64(bound)))
}

// wait sleeps for d and reports whether ctx is still live.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
