package fhir

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how many objects and lists may be inside each other.
const maxDepth = 64

// Rules of broken rows, with those of other formats where they mean the same.
const (
	ruleInvalid   = "json_invalid"
	ruleTwice     = "json_duplicate_key"
	ruleDeep      = "json_too_deep"
	ruleText      = "text_invalid"
	ruleControl   = "text_control"
	ruleLong      = "row_too_long"
	ruleNotScalar = "fhir_not_scalar"
	ruleCodings   = "fhir_codings"
	ruleBar       = "fhir_value_bar"
	ruleNumber    = "number_invalid"
	ruleAmbiguous = "fhir_reference_twice"
	ruleNoType    = "fhir_no_type"
	ruleBundle    = "fhir_bundle_inside"
)

// node is a value in a tree.
type node struct {
	name      *element      // that it is; nameless in a list
	kind      jsontext.Kind // { [ " 0 t f n
	text      []byte        // of a scalar: a string without its escapes, else as written
	kid, next int32         // first element and next sibling; 0 = none, since that is the root
}

// element is the name of a member, and what FHIR means by it.
type element struct {
	name   string
	choice string // of whose types it is one: value for valueQuantity; "" = of none
	kind   string // the type then: Quantity
	kept   bool   // somebody could ask for it
}

var nameless = &element{kept: true}

// tree is a resource with its members that somebody could ask for, or an entry of a
// bundle with such a resource.
type tree struct {
	nodes []node
	root  int32 // the resource; none where an entry has none
}

// none is the index of no node.
const none = -1

// member is the member of that name, none if there is none.
func (t *tree) member(at int32, name string) int32 {
	if at < 0 || t.nodes[at].kind != '{' {
		return none
	}
	for kid := t.nodes[at].kid; kid > 0; kid = t.nodes[kid].next {
		if t.nodes[kid].name.name == name {
			return kid
		}
	}
	return none
}

// said is the text of a member that is a string; nil if there is none.
func (t *tree) said(at int32, name string) []byte {
	if m := t.member(at, name); m >= 0 && t.nodes[m].kind == '"' {
		return t.nodes[m].text
	}
	return nil
}

// parser makes trees of JSON, strictly: a member twice, or text that is not UTF-8,
// breaks the row. Members that nobody could ask for are checked and not kept.
type parser struct {
	names  *names
	dec    *jsontext.Decoder
	buf    bytes.Buffer
	broken string
	into   *tree
	top    int // depth of the members of the resource
	arena  []byte
}

func newParser(n *names) *parser {
	return &parser{names: n, dec: jsontext.NewDecoder(bytes.NewReader(nil))}
}

// parse reads the resource, or with entry the bundle entry, that is all of raw. The
// tree's texts are slices of raw and of the parser's arena.
func (p *parser) parse(raw []byte, entry bool, into *tree) (rule string) {
	into.nodes, into.root = into.nodes[:0], none
	if !utf8.Valid(raw) {
		return ruleText
	}
	p.buf = *bytes.NewBuffer(raw)
	p.dec.Reset(&p.buf)
	p.broken, p.into, p.top = "", into, 1
	if entry {
		p.top = 2
	}
	p.names.begin()
	if !p.value(raw, nameless, 1) {
		return p.broken
	}
	if p.dec.PeekKind() != 0 || p.dec.InputOffset() < int64(len(bytes.TrimRight(raw, " \t\r\n"))) {
		return ruleInvalid
	}
	if into.root = 0; entry {
		into.root = into.member(0, "resource")
	}
	if kind := into.said(into.root, "resourceType"); kind != nil {
		p.names.report(string(kind))
	}
	return p.broken
}

// fail keeps the first rule that is broken; what is not JSON matters more.
func (p *parser) fail(rule string) bool {
	if p.broken == "" || rule == ruleInvalid {
		p.broken = rule
	}
	return false
}

func (p *parser) refused(err error) bool {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return p.fail(ruleTwice)
	}
	return p.fail(ruleInvalid)
}

// value adds the value that comes next; false when reading cannot go on.
func (p *parser) value(raw []byte, name *element, depth int) bool {
	kind := p.dec.PeekKind()
	at := len(p.into.nodes)
	p.into.nodes = append(p.into.nodes, node{name: name, kind: kind})
	if kind != '{' && kind != '[' {
		text, ok := p.scalar(raw)
		p.into.nodes[at].text = text
		return ok
	}
	if depth > maxDepth {
		return p.fail(ruleDeep)
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return p.refused(err)
	}
	last := int32(0)
	for p.dec.PeekKind() != kind+2 { // the bracket that closes
		inner, wanted := nameless, true
		if kind == '{' {
			quoted, err := p.dec.ReadValue()
			if err != nil {
				return p.refused(err)
			}
			inner, wanted = p.names.wanted(quoted, depth-p.top)
		}
		if !wanted {
			if depth == p.top && (depth == 1 || name.name == "resource") {
				p.names.unwanted(inner, p.dec.PeekKind())
			}
			if err := p.dec.SkipValue(); err != nil {
				return p.refused(err)
			}
			continue
		}
		kid := int32(len(p.into.nodes))
		if !p.value(raw, inner, depth+1) {
			return false
		}
		if last == 0 {
			p.into.nodes[at].kid = kid
		} else {
			p.into.nodes[last].next = kid
		}
		last = kid
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return p.refused(err)
	}
	return true
}

// scalar reads a string, number, true, false or null; the text of the last is nil.
func (p *parser) scalar(raw []byte) (text []byte, ok bool) {
	v, err := p.dec.ReadValue()
	if err != nil {
		return nil, p.refused(err)
	}
	end := p.dec.InputOffset()
	text = raw[end-int64(len(v)) : end : end]
	switch text[0] {
	case 'n':
		return nil, true
	case '"':
		if text = text[1 : len(text)-1 : len(text)-1]; bytes.IndexByte(text, '\\') >= 0 {
			at := len(p.arena)
			p.arena, _ = jsontext.AppendUnquote(p.arena, v) // the decoder has found it sound
			text = p.arena[at:len(p.arena):len(p.arena)]
		}
		if hasControl(text) {
			p.fail(ruleControl)
		}
	}
	return text, true
}

// hasControl reports a control character that text does not have: below space other
// than tab and line ends, or U+0080 to U+009F.
func hasControl(text []byte) bool {
	for i, c := range text {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xc2 && text[i+1] < 0xa0 {
			return true
		}
	}
	return false
}

// names says which members somebody could ask for, and learns which others the
// resources have.
type names struct {
	asked   map[string]bool     // elements that the columns name, and those that a value is read from
	narrate bool                // somebody asks for an element called text
	inner   bool                // references are followed, also to what a resource contains
	known   map[string]*element // by the name in its quotes
	passing []string            // members of the resource at hand that nobody asked for
	told    map[string]bool     // of them, by type and name
	unasked []string            // the same, sorted; replaced, never changed
}

const (
	maxNames = 1 << 12 // that are remembered
	maxTold  = 1000    // that are reported
)

// read are the elements that values of several elements are read from, and those
// that say what a row is.
var read = strings.Fields(`resourceType id fullUrl resource request method url
	coding code system value unit comparator userSelected text reference identifier start end extension valueCode dataAbsentReason
	subject patient individual encounter context`)

func newNames() *names {
	n := &names{asked: map[string]bool{}, known: map[string]*element{}, told: map[string]bool{}}
	for _, name := range read {
		n.asked[name] = true
	}
	return n
}

func (n *names) begin() { n.passing = n.passing[:0] }

// wanted is the element of that name and whether it is kept, depth levels below the
// members of the resource.
func (n *names) wanted(quoted []byte, depth int) (e *element, kept bool) {
	e = n.known[string(quoted)]
	if e == nil {
		text, _ := jsontext.AppendUnquote(nil, quoted)
		e = &element{name: string(text)}
		if e.choice, e.kind = choiceOf(strings.TrimPrefix(e.name, "_")); e.kind == "" {
			e.choice = ""
		}
		if e.kept = n.could(e); len(n.known) < maxNames {
			n.known[string(quoted)] = e
		}
	}
	switch {
	case depth != 0:
	case e.name == "text": // the narrative of a resource is long, and no value
		return e, n.narrate
	case e.name == "contained":
		return e, n.inner || e.kept
	}
	return e, e.kept
}

// could reports whether a column could read a member: by its name, by that of its
// choice (valueQuantity is value), or for what stands beside a primitive (_birthDate).
func (n *names) could(e *element) bool {
	return n.asked[strings.TrimPrefix(e.name, "_")] || e.kind != "" && n.asked[e.choice]
}

// unwanted notes a member of the resource that nobody asked for, where it is one value.
func (n *names) unwanted(e *element, kind jsontext.Kind) {
	if kind == '{' && !single[e.kind] || kind == '[' || kind == 'n' || !plain(e.name) {
		return
	}
	n.passing = append(n.passing, e.name)
}

// report tells of the members noted of a resource of that type.
func (n *names) report(kind string) {
	if !plain(strings.ToLower(kind[:min(1, len(kind))]) + kind[min(1, len(kind)):]) {
		return
	}
	for _, name := range n.passing {
		n.tell(kind + "." + name)
	}
}

// plain reports whether a name is one that FHIR could have given.
func plain(name string) bool {
	if name == "" || len(name) > 64 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		if c := name[i] | 0x20; (c < 'a' || c > 'z') && (name[i] < '0' || name[i] > '9') {
			return false
		}
	}
	return true
}
