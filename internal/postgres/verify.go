package postgres

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// verifyChunk is how many places are in memory at once.
const verifyChunk = 1000

// VerifyAudit checks the whole log as it is at one moment: every event, place, node,
// checkpoint and payload, and the anchors. deep also computes the roots of batches
// again from the versions and refusals that are stored.
func (s *Store) VerifyAudit(ctx context.Context, policy audit.Policy, anchors []audit.Anchor, deep bool) (*audit.Report, error) {
	tx, err := s.app.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fault("verify the audit log", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	r, err := verifyAudit(ctx, tx, policy, anchors, deep)
	return r, fault("verify the audit log", err)
}

func verifyAudit(ctx context.Context, tx pgx.Tx, policy audit.Policy, anchors []audit.Anchor, deep bool) (_ *audit.Report, err error) {
	v := &verification{tx: tx, v: audit.NewVerifier(policy, anchors), deep: deep}
	for more := true; more && err == nil; {
		more, err = v.chunk(ctx)
	}
	if err == nil {
		err = v.end(ctx)
	}
	return &v.v.Report, err
}

// verification is one going through the log.
type verification struct {
	tx    pgx.Tx
	v     *audit.Verifier
	deep  bool
	forms map[packing]study.Digest
}

// chunk checks some places and the checkpoints among them.
func (v *verification) chunk(ctx context.Context) (more bool, err error) {
	places, err := v.places(ctx)
	if err != nil || len(places) == 0 {
		return false, err
	}
	first, last := places[0].Index, places[len(places)-1].Index
	nodes, err := v.nodes(ctx, audit.NodeCount(first), audit.NodeCount(last+1))
	if err != nil {
		return false, err
	}
	checkpoints, err := v.checkpoints(ctx, v.v.Next(), last+1)
	if err != nil {
		return false, err
	}
	for i := range places {
		p := &places[i]
		if p.Payload == nil && bytes.Contains(p.Leaf, []byte(`"commitment":"`)) {
			if err := v.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM audit.event JOIN audit.seal USING (event_id) WHERE action = 'audit.redacted' AND object = $1)`,
				audit.RedactionOf(p.Event)).Scan(&p.Redacted); err != nil {
				return false, err
			}
		}
		e, ok := v.v.Row(p, func(number int64) ([]byte, bool) { h, there := nodes[number]; return h, there })
		for len(checkpoints) > 0 && checkpoints[0].Size <= p.Index+1 {
			v.v.Checkpoint(checkpoints[0])
			checkpoints = checkpoints[1:]
		}
		v.v.Anchors()
		if v.deep && ok && e.Action == audit.BatchRecorded {
			if err := v.batch(ctx, p.Index, &e); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

func (v *verification) places(ctx context.Context) ([]audit.Row, error) {
	rows, err := v.tx.Query(ctx, `
		SELECT s.leaf_index, s.event_id, s.leaf_hash, e.leaf, e.recorded_at, e.action, e.actor, e.object, coalesce(e.run_id, 0),
		  e.study, e.outcome, e.authority, e.reason, e.software, p.salt, p.payload
		FROM audit.seal s LEFT JOIN audit.event e USING (event_id) LEFT JOIN audit.payload p USING (event_id)
		WHERE s.leaf_index >= $1 ORDER BY s.leaf_index LIMIT $2`, v.v.Next(), verifyChunk)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r audit.Row, err error) {
		var at *time.Time
		var action, actor, object, studyName, outcome, authority, reason, software *string
		var run *int64
		err = row.Scan(&r.Index, &r.Event, &r.LeafHash, &r.Leaf, &at, &action, &actor, &object, &run,
			&studyName, &outcome, &authority, &reason, &software, &r.Salt, &r.Payload)
		r.Columns = audit.Event{ID: r.Event, At: audit.Time(orZero(at)), Action: audit.Action(orEmpty(action)), Actor: orEmpty(actor), Object: orEmpty(object),
			Study: orEmpty(studyName), Outcome: orEmpty(outcome), Authority: orEmpty(authority), Reason: orEmpty(reason), Software: orEmpty(software)}
		if run != nil {
			r.Columns.Run = *run
		}
		return r, err
	})
}

func (v *verification) nodes(ctx context.Context, from, to int64) (map[int64][]byte, error) {
	rows, err := v.tx.Query(ctx, `SELECT idx, hash FROM audit.node WHERE idx >= $1 AND idx < $2`, from, to)
	if err != nil {
		return nil, err
	}
	out := make(map[int64][]byte, to-from)
	for rows.Next() {
		var number int64
		var hash []byte
		if err := rows.Scan(&number, &hash); err != nil {
			return nil, err
		}
		out[number] = hash
	}
	return out, rows.Err()
}

// checkpoints are those of more than from leaves, up to to.
func (v *verification) checkpoints(ctx context.Context, from, to int64) ([]audit.Checkpoint, error) {
	rows, err := v.tx.Query(ctx, `SELECT size, root, note FROM audit.checkpoint WHERE size > $1 AND size <= $2 ORDER BY size`, from, to)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c audit.Checkpoint, err error) {
		var root []byte
		if err := row.Scan(&c.Size, &root, &c.Note); err != nil {
			return c, err
		}
		copy(c.Root[:], root) // a root of another length is not what was signed
		return c, nil
	})
}

// end checks what has no place in the tree, and that the tree ends where it should.
func (v *verification) end(ctx context.Context) error {
	var last, nodes, low int64
	if err := v.tx.QueryRow(ctx, `
		SELECT coalesce((SELECT max(size) FROM audit.checkpoint), 0), (SELECT count(*) FROM audit.node), (SELECT count(*) FROM audit.checkpoint WHERE size < 1)`).
		Scan(&last, &nodes, &low); err != nil {
		return err
	}
	if low > 0 {
		v.v.Report.Add(audit.KindForged, -1, 0, "there is a checkpoint of nothing")
	}
	v.v.Finish(last, nodes)
	if err := v.unsealed(ctx); err != nil || !v.deep {
		return err
	}
	rows, err := v.tx.Query(ctx, `
		SELECT batch_id FROM research.batch b WHERE NOT EXISTS (SELECT FROM audit.event WHERE object = 'batch/' || b.batch_id AND action = 'batch.recorded')
		  AND batch_id > (SELECT coalesce(min(substr(object, 7)::bigint), 0) FROM audit.event WHERE action = 'batch.recorded' AND object ~ '^batch/[0-9]+$') ORDER BY batch_id`)
	if err != nil {
		return err
	}
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		v.v.Report.Add(audit.KindBatchExtra, -1, 0, "no event tells of batch "+itoa(int(id)))
		return nil
	})
	return err
}

func (v *verification) unsealed(ctx context.Context) error {
	rows, err := v.tx.Query(ctx, `
		SELECT event_id, EXISTS (SELECT FROM jobs.unsealed u WHERE u.event_id = e.event_id)
		FROM audit.event e LEFT JOIN audit.seal s USING (event_id) WHERE s.event_id IS NULL ORDER BY event_id`)
	if err != nil {
		return err
	}
	var id int64
	var waits bool
	_, err = pgx.ForEachRow(rows, []any{&id, &waits}, func() error {
		if waits {
			v.v.Report.Pending++
		} else {
			v.v.Report.Add(audit.KindUnsealed, -1, id, "the event has no place in the tree and does not wait for one")
		}
		return nil
	})
	return err
}
