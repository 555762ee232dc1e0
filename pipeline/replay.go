package pipeline

import (
	"context"
	"errors"
	"maps"

	"longitude/study"
)

// Replay reads objects again that were recorded before, from landing and with
// today's mapping, each as a new generation in its old place in the order of
// landing: what landed later is not overtaken. Versions are added where the
// outcome differs; records that this object alone ever gave and that no longer
// come out of it are removed, whatever share they are, except those whose rows are
// refused now. An object that was put aside is read like any other; one that
// cannot be read stays as it is.
//
// A generation is recorded only if something of it differs from what is stored,
// or what it quarantines from what the generation before did: replaying twice adds
// nothing. The shape of the objects is not judged again, and stays as accepted.
func (in *Ingester) Replay(ctx context.Context, f *Feed, objects []study.LandedObject, trigger string) (Outcome, error) {
	unlock, ok, err := in.Store.LockSource(ctx, f.Config.Name)
	if err != nil || !ok {
		return Outcome{Busy: !ok && err == nil}, err
	}
	defer unlock()
	run, err := in.Store.StartRun(ctx, "replay", f.Study.Name, f.Config.Name, trigger)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Run: run}
	started := in.Now()
	err = in.retrying(ctx, f.Config.Retry, func() error {
		for len(objects) > 0 {
			done, err := in.readAgain(ctx, f, objects[0], run, trigger)
			if err != nil {
				return err
			}
			study.Reached(study.PointAfterCommit)
			in.tell(f, &out, done)
			objects = objects[1:] // a retry carries on behind it
		}
		return nil
	})
	return out, in.finish(ctx, "replay", f.Study.Name, f.Config.Name, &out, started, err)
}

// readAgain records one object as it reads today.
func (in *Ingester) readAgain(ctx context.Context, f *Feed, o study.LandedObject, run int64, actor string) (recorded, error) {
	b := in.batch(f, o.Object, run, actor)
	b.Item, b.Origin = o.Item, o.Batch
	done, err := in.transact(ctx, f, func(tx Ingest) (recorded, error) {
		r := &reading{feed: f, tx: tx, object: o.Object, item: o.Item, asOf: b.AsOf, origin: o.Batch}
		if err := in.fill(ctx, r); err != nil {
			return recorded{}, err
		}
		if !r.changed {
			before, err := tx.Refused(ctx, o.Latest)
			if err != nil || maps.Equal(before, r.refused()) {
				return recorded{known: true, nothing: true}, err
			}
		}
		return recorded{counts: r.counts}, r.close(ctx, b)
	})
	var unread *unread
	if errors.As(err, &unread) {
		return recorded{known: true, aside: unread.why}, nil
	}
	return done, err
}
