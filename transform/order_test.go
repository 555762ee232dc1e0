package transform

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// Records come in order whatever the order they arrive in: that of a stable sort.
func TestSortRecords(t *testing.T) {
	random, d := rand.New(rand.NewPCG(3, 4)), desk{}
	for range 2000 {
		all := make([]filed, random.IntN(40))
		for i := range all {
			all[i] = filed{visit: random.Int32N(6), form: random.Int32N(3), row: int32(i), occurrence: []string{"1", "L", "R"}[random.IntN(3)]}
		}
		if random.IntN(2) == 0 { // a few files, each in order
			for from := 0; from < len(all); from += 10 {
				slices.SortFunc(all[from:min(from+10, len(all))], func(a, b filed) int { return cmp.Or(compareKeys(&a, &b), cmp.Compare(a.row, b.row)) })
			}
		}
		want := slices.Clone(all)
		slices.SortStableFunc(want, func(a, b filed) int { return compareKeys(&a, &b) })
		d.all = append(d.all[:0], all...)
		if got := d.sort(); !slices.Equal(got, want) {
			t.Fatalf("%v, not %v", got, want)
		}
	}
}
