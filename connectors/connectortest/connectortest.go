// Package connectortest is the behaviour suite that every connector must pass:
// what the contract of connectors.Source says, as checks against a real server.
package connectortest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longitude/connectors"
)

// Harness is how the suite reaches a connector and the place it reads.
type Harness struct {
	Spec connectors.Spec
	// New makes an empty place for one check; t ends it.
	New func(t *testing.T) Place
	// Ignore names goroutines of the harness itself, which outlive a check.
	Ignore []goleak.Option
}

// Place is one place where objects are left, and the config that reaches it.
// Names start with a letter and fit the config's pattern.
type Place struct {
	Config  any // as Spec.Config returns it, filled in
	Secrets []string
	// Put leaves a complete object, or replaces it.
	Put func(name, content string, modified time.Time)
	// Begin leaves an object that is not complete yet; Finish completes it.
	Begin  func(name, content string, modified time.Time)
	Finish func(name string)
	// Remove takes an object away behind the connector's back.
	Remove func(name string)
	// Has reports whether the object is still there; nil when the connector
	// cannot acknowledge.
	Has func(name string) bool
	// Holds reports whether the place can hold an object of that name; nil when it
	// holds any.
	Holds func(name string) bool
	// Deleting is Config with objects deleted once they are durable.
	Deleting any
	// Held says that an object is read as it was offered, whatever becomes of it
	// meanwhile: the connector holds what a server answered.
	Held bool
}

// check is one promise of the contract.
type check struct {
	name string
	run  func(*testing.T, *bench)
}

// Run runs every check of the suite.
func Run(t *testing.T, h Harness) {
	run(t, h, readiness)
	run(t, h, endurance)
}

// readiness are the checks that depend on how an object says that it is complete.
var readiness = []check{
	{"check answers and nothing is an empty sequence", emptyPlace},
	{"the same cursor gives the same bytes twice, oldest first", sameCursor},
	{"resumes after each delivery", resumes},
	{"a changed object is a new version", changed},
	{"an object on its way is not delivered", onItsWay},
	{"an object changed between offer and reading is refused", changedBeforeOpen},
	{"cancelling stops promptly", cancelling},
	{"hostile names stay names", hostileNames},
	{"nothing goes before it is acknowledged, and acknowledging is idempotent", acknowledges},
	{"an object newer than its acknowledgement stays", newerStays},
	{"what a crash left unacknowledged is found again", recovers},
	{"closing twice is closing", closesTwice},
}

var endurance = []check{
	{"resumes from every cursor there could be", everyCursor},
	{"a cursor of another source hides nothing", otherCursor},
	{"an abnormally large cursor changes nothing", hugeCursor},
	{"stopping in the middle loses nothing", stopsInTheMiddle},
	{"a delivery can be opened again", opensTwice},
	{"what is delivered is what is there, each once", reconciles},
	{"the digest is that of the bytes", saysWhatItRead},
	{"what was refused waits until it changes", refusedStays},
	{"an object that comes late is not missed", comesLate},
	{"a change back is a change", changesBack},
	{"hostile content stays content", hostileContent},
	{"memory does not grow with an object", staysSmall},
	{"what was never delivered is not acknowledged", refusesUnknown},
	{"errors have a code and a hint and no names", errorsAreTold},
	{"time that is over is not spent", overBeforeItBegins},
	{"a source that was closed can pull again", opensAgain},
	{"an empty config is told what it lacks", findingsAreTold},
}

func run(t *testing.T, h Harness, checks []check) {
	for _, check := range checks {
		t.Run(check.name, func(t *testing.T) {
			b := newBench(t, h)
			check.run(t, b)
			b.finish()
		})
	}
}

// bench is one check: a place, what the connector logged and said.
type bench struct {
	t       *testing.T
	h       Harness
	place   Place
	ctx     context.Context
	mu      sync.Mutex
	said    bytes.Buffer
	names   []string // of objects: never to be said
	sources []connectors.Source
	ignore  []goleak.Option
}

func newBench(t *testing.T, h Harness) *bench {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	b := &bench{t: t, h: h, ctx: ctx, place: h.New(t)}
	b.ignore = append([]goleak.Option{goleak.IgnoreCurrent()}, h.Ignore...)
	return b
}

// Write collects the log.
func (b *bench) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.Write(p)
}

// finish closes every source and looks for what must never be left: goroutines,
// and secrets or names in anything said.
func (b *bench) finish() {
	b.t.Helper()
	for _, s := range b.sources {
		if err := s.Close(); err != nil {
			b.t.Errorf("Close: %v", err)
		}
	}
	goleak.VerifyNone(b.t, b.ignore...)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(b, verb+"\n", b.place.Config)
	}
	for _, secret := range b.place.Secrets {
		if strings.Contains(b.said.String(), secret) || strings.Contains(b.said.String(), hex.EncodeToString([]byte(secret))) {
			b.t.Error("a secret is in the log, in an error or in the printed config")
		}
	}
	for _, name := range b.names {
		if strings.Contains(b.said.String(), name) {
			b.t.Errorf("the name %q is in the log or in an error", name)
		}
	}
}

// open makes a source as a new process would.
func (b *bench) open(config any) connectors.Source {
	b.t.Helper()
	if found := b.h.Spec.Validate(config); len(found) > 0 {
		b.t.Fatalf("the config of the harness has findings: %v", found)
	}
	s, err := b.h.Spec.Open(config, Runtime(b, b.t.TempDir()))
	b.must(err)
	b.sources = append(b.sources, s)
	return s
}

// Runtime is a runtime for tests, which logs everything to log.
func Runtime(log io.Writer, dir string) connectors.Runtime {
	return connectors.Runtime{
		Digest: func(name string) string {
			mac := hmac.New(sha256.New, []byte("connectortest"))
			mac.Write([]byte(name))
			return hex.EncodeToString(mac.Sum(nil))
		},
		Now: time.Now,
		Sleep: func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
				return nil
			}
		},
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Dir: dir,
	}
}

// say keeps an error for the search at the end.
func (b *bench) say(err error) error {
	if err != nil {
		fmt.Fprintf(b, "%v %+v %#v\n", err, err, err)
	}
	return err
}

func (b *bench) must(err error) {
	b.t.Helper()
	if b.say(err) != nil {
		b.t.Fatal(err)
	}
}

// at is a time in the past, apart enough for every file system and protocol.
func at(n int) time.Time {
	return time.Now().Add(-24 * time.Hour).Truncate(time.Second).Add(time.Duration(n) * time.Minute)
}

func (b *bench) put(name, content string, modified time.Time) {
	b.names = append(b.names, name)
	b.place.Put(name, content, modified)
}

// got is one delivery with its bytes.
type got struct {
	connectors.Delivery
	content string
}

// pull reads everything new after the cursor.
func (b *bench) pull(s connectors.Source, after connectors.Cursor) (all []got) {
	b.t.Helper()
	for d, err := range s.Pull(b.ctx, after) {
		b.must(err)
		content, err := b.read(b.ctx, d)
		b.must(err)
		if d.Size >= 0 && d.Size != int64(len(content)) {
			b.t.Errorf("delivery of %d bytes says %d", len(content), d.Size)
		}
		all = append(all, got{d, content})
	}
	return all
}

func (b *bench) read(ctx context.Context, d connectors.Delivery) (string, error) {
	r, err := d.Open(ctx)
	if err != nil {
		return "", b.say(err)
	}
	content, err := io.ReadAll(r)
	b.must(r.Close())
	return string(content), b.say(err)
}

// after is the cursor once the deliveries are durable.
func after(c connectors.Cursor, durable ...got) connectors.Cursor {
	known := map[string]string{}
	for item, version := range c.Known {
		known[item] = version
	}
	for _, d := range durable {
		known[d.Item] = d.Version
		if d.Whole != nil && d.Whole.Last {
			known[d.Whole.Item] = d.Whole.Version
		}
		c.State = d.State
	}
	c.Known = known
	return c
}

func contents(all []got) (texts []string) {
	for _, d := range all {
		texts = append(texts, d.content)
	}
	return texts
}
