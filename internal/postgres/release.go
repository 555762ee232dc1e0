package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// PlanRelease pins what a release is built from: all batches committed so far,
// the as-of date, the documents. A plan that was never published is taken up
// again, so a crash costs no number and gives the same bytes; if what it pinned
// has moved on (a new protocol or policy), it is left behind as abandoned and a
// new number is drawn. It refuses while the audit log cannot be sealed.
func (s *Store) PlanRelease(ctx context.Context, studyName string, asOf study.Date, policy study.Digest, now time.Time) (study.ReleasePlan, error) {
	reg, err := s.known(studyName)
	if err == nil {
		err = s.Sealing(ctx)
	}
	if err != nil {
		return study.ReleasePlan{}, err
	}
	var plan study.ReleasePlan
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		// Waits for open ingest transactions of this study, so that every batch
		// number up to the maximum is decided.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.plan'), $1)`, int32(reg.id)); err != nil {
			return err
		}
		if plan, err = readPlan(tx.QueryRow(ctx, planQuery+`
			WHERE r.study_id = $1 AND r.as_of = $2 AND r.protocol_digest = $3 AND r.policy_digest = $4
			  AND r.max_batch = (SELECT coalesce(max(batch_id), 0) FROM research.batch WHERE study_id = $1)
			  AND NOT EXISTS (SELECT 1 FROM research.release_publication p WHERE p.release_id = r.release_id)
			ORDER BY r.number DESC LIMIT 1`, reg.id, asOf.Time(), reg.study.Digest[:], policy[:])); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		plan, err = s.newPlan(ctx, tx, reg, asOf, policy, now)
		return err
	})
	if err != nil {
		return plan, fault("plan the release", err)
	}
	return s.completePlan(ctx, reg, plan)
}

// LeftBehind lists the plans before p, under the same documents and policy, that
// no sink is recorded to have published, oldest first.
func (s *Store) LeftBehind(ctx context.Context, p study.ReleasePlan, policy study.Digest) ([]study.ReleasePlan, error) {
	reg, err := s.known(p.Study)
	if err != nil {
		return nil, err
	}
	rows, err := s.app.Query(ctx, planQuery+`
		WHERE r.study_id = $1 AND r.number < $2 AND r.protocol_digest = $3 AND r.policy_digest = $4
		  AND NOT EXISTS (SELECT 1 FROM research.release_publication p WHERE p.release_id = r.release_id)
		ORDER BY r.number`, reg.id, p.Number, reg.study.Digest[:], policy[:])
	if err != nil {
		return nil, fault("list the plans left behind", err)
	}
	left, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (study.ReleasePlan, error) { return readPlan(row) })
	if err != nil {
		return nil, fault("list the plans left behind", err)
	}
	for i := range left {
		if left[i], err = s.completePlan(ctx, reg, left[i]); err != nil {
			return nil, err
		}
	}
	return left, nil
}

const planQuery = `SELECT r.release_id, r.number, r.as_of, r.cutoff, r.max_batch, r.planned_at FROM research.release r `

func readPlan(row pgx.Row) (p study.ReleasePlan, err error) {
	var asOf, cutoff dbDate
	err = row.Scan(&p.ID, &p.Number, &asOf, &cutoff, &p.MaxBatch, &p.PlannedAt)
	p.AsOf, p.Cutoff, p.PlannedAt = asOf.date, cutoff.date, p.PlannedAt.UTC()
	return p, err
}

func (s *Store) newPlan(ctx context.Context, tx pgx.Tx, reg *registered, asOf study.Date, policy study.Digest, now time.Time) (study.ReleasePlan, error) {
	p := study.ReleasePlan{AsOf: asOf, Cutoff: asOf, PlannedAt: now.UTC().Truncate(time.Microsecond)}
	err := tx.QueryRow(ctx, `
		SELECT coalesce((SELECT max(number) FROM research.release WHERE study_id = $1), 0) + 1,
		       coalesce((SELECT max(batch_id) FROM research.batch WHERE study_id = $1), 0)`, reg.id).Scan(&p.Number, &p.MaxBatch)
	if err != nil {
		return p, err
	}
	if p.MaxBatch == 0 {
		return p, &study.Error{Code: "release.no_data", Op: "study " + reg.study.Name + " has no recorded batch to release",
			Hint: "run `longitude sync` first"}
	}
	p.ID = fmt.Sprintf("%s_r%03d", strings.ReplaceAll(reg.study.Name, "-", "_"), p.Number)
	if _, err := tx.Exec(ctx, `
		INSERT INTO research.release (release_id, study_id, number, as_of, cutoff, max_batch, protocol_digest, policy_digest, planned_at, series)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce((SELECT name FROM research.release_series WHERE study_id = $2 ORDER BY series_id DESC LIMIT 1), 'main'))`,
		p.ID, reg.id, p.Number, asOf.Time(), asOf.Time(), p.MaxBatch, reg.study.Digest[:], policy[:], p.PlannedAt); err != nil {
		return p, err
	}
	return p, record(ctx, tx, event{Action: audit.ReleasePlanned, Actor: "system", Study: reg.study.Name, Object: "release/" + p.ID,
		Detail: map[string]any{"as_of": asOf.String(), "max_batch": p.MaxBatch}})
}

// completePlan adds what follows from the plan: counts, digests, predecessor.
func (s *Store) completePlan(ctx context.Context, reg *registered, p study.ReleasePlan) (study.ReleasePlan, error) {
	p.Study = reg.study.Name
	err := s.app.QueryRow(ctx, `
		SELECT count(*), `+sumColumns+`
		FROM research.batch WHERE study_id = $1 AND batch_id <= $2 AND kind <> 'rejudge'`, reg.id, p.MaxBatch).
		Scan(append([]any{&p.Batches}, countsInto(&p.Counts)...)...)
	if err != nil {
		return p, fault("count what the release is built from", err)
	}
	var previous *string
	var location *string
	err = s.app.QueryRow(ctx, `
		SELECT r.release_id, p.location FROM research.release r JOIN research.release_publication p USING (release_id)
		WHERE r.study_id = $1 AND r.number < $2 AND r.series = (SELECT series FROM research.release WHERE release_id = $3)
		ORDER BY r.number DESC LIMIT 1`, reg.id, p.Number, p.ID).Scan(&previous, &location)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return p, fault("find the previous release", err)
	}
	p.Previous, p.PreviousLocation = orEmpty(previous), orEmpty(location)
	var last dbDate
	err = s.app.QueryRow(ctx, `
		SELECT max(r.as_of) FROM research.release r JOIN research.release_publication USING (release_id) WHERE r.study_id = $1 AND r.number < $2`, reg.id, p.Number).Scan(&last)
	if err != nil {
		return p, fault("find the previous release", err)
	}
	p.LastAsOf = last.date
	p.Mappings, err = s.mappings(ctx, reg, p.MaxBatch)
	return p, err
}

func (s *Store) mappings(ctx context.Context, reg *registered, upTo int64) (map[string]string, error) {
	rows, err := s.app.Query(ctx, `
		SELECT DISTINCT source, encode(mapping_digest, 'hex') FROM research.batch
		WHERE study_id = $1 AND batch_id <= $2 AND mapping_digest IS NOT NULL`, reg.id, upTo)
	if err != nil {
		return nil, fault("list the mappings", err)
	}
	out := map[string]string{}
	var source, digest string
	_, err = pgx.ForEachRow(rows, []any{&source, &digest}, func() error {
		out[source+"@"+digest[:12]] = digest
		return nil
	})
	return out, fault("list the mappings", err)
}

// Snapshot is one consistent view of the research schema for a release, read
// with the role that cannot see the vault.
type Snapshot struct {
	free func()
	tx   pgx.Tx
	reg  *registered
	upTo int64
	past past
}

// OpenSnapshot opens the view that the plan pins.
func (s *Store) OpenSnapshot(ctx context.Context, plan study.ReleasePlan) (*Snapshot, error) {
	reg, err := s.known(plan.Study)
	if err != nil {
		return nil, err
	}
	conn, err := s.release.Acquire(ctx)
	if err != nil {
		return nil, fault("open a release snapshot", err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; " + byKey})
	if err != nil {
		conn.Release()
		return nil, fault("open a release snapshot", err)
	}
	return &Snapshot{tx: tx, free: conn.Release, reg: reg, upTo: plan.MaxBatch, past: past{q: tx, reg: reg, upTo: plan.MaxBatch}}, nil
}

// Close ends the view.
func (s *Snapshot) Close(ctx context.Context) {
	_ = s.tx.Rollback(ctx)
	s.free()
}

// Participants lists number and code of the study's participants. Who has withdrawn,
// and who is somebody else, is none of them.
func (s *Snapshot) Participants(ctx context.Context) ([]study.Participant, error) {
	if err := s.past.tell(ctx); err != nil {
		return nil, fault("read what was decided", err)
	}
	rows, err := s.tx.Query(ctx, `SELECT participant_id, code FROM research.participant WHERE study_id = $1 AND batch_id <= $2 ORDER BY participant_id`,
		s.reg.id, s.upTo)
	if err != nil {
		return nil, fault("list the participants", err)
	}
	var out []study.Participant
	var p study.Participant
	_, err = pgx.ForEachRow(rows, []any{&p.ID, &p.Code}, func() error {
		if !s.past.withdrawn[p.ID] && s.past.person(p.ID) == p.ID {
			out = append(out, p)
		}
		return nil
	})
	return out, fault("list the participants", err)
}

// FirstDay is the earliest day of a visit that is known to the day, NoDate if there
// is none.
func (s *Snapshot) FirstDay(ctx context.Context) (study.Date, error) {
	var first dbDate
	err := s.tx.QueryRow(ctx, `
		SELECT min(actual::date) FROM (
		  SELECT DISTINCT ON (v.participant_id, v.visit_no) v.actual
		  FROM research.visit_version v JOIN research.participant p USING (participant_id)
		  WHERE p.study_id = $1 AND v.batch_id <= $2 ORDER BY v.participant_id, v.visit_no, v.batch_id DESC) newest
		WHERE length(actual) = 10`, s.reg.id, s.upTo).Scan(&first)
	return first.date, fault("find the first day of the data", err)
}

// Histories is as Ingest.Histories, at the snapshot.
func (s *Snapshot) Histories(ctx context.Context, participants []int64) ([]study.History, error) {
	return s.past.histories(ctx, participants)
}

// Read answers what is stored about the participants and their current records, with
// the texts of them that people have read, in the order asked.
func (s *Snapshot) Read(ctx context.Context, participants []int64) ([]study.History, [][]study.CurrentRecord, error) {
	histories, records, err := s.past.read(ctx, participants, true)
	if err == nil && s.reg.study.ReviewsTexts() {
		err = s.texts(ctx, participants, records)
	}
	return histories, records, err
}

// texts adds the texts that people have read to the record versions that have them.
func (s *Snapshot) texts(ctx context.Context, participants []int64, records [][]study.CurrentRecord) error {
	type version struct {
		participant int64
		key         study.RecordKey
		version     int32
	}
	at := map[version]*study.CurrentRecord{}
	for i, id := range participants {
		for n := range records[i] {
			r := &records[i][n]
			at[version{id, r.Key, r.Version}] = r
		}
	}
	rows, err := s.tx.Query(ctx, `SELECT participant_id, form_id, visit_no, occurrence, version, field, coalesce(body, ''), body IS NULL FROM research.reviewed_text WHERE participant_id = ANY ($1)`, participants)
	if err != nil {
		return fault("read the reviewed texts", err)
	}
	var v version
	var form int16
	var field string
	var text study.ReviewedText
	_, err = pgx.ForEachRow(rows, []any{&v.participant, &form, &v.key.VisitNo, &v.key.Occurrence, &v.version, &field, &text.Text, &text.Refused}, func() error {
		index, known := s.reg.formOf[form]
		if v.key.Form = index; !known {
			return nil
		}
		text.Field = s.reg.study.Forms[index].FieldIndex(field)
		if r := at[v]; r != nil && text.Field >= 0 {
			r.Texts = append(r.Texts, text)
		}
		return nil
	})
	return fault("read the reviewed texts", err)
}

// Published records that a sink made a release visible, and seals the event that
// says so before it answers. Recording it twice is a no-op.
func (s *Store) Published(ctx context.Context, plan study.ReleasePlan, p study.Publication, actor string) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			INSERT INTO research.release_publication (release_id, sink, location, envelope_digest, claim, tables, rows, bytes, sizes)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9, '[]'::jsonb)) ON CONFLICT DO NOTHING`,
			plan.ID, p.Sink, p.Location, p.Envelope[:], p.Claim, p.Tables, p.Rows, p.Bytes, p.Sizes)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		waits, err := unsealedFor(ctx, tx)
		if err != nil {
			return err
		}
		return record(ctx, tx, event{Action: audit.ReleasePublished, Actor: actor, Study: plan.Study, Object: "release/" + plan.ID, After: p.Envelope,
			Detail: map[string]any{"sink": p.Sink, "envelope": p.Envelope.String(), "claim": p.Claim, "rows": p.Rows, "bytes": p.Bytes, "unsealed_seconds": waits}})
	})
	if err != nil {
		return fault("record the publication", err)
	}
	return s.sealed(ctx)
}

// ParticipantsOf lists the numbers of a study's participants, for judging them again.
func (s *Store) ParticipantsOf(ctx context.Context, studyName string) ([]int64, error) {
	reg, err := s.known(studyName)
	if err != nil {
		return nil, err
	}
	rows, err := s.app.Query(ctx, `SELECT participant_id FROM research.participant WHERE study_id = $1 ORDER BY participant_id`, reg.id)
	if err != nil {
		return nil, fault("list the participants", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, fault("list the participants", err)
}
