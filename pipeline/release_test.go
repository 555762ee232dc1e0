package pipeline

import (
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// Every participant is in one part, and the parts one after the other are the
// order of released ids, whatever the number of participants.
func TestSplit(t *testing.T) {
	rng := newRandom(t)
	for _, n := range []int{0, 1, bucketParticipants, bucketParticipants + 1, 3 * bucketParticipants, 9 * bucketParticipants} {
		people := make([]person, n)
		for i := range people {
			id := []byte("P")
			for range 20 {
				id = append(id, study.Crockford[rng.IntN(32)])
			}
			people[i] = person{int64(i), string(id)}
		}
		slices.SortFunc(people, func(a, b person) int { return strings.Compare(a.released, b.released) })
		buckets := split(people, bucketParticipants)
		if !slices.Equal(slices.Concat(buckets...), people) {
			t.Fatalf("%d participants: the parts are not the order of ids", n)
		}
		parts := len(buckets)
		if parts&(parts-1) != 0 || n > parts*bucketParticipants || parts > 1 && n <= parts/2*bucketParticipants {
			t.Errorf("%d participants in %d parts", n, parts)
		}
		for i, bucket := range buckets {
			if len(bucket) > 2*bucketParticipants {
				t.Errorf("part %d of %d holds %d participants", i, parts, len(bucket))
			}
		}
	}
}

// A part is a range of ids: it depends on the id alone, and grows with it.
func TestBucketOf(t *testing.T) {
	for bits := range 11 {
		last := 0
		for _, a := range study.Crockford {
			for _, b := range study.Crockford {
				n := bucketOf("P"+string(a)+string(b)+"000", bits)
				if n < last || n > last+1 || n >= 1<<bits {
					t.Fatalf("%d bits: %c%c is in part %d after %d", bits, a, b, n, last)
				}
				last = n
			}
		}
		if last != 1<<bits-1 {
			t.Errorf("%d bits: the last part is %d", bits, last)
		}
	}
}
