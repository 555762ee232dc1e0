package record

import (
	"context"

	"longitude/sinks"
	"longitude/study"
)

func leak(ctx context.Context, p sinks.Publication, r study.Record) error {
	return p.Put(ctx, r) // want "cannot use r"
}
