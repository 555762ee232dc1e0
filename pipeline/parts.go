package pipeline

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"longitude/deid"
	"longitude/study"
)

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

// partSize is how many participants a part of a study holds on average: fewer where
// the tables for analysis say every number once more, a row for each, because a part
// of every table is in memory at once.
func partSize(s *study.Study) int {
	if len(s.Parameters()) > 0 {
		return bucketParticipants / 4
	}
	return bucketParticipants
}

// person is a participant on the way to a release: the released id sorts.
type person struct {
	id       int64
	released string
}

// parts writes all tables. The table with one row per participant is held until the
// risk gate has seen all of them.
func (r *Releaser) parts(ctx context.Context, plan study.ReleasePlan, book Book, dir string) (*built, error) {
	snapshot, err := r.Store.OpenSnapshot(ctx, plan)
	if err != nil {
		return nil, err
	}
	defer snapshot.Close(context.WithoutCancel(ctx))
	people, err := r.people(ctx, snapshot, plan, book)
	if err != nil {
		return nil, err
	}
	b, err := r.begin(book, len(people))
	if err != nil {
		return nil, err
	}
	w := &partWriter{r: r, dir: dir, book: book, asOf: plan.AsOf, built: b}
	defer func() { _ = w.writing.wait() }() // after a failure: the folder goes away
	buckets := split(people, partSize(r.Study))
	for i, bucket := range buckets {
		if err := w.bucket(ctx, snapshot, bucket, i); err != nil {
			return nil, err
		}
		r.Progress("parts", i+1, len(buckets))
	}
	if err := w.writing.wait(); err != nil {
		return nil, err
	}
	if err := w.judged(ctx); err != nil {
		return nil, err
	}
	static, err := book.Static(ctx, b.released, b.claim, b.parts)
	if err != nil {
		return nil, err
	}
	for _, batch := range static {
		if err := w.write(ctx, batch, 0); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// people begins the release at door 2 and answers whom it may hold, in the order of
// their released ids.
func (r *Releaser) people(ctx context.Context, snapshot Snapshot, plan study.ReleasePlan, book Book) ([]person, error) {
	first, truncate := study.NoDate, r.Study.Deid.Truncate && r.Study.Deid.Dates == "shift"
	if truncate {
		var err error
		if first, err = snapshot.FirstDay(ctx); err != nil {
			return nil, err
		}
	}
	r.Recipient.Begin(plan.AsOf, first, plan.Cutoff)
	participants, err := snapshot.Participants(ctx)
	if err != nil {
		return nil, err
	}
	people := make([]person, len(participants))
	windows := map[string][2]study.Date{} // asked now: door 2 is busy while rows are laid out
	for i, p := range participants {
		people[i] = person{p.ID, r.Recipient.Participant(p.Code)}
		if truncate {
			first, last, err := r.Recipient.Window(p.Code)
			if err != nil {
				return nil, err
			}
			windows[p.Code] = [2]study.Date{first, last}
		}
	}
	if truncate {
		book.Within(func(code string) (first, last study.Date) { return windows[code][0], windows[code][1] })
	}
	slices.SortFunc(people, func(a, b person) int { return strings.Compare(a.released, b.released) })
	return people, nil
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
// the branches that their rows hang in (study.Content): a part has branches of its own.
func split(people []person, size int) [][]person {
	bits := 0
	for bits < 10 && len(people) > size<<bits {
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

func bucketOf(released string, bits int) int { return study.BranchOf(released) >> (10 - bits) }

type partWriter struct {
	r     *Releaser
	dir   string
	book  Book
	asOf  study.Date
	built *built
	held  []*study.Batch // of the table with one row per participant, by part

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
	w.held = append(w.held, batches[0])
	return w.writing.start(func() error {
		if err := w.r.Recipient.Survey(batches); err != nil {
			return err
		}
		for _, b := range batches[1:] {
			if err := w.write(ctx, b, part); err != nil {
				return err
			}
			study.Reached(study.PointMidPart)
		}
		return nil
	})
}

// judged lets the risk gate look at all participants and writes their table as it
// chose. The claim follows what is released in the end.
func (w *partWriter) judged(ctx context.Context) error {
	if err := w.book.Judge(ctx, w.r.Recipient); err != nil {
		return err
	}
	released, err := w.r.Recipient.Project(w.held[0].Table)
	if err != nil {
		return err
	}
	w.built.released[0], w.built.claim = released, w.r.Recipient.Claim()
	for part, b := range w.held {
		if err := w.write(ctx, b, part); err != nil {
			return err
		}
	}
	return nil
}

func (w *partWriter) judge(ctx context.Context, s Snapshot, people []person) error {
	ids := make([]int64, len(people))
	for i := range people {
		ids[i] = people[i].id
	}
	histories, records, err := s.Read(ctx, ids)
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
