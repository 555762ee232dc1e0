package columnar

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"

	"longitude/study"
)

// Read gives the rows of the Parquet part r of a release, a few thousand at a time,
// as arrow reads them: columns, kinds and scales are those of the file. name is used
// in errors. A batch is valid until the next one is asked for.
func Read(ctx context.Context, r parquet.ReaderAtSeeker, name string) iter.Seq2[*study.Batch, error] {
	return func(yield func(*study.Batch, error) bool) {
		stopped := false
		err := reading(r, name, func(r *file.Reader) error {
			t, err := tableOf(r.MetaData().Schema, name)
			if err != nil {
				return err
			}
			for g := range r.NumRowGroups() {
				if err := readGroup(ctx, r.RowGroup(g), t, func(b *study.Batch) bool { stopped = !yield(b, nil); return !stopped }); err != nil || stopped {
					return err
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// tableOf is a table as a file describes it.
func tableOf(s *schema.Schema, name string) (*study.Table, error) {
	t := &study.Table{Name: name}
	for i := range s.NumColumns() {
		c := s.Column(i)
		column := study.Column{Name: c.Path(), Nullable: c.MaxDefinitionLevel() == 1, Kind: kindOf(c)}
		if decimal, ok := c.LogicalType().(*schema.DecimalLogicalType); ok {
			column.Scale = int(decimal.Scale())
		}
		if c.MaxDefinitionLevel() > 1 || c.MaxRepetitionLevel() > 0 || c.PhysicalType() != physicalOf(column.Kind) {
			return nil, unreadable(name, nil)
		}
		t.Columns = append(t.Columns, column)
	}
	return t, nil
}

func kindOf(c *schema.Column) study.Kind {
	switch c.LogicalType().(type) {
	case schema.StringLogicalType:
		return study.TextKind
	case schema.DateLogicalType:
		return study.DateKind
	case *schema.TimestampLogicalType:
		return study.TimestampKind
	case *schema.DecimalLogicalType:
		return study.DecimalKind
	}
	switch c.PhysicalType() {
	case parquet.Types.Double:
		return study.FloatKind
	case parquet.Types.Boolean:
		return study.BoolKind
	}
	return study.Int64Kind
}

// readGroup gives the rows of one row group.
func readGroup(ctx context.Context, group *file.RowGroupReader, t *study.Table, yield func(*study.Batch) bool) error {
	columns := make([]columnReader, len(t.Columns))
	for c := range columns {
		chunk, err := group.Column(c)
		if err != nil {
			return unreadable(t.Name, nil)
		}
		if columns[c] = openColumn(chunk); columns[c] == nil {
			return unreadable(t.Name, nil)
		}
	}
	b := &study.Batch{Table: t, Vectors: make([]study.Vector, len(columns))}
	for left := int(group.NumRows()); left > 0 && ctx.Err() == nil; left -= b.Rows {
		b.Rows = min(left, readRows)
		for c, column := range columns {
			if column.read(&b.Vectors[c], b.Rows) != nil {
				return unreadable(t.Name, nil)
			}
		}
		if !yield(b) {
			return nil
		}
	}
	return ctx.Err()
}

// columnReader takes the next rows of a column into a vector.
type columnReader interface {
	read(v *study.Vector, rows int) error
}

func openColumn(chunk file.ColumnChunkReader) columnReader {
	switch r := chunk.(type) {
	case *file.Int32ColumnChunkReader:
		return &values[int32]{r: r, add: func(v *study.Vector, n int32) { v.AppendInt(int64(n)) }, kind: study.Int64Kind}
	case *file.Int64ColumnChunkReader:
		return &values[int64]{r: r, add: func(v *study.Vector, n int64) { v.AppendInt(n) }, kind: study.Int64Kind}
	case *file.Float64ColumnChunkReader:
		return &values[float64]{r: r, add: func(v *study.Vector, f float64) { v.AppendFloat(f) }, kind: study.FloatKind}
	case *file.BooleanColumnChunkReader:
		return &values[bool]{r: r, add: func(v *study.Vector, yes bool) {
			n := int64(0)
			if yes {
				n = 1
			}
			v.AppendInt(n)
		}, kind: study.BoolKind}
	case *file.ByteArrayColumnChunkReader:
		return &values[parquet.ByteArray]{r: r, add: func(v *study.Vector, b parquet.ByteArray) { v.AppendText(string(b)) }, kind: study.TextKind}
	}
	return nil
}

// values are those of a column chunk of one physical type.
type values[V any] struct {
	r    chunkReader[V]
	add  func(*study.Vector, V)
	kind study.Kind

	held   []V
	levels []int16
}

func (c *values[V]) read(v *study.Vector, rows int) error {
	if c.held == nil {
		c.held, c.levels = make([]V, readRows), make([]int16, readRows)
	}
	v.Valid, v.Ints, v.Floats, v.Texts = v.Valid[:0], v.Ints[:0], v.Floats[:0], v.Texts[:0]
	for left := rows; left > 0; {
		total, read, err := c.r.ReadBatch(int64(left), c.held, c.levels, nil)
		if err != nil && !errors.Is(err, io.EOF) || total == 0 {
			return io.ErrUnexpectedEOF
		}
		next := 0
		for i := range int(total) {
			if read < int(total) && c.levels[i] == 0 {
				v.AppendNull(c.kind)
				continue
			}
			c.add(v, c.held[next])
			next++
		}
		left -= int(total)
	}
	return nil
}
