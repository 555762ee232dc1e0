package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// Finish writes the batch row, the source's cursor and one audit event. The
// database itself refuses counts that do not balance.
func (in *Ingest) Finish(ctx context.Context, b study.BatchRecord) error {
	c := b.Counts
	_, err := in.tx.Exec(ctx, `
		INSERT INTO research.batch (batch_id, study_id, kind, source, object_digest, object_size, generation, run_id, as_of,
		  mapping_digest, protocol_digest, software, merkle_root, merkle_leaves,
		  rows_read, rows_mapped, rows_quarantined, rows_ignored,
		  records_produced, records_accepted, records_unchanged, records_superseded, records_quarantined, records_held, records_removed,
		  origin_batch, item, aside, recorded_at, precedence)
		VALUES ($1, $2, $3, $4, $5, $6,
		  1 + coalesce((SELECT max(generation) FROM research.batch WHERE source = $4 AND object_digest = $5), 0),
		  $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)`,
		in.batch, in.reg.id, b.Kind, b.Source, nullDigest(b.Object.Digest), b.Object.Size, b.RunID, b.AsOf.Time(),
		nullDigest(b.Mapping), b.Protocol[:], in.software, b.Root[:], b.Leaves,
		c.Read, c.Mapped, c.RowsQuarantined, c.Ignored,
		c.Produced, c.Accepted, c.Unchanged, c.Superseded, c.Quarantined, c.Held, c.Removed,
		nullID(b.Origin), b.Item, b.Aside, in.begun, b.Precedence)
	if err != nil {
		return fault("record the batch", err)
	}
	if b.Kind == "object" && b.Origin == 0 { // read again, it is not what its source delivered last
		if err := in.finishObject(ctx, b); err != nil {
			return err
		}
	}
	if b.Kind == "roster" {
		if err := in.know(ctx, b, study.FileRecorded); err != nil {
			return err
		}
	}
	detail := map[string]any{"batch": in.batch, "kind": b.Kind, "source": b.Source, "object": b.Object.Digest.String(),
		"merkle_root": b.Root.String(), "merkle_leaves": b.Leaves, "counts": c, "origin": b.Origin, "aside": b.Aside}
	if b.Before != nil {
		detail["before"], detail["after"] = b.Before, b.After
	}
	changed, more := in.changedNames()
	if more > 0 {
		detail["changed_more"] = more
	}
	return fault("record the audit event", record(ctx, in.tx, event{
		Action: audit.BatchRecorded, Actor: b.Actor, Study: in.reg.study.Name, Object: "batch/" + itoa(int(in.batch)), Run: b.RunID, Changed: changed, Detail: detail,
	}))
}

func (in *Ingest) finishObject(ctx context.Context, b study.BatchRecord) error {
	if len(b.SealedName) > 0 {
		if _, err := in.tx.Exec(ctx, `INSERT INTO vault.object_name (batch_id, key_version, box) VALUES ($1, $2, $3)`,
			in.batch, b.KeyVersion, b.SealedName); err != nil {
			return fault("seal the object's name", err)
		}
	}
	return in.know(ctx, b, study.FileRecorded)
}

// Know records that this version of an item is durable, and the source's cursor.
// An item that was touched and not changed stays with the batch that recorded it.
// A list that changed nothing is not what its item held last.
func (in *Ingest) Know(ctx context.Context, b study.BatchRecord) error {
	if b.Kind == "roster" {
		return in.moveOn(ctx, b)
	}
	return in.know(ctx, b, study.FileKnown)
}

func (in *Ingest) know(ctx context.Context, b study.BatchRecord, outcome string) error {
	if err := in.done(ctx, b, outcome); err != nil {
		return err
	}
	_, err := in.tx.Exec(ctx, `
		INSERT INTO jobs.item (source, item, version, object_digest, batch_id) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (source, item) DO UPDATE SET version = EXCLUDED.version, object_digest = EXCLUDED.object_digest,
		  batch_id = CASE WHEN jobs.item.object_digest = EXCLUDED.object_digest AND NOT EXISTS (SELECT 1 FROM research.batch WHERE batch_id = EXCLUDED.batch_id)
		    THEN jobs.item.batch_id ELSE EXCLUDED.batch_id END`,
		b.Source, b.Item, b.ItemVersion, b.Object.Digest[:], in.batch)
	if err != nil {
		return fault("record the cursor", err)
	}
	return in.moveOn(ctx, b)
}

// moveOn records how far the source has been pulled.
func (in *Ingest) moveOn(ctx context.Context, b study.BatchRecord) error {
	if b.State == nil {
		return nil
	}
	_, err := in.tx.Exec(ctx, `INSERT INTO jobs.cursor (source, state) VALUES ($1, $2)
		ON CONFLICT (source) DO UPDATE SET state = EXCLUDED.state`, b.Source, b.State)
	return fault("record the cursor", err)
}

func nullDigest(d study.Digest) []byte {
	if d.IsZero() {
		return nil
	}
	return d[:]
}

// Landed reports whether the newest batch of this item already holds this
// object: the same bytes under a new modification time. An older equal object
// does not count, or a value that changes back would be lost.
func (in *Ingest) Landed(ctx context.Context, source, item string, object study.Digest) (bool, error) {
	var same bool
	err := in.tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM jobs.item WHERE source = $1 AND item = $2 AND object_digest = $3)`,
		source, item, object[:]).Scan(&same)
	return same, fault("look up the object", err)
}

// BatchesOf answers the batches that objects of the source made, as delivered
// and as read again; item "" is every object, else those of that name.
func (in *Ingest) BatchesOf(ctx context.Context, source, item string) (map[int64]bool, error) {
	rows, err := in.tx.Query(ctx, `SELECT batch_id FROM research.batch WHERE kind IN ('object', 'roster') AND source = $1 AND ($2 = '' OR item = $2)`, source, item)
	if err != nil {
		return nil, fault("list the batches of the source", err)
	}
	out := map[int64]bool{}
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		out[id] = true
		return nil
	})
	return out, fault("list the batches of the source", err)
}

// Asserted answers the participants with a record that is there and whose current
// version came with one of the batches, ascending. Candidates are found by batch;
// what is current is looked up for these only, up to the first such record. Nobody
// asserts anything of who was erased.
func (in *Ingest) Asserted(ctx context.Context, batches map[int64]bool) ([]int64, error) {
	rows, err := in.tx.Query(ctx, `
		WITH candidate AS MATERIALIZED (
		  SELECT DISTINCT participant_id FROM research.record_version WHERE batch_id = ANY($1) AND op = 'u')
		SELECT c.participant_id FROM candidate c
		CROSS JOIN LATERAL (
		  SELECT 1 FROM (
		    SELECT DISTINCT ON (form_id, visit_no, occurrence) batch_id, op FROM research.record_version v
		    WHERE v.participant_id = c.participant_id AND op <> 'h'
		    ORDER BY form_id, visit_no, occurrence, version DESC) v
		  WHERE v.op = 'u' AND v.batch_id = ANY($1) LIMIT 1) live
		ORDER BY c.participant_id`, slices.Sorted(maps.Keys(batches)))
	if err != nil {
		return nil, fault("list the participants of the source", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err == nil {
		err = in.past.tell(ctx)
	}
	return slices.DeleteFunc(ids, func(id int64) bool { return in.past.erased[id] }), fault("list the participants of the source", err)
}

// Refused answers what a batch quarantined: the digest of each thing, as often as
// it was seen.
func (in *Ingest) Refused(ctx context.Context, batch int64) (map[study.Digest]int, error) {
	rows, err := in.tx.Query(ctx, `
		SELECT q.item_digest FROM research.quarantine_sighting g JOIN research.quarantine q USING (quarantine_id) WHERE g.batch_id = $1`, batch)
	if err != nil {
		return nil, fault("read what was quarantined", err)
	}
	out := map[study.Digest]int{}
	var item []byte
	_, err = pgx.ForEachRow(rows, []any{&item}, func() error {
		out[study.Digest(item)]++
		return nil
	})
	return out, fault("read what was quarantined", err)
}
