package pipeline

import (
	"context"
	"errors"
	"io"

	"longitude/deid"
	"longitude/study"
)

// unread is an object that is put aside whole: recorded as having come, and
// nothing of it but why. The source goes on behind it; the object is read again
// once the mapping fits it.
type unread struct {
	why    *study.Error      // for the operator
	rules  []study.Rejection // the same by rule and column
	shape  study.Shape       // accepted before
	drifts []study.Drift
}

func (u *unread) Error() string { return u.why.Error() }
func (u *unread) Unwrap() error { return u.why }

// ruleUnreadable is the rule of an object that its format or mapping cannot read
// at all; the field is the code of the error.
const ruleUnreadable = "object_unreadable"

// unreadable makes of an error about an object itself that it is put aside.
func unreadable(err *study.Error) error {
	return &unread{why: err, rules: []study.Rejection{{Field: err.Code, Rule: ruleUnreadable}}}
}

// putAside records that the object came. Each reason is a row in quarantine of its
// own, so that a person sees it and may waive it.
func (u *unread) putAside(ctx context.Context, f *Feed, tx Ingest, b study.BatchRecord) error {
	tree := study.NewBatchTree(b.Object.Digest)
	refused := make([]study.SealedRejection, len(u.rules))
	for i, r := range u.rules {
		refused[i] = study.SealedRejection{Rejection: r, KeyVersion: f.Intake.KeyVersion(), Box: f.Intake.SealRow(nil),
			Item: f.Intake.RowDigest(deid.Frame(r.Rule, r.Field, b.Object.Digest.String()))}
		tree.Refused(refused[i].Item, refused[i].Ordinal)
	}
	if err := tx.Quarantine(ctx, f.Config.Name, refused); err != nil {
		return err
	}
	if len(u.drifts) > 0 {
		if err := tx.RecordShape(ctx, f.Config.Name, u.shape, u.drifts); err != nil {
			return err
		}
	}
	b.Aside = true
	b.Root, b.Leaves = tree.Close()
	return tx.Finish(ctx, b)
}

// honest tells a failure to read the object from a failure to make sense of it.
type honest struct {
	r      io.Reader
	failed bool
}

func (h *honest) Read(b []byte) (int, error) {
	n, err := h.r.Read(b)
	h.failed = h.failed || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

// Kept is that of what it reads.
func (h *honest) Kept() bool {
	k, ok := h.r.(Kept)
	return ok && k.Kept()
}

// blame says what an error of a format is about: the object, unless it could not
// be read, the run was stopped, or trying again may help.
func (h *honest) blame(ctx context.Context, err error) error {
	var told *study.Error
	if h.failed || ctx.Err() != nil || !errors.As(err, &told) || told.Temporary {
		return err
	}
	return unreadable(told)
}
