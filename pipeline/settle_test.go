package pipeline

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// codes lists the open deviations of all participants.
func (m *memory) codes(states ...study.DeviationState) (out []string) {
	for _, of := range m.deviations {
		for _, d := range of {
			if slices.Contains(states, d.State) {
				out = append(out, d.Code)
			}
		}
	}
	slices.Sort(out)
	return out
}

const visitRows = "1,consent,baseline,2026-01-01,2026-01-01,,,,2026-01-01T00:00:00Z\n" +
	"1,va,baseline,2026-01-01,2026-01-01,R,40,,2026-01-01T00:00:00Z\n" +
	"1,va,baseline,2026-01-01,2026-01-01,L,40,,2026-01-01T00:00:00Z\n"

var june, _ = study.NewDate(2026, 6, 1)

// What one file lacks may be in the next, so absence is judged once, when all of
// them are there; and settling again records nothing.
func TestAbsenceIsJudgedWhenSettling(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	b.sync(file{"1.csv", header + visitRows}, file{"2.csv", header + strings.ReplaceAll(visitRows, "1,", "2,")})
	if got := b.store.m.codes(study.Open); len(got) != 0 {
		t.Errorf("before anything is settled: %q", got)
	}
	if out := b.settle(june); out.Run == 0 {
		t.Fatal("nothing was settled")
	}
	want := slices.Repeat([]string{study.VisitMissed}, 4)
	if got := b.store.m.codes(study.Open); !slices.Equal(got, want) {
		t.Errorf("settled: %q", got)
	}
	last := b.store.m.batches[len(b.store.m.batches)-1]
	if last.Kind != "rejudge" || last.Item != "" || last.Before.Open[study.VisitMissed] != 0 || last.After.Open[study.VisitMissed] != 4 || last.After.Participants != 2 {
		t.Errorf("recorded as %+v, before %+v, after %+v", last, last.Before, last.After)
	}
	batches := len(b.store.m.batches)
	if out := b.settle(june); out.Run != 0 || len(b.store.m.batches) != batches {
		t.Errorf("settled twice: %+v", out)
	}
}

// Whoever objects brought something of while a re-judging waited for its turn is
// in it.
func TestNobodyIsMissedBetweenTwoBatches(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	b.sync(file{"1.csv", header + visitRows})
	b.ingester.Store = &lateSync{vault: b.store, sync: func() {
		b.store.m.batch++ // the other process drew a number
		c := *b.ingester
		c.Store = b.store
		b.drop.files = []file{{"2.csv", header + strings.ReplaceAll(visitRows, "1,", "2,")}}
		if _, err := c.Sync(t.Context(), b.feed, "other"); err != nil {
			t.Error(err)
		}
	}}
	b.settle(june)
	if last := b.store.m.batches[len(b.store.m.batches)-1]; last.After.Participants != 2 {
		t.Errorf("%d participants were settled, want 2", last.After.Participants)
	}
	if left := b.store.m.unsettled(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// lateSync is a vault in which something is recorded just before a transaction begins.
type lateSync struct {
	*vault
	sync func()
}

func (l *lateSync) BeginIngest(ctx context.Context, s string) (Ingest, error) {
	if do := l.sync; do != nil {
		l.sync = nil
		do()
	}
	return l.vault.BeginIngest(ctx, s)
}

// Recalculating is one recorded step about the named participants and settles
// nobody else.
func TestRecalculate(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	b.sync(file{"1.csv", header + visitRows + strings.ReplaceAll(visitRows, "1,", "2,")})
	for range 2 {
		batches := len(b.store.m.batches)
		if _, err := b.ingester.Recalculate(t.Context(), b.feed.Study, b.feed.Rules, nil, june, []int64{2}, "kate"); err != nil {
			t.Fatal(err)
		}
		last := b.store.m.batches[len(b.store.m.batches)-1]
		if len(b.store.m.batches) != batches+1 || last.Actor != "kate" || last.After.Participants != 1 || last.Before == nil {
			t.Errorf("recorded %+v", last)
		}
	}
	if got := b.store.m.unsettled(); len(got) != 2 {
		t.Errorf("unsettled: %v", got)
	}
}

// Settling waits its turn; the daily judging of everybody does not.
func TestSettlingWaits(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	b.sync(file{"1.csv", header + visitRows})
	busy := &busy{vault: b.store, times: 3}
	b.ingester.Store = busy
	slept := 0
	b.ingester.Sleep = func(context.Context, time.Duration) error { slept++; return nil }
	if out, err := b.ingester.Rejudge(t.Context(), b.feed.Study, b.feed.Rules, nil, june, "test"); err != nil || !out.Busy {
		t.Errorf("%+v, %v", out, err)
	}
	if out := b.settle(june); out.Busy || slept != 2 || len(b.store.m.unsettled()) != 0 {
		t.Errorf("%+v after %d waits", out, slept)
	}
}

type busy struct {
	*vault
	times int
}

func (s *busy) LockSource(ctx context.Context, name string) (func(), bool, error) {
	if s.times--; s.times >= 0 {
		return nil, false, nil
	}
	return s.vault.LockSource(ctx, name)
}

// oneCheck fails for everybody who has records of the form va.
type oneCheck struct{ evidence string }

func (c oneCheck) Check(_ []study.Visit, records []study.CurrentRecord, add func(study.Deviation)) {
	for _, r := range records {
		if c.evidence != "" && r.Key.Form == 0 && r.Key.Occurrence == "R" {
			add(study.Deviation{DeviationKey: study.DeviationKey{Code: study.CheckFailed, VisitNo: r.Key.VisitNo, Detail: "va/R:same"},
				Kind: study.IsFinding, State: study.Open, Evidence: c.evidence})
		}
	}
}

// A finding across forms is raised when settling, outlives objects that say
// nothing of it, is explained by a reason for its evidence alone, and resolved
// when it holds no more.
func TestFindingsAcrossForms(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	finding := func() study.Deviation {
		for _, d := range b.store.m.deviations[1] {
			if d.Code == study.CheckFailed {
				return d
			}
		}
		return study.Deviation{}
	}
	again := func(evidence string) {
		t.Helper()
		var checks Checks
		if evidence != "none" {
			checks = oneCheck{evidence}
		}
		if _, err := b.ingester.Rejudge(t.Context(), b.feed.Study, b.feed.Rules, checks, june, "test"); err != nil {
			t.Fatal(err)
		}
	}
	b.sync(file{"1.csv", header + visitRows})
	if finding().Code != "" {
		t.Error("found before it was settled")
	}
	again("a")
	if d := finding(); d.State != study.Open || d.Kind != study.IsFinding {
		t.Errorf("%+v", d)
	}
	b.sync(file{"2.csv", header + strings.ReplaceAll(visitRows, ",40,", ",41,")})
	if d := finding(); d.State != study.Open {
		t.Errorf("after an object: %+v", d)
	}
	b.store.m.explained = []study.Explanation{{DeviationKey: finding().DeviationKey, Evidence: "a"}}
	again("a")
	if d := finding(); d.State != study.Explained {
		t.Errorf("explained: %+v", d)
	}
	again("b")
	if d := finding(); d.State != study.Open || d.Evidence != "b" {
		t.Errorf("with other evidence: %+v", d)
	}
	batches := len(b.store.m.batches)
	if again("b"); len(b.store.m.batches) != batches {
		t.Error("the same finding again is recorded")
	}
	again("")
	if d := finding(); d.State != study.Resolved {
		t.Errorf("holds: %+v", d)
	}
	again("b")
	again("none")
	if d := finding(); d.State != study.Resolved {
		t.Errorf("no checks any more: %+v", d)
	}
}
