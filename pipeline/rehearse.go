package pipeline

import (
	"context"
	"errors"
	"math"
	"slices"

	"longitude/deid"
	"longitude/study"
)

// Rehearse takes all that a release judged on asOf would hold through door 2 and
// keeps nothing: no plan, no run, no file. The report tells what every rule did; it
// comes with the error too, where the release would be refused for what it claims or
// for its risk.
func (r *Releaser) Rehearse(ctx context.Context, asOf study.Date) (deid.Report, error) {
	return r.RehearsePlan(ctx, study.ReleasePlan{Study: r.Study.Name, AsOf: asOf, Cutoff: asOf, MaxBatch: math.MaxInt64})
}

// RehearsePlan is Rehearse of a release that was planned.
func (r *Releaser) RehearsePlan(ctx context.Context, plan study.ReleasePlan) (deid.Report, error) {
	book, err := r.Book(plan)
	if err != nil {
		return deid.Report{}, err
	}
	refused, err := r.rehearse(ctx, plan, book)
	if err != nil {
		return deid.Report{}, err
	}
	return r.Recipient.Report(), errors.Join(r.Recipient.Check(), refused)
}

// rehearse answers in refused what the risk gate has against the release.
func (r *Releaser) rehearse(ctx context.Context, plan study.ReleasePlan, book Book) (refused, err error) {
	snapshot, err := r.Store.OpenSnapshot(ctx, plan)
	if err != nil {
		return nil, err
	}
	defer snapshot.Close(context.WithoutCancel(ctx))
	people, err := r.people(ctx, snapshot, plan, book)
	if err != nil {
		return nil, err
	}
	for _, t := range book.Tables() {
		if _, err := r.Recipient.Project(t); err != nil {
			return nil, err
		}
	}
	w, done := &partWriter{r: r, book: book, asOf: plan.AsOf}, 0
	for some := range slices.Chunk(people, 512) {
		if err := w.judge(ctx, snapshot, some); err != nil {
			return nil, err
		}
		batches := book.Take()
		w.held = append(w.held, batches[0])
		if err := r.Recipient.Survey(batches); err != nil {
			return nil, err
		}
		if err := r.apply(batches[1:]); err != nil {
			return nil, err
		}
		done += len(some)
		r.Progress("participants", done, len(people))
	}
	if refused = book.Judge(ctx, r.Recipient); refused != nil && !blocked(refused) {
		return nil, refused
	}
	return refused, r.apply(w.held)
}

func (r *Releaser) apply(batches []*study.Batch) error {
	for _, b := range batches {
		if _, err := r.Recipient.Apply(b); err != nil {
			return err
		}
	}
	return nil
}

// blocked reports whether err is what the risk gate says.
func blocked(err error) bool {
	var known *study.Error
	return errors.As(err, &known) && known.Code == "deid.risk"
}
