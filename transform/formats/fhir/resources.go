package fhir

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"longitude/study"
)

// The limits of what is read.
const (
	lookAhead = 64 << 10 // bytes in which an object shows what it is
	maxRow    = 4 << 20  // bytes; a longer line is a broken row, a longer entry ends the object
	maxBundle = 16 << 20 // bytes of a bundle whose references are followed
)

// resource is one resource as the object holds it.
type resource struct {
	raw    []byte // valid until the next one is asked for
	entry  bool   // it is an entry of a bundle
	bundle int    // which of the object's it is an entry of, from 1; 0 = of none
	line   int64
	rule   string // why it cannot be read; "" = it can
}

// resources finds the resources of one object: lines, or the entries of bundles.
type resources struct {
	text    *bufio.Reader
	lines   bool  // one resource, or one bundle, a line
	single  bool  // the object is one resource
	line    int64 // that comes next, from 1; lines
	long    []byte
	bundle  *bundle // being read; nil = none
	bundles int     // begun so far
}

// open looks at the beginning of an object.
func open(ctx context.Context, r io.Reader) (*resources, error) {
	o := &resources{text: bufio.NewReaderSize(&stoppable{ctx, r}, lookAhead), line: 1}
	start, err := o.text.Peek(lookAhead)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, readError(err)
	}
	if bytes.HasPrefix(start, []byte("\xef\xbb\xbf")) {
		_, _ = o.text.Discard(3)
		start = start[3:]
	}
	o.lines = inLines(start)
	if !o.lines {
		o.single = !isBundle(start)
		o.bundle = newBundle(o.text, 1, &o.bundles)
	}
	return o, nil
}

// inLines reports whether an object that begins so has one resource a line. A
// document is one that goes on where its first line ends.
func inLines(start []byte) bool {
	trimmed := bytes.TrimLeft(start, " \t\r\n")
	first, rest, broken := bytes.Cut(trimmed, []byte("\n"))
	dec := jsontext.NewDecoder(bytes.NewBuffer(trimmed), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	err := dec.SkipValue()
	switch {
	case err == nil:
		return dec.InputOffset() <= int64(len(first))
	case !broken:
		return !isBundle(start)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return false
	}
	return bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(`{"`))
}

// isBundle reports whether text begins with a bundle that says so.
func isBundle(text []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	for {
		name, err := dec.ReadToken()
		if err != nil || name.Kind() != '"' {
			return false
		}
		if name.String() == "resourceType" {
			v, err := dec.ReadToken()
			return err == nil && v.Kind() == '"' && v.String() == "Bundle"
		}
		if dec.SkipValue() != nil {
			return false
		}
	}
}

// next is the next resource; io.EOF at the end of the object.
func (o *resources) next() (resource, error) {
	for {
		if o.bundle == nil {
			if !o.lines {
				return resource{}, io.EOF
			}
			r, err := o.nextLine()
			if err != nil || r.rule != "" || !o.opens(&r) {
				return r, err
			}
		}
		read := o.bundle.next
		if o.single {
			read = o.bundle.whole
		}
		switch r, err := read(); {
		case errors.Is(err, io.EOF):
			o.bundle = nil
		case err != nil || !o.single || !o.opens(&r):
			return r, err
		default:
			o.single = false // it says that it is a bundle behind its entries
		}
	}
}

// opens begins to read a resource as the bundle that it is; false if it is none.
func (o *resources) opens(r *resource) bool {
	if !bytes.Contains(r.raw, []byte(`"Bundle"`)) || !isBundle(r.raw) {
		return false
	}
	if !jsontext.Value(r.raw).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		r.rule = ruleInvalid
		return false
	}
	o.bundle = newBundle(bytes.NewReader(bytes.Clone(r.raw)), r.line, &o.bundles)
	return true
}

// nextLine is the next line that is not blank. One that is too long is a broken row.
func (o *resources) nextLine() (resource, error) {
	for {
		line, err := o.text.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			line, err = o.longLine(line)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return resource{}, readError(err)
		}
		at := o.line
		if len(line) > 0 {
			o.line++
		}
		r := resource{raw: bytes.Trim(line, " \t\r\n"), line: at}
		if len(line) > maxRow {
			r.rule = ruleLong
		}
		if len(r.raw) > 0 {
			return r, nil
		}
		if err != nil {
			return resource{}, io.EOF
		}
	}
}

// longLine reads on where a line is longer than the buffer, and passes over what is
// too much of it.
func (o *resources) longLine(start []byte) (line []byte, err error) {
	o.long = append(o.long[:0], start...)
	for err = bufio.ErrBufferFull; errors.Is(err, bufio.ErrBufferFull); {
		var more []byte
		if more, err = o.text.ReadSlice('\n'); len(o.long) <= maxRow {
			o.long = append(o.long, more...)
		}
	}
	return o.long[:min(len(o.long), maxRow+1)], err
}

// readError hands on an error of the reader below, which speaks of the object and
// not of its text.
func readError(err error) error {
	var known *study.Error
	if errors.As(err, &known) {
		return err
	}
	return &study.Error{Code: "fhir.read", Op: "reading the object", Temporary: true, Err: err,
		Hint: "the object could not be read to its end; run again"}
}

func stopped(ctx context.Context) error {
	return &study.Error{Code: "fhir.stopped", Op: "reading the object", Temporary: true, Err: ctx.Err(),
		Hint: "the run was stopped: run it again"}
}
