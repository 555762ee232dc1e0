package json

import (
	"slices"
	"strings"

	"longitude/study"
)

// pointer splits a JSON pointer into unescaped names; "" is the whole document.
func pointer(text string) (names []string, ok bool) {
	if text == "" {
		return nil, true
	}
	if text[0] != '/' {
		return nil, false
	}
	names = strings.Split(text[1:], "/")
	for i, name := range names {
		for rest := name; ; {
			_, after, found := strings.Cut(rest, "~")
			if !found {
				break
			}
			if after == "" || after[0] != '0' && after[0] != '1' {
				return nil, false
			}
			rest = after
		}
		names[i] = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
	}
	return names, true
}

func pointerError(what string) error {
	return &study.Error{Code: "json.pointer", Op: "understanding " + what + " as a JSON pointer",
		Hint: `a pointer has "/" before each name, and "~0" for "~" and "~1" for "/" in a name (RFC 6901)`}
}

// node is a place in a row: a member of an object, or an element of an array. The
// tree of nodes starts with what was asked for and learns what rows have.
type node struct {
	name    string
	path    string // as reported in Unasked; "" = never reported
	columns []int  // that it feeds
	asked   bool   // it or something below it feeds a column
	listed  bool   // reported in Unasked
	kids    map[string]*node
	first   *node  // the member that came first last time: rows look alike
	next    *node  // the member that followed it last time
	item    *node  // every element of an array that was not asked for by index
	picks   []pick // elements of an array that were asked for by one of their members
	row     uint64 // object that had it last, so that a second one is noticed
}

// pick asks for the element of an array whose member has that text: /fields/oid=SBP.
type pick struct {
	member, text string
	kid          *node
}

// maxNodes bounds what is learned, should rows use data as names.
const maxNodes = 1 << 14

// ask builds the tree of the wanted columns.
func (r *row) ask(columns []string) error {
	r.root = &node{asked: true, path: "/"}
	for i, column := range columns {
		names := []string{column}
		if strings.HasPrefix(column, "/") {
			var ok bool
			if names, ok = pointer(column); !ok {
				return pointerError("a column of the mapping")
			}
		}
		at := r.root
		for _, name := range names {
			kid := at.kids[name]
			if kid == nil {
				kid = at.grow(name)
				kid.asked = true
				if member, text, ok := strings.Cut(name, "="); ok {
					at.picks = append(at.picks, pick{member, text, kid})
				}
			}
			at = kid
		}
		at.columns = append(at.columns, i)
	}
	return nil
}

// grow adds a member or element to n.
func (n *node) grow(name string) *node {
	kid := &node{name: name}
	switch {
	case n.path == "" || !plain(name):
	case n.path == "/":
		kid.path = name
	case n.path[0] == '/':
		kid.path = n.path + "/" + name
	default:
		kid.path = "/" + n.path + "/" + name
	}
	if n.kids == nil {
		n.kids = map[string]*node{}
	}
	n.kids[name] = kid
	return kid
}

// leaf notes that the rows have a value at n. Nobody asked for it: its name is
// worth knowing, unless it could be data.
func (r *row) leaf(n *node) {
	if n.asked || n.listed {
		return
	}
	n.listed = true
	if at, found := slices.BinarySearch(r.unasked, n.path); n.path != "" && !found && len(r.unasked) < maxUnasked {
		r.unasked = slices.Insert(slices.Clone(r.unasked), at, n.path)
	}
}

// plain reports whether a name is an identifier that people would choose.
func plain(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		c := name[i] | 0x20
		if (c < 'a' || c > 'z') && name[i] != '_' && (i == 0 || name[i] < '0' || name[i] > '9') {
			return false
		}
	}
	return true
}
