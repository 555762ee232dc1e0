package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// SealWith has publications, signatures and what takes authority sealed by signer
// at once.
func (s *Store) SealWith(signer *audit.Signer) { s.signer = signer }

// sealed seals what was just recorded, before whoever asked for it hears of it.
func (s *Store) sealed(ctx context.Context) error {
	if s.signer == nil {
		return nil
	}
	_, _, err := s.Seal(ctx, s.signer)
	return err
}

// unsealedFor is how long the oldest event has waited for its place, in seconds.
func unsealedFor(ctx context.Context, q querier) (seconds int64, err error) {
	err = q.QueryRow(ctx, `
		SELECT coalesce(extract(epoch FROM clock_timestamp() - min(recorded_at)), 0)::bigint FROM audit.event JOIN jobs.unsealed USING (event_id)`).Scan(&seconds)
	return seconds, err
}

// unsealedLimit is how long an event may wait for its place before nothing is done any
// more that stands on the log: releases, signatures, the vault.
const unsealedLimit = 5 * time.Minute

// Sealing refuses to go on when sealing has been down for longer than unsealedLimit:
// what waits is sealed now, or else nothing that stands on the log is done.
func (s *Store) Sealing(ctx context.Context) error {
	_ = s.sealed(ctx) // why it fails is for the end of every command to say
	return fault("look whether the audit log is sealed", sealing(ctx, s.app))
}

func sealing(ctx context.Context, q querier) error {
	waits, err := unsealedFor(ctx, q)
	if err != nil || time.Duration(waits)*time.Second <= unsealedLimit {
		return err
	}
	return &study.Error{Code: "audit.unsealed", Op: "the audit log has not been sealed for " + (time.Duration(waits) * time.Second).String() + ": nothing is released, signed or opened", Exit: study.ExitBlocked,
		Hint: "`longitude audit checkpoint` seals what waits; if it cannot, `longitude audit verify` says why"}
}

// sealBatch bounds the events sealed in one transaction.
const sealBatch = 10_000

// Seal gives every event that waits its place in the tree and signs the new root.
// Events, places, nodes and checkpoint are one transaction, and one process at a
// time is in it: a place is given once and none is left out, whatever dies when.
// It refuses to sign over a log that does not fit its last checkpoint. It answers
// the newest checkpoint, of size 0 when nothing was ever sealed, and how many
// events it sealed.
func (s *Store) Seal(ctx context.Context, signer *audit.Signer) (c audit.Checkpoint, sealed int64, err error) {
	for {
		var n int
		err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) (err error) {
			// The lock is its own statement: what follows sees what its last holder committed.
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.audit.seal'))`); err != nil {
				return err
			}
			c, n, err = sealSome(ctx, tx, signer)
			study.Reached(study.PointBeforeSeal)
			return err
		})
		if err != nil {
			return c, sealed, fault("seal the audit log", err)
		}
		sealed += int64(n)
		if n > 0 {
			study.Reached(study.PointSealed)
		}
		if n < sealBatch {
			return c, sealed, nil
		}
	}
}

// sealSome seals up to sealBatch events.
func sealSome(ctx context.Context, tx pgx.Tx, signer *audit.Signer) (audit.Checkpoint, int, error) {
	last, err := continuing(ctx, tx, signer)
	if err != nil {
		return last, 0, err
	}
	events, leaves, err := waiting(ctx, tx)
	if err != nil || len(events) == 0 {
		return last, 0, err
	}
	added, root, err := audit.Extend(last.Size, leaves, nodes{ctx, tx})
	if err != nil {
		return last, 0, err
	}
	next, err := signer.Continue(last, last.Size+int64(len(leaves)), root)
	if err != nil {
		return last, 0, err
	}
	var seals, stored copyBuffer
	for i, id := range events {
		seals.row(3)
		seals.int64(id)
		seals.int64(last.Size + int64(i))
		seals.bytes(leaves[i][:])
	}
	for i, h := range added {
		stored.row(2)
		stored.int64(audit.NodeCount(last.Size) + int64(i))
		stored.bytes(h[:])
	}
	if err := seals.send(ctx, tx, "audit.seal", "event_id, leaf_index, leaf_hash"); err != nil {
		return last, 0, err
	}
	study.Reached(study.PointMidSeal)
	if err := stored.send(ctx, tx, "audit.node", "idx, hash"); err != nil {
		return last, 0, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO audit.checkpoint (size, root, note, previous) VALUES ($1, $2, $3, $4)`, next.Size, next.Root[:], next.Note, last.Size); err != nil {
		return last, 0, err
	}
	_, err = tx.Exec(ctx, `DELETE FROM jobs.unsealed WHERE event_id = ANY($1)`, events)
	return next, len(events), err
}

// waiting are the events to be sealed next, with the hashes of their leaves.
func waiting(ctx context.Context, tx pgx.Tx) (events []int64, leaves []audit.Hash, err error) {
	rows, err := tx.Query(ctx, `
		SELECT event_id, leaf FROM audit.event JOIN jobs.unsealed USING (event_id) ORDER BY event_id LIMIT $1`, sealBatch)
	if err != nil {
		return nil, nil, err
	}
	var id int64
	var leaf []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &leaf}, func() error {
		events, leaves = append(events, id), append(leaves, audit.LeafHash(leaf))
		return nil
	})
	return events, leaves, err
}

// continuing answers the newest checkpoint, and refuses to go on behind it unless
// the signer's log signed it and the nodes that are there give its root.
func continuing(ctx context.Context, tx pgx.Tx, signer *audit.Signer) (audit.Checkpoint, error) {
	c, err := newest(ctx, tx, signer.Policy())
	if err != nil {
		return c, err
	}
	var places int64
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(leaf_index) + 1, 0) FROM audit.seal`).Scan(&places); err != nil {
		return c, err
	}
	root, err := audit.Root(c.Size, nodes{ctx, tx})
	if err != nil {
		return c, err
	}
	if places != c.Size || c.Size > 0 && root != c.Root {
		return c, &study.Error{Code: "audit.damaged", Op: "the audit log does not fit its last checkpoint: nothing more is sealed", Exit: study.ExitBlocked,
			Hint: "run `longitude audit verify`, which names the place; restore the database, or keep it as evidence"}
	}
	return c, nil
}

// newest answers the newest checkpoint, of size 0 when there is none.
func newest(ctx context.Context, q querier, policy audit.Policy) (audit.Checkpoint, error) {
	var signed []byte
	err := q.QueryRow(ctx, `SELECT note FROM audit.checkpoint ORDER BY size DESC LIMIT 1`).Scan(&signed)
	if errors.Is(err, pgx.ErrNoRows) {
		return audit.Checkpoint{}, nil
	}
	if err != nil {
		return audit.Checkpoint{}, err
	}
	return policy.Open(signed)
}

// nodes are the nodes of the tree as stored. It implements audit.Nodes.
type nodes struct {
	ctx context.Context
	q   querier
}

// ReadHashes implements audit.Nodes.
func (n nodes) ReadHashes(numbers []int64) ([]audit.Hash, error) {
	rows, err := n.q.Query(n.ctx, `SELECT idx, hash FROM audit.node WHERE idx = ANY($1)`, numbers)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]audit.Hash, len(numbers))
	var number int64
	var hash []byte
	if _, err := pgx.ForEachRow(rows, []any{&number, &hash}, func() error {
		if len(hash) == len(audit.Hash{}) {
			found[number] = audit.Hash(hash)
		}
		return nil
	}); err != nil {
		return nil, fault("read the tree of the audit log", err)
	}
	out := make([]audit.Hash, len(numbers))
	for i, number := range numbers {
		h, ok := found[number]
		if !ok {
			return nil, errors.New("a node is missing") // audit says so
		}
		out[i] = h
	}
	return out, nil
}
