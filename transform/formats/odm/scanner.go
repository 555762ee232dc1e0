package odm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"longitude/study"
)

// The limits of the XML itself.
const (
	firstBuffer   = 1 << 16
	maxToken      = 1 << 20 // bytes of a tag, a comment, an instruction
	maxDepth      = 64      // elements inside each other
	maxAttributes = 256     // of one element
)

// token is what next found.
type token byte

const (
	ended    token = iota // the object, behind its root
	opened                // an element: name, space, attributes
	closed                // the innermost open element
	textRead              // text: a piece of it, where something is in between
)

// space is a namespace, as far as it matters.
type space byte

const (
	noSpace space = iota
	odmSpace
	otherSpace
)

// spaces begin the names of the namespaces of ODM, which end with the version.
const spaces = "http://www.cdisc.org/ns/odm/v"

// scanner reads XML. What a token points to is valid until the next one.
type scanner struct {
	ctx      context.Context
	r        io.Reader
	buf      []byte
	pos, end int
	eof      bool
	offset   int64 // of buf[0] in the text
	keep     int64 // bytes from this offset on stay in the buffer; -1 = none
	line     int64 // of the byte at counted, from 1
	counted  int64

	from       int64 // where the token begins
	name       []byte
	space      space
	attributes []attribute
	text       []byte // as written
	cdata      bool   // text stands as it is, without entities
	cut        bool   // text was too long for one piece

	empty    bool  // the element opened last is closed by its own tag
	rooted   bool  // the root was there
	inside   []int // where the names of the open elements begin
	names    []byte
	bindings []binding
	standard space // the namespace of names without a prefix
}

type attribute struct {
	name, value []byte // name without its prefix; value as written
	prefixed    bool
}

// binding is a prefix that stands for a namespace inside an element.
type binding struct {
	prefix string
	space  space
	depth  int
}

var errMore = errors.New("odm: more bytes are wanted")

// next reads one token.
func (s *scanner) next() (token, error) {
	if s.empty {
		s.empty = false
		s.leave()
		return closed, nil
	}
	for {
		if s.pos == s.end {
			if s.eof {
				return s.finish()
			}
			if err := s.more(); err != nil {
				return ended, err
			}
			continue
		}
		s.from = s.at()
		t, n, err := s.token(s.buf[s.pos:s.end])
		if errors.Is(err, errMore) {
			if err = s.longer(); err == nil {
				continue
			}
		}
		if err != nil {
			return ended, err
		}
		s.pos += n
		if t != ended {
			return t, nil
		}
	}
}

// finish is the end of the object.
func (s *scanner) finish() (token, error) {
	if len(s.inside) > 0 || !s.rooted {
		return ended, &study.Error{Code: "odm.truncated", Place: s.place(), Op: "reading XML that ends too early",
			Hint: "the object is cut: check that the export finished, and fetch it again"}
	}
	return ended, nil
}

// longer makes more of the token at pos visible.
func (s *scanner) longer() error {
	switch {
	case s.eof:
		_, err := s.finish()
		if err == nil {
			err = s.invalid("something stands behind the end of the document")
		}
		return err
	case s.end-s.pos >= maxToken:
		return &study.Error{Code: "odm.limit", Place: s.place(), Op: fmt.Sprintf("reading a tag or comment of more than %d KiB", maxToken>>10),
			Hint: "no ODM export needs that: have the source of the object checked"}
	}
	return s.more()
}

// token reads the token at the start of b; ended is one that is passed over.
func (s *scanner) token(b []byte) (token, int, error) {
	if b[0] != '<' {
		return s.chars(b)
	}
	if len(b) == 1 {
		return ended, 0, errMore
	}
	switch b[1] {
	case '/':
		return s.endTag(b)
	case '?':
		return s.pass(b, "<?", "?>")
	case '!':
		return s.declaration(b)
	}
	return s.startTag(b)
}

// chars is text up to the next tag.
func (s *scanner) chars(b []byte) (token, int, error) {
	n := bytes.IndexByte(b, '<')
	s.cut = false
	if n < 0 {
		if n = len(b); len(s.inside) > 0 {
			if n < maxToken || s.eof {
				return ended, 0, errMore
			}
			s.cut = true
		}
	}
	s.text, s.cdata = b[:n], false
	if len(s.inside) > 0 {
		return textRead, n, nil
	}
	if len(bytes.TrimLeft(s.text, " \t\r\n")) > 0 {
		return ended, 0, s.invalid("text stands outside of the root element")
	}
	return ended, n, nil
}

// pass is the way to the end of a comment or an instruction.
func (s *scanner) pass(b []byte, before, behind string) (token, int, error) {
	n := bytes.Index(b[len(before):], []byte(behind))
	if n < 0 {
		return ended, 0, errMore
	}
	return ended, len(before) + n + len(behind), nil
}

// declaration is a comment, CDATA, or a DTD. ODM 1.1 names its DTD, which nobody
// fetches; one that is written out could define entities.
func (s *scanner) declaration(b []byte) (token, int, error) {
	const comment, cdata, doctype = "<!--", "<![CDATA[", "<!DOCTYPE"
	for _, start := range []string{comment, cdata, doctype} {
		if len(b) < len(start) && strings.HasPrefix(start, string(b)) {
			return ended, 0, errMore
		}
	}
	switch {
	case bytes.HasPrefix(b, []byte(comment)):
		return s.pass(b, comment, "-->")
	case bytes.HasPrefix(b, []byte(cdata)) && len(s.inside) > 0:
		_, n, err := s.pass(b, cdata, "]]>")
		if err == nil {
			s.text, s.cdata, s.cut = b[len(cdata):n-len("]]>")], true, false
		}
		return textRead, n, err
	case bytes.HasPrefix(b, []byte(doctype)) && !s.rooted:
		n := bytes.IndexAny(b, "[>")
		if n < 0 {
			return ended, 0, errMore
		}
		if b[n] == '[' {
			return ended, 0, &study.Error{Code: "odm.dtd", Place: s.place(), Op: "reading XML that brings its own DTD",
				Hint: "a DTD inside a file can define entities, which are not read: export without it"}
		}
		return ended, n + 1, nil
	}
	return ended, 0, s.invalid("a declaration stands where it cannot")
}

func (s *scanner) endTag(b []byte) (token, int, error) {
	n := bytes.IndexByte(b, '>')
	if n < 0 {
		return ended, 0, errMore
	}
	if len(s.inside) == 0 || !bytes.Equal(bytes.TrimRight(b[2:n], " \t\r\n"), s.names[s.inside[len(s.inside)-1]:]) {
		return ended, 0, s.invalid("an element is closed that is not the innermost open one")
	}
	s.leave()
	return closed, n + 1, nil
}

func (s *scanner) leave() {
	last := len(s.inside) - 1
	s.names, s.inside = s.names[:s.inside[last]], s.inside[:last]
	for n := len(s.bindings); n > 0 && s.bindings[n-1].depth > last; n-- {
		s.bindings = s.bindings[:n-1]
		s.standard = s.bound(nil)
	}
}

// more slides what is still wanted to the front, makes room and reads until the
// buffer is full or the object ends.
func (s *scanner) more() error {
	if s.ctx.Err() != nil {
		return stopped(s.ctx)
	}
	from := s.pos
	if s.keep >= 0 {
		from = min(from, int(s.keep-s.offset))
	}
	s.count(s.offset + int64(from))
	s.end = copy(s.buf, s.buf[from:s.end])
	s.pos -= from
	s.offset += int64(from)
	if s.end > len(s.buf)/2 {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for s.end < len(s.buf) && !s.eof {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if errors.Is(err, io.EOF) {
			s.eof = true
		} else if err != nil {
			return readError(err)
		}
	}
	return nil
}

// at is the offset of pos.
func (s *scanner) at() int64 { return s.offset + int64(s.pos) }

// since are the bytes from an offset that was kept up to pos.
func (s *scanner) since(from int64) []byte { return s.buf[from-s.offset : s.pos] }

// count moves on to the line at an offset.
func (s *scanner) count(to int64) {
	if to > s.counted {
		s.line += int64(bytes.Count(s.buf[s.counted-s.offset:to-s.offset], []byte{'\n'}))
		s.counted = to
	}
}

// place is where the token begins.
func (s *scanner) place() string {
	s.count(s.from)
	return fmt.Sprintf("line %d, byte %d", s.line, s.from+1)
}

func (s *scanner) invalid(hint string) error {
	return &study.Error{Code: "odm.syntax", Place: s.place(), Op: "reading text that is not well-formed XML",
		Hint: hint + ": have the export checked"}
}

// readError hands on an error of the reader below, which speaks of the object
// and not of its text.
func readError(err error) error {
	var known *study.Error
	if errors.As(err, &known) {
		return err
	}
	return &study.Error{Code: "odm.read", Op: "reading the object", Temporary: true, Err: err,
		Hint: "the object could not be read to its end; run again"}
}
