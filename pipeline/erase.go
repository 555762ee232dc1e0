package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"

	"longitude/study"
	"longitude/transform"
)

// Erasure is what was erased of a source.
type Erasure struct {
	Objects int // landed objects that held rows of people who were erased
	Rows    int // of theirs
	Unread  int // landed objects that cannot be read, so that nobody knows whose rows they hold
}

// Erase erases from the landed objects of a source the rows of everybody who was
// erased from its study. did hears of each object before it is changed, so that what
// else was kept of those rows goes first: killed at any point, it can be run again.
func (in *Ingester) Erase(ctx context.Context, f *Feed, did func(o study.LandedObject, rows []int64) error) (e Erasure, err error) {
	unlock, _, err := in.turn(ctx, f.Config.Name, true)
	if err != nil {
		return e, err
	}
	defer unlock()
	objects, err := in.Store.Objects(ctx, f.Config.Name, false)
	if err != nil {
		return e, err
	}
	erased, err := in.erased(ctx, f)
	if err != nil || len(erased) == 0 {
		return e, err
	}
	// The same bytes may have come more than once, and are landed once.
	theirs := map[study.Digest]map[int64]bool{}
	for _, o := range objects {
		if _, seen := theirs[o.Object.Digest]; seen {
			continue
		}
		rows, err := rowsOfErased(ctx, f, o.Object, erased)
		var cannot *unread
		if errors.As(err, &cannot) {
			e.Unread++
			rows = nil
		} else if err != nil {
			return e, err
		}
		theirs[o.Object.Digest] = rows
	}
	for _, o := range objects {
		if rows := theirs[o.Object.Digest]; len(rows) > 0 {
			e.Objects++
			e.Rows += len(rows)
			if err := did(o, slices.Sorted(maps.Keys(rows))); err != nil {
				return e, err
			}
		}
	}
	for _, o := range objects {
		if err := strip(ctx, f, o.Object, theirs[o.Object.Digest]); err != nil {
			return e, err
		}
		delete(theirs, o.Object.Digest)
	}
	return e, nil
}

// erased asks who of the source's study was erased.
func (in *Ingester) erased(ctx context.Context, f *Feed) (map[study.Digest]bool, error) {
	tx, err := in.Store.BeginIngest(ctx, f.Study.Name)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	return tx.Erased(ctx)
}

// rowsOfErased answers the rows of a landed object that are of people who were erased.
func rowsOfErased(ctx context.Context, f *Feed, object study.Object, erased map[study.Digest]bool) (map[int64]bool, error) {
	landed, err := f.Landing.Open(ctx, object)
	if err != nil {
		return nil, err
	}
	defer func() { _ = landed.Close() }()
	g := &forgotten{erased: erased, intake: f.Intake, rows: map[int64]bool{}}
	err = decode(ctx, f, landed, learning{seeker{}, g}, func(rows *transform.Rows, _ *transform.Mapped) error {
		g.note(rows)
		return nil
	})
	return g.rows, err
}

// seeker is a looker that lets every shape in.
type seeker struct{ indifferent }

func (seeker) tolerant([]string) bool { return true }
