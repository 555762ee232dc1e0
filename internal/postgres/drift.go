package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// AcceptedShape answers what the objects of a source look like: what was recorded
// last. ok is false before the first object, and after a person decided to accept
// whatever shape comes next.
func (in *Ingest) AcceptedShape(ctx context.Context, source string) (shape study.Shape, ok bool, err error) {
	var body []byte
	err = in.tx.QueryRow(ctx, `
		SELECT s.shape FROM research.source_shape s
		WHERE s.source = $2 AND NOT EXISTS (SELECT 1 FROM research.source_shape n WHERE n.source = $2 AND n.batch_id > s.batch_id)
		  AND NOT EXISTS (SELECT 1 FROM research.decision d
		    WHERE d.study_id = $1 AND d.kind = 'accept_shape' AND d.source = $2 AND d.after_batch >= s.batch_id)`, in.reg.id, source).Scan(&body)
	if errors.Is(err, pgx.ErrNoRows) {
		return shape, false, nil
	}
	if err == nil {
		err = json.Unmarshal(body, &shape)
	}
	return shape, err == nil, fault("read the shape of the source", err)
}

// RecordShape makes s the accepted shape of the source, unless it is that
// already, and records what has drifted. With the accepted shape itself it
// records the drift alone, as of an object that is put aside.
func (in *Ingest) RecordShape(ctx context.Context, source string, s study.Shape, drifts []study.Drift) error {
	accepted, ok, err := in.AcceptedShape(ctx, source)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	if !ok || !reflect.DeepEqual(accepted, s) {
		body, err := json.Marshal(s)
		if err != nil {
			return err
		}
		b.Queue(`INSERT INTO research.source_shape (source, batch_id, shape) VALUES ($1, $2, $3)`, source, in.batch, body)
	}
	for _, d := range drifts {
		b.Queue(`INSERT INTO research.drift_event (source, batch_id, kind, column_name, was, becomes, mapped, action) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			source, in.batch, d.Kind, d.Column, d.From, d.To, d.Mapped, d.Action)
	}
	if b.Len() == 0 {
		return nil
	}
	return fault("record the shape of the source", in.tx.SendBatch(ctx, b).Close())
}

// RecordFreeze records the changes that stopped a source, with their audit event,
// unless this version of the object has brought them before.
func (s *Store) RecordFreeze(ctx context.Context, studyName, actor string, f study.Frozen) error {
	reg, err := s.known(studyName)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		var changes []string
		for _, d := range f.Drifts {
			tag, err := tx.Exec(ctx, `
				INSERT INTO research.drift_event (source, kind, column_name, was, becomes, mapped, action, study_id, run_id, item, object_digest, recorded_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp()) ON CONFLICT DO NOTHING`,
				f.Source, d.Kind, d.Column, d.From, d.To, d.Mapped, d.Action, reg.id, f.RunID, f.Item, f.Object[:])
			if err != nil {
				return err
			}
			if tag.RowsAffected() > 0 {
				changes = append(changes, string(d.Kind))
			}
		}
		if len(changes) == 0 {
			return nil
		}
		return record(ctx, tx, event{Action: audit.SourceFrozen, Actor: actor, Study: studyName, Object: "source/" + f.Source, Run: f.RunID,
			Detail: map[string]any{"source": f.Source, "item": f.Item, "object": f.Object.String(), "changes": changes}})
	})
	return fault("record what stopped a source", err)
}
