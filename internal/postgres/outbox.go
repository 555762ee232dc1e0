package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/openlineage"
	"longitude/internal/status"
	"longitude/study"
)

// Tell puts a run that began or ended into the event that is delivered.
type Tell func(openlineage.Run) ([]byte, error)

// TellRuns has events of runs put into the outbox, in the transactions in which
// the runs begin and end.
func (s *Store) TellRuns(tell Tell) { s.tell = tell }

// toTell puts one event of each run, as it is now, into the outbox.
func (s *Store) toTell(ctx context.Context, tx pgx.Tx, runs ...int64) error {
	if s.tell == nil {
		return nil
	}
	for _, id := range runs {
		r, err := runToTell(ctx, tx, id)
		if err != nil {
			return err
		}
		event, err := s.tell(r)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO jobs.outbox (run_id, event) VALUES ($1, $2)`, id, string(event)); err != nil {
			return err
		}
	}
	return nil
}

func runToTell(ctx context.Context, tx pgx.Tx, id int64) (r openlineage.Run, err error) {
	c := &r.Counts
	var started time.Time
	err = tx.QueryRow(ctx, `
		SELECT lineage_id::text, kind, study, source, state, started_at, coalesce(finished_at, started_at), error_text, objects,
		  rows_read, rows_mapped, rows_quarantined, rows_ignored, records_produced, records_accepted, records_unchanged, records_superseded,
		  records_quarantined, records_held, records_removed
		FROM jobs.run WHERE run_id = $1`, id).Scan(&r.ID, &r.Kind, &r.Study, &r.Source, &r.State, &started, &r.At, &r.Error, &r.Objects,
		&c.Read, &c.Mapped, &c.RowsQuarantined, &c.Ignored, &c.Produced, &c.Accepted, &c.Unchanged, &c.Superseded, &c.Quarantined, &c.Held, &c.Removed)
	if err != nil || r.Kind != "release" || r.State == "running" {
		return r, err
	}
	// Releases of a study are built one at a time, so what was published since is this run's.
	rows, err := tx.Query(ctx, `
		SELECT p.release_id, p.location, p.sizes FROM research.release_publication p JOIN research.release r USING (release_id) JOIN research.study s USING (study_id)
		WHERE s.name = $1 AND p.published_at >= $2 AND p.published_at <= $3 ORDER BY p.release_id, p.sink`, r.Study, started, r.At)
	if err != nil {
		return r, err
	}
	var p openlineage.Publication
	_, err = pgx.ForEachRow(rows, []any{&p.Release, &p.Location, &p.Sizes}, func() error {
		r.Published = append(r.Published, p)
		p.Sizes = nil
		return nil
	})
	return r, err
}

// Deliver hands the events in the outbox to deliver, those of one run in their
// order, until none is due or one does not get through. An event leaves the outbox
// once it is delivered: killed in between, it is delivered twice and never lost.
// What the receiver never takes stays, marked. One process delivers at a time.
func (s *Store) Deliver(ctx context.Context, deliver func(context.Context, []byte) error) error {
	unlock, ok, err := s.lock(ctx, "longitude.outbox")
	if err != nil || !ok {
		return err
	}
	defer unlock()
	for ctx.Err() == nil {
		var id int64
		var event string
		var attempts int
		err := s.app.QueryRow(ctx, `
			SELECT outbox_id, event, attempts FROM jobs.outbox o
			WHERE refused = '' AND not_before <= clock_timestamp()
			  AND NOT EXISTS (SELECT FROM jobs.outbox e WHERE e.run_id = o.run_id AND e.outbox_id < o.outbox_id AND e.refused = '')
			ORDER BY outbox_id LIMIT 1`).Scan(&id, &event, &attempts)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fault("read the outbox", err)
		}
		if err := s.settleEvent(ctx, id, attempts, deliver(ctx, []byte(event))); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Outbox answers what waits in the outbox.
func (s *Store) Outbox(ctx context.Context) (o status.Outbox, err error) {
	err = s.app.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE refused = ''), count(*) FILTER (WHERE refused <> ''),
		  greatest(coalesce(clock_timestamp() - min(recorded_at) FILTER (WHERE refused = ''), interval '0'), interval '0') FROM jobs.outbox`).
		Scan(&o.Waiting, &o.Refused, &o.Oldest)
	return o, fault("look into the outbox", err)
}

// settleEvent notes what became of one delivery. The error of one that is to be
// tried again ends the delivering.
func (s *Store) settleEvent(ctx context.Context, id int64, attempts int, failure error) error {
	var e *study.Error
	switch {
	case failure == nil:
		_, err := s.app.Exec(ctx, `DELETE FROM jobs.outbox WHERE outbox_id = $1`, id)
		return fault("empty the outbox", err)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(failure, &e) && !e.Temporary:
		_, err := s.app.Exec(ctx, `UPDATE jobs.outbox SET refused = $2, attempts = attempts + 1 WHERE outbox_id = $1`, id, e.Code)
		return fault("mark a refused event", err)
	}
	wait := min(time.Second<<min(attempts, 9), 5*time.Minute)
	if e != nil && e.RetryAfter > 0 {
		wait = e.RetryAfter
	}
	_, err := s.app.Exec(ctx, `UPDATE jobs.outbox SET attempts = attempts + 1, not_before = clock_timestamp() + $2 WHERE outbox_id = $1`, id, wait)
	return errors.Join(failure, fault("put off an event", err))
}
