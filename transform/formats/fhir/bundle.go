package fhir

import (
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"longitude/study"
)

// bundle reads bundles, one after the other, from text that is not held as a whole.
type bundle struct {
	text *counted
	dec  *jsontext.Decoder
	in   bool // the entries of one
	n    *int // bundles begun in the object
}

func newBundle(r io.Reader, line int64, n *int) *bundle {
	c := &counted{r: r, line: line}
	return &bundle{text: c, n: n, dec: jsontext.NewDecoder(c, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))}
}

// next is the next entry; io.EOF after the last bundle.
func (b *bundle) next() (resource, error) {
	for {
		b.text.left = maxRow
		kind := b.dec.PeekKind()
		switch {
		case b.in && kind != ']':
			r, err := b.value()
			r.entry, r.bundle = true, *b.n
			return r, err
		case b.dec.StackDepth() == 0 && kind == '{', b.in, kind == '}':
			if b.in = false; b.dec.StackDepth() == 0 {
				*b.n++
			}
			if _, err := b.dec.ReadToken(); err != nil {
				return resource{}, b.refused(err)
			}
		case b.dec.StackDepth() == 0:
			_, err := b.dec.ReadToken()
			if err == nil {
				err = errNotObject
			}
			if errors.Is(err, io.EOF) && b.text.failed == nil {
				return resource{}, io.EOF
			}
			return resource{}, b.refused(err)
		default:
			if err := b.memberOf(); err != nil {
				return resource{}, b.refused(err)
			}
		}
	}
}

var (
	errNotObject = errors.New("fhir: another value where an object is wanted")
	errNotBundle = errors.New("fhir: another resource where a bundle is wanted")
	errTooLong   = errors.New("fhir: more than is held at a time")
)

// memberOf goes into the entries of a bundle, or passes over another member.
func (b *bundle) memberOf() error {
	token, err := b.dec.ReadToken()
	if err != nil {
		return err
	}
	name := token.String()
	switch kind := b.dec.PeekKind(); {
	case name == "entry" && kind == '[':
		b.in = true
		_, err = b.dec.ReadToken()
		return err
	case name == "resourceType":
		v, err := b.dec.ReadToken()
		if err == nil && (v.Kind() != '"' || v.String() != "Bundle") {
			err = errNotBundle
		}
		return err
	}
	return b.dec.SkipValue()
}

// value is the value that comes next.
func (b *bundle) value() (resource, error) {
	v, err := b.dec.ReadValue()
	if err != nil {
		return resource{}, b.refused(err)
	}
	return resource{raw: v, line: b.text.lineAt(b.dec.InputOffset() - int64(len(v)))}, nil
}

// whole is the one resource of an object that is no bundle; io.EOF after it.
func (b *bundle) whole() (resource, error) {
	if b.in {
		b.text.left = maxRow
		if _, err := b.dec.ReadToken(); !errors.Is(err, io.EOF) || b.text.failed != nil {
			return resource{}, b.refused(err)
		}
		return resource{}, io.EOF
	}
	b.in, b.text.left = true, maxRow
	return b.value()
}

// refused says why a document cannot be read on.
func (b *bundle) refused(err error) error {
	if b.text.failed != nil {
		if !errors.Is(b.text.failed, errTooLong) {
			return readError(b.text.failed)
		}
		return &study.Error{Code: "fhir.limit", Op: "reading a bundle of which an entry is longer than 4 MiB", Place: b.text.place(b.dec),
			Hint: "have the source leave attachments out (_elements), or export newline-delimited, where such a resource is one broken row"}
	}
	if errors.Is(err, errNotBundle) {
		return &study.Error{Code: "fhir.not_bundle", Op: "reading a resource of another type after a bundle", Place: b.text.place(b.dec),
			Hint: "export one resource a line, or bundles only"}
	}
	return &study.Error{Code: "fhir.syntax", Op: "reading text that is not JSON", Place: b.text.place(b.dec),
		Hint: "the object is not FHIR in JSON, or is cut: have the export checked"}
}
