package datasetjson

import (
	"bytes"
	"encoding/json"
	"strings"

	"longitude/transform"
)

// decoder reads one object. Cells are slices of buf, or of arena where escapes
// or an exponent had to be undone.
type decoder struct {
	stream
	metadata
	seen  map[string]bool // members
	lines bool            // a row is a line, not an element of the member rows
	limit int             // rows of a batch

	after   bool    // an element was read: a comma or the end must follow
	comma   bool    // a comma was read: an element must follow
	ended   bool    // there are no more rows
	long    *extent // set while inside a row that is too long
	ordinal int64   // of the next row
	arena   []byte
	rows    transform.Rows
}

// next makes the next rows the batch; none at the end of the rows.
func (d *decoder) next() error {
	d.rows.First = d.ordinal
	d.rows.Cells, d.rows.Lines, d.rows.Raw, d.rows.Broken = d.rows.Cells[:0], d.rows.Lines[:0], d.rows.Raw[:0], d.rows.Broken[:0]
	d.arena = d.arena[:0]
	for {
		for d.rows.Len() < d.limit {
			more, err := d.nextRow()
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
		switch {
		case d.rows.Len() > 0 || d.ended:
			return nil
		case d.eof && !d.lines:
			return d.truncated()
		case d.long == nil && d.pos == 0 && d.end >= maxRow:
			d.tooLong()
			return nil
		}
		if err := d.fill(maxRow); err != nil {
			return err
		}
	}
}

// nextRow adds the next row; false when its end is not in the buffer, or nothing
// is left.
func (d *decoder) nextRow() (more bool, err error) {
	if d.lines {
		return d.nextLine(), nil
	}
	return d.nextElement()
}

// nextLine is nextRow where each line is a row.
func (d *decoder) nextLine() bool {
	rest := d.buf[d.pos:d.end]
	n := bytes.IndexByte(rest, '\n')
	switch {
	case n < 0 && !d.eof:
		if d.long != nil {
			d.pos = d.end
		}
		return false
	case len(rest) == 0:
		d.ended = true
		return false
	case n < 0:
		n = len(rest)
	}
	raw := bytes.TrimSuffix(rest[:n], []byte("\r"))
	switch {
	case d.long != nil:
		d.long = nil
	case len(bytes.Trim(raw, space)) > 0:
		d.add(raw, d.line)
	}
	d.advance(min(n+1, len(rest)))
	return true
}

// nextElement is nextRow where the rows are the elements of the member rows.
func (d *decoder) nextElement() (more bool, err error) {
	if d.long != nil {
		n, done := d.long.scan(d.buf[d.pos:d.end])
		d.advance(n)
		if !done {
			return false, nil
		}
		d.long, d.after = nil, true
	}
	if d.skipSpace(); d.pos == d.end || d.ended {
		return false, nil
	}
	switch c := d.buf[d.pos]; {
	case c == ']' && !d.comma:
		d.ended, d.row = true, 0
		d.advance(1)
		return false, nil
	case d.after && c == ',':
		d.after, d.comma = false, true
		d.advance(1)
		return true, nil
	case d.after || strings.IndexByte(",]}:", c) >= 0:
		return false, d.invalid("rows are not separated by single commas")
	}
	n, done := new(extent).scan(d.buf[d.pos:d.end])
	if !done {
		return false, nil
	}
	d.after, d.comma = true, false
	d.add(d.buf[d.pos:d.pos+n], d.row)
	d.advance(n)
	d.row++
	return true, nil
}

// tooLong adds the row that fills the buffer as broken, with as much of it as a
// row may have, and starts passing over the rest.
func (d *decoder) tooLong() {
	d.long, d.comma = new(extent), false
	if d.lines {
		d.add(d.buf[:d.end], d.line)
	} else {
		d.add(d.buf[:d.end], d.row)
		d.long.scan(d.buf[:d.end])
		d.row++
	}
	d.advance(d.end)
}

// add puts a row into the batch.
func (d *decoder) add(raw []byte, line int64) {
	base := len(d.rows.Cells)
	rule := "row_too_long"
	if len(raw) < maxRow {
		rule = d.cells(raw)
	} else {
		raw = raw[:maxRow]
	}
	if rule == "" && len(d.rows.Cells)-base != len(d.rows.Columns) {
		rule = "column_count"
	}
	if rule != "" {
		d.rows.Broken = append(d.rows.Broken, transform.Broken{Row: d.rows.Len(), Rule: rule})
		d.rows.Cells = append(d.rows.Cells[:base], make([][]byte, len(d.rows.Columns))...)
	}
	d.rows.Lines = append(d.rows.Lines, line)
	d.rows.Raw = append(d.rows.Raw, raw[:len(raw):len(raw)])
	d.ordinal++
}

// cells adds the cells of a row to the batch and returns the rule that the row
// breaks; of a row with too many cells some are missing.
func (d *decoder) cells(raw []byte) (rule string) {
	rest := trimSpace(raw)
	if len(rest) < 2 || rest[0] != '[' {
		return whyNot(raw)
	}
	rest = trimSpace(rest[1:])
	if len(rest) == 1 && rest[0] == ']' {
		return ""
	}
	for range len(d.rows.Columns) + 1 {
		s := scanScalar(rest)
		if s.n == 0 {
			return whyNot(raw)
		}
		cell, broken := d.cell(rest[:s.n:s.n], s)
		if rule == "" {
			rule = broken
		}
		d.rows.Cells = append(d.rows.Cells, cell)
		rest = trimSpace(rest[s.n:])
		switch {
		case len(rest) == 1 && rest[0] == ']':
			return rule
		case len(rest) == 0 || rest[0] != ',':
			return whyNot(raw)
		}
		rest = trimSpace(rest[1:])
	}
	if !json.Valid(raw) {
		return "json_invalid"
	}
	return "column_count"
}

// whyNot is the rule of a row that is no array of scalars.
func whyNot(raw []byte) (rule string) {
	switch {
	case !json.Valid(raw):
		return "json_invalid"
	case trimSpace(raw)[0] != '[':
		return "json_not_array"
	}
	return "json_not_scalar"
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
