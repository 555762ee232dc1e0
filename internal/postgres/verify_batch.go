package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// batch computes the root of a batch again and compares it with what its event and
// its row say.
func (v *verification) batch(ctx context.Context, index int64, e *audit.Event) error {
	root, _ := e.Detail["merkle_root"].(string)
	leaves, _ := e.Detail["merkle_leaves"].(json.Number)
	if e.Format == "" {
		v.v.Report.Older++
		return nil
	}
	var id int64 // of no batch, when the event names none
	if n, err := strconv.ParseInt(strings.TrimPrefix(e.Object, "batch/"), 10, 64); err == nil {
		id = n
	}
	var object, stored []byte
	var count int64
	err := v.tx.QueryRow(ctx, `SELECT coalesce(object_digest, ''), merkle_root, merkle_leaves FROM research.batch WHERE batch_id = $1`, id).Scan(&object, &stored, &count)
	if errors.Is(err, pgx.ErrNoRows) {
		v.v.Report.Add(audit.KindBatchGone, index, e.ID, "batch "+itoa(int(id))+" is gone")
		return nil
	}
	if err != nil {
		return err
	}
	computed, n, err := v.batchRoot(ctx, id, object)
	if err != nil {
		return err
	}
	v.v.Report.Batches++
	said := study.Digest{}
	copy(said[:], stored)
	switch {
	case computed.String() != root || strconv.FormatInt(n, 10) != leaves.String():
		v.v.Report.Add(audit.KindBatch, index, e.ID, "the versions and refusals of batch "+itoa(int(id))+" are not those that were recorded")
	case said.String() != root || count != n:
		v.v.Report.Add(audit.KindBatch, index, e.ID, "the root of batch "+itoa(int(id))+" was changed in its row")
	}
	return nil
}

// batchRoot computes the root of a batch from what is stored of it.
func (v *verification) batchRoot(ctx context.Context, batch int64, object []byte) (study.Digest, int64, error) {
	var salt study.Digest
	copy(salt[:], object)
	tree := study.NewBatchTree(salt)
	if len(object) == 0 { // judged again: nothing was read
		root, n := tree.Close()
		return root, n, v.noneOf(ctx, batch)
	}
	if err := v.fill(ctx, batch, tree); err != nil {
		return study.Digest{}, 0, err
	}
	root, n := tree.Close()
	return root, n, nil
}

// fill adds what a batch changed and refused to its tree.
func (v *verification) fill(ctx context.Context, batch int64, tree *study.BatchTree) error {
	if err := v.versions(ctx, `WHERE batch_id = $1 ORDER BY participant_id`, []any{batch}, tree.Version); err != nil {
		return err
	}
	return v.refusals(ctx, batch, tree)
}

// versions hands the versions that where chooses to each, with the digest of the
// shape they are packed in. A version is valid until the next one.
func (v *verification) versions(ctx context.Context, where string, args []any, each func(*study.RecordVersion, study.Digest)) error {
	if err := v.shapes(ctx); err != nil {
		return err
	}
	rows, err := v.tx.Query(ctx, `
		SELECT participant_id, ordinal, visit_no, version, modified, entered, content_hash, op::text, occurrence, answers, missing, findings, shape_id, form_id
		FROM research.record_version `+where, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var modified *time.Time
		var entered dbDate
		var op string
		var missing, findings *string
		var shape packing
		r := study.Record{}
		version := study.RecordVersion{Record: &r}
		entered.date = study.NoDate
		if err := rows.Scan(&r.Participant, &r.Ordinal, &version.Key.VisitNo, &version.Version, &modified, &entered, &r.Hash, &op,
			&version.Key.Occurrence, &r.Answers, &missing, &findings, &shape.shape, &shape.form); err != nil {
			return err
		}
		r.Modified, r.Entered, r.Missing, r.Findings = orZero(modified), entered.date, orEmpty(missing), orEmpty(findings)
		version.Late, r.Removed = op == "h", op == "d"
		each(&version, v.forms[shape])
	}
	return rows.Err()
}

// noneOf is nil: a batch that read nothing has neither versions nor refusals, and
// whoever gave it some has changed its root.
func (v *verification) noneOf(ctx context.Context, batch int64) error {
	var some bool
	err := v.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM research.record_version WHERE batch_id = $1) OR EXISTS (SELECT FROM research.quarantine_sighting WHERE batch_id = $1)`, batch).Scan(&some)
	if err == nil && some {
		v.v.Report.Add(audit.KindBatch, -1, 0, "batch "+itoa(int(batch))+" has versions or refusals, and it read nothing")
	}
	return err
}

func (v *verification) refusals(ctx context.Context, batch int64, tree *study.BatchTree) error {
	rows, err := v.tx.Query(ctx, `
		SELECT q.item_digest, g.ordinal FROM research.quarantine_sighting g JOIN research.quarantine q USING (quarantine_id) WHERE g.batch_id = $1`, batch)
	if err != nil {
		return err
	}
	var item []byte
	var ordinal int64
	_, err = pgx.ForEachRow(rows, []any{&item, &ordinal}, func() error {
		var digest study.Digest
		copy(digest[:], item)
		tree.Refused(digest, ordinal)
		return nil
	})
	return err
}

// packing is a form in one of its shapes.
type packing struct {
	shape int32
	form  int16
}

// shapes reads how the forms were packed, once.
func (v *verification) shapes(ctx context.Context) error {
	if v.forms != nil {
		return nil
	}
	v.forms = map[packing]study.Digest{}
	rows, err := v.tx.Query(ctx, `SELECT s.shape_id, s.form_id, f.name, s.fields FROM research.shape s JOIN research.form f USING (form_id)`)
	if err != nil {
		return err
	}
	var id packing
	var form string
	var fields []string
	_, err = pgx.ForEachRow(rows, []any{&id.shape, &id.form, &form, &fields}, func() error {
		v.forms[id] = study.FormDigest(form, fields)
		return nil
	})
	return err
}
