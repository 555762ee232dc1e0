package fhir

import (
	"bytes"

	"longitude/study"
)

// followed holds one bundle at a time, so that a reference can be followed to what
// stands before or behind it. A resource that is in no bundle passes as it is.
type followed struct {
	from   *resources
	parser *parser
	held   []resource
	given  int            // of those held
	behind resource       // read already, and not of this bundle
	places map[string]int // what a reference says → which of those held; twice where that is not one
	trees  map[int]*tree  // of those that were referred to
	ended  error          // of from, after what is held
}

const (
	twice    = -1
	maxTrees = 256 // that are kept
)

// next implements source.
func (f *followed) next() (resource, error) {
	for f.given == len(f.held) {
		if f.ended != nil {
			return resource{}, f.ended
		}
		if err := f.hold(); err != nil {
			return resource{}, err
		}
	}
	f.given++
	return f.held[f.given-1], nil
}

// hold reads one bundle, or one resource that is in none.
func (f *followed) hold() error {
	f.held, f.given, f.places, f.trees = f.held[:0], 0, map[string]int{}, map[int]*tree{}
	for size := 0; ; {
		r, more := f.read()
		if !more {
			return nil
		}
		if len(f.held) > 0 && r.bundle != f.held[0].bundle {
			f.behind = r
			return nil
		}
		if f.held = append(f.held, r); r.bundle == 0 {
			return nil
		}
		if size += len(r.raw); size > maxBundle {
			return &study.Error{Code: "fhir.bundle_too_long", Op: "holding a bundle in which references are followed, which is longer than 16 MiB",
				Hint: "have the source send smaller bundles, or map without resolve()"}
		}
		f.index(len(f.held) - 1)
	}
}

// read is the next resource, held for long; without one, ended says why.
func (f *followed) read() (r resource, more bool) {
	if r, f.behind = f.behind, r; r.raw != nil {
		return r, true
	}
	r, f.ended = f.from.next()
	r.raw = bytes.Clone(r.raw)
	return r, f.ended == nil
}

// index notes what an entry can be referred to by. What cannot be read is a broken
// row in its turn.
func (f *followed) index(i int) {
	var t tree
	f.parser.arena = f.parser.arena[:0]
	if f.parser.parse(f.held[i].raw, true, &t) != "" || t.root < 0 {
		return
	}
	keys := map[string]bool{string(t.said(0, "fullUrl")): true, string(t.said(t.root, "url")): true}
	if id := t.said(t.root, "id"); len(id) > 0 {
		keys[string(t.said(t.root, "resourceType"))+"/"+string(id)] = true
	}
	delete(keys, "")
	for key := range keys {
		if _, is := f.places[key]; is {
			f.places[key] = twice
		} else {
			f.places[key] = i
		}
	}
}

// follow finds the resource of the bundle that a reference names: by the address
// that the bundle gives it, by its own address, or by its type and id.
func (f *followed) follow(reference []byte) (target *tree, ambiguous bool) {
	i, is := f.places[string(reference)]
	if !is {
		if i, is = f.places[string(withoutVersion(reference))]; !is {
			return nil, false
		}
	}
	if i == twice {
		return nil, true
	}
	if t := f.trees[i]; t != nil {
		return t, false
	}
	if len(f.trees) == maxTrees {
		clear(f.trees)
		f.parser.arena = nil // their texts may still be in a row
	}
	t := &tree{}
	if f.parser.parse(f.held[i].raw, true, t) != "" {
		return nil, false
	}
	f.trees[i] = t
	return t, false
}
