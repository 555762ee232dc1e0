// Package transform turns landed bytes into judged records. It is pure: no
// clock, no I/O beyond the reader it is given; what was known before comes in as
// an argument. Text of parser errors never leaves it: a bad value becomes a
// study.Rejection with a rule code, because strconv, time and friends quote
// their input.
package transform

import (
	"context"
	"io"
	"iter"

	"longitude/study"
)

// Format decodes one kind of file into rows with bounded memory, whatever the
// object's size.
type Format interface {
	// Decode yields batches of rows in file order, at least one, which may be
	// empty: an object without rows still has columns. The error ends the sequence;
	// it is a *study.Error without any of the object's text.
	// A batch is valid until the next one is asked for.
	Decode(ctx context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*Rows, error]
	// Check reports what is wrong with a format spec, as key → message.
	Check(spec study.FormatSpec) map[string]string
}

// Rows is a batch of decoded rows of one table. Every cell is UTF-8; Decode has
// translated the source's encoding.
type Rows struct {
	Columns []string // header, the same for every batch of an object
	Labels  []string // what the object itself calls the columns; nil = it does not
	Types   []string // what the object declares the columns to be: number, text, date, datetime, time, boolean or ""; nil = nothing
	Unasked []string // columns without a place in Columns that rows up to here had, sorted; of formats whose rows have no fixed columns
	Dialect string   // what was found out about the object's writing, such as its encoding; "" = nothing
	First   int64    // ordinal of the first row, from 1; broken rows count too
	Cells   [][]byte // row-major, len(Columns) a row; nil = absent; others may stand behind one in its memory, so none is appended to
	Lines   []int64  // per row: line where it starts, from 1; the row's number in formats without lines
	Raw     [][]byte // per row: its bytes as landed, without the line end
	InPart  []bool   // per row: a nil cell is one of which the row says nothing, and an empty one that says there is nothing; nil = of formats whose rows tell all
	Broken  []Broken // rows among these that could not be split, in order; their cells are nil
}

// Batches yields rows each time that next has filled it, until next leaves it empty: at
// least once, because an object without rows still has columns.
func Batches(rows *Rows, next func() error, yield func(*Rows, error) bool) {
	for first := true; ; first = false {
		if err := next(); err != nil {
			yield(nil, err)
			return
		}
		more := rows.Len() > 0
		if !more && !first || !yield(rows, nil) || !more {
			return
		}
	}
}

// Len is the number of rows, broken ones included.
func (r *Rows) Len() int { return len(r.Lines) }

// Row returns the cells of row i.
func (r *Rows) Row(i int) [][]byte {
	n := len(r.Columns)
	return r.Cells[i*n : (i+1)*n : (i+1)*n]
}

// Broken is a row that could not be split into cells.
type Broken struct {
	Row  int    // index in the batch
	Rule string // column_count, quote_unclosed, text_invalid, row_too_long …
}
