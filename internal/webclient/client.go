package webclient

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"longitude/study"
)

// Limits is what an operator may say about reaching a server. A connector puts it
// into its config, filled with Defaults.
type Limits struct {
	Allow     []string      `yaml:"allow" doc:"hosts and networks (10.2.0.0/16) of your own that may be reached although they are private; only these are reached without TLS"`
	PerMinute int           `yaml:"per_minute" doc:"how many requests a minute a host gets from all sources together; the lowest number of them counts; 0 is no limit"`
	Attempts  int           `yaml:"attempts" doc:"how often a request is sent before a temporary error is told"`
	Deadline  time.Duration `yaml:"deadline" doc:"how long a request may take, with all its attempts"`
	MaxBytes  int64         `yaml:"max_bytes" doc:"how large an answer may be, unpacked"`
	MinRate   int64         `yaml:"min_rate" doc:"bytes a second below which a server that is answering is given up"`
}

// Defaults are limits that suit most servers.
func Defaults() Limits {
	return Limits{PerMinute: 600, Attempts: 5, Deadline: 5 * time.Minute, MaxBytes: 64 << 20, MinRate: 100}
}

// Mistake is one thing that is wrong with a config: its key, what is wrong and what
// to do. A connector converts it to its Finding.
type Mistake struct{ Key, Message, Hint string }

// Check tells what is wrong with the limits, whose keys begin with prefix, and with
// the address that the key names.
func (l Limits) Check(prefix, key, address string) (found []Mistake) {
	for i, n := range []int64{int64(l.PerMinute), int64(l.Attempts) - 1, int64(l.Deadline) - 1, l.MaxBytes - 1, l.MinRate} {
		if n < 0 {
			name := []string{"per_minute", "attempts", "deadline", "max_bytes", "min_rate"}[i]
			found = append(found, Mistake{prefix + name, "no limit that could be kept", "write a number above zero, or leave it out"})
		}
	}
	for _, text := range l.Allow {
		if _, ok := networkOf(text); !ok && (text == "" || strings.ContainsAny(text, "/:@ *")) {
			found = append(found, Mistake{prefix + "allow", "neither a host nor a network", "write a host alone (edc.hospital.example) or a network (10.2.0.0/16)"})
		}
	}
	told := errAddress
	u, err := url.Parse(address)
	if err == nil {
		if err = newGuard(l.Allow).address(u); err == nil {
			return found
		}
		errors.As(err, &told)
	}
	return append(found, Mistake{key, told.Op, told.Hint})
}

// Runtime is what the program supplies; what is left out is the real thing.
type Runtime struct {
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error
	Random func(below int64) int64
	Log    *slog.Logger
	Roots  *x509.CertPool // whose certificates are trusted; nil = those of this machine
	Hosts  *Hosts         // budgets; nil = those that all sources of this process share
	Wait   time.Duration  // how long an answer may take to begin; 0 = two minutes
}

// Request is one question to a server.
type Request struct {
	Op      string // what it is for, as errors and logs tell it: "list the records"
	Method  string // "" = GET
	URL     string
	Header  http.Header
	Body    []byte
	As      Credentials // nil = nobody
	Answers []int       // statuses that are answers too, besides 2xx; a redirect that is one is not followed

	// Judge looks at every answer, whatever its status, before anybody else does: the
	// body is whole in Read; in Open it is nil where the answer is one, else its
	// beginning. An error ends the request, or has it sent again where it is
	// temporary; nil leaves the judging to the status.
	Judge func(status int, header http.Header, body []byte) error

	Once      bool // a second time would do harm: sent again only where the server cannot have acted
	HTML      bool // HTML is an answer, not somebody's page of login or maintenance
	Elsewhere bool // may be redirected to another host, which is told neither credentials nor headers
}

// Answer is what a server said.
type Answer struct {
	Status int
	Header http.Header
	URL    *url.URL // where it came from: relative links start there
	Body   []byte   // of Read; nil of Open
}

// Client asks servers within its limits. It may be used by several goroutines.
type Client struct {
	limits Limits
	rt     Runtime
	wire   *http.Transport
	guard  guard
}

// New makes a client. What is wrong with its limits is told by Check.
func New(l Limits, rt Runtime) *Client {
	if rt.Now == nil {
		rt.Now = time.Now
	}
	if rt.Sleep == nil {
		rt.Sleep = sleep
	}
	if rt.Random == nil {
		rt.Random = rand.Int64N
	}
	if rt.Log == nil {
		rt.Log = slog.New(slog.DiscardHandler)
	}
	if rt.Hosts == nil {
		rt.Hosts = everyone
	}
	g := newGuard(l.Allow)
	return &Client{limits: l, rt: rt, guard: g, wire: newTransport(g, rt.Roots, cmp.Or(rt.Wait, begins))}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Close ends the idle connections. The client can be used again.
func (c *Client) Close() { c.wire.CloseIdleConnections() }

// Read asks and reads the whole answer into memory, within Limits.Deadline. An
// answer that breaks off is asked for again.
func (c *Client) Read(ctx context.Context, r Request) (*Answer, error) {
	within, cancel := context.WithTimeoutCause(ctx, c.limits.Deadline, errDeadline)
	defer cancel()
	var answer *Answer
	err := c.retrying(within, r, func() error {
		a, body, err := c.attempt(within, r)
		if err != nil {
			return err
		}
		a.Body, err = io.ReadAll(body)
		_ = body.Close()
		if err != nil && (r.wants(a.Status) || ctx.Err() != nil) { // a refusal is one whatever became of its reason
			return err
		}
		answer = a
		return c.judge(r, a)
	})
	if err != nil {
		return nil, outcome(ctx, r.Op, err)
	}
	return answer, nil
}

// Open asks and leaves the answer to be read, for answers that are too large for
// memory. Limits.Deadline ends with the beginning of the answer; what follows is
// bounded by Limits.MaxBytes, Limits.MinRate and ctx. Reading ends in io.EOF only
// if the answer came whole.
func (c *Client) Open(ctx context.Context, r Request) (*Answer, io.ReadCloser, error) {
	reading, stop := context.WithCancelCause(ctx)
	deadline := time.AfterFunc(c.limits.Deadline, func() { stop(errDeadline) })
	var answer *Answer
	var body *body
	err := c.retrying(reading, r, func() (err error) {
		if answer, body, err = c.attempt(reading, r); err != nil {
			return err
		}
		if !r.wants(answer.Status) {
			answer.Body, _ = io.ReadAll(io.LimitReader(body, 64<<10)) // as much of the reason as there is
		}
		if err = c.judge(r, answer); err != nil {
			_ = body.Close()
		}
		return err
	})
	if !deadline.Stop() && err == nil {
		_ = body.Close()
		err = errDeadline
	}
	if err != nil {
		stop(nil)
		return nil, nil, outcome(ctx, r.Op, err)
	}
	return answer, &opened{ctx: ctx, op: r.Op, body: body, stop: stop}, nil
}

// judge says whether an answer is one: first its asker, then its status.
func (c *Client) judge(r Request, a *Answer) error {
	if r.Judge != nil {
		if err := r.Judge(a.Status, a.Header, a.Body); err != nil {
			return err
		}
	}
	return refusal(r, a, c.rt.Now())
}

// opened is the body of Open: its errors say what was asked for.
type opened struct {
	ctx  context.Context // of Open: ends the reading
	op   string
	body *body
	stop context.CancelCauseFunc
}

func (o *opened) Read(p []byte) (int, error) {
	n, err := o.body.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, outcome(o.ctx, o.op, err)
}

func (o *opened) Close() error {
	err := o.body.Close()
	o.stop(nil)
	return err
}

// outcome is an error as the asker is told it: the end of its own time as such,
// everything else with what was asked for.
func outcome(ctx context.Context, op string, err error) error {
	if reason := ctx.Err(); reason != nil {
		return reason
	}
	var e *study.Error
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	if op != "" {
		told.Op = op + ": " + e.Op
	}
	return &told
}
