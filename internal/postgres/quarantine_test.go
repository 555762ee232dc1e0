package postgres

import (
	"reflect"
	"slices"
	"testing"

	"longitude/internal/status"
	"longitude/study"
)

// refusedRow is a rejection of the row that word stands for.
func refusedRow(word string) study.SealedRejection {
	return study.SealedRejection{Rejection: study.Rejection{Ordinal: 4, Line: 6, Site: "site-a", Form: "acuity", Field: "letters", Rule: "range", Records: 2},
		Item: batchOf("", word).Object.Digest, Box: []byte("sealed"), KeyVersion: 1}
}

func states(t *testing.T, s *Store) map[int64]string {
	t.Helper()
	items, err := s.Quarantine(t.Context(), status.QuarantineFilter{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[int64]string{}
	for _, q := range items {
		out[q.ID] = q.State
		of, err := s.Quarantine(t.Context(), status.QuarantineFilter{State: q.State})
		if err != nil || !slices.ContainsFunc(of, func(o status.QuarantineItem) bool { return reflect.DeepEqual(o, q) }) {
			t.Errorf("row %d is not among the %s ones: %v", q.ID, q.State, err)
		}
	}
	return out
}

// landedIn are the places of the objects in order of landing.
func landedIn(objects []study.LandedObject) (out []int64) {
	for _, o := range objects {
		out = append(out, o.Batch)
	}
	return out
}

// The states of quarantined rows: a row waits while it is found in an object as
// read last, and no object of that name landed after it.
func TestStatesOfTheQuarantine(t *testing.T) {
	const waiting, replayed, waived = status.QuarantineOpen, status.QuarantineReplayed, status.QuarantineWaived
	s := open(t, amd())
	none := &study.Changes{}
	expect := func(when string, want map[int64]string, quarantined ...int64) {
		t.Helper()
		if got := states(t, s); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
		if objects, err := s.Objects(t.Context(), "a", true); err != nil || !slices.Equal(landedIn(objects), quarantined) {
			t.Errorf("%s: objects %v, want %v, %v", when, landedIn(objects), quarantined, err)
		}
	}
	jan := read(t, s, "a", "jan", "1", 0, none, refusedRow("p"), refusedRow("q"))
	nameless := read(t, s, "a", "", "3", 0, none, refusedRow("r"))
	read(t, s, "a", "", "4", 0, none)
	feb := read(t, s, "a", "feb", "2", 0, none, refusedRow("q"))
	expect("delivered", map[int64]string{1: waiting, 2: waiting, 3: waiting}, jan, nameless, feb)

	read(t, s, "a", "jan", "1", jan, none, refusedRow("p")) // the mapping of q was mended
	expect("read again", map[int64]string{1: waiting, 2: waiting, 3: waiting}, jan, nameless, feb)

	read(t, s, "a", "feb", "5", 0, none)
	expect("the object with the other q was corrected", map[int64]string{1: waiting, 2: replayed, 3: waiting}, jan, nameless)

	read(t, s, "a", "feb", "2", feb, none, refusedRow("q"))
	expect("what was corrected is read again", map[int64]string{1: waiting, 2: replayed, 3: waiting}, jan, nameless)

	waive := decision(study.Waive)
	waive.Quarantine = 1
	decide(t, s, waive)
	expect("waived", map[int64]string{1: waived, 2: replayed, 3: waiting}, nameless)

	for ids, want := range map[[2]int64][]int64{{3, 3}: {nameless}, {1, 2}: nil, {2, 3}: {nameless}} {
		if objects, err := s.QuarantinedIn(t.Context(), ids[:]); err != nil || !slices.Equal(landedIn(objects["a"]), want) || len(objects) > 1 {
			t.Errorf("rows %v are in %+v, want %v, %v", ids, objects, want, err)
		}
	}
	if _, err := s.QuarantinedIn(t.Context(), []int64{3, 99}); !notFound(err) {
		t.Errorf("a row that is not there: %v", err)
	}
	summary, err := s.Summary(t.Context(), "amd-obs")
	if err != nil || !reflect.DeepEqual(summary.Quarantine, []status.RuleCount{{Rule: "range", Count: 1}}) {
		t.Errorf("summary %+v, %v", summary.Quarantine, err)
	}
	s.Configure([]ConfiguredSource{{Name: "a", Study: "amd-obs"}})
	if sources, err := s.Sources(t.Context()); err != nil || sources[0].QuarantineOpen != 1 {
		t.Errorf("sources %+v, %v", sources, err)
	}
}

// What a batch refused is told by digest, as often as it was seen.
func TestWhatABatchRefused(t *testing.T) {
	s := open(t, amd())
	twice := refusedRow("p")
	twice.Ordinal++
	first := read(t, s, "a", "x", "1", 0, &study.Changes{}, refusedRow("p"), twice, refusedRow("q"))
	read(t, s, "a", "x", "2", 0, &study.Changes{}, refusedRow("r"))
	in := begin(t, s, "amd-obs")
	want := map[study.Digest]int{twice.Item: 2, refusedRow("q").Item: 1}
	if got, err := in.Refused(t.Context(), first); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("refused %v, want %v, %v", got, want, err)
	}
}

// An object that was put aside is read again until what put it aside is waived,
// also when another of its name landed since.
func TestObjectsPutAsideWait(t *testing.T) {
	s := open(t, amd())
	in := begin(t, s, "amd-obs")
	if err := in.Quarantine(t.Context(), "a", []study.SealedRejection{refusedRow("drift")}); err != nil {
		t.Fatal(err)
	}
	b := batchOf("a", "1")
	b.Item, b.Aside = "x", true
	finish(t, in, b)
	read(t, s, "a", "x", "2", 0, &study.Changes{})
	if objects, err := s.Objects(t.Context(), "a", true); err != nil || !slices.Equal(landedIn(objects), []int64{in.Batch()}) {
		t.Errorf("put aside: %+v, %v", objects, err)
	}
	if objects, err := s.QuarantinedIn(t.Context(), []int64{1}); err != nil || len(objects["a"]) != 1 {
		t.Errorf("by row: %+v, %v", objects, err)
	}
	waive := decision(study.Waive)
	waive.Quarantine = 1
	decide(t, s, waive)
	if objects, err := s.Objects(t.Context(), "a", true); err != nil || len(objects) != 0 {
		t.Errorf("waived: %+v, %v", objects, err)
	}
}

func TestAQuarantinedRowByNumber(t *testing.T) {
	s := open(t, amd())
	first := read(t, s, "a", "x", "1", 0, &study.Changes{}, refusedRow("p"))
	second := read(t, s, "a", "x", "2", 0, &study.Changes{}, refusedRow("p"))
	waive := decision(study.Waive)
	waive.Quarantine = 1
	decide(t, s, waive)
	q, err := s.QuarantinedRow(t.Context(), 1)
	if err != nil || q.State != "waived" || q.Seen != 2 || q.Batch != second || len(q.Sightings) != 2 || len(q.Decisions) != 1 {
		t.Fatalf("%+v, %v", q, err)
	}
	for i, want := range []status.Sighting{
		{Batch: second, Object: batchOf("", "2").Object.Digest.String()[:12], Ordinal: 4, Line: 6, Records: 2, Current: true},
		{Batch: first, Object: batchOf("", "1").Object.Digest.String()[:12], Ordinal: 4, Line: 6, Records: 2}} {
		got := q.Sightings[i]
		if got.Seen.IsZero() {
			t.Error("not seen at any time")
		}
		got.Seen = want.Seen
		if got != want {
			t.Errorf("sighting %+v, want %+v", got, want)
		}
	}
	if d := q.Decisions[0]; d.Kind != "waive" || d.Quarantined != 1 || d.Reason != "illness" || d.By != "dm" {
		t.Errorf("decision %+v", d)
	}
	if _, err := s.QuarantinedRow(t.Context(), 2); !notFound(err) {
		t.Errorf("a row that is not there: %v", err)
	}
}
