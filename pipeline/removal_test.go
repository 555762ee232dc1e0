package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// snapshotOf is the source of lives as complete snapshots.
func snapshotOf(kind string, most float64) *study.Source {
	src := testSource(false)
	src.Snapshot = study.Snapshot{Kind: kind, MaxRemoved: most}
	return src
}

// live counts the records that are there.
func (m *memory) live() (n int) {
	for _, versions := range m.versions {
		of := versionsByKey(slices.Clone(versions))
		seen := map[study.RecordKey]bool{}
		for _, v := range versions {
			if !seen[v.Key] && !newest(of(v.Key)).Removed {
				n++
			}
			seen[v.Key] = true
		}
	}
	return n
}

// whole are the rows of n participants with five records each.
func whole(n int) (rows []string) {
	for p := range n {
		rows = append(rows, fmt.Sprintf("%d,consent,baseline,2026-01-01,2026-01-01,,,,\n", p))
		for i, eye := range []string{"R", "L"} {
			rows = append(rows, fmt.Sprintf("%d,va,baseline,2026-01-01,2026-01-01,%s,%d,,\n", p, eye, 40+i+p),
				fmt.Sprintf("%d,va,month_1,2026-01-31,2026-01-31,%s,%d,,\n", p, eye, 50+i+p))
		}
	}
	return rows
}

func snapshot(name string, rows []string) file { return file{name, header + strings.Join(rows, "")} }

// without leaves out the rows that begin with any of the words.
func without(rows []string, words ...string) []string {
	return slices.DeleteFunc(slices.Clone(rows), func(row string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(row, w) })
	})
}

// What is gone from a complete snapshot is removed, whether its participant is
// still there or not, and comes back with the next snapshot that has it.
func TestRemovalAndRedelivery(t *testing.T) {
	b := newBench(t, testStudy(), snapshotOf(study.Complete, 0.5))
	rows := whole(4)
	b.sync(snapshot("1.csv", rows))
	before := b.store.m.everything()
	out := b.sync(snapshot("2.csv", without(rows, "0,va,month_1", "3,")))
	if out.Counts.Removed != 2+5 || b.store.m.live() != 20-7 {
		t.Fatalf("removed: %+v, %d records live", out.Counts, b.store.m.live())
	}
	if c := out.Counts; c.Produced != 13 || c.Unchanged != 13 {
		t.Errorf("counts: %+v", c)
	}
	if root := b.store.m.batches[1]; root.Leaves != 7 {
		t.Errorf("%d leaves, want one per removal", root.Leaves)
	}
	if out := b.sync(snapshot("3.csv", without(rows, "0,va,month_1", "3,"))); out.Counts.Removed != 0 {
		t.Errorf("removed twice: %+v", out.Counts)
	}
	if out := b.sync(snapshot("4.csv", rows)); out.Counts.Accepted+out.Counts.Held != 7 || b.store.m.live() != 20 {
		t.Errorf("redelivered: %+v", out.Counts)
	}
	sameLines(t, "after removal and redelivery", b.store.m.everything(), before)
}

// A visit of which nothing is left has not happened.
func TestRemovalTakesVisitsBack(t *testing.T) {
	b := newBench(t, testStudy(), snapshotOf(study.Complete, 0.5))
	rows := whole(2)
	b.sync(snapshot("1.csv", rows))
	b.sync(snapshot("2.csv", without(rows, "0,va,month_1")))
	for _, v := range b.store.m.visits[1] {
		if v.Key == "month_1" && (v.Actual.Known() || v.Status == study.Completed) {
			t.Errorf("month_1 without a record: %+v", v)
		}
	}
}

func TestTooManyRemoved(t *testing.T) {
	b := newBench(t, testStudy(), snapshotOf(study.Complete, 0.05))
	rows := whole(20)
	b.sync(snapshot("1.csv", rows))
	if out := b.sync(snapshot("2.csv", without(rows, "3,"))); out.Counts.Removed != 5 { // 5 of 100: just allowed
		t.Fatalf("%+v", out.Counts)
	}
	before := b.store.m
	b.drop.files = []file{snapshot("3.csv", without(rows, "3,", "4,")), snapshot("4.csv", rows)}
	out, err := b.ingester.Sync(t.Context(), b.feed, "test")
	if codeOf(err) != "snapshot.too_many_removed" || !strings.Contains(err.Error(), "5 of 95") || out.Objects != 0 || b.store.m != before {
		t.Errorf("%+v, %v", out, err)
	}
}

// Where nothing may be removed, one record that is gone stops the run.
func TestNothingMayBeRemoved(t *testing.T) {
	b := newBench(t, testStudy(), snapshotOf(study.Complete, 0))
	rows := whole(2)
	b.sync(snapshot("1.csv", rows))
	b.drop.files = []file{snapshot("2.csv", rows[1:])}
	if _, err := b.ingester.Sync(t.Context(), b.feed, "test"); codeOf(err) != "snapshot.too_many_removed" {
		t.Error(err)
	}
}

// Absence from an object says something only of what objects like it alone held.
func TestScopeOfRemoval(t *testing.T) {
	rows := whole(2)
	for _, c := range []struct {
		kind, first, second string
		removed             int64
	}{
		{study.Incremental, "a.csv", "a.csv", 0},
		{study.Complete, "a.csv", "b.csv", 5},
		{study.CompleteByName, "a.csv", "a.csv", 5},
		{study.CompleteByName, "a.csv", "b.csv", 0},
	} {
		b := newBench(t, testStudy(), snapshotOf(c.kind, 1))
		b.sync(snapshot(c.first, rows))
		if out := b.sync(snapshot(c.second, without(rows, "1,"))); out.Counts.Removed != c.removed {
			t.Errorf("%s, %s then %s: %d removed, want %d", c.kind, c.first, c.second, out.Counts.Removed, c.removed)
		}
	}
	b := newBench(t, testStudy(), snapshotOf(study.Complete, 1))
	b.sync(snapshot("1.csv", rows))
	b.feed.Config.Name = "site-b" // which says otherwise of one record
	b.sync(snapshot("2.csv", append(without(rows, "1,va,baseline,2026-01-01,2026-01-01,R"), "1,va,baseline,2026-01-01,2026-01-01,R,99,,\n")))
	b.feed.Config.Name = "site-a"
	if out := b.sync(snapshot("3.csv", without(rows, "1,"))); out.Counts.Removed != 4 {
		t.Errorf("%d removed of a participant of whom another source holds one record of five", out.Counts.Removed)
	}
}

// What was refused of a snapshot may be what is absent from it.
func TestRefusedRowsRemoveNothing(t *testing.T) {
	b := newBench(t, testStudy(), snapshotOf(study.Complete, 1))
	rows := whole(3)
	b.sync(snapshot("1.csv", rows))
	bad := append(without(rows, "0,va,month_1,2026-01-31,2026-01-31,L", "1,consent"), "0,va,month_1,2026-01-31,2026-01-31,X,50,,\n")
	if out := b.sync(snapshot("2.csv", bad)); out.Counts.Removed != 1 || out.Counts.Quarantined != 1 {
		t.Errorf("a form with a refused record, and one without: %+v", out.Counts)
	}
	if out := b.sync(snapshot("3.csv", append(without(rows, "0,va,month_1", "1,consent"), "0,va\n"))); out.Counts.Removed != 0 || out.Counts.RowsQuarantined != 1 {
		t.Errorf("a broken row: %+v", out.Counts)
	}
}

// A participant that vanishes while a new one with the same records appears is
// neither removed nor accepted silently, until a person says what it is.
func TestRenames(t *testing.T) {
	b := newBench(t, testStudy(), snapshotOf(study.Complete, 1))
	rows := whole(3)
	renamedRows := slices.Clone(rows)
	for i := range renamedRows {
		if rest, ok := strings.CutPrefix(rows[i], "2,"); ok {
			renamedRows[i] = "77," + rest
		}
	}
	violations := func() (out []string) {
		for _, id := range []int64{3, 4} {
			if d, ok := b.store.m.deviations[id][renamed]; ok {
				out = append(out, fmt.Sprint(id, " ", d.State, " ", d.Evidence))
			}
		}
		return out
	}
	b.sync(snapshot("1.csv", rows))
	out := b.sync(snapshot("2.csv", renamedRows))
	if out.Counts.Removed != 0 || out.Counts.Held != 5 || b.store.m.live() != 20 {
		t.Fatalf("renamed: %+v", out.Counts)
	}
	want := []string{"3 open " + vanishedEvidence, "4 open " + freshEvidence}
	if got := violations(); !slices.Equal(got, want) {
		t.Fatalf("violations %q", got)
	}
	b.settle(june)
	if out := b.sync(snapshot("3.csv", renamedRows)); out.Counts.Removed != 0 || !slices.Equal(violations(), want) || len(b.store.m.history(4).Holds) != 5 {
		t.Errorf("the day after: %+v, %q, held %+v", out.Counts, violations(), b.store.m.history(4).Holds)
	}
	b.store.m.explained = []study.Explanation{{DeviationKey: renamed, Evidence: vanishedEvidence}, {DeviationKey: renamed, Evidence: freshEvidence}}
	b.rejudge(june)
	if got := b.store.m.history(4).Holds; len(got) != 0 {
		t.Errorf("explained, and still held: %+v", got)
	}
	if out := b.sync(snapshot("4.csv", renamedRows)); out.Counts.Removed != 5 || b.store.m.live() != 15 {
		t.Errorf("explained: %+v", out.Counts)
	}
}

// Who comes back under the old identifier was not renamed.
func TestRenamedAndBack(t *testing.T) {
	b := newBench(t, testStudy(), snapshotOf(study.Complete, 1))
	rows := whole(2)
	b.sync(snapshot("1.csv", rows))
	other := without(rows, "1,")
	for _, row := range rows[len(rows)/2:] {
		other = append(other, "9"+row)
	}
	b.sync(snapshot("2.csv", other))
	if d := b.store.m.deviations[2][renamed]; d.State != study.Open {
		t.Fatalf("%+v", d)
	}
	b.sync(snapshot("3.csv", rows))
	if d := b.store.m.deviations[2][renamed]; d.State != study.Resolved || b.store.m.live() != 10 {
		t.Errorf("back: %+v, %d live", d, b.store.m.live())
	}
}

// What is absent from the newest snapshot is removed when it is read again, if a
// lock or a refused row kept it before; and older ones do not bring it back.
func TestReplayOfTheNewestSnapshot(t *testing.T) {
	rows := whole(3)
	less := without(rows, "2,")
	broken := append([]string{strings.Replace(less[1], ",R,", ",RIGHT,", 1)}, without(less, less[1])...)
	for name, c := range map[string]struct {
		second []string
		kept   int
		free   func(*bench)
	}{
		"a lock": {less, 15, func(b *bench) { b.store.m.locks = nil }},
		"a refused row": {broken, 14, func(b *bench) {
			b.store.m.locks = nil
			b.feed.Config.Map.Forms[0].Fields[0].Pick.Values = map[string]string{"RIGHT": "R"}
		}},
	} {
		for _, kind := range []string{study.Complete, study.CompleteByName} {
			t.Run(name+" "+kind, func(t *testing.T) {
				b := newBench(t, testStudy(), snapshotOf(kind, 1))
				b.sync(snapshot("a.csv", rows))
				if name == "a lock" {
					b.store.m.locks = []study.Lock{{ID: 1}}
				}
				b.sync(snapshot("a.csv", c.second))
				if b.store.m.live() != c.kept {
					t.Fatalf("%d records are there, want %d", b.store.m.live(), c.kept)
				}
				c.free(b)
				if b.replay(b.store.m.landed()...); b.store.m.live() != 10 || len(b.store.m.waiting()) != 0 {
					t.Errorf("%d records are there, want 10", b.store.m.live())
				}
				before := b.store.m
				if out := b.replay(b.store.m.landed()...); b.store.m != before {
					t.Errorf("read again twice: %+v", out)
				}
				if out := b.sync(snapshot("a.csv", rows)); b.store.m.live() != 15 {
					t.Errorf("redelivered: %+v, %d live", out.Counts, b.store.m.live())
				}
			})
		}
	}
}

// Reading snapshots again under the same mapping changes no record, whatever
// they removed, refused or took for renamed, and whoever else tells of the same records.
func TestReplayOfSnapshotsChangesNoRecord(t *testing.T) {
	rng := newRandom(t)
	for n := range deals / 2 {
		kind := []string{study.Complete, study.CompleteByName}[n%2]
		b := newBench(t, testStudy(), snapshotOf(kind, 1))
		other := b.beside(testSource(false))
		rows := lives(rng)
		for i := range 3 {
			var some []string
			for _, row := range rows {
				if rng.IntN(4) > 0 {
					some = append(some, row)
				}
			}
			b.sync(snapshot(fmt.Sprint(rng.IntN(2)), some))
			if rng.IntN(2) == 0 {
				other.sync(snapshot(fmt.Sprint("other", i), some))
			}
		}
		before := b.store.m
		if c := b.replay(b.landed()...).Counts; c.Accepted+c.Superseded+c.Held+c.Removed > 0 {
			sameLines(t, "read again", b.store.m.records(), before.records())
			t.Fatalf("%+v", c)
		}
	}
}
