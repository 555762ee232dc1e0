package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/status"
	"longitude/study"
)

// Decide records what a person decided, with its audit event, and answers its
// number. It refuses what is about nothing that exists, and what would change
// nothing. It waits for an open ingest of the study: a decision stands between
// two batches, so that what is read as of a batch is always the same.
func (s *Store) Decide(ctx context.Context, d study.Decision) (int64, error) {
	reg, err := s.shown(d.Study)
	if err != nil {
		return 0, err
	}
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.plan'), $1)`, int32(reg.id)); err != nil {
			return err
		}
		about, err := decidable(ctx, tx, reg, &d)
		if err != nil {
			return err
		}
		if err := insertDecision(ctx, tx, reg, &d); err != nil {
			return err
		}
		if d.Kind == study.LockData {
			about = "lock/" + itoa(int(d.ID))
		}
		return record(ctx, tx, event{Action: audit.Action("decision." + string(d.Kind)), Actor: d.Actor, Study: d.Study, Object: about, Reason: d.Reason,
			After: sha256.Sum256(d.Statement),
			Detail: map[string]any{"decision": d.ID, "study": d.Study, "participant": d.Participant, "visit": d.Visit, "deviation": d.Deviation.Code,
				"visit_no": d.Deviation.VisitNo, "detail": d.Deviation.Detail, "signed_by": d.SignedBy}})
	})
	return d.ID, fault("record the decision", err)
}

// insertDecision gives d its number, from the allocation, so that a decision that
// is not recorded leaves no gap.
func insertDecision(ctx context.Context, tx pgx.Tx, reg *registered, d *study.Decision) error {
	if err := tx.QueryRow(ctx, `UPDATE research.allocation SET next = next + 1 WHERE what = 'decision' RETURNING next - 1`).Scan(&d.ID); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO research.decision (decision_id, kind, study_id, after_batch, participant_id, visit, code, visit_no, detail, evidence,
		  source, quarantine_id, lifts, same_as, reason, actor, statement, signature, signed_by, recorded_at)
		VALUES ($1, $2, $3, (SELECT coalesce(max(batch_id), 0) FROM research.batch WHERE study_id = $3), $4, $5, $6, $7, $8, $9,
		  $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
		d.ID, d.Kind, reg.id, nullID(d.Participant), d.Visit, d.Deviation.Code, d.Deviation.VisitNo, d.Deviation.Detail, d.Evidence,
		d.Source, nullID(d.Quarantine), nullID(d.Lifts), nullID(d.SameAs), d.Reason, d.Actor, d.Statement, d.Signature, d.SignedBy, d.At); err != nil {
		return err
	}
	if d.Note == nil {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO vault.decision_note (decision_id, key_version, box) VALUES ($1, $2, $3)`, d.ID, d.KeyVersion, d.Note)
	return err
}

// decidable refuses a decision about nothing, and answers what it is about.
func decidable(ctx context.Context, tx pgx.Tx, reg *registered, d *study.Decision) (about string, err error) {
	if d.Participant != 0 {
		if err := exists(ctx, tx, "participant "+itoa(int(d.Participant)),
			`SELECT FROM research.participant WHERE study_id = $1 AND participant_id = $2`, reg.id, d.Participant); err != nil {
			return "", err
		}
	}
	if _, known := reg.visitOf[d.Visit]; d.Visit != "" && !known {
		return "", status.NotFound("visit type " + d.Visit)
	}
	switch d.Kind {
	case study.Explain:
		return fmt.Sprintf("participant/%d", d.Participant), explainable(ctx, tx, d)
	case study.Waive:
		return fmt.Sprintf("quarantine/%d", d.Quarantine), waivable(ctx, tx, reg, d)
	case study.LockData:
		return fmt.Sprintf("participant/%d", d.Participant), lockable(ctx, tx, reg, d)
	case study.UnlockData:
		return fmt.Sprintf("lock/%d", d.Lifts), liftable(ctx, tx, reg, d)
	case study.Link, study.Unlink, study.Withdraw:
		return fmt.Sprintf("participant/%d", d.Participant), personal(ctx, tx, reg, d)
	case study.AcceptShape:
		return "source/" + d.Source, exists(ctx, tx, "a shape of source "+d.Source,
			`SELECT FROM research.source_shape h JOIN research.batch b USING (batch_id) WHERE b.study_id = $1 AND h.source = $2`, reg.id, d.Source)
	}
	return fmt.Sprintf("participant/%d", d.Participant), nil
}

// exists is NotFound of what when the query answers no row.
func exists(ctx context.Context, tx pgx.Tx, what, sql string, args ...any) error {
	var found bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (`+sql+`)`, args...).Scan(&found)
	if err == nil && !found {
		err = status.NotFound(what)
	}
	return err
}

func explainable(ctx context.Context, tx pgx.Tx, d *study.Decision) error {
	var state study.DeviationState
	var evidence string
	err := tx.QueryRow(ctx, `
		SELECT state, evidence FROM research.deviation_version
		WHERE participant_id = $1 AND visit_no = $2 AND code = $3 AND detail = $4 ORDER BY batch_id DESC LIMIT 1`,
		d.Participant, d.Deviation.VisitNo, d.Deviation.Code, d.Deviation.Detail).Scan(&state, &evidence)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return status.NotFound("deviation " + d.Deviation.Code)
	case err != nil:
		return err
	case state == study.Resolved:
		return &study.Error{Code: "decision.resolved", Op: "the deviation " + d.Deviation.Code + " is resolved: its cause has gone",
			Hint: "nothing is left to explain; `longitude deviation list` shows what is open", Exit: study.ExitBlocked}
	case evidence != d.Evidence:
		return outdated(d.Deviation.Code)
	}
	return nil
}

func outdated(deviation string) error {
	return &study.Error{Code: "decision.outdated", Op: "the deviation " + deviation + " has changed since it was looked at",
		Hint: "look at it again: `longitude deviation list` shows it under its new number", Exit: study.ExitBlocked}
}

func waivable(ctx context.Context, tx pgx.Tx, reg *registered, d *study.Decision) error {
	if err := exists(ctx, tx, fmt.Sprintf("quarantined row %d", d.Quarantine),
		`SELECT FROM research.quarantine WHERE study_id = $1 AND quarantine_id = $2`, reg.id, d.Quarantine); err != nil {
		return err
	}
	return undecided(ctx, tx, fmt.Sprintf("quarantined row %d", d.Quarantine), "waived",
		`SELECT FROM research.decision WHERE kind = 'waive' AND quarantine_id = $1`, d.Quarantine)
}

// lockable refuses a second lock on just the same, of two who lock at once too.
func lockable(ctx context.Context, tx pgx.Tx, reg *registered, d *study.Decision) error {
	return undecided(ctx, tx, "what this would lock", "locked", `
		SELECT FROM research.decision d WHERE kind = 'lock' AND study_id = $1 AND visit = $2 AND coalesce(participant_id, 0) = $3
		  AND NOT EXISTS (SELECT FROM research.decision u WHERE u.kind = 'unlock' AND u.lifts = d.decision_id)`, reg.id, d.Visit, d.Participant)
}

func liftable(ctx context.Context, tx pgx.Tx, reg *registered, d *study.Decision) error {
	if err := exists(ctx, tx, fmt.Sprintf("lock %d", d.Lifts),
		`SELECT FROM research.decision WHERE study_id = $1 AND decision_id = $2 AND kind = 'lock'`, reg.id, d.Lifts); err != nil {
		return err
	}
	return undecided(ctx, tx, fmt.Sprintf("lock %d", d.Lifts), "lifted",
		`SELECT FROM research.decision WHERE kind = 'unlock' AND lifts = $1`, d.Lifts)
}

// undecided refuses to do again what the query finds done.
func undecided(ctx context.Context, tx pgx.Tx, what, done, sql string, args ...any) error {
	var decided bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (`+sql+`)`, args...).Scan(&decided); err != nil || !decided {
		return err
	}
	return &study.Error{Code: "decision.repeated", Op: what + " is " + done + " already", Hint: "nothing to do: a decision is recorded once and for good", Exit: study.ExitBlocked}
}

// DeviationByID answers a deviation by the number of its current version, with
// the study and the participant it is about.
func (s *Store) DeviationByID(ctx context.Context, id int64) (studyName string, participant int64, d study.Deviation, err error) {
	var current bool
	err = s.app.QueryRow(ctx, `
		SELECT s.name, d.participant_id, d.code, d.visit_no, d.detail, d.kind, d.state, d.evidence,
		       NOT EXISTS (SELECT 1 FROM research.deviation_version l WHERE l.participant_id = d.participant_id
		         AND l.visit_no = d.visit_no AND l.code = d.code AND l.detail = d.detail AND l.batch_id > d.batch_id)
		FROM research.deviation_version d JOIN research.participant p USING (participant_id) JOIN research.study s USING (study_id)
		WHERE d.deviation_id = $1`, id).Scan(&studyName, &participant, &d.Code, &d.VisitNo, &d.Detail, &d.Kind, &d.State, &d.Evidence, &current)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = status.NotFound(fmt.Sprintf("deviation %d", id))
	case err == nil && !current:
		err = outdated(fmt.Sprint(id))
	}
	return studyName, participant, d, fault("find the deviation", err)
}

// ParticipantByCode answers the number of the participant that any of whose codes is
// code, those of linked participants among them.
func (s *Store) ParticipantByCode(ctx context.Context, studyName, code string) (id int64, err error) {
	reg, err := s.shown(studyName)
	if err != nil {
		return 0, err
	}
	err = s.app.QueryRow(ctx, `
		SELECT coalesce(l.same_as, p.participant_id) FROM research.participant_identity i JOIN research.participant p USING (participant_id)
		LEFT JOIN research.participant_link l USING (participant_id)
		WHERE i.code = $1 AND p.study_id = $2`, code, reg.id).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = status.NotFound("participant " + code)
	}
	return id, fault("find the participant", err)
}
