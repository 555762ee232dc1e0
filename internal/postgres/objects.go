package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
	"longitude/study"
)

// Unsettled answers the participants of whom objects brought something since the
// study was last judged without news, ascending. A re-judging of some of them
// (its batch has an Item) settles nothing for the others.
func (s *Store) Unsettled(ctx context.Context, studyName string) ([]int64, error) {
	reg, err := s.known(studyName)
	if err != nil {
		return nil, err
	}
	return unsettled(ctx, s.app, reg)
}

// Unsettled is Store.Unsettled while nothing else of the study can be recorded.
func (in *Ingest) Unsettled(ctx context.Context) ([]int64, error) {
	return unsettled(ctx, in.tx, in.reg)
}

// unsettled looks through the versions since the oldest batch that is not settled,
// in one go however many there are: IS TRUE keeps the list out of the index.
func unsettled(ctx context.Context, q querier, reg *registered) ([]int64, error) {
	const doing = "list what is not settled"
	rows, err := q.Query(ctx, `
		SELECT batch_id FROM research.batch WHERE study_id = $1 AND kind <> 'rejudge' AND batch_id > coalesce(
		  (SELECT max(batch_id) FROM research.batch WHERE study_id = $1 AND kind = 'rejudge' AND item = ''), 0)`, reg.id)
	if err != nil {
		return nil, fault(doing, err)
	}
	batches, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(batches) == 0 {
		return nil, fault(doing, err)
	}
	if rows, err = q.Query(ctx, `
		SELECT participant_id FROM research.record_version WHERE batch_id >= $2 AND (batch_id = ANY($1)) IS TRUE UNION
		SELECT participant_id FROM research.visit_version WHERE batch_id >= $2 AND (batch_id = ANY($1)) IS TRUE ORDER BY 1`, batches, slices.Min(batches)); err != nil {
		return nil, fault(doing, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, fault(doing, err)
}

// Objects answers every object of the source as it was read last, in order of
// landing; onlyQuarantined: those in which rows wait, or that were put aside.
func (s *Store) Objects(ctx context.Context, source string, onlyQuarantined bool) ([]study.LandedObject, error) {
	from := ""
	if onlyQuarantined {
		from = withWaiting("")
	}
	objects, err := s.objects(ctx, from+` WHERE o.source = $1`, source)
	return objects[source], err
}

// QuarantinedIn answers the objects in which the quarantined rows wait, by
// source, in order of landing. A row that waits no more is in none.
func (s *Store) QuarantinedIn(ctx context.Context, ids []int64) (map[string][]study.LandedObject, error) {
	known, err := collect(ctx, s, "find the quarantined rows", pgx.RowTo[int64], `SELECT quarantine_id FROM research.quarantine WHERE quarantine_id = ANY($1)`, ids)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if !slices.Contains(known, id) {
			return nil, status.NotFound("quarantined row " + itoa(int(id)))
		}
	}
	return s.objects(ctx, withWaiting(`WHERE g.quarantine_id = ANY($1)`), ids)
}

// withWaiting narrows objects to those that reading again may help: a row of them
// is open, or they were put aside and nobody has waived what put them there.
func withWaiting(rows string) string {
	return ` JOIN (SELECT g.batch_id, bool_or(c.state = 'open') AS open, bool_or(c.state <> 'waived') AS wanted
		FROM research.quarantine_sighting g JOIN research.quarantine_current c USING (quarantine_id) ` + rows + ` GROUP BY g.batch_id) w
		ON w.batch_id = o.batch_id AND (w.open OR o.aside AND w.wanted)`
}

func (s *Store) objects(ctx context.Context, rest string, args ...any) (map[string][]study.LandedObject, error) {
	rows, err := s.app.Query(ctx, `
		SELECT o.source, o.object_digest, o.object_size, o.landed, o.batch_id, o.item, b.recorded_at, b.precedence
		FROM research.object_current o JOIN research.batch b ON b.batch_id = o.landed`+rest+` ORDER BY o.landed`, args...)
	if err != nil {
		return nil, fault("list the objects", err)
	}
	out := map[string][]study.LandedObject{}
	var source string
	var digest []byte
	var o study.LandedObject
	_, err = pgx.ForEachRow(rows, []any{&source, &digest, &o.Object.Size, &o.Batch, &o.Latest, &o.Item, &o.At, &o.Precedence}, func() error {
		copy(o.Object.Digest[:], digest)
		out[source] = append(out[source], o)
		return nil
	})
	return out, fault("list the objects", err)
}
