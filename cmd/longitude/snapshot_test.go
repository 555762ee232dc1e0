//go:build unix

package main

import (
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform"
)

// live is how many records are there.
func (x *trial) live() int64 {
	x.t.Helper()
	return x.number("SELECT count(*) FROM research.record_current WHERE op = 'u'")
}

// What a complete snapshot lacks is removed and comes back; more than is allowed
// stops the run; an identifier that changes is held for a person, and stays so
// however often the study is judged.
func TestSnapshots(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("source.yaml", "format: {type", "snapshot: complete\nmax_removed: 50%\nformat: {type")
	all := person("P-1") + person("P-2") + person("P-3")
	x.drop("1.csv", smallHeader+all)
	x.sync(study.ExitOK)
	x.drop("2.csv", smallHeader+person("P-1")+person("P-2"))
	if got := x.sync(study.ExitOK).Counts; got.Removed != 3 || x.live() != 6 {
		t.Fatalf("removed: %+v, %d live", got, x.live())
	}
	x.drop("3.csv", smallHeader+all)
	if got := x.sync(study.ExitOK).Counts; got.Accepted != 3 || x.live() != 9 {
		t.Errorf("redelivered: %+v, %d live", got, x.live())
	}
	batches := x.number("SELECT count(*) FROM research.batch")
	x.drop("4.csv", smallHeader+person("P-1"))
	x.refused(study.ExitBlocked, "snapshot.too_many_removed", []string{"6 of 9", "max_removed"}, "sync")
	if x.live() != 9 || x.number("SELECT count(*) FROM research.batch") != batches {
		t.Error("something of it was recorded")
	}
	x.drop("4.csv", smallHeader+strings.ReplaceAll(all, "P-2", "P-77"))
	for range 2 { // and when nothing new has come
		x.sync(study.ExitOK)
		held := x.number("SELECT count(*) FROM research.hold_current WHERE code = 'identity_conflict'")
		open := x.number("SELECT count(*) FROM research.deviation_current WHERE code = 'identity_conflict' AND detail = 'renamed' AND state = 'open'")
		if held != 3 || open != 2 || x.live() != 12 {
			t.Errorf("renamed: %d held, %d violations, %d live", held, open, x.live())
		}
	}
	x.inside(func(h *house) {
		s, err := h.study("")
		x.must(err)
		today, err := h.asOf(s, "")
		x.must(err)
		_, err = h.ingester().Recalculate(t.Context(), s, transform.NewRules(s), crossChecks(s), today, []int64{4}, "kate")
		x.must(err)
	})
	if n := x.number(`SELECT count(*) FROM audit.event WHERE actor = 'kate' AND convert_from(leaf, 'UTF8') LIKE '%"before"%"held":3%'`); n != 1 {
		t.Errorf("%d audit events tell how the participant stood", n)
	}
}

// A shape that its source does not let in stops it, with nothing recorded, until a
// person accepts it; then the object is read.
func TestFrozenShape(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("source.yaml", "format: {type", "drift: {new_column: freeze}\nformat: {type")
	x.drop("1.csv", smallHeader+person("P-1"))
	x.sync(study.ExitOK)
	wider := strings.ReplaceAll(smallHeader+person("P-2"), "\n", ",\n")
	x.drop("2.csv", strings.Replace(wider, "NOTES,", "NOTES,EXTRA_1", 1))
	for range 2 {
		x.refused(study.ExitBlocked, "drift.frozen", []string{"new_column EXTRA_1", "drift accept clinic"}, "sync")
	}
	if x.live() != 3 {
		t.Errorf("%d records are there", x.live())
	}
	x.inside(func(h *house) {
		_, err := h.store.Decide(t.Context(), study.Decision{Kind: study.AcceptShape, Study: "small-01", Source: "clinic", Reason: "other", Actor: "kate",
			At: h.now(), Statement: []byte("{}"), Signature: []byte("s"), SignedBy: "k"})
		x.must(err)
	})
	if got := x.sync(study.ExitOK).Counts; got.Accepted != 3 || x.live() != 6 {
		t.Errorf("accepted: %+v", got)
	}
}
