package pipeline

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
	// FirstDay is the earliest day of a visit that is known to the day, NoDate if there is none.
	FirstDay(ctx context.Context) (study.Date, error)
	Participants(ctx context.Context) ([]study.Participant, error)
	// Read answers what is stored about participants and their current records, in the order asked.
	Read(ctx context.Context, participants []int64) ([]study.History, [][]study.CurrentRecord, error)
	Close(ctx context.Context)
}

// Book lays out one release: judged participants as plain batches of its tables,
// and what the release says of itself.
type Book interface {
	// Tables are all tables before door 2; every batch is of one of these very descriptions.
	Tables() []*study.Table
	// Within bounds what is released of each participant; it is called before Add.
	Within(window func(code string) (first, last study.Date))
	// Add appends one participant's rows.
	Add(p study.Participant, v *study.Judgement, records []study.CurrentRecord) error
	// Take hands over the batches of all tables about participants and starts anew;
	// the first is of the table with one row for each.
	Take() []*study.Batch
	// Judge shows the risk gate all participants added. What it chose is what recipient
	// does from then on; the error says what of the study's policy does not hold.
	Judge(ctx context.Context, recipient *deid.Recipient) error
	// Static lays out the tables about no participant; released are all tables after
	// door 2, parts what was written of those about participants.
	Static(ctx context.Context, released []*study.Table, claim string, parts map[string][]deid.Artifact) ([]*study.Batch, error)
	// Unaccounted is how many records read are neither released nor kept back for a reason.
	Unaccounted() int64
	Documents(released []*study.Table, report deid.Report, parts map[string][]deid.Artifact) ([]deid.Artifact, error)
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
	// Urgent reports whether somebody has signed that a release need not wait for the
	// least interval to the one before.
	Urgent   func(ctx context.Context, plan study.ReleasePlan) (bool, error)
	Format   PartFormat
	Sinks    map[string]sinks.Sink
	Progress func(stage string, done, total int)
	Observer Observer
	Log      *slog.Logger
	Now      func() time.Time
	TempDir  string
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
	if err := r.waited(ctx, plan); err != nil {
		return err
	}
	return r.carryOut(ctx, plan, actor, out)
}

// carryOut builds, checks and publishes what the plan says.
func (r *Releaser) carryOut(ctx context.Context, plan study.ReleasePlan, actor string, out *Release) error {
	dir, err := r.workFolder()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out.Plan = plan
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
	documents, err := book.Documents(built.released, r.Recipient.Report(), built.parts)
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
		out.Publications = append(out.Publications, p)
	}
	// A plan that one sink is recorded to have published is not taken up again: it is
	// recorded when all of them have.
	for _, p := range out.Publications {
		if err := r.Store.Published(ctx, out.Plan, p, actor); err != nil {
			return err
		}
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
