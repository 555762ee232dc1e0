package study

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestToldOrder(t *testing.T) {
	landed := func(n int64) Landing { return Landing{Batch: n, At: time.Unix(100*n, 0)} }
	row := func(modified, ordinal int64, precedence int32) *Record {
		r := &Record{Ordinal: ordinal, Precedence: precedence}
		if modified > 0 {
			r.Modified = time.Unix(modified, 0)
		}
		return r
	}
	for name, c := range map[string]struct {
		first, second Told
		want          bool // the second counts
	}{
		"modified later":                       {ToldBy(row(5, 1, 0), landed(1)), ToldBy(row(6, 1, 0), landed(2)), true},
		"modified earlier":                     {ToldBy(row(6, 1, 0), landed(1)), ToldBy(row(5, 1, 0), landed(2)), false},
		"modified at once: landed later":       {ToldBy(row(5, 1, 0), landed(1)), ToldBy(row(5, 2, 0), landed(2)), true},
		"modified at once: landed earlier":     {ToldBy(row(5, 1, 0), landed(2)), ToldBy(row(5, 2, 0), landed(1)), false},
		"the same object: as it stands":        {ToldBy(row(0, 1, 0), landed(1)), ToldBy(row(0, 2, 0), landed(1)), true},
		"no time: landed later":                {ToldBy(row(0, 1, 0), landed(1)), ToldBy(row(0, 1, 0), landed(2)), true},
		"no time: landed earlier":              {ToldBy(row(0, 1, 0), landed(2)), ToldBy(row(0, 2, 0), landed(1)), false},
		"modified after the other landed":      {ToldBy(row(0, 1, 0), landed(1)), ToldBy(row(101, 1, 0), landed(2)), true},
		"modified before the other landed":     {ToldBy(row(0, 1, 0), landed(1)), ToldBy(row(99, 1, 0), landed(2)), false},
		"the row read again":                   {ToldBy(row(0, 7, 0), landed(1)), ToldBy(row(5, 7, 0), landed(1)), true},
		"nobody knows when it was told":        {Told{}, ToldBy(row(5, 1, 0), landed(1)), true},
		"higher precedence":                    {ToldBy(row(9, 1, 0), landed(2)), ToldBy(row(5, 1, 1), landed(1)), true},
		"lower precedence":                     {ToldBy(row(5, 1, 1), landed(1)), ToldBy(row(9, 1, 0), landed(2)), false},
		"lower precedence than of who knows":   {Told{}, ToldBy(row(9, 1, -1), landed(2)), false},
		"a row of lower precedence read again": {ToldBy(row(9, 1, 1), landed(2)), ToldBy(row(9, 1, 0), landed(2)), false},
	} {
		if got := c.second.Replaces(c.first); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// What counts in the end does not depend on the order in which things are heard.
func TestHearingInAnyOrder(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 3))
		type said struct {
			value string
			Told
		}
		all := make([]said, 1+rng.IntN(8))
		for i := range all {
			all[i] = said{string(rune('a' + rng.IntN(3))), Told{At: 1 + int64(i), Dated: true, Landed: rng.Int64N(9), Precedence: rng.Int32N(2)}}
		}
		var first Telling
		for i := range 5 {
			var now Telling
			for _, s := range all {
				now.Hear(s.value, s.Told)
			}
			if i == 0 {
				first = now
			}
			if now.Value != first.Value {
				t.Fatalf("seed %d: %+v, and in another order %+v", seed, first, now)
			}
			rng.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		}
	}
}

func TestToldPacks(t *testing.T) {
	told := []Told{{}, {At: -5, Dated: true, Landed: 3, Ordinal: 9}, {At: 1767225600000000, Landed: 7, Precedence: -2}, {Dated: true}}
	for _, want := range told {
		if got := ParseTold(want.String()); got != want {
			t.Errorf("%q reads as %+v, want %+v", want.String(), got, want)
		}
	}
	for _, want := range []VisitTold{{}, {Actual: told[1]}, {Declared: told[2]}, {told[1], told[2], told[3]}} {
		if got := ParseVisitTold(want.String()); got != want {
			t.Errorf("%q reads as %+v, want %+v", want.String(), got, want)
		}
	}
	want := Tellings{Site: Telling{"no@rth=%\x1f", told[1]}, Status: Telling{"enrolled", told[2]}, Since: Telling{"enrolled 2026-01-01", Told{}}}
	if got := UnpackTellings(want.Pack()); got != want {
		t.Errorf("%q reads as %+v", want.Pack(), got)
	}
}

func FuzzUnpackTellings(f *testing.F) {
	f.Add("site=north@m5/1/2\x1fsince=lost 2026-01-01@l7/1/2/-1")
	f.Add("site@=m")
	f.Fuzz(func(t *testing.T, packed string) {
		first := UnpackTellings(packed)
		if again := UnpackTellings(first.Pack()); again.Pack() != first.Pack() {
			t.Errorf("%q packs as %q, and then as %q", packed, first.Pack(), again.Pack())
		}
	})
}
