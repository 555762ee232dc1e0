package connectortest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/study"
)

func everyCursor(t *testing.T, b *bench) {
	want := b.threeObjects()
	s := b.open(b.place.Config)
	all := b.pull(s, connectors.Cursor{})
	for subset := range 1 << len(all) {
		cursor, rest := connectors.Cursor{}, []string(nil)
		for i := range all {
			if subset>>i&1 == 1 {
				cursor = after(cursor, all[i])
			} else {
				rest = append(rest, want[i])
			}
		}
		if got := contents(b.pull(s, cursor)); !slices.Equal(got, rest) {
			t.Errorf("cursor %03b: %q, want %q", subset, got, rest)
		}
	}
}

func otherCursor(t *testing.T, b *bench) {
	want := b.threeObjects()
	foreign := connectors.Cursor{State: []byte(`{"page":"of another source"}`), Known: map[string]string{"": "", "0a0b": "1", "alpha.csv": "1"},
		Refused: map[string]string{"beta.csv": "1"}}
	if got := contents(b.pull(b.open(b.place.Config), foreign)); !slices.Equal(got, want) {
		t.Errorf("with the cursor of another source: %q", got)
	}
}

func hugeCursor(t *testing.T, b *bench) {
	want := b.threeObjects()
	huge := connectors.Cursor{State: make([]byte, 4<<20), Known: map[string]string{}}
	for i := range 200_000 {
		huge.Known[fmt.Sprintf("%064x", i)] = "1"
	}
	start := time.Now()
	if got := contents(b.pull(b.open(b.place.Config), huge)); !slices.Equal(got, want) {
		t.Errorf("with a huge cursor: %q", got)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func stopsInTheMiddle(t *testing.T, b *bench) {
	want := b.threeObjects()
	s := b.open(b.place.Config)
	for d, err := range s.Pull(b.ctx, connectors.Cursor{}) {
		b.must(err)
		r, err := d.Open(b.ctx)
		b.must(err)
		b.must(r.Close())
		break // neither read nor durable
	}
	if got := contents(b.pull(s, connectors.Cursor{})); !slices.Equal(got, want) {
		t.Errorf("what was not read came as %q", got)
	}
}

func opensTwice(t *testing.T, b *bench) {
	b.put("alpha.csv", strings.Repeat("the same bytes\n", 5000), at(1))
	for d, err := range b.open(b.place.Config).Pull(b.ctx, connectors.Cursor{}) {
		b.must(err)
		r, err := d.Open(b.ctx)
		b.must(err)
		_, err = io.CopyN(io.Discard, r, 10)
		b.must(err)
		b.must(r.Close())
		for range 2 {
			content, err := b.read(b.ctx, d)
			b.must(err)
			if content != strings.Repeat("the same bytes\n", 5000) {
				t.Errorf("%d bytes when opened again", len(content))
			}
		}
	}
}

func reconciles(t *testing.T, b *bench) {
	const n = 60
	want := map[string]bool{}
	for i := range n {
		content := fmt.Sprintf("object %d\n", i)
		want[content] = true
		b.put(fmt.Sprintf("object-%d.csv", i), content, at(i/7)) // many of one time
	}
	items := map[string]bool{}
	all := b.pull(b.open(b.place.Config), connectors.Cursor{})
	for i, d := range all {
		delete(want, d.content)
		items[d.Item] = true
		if i > 0 && d.Modified.Before(all[i-1].Modified) {
			t.Error("not oldest first")
		}
	}
	if len(all) != n || len(items) != n || len(want) != 0 {
		t.Errorf("%d deliveries of %d items of %d objects; missing %d", len(all), len(items), n, len(want))
	}
	if again := b.pull(b.open(b.place.Config), connectors.Cursor{}); !slices.Equal(contents(again), contents(all)) {
		t.Error("objects of one time come in another order the second time")
	}
}

func saysWhatItRead(t *testing.T, b *bench) {
	const content = "what the digest is of\n"
	b.put("alpha.csv", content, at(1))
	for d, err := range b.open(b.place.Config).Pull(b.ctx, connectors.Cursor{}) {
		b.must(err)
		if d.File == nil {
			t.Skip("this connector's objects are in no files")
		}
		if _, sum := d.File(); sum != "" {
			t.Error("a digest before anything was read")
		}
		_, err := b.read(b.ctx, d)
		b.must(err)
		want := sha256.Sum256([]byte(content))
		if size, sum := d.File(); size != int64(len(content)) || sum != hex.EncodeToString(want[:]) {
			t.Errorf("a file of %d bytes, digest %s", size, sum)
		}
	}
}

func refusedStays(t *testing.T, b *bench) {
	b.threeObjects()
	s := b.open(b.place.Config)
	all := b.pull(s, connectors.Cursor{})
	cursor := after(connectors.Cursor{}, all[0])
	cursor.Refused = map[string]string{all[1].Item: all[1].Version}
	if got := contents(b.pull(s, cursor)); !slices.Equal(got, []string{"third\n"}) {
		t.Errorf("beside what was refused: %q", got)
	}
	if b.place.Has != nil {
		d := b.open(b.place.Deleting)
		for left, err := range d.(connectors.Recoverer).Unacknowledged(b.ctx, cursor) {
			b.must(err)
			if left.Item == all[1].Item {
				t.Error("what was refused is taken for durable")
			}
		}
	}
	b.put("beta.csv", "corrected\n", at(9))
	if got := contents(b.pull(s, cursor)); !slices.Equal(got, []string{"third\n", "corrected\n"}) {
		t.Errorf("once it was corrected: %q", got)
	}
}

func comesLate(t *testing.T, b *bench) {
	b.put("beta.csv", "second\n", at(5))
	s := b.open(b.place.Config)
	cursor := after(connectors.Cursor{}, b.pull(s, connectors.Cursor{})...)
	b.put("alpha.csv", "older, and later\n", at(1))
	if got := contents(b.pull(s, cursor)); !slices.Equal(got, []string{"older, and later\n"}) {
		t.Errorf("an object with an older time: %q", got)
	}
}

func changesBack(t *testing.T, b *bench) {
	s := b.open(b.place.Config)
	cursor := connectors.Cursor{}
	for i, content := range []string{"one\n", "two\n", "one\n"} {
		b.put("alpha.csv", content, at(i))
		all := b.pull(s, cursor)
		if !slices.Equal(contents(all), []string{content}) {
			t.Fatalf("version %d came as %q", i, contents(all))
		}
		cursor = after(cursor, all...)
	}
}

func hostileContent(t *testing.T, b *bench) {
	every := make([]byte, 0, 512)
	for i := range 256 {
		every = append(every, byte(i), '\n')
	}
	want := []string{string(every), "\x00", strings.Repeat("x", 1<<20), "\xff\xfe\xef\xbb\xbf\r\n\r", "PK\x05\x06", "\x1f\x8b\x08"}
	for i, content := range want {
		b.put(fmt.Sprintf("object-%d.csv", i), content, at(i))
	}
	if got := contents(b.pull(b.open(b.place.Config), connectors.Cursor{})); !slices.Equal(got, want) {
		t.Error("other bytes came than were sent")
	}
}

func staysSmall(t *testing.T, b *bench) {
	const size = 24 << 20
	b.put("alpha.csv", strings.Repeat("0123456789abcde\n", size/16), at(1))
	for d, err := range b.open(b.place.Config).Pull(b.ctx, connectors.Cursor{}) {
		b.must(err)
		r, err := d.Open(b.ctx)
		b.must(err)
		var before, during runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		n, err := io.CopyN(io.Discard, r, size-1)
		b.must(err)
		runtime.GC()
		runtime.ReadMemStats(&during)
		rest, err := io.Copy(io.Discard, r)
		b.must(err)
		b.must(r.Close())
		if n+rest != size {
			t.Errorf("%d bytes", n+rest)
		}
		if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
			t.Errorf("reading %d MiB holds %d MiB", size>>20, grown>>20)
		}
	}
}

func refusesUnknown(t *testing.T, b *bench) {
	s := b.deleting(t)
	b.put("alpha.csv", "never delivered\n", at(1))
	stranger := connectors.Delivery{Item: "0a0b", Name: "nowhere/beta.csv", Version: "1:1"}
	b.must(s.(connectors.Acknowledger).Acknowledge(b.ctx, stranger))
	stranger.Name = "nowhere/alpha.csv"
	b.must(s.(connectors.Acknowledger).Acknowledge(b.ctx, stranger))
	if !b.place.Has("alpha.csv") {
		t.Error("an object that was never delivered is gone")
	}
}

func errorsAreTold(t *testing.T, b *bench) {
	if b.place.Held {
		t.Skip("this connector holds what it offers")
	}
	b.put("MRN-4711.csv", "gone before it is read\n", at(1))
	for d, err := range b.open(b.place.Config).Pull(b.ctx, connectors.Cursor{}) {
		b.must(err)
		b.place.Remove("MRN-4711.csv")
		_, err := b.read(b.ctx, d)
		if err == nil {
			t.Fatal("an object that is gone was read")
		}
		if c, temporary := code(t, err); !temporary {
			t.Errorf("%s is final, although the source goes on without the object", c)
		}
	}
}

func overBeforeItBegins(t *testing.T, b *bench) {
	b.threeObjects()
	s := b.open(b.place.Config)
	over, cancel := context.WithDeadline(b.ctx, time.Now().Add(-time.Second))
	defer cancel()
	n := 0
	for _, err := range s.Pull(over, connectors.Cursor{}) {
		if n++; b.say(err) == nil || study.IsTemporary(err) {
			t.Errorf("pulling when time is over: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d answers when time is over", n)
	}
}

func opensAgain(t *testing.T, b *bench) {
	want := b.threeObjects()
	s := b.open(b.place.Config)
	b.pull(s, connectors.Cursor{})
	b.must(s.Close())
	if got := contents(b.pull(s, connectors.Cursor{})); !slices.Equal(got, want) {
		t.Errorf("after closing: %q", got)
	}
}

func findingsAreTold(t *testing.T, b *bench) {
	found := b.h.Spec.Validate(b.h.Spec.Config())
	if len(found) == 0 {
		t.Error("an empty config has no findings")
	}
	for _, f := range found {
		if f.Key == "" || f.Message == "" || f.Hint == "" {
			t.Errorf("finding %+v", f)
		}
	}
}
