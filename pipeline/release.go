package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"longitude/deid"
	"longitude/sinks"
	"longitude/study"
	"longitude/transform"
)

// ReleaseStore is what building a release needs of storage.
type ReleaseStore interface {
	LockRelease(ctx context.Context, study string) (unlock func(), ok bool, err error)
	StartRun(ctx context.Context, kind, study, source, trigger string) (int64, error)
	FinishRun(ctx context.Context, run int64, objects int, c study.Counts, failure error) error
	PlanRelease(ctx context.Context, study string, asOf study.Date, policy study.Digest, now time.Time) (study.ReleasePlan, error)
	// LeftBehind lists the plans before p that nobody is known to have published and
	// that can still be built, oldest first.
	LeftBehind(ctx context.Context, p study.ReleasePlan, policy study.Digest) ([]study.ReleasePlan, error)
	OpenSnapshot(ctx context.Context, plan study.ReleasePlan) (Snapshot, error)
	Published(ctx context.Context, plan study.ReleasePlan, p study.Publication, actor string) error
}

// Snapshot is one consistent view of the research schema.
type Snapshot interface {
	Participants(ctx context.Context) ([]study.Participant, error)
	Histories(ctx context.Context, participants []int64) ([]study.History, error)
	Records(ctx context.Context, participants []int64) ([][]study.CurrentRecord, error)
	Close(ctx context.Context)
}

// Book lays out one release: judged participants as plain batches of its tables,
// and what the release says of itself.
type Book interface {
	// Tables are all tables before door 2; every batch is of one of these very descriptions.
	Tables() []*study.Table
	// Add appends one participant's rows.
	Add(p study.Participant, v *study.Judgement, records []study.CurrentRecord) error
	// Take hands over the batches of all tables about participants and starts anew.
	Take() []*study.Batch
	// Static lays out the tables about no participant; released are all tables after door 2.
	Static(released []*study.Table, claim string) []*study.Batch
	// Unaccounted is how many records read are neither released nor kept back for a reason.
	Unaccounted() int64
	Documents(released []*study.Table, claim string, parts map[string][]deid.Artifact) ([]deid.Artifact, error)
	Envelope(claim string, documents, parts []deid.Artifact) (deid.Artifact, error)
}

// PartFormat writes table parts and reads them back with an independent reader.
type PartFormat interface {
	NewEncoder(w io.Writer, t *study.Table) (deid.Encoder, error)
	// ReadBack compares the part written last with what another reader finds in it.
	ReadBack(ctx context.Context, a deid.Artifact, t *study.Table) error
}

// Releaser builds and publishes releases of one study.
type Releaser struct {
	Study     *study.Study
	Policy    study.Digest // of everything besides the data that shapes the bytes: keys, writer, rules
	Store     ReleaseStore
	Rules     *transform.Rules
	Recipient *deid.Recipient
	Book      func(plan study.ReleasePlan) (Book, error)
	Format    PartFormat
	Sinks     map[string]sinks.Sink
	Progress  func(stage string, done, total int)
	Observer  Observer
	Log       *slog.Logger
	Now       func() time.Time
	TempDir   string
}

// Release is what was built and published.
type Release struct {
	Run          int64
	Plan         study.ReleasePlan
	Publications []study.Publication
	Busy         bool
}

// Build plans, builds, checks and publishes a release judged on asOf. It is
// safe to run again after any interruption: the same plan is taken up and gives
// the same bytes.
func (r *Releaser) Build(ctx context.Context, asOf study.Date, trigger string) (Release, error) {
	unlock, ok, err := r.Store.LockRelease(ctx, r.Study.Name)
	if err != nil {
		return Release{}, err
	}
	if !ok {
		return Release{Busy: true}, nil
	}
	defer unlock()
	run, err := r.Store.StartRun(ctx, "release", r.Study.Name, "", trigger)
	if err != nil {
		return Release{}, err
	}
	out, started := Release{Run: run}, r.Now()
	err = r.build(ctx, asOf, trigger, &out)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if ferr := r.Store.FinishRun(closing, run, 0, study.Counts{}, err); ferr != nil && err == nil {
		err = ferr
	}
	r.Observer.RunDone("release", r.Study.Name, "", 0, study.Counts{}, r.Now().Sub(started), err)
	return out, err
}

// build carries the plan out. A release that a sink shows but that is not recorded
// as published (the process was killed between the two, and what it was planned on
// has moved since) is recorded first: the new one follows it.
func (r *Releaser) build(ctx context.Context, asOf study.Date, actor string, out *Release) error {
	plan, err := r.Store.PlanRelease(ctx, r.Study.Name, asOf, r.Policy, r.Now())
	if err != nil {
		return err
	}
	left, err := r.Store.LeftBehind(ctx, plan, r.Policy)
	if err != nil {
		return err
	}
	for _, lost := range left {
		switch seen, err := r.visible(ctx, lost); {
		case err != nil:
			return err
		case seen:
			if err := r.carryOut(ctx, lost, actor, &Release{}); err != nil {
				return err
			}
		}
	}
	if len(left) > 0 { // what it follows may have changed
		if plan, err = r.Store.PlanRelease(ctx, r.Study.Name, asOf, r.Policy, r.Now()); err != nil {
			return err
		}
	}
	return r.carryOut(ctx, plan, actor, out)
}

// visible reports whether a sink shows the release.
func (r *Releaser) visible(ctx context.Context, plan study.ReleasePlan) (bool, error) {
	for _, name := range sortedNames(r.Sinks) {
		attempt, err := r.Sinks[name].Begin(ctx, sinks.Release{Study: r.Study.Name, ID: plan.ID})
		if errors.Is(err, sinks.ErrPublished) {
			return true, nil
		}
		if err == nil {
			err = attempt.Abort(ctx)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// carryOut builds, checks and publishes what the plan says.
func (r *Releaser) carryOut(ctx context.Context, plan study.ReleasePlan, actor string, out *Release) error {
	dir, err := r.workFolder()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out.Plan = plan
	r.Recipient.Begin(plan.AsOf, study.NoDate, plan.Cutoff)
	book, err := r.Book(out.Plan)
	if err != nil {
		return err
	}
	built, err := r.parts(ctx, out.Plan, book, dir)
	if err != nil {
		return err
	}
	study.Reached(study.PointPartsBuilt)
	if err := gates(out.Plan, book, built); err != nil {
		return err
	}
	study.Reached(study.PointBeforeApproval)
	documents, err := book.Documents(built.released, built.claim, built.parts)
	if err != nil {
		return err
	}
	files := built.all()
	envelope, err := book.Envelope(built.claim, documents, files)
	if err != nil {
		return err
	}
	for _, name := range sortedNames(r.Sinks) {
		p, err := r.publish(ctx, name, out.Plan, slices.Concat(files, documents), envelope, built)
		if err != nil {
			return err
		}
		if err := r.Store.Published(ctx, out.Plan, p, actor); err != nil {
			return err
		}
		out.Publications = append(out.Publications, p)
	}
	return nil
}

// workFolder makes the folder that a release of the study is built in. Its name
// is the study's, because the lock on building is: what is in it was left by a
// build that was killed, and goes.
func (r *Releaser) workFolder() (string, error) {
	dir := filepath.Join(r.TempDir, "release-"+r.Study.Name)
	err := os.RemoveAll(dir)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return "", &study.Error{Code: "release.temp_failed", Op: "could not make a folder for building", Exit: study.ExitEnvironment,
			Hint: "make room under data_dir and run it again", Err: pathless(err)}
	}
	return dir, nil
}

// built is a release before it is published.
type built struct {
	released     []*study.Table
	parts        map[string][]deid.Artifact
	claim        string
	participants int
}

func (b *built) all() []deid.Artifact {
	var out []deid.Artifact
	for _, t := range b.released {
		out = append(out, b.parts[t.Name]...)
	}
	return out
}

func (b *built) sizes() []study.TableSize {
	var out []study.TableSize
	for _, t := range b.released {
		size := study.TableSize{Table: t.Name, Files: int64(len(b.parts[t.Name]))}
		for _, a := range b.parts[t.Name] {
			size.Rows += a.Rows()
			size.Bytes += a.Size()
		}
		out = append(out, size)
	}
	return out
}

// bucketParticipants is how many participants a part holds on average. Parts are
// ranges of the released id, a keyed hash, so that neither a part nor the order
// of rows tells when someone was enrolled.
const bucketParticipants = 2048

// person is a participant on the way to a release: the released id sorts.
type person struct {
	id       int64
	released string
}

func (r *Releaser) parts(ctx context.Context, plan study.ReleasePlan, book Book, dir string) (*built, error) {
	snapshot, err := r.Store.OpenSnapshot(ctx, plan)
	if err != nil {
		return nil, err
	}
	defer snapshot.Close(context.WithoutCancel(ctx))
	participants, err := snapshot.Participants(ctx)
	if err != nil {
		return nil, err
	}
	people := make([]person, len(participants))
	for i, p := range participants {
		people[i] = person{p.ID, r.Recipient.Participant(p.Code)}
	}
	slices.SortFunc(people, func(a, b person) int { return strings.Compare(a.released, b.released) })
	b, err := r.begin(book, len(people))
	if err != nil {
		return nil, err
	}
	w := &partWriter{r: r, dir: dir, book: book, asOf: plan.AsOf, built: b}
	defer func() { _ = w.writing.wait() }() // after a failure: the folder goes away
	buckets := split(people)
	for i, bucket := range buckets {
		if err := w.bucket(ctx, snapshot, bucket, i); err != nil {
			return nil, err
		}
		r.Progress("parts", i+1, len(buckets))
	}
	if err := w.writing.wait(); err != nil {
		return nil, err
	}
	for _, batch := range book.Static(b.released, b.claim) {
		if err := w.write(ctx, batch, 0); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// begin projects every table through door 2, which computes the claim, and
// refuses a release that would claim too much before anything is built.
func (r *Releaser) begin(book Book, participants int) (*built, error) {
	b := &built{parts: map[string][]deid.Artifact{}, participants: participants}
	for _, t := range book.Tables() {
		released, err := r.Recipient.Project(t)
		if err != nil {
			return nil, err
		}
		b.released = append(b.released, released)
	}
	b.claim = r.Recipient.Claim()
	return b, r.Recipient.Check()
}

// split cuts people, sorted by released id, into a power of two of ranges of
// the id's first two characters (5 bits each, Crockford base32 behind the "P").
func split(people []person) [][]person {
	bits := 0
	for bits < 10 && len(people) > bucketParticipants<<bits {
		bits++
	}
	buckets := make([][]person, 1<<bits)
	for start := 0; start < len(people); {
		n := bucketOf(people[start].released, bits)
		end := start + 1
		for end < len(people) && bucketOf(people[end].released, bits) == n {
			end++
		}
		buckets[n] = people[start:end]
		start = end
	}
	return buckets
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

func bucketOf(released string, bits int) int {
	if bits == 0 || len(released) < 3 {
		return 0
	}
	n := strings.IndexByte(crockford, released[1])<<5 | strings.IndexByte(crockford, released[2])
	return n >> (10 - bits)
}

type partWriter struct {
	r     *Releaser
	dir   string
	book  Book
	asOf  study.Date
	built *built

	writing aside // has door 2 and the disk
}

// bucket lays out one part of every table about participants, and has it written
// while the next is laid out.
func (w *partWriter) bucket(ctx context.Context, s Snapshot, people []person, part int) error {
	for start := 0; start < len(people); start += 512 {
		if err := w.judge(ctx, s, people[start:min(start+512, len(people))]); err != nil {
			return err
		}
	}
	batches := w.book.Take()
	return w.writing.start(func() error {
		if err := w.r.Recipient.Survey(batches); err != nil {
			return err
		}
		for _, b := range batches {
			if err := w.write(ctx, b, part); err != nil {
				return err
			}
			study.Reached(study.PointMidPart)
		}
		return nil
	})
}

func (w *partWriter) judge(ctx context.Context, s Snapshot, people []person) error {
	ids := make([]int64, len(people))
	for i := range people {
		ids[i] = people[i].id
	}
	histories, err := s.Histories(ctx, ids)
	if err != nil {
		return err
	}
	records, err := s.Records(ctx, ids)
	if err != nil {
		return err
	}
	for i := range histories {
		verdict := judge(w.r.Rules, &histories[i], nil, w.asOf)
		if err := w.book.Add(verdict.Participant, &verdict, records[i]); err != nil {
			return err
		}
	}
	return nil
}

// write takes one batch through door 2 into a part and reads the part back.
func (w *partWriter) write(ctx context.Context, b *study.Batch, part int) error {
	released, err := w.r.Recipient.Project(b.Table)
	if err != nil {
		return err
	}
	batch, err := w.r.Recipient.Apply(b)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("data/%s/part-%05d.parquet", released.Name, part)
	one := func(yield func(deid.Batch, error) bool) { yield(batch, nil) }
	a, err := deid.Encode(ctx, w.r.Format.NewEncoder, path, w.dir, released, iter.Seq2[deid.Batch, error](one))
	if err != nil {
		return err
	}
	if err := w.r.Format.ReadBack(ctx, a, released); err != nil {
		return err
	}
	w.built.parts[released.Name] = append(w.built.parts[released.Name], a)
	return nil
}

// gates refuse a release that would be wrong.
func gates(plan study.ReleasePlan, book Book, b *built) error {
	defect := func(code, what string) error {
		return &study.Error{Code: code, Op: "release " + plan.ID + " " + what, Exit: study.ExitBlocked,
			Hint: "nothing was published; this is a defect of Longitude, please report it"}
	}
	if rows, records := plan.Counts.Unaccounted(); rows != 0 || records != 0 {
		return defect("release.unbalanced", "is built from batches whose counts do not balance")
	}
	if book.Unaccounted() != 0 {
		return defect("release.unaccounted", "would lose records without a reason")
	}
	var people int64
	for _, a := range b.parts["participants"] {
		people += a.Rows()
	}
	if people > int64(b.participants) {
		return defect("release.participants", "would hold more participants than the study")
	}
	return nil
}

// publish puts everything into one sink, the envelope last.
func (r *Releaser) publish(ctx context.Context, name string, plan study.ReleasePlan, files []deid.Artifact, envelope deid.Artifact, b *built) (study.Publication, error) {
	sink, release := r.Sinks[name], sinks.Release{Study: r.Study.Name, ID: plan.ID}
	p := study.Publication{Sink: name, Location: sink.Location(release), Envelope: envelope.Digest(), Claim: b.claim, Tables: len(b.released), Sizes: b.sizes()}
	for _, a := range files {
		p.Rows += a.Rows()
		p.Bytes += a.Size()
	}
	publication, err := sink.Begin(ctx, release)
	if errors.Is(err, sinks.ErrPublished) {
		return p, nil // a crash came between the envelope and our record of it
	}
	if err != nil {
		return p, err
	}
	for i, a := range files {
		if err := publication.Put(ctx, a); err != nil {
			return p, errors.Join(err, publication.Abort(context.WithoutCancel(ctx)))
		}
		r.Progress("publish to "+name, i+1, len(files)+1)
	}
	if err := publication.Commit(ctx, envelope); err != nil {
		return p, errors.Join(err, publication.Abort(context.WithoutCancel(ctx)))
	}
	return p, nil
}

func sortedNames(m map[string]sinks.Sink) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
