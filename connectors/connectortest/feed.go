package connectortest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longitude/connectors"
	"longitude/study"
)

// FeedHarness is how the suite reaches a connector that asks a server page by page.
type FeedHarness struct {
	Spec   connectors.Spec
	Ignore []goleak.Option
	// New makes a server without records for one check; t ends it.
	New func(t *testing.T) Feed
}

// Feed is a server of records, each one value of one participant, and the config
// that reaches it with pages of a few records.
type Feed struct {
	Config  any // as Spec.Config returns it, filled in
	Secrets []string
	// Put adds a record, or changes its value, at the server's time now.
	Put func(id, value string)
	// Remove deletes a record; nil when the source's deletions cannot be told.
	Remove func(id string)
	// Read finds the records in a delivery that is no roster.
	Read func(content string) map[string]string
	// Fail makes the n-th request from now on fail once, in a way that may be over soon.
	Fail func(n int)
	// Refuse makes the server refuse the credential from now on; nil where there is none.
	Refuse func()
}

// RunFeed runs every check of the suite.
func RunFeed(t *testing.T, h FeedHarness) {
	for _, check := range []struct {
		name string
		run  func(*testing.T, *feedBench)
	}{
		{"check answers and nothing is no record", feedOfNothing},
		{"every record comes, each in one delivery", feedOfAll},
		{"the cursor is small, and does not grow", feedCursorStays},
		{"what has changed comes, and a change back", feedChanges},
		{"what is gone at the source goes", feedRemovals},
		{"a delivery can be opened again", feedOpensTwice},
		{"a run that dies at any delivery resumes without loss", feedResumes},
		{"whatever dies and changes in between, the end is the same", feedConverges},
		{"a request that fails at any place loses nothing", feedFaults},
		{"a cursor of another source hides nothing", feedOtherCursor},
		{"only what is named is fetched", feedTargets},
		{"a refused credential is told and not tried again", feedRefused},
		{"cancelling stops promptly", feedCancels},
		{"closing twice is closing, and pulling goes on", feedCloses},
		{"an empty config is told what it lacks", func(t *testing.T, b *feedBench) { findingsAreTold(t, b.bench) }},
	} {
		t.Run(check.name, func(t *testing.T) {
			b := newFeedBench(t, h)
			check.run(t, b)
			b.finish()
		})
	}
}

// feedBench is one check: a server, and what it should hold.
type feedBench struct {
	*bench
	feed Feed
	want map[string]string
}

func newFeedBench(t *testing.T, h FeedHarness) *feedBench {
	b := &feedBench{want: map[string]string{}}
	b.bench = newBench(t, Harness{Spec: h.Spec, Ignore: h.Ignore, New: func(t *testing.T) Place {
		b.feed = h.New(t)
		return Place{Config: b.feed.Config, Secrets: b.feed.Secrets}
	}})
	return b
}

// feedRecords is how many records make several pages.
const feedRecords = 11

func (b *feedBench) put(id, value string) {
	b.names = append(b.names, id)
	b.want[id] = value
	b.feed.Put(id, value)
}

// fill puts enough records for several pages. Their names are not to be said.
func (b *feedBench) fill() {
	for i := range feedRecords {
		b.put(name(i), fmt.Sprintf("value-%d-first", i))
	}
}

func name(i int) string { return fmt.Sprintf("MRN-47%02d", i) }

// taken is what a study holds of the deliveries that were made durable, as the
// pipeline takes them.
type taken struct {
	cursor connectors.Cursor
	values map[string]string
	landed map[string][sha256.Size]byte // by item
}

func newTaken() *taken {
	return &taken{values: map[string]string{}, landed: map[string][sha256.Size]byte{}}
}

// take makes one delivery durable: the bytes that its item had last bring nothing.
func (k *taken) take(d got, read func(string) map[string]string) {
	k.cursor = after(k.cursor, d)
	sum := sha256.Sum256([]byte(d.content))
	if k.landed[d.Item] == sum {
		return
	}
	k.landed[d.Item] = sum
	if d.Holds != connectors.Roster {
		maps.Copy(k.values, read(d.content))
		return
	}
	here := strings.Split(strings.TrimSuffix(d.content, "\n"), "\n")
	maps.DeleteFunc(k.values, func(id, _ string) bool { return !slices.Contains(here, id) })
}

// run pulls in a new process until most deliveries are durable, or an error ends it.
func (b *feedBench) run(k *taken, most int) (n int, err error) {
	s := b.open(b.feed.Config)
	defer func() { b.must(s.Close()) }()
	for d, err := range s.Pull(b.ctx, k.cursor) {
		if b.say(err) != nil {
			return n, err
		}
		if n == most {
			return n, nil
		}
		content, err := b.read(b.ctx, d)
		if err != nil {
			return n, err
		}
		k.take(got{d, content}, b.feed.Read)
		n++
	}
	return n, nil
}

const toTheEnd = 1 << 20

// settle pulls to the end.
func (b *feedBench) settle(k *taken) int {
	b.t.Helper()
	n, err := b.run(k, toTheEnd)
	b.must(err)
	return n
}

// equal compares what was taken with what the server holds.
func (b *feedBench) equal(k *taken, when string) {
	b.t.Helper()
	want := maps.Clone(b.want)
	if b.feed.Remove == nil { // what is gone stays
		for id, value := range k.values {
			if _, here := want[id]; !here {
				want[id] = value
			}
		}
	}
	if !maps.Equal(k.values, want) {
		b.t.Errorf("%s: %d records taken, the server holds %d, or other values", when, len(k.values), len(b.want))
	}
}

func feedOfNothing(_ *testing.T, b *feedBench) {
	b.must(b.open(b.feed.Config).Check(b.ctx))
	k := newTaken()
	b.settle(k)
	b.equal(k, "of nothing")
	b.fill()
	b.settle(k)
	b.equal(k, "once there is something")
}

func feedOfAll(t *testing.T, b *feedBench) {
	b.fill()
	s := b.open(b.feed.Config)
	seen, pages := map[string]int{}, 0
	for _, d := range b.pull(s, connectors.Cursor{}) {
		if strings.Contains(d.Item, "MRN") || d.Version == "" {
			t.Error("a delivery has no version, or an item that names somebody")
		}
		if d.Holds == connectors.Roster {
			continue
		}
		pages++
		for id := range b.feed.Read(d.content) {
			seen[id]++
		}
	}
	for id := range b.want {
		if seen[id] != 1 {
			t.Errorf("a record came %d times", seen[id])
		}
	}
	if len(seen) != len(b.want) || pages < 2 {
		t.Errorf("%d of %d records, in %d pages", len(seen), len(b.want), pages)
	}
}

func feedCursorStays(t *testing.T, b *feedBench) {
	b.fill()
	k := newTaken()
	b.settle(k)
	known := len(k.cursor.Known)
	for i := range 6 {
		for j := range feedRecords {
			b.put(name(j), fmt.Sprintf("value-%d-%d", i, j))
		}
		b.settle(k)
	}
	if now := len(k.cursor.Known); now > known+1 {
		t.Errorf("after the first pull %d items are known, after six more %d", known, now)
	}
	if !json.Valid(k.cursor.State) || len(k.cursor.State) > 4096 {
		t.Errorf("the state is %d bytes, or no JSON", len(k.cursor.State))
	}
}

func feedChanges(_ *testing.T, b *feedBench) {
	b.fill()
	k := newTaken()
	b.settle(k)
	for _, value := range []string{"value-second", "value-0-first", "value-second"} {
		b.put(name(0), value)
		b.put("MRN-new-"+value, value)
		b.settle(k)
		b.equal(k, "after a change")
	}
	b.put(name(feedRecords-1), "value-changed")
	b.settle(k)
	b.put(name(feedRecords-1), fmt.Sprintf("value-%d-first", feedRecords-1))
	b.settle(k)
	b.equal(k, "after a change back")
}

func feedRemovals(t *testing.T, b *feedBench) {
	if b.feed.Remove == nil {
		t.Skip("this source's deletions cannot be told")
	}
	b.fill()
	k := newTaken()
	b.settle(k)
	for i := range 3 {
		delete(b.want, name(i*5))
		b.feed.Remove(name(i * 5))
		b.settle(k)
		b.equal(k, "after a deletion")
	}
	b.put(name(0), "value-again")
	b.settle(k)
	b.equal(k, "after it came back")
}

func feedOpensTwice(t *testing.T, b *feedBench) {
	b.fill()
	for d, err := range b.open(b.feed.Config).Pull(b.ctx, connectors.Cursor{}) {
		b.must(err)
		first, err := b.read(b.ctx, d)
		b.must(err)
		second, err := b.read(b.ctx, d)
		b.must(err)
		if first != second {
			t.Error("a delivery holds other bytes the second time")
		}
	}
}

func feedResumes(t *testing.T, b *feedBench) {
	b.fill()
	for most := 1; ; most++ {
		k := newTaken()
		n, err := b.run(k, most)
		b.must(err)
		b.settle(k)
		b.equal(k, fmt.Sprintf("killed behind delivery %d", most))
		if n < most {
			if most < 3 {
				t.Errorf("only %d deliveries", n)
			}
			return
		}
	}
}

// feedConverges kills and changes at random, from fixed seeds.
func feedConverges(_ *testing.T, b *feedBench) {
	random := rand.New(rand.NewPCG(7, 1))
	k := newTaken()
	for i := range 20 {
		for range random.IntN(6) {
			id := name(random.IntN(2 * feedRecords))
			if _, here := b.want[id]; here && b.feed.Remove != nil && random.IntN(3) == 0 {
				delete(b.want, id)
				b.feed.Remove(id)
				continue
			}
			b.put(id, fmt.Sprintf("value-%d", random.IntN(3)))
		}
		if random.IntN(3) > 0 {
			_, err := b.run(k, random.IntN(4))
			b.must(err)
			continue
		}
		b.settle(k)
		b.equal(k, fmt.Sprintf("after round %d", i))
	}
	b.settle(k)
	b.equal(k, "in the end")
}

func feedFaults(t *testing.T, b *feedBench) {
	b.fill()
	for n := 1; n <= 8; n++ {
		k := newTaken()
		b.feed.Fail(n)
		if _, err := b.run(k, toTheEnd); err != nil {
			if c, temporary := code(t, err); !temporary {
				t.Errorf("%s is final, although the request only failed once", c)
			}
		}
		b.settle(k)
		b.settle(k)
		b.equal(k, fmt.Sprintf("request %d failed", n))
	}
}

func feedOtherCursor(_ *testing.T, b *feedBench) {
	b.fill()
	for _, state := range []string{`{"page":"of another source"}`, "\x00\xff", "{", string(make([]byte, 4<<20)), `{"v":99}`, `[]`, `{"v":1}`} {
		k := newTaken()
		k.cursor = connectors.Cursor{State: []byte(state), Known: map[string]string{"": "", "0a0b": "1"}}
		b.settle(k)
		b.equal(k, "with a foreign cursor")
	}
}

func feedTargets(t *testing.T, b *feedBench) {
	s, able := b.open(b.feed.Config).(connectors.Targeted)
	if !able {
		t.Skip("this connector does not fetch by name")
	}
	b.fill()
	k := newTaken()
	b.settle(k)
	before := string(k.cursor.State)
	b.put(name(3), "value-hinted")
	b.put(name(4), "value-not-hinted")
	seen := map[string]string{}
	for d, err := range s.PullOnly(b.ctx, k.cursor, []string{name(3), "MRN-nobody"}) {
		b.must(err)
		content, err := b.read(b.ctx, d)
		b.must(err)
		maps.Copy(seen, b.feed.Read(content))
		k.take(got{d, content}, b.feed.Read)
	}
	if !maps.Equal(seen, map[string]string{name(3): "value-hinted"}) {
		t.Errorf("%d records came of the one that was named", len(seen))
	}
	if string(k.cursor.State) != before {
		t.Error("a hint moved the cursor")
	}
	b.settle(k)
	b.equal(k, "after a hint")
}

func feedRefused(t *testing.T, b *feedBench) {
	if b.feed.Refuse == nil {
		t.Skip("this source shows no credential")
	}
	b.fill()
	b.feed.Refuse()
	s := b.open(b.feed.Config)
	fail := func(err error) {
		t.Helper()
		if b.say(err) == nil {
			t.Fatal("nothing was said of a refused credential")
		}
		if c, temporary := code(t, err); temporary {
			t.Errorf("%s is tried again", c)
		}
	}
	fail(s.Check(b.ctx))
	n := 0
	for d, err := range s.Pull(b.ctx, connectors.Cursor{}) {
		if n++; err == nil { // it asks when a delivery is opened
			_, err = b.read(b.ctx, d)
		}
		fail(err)
	}
	if n != 1 {
		t.Errorf("%d answers to a refused credential", n)
	}
}

func feedCancels(t *testing.T, b *feedBench) {
	b.fill()
	s := b.open(b.feed.Config)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	start, first := time.Now(), true
	for d, err := range s.Pull(ctx, connectors.Cursor{}) {
		if !first {
			if b.say(err) == nil || !errors.Is(err, context.Canceled) || study.IsTemporary(err) {
				t.Errorf("pulling after cancel: %v", err)
			}
			break
		}
		b.must(err)
		_, err = b.read(ctx, d)
		b.must(err)
		first = false
		cancel()
	}
	if err := s.Check(ctx); !errors.Is(b.say(err), context.Canceled) {
		t.Errorf("checking after cancel: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("cancelling took %v", took)
	}
}

func feedCloses(_ *testing.T, b *feedBench) {
	b.fill()
	s := b.open(b.feed.Config)
	b.must(s.Check(b.ctx))
	b.must(s.Close())
	b.must(s.Close())
	k := newTaken()
	for _, d := range b.pull(s, k.cursor) {
		k.take(d, b.feed.Read)
	}
	b.equal(k, "after closing")
}
