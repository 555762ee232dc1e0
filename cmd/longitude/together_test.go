//go:build unix

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"longitude/internal/decision"
	"longitude/study"
)

// rows counts the rows of every table of what is recorded.
func (x *trial) rows() map[string]int64 {
	x.t.Helper()
	out := map[string]int64{}
	for _, row := range x.query(`SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('research', 'vault', 'audit')`) {
		table, _ := row[0].(string)
		out[table] = x.number("SELECT count(*) FROM " + table)
	}
	return out
}

// twoSources are a clinic that says when it modified its rows and a laboratory
// that does not, of the same participants and records.
func twoSources(t *testing.T) *trial {
	x := newTrial(t, smallStudy)
	text, err := os.ReadFile(x.path("source.yaml"))
	x.must(err)
	lab := strings.NewReplacer("source: clinic", "source: lab", "drop/*", "lab/*", "  modified: {column: MODIFIED}\n", "").Replace(string(text))
	x.write("lab.yaml", lab)
	x.must(os.Mkdir(x.path("lab"), 0o755))
	x.run(study.ExitOK, "validate")
	return x
}

// bring writes a file of one of the two.
func (x *trial) bring(folder, name, rows string) {
	x.t.Helper()
	x.write(folder+"/"+name, smallHeader+rows)
	x.write(folder+"/"+name+".done", "")
}

// Two sources, settling, decisions, recalculations and plans of releases, each at
// its own pace, end, come to counts that balance, and leave nothing undone.
func TestEverythingAtOnce(t *testing.T) {
	x := twoSources(t)
	x.bring("drop", "first.csv", person("P-1"))
	x.run(study.ExitOK, "sync")
	for n := range 6 {
		rows := person("P-1") + person("P-2") + person(fmt.Sprint("P-", 3+n)) + acuityRow("P-1", "M1", "20/04/2026", "OD", fmt.Sprint(40+n))
		x.bring("drop", fmt.Sprint(n, ".csv"), rows)
		x.bring("lab", fmt.Sprint(n, ".csv"), strings.ReplaceAll(rows, ",44,", fmt.Sprintf(",%d,", 50+n)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	at := func(what string, do func(*house) error) {
		all.Go(func() {
			x.inside(func(h *house) {
				if err := do(h); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
		})
	}
	for _, source := range []string{"clinic", "lab"} {
		at(source, func(h *house) error {
			sources, err := h.sources([]string{source})
			if err != nil {
				return err
			}
			out, err := h.sync(ctx, sources[0], "test")
			if rows, records := out.Counts.Unaccounted(); rows != 0 || records != 0 || out.Objects != 6 {
				t.Errorf("%s: %+v", source, out)
			}
			return err
		})
		at("settling", func(h *house) (err error) {
			for range 5 {
				if err = h.settle(ctx, "small-01", "test"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	at("locking", func(h *house) error {
		why := decision.Why{Reason: "database_lock", Actor: "kate"}
		for range 5 {
			lock, err := h.lock(ctx, "small-01", "month_1", "", why)
			if err != nil {
				return err
			}
			if _, err := h.unlock(ctx, lock.ID, why); err != nil {
				return err
			}
		}
		return nil
	})
	at("planning", func(h *house) error {
		for n := range 5 {
			if _, err := h.store.PlanRelease(ctx, "small-01", study.Date(20_600+n), study.Digest{1}, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	all.Wait()
	x.inside(func(h *house) { x.must(h.settle(t.Context(), "small-01", "test")) })
	for _, source := range []string{"clinic", "lab"} {
		x.replay(source, true) // what a lock refused
	}
	for sql, want := range map[string]int64{
		`SELECT count(*) FROM jobs.run WHERE state <> 'succeeded'`:                                              0,
		`SELECT count(DISTINCT participant_id) FROM research.record_current`:                                    8,
		`SELECT count(*) FROM research.quarantine_current WHERE state = 'open'`:                                 0,
		`SELECT count(*) FROM research.batch WHERE kind = 'object' AND generation = 1`:                          13,
		`SELECT count(*) FROM research.decision WHERE after_batch > (SELECT max(batch_id) FROM research.batch)`: 0,
	} {
		if got := x.number(sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	x.nothingNew()
}

// nothingNew runs everything again and expects no row more in any table.
func (x *trial) nothingNew() {
	x.t.Helper()
	before := x.rows()
	x.run(study.ExitOK, "sync")
	for _, source := range []string{"clinic", "lab"} {
		x.replay(source, false)
	}
	x.run(study.ExitOK, "sync")
	if after := x.rows(); !maps.Equal(before, after) {
		for table, n := range after {
			if before[table] != n {
				x.t.Errorf("%s has %d rows, had %d", table, n, before[table])
			}
		}
	}
}

// Corrections of two sources come out of order, a lock is decided between them,
// and everything that is done again afterwards changes nothing.
func TestTwoSourcesAndALock(t *testing.T) {
	x := twoSources(t)
	x.bring("drop", "1.csv", person("P-1"))
	x.bring("lab", "1.csv", strings.ReplaceAll(person("P-1"), ",44,", ",45,")+person("P-2"))
	x.run(study.ExitOK, "sync")
	lock := x.decided("lock", "study")[0]
	older := strings.ReplaceAll(acuityRow("P-1", "BL", "01/03/2026", "OD", "41"), "03-02T", "03-01T")
	x.bring("drop", "2.csv", older+person("P-3"))
	x.run(study.ExitRejections, "sync")
	if n := x.number(`SELECT count(*) FROM research.quarantine_current WHERE state = 'open'`); n != 4 {
		t.Errorf("%d rows wait, want 4", n)
	}
	if n := x.number(`SELECT count(*) FROM research.record_version WHERE participant_id = 3`); n != 0 {
		t.Errorf("a participant who came under the lock has %d records", n)
	}
	x.run(study.ExitOK, "unlock", id(lock.ID))
	if n := x.number(`SELECT count(*) FROM research.record_current WHERE op = 'u'`); n != 9 {
		t.Errorf("%d records are there, want 9", n)
	}
	x.nothingNew()
}

// What stays put aside when it is read again says why, as it did when it came.
func TestReplayTellsWhyAnObjectStaysAside(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("1.csv", "nothing,of,this\n")
	x.sync(study.ExitRejections)
	if _, said := x.run(study.ExitRejections, "replay", "clinic"); !strings.Contains(said, "map.column_missing") {
		t.Errorf("replay says: %s", said)
	}
}
