package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"longitude/connectors"
	"longitude/study"
)

func (x *transaction) Known(_ context.Context, codes []string) (map[string]int64, error) {
	known := map[string]int64{}
	for _, code := range codes {
		if n, ok := x.numbers[code]; ok {
			known[code] = n
		}
	}
	return known, nil
}

func (x *transaction) Newcomers(_ context.Context, source string) (out []int64, err error) {
	last := int64(0)
	for n, b := range x.numbered {
		if b.Kind == "roster" && b.Source == source {
			last = max(last, n)
		}
	}
	for id, versions := range x.versions {
		first := slices.MinFunc(versions, func(a, b study.VersionRef) int { return int(a.BatchID - b.BatchID) })
		if first.BatchID > last && x.numbered[first.BatchID].Source == source {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (x *transaction) Standing(_ context.Context, source string, batches map[int64]bool, run int64) (live, removed int64, err error) {
	for _, versions := range x.versions {
		of, seen := versionsByKey(slices.Clone(versions)), map[study.RecordKey]bool{}
		for _, v := range versions {
			now := newest(of(v.Key))
			if !seen[v.Key] && !now.Removed && (batches[now.BatchID] || now.BatchID == x.batch) {
				live++
			}
			seen[v.Key] = true
		}
	}
	for _, b := range x.batches {
		if b.Source == source && b.RunID == run {
			removed += b.Counts.Removed
		}
	}
	return live, removed, nil
}

// stream is a Source of pages and lists, which it offers in the order given.
type stream []page

type page struct {
	holds connectors.Holds
	text  string
}

// pages are rows as pages of so many participants that hold everything of them.
func part(rows ...string) page { return page{connectors.Participants, header + strings.Join(rows, "")} }

func roster(ids ...string) page {
	text := strings.Join(ids, "\n")
	if text != "" {
		text += "\n"
	}
	return page{connectors.Roster, text}
}

func (stream) Check(context.Context) error { return nil }
func (stream) Close() error                { return nil }

func (s stream) Pull(context.Context, connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		for i, p := range s {
			if !yield(connectors.Delivery{Name: "page", Version: fmt.Sprint(i), State: []byte("{}"), Holds: p.holds, Size: -1,
				Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(p.text)), nil }}, nil) {
				return
			}
		}
	}
}

// pull syncs the pages, which must succeed.
func (b *bench) pull(pages ...page) Outcome {
	b.t.Helper()
	b.feed.Source = stream(pages)
	out, err := b.ingester.Sync(b.t.Context(), b.feed, "test")
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// refused syncs the pages, of which more is gone than may be.
func (b *bench) refused(when string, pages ...page) {
	b.t.Helper()
	b.feed.Source = stream(pages)
	_, err := b.ingester.Sync(b.t.Context(), b.feed, "test")
	var told *study.Error
	if !errors.As(err, &told) || told.Code != "snapshot.too_many_removed" {
		b.t.Errorf("%s: %v", when, err)
	}
}

func streamOf(t *testing.T, most float64) *bench {
	return newBench(t, testStudy(), snapshotOf(study.Incremental, most))
}

func of(rows []string, participant string) []string {
	return slices.DeleteFunc(slices.Clone(rows), func(row string) bool { return !strings.HasPrefix(row, participant+",") })
}

// What a page no longer has of its participants is removed, and nothing of others; it
// comes back with a page that has it.
func TestPagesOfWholeParticipants(t *testing.T) {
	b := streamOf(t, 1)
	rows := whole(4)
	b.pull(part(rows[:10]...), part(rows[10:]...))
	if n := b.store.m.live(); n != 20 {
		t.Fatalf("%d records", n)
	}
	one := of(rows, "1")
	if out := b.pull(part(without(one, "1,va,month_1")...)); out.Counts.Removed != 2 || b.store.m.live() != 18 {
		t.Errorf("a visit is gone: %+v, %d left", out.Counts, b.store.m.live())
	}
	if out := b.pull(part("1,other,,,,,,,\n")); out.Counts.Removed != 3 || b.store.m.live() != 15 {
		t.Errorf("only a row that feeds nothing is left: %+v, %d left", out.Counts, b.store.m.live())
	}
	if b.pull(part(one...)); b.store.m.live() != 20 {
		t.Errorf("it came back: %d", b.store.m.live())
	}
	if out := b.pull(part(without(one, "1,va,month_1")...)); out.Counts.Removed != 2 || b.store.m.live() != 18 {
		t.Errorf("and went again: %+v, %d left", out.Counts, b.store.m.live())
	}
}

// What is refused of a page is not taken as gone.
func TestRefusedOfPagesStays(t *testing.T) {
	b := streamOf(t, 1)
	one := whole(1)
	b.pull(part(one...))
	spoilt := slices.Clone(one)
	for i := range spoilt {
		spoilt[i] = strings.Replace(spoilt[i], "0,va,month_1,2026-01-31", "0,va,month_1,2026-02-31", 1)
	}
	if out := b.pull(part(spoilt...)); out.Counts.Removed != 0 || b.store.m.live() != 5 {
		t.Errorf("%+v, %d left", out.Counts, b.store.m.live())
	}
}

// More than the source allows of all that it has is not removed, in one page or in
// several of one run.
func TestPagesThatLackTooMuch(t *testing.T) {
	b := streamOf(t, 0.1)
	rows := whole(4)
	b.pull(part(rows...))
	b.refused("one page", part(without(of(rows, "1"), "1,va,month_1", "1,consent")...))
	lacks := func(p string) page { return part(without(of(rows, p), p+",consent")...) }
	b.refused("three pages", lacks("0"), lacks("1"), lacks("2"))
	if n := b.store.m.live(); n != 18 {
		t.Errorf("%d records left of 20: the first two pages were within the limit", n)
	}
}

// Who is in the list of a source no more is removed; a list adds nobody, and one that
// changes nothing leaves no trace.
func TestRoster(t *testing.T) {
	b := streamOf(t, 0.25)
	rows := whole(4)
	b.pull(roster(), part(rows...), roster("3", "nobody", "0", "1", "2"))
	if len(b.store.m.batches) != 1 || len(b.store.m.numbers) != 4 {
		t.Errorf("%d batches, %d participants", len(b.store.m.batches), len(b.store.m.numbers))
	}
	out := b.pull(roster("0", "1", "3"))
	if out.Counts.Removed != 5 || b.store.m.live() != 15 {
		t.Fatalf("%+v, %d left", out.Counts, b.store.m.live())
	}
	if out := b.pull(roster("0", "1", "3")); out.Counts.Removed != 0 || len(b.store.m.batches) != 2 {
		t.Errorf("again: %+v, %d batches", out.Counts, len(b.store.m.batches))
	}
	b.refused("nobody is left", roster())
	b.refused("one of three", roster("0", "1"))
	b.pull(part(of(rows, "2")...), roster("0", "1", "2", "3"))
	if n := b.store.m.live(); n != 20 {
		t.Errorf("who came back has %d records", n)
	}
	if b.pull(roster("0", "1", "3")); b.store.m.live() != 15 {
		t.Errorf("and went again: %d", b.store.m.live())
	}
}

// What another source says too stays.
func TestRosterOfOneOfTwoSources(t *testing.T) {
	one := streamOf(t, 1)
	two := one.beside(testSource(false))
	rows := whole(2)
	two.sync(file{"b.csv", header + strings.Join(of(rows, "1")[:2], "")})
	one.pull(part(rows...))
	if out := one.pull(roster("0")); out.Counts.Removed != 3 || one.store.m.live() != 7 {
		t.Errorf("%+v, %d left", out.Counts, one.store.m.live())
	}
}

// Who vanishes from the list while somebody new has the same records is held like the
// new one, until a person says what it is.
func TestRenamedInRoster(t *testing.T) {
	b := streamOf(t, 1)
	rows := whole(3)
	b.pull(part(rows...), roster("0", "1", "2"))
	var again []string
	for _, row := range of(rows, "2") {
		again = append(again, "77"+strings.TrimPrefix(row, "2"))
	}
	out := b.pull(part(again...), roster("0", "1", "77"))
	if out.Counts.Removed != 0 || b.store.m.live() != 20 || len(b.store.m.history(4).Holds) != 5 {
		t.Fatalf("renamed: %+v, %d left, held %+v", out.Counts, b.store.m.live(), b.store.m.history(4).Holds)
	}
	b.settle(june)
	b.pull(part(again...), roster("0", "1", "77"))
	for id, evidence := range map[int64]string{3: vanishedEvidence, 4: freshEvidence} {
		if d := b.store.m.deviations[id][renamed]; d.State != study.Open || d.Evidence != evidence {
			t.Errorf("%d: %+v", id, d)
		}
	}
	b.store.m.explained = []study.Explanation{{DeviationKey: renamed, Evidence: vanishedEvidence}, {DeviationKey: renamed, Evidence: freshEvidence}}
	b.rejudge(june)
	if out := b.pull(roster("0", "1", "77")); out.Counts.Removed != 5 || b.store.m.live() != 15 || len(b.store.m.history(4).Holds) != 0 {
		t.Errorf("explained: %+v, %d left", out.Counts, b.store.m.live())
	}
}
