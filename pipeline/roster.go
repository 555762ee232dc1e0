package pipeline

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"longitude/connectors"
	"longitude/study"
	"longitude/transform"
)

// Some sources say more than their rows do: that a delivery holds everything of the
// participants in it, or who all their participants are. What is gone then is
// removed as it is of a complete snapshot, and more than max_removed of all that the
// source has stops the run, whichever of its deliveries lack it.

// Rosters is what reading the list of a source's participants needs of a transaction.
type Rosters interface {
	// Known are the participants that codes stand for, without those that are new.
	Known(ctx context.Context, codes []string) (map[string]int64, error)
	// Newcomers are the participants whom objects of the source brought since its
	// list last changed anything, ascending.
	Newcomers(ctx context.Context, source string) ([]int64, error)
	// Standing is how many records are there whose current version came with one of
	// the batches, and how many a run has removed of the source before this batch.
	Standing(ctx context.Context, source string, batches map[int64]bool, run int64) (live, removed int64, err error)
}

// takeRoster removes what is of participants that are no more in the list of a
// source. Of the list a keyed digest is kept: it says only who is there, and it is
// heard again with every pull.
func (in *Ingester) takeRoster(ctx context.Context, f *Feed, d connectors.Delivery, run int64, actor string) (recorded, error) {
	text, err := readAll(ctx, d)
	if err != nil {
		return recorded{}, err
	}
	b := in.batch(f, study.Object{Digest: f.Intake.RowDigest(text), Size: int64(len(text))}, run, actor)
	b.Kind, b.Item, b.ItemVersion, b.State = "roster", d.Item, d.Version, d.State
	return in.transact(ctx, f, func(tx Ingest) (recorded, error) {
		r := &reading{feed: f, tx: tx, object: b.Object, precedence: f.Config.Precedence, item: d.Item, asOf: b.AsOf, run: run}
		if err := r.begin(ctx); err != nil {
			return recorded{}, err
		}
		if err := in.call(ctx, r, identifiers(text)); err != nil {
			return recorded{}, err
		}
		if !r.changed {
			return recorded{known: true}, tx.Know(ctx, b)
		}
		return recorded{counts: r.counts}, r.close(ctx, b)
	})
}

// readAll reads a delivery into memory.
func readAll(ctx context.Context, d connectors.Delivery) ([]byte, error) {
	r, err := d.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

// identifiers are the lines of a roster.
func identifiers(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// call removes what the source holds of participants that are not called.
func (in *Ingester) call(ctx context.Context, r *reading, ids []string) error {
	door := newDoor(r)
	if err := door.remember(ctx); err != nil {
		return err
	}
	here, err := door.known(ctx, ids)
	if err != nil {
		return err
	}
	m, err := newAbsence(ctx, r, door)
	if err != nil || m == nil {
		return err
	}
	if m.asserted, err = r.tx.Asserted(ctx, m.batches); err != nil {
		return err
	}
	m.asserted = slices.DeleteFunc(m.asserted, func(p int64) bool { return here[p] })
	if len(m.asserted) == 0 {
		return nil
	}
	newcomers, err := m.renames.compare(ctx, r, m)
	if err != nil {
		return err
	}
	j := &judging{reading: r, codes: door.code, removal: m}
	defer func() { _ = j.writing.wait() }() // after a failure: only a free transaction can be rolled back
	for _, p := range slices.Sorted(slices.Values(slices.Concat(m.asserted, newcomers))) {
		if err := j.add(ctx, p, nil); err != nil {
			return err
		}
	}
	if err := j.finish(ctx); err != nil {
		return err
	}
	return m.check(ctx, r)
}

// known are the participants that identifiers stand for, of those who are there.
func (d *door) known(ctx context.Context, ids []string) (map[int64]bool, error) {
	here := map[int64]bool{}
	for chunk := range slices.Chunk(ids, chunkParticipants) {
		var sealed []study.SealedIdentity
		for _, id := range chunk {
			identity, rule := d.feed.Intake.Identify(id)
			if rule == "" && !d.forgotten.identity(identity.Blind) {
				sealed = append(sealed, study.SealedIdentity{Code: identity.Code, Blind: identity.Blind})
			}
		}
		if d.feed.Intake.Drawn() {
			if err := d.draw(ctx, sealed); err != nil {
				return nil, err
			}
		}
		codes := make([]string, len(sealed))
		for i := range sealed {
			codes[i] = sealed[i].Code
		}
		numbers, err := d.tx.Known(ctx, codes)
		if err != nil {
			return nil, err
		}
		for _, number := range numbers {
			here[number] = true
		}
	}
	return here, nil
}

// newAbsence prepares the removal of what the source says is gone; nil when it has
// given nothing yet.
func newAbsence(ctx context.Context, r *reading, d *door) (*removal, error) {
	batches, err := r.tx.BatchesOf(ctx, r.feed.Config.Name, "")
	if err != nil || len(batches) == 0 {
		return nil, err
	}
	m := &removal{source: r.feed.Config.Name, precedence: r.precedence, study: r.feed.Study, refused: d.refusedForms,
		limit: r.feed.Config.Snapshot.MaxRemoved, batches: batches, alone: func(v *study.VersionRef) bool { return batches[v.BatchID] }}
	m.keeps = m.ofRefused
	return m, nil
}

// newWholeness prepares the removal of what an object that holds everything of its
// participants no longer has of them.
func newWholeness(ctx context.Context, r *reading, d *door) (*removal, error) {
	m, err := newAbsence(ctx, r, d)
	if err != nil || m == nil {
		return nil, err
	}
	here, err := d.known(ctx, slices.Sorted(maps.Keys(d.heard)))
	m.asserted = slices.Sorted(maps.Keys(here))
	return m, err
}

// hearing is a looker that tells a door the mapper of the object.
type hearing struct {
	looker
	door *door
}

func (h hearing) begin(m *transform.Mapper) {
	h.door.mapper = m
	h.looker.begin(m)
}

// hear notes whom rows are of, whatever becomes of them.
func (d *door) hear(rows *transform.Rows) {
	for i := range rows.Len() {
		if id := d.mapper.Identity(rows.Row(i)); id != nil && !d.heard[string(id)] {
			d.heard[strings.Clone(string(id))] = true
		}
	}
}

// compare finds those who are new since the list last changed anything and have the
// very same records as one who vanished: most likely one person whose identifier
// has changed. It answers the new ones.
func (r *renames) compare(ctx context.Context, of *reading, m *removal) ([]int64, error) {
	r.vanished, r.suspects, r.newcomers = map[study.Digest][]int64{}, map[int64]bool{}, map[int64]bool{}
	newcomers, err := of.tx.Newcomers(ctx, m.source)
	if err != nil || len(newcomers) == 0 {
		return nil, err
	}
	if err := r.digests(ctx, of.tx, m, m.asserted, func(at study.Digest, participant int64) {
		r.vanished[at] = append(r.vanished[at], participant)
	}); err != nil {
		return nil, err
	}
	newcomers = slices.DeleteFunc(newcomers, func(p int64) bool { return slices.Contains(m.asserted, p) })
	err = r.digests(ctx, of.tx, m, newcomers, func(at study.Digest, participant int64) {
		for _, old := range r.vanished[at] {
			r.suspects[participant], r.suspects[old], r.newcomers[participant] = true, true, true
		}
	})
	return slices.Sorted(maps.Keys(r.newcomers)), err
}

// standing counts what may go against all that the source has, with what this run
// has removed of it before: many small deliveries are no way around the limit.
func (m *removal) standing(ctx context.Context, r *reading) error {
	if m.gone == 0 {
		return nil
	}
	live, removed, err := r.tx.Standing(ctx, m.source, m.batches, r.run)
	m.gone, m.live = m.gone+removed, live+m.gone+removed
	return err
}

// tooMany refuses a removal of more than the source allows.
func (m *removal) tooMany(lacks string) error {
	if float64(m.gone) <= m.limit*float64(m.live) {
		return nil
	}
	return &study.Error{Code: "snapshot.too_many_removed", Exit: study.ExitBlocked,
		Op: fmt.Sprintf("%s of source %s lacks %d of %d records that were there; nothing of it was recorded", lacks, m.source, m.gone, m.live),
		Hint: "check that the export is whole (filters, rights, a cut file); if so many were removed at the source, raise max_removed there for one run, " +
			"and if its objects do not hold everything, set snapshot: incremental"}
}
