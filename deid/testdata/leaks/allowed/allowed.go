// Package allowed is the control: what goes through door 2 compiles.
package allowed

import (
	"context"

	"longitude/deid"
	"longitude/sinks"
	"longitude/study"
)

func publish(ctx context.Context, p sinks.Publication, r *deid.Recipient, b *study.Batch) error {
	if _, err := r.Apply(b); err != nil {
		return err
	}
	a, err := deid.Document("README.md", nil)
	if err != nil {
		return err
	}
	return p.Put(ctx, a)
}
