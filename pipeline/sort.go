package pipeline

import (
	"bufio"
	"cmp"
	"container/heap"
	"errors"
	"io"
	"os"
	"slices"

	"longitude/study"
)

// sortBudget is how many bytes of records are held before they are spilled.
const sortBudget = 48 << 20

// sorter orders records by participant, then row, within a byte budget: past
// it, sorted runs go to unlinked temporary files and are merged. Only records
// after door 1 come here, so the files hold no identity.
type sorter struct {
	dir    string
	budget int
	held   []*study.Record // by pointer: records are large, and are moved while sorting
	bytes  int
	runs   []*os.File
}

func newSorter(dir string, budget int) *sorter { return &sorter{dir: dir, budget: budget} }

// recordOverhead is the size of a study.Record itself, rounded up.
const recordOverhead = 320

func (s *sorter) add(r study.Record) error {
	s.held = append(s.held, &r)
	s.bytes += recordOverhead + len(r.Answers) + len(r.SealedRaw)
	for i := range r.Sealed {
		s.bytes += len(r.Sealed[i].Box) + 32
	}
	if s.bytes < s.budget {
		return nil
	}
	return s.spill()
}

func byParticipant(a, b *study.Record) int {
	return cmp.Or(cmp.Compare(a.Participant, b.Participant), cmp.Compare(a.Ordinal, b.Ordinal), cmp.Compare(a.Form, b.Form))
}

func (s *sorter) order() {
	slices.SortStableFunc(s.held, byParticipant)
}

func (s *sorter) spill() error {
	s.order()
	f, err := os.CreateTemp(s.dir, "sort-*")
	if err != nil {
		return spillError(err)
	}
	s.runs = append(s.runs, f)
	if err := os.Remove(f.Name()); err != nil { // a crash leaves nothing behind
		return spillError(err)
	}
	w := bufio.NewWriterSize(f, 1<<18)
	enc := recordWriter{w: w}
	for i := range s.held {
		if err := enc.write(s.held[i]); err != nil {
			return spillError(err)
		}
	}
	if err := w.Flush(); err != nil {
		return spillError(err)
	}
	clear(s.held)
	s.held, s.bytes = s.held[:0], 0
	_, err = f.Seek(0, io.SeekStart)
	return spillError(err)
}

func spillError(err error) error {
	if err == nil {
		return nil
	}
	return &study.Error{Code: "ingest.temp_failed", Op: "could not sort an object on disk", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "make room in the temporary folder under data_dir and run it again", Err: pathless(err)}
}

// pathless drops the path from an error of package os.
func pathless(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// groups yields the records of each participant in arrival order.
func (s *sorter) groups(yield func(participant int64, records []study.Record) error) error {
	s.order()
	m := merge{}
	for i, f := range s.runs {
		r := &run{age: i, dec: &recordReader{r: bufio.NewReaderSize(f, 1<<18)}}
		if err := m.start(r); err != nil {
			return err
		}
	}
	if err := m.start(&run{age: len(s.runs), held: s.held}); err != nil {
		return err
	}
	var group []study.Record
	for m.Len() > 0 {
		top := m[0]
		if len(group) > 0 && group[0].Participant != top.head.Participant {
			if err := yield(group[0].Participant, group); err != nil {
				return err
			}
			group = nil // the caller keeps it until its chunk is written
		}
		group = append(group, top.head)
		switch ok, err := top.next(); {
		case err != nil:
			return err
		case ok:
			heap.Fix(&m, 0)
		default:
			heap.Pop(&m)
		}
	}
	if len(group) == 0 {
		return nil
	}
	return yield(group[0].Participant, group)
}

func (s *sorter) close() {
	for _, f := range s.runs {
		_ = f.Close()
	}
}

// run is one sorted run, on disk or in memory, with its first record.
type run struct {
	head study.Record
	age  int // runs are numbered as they were made: of equal records the earlier comes first
	held []*study.Record
	dec  *recordReader
}

func (r *run) next() (bool, error) {
	if r.dec == nil {
		if len(r.held) == 0 {
			return false, nil
		}
		r.head, r.held = *r.held[0], r.held[1:]
		return true, nil
	}
	switch err := r.dec.read(&r.head); {
	case err == nil:
		return true, nil
	case errors.Is(err, io.EOF):
		return false, nil
	default:
		return false, spillError(err)
	}
}

type merge []*run

func (m *merge) start(r *run) error {
	ok, err := r.next()
	if ok {
		heap.Push(m, r)
	}
	return err
}

func (m merge) Len() int      { return len(m) }
func (m merge) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)   { *m = append(*m, x.(*run)) }
func (m merge) Less(i, j int) bool {
	return cmp.Or(byParticipant(&m[i].head, &m[j].head), m[i].age-m[j].age) < 0
}
func (m *merge) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}
