package pipeline

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"longitude/connectors"
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
	out := Outcome{Run: run, refused: map[string]bool{}}
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
	refused, err := in.Store.RefusedFiles(ctx, f.Config.Name)
	if err != nil {
		return err
	}
	durable := connectors.Cursor{State: state, Known: known, Refused: refused}
	if err := catchUp(ctx, f, durable); err != nil {
		return err
	}
	for d, err := range f.deliveries(ctx, durable) {
		if err != nil {
			return err
		}
		if d.Whole != nil && out.refused[d.Whole.Item] {
			continue
		}
		if err := in.deliver(ctx, f, d, out, actor); err != nil {
			return err
		}
	}
	return nil
}

// deliveries are what a run takes.
func (f *Feed) deliveries(ctx context.Context, durable connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	if t, ok := f.Source.(connectors.Targeted); ok && len(f.Only) > 0 {
		return t.PullOnly(ctx, durable, f.Only)
	}
	return f.Source.Pull(ctx, durable)
}

// deliver takes one delivery through the commit order: landed, recorded in one
// transaction, acknowledged.
func (in *Ingester) deliver(ctx context.Context, f *Feed, d connectors.Delivery, out *Outcome, actor string) error {
	done, err := in.take(ctx, f, d, out.Run, actor)
	var refused *connectors.Refused
	if errors.As(err, &refused) {
		return in.refuse(ctx, f, d, out, refused.Why, actor)
	}
	if err != nil {
		return err
	}
	study.Reached(study.PointAfterCommit)
	in.tell(f, out, done)
	study.Reached(study.PointBeforeAck)
	if ack, ok := f.Source.(connectors.Acknowledger); ok {
		return ack.Acknowledge(ctx, d)
	}
	return nil
}

// take makes a delivery durable.
func (in *Ingester) take(ctx context.Context, f *Feed, d connectors.Delivery, run int64, actor string) (recorded, error) {
	if d.Holds == connectors.Roster {
		return in.takeRoster(ctx, f, d, run, actor)
	}
	object, err := land(ctx, f.Landing, d)
	if err != nil {
		return recorded{}, err
	}
	study.Reached(study.PointLanded)
	return in.record(ctx, f, object, d, run, actor)
}

// recorded is what became of an object.
type recorded struct {
	counts study.Counts
	known  bool         // nothing new: the same bytes, or the same outcome
	aside  *study.Error // why it was put aside whole; nil = it was not

	refused bool // it is still at the source
	nothing bool // was written: what was is not committed
	shared  bool // see reading
}

// toldReasons bounds the reasons that an outcome tells.
const toldReasons = 5

// tell adds up the outcome of a run.
func (in *Ingester) tell(f *Feed, out *Outcome, done recorded) {
	if done.aside != nil {
		if out.Aside++; out.Aside <= toldReasons {
			out.Reasons = append(out.Reasons, done.aside)
		}
	}
	switch {
	case done.refused:
		return
	case done.known:
		out.Known++
		return
	}
	out.Objects++
	out.Counts.Add(done.counts)
	in.Observer.ObjectDone(f.Config.Name, out.Objects, done.counts)
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

// record decodes a landed object and records everything that follows from it. An
// object that cannot be read, or that its source's policy does not let in as it
// has changed shape, is put aside whole.
func (in *Ingester) record(ctx context.Context, f *Feed, object study.Object, d connectors.Delivery, run int64, actor string) (recorded, error) {
	b := in.batch(f, object, run, actor)
	b.Item, b.ItemVersion, b.State = d.Item, d.Version, d.State
	b.SealedName, b.KeyVersion = f.Intake.SealName(d.Name), f.Intake.KeyVersion()
	b.Files = lines(d, run)
	done, err := in.transact(ctx, f, func(tx Ingest) (recorded, error) {
		same, err := tx.Landed(ctx, b.Source, b.Item, object.Digest)
		if err != nil {
			return recorded{}, err
		}
		if same { // touched, not changed
			return recorded{known: true}, tx.Know(ctx, b)
		}
		r := &reading{feed: f, tx: tx, object: object, precedence: f.Config.Precedence, item: d.Item, asOf: b.AsOf,
			run: run, holds: d.Holds}
		if err := in.fill(ctx, r); err != nil {
			return recorded{}, err
		}
		if r.stripped {
			b.SealedName = nil
		}
		if err := counted(d, r.counts); err != nil {
			return recorded{}, err
		}
		return recorded{counts: r.counts}, r.close(ctx, b)
	})
	var frozen *frozen
	if errors.As(err, &frozen) {
		return done, in.freeze(ctx, frozen, &b, f.Study.Name)
	}
	var unread *unread
	if errors.As(err, &unread) {
		return in.transact(ctx, f, func(tx Ingest) (recorded, error) {
			return recorded{aside: unread.why}, unread.putAside(ctx, f, tx, b)
		})
	}
	return done, err
}

// batch begins to describe what is recorded of an object.
func (in *Ingester) batch(f *Feed, object study.Object, run int64, actor string) study.BatchRecord {
	return study.BatchRecord{Kind: "object", Source: f.Config.Name, Object: object, RunID: run, Actor: actor,
		AsOf: in.today(f.Study), Mapping: f.Config.Digest, Protocol: f.Study.Digest, Precedence: f.Config.Precedence}
}

// transact commits what do does, or nothing of it.
func (in *Ingester) transact(ctx context.Context, f *Feed, do func(Ingest) (recorded, error)) (recorded, error) {
	tx, err := in.Store.BeginIngest(ctx, f.Study.Name)
	if err != nil {
		return recorded{}, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	done, err := do(tx)
	if err != nil || done.nothing {
		return done, err
	}
	study.Reached(study.PointBeforeCommit)
	return done, tx.Commit(ctx)
}

// reading is one reading of one object in its transaction.
type reading struct {
	feed       *Feed
	tx         Ingest
	object     study.Object
	item       string // keyed digest of its name
	asOf       study.Date
	origin     int64     // batch that first read it, when it is read again; 0 = now
	landed     time.Time // when it is read again
	precedence int32     // of its source when it landed
	run        int64
	holds      connectors.Holds // what absence from it means, besides what its source says

	together  map[int64]bool // the same of all objects that are read again with it
	facts     *told          // by them
	overtaken bool           // a later object of the source is not among them
	newest    bool           // no later object of the source, or of its name, tells of what is absent from it
	shared    bool           // what is gone of it another of them may have to say again

	locks    []study.Lock // in force
	counts   study.Counts
	refusals refusals
	seen     map[sighting]bool // things quarantined; of an object that is read again
	changed  bool              // something was written besides the quarantine
	stripped bool              // the object held somebody who was erased: its name may, too
	tree     *study.BatchTree
	forms    []study.Digest // of the study, as leaves name them
}

// landing is the place of the object in the order of landing.
func (r *reading) landing() study.Landing {
	if r.origin > 0 {
		return study.Landing{Batch: r.origin, At: r.landed}
	}
	return r.tx.Landing()
}

// sighting is a thing in quarantine and the row it was found in.
type sighting struct {
	item    study.Digest
	ordinal int64
}

// quarantine records what is refused.
func (r *reading) quarantine(ctx context.Context, refused []study.SealedRejection) error {
	if r.origin > 0 {
		for i := range refused {
			r.seen[sighting{refused[i].Item, refused[i].Ordinal}] = true
		}
	}
	for i := range refused {
		r.tree.Refused(refused[i].Item, refused[i].Ordinal)
	}
	return r.tx.Quarantine(ctx, r.feed.Config.Name, refused)
}

// refused is what the reading quarantined, by digest, as often as it was seen.
func (r *reading) refused() map[study.Digest]int {
	out := map[study.Digest]int{}
	for s := range r.seen {
		out[s.item]++
	}
	return out
}

// close checks the counts of a reading and finishes its batch.
func (r *reading) close(ctx context.Context, b study.BatchRecord) error {
	b.Counts = r.counts
	b.Root, b.Leaves = r.tree.Close()
	if err := balanced(r.feed.Config.Name, r.counts); err != nil {
		return err
	}
	return r.tx.Finish(ctx, b)
}

// begin prepares what is counted and proven of a reading.
func (r *reading) begin(ctx context.Context) (err error) {
	r.refusals = refusals{source: r.feed.Config.Name, limit: r.feed.Config.MaxRejected}
	r.seen, r.tree, r.forms = map[sighting]bool{}, study.NewBatchTree(r.object.Digest), formDigests(r.feed.Study)
	r.locks, err = r.tx.Locks(ctx)
	return err
}

// fill reads the object once: rows are mapped, identity leaves at door 1, and
// what stays is sorted by participant, judged and written.
func (in *Ingester) fill(ctx context.Context, r *reading) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	landed, err := r.feed.Landing.Open(ctx, r.object)
	if err != nil {
		return err
	}
	defer func() { _ = landed.Close() }()
	door := newDoor(r)
	if err := door.remember(ctx); err != nil {
		return err
	}
	records := newSorter(in.TempDir, sortBudget)
	defer records.close()
	watch, err := newWatch(ctx, r)
	if err != nil {
		return err
	}
	if err := decode(ctx, r.feed, landed, door.looker(watch), func(rows *transform.Rows, mapped *transform.Mapped) error {
		watch.choices(mapped.Rejections)
		if err := door.pass(ctx, rows, mapped, records); err != nil {
			return err
		}
		r.counts.Add(mapped.Counts) // door 1 refuses too
		return r.refusals.check(&r.counts, false)
	}); err != nil {
		return err
	}
	if err := watch.record(ctx, r); err != nil {
		return err
	}
	if err := in.judge(ctx, r, door, records); err != nil || door.forgotten == nil {
		return err
	}
	k, ok := landed.(Kept)
	r.stripped = len(door.forgotten.rows) > 0 || ok && k.Kept()
	return strip(ctx, r.feed, r.object, door.forgotten.rows)
}

// formDigests are the forms of a study as the leaves of a batch name them.
func formDigests(s *study.Study) []study.Digest {
	out := make([]study.Digest, len(s.Forms))
	for i := range s.Forms {
		names := make([]string, len(s.Forms[i].Fields))
		for k := range names {
			names[k] = s.Forms[i].Fields[k].Name
		}
		out[i] = study.FormDigest(s.Forms[i].Name, names)
	}
	return out
}

// judge judges and writes what came through the door, and removes what is gone.
func (in *Ingester) judge(ctx context.Context, r *reading, door *door, records *sorter) error {
	removal, err := newRemoval(ctx, r, door)
	if err != nil {
		return err
	}
	j := &judging{reading: r, fresh: door.fresh, codes: door.code, removal: removal}
	defer func() { _ = j.writing.wait() }() // after a failure: only a free transaction can be rolled back
	if err := records.groups(func(participant int64, news []study.Record) error {
		return j.add(ctx, participant, news)
	}); err != nil {
		return err
	}
	if removal != nil {
		for _, p := range removal.vanished(door) {
			if err := j.add(ctx, p, nil); err != nil {
				return err
			}
		}
	}
	if err := j.finish(ctx); err != nil {
		return err
	}
	r.shared = removal != nil && removal.shared
	if err := removal.check(ctx, r); err != nil {
		return err
	}
	return r.refusals.check(&r.counts, true)
}

// looker is shown the rows of an object before they are mapped; its error ends the
// reading. tolerant says whether an object of these columns may lack some that only
// fields are read from.
type looker interface {
	begin(*transform.Mapper)
	look(*transform.Rows) error
	end() error
	tolerant(columns []string) bool
}

// decode reads an object and hands on its rows, batch by batch, with what they
// map to; both are valid during the call only. The records that are complete only
// at the end come with a batch of no rows.
func decode(ctx context.Context, f *Feed, r io.Reader, l looker, each func(*transform.Rows, *transform.Mapped) error) error {
	mapper, problems := transform.NewMapper(f.Study, f.Config)
	if len(problems) > 0 {
		return mapInvalid(f)
	}
	l.begin(mapper)
	through := &honest{r: r}
	var mapped transform.Mapped
	var columns []string
	for rows, err := range rowsOf(ctx, f, through, mapper.Columns()) {
		if err != nil {
			return through.blame(ctx, err)
		}
		if err := l.look(rows); err != nil {
			return err
		}
		if columns == nil {
			if err := bind(mapper, rows.Columns, l); err != nil {
				return err
			}
			columns = append([]string{}, rows.Columns...)
		}
		mapped.Reset()
		mapper.Map(rows, &mapped)
		if err := each(rows, &mapped); err != nil {
			return err
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	mapped.Reset()
	mapper.Finish(&mapped)
	return each(&transform.Rows{Columns: columns}, &mapped)
}

func mapInvalid(f *Feed) error {
	return &study.Error{Code: "map.invalid", Op: "the mapping of source " + f.Config.Name + " does not fit its study",
		Hint: "run `longitude validate`", Exit: study.ExitUsage}
}

func bind(m *transform.Mapper, columns []string, l looker) error {
	missing := m.Bind(columns)
	if l.tolerant(columns) {
		missing = m.BindTolerant(columns)
	}
	if missing != nil {
		return unreadable(missing)
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
