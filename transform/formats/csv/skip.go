package csv

// tooLong adds the row that fills the whole buffer as broken, with as much of it
// as was held, and starts skipping the rest.
func (d *decoder) tooLong() {
	d.breakRow("row_too_long", 0)
	d.rows.Lines = append(d.rows.Lines, d.line)
	d.rows.Raw = append(d.rows.Raw, d.raw(d.buf[:d.end]))
	d.ordinal++
	d.skip = &skipper{last: d.delimiter}
	d.skipOn()
}

// skipLine passes over a line, whatever it says.
func (d *decoder) skipLine() error {
	d.skip = &skipper{literal: true}
	for !d.skipOn() && !d.eof {
		if err := d.fill(); err != nil {
			return err
		}
	}
	d.skip = nil
	return nil
}

// skipOn passes over what is being skipped, as far as the buffer reaches, and
// reports whether its end was found.
func (d *decoder) skipOn() bool {
	n, ended := d.skip.pass(d.buf[d.pos:d.end], &d.dialect)
	d.pos += n
	if ended {
		d.line += d.skip.lines
		d.skip = nil
	}
	return ended
}

// skipper finds the end of a row or line across buffers without keeping it.
type skipper struct {
	literal bool // a line end is a line end, even in quotes
	quoted  bool
	last    byte
	lines   int64
}

// pass returns how much of b belongs to the row, its line end included.
func (s *skipper) pass(b []byte, d *dialect) (n int, ended bool) {
	for i, c := range b {
		escaped := d.backslash && !s.literal && s.last == '\\'
		switch {
		case escaped && (c == '\n' || c == '\r'):
			s.lines++
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
		if escaped {
			s.last = 0
			continue
		}
		if int(c) == d.quote && !s.literal {
			// A quote opens at the start of a cell, or again where it has just closed.
			s.quoted = !s.quoted && (s.last == d.delimiter || s.last == c && !d.backslash)
		}
		s.last = c
	}
	return len(b), false
}
