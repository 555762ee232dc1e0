// Package receive is the door for what senders push: POST /hooks/SOURCE. A request
// is answered 202 when, and only when, it is durable in the inbox. Whether it is the
// sender's, its source says; here are limits, order, answers and the commit of many
// requests at once.
package receive

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"longitude/study"
)

// Root is where the sources are: Root + name, and behind it, where the secret is in
// the path, a slash and the secret.
const Root = "/hooks/"

// Source is a source that is sent what is new.
type Source struct {
	Study, Name string
	// Admit judges a request; see connectors.Receiver.
	Admit func(header http.Header, secret string, body []byte) (id string, content []byte, err error)
	// Digest and Seal are the source's keys; see deid.Inbox.
	Digest func(what string, text []byte) study.Digest
	Seal   func(key study.Digest, content []byte) []byte

	Body                 int64 // bytes of one request
	Rate, Burst, Waiting int   // requests a second, at once, and not landed yet
	Hint                 bool  // what is sent is no data: without an id each is another
}

// Inbox keeps what is taken.
type Inbox interface {
	Receive(ctx context.Context, requests []study.Request) ([]study.Receipt, error)
	Waiting(ctx context.Context, source string, most int) (n int, last int64, err error)
}

// Options is what the door stands on.
type Options struct {
	Sources []Source
	// Stranger judges what is sent to sources that are not there. It admits nothing,
	// and takes as long for it as a source does.
	Stranger Source
	Inbox    Inbox
	Now      func() time.Time
	Logger   *slog.Logger
	Arrived  func(source string)                                      // told after each sender was answered
	Seen     func(studyName, source, outcome string, t time.Duration) // told of each request; outcome is of Outcomes
	Refused  func(studyName, source, code string)                     // told of each request that was not taken
}

// Door answers senders. Commit must run while it is open.
type Door struct {
	o        Options
	rooms    map[string]*room
	stranger *room
	letters  chan letter
	held     atomic.Int64 // bytes of bodies in memory
}

// What the door holds at most, whoever sends.
const (
	maxHeld    = 256 << 20 // bytes of bodies in memory
	maxLetters = 1024      // requests that wait to be committed
)

// New makes the door.
func New(o Options) *Door {
	d := &Door{o: o, rooms: map[string]*room{}, stranger: newRoom(o.Stranger), letters: make(chan letter, maxLetters)}
	for _, s := range o.Sources {
		d.rooms[s.Name] = newRoom(s)
	}
	return d
}

// Server is a server with the limits that senders are held to.
func (d *Door) Server() *http.Server {
	return &http.Server{Handler: d, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := d.o.Now()
	name, secret, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Root), "/")
	at, known := d.rooms[name]
	if !known {
		at = d.stranger
	}
	receipt, err := d.take(w, r, at, secret, known)
	outcome := "accepted"
	switch {
	case err != nil:
		outcome = d.refuse(w, at, err)
	case receipt.Known:
		outcome = "known"
	}
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"`+strconv.FormatInt(receipt.ID, 10)+"\"}\n")
		_ = http.NewResponseController(w).Flush()
		study.Reached(study.PointAnswered)
		if !receipt.Known {
			d.o.Arrived(at.Name)
		}
	}
	d.o.Seen(at.Study, at.Name, outcome, d.o.Now().Sub(began))
}

// take makes a request durable, or says why not.
func (d *Door) take(w http.ResponseWriter, r *http.Request, at *room, secret string, known bool) (study.Receipt, error) {
	var none study.Receipt
	if r.Method != http.MethodPost {
		return none, refusal("webhook.method", "requests are sent with POST", "have the sender use POST")
	}
	body, err := d.read(w, r, at.Body)
	defer d.held.Add(-int64(cap(body)))
	if err != nil {
		return none, err
	}
	id, content, err := at.Admit(r.Header, secret, body)
	if !known && err == nil {
		err = refusal("webhook.unauthorized", "a request does not prove who sent it", "compare scheme and secrets with what the sender has")
	}
	if err != nil {
		return none, err
	}
	if !at.limiter.AllowN(d.o.Now(), 1) {
		return none, later("webhook.rate", "more requests come than the source takes", "the sender tries again; raise rate in the source if it is always so busy", time.Second)
	}
	if at.full(r.Context(), d.o.Inbox, d.o.Now()) {
		return none, later("webhook.full", "too many requests of the source wait to be recorded", "see why the source's runs do not take them: `longitude status`", 30*time.Second)
	}
	return d.keep(r.Context(), at, id, content)
}

// keep puts what was admitted into the inbox.
func (d *Door) keep(ctx context.Context, at *room, id string, content []byte) (study.Receipt, error) {
	q := study.Request{Source: at.Name, Content: at.Digest("content", content), Size: len(content)}
	switch {
	case id != "":
		q.Key = at.Digest("id", []byte(id))
	case at.Hint:
		q.Key = at.Digest("once", once())
	default:
		q.Key = at.Digest("unnamed", content)
	}
	q.Box = at.Seal(q.Key, content)
	receipt, err := d.send(ctx, q)
	if err == nil && receipt.Reused {
		return receipt, refusal("webhook.reused", "a request came under the id of another", "ask the sender why: an id stands for one request for ever")
	}
	if err == nil && !receipt.Known {
		at.added()
	}
	return receipt, err
}

// What a sender's body may take: so long to begin with, and then as long as it comes
// at this many bytes a second.
const (
	bodyBegins  = 30 * time.Second
	bodyAtLeast = 10 << 10
	bodyStep    = 32 << 10
)

// read reads a body of at most limit bytes. What it answers counts as held.
func (d *Door) read(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, err error) {
	tooLarge := refusal("webhook.too_large", "a request is larger than its source takes", "raise max_body in the source, or have the sender send less at once")
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	control := http.NewResponseController(w)
	began := time.Now()
	for {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), max(2*cap(body), int(min(r.ContentLength+1, bodyStep)), 512))
			copy(grown, body)
			if d.held.Add(int64(cap(grown)-cap(body))) > maxHeld {
				d.held.Add(int64(cap(body) - cap(grown)))
				return body, later("webhook.busy", "too many requests come at once", "the sender tries again", time.Second)
			}
			body = grown
		}
		_ = control.SetReadDeadline(began.Add(bodyBegins + time.Duration(len(body)/bodyAtLeast)*time.Second))
		n, err := r.Body.Read(body[len(body):min(cap(body), len(body)+bodyStep)])
		body = body[:len(body)+n]
		switch timeout := (interface{ Timeout() bool })(nil); {
		case int64(len(body)) > limit:
			return body, tooLarge
		case errors.Is(err, io.EOF):
			_ = control.SetReadDeadline(time.Time{})
			return body, nil
		case errors.As(err, &timeout) && timeout.Timeout():
			return body, refusal("webhook.slow", "a request's body comes too slowly", "look at the network between the sender and here")
		case err != nil:
			return body, refusal("webhook.cut", "a request's body ends too early", "look at the network between the sender and here; the sender tries again")
		}
	}
}

// refuse answers a request that was not taken, and says which of Outcomes that is.
func (d *Door) refuse(w http.ResponseWriter, at *room, err error) (outcome string) {
	var e *study.Error
	if !errors.As(err, &e) || answers[e.Code] == 0 {
		code := "internal"
		if e != nil {
			code = e.Code
		}
		d.o.Logger.Error("a request could not be kept", "source", at.Name, "code", code)
		e = later("webhook.unavailable", "requests cannot be kept at the moment", "see the log: the database or the keys are out of reach", 5*time.Second)
	}
	status := answers[e.Code]
	header := w.Header()
	switch status {
	case http.StatusMethodNotAllowed:
		header.Set("Allow", http.MethodPost)
	case http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		header.Set("Connection", "close")
	}
	if e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	header.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:longitude:error:" + e.Code, "title": http.StatusText(status),
		"status": status, "code": e.Code, "detail": e.Op})
	d.o.Refused(at.Study, at.Name, e.Code)
	return strings.TrimPrefix(e.Code, "webhook.")
}

// answers are the codes that a sender is told, each with its status; anything else
// is ours to mend, and the sender is asked to come back.
var answers = map[string]int{
	"webhook.busy":             http.StatusServiceUnavailable,
	"webhook.closed":           http.StatusGone,
	"webhook.content_encoding": http.StatusUnsupportedMediaType,
	"webhook.content_type":     http.StatusUnsupportedMediaType,
	"webhook.cut":              http.StatusBadRequest,
	"webhook.empty":            http.StatusUnprocessableEntity,
	"webhook.full":             http.StatusServiceUnavailable,
	"webhook.method":           http.StatusMethodNotAllowed,
	"webhook.paused":           http.StatusServiceUnavailable,
	"webhook.rate":             http.StatusTooManyRequests,
	"webhook.reused":           http.StatusConflict,
	"webhook.slow":             http.StatusRequestTimeout,
	"webhook.stale":            http.StatusUnauthorized,
	"webhook.too_large":        http.StatusRequestEntityTooLarge,
	"webhook.unauthorized":     http.StatusUnauthorized,
	"webhook.unavailable":      http.StatusServiceUnavailable,
	"webhook.unpack":           http.StatusUnprocessableEntity,
}

func refusal(code, op, hint string) *study.Error {
	return &study.Error{Code: code, Op: op, Hint: hint, Exit: study.ExitBlocked}
}

func later(code, op, hint string, after time.Duration) *study.Error {
	return &study.Error{Code: code, Op: op, Hint: hint, Exit: study.ExitEnvironment, Temporary: true, RetryAfter: after}
}
