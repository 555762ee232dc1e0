package odm

import (
	"context"
	"fmt"
	"io"

	"longitude/study"
)

// maxNodes bounds the metadata that are described: elements and attributes.
const maxNodes = 1 << 20

// node is an element of the metadata.
type node struct {
	name       string
	attributes map[string]string // without prefixes; ODM's own before a vendor's
	text       string
	kids       []*node
}

func (n *node) at(attribute string) string { return n.attributes[attribute] }

// all are the children of that name.
func (n *node) all(name string) (found []*node) {
	for _, kid := range n.kids {
		if kid.name == name {
			found = append(found, kid)
		}
	}
	return found
}

// below is the last element that a path of names leads to; an empty one where there
// is none.
func (n *node) below(path ...string) *node {
	for _, name := range path {
		found := n.all(name)
		if len(found) == 0 {
			return &node{}
		}
		n = found[len(found)-1]
	}
	return n
}

// said is the text below in English, else in the language that comes first.
func (n *node) said() string {
	texts := n.all("TranslatedText")
	for _, t := range texts {
		if lang := t.at("lang"); lang == "en" || len(lang) > 2 && lang[:3] == "en-" {
			return t.text
		}
	}
	if len(texts) > 0 {
		return texts[0].text
	}
	return n.text
}

// byOID are the children of that name by their OID.
func (n *node) byOID(name string) map[string]*node {
	found := map[string]*node{}
	for _, kid := range n.all(name) {
		found[kid.at("OID")] = kid
	}
	return found
}

// readTree reads a file without its data.
func readTree(ctx context.Context, r io.Reader) (*node, error) {
	text, _, err := decodeText(r)
	if err != nil {
		return nil, err
	}
	s := newScanner(ctx, text)
	top := &node{}
	path, nodes, passing := []*node{top}, 0, 0
	for {
		t, err := s.next()
		if err != nil {
			return nil, err
		}
		inner := path[len(path)-1]
		switch {
		case t == ended:
			return top.kids[0], nil
		case t == opened && (passing > 0 || len(path) == 2 && isData(string(s.name))):
			passing++
		case t == opened:
			if nodes += 1 + len(s.attributes); nodes > maxNodes {
				return nil, s.tooMany(fmt.Sprintf("metadata of more than %d elements", maxNodes))
			}
			kid, err := s.node()
			if err != nil {
				return nil, err
			}
			inner.kids, path = append(inner.kids, kid), append(path, kid)
		case t == closed && passing > 0:
			passing--
		case t == closed:
			path = path[:len(path)-1]
		case passing == 0:
			if inner.text, err = s.string(inner.text, s.text, map[bool]kindOfText{true: inCDATA}[s.cdata]); err != nil {
				return nil, err
			}
		}
	}
}

// isData tells what of a file is about participants or staff, and is not read here.
func isData(name string) bool {
	return name == "ClinicalData" || name == "AdminData" || name == "ReferenceData" || name == "Association"
}

// node is the element opened last.
func (s *scanner) node() (*node, error) {
	n := &node{name: string(s.name), attributes: map[string]string{}}
	for _, a := range s.attributes {
		name := string(a.name)
		if _, there := n.attributes[name]; there && a.prefixed {
			continue
		}
		value, err := s.string("", a.value, inAttribute)
		if err != nil {
			return nil, err
		}
		n.attributes[name] = value
	}
	return n, nil
}

func (s *scanner) string(before string, raw []byte, kind kindOfText) (string, error) {
	text, rule := appendText([]byte(before), raw, kind)
	if rule == "" {
		rule = unreadable(raw)
	}
	if rule != "" {
		return "", s.invalid("the metadata have characters that XML does not allow, or another encoding than they say")
	}
	return string(text), nil
}

// metadataOf finds the newest metadata of a file, which may be all that there is.
func metadataOf(top *node) (about, metadata *node, err error) {
	if top.name == "MetaDataVersion" {
		return &node{}, top, nil
	}
	about = top.below("Study")
	if metadata = about.below("MetaDataVersion"); metadata.name == "" {
		return nil, nil, &study.Error{Code: "odm.no_metadata", Op: "looking for the metadata of a study in an ODM file",
			Hint: "there is no MetaDataVersion in it: export the project with its metadata"}
	}
	return about, metadata, nil
}
