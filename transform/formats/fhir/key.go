package fhir

import "bytes"

// keyOf is what a resource is referred to by: the uuid that a bundle calls it by
// where it does, else its id.
func keyOf(t *tree, at int32) []byte {
	if at == t.root {
		if uuid, ok := urn(t.said(0, "fullUrl")); ok && t.root != 0 {
			return uuid
		}
	}
	if id := t.said(at, "id"); len(id) > 0 {
		return id
	}
	return nil
}

// urn is the last part of urn:uuid:… and urn:oid:….
func urn(text []byte) (last []byte, ok bool) {
	for _, prefix := range []string{"urn:uuid:", "urn:oid:"} {
		if last, ok := bytes.CutPrefix(text, []byte(prefix)); ok && len(last) > 0 {
			return last, true
		}
	}
	return nil, false
}

// referredKey is the id in a reference to a resource of a type, "" = of any; nil
// where it says none, such as a search (Patient?identifier=…).
func referredKey(reference []byte, kind string) []byte {
	if last, ok := urn(reference); ok {
		return last
	}
	of, id := typeAndID(reference)
	if len(id) == 0 || kind != "" && string(of) != kind {
		return nil
	}
	return id
}

// typeAndID are the last two parts of a reference such as Patient/1,
// https://ehr.example/fhir/Patient/1 or Patient/1/_history/2.
func typeAndID(reference []byte) (kind, id []byte) {
	reference = withoutVersion(reference)
	if bytes.ContainsAny(reference, "?#") {
		return nil, nil
	}
	slash := bytes.LastIndexByte(reference, '/')
	if slash <= 0 {
		return nil, nil
	}
	kind, id = reference[:slash], reference[slash+1:]
	kind = kind[bytes.LastIndexByte(kind, '/')+1:]
	if len(kind) == 0 || kind[0] < 'A' || kind[0] > 'Z' {
		return nil, nil
	}
	return kind, id
}

// withoutVersion is a reference without the version that it is about.
func withoutVersion(reference []byte) []byte {
	if i := bytes.Index(reference, []byte("/_history/")); i >= 0 {
		return reference[:i]
	}
	if i := bytes.LastIndexByte(reference, '|'); i >= 0 { // of a canonical
		return reference[:i]
	}
	return reference
}
