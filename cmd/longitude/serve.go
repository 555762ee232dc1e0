package main

import (
	"context"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"longitude/internal/api"
	"longitude/internal/config"
	"longitude/internal/console"
	"longitude/internal/postgres"
	"longitude/internal/receive"
	"longitude/internal/telemetry"
	"longitude/internal/webclient"
	"longitude/pipeline"
	"longitude/study"
	"longitude/transform"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the schedules, the status page and API, metrics and health", Args: cobra.NoArgs,
		Long: "Runs until it is told to stop (SIGTERM, Ctrl-C): then no new work is taken, what\nruns is finished or rolled back, and the process ends.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open(cmd.Context(), needDatabase)
			if err != nil {
				return err
			}
			defer h.close()
			a.level.Set(slog.LevelInfo)
			return a.serve(cmd.Context(), h)
		},
	}
}

// service is a house that is open: its schedules run and its doors answer.
type service struct {
	h        *house
	metrics  *telemetry.Metrics
	requests chan request
	draining atomic.Bool
}

// request is work that somebody asked for.
type request struct {
	kind, name string
	work       func(context.Context) error
}

// grace is how long requests in flight may take when the process is told to stop.
const grace = 20 * time.Second

func (a *app) serve(ctx context.Context, h *house) error {
	if err := api.CheckListen(h.cfg.Service.Listen, ""); err != nil {
		return h.refused(ctx, "", "service", err)
	}
	s := &service{h: h, metrics: telemetry.New(telemetry.Build{Version: fullVersion()}, h.now), requests: make(chan request, 64)}
	if err := s.metrics.Seed(ctx, h.store); err != nil {
		return err
	}
	h.observer = observed{a: a, metrics: s.metrics}
	webclient.Watch(s.metrics.Asked)
	front, err := listen(h.cfg.Service.Listen)
	if err != nil {
		return err
	}
	admin, err := listen(h.cfg.Service.AdminListen)
	if err != nil {
		return errors.Join(err, front.Close())
	}
	hooks, err := s.receiving(ctx)
	if err != nil {
		return errors.Join(err, front.Close(), admin.Close())
	}
	a.progress("status page  http://%s/", front.Addr())
	if hooks != nil {
		a.progress("webhooks     http://%s%s", hooks.listener.Addr(), receive.Root)
	}
	a.progress("metrics      http://%s/metrics", admin.Addr())
	return s.run(ctx, front, admin, hooks)
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &study.Error{Code: "serve.listen", Op: "cannot listen on " + address, Exit: study.ExitEnvironment,
			Hint: "another process may be using the port: stop it, or set service.listen, service.admin_listen and service.receive_listen"}
	}
	return l, nil
}

// run serves until ctx ends, then drains. hooks is nil where no source is sent anything.
func (s *service) run(ctx context.Context, front, admin net.Listener, hooks *receiving) error {
	pages := console.New(console.Options{Reads: s.h.store, Trigger: s.trigger, Version: fullVersion(), Now: s.h.now, Logger: s.h.a.log})
	denied := s.denials()
	defer denied.flush()
	servers := []*http.Server{
		{Handler: api.New(api.Options{Reads: s.h.store, Trigger: s.trigger, Desk: desk{s}, Pages: pages, Version: fullVersion(), Logger: s.h.a.log, Denied: denied.noteAPI})},
		{Handler: telemetry.Admin(s.metrics, s.h.store, telemetry.Health{Database: s.h.store.Ping, Migrations: s.migrations, Draining: s.draining.Load})},
	}
	failed := make(chan error, len(servers)+1)
	for i, l := range []net.Listener{front, admin} {
		servers[i].ReadHeaderTimeout, servers[i].IdleTimeout = 10*time.Second, 2*time.Minute
		go func() { failed <- servers[i].Serve(l) }()
	}
	working, stop := context.WithCancel(ctx)
	closeHooks := func() {}
	if hooks != nil {
		closeHooks = hooks.open(working, denied, failed)
	}
	done := make(chan error, 1)
	go func() { done <- s.work(working) }()
	go s.h.sealing(working)
	go s.h.anchoring(working)
	go s.h.telling(working)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	case err = <-done:
		done <- nil
	}
	s.draining.Store(true)
	stop()
	closeHooks()
	err = errors.Join(err, <-done)
	closing, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for _, server := range servers {
		_ = server.Shutdown(closing)
	}
	return err
}

// work runs the schedules and what is asked for on top of them.
func (s *service) work(ctx context.Context) error {
	scheduler := &pipeline.Scheduler{Store: s.h.store, Log: s.h.a.log, Now: s.h.now, Random: mathrand.Int64N, Slots: s.h.cfg.Service.Workers}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for {
			select {
			case r := <-s.requests:
				s.note(r.kind, r.name, r.work(ctx))
			case <-ctx.Done():
				return
			}
		}
	}()
	err := scheduler.Serve(ctx, s.jobs())
	<-finished
	return err
}

// jobs are the schedules of sources and releases, and the daily judging that
// time alone makes necessary.
func (s *service) jobs() []pipeline.Job {
	var jobs []pipeline.Job
	for _, src := range s.h.cfg.Sources {
		jobs = append(jobs, pipeline.Job{Name: src.Name, Schedule: src.Schedule, Run: func(ctx context.Context) { s.note("sync", src.Name, s.sync(ctx, src.Name, "schedule")) }})
	}
	for _, st := range s.h.cfg.Studies {
		daily := study.Schedule{Cron: "5 0 * * *", Timezone: st.Timezone}
		jobs = append(jobs, pipeline.Job{Name: "rejudge:" + st.Name, Schedule: daily, Run: func(ctx context.Context) { s.rejudge(ctx, st) }})
		if st.Releases.Schedule != "" {
			when := study.Schedule{Cron: st.Releases.Schedule, Timezone: st.Timezone}
			jobs = append(jobs, pipeline.Job{Name: "release:" + st.Name, Schedule: when, Run: func(ctx context.Context) { s.release(ctx, st) }})
		}
	}
	return jobs
}

func (s *service) sync(ctx context.Context, source, trigger string) error {
	if err := s.h.current(ctx); err != nil {
		return err
	}
	src, err := s.h.sources([]string{source})
	if err != nil {
		return err
	}
	_, err = s.pull(ctx, src[0], trigger)
	return err
}

// pull runs a source once, and settles its study. busy says that another process
// runs it.
func (s *service) pull(ctx context.Context, src *config.SourceConfig, trigger string, only ...string) (busy bool, err error) {
	out, err := s.h.sync(ctx, src, trigger, only...)
	if ctx.Err() == nil { // what was recorded before a failure is settled too
		err = errors.Join(err, s.h.settle(ctx, src.Study, trigger))
	}
	return out.Busy, err
}

func (s *service) rejudge(ctx context.Context, st *study.Study) {
	asOf, err := s.h.asOf(st, "")
	if err == nil {
		err = s.h.current(ctx)
	}
	if err == nil {
		_, err = s.h.ingester().Rejudge(ctx, st, transform.NewRules(st), crossChecks(st), asOf, "schedule")
	}
	s.note("rejudge", st.Name, err)
}

func (s *service) release(ctx context.Context, st *study.Study) {
	asOf, err := s.h.asOf(st, "")
	if err == nil {
		err = s.h.current(ctx)
	}
	if err == nil {
		_, err = s.h.build(ctx, st, asOf, "schedule")
	}
	s.note("release", st.Name, err)
}

// note logs what a run that nobody waits for came to. The run itself is in the
// database.
func (s *service) note(kind, name string, err error) {
	if err != nil {
		s.h.a.log.Error("run failed", "kind", kind, "source", name, "code", codeOf(err))
		return
	}
	s.h.a.log.Info("run done", "kind", kind, "source", name)
}

// trigger takes a request to sync a source now.
func (s *service) trigger(_ context.Context, source, actor string) error {
	if _, err := s.h.sources([]string{source}); err != nil {
		return err
	}
	return s.ask(request{"sync", source, func(ctx context.Context) error { return s.sync(ctx, source, actor) }})
}

// ask takes work to be done one after the other, unless too much waits already.
func (s *service) ask(r request) error {
	select {
	case s.requests <- r:
		return nil
	default:
		return &study.Error{Code: "serve.busy", Op: "too many requests are waiting", Temporary: true,
			Exit: study.ExitEnvironment, Hint: "try again when those have run", RetryAfter: 30 * time.Second}
	}
}

func (s *service) migrations(ctx context.Context) error {
	pending, err := s.h.pending(ctx)
	if err == nil && pending {
		return &study.Error{Code: "database.outdated", Op: "the database's schema is older than this program", Hint: "run `longitude migrate`"}
	}
	return err
}

// pending reports whether migrations wait.
func (h *house) pending(ctx context.Context) (bool, error) {
	return postgres.Pending(ctx, h.urls.Owner)
}

// observed tells the metrics of every run.
type observed struct {
	a       *app
	metrics *telemetry.Metrics
}

func (o observed) ObjectDone(source string, number int, c study.Counts) {
	terminal{o.a}.ObjectDone(source, number, c)
}

func (o observed) RunDone(kind, studyName, source string, objects int, c study.Counts, took time.Duration, err error) {
	outcome := "succeeded"
	switch {
	case errors.Is(err, context.Canceled):
		outcome = "interrupted"
	case err != nil:
		outcome = "failed"
	}
	o.metrics.RunFinished(studyName, source, kind, outcome, c, took)
	if kind == "sync" && err == nil && objects == 0 {
		o.metrics.NothingNew(studyName, source)
	}
	if kind == "release" {
		o.metrics.ReleaseFinished(studyName, outcome)
	}
}
