package pipeline

import (
	"context"
	"io"
	"time"

	"longitude/connectors"
	"longitude/deid"
	"longitude/study"
	"longitude/transform"
)

// Sync pulls what is new of a source and records it, object by object. Each
// object is one transaction, so whatever interrupts the run, what is recorded is
// whole and the next run carries on behind it.
func (in *Ingester) Sync(ctx context.Context, f *Feed, trigger string) (Outcome, error) {
	unlock, ok, err := in.Store.LockSource(ctx, f.Config.Name)
	if err != nil {
		return Outcome{}, err
	}
	if !ok {
		return Outcome{Busy: true}, nil
	}
	defer unlock()
	run, err := in.Store.StartRun(ctx, "sync", f.Study.Name, f.Config.Name, trigger)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Run: run}
	started := in.Now()
	err = in.retrying(ctx, f.Config.Retry, func() error { return in.pull(ctx, f, &out, trigger) })
	return out, in.finish(ctx, "sync", f.Study.Name, f.Config.Name, &out, started, err)
}

// finish closes a run even when its context is gone.
func (in *Ingester) finish(ctx context.Context, kind, studyName, source string, out *Outcome, started time.Time, err error) error {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if ferr := in.Store.FinishRun(closing, out.Run, out.Objects, out.Counts, err); ferr != nil && err == nil {
		err = ferr
	}
	in.Observer.RunDone(kind, studyName, source, out.Objects, out.Counts, in.Now().Sub(started), err)
	return err
}

// pull reads the cursor afresh, so that a retry starts behind what the attempt
// before made durable.
func (in *Ingester) pull(ctx context.Context, f *Feed, out *Outcome, actor string) error {
	state, known, err := in.Store.Cursor(ctx, f.Config.Name)
	if err != nil {
		return err
	}
	durable := connectors.Cursor{State: state, Known: known}
	if err := catchUp(ctx, f, durable); err != nil {
		return err
	}
	for d, err := range f.Source.Pull(ctx, durable) {
		if err != nil {
			return err
		}
		if err := in.deliver(ctx, f, d, out, actor); err != nil {
			return err
		}
	}
	return nil
}

// deliver takes one delivery through the commit order: landed, recorded in one
// transaction, acknowledged.
func (in *Ingester) deliver(ctx context.Context, f *Feed, d connectors.Delivery, out *Outcome, actor string) error {
	object, err := land(ctx, f.Landing, d)
	if err != nil {
		return err
	}
	study.Reached(study.PointLanded)
	counts, recorded, err := in.record(ctx, f, object, d, out.Run, actor)
	if err != nil {
		return err
	}
	study.Reached(study.PointAfterCommit)
	if recorded {
		out.Objects++
		out.Counts.Add(counts)
		in.Observer.ObjectDone(f.Config.Name, out.Objects, counts)
	} else {
		out.Known++
	}
	study.Reached(study.PointBeforeAck)
	if ack, ok := f.Source.(connectors.Acknowledger); ok {
		return ack.Acknowledge(ctx, d)
	}
	return nil
}

func land(ctx context.Context, l Landing, d connectors.Delivery) (study.Object, error) {
	r, err := d.Open(ctx)
	if err != nil {
		return study.Object{}, err
	}
	object, _, err := l.Put(ctx, r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return object, err
}

// catchUp acknowledges what a crash left durable but unacknowledged.
func catchUp(ctx context.Context, f *Feed, durable connectors.Cursor) error {
	ack, ok := f.Source.(connectors.Acknowledger)
	lost, able := f.Source.(connectors.Recoverer)
	if !ok || !able {
		return nil
	}
	for d, err := range lost.Unacknowledged(ctx, durable) {
		if err != nil {
			return err
		}
		if err := ack.Acknowledge(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// record decodes a landed object and records everything that follows from it.
func (in *Ingester) record(ctx context.Context, f *Feed, object study.Object, d connectors.Delivery, run int64, actor string) (study.Counts, bool, error) {
	tx, err := in.Store.BeginIngest(ctx, f.Study.Name)
	if err != nil {
		return study.Counts{}, false, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	b := study.BatchRecord{Kind: "object", Source: f.Config.Name, Object: object, Item: d.Item, ItemVersion: d.Version,
		State: d.State, SealedName: f.Intake.SealName(d.Name), KeyVersion: f.Intake.KeyVersion(), RunID: run, Actor: actor,
		AsOf: in.today(f.Study), Mapping: f.Config.Digest, Protocol: f.Study.Digest}
	same, err := tx.Landed(ctx, b.Source, b.Item, object.Digest)
	if err != nil {
		return study.Counts{}, false, err
	}
	if same { // touched, not changed
		if err := tx.Know(ctx, b); err != nil {
			return study.Counts{}, false, err
		}
		return study.Counts{}, false, tx.Commit(ctx)
	}
	counts, tree, err := in.fill(ctx, f, tx, object, b.AsOf)
	if err != nil {
		return study.Counts{}, false, err
	}
	b.Counts, b.Root, b.Leaves = counts, tree.root(), tree.leaves
	if err := balanced(f.Config.Name, counts); err != nil {
		return study.Counts{}, false, err
	}
	if err := tx.Finish(ctx, b); err != nil {
		return study.Counts{}, false, err
	}
	study.Reached(study.PointBeforeCommit)
	return counts, true, tx.Commit(ctx)
}

// fill reads the object once: rows are mapped, identity leaves at door 1, and
// what stays is sorted by participant, judged and written.
func (in *Ingester) fill(ctx context.Context, f *Feed, tx Ingest, object study.Object, asOf study.Date) (study.Counts, *merkle, error) {
	r, err := f.Landing.Open(ctx, object)
	if err != nil {
		return study.Counts{}, nil, err
	}
	defer func() { _ = r.Close() }()
	door := &door{feed: f, tx: tx, numbers: map[string]int64{}, fresh: map[int64]bool{}}
	records := newSorter(in.TempDir, sortBudget)
	defer records.close()
	var counts study.Counts
	err = decode(ctx, f, r, func(rows *transform.Rows, mapped *transform.Mapped) error {
		err := door.pass(ctx, rows, mapped, records)
		counts.Add(mapped.Counts) // door 1 refuses too
		return err
	})
	if err != nil {
		return counts, nil, err
	}
	j := &judging{feed: f, tx: tx, asOf: asOf, fresh: door.fresh, codes: door.codes(), counts: &counts, tree: &merkle{salt: object.Digest}}
	for _, item := range door.rejected {
		j.tree.add(item[:])
	}
	defer func() { _ = j.writing.wait() }() // after a failure: only a free transaction can be rolled back
	err = records.groups(func(participant int64, news []study.Record) error {
		return j.add(ctx, participant, news)
	})
	if err == nil {
		err = j.finish(ctx)
	}
	return counts, j.tree, err
}

// decode reads an object and hands on its rows, batch by batch, with what they
// map to; both are valid during the call only.
func decode(ctx context.Context, f *Feed, r io.Reader, each func(*transform.Rows, *transform.Mapped) error) error {
	mapper, problems := transform.NewMapper(f.Study, f.Config)
	if len(problems) > 0 {
		return &study.Error{Code: "map.invalid", Op: "the mapping of source " + f.Config.Name + " does not fit its study",
			Hint: "run `longitude validate`", Exit: study.ExitUsage}
	}
	var mapped transform.Mapped
	bound := false
	for rows, err := range f.Format.Decode(ctx, f.Config.Format, r) {
		if err != nil {
			return err
		}
		if !bound {
			if err := mapper.Bind(rows.Columns); err != nil {
				return err
			}
			bound = true
		}
		mapped.Reset()
		mapper.Map(rows, &mapped)
		if err := each(rows, &mapped); err != nil {
			return err
		}
	}
	return nil
}

// balanced fails a batch whose counts do not add up: nothing may be dropped
// without a row that says so.
func balanced(source string, c study.Counts) error {
	rows, records := c.Unaccounted()
	if rows == 0 && records == 0 {
		return nil
	}
	return &study.Error{Code: "ingest.unbalanced", Op: "the counts of an object of source " + source + " do not balance; nothing of it was recorded",
		Hint: "this is a defect of Longitude: please report it with the run's number"}
}

func (in *Ingester) today(s *study.Study) study.Date {
	loc, err := time.LoadLocation(s.Timezone)
	if err != nil {
		loc = time.UTC
	}
	return study.DateOf(in.Now(), loc)
}

// door takes drafts through door 1, resolving each identity once per object.
type door struct {
	feed     *Feed
	tx       Ingest
	numbers  map[string]int64 // source identifier → participant number
	fresh    map[int64]bool   // participants created in this transaction: they have no history
	code     map[int64]string
	rejected []study.Digest
}

func (d *door) codes() map[int64]string { return d.code }

// pass seals one batch of mapped rows.
func (d *door) pass(ctx context.Context, rows *transform.Rows, m *transform.Mapped, records *sorter) error {
	if err := d.resolve(ctx, rows, m); err != nil {
		return err
	}
	for i := range m.Drafts {
		draft := &m.Drafts[i]
		number, ok := d.numbers[draft.Identity]
		if !ok {
			continue // its rejection was added by resolve
		}
		record, err := d.feed.Intake.Seal(draft, number)
		if err != nil {
			return err
		}
		if err := records.add(record); err != nil {
			return err
		}
	}
	return d.quarantine(ctx, m.Rejections)
}

// resolve turns the batch's unseen identifiers into participant numbers. An
// identifier that cannot be one quarantines its records.
func (d *door) resolve(ctx context.Context, rows *transform.Rows, m *transform.Mapped) error {
	var sources []string
	var sealed []study.SealedIdentity
	refused := map[string]string{}
	for i := range m.Drafts {
		id := m.Drafts[i].Identity
		if _, seen := d.numbers[id]; seen || refused[id] != "" {
			continue
		}
		identity, rule := d.feed.Intake.Identify(id)
		if rule != "" {
			refused[id] = rule
			continue
		}
		d.numbers[id] = 0 // seen; the number follows
		sources = append(sources, id)
		sealed = append(sealed, study.SealedIdentity{Code: identity.Code, Namespace: d.feed.Config.Map.Namespace, Blind: identity.Blind,
			Box: identity.Box, KeyVersion: d.feed.Intake.KeyVersion(), Canon: identity.Canon})
	}
	for i := range m.Drafts {
		if rule := refused[m.Drafts[i].Identity]; rule != "" {
			refuse(m, i, rule, d.feed.Study, rows)
		}
	}
	if len(sealed) == 0 {
		return nil
	}
	return d.number(ctx, sources, sealed)
}

// refuse quarantines a record whose participant identifier is none.
func refuse(m *transform.Mapped, i int, rule string, s *study.Study, rows *transform.Rows) {
	d := &m.Drafts[i]
	m.Counts.Quarantined++
	m.Rejections = append(m.Rejections, study.Rejection{Ordinal: d.Ordinal, Line: d.Line, Site: d.Site,
		Form: s.Forms[d.Form].Name, Rule: rule, Records: 1, Raw: rows.Raw[d.Ordinal-rows.First]})
}

// number asks storage for the participants behind the codes. Two spellings of
// one identifier share a code and must be asked for once.
func (d *door) number(ctx context.Context, sources []string, sealed []study.SealedIdentity) error {
	first := map[string]int{}
	var unique []study.SealedIdentity
	for _, s := range sealed {
		if _, ok := first[s.Code]; !ok {
			first[s.Code] = len(unique)
			unique = append(unique, s)
		}
	}
	numbers, isNew, err := d.tx.Resolve(ctx, unique)
	if err != nil {
		return err
	}
	if d.code == nil {
		d.code = map[int64]string{}
	}
	for i, source := range sources {
		at := first[sealed[i].Code]
		d.numbers[source] = numbers[at]
		d.code[numbers[at]] = sealed[i].Code
		if isNew[at] {
			d.fresh[numbers[at]] = true
		}
	}
	return nil
}

// quarantine seals and records rejections.
func (d *door) quarantine(ctx context.Context, rejections []study.Rejection) error {
	if len(rejections) == 0 {
		return nil
	}
	sealed := sealRejections(d.feed.Intake, rejections)
	for i := range sealed {
		d.rejected = append(d.rejected, sealed[i].Item)
	}
	return d.tx.Quarantine(ctx, d.feed.Config.Name, sealed)
}

func sealRejections(intake *deid.Intake, rejections []study.Rejection) []study.SealedRejection {
	out := make([]study.SealedRejection, len(rejections))
	for i, r := range rejections {
		out[i] = study.SealedRejection{Rejection: r, KeyVersion: intake.KeyVersion(),
			Item: intake.RowDigest(append([]byte(r.Form+"\x1f"+r.Field+"\x1f"+r.Rule+"\x1f"), r.Raw...)),
			Box:  intake.SealRow(r.Raw)}
		out[i].Raw = nil
	}
	return out
}
