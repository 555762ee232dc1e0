package pipeline

import (
	"context"

	"longitude/study"
	"longitude/transform"
)

// Rejudge judges every participant of a study again on the as-of date: time
// alone changes verdicts (a window ends, a grace period passes). It reads no
// source and adds only the verdicts that changed.
func (in *Ingester) Rejudge(ctx context.Context, s *study.Study, rules *transform.Rules, asOf study.Date, trigger string) (Outcome, error) {
	unlock, ok, err := in.Store.LockSource(ctx, "rejudge:"+s.Name) // no source has such a name
	if err != nil || !ok {
		return Outcome{Busy: !ok && err == nil}, err
	}
	defer unlock()
	run, err := in.Store.StartRun(ctx, "rejudge", s.Name, "", trigger)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Run: run}
	started := in.Now()
	err = in.rejudge(ctx, s, rules, asOf, &out, trigger)
	return out, in.finish(ctx, "rejudge", s.Name, "", &out, started, err)
}

func (in *Ingester) rejudge(ctx context.Context, s *study.Study, rules *transform.Rules, asOf study.Date, out *Outcome, actor string) error {
	participants, err := in.Store.ParticipantsOf(ctx, s.Name)
	if err != nil {
		return err
	}
	tx, err := in.Store.BeginIngest(ctx, s.Name)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	changed := false
	for len(participants) > 0 {
		n := min(len(participants), chunkParticipants)
		histories, err := tx.Histories(ctx, participants[:n])
		if err != nil {
			return err
		}
		participants = participants[n:]
		var changes study.Changes
		for i := range histories {
			verdict := rules.Judge(histories[i], nil, asOf)
			difference(&histories[i], &verdict, &changes)
		}
		changed = changed || len(changes.Participants)+len(changes.Visits)+len(changes.Deviations)+len(changes.Holds) > 0
		if err := tx.Write(ctx, &changes); err != nil {
			return err
		}
	}
	if !changed {
		return nil // nothing to record: the transaction is rolled back
	}
	if err := tx.Finish(ctx, study.BatchRecord{Kind: "rejudge", RunID: out.Run, Actor: actor, AsOf: asOf, Protocol: s.Digest, Root: new(merkle).root()}); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
