package connectortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
)

func emptyPlace(t *testing.T, b *bench) {
	s := b.open(b.place.Config)
	b.must(s.Check(b.ctx))
	if all := b.pull(s, connectors.Cursor{}); len(all) != 0 {
		t.Errorf("%d deliveries from an empty place", len(all))
	}
}

// threeObjects puts three objects in another order than that of their times.
func (b *bench) threeObjects() []string {
	b.put("beta.csv", "second\n", at(2))
	b.put("alpha.csv", "third\n", at(3))
	b.put("gamma.csv", "", at(1))
	return []string{"", "second\n", "third\n"}
}

func sameCursor(t *testing.T, b *bench) {
	want := b.threeObjects()
	s := b.open(b.place.Config)
	first, second := b.pull(s, connectors.Cursor{}), b.pull(s, connectors.Cursor{})
	if !slices.Equal(contents(first), want) || !slices.Equal(contents(second), want) {
		t.Fatalf("pulled %q, then %q, want %q", contents(first), contents(second), want)
	}
	for i := range first {
		if first[i].Item != second[i].Item || first[i].Version != second[i].Version {
			t.Errorf("delivery %d is another item or version the second time", i)
		}
		if first[i].Item == first[i].Name {
			t.Error("the item is the name itself")
		}
	}
	if all := b.pull(b.open(b.place.Config), after(connectors.Cursor{}, first...)); len(all) != 0 {
		t.Errorf("%d deliveries although nothing is new", len(all))
	}
}

func resumes(t *testing.T, b *bench) {
	want := b.threeObjects()
	all := b.pull(b.open(b.place.Config), connectors.Cursor{})
	cursor := connectors.Cursor{}
	for i := range all {
		cursor = after(cursor, all[i])
		if rest := contents(b.pull(b.open(b.place.Config), cursor)); !slices.Equal(rest, want[i+1:]) {
			t.Errorf("after delivery %d: %q, want %q", i, rest, want[i+1:])
		}
	}
}

func changed(t *testing.T, b *bench) {
	b.threeObjects()
	s := b.open(b.place.Config)
	old := b.pull(s, connectors.Cursor{})
	cursor := after(connectors.Cursor{}, old...)
	b.put("beta.csv", "corrected\n", at(9))
	news := b.pull(s, cursor)
	if !slices.Equal(contents(news), []string{"corrected\n"}) {
		t.Fatalf("after a correction: %q", contents(news))
	}
	if news[0].Item != old[1].Item || news[0].Version == old[1].Version {
		t.Error("a correction is the same item in a new version")
	}
	if all := b.pull(s, after(cursor, news...)); len(all) != 0 {
		t.Errorf("the correction came again: %q", contents(all))
	}
}

func onItsWay(t *testing.T, b *bench) {
	if b.place.Begin == nil {
		t.Skip("this connector's objects are always complete")
	}
	s := b.open(b.place.Config)
	b.put("alpha.csv", "complete\n", at(1))
	b.names = append(b.names, "beta.csv")
	b.place.Begin("beta.csv", "on its way\n", time.Now())
	if all := b.pull(s, connectors.Cursor{}); !slices.Equal(contents(all), []string{"complete\n"}) {
		t.Fatalf("pulled %q", contents(all))
	}
	b.place.Finish("beta.csv")
	if all := b.pull(s, connectors.Cursor{}); !slices.Equal(contents(all), []string{"complete\n", "on its way\n"}) {
		t.Errorf("once complete: %q", contents(all))
	}
}

func changedBeforeOpen(t *testing.T, b *bench) {
	if b.place.Held {
		t.Skip("this connector holds what it offers")
	}
	b.put("alpha.csv", "offered\n", at(1))
	b.put("beta.csv", "offered too\n", at(2))
	n := 0
	for d, err := range b.open(b.place.Config).Pull(b.ctx, connectors.Cursor{}) {
		b.must(err)
		if n++; n == 1 {
			b.place.Put("alpha.csv", "something else\n", at(5))
		} else {
			b.place.Remove("beta.csv")
		}
		content, err := b.read(b.ctx, d)
		if err == nil {
			t.Errorf("%q was delivered as the version that was offered", content)
		}
	}
	if n != 2 {
		t.Errorf("%d deliveries", n)
	}
}

func cancelling(t *testing.T, b *bench) {
	b.threeObjects()
	b.put("large.csv", string(make([]byte, 4<<20)), at(9))
	s := b.open(b.place.Config)
	start := time.Now()
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	for d, err := range s.Pull(ctx, connectors.Cursor{}) {
		b.must(err)
		if d.Size < 4<<20 {
			continue
		}
		r, err := d.Open(ctx)
		b.must(err)
		if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
			t.Error(err)
		}
		cancel()
		if _, err := io.Copy(io.Discard, r); !errors.Is(b.say(err), context.Canceled) {
			t.Errorf("reading on after cancel: %v", err)
		}
		_ = r.Close()
	}
	for _, err := range s.Pull(ctx, connectors.Cursor{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("pulling after cancel: %v", err)
		}
	}
	if err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("checking after cancel: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("cancelling took %v", took)
	}
	if all := b.pull(s, connectors.Cursor{}); len(all) != 4 {
		t.Errorf("after cancel the source gives %d of 4 deliveries", len(all))
	}
}

// hostile are names that a sender could choose; the suite adds the suffix .csv.
var hostile = []string{
	"MRN 4711 Müller", "a'; DROP TABLE x; --", "a..%2f..%2fpasswd", "line\nbreak", "tab\tand\rreturn",
	"\u202etxt", "$(reboot)", "`id`", "-rf", "star*[x]?", "back\\slash", "C:\\x", "bad\xffutf8", "{{.}} %s%n", "trailing. ",
	"a..", "x\\..\\..\\y", "con", "nul.txt", "a:b", "file:%2f%2fetc", "169.254.169.254:80", "\xc0\xae\xc0\xae", "\u2025\u2025", "\ufeffbom",
	"u\u0308", "\u00fc", "CASE", "case", "zero\u200bwidth", " leading", "esc\x1b[31mred", "bell\a", "del\x7f", "quote\"s", "comma,semi;", "=cmd|calc!A0",
	"<script>alert(1)", "!bang #hash &and", "@file", "+plus", strings.Repeat("x", 200), "a.done.b", "a.sha256.b",
}

func hostileNames(t *testing.T, b *bench) {
	hostile := slices.DeleteFunc(slices.Clone(hostile), func(name string) bool { return b.place.Holds != nil && !b.place.Holds(name) })
	for i, name := range hostile {
		b.put(name+".csv", fmt.Sprintf("object %d\n", i), at(i))
	}
	s := b.open(b.place.Config)
	all := b.pull(s, connectors.Cursor{})
	if len(all) != len(hostile) {
		t.Fatalf("%d of %d objects delivered: %q", len(all), len(hostile), contents(all))
	}
	for i, d := range all {
		if want := fmt.Sprintf("object %d\n", i); d.content != want {
			t.Errorf("delivery %d holds %q", i, d.content)
		}
		b.place.Remove(hostile[i] + ".csv")
		if _, err := b.read(b.ctx, d.Delivery); err == nil && !b.place.Held {
			t.Error("an object that is gone was read")
		}
	}
}

func acknowledges(t *testing.T, b *bench) {
	s := b.deleting(t)
	b.threeObjects()
	all := b.pull(s, connectors.Cursor{})
	for _, d := range all {
		if name := b.nameOf(d); !b.place.Has(name) {
			t.Fatalf("%s is gone before it was acknowledged", name)
		}
	}
	for range 2 {
		b.must(s.(connectors.Acknowledger).Acknowledge(b.ctx, all[0].Delivery))
		for i, d := range all {
			if name := b.nameOf(d); b.place.Has(name) == (i == 0) {
				t.Errorf("%s after the first was acknowledged: there %v", name, b.place.Has(name))
			}
		}
	}
	keeping := b.open(b.place.Config)
	if k, ok := keeping.(connectors.Acknowledger); ok {
		b.must(k.Acknowledge(b.ctx, all[1].Delivery))
		if !b.place.Has(b.nameOf(all[1])) {
			t.Error("an object is gone although objects are kept")
		}
	}
}

// deleting opens the source that deletes what is acknowledged.
func (b *bench) deleting(t *testing.T) connectors.Source {
	if b.place.Has == nil {
		t.Skip("this connector cannot acknowledge")
	}
	return b.open(b.place.Deleting)
}

// nameOf finds the object of one of the three.
func (b *bench) nameOf(d got) string {
	return map[string]string{"": "gamma.csv", "second\n": "beta.csv", "third\n": "alpha.csv"}[d.content]
}

func newerStays(t *testing.T, b *bench) {
	s := b.deleting(t)
	b.put("beta.csv", "delivered\n", at(1))
	old := b.pull(s, connectors.Cursor{})
	b.put("beta.csv", "newer, not delivered\n", at(2))
	b.must(s.(connectors.Acknowledger).Acknowledge(b.ctx, old[0].Delivery))
	news := b.pull(s, after(connectors.Cursor{}, old...))
	if !slices.Equal(contents(news), []string{"newer, not delivered\n"}) {
		t.Errorf("the newer object was lost: %q", contents(news))
	}
}

func recovers(t *testing.T, b *bench) {
	want := b.threeObjects()
	all := b.pull(b.deleting(t), connectors.Cursor{})
	cursor := after(connectors.Cursor{}, all[:2]...) // and there the process died
	s := b.open(b.place.Deleting)
	n := 0
	for d, err := range s.(connectors.Recoverer).Unacknowledged(b.ctx, cursor) {
		b.must(err)
		if !cursor.Has(d.Item, d.Version) {
			t.Error("found again what is not durable")
		}
		b.must(s.(connectors.Acknowledger).Acknowledge(b.ctx, d))
		n++
	}
	if n != 2 {
		t.Errorf("%d of 2 found again", n)
	}
	if b.place.Has("gamma.csv") || b.place.Has("beta.csv") || !b.place.Has("alpha.csv") {
		t.Error("other objects than the durable ones were acknowledged")
	}
	if rest := contents(b.pull(s, cursor)); !slices.Equal(rest, want[2:]) {
		t.Errorf("left to pull: %q", rest)
	}
}

func closesTwice(_ *testing.T, b *bench) {
	s := b.open(b.place.Config)
	b.must(s.Check(b.ctx))
	b.must(s.Close())
	b.must(s.Close())
}
