package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/lineage"
	"longitude/internal/status"
	"longitude/study"
)

// ReleasePlan answers what a release was built from, and the study document that
// its visits were judged by.
func (s *Store) ReleasePlan(ctx context.Context, id string) (plan study.ReleasePlan, protocol study.Digest, err error) {
	var name string
	var digest []byte
	err = s.app.QueryRow(ctx, `SELECT s.name, r.protocol_digest FROM research.release r JOIN research.study s USING (study_id) WHERE release_id = $1`, id).Scan(&name, &digest)
	if errors.Is(err, pgx.ErrNoRows) {
		return plan, protocol, status.NotFound("release " + id)
	}
	if err == nil {
		plan, err = readPlan(s.app.QueryRow(ctx, planQuery+`WHERE r.release_id = $1`, id))
	}
	plan.Study = name
	return plan, asDigest(digest), fault("read the plan of the release", err)
}

// Row is what a released row is about; see Made.
type Row struct {
	Participant int64
	Kind        string // of lineage: record, visit, participant or deviation
	VisitNo     int32  // 0 = none
	Form        int    // of a record: index in Study.Forms
	Occurrence  string
	Deviation   string // code
	About       string // form that the deviation names; "" = none
}

// Made answers the versions that a row was made of, as of the batch upTo: of a
// record that record's, of a visit the visit's and its records', of a participant
// the participant's and all visits'.
func (s *Store) Made(ctx context.Context, studyName string, row Row, upTo int64) ([]lineage.Version, error) {
	reg, err := s.known(studyName)
	if err != nil {
		return nil, err
	}
	r := rowReader{s: s, reg: reg, row: row, upTo: upTo}
	var reads []func(context.Context) error
	switch row.Kind {
	case lineage.OfRecord:
		reads = append(reads, r.records)
	case lineage.OfParticipant:
		reads = append(reads, r.participant, r.visits)
	case lineage.OfDeviation:
		reads = append(reads, r.deviations)
		fallthrough
	default:
		if row.VisitNo != 0 {
			reads = append(reads, r.visits, r.records)
		}
	}
	for _, read := range reads {
		if err := read(ctx); err != nil {
			return nil, fault("read what the row was made of", err)
		}
	}
	return r.out, nil
}

type rowReader struct {
	s    *Store
	reg  *registered
	row  Row
	upTo int64
	out  []lineage.Version
}

func (r *rowReader) participant(ctx context.Context) error {
	v := lineage.Version{Kind: lineage.OfParticipant}
	err := r.s.app.QueryRow(ctx, `SELECT batch_id FROM research.participant_version WHERE participant_id = $1 AND batch_id <= $2 ORDER BY batch_id DESC LIMIT 1`,
		r.row.Participant, r.upTo).Scan(&v.Batch)
	if err == nil {
		r.out = append(r.out, v)
	}
	return err
}

func (r *rowReader) visits(ctx context.Context) error {
	rows, err := r.s.app.Query(ctx, `
		SELECT DISTINCT ON (visit_no) visit_no, coalesce(visit_type, ''), modified, batch_id FROM research.visit_version
		WHERE participant_id = $1 AND batch_id <= $2 AND ($3 = 0 OR visit_no = $3) ORDER BY visit_no, batch_id DESC`, r.row.Participant, r.upTo, r.row.VisitNo)
	if err != nil {
		return err
	}
	v := lineage.Version{Kind: lineage.OfVisit}
	var modified *time.Time
	_, err = pgx.ForEachRow(rows, []any{&v.VisitNo, &v.Visit, &modified, &v.Batch}, func() error {
		v.Modified = orZero(modified)
		r.out = append(r.out, v)
		return nil
	})
	return err
}

func (r *rowReader) deviations(ctx context.Context) error {
	rows, err := r.s.app.Query(ctx, `
		SELECT DISTINCT ON (detail) code, visit_no, batch_id FROM research.deviation_version
		WHERE participant_id = $1 AND batch_id <= $2 AND visit_no = $3 AND code = $4 AND split_part(detail, '/', 1) = $5 ORDER BY detail, batch_id DESC`,
		r.row.Participant, r.upTo, r.row.VisitNo, r.row.Deviation, r.row.About)
	if err != nil {
		return err
	}
	v := lineage.Version{Kind: lineage.OfDeviation, Form: r.row.About}
	_, err = pgx.ForEachRow(rows, []any{&v.Deviation, &v.VisitNo, &v.Batch}, func() error {
		r.out = append(r.out, v)
		return nil
	})
	return err
}

// records reads the one record, or those of the visit.
func (r *rowReader) records(ctx context.Context) error {
	form := int16(0)
	if r.row.Kind == lineage.OfRecord {
		form = r.reg.formIDs[r.row.Form]
	}
	rows, err := r.s.app.Query(ctx, `
		SELECT form_id, visit_no, occurrence, version, op::text, modified, batch_id, ordinal FROM (
		  SELECT DISTINCT ON (form_id, visit_no, occurrence) * FROM research.record_version
		  WHERE participant_id = $1 AND batch_id <= $2 AND visit_no = $3 AND op <> 'h' AND ($4 = 0 OR form_id = $4 AND occurrence = $5)
		  ORDER BY form_id, visit_no, occurrence, version DESC) v
		WHERE op = 'u' ORDER BY form_id, occurrence`, r.row.Participant, r.upTo, r.row.VisitNo, form, r.row.Occurrence)
	if err != nil {
		return err
	}
	var id int16
	var op string
	var modified *time.Time
	v, forms := lineage.Version{Kind: lineage.OfRecord}, []int16(nil)
	from := len(r.out)
	_, err = pgx.ForEachRow(rows, []any{&id, &v.VisitNo, &v.Occurrence, &v.Version, &op, &modified, &v.Batch, &v.Ordinal}, func() error {
		if index, ok := r.reg.formOf[id]; ok {
			v.Form, v.Modified = r.reg.study.Forms[index].Name, orZero(modified)
			r.out, forms = append(r.out, v), append(forms, id)
		}
		return nil
	})
	for i := 0; err == nil && i < len(forms); i++ { // rows before the last may have told the rest
		var before []lineage.Version
		before, err = r.standsOn(ctx, r.out[from+i], forms[i])
		r.out = append(r.out, before...)
	}
	return err
}

// VisitOfType is the number of a participant's visit of a type that did not
// happen, as of a batch; 0 = none.
func (s *Store) VisitOfType(ctx context.Context, participant int64, visit string, upTo int64) (int32, error) {
	var no int32
	err := s.app.QueryRow(ctx, `
		SELECT visit_no FROM (SELECT DISTINCT ON (visit_no) visit_no, visit_type FROM research.visit_version
		  WHERE participant_id = $1 AND batch_id <= $3 ORDER BY visit_no, batch_id DESC) v WHERE visit_type = $2 LIMIT 1`, participant, visit, upTo).Scan(&no)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return no, fault("find the visit", err)
}

// TracedBatch answers a batch with the event that tells of it, proven against the
// newest checkpoint that the policy holds for.
func (s *Store) TracedBatch(ctx context.Context, batch int64, policy audit.Policy) (lineage.Batch, error) {
	b := lineage.Batch{Batch: batch, Event: lineage.Event{Index: -1}}
	var object, mapping, protocol, root []byte
	var size, origin *int64
	var asOf dbDate
	err := s.app.QueryRow(ctx, `
		SELECT kind, source, object_digest, object_size, generation, origin_batch, run_id, as_of, mapping_digest, protocol_digest, software, merkle_root, recorded_at,
		  rows_read, rows_mapped, rows_quarantined, rows_ignored, records_produced, records_accepted, records_unchanged, records_superseded,
		  records_quarantined, records_held, records_removed
		FROM research.batch WHERE batch_id = $1`, batch).Scan(&b.Kind, &b.Source, &object, &size, &b.Generation, &origin, &b.Run, &asOf, &mapping, &protocol,
		&b.Software, &root, &b.Recorded, &b.Counts.Read, &b.Counts.Mapped, &b.Counts.RowsQuarantined, &b.Counts.Ignored, &b.Counts.Produced, &b.Counts.Accepted,
		&b.Counts.Unchanged, &b.Counts.Superseded, &b.Counts.Quarantined, &b.Counts.Held, &b.Counts.Removed)
	if err != nil {
		return b, fault("read the batch", err)
	}
	b.Object, b.Mapping, b.Protocol, b.Root, b.AsOf, b.Recorded = hexOf(object), hexOf(mapping), hexOf(protocol), hexOf(root), asOf.date.String(), b.Recorded.UTC()
	if size != nil {
		b.Size, b.At.Size = *size, *size
	}
	b.At.Digest = asDigest(object)
	if origin != nil {
		b.Origin = *origin
	}
	err = s.AuditEvents(ctx, AuditFilter{Object: "batch/" + strconv.FormatInt(batch, 10), Action: audit.BatchRecorded}, func(e audit.Entry) error {
		b.Event.ID, b.Event.Index = e.Event.ID, e.Index
		return nil
	})
	if err != nil || b.Event.Index < 0 {
		return b, err
	}
	return b, s.proveBatch(ctx, &b, policy)
}

// proveBatch checks the event of a batch against the log, and its root against the event.
func (s *Store) proveBatch(ctx context.Context, b *lineage.Batch, policy audit.Policy) error {
	c, err := s.AuditCheckpoint(ctx, policy)
	if err != nil || b.Event.Index >= c.Size {
		return err
	}
	p, err := s.AuditProof(ctx, b.Event.ID, c)
	if err != nil {
		return err
	}
	e, _, err := p.Check(policy)
	if err != nil {
		return err
	}
	root, _ := e.Detail["merkle_root"].(string)
	b.Event.Checkpoint, b.Event.Proven = c.Size, root == b.Root && root != ""
	return nil
}

func hexOf(digest []byte) string {
	return digestOrNone(asDigest(digest))
}

// ProveVersion computes the tree of a batch again from what is stored and shows
// that the version of a record is a leaf of it.
func (s *Store) ProveVersion(ctx context.Context, studyName string, participant int64, v lineage.Version) (*lineage.Proof, error) {
	reg, err := s.known(studyName)
	if err != nil {
		return nil, err
	}
	tx, err := s.app.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fault("prove the version", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	p, err := proveVersion(ctx, tx, reg, participant, v)
	return p, fault("prove the version", err)
}

func proveVersion(ctx context.Context, tx pgx.Tx, reg *registered, participant int64, of lineage.Version) (*lineage.Proof, error) {
	var object, root []byte
	if err := tx.QueryRow(ctx, `SELECT object_digest, merkle_root FROM research.batch WHERE batch_id = $1`, of.Batch).Scan(&object, &root); err != nil {
		return nil, err
	}
	recorded := asDigest(root)
	tree := study.NewBatchTree(asDigest(object))
	v := &verification{tx: tx}
	p := &lineage.Proof{Root: recorded.String()}
	var leaf study.Digest
	err := v.versions(ctx, `WHERE participant_id = $1 AND form_id = $2 AND visit_no = $3 AND occurrence = $4 AND version = $5`,
		[]any{participant, reg.formIDs[reg.study.FormIndex(of.Form)], of.VisitNo, of.Occurrence, of.Version},
		func(version *study.RecordVersion, form study.Digest) { leaf = tree.Watch(version, form) })
	if err == nil {
		err = v.fill(ctx, of.Batch, tree)
	}
	if err != nil {
		return nil, err
	}
	_, p.Leaves = tree.Close()
	index, path, _ := tree.Path()
	p.Leaf, p.Index, p.Path = leaf.String(), index, make([]string, len(path))
	for i, h := range path {
		p.Path[i] = h.String()
	}
	p.Holds = audit.Included(leaf, index, p.Leaves, path, recorded)
	return p, nil
}
