package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// LockSource takes the source for this process: one run at a time per source,
// across all processes. ok is false when someone else has it, which is a normal
// answer. The lock goes with its own connection, so a killed process frees it,
// and runs that hold one cannot use up the pool that they work with.
func (s *Store) LockSource(ctx context.Context, source string) (unlock func(), ok bool, err error) {
	return s.lock(ctx, "longitude.source."+source)
}

// LockRelease takes the building of releases of a study for this process.
func (s *Store) LockRelease(ctx context.Context, studyName string) (unlock func(), ok bool, err error) {
	return s.lock(ctx, "longitude.release."+studyName)
}

func (s *Store) lock(ctx context.Context, name string) (func(), bool, error) {
	conn, err := pgx.ConnectConfig(ctx, s.app.Config().ConnConfig)
	if err != nil {
		return nil, false, fault("take a lock", err)
	}
	hangUp := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		// Closing frees the lock too, but only once the server has noticed.
		_, _ = conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`)
		_ = conn.Close(ctx)
	}
	var ok bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 0))`, name).Scan(&ok); err != nil || !ok {
		hangUp()
		return nil, false, fault("take a lock", err)
	}
	return hangUp, true, nil
}

// StartRun opens a run. Runs of the same kind, study and source that a killed
// process left running are closed as interrupted first: the caller holds the lock.
// What is to be told of them is noted in the same transaction.
func (s *Store) StartRun(ctx context.Context, kind, studyName, source, trigger string) (id int64, err error) {
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			UPDATE jobs.run SET state = 'interrupted', finished_at = clock_timestamp(), error_code = 'run.interrupted',
			  error_text = 'the process ended before the run did', error_hint = 'nothing to do: the next run carries on'
			WHERE kind = $1 AND study = $2 AND source = $3 AND state = 'running' RETURNING run_id`, kind, studyName, source)
		if err != nil {
			return err
		}
		told, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `INSERT INTO jobs.run (kind, study, source, trigger, software, state) VALUES ($1, $2, $3, $4, $5, 'running') RETURNING run_id`,
			kind, studyName, source, trigger, s.software).Scan(&id); err != nil {
			return err
		}
		return s.toTell(ctx, tx, append(told, id)...)
	})
	return id, fault("open a run", err)
}

// FinishRun closes a run with its counts and, when it failed, why. A run that
// was told to stop did not fail: it is interrupted, as one that was killed.
func (s *Store) FinishRun(ctx context.Context, id int64, objects int, c study.Counts, failure error) error {
	state, text, e := "succeeded", "", &study.Error{}
	switch {
	case failure == nil:
	case errors.Is(failure, context.Canceled):
		e = &study.Error{Code: "run.interrupted", Op: "the run was told to stop", Hint: "nothing to do: the next run carries on"}
		state, text = "interrupted", e.Op
	default:
		if !errors.As(failure, &e) {
			e = &study.Error{Code: "internal", Op: "an internal error", Hint: "see the log of this run"}
		}
		state, text = "failed", publicly(e)
	}
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE jobs.run SET state = $2, finished_at = clock_timestamp(), objects = $3,
			  rows_read = $4, rows_mapped = $5, rows_quarantined = $6, rows_ignored = $7,
			  records_produced = $8, records_accepted = $9, records_unchanged = $10, records_superseded = $11,
			  records_quarantined = $12, records_held = $13, error_code = $14, error_text = $15, error_hint = $16, records_removed = $17
			WHERE run_id = $1`, id, state, objects, c.Read, c.Mapped, c.RowsQuarantined, c.Ignored,
			c.Produced, c.Accepted, c.Unchanged, c.Superseded, c.Quarantined, c.Held, e.Code, text, e.Hint, c.Removed)
		if err != nil {
			return err
		}
		return s.toTell(ctx, tx, id)
	})
	return fault("close the run", err)
}

// publicly is what an error says in our own words: what is under it, from a file
// system or a server, may name files, and runs are told of outside.
func publicly(e *study.Error) string {
	told := *e
	told.Err = nil
	var under *study.Error
	if errors.As(e.Err, &under) {
		told.Err = errors.New(publicly(under))
	}
	return told.Error()
}

// Cursor answers what of a source is durable, without what a person asked for again.
func (s *Store) Cursor(ctx context.Context, source string) (state []byte, known map[string]string, err error) {
	err = s.app.QueryRow(ctx, `SELECT state FROM jobs.cursor WHERE source = $1`, source).Scan(&state)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, fault("read the cursor", err)
	}
	known, err = s.versions(ctx, `
		SELECT item, version FROM jobs.item i WHERE source = $1
		  AND NOT EXISTS (SELECT 1 FROM jobs.file f WHERE f.source = i.source AND f.item = i.item AND f.outcome = 'again')
		UNION ALL SELECT item, version FROM jobs.file WHERE source = $1 AND outcome IN ('recorded', 'known', 'put_aside')`, source)
	return state, known, err
}

// NextDue answers when a source is due. A schedule that is new, or written
// differently than before, starts at first.
func (s *Store) NextDue(ctx context.Context, source, cron string, first time.Time) (due time.Time, err error) {
	err = s.app.QueryRow(ctx, `
		INSERT INTO jobs.schedule (source, cron, next_due) VALUES ($1, $2, $3)
		ON CONFLICT (source) DO UPDATE SET cron = EXCLUDED.cron,
		  next_due = CASE WHEN jobs.schedule.cron = EXCLUDED.cron THEN jobs.schedule.next_due ELSE EXCLUDED.next_due END
		RETURNING next_due`, source, cron, first).Scan(&due)
	return due, fault("read the schedule", err)
}

// SetNextDue moves a source's schedule on.
func (s *Store) SetNextDue(ctx context.Context, source string, due time.Time) error {
	_, err := s.app.Exec(ctx, `UPDATE jobs.schedule SET next_due = $2 WHERE source = $1`, source, due)
	return fault("move the schedule on", err)
}
