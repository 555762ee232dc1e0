package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/deid"
	"longitude/study"
	"longitude/transform"
	"longitude/transform/formats/csv"
)

// memory is storage in memory. A transaction works on a copy, which Commit puts
// in the place of the original.
type memory struct {
	batch      int64
	numbers    map[string]int64 // by participant code
	people     map[int64]study.Participant
	versions   map[int64][]study.VersionRef
	visits     map[int64]map[int32]study.Visit
	deviations map[int64]map[study.DeviationKey]study.Deviation
	holds      map[int64]map[study.RecordKey]string
	quarantine map[study.Digest]int // records it stands for, by what was rejected
	known      map[string]string    // version by item
	objects    map[string]study.Digest
	batches    []study.BatchRecord
}

func newMemory() *memory {
	return &memory{numbers: map[string]int64{}, people: map[int64]study.Participant{}, versions: map[int64][]study.VersionRef{},
		visits: map[int64]map[int32]study.Visit{}, deviations: map[int64]map[study.DeviationKey]study.Deviation{},
		holds: map[int64]map[study.RecordKey]string{}, quarantine: map[study.Digest]int{}, known: map[string]string{}, objects: map[string]study.Digest{}}
}

func (m *memory) clone() *memory {
	c := *m
	c.numbers, c.people, c.versions = maps.Clone(m.numbers), maps.Clone(m.people), maps.Clone(m.versions)
	c.quarantine, c.known, c.objects = maps.Clone(m.quarantine), maps.Clone(m.known), maps.Clone(m.objects)
	c.visits, c.deviations, c.holds = clones(m.visits), clones(m.deviations), clones(m.holds)
	c.batches = slices.Clone(m.batches)
	return &c
}

func clones[K comparable, V any](m map[int64]map[K]V) map[int64]map[K]V {
	out := make(map[int64]map[K]V, len(m))
	for id, inner := range m {
		out[id] = maps.Clone(inner)
	}
	return out
}

func put[K comparable, V any](m map[int64]map[K]V, id int64, k K, v V) {
	if m[id] == nil {
		m[id] = map[K]V{}
	}
	m[id][k] = v
}

// history is what is stored of one participant.
func (m *memory) history(id int64) study.History {
	h := study.History{Participant: study.Participant{ID: id, Consented: study.NoDate, Withdrawn: study.NoDate}, Versions: slices.Clone(m.versions[id])}
	if p, ok := m.people[id]; ok {
		h.Participant = p
	}
	for _, v := range m.visits[id] {
		h.Visits = append(h.Visits, v)
	}
	for _, d := range m.deviations[id] {
		h.Deviations = append(h.Deviations, d)
	}
	for k, code := range m.holds[id] {
		if code != "" {
			h.Holds = append(h.Holds, study.Hold{Key: k, Code: code})
		}
	}
	slices.SortFunc(h.Visits, func(a, b study.Visit) int { return cmp.Compare(a.No, b.No) })
	slices.SortStableFunc(h.Versions, func(a, b study.VersionRef) int {
		return cmp.Or(compareKeys(a.Key, b.Key), cmp.Compare(a.Version, b.Version))
	})
	return h
}

// vault is the Store over a memory.
type vault struct{ m *memory }

func (s *vault) LockSource(context.Context, string) (func(), bool, error) {
	return func() {}, true, nil
}
func (s *vault) StartRun(context.Context, string, string, string, string) (int64, error) {
	return 1, nil
}
func (s *vault) FinishRun(context.Context, int64, int, study.Counts, error) error { return nil }
func (s *vault) Cursor(context.Context, string) ([]byte, map[string]string, error) {
	return nil, s.m.known, nil
}
func (s *vault) BeginIngest(context.Context, string) (Ingest, error) {
	c := s.m.clone()
	c.batch++
	return &transaction{memory: c, store: s}, nil
}
func (s *vault) ParticipantsOf(context.Context, string) ([]int64, error) {
	return slices.Sorted(maps.Values(s.m.numbers)), nil
}

// transaction is the Ingest over a copy.
type transaction struct {
	*memory
	store *vault
}

func (x *transaction) Batch() int64             { return x.batch }
func (x *transaction) Rollback(context.Context) {}
func (x *transaction) Commit(context.Context) error {
	x.store.m = x.memory
	return nil
}

func (x *transaction) Landed(_ context.Context, _, item string, object study.Digest) (bool, error) {
	return x.objects[item] == object, nil
}

func (x *transaction) Resolve(_ context.Context, ids []study.SealedIdentity) (numbers []int64, isNew []bool, err error) {
	for _, id := range ids {
		n, ok := x.numbers[id.Code]
		if !ok {
			n = int64(len(x.numbers) + 1)
			x.numbers[id.Code] = n
		}
		numbers, isNew = append(numbers, n), append(isNew, !ok)
	}
	return numbers, isNew, nil
}

func (x *transaction) Histories(_ context.Context, participants []int64) (out []study.History, err error) {
	for _, id := range participants {
		out = append(out, x.history(id))
	}
	return out, nil
}

func (x *transaction) Write(_ context.Context, c *study.Changes) error {
	for _, p := range c.Participants {
		x.people[p.ID] = p
	}
	for _, r := range c.Records {
		ref := study.VersionRef{Key: r.Key, Version: r.Version, Late: r.Late, Hash: r.Record.Hash, Modified: r.Record.Modified,
			BatchID: x.batch, Ordinal: r.Record.Ordinal, Entered: r.Record.Entered}
		for _, v := range x.versions[r.Record.Participant] {
			if v.Key == ref.Key && v.Version == ref.Version {
				return fmt.Errorf("version %d of %v is stored", v.Version, v.Key)
			}
		}
		x.versions[r.Record.Participant] = append(slices.Clip(x.versions[r.Record.Participant]), ref)
	}
	for _, v := range c.Visits {
		put(x.visits, v.Participant, v.No, v.Visit)
	}
	for _, d := range c.Deviations {
		put(x.deviations, d.Participant, d.DeviationKey, d.Deviation)
	}
	for _, h := range c.Holds {
		put(x.holds, h.Participant, h.Key, h.Code)
	}
	return nil
}

func (x *transaction) Quarantine(_ context.Context, _ string, rejections []study.SealedRejection) error {
	for _, r := range rejections {
		x.quarantine[r.Item] += r.Records
	}
	return nil
}

func (x *transaction) Know(_ context.Context, b study.BatchRecord) error {
	x.known[b.Item], x.objects[b.Item] = b.ItemVersion, b.Object.Digest
	return nil
}

func (x *transaction) Finish(ctx context.Context, b study.BatchRecord) error {
	x.batches = append(x.batches, b)
	return x.Know(ctx, b)
}

// lander is a Landing in memory.
type lander map[study.Digest][]byte

func (l lander) Put(_ context.Context, r io.Reader) (study.Object, bool, error) {
	b, err := io.ReadAll(r)
	o := study.Object{Digest: sha256.Sum256(b), Size: int64(len(b))}
	_, there := l[o.Digest]
	l[o.Digest] = b
	return o, !there, err
}

func (l lander) Open(_ context.Context, o study.Object) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l[o.Digest])), nil
}

// drop is a Source: files by name, delivered in the order given.
type drop struct {
	files []file
	acks  []string
}

type file struct{ name, text string }

func (*drop) Check(context.Context) error { return nil }
func (*drop) Close() error                { return nil }

func (d *drop) Pull(_ context.Context, after connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		for _, f := range d.files {
			version := fmt.Sprintf("%x", sha256.Sum256([]byte(f.text)))
			if after.Has(f.name, version) {
				continue
			}
			if !yield(connectors.Delivery{Item: f.name, Name: f.name, Version: version, Open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader([]byte(f.text))), nil
			}}, nil) {
				return
			}
		}
	}
}

func (d *drop) Acknowledge(_ context.Context, delivered connectors.Delivery) error {
	d.acks = append(d.acks, delivered.Item)
	return nil
}

// testKeys derives keys from a word.
type testKeys string

func (k testKeys) Derive(studyName, purpose, domain string) (deid.Key, error) {
	m := hmac.New(sha256.New, []byte(k))
	m.Write(deid.Frame(studyName, purpose, domain))
	return deid.NewKey([32]byte(m.Sum(nil))), nil
}

func (testKeys) Version() int { return 1 }

// nobody hears nothing.
type nobody struct{}

func (nobody) ObjectDone(string, int, study.Counts)                                    {}
func (nobody) RunDone(string, string, string, int, study.Counts, time.Duration, error) {}

// bench is everything that a sync needs, over a drop and a memory.
type bench struct {
	t        *testing.T
	store    *vault
	drop     *drop
	feed     *Feed
	ingester *Ingester
}

func newBench(t *testing.T, s *study.Study, src *study.Source) *bench {
	t.Helper()
	intake, err := deid.NewIntake(s, src, testKeys("k"), newRandomBytes(t))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, store: &vault{newMemory()}, drop: &drop{}}
	b.feed = &Feed{Study: s, Config: src, Source: b.drop, Landing: lander{}, Format: csv.Format{}, Intake: intake, Rules: transform.NewRules(s)}
	b.ingester = &Ingester{Store: b.store, Observer: nobody{}, Log: slog.New(slog.DiscardHandler), TempDir: t.TempDir(),
		Now:    func() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) },
		Sleep:  func(context.Context, time.Duration) error { return nil },
		Random: func(int64) int64 { return 0 }}
	return b
}

// sync delivers files and records them.
func (b *bench) sync(files ...file) Outcome {
	b.t.Helper()
	b.drop.files = files
	out, err := b.ingester.Sync(b.t.Context(), b.feed, "test")
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) rejudge(asOf study.Date) {
	b.t.Helper()
	if _, err := b.ingester.Rejudge(b.t.Context(), b.feed.Study, b.feed.Rules, asOf, "test"); err != nil {
		b.t.Fatal(err)
	}
}
