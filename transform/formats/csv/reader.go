package csv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"strings"

	"longitude/transform"
)

// decoder splits one object. All its cells are slices of buf, or of arena where
// quotes or the encoding had to be undone.
type decoder struct {
	dialect
	r       io.Reader
	enc     encoding
	columns int // cells kept of a row
	width   int // cells of a row; one more than columns where lines end with a delimiter
	limit   int // rows of a batch

	buf      []byte
	pos, end int // buf[pos:end] is read and not yet split
	eof      bool
	skip     *skipper // set while inside what is passed over: a comment, a row that is too long

	line, ordinal int64 // of the row at pos
	arena         []byte
	rows          transform.Rows
}

// split is where one row lies in the buffer.
type split struct {
	end   int // after its last byte, without the line end
	next  int // first byte of the next row
	cells int
	more  bool // there is text in a cell beyond the columns
	lines int64
	rule  string
	done  bool // false: its end is not in the buffer yet
}

// next decodes the next batch; nil at the end of the object.
func (d *decoder) next() (*transform.Rows, error) {
	d.rows = transform.Rows{Columns: d.rows.Columns, Dialect: d.rows.Dialect, First: d.ordinal, Cells: d.rows.Cells[:0],
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
		case d.skip == nil && d.pos == 0 && d.end == maxRow:
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
		if !d.atRow() {
			return nil
		}
		base := len(d.rows.Cells)
		row := split{lines: 1}
		if d.split(&row); !row.done {
			return nil
		}
		if err := d.add(&row, base); err != nil {
			return err
		}
	}
	return nil
}

// add puts a row whose cells start at base into the batch.
func (d *decoder) add(row *split, base int) error {
	rule := row.rule
	if rule == "" && (row.cells != d.width || row.more) {
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

func (d *decoder) advance(row *split) {
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
		d.buf = append(room(2 * len(d.buf))[:0], d.buf...)[:2*len(d.buf)]
	}
	d.end = copy(d.buf, d.buf[d.pos:d.end])
	d.pos = 0
	n, eof, err := readFull(d.r, d.buf[d.end:])
	d.end, d.eof = d.end+n, eof
	copy(d.buf[d.end:d.end+block], padding)
	return err
}

// block is how many bytes are tested at once.
const block = 64

// padding stands behind what is read, so that whole blocks can be tested to its
// very end. None of it is special.
var padding = strings.Repeat("\xff", block)

// room makes a buffer of n bytes and its padding.
func room(n int) []byte { return make([]byte, n, n+block) }

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

// atRow passes over what stands before a row: the rest of what is being skipped,
// lines without any byte, comments. It is false when more bytes are needed.
func (d *decoder) atRow() bool {
	for {
		if d.skip != nil && !d.skipOn() {
			return false
		}
		d.skipBlank()
		row := d.buf[d.pos:d.end]
		switch {
		case len(row) == 0:
			return false
		case len(d.comment) == 0:
			return true
		case bytes.HasPrefix(row, d.comment):
			d.skip = &skipper{literal: true}
		case !d.eof && bytes.HasPrefix(d.comment, row):
			return false
		default:
			return true
		}
	}
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
// the batch if its end is in the buffer. It goes from one special byte to the
// next: what lies between them needs no look.
func (d *decoder) split(row *split) {
	if d.backslash {
		d.splitEscaped(row)
		return
	}
	cell, cells, left := cell{start: d.pos}, d.rows.Cells, d.columns
	b, end, word, quote, delimiter := d.buf[:d.end+block], d.end, d.pos, d.quote, d.delimiter
	for found := specials(b, word, d.quotes, d.delimiters); ; {
		for found == 0 && word+block < end {
			word += block
			found = specials(b, word, d.quotes, d.delimiters)
		}
		i, c := end, byte('\n') // which ends a last row without a line end
		if found != 0 {
			i = word + bits.TrailingZeros64(found)
			c = b[i]
			found &= found - 1
		} else if !d.eof {
			return
		}
		if c == delimiter && !cell.quoted && left > 0 { // as almost always
			cells = append(cells, b[cell.start:i])
			left--
			cell.start = i + 1
			continue
		}
		if int(c) == quote {
			cell.quote(row, i)
			continue
		}
		if cell.inside && i < end {
			row.inspect(b[:end], i)
			continue
		}
		if c != delimiter && c != '\n' && c != '\r' {
			row.control(c)
			continue
		}
		text := b[cell.start:i]
		if cell.doubled || cell.quoted && cell.closed+1 != i {
			text = d.unquote(row, cell, i)
		} else if cell.quoted {
			text = b[cell.start+1 : i-1]
		}
		if left > 0 {
			cells = append(cells, text)
		} else if len(text) > 0 {
			row.more = true
		}
		left--
		if c != delimiter {
			row.cells = d.columns - left
			d.endRow(row, cells, i)
			return
		}
		cell.start, cell.quoted, cell.doubled = i+1, false, false
	}
}

// cell is how far a cell is known.
type cell struct {
	start           int
	quoted, doubled bool // it began with a quote; there is a doubled one in it
	inside          bool // the quote is not closed
	closed          int  // where it was closed last; -1 before
}

// quote takes the quote at i.
func (c *cell) quote(row *split, i int) {
	switch {
	case c.inside:
		c.inside, c.closed = false, i
	case i == c.start:
		c.quoted, c.inside, c.closed = true, true, -1
	case c.quoted && i == c.closed+1:
		c.doubled, c.inside = true, true
	default:
		row.fail("quote_stray")
	}
}

// unquote gives the text of the quoted cell that ends at i and is not plain
// between its quotes.
func (d *decoder) unquote(row *split, c cell, i int) []byte {
	switch {
	case c.inside:
		row.fail("quote_unclosed")
	case c.closed+1 != i:
		row.fail("quote_stray")
	default:
		return d.undouble(d.buf[c.start+1 : c.closed])
	}
	return nil
}

// fail keeps the first rule that a row breaks.
func (row *split) fail(rule string) {
	if row.rule == "" {
		row.rule = rule
	}
}

// endRow ends a row with the line end at i, or with the object. Its cells are
// kept when the line end is known.
func (d *decoder) endRow(row *split, cells [][]byte, i int) {
	row.end, row.next, row.done = i, i, true
	if i < d.end {
		row.next, row.done = d.lineEnd(i)
	}
	if row.done {
		d.rows.Cells = cells
	}
}

// inspect counts the line end and notices the control character at i, inside
// quotes.
func (row *split) inspect(b []byte, i int) {
	switch c := b[i]; {
	case c == '\n', c == '\r' && (i+1 == len(b) || b[i+1] != '\n'):
		row.lines++
	case c != '\r' && c < ' ':
		row.control(c)
	}
}

// control notices a control character that no text has.
func (row *split) control(c byte) {
	if c != '\t' {
		row.fail("text_control")
	}
}

// undouble copies a quoted cell into the arena with its doubled quotes undone.
func (d *decoder) undouble(cell []byte) []byte {
	at := len(d.arena)
	for {
		i := bytes.IndexByte(cell, byte(d.quote))
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
	lows  = 0x7f7f7f7f7f7f7f7f
	highs = 0x8080808080808080
)

// specials finds the control characters, quotes and delimiters in the block of b
// at i: a bit for each byte, the first the lowest.
func specials(b []byte, i int, quotes, delimiters uint64) (found uint64) {
	text := (*[block]byte)(b[i:])
	for at := 0; at < block; at += 8 {
		x := binary.LittleEndian.Uint64(text[at:])
		q, e := x^quotes, x^delimiters
		// A byte plus 0x7f reaches the high bit unless it is zero, plus 0x60 unless it is
		// below 0x20, and neither carries into the next byte (Warren, Hacker's Delight,
		// 6-1). The product brings the high bits together in its upper byte.
		high := ^(((q&lows + lows) | q) & ((e&lows + lows) | e) & ((x&lows + 0x60*ones) | x)) & highs
		found |= high >> 7 * 0x0102040810204080 >> 56 << at
	}
	return found
}
