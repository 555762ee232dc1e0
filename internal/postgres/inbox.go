package postgres

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
	"longitude/study"
)

// Receive makes requests durable, all of them or none, and answers a receipt for
// each. Whoever adds holds a lock until its commit, so numbers are in the order of
// commit: who has read up to one misses none below it.
func (s *Store) Receive(ctx context.Context, requests []study.Request) ([]study.Receipt, error) {
	type name struct {
		source string
		key    study.Digest
	}
	added := make(map[name]int, len(requests)) // the first of each key
	var sources []string
	var keys, contents, boxes [][]byte
	var sizes []int32
	for i := range requests {
		r := &requests[i]
		n := name{r.Source, r.Key}
		if _, twice := added[n]; twice {
			continue
		}
		added[n] = i
		sources, keys, contents = append(sources, r.Source), append(keys, r.Key[:]), append(contents, r.Content[:])
		boxes, sizes = append(boxes, r.Box), append(sizes, int32(r.Size))
	}
	type kept struct {
		id      int64
		content study.Digest
		known   bool
	}
	found := make(map[name]kept, len(added))
	// One implicit transaction, one round trip. The lock is its own statement: what
	// follows sees what its last holder committed.
	b := &pgx.Batch{}
	b.Queue(`SELECT set_config('synchronous_commit', 'on', true), pg_advisory_xact_lock(hashtext('longitude.inbox'))`)
	b.Queue(`
		WITH sent AS (SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::int[], $5::bytea[]) WITH ORDINALITY AS s (source, key, content, size, box, n)),
		added AS (
		  INSERT INTO audit.received (source, key, content, size) SELECT source, key, content, size FROM sent ORDER BY n
		  ON CONFLICT (source, key) DO NOTHING RETURNING received_id, source, key, content),
		kept AS (
		  INSERT INTO jobs.inbox (source, received_id, key, size, box) SELECT source, received_id, key, size, box FROM added JOIN sent USING (source, key))
		SELECT received_id, source, key, content, false FROM added
		UNION ALL SELECT r.received_id, r.source, r.key, r.content, true FROM audit.received r JOIN sent USING (source, key)`,
		sources, keys, contents, sizes, boxes).Query(func(rows pgx.Rows) error {
		var n name
		var k kept
		var key, content []byte
		_, err := pgx.ForEachRow(rows, []any{&k.id, &n.source, &key, &content, &k.known}, func() error {
			n.key, k.content = study.Digest(key), study.Digest(content)
			found[n] = k
			return nil
		})
		return err
	})
	if err := s.app.SendBatch(ctx, b).Close(); err != nil {
		return nil, fault("keep what was received", err)
	}
	receipts := make([]study.Receipt, len(requests))
	for i := range requests {
		n := name{requests[i].Source, requests[i].Key}
		k := found[n]
		receipts[i] = study.Receipt{ID: k.id, Known: k.known || added[n] != i, Reused: k.content != requests[i].Content}
	}
	return receipts, nil
}

// Group answers the first and last request of the next object of a source behind a
// request: what it answered before, else at most so many requests, of at most
// groupBytes.
func (s *Store) Group(ctx context.Context, source string, after int64, most int) (first, last int64, ok bool, err error) {
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		// Two who ask at once answer the same.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.inbox.group'), hashtext($1))`, source); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			WITH decided AS (
			  SELECT first_id, last_id FROM jobs.inbox_group WHERE source = $1 AND first_id > $2 ORDER BY first_id LIMIT 1),
			waiting AS (
			  SELECT received_id, sum(size) OVER (ORDER BY received_id) AS bytes, row_number() OVER (ORDER BY received_id) AS n
			  FROM (SELECT received_id, size FROM jobs.inbox WHERE source = $1 AND received_id > $2 ORDER BY received_id LIMIT $3) w),
			next AS (
			  INSERT INTO jobs.inbox_group SELECT $1, min(received_id), max(received_id) FROM waiting
			  WHERE (bytes <= $4 OR n = 1) AND NOT EXISTS (SELECT FROM decided) HAVING count(*) > 0 RETURNING first_id, last_id)
			SELECT * FROM decided UNION ALL SELECT * FROM next`, source, after, most, groupBytes)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&first, &last}, func() error {
			ok = true
			return nil
		})
		return err
	})
	return first, last, ok, fault("read the inbox", err)
}

// groupBytes bounds the requests that become one object.
const groupBytes = 64 << 20

// Kept is the sealed content of a request, and the key it is bound to.
type Kept struct {
	Key study.Digest
	Box []byte
}

// contentsAtOnce bounds what Contents reads at once.
const contentsAtOnce = 64

// Contents reads what is kept of the requests of a group, in order.
func (s *Store) Contents(ctx context.Context, source string, first, last int64) iter.Seq2[Kept, error] {
	return func(yield func(Kept, error) bool) {
		for more := true; more; {
			rows, err := s.app.Query(ctx, `
				SELECT received_id, key, box FROM jobs.inbox WHERE source = $1 AND received_id BETWEEN $2 AND $3 ORDER BY received_id LIMIT $4`,
				source, first, last, contentsAtOnce)
			if err != nil {
				yield(Kept{}, fault("read the inbox", err))
				return
			}
			kept, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k Kept, err error) {
				var key []byte
				if err = row.Scan(&first, &key, &k.Box); err == nil {
					k.Key = study.Digest(key)
				}
				return k, err
			})
			if err != nil {
				yield(Kept{}, fault("read the inbox", err))
				return
			}
			for _, k := range kept {
				if !yield(k, nil) {
					return
				}
			}
			first, more = first+1, len(kept) == contentsAtOnce
		}
	}
}

// Forget deletes what is kept of a source's requests up to one, and how they were
// grouped. That they came stays.
func (s *Store) Forget(ctx context.Context, source string, upTo int64) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM jobs.inbox WHERE source = $1 AND received_id <= $2`, source, upTo); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM jobs.inbox_group WHERE source = $1 AND last_id <= $2`, source, upTo)
		return err
	})
	return fault("empty the inbox", err)
}

// Held reports whether anything is kept of a source's requests up to one.
func (s *Store) Held(ctx context.Context, source string, upTo int64) (held bool, err error) {
	err = s.app.QueryRow(ctx, `SELECT EXISTS (SELECT FROM jobs.inbox WHERE source = $1 AND received_id <= $2)`, source, upTo).Scan(&held)
	return held, fault("read the inbox", err)
}

// Waiting counts the requests of a source that have not landed, up to a number, and
// names the last of them; 0 when there are none. It reads what is small: not the inbox,
// where a page holds one request.
func (s *Store) Waiting(ctx context.Context, source string, most int) (n int, last int64, err error) {
	err = s.app.QueryRow(ctx, `
		SELECT count(*), coalesce(max(received_id), 0) FROM (
		  SELECT received_id FROM audit.received WHERE source = $1 AND received_id >= (
		    SELECT received_id FROM jobs.inbox WHERE source = $1 ORDER BY received_id LIMIT 1)
		  ORDER BY received_id LIMIT $2) w`, source, most).Scan(&n, &last)
	return n, last, fault("read the inbox", err)
}

// Inboxes answers what waits, by source.
func (s *Store) Inboxes(ctx context.Context) ([]status.Inbox, error) {
	return collect(ctx, s, "read the inbox", pgx.RowToStructByPos[status.Inbox], `
		WITH RECURSIVE oldest AS (
		  (SELECT source, received_id FROM jobs.inbox ORDER BY source, received_id LIMIT 1)
		  UNION ALL SELECT next.source, next.received_id FROM oldest o, LATERAL (
		    SELECT source, received_id FROM jobs.inbox i WHERE i.source > o.source ORDER BY source, received_id LIMIT 1) next)
		SELECT source, (SELECT count(*) FROM audit.received r WHERE r.source = o.source AND r.received_id >= o.received_id),
		  greatest(extract(epoch FROM clock_timestamp() - (SELECT received_at FROM audit.received r WHERE r.received_id = o.received_id)), 0)::float8
		FROM oldest o ORDER BY source`)
}
