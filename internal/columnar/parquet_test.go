package columnar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"longitude/study"
)

// everyKind is a table with a required and an optional column of every kind,
// in an order that is not alphabetical.
func everyKind() *study.Table {
	t := &study.Table{Name: "every_kind", Label: "Every kind"}
	for _, nullable := range []bool{false, true} {
		for k := study.TimestampKind + 1; k > 0; k-- {
			kind := k - 1
			name := kind.String()
			if nullable {
				name += "_or_null"
			}
			t.Columns = append(t.Columns, study.Column{Name: name, Kind: kind, Scale: 1, Nullable: nullable})
		}
	}
	t.Columns = append(t.Columns, study.Column{Name: "record_id", Kind: study.TextKind, Class: study.OtherKey})
	return t
}

// edges are the values that writers lose: all of them must come back.
var (
	edgeInts   = []int64{0, -1, 1, math.MaxInt64, math.MinInt64, 719162}
	edgeDates  = []int64{0, -719162, 2932896, -1}
	edgeFloats = []float64{0, math.Copysign(0, -1), 0.1, -1.5, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1)}
	edgeTexts  = []string{"", " ", "R", "L", "Zoë", "a\x00b", strings.Repeat("long ", 400)}
)

func randomBatch(t *study.Table, rows int, r *rand.Rand) *study.Batch {
	b := &study.Batch{Table: t, Rows: rows, Vectors: make([]study.Vector, len(t.Columns))}
	for c, column := range t.Columns {
		v := &b.Vectors[c]
		for range rows {
			if column.Nullable && r.IntN(3) == 0 {
				v.AppendNull(column.Kind)
				continue
			}
			switch column.Kind {
			case study.TextKind:
				s := edgeTexts[r.IntN(len(edgeTexts))]
				if column.Class == study.OtherKey {
					s = fmt.Sprintf("R%025d", r.Uint64())
				}
				v.AppendText(s)
			case study.FloatKind:
				v.AppendFloat(edgeFloats[r.IntN(len(edgeFloats))])
			case study.BoolKind:
				v.AppendInt(int64(r.IntN(2)))
			case study.DateKind:
				v.AppendInt(edgeDates[r.IntN(len(edgeDates))])
			case study.DecimalKind:
				v.AppendInt(r.Int64N(1e17) - 5e16)
			default:
				v.AppendInt(edgeInts[r.IntN(len(edgeInts))])
			}
		}
	}
	return b
}

// slice cuts rows from…to out of b.
func slice(b *study.Batch, from, to int) *study.Batch {
	cut := &study.Batch{Table: b.Table, Rows: to - from}
	for _, v := range b.Vectors {
		var w study.Vector
		if v.Valid != nil {
			w.Valid = v.Valid[from:to]
		}
		if v.Ints != nil {
			w.Ints = v.Ints[from:to]
		}
		if v.Floats != nil {
			w.Floats = v.Floats[from:to]
		}
		if v.Texts != nil {
			w.Texts = v.Texts[from:to]
		}
		cut.Vectors = append(cut.Vectors, w)
	}
	return cut
}

func write(tb testing.TB, w io.Writer, t *study.Table, batches ...*study.Batch) Summary {
	tb.Helper()
	e, err := NewParquet(w, t)
	if err != nil {
		tb.Fatal(err)
	}
	for _, b := range batches {
		if err := e.Write(b); err != nil {
			tb.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		tb.Fatal(err)
	}
	return e.(*Parquet).Summary()
}

func writeFile(tb testing.TB, t *study.Table, batches ...*study.Batch) (string, Summary) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "part.parquet")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	return path, write(tb, f, t, batches...)
}

// TestEveryValueComesBack reads whole tables with arrow's own record reader and
// compares cell by cell: zero, −0, "", false and the epoch are values, NULL is NULL.
func TestEveryValueComesBack(t *testing.T) {
	table := everyKind()
	for _, rows := range []int{0, 1, 2, 1023, 1024, 1025, 5000} {
		b := randomBatch(table, rows, rand.New(rand.NewPCG(uint64(rows), 1)))
		path, wrote := writeFile(t, table, b)
		read, err := Check(t.Context(), path, table)
		if err != nil {
			t.Fatalf("%d rows: %v", rows, err)
		}
		if err := wrote.Compare(read, "part"); err != nil {
			t.Fatal(err)
		}
		if wrote.Rows != int64(rows) {
			t.Fatalf("summary has %d rows, wrote %d", wrote.Rows, rows)
		}
		compareCells(t, path, b)
	}
}

func compareCells(t *testing.T, path string, b *study.Batch) {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := r.ReadTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	if int(table.NumRows()) != b.Rows {
		t.Fatalf("arrow reads %d rows, wrote %d", table.NumRows(), b.Rows)
	}
	for c := range b.Vectors {
		name := b.Table.Columns[c].Name
		if got := table.Schema().Field(c).Name; got != name {
			t.Fatalf("column %d is %s, want %s: the dictionary order was lost", c, got, name)
		}
		row := 0
		for _, chunk := range table.Column(c).Data().Chunks() {
			for i := range chunk.Len() {
				if err := sameCell(chunk, i, &b.Vectors[c], row); err != nil {
					t.Fatalf("column %s row %d: %v", name, row, err)
				}
				row++
			}
		}
	}
}

func sameCell(chunk arrow.Array, i int, v *study.Vector, row int) error {
	if chunk.IsNull(i) || v.Null(row) {
		if chunk.IsNull(i) != v.Null(row) {
			return fmt.Errorf("NULL is %v, want %v", chunk.IsNull(i), v.Null(row))
		}
		return nil
	}
	var ok bool
	switch a := chunk.(type) {
	case *array.String:
		ok = a.Value(i) == v.Texts[row]
	case *array.Float64:
		ok = math.Float64bits(a.Value(i)) == math.Float64bits(v.Floats[row])
	case *array.Boolean:
		ok = a.Value(i) == (v.Ints[row] != 0)
	case *array.Date32:
		ok = int64(a.Value(i)) == v.Ints[row]
	case *array.Timestamp:
		ok = int64(a.Value(i)) == v.Ints[row]
	case *array.Decimal128:
		ok = a.Value(i).BigInt().Int64() == v.Ints[row]
	case *array.Int64:
		ok = a.Value(i) == v.Ints[row]
	default:
		return fmt.Errorf("unexpected arrow type %T", chunk)
	}
	if !ok {
		return errors.New("another value came back")
	}
	return nil
}

// TestBytesDependOnRowsOnly writes the same rows in other batches and on another
// number of processors.
func TestBytesDependOnRowsOnly(t *testing.T) {
	table := everyKind()
	const rows = 40_000
	whole := randomBatch(table, rows, rand.New(rand.NewPCG(7, 7)))
	digest := func(batches ...*study.Batch) [32]byte {
		h := sha256.New()
		write(t, h, table, batches...)
		return [32]byte(h.Sum(nil))
	}
	want := digest(whole)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if digest(whole) != want {
		t.Error("one processor gives other bytes")
	}
	runtime.GOMAXPROCS(2)
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		var pieces []*study.Batch
		for from := 0; from < rows; {
			to := min(rows, from+r.IntN(3000))
			pieces = append(pieces, slice(whole, from, to))
			from = to
		}
		if digest(pieces...) != want {
			t.Error("other batches give other bytes")
		}
	}
}

// TestRowGroupsAreBounded also outgrows the dictionary of a text column, after
// which the writer goes on without one.
func TestRowGroupsAreBounded(t *testing.T) {
	table := &study.Table{Name: "wide_text", Columns: []study.Column{{Name: "n", Kind: study.Int64Kind}, {Name: "note", Kind: study.TextKind, Nullable: true}}}
	const rows = 3*rowGroupRows + 17
	b := &study.Batch{Table: table, Rows: rows, Vectors: make([]study.Vector, 2)}
	for i := range rows {
		b.Vectors[0].AppendInt(int64(i))
		b.Vectors[1].AppendText(fmt.Sprintf("distinct text number %d", i))
	}
	path, wrote := writeFile(t, table, b)
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.NumRowGroups() != 4 {
		t.Errorf("%d row groups, want 4", f.NumRowGroups())
	}
	read, err := Check(t.Context(), path, table)
	if err != nil {
		t.Fatal(err)
	}
	if err := wrote.Compare(read, "part"); err != nil {
		t.Error(err)
	}
	compareCells(t, path, b)

	long := strings.Repeat("x", rowGroupBytes/chunkRows)
	b = &study.Batch{Table: table, Rows: 3 * chunkRows, Vectors: make([]study.Vector, 2)}
	for i := range b.Rows {
		b.Vectors[0].AppendInt(int64(i))
		b.Vectors[1].AppendText(long)
	}
	path, _ = writeFile(t, table, b)
	if f, err = file.OpenParquetFile(path, false); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.NumRowGroups() != 3 {
		t.Errorf("%d row groups of long texts, want 3: the bound on bytes does not hold", f.NumRowGroups())
	}
}

func TestRefusals(t *testing.T) {
	table := &study.Table{Name: "visits", Columns: []study.Column{{Name: "visit_seq", Kind: study.Int64Kind}, {Name: "day", Kind: study.DateKind}}}
	batch := func(v0, v1 study.Vector, rows int) *study.Batch {
		return &study.Batch{Table: table, Rows: rows, Vectors: []study.Vector{v0, v1}}
	}
	for _, c := range []struct {
		name, code, says string
		batch            *study.Batch
	}{
		{"null in a required column", "columnar.null", "visits.visit_seq: row 2", batch(study.Vector{Ints: []int64{1, 0}, Valid: []bool{true, false}}, study.Vector{Ints: []int64{1, 2}}, 2)},
		{"short column", "columnar.shape", "day", batch(study.Vector{Ints: []int64{1, 2}}, study.Vector{Ints: []int64{1}}, 2)},
		{"short validity", "columnar.shape", "visit_seq", batch(study.Vector{Ints: []int64{1, 2}, Valid: []bool{true}}, study.Vector{Ints: []int64{1, 2}}, 2)},
		{"missing column", "columnar.shape", "number of columns", &study.Batch{Table: table, Rows: 0}},
		{"no date", "columnar.shape", "day", batch(study.Vector{Ints: []int64{1}}, study.Vector{Ints: []int64{1 << 40}}, 1)},
	} {
		e, err := NewParquet(io.Discard, table)
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, c.name, e.Write(c.batch), c.code, c.says)
	}
	_, err := NewParquet(io.Discard, &study.Table{Name: "t", Columns: []study.Column{{Name: "a"}, {Name: "a"}}})
	refuses(t, "twice the same name", err, "columnar.schema", "a")
	_, err = NewParquet(io.Discard, &study.Table{Name: "t"})
	refuses(t, "no columns", err, "columnar.schema", "no columns")

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	defer full.Close()
	e, _ := NewParquet(full, table)
	if err := e.Write(batch(study.Vector{Ints: []int64{1}}, study.Vector{Ints: []int64{1}}, 1)); err != nil {
		t.Fatal(err)
	}
	refuses(t, "full disk", e.Close(), "columnar.write", "no space")
}

func refuses(t *testing.T, name string, err error, code, says string) {
	t.Helper()
	var e *study.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Error(), says) {
		t.Errorf("%s: got %v, want %s saying %q", name, err, code, says)
	}
}

// TestCheckFindsDamage flips bytes all over a file: the reader answers with an
// error or with other sums, and never dies.
func TestCheckFindsDamage(t *testing.T) {
	table := everyKind()
	path, wrote := writeFile(t, table, randomBatch(table, 3000, rand.New(rand.NewPCG(3, 3))))
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(4, 4))
	found := 0
	const tries = 200
	for range tries {
		damaged := bytes.Clone(sound)
		damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		read, err := Check(t.Context(), path, table)
		if err != nil || wrote.Compare(read, "part") != nil {
			found++
		}
	}
	// What is left are bytes nothing depends on (statistics, page indexes).
	if found < tries/2 {
		t.Errorf("only %d of %d damaged files were noticed", found, tries)
	}
	for _, n := range []int{0, 3, 8, len(sound) / 2, len(sound) - 1} {
		if err := os.WriteFile(path, sound[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Check(t.Context(), path, table); err == nil {
			t.Errorf("a file cut at %d bytes was accepted", n)
		}
	}
}

func TestCheckComparesTheSchema(t *testing.T) {
	table := everyKind()
	path, _ := writeFile(t, table, randomBatch(table, 10, rand.New(rand.NewPCG(5, 5))))
	for name, change := range map[string]func(*study.Table){
		"renamed":  func(t *study.Table) { t.Columns[0].Name = "other" },
		"swapped":  func(t *study.Table) { t.Columns[0], t.Columns[1] = t.Columns[1], t.Columns[0] },
		"optional": func(t *study.Table) { t.Columns[2].Nullable = true },
		"scale":    func(t *study.Table) { t.Columns[5].Scale = 3 },
		"dropped":  func(t *study.Table) { t.Columns = t.Columns[1:] },
	} {
		other := everyKind()
		change(other)
		_, err := Check(t.Context(), path, other)
		refuses(t, name, err, "columnar.mismatch", "")
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(stopped, path, table); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled check answers %v", err)
	}
}

func TestFooter(t *testing.T) {
	table := everyKind()
	path, _ := writeFile(t, table, randomBatch(table, 77, rand.New(rand.NewPCG(6, 6))))
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	footer, err := ReadFooter(f, "part")
	if err != nil || footer.Rows != 77 || len(footer.Columns) != len(table.Columns) || footer.Columns[0] != table.Columns[0].Name {
		t.Errorf("footer %+v, %v", footer, err)
	}
	if _, err := f.Stat(); err != nil {
		t.Error("the footer's reader closed a file that is not its own")
	}
	_, err = ReadFooter(bytes.NewReader([]byte("PAR1 is not enough PAR1")), "part")
	refuses(t, "no footer", err, "columnar.unreadable", "")
}

// benchTable is a form of twelve fields as the standard workload has it.
func benchTable() (*study.Table, *study.Batch) {
	t := &study.Table{Name: "vs"}
	for i := range 6 {
		t.Columns = append(t.Columns, study.Column{Name: fmt.Sprintf("code_%d", i), Kind: study.TextKind, Nullable: true})
	}
	for i := range 8 {
		t.Columns = append(t.Columns, study.Column{Name: fmt.Sprintf("measure_%d", i), Kind: study.FloatKind, Nullable: true})
	}
	for i := range 4 {
		t.Columns = append(t.Columns, study.Column{Name: fmt.Sprintf("count_%d", i), Kind: study.Int64Kind, Nullable: true})
	}
	const rows = 8192
	r := rand.New(rand.NewPCG(9, 9))
	b := &study.Batch{Table: t, Rows: rows, Vectors: make([]study.Vector, len(t.Columns))}
	codes := []string{"R", "L", "ETDRS", "SNELLEN", "not_done"}
	for c := range t.Columns {
		for range rows {
			switch t.Columns[c].Kind {
			case study.TextKind:
				b.Vectors[c].AppendText(codes[r.IntN(len(codes))])
			case study.FloatKind:
				b.Vectors[c].AppendFloat(float64(r.IntN(1000)) / 10)
			default:
				b.Vectors[c].AppendInt(int64(r.IntN(100)))
			}
		}
	}
	return t, b
}

func BenchmarkWrite(b *testing.B) {
	table, batch := benchTable()
	e, err := NewParquet(io.Discard, table)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Write(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(batch.Rows)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkCheck(b *testing.B) {
	table, batch := benchTable()
	var batches []*study.Batch
	for range 20 {
		batches = append(batches, batch)
	}
	path, wrote := writeFile(b, table, batches...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Check(b.Context(), path, table); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(wrote.Rows)/b.Elapsed().Seconds(), "rows/s")
}

// Read gives back what was written, in whatever batches.
func TestRead(t *testing.T) {
	table := everyKind()
	for _, rows := range []int{0, 1, 4095, 4096, 4097, 9001} {
		b := randomBatch(table, rows, rand.New(rand.NewPCG(uint64(rows), 2)))
		path, _ := writeFile(t, table, b)
		var wrote, read study.Content
		wrote.Add(b, -1)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n := 0
		for got, err := range Read(t.Context(), f, "part") {
			if err != nil {
				t.Fatal(err)
			}
			for c, column := range got.Table.Columns {
				want := table.Columns[c]
				if column.Name != want.Name || column.Kind != want.Kind || want.Kind == study.DecimalKind && column.Scale != want.Scale || column.Nullable != want.Nullable {
					t.Fatalf("column %d is read as %+v, want %+v", c, column, want)
				}
			}
			read.Add(got, -1)
			n += got.Rows
		}
		if n != rows || study.ContentRoot(read.Close()) != study.ContentRoot(wrote.Close()) {
			t.Errorf("%d rows: %d are read, or others", rows, n)
		}
	}
}
