package xport

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"longitude/transform"
)

// decoder reads one object. Cells are slices of buf, or of arena where numbers
// or the encoding had to be translated.
type decoder struct {
	stream
	charset charset

	name    string // of the member
	version int    // 5 or 8
	columns []column
	length  int // bytes of a row
	limit   int // rows of a batch

	count   int64 // rows the header promises; -1 = it does not say
	done    int64 // rows given out
	scanned int   // buf before it, back to pos, holds no header of another member
	last    bool  // the member ends in the buffer, at stop
	stop    int

	arena []byte
	rows  transform.Rows
}

// ready returns how many rows at pos are complete and beyond doubt; 0 at the end
// of the member, when what pads it has been passed over.
func (d *decoder) ready() (int, error) {
	for {
		rows, end := d.known()
		switch {
		case rows > 0:
			return min(rows, d.limit), nil
		case end:
			return 0, d.finish()
		}
		scanned := d.scanned - d.pos
		if err := d.fill(); err != nil {
			return 0, err
		}
		d.scanned = scanned
	}
}

// known returns how many rows of the buffer are beyond doubt, and whether no
// others can follow them. A member that does not say how many rows it has ends
// where another one or nothing follows.
func (d *decoder) known() (rows int, end bool) {
	if d.count >= 0 {
		rows = int(min(int64((d.end-d.pos)/d.length), d.count-d.done))
		return rows, d.done == d.count || d.eof
	}
	if d.last {
		return (d.stop - d.pos) / d.length, true
	}
	for d.scanned+recordSize <= d.end && !startsMember(d.buf[d.scanned:]) {
		d.scanned += recordSize
	}
	switch {
	case d.scanned+recordSize <= d.end:
		return d.endAt(d.scanned), true
	case d.eof:
		return d.endAt(d.end), true
	}
	if certain := d.scanned - recordSize - d.pos; certain >= 0 {
		rows = min((d.scanned-d.pos)/d.length, certain/d.length+1)
	}
	return rows, false
}

// endAt returns the rows of a member that ends before byte stop. Its last record
// is padded with blanks, fewer than 80; blank rows within them are padding (this
// is how SAS reads them).
func (d *decoder) endAt(stop int) (rows int) {
	rows = (stop - d.pos) / d.length
	for rows > 0 && stop-d.row(rows-1) < recordSize && blank(d.buf[d.row(rows-1):stop]) {
		rows--
	}
	if rest := d.buf[d.row(rows):stop]; len(rest) < recordSize && blank(rest) {
		stop = d.row(rows)
	}
	d.stop, d.last = stop, true
	return rows
}

// row is where row i from pos begins.
func (d *decoder) row(i int) int { return d.pos + i*d.length }

func startsMember(record []byte) bool {
	if binary.LittleEndian.Uint64(record) != headerFirst {
		return false
	}
	name := isHeader(record)
	return name == "MEMBER" || name == "MEMBV8"
}

// finish leaves the stream at the header of the next member.
func (d *decoder) finish() error {
	switch {
	case d.count >= 0 && d.done < d.count:
		return d.truncated(d.end)
	case d.last && d.pos < d.stop:
		return d.truncated(d.stop)
	}
	padding, err := d.align()
	if err == nil && len(bytes.Trim(padding, " \x00")) > 0 {
		return d.invalid("there are more rows than the header promises")
	}
	return err
}

// pass goes past n rows.
func (d *decoder) pass(n int) {
	d.pos += n * d.length
	d.done += int64(n)
	d.scanned = max(d.scanned, d.pos)
}

// decode makes the next n rows the batch.
func (d *decoder) decode(n int) error {
	d.rows.First = d.done + 1
	d.rows.Cells, d.rows.Lines, d.rows.Raw, d.rows.Broken = d.rows.Cells[:0], d.rows.Lines[:0], d.rows.Raw[:0], d.rows.Broken[:0]
	d.arena = d.arena[:0]
	for i := range n {
		at := d.row(i)
		raw := d.buf[at : at+d.length : at+d.length]
		base := len(d.rows.Cells)
		rule := d.cells(raw)
		if rule == textUnknown {
			return d.unknownEncoding(fmt.Sprintf("row %d", d.done+int64(i)+1))
		}
		if rule != "" {
			d.rows.Broken = append(d.rows.Broken, transform.Broken{Row: i, Rule: rule})
			d.rows.Cells = append(d.rows.Cells[:base], make([][]byte, len(d.columns))...)
		}
		d.rows.Lines = append(d.rows.Lines, d.done+int64(i)+1)
		d.rows.Raw = append(d.rows.Raw, raw)
	}
	d.pass(n)
	return nil
}

// cells adds the cells of a row to the batch and returns the rule that it breaks.
func (d *decoder) cells(raw []byte) (rule string) {
	for _, c := range d.columns {
		cell := raw[:c.width:c.width]
		raw = raw[c.width:]
		if c.kind == character {
			cell = trimBlanks(cell)
			if len(cell) == 0 {
				cell = nil
			} else if !plain(cell) {
				if cell, rule = d.text(cell); rule != "" {
					return rule
				}
			}
		} else {
			at := len(d.arena)
			d.arena = appendValue(d.arena, cell, c.kind)
			if cell = nil; len(d.arena) > at {
				cell = d.arena[at:len(d.arena):len(d.arena)]
			}
		}
		d.rows.Cells = append(d.rows.Cells, cell)
	}
	return ""
}

const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	blanks = ' ' * ones
)

func trimBlanks(b []byte) []byte {
	for len(b) >= 8 && binary.LittleEndian.Uint64(b[len(b)-8:]) == blanks {
		b = b[:len(b)-8]
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

func blank(b []byte) bool { return len(bytes.TrimLeft(b, " ")) == 0 }

// plain reports text of printable ASCII only.
func plain(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		if (x|(x-0x20*ones)&^x)&highs != 0 {
			return false
		}
	}
	for _, c := range b {
		if c < ' ' || c >= 0x80 {
			return false
		}
	}
	return true
}
