package pipeline

import (
	"context"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// watched is a vault that tells of its transactions.
type watched struct {
	*vault
	begun   func(number int)
	boxes   [][]byte // of what is quarantined
	numbers int
}

type watchedTransaction struct {
	*transaction
	of *watched
}

func (w *watched) BeginIngest(ctx context.Context, name string) (Ingest, error) {
	if w.numbers++; w.begun != nil {
		w.begun(w.numbers)
	}
	tx, err := w.vault.BeginIngest(ctx, name)
	return watchedTransaction{tx.(*transaction), w}, err
}

func (x watchedTransaction) Quarantine(ctx context.Context, source string, rejections []study.SealedRejection) error {
	for i := range rejections {
		x.of.boxes = append(x.of.boxes, rejections[i].Box)
	}
	return x.transaction.Quarantine(ctx, source, rejections)
}

// A lock holds for participants that come after it as for those that are there,
// and the rows that it refuses are kept.
func TestLocksHoldForNewParticipants(t *testing.T) {
	monthly := visitRows + "1,va,month_1,2026-01-31,2026-01-31,R,41,,2026-01-31T00:00:00Z\n"
	for name, c := range map[string]struct {
		lock                  study.Lock
		quarantined, accepted int64
	}{
		"the study":      {study.Lock{ID: 1}, 4, 0},
		"a visit type":   {study.Lock{ID: 1, Visit: "month_1"}, 1, 3},
		"somebody else":  {study.Lock{ID: 1, Participant: 9}, 0, 4},
		"another's type": {study.Lock{ID: 1, Visit: "month_3"}, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, testStudy(), testSource(true))
			w := &watched{vault: b.store}
			b.ingester.Store = w
			b.store.m.locks = []study.Lock{c.lock}
			out := b.sync(file{"1.csv", header + monthly})
			if out.Counts.Quarantined != c.quarantined || out.Counts.Accepted != c.accepted {
				t.Errorf("%+v", out.Counts)
			}
			empty := len(b.feed.Intake.SealRow(nil))
			if slices.ContainsFunc(w.boxes, func(box []byte) bool { return len(box) <= empty }) || len(w.boxes) != int(c.quarantined) {
				t.Errorf("of the rows %d are quarantined, not all of them whole", len(w.boxes))
			}
		})
	}
}

// A lock that is decided while a run is open holds from the next object on, and
// the rows that it refuses are kept.
func TestLockDuringARun(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	w := &watched{vault: b.store}
	w.begun = func(number int) {
		if number == 2 {
			b.store.m.locks = []study.Lock{{ID: 1}}
		}
	}
	b.ingester.Store = w
	later := strings.ReplaceAll(strings.ReplaceAll(visitRows, ",40,", ",43,"), "2026-01-01T", "2026-01-09T")
	out := b.sync(file{"1.csv", header + visitRows}, file{"2.csv", header + later})
	if out.Counts.Accepted != 3+1 || out.Counts.Quarantined != 2 { // consent says the same once more
		t.Errorf("%+v", out.Counts)
	}
	if empty := len(b.feed.Intake.SealRow(nil)); len(w.boxes) != 2 || len(w.boxes[0]) <= empty {
		t.Errorf("%d rows are quarantined, not all of them whole", len(w.boxes))
	}
}

// What a rule refuses of a row that is read again may be the record that the row
// gave before: it is not taken for gone.
func TestReplayKeepsWhatALockRefuses(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	b.sync(file{"1.csv", header + visitRows + "1,va,month_1,2026-01-31,2026-01-31,R,41,,2026-01-31T00:00:00Z\n"})
	b.store.m.locks = []study.Lock{{ID: 1, Visit: "month_3"}}
	b.feed.Config.Map.VisitAliases = map[string]string{"month_1": "month_3"}
	out := b.replay(b.store.m.landed()...)
	if out.Counts.Quarantined != 1 || out.Counts.Removed != 0 || b.store.m.live() != 4 {
		t.Errorf("locked: %+v, %d live", out.Counts, b.store.m.live())
	}
	b.store.m.locks = nil
	out = b.replay(b.store.m.landed()...)
	if out.Counts.Accepted != 1 || out.Counts.Removed != 1 || b.store.m.live() != 4 || len(b.store.m.waiting()) != 0 {
		t.Errorf("unlocked: %+v, %d live", out.Counts, b.store.m.live())
	}
}
