package pipeline

import (
	"fmt"
	"slices"
	"testing"

	"longitude/deid"
	"longitude/study"
)

// beside adds a second source of the same participants to a bench: what it
// answers delivers from there, to the same storage.
func (b *bench) beside(src *study.Source) *bench {
	b.t.Helper()
	src.Name = "site-b"
	intake, err := deid.NewIntake(b.feed.Study, src, testKeys("k"), newRandomBytes(b.t))
	if err != nil {
		b.t.Fatal(err)
	}
	other := *b
	feed := *b.feed
	other.drop = &drop{}
	feed.Config, feed.Intake, feed.Source = src, intake, other.drop
	other.feed = &feed
	return &other
}

// landed are the objects of the bench's own source.
func (b *bench) landed() []study.LandedObject {
	return slices.DeleteFunc(b.store.m.landed(), func(o study.LandedObject) bool {
		return b.store.m.numbered[o.Batch].Source != b.feed.Config.Name
	})
}

// Two sources tell of the same records, one of them when it modified them. Reading
// either again under the same mapping changes nothing, in whatever order they came.
func TestTwoSourcesOfTheSameRecords(t *testing.T) {
	rng := newRandom(t)
	for range deals {
		one := newBench(t, testStudy(), testSource(true))
		two := one.beside(testSource(false))
		for n := range 2 + rng.IntN(5) {
			row := fmt.Sprintf("1,va,baseline,2026-01-01,,R,%d,,2026-01-%02dT00:00:00Z\n", 40+rng.IntN(3), 1+rng.IntN(9))
			if rng.IntN(2) == 0 {
				one.sync(file{fmt.Sprint("one", n), header + row})
			} else {
				two.sync(file{fmt.Sprint("two", n), header + row})
			}
		}
		before := one.store.m
		for _, b := range []*bench{one, two} {
			if objects := b.landed(); len(objects) > 0 {
				if out := b.replay(objects...); out.Objects != 0 || b.store.m != before {
					sameLines(t, "read again", b.store.m.everything(), before.everything())
					t.Fatalf("%+v", out)
				}
			}
		}
	}
}

// Two sources that do not say when they modified rows disagree, and export all of
// it time and again: of equals what landed last counts, else the one that takes
// precedence, whichever came first, and its records, visits and facts stay.
func TestPrecedenceOfSources(t *testing.T) {
	export := func(b *bench, n int, letters int, date string) study.Counts {
		return b.sync(file{fmt.Sprint(b.feed.Config.Name, n), header +
			fmt.Sprintf("1,va,baseline,%s,,R,%d,,\n1,consent,baseline,%s,,,,2026-01-01,\n", date, letters, date)}).Counts
	}
	for _, precedence := range []int32{0, 1} {
		one := newBench(t, testStudy(), testSource(false))
		two := one.beside(testSource(false))
		two.feed.Config.Precedence = precedence
		var seen []string
		for n := range 6 {
			b, letters, date := one, 40, "2026-01-01"
			if n%2 == 1 {
				b, letters, date = two, 50, "2026-01-02"
			}
			counts := export(b, n, letters, date)
			h := one.store.m.history(1)
			seen = append(seen, h.Visits[0].Actual.String())
			if n > 2 && precedence > 0 && counts.Accepted+counts.Superseded > 0 {
				t.Errorf("export %d adds %+v", n, counts)
			}
		}
		want := []string{"2026-01-01", "2026-01-02", "2026-01-01", "2026-01-02", "2026-01-01", "2026-01-02"}
		if precedence > 0 {
			want = []string{"2026-01-01", "2026-01-02", "2026-01-02", "2026-01-02", "2026-01-02", "2026-01-02"}
		}
		if !slices.Equal(seen, want) {
			t.Errorf("precedence %d: the visit was on %q, want %q", precedence, seen, want)
		}
		before := one.store.m
		two.feed.Config.Precedence = 0
		for _, b := range []*bench{one, two} { // read again, an object has the precedence that it landed with
			b.replay(b.landed()...)
			b.replay(b.landed()[0])
		}
		sameLines(t, "read again", one.store.m.everything(), before.everything())
	}
}
