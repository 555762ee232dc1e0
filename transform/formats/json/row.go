package json

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// row decodes one row at a time, in one pass over its bytes.
type row struct {
	root    *node
	nodes   int      // learned so far
	unasked []string // sorted; replaced, never changed
	objects uint64   // met so far, to tell them apart

	b      []byte
	i      int
	cells  [][]byte
	rule   string // the first that the row breaks
	arena  []byte // of the batch
	name   []byte // an unescaped member name
	joined []byte // the elements of a list
}

// Rules of broken rows that several places name.
const (
	ruleInvalid   = "json_invalid"
	ruleNotScalar = "json_not_scalar"
	ruleText      = "text_invalid"
	ruleControl   = "text_control"
	ruleNumber    = "number_invalid"
)

// decode fills the cells of the row and returns the rule that it breaks.
func (r *row) decode(raw []byte, cells [][]byte) (rule string) {
	r.b, r.i, r.cells, r.rule = raw, 0, cells, ""
	if !ascii(raw) {
		if !utf8.Valid(raw) {
			return ruleText
		}
		if hasC1(raw) {
			r.fail(ruleControl)
		}
	}
	r.space()
	n := r.root
	if r.peek() != '{' {
		r.fail("json_not_object")
		n = nil
	}
	if r.value(n, 1) {
		if r.space(); r.i < len(r.b) {
			r.rule = ruleInvalid
		}
	}
	return r.rule
}

// fail keeps the first rule that the row breaks.
func (r *row) fail(rule string) {
	if r.rule == "" {
		r.rule = rule
	}
}

// invalid says that the row is not JSON, which matters more than what else it
// breaks. It is false, for its callers to return.
func (r *row) invalid() bool {
	r.rule = ruleInvalid
	return false
}

// peek is the next byte, 0 at the end: no JSON has it outside strings.
func (r *row) peek() byte {
	if r.i < len(r.b) {
		return r.b[r.i]
	}
	return 0
}

// space passes over white space.
func (r *row) space() {
	for r.i < len(r.b) && isSpace(r.b[r.i]) {
		r.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// take passes over c, and white space before and after it.
func (r *row) take(c byte) bool {
	r.space()
	if r.peek() != c {
		return false
	}
	r.i++
	r.space()
	return true
}

// value decodes the value at n, which is nil where nothing is kept of it.
// It is false when decoding cannot go on.
func (r *row) value(n *node, depth int) bool {
	c := r.peek()
	if c == '{' || c == '[' {
		if depth > maxDepth {
			r.fail("json_too_deep")
			return false
		}
		if c == '[' {
			return r.array(n, depth)
		}
		if n != nil && len(n.columns) > 0 {
			r.fail(ruleNotScalar)
		}
		return r.object(n, depth)
	}
	if n == nil {
		_, ok := r.scalar(false)
		return ok
	}
	r.leaf(n)
	text, ok := r.scalar(len(n.columns) > 0)
	r.set(n, text)
	return ok
}

func (r *row) set(n *node, text []byte) {
	for _, column := range n.columns {
		r.cells[column] = text
	}
}

func (r *row) object(n *node, depth int) bool {
	r.objects++
	id := r.objects
	if r.take('{'); r.take('}') {
		if n != nil {
			r.leaf(n)
		}
		return true
	}
	var before *node
	var others map[string]bool // the members beyond what may be learned
	for {
		name, ok := r.member()
		if !ok {
			return r.invalid()
		}
		kid := r.find(n, before, name)
		switch {
		case kid == nil && others[string(name)], kid != nil && kid.row == id:
			r.fail("json_duplicate_key")
		case kid != nil:
			kid.row, before = id, kid
		case others == nil:
			others = map[string]bool{}
			fallthrough
		default:
			others[string(name)] = true
		}
		if !r.value(kid, depth+1) {
			return false
		}
		if r.take('}') {
			return true
		}
		if !r.take(',') {
			return r.invalid()
		}
	}
}

// member reads a member's name and the colon after it.
func (r *row) member() (name []byte, ok bool) {
	name, escaped, ok := r.quoted()
	if !ok || !r.take(':') {
		return nil, false
	}
	if escaped {
		if r.name, ok = unescape(r.name[:0], name); !ok {
			r.fail(ruleText)
		}
		name = r.name
	}
	return name, true
}

// find is the member of n with that name, learned if need be; nil when no more
// may be learned.
func (r *row) find(n, before *node, name []byte) *node {
	if n == nil {
		return nil
	}
	guess := &n.first
	if before != nil {
		guess = &before.next
	}
	if *guess != nil && (*guess).name == string(name) {
		return *guess
	}
	kid := n.kids[string(name)]
	if kid == nil {
		if r.nodes == maxNodes {
			return nil
		}
		r.nodes++
		kid = n.grow(string(name))
	}
	*guess = kid
	return kid
}

// array decodes a list. Its scalars are joined by "|" where it is wanted as one
// value, which is how choices are read.
func (r *row) array(n *node, depth int) bool {
	join := n != nil && len(n.columns) > 0
	if n != nil {
		r.leaf(n)
	}
	r.joined = r.joined[:0]
	r.objects++
	id := r.objects
	if r.take('['); r.take(']') {
		return true
	}
	for k := 0; ; k++ {
		c := r.peek()
		nested := c == '{' || c == '['
		if nested && join {
			r.fail(ruleNotScalar)
		}
		if nested || !join {
			at := r.at(n, k)
			if n != nil && n.picks != nil && c == '{' {
				if kid := r.picked(n, depth+1); kid != nil {
					if at = kid; kid.row == id {
						r.fail("json_duplicate_key")
					}
					kid.row = id
				}
			}
			if !r.value(at, depth+1) {
				return false
			}
		} else if !r.element(n, k) {
			return false
		}
		if r.take(']') {
			break
		}
		if !r.take(',') {
			return r.invalid()
		}
	}
	if join && len(r.joined) > 0 {
		at := len(r.arena)
		r.arena = append(r.arena, r.joined...)
		r.set(n, r.arena[at:len(r.arena):len(r.arena)])
	}
	return true
}

// picked is the node that asked for the object that comes next by one of its members;
// nil when none did. It reads ahead, and leaves judging to who reads it in earnest.
func (r *row) picked(n *node, depth int) (kid *node) {
	start, rule := r.i, r.rule
	defer func() { r.i, r.rule = start, rule }()
	for r.take('{'); ; {
		name, ok := r.member()
		if !ok {
			return nil
		}
		for _, p := range n.picks {
			if p.member != string(name) {
				continue
			}
			at := r.i
			if text, ok := r.scalar(true); ok && string(text) == p.text {
				return p.kid
			}
			r.i = at
		}
		if !r.value(nil, depth) || !r.take(',') {
			return nil
		}
	}
}

// element adds a scalar to the list. Absent ones are left out, and a separator
// inside one would make it two.
func (r *row) element(n *node, k int) bool {
	text, ok := r.scalar(true)
	if kid := n.kids[strconv.Itoa(k)]; kid != nil {
		r.set(kid, text)
	}
	if bytes.IndexByte(text, '|') >= 0 {
		r.fail(ruleNotScalar)
	}
	if len(r.joined) > 0 && len(text) > 0 {
		r.joined = append(r.joined, '|')
	}
	r.joined = append(r.joined, text...)
	return ok
}

// at is element k of the list n: its own node where it was asked for by index,
// else the one that all elements share.
func (r *row) at(n *node, k int) *node {
	if n == nil {
		return nil
	}
	if n.asked && len(n.kids) > 0 {
		if kid := n.kids[strconv.Itoa(k)]; kid != nil {
			return kid
		}
	}
	if n.item == nil {
		if r.nodes == maxNodes {
			return nil
		}
		r.nodes++
		n.item = &node{}
	}
	return n.item
}
