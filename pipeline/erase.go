package pipeline

import (
	"context"
	"errors"
	"maps"
	"math"
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
// did also hears of objects that were read since and lost the rows by that.
func (in *Ingester) Erase(ctx context.Context, f *Feed, did func(study.LandedObject, study.ErasedRows) error) (e Erasure, err error) {
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
	all := map[study.Digest]*theirs{}
	for _, o := range objects {
		if all[o.Object.Digest] != nil {
			continue
		}
		t, err := rowsOfErased(ctx, f, o.Object, erased)
		var cannot *unread
		if errors.As(err, &cannot) {
			e.Unread++
			t = &theirs{}
		} else if err != nil {
			return e, err
		}
		all[o.Object.Digest] = t
	}
	for _, o := range objects {
		t := all[o.Object.Digest]
		if len(t.rows) > 0 {
			e.Objects++
			e.Rows += len(t.rows)
		}
		if len(t.rows) > 0 || t.kept {
			if err := did(o, t.erased()); err != nil {
				return e, err
			}
		}
	}
	for _, o := range objects {
		t := all[o.Object.Digest]
		if err := strip(ctx, f, o.Object, t.rows); err != nil {
			return e, err
		}
		if len(t.rows) > 0 {
			study.Reached(study.PointMidErase)
		}
		t.rows = nil
	}
	return e, nil
}

// theirs are the rows of a landed object that are of people who were erased.
type theirs struct {
	rows map[int64]bool // that are there still
	kept bool           // rows were erased from the object before
	gone []int64        // those, as far as others follow them
	last int64          // ordinal of the last row that is there
}

// erased are those that are there and those that were.
func (t *theirs) erased() study.ErasedRows {
	out := study.ErasedRows{Ordinals: append(slices.Collect(maps.Keys(t.rows)), t.gone...), Beyond: math.MaxInt32}
	slices.Sort(out.Ordinals)
	if t.kept {
		out.Beyond = t.last
	}
	return out
}

// pass notes which rows are missing before some rows.
func (t *theirs) pass(rows *transform.Rows) {
	for ordinal := t.last + 1; t.kept && ordinal < rows.First; ordinal++ {
		t.gone = append(t.gone, ordinal)
	}
	t.last = max(t.last, rows.First+int64(rows.Len())-1)
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

// rowsOfErased looks for people who were erased in a landed object.
func rowsOfErased(ctx context.Context, f *Feed, object study.Object, erased map[study.Digest]bool) (*theirs, error) {
	landed, err := f.Landing.Open(ctx, object)
	if err != nil {
		return nil, err
	}
	defer func() { _ = landed.Close() }()
	g := &forgotten{erased: erased, intake: f.Intake, rows: map[int64]bool{}}
	k, ok := landed.(Kept)
	t := &theirs{rows: g.rows, kept: ok && k.Kept()}
	return t, decode(ctx, f, landed, learning{seeker{}, g}, func(rows *transform.Rows, _ *transform.Mapped) error {
		g.note(rows)
		t.pass(rows)
		return nil
	})
}

// seeker is a looker that lets every shape in.
type seeker struct{ indifferent }

func (seeker) tolerant([]string) bool { return true }
