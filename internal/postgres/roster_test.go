package postgres

import (
	"maps"
	"slices"
	"testing"

	"longitude/study"
)

// A list of participants that removes something is a batch of its source without an
// object; one that changes nothing only moves the source on.
func TestRosterIsABatch(t *testing.T) {
	s := open(t, amd())
	ids := enrol(t, s, "A", "B")
	var changes study.Changes
	for _, id := range ids {
		changes.Records = append(changes.Records, packed(id, 1, "R", 1, "x"), packed(id, 1, "L", 1, "y"))
	}
	first := read(t, s, "a", "", "1", 0, &changes)

	in := begin(t, s, "amd-obs")
	if known, err := in.Known(t.Context(), []string{"A", "nobody"}); err != nil || !maps.Equal(known, map[string]int64{"A": ids[0]}) {
		t.Errorf("known %v, %v", known, err)
	}
	gone := packed(ids[1], 1, "R", 2, "")
	gone.Record.Removed = true
	if err := in.Write(t.Context(), &study.Changes{Records: []study.RecordVersion{gone}}); err != nil {
		t.Fatal(err)
	}
	b := batchOf("a", "")
	b.Kind, b.Object, b.Item, b.SealedName, b.State, b.Counts = "roster", study.Object{}, "", nil, []byte("moved"), study.Counts{Removed: 1}
	if live, removed, err := in.Standing(t.Context(), "a", map[int64]bool{first: true}, b.RunID); err != nil || live != 3 || removed != 0 {
		t.Errorf("%d records, %d removed, %v", live, removed, err)
	}
	finish(t, in, b)

	in = begin(t, s, "amd-obs")
	if got, err := in.BatchesOf(t.Context(), "a", ""); err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), []int64{first, newestBatch(t, s)}) {
		t.Errorf("batches %v, %v", got, err)
	}
	if live, removed, err := in.Standing(t.Context(), "a", map[int64]bool{first: true}, b.RunID); err != nil || live != 3 || removed != 1 {
		t.Errorf("%d records, %d removed, %v", live, removed, err)
	}
	if same, err := in.Landed(t.Context(), "a", "", batchOf("a", "1").Object.Digest); err != nil || same {
		t.Errorf("what came before the list counts as what came last: %v", err)
	}
	if objects, err := s.Objects(t.Context(), "a", false); err != nil || len(objects) != 1 {
		t.Errorf("%d objects, %v", len(objects), err)
	}
	b.State, b.Counts = []byte("on"), study.Counts{}
	if err := in.Know(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state, _, err := s.Cursor(t.Context(), "a"); err != nil || string(state) != "on" {
		t.Errorf("the state is %q, %v", state, err)
	}
}

// newestBatch is the batch recorded last.
func newestBatch(t *testing.T, s *Store) int64 {
	return one[int64](t, s, `SELECT max(batch_id) FROM research.batch`)
}

// Newcomers are those whom the source brought since its list last changed anything.
func TestNewcomers(t *testing.T) {
	s := open(t, amd())
	enrol(t, s, "A")
	newcomers := func() int {
		in := begin(t, s, "amd-obs")
		defer in.Rollback(t.Context())
		found, err := in.Newcomers(t.Context(), "enrolment")
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	before := newcomers()
	in := begin(t, s, "amd-obs")
	b := batchOf("enrolment", "")
	b.Kind, b.Object, b.SealedName, b.Counts = "roster", study.Object{}, nil, study.Counts{Removed: 1}
	finish(t, in, b)
	none := newcomers()
	enrol(t, s, "B", "C")
	if after := newcomers(); before != 1 || none != 0 || after != 2 {
		t.Errorf("%d new, then %d, then %d", before, none, after)
	}
}
