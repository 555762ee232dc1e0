package odm

import (
	"bytes"
	"fmt"
	"strings"

	"longitude/study"
)

// delimits marks the bytes that end a name in a tag.
var delimits = func() (table [256]bool) {
	for _, c := range " \t\r\n/>=<\"'&" {
		table[c] = true
	}
	return table
}()

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// startTag reads the tag at the start of b and opens its element.
func (s *scanner) startTag(b []byte) (token, int, error) {
	i := 1
	for i < len(b) && !delimits[b[i]] {
		i++
	}
	whole := b[1:i]
	s.attributes = s.attributes[:0]
	for {
		space := i
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		if i == len(b) {
			return ended, 0, errMore
		}
		if b[i] == '>' {
			break
		}
		if b[i] == '/' {
			if i++; i == len(b) {
				return ended, 0, errMore
			}
			if b[i] != '>' {
				return ended, 0, s.invalid("a slash stands inside a tag")
			}
			s.empty = true
			break
		}
		if i == space {
			return ended, 0, s.invalid("a space is missing between attributes")
		}
		n, err := s.attribute(b[i:])
		if err != nil {
			return ended, 0, err
		}
		i += n
	}
	if err := s.enter(whole); err != nil {
		s.empty = false
		return ended, 0, err
	}
	return opened, i + 1, nil
}

// attribute reads the attribute at the start of b.
func (s *scanner) attribute(b []byte) (n int, err error) {
	i := 0
	for i < len(b) && !delimits[b[i]] {
		i++
	}
	name := b[:i]
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i == len(b) {
		return 0, errMore
	}
	if len(name) == 0 || b[i] != '=' {
		return 0, s.invalid("an attribute is not written as name=\"value\"")
	}
	for i++; i < len(b) && isSpace(b[i]); i++ {
	}
	if i == len(b) {
		return 0, errMore
	}
	quote := b[i]
	if quote != '"' && quote != '\'' {
		return 0, s.invalid("the value of an attribute has no quotes")
	}
	i++
	length := bytes.IndexByte(b[i:], quote)
	if length < 0 {
		return 0, errMore
	}
	value := b[i : i+length]
	if bytes.IndexByte(value, '<') >= 0 {
		return 0, s.invalid("a \"<\" stands in the value of an attribute, or its closing quote is missing")
	}
	a := attribute{name: name, value: value}
	if colon := bytes.IndexByte(name, ':'); colon >= 0 {
		a.prefixed = true
		if a.name = name[colon+1:]; string(name[:colon]) == "xmlns" {
			a.name = name // a declaration
		}
	}
	for _, other := range s.attributes {
		if other.prefixed == a.prefixed && bytes.Equal(other.name, a.name) && !a.prefixed {
			return 0, s.invalid("an element has the same attribute twice")
		}
	}
	if s.attributes = append(s.attributes, a); len(s.attributes) > maxAttributes {
		return 0, s.tooMany(fmt.Sprintf("an element with more than %d attributes", maxAttributes))
	}
	return i + length + 1, nil
}

// enter opens the element of that name.
func (s *scanner) enter(whole []byte) error {
	switch {
	case len(whole) == 0:
		return s.invalid("a \"<\" is not followed by the name of an element")
	case len(s.inside) == 0 && s.rooted:
		return s.invalid("a second root element follows the first")
	case len(s.inside) == maxDepth:
		return s.tooMany(fmt.Sprintf("more than %d elements inside each other", maxDepth))
	}
	s.rooted = true
	s.inside = append(s.inside, len(s.names))
	s.names = append(s.names, whole...)
	for _, a := range s.attributes {
		if prefix, ok := declared(a); ok {
			s.bindings = append(s.bindings, binding{prefix, spaceOf(a.value), len(s.inside)})
			s.standard = s.bound(nil)
		}
	}
	s.name, s.space = whole, s.standard
	if colon := bytes.IndexByte(whole, ':'); colon >= 0 {
		s.name, s.space = whole[colon+1:], s.bound(whole[:colon])
	}
	return nil
}

// declared is the prefix that an attribute binds.
func declared(a attribute) (prefix string, ok bool) {
	if !bytes.HasPrefix(a.name, []byte("xmlns")) {
		return "", false
	}
	if len(a.name) == len("xmlns") && !a.prefixed {
		return "", true
	}
	return strings.CutPrefix(string(a.name), "xmlns:")
}

func spaceOf(name []byte) space {
	switch {
	case len(name) == 0:
		return noSpace
	case bytes.HasPrefix(name, []byte(spaces)) && len(name) > len(spaces) && (name[len(spaces)] == '1' || name[len(spaces)] == '2'):
		return odmSpace
	}
	return otherSpace
}

// bound is the namespace that a prefix stands for.
func (s *scanner) bound(prefix []byte) space {
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if s.bindings[i].prefix == string(prefix) {
			return s.bindings[i].space
		}
	}
	if len(prefix) == 0 {
		return noSpace
	}
	return otherSpace
}

// value is an attribute of the element opened last, as written.
func (s *scanner) value(name string) (value []byte, ok bool) {
	for _, a := range s.attributes {
		if !a.prefixed && string(a.name) == name {
			return a.value, true
		}
	}
	return nil, false
}

func (s *scanner) tooMany(what string) error {
	return &study.Error{Code: "odm.limit", Place: s.place(), Op: "reading " + what,
		Hint: "no ODM export needs that: have the source of the object checked"}
}
