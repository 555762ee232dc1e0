package pipeline

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"longitude/study"
)

// Replay reads objects again that were recorded before, from landing and with
// today's mapping, each as a new generation in its old place in the order of
// landing: what landed later is not overtaken. Versions are added where the
// outcome differs; records that these objects alone ever gave and that no longer
// come out of them are removed, whatever share they are, except those whose rows
// are refused now. What one object gives no more and another did is said again by
// reading them once more. An object that was put aside is read like any other; one
// that cannot be read stays as it is.
//
// A generation is recorded only if something of it differs from what is stored,
// or what it quarantines from what the generation before did: replaying twice adds
// nothing. The shape of the objects is not judged again; where a person has
// accepted a shape and no object has come since, the newest of them sets it.
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
	objects = slices.SortedFunc(slices.Values(objects), func(a, b study.LandedObject) int { return cmp.Compare(b.Batch, a.Batch) })
	shared, err := in.replay(ctx, f, objects, &out, trigger)
	if err == nil && shared && len(objects) > 1 {
		second := Outcome{Run: run}
		_, err = in.replay(ctx, f, objects, &second, trigger)
		out.Objects += second.Objects
		out.Counts.Add(second.Counts)
	}
	return out, in.finish(ctx, "replay", f.Study.Name, f.Config.Name, &out, started, err)
}

// replay reads each object once. shared says that something went which another of
// them may have to say again.
func (in *Ingester) replay(ctx context.Context, f *Feed, objects []study.LandedObject, out *Outcome, actor string) (shared bool, err error) {
	all, err := in.Store.Objects(ctx, f.Config.Name, false)
	if err != nil {
		return false, err
	}
	together, last, facts, newest := map[int64]bool{}, int64(0), newTold(), map[string]int64{}
	for _, o := range objects {
		together[o.Batch] = true
	}
	scope := func(o *study.LandedObject) string {
		if f.Config.Snapshot.Kind == study.Complete {
			return ""
		}
		return o.Item
	}
	for _, o := range all {
		newest[scope(&o)] = max(newest[scope(&o)], o.Batch)
		if !together[o.Batch] {
			last = max(last, o.Batch)
		}
	}
	err = in.retrying(ctx, f.Config.Retry, func() error {
		for len(objects) > 0 {
			o := objects[0]
			r := &reading{feed: f, object: o.Object, item: o.Item, origin: o.Batch, landed: o.At, precedence: o.Precedence, together: together, facts: facts,
				overtaken: o.Batch < last, newest: o.Batch == newest[scope(&o)]}
			done, err := in.readAgain(ctx, r, o.Latest, out.Run, actor)
			if err != nil {
				return err
			}
			study.Reached(study.PointAfterCommit)
			in.tell(f, out, done)
			shared = shared || done.shared
			facts.turn()
			objects = objects[1:] // a retry carries on behind it
		}
		return nil
	})
	return shared, err
}

// readAgain records one object as it reads today; latest is the batch that last
// read it.
func (in *Ingester) readAgain(ctx context.Context, r *reading, latest, run int64, actor string) (recorded, error) {
	b := in.batch(r.feed, r.object, run, actor)
	b.Item, b.Origin, b.Precedence, r.asOf = r.item, r.origin, r.precedence, b.AsOf
	done, err := in.transact(ctx, r.feed, func(tx Ingest) (recorded, error) {
		r.tx = tx
		if err := in.fill(ctx, r); err != nil {
			return recorded{}, err
		}
		if !r.changed {
			before, err := tx.Refused(ctx, latest)
			if err != nil || maps.Equal(before, r.refused()) {
				return recorded{known: true, nothing: true}, err
			}
		}
		return recorded{counts: r.counts, shared: r.shared}, r.close(ctx, b)
	})
	var unread *unread
	if errors.As(err, &unread) {
		return recorded{known: true, aside: unread.why}, nil
	}
	return done, err
}
