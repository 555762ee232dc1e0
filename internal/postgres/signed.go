package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/internal/status"
)

// Look is somebody's wish to see rows as they were landed, which identify people.
type Look struct {
	At          time.Time   `json:"at"` // each look is signed anew
	Study       string      `json:"study"`
	Release     string      `json:"release"`
	Table       string      `json:"table"`
	Participant int64       `json:"participant"`
	Rows        []LandedRow `json:"rows"`
	Reason      string      `json:"reason"` // of lineage.Purposes
}

// LandedRow is a row of the object of a batch, from 1.
type LandedRow struct {
	Batch int64 `json:"batch"`
	Row   int64 `json:"row"`
}

func (l *Look) object() string { return "participant/" + itoa(int(l.Participant)) }

// Record is the look as the record that is signed.
func (l *Look) Record() people.Record {
	text, _ := json.Marshal(l) // numbers, times and strings always can be
	return people.Record{Type: "record_view", ID: l.object(), Version: audit.Time(l.At), Study: l.Study, SHA256: sha256.Sum256(text)}
}

// Looked records that a custodian, an auditor or a data manager is about to see rows
// as they were landed, by their signature. It is sealed before it answers: who may
// not, or cannot be noted, does not see them.
func (s *Store) Looked(ctx context.Context, l *Look, sig people.Signature) error {
	said, _ := people.ReadStatement(sig)
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		id, st, err := recordSignature(ctx, tx, sig, l.Record(), people.Custodian, people.Auditor, people.DataManager)
		if err != nil {
			return err
		}
		return record(ctx, tx, event{Action: audit.RecordViewed, Actor: st.Signer, Study: l.Study, Object: l.object(), Reason: l.Reason,
			Detail: map[string]any{"release": l.Release, "table": l.Table, "rows": l.Rows, "signature": id}})
	})
	return s.answer(ctx, said.Signer, l.Study, l.object(), fault("record who looks at originals", err))
}

// Redaction is the record that is signed so that the payload of an event is deleted
// for a reason. It refuses an event that has none.
func (s *Store) Redaction(ctx context.Context, target int64, reason string) (people.Record, error) {
	r, err := redaction(ctx, s.app, target, reason)
	return r, fault("find the payload", err)
}

func redaction(ctx context.Context, q querier, target int64, reason string) (people.Record, error) {
	r, err := redactionRecord(ctx, q, target, reason, ` JOIN audit.payload USING (event_id)`)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, status.NotFound("payload of event " + r.ID)
	}
	return r, err
}

// redactionRecord is the record of an event that beside, which is SQL, finds.
func redactionRecord(ctx context.Context, q querier, target int64, reason, beside string) (people.Record, error) {
	r := people.Record{Type: "audit_redaction", ID: itoa(int(target)), Version: "1"}
	var leaf []byte
	err := q.QueryRow(ctx, `SELECT leaf FROM audit.event`+beside+` WHERE event_id = $1`, target).Scan(&leaf)
	r.SHA256 = sha256.Sum256(append([]byte("longitude.redaction/1\n"+reason+"\n"), leaf...))
	return r, err
}

// Redact deletes the payload of an event, which got into it by mistake, for a reason
// of the closed list and by the signature of an admin or a custodian. The event
// stays, and the log says who deleted what.
func (s *Store) Redact(ctx context.Context, target int64, reason string, sig people.Signature) error {
	said, _ := people.ReadStatement(sig)
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		r, err := redaction(ctx, tx, target, reason)
		if err != nil {
			return err
		}
		id, st, err := recordSignature(ctx, tx, sig, r, people.Admin, people.Custodian)
		if err != nil {
			return err
		}
		if err := record(ctx, tx, event{Action: audit.AuditRedacted, Actor: st.Signer, Object: audit.RedactionOf(target), Reason: reason,
			Detail: map[string]any{"signature": id}}); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `SELECT audit.redact($1)`, target)
		return err
	})
	return s.answer(ctx, said.Signer, "", audit.RedactionOf(target), fault("redact the payload", err))
}
