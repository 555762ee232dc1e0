package csv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"longitude/transform"
)

// decoder splits one object. All its cells are slices of buf, or of arena where
// quotes or the encoding had to be undone.
type decoder struct {
	r         io.Reader
	enc       encoding
	delimiter byte
	columns   int // cells kept of a row
	limit     int // rows of a batch

	buf      []byte
	pos, end int // buf[pos:end] is read and not yet split
	eof      bool
	long     *skipper // set while inside a row that is too long

	line, ordinal int64 // of the row at pos
	arena         []byte
	rows          transform.Rows
}

// split is where one row lies in the buffer.
type split struct {
	end   int // after its last byte, without the line end
	next  int // first byte of the next row
	cells int
	lines int64
	rule  string
	done  bool // false: its end is not in the buffer yet
}

// next decodes the next batch; nil at the end of the object.
func (d *decoder) next() (*transform.Rows, error) {
	d.rows = transform.Rows{Columns: d.rows.Columns, First: d.ordinal, Cells: d.rows.Cells[:0],
		Lines: d.rows.Lines[:0], Raw: d.rows.Raw[:0], Broken: d.rows.Broken[:0]}
	d.arena = d.arena[:0]
	for {
		if err := d.splitBuffer(); err != nil {
			return nil, err
		}
		switch {
		case d.rows.Len() > 0:
			return &d.rows, nil
		case d.eof:
			return nil, nil
		case d.long == nil && d.pos == 0 && d.end == maxRow:
			d.tooLong()
			return &d.rows, nil
		}
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
}

// splitBuffer adds the complete rows of the buffer to the batch.
func (d *decoder) splitBuffer() error {
	for d.rows.Len() < d.limit {
		if d.long != nil {
			d.skipLong()
		}
		d.skipBlank()
		if d.pos == d.end {
			return nil
		}
		base := len(d.rows.Cells)
		row := d.split()
		if !row.done {
			d.rows.Cells = d.rows.Cells[:base]
			return nil
		}
		if err := d.add(row, base); err != nil {
			return err
		}
	}
	return nil
}

// add puts a row whose cells start at base into the batch.
func (d *decoder) add(row split, base int) error {
	rule := row.rule
	if rule == "" && row.cells != d.columns {
		rule = "column_count"
	}
	if rule == "" {
		rule = d.decode(row, base)
	}
	if rule == textUnknown {
		return unknownEncoding(fmt.Sprintf("line %d", d.line))
	}
	if rule != "" {
		d.breakRow(rule, base)
	}
	d.rows.Lines = append(d.rows.Lines, d.line)
	d.rows.Raw = append(d.rows.Raw, d.raw(d.buf[d.pos:row.end]))
	d.ordinal++
	d.advance(row)
	return nil
}

func (d *decoder) advance(row split) {
	d.pos = row.next
	d.line += row.lines
}

// breakRow marks the row about to be added as broken.
func (d *decoder) breakRow(rule string, base int) {
	d.rows.Broken = append(d.rows.Broken, transform.Broken{Row: d.rows.Len(), Rule: rule})
	d.rows.Cells = d.rows.Cells[:base]
	for range d.columns {
		d.rows.Cells = append(d.rows.Cells, nil)
	}
}

// fill makes room, growing the buffer where one row fills it, and reads until
// the buffer is full or the object ends.
func (d *decoder) fill() error {
	if d.pos == 0 && d.end == len(d.buf) && len(d.buf) < maxRow {
		d.buf = append(d.buf, make([]byte, len(d.buf))...)
	}
	d.end = copy(d.buf, d.buf[d.pos:d.end])
	d.pos = 0
	n, eof, err := readFull(d.r, d.buf[d.end:])
	d.end, d.eof = d.end+n, eof
	return err
}

// readFull reads until b is full or r ends. Unlike io.ReadFull it keeps apart
// the end of r and an r that says it was cut short.
func readFull(r io.Reader, b []byte) (n int, eof bool, err error) {
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, readError(err)
		}
	}
	return n, false, nil
}

// skipBlank passes over lines without any byte.
func (d *decoder) skipBlank() {
	for d.pos < d.end && (d.buf[d.pos] == '\n' || d.buf[d.pos] == '\r') {
		next, known := d.lineEnd(d.pos)
		if !known {
			return
		}
		d.pos = next
		d.line++
	}
}

// lineEnd is what follows the line end (LF, CRLF or CR) at i; known is false
// when a CR is the last byte read so far.
func (d *decoder) lineEnd(i int) (next int, known bool) {
	switch {
	case d.buf[i] == '\n':
		return i + 1, true
	case i+1 < d.end && d.buf[i+1] == '\n':
		return i + 2, true
	}
	return i + 1, i+1 < d.end || d.eof
}

// split finds the cells of the row at pos and appends them, up to columns, to
// the batch.
func (d *decoder) split() split {
	b, row := d.buf[:d.end], split{lines: 1}
	start := d.pos // of the current cell; -1 once a quote has closed it
	var cell []byte
	for i := start; ; {
		i = special(b, i, d.delimiter)
		if i == len(b) {
			if !d.eof {
				return split{}
			}
			return d.endRow(row, b, cell, start, i, i)
		}
		switch c := b[i]; {
		case c == d.delimiter:
			d.endCell(&row, b, cell, start, i)
			i++
			start, cell = i, nil
		case c == '"' && i == start:
			if cell, i = d.quoted(&row, i); i < 0 {
				return split{}
			}
			start = -1
			if i < len(b) && b[i] != d.delimiter && b[i] != '\n' && b[i] != '\r' {
				row.fail("quote_stray")
			}
		case c == '\n' || c == '\r':
			next, known := d.lineEnd(i)
			if !known {
				return split{}
			}
			return d.endRow(row, b, cell, start, i, next)
		default:
			if c == '"' {
				row.fail("quote_stray")
			} else if c != '\t' {
				row.fail("text_control")
			}
			i++
		}
	}
}

// fail keeps the first rule that a row breaks.
func (row *split) fail(rule string) {
	if row.rule == "" {
		row.rule = rule
	}
}

func (d *decoder) endCell(row *split, b, cell []byte, start, i int) {
	if start >= 0 {
		cell = b[start:i:i]
	}
	if row.cells < d.columns {
		d.rows.Cells = append(d.rows.Cells, cell)
	}
	row.cells++
}

func (d *decoder) endRow(row split, b, cell []byte, start, i, next int) split {
	d.endCell(&row, b, cell, start, i)
	row.end, row.next, row.done = i, next, true
	return row
}

// quoted reads the quoted cell that opens at i and returns the index after its
// closing quote, or -1 when that is not in the buffer yet.
func (d *decoder) quoted(row *split, i int) (cell []byte, after int) {
	b := d.buf[:d.end]
	doubled := false
	for k := i + 1; ; k += 2 {
		n := bytes.IndexByte(b[k:], '"')
		if n < 0 || k+n+1 == len(b) {
			if !d.eof {
				return nil, -1
			}
			if n < 0 {
				row.fail("quote_unclosed")
				row.inspect(b[i+1:])
				return nil, len(b)
			}
		}
		if k += n; k+1 < len(b) && b[k+1] == '"' {
			doubled = true
			continue
		}
		cell = b[i+1 : k : k]
		row.inspect(cell)
		if doubled {
			cell = d.undouble(cell)
		}
		return cell, k + 1
	}
}

// inspect counts the line ends inside a quoted cell and notices control characters.
func (row *split) inspect(cell []byte) {
	for i := special(cell, 0, '\n'); i < len(cell); i = special(cell, i+1, '\n') {
		switch c := cell[i]; c {
		case '\n':
			row.lines++
		case '\r':
			if i+1 == len(cell) || cell[i+1] != '\n' {
				row.lines++
			}
		case '"', '\t':
		default:
			row.fail("text_control")
		}
	}
}

// undouble copies a quoted cell into the arena with its doubled quotes undone.
func (d *decoder) undouble(cell []byte) []byte {
	at := len(d.arena)
	for {
		i := bytes.IndexByte(cell, '"')
		if i < 0 {
			d.arena = append(d.arena, cell...)
			return d.arena[at:len(d.arena):len(d.arena)]
		}
		d.arena = append(d.arena, cell[:i+1]...)
		cell = cell[i+2:]
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special is the index of the first control character, quote or delimiter of b
// from i on, len(b) if there is none. Eight bytes are tested at once: a byte
// below n, or equal to a pattern, leaves its high bit set, and the lowest such
// bit is exact (Warren, Hacker's Delight, 6-1).
func special(b []byte, i int, delimiter byte) int {
	quotes, delimiters := uint64('"')*ones, uint64(delimiter)*ones
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		q, e := x^quotes, x^delimiters
		found := ((x-0x20*ones)&^x | (q-ones)&^q | (e-ones)&^e) & highs
		if found != 0 {
			return i + bits.TrailingZeros64(found)>>3
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c == '"' || c == delimiter {
			return i
		}
	}
	return len(b)
}

// tooLong adds the row that fills the whole buffer as broken, with as much of it
// as was held, and starts skipping the rest.
func (d *decoder) tooLong() {
	d.breakRow("row_too_long", 0)
	d.rows.Lines = append(d.rows.Lines, d.line)
	d.rows.Raw = append(d.rows.Raw, d.raw(d.buf[:d.end]))
	d.ordinal++
	d.long = &skipper{last: d.delimiter}
	d.skipLong()
}

// skipLong passes over the row that is too long, as far as the buffer reaches.
func (d *decoder) skipLong() {
	n, ended := d.long.skip(d.buf[d.pos:d.end], d.delimiter)
	d.pos += n
	if ended {
		d.line += d.long.lines
		d.long = nil
	}
}

// skipper finds the end of a row across buffers without keeping it.
type skipper struct {
	quoted bool
	last   byte
	lines  int64
}

// skip returns how much of b belongs to the row, its line end included.
func (s *skipper) skip(b []byte, delimiter byte) (n int, ended bool) {
	for i, c := range b {
		switch {
		case s.last == '\r' && c != '\n':
			s.lines++
			if !s.quoted {
				return i, true
			}
		case c == '\n':
			s.lines++
			if !s.quoted {
				return i + 1, true
			}
		}
		if c == '"' {
			// A quote opens at the start of a cell, or again where it has just closed.
			s.quoted = !s.quoted && (s.last == delimiter || s.last == '"')
		}
		s.last = c
	}
	return len(b), false
}
