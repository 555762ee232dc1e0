package csv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"unicode/utf8"

	"longitude/study"
	"longitude/transform"
)

// The limits of one object. A batch holds at most maxRows rows, about maxCells
// cells and what fits the buffer, which grows up to maxRow when a row needs it.
const (
	firstBuffer = 1 << 17 // the cells of a batch, and what they become, stay close to the processor
	maxRow      = 1 << 20 // bytes with line end; a longer row is broken
	maxColumns  = 4096
	maxRows     = 4096
	maxCells    = 1 << 16
	maxSkip     = 10_000 // lines before the header
	maxComment  = 8      // bytes of a comment's mark
)

// Format is the transform.Format of delimited text.
type Format struct{}

// Decode yields the rows of one object. Lines without any byte and comments are
// no rows. A header alone is one empty batch, so that its columns can be checked.
func (Format) Decode(ctx context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*transform.Rows, error] {
	return func(yield func(*transform.Rows, error) bool) {
		d, err := open(spec, r)
		if err != nil {
			yield(nil, err)
			return
		}
		for first := true; ; first = false {
			if ctx.Err() != nil {
				yield(nil, &study.Error{Code: "csv.stopped", Op: "reading the object", Temporary: true, Err: ctx.Err(),
					Hint: "the run was stopped: run it again"})
				return
			}
			rows, err := d.next()
			if err != nil {
				yield(nil, err)
				return
			}
			if rows == nil && first {
				rows = &d.rows
			}
			if rows == nil || !yield(rows, nil) {
				return
			}
		}
	}
}

// open settles encoding and dialect and reads the header.
func open(spec study.FormatSpec, r io.Reader) (*decoder, error) {
	input, enc, err := detect(spec.Encoding, r)
	if err != nil {
		return nil, err
	}
	d := &decoder{dialect: dialectOf(spec), r: input, enc: enc, line: 1, ordinal: 1,
		buf: room(firstBuffer), arena: []byte{}}
	d.rows.Dialect = enc.name
	if err := d.fill(); err != nil {
		return nil, err
	}
	for range spec.SkipLines {
		if err := d.skipLine(); err != nil {
			return nil, err
		}
	}
	for !d.atRow() && !d.eof {
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
	if d.pos == d.end {
		return nil, &study.Error{Code: "csv.empty", Op: "reading the header of an object without any text",
			Hint: "a CSV object starts with a header line, even when it has no rows; check that the export finished, and `skip_lines` if it is set"}
	}
	if spec.Header {
		return d, d.header()
	}
	return d, d.named(spec.Names)
}

// header reads the column names from the first row.
func (d *decoder) header() error {
	row, err := d.first()
	if err != nil {
		return err
	}
	place := fmt.Sprintf("line %d", d.line)
	seen := make(map[string]int, row.cells)
	for i, cell := range d.rows.Cells {
		name := string(cell)
		if before, twice := seen[name]; twice && name != "" {
			return &study.Error{Code: "csv.header_duplicate", Place: place,
				Op:   fmt.Sprintf("reading the header: columns %d and %d have the same name", before+1, i+1),
				Hint: "rename one of them at the source; which of the two is meant cannot be guessed"}
		}
		seen[name] = i
		d.rows.Columns = append(d.rows.Columns, name)
	}
	if d.columns > 1 && d.rows.Columns[d.columns-1] == "" {
		d.columns-- // lines end with a delimiter
		d.rows.Columns = d.rows.Columns[:d.columns]
	}
	d.advance(row)
	return nil
}

// named gives the columns of an object without a header the declared names, or
// c1, c2 …
func (d *decoder) named(names []string) error {
	row, err := d.first()
	if err != nil {
		return err
	}
	if d.columns == len(names)+1 && len(names) > 0 && len(d.rows.Cells[len(names)]) == 0 {
		d.columns-- // lines end with a delimiter
	}
	d.rows.Columns = slices.Clone(names)
	for i := range row.cells {
		if len(names) == 0 {
			d.rows.Columns = append(d.rows.Columns, "c"+strconv.Itoa(i+1))
		}
	}
	if len(d.rows.Columns) != d.columns {
		return &study.Error{Code: "csv.names", Place: fmt.Sprintf("line %d", d.line),
			Op:   fmt.Sprintf("naming the columns: the first row has %d, but %d names are declared", d.columns, len(names)),
			Hint: "correct `names` in the source's format, or its delimiter"}
	}
	return nil
}

// first splits the first row, which settles the number of columns.
func (d *decoder) first() (*split, error) {
	d.columns = maxColumns
	row := &split{lines: 1}
	for d.split(row); !row.done && len(d.buf) < maxRow; d.split(row) {
		if err := d.fill(); err != nil {
			return row, err
		}
		*row = split{lines: 1}
	}
	d.columns, d.width = row.cells, row.cells
	d.limit = min(maxRows, max(1, maxCells/max(1, row.cells)))
	switch {
	case !row.done:
		row.end, row.rule = d.end, "row_too_long"
	case row.cells > maxColumns:
		row.rule = "column_count"
	case row.rule == "":
		row.rule = d.decode(row, 0)
	}
	switch row.rule {
	case textUnknown, "text_invalid", "text_control":
		return row, d.headerError(row.rule)
	}
	if err := d.wrongDelimiter(row); err != nil || row.rule == "" {
		return row, err
	}
	return row, d.headerError(row.rule)
}

func (d *decoder) headerError(rule string) error {
	e := &study.Error{Code: "csv.header_invalid", Op: "reading the first line (" + rule + ")",
		Place: fmt.Sprintf("line %d", d.line)}
	switch rule {
	case textUnknown, "text_invalid", "text_control":
		if d.enc.auto {
			return unknownEncoding(e.Place)
		}
		e.Hint = "the first line is not text in the declared encoding; declare the right one with `encoding:` in the source's format"
	case "column_count":
		e.Hint = fmt.Sprintf("at most %d columns can be read; check the delimiter", maxColumns)
	case "row_too_long":
		e.Hint = fmt.Sprintf("no line end within %d bytes; check that the object is a CSV file", maxRow)
	default:
		e.Hint = "check the quotes of the first line: a quoted name is closed by a quote and doubles quotes inside"
	}
	return e
}

// wrongDelimiter notices a header that is one column only because the lines are
// separated by something else.
func (d *decoder) wrongDelimiter(row *split) error {
	var count [utf8.RuneSelf]int // of the header's ASCII characters outside quotes
	quoted := false
	for _, c := range d.buf[d.pos:row.end] {
		if int(c) == d.quote {
			quoted = !quoted
		} else if !quoted && c < utf8.RuneSelf {
			count[c]++
		}
	}
	likely := d.delimiter
	for _, other := range []byte(",;\t|") {
		if count[d.delimiter] == 0 && count[other] > count[likely] {
			likely = other
		}
	}
	if likely == d.delimiter {
		return nil
	}
	return &study.Error{Code: "csv.delimiter", Place: fmt.Sprintf("line %d", d.line),
		Op:   fmt.Sprintf("splitting the header: there is no %q in it", d.delimiter),
		Hint: fmt.Sprintf("the header looks separated by %q; set `delimiter: %q` in the source's format", likely, string(likely))}
}

// readError hands on an error of the reader below, which speaks of the object
// and not of its text.
func readError(err error) error {
	var known *study.Error
	if errors.As(err, &known) {
		return err
	}
	return &study.Error{Code: "csv.read", Op: "reading the object", Temporary: true, Err: err,
		Hint: "the object could not be read to its end; run again"}
}
