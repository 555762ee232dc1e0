package datasetjson

import (
	"bytes"
	"fmt"
	"io"

	"longitude/study"
)

// stream reads an object through one buffer.
type stream struct {
	r        io.Reader
	buf      []byte
	pos, end int // buf[pos:end] is read and not yet used
	eof      bool
	line     int64 // at pos, from 1
	row      int64 // the same among rows that are no lines; 0 outside them
}

// fill makes room, growing the buffer up to limit where it is full, and reads
// until the buffer is full or the object ends.
func (s *stream) fill(limit int) error {
	if s.pos == 0 && s.end == len(s.buf) && len(s.buf) < limit {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.pos = 0
	for s.end < len(s.buf) && !s.eof {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if err == io.EOF {
			s.eof = true
		} else if err != nil {
			return readError(err)
		}
	}
	return nil
}

func (s *stream) advance(n int) {
	s.line += int64(bytes.Count(s.buf[s.pos:s.pos+n], []byte("\n")))
	s.pos += n
}

const space = " \t\r\n"

// skipSpace passes over the space in the buffer.
func (s *stream) skipSpace() {
	rest := s.buf[s.pos:s.end]
	s.advance(len(rest) - len(bytes.TrimLeft(rest, space)))
}

// peek returns the next byte that is no space, without taking it; 0 at the end
// of the object.
func (s *stream) peek() (byte, error) {
	for {
		if s.skipSpace(); s.pos < s.end {
			return s.buf[s.pos], nil
		}
		if s.eof {
			return 0, nil
		}
		if err := s.fill(0); err != nil {
			return 0, err
		}
	}
}

// take takes the next byte that is no space, which must be c.
func (s *stream) take(c byte) error {
	next, err := s.peek()
	switch {
	case err != nil:
		return err
	case next == 0 && s.eof && s.pos == s.end:
		return s.truncated()
	case next != c:
		return s.invalid(fmt.Sprintf("%q is missing", c))
	}
	s.advance(1)
	return nil
}

// value takes the next JSON value, of which only the end is known to be right.
// It is valid until the next call.
func (s *stream) value() ([]byte, error) {
	if _, err := s.peek(); err != nil {
		return nil, err
	}
	for {
		n, done := new(extent).scan(s.buf[s.pos:s.end])
		switch {
		case done:
			s.advance(n)
			return s.buf[s.pos-n : s.pos], nil
		case s.eof:
			return nil, s.truncated()
		case n >= maxMember:
			return nil, s.invalid("a member of the metadata is longer than 8 MiB")
		}
		if err := s.fill(maxMember); err != nil {
			return nil, err
		}
	}
}

// extent finds the end of a JSON value that comes in pieces. It does not check
// what is inside.
type extent struct {
	depth           int
	inText, escaped bool
}

// scan returns how many bytes of b belong to the value.
func (e *extent) scan(b []byte) (n int, done bool) {
	for i, c := range b {
		switch {
		case e.escaped:
			e.escaped = false
		case e.inText:
			e.escaped, e.inText = c == '\\', c != '"'
			if !e.inText && e.depth == 0 {
				return i + 1, true
			}
		case c == '"':
			e.inText = true
		case c == '[' || c == '{':
			e.depth++
		case e.depth == 0 && (c == ',' || c == ':' || c == ']' || c == '}' || c <= ' '):
			return i, true // the end of a number or word
		case c == ']' || c == '}':
			if e.depth--; e.depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(b), false
}

func (s *stream) place() string {
	if s.row > 0 {
		return fmt.Sprintf("row %d", s.row)
	}
	return fmt.Sprintf("line %d", s.line)
}

func (s *stream) truncated() error {
	return &study.Error{Code: "datasetjson.truncated", Place: s.place(), Op: "reading an object that ends in the middle",
		Hint: "the object is cut: check that the export finished and fetch it again"}
}

func (s *stream) invalid(what string) error {
	return &study.Error{Code: "datasetjson.invalid", Place: s.place(), Op: "reading Dataset-JSON: " + what,
		Hint: "check the object against the Dataset-JSON 1.1 schema; a compressed one (.dsjc) is delivered uncompressed"}
}
