package raw_encode

import (
	"context"
	"iter"

	"longitude/deid"
	"longitude/study"
)

func leak(ctx context.Context, open deid.NewEncoder, t *study.Table, rows iter.Seq2[study.Batch, error]) (deid.Artifact, error) {
	return deid.Encode(ctx, open, "data/visits/part-00000.parquet", "", t, rows) // want "cannot use rows"
}
