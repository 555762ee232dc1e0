package webclient

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"longitude/study"
)

// Hosts are the servers that were asked, each with its budget and its health.
type Hosts struct {
	mu     sync.Mutex
	byName map[string]*host
	watch  func(Exchange)
}

// everyone is what all sources of this process share: a server counts requests by
// who sends them, not by what for.
var everyone = &Hosts{}

// Exchange is one attempt as metrics see it.
type Exchange struct {
	Outcome string        // one of Outcomes
	Took    time.Duration // until the answer began
}

// Outcomes are all words for how an attempt ends.
var Outcomes = []string{"ok", "unauthorized", "client_error", "busy", "server_error", "timeout", "unreachable", "refused"}

// Watch has every attempt of this process told to watch, which must be quick.
func Watch(watch func(Exchange)) { everyone.Watch(watch) }

// Watch has every attempt told to watch, which must be quick.
func (h *Hosts) Watch(watch func(Exchange)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watch = watch
}

func (h *Hosts) observe(outcome string, took time.Duration) {
	h.mu.Lock()
	watch := h.watch
	h.mu.Unlock()
	if watch != nil {
		watch(Exchange{outcome, took})
	}
}

// of is the host of an address. The lowest of the limits that it was asked under
// counts from then on.
func (h *Hosts) of(u *url.URL, perMinute int) *host {
	name := strings.ToLower(u.Hostname()) + ":" + portOf(u)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byName == nil {
		h.byName = map[string]*host{}
	}
	one := h.byName[name]
	if one == nil {
		one = newHost()
		h.byName[name] = one
	}
	if perMinute > 0 && (one.perMinute == 0 || perMinute < one.perMinute) {
		one.limit(perMinute)
	}
	return one
}

// host is one server.
type host struct {
	perMinute int // 0 = no limit
	budget    *rate.Limiter
	breaker   *gobreaker.TwoStepCircuitBreaker[any]

	mu   sync.Mutex
	held time.Time // until when it asked to be left alone
}

// A host that failed this often in a row is left alone for a while, then tried with
// one request.
const (
	failures = 10
	rest     = 30 * time.Second
)

func newHost() *host {
	return &host{
		budget: rate.NewLimiter(rate.Inf, 1),
		breaker: gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
			Timeout:      rest,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
			IsSuccessful: healthy,
			IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		}),
	}
}

// healthy reports whether an error says nothing against the health of its server: a
// refusal is an answer too.
func healthy(err error) bool {
	var e *study.Error
	if !errors.As(err, &e) {
		return err == nil
	}
	switch outcomeOf(e) {
	case "server_error", "timeout", "unreachable":
		return !e.Temporary
	}
	return true
}

// limit sets the budget so that no minute has more than n requests: what may come
// at once is part of it.
func (h *host) limit(n int) {
	h.perMinute = n
	burst := max(1, n/60)
	h.budget.SetBurst(burst)
	h.budget.SetLimit(rate.Limit(float64(max(n-burst, 1)) / 60))
}

// hold leaves the host alone until then, whoever asks.
func (h *host) hold(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.After(h.held) {
		h.held = until
	}
}

func (h *host) left(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held.Sub(now)
}

// admit waits until the host may be asked. done is to be told how it answered.
func (h *host) admit(ctx context.Context, rt Runtime) (done func(error), err error) {
	turn := h.budget.ReserveN(rt.Now(), 1)
	defer func() {
		if err != nil { // nothing was sent: others need not wait for it
			turn.CancelAt(rt.Now())
		}
	}()
	for _, wait := range []func() time.Duration{
		func() time.Duration { return turn.DelayFrom(rt.Now()) },
		func() time.Duration { return h.left(rt.Now()) },
	} {
		d := wait()
		if d <= 0 {
			continue
		}
		if end, ok := ctx.Deadline(); ok && rt.Now().Add(d).After(end) {
			told := *errBusy
			told.RetryAfter = d
			return nil, &told
		}
		if err := rt.Sleep(ctx, d); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return nil, cause
			}
			return nil, err
		}
	}
	done, err = h.breaker.Allow()
	if err != nil {
		return nil, errResting
	}
	return done, nil
}
