package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
)

// Quarantine lists what was rejected, newest first, each where it was delivered
// last. Nothing takes a row out of quarantine yet: all are open.
func (s *Store) Quarantine(ctx context.Context, f status.QuarantineFilter) ([]status.QuarantineItem, error) {
	if f.State != "" && f.State != status.QuarantineOpen {
		return []status.QuarantineItem{}, nil
	}
	var n narrowing
	n.equal("s.name", f.Study)
	n.equal("q.source", f.Source)
	n.equal("q.rule", f.Rule)
	rest := n.page("q.quarantine_id", f.Page)
	return collect(ctx, s, "list the quarantine", readQuarantined, `
		SELECT q.quarantine_id, s.name, q.source, q.site, q.form, q.field, q.rule, last.batch_id, last.ordinal, last.line, first.recorded_at, first.seen
		FROM research.quarantine q JOIN research.study s USING (study_id)
		CROSS JOIN LATERAL (SELECT batch_id, ordinal, line FROM research.quarantine_sighting g
		  WHERE g.quarantine_id = q.quarantine_id ORDER BY batch_id DESC, ordinal DESC LIMIT 1) last
		CROSS JOIN LATERAL (SELECT min(b.recorded_at) AS recorded_at, count(*) AS seen FROM research.quarantine_sighting g
		  JOIN research.batch b USING (batch_id) WHERE g.quarantine_id = q.quarantine_id) first`+rest, n.args...)
}

func readQuarantined(row pgx.CollectableRow) (q status.QuarantineItem, err error) {
	err = row.Scan(&q.ID, &q.Study, &q.Source, &q.Site, &q.Form, &q.Field, &q.Rule, &q.Batch, &q.Ordinal, &q.Line, &q.FirstSeen, &q.Seen)
	q.State, q.FirstSeen = status.QuarantineOpen, q.FirstSeen.UTC()
	return q, err
}

// Deviations lists departures from the protocol as they are now, the ones that
// changed last first.
func (s *Store) Deviations(ctx context.Context, f status.DeviationFilter) ([]status.DeviationItem, error) {
	var n narrowing
	n.equal("s.name", f.Study)
	n.equal("p.code", f.Participant)
	n.equal("d.code", f.Code)
	n.equal("d.state", f.State)
	n.conditions = append(n.conditions, `NOT EXISTS (SELECT 1 FROM research.deviation_version l
		  WHERE l.participant_id = d.participant_id AND l.visit_no = d.visit_no AND l.code = d.code AND l.detail = d.detail AND l.batch_id > d.batch_id)`)
	rest := n.page("d.deviation_id", f.Page)
	return collect(ctx, s, "list the deviations", readDeviation, `
		SELECT d.deviation_id, s.name, p.code, CASE WHEN d.visit_no = 0 THEN '' ELSE coalesce(v.visit_type, d.visit_no::text) END,
		       d.code, d.kind, d.state, d.detail, d.evidence, b.recorded_at
		FROM research.deviation_version d
		JOIN research.participant p USING (participant_id)
		JOIN research.study s USING (study_id)
		JOIN research.batch b ON b.batch_id = d.batch_id
		LEFT JOIN LATERAL (SELECT visit_type FROM research.visit_version v
		  WHERE v.participant_id = d.participant_id AND v.visit_no = d.visit_no ORDER BY v.batch_id DESC LIMIT 1) v ON true`+rest, n.args...)
}

func readDeviation(row pgx.CollectableRow) (d status.DeviationItem, err error) {
	err = row.Scan(&d.ID, &d.Study, &d.Code, &d.Visit, &d.DeviationCode, &d.Kind, &d.State, &d.Detail, &d.Evidence, &d.Since)
	d.Since = d.Since.UTC()
	return d, err
}
