package postgres

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// verifyChunk is how many places are in memory at once.
const verifyChunk = 1000

// VerifyAudit checks the whole log as it is at one moment: every event, place, node,
// checkpoint and payload, and the anchors. deep also computes the roots of batches
// again from the versions and refusals that are stored. That the database does not
// protect the log is a finding, too.
func (s *Store) VerifyAudit(ctx context.Context, policy audit.Policy, anchors []audit.Anchor, deep bool) (*audit.Report, error) {
	tx, err := s.app.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fault("verify the audit log", err)
	}
	r, err := verifyAudit(ctx, tx, policy, anchors, deep)
	_ = tx.Rollback(context.WithoutCancel(ctx)) // for the connection: there may be only one
	if err != nil {
		return nil, fault("verify the audit log", err)
	}
	var guard *study.Error
	switch err := s.Guarded(ctx); {
	case errors.As(err, &guard) && guard.Exit == study.ExitBlocked:
		r.Add(audit.KindGuard, -1, 0, guard.Op)
	case err != nil:
		return nil, err
	}
	return r, nil
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
		if err := v.payload(ctx, p); err != nil {
			return false, err
		}
		e, ok := v.v.Row(p, func(number int64) ([]byte, bool) { h, there := nodes[number]; return h, there })
		for len(checkpoints) > 0 && checkpoints[0].Size <= p.Index+1 {
			v.v.Checkpoint(checkpoints[0].Checkpoint, checkpoints[0].after)
			checkpoints = checkpoints[1:]
		}
		v.v.Anchors()
		p.Payload = nil
		if !ok {
			continue
		}
		if err := v.told(ctx, p.Index, &e); err != nil {
			return false, err
		}
	}
	return true, nil
}

// told compares what an event tells of with what is stored of it.
func (v *verification) told(ctx context.Context, index int64, e *audit.Event) error {
	switch {
	case e.Action == audit.BatchRecorded && v.deep:
		return v.batch(ctx, index, e)
	case e.Action == audit.SignatureGiven:
		return v.signature(ctx, index, e)
	case e.Action == audit.AccessGranted || e.Action == audit.AccessRevoked:
		return v.person(ctx, index, e)
	case e.Action == audit.AuditReviewed:
		return v.review(ctx, index, e)
	case e.Action == audit.AuditRedacted:
		return v.redaction(ctx, index, e)
	case e.Action == audit.TextReviewed:
		return v.texts(ctx, index, e)
	case strings.HasPrefix(string(e.Action), "decision."):
		return v.decision(ctx, index, e)
	}
	return nil
}

// payload reads the payload of an event, or else whether an event says that it was
// redacted. It is read alone: a thousand of them may not fit into memory.
func (v *verification) payload(ctx context.Context, p *audit.Row) (err error) {
	if p.Payload != nil { // there is one
		return v.tx.QueryRow(ctx, `SELECT salt, payload FROM audit.payload WHERE event_id = $1`, p.Event).Scan(&p.Salt, &p.Payload)
	}
	if !bytes.Contains(p.Leaf, []byte(`"commitment":"`)) {
		return nil
	}
	p.Redacted, err = v.redacted(ctx, p.Event)
	return err
}

func (v *verification) places(ctx context.Context) ([]audit.Row, error) {
	rows, err := v.tx.Query(ctx, `
		SELECT s.leaf_index, s.event_id, s.leaf_hash, e.leaf, e.recorded_at, e.action, e.actor, e.object, coalesce(e.run_id, 0),
		  e.study, e.outcome, e.authority, e.reason, e.software, p.event_id IS NOT NULL
		FROM audit.seal s LEFT JOIN audit.event e USING (event_id) LEFT JOIN audit.payload p USING (event_id)
		WHERE s.leaf_index >= $1 ORDER BY s.leaf_index LIMIT $2`, v.v.Next(), verifyChunk)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r audit.Row, err error) {
		var at *time.Time
		var action, actor, object, studyName, outcome, authority, reason, software *string
		var run *int64
		var payload bool
		err = row.Scan(&r.Index, &r.Event, &r.LeafHash, &r.Leaf, &at, &action, &actor, &object, &run,
			&studyName, &outcome, &authority, &reason, &software, &payload)
		r.Columns = audit.Event{ID: r.Event, At: audit.Time(orZero(at)), Action: audit.Action(orEmpty(action)), Actor: orEmpty(actor), Object: orEmpty(object),
			Study: orEmpty(studyName), Outcome: orEmpty(outcome), Authority: orEmpty(authority), Reason: orEmpty(reason), Software: orEmpty(software)}
		if run != nil {
			r.Columns.Run = *run
		}
		if payload {
			r.Payload = []byte{}
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

// storedCheckpoint is a checkpoint with the size of the one before it, -1 when that
// was not noted yet.
type storedCheckpoint struct {
	audit.Checkpoint
	after int64
}

// checkpoints are those of more than from leaves, up to to.
func (v *verification) checkpoints(ctx context.Context, from, to int64) ([]storedCheckpoint, error) {
	rows, err := v.tx.Query(ctx, `SELECT size, root, note, coalesce(previous, -1) FROM audit.checkpoint WHERE size > $1 AND size <= $2 ORDER BY size`, from, to)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c storedCheckpoint, err error) {
		var root []byte
		if err := row.Scan(&c.Size, &root, &c.Note, &c.after); err != nil {
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
	if err := v.unsealed(ctx); err != nil {
		return err
	}
	if err := v.unrecorded(ctx); err != nil || !v.deep {
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
