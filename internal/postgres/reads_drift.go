package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
	"longitude/study"
)

// Drift lists the changes of what the objects of sources look like, newest first.
func (s *Store) Drift(ctx context.Context, f status.DriftFilter) ([]status.DriftItem, error) {
	var n narrowing
	n.equal("s.name", f.Study)
	n.equal("d.source", f.Source)
	n.equal("d.kind", f.Kind)
	rest := n.page("d.drift_id", f.Page)
	return collect(ctx, s, "list the drift", func(row pgx.CollectableRow) (d status.DriftItem, err error) {
		err = row.Scan(&d.ID, &d.Study, &d.Source, &d.Batch, &d.Run, &d.Kind, &d.Column, &d.From, &d.To, &d.Mapped, &d.Action, &d.At)
		d.At = d.At.UTC()
		return d, err
	}, `
		SELECT d.drift_id, s.name, d.source, coalesce(d.batch_id, 0), coalesce(d.run_id, 0), d.kind, d.column_name, d.was, d.becomes, d.mapped, d.action,
		       coalesce(d.recorded_at, b.recorded_at)
		FROM research.drift_event d LEFT JOIN research.batch b USING (batch_id) JOIN research.study s ON s.study_id = coalesce(d.study_id, b.study_id)`+rest, n.args...)
}

// Shape answers what the objects of a source look like, as accepted last. A
// source of which nothing was read yet has no shape.
func (s *Store) Shape(ctx context.Context, source string) (status.SourceShape, error) {
	out := status.SourceShape{Source: source, Columns: []status.ColumnShape{}}
	var body []byte
	err := s.app.QueryRow(ctx, `
		SELECT s.name, h.batch_id, b.recorded_at, h.shape
		FROM research.source_shape h JOIN research.batch b USING (batch_id) JOIN research.study s USING (study_id)
		WHERE h.source = $1 ORDER BY h.batch_id DESC LIMIT 1`, source).Scan(&out.Study, &out.Batch, &out.Since, &body)
	if errors.Is(err, pgx.ErrNoRows) {
		return out, status.NotFound("a shape of source " + source)
	}
	var shape study.Shape
	if err == nil {
		err = json.Unmarshal(body, &shape)
	}
	out.Since, out.Dialect = out.Since.UTC(), shape.Dialect
	for _, c := range shape.Columns {
		out.Columns = append(out.Columns, status.ColumnShape(c))
	}
	return out, fault("read the shape of the source", err)
}
