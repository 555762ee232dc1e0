// Package pipeline drives the main job: ingest (connectors → landing →
// transform → door 1 → storage), release (storage → door 2 → sinks) and the
// schedule. It knows no vendor and no SQL: what it needs of storage it declares
// here, in small interfaces.
//
// The order in which things become durable is the contract of this package; its
// points are named in package study (Point…) and a test kills the program at
// each of them.
package pipeline

import (
	"context"
	"io"
	"log/slog"
	"time"

	"longitude/connectors"
	"longitude/deid"
	"longitude/study"
	"longitude/transform"
)

// Landing keeps the bytes of deliveries, unchanged and sealed.
type Landing interface {
	// Put makes the bytes durable before it returns. created is false when the
	// same bytes were there already.
	Put(ctx context.Context, r io.Reader) (o study.Object, created bool, err error)
	// Open gives a Kept where something was erased from the object.
	Open(ctx context.Context, o study.Object) (io.ReadCloser, error)
	// Rewrite puts what write writes in the place of the object and destroys what it was.
	Rewrite(ctx context.Context, o study.Object, write func(io.Writer) error) error
}

// Kept is a landed object that may be what is kept of one, in the format
// transform.Kept.
type Kept interface{ Kept() bool }

// Store is what ingest needs of storage.
type Store interface {
	Ledger
	LockSource(ctx context.Context, source string) (unlock func(), ok bool, err error)
	StartRun(ctx context.Context, kind, study, source, trigger string) (int64, error)
	FinishRun(ctx context.Context, run int64, objects int, c study.Counts, failure error) error
	Cursor(ctx context.Context, source string) (state []byte, known map[string]string, err error)
	BeginIngest(ctx context.Context, study string) (Ingest, error)
	ParticipantsOf(ctx context.Context, study string) ([]int64, error)
	// Unsettled are the participants of whom objects brought something since the
	// study was last judged without news, ascending.
	Unsettled(ctx context.Context, study string) ([]int64, error)
	// Objects are the objects of a source as they were read last, in order of landing.
	Objects(ctx context.Context, source string, onlyQuarantined bool) ([]study.LandedObject, error)
}

// Ingest is the one transaction in which everything that follows from one
// object is recorded.
type Ingest interface {
	Rosters
	// Landing is the place of an object that is read now.
	Landing() study.Landing
	Landed(ctx context.Context, source, item string, object study.Digest) (bool, error)
	// Draw keeps the numbers of identities that have none yet and answers those of all, sealed.
	Draw(ctx context.Context, drawn []study.SealedUID) (map[study.Digest][]byte, error)
	// Erased are the blind indexes of identities that must not come back.
	Erased(ctx context.Context) (map[study.Digest]bool, error)
	Resolve(ctx context.Context, ids []study.SealedIdentity) (numbers []int64, isNew []bool, err error)
	Histories(ctx context.Context, participants []int64) ([]study.History, error)
	Currents(ctx context.Context, participants []int64) ([][]study.CurrentRecord, error)
	// Contents are what stored versions say, in the order asked.
	Contents(ctx context.Context, versions []study.VersionID) ([]study.VersionContent, error)
	Unsettled(ctx context.Context) ([]int64, error)
	// Locks are those in force, whomever they cover, in no order.
	Locks(ctx context.Context) ([]study.Lock, error)
	// BatchesOf are the batches of a source's objects, item "" = of all names.
	BatchesOf(ctx context.Context, source, item string) (map[int64]bool, error)
	// Asserted are the participants with a record that is there and whose current
	// version came with one of the batches, ascending.
	Asserted(ctx context.Context, batches map[int64]bool) ([]int64, error)
	// AcceptedShape is what objects of the source look like; ok is false where that
	// is for the next one to say.
	AcceptedShape(ctx context.Context, source string) (shape study.Shape, ok bool, err error)
	RecordShape(ctx context.Context, source string, s study.Shape, drifts []study.Drift) error
	// Refused is what a batch quarantined, by digest, as often as it was seen.
	Refused(ctx context.Context, batch int64) (map[study.Digest]int, error)
	Write(ctx context.Context, c *study.Changes) error
	Quarantine(ctx context.Context, source string, rejections []study.SealedRejection) error
	Know(ctx context.Context, b study.BatchRecord) error
	Finish(ctx context.Context, b study.BatchRecord) error
	Commit(ctx context.Context) error
	Rollback(ctx context.Context)
}

// Observer hears of durable work: metrics, progress, logs.
type Observer interface {
	ObjectDone(source string, number int, c study.Counts)
	RunDone(kind, study, source string, objects int, c study.Counts, took time.Duration, err error)
}

// Feed is one configured source, opened and ready to run.
type Feed struct {
	Study   *study.Study
	Config  *study.Source
	Source  connectors.Source
	Landing Landing
	Format  transform.Format
	Intake  *deid.Intake
	Rules   *transform.Rules
	Only    []string // of a source that can, what alone is fetched (connectors.Targeted); nil = all that is new
}

// Ingester runs syncs.
type Ingester struct {
	Store    Store
	Observer Observer
	Log      *slog.Logger
	Now      func() time.Time
	Sleep    func(context.Context, time.Duration) error
	Random   func(int64) int64 // uniform in [0, n), for jitter
	TempDir  string            // for sorting; files are unlinked as soon as they are open
}

// Outcome is the result of one run.
type Outcome struct {
	Run     int64
	Objects int     // objects recorded
	Known   int     // objects that brought nothing new: their bytes, or all that is made of them, were there
	Aside   int     // objects put aside whole: unreadable, or of a shape that the source's policy does not let in; files refused
	Reasons []error // why, for the first of them
	Counts  study.Counts
	Busy    bool // another process runs this source: a normal answer

	refused map[string]bool // items of the files that were
}
