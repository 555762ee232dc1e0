package csv

// splitEscaped is split for a dialect with backslashes.
func (d *decoder) splitEscaped(row *split) {
	cells := d.rows.Cells
	for i := d.pos; ; i++ { // a cell begins at i
		var text []byte
		if text, i = d.escaped(row, i); i < 0 {
			return
		}
		for ; i < d.end && !d.ends(d.buf[i]); i++ { // text after a quote
			row.fail("quote_stray")
		}
		if i == d.end && !d.eof {
			return
		}
		if row.cells < d.columns {
			cells = append(cells, text)
		} else if len(text) > 0 {
			row.more = true
		}
		row.cells++
		if i < d.end && d.buf[i] == d.delimiter {
			continue
		}
		d.endRow(row, cells, i)
		return
	}
}

// escaped reads the cell that begins at i in a dialect with backslashes, quoted
// or not, into the arena. It returns the index after the cell, or -1 when that
// is not in the buffer yet. Before a quote, the delimiter, a line end or a
// backslash a backslash says that the byte stands for itself. Before anything
// else programs differ in what they mean (\n, \N, \x41), so the row is broken.
func (d *decoder) escaped(row *split, i int) (cell []byte, after int) {
	b, at := d.buf[:d.end], len(d.arena)
	inside := i < len(b) && int(b[i]) == d.quote
	if inside {
		i++
	}
	for ; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '\\':
			if i++; i == len(b) {
				if !d.eof {
					return nil, -1
				}
				row.fail("escape_unknown")
				return nil, i
			}
			if c = b[i]; c != '\\' && int(c) != d.quote && !d.ends(c) {
				row.fail("escape_unknown")
			}
			if c == '\n' || c == '\r' {
				row.lines++
			}
		case int(c) == d.quote && inside:
			return d.arena[at:len(d.arena):len(d.arena)], i + 1
		case int(c) == d.quote:
			row.fail("quote_stray")
		case inside:
			row.inspect(b, i)
		case d.ends(c):
			return d.arena[at:len(d.arena):len(d.arena)], i
		case c < ' ':
			row.control(c)
		}
		d.arena = append(d.arena, c)
	}
	if !d.eof {
		return nil, -1
	}
	if inside {
		row.fail("quote_unclosed")
	}
	return d.arena[at:len(d.arena):len(d.arena)], i
}
