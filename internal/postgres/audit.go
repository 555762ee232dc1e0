package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// event is what the work says of itself when it is recorded. Number, time, role
// and software are those of the connection.
type event struct {
	Action        audit.Action
	Actor         string
	Object        string
	Study         string
	Run           int64
	Outcome       string // "" = audit.OK
	Reason        string
	Before, After study.Digest
	Changed       []string
	Detail        map[string]any
	Payload       []byte // what could be personal; nil = nothing
}

// record appends an event inside the transaction of the work it tells of, and puts
// it on the list of those to be sealed.
func record(ctx context.Context, tx pgx.Tx, e event) error {
	out := audit.Event{Action: e.Action, Actor: e.Actor, Object: e.Object, Study: e.Study, Run: e.Run, Outcome: e.Outcome, Reason: e.Reason,
		Before: digestOrNone(e.Before), After: digestOrNone(e.After), Changed: e.Changed, Detail: e.Detail, Format: audit.Format}
	if out.Outcome == "" {
		out.Outcome = audit.OK
	}
	var now time.Time
	if err := tx.QueryRow(ctx, `SELECT nextval('audit.event_event_id_seq'), clock_timestamp(), current_user, coalesce(current_setting('longitude.software', true), '')`).
		Scan(&out.ID, &now, &out.Authority, &out.Software); err != nil {
		return err
	}
	out.At = audit.Time(now)
	if e.Payload != nil {
		var salt [audit.SaltSize]byte
		_, _ = rand.Read(salt[:]) // never fails
		out.Commitment = audit.Commit(salt, e.Payload)
		if _, err := tx.Exec(ctx, `INSERT INTO audit.payload (event_id, salt, payload) VALUES ($1, $2, $3)`, out.ID, salt[:], e.Payload); err != nil {
			return err
		}
	}
	leaf, err := out.Leaf()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		WITH added AS (
		  INSERT INTO audit.event (event_id, recorded_at, action, actor, object, run_id, study, outcome, authority, reason, software, leaf)
		  OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING event_id)
		INSERT INTO jobs.unsealed SELECT event_id FROM added`,
		out.ID, now, out.Action, out.Actor, out.Object, nullID(out.Run), out.Study, out.Outcome, out.Authority, out.Reason, out.Software, leaf)
	return err
}

// Audit records an event that goes with no other change: an export, a refusal.
func (s *Store) Audit(ctx context.Context, action audit.Action, actor, studyName, object, outcome string, detail map[string]any) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		return record(ctx, tx, event{Action: action, Actor: actor, Study: studyName, Object: object, Outcome: outcome, Detail: detail})
	})
	return fault("record the audit event", err)
}

// Refused records that somebody was refused what they asked for, when err refuses by
// authority or policy (exit 5), and answers err. The event says what it was about and
// the code of the refusal, never what was given. actor is who asked, "" when nobody
// can tell.
func (s *Store) Refused(ctx context.Context, actor, studyName, object string, err error) error {
	var refusal *study.Error
	if !errors.As(err, &refusal) || refusal.Exit != study.ExitBlocked {
		return err
	}
	return errors.Join(err, s.Audit(ctx, audit.AccessDenied, cmp.Or(actor, "unknown"), studyName, object, audit.Denied, map[string]any{"code": refusal.Code}))
}

// Viewed records that a person is about to see words that are sealed, and for what
// reason. It is sealed before it answers: who cannot be noted does not see them.
func (s *Store) Viewed(ctx context.Context, actor, reason, studyName, object string, detail map[string]any) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		return record(ctx, tx, event{Action: audit.RecordViewed, Actor: actor, Study: studyName, Object: object, Reason: reason, Detail: detail})
	})
	if err == nil {
		err = s.sealed(ctx)
	}
	return fault("record who looks at originals", err)
}

func nullID(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}
