package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"time"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// source is one API.
type source struct {
	config Config
	rt     connectors.Runtime
	client *webclient.Client
	as     webclient.Credentials
	slots  chan struct{} // one for each request under way
}

func open(c Config, rt connectors.Runtime) (connectors.Source, error) {
	s := &source{config: c, rt: rt, slots: make(chan struct{}, max(1, c.InFlight))}
	s.client = webclient.New(c.Web, webclient.Runtime{Now: rt.Now, Sleep: rt.Sleep, Log: rt.Log})
	s.as = s.credentials()
	return s, nil
}

// Check implements connectors.Source.
func (s *source) Check(ctx context.Context) error {
	r := webclient.Request{Op: "check the account", URL: s.address(s.config.Check, nil, nil, nil), HTML: s.config.Check == ""}
	if s.config.Check == "" { // any answer but a refusal
		r.Answers = []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest, http.StatusNotAcceptable}
	}
	_, err := s.send(ctx, r)
	return err
}

// Close implements connectors.Source.
func (s *source) Close() error {
	s.client.Close()
	return nil
}

// Pull implements connectors.Source. A page that is durable as it is, is passed
// over. Each delivery is held back until the next one is known, so that the state
// of the last one can say that the pull came to its end.
func (s *source) Pull(ctx context.Context, after connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		p := &pull{source: s, after: after, started: s.rt.Now()}
		p.marks, p.at = s.load(after)
		var held *connectors.Delivery
		for d, err := range p.deliveries(ctx) {
			if held != nil && !yield(*held, nil) {
				return
			}
			if err != nil {
				yield(connectors.Delivery{}, err)
				return
			}
			held = d
		}
		if held != nil {
			held.State = s.save(p.marks, nil)
			yield(*held, nil)
		}
	}
}

// pull is one pass over the streams.
type pull struct {
	*source
	after   connectors.Cursor
	started time.Time
	marks   map[string]mark // of pulls that came to their end, and of streams that did in this one
	at      *position       // where an interrupted pull was; nil = at the beginning
}

// deliveries are the pages that are new.
func (p *pull) deliveries(ctx context.Context) iter.Seq2[*connectors.Delivery, error] {
	return func(yield func(*connectors.Delivery, error) bool) {
		before := maps.Clone(p.marks)
		done := map[string]mark{}
		for _, of := range p.config.Streams {
			if of.Only || p.at != nil && p.skips(of, done) {
				continue
			}
			w := &pass{pull: p, of: of, since: before, done: done}
			if !w.run(ctx, yield) {
				return
			}
			if !w.newest.IsZero() {
				done[of.Name] = mark{p.definition(of), w.newest}
			} else if m, ok := before[of.Name]; ok {
				done[of.Name] = m
			}
		}
		p.marks = done
	}
}

// skips reports whether an interrupted pull had come to the end of a stream.
func (p *pull) skips(of Stream, done map[string]mark) bool {
	if of.Name == p.at.Stream {
		return false
	}
	if m, ok := p.at.Done[of.Name]; ok {
		done[of.Name] = m
	}
	return true
}

// pass is one stream in a pull.
type pass struct {
	*pull
	of     Stream
	since  map[string]mark
	done   map[string]mark
	newest time.Time
	gave   []byte

	from    *position // in the middle of which chain it began; nil = of none
	stopped bool      // a rule has ended the stream
}

// run goes through the chains of the stream, getting their first pages ahead. It
// reports whether the pull goes on.
func (w *pass) run(ctx context.Context, yield func(*connectors.Delivery, error) bool) bool {
	chains, err := w.chains(ctx, w.of)
	if err != nil {
		yield(nil, err)
		return false
	}
	begin, from := w.resume(chains)
	rest := chains[begin:]
	starts := make([]place, len(rest))
	if len(rest) > 0 {
		starts[0] = from
	}
	if w.of.Export.Path != "" {
		return w.lists(ctx, rest, begin, yield)
	}
	begun := begin
	for f, err := range ahead(ctx, w.inFlight(), len(rest), func(ctx context.Context, i int) (*fetched, error) {
		return w.get(ctx, rest[i], starts[i], w.asks(rest[i]))
	}) {
		if outdated(err) && w.from != nil && begin == begun {
			break
		}
		if err != nil {
			yield(nil, err)
			return false
		}
		if !w.goOn(ctx, f, nil, w.asks(f.chain), func(f *fetched, err error) bool { return w.take(begin, f, err, yield) }) {
			return false
		}
		if begin++; w.stopped {
			return true
		}
	}
	if begin == begun && len(rest) > 0 { // the server has forgotten the place
		forget(w.since, w.of)
		w.from, w.newest, w.gave = nil, time.Time{}, nil
		return w.run(ctx, yield)
	}
	return true
}

// outdated reports whether a server refuses the place where an interrupted pull was:
// some forget their cursors.
func outdated(err error) bool {
	var status webclient.Status
	return errors.As(err, &status) && slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity}, int(status))
}

// lists goes through chains one after the other.
func (w *pass) lists(ctx context.Context, chains []chain, begin int, yield func(*connectors.Delivery, error) bool) bool {
	for i, c := range chains {
		for f, err := range w.list(ctx, c, place{}, w.asks(c)) {
			if !w.take(begin+i, f, err, yield) {
				return false
			}
		}
		if w.stopped {
			break
		}
	}
	return true
}

// take makes a delivery of a page that is not durable yet.
func (w *pass) take(chain int, f *fetched, err error, yield func(*connectors.Delivery, error) bool) bool {
	if err != nil {
		yield(nil, err)
		return false
	}
	if limit := w.started; f.newest.After(limit) {
		f.newest = limit // a wrong clock must not hide what changes from now on
	}
	if f.newest.After(w.newest) {
		w.newest = f.newest
	}
	w.stopped = w.stopped || f.stop
	if f.count == 0 {
		return true
	}
	w.gave = setBit(w.gave, chain)
	d := w.delivery(f)
	if w.settled(d) {
		return true
	}
	d.State = w.save(w.since, w.position(f))
	return yield(d, nil)
}

// position is where the pull is once a page is durable.
func (w *pass) position(f *fetched) *position {
	at := &position{Started: w.started, Since: w.asks(f.chain), Stream: w.of.Name, Of: w.definition(w.of), Key: f.chain.key, Newest: w.newest, Gave: w.gave, Done: w.done}
	at.Place = place{Page: -1} // behind the chain
	if f.next != nil {
		at.Place = *f.next
	}
	return at
}

// resume is where an interrupted pull goes on: which chain, and where in it. It
// does so only if everything before is durable, and begins again otherwise.
func (w *pass) resume(chains []chain) (int, place) {
	at := w.at
	if w.at = nil; at == nil {
		return 0, place{}
	}
	i := w.reached(chains, at)
	if i < 0 {
		forget(w.since, w.of)
		return 0, place{}
	}
	w.started, w.newest, w.gave = at.Started, at.Newest, bytes.Clone(at.Gave)
	if at.Place.Page < 0 {
		return i + 1, place{}
	}
	w.from = at
	return i, at.Place
}

// reached is the chain that a position is in, if all pages before are durable; else -1.
func (w *pass) reached(chains []chain, at *position) int {
	for i, c := range chains {
		switch {
		case w.of.Export.Path != "":
			return -1 // another export can have other files
		case c.key == at.Key:
			for page := range max(at.Place.Page, 1) {
				if !w.known(c, page) {
					return -1
				}
			}
			return i
		case bit(at.Gave, i) && !w.known(c, 0):
			return -1
		}
	}
	return -1
}

// asks is the time since which a chain is asked for what changed: a chain of which
// nothing is durable is asked for everything.
func (w *pass) asks(c chain) string {
	if w.from != nil && w.from.Key == c.key {
		return w.from.Since // the rest of a list that was asked for so
	}
	m, ok := w.since[w.of.Name]
	if !ok || w.of.Since.Parameter == "" || !w.known(c, 0) {
		return w.of.Since.Initial
	}
	return writeTime(w.of.Since.Layout, m.To.Add(-w.of.Since.Overlap))
}

func (w *pass) known(c chain, page int) bool {
	_, ok := w.after.Known[w.item(c, page)]
	return ok
}

// settled reports whether the page is durable as it is, or waits for a person.
func (p *pull) settled(d *connectors.Delivery) bool {
	refused, ok := p.after.Refused[d.Item]
	return ok && refused == d.Version || p.after.Has(d.Item, d.Version)
}

func (s *source) item(c chain, page int) string {
	return s.rt.Digest(fmt.Sprintf("%s\x00%s\x00%d", c.stream.Name, c.key, page))
}

// delivery offers a page as it came.
func (s *source) delivery(f *fetched) *connectors.Delivery {
	modified := f.newest
	if modified.IsZero() {
		modified = f.dated
	}
	if modified.IsZero() {
		modified = s.rt.Now()
	}
	body := f.body
	return &connectors.Delivery{
		Item: s.item(f.chain, f.place.Page), Name: fmt.Sprintf("%s %s page %d", f.chain.stream.Name, f.chain.key, f.place.Page+1),
		Version: s.rt.Digest(string(body)), Size: int64(len(body)), Modified: modified,
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			return io.NopCloser(&reader{ctx, bytes.NewReader(body)}), ctx.Err()
		},
	}
}

// reader reads a page until its context ends.
type reader struct {
	ctx  context.Context // of Open
	page *bytes.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.page.Read(p)
}

func setBit(bits []byte, i int) []byte {
	for len(bits) <= i/8 {
		bits = append(bits, 0)
	}
	bits[i/8] |= 1 << (i % 8)
	return bits
}

func bit(bits []byte, i int) bool { return i/8 < len(bits) && bits[i/8]>>(i%8)&1 == 1 }
