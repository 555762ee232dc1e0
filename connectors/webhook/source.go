package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"sync"

	"longitude/connectors"
	"longitude/study"
)

// source delivers what its sender has pushed.
type source struct {
	config  Config
	runtime connectors.Runtime
	keys    func() ([][]byte, error)
}

func open(c Config, rt connectors.Runtime) (connectors.Source, error) { return newSource(c, rt), nil }

func newSource(c Config, rt connectors.Runtime) *source {
	return &source{config: c, runtime: rt, keys: sync.OnceValues(c.keys)}
}

// keys resolves the secrets.
func (c *Config) keys() ([][]byte, error) {
	var keys [][]byte
	for _, secret := range c.Secrets {
		text, err := secret.Reveal()
		if err != nil {
			return nil, err
		}
		key, ok := schemes[c.Scheme].key(text)
		if !ok {
			return nil, &study.Error{Code: "webhook.secret", Op: "a secret of scheme " + c.Scheme + " is not one", Exit: study.ExitUsage,
				Hint: "standard and svix: whsec_ and 24 to 64 bytes in base64, or whpk_ and a public key; the others: at least 16 characters"}
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Check implements connectors.Source. There is nobody to reach: whether the sender
// can reach us only it can say.
func (s *source) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.keys()
	return err
}

// Close implements connectors.Source.
func (s *source) Close() error { return nil }

// state is the cursor of an inbox.
type state struct {
	Version int   `json:"v"`
	Inbox   int64 `json:"inbox"` // the last request that is durable
}

func (s state) bytes() []byte {
	text, _ := json.Marshal(s) // two numbers
	return text
}

// position is the last durable request; 0 for a cursor that is none of ours.
func position(text []byte) int64 {
	var s state
	if json.Unmarshal(text, &s) != nil || s.Version != 1 || s.Inbox < 0 {
		return 0
	}
	return s.Inbox
}

// Pull implements connectors.Source.
func (s *source) Pull(ctx context.Context, after connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		at := position(after.State)
		for {
			if err := ctx.Err(); err != nil {
				yield(connectors.Delivery{}, err)
				return
			}
			if s.runtime.Inbox == nil || s.config.Payload == payloadHint {
				return
			}
			first, last, ok, err := s.runtime.Inbox.Group(ctx, at, s.config.Together)
			if err != nil {
				yield(connectors.Delivery{}, err)
				return
			}
			if !ok || !yield(s.delivery(first, last), nil) {
				return
			}
			at = last
		}
	}
}

// delivery offers a group of requests. Such an object has no name at its source, so
// it is nobody's next version.
func (s *source) delivery(first, last int64) connectors.Delivery {
	span := fmt.Sprintf("%d-%d", first, last)
	return connectors.Delivery{Name: span, Version: span, Size: -1, State: state{1, last}.bytes(),
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			next, stop := iter.Pull2(s.runtime.Inbox.Contents(ctx, first, last))
			return &contents{ctx: ctx, next: next, stop: stop, lines: s.config.Together > 1}, nil
		}}
}

// contents reads the requests of a group one after the other.
type contents struct {
	ctx   context.Context
	next  func() ([]byte, error, bool)
	stop  func()
	lines bool
	rest  []byte
}

func (c *contents) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	for len(c.rest) == 0 {
		content, err, more := c.next()
		if err != nil {
			return 0, err
		}
		if !more {
			return 0, io.EOF
		}
		if c.rest = content; c.lines {
			c.rest = line(content)
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *contents) Close() error {
	c.stop()
	return nil
}

// line puts a request on one line. In JSON a line end can only stand between
// values, where a blank says the same.
func line(content []byte) []byte {
	out := append(bytes.Clone(content), '\n')
	for i, b := range out[:len(content)] {
		if b == '\n' || b == '\r' {
			out[i] = ' '
		}
	}
	return out
}

// Acknowledge implements connectors.Acknowledger: what is durable is kept once.
func (s *source) Acknowledge(ctx context.Context, d connectors.Delivery) error {
	upTo := position(d.State)
	if upTo == 0 || s.runtime.Inbox == nil {
		return nil
	}
	return s.runtime.Inbox.Forget(ctx, upTo)
}

// Unacknowledged implements connectors.Recoverer.
func (s *source) Unacknowledged(ctx context.Context, durable connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		upTo := position(durable.State)
		if upTo == 0 || s.runtime.Inbox == nil {
			return
		}
		held, err := s.runtime.Inbox.Held(ctx, upTo)
		if err != nil || held {
			yield(connectors.Delivery{State: durable.State}, err)
		}
	}
}
