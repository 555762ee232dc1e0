package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Known answers the participants that the codes stand for today, links counted. Codes
// of nobody are left out, and nobody is added.
func (in *Ingest) Known(ctx context.Context, codes []string) (map[string]int64, error) {
	at, numbers := make(map[string]int, len(codes)), make([]int64, len(codes))
	for i, code := range codes {
		at[code] = i
	}
	if err := in.lookUp(ctx, codes, at, numbers); err != nil {
		return nil, err
	}
	known := make(map[string]int64, len(codes))
	for code, i := range at {
		if numbers[i] != 0 {
			known[code] = numbers[i]
		}
	}
	return known, nil
}

// Newcomers answers the participants whom objects of the source brought since its list
// last changed anything, ascending.
func (in *Ingest) Newcomers(ctx context.Context, source string) ([]int64, error) {
	const doing = "list who is new"
	rows, err := in.tx.Query(ctx, `
		SELECT p.participant_id FROM research.participant p JOIN research.batch b ON b.batch_id = p.batch_id
		WHERE p.study_id = $1 AND b.source = $2 AND b.kind = 'object'
		  AND b.batch_id > coalesce((SELECT max(batch_id) FROM research.batch WHERE source = $2 AND kind = 'roster'), 0)
		ORDER BY 1`, in.reg.id, source)
	if err != nil {
		return nil, fault(doing, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return slices.DeleteFunc(ids, func(id int64) bool { return in.past.erased[id] }), fault(doing, err)
}

// Standing answers how many records are there whose current version came with one of
// the batches, as this transaction leaves them, and how many the run has removed of
// the source before.
func (in *Ingest) Standing(ctx context.Context, source string, batches map[int64]bool, run int64) (live, removed int64, err error) {
	err = in.tx.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM (
		    SELECT DISTINCT ON (participant_id, form_id, visit_no, occurrence) batch_id, op FROM research.record_version
		    WHERE op <> 'h' AND participant_id IN (SELECT participant_id FROM research.record_version WHERE batch_id = ANY($1) AND op = 'u')
		    ORDER BY participant_id, form_id, visit_no, occurrence, version DESC) v
		  WHERE op = 'u' AND batch_id = ANY($1)),
		  (SELECT coalesce(sum(records_removed), 0) FROM research.batch WHERE source = $2 AND run_id = $3)`,
		append(slices.Sorted(maps.Keys(batches)), in.batch), source, run).Scan(&live, &removed)
	return live, removed, fault("count what the source has", err)
}
