package json

import (
	"strconv"

	"longitude/study"
)

// document finds the rows of one JSON document. What lies beside the rows is
// passed over: its brackets and strings are checked, the rest of it is not read.
type document struct {
	*decoder
	names []string // the way to the array of rows
	open  []level  // what has been entered and not left; the array of rows is last
	state state
	scan  skipper // of the row at pos
	seen  int     // bytes of it that scan has passed
	long  bool    // it is too long, and its start is already a broken row
}

// level is an object or array that has been entered.
type level struct {
	close byte   // '}' or ']'
	name  string // member through which the rows were reached; objects
	due   due
}

// due is what a level expects next.
type due byte

const (
	anything due = iota // just opened
	comma               // or the end
	value
)

type state byte

const (
	before state = iota // the array of rows
	between
	inRow
	after
)

// split adds rows to the batch until it is full or the document ends.
func (d *document) split() error {
	if d.state == before {
		if err := d.enter(); err != nil {
			return err
		}
		d.state = between
	}
	for !d.full() {
		switch d.state {
		case between:
			more, err := d.more()
			if err != nil {
				return err
			}
			d.scan, d.seen, d.long, d.state = skipper{}, 0, false, inRow
			if !more {
				d.state = after
			}
		case inRow:
			if err := d.element(); err != nil {
				return err
			}
			d.state = between
		default:
			if d.rows.Len() > 0 {
				return nil // they lie in the buffer
			}
			return d.leave()
		}
	}
	return nil
}

// element adds the row at pos.
func (d *document) element() error {
	for {
		n, ended, sound := d.scan.skip(d.buf[d.pos+d.seen : d.end])
		d.seen += n
		if !sound {
			d.advance(d.seen)
			return d.syntaxError("a comma or bracket stands where it cannot")
		}
		if ended {
			return d.finish()
		}
		if d.eof {
			return d.cut()
		}
		stuck := d.stuck()
		if stuck && !d.long {
			d.add(d.buf[:d.end], "row_too_long")
		}
		if d.long = d.long || stuck; d.long {
			d.advance(d.seen)
			d.seen = 0
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

// finish adds the row that ends after the bytes seen.
func (d *document) finish() error {
	raw := d.buf[d.pos : d.pos+d.seen : d.pos+d.seen]
	if !d.long {
		d.add(raw, "")
		if d.row.rule == ruleInvalid {
			d.advance(min(d.row.i, len(raw)))
			return d.syntaxError("have the export checked: where the next row starts cannot be told in a document that is not JSON")
		}
	}
	d.advance(d.seen)
	return nil
}

// enter goes to the array of rows.
func (d *document) enter() error {
	for _, name := range d.names {
		found, err := d.down(name)
		if err != nil {
			return err
		}
		if !found {
			return &study.Error{Code: "json.records_missing", Place: d.place(), Op: "looking for the rows where `records` points",
				Hint: "nothing is there in this object: check the names of the pointer, or whether the export finished"}
		}
	}
	c, err := d.peek()
	switch {
	case err != nil:
		return err
	case d.pos == d.end && len(d.open) == 0:
		return &study.Error{Code: "json.empty", Op: "reading an object without any text",
			Hint: "a JSON document without rows is `[]`; check that the export finished"}
	case d.pos == d.end:
		return d.cut()
	case c != '[':
		return &study.Error{Code: "json.records_not_array", Place: d.place(), Op: "reading the rows, which are not in an array",
			Hint: "point `records` at the array of rows, such as `records: /data`; one object a line is type ndjson"}
	}
	d.push(']', "")
	return nil
}

func (d *document) push(close byte, name string) {
	d.pos++
	d.open = append(d.open, level{close: close, name: name})
}

// down enters the object or array at pos as far as the member or element of that name.
func (d *document) down(name string) (found bool, err error) {
	c, err := d.peek()
	if err != nil {
		return false, err
	}
	switch c {
	case '{':
		d.push('}', name)
		return d.member(name)
	case '[':
		d.push(']', "")
		for i := 0; ; i++ {
			if more, err := d.more(); !more || strconv.Itoa(i) == name {
				return more, err
			}
			if err := d.skip(); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// member goes on to the value of the member of that name, or to the object's end.
func (d *document) member(name string) (found bool, err error) {
	for {
		if more, err := d.more(); !more {
			return false, err
		}
		same, err := d.key(name)
		if err != nil || same {
			return same, err
		}
		if err := d.skip(); err != nil {
			return false, err
		}
	}
}

// key passes over a member's name and colon and compares the name.
func (d *document) key(name string) (same bool, err error) {
	var s skipper
	for n := 0; ; {
		m, ended, sound := s.skip(d.buf[d.pos+n : d.end])
		if n += m; ended && sound {
			d.row.b, d.row.i = d.buf[d.pos:d.pos+n], 0
			text, _, ok := d.row.quoted()
			if text, ok = unescapeIf(ok, text); !ok {
				return false, d.syntaxError("a member of an object starts with its name in double quotes")
			}
			same = string(text) == name
			d.advance(n)
			break
		}
		if !sound || d.stuck() {
			return false, d.syntaxError("a member of an object starts with its name in double quotes")
		}
		if d.eof {
			return false, d.cut()
		}
		if err := d.fill(); err != nil {
			return false, err
		}
	}
	c, err := d.peek()
	if err == nil && c != ':' {
		err = d.syntaxError("a colon stands between a member's name and its value")
	}
	if err != nil {
		return false, err
	}
	d.pos++
	_, err = d.peek()
	return same, err
}

func unescapeIf(ok bool, text []byte) ([]byte, bool) {
	if !ok {
		return nil, false
	}
	return unescape(nil, text)
}

// skip passes over one value, however long.
func (d *document) skip() error {
	if _, err := d.peek(); err != nil {
		return err
	}
	for s := (skipper{}); ; {
		n, ended, sound := s.skip(d.buf[d.pos:d.end])
		d.advance(n)
		switch {
		case !sound:
			return d.syntaxError("a comma or bracket stands where it cannot")
		case ended:
			return nil
		case d.eof:
			return d.cut()
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

// leave passes over what follows the rows.
func (d *document) leave() error {
	for len(d.open) > 0 {
		switch l := d.open[len(d.open)-1]; l.close {
		case '}':
			again, err := d.member(l.name)
			if err != nil {
				return err
			}
			if again {
				return &study.Error{Code: "json.duplicate_key", Place: d.place(), Op: "reading a document where a member on the way to the rows occurs twice",
					Hint: "which of the two holds the rows cannot be guessed: have the source name them differently"}
			}
		default:
			for more := true; more; {
				var err error
				if more, err = d.more(); err != nil {
					return err
				}
				if more {
					if err := d.skip(); err != nil {
						return err
					}
				}
			}
		}
	}
	if _, err := d.peek(); err != nil {
		return err
	}
	if d.pos < d.end {
		return d.syntaxError("there is more after the end of the document; one object a line is type ndjson")
	}
	return nil
}

// more reports whether the innermost level has another member or element, and
// goes to it; else it leaves the level.
func (d *document) more() (bool, error) {
	l := &d.open[len(d.open)-1]
	for {
		c, err := d.peek()
		switch {
		case err != nil:
			return false, err
		case d.pos == d.end:
			return false, d.cut()
		case c == l.close && l.due != value:
			d.pos++
			d.open = d.open[:len(d.open)-1]
			return false, nil
		case l.due != comma:
			l.due = comma
			return true, nil
		case c != ',':
			return false, d.syntaxError("a comma or the closing bracket is missing")
		}
		d.pos++
		l.due = value
	}
}

// peek passes over white space and is the next byte, 0 at the end of the object.
func (d *document) peek() (byte, error) {
	for {
		for ; d.pos < d.end; d.pos++ {
			c := d.buf[d.pos]
			if !isSpace(c) {
				return c, nil
			}
			if c == '\n' {
				d.line++
			}
		}
		if d.eof {
			return 0, nil
		}
		if err := d.fill(); err != nil {
			return 0, err
		}
	}
}

func (d *document) cut() error {
	d.advance(d.end - d.pos)
	return d.syntaxError("the document ends too early: check that the export finished")
}

// skipper finds the end of a JSON value across buffers without keeping it.
type skipper struct {
	depth   int
	objects uint64 // bit n: the bracket at depth n is of an object; as deep as it reaches
	started bool
	quoted  bool
	escaped bool
}

// skip returns how much of b belongs to the value. sound is false at a bracket
// or comma that cannot stand there.
func (s *skipper) skip(b []byte) (n int, ended, sound bool) {
	for i := 0; i < len(b); i++ {
		if s.quoted {
			if i = s.text(b, i); i == len(b) {
				break
			}
			if s.depth == 0 {
				return i + 1, true, true
			}
			continue
		}
		switch c := b[i]; c {
		case '"':
			if s.depth == 0 && s.started {
				return i, false, false
			}
			s.quoted = true
		case '{', '[':
			if s.depth == 0 && s.started {
				return i, false, false
			}
			bit := uint64(1) << s.depth // none beyond 63
			if s.objects &^= bit; c == '{' {
				s.objects |= bit
			}
			s.depth++
		case '}', ']':
			if s.depth == 0 {
				return i, s.started, s.started
			}
			s.depth--
			if bit := uint64(1) << s.depth; bit != 0 && s.objects&bit != 0 != (c == '}') {
				return i, false, false
			}
			if s.depth == 0 {
				return i + 1, true, true
			}
		case ',', ':', ' ', '\n', '\t', '\r':
			if s.depth == 0 {
				return i, s.started, s.started
			}
		}
		s.started = true
	}
	return len(b), false, true
}

// text is the index of the quote that closes the string around b[i], len(b) when
// it is not there.
func (s *skipper) text(b []byte, i int) int {
	for ; i < len(b); i++ {
		if s.escaped {
			s.escaped = false
			continue
		}
		if i = special(b, i); i == len(b) {
			break
		}
		switch b[i] {
		case '"':
			s.quoted = false
			return i
		case '\\':
			s.escaped = true
		}
	}
	return len(b)
}
