package pipeline

import (
	"context"
	"math"
	"slices"
	"strings"

	"longitude/deid"
	"longitude/study"
)

// Rehearse takes all that a release judged on asOf would hold through door 2 and
// keeps nothing: no plan, no run, no file. The report tells what every rule did; it
// comes with the error too, where the release would be refused for what it claims.
func (r *Releaser) Rehearse(ctx context.Context, asOf study.Date) (deid.Report, error) {
	plan := study.ReleasePlan{Study: r.Study.Name, AsOf: asOf, Cutoff: asOf, MaxBatch: math.MaxInt64}
	r.Recipient.Begin(plan.AsOf, study.NoDate, plan.Cutoff)
	book, err := r.Book(plan)
	if err != nil {
		return deid.Report{}, err
	}
	if err := r.rehearse(ctx, plan, book); err != nil {
		return deid.Report{}, err
	}
	return r.Recipient.Report(), r.Recipient.Check()
}

func (r *Releaser) rehearse(ctx context.Context, plan study.ReleasePlan, book Book) error {
	for _, t := range book.Tables() {
		if _, err := r.Recipient.Project(t); err != nil {
			return err
		}
	}
	snapshot, err := r.Store.OpenSnapshot(ctx, plan)
	if err != nil {
		return err
	}
	defer snapshot.Close(context.WithoutCancel(ctx))
	participants, err := snapshot.Participants(ctx)
	if err != nil {
		return err
	}
	people := make([]person, len(participants))
	for i, p := range participants {
		people[i] = person{p.ID, r.Recipient.Participant(p.Code)}
	}
	slices.SortFunc(people, func(a, b person) int { return strings.Compare(a.released, b.released) })
	w, done := &partWriter{r: r, book: book, asOf: plan.AsOf}, 0
	for some := range slices.Chunk(people, 512) {
		if err := w.judge(ctx, snapshot, some); err != nil {
			return err
		}
		batches := book.Take()
		if err := r.Recipient.Survey(batches); err != nil {
			return err
		}
		for _, b := range batches {
			if _, err := r.Recipient.Apply(b); err != nil {
				return err
			}
		}
		done += len(some)
		r.Progress("participants", done, len(people))
	}
	return nil
}
