package postgres

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"longitude/internal/status"
	"longitude/study"
)

// decision is a signed decision of the test study.
func decision(kind study.DecisionKind) study.Decision {
	return study.Decision{Kind: kind, Study: "amd-obs", Reason: "illness", Note: []byte("sealed words"), KeyVersion: 2, Actor: "dm", At: at("2026-08-01T10:00:00Z"),
		Statement: []byte("I have decided"), Signature: []byte("signature"), SignedBy: "key-1"}
}

func decide(t testing.TB, s *Store, d study.Decision) int64 {
	t.Helper()
	id, err := s.Decide(t.Context(), d)
	if err != nil {
		t.Fatalf("%s: %v", d.Kind, err)
	}
	return id
}

func deviate(t testing.TB, s *Store, participant int64, d study.Deviation) (batch, id int64) {
	t.Helper()
	batch = write(t, s, "a", &study.Changes{Deviations: []study.DeviationVersion{{Participant: participant, Deviation: d}}})
	return batch, one[int64](t, s, `SELECT max(deviation_id) FROM research.deviation_version`)
}

var lateMonth = study.Deviation{DeviationKey: study.DeviationKey{Code: study.VisitOutOfWindow, VisitNo: 2, Detail: "x"}, Kind: study.IsDeviation, State: study.Open, Evidence: "late 1 day"}

// explain is the explanation of a deviation of the participant.
func explain(participant int64, d study.Deviation) study.Decision {
	e := decision(study.Explain)
	e.Participant, e.Deviation, e.Evidence = participant, d.DeviationKey, d.Evidence
	return e
}

func TestDecisionsAreRecordedAndAudited(t *testing.T) {
	s := open(t, amd())
	p := enrol(t, s, "A")[0]
	batch, _ := deviate(t, s, p, lateMonth)
	rejectAs(t, s, "B")
	in := begin(t, s, "amd-obs")
	if err := in.RecordShape(t.Context(), "a", study.Shape{}, nil); err != nil {
		t.Fatal(err)
	}
	finish(t, in, batchOf("a", "shape"))
	waive, lock, unlock, accept := decision(study.Waive), decision(study.LockData), decision(study.UnlockData), decision(study.AcceptShape)
	waive.Quarantine, lock.Visit, lock.Participant, unlock.Lifts, accept.Source, accept.Note = 1, "month_1", p, 3, "a", nil
	for i, c := range []struct {
		d     study.Decision
		about string
	}{
		{explain(p, lateMonth), fmt.Sprint("participant/", p)}, {waive, "quarantine/1"}, {lock, "lock/3"}, {unlock, "lock/3"},
		{accept, "source/a"},
	} {
		if id := decide(t, s, c.d); id != int64(i)+1 {
			t.Errorf("%s has number %d, want %d", c.d.Kind, id, i+1)
		}
		leaf := one[string](t, s, `SELECT convert_from(leaf, 'UTF8') FROM audit.event WHERE action = 'decision.' || $1 AND object = $2 AND actor = 'dm'`, string(c.d.Kind), c.about)
		if !strings.Contains(leaf, `"reason":"illness"`) || strings.Contains(leaf, "words") {
			t.Errorf("the audit event of %s says %s", c.d.Kind, leaf)
		}
	}
	for sql, want := range map[string]int64{
		`SELECT count(*) FROM audit.event WHERE action LIKE 'decision.%'`:                                               5,
		`SELECT count(*) FROM vault.decision_note WHERE key_version = 2 AND convert_from(box, 'UTF8') = 'sealed words'`: 4,
		`SELECT count(*) FROM research.decision WHERE convert_from(statement, 'UTF8') = 'I have decided' AND actor = 'dm'
			AND signed_by = 'key-1' AND reason = 'illness' AND recorded_at = '2026-08-01T10:00:00Z'`: 5,
		`SELECT after_batch FROM research.decision WHERE kind = 'lock'`:                                              in.Batch(),
		`SELECT participant_id FROM research.decision WHERE visit = 'month_1'`:                                       p,
		fmt.Sprint(`SELECT count(*) FROM research.decision WHERE evidence = 'late 1 day' AND after_batch > `, batch): 1,
	} {
		if got := one[int64](t, s, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}

func TestDecisionsAboutNothingAreRefused(t *testing.T) {
	other := amd()
	other.Name = "other"
	s := open(t, amd(), other)
	p := enrol(t, s, "A")[0]
	deviate(t, s, p, lateMonth)
	resolved := study.Deviation{DeviationKey: study.DeviationKey{Code: study.LateEntry}, Kind: study.IsDeviation, State: study.Resolved, Evidence: "gone"}
	deviate(t, s, p, resolved)
	rejectAs(t, s, "B")
	lock, unlock, waive := decision(study.LockData), decision(study.UnlockData), decision(study.Waive)
	unlock.Lifts, waive.Quarantine = decide(t, s, lock), 1
	decide(t, s, unlock)
	decide(t, s, waive)
	change := func(d study.Decision, to func(*study.Decision)) study.Decision { to(&d); return d }
	for name, c := range map[string]struct {
		d    study.Decision
		code string
	}{
		"another evidence":     {change(explain(p, lateMonth), func(d *study.Decision) { d.Evidence = "late 2 days" }), "decision.outdated"},
		"a resolved deviation": {explain(p, resolved), "decision.resolved"},
		"no such deviation":    {change(explain(p, lateMonth), func(d *study.Decision) { d.Deviation.Detail = "y" }), status.CodeNotFound},
		"no such participant":  {change(explain(p, lateMonth), func(d *study.Decision) { d.Participant = 99 }), status.CodeNotFound},
		"of another study":     {change(explain(p, lateMonth), func(d *study.Decision) { d.Study = "other" }), status.CodeNotFound},
		"no such study":        {change(lock, func(d *study.Decision) { d.Study = "none" }), status.CodeNotFound},
		"no such visit type":   {change(lock, func(d *study.Decision) { d.Visit = "month_99" }), status.CodeNotFound},
		"no such row":          {change(waive, func(d *study.Decision) { d.Quarantine = 99 }), status.CodeNotFound},
		"another study's row":  {change(waive, func(d *study.Decision) { d.Quarantine, d.Study = 2, "other" }), status.CodeNotFound},
		"waived again":         {waive, "decision.repeated"},
		"no such lock":         {change(unlock, func(d *study.Decision) { d.Lifts = 2 }), status.CodeNotFound},
		"another study's lock": {change(unlock, func(d *study.Decision) { d.Study = "other" }), status.CodeNotFound},
		"lifted again":         {unlock, "decision.repeated"},
		"a source never read":  {change(decision(study.AcceptShape), func(d *study.Decision) { d.Source = "none" }), status.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Decide(t.Context(), c.d)
			var e *study.Error
			if !errors.As(err, &e) || e.Code != c.code || e.Hint == "" {
				t.Errorf("%v, want %s", err, c.code)
			}
			if c.code != status.CodeNotFound && e.Exit != study.ExitBlocked {
				t.Errorf("exit %d", e.Exit)
			}
		})
	}
	if n, next := one[int](t, s, `SELECT count(*) FROM research.decision`), decide(t, s, lock); n != 3 || next != 4 {
		t.Errorf("%d decisions, the next is number %d: a refusal leaves something behind", n, next)
	}
}

// Of many who lift one lock at once, one does.
func TestALockIsLiftedOnce(t *testing.T) {
	s := open(t, amd())
	unlock := decision(study.UnlockData)
	unlock.Lifts = decide(t, s, decision(study.LockData))
	var mu sync.Mutex
	done := map[string]int{}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			_, err := s.Decide(t.Context(), unlock)
			var e *study.Error
			if err != nil && !errors.As(err, &e) {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if e == nil {
				e = &study.Error{Code: "done"}
			}
			done[e.Code]++
		})
	}
	wg.Wait()
	if !reflect.DeepEqual(done, map[string]int{"done": 1, "decision.repeated": 4}) {
		t.Errorf("%v", done)
	}
}

// Of many who lock the same at once, one does; what is wider or narrower is another
// lock, and what was lifted may be locked again.
func TestALockIsMadeOnce(t *testing.T) {
	s := open(t, amd())
	lock := decision(study.LockData)
	lock.Visit = "baseline"
	var made, refused atomic.Int64
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			_, err := s.Decide(t.Context(), lock)
			var e *study.Error
			switch {
			case err == nil:
				made.Add(1)
			case errors.As(err, &e) && e.Code == "decision.repeated":
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || refused.Load() != 4 {
		t.Errorf("%d made, %d refused", made.Load(), refused.Load())
	}
	wider, narrower := decision(study.LockData), lock
	narrower.Participant = enrol(t, s, "A")[0]
	decide(t, s, wider)
	decide(t, s, narrower)
	lift := decision(study.UnlockData)
	lift.Lifts = one[int64](t, s, `SELECT min(decision_id) FROM research.decision`)
	decide(t, s, lift)
	decide(t, s, lock)
}

// Histories hold the locks and explanations of the participant as they stood
// before the batch they are read as of, so that reading again gives the same.
func TestHistoriesTellWhatWasDecided(t *testing.T) {
	s := open(t, amd())
	ids := enrol(t, s, "A", "B")
	first, _ := deviate(t, s, ids[0], lateMonth)
	whole, own := decision(study.LockData), decision(study.LockData)
	whole.Visit, own.Participant = "baseline", ids[1]
	wholeID, ownID := decide(t, s, whole), decide(t, s, own)
	decide(t, s, explain(ids[0], lateMonth))
	second := write(t, s, "a", &study.Changes{})
	unlock := decision(study.UnlockData)
	unlock.Lifts = wholeID
	decide(t, s, unlock)
	third := write(t, s, "a", &study.Changes{})
	onAll, onOne := study.Lock{ID: wholeID, Visit: "baseline"}, study.Lock{ID: ownID, Participant: ids[1]}
	explained := []study.Explanation{{DeviationKey: lateMonth.DeviationKey, Evidence: lateMonth.Evidence}}
	for _, c := range []struct {
		upTo      int64
		locks     [2][]study.Lock
		explained []study.Explanation
	}{
		{first, [2][]study.Lock{}, nil},
		{second, [2][]study.Lock{{onAll}, {onAll, onOne}}, explained},
		{third, [2][]study.Lock{nil, {onOne}}, explained},
	} {
		reg, err := s.known("amd-obs")
		if err != nil {
			t.Fatal(err)
		}
		past := past{q: s.app, reg: reg, upTo: c.upTo}
		for range 2 { // what is read once holds
			h, err := past.histories(t.Context(), ids)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(h[0].Locks, c.locks[0]) || !slices.Equal(h[1].Locks, c.locks[1]) || !slices.Equal(h[0].Explained, c.explained) || len(h[1].Explained) != 0 {
				t.Errorf("as of batch %d: locks %v %v, explained %v %v", c.upTo, h[0].Locks, h[1].Locks, h[0].Explained, h[1].Explained)
			}
		}
	}
	in := begin(t, s, "amd-obs")
	defer in.Rollback(t.Context())
	if locks, err := in.Locks(t.Context()); err != nil || !slices.Equal(locks, []study.Lock{onOne}) {
		t.Errorf("locks %+v, %v", locks, err)
	}
}

// A decision stands between two batches: it waits for the one that is open.
func TestDecisionsWaitForAnOpenIngest(t *testing.T) {
	s := open(t, amd())
	in := begin(t, s, "amd-obs")
	decided := make(chan int64)
	go func() {
		id, err := s.Decide(t.Context(), decision(study.LockData))
		if err != nil {
			t.Error(err)
		}
		decided <- id
	}()
	p := participants(t, in, "A")
	if h, err := in.Histories(t.Context(), p); err != nil || len(h[0].Locks) != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	select {
	case <-decided:
		t.Error("decided while an ingest is open")
	case <-time.After(100 * time.Millisecond):
	}
	finish(t, in, batchOf("a", "1"))
	<-decided
	if after := one[int64](t, s, `SELECT after_batch FROM research.decision`); after != in.Batch() {
		t.Errorf("decided after batch %d, want %d", after, in.Batch())
	}
}

func TestDeviationByNumber(t *testing.T) {
	s := open(t, amd())
	p := enrol(t, s, "A")[0]
	_, old := deviate(t, s, p, lateMonth)
	later := lateMonth
	later.Evidence = "late 2 days"
	_, now := deviate(t, s, p, later)
	name, participant, d, err := s.DeviationByID(t.Context(), now)
	if err != nil || name != "amd-obs" || participant != p || d != later {
		t.Errorf("%s %d %+v, %v", name, participant, d, err)
	}
	var e *study.Error
	if _, _, _, err := s.DeviationByID(t.Context(), old); !errors.As(err, &e) || e.Code != "decision.outdated" {
		t.Errorf("an older version: %v", err)
	}
	if _, _, _, err := s.DeviationByID(t.Context(), 99); !notFound(err) {
		t.Errorf("no deviation: %v", err)
	}
}

func TestParticipantByCode(t *testing.T) {
	other := amd()
	other.Name = "other"
	s := open(t, amd(), other)
	p := enrol(t, s, "A")[0]
	if id, err := s.ParticipantByCode(t.Context(), "amd-obs", "A"); err != nil || id != p {
		t.Errorf("%d, %v", id, err)
	}
	for _, c := range [][2]string{{"amd-obs", "B"}, {"other", "A"}, {"none", "A"}} {
		if _, err := s.ParticipantByCode(t.Context(), c[0], c[1]); !notFound(err) {
			t.Errorf("%v: %v", c, err)
		}
	}
}
