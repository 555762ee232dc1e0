package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// EraseIdentities deletes what the vault holds of the participants of a request
// that was started, and has their identities never come back. Doing it again
// deletes nothing more.
func (s *Store) EraseIdentities(ctx context.Context, r *VaultState) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		// An open ingest ends first, or it would add what was just deleted.
		if err := s.holdIngest(ctx, tx, r.Study); err != nil {
			return err
		}
		for _, participant := range r.Participants {
			if _, err := tx.Exec(ctx, `SELECT vault.erase($1, $2)`, r.ID, participant); err != nil {
				return err
			}
		}
		return nil
	})
	return fault("erase the identities", err)
}

func (s *Store) holdIngest(ctx context.Context, tx pgx.Tx, studyName string) error {
	reg, err := s.shown(studyName)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.plan'), $1)`, int32(reg.id))
	return err
}

// EraseRows deletes what quarantine holds of rows of a landed object, the notes on
// it, and the name of the object, which may be a person's.
func (s *Store) EraseRows(ctx context.Context, request int64, o study.LandedObject, rows study.ErasedRows) error {
	_, err := s.app.Exec(ctx, `
		WITH batches AS (SELECT array_agg(batch_id) AS ids FROM research.batch WHERE batch_id = $2 OR origin_batch = $2)
		SELECT vault.erase_rows($1, ids, $3::bigint[]::int[] ||
		  ARRAY (SELECT ordinal FROM research.quarantine_sighting WHERE batch_id = ANY (ids) AND ordinal > $4)) FROM batches`,
		request, o.Batch, rows.Ordinals, rows.Beyond)
	return fault("erase quarantined rows", err)
}

// Erased records that an erasure is complete, and seals that.
func (s *Store) Erased(ctx context.Context, r *VaultState, actor string, detail map[string]any) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		now, err := vaultTurn(ctx, tx)
		if err != nil {
			return err
		}
		// Another process may have taken it up too, and be done.
		stands, err := s.readVault(ctx, tx, r.ID, now)
		if err != nil {
			return err
		}
		if err := stands.mustBe("started"); err != nil {
			return err
		}
		if err := addStep(ctx, tx, &r.VaultRequest, "executed", actor, now); err != nil {
			return err
		}
		return record(ctx, tx, event{Action: audit.VaultExecuted, Actor: actor, Study: r.Study, Object: r.object(), Reason: r.Purpose, Detail: detail})
	})
	return s.answer(ctx, actor, r.Study, r.object(), fault("record the erasure", err))
}

// SourcesOf lists the sources that objects of a study came from, configured or not.
func (s *Store) SourcesOf(ctx context.Context, studyName string) ([]string, error) {
	reg, err := s.shown(studyName)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s, "list the sources", pgx.RowTo[string], `SELECT DISTINCT source FROM research.batch WHERE study_id = $1 AND kind = 'object' ORDER BY 1`, reg.id)
}
