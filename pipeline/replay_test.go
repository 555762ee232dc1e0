package pipeline

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// wrongly maps the source so that some visits are taken for others and some eyes
// are no eyes.
func wrongly(src *study.Source) *study.Source {
	src.Map.VisitAliases = map[string]string{"extra": "month_1"}
	for i := range src.Map.Forms {
		if f := &src.Map.Forms[i]; f.Form == "va" {
			f.Fields[0].Pick.Values = map[string]string{"L": "left"}
		}
	}
	return src
}

// records are the lines of everything about records.
func (m *memory) records() []string {
	return slices.DeleteFunc(m.everything(), func(line string) bool { return !strings.Contains(line, " record ") })
}

// waiting is what is quarantined in the objects as they were read last.
func (m *memory) waiting() map[study.Digest]int {
	out := map[study.Digest]int{}
	for _, o := range m.landed() {
		for item, n := range m.sightings[o.Latest] {
			out[item] += n
		}
	}
	return out
}

// Reading everything again with the right mapping comes to what the right mapping
// would have come to at once: the same records under the same keys, the same in
// quarantine. Doing it twice adds nothing.
func TestReplayComesToTheSame(t *testing.T) {
	rng := newRandom(t)
	for n := range deals / 2 {
		dated := n%2 == 0
		right, wrong := newBench(t, testStudy(), testSource(dated)), newBench(t, testStudy(), wrongly(testSource(dated)))
		files := deliveries(rng, lives(rng))
		right.sync(files...)
		wrong.sync(files...)
		wrong.settle(june)
		wrong.feed.Config = testSource(dated)
		out := wrong.replay(wrong.store.m.landed()...)
		if out.Objects+out.Known < len(files) {
			t.Fatalf("%+v", out)
		}
		sameLines(t, "read again", wrong.store.m.records(), right.store.m.records())
		if !maps.Equal(wrong.store.m.waiting(), right.store.m.waiting()) {
			t.Fatalf("%d things wait, want %d", len(wrong.store.m.waiting()), len(right.store.m.waiting()))
		}
		before := wrong.store.m
		if out := wrong.replay(wrong.store.m.landed()...); out.Objects != 0 || out.Known != len(files) || wrong.store.m != before {
			t.Fatalf("read again twice: %+v", out)
		}
	}
}

// Nothing that landed later is overtaken, whichever objects are read again and in
// whatever order.
func TestReplayOvertakesNothing(t *testing.T) {
	rng := newRandom(t)
	for n := range deals / 2 {
		b := newBench(t, testStudy(), testSource(n%2 == 0))
		b.sync(deliveries(rng, lives(rng))...)
		b.settle(june)
		before := b.store.m
		objects := b.store.m.landed()
		rng.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
		if out := b.replay(objects[:1+rng.IntN(len(objects))]...); out.Objects != 0 || b.store.m != before {
			sameLines(t, "the same mapping", b.store.m.everything(), before.everything())
			t.Fatalf("the same mapping recorded something: %+v", out)
		}
	}
}

// A replayed older object becomes history where a newer one holds.
func TestReplayOfAnOlderObject(t *testing.T) {
	b := newBench(t, testStudy(), testSource(false))
	row := func(letters string) string { return header + "1,va,baseline,2026-01-01,,R," + letters + ",,\n" }
	b.sync(file{"1.csv", row("40")}, file{"2.csv", row("41")})
	now := b.store.m.records()
	b.feed.Config = testSource(false)
	b.feed.Config.Map.Forms[0].Fields[1].Pick.Missing = map[string]string{"40": "unknown"}
	if out := b.replay(b.store.m.landed()...); out.Counts.Superseded != 1 || out.Objects != 1 || out.Known != 1 {
		t.Errorf("%+v", out)
	}
	sameLines(t, "an older object", b.store.m.records(), now)
}

// Records whose rows are refused now are not removed for that; a row that is
// refused no more is accepted, and what it gave before under another key goes.
func TestReplayKeepsWhatIsRefused(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	text := header + strings.Replace(visitRows, ",L,40,", ",L,41,", 1) + "1,va,extra,2026-01-20,2026-01-20,L,42,,2026-01-20T00:00:00Z\n"
	b.sync(file{"1.csv", text})
	b.feed.Config = wrongly(testSource(true))
	b.feed.Config.Map.VisitAliases = nil
	out := b.replay(b.store.m.landed()...)
	if out.Counts.Quarantined != 2 || out.Counts.Removed != 0 || b.store.m.live() != 4 {
		t.Errorf("%+v, %d live", out.Counts, b.store.m.live())
	}
	b.feed.Config = testSource(true)
	b.feed.Config.Map.VisitAliases = map[string]string{"extra": "month_1"}
	if out := b.replay(b.store.m.landed()...); out.Counts.Removed != 1 || b.store.m.live() != 4 || len(b.store.m.waiting()) != 0 {
		t.Errorf("%+v, %d live, %d wait", out.Counts, b.store.m.live(), len(b.store.m.waiting()))
	}
}

// An object that was put aside is read under the mapping of today; while that does
// not fit, it stays as it is.
func TestReplayOfWhatWasPutAside(t *testing.T) {
	b := newBench(t, testStudy(), driftSource(study.DriftPolicy{NewColumn: study.QuarantineDrift}))
	unfit := driftSource(study.DriftPolicy{})
	unfit.Map.Participant = study.Pick{Column: "SUBJECT"}
	b.sync(file{"1.csv", header + someRow + "\n"})
	renamed := strings.Replace(header, "PID", "SUBJECT", 1) + "2" + someRow[1:] + "\n"
	if out := b.sync(file{"2.csv", renamed}); out.Aside != 1 {
		t.Fatalf("%+v", out)
	}
	aside, before := b.store.m.landed()[1:], b.store.m
	if out := b.replay(aside...); out.Aside != 1 || out.Known != 1 || b.store.m != before {
		t.Errorf("still unfit: %+v", out)
	}
	b.feed.Config = unfit
	if out := b.replay(aside...); out.Objects != 1 || out.Aside != 0 || b.store.m.live() != 2 || len(b.store.m.waiting()) != 0 {
		t.Errorf("fits: %+v, %d live", out, b.store.m.live())
	}
}

// A column was renamed at the source, and the mapping follows. What came under the
// old name lacks the new one: read again it stays as it is, and loses nothing.
func TestReplayAfterARenameBlanksNothing(t *testing.T) {
	b := newBench(t, testStudy(), driftSource(study.DriftPolicy{NewColumn: study.Evolve, MissingColumn: study.QuarantineDrift}))
	b.sync(file{"1.csv", header + someRow + "\n"})
	renamed := strings.Replace(header, "VALUE", "LETTERS", 1) + "2" + someRow[1:] + "\n"
	if out := b.sync(file{"2.csv", renamed}); out.Aside != 1 {
		t.Fatalf("%+v", out)
	}
	follows := driftSource(b.feed.Config.Drift)
	for i := range follows.Map.Forms {
		for k := range follows.Map.Forms[i].Fields {
			if p := &follows.Map.Forms[i].Fields[k].Pick; p.Column == "VALUE" {
				p.Column = "LETTERS"
			}
		}
	}
	b.feed.Config = follows
	delete(b.store.m.shapes, follows.Name) // accepted
	if out := b.replay(b.store.m.landed()[1:]...); out.Objects != 1 || b.store.m.live() != 2 {
		t.Fatalf("%+v, %d live", out, b.store.m.live())
	}
	before := b.store.m.records()
	if out := b.replay(b.store.m.landed()...); out.Aside != 1 || out.Objects != 0 {
		t.Errorf("%+v", out)
	}
	sameLines(t, "read again under the new name", b.store.m.records(), before)
}

// An acceptance is spent by what is read next, also if that is what was put aside:
// the file after it has to be of that shape.
func TestReplaySetsTheShapeThatWasAccepted(t *testing.T) {
	b := newBench(t, testStudy(), driftSource(study.DriftPolicy{NewColumn: study.QuarantineDrift}))
	b.sync(file{"1.csv", header + someRow + "\n"})
	wider := strings.TrimSuffix(header, "\n") + ",LENS\n2" + someRow[1:] + ",x\n"
	if out := b.sync(file{"2.csv", wider}); out.Aside != 1 {
		t.Fatalf("%+v", out)
	}
	delete(b.store.m.shapes, b.feed.Config.Name) // as a person's acceptance does
	if out := b.replay(b.store.m.landed()[1:]...); out.Aside != 0 || out.Objects != 1 {
		t.Fatalf("%+v", out)
	}
	if out := b.sync(file{"3.csv", strings.Replace(wider, "LENS", "IRIS", 1)}); out.Aside != 1 {
		t.Errorf("a file of another shape came in: %+v", out)
	}
	if out := b.sync(file{"4.csv", strings.Replace(wider, "\n2", "\n3", 1)}); out.Aside != 0 || out.Objects != 1 {
		t.Errorf("a file of the accepted shape did not: %+v", out)
	}
}

// What a lock refused is read again once it is lifted.
func TestReplayAfterUnlocking(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	b.feed.Config.MaxRejected = study.Limit{Count: 1} // a lock refuses what it covers, and the object is not to blame
	b.sync(file{"1.csv", header + visitRows})
	b.store.m.locks = []study.Lock{{ID: 1}}
	later := strings.ReplaceAll(strings.ReplaceAll(visitRows[strings.Index(visitRows, "1,va"):], ",40,", ",43,"), "2026-01-01T", "2026-01-09T")
	locked := b.store.m.records()
	out := b.sync(file{"2.csv", header + later})
	if out.Counts.Quarantined != 2 {
		t.Fatalf("%+v", out.Counts)
	}
	sameLines(t, "locked", b.store.m.records(), locked)
	b.store.m.locks = nil
	if out := b.replay(b.store.m.landed()[1:]...); out.Counts.Quarantined != 0 || len(b.store.m.waiting()) != 0 || slices.Equal(b.store.m.records(), locked) {
		t.Errorf("unlocked: %+v", out.Counts)
	}
}

// stopping is a vault whose n-th commit from now does not come through.
type stopping struct {
	*vault
	commits int
}

type stopped struct{ *transaction }

func (s *stopping) BeginIngest(ctx context.Context, name string) (Ingest, error) {
	tx, err := s.vault.BeginIngest(ctx, name)
	if s.commits--; s.commits == 0 {
		return stopped{tx.(*transaction)}, err
	}
	return tx, err
}

func (stopped) Commit(context.Context) error {
	return &study.Error{Code: "database.failed", Op: "lost"}
}

// Wherever reading again and settling are interrupted, running them again comes to
// what an undisturbed run comes to.
func TestInterruptedReplay(t *testing.T) {
	rng := newRandom(t)
	for n := range deals / 8 {
		files := deliveries(rng, lives(rng))
		var undisturbed []string
		for stop := range 3 {
			b := newBench(t, testStudy(), wrongly(testSource(n%2 == 0)))
			b.sync(files...)
			b.settle(june)
			b.feed.Config = testSource(n%2 == 0)
			if stop > 0 {
				b.ingester.Store = &stopping{b.store, rng.IntN(len(files)+1) + 1}
				_, replayed := b.ingester.Replay(t.Context(), b.feed, b.store.m.landed(), "test")
				_, settled := b.ingester.Settle(t.Context(), b.feed.Study, b.feed.Rules, nil, june, "test")
				if replayed != nil && settled != nil {
					t.Fatal("both were stopped")
				}
				b.ingester.Store = b.store
			}
			b.replay(b.store.m.landed()...)
			b.settle(june)
			if stop == 0 {
				undisturbed = b.store.m.records()
			}
			sameLines(t, "interrupted", b.store.m.records(), undisturbed)
			before := b.store.m
			if b.replay(b.store.m.landed()...); b.store.m != before {
				t.Fatal("read again twice, something was recorded")
			}
		}
	}
}
