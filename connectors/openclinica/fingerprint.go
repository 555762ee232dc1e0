package openclinica

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// maxDepth is how far elements may lie inside each other.
const maxDepth = 64

// fingerprint is a digest of what an export says: two exports with the same one differ
// at most in when they were made, and in the order of elements and attributes, which
// OpenClinica does not keep.
func fingerprint(content []byte) (string, error) {
	d := xml.NewDecoder(bytes.NewReader(content))
	path := []*element{{}}
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) && len(path) == 1 {
			return hex.EncodeToString(path[0].sum()), nil
		}
		inner := path[len(path)-1]
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, begun(t, len(path) == 1))
		case xml.EndElement:
			if len(path) == 1 || inner.name != name(t.Name) {
				return "", malformed(d.InputOffset())
			}
			path = path[:len(path)-1]
			path[len(path)-1].inside = append(path[len(path)-1].inside, inner.sum())
		case xml.CharData:
			inner.text = append(inner.text, bytes.TrimSpace(t)...)
		}
		if err != nil || len(path) > maxDepth {
			return "", malformed(d.InputOffset())
		}
	}
}

// malformed says where an export stops being XML; nothing of it is repaired.
func malformed(at int64) error {
	return &study.Error{Code: "openclinica.xml", Op: "the export is not XML from byte " + strconv.FormatInt(at, 10) + " on", Exit: study.ExitBlocked,
		Hint: "nothing of it was taken in; report it to whoever runs the server: OpenClinica writes some texts of people without escaping them"}
}

// element is an open element.
type element struct {
	name       string
	attributes []string
	text       []byte
	inside     [][]byte // digests of the elements in it
}

func begun(t xml.StartElement, outermost bool) *element {
	e := &element{name: name(t.Name)}
	if outermost { // it says when and how the export was made
		return e
	}
	for _, a := range t.Attr {
		e.attributes = append(e.attributes, name(a.Name)+"="+a.Value)
	}
	slices.Sort(e.attributes)
	return e
}

func name(n xml.Name) string { return strings.TrimPrefix(n.Space+":"+n.Local, ":") }

func (e *element) sum() []byte {
	slices.SortFunc(e.inside, bytes.Compare)
	h := sha256.New()
	part(h, []byte(e.name))
	count(h, len(e.attributes))
	for _, a := range e.attributes {
		part(h, []byte(a))
	}
	part(h, e.text)
	for _, sum := range e.inside {
		_, _ = h.Write(sum) // a hash takes everything
	}
	return h.Sum(nil)
}

// part adds bytes with their number, so that no two lists of parts look alike.
func part(h hash.Hash, text []byte) {
	count(h, len(text))
	_, _ = h.Write(text)
}

func count(h hash.Hash, n int) { _, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
