package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
	"longitude/study"
)

const quarantined = `
	SELECT q.quarantine_id, s.name, q.source, q.site, q.form, q.field, q.rule, c.state, last.batch_id, last.ordinal, last.line, first.recorded_at, first.seen
	FROM research.quarantine q JOIN research.study s USING (study_id) JOIN research.quarantine_current c USING (quarantine_id)
	CROSS JOIN LATERAL (SELECT batch_id, ordinal, line FROM research.quarantine_sighting g
	  WHERE g.quarantine_id = q.quarantine_id ORDER BY batch_id DESC, ordinal DESC LIMIT 1) last
	CROSS JOIN LATERAL (SELECT min(b.recorded_at) AS recorded_at, count(*) AS seen FROM research.quarantine_sighting g
	  JOIN research.batch b USING (batch_id) WHERE g.quarantine_id = q.quarantine_id) first`

// Quarantine lists what was rejected, newest first, each where it was delivered last.
func (s *Store) Quarantine(ctx context.Context, f status.QuarantineFilter) ([]status.QuarantineItem, error) {
	var n narrowing
	n.equal("s.name", f.Study)
	n.equal("q.source", f.Source)
	n.equal("q.rule", f.Rule)
	n.equal("c.state", f.State)
	rest := n.page("q.quarantine_id", f.Page)
	return collect(ctx, s, "list the quarantine", readQuarantined, quarantined+rest, n.args...)
}

func readQuarantined(row pgx.CollectableRow) (q status.QuarantineItem, err error) {
	err = row.Scan(&q.ID, &q.Study, &q.Source, &q.Site, &q.Form, &q.Field, &q.Rule, &q.State, &q.Batch, &q.Ordinal, &q.Line, &q.FirstSeen, &q.Seen)
	q.FirstSeen = q.FirstSeen.UTC()
	return q, err
}

// QuarantinedRow answers one quarantined row with every delivery of it and what
// was decided.
func (s *Store) QuarantinedRow(ctx context.Context, id int64) (status.QuarantinedRow, error) {
	items, err := collect(ctx, s, "read the quarantined row", readQuarantined, quarantined+` WHERE q.quarantine_id = $1`, id)
	if err == nil && len(items) == 0 {
		err = status.NotFound(fmt.Sprintf("quarantined row %d", id))
	}
	if err != nil {
		return status.QuarantinedRow{}, err
	}
	row := status.QuarantinedRow{QuarantineItem: items[0]}
	if row.Sightings, err = collect(ctx, s, "read the quarantined row", readSighting, `
		SELECT g.batch_id, left(encode(b.object_digest, 'hex'), 12), g.ordinal, g.line, g.records, coalesce(o.newest, false), b.recorded_at
		FROM research.quarantine_sighting g JOIN research.batch b USING (batch_id) LEFT JOIN research.object_current o USING (batch_id)
		WHERE g.quarantine_id = $1 ORDER BY g.batch_id DESC, g.ordinal DESC`, id); err != nil {
		return status.QuarantinedRow{}, err
	}
	row.Decisions, err = collect(ctx, s, "read the quarantined row", readDecision, decided+` WHERE d.quarantine_id = $1 ORDER BY d.decision_id DESC`, id)
	return row, err
}

func readSighting(row pgx.CollectableRow) (g status.Sighting, err error) {
	err = row.Scan(&g.Batch, &g.Object, &g.Ordinal, &g.Line, &g.Records, &g.Current, &g.Seen)
	g.Seen = g.Seen.UTC()
	return g, err
}

// Deviations lists departures from the protocol, and findings of checks, as they
// are now, the ones that changed last first. An explanation is shown where it
// holds for the evidence of now.
func (s *Store) Deviations(ctx context.Context, f status.DeviationFilter) ([]status.DeviationItem, error) {
	var n narrowing
	n.equal("s.name", f.Study)
	n.equal("p.code", f.Participant)
	n.equal("d.code", f.Code)
	n.equal("d.kind", f.Kind)
	n.equal("d.state", f.State)
	n.conditions = append(n.conditions, `NOT EXISTS (SELECT 1 FROM research.deviation_version l
		  WHERE l.participant_id = d.participant_id AND l.visit_no = d.visit_no AND l.code = d.code AND l.detail = d.detail AND l.batch_id > d.batch_id)`)
	rest := n.page("d.deviation_id", f.Page)
	return collect(ctx, s, "list the deviations", readDeviation, `
		SELECT d.deviation_id, s.name, p.code, CASE WHEN d.visit_no = 0 THEN '' ELSE coalesce(v.visit_type, d.visit_no::text) END,
		       d.code, d.kind, d.state, d.detail, d.evidence, b.recorded_at, x.decision_id, x.reason, x.actor, x.recorded_at
		FROM research.deviation_version d
		JOIN research.participant p USING (participant_id)
		JOIN research.study s USING (study_id)
		JOIN research.batch b ON b.batch_id = d.batch_id
		LEFT JOIN LATERAL (SELECT visit_type FROM research.visit_version v
		  WHERE v.participant_id = d.participant_id AND v.visit_no = d.visit_no ORDER BY v.batch_id DESC LIMIT 1) v ON true
		LEFT JOIN LATERAL (SELECT decision_id, reason, actor, recorded_at FROM research.decision x
		  WHERE x.kind = 'explain' AND x.study_id = p.study_id AND x.participant_id = d.participant_id AND x.visit_no = d.visit_no
		    AND x.code = d.code AND x.detail = d.detail AND x.evidence = d.evidence ORDER BY decision_id DESC LIMIT 1) x ON true`+rest, n.args...)
}

func readDeviation(row pgx.CollectableRow) (d status.DeviationItem, err error) {
	var decision *int64
	var reason, by *string
	var at *time.Time
	err = row.Scan(&d.ID, &d.Study, &d.Code, &d.Visit, &d.DeviationCode, &d.Kind, &d.State, &d.Detail, &d.Evidence, &d.Since, &decision, &reason, &by, &at)
	d.Since = d.Since.UTC()
	if decision != nil {
		d.Explanation = &status.Explanation{Decision: *decision, Reason: orEmpty(reason), By: orEmpty(by), At: orZero(at)}
	}
	return d, err
}

const decided = `
	SELECT d.decision_id, d.kind, s.name, coalesce(p.code, ''), CASE WHEN d.visit_no = 0 THEN d.visit ELSE coalesce(v.visit_type, d.visit_no::text) END,
	       d.code, d.detail, d.evidence, d.source, coalesce(d.quarantine_id, 0), coalesce(d.lifts, 0),
	       EXISTS (SELECT 1 FROM research.decision u WHERE u.kind IN ('unlock', 'unlink') AND u.lifts = d.decision_id), d.reason, d.actor, d.recorded_at, d.signed_by
	FROM research.decision d JOIN research.study s USING (study_id)
	LEFT JOIN research.participant p USING (participant_id)
	LEFT JOIN LATERAL (SELECT visit_type FROM research.visit_version v
	  WHERE v.participant_id = d.participant_id AND v.visit_no = d.visit_no ORDER BY v.batch_id DESC LIMIT 1) v ON true`

// Decisions lists what people decided, newest first.
func (s *Store) Decisions(ctx context.Context, f status.DecisionFilter) ([]status.DecisionItem, error) {
	var n narrowing
	n.equal("s.name", f.Study)
	n.equal("p.code", f.Participant)
	n.equal("d.source", f.Source)
	n.equal("d.kind", f.Kind)
	rest := n.page("d.decision_id", f.Page)
	return collect(ctx, s, "list the decisions", readDecision, decided+rest, n.args...)
}

// SignedDecisions answers what every decision says and what was signed of it, oldest
// first; study "" is all. Notes stay in the vault.
func (s *Store) SignedDecisions(ctx context.Context, studyName string) ([]study.Decision, error) {
	return collect(ctx, s, "read the decisions", func(row pgx.CollectableRow) (d study.Decision, err error) {
		return d, row.Scan(&d.ID, &d.Kind, &d.Study, &d.Participant, &d.Visit, &d.Deviation.Code, &d.Deviation.VisitNo, &d.Deviation.Detail, &d.Evidence,
			&d.Source, &d.Quarantine, &d.Lifts, &d.SameAs, &d.Reason, &d.Actor, &d.Statement, &d.Signature, &d.SignedBy, &d.At)
	}, `SELECT decision_id, kind, s.name, coalesce(participant_id, 0), visit, code, visit_no, detail, evidence,
		  source, coalesce(quarantine_id, 0), coalesce(lifts, 0), coalesce(same_as, 0), reason, actor, statement, signature, signed_by, recorded_at
		FROM research.decision JOIN research.study s USING (study_id) WHERE $1 = '' OR s.name = $1 ORDER BY decision_id`, studyName)
}

// LockOn answers the lock in force on just what d would lock.
func (s *Store) LockOn(ctx context.Context, d study.Decision) (lock status.DecisionItem, there bool, err error) {
	locks, err := collect(ctx, s, "look for a lock", readDecision, decided+`
		WHERE d.kind = 'lock' AND s.name = $1 AND d.visit = $2 AND coalesce(d.participant_id, 0) = $3
		  AND NOT EXISTS (SELECT 1 FROM research.decision u WHERE u.kind = 'unlock' AND u.lifts = d.decision_id)
		ORDER BY d.decision_id LIMIT 1`, d.Study, d.Visit, d.Participant)
	if err != nil || len(locks) == 0 {
		return lock, false, err
	}
	return locks[0], true, nil
}

func readDecision(row pgx.CollectableRow) (d status.DecisionItem, err error) {
	err = row.Scan(&d.ID, &d.Kind, &d.Study, &d.Code, &d.Visit, &d.DeviationCode, &d.Detail, &d.Evidence, &d.Source, &d.Quarantined, &d.Lifts,
		&d.Lifted, &d.Reason, &d.By, &d.At, &d.SignedBy)
	d.At = d.At.UTC()
	return d, err
}
