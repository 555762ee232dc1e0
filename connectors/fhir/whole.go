package fhir

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// whole is a file of an export that ends in io.EOF only if it came whole: every
// line that has something ends outside of all brackets, and there are as many as
// the server counts. An OperationOutcome that comes instead of it is an error.
type whole struct {
	*bufio.Reader
	from    io.Closer
	f       listed
	begun   bool
	lines   int64 // with something on them
	some    bool  // there is something on this one
	depth   int   // of brackets
	quoted  bool
	escaped bool
}

func newWhole(body io.ReadCloser, f listed) *whole {
	return &whole{Reader: bufio.NewReaderSize(body, 64<<10), from: body, f: f}
}

// Close ends the answer.
func (w *whole) Close() error { return w.from.Close() }

// Read implements io.Reader.
func (w *whole) Read(b []byte) (int, error) {
	if !w.begun {
		w.begun = true
		start, _ := w.Peek(64 << 10) // an error shows again when it is read
		first, _, _ := bytes.Cut(bytes.TrimLeft(start, " \t\r\n"), []byte("\n"))
		if o, is := outcomeOf(first); is && w.f.Type != "OperationOutcome" {
			return 0, o.err()
		}
	}
	n, err := w.Reader.Read(b)
	w.look(b[:n])
	if errors.Is(err, io.EOF) && !w.complete() {
		err = errCut
	}
	return n, err
}

// look follows the brackets and counts lines.
func (w *whole) look(b []byte) {
	for _, c := range b {
		switch {
		case w.escaped:
			w.escaped = false
		case w.quoted:
			w.escaped, w.quoted = c == '\\', c != '"' && c != '\n'
		case c == '"':
			w.quoted = true
		case c == '{' || c == '[':
			w.depth++
		case c == '}' || c == ']':
			w.depth--
		case c == '\n':
			w.endLine()
			continue
		}
		w.some = w.some || c > ' '
	}
}

func (w *whole) endLine() {
	if w.some {
		w.lines++
	}
	w.some = false
}

func (w *whole) complete() bool {
	w.endLine()
	return w.depth == 0 && !w.quoted && (w.f.Count == nil || *w.f.Count == w.lines)
}
