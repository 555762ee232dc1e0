package columnar

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"

	"longitude/deid"
	"longitude/study"
)

const readRows = 4096 // values held in memory per column while reading back

// Check reads a whole file back with arrow, a reader that shares no code with
// the writer, and sums what is in it. The schema must be that of t. Memory stays
// bounded by pages, whatever the size of the file.
func Check(ctx context.Context, path string, t *study.Table) (Summary, error) {
	f, err := os.Open(path)
	if err != nil {
		return Summary{}, unreadable(t.Name, errors.Unwrap(err))
	}
	defer func() { _ = f.Close() }()
	return check(ctx, f, t)
}

func check(ctx context.Context, f parquet.ReaderAtSeeker, t *study.Table) (Summary, error) {
	sum := newSummary(t)
	err := reading(f, t.Name, func(r *file.Reader) error {
		if err := sameSchema(r.MetaData().Schema, t); err != nil {
			return err
		}
		sum.Rows = r.NumRows()
		for g := range r.NumRowGroups() {
			for c := range t.Columns {
				if err := sumColumn(ctx, r.RowGroup(g), c, &sum.Columns[c]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return sum, err
}

// Format writes parts one after the other and compares each with what was
// written. It is for one goroutine.
type Format struct{ last *Parquet }

// NewEncoder opens an encoder for a part of table t.
func (f *Format) NewEncoder(w io.Writer, t *study.Table) (deid.Encoder, error) {
	e, err := NewParquet(w, t)
	if err != nil {
		return nil, err
	}
	f.last = e.(*Parquet)
	return e, nil
}

// ReadBack reads the part written last with arrow and compares rows, NULLs and
// sums of every column with what went in.
func (f *Format) ReadBack(ctx context.Context, a deid.Artifact, t *study.Table) error {
	content, err := a.Open()
	if err != nil {
		return unreadable(a.Path(), nil)
	}
	defer func() { _ = content.Close() }()
	file, ok := content.(parquet.ReaderAtSeeker)
	if !ok || f.last == nil || f.last.table != t {
		return unreadable(a.Path(), nil)
	}
	read, err := check(ctx, file, t)
	if err != nil {
		return err
	}
	return f.last.Summary().Compare(read, a.Path())
}

// Footer is what a file says of itself without being read.
type Footer struct {
	Rows    int64
	Columns []string
}

// ReadFooter reads the footer of the Parquet file r. name is used in errors.
func ReadFooter(r parquet.ReaderAtSeeker, name string) (Footer, error) {
	var footer Footer
	err := reading(r, name, func(r *file.Reader) error {
		footer.Rows = r.NumRows()
		for c := range r.MetaData().Schema.NumColumns() {
			footer.Columns = append(footer.Columns, r.MetaData().Schema.Column(c).Path())
		}
		return nil
	})
	return footer, err
}

// File is what a Parquet file is read from.
type File = parquet.ReaderAtSeeker

// reading opens r with arrow for the time of use. A malformed file may make the
// library panic; that is an error like any other here.
func reading(r parquet.ReaderAtSeeker, name string, use func(*file.Reader) error) (err error) {
	defer func() {
		if recover() != nil {
			err = unreadable(name, nil)
		}
	}()
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true
	pr, openErr := file.NewParquetReader(keepOpen{r}, file.WithReadProps(props))
	if openErr != nil {
		return unreadable(name, nil)
	}
	defer func() { _ = pr.Close() }()
	return use(pr)
}

// keepOpen hides Close: whoever opened the file closes it.
type keepOpen struct{ parquet.ReaderAtSeeker }

// sameSchema compares names, order and types of a file's columns with a table's.
func sameSchema(have *schema.Schema, t *study.Table) error {
	wrong := func(what string) error {
		return &study.Error{
			Code: "columnar.mismatch", Op: "reading back table " + t.Name + ": " + what, Exit: study.ExitBlocked,
			Hint: "the file belongs to another version of the dictionary: build the release again",
		}
	}
	if have.NumColumns() != len(t.Columns) {
		return wrong("it has another number of columns")
	}
	for i, want := range t.Columns {
		c := have.Column(i)
		nullable := c.MaxDefinitionLevel() == 1
		if c.Path() != want.Name || nullable != want.Nullable || !logicalOf(want).Equals(c.LogicalType()) || c.PhysicalType() != physicalOf(want.Kind) {
			return wrong("column " + want.Name + " has another name, type or place")
		}
	}
	return nil
}

func physicalOf(k study.Kind) parquet.Type {
	switch k {
	case study.TextKind:
		return parquet.Types.ByteArray
	case study.FloatKind:
		return parquet.Types.Double
	case study.BoolKind:
		return parquet.Types.Boolean
	case study.DateKind:
		return parquet.Types.Int32
	}
	return parquet.Types.Int64
}

func logicalOf(c study.Column) schema.LogicalType {
	switch c.Kind {
	case study.TextKind:
		return schema.StringLogicalType{}
	case study.DateKind:
		return schema.DateLogicalType{}
	case study.TimestampKind:
		return schema.NewTimestampLogicalType(true, schema.TimeUnitMicros)
	case study.DecimalKind:
		return schema.NewDecimalLogicalType(decimalPrecision, int32(c.Scale))
	case study.Int64Kind:
		return schema.NewIntLogicalType(64, true)
	}
	return schema.NoLogicalType{}
}

// sumColumn adds one column chunk to s.
func sumColumn(ctx context.Context, group *file.RowGroupReader, c int, s *ColumnSummary) error {
	column, err := group.Column(c)
	if err != nil {
		return unreadable(s.Name, nil)
	}
	levels := make([]int16, readRows)
	var rows int64
	switch r := column.(type) {
	case *file.Int32ColumnChunkReader:
		rows, err = sumValues(ctx, r, levels, s, func(n int32) { s.addInt(int64(n)) })
	case *file.Int64ColumnChunkReader:
		rows, err = sumValues(ctx, r, levels, s, s.addInt)
	case *file.Float64ColumnChunkReader:
		rows, err = sumValues(ctx, r, levels, s, s.addFloat)
	case *file.BooleanColumnChunkReader:
		rows, err = sumValues(ctx, r, levels, s, s.addBool)
	case *file.ByteArrayColumnChunkReader:
		rows, err = sumValues(ctx, r, levels, s, func(b parquet.ByteArray) { s.addText(b) })
	default:
		return unreadable(s.Name, nil)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || rows != group.NumRows() {
		return unreadable(s.Name, nil)
	}
	return nil
}

// chunkReader is a column chunk of one physical type. total counts rows, read
// the values among them that are not NULL.
type chunkReader[V any] interface {
	ReadBatch(size int64, values []V, definition, repetition []int16) (total int64, read int, err error)
}

func sumValues[V any](ctx context.Context, r chunkReader[V], levels []int16, s *ColumnSummary, add func(V)) (rows int64, err error) {
	values := make([]V, readRows)
	for ctx.Err() == nil {
		total, read, err := r.ReadBatch(readRows, values, levels, nil)
		if err != nil && !errors.Is(err, io.EOF) {
			return rows, err
		}
		if total == 0 {
			return rows, nil
		}
		for _, v := range values[:read] {
			add(v)
		}
		rows += total
		s.Nulls += total - int64(read)
	}
	return rows, nil
}

func unreadable(name string, err error) error {
	return &study.Error{
		Code: "columnar.unreadable", Op: "reading back " + name, Exit: study.ExitBlocked, Err: err,
		Hint: "the file is damaged or no Parquet: build the release again",
	}
}

// Texts reads one text column of the Parquet file r, NULLs left out. name is used in
// errors.
func Texts(ctx context.Context, r parquet.ReaderAtSeeker, name, column string) ([]string, error) {
	var all []string
	err := reading(r, name, func(r *file.Reader) error {
		c := r.MetaData().Schema.ColumnIndexByName(column)
		if c < 0 {
			return unreadable(name, nil)
		}
		levels := make([]int16, readRows)
		for g := range r.NumRowGroups() {
			chunk, err := r.RowGroup(g).Column(c)
			if err != nil {
				return unreadable(name, nil)
			}
			texts, ok := chunk.(*file.ByteArrayColumnChunkReader)
			if !ok {
				return unreadable(name, nil)
			}
			if _, err := sumValues(ctx, texts, levels, &ColumnSummary{}, func(b parquet.ByteArray) { all = append(all, string(b)) }); err != nil {
				return unreadable(name, nil)
			}
		}
		return ctx.Err()
	})
	return all, err
}
