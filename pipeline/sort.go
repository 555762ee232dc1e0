package pipeline

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"

	"longitude/study"
)

// sortBudget is how many bytes of records are held before they are spilled.
const sortBudget = 32 << 20

// sorter orders records by participant, then row, within a byte budget: past
// it, sorted runs go to unlinked temporary files and are merged. Only records
// after door 1 come here, so the files hold no identity. Records wait packed, in
// slabs: the collector has nothing to look for in them.
type sorter struct {
	dir    string
	budget int
	slabs  [][]byte
	full   [][]byte // what becomes slabs again after a spill
	held   []place
	bytes  int
	runs   []*os.File
	packer recordWriter
}

// order is what records are sorted by.
type order struct {
	participant, ordinal int64
	form                 int32
}

func (a order) compare(b order) int {
	return cmp.Or(cmp.Compare(a.participant, b.participant), cmp.Compare(a.ordinal, b.ordinal), cmp.Compare(a.form, b.form))
}

// place is where a record lies.
type place struct {
	order
	slab, at, size int32
}

func newSorter(dir string, budget int) *sorter { return &sorter{dir: dir, budget: budget} }

const (
	slabBytes  = 1 << 20
	placeBytes = 40
)

func (s *sorter) add(r study.Record) error {
	packed := s.packer.pack(&r)
	last := len(s.slabs) - 1
	if last < 0 || cap(s.slabs[last])-len(s.slabs[last]) < len(packed) {
		s.slabs = append(s.slabs, s.slab(len(packed)))
		last++
	}
	at := len(s.slabs[last])
	s.slabs[last] = append(s.slabs[last], packed...)
	s.held = append(s.held, place{order{r.Participant, r.Ordinal, int32(r.Form)}, int32(last), int32(at), int32(len(packed))})
	s.bytes += placeBytes + len(packed)
	if s.bytes < s.budget {
		return nil
	}
	return s.spill()
}

// slab is an empty slab with room for so many bytes.
func (s *sorter) slab(room int) []byte {
	if n := len(s.full); n > 0 && cap(s.full[n-1]) >= room {
		slab := s.full[n-1][:0]
		s.full = s.full[:n-1]
		return slab
	}
	return make([]byte, 0, max(room, slabBytes))
}

// record is a packed record where it lies.
func (s *sorter) record(p *place) []byte { return s.slabs[p.slab][p.at : p.at+p.size] }

func (s *sorter) order() {
	byOrder := func(a, b place) int { return a.compare(b.order) }
	if !slices.IsSortedFunc(s.held, byOrder) {
		slices.SortStableFunc(s.held, byOrder)
	}
}

// spill writes what is held as a run: each record after its length.
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
	var size [binary.MaxVarintLen64]byte
	for i := range s.held {
		packed := s.record(&s.held[i])
		_, _ = w.Write(size[:binary.PutUvarint(size[:], uint64(len(packed)))]) // the first error stays
		if _, err := w.Write(packed); err != nil {
			return spillError(err)
		}
	}
	if err := w.Flush(); err != nil {
		return spillError(err)
	}
	s.full = append(s.full, s.slabs...)
	s.slabs, s.held, s.bytes = s.slabs[:0], s.held[:0], 0
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
		if err := m.start(&run{age: i, file: bufio.NewReaderSize(f, 1<<18)}); err != nil {
			return err
		}
	}
	if err := m.start(&run{age: len(s.runs), of: s, held: s.held}); err != nil {
		return err
	}
	reader := recordReader{texts: map[string]string{}}
	var group []study.Record
	for m.Len() > 0 {
		top := m[0]
		if n := len(group); n > 0 && group[0].Participant != top.order.participant {
			if err := yield(group[0].Participant, group); err != nil {
				return err
			}
			group = make([]study.Record, 0, n) // the caller keeps the other until its chunk is written
		}
		group = append(group, study.Record{})
		reader.read(top.packed, &group[len(group)-1])
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

// run is one sorted run, on disk or in memory, at one of its records.
type run struct {
	order
	packed []byte // the record; until the next
	age    int    // runs are numbered as they were made: of equal records the earlier comes first
	of     *sorter
	held   []place
	file   *bufio.Reader // nil: in memory
}

func (r *run) next() (bool, error) {
	if r.file == nil {
		if len(r.held) == 0 {
			return false, nil
		}
		r.order, r.packed, r.held = r.held[0].order, r.of.record(&r.held[0]), r.held[1:]
		return true, nil
	}
	size, err := binary.ReadUvarint(r.file)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err == nil {
		r.packed = slices.Grow(r.packed[:0], int(size))[:size]
		_, err = io.ReadFull(r.file, r.packed)
	}
	if err != nil {
		return false, spillError(err)
	}
	r.order = orderOf(r.packed)
	return true, nil
}

type merge []*run

func (m *merge) start(r *run) error {
	ok, err := r.next()
	if ok {
		heap.Push(m, r)
	}
	return err
}

func (m merge) Len() int           { return len(m) }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m merge) Less(i, j int) bool { return cmp.Or(m[i].compare(m[j].order), m[i].age-m[j].age) < 0 }
func (m *merge) Push(x any)        { *m = append(*m, x.(*run)) }
func (m *merge) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}
