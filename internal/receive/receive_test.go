package receive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longitude/study"
)

// shelf is an inbox in memory.
type shelf struct {
	mu      sync.Mutex
	kept    map[string]study.Request // by source and key
	ids     map[string]int64
	groups  []int
	fail    error
	waiting int
	slow    time.Duration
}

func (s *shelf) Receive(ctx context.Context, requests []study.Request) ([]study.Receipt, error) {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	s.groups = append(s.groups, len(requests))
	out := make([]study.Receipt, len(requests))
	for i, r := range requests {
		name := r.Source + r.Key.String()
		first, known := s.kept[name]
		if !known {
			s.kept[name], s.ids[name] = r, int64(len(s.kept)+1)
		}
		out[i] = study.Receipt{ID: s.ids[name], Known: known, Reused: known && first.Content != r.Content}
	}
	return out, ctx.Err()
}

func (s *shelf) Waiting(context.Context, string, int) (int, int64, error) { return s.waiting, 0, nil }

// hall is a door with a source "edc" whose senders prove themselves by a header.
type hall struct {
	*shelf
	door    *Door
	url     string
	now     time.Time
	mu      sync.Mutex
	seen    map[string]int // outcomes
	refused map[string]int // source and code
	arrived int
	log     bytes.Buffer
}

func admit(h http.Header, secret string, body []byte) (string, []byte, error) {
	if h.Get("Proof") != "it is me" && secret != "a-secret" {
		return "", nil, refusal("webhook.unauthorized", "a request does not prove who sent it", "x")
	}
	if code := h.Get("Fail"); code != "" {
		return "", nil, &study.Error{Code: code, Op: "refused", Hint: "x", RetryAfter: time.Hour}
	}
	return h.Get("Id"), body, nil
}

func newHall(t *testing.T, change func(*Source)) *hall {
	t.Helper()
	before := goleak.IgnoreCurrent()
	h := &hall{shelf: &shelf{kept: map[string]study.Request{}, ids: map[string]int64{}}, now: time.Now(), seen: map[string]int{}, refused: map[string]int{}}
	source := Source{Study: "amd", Name: "edc", Admit: admit, Body: 1000, Rate: 1000, Burst: 1000, Waiting: 100,
		Digest: func(what string, text []byte) study.Digest {
			return sha256.Sum256(append([]byte(what+"\x00"), text...))
		},
		Seal: func(_ study.Digest, content []byte) []byte { return append([]byte("sealed "), content...) }}
	if change != nil {
		change(&source)
	}
	stranger := source
	stranger.Study, stranger.Name = "", ""
	h.door = New(Options{Sources: []Source{source}, Stranger: stranger, Inbox: h, Now: func() time.Time { return h.now },
		Logger:  slog.New(slog.NewTextHandler(&h.log, nil)),
		Arrived: func(string) { h.count(func() { h.arrived++ }) },
		Seen:    func(_, _, outcome string, _ time.Duration) { h.count(func() { h.seen[outcome]++ }) },
		Refused: func(_, source, code string) { h.count(func() { h.refused[source+" "+code]++ }) }})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { h.door.Commit(ctx); close(ended) }()
	server := httptest.NewUnstartedServer(nil)
	server.Config = h.door.Server()
	server.Start()
	h.url = server.URL + Root
	t.Cleanup(func() { server.Close(); stop(); <-ended; goleak.VerifyNone(t, before) })
	return h
}

func (h *hall) count(do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do()
}

// reply is an answer of the door.
type reply struct {
	status int
	id     string
	code   string
	retry  string
	body   string
}

func (h *hall) send(t *testing.T, method, path, body string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ ID, Code string }
	if json.Unmarshal(text, &said) != nil {
		t.Errorf("answered %q", text)
	}
	return reply{a.StatusCode, said.ID, said.Code, a.Header.Get("Retry-After"), string(text)}
}

func (h *hall) post(t *testing.T, body string, header ...string) reply {
	t.Helper()
	return h.send(t, http.MethodPost, "edc", body, append(header, "Proof", "it is me")...)
}

// Only what is kept is answered 202, and the same request with the same id, for ever.
func TestAccepted(t *testing.T) {
	h := newHall(t, nil)
	first := h.post(t, "one", "Id", "1")
	if first.status != http.StatusAccepted || first.id == "" {
		t.Fatalf("answered %+v", first)
	}
	if again := h.post(t, "one", "Id", "1"); again != first {
		t.Errorf("the same again: %+v", again)
	}
	if other := h.post(t, "two", "Id", "1"); other.status != http.StatusConflict || other.code != "webhook.reused" {
		t.Errorf("another content under its id: %+v", other)
	}
	unnamed := h.post(t, "one")
	if unnamed.status != http.StatusAccepted || unnamed.id == first.id || h.post(t, "one") != unnamed {
		t.Errorf("without an id: %+v", unnamed)
	}
	if path := h.send(t, http.MethodPost, "edc/a-secret", "three"); path.status != http.StatusAccepted {
		t.Errorf("with the secret in the path: %+v", path)
	}
	if len(h.kept) != 3 || h.arrived != 3 || h.seen["accepted"] != 3 || h.seen["known"] != 2 || h.seen["reused"] != 1 {
		t.Errorf("kept %d, told of %d, seen %v", len(h.kept), h.arrived, h.seen)
	}
	for _, r := range h.kept {
		if r.Source != "edc" || !bytes.HasPrefix(r.Box, []byte("sealed ")) || r.Size != len(r.Box)-len("sealed ") {
			t.Errorf("kept %+v", r)
		}
	}
}

// Hints without an id are each another: what was said before may have been followed
// before the next change.
func TestHintsAreEachAnother(t *testing.T) {
	h := newHall(t, func(s *Source) { s.Hint = true })
	if one, two := h.post(t, "record=1"), h.post(t, "record=1"); one.status != http.StatusAccepted || one.id == two.id {
		t.Errorf("answered %+v, %+v", one, two)
	}
	if one, two := h.post(t, "record=1", "Id", "7"), h.post(t, "record=1", "Id", "7"); one.id != two.id {
		t.Errorf("with an id %+v, %+v", one, two)
	}
}

// Whether there is a source of that name cannot be told from the answer.
func TestStrangersLearnNothing(t *testing.T) {
	h := newHall(t, nil)
	want := h.send(t, http.MethodPost, "edc", "x")
	if want.status != http.StatusUnauthorized || want.code != "webhook.unauthorized" {
		t.Fatalf("without a proof %+v", want)
	}
	for _, path := range []string{"other", "", "edc%00", "EDC", "other/a-secret", "edc/another"} {
		for _, header := range [][]string{nil, {"Proof", "it is me"}} {
			if path == "edc/another" && header != nil {
				continue
			}
			if got := h.send(t, http.MethodPost, path, "x", header...); got != want {
				t.Errorf("%q: %+v", path, got)
			}
		}
	}
	large := strings.Repeat("x", 1001)
	if a, b := h.send(t, http.MethodPost, "edc", large), h.send(t, http.MethodPost, "other", large); a != b || a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("large: %+v, %+v", a, b)
	}
	if len(h.kept) != 0 || h.refused["edc webhook.unauthorized"] != 2 || h.refused[" webhook.unauthorized"] == 0 {
		t.Errorf("kept %d, refused %v", len(h.kept), h.refused)
	}
}

func TestRefusals(t *testing.T) {
	h := newHall(t, nil)
	for code, status := range answers {
		got := h.post(t, "x", "Fail", code)
		if got.status != status || got.code != code || got.retry != "3600" || strings.Contains(got.body, "hint") {
			t.Errorf("%s: %+v", code, got)
		}
	}
	for name, c := range map[string]struct {
		got  reply
		want reply
	}{
		"GET":         {h.send(t, http.MethodGet, "edc", ""), reply{status: 405, code: "webhook.method"}},
		"PUT":         {h.send(t, http.MethodPut, "edc", "x"), reply{status: 405, code: "webhook.method"}},
		"the limit":   {h.post(t, strings.Repeat("x", 1000)), reply{status: 202}},
		"a byte more": {h.post(t, strings.Repeat("x", 1001)), reply{status: 413, code: "webhook.too_large"}},
		"a defect":    {h.post(t, "x", "Fail", "deid.box"), reply{status: 503, code: "webhook.unavailable", retry: "5"}},
	} {
		if c.got.id, c.got.body = "", ""; c.got != c.want {
			t.Errorf("%s: %+v, want %+v", name, c.got, c.want)
		}
	}
	h.fail = &study.Error{Code: "database.failed", Op: "could not keep what was received", Temporary: true}
	if got := h.post(t, "x", "Id", "9"); got.status != 503 || got.retry != "5" || got.code != "webhook.unavailable" {
		t.Errorf("without a database: %+v", got)
	}
	h.fail = errors.New("pq: duplicate key (name)=(Jane)")
	if got := h.post(t, "x", "Id", "9"); got.status != 503 || strings.Contains(got.body+h.log.String(), "Jane") {
		t.Errorf("an error of a library: %+v", got)
	}
	for outcome := range maps.Keys(h.seen) {
		if !slices.Contains(Outcomes, outcome) {
			t.Errorf("%s is no outcome", outcome)
		}
	}
}

// A chunked body has no length beforehand and is held to the limit all the same.
func TestChunkedBodies(t *testing.T) {
	h := newHall(t, nil)
	for size, want := range map[int]int{1000: 202, 1001: 413, 100_000: 413} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"edc", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Proof", "it is me")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close()
		if a.StatusCode != want {
			t.Errorf("%d bytes: %d", size, a.StatusCode)
		}
	}
	if h.door.held.Load() != 0 {
		t.Errorf("%d bytes are held", h.door.held.Load())
	}
}

func TestRate(t *testing.T) {
	h := newHall(t, func(s *Source) { s.Rate, s.Burst = 10, 3 })
	statuses := map[int]int{}
	for i := range 10 {
		a := h.post(t, fmt.Sprint(i))
		statuses[a.status]++
		if a.status == 429 && (a.retry != "1" || a.code != "webhook.rate") {
			t.Errorf("answered %+v", a)
		}
	}
	if statuses[202] != 3 || statuses[429] != 7 {
		t.Errorf("answered %v", statuses)
	}
	for range 100 { // who is nobody does not use up what the sender may send
		h.send(t, http.MethodPost, "edc", "x")
	}
	h.now = h.now.Add(time.Second)
	if a := h.post(t, "later"); a.status != 202 {
		t.Errorf("a second later %+v", a)
	}
}

// When too much waits senders are asked to come back, until some of it is recorded.
func TestFull(t *testing.T) {
	h := newHall(t, func(s *Source) { s.Waiting = 5 })
	h.waiting = 3
	for i, want := range []int{202, 202, 503, 503} {
		if a := h.post(t, fmt.Sprint(i)); a.status != want || want == 503 && (a.code != "webhook.full" || a.retry != "30") {
			t.Errorf("request %d: %+v", i, a)
		}
	}
	if a := h.send(t, http.MethodPost, "edc", "x"); a.status != 401 {
		t.Errorf("a stranger learns that it is full: %+v", a)
	}
	h.waiting, h.now = 0, h.now.Add(countEvery)
	if a := h.post(t, "room again"); a.status != 202 {
		t.Errorf("with room %+v", a)
	}
}

// Requests that come while others are committed are committed together.
func TestGroupCommit(t *testing.T) {
	h := newHall(t, nil)
	h.slow = 30 * time.Millisecond
	var senders sync.WaitGroup
	for i := range 40 {
		senders.Go(func() {
			if a := h.post(t, fmt.Sprint("request ", i%30)); a.status != 202 {
				t.Errorf("answered %+v", a)
			}
		})
	}
	senders.Wait()
	if len(h.kept) != 30 || len(h.groups) > 20 {
		t.Errorf("%d kept, in groups of %v", len(h.kept), h.groups)
	}
}

// A sender who goes away, or sends half, leaves nothing behind that is not whole.
func TestBrokenSenders(t *testing.T) {
	h := newHall(t, nil)
	address := strings.TrimSuffix(strings.TrimPrefix(h.url, "http://"), Root)
	for name, text := range map[string]string{
		"half a header":   "POST /hooks/edc HTTP/1.1\r\nHost: x\r\nProof: it",
		"half a body":     "POST /hooks/edc HTTP/1.1\r\nHost: x\r\nProof: it is me\r\nContent-Length: 100\r\n\r\nhalf",
		"half a chunk":    "POST /hooks/edc HTTP/1.1\r\nHost: x\r\nProof: it is me\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
		"no length":       "POST /hooks/edc HTTP/1.1\r\nHost: x\r\nProof: it is me\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a huge header":   "POST /hooks/edc HTTP/1.1\r\nHost: x\r\nProof: " + strings.Repeat("x", 20<<10) + "\r\n\r\n",
		"two lengths":     "POST /hooks/edc HTTP/1.1\r\nHost: x\r\nProof: it is me\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhalf",
		"length and more": "POST /hooks/edc HTTP/1.1\r\nHost: x\r\nProof: it is me\r\nContent-Length: nine\r\n\r\nhalf",
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		_ = c.(*net.TCPConn).CloseWrite()
		if a, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && a.StatusCode < 400 {
			t.Errorf("%s: %d", name, a.StatusCode)
		}
		_ = c.Close()
	}
	if len(h.kept) != 0 {
		t.Errorf("kept %v", h.kept)
	}
}

// When the door closes, who still waits is asked to come back.
func TestClosing(t *testing.T) {
	h := newHall(t, nil)
	d := New(h.door.o)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	l := letter{answer: make(chan answer, 1)}
	d.letters <- l
	d.Commit(ctx)
	d.Commit(ctx)
	select {
	case a := <-l.answer:
		if a.err == nil && a.receipt.ID == 0 {
			t.Error("neither kept nor refused")
		}
	default:
		t.Error("left without an answer")
	}
}
