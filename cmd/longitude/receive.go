package main

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"net"
	"slices"
	"sync"
	"time"

	"longitude/connectors"
	"longitude/connectors/webhook"
	"longitude/deid"
	"longitude/internal/audit"
	"longitude/internal/config"
	"longitude/internal/postgres"
	"longitude/internal/receive"
	"longitude/study"
)

// inbox gives a source what it was sent, opened. It implements connectors.Inbox.
type inbox struct {
	store  *postgres.Store
	source string
	keys   func() (*deid.Inbox, error)
}

func (h *house) inbox(src *config.SourceConfig) inbox {
	return inbox{h.store, src.Name, sync.OnceValues(func() (*deid.Inbox, error) {
		return deid.NewInbox(src.Study, src.Name, h.ring, rand.Reader)
	})}
}

func (b inbox) Group(ctx context.Context, after int64, most int) (first, last int64, ok bool, err error) {
	return b.store.Group(ctx, b.source, after, most)
}

func (b inbox) Contents(ctx context.Context, first, last int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		keys, err := b.keys()
		if err != nil {
			yield(nil, err)
			return
		}
		for kept, err := range b.store.Contents(ctx, b.source, first, last) {
			var content []byte
			if err == nil {
				content, err = keys.Open(kept.Key, kept.Box)
			}
			if !yield(content, err) || err != nil {
				return
			}
		}
	}
}

func (b inbox) Forget(ctx context.Context, upTo int64) error {
	return b.store.Forget(ctx, b.source, upTo)
}

func (b inbox) Held(ctx context.Context, upTo int64) (bool, error) {
	return b.store.Held(ctx, b.source, upTo)
}

// receiving is the door for what senders push, and what is done once something came.
type receiving struct {
	s        *service
	listener net.Listener
	options  receive.Options
	arrived  map[string]chan struct{} // by source: something came
	sources  []*config.SourceConfig
}

// receiving opens the door where a source is sent anything; nil where none is.
func (s *service) receiving(ctx context.Context) (*receiving, error) {
	r := &receiving{s: s, arrived: map[string]chan struct{}{}}
	for _, src := range s.h.cfg.Sources {
		if src.Connector != webhook.Spec().Type {
			continue
		}
		source, err := s.h.receiver(ctx, src)
		if err != nil {
			return nil, err
		}
		r.sources, r.arrived[src.Name] = append(r.sources, src), make(chan struct{}, 1)
		r.options.Sources = append(r.options.Sources, *source)
	}
	if len(r.sources) == 0 {
		return nil, nil
	}
	stranger := webhook.Stranger(connectors.Runtime{Now: s.h.now})
	r.options.Stranger = bounded(receive.Source{Admit: stranger.Admit}, stranger)
	r.options.Inbox, r.options.Now, r.options.Logger = s.h.store, s.h.now, s.h.a.log
	r.options.Seen = s.metrics.Requested
	r.options.Arrived = func(source string) {
		select {
		case r.arrived[source] <- struct{}{}:
		default: // somebody is about to look
		}
	}
	var err error
	r.listener, err = listen(s.h.cfg.Service.ReceiveListen)
	return r, err
}

// receiver is what the door needs of a source.
func (h *house) receiver(ctx context.Context, src *config.SourceConfig) (*receive.Source, error) {
	opened, err := h.source(src, nil)
	if err == nil {
		err = opened.Check(ctx)
	}
	if err != nil {
		return nil, err
	}
	admits := opened.(connectors.Receiver)
	keys, err := h.inbox(src).keys()
	if err != nil {
		return nil, err
	}
	source := bounded(receive.Source{Study: src.Study, Name: src.Name, Admit: admits.Admit, Digest: keys.Digest, Seal: keys.Seal, Hint: src.Pulls != ""}, admits)
	return &source, nil
}

func bounded(s receive.Source, r connectors.Receiver) receive.Source {
	b := r.Bounds()
	s.Body, s.Rate, s.Burst, s.Waiting = b.Body, b.Rate, b.Burst, b.Waiting
	return s
}

// open lets senders in until the answered function is called, which waits until all
// of them have their answer and what follows from it has ended.
func (r *receiving) open(working context.Context, denied *denials, failed chan<- error) (closeDoor func()) {
	r.options.Refused = func(studyName, source, code string) {
		object := "service"
		if source != "" {
			object = "source/" + source
		}
		denied.note(denial{audit.WebhookRefused, "sender", studyName, object, code})
	}
	door := receive.New(r.options)
	committing, stop := context.WithCancel(context.WithoutCancel(working))
	var running sync.WaitGroup
	running.Go(func() { door.Commit(committing) })
	for _, src := range r.sources {
		if src.Pulls != "" || src.Schedule.Cron == "" {
			running.Go(func() { r.follow(working, src) })
		}
	}
	server := door.Server()
	go func() { failed <- server.Serve(r.listener) }()
	return func() {
		closing, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		_ = server.Shutdown(closing)
		stop()
		running.Wait()
	}
}

// What came is looked after a moment later, so that what comes with it goes with it;
// and now and then, for what a run left that failed.
const (
	gatherFor   = time.Second
	lookEvery   = time.Minute
	hintsAtOnce = 1000
)

// follow brings what was sent to a source on its way until ctx ends: also what was
// there before.
func (r *receiving) follow(ctx context.Context, src *config.SourceConfig) {
	for ctx.Err() == nil {
		err := r.bring(ctx, src)
		if err != nil && !errors.Is(err, context.Canceled) {
			r.s.note("sync", src.Name, err)
		}
		select {
		case <-r.arrived[src.Name]:
			_ = sleep(ctx, gatherFor)
		case <-time.After(lookEvery):
		case <-ctx.Done():
		}
	}
}

// bring runs what the requests that wait ask for: their source, or, of hints, the
// source that they are about.
func (r *receiving) bring(ctx context.Context, src *config.SourceConfig) error {
	n, last, err := r.s.h.store.Waiting(ctx, src.Name, hintsAtOnce)
	if err != nil || n == 0 {
		return err
	}
	if err := r.s.h.current(ctx); err != nil {
		return err
	}
	if src.Pulls == "" {
		_, err := r.s.pull(ctx, src, "webhook")
		return err
	}
	target, err := r.s.h.sources([]string{src.Pulls})
	if err != nil {
		return err
	}
	names, err := r.s.h.hinted(ctx, src, last)
	if err != nil {
		return err
	}
	busy, err := r.s.pull(ctx, target[0], "webhook", names...)
	switch {
	case err != nil:
		return err
	case busy: // that run may have passed what the hints are about
		return &study.Error{Code: "webhook.busy_source", Op: "source " + src.Pulls + " is run by another process: hints wait", Temporary: true,
			Hint: "nothing to do: they are followed when that run has ended", Exit: study.ExitEnvironment}
	}
	if err := r.s.h.store.Forget(ctx, src.Name, last); err != nil {
		return err
	}
	if n == hintsAtOnce { // there may be more
		r.options.Arrived(src.Name)
	}
	return nil
}

// hinted are the things that the hints of a source name, up to a request; nil where
// one of them does not say.
func (h *house) hinted(ctx context.Context, src *config.SourceConfig, last int64) (names []string, err error) {
	opened, err := h.source(src, nil)
	if err != nil {
		return nil, err
	}
	for content, err := range h.inbox(src).Contents(ctx, 0, last) {
		if err != nil {
			return nil, err
		}
		found := opened.(connectors.Receiver).Named(content)
		if len(found) == 0 {
			return nil, nil
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
