package batch

import (
	"context"

	"longitude/sinks"
	"longitude/study"
)

func leak(ctx context.Context, p sinks.Publication, b study.Batch) error {
	return p.Put(ctx, b) // want "cannot use b"
}
