package json

import "bytes"

// lines splits newline-delimited JSON.
type lines struct {
	*decoder
	skipping bool // inside a line that is too long
	seen     int  // bytes from pos on without a line end
}

// split adds rows to the batch until it is full or the object ends.
func (l *lines) split() error {
	for !l.full() {
		rest := l.buf[l.pos:l.end]
		n := bytes.IndexByte(rest[l.seen:], '\n')
		switch {
		case n >= 0:
			l.take(rest[:l.seen+n], 1)
			continue
		case l.eof:
			if len(rest) > 0 {
				l.take(rest, 0)
			}
			return nil
		}
		if l.seen = len(rest); l.skipping {
			l.pos, l.seen = l.end, 0
		} else if l.stuck() {
			l.add(rest, "row_too_long")
			l.pos, l.seen, l.skipping = l.end, 0, true
			return errPause
		}
		if err := l.fill(); err != nil {
			return err
		}
	}
	return nil
}

// take adds a line, which has a line end of n bytes after it. A blank one is no row.
func (l *lines) take(line []byte, n int) {
	if text := bytes.TrimRight(line, "\r"); !l.skipping && len(bytes.Trim(text, " \t\r")) > 0 {
		l.add(text[:len(text):len(text)], "")
	}
	l.skipping, l.seen = false, 0
	l.pos += len(line) + n
	l.line += int64(n)
}
