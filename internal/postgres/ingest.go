package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// Ingest is the one transaction in which everything that follows from one
// object is recorded. It is used by one goroutine at a time.
type Ingest struct {
	tx       pgx.Tx
	reg      *registered
	batch    int64
	begun    time.Time
	software string
	past     past
	next     int64           // number of the next new participant; 0 = nobody is new yet
	changed  map[string]bool // fields that a new version says otherwise, as form.field

	records, sealed, parts, visits, participants, deviations, holds copyBuffer
}

// BeginIngest opens the transaction and draws its batch number. A study has one
// such transaction at a time, and waits for the one before: what is judged rests
// on what is stored of the participant, whichever source brought it. While it is
// open a release cannot be planned either: its plan pins "all batches up to N",
// so every number below N must be decided.
func (s *Store) BeginIngest(ctx context.Context, studyName string) (*Ingest, error) {
	reg, err := s.known(studyName)
	if err != nil {
		return nil, err
	}
	tx, err := s.app.BeginTx(ctx, pgx.TxOptions{BeginQuery: "BEGIN; " + byKey})
	if err != nil {
		return nil, fault("begin a transaction", err)
	}
	in := &Ingest{tx: tx, reg: reg, software: s.software}
	if _, err = tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.plan'), $1)`, int32(reg.id)); err == nil {
		// A clock that is set back does not put a batch before an earlier one.
		err = tx.QueryRow(ctx, `SELECT nextval('research.batch_number'), greatest(clock_timestamp(),
			(SELECT recorded_at FROM research.batch WHERE study_id = $1 ORDER BY batch_id DESC LIMIT 1))`, reg.id).Scan(&in.batch, &in.begun)
	}
	if err != nil {
		_ = tx.Rollback(ctx)
		return nil, fault("begin a batch", err)
	}
	in.past = past{q: tx, reg: reg, upTo: in.batch}
	return in, nil
}

// Batch is the number of the batch being written.
func (in *Ingest) Batch() int64 { return in.batch }

// Landing is the place of the object that is being recorded.
func (in *Ingest) Landing() study.Landing { return study.Landing{Batch: in.batch, At: in.begun} }

// Commit makes everything durable and visible.
func (in *Ingest) Commit(ctx context.Context) error {
	if in.next > 0 {
		if _, err := in.tx.Exec(ctx, `UPDATE research.allocation SET next = $1 WHERE what = 'participant'`, in.next); err != nil {
			return fault("allocate participant numbers", err)
		}
	}
	return fault("commit the batch", in.tx.Commit(ctx))
}

// Rollback forgets everything; after Commit it does nothing.
func (in *Ingest) Rollback(ctx context.Context) { _ = in.tx.Rollback(ctx) }

// Resolve answers the participant numbers of source identities, creating the
// participants that are new. isNew tells which were.
func (in *Ingest) Resolve(ctx context.Context, ids []study.SealedIdentity) (numbers []int64, isNew []bool, err error) {
	codes := make([]string, len(ids))
	at := make(map[string]int, len(ids))
	for i, id := range ids {
		codes[i] = id.Code
		at[id.Code] = i
	}
	if err := in.clash(ctx, codes, ids); err != nil {
		return nil, nil, err
	}
	numbers, isNew = make([]int64, len(ids)), make([]bool, len(ids))
	if err := in.lookUp(ctx, codes, at, numbers); err != nil {
		return nil, nil, err
	}
	missing := missingOf(numbers)
	if len(missing) == 0 {
		return numbers, isNew, nil
	}
	// The row lock on the allocation serialises everyone who adds participants, until
	// the transaction ends; what another added while we waited must be looked up again.
	if in.next == 0 {
		if err := in.tx.QueryRow(ctx, `SELECT next FROM research.allocation WHERE what = 'participant' FOR UPDATE`).Scan(&in.next); err != nil {
			return nil, nil, fault("allocate participant numbers", err)
		}
		if err := in.lookUp(ctx, codes, at, numbers); err != nil {
			return nil, nil, err
		}
	}
	var participants, identities, vaulted copyBuffer
	for _, i := range missingOf(numbers) {
		numbers[i], isNew[i] = in.next, true
		in.next++
		id := &ids[i]
		participants.row(4)
		participants.int64(numbers[i])
		participants.int16(in.reg.id)
		participants.text(id.Code)
		participants.int64(in.batch)
		identities.row(2)
		identities.text(id.Code)
		identities.int64(numbers[i])
		vaulted.row(7)
		vaulted.text(id.Code)
		vaulted.int64(numbers[i])
		vaulted.text(id.Namespace)
		vaulted.bytes(id.Blind[:])
		vaulted.bytes(id.Box)
		vaulted.int32(int32(id.KeyVersion))
		vaulted.int32(int32(id.Canon))
	}
	if err := participants.send(ctx, in.tx, "research.participant", "participant_id, study_id, code, batch_id"); err != nil {
		return nil, nil, err
	}
	if err := identities.send(ctx, in.tx, "research.participant_identity", "code, participant_id"); err != nil {
		return nil, nil, err
	}
	return numbers, isNew, vaulted.send(ctx, in.tx, "vault.identity", "code, participant_id, namespace, blind, box, key_version, canon")
}

// lookUp finds the participants that the codes stand for today: links count.
func (in *Ingest) lookUp(ctx context.Context, codes []string, at map[string]int, numbers []int64) error {
	if err := in.past.tell(ctx); err != nil {
		return fault("read what was decided", err)
	}
	rows, err := in.tx.Query(ctx, `SELECT code, participant_id FROM research.participant_identity WHERE code = ANY($1)`, codes)
	if err != nil {
		return fault("look up participants", err)
	}
	var code string
	var number int64
	_, err = pgx.ForEachRow(rows, []any{&code, &number}, func() error {
		numbers[at[code]] = in.past.person(number)
		return nil
	})
	return fault("look up participants", err)
}

func missingOf(numbers []int64) []int {
	var out []int
	for i, n := range numbers {
		if n == 0 {
			out = append(out, i)
		}
	}
	return out
}

// Histories answers what is stored about the participants, in the order asked.
// A participant that is not stored yet has an empty history.
func (in *Ingest) Histories(ctx context.Context, participants []int64) ([]study.History, error) {
	return in.past.histories(ctx, participants)
}

// Currents answers the current records of each participant, in the order asked.
func (in *Ingest) Currents(ctx context.Context, participants []int64) ([][]study.CurrentRecord, error) {
	return currents(ctx, in.tx, in.reg, participants, in.batch)
}

// Write adds the versions of one chunk.
func (in *Ingest) Write(ctx context.Context, c *study.Changes) error {
	for i := range c.Records {
		in.addRecord(&c.Records[i])
		in.addPart(&c.Records[i])
	}
	for i := range c.Visits {
		in.addVisit(&c.Visits[i])
	}
	for i := range c.Participants {
		in.addParticipant(&c.Participants[i])
	}
	for i := range c.Deviations {
		in.addDeviation(&c.Deviations[i])
	}
	for i := range c.Holds {
		in.addHold(&c.Holds[i])
	}
	for _, step := range []struct {
		rows           *copyBuffer
		table, columns string
	}{
		{&in.records, "research.record_version", "participant_id, batch_id, modified, content_hash, visit_no, version, ordinal, shape_id, entered, form_id, op, occurrence, answers, missing, findings"},
		{&in.sealed, "vault.sealed_value", "participant_id, form_id, visit_no, occurrence, version, field, key_version, box"},
		{&in.parts, "research.record_part", partColumns},
		{&in.visits, "research.visit_version", "participant_id, visit_no, batch_id, visit_key, visit_type, actual, planned, declared, reason, modified, status, timing, due, window_start, window_end, from_target, outside_window, withheld, protocol, told"},
		{&in.participants, "research.participant_version", "participant_id, batch_id, site, enrolled, consented, withdrawn, status, status_on, facts, told"},
		{&in.deviations, "research.deviation_version", "participant_id, visit_no, code, detail, batch_id, kind, state, evidence"},
		{&in.holds, "research.hold_version", "participant_id, form_id, visit_no, occurrence, batch_id, code"},
	} {
		if err := step.rows.send(ctx, in.tx, step.table, step.columns); err != nil {
			return err
		}
		study.Reached(study.PointMidCopy)
	}
	return in.noteChanged(ctx, c.Records)
}

func (in *Ingest) addRecord(v *study.RecordVersion) {
	r, form, c := v.Record, in.reg.formIDs[v.Key.Form], &in.records
	c.row(15)
	c.int64(r.Participant)
	c.int64(in.batch)
	c.time(r.Modified)
	c.bytes(r.Hash[:])
	c.int32(v.Key.VisitNo)
	c.int32(v.Version)
	c.int32(int32(r.Ordinal))
	c.int32(in.reg.shapes[v.Key.Form])
	c.date(r.Entered)
	c.int16(form)
	c.text(string(v.Op()))
	c.text(v.Key.Occurrence)
	c.text(r.Answers)
	c.textOrNull(r.Missing)
	c.textOrNull(r.Findings)
	for i := range r.Sealed {
		s := &in.sealed
		s.row(8)
		s.int64(r.Participant)
		s.int16(form)
		s.int32(v.Key.VisitNo)
		s.text(v.Key.Occurrence)
		s.int32(v.Version)
		s.int16(int16(r.Sealed[i].Field))
		s.int32(int32(r.KeyVersion))
		s.bytes(r.Sealed[i].Box)
	}
}

func (in *Ingest) addVisit(v *study.VisitVersion) {
	c := &in.visits
	c.row(20)
	c.int64(v.Participant)
	c.int32(v.No)
	c.int64(in.batch)
	c.text(v.Key)
	if v.Type < 0 {
		c.null()
	} else {
		c.text(in.reg.study.Visits[v.Type].Name)
	}
	c.textOrNull(v.Actual.String())
	c.textOrNull(v.Planned.String())
	c.textOrNull(v.Declared.String())
	c.bool(v.Reason)
	c.time(v.Modified)
	c.text(string(v.Status))
	c.textOrNull(string(v.Timing))
	c.date(v.Due)
	c.date(v.WindowStart)
	c.date(v.WindowEnd)
	if v.HasDistance {
		c.int32(int32(v.FromTarget))
		c.int32(int32(v.OutsideWindow))
	} else {
		c.null()
		c.null()
	}
	c.bool(v.Withheld)
	c.textOrNull(in.reg.protocolName(v.Protocol))
	c.textOrNull(v.Told.String())
}

func (in *Ingest) addParticipant(p *study.Participant) {
	c := &in.participants
	c.row(10)
	c.int64(p.ID)
	c.int64(in.batch)
	c.text(p.Site)
	c.bool(p.Enrolled)
	c.date(p.Consented)
	c.date(p.Withdrawn)
	c.text(string(p.Status))
	c.date(p.StatusOn)
	c.text(p.Facts)
	c.text(p.Told)
}

func (in *Ingest) addDeviation(d *study.DeviationVersion) {
	c := &in.deviations
	c.row(8)
	c.int64(d.Participant)
	c.int32(d.VisitNo)
	c.text(d.Code)
	c.text(d.Detail)
	c.int64(in.batch)
	c.text(string(d.Kind))
	c.text(string(d.State))
	c.text(d.Evidence)
}

func (in *Ingest) addHold(h *study.HoldVersion) {
	c := &in.holds
	c.row(6)
	c.int64(h.Participant)
	c.int16(in.reg.formIDs[h.Key.Form])
	c.int32(h.Key.VisitNo)
	c.text(h.Key.Occurrence)
	c.int64(in.batch)
	c.text(h.Code)
}

// Quarantine records rejections: a row each the first time, a sighting every time.
func (in *Ingest) Quarantine(ctx context.Context, source string, rejections []study.SealedRejection) error {
	b := &pgx.Batch{}
	for _, r := range sightings(rejections) {
		b.Queue(`
			WITH added AS (
			  INSERT INTO research.quarantine (study_id, source, site, form, field, rule, item_digest)
			  VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING quarantine_id),
			vaulted AS (
			  INSERT INTO vault.quarantined_row (quarantine_id, key_version, box) SELECT quarantine_id, $8::int, $9::bytea FROM added)
			INSERT INTO research.quarantine_sighting (quarantine_id, batch_id, ordinal, line, records)
			SELECT quarantine_id, $10::bigint, $11::int, $12::int, $13::int FROM added
			UNION ALL
			SELECT quarantine_id, $10::bigint, $11::int, $12::int, $13::int FROM research.quarantine
			WHERE study_id = $1 AND source = $2 AND item_digest = $7`,
			in.reg.id, source, r.Site, r.Form, r.Field, r.Rule, r.Item[:], r.KeyVersion, r.Box,
			in.batch, r.Ordinal, r.Line, r.Records)
	}
	return fault("record the quarantine", in.tx.SendBatch(ctx, b).Close())
}

// sightings adds up what one rule says of one row more than once, as of a wide
// row whose every eye is out of range: it is one thing, seen once, for all the
// records it stands for.
func sightings(rejections []study.SealedRejection) []study.SealedRejection {
	type sighting struct {
		item    study.Digest
		ordinal int64
	}
	at := make(map[sighting]int, len(rejections))
	var out []study.SealedRejection
	for i := range rejections {
		r := &rejections[i]
		key := sighting{r.Item, r.Ordinal}
		if first, again := at[key]; again {
			out[first].Records += r.Records
			continue
		}
		at[key] = len(out)
		out = append(out, *r)
	}
	return out
}
