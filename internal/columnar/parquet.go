package columnar

import (
	"fmt"
	"io"
	"math"
	"unsafe"

	"github.com/parquet-go/parquet-go"

	"longitude/deid"
	"longitude/study"
)

// Writer names what shaped the bytes of a file beyond its rows. It changes
// whenever the same rows would give other bytes, and then every part is new.
const Writer = "columnar/1"

const (
	chunkRows      = 1024     // rows handed to a column writer at once
	rowGroupRows   = 64 << 10 // a row group closes at this many rows …
	rowGroupBytes  = 64 << 20 // … or at this many bytes before compression
	dictionaryMax  = 1 << 20  // a text column with more distinct bytes per row group goes on without dictionary
	indexTextBytes = 64       // of the bounds kept per page: a whole released id
)

// Parquet writes one part of a released table. It implements deid.Encoder.
type Parquet struct {
	table   *study.Table
	writer  *parquet.GenericWriter[any] // its column writers only
	pending [][]parquet.Value           // per column: rows not yet handed to its writer, fewer than chunkRows
	rows    int64                       // in the row group
	bytes   int64                       // in the row group, before compression
	summary Summary
}

var _ deid.NewEncoder = NewParquet

// NewParquet opens an encoder for a part of table t; its dynamic type is *Parquet.
func NewParquet(w io.Writer, t *study.Table) (deid.Encoder, error) {
	schema, err := schemaOf(t)
	if err != nil {
		return nil, err
	}
	p := &Parquet{
		table: t,
		writer: parquet.NewGenericWriter[any](w, schema, //nolint:forbidigo // its column writers only
			parquet.Compression(&parquet.Zstd),
			parquet.CreatedBy("longitude", Writer, ""),
			parquet.DictionaryMaxBytes(dictionaryMax),
			parquet.ColumnIndexSizeLimit(func([]string) int { return indexTextBytes }),
		),
		pending: make([][]parquet.Value, len(t.Columns)),
		summary: newSummary(t),
	}
	for c := range p.pending {
		p.pending[c] = make([]parquet.Value, 0, chunkRows)
	}
	return p, nil
}

// Summary is what has been written so far, to be compared with what Check reads.
func (p *Parquet) Summary() Summary { return p.summary }

// Write appends the rows of b. The texts of b must not change afterwards, its
// slices may.
func (p *Parquet) Write(b *study.Batch) error {
	if err := p.fits(b); err != nil {
		return err
	}
	for from := 0; from < b.Rows; {
		to := min(b.Rows, from+chunkRows-int(p.rows%chunkRows))
		for c := range p.table.Columns {
			if err := p.take(c, &b.Vectors[c], from, to); err != nil {
				return err
			}
		}
		p.rows += int64(to - from)
		p.summary.Rows += int64(to - from)
		if p.rows%chunkRows == 0 {
			if err := p.writePending(); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// Close writes what is pending and the footer.
func (p *Parquet) Close() error {
	if len(p.pending[0]) > 0 {
		if err := p.writePending(); err != nil {
			return err
		}
	}
	if err := p.writer.Close(); err != nil {
		return p.writeError(err)
	}
	return nil
}

// fits checks that every vector of b is as long as b says: columns of different
// lengths would give a malformed file.
func (p *Parquet) fits(b *study.Batch) error {
	if len(b.Vectors) != len(p.table.Columns) {
		return p.shapeError("the batch has another number of columns than the table")
	}
	for c := range b.Vectors {
		v := &b.Vectors[c]
		have := len(v.Ints)
		switch p.table.Columns[c].Kind {
		case study.TextKind:
			have = len(v.Texts)
		case study.FloatKind:
			have = len(v.Floats)
		}
		if have != b.Rows || (v.Valid != nil && len(v.Valid) != b.Rows) {
			return p.shapeError("column " + p.table.Columns[c].Name + " has another number of rows than its batch")
		}
	}
	return nil
}

// take moves rows from…to of column c to pending.
func (p *Parquet) take(c int, v *study.Vector, from, to int) error {
	column, sum := &p.table.Columns[c], &p.summary.Columns[c]
	level := 0
	if column.Nullable {
		level = 1
	}
	null := parquet.NullValue().Level(0, 0, c)
	out := p.pending[c]
	for i := from; i < to; i++ {
		if v.Null(i) {
			if !column.Nullable {
				return p.nullError(column, p.summary.Rows+int64(i-from)+1)
			}
			sum.Nulls++
			out = append(out, null)
			continue
		}
		switch column.Kind {
		case study.TextKind:
			s := v.Texts[i]
			// The column writer copies the bytes; the string is not changed.
			text := unsafe.Slice(unsafe.StringData(s), len(s))
			out = append(out, parquet.ByteArrayValue(text).Level(0, level, c))
			p.bytes += int64(len(s))
			sum.addText(text)
		case study.FloatKind:
			out = append(out, parquet.DoubleValue(v.Floats[i]).Level(0, level, c))
			sum.addFloat(v.Floats[i])
		case study.BoolKind:
			out = append(out, parquet.BooleanValue(v.Ints[i] != 0).Level(0, level, c))
			sum.addBool(v.Ints[i] != 0)
		case study.DateKind:
			if v.Ints[i] < math.MinInt32 || v.Ints[i] > math.MaxInt32 {
				return p.shapeError("column " + column.Name + " holds a date that is none")
			}
			out = append(out, parquet.Int32Value(int32(v.Ints[i])).Level(0, level, c))
			sum.addInt(v.Ints[i])
		default:
			out = append(out, parquet.Int64Value(v.Ints[i]).Level(0, level, c))
			sum.addInt(v.Ints[i])
		}
		p.bytes += 8
	}
	p.pending[c] = out
	return nil
}

func (p *Parquet) nullError(column *study.Column, row int64) error {
	return &study.Error{
		Code: "columnar.null",
		Op:   fmt.Sprintf("writing %s.%s: row %d has no value in a required column", p.table.Name, column.Name, row),
		Hint: "a required column of a release was built from a record without that value: report this with the code",
	}
}

// writePending hands the pending rows to the column writers and closes the row
// group when it is full. Chunks are cut by row number only, so that pages do not
// depend on the batches rows came in.
func (p *Parquet) writePending() error {
	for c, w := range p.writer.ColumnWriters() {
		n, err := w.WriteRowValues(p.pending[c])
		if err != nil {
			return p.writeError(err)
		}
		if n != len(p.pending[c]) {
			return p.shapeError("column " + p.table.Columns[c].Name + " was not written whole")
		}
		clear(p.pending[c]) // let go of the texts
		p.pending[c] = p.pending[c][:0]
	}
	if p.rows >= rowGroupRows || p.bytes >= rowGroupBytes {
		p.rows, p.bytes = 0, 0
		if err := p.writer.Flush(); err != nil {
			return p.writeError(err)
		}
	}
	return nil
}

// writeError keeps the cause: it comes from the file (a full disk), never from a value.
func (p *Parquet) writeError(err error) error {
	return &study.Error{
		Code: "columnar.write", Op: "writing table " + p.table.Name, Err: err,
		Hint: "see the cause; the part is written again by the next run",
	}
}

func (p *Parquet) shapeError(what string) error {
	return &study.Error{
		Code: "columnar.shape", Op: "writing table " + p.table.Name + ": " + what,
		Hint: "this is a fault of the program: report it with the code",
	}
}
