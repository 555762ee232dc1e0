//go:build unix

package main

import (
	"io"
	"testing"

	"longitude/pipeline"
	"longitude/study"
)

// replay reads a source's objects again in this process, and settles its study.
func (x *trial) replay(source string, onlyQuarantined bool) (out pipeline.Outcome) {
	x.t.Helper()
	x.inside(func(h *house) {
		ctx := x.t.Context()
		sources, err := h.sources([]string{source})
		x.must(err)
		objects, err := h.store.Objects(ctx, source, onlyQuarantined)
		x.must(err)
		f, err := h.feed(sources[0])
		x.must(err)
		defer func() { _ = f.Source.Close() }()
		out, err = h.ingester().Replay(ctx, f, objects, "test")
		x.must(err)
		x.must(h.settle(ctx, f.Study.Name, "test"))
	})
	if rows, records := out.Counts.Unaccounted(); rows != 0 || records != 0 {
		x.t.Errorf("%d rows and %d records are unaccounted for", rows, records)
	}
	return out
}

// inside opens the house in this process, between commands.
func (x *trial) inside(do func(h *house)) {
	x.t.Helper()
	a := &app{out: io.Discard, err: x.t.Output()}
	x.must(a.prepare(a.root()))
	a.dir, a.quiet = x.dir, true
	h, err := a.open(x.t.Context(), needDatabase)
	x.must(err)
	defer h.close()
	do(h)
}

// A corrected mapping clears what it should of the quarantine, back-fills and
// corrects, removes what no longer comes out, and does nothing the second time.
func TestReplayAfterACorrection(t *testing.T) {
	x := newTrial(t, smallStudy)
	bad := acuityRow("P-1", "M1", "31/03/2026", "OD", "50")
	x.edit("source.yaml", "M1", "MX")
	x.drop("a.csv", smallHeader+person("P-1")+bad+acuityRow("P-1", "BL", "01/03/2026", "XX", "44"))
	first := x.sync(study.ExitRejections)
	x.edit("source.yaml", "MX", "M1")
	out := x.replay("clinic", false)
	if out.Objects != 1 || out.Counts.Removed != 1 || out.Counts.Accepted != 1 || out.Counts.Quarantined != first.Counts.Quarantined {
		t.Errorf("replayed: %+v", out)
	}
	if n := x.number(`SELECT count(*) FROM research.record_current WHERE op = 'u'`); n != 4 {
		t.Errorf("%d records are there, want 4", n)
	}
	versions, batches := x.versions(), x.number("SELECT count(*) FROM research.batch")
	if again := x.replay("clinic", false); again.Objects != 0 || again.Known != 1 || x.versions() != versions || x.number("SELECT count(*) FROM research.batch") != batches {
		t.Errorf("replayed twice: %+v", again)
	}
	if runs := x.number("SELECT count(*) FROM jobs.run WHERE kind = 'replay' AND state = 'succeeded'"); runs != 2 {
		t.Errorf("%d runs of kind replay", runs)
	}
}
