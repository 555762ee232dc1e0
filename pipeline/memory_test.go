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

	sightings map[int64]map[study.Digest]int // of quarantine, by batch
	numbered  map[int64]study.BatchRecord    // by number
	answers   map[int64]map[study.RecordKey]study.CurrentRecord
	shapes    map[string]study.Shape
	drifts    []study.Drift
	contents  map[study.VersionID]study.VersionContent
	explained []study.Explanation // of everybody
	locks     []study.Lock

	uids   map[study.Digest][]byte
	erased map[study.Digest]bool
	gone   int64 // participant who was erased
}

func newMemory() *memory {
	return &memory{numbers: map[string]int64{}, people: map[int64]study.Participant{}, versions: map[int64][]study.VersionRef{},
		visits: map[int64]map[int32]study.Visit{}, deviations: map[int64]map[study.DeviationKey]study.Deviation{},
		holds: map[int64]map[study.RecordKey]string{}, quarantine: map[study.Digest]int{}, known: map[string]string{}, objects: map[string]study.Digest{},
		sightings: map[int64]map[study.Digest]int{}, numbered: map[int64]study.BatchRecord{},
		answers: map[int64]map[study.RecordKey]study.CurrentRecord{}, shapes: map[string]study.Shape{}, uids: map[study.Digest][]byte{},
		contents: map[study.VersionID]study.VersionContent{}}
}

func (m *memory) clone() *memory {
	c := *m
	c.numbers, c.people, c.versions = maps.Clone(m.numbers), maps.Clone(m.people), maps.Clone(m.versions)
	c.quarantine, c.known, c.objects = maps.Clone(m.quarantine), maps.Clone(m.known), maps.Clone(m.objects)
	c.uids, c.contents = maps.Clone(m.uids), maps.Clone(m.contents)
	c.visits, c.deviations, c.holds = clones(m.visits), clones(m.deviations), clones(m.holds)
	c.batches, c.drifts = slices.Clone(m.batches), slices.Clone(m.drifts)
	c.sightings, c.answers, c.numbered, c.shapes = clones(m.sightings), clones(m.answers), maps.Clone(m.numbered), maps.Clone(m.shapes)
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
	h := study.History{Participant: study.Participant{ID: id, Consented: study.NoDate, Withdrawn: study.NoDate, StatusOn: study.NoDate},
		Versions: slices.Clone(m.versions[id])}
	for i := range h.Versions {
		v := &h.Versions[i]
		if v.Landed = m.numbered[v.BatchID].Origin; v.Landed == 0 {
			v.Landed = v.BatchID
		}
	}
	h.Explained, h.Locks, h.InParts = m.explained, m.locks, inParts(h.Versions)
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
type vault struct {
	m       *memory
	refused map[string]string
	ledger  []study.FileRecord
	froze   []study.Frozen
	runs    int64
}

func (s *vault) LockSource(context.Context, string) (func(), bool, error) {
	return func() {}, true, nil
}
func (s *vault) StartRun(context.Context, string, string, string, string) (int64, error) {
	s.runs++
	return s.runs, nil
}
func (s *vault) FinishRun(context.Context, int64, int, study.Counts, error) error { return nil }
func (s *vault) Cursor(context.Context, string) ([]byte, map[string]string, error) {
	return nil, s.m.known, nil
}
func (s *vault) RefusedFiles(context.Context, string) (map[string]string, error) {
	return s.refused, nil
}
func (s *vault) RefuseFile(_ context.Context, _, _ string, f study.FileRecord) error {
	s.refused = map[string]string{f.Item: f.Version}
	s.ledger = append(s.ledger, f)
	return nil
}
func (s *vault) RecordFreeze(_ context.Context, _, _ string, f study.Frozen) error {
	if !slices.ContainsFunc(s.froze, func(was study.Frozen) bool { return was.Item == f.Item && was.Object == f.Object }) {
		s.froze = append(s.froze, f)
		s.m.drifts = append(s.m.drifts, f.Drifts...)
	}
	return nil
}
func (s *vault) BeginIngest(context.Context, string) (Ingest, error) {
	c := s.m.clone()
	c.batch++
	return &transaction{memory: c, store: s}, nil
}
func (s *vault) ParticipantsOf(context.Context, string) ([]int64, error) {
	return slices.Sorted(maps.Values(s.m.numbers)), nil
}

func (s *vault) Unsettled(context.Context, string) ([]int64, error) { return s.m.unsettled(), nil }

func (s *vault) Objects(_ context.Context, source string, _ bool) ([]study.LandedObject, error) {
	return slices.DeleteFunc(s.m.landed(), func(o study.LandedObject) bool { return s.m.numbered[o.Batch].Source != source }), nil
}

// unsettled are those of whom versions came since everybody was last judged again.
func (m *memory) unsettled() (out []int64) {
	settled := int64(0)
	for n, b := range m.numbered {
		if b.Kind == "rejudge" && b.Item == "" {
			settled = max(settled, n)
		}
	}
	for id, versions := range m.versions {
		if slices.ContainsFunc(versions, func(v study.VersionRef) bool { return v.BatchID > settled }) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// landed are the objects, each as read last, in order of landing.
func (m *memory) landed() (out []study.LandedObject) {
	at := map[int64]int{}
	for _, n := range slices.Sorted(maps.Keys(m.numbered)) {
		b := m.numbered[n]
		switch {
		case b.Kind != "object":
		case b.Origin > 0:
			out[at[b.Origin]].Latest = n
		default:
			at[n] = len(out)
			out = append(out, study.LandedObject{Object: b.Object, Batch: n, Latest: n, Item: b.Item, At: landedAt(n), Precedence: b.Precedence})
		}
	}
	return out
}

// landedAt is when the object of a batch landed, after every row was modified.
func landedAt(batch int64) time.Time { return time.Unix(5e9+batch, 0) }

// transaction is the Ingest over a copy.
type transaction struct {
	*memory
	store *vault
}

func (x *transaction) Landing() study.Landing {
	return study.Landing{Batch: x.batch, At: landedAt(x.batch)}
}
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

func (x *transaction) Draw(_ context.Context, drawn []study.SealedUID) (map[study.Digest][]byte, error) {
	for _, d := range drawn {
		if x.uids[d.Blind] == nil {
			x.uids[d.Blind] = d.Box
		}
	}
	return x.uids, nil
}

func (x *transaction) Erased(context.Context) (map[study.Digest]bool, error) { return x.erased, nil }

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
			BatchID: x.batch, Ordinal: r.Record.Ordinal, Entered: r.Record.Entered, Removed: r.Record.Removed, Precedence: r.Record.Precedence}
		x.keepParts(r, &ref)
		if ref.Removed {
			ref.Late = false // storage has one mark for both, and a later version follows
		}
		if !ref.Late {
			put(x.answers, r.Record.Participant, r.Key, study.CurrentRecord{Key: r.Key, Answers: r.Record.Answers, Missing: r.Record.Missing, Findings: r.Record.Findings})
		}
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
		seen := x.sightings[x.batch]
		put(x.sightings, x.batch, r.Item, seen[r.Item]+1)
	}
	return nil
}

func (x *transaction) Unsettled(context.Context) ([]int64, error) { return x.unsettled(), nil }

func (x *transaction) Locks(context.Context) ([]study.Lock, error) { return x.locks, nil }

func (x *transaction) Refused(_ context.Context, batch int64) (map[study.Digest]int, error) {
	return x.sightings[batch], nil
}

func (x *transaction) BatchesOf(_ context.Context, source, item string) (map[int64]bool, error) {
	out := map[int64]bool{}
	for n, b := range x.numbered {
		if b.Kind != "rejudge" && b.Source == source && (item == "" || b.Item == item) {
			out[n] = true
		}
	}
	return out, nil
}

func (x *transaction) Asserted(_ context.Context, batches map[int64]bool) (out []int64, err error) {
	for id := range x.versions {
		of := versionsByKey(slices.Clone(x.versions[id]))
		for _, v := range x.versions[id] {
			if now := newest(of(v.Key)); now != nil && !now.Removed && batches[now.BatchID] && id != x.gone {
				out = append(out, id)
				break
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

func (x *transaction) Currents(_ context.Context, participants []int64) ([][]study.CurrentRecord, error) {
	out := make([][]study.CurrentRecord, len(participants))
	for i, id := range participants {
		of := versionsByKey(slices.Clone(x.versions[id]))
		for key, r := range x.answers[id] {
			if !newest(of(key)).Removed {
				out[i] = append(out[i], r)
			}
		}
		slices.SortFunc(out[i], func(a, b study.CurrentRecord) int { return compareKeys(a.Key, b.Key) })
	}
	return out, nil
}

func (x *transaction) AcceptedShape(_ context.Context, source string) (study.Shape, bool, error) {
	s, ok := x.shapes[source]
	return s, ok, nil
}

func (x *transaction) RecordShape(_ context.Context, source string, s study.Shape, drifts []study.Drift) error {
	x.shapes[source] = s
	x.drifts = append(x.drifts, drifts...)
	return nil
}

func (x *transaction) Know(_ context.Context, b study.BatchRecord) error {
	x.known[b.Item], x.objects[b.Item] = b.ItemVersion, b.Object.Digest
	return nil
}

func (x *transaction) Finish(ctx context.Context, b study.BatchRecord) error {
	x.batches = append(x.batches, b)
	x.numbered[x.batch] = b
	if b.Kind == "rejudge" || b.Origin > 0 {
		return nil
	}
	return x.Know(ctx, b)
}

// lander is a Landing in memory: objects as delivered, and what is kept of some.
type lander struct{ objects, kept map[study.Digest][]byte }

func newLander() lander { return lander{map[study.Digest][]byte{}, map[study.Digest][]byte{}} }

func (l lander) Put(_ context.Context, r io.Reader) (study.Object, bool, error) {
	b, err := io.ReadAll(r)
	o := study.Object{Digest: sha256.Sum256(b), Size: int64(len(b))}
	_, there := l.objects[o.Digest]
	if _, erased := l.kept[o.Digest]; erased {
		return o, false, err
	}
	l.objects[o.Digest] = b
	return o, !there, err
}

func (l lander) Open(_ context.Context, o study.Object) (io.ReadCloser, error) {
	if kept, ok := l.kept[o.Digest]; ok {
		return landed{bytes.NewReader(kept), true}, nil
	}
	return landed{bytes.NewReader(l.objects[o.Digest]), false}, nil
}

func (l lander) Rewrite(_ context.Context, o study.Object, write func(io.Writer) error) error {
	var b bytes.Buffer
	err := write(&b)
	l.kept[o.Digest] = b.Bytes()
	delete(l.objects, o.Digest)
	return err
}

// landed is a landed object, as delivered or what is kept of it.
type landed struct {
	io.Reader
	kept bool
}

func (r landed) Kept() bool { return r.kept }
func (landed) Close() error { return nil }

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

func (k testKeys) DeriveVersion(studyName, purpose, domain string, _ int) (deid.Key, error) {
	return k.Derive(studyName, purpose, domain)
}

func (testKeys) Newest(string) (int, error) { return 1, nil }

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
	b := &bench{t: t, store: &vault{m: newMemory()}, drop: &drop{}}
	b.feed = &Feed{Study: s, Config: src, Source: b.drop, Landing: newLander(), Format: csv.Format{}, Intake: intake, Rules: transform.NewRules(s)}
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
	if _, err := b.ingester.Rejudge(b.t.Context(), b.feed.Study, b.feed.Rules, nil, asOf, "test"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) settle(asOf study.Date) Outcome {
	b.t.Helper()
	out, err := b.ingester.Settle(b.t.Context(), b.feed.Study, b.feed.Rules, nil, asOf, "test")
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// replay reads the objects again, which must balance.
func (b *bench) replay(objects ...study.LandedObject) Outcome {
	b.t.Helper()
	out, err := b.ingester.Replay(b.t.Context(), b.feed, objects, "test")
	if err != nil {
		b.t.Fatal(err)
	}
	if rows, records := out.Counts.Unaccounted(); rows != 0 || records != 0 {
		b.t.Fatalf("unbalanced: %+v", out.Counts)
	}
	return out
}
