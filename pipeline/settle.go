package pipeline

import (
	"context"
	"time"

	"longitude/study"
	"longitude/transform"
)

// Checks finds what does not hold across the forms of one participant.
type Checks interface {
	Check(visits []study.Visit, records []study.CurrentRecord, add func(study.Deviation))
}

// Settle judges once more, without news, the participants of whom objects brought
// something since the study was last settled: only now is absence judged, for the
// form that one file lacks may be in the next, and what is checked across forms.
// It records one batch whenever something was to be settled, so that it is not
// settled again. checks is nil where the study has none across forms.
func (in *Ingester) Settle(ctx context.Context, s *study.Study, rules *transform.Rules, checks Checks, asOf study.Date, trigger string) (Outcome, error) {
	waiting, err := in.Store.Unsettled(ctx, s.Name)
	if err != nil || len(waiting) == 0 {
		return Outcome{}, err
	}
	return in.judgeAgain(ctx, &again{study: s, rules: rules, checks: checks, asOf: asOf, actor: trigger, patient: true})
}

// Rejudge judges every participant of a study again on the as-of date: time
// alone changes verdicts (a window ends, a grace period passes). It reads no
// source and adds only the verdicts that changed.
func (in *Ingester) Rejudge(ctx context.Context, s *study.Study, rules *transform.Rules, checks Checks, asOf study.Date, trigger string) (Outcome, error) {
	participants, err := in.Store.ParticipantsOf(ctx, s.Name)
	if err != nil {
		return Outcome{}, err
	}
	return in.judgeAgain(ctx, &again{study: s, rules: rules, checks: checks, asOf: asOf, actor: trigger, participants: participants})
}

// Recalculate judges some participants again, after a decision about them or
// because a person asks: one step, recorded and audited with how they stood
// before and after even when nothing changed.
func (in *Ingester) Recalculate(ctx context.Context, s *study.Study, rules *transform.Rules, checks Checks, asOf study.Date, participants []int64, actor string) (Outcome, error) {
	return in.judgeAgain(ctx, &again{study: s, rules: rules, checks: checks, asOf: asOf, actor: actor, participants: participants, patient: true, some: true})
}

// again is one judging without news.
type again struct {
	study        *study.Study
	rules        *transform.Rules
	checks       Checks
	asOf         study.Date
	actor        string
	participants []int64
	patient      bool // waits for who judges the study again now
	some         bool // these participants and nobody else

	before, after study.Standing
	changed       bool
}

// somebody is the Item of a re-judging that is not of everybody.
const somebody = "participants"

func (in *Ingester) judgeAgain(ctx context.Context, a *again) (Outcome, error) {
	unlock, ok, err := in.turn(ctx, "rejudge:"+a.study.Name, a.patient) // no source has such a name
	if err != nil || !ok {
		return Outcome{Busy: !ok && err == nil}, err
	}
	defer unlock()
	run, err := in.Store.StartRun(ctx, "rejudge", a.study.Name, "", a.actor)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Run: run}
	started := in.Now()
	err = in.again(ctx, a, run)
	return out, in.finish(ctx, "rejudge", a.study.Name, "", &out, started, err)
}

// turn takes a lock, or waits until it can when patient.
func (in *Ingester) turn(ctx context.Context, name string, patient bool) (unlock func(), ok bool, err error) {
	for {
		unlock, ok, err = in.Store.LockSource(ctx, name)
		if err != nil || ok || !patient {
			return unlock, ok, err
		}
		if err := in.Sleep(ctx, time.Second); err != nil {
			return nil, false, err
		}
	}
}

// again judges in one transaction. Whoever became unsettled while it waited for
// that is judged too, because its batch says of everybody before it that they are
// settled.
func (in *Ingester) again(ctx context.Context, a *again, run int64) error {
	tx, err := in.Store.BeginIngest(ctx, a.study.Name)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	b := study.BatchRecord{Kind: "rejudge", Item: somebody, RunID: run, Actor: a.actor, AsOf: a.asOf, Protocol: a.study.Digest, Root: new(study.Merkle).Root()}
	participants := a.participants
	if !a.some {
		b.Item = ""
		waiting, err := tx.Unsettled(ctx)
		if err != nil {
			return err
		}
		participants = union(participants, waiting)
		a.changed = len(waiting) > 0
	}
	for len(participants) > 0 {
		n := min(len(participants), chunkParticipants)
		if err := a.chunk(ctx, tx, participants[:n]); err != nil {
			return err
		}
		participants = participants[n:]
	}
	if !a.changed && !a.some {
		return nil // nothing to record: the transaction is rolled back
	}
	study.Reached(study.PointSettled)
	b.Before, b.After = &a.before, &a.after
	if err := tx.Finish(ctx, b); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// chunk judges and writes some of the participants.
func (a *again) chunk(ctx context.Context, tx Ingest, participants []int64) error {
	histories, err := tx.Histories(ctx, participants)
	if err != nil {
		return err
	}
	records := make([][]study.CurrentRecord, len(histories))
	if a.checks != nil {
		if records, err = tx.Currents(ctx, participants); err != nil {
			return err
		}
	}
	var changes study.Changes
	for i := range histories {
		h := &histories[i]
		verdict := judge(a.rules, h, nil, a.asOf)
		find(a.checks, h, &verdict, records[i])
		difference(h, &verdict, &changes)
		a.before.Add(h.Visits, h.Deviations, h.Holds)
		a.after.Add(verdict.Visits, verdict.Deviations, verdict.Holds)
	}
	a.changed = a.changed || len(changes.Participants)+len(changes.Visits)+len(changes.Deviations)+len(changes.Holds) > 0
	return tx.Write(ctx, &changes)
}

// union merges two ascending lists.
func union(a, b []int64) []int64 {
	out := make([]int64, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		next := min(a[0], b[0])
		out = append(out, next)
		if a[0] == next {
			a = a[1:]
		}
		if b[0] == next {
			b = b[1:]
		}
	}
	return append(append(out, a...), b...)
}
