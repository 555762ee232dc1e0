package postgres

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"longitude/study"
)

// read records what an object of the item brought, or brings read again when
// origin is not 0, and answers the batch.
func read(t testing.TB, s *Store, source, item, object string, origin int64, c *study.Changes, rejected ...study.SealedRejection) int64 {
	t.Helper()
	in := begin(t, s, "amd-obs")
	if err := in.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if len(rejected) > 0 {
		if err := in.Quarantine(t.Context(), source, rejected); err != nil {
			t.Fatal(err)
		}
	}
	b := batchOf(source, object)
	b.Item, b.Origin = item, origin
	if origin != 0 {
		b.SealedName = nil
	}
	finish(t, in, b)
	return in.Batch()
}

// An object that is read again keeps its place in order of landing, and is not
// what its source delivered last.
func TestReadingAgainIsANewGeneration(t *testing.T) {
	s := open(t, amd())
	id := enrol(t, s, "A")[0]
	first := read(t, s, "a", "x", "1", 0, &study.Changes{Records: []study.RecordVersion{packed(id, 1, "R", 1, "old")}})
	second := read(t, s, "a", "x", "2", 0, &study.Changes{Records: []study.RecordVersion{packed(id, 1, "R", 2, "new")}})
	again := read(t, s, "a", "x", "1", first, &study.Changes{Records: []study.RecordVersion{packed(id, 1, "L", 1, "found")}})
	var landed []int64
	for _, v := range stored(t, s, id)[0].Versions {
		landed = append(landed, v.Landed)
	}
	if want := []int64{first, first, second}; !slices.Equal(landed, want) { // L, then R
		t.Errorf("landed %v, want %v", landed, want)
	}
	in := begin(t, s, "amd-obs")
	if same, err := in.Landed(t.Context(), "a", "x", batchOf("a", "2").Object.Digest); err != nil || !same {
		t.Errorf("the item is not at its second object: %v", err)
	}
	for item, want := range map[string][]int64{"": {first, second, again}, "x": {first, second, again}, "y": {}} {
		if got, err := in.BatchesOf(t.Context(), "a", item); err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
			t.Errorf("batches of item %q %v, want %v, %v", item, got, want, err)
		}
	}
	if got, err := in.Currents(t.Context(), []int64{id}); err != nil || len(got[0]) != 2 || got[0][0].Answers != "found" || got[0][1].Answers != "new" {
		t.Errorf("current %+v, %v", got, err)
	}
	if got := one[string](t, s, `SELECT concat_ws(' ', generation, origin_batch = $1, item, aside) FROM research.batch WHERE batch_id = $2`, first, again); got != "2 t x f" {
		t.Errorf("the batch is %s", got)
	}
}

// What is counted of an object is kept, removals and putting aside included.
func TestRemovalsAndPuttingAsideAreRecorded(t *testing.T) {
	s := open(t, amd())
	in := begin(t, s, "amd-obs")
	b := batchOf("a", "1")
	b.Aside, b.Counts.Removed = true, 7
	finish(t, in, b)
	if got := one[string](t, s, `SELECT concat_ws(' ', aside, records_removed, origin_batch IS NULL) FROM research.batch`); got != "t 7 t" {
		t.Errorf("the batch is %s", got)
	}
	id := run(t, s, "replay", "a", study.Counts{Removed: 3}, nil)
	if r, err := s.Run(t.Context(), id); err != nil || r.Counts.Removed != 3 || r.Kind != "replay" || r.Outcome != "changed" {
		t.Errorf("run %+v, %v", r, err)
	}
}

// Asserted is compared with the plain reading of its sentence, on random versions.
func TestAssertedFollowsItsSentence(t *testing.T) {
	s := open(t, amd())
	var codes []string
	for i := range 12 {
		codes = append(codes, fmt.Sprint("P", i))
	}
	ids := enrol(t, s, codes...)
	rng := rand.New(rand.NewPCG(1, 2))
	next := map[int64]map[study.RecordKey]int32{}
	var batches []int64
	for range 25 {
		var c study.Changes
		for range rng.IntN(8) {
			id := ids[rng.IntN(len(ids))]
			v := packed(id, rng.Int32N(3), []string{"R", "L"}[rng.IntN(2)], 1, "x")
			if next[id] == nil {
				next[id] = map[study.RecordKey]int32{}
			}
			next[id][v.Key]++
			v.Version, v.Late, v.Record.Removed = next[id][v.Key], rng.IntN(3) == 0, rng.IntN(3) == 0
			c.Records = append(c.Records, v)
		}
		batches = append(batches, write(t, s, "a", &c))
	}
	in := begin(t, s, "amd-obs")
	all, err := in.Histories(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		of := map[int64]bool{}
		for _, b := range batches {
			if rng.IntN(4) == 0 {
				of[b] = true
			}
		}
		want := []int64{}
		for i := range all {
			current := map[study.RecordKey]study.VersionRef{}
			for _, v := range all[i].Versions {
				if !v.Late {
					current[v.Key] = v
				}
			}
			for _, v := range current {
				if !v.Removed && of[v.BatchID] {
					want = append(want, ids[i])
					break
				}
			}
		}
		if got, err := in.Asserted(t.Context(), of); err != nil || !slices.Equal(got, want) {
			t.Fatalf("of batches %v: %v, want %v, %v", of, got, want, err)
		}
	}
}

// Settling is owed to whom objects brought something since everybody was judged
// last; judging some settles nothing.
func TestUnsettled(t *testing.T) {
	other := amd()
	other.Name = "other"
	s := open(t, amd(), other)
	ids := enrol(t, s, "A", "B", "C")
	rejudge := func(item string) {
		in := begin(t, s, "amd-obs")
		b := batchOf("", "")
		b.Kind, b.Object, b.Item = "rejudge", study.Object{}, item
		finish(t, in, b)
	}
	visit := study.Visit{No: 1, Key: "k", Type: -1, Verdict: study.Verdict{Status: study.Unscheduled, Due: study.NoDate, WindowStart: study.NoDate, WindowEnd: study.NoDate}}
	expect := func(when string, want ...int64) {
		t.Helper()
		if got, err := s.Unsettled(t.Context(), "amd-obs"); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v, %v", when, got, want, err)
		}
		in := begin(t, s, "amd-obs")
		defer in.Rollback(t.Context())
		if got, err := in.Unsettled(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s, inside a transaction: %v, want %v, %v", when, got, want, err)
		}
	}
	expect("before anything")
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{packed(ids[2], 1, "R", 1, "x")}})
	write(t, s, "a", &study.Changes{Visits: []study.VisitVersion{{Participant: ids[0], Visit: visit}}})
	expect("after two objects", ids[0], ids[2])
	rejudge("some")
	expect("after judging some", ids[0], ids[2])
	rejudge("")
	expect("after judging everybody")
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{packed(ids[1], 1, "R", 1, "x"), packed(ids[1], 1, "L", 1, "x")}})
	expect("after another object", ids[1])
	if got, err := s.Unsettled(t.Context(), "other"); err != nil || len(got) != 0 {
		t.Errorf("another study: %v, %v", got, err)
	}
}

func TestObjectsStandInOrderOfLanding(t *testing.T) {
	s := open(t, amd())
	first := read(t, s, "a", "x", "1", 0, &study.Changes{})
	second := read(t, s, "a", "y", "2", 0, &study.Changes{})
	read(t, s, "b", "x", "1", 0, &study.Changes{})
	again := read(t, s, "a", "x", "1", first, &study.Changes{})
	back := read(t, s, "a", "y", "2", 0, &study.Changes{}) // delivered again: a landing of its own
	want := []study.LandedObject{
		{Object: batchOf("", "1").Object, Batch: first, Latest: again, Item: "x"},
		{Object: batchOf("", "2").Object, Batch: second, Latest: second, Item: "y"},
		{Object: batchOf("", "2").Object, Batch: back, Latest: back, Item: "y"}}
	got, err := s.Objects(t.Context(), "a", false)
	for i := range got {
		if i > 0 && !got[i].At.After(got[i-1].At) {
			t.Errorf("object %d landed at %s, the one before at %s", i, got[i].At, got[i-1].At)
		}
		got[i].At = time.Time{}
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("objects %+v, want %+v, %v", got, want, err)
	}
	if got, err := s.Objects(t.Context(), "a", true); err != nil || len(got) != 0 {
		t.Errorf("quarantined objects %+v, %v", got, err)
	}
}
