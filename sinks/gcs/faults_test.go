package gcs

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"longitude/sinks"
	"longitude/sinks/sinktest"
)

// fault is one way in which a call goes wrong.
type fault struct {
	name    string
	reads   bool // it can happen to calls that read, too
	forGood bool // from that call on, every call fails
	do      action
}

type forwarding = func(*http.Request) (*http.Response, error)

func instead(status int, said string) action {
	return func(r *http.Request, _ forwarding) (*http.Response, error) { return answer(r, status, said) }
}

func unavailable(r *http.Request) (*http.Response, error) {
	res, err := answer(r, http.StatusServiceUnavailable, "try later")
	res.Header.Set("Retry-After", "1")
	return res, err
}

func broken(cause error) error { return &net.OpError{Op: "read", Net: "tcp", Err: cause} }

// late is what a client says that waited too long.
type late struct{}

func (late) Error() string   { return "i/o timeout" }
func (late) Timeout() bool   { return true }
func (late) Temporary() bool { return true }

// done carries a call out and answers something else.
func done(answers func(*http.Request) (*http.Response, error)) action {
	return func(r *http.Request, forward forwarding) (*http.Response, error) {
		res, err := forward(r)
		if err != nil {
			return nil, err
		}
		_ = res.Body.Close()
		return answers(r)
	}
}

func failing(cause error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, broken(cause) }
}

// reset breaks the connection when half of what is sent, or else of what is
// answered, has passed.
func reset(r *http.Request, forward forwarding) (*http.Response, error) {
	if r.Method != http.MethodGet {
		_, err := io.CopyN(io.Discard, r.Body, max(r.ContentLength/2, 1))
		return nil, errors.Join(broken(syscall.ECONNRESET), err)
	}
	res, err := forward(r)
	if err != nil {
		return nil, err
	}
	half, err := io.ReadAll(io.LimitReader(res.Body, max(res.ContentLength/2, 1)))
	res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(half), severed{}))
	return res, err
}

type severed struct{}

func (severed) Read([]byte) (int, error) { return 0, broken(syscall.ECONNRESET) }

// flipped changes a byte of what is uploaded; the checksum that was declared stays.
func flipped(r *http.Request, forward forwarding) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndex(body, []byte("\r\n--")) // of the content, which is the last part
	body[end-1] ^= 1
	r.Body = io.NopCloser(bytes.NewReader(body))
	return forward(r)
}

var faults = []fault{
	{name: "412 instead", reads: true, do: instead(http.StatusPreconditionFailed, "conditionNotMet")},
	{name: "400 instead, as for a wrong checksum", reads: true, do: instead(http.StatusBadRequest, "Provided CRC32C doesn't match")},
	{name: "403 instead, as under retention or without the right", reads: true, do: instead(http.StatusForbidden, "retentionPolicyNotMet")},
	{name: "503 with Retry-After instead", reads: true, do: func(r *http.Request, _ forwarding) (*http.Response, error) { return unavailable(r) }},
	{name: "503 with Retry-After after it was done", reads: true, do: done(unavailable)},
	{name: "412 after it was done", do: done(func(r *http.Request) (*http.Response, error) {
		return answer(r, http.StatusPreconditionFailed, "conditionNotMet")
	})},
	{name: "no answer in time after it was done", reads: true, do: done(failing(late{}))},
	{name: "the connection is reset half-way", reads: true, do: reset},
	{name: "a byte changes on the way", do: flipped},
	{name: "the network is gone for good", reads: true, forGood: true, do: func(*http.Request, forwarding) (*http.Response, error) { return nil, broken(syscall.EHOSTUNREACH) }},
	{name: "done, and the network is gone for good", forGood: true, do: done(failing(syscall.EHOSTUNREACH))},
}

// strike lets a fault happen to the n-th call of a name.
func (b *bucket) strike(f fault, call string, nth int) {
	var mu sync.Mutex
	struck := false
	b.fault = func(now string, _ *http.Request) action {
		mu.Lock()
		defer mu.Unlock()
		if struck && f.forGood {
			return failed
		}
		if now == call {
			nth--
		}
		if now != call || nth != 0 {
			return nil
		}
		struck = true
		return f.do
	}
}

func failed(*http.Request, forwarding) (*http.Response, error) {
	return nil, broken(syscall.EHOSTUNREACH)
}

// step is one call of a publication: the n-th of its name.
type step struct {
	call string
	nth  int
}

// kind is what the step does, as the columns of the table name it.
func (s step) kind() string {
	operation, object, _ := strings.Cut(s.call, " ")
	switch {
	case strings.Contains(object, sinks.Current):
		return map[string]string{"list": "list pointers", "look": "look at a pointer", "read": "read a pointer", "create": "create a pointer"}[operation]
	case operation == "list" && s.nth == 1:
		return "list what is there"
	case operation == "list":
		return "list what was put"
	case strings.HasSuffix(object, sinks.Envelope):
		return "create the envelope"
	}
	return "create a file"
}

var columns = []string{"list what is there", "create a file", "list what was put", "create the envelope", "list pointers", "look at a pointer", "read a pointer", "create a pointer"}

var r002 = sinks.Release{Study: "amd", ID: "amd_r002"}

// followed is a bucket that holds a release before the one that is published.
func followed(t *testing.T) *bucket {
	t.Helper()
	b := newBucket(t)
	if err := publish(t.Context(), t, b.sink(), r001); err != nil {
		t.Fatal(err)
	}
	b.calls = nil
	return b
}

// steps are the calls of an undisturbed publication.
func steps(t *testing.T) []step {
	t.Helper()
	b := followed(t)
	if err := publish(t.Context(), t, b.sink(), r002); err != nil {
		t.Fatal(err)
	}
	var all []step
	times := map[string]int{}
	for _, call := range b.calls {
		times[call]++
		all = append(all, step{call, times[call]})
	}
	return all
}

// state is what a reader finds: nothing of the release, or all of it to the byte.
func (b *bucket) state(t *testing.T, r sinks.Release) string {
	t.Helper()
	seen := b.visible(r)
	if seen == nil {
		return "none"
	}
	files, envelope := sinktest.Files(t, r.ID)
	want := map[string][]byte{}
	for _, a := range append(files, envelope) {
		content, err := a.Open()
		if err != nil {
			t.Fatal(err)
		}
		if want[a.Path()], err = io.ReadAll(content); err != nil {
			t.Fatal(err)
		}
		_ = content.Close()
	}
	if !maps.EqualFunc(seen, want, bytes.Equal) {
		t.Errorf("a part of the release is visible: %q", slices.Sorted(maps.Keys(seen)))
	}
	return "whole"
}

// survives publishes with one fault, then once more without: what an attempt leaves
// is nothing or all, and the next completes it.
func survives(t *testing.T, f fault, s step) (left string) {
	t.Helper()
	b := followed(t)
	b.strike(f, s.call, s.nth)
	err := publish(t.Context(), t, b.sink(), r002)
	left = b.state(t, r002)
	if at := b.current("amd"); at != r001.ID && (at != r002.ID || left == "none") {
		t.Errorf("current is %s while the release is %s", at, left)
	}
	switch {
	case err == nil && (left != "whole" || b.current("amd") != r002.ID):
		t.Errorf("the attempt says that it is published; it is %s and current %s", left, b.current("amd"))
	case err == nil:
		left = "published"
	case code(err) == "":
		t.Errorf("an error without a code: %v", err)
	default:
		left = "`" + code(err) + "`, " + left
	}
	b.fault = nil
	if err := publish(t.Context(), t, b.sink(), r002); err != nil && !errors.Is(err, sinks.ErrPublished) {
		t.Errorf("run again: %v", err)
	}
	if again := b.state(t, r002); again != "whole" || b.current("amd") != r002.ID || b.state(t, r001) != "whole" {
		t.Errorf("run again it is %s, current is %s", again, b.current("amd"))
	}
	return left
}

// TestFaults lets every fault happen to every call of a publication.
func TestFaults(t *testing.T) {
	all := steps(t)
	var mu sync.Mutex
	cells := map[string]map[string]string{}
	for _, f := range faults {
		cells[f.name] = map[string]string{}
	}
	var each sync.WaitGroup // most of them wait most of the time: not for a processor
	for _, f := range faults {
		for _, s := range all {
			if !f.reads && !strings.HasPrefix(s.call, "create ") {
				continue
			}
			each.Go(func() {
				t.Run(fmt.Sprintf("%s/%s %d", f.name, s.call, s.nth), func(t *testing.T) {
					left := survives(t, f, s)
					mu.Lock()
					defer mu.Unlock()
					if was := cells[f.name][s.kind()]; was != "" && was != left {
						t.Errorf("%s, and %s for another file", left, was)
					}
					cells[f.name][s.kind()] = left
				})
			})
		}
	}
	each.Wait()
	if !t.Failed() {
		compareEvidence(t, table(cells), len(all))
	}
}

func table(cells map[string]map[string]string) string {
	var out strings.Builder
	out.WriteString("| fault | " + strings.Join(columns, " | ") + " |\n|" + strings.Repeat(" --- |", len(columns)+1) + "\n")
	for _, f := range faults {
		out.WriteString("| " + f.name)
		for _, kind := range columns {
			cell := cells[f.name][kind]
			if cell == "" {
				cell = "–"
			}
			out.WriteString(" | " + cell)
		}
		out.WriteString(" |\n")
	}
	return out.String()
}

const (
	evidence    = "../../docs/evidence/gcs-sink.md"
	tableBegins = "<!-- generated: go test ./sinks/gcs -run Faults -update -->\n"
	tableEnds   = "<!-- end of the generated part -->\n"
)

// compareEvidence holds the table of the page to what the test saw.
func compareEvidence(t *testing.T, table string, calls int) {
	t.Helper()
	text, err := os.ReadFile(evidence)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends || !strings.Contains(before, fmt.Sprintf("%d calls", calls)) {
		t.Fatalf("the page needs the lines\n%s%sand before them: %d calls", tableBegins, tableEnds, calls)
	}
	want := before + tableBegins + "\n" + table + "\n" + tableEnds + after
	if string(text) == want {
		return
	}
	if update := flag.Lookup("update"); update == nil || update.Value.String() != "true" {
		t.Fatal("docs/evidence/gcs-sink.md is not what the test sees: run go test ./sinks/gcs -run Faults -update")
	}
	if err := os.WriteFile(evidence, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
