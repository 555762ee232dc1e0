package csv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"unicode/utf8"

	"longitude/study"
	"longitude/transform"
)

// The limits of one object. A batch holds at most maxRows rows, about maxCells
// cells and what fits the buffer, which grows up to maxRow when a row needs it.
const (
	firstBuffer = 1 << 18
	maxRow      = 1 << 20 // bytes with line end; a longer row is broken
	maxColumns  = 4096
	maxRows     = 4096
	maxCells    = 1 << 16
)

// Format is the transform.Format of delimited text.
type Format struct{}

// Check reports what is wrong with the csv keys of a format spec.
func (Format) Check(spec study.FormatSpec) map[string]string {
	wrong := map[string]string{}
	if d := spec.Delimiter; d != "" && (len(d) != 1 || d[0] > '~' || d[0] < ' ' && d[0] != '\t' || d[0] == '"') {
		wrong["delimiter"] = `must be one ASCII character other than the double quote, such as "," ";" or "\t"`
	}
	if _, ok := encodings[spec.Encoding]; !ok {
		wrong["encoding"] = "must be one of auto, utf-8, windows-1252, iso-8859-1, utf-16, utf-16le, utf-16be"
	}
	switch spec.DecimalMark {
	case "", ".", ",":
	default:
		wrong["decimal_mark"] = `must be "." or ","`
	}
	return wrong
}

// Decode yields the rows of one object. Lines without any byte are no rows. A
// header alone is one empty batch, so that its columns can be checked.
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

// open settles encoding and delimiter and reads the header.
func open(spec study.FormatSpec, r io.Reader) (*decoder, error) {
	input, enc, err := detect(spec.Encoding, r)
	if err != nil {
		return nil, err
	}
	d := &decoder{r: input, enc: enc, delimiter: ',', line: 1, ordinal: 1, buf: make([]byte, firstBuffer)}
	if spec.Delimiter != "" {
		d.delimiter = spec.Delimiter[0]
	}
	if err := d.fill(); err != nil {
		return nil, err
	}
	d.skipBlank()
	if d.pos == d.end {
		return nil, &study.Error{Code: "csv.empty", Op: "reading the header of an object without any text",
			Hint: "a CSV object starts with a header line, even when it has no rows; check that the export finished"}
	}
	if spec.Header {
		return d, d.header()
	}
	return d, d.number()
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
	d.advance(row)
	return nil
}

// number names the columns c1, c2 … of an object without a header.
func (d *decoder) number() error {
	row, err := d.first()
	for i := range row.cells {
		d.rows.Columns = append(d.rows.Columns, "c"+strconv.Itoa(i+1))
	}
	return err
}

// first splits the first row, which settles the number of columns.
func (d *decoder) first() (split, error) {
	d.columns = maxColumns
	row := d.split()
	for !row.done && len(d.buf) < maxRow {
		if err := d.fill(); err != nil {
			return row, err
		}
		row = d.split()
	}
	d.columns = row.cells
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
func (d *decoder) wrongDelimiter(row split) error {
	var count [utf8.RuneSelf]int // of the header's ASCII characters outside quotes
	quoted := false
	for _, c := range d.buf[d.pos:row.end] {
		if c == '"' {
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
