package fhir

import (
	"strconv"
	"strings"

	"longitude/study"
)

// path is a column of the mapping: FHIRPath, of which it has what the views of SQL
// on FHIR have, and resolve() and repeat().
//
//	union   = chain { "|" chain }
//	chain   = ( "(" union ")" | step ) { "." step | "[" number "]" }
//	step    = element | "first()" | "where(" union "=" literal { "and" … } ")" | "ofType(" type ")" | "extension(" url ")"
//	        | "resolve()" | "repeat(" union ")" | "getResourceKey()" | "getReferenceKey(" [ type ] ")" | "$this"
//	literal = "'" text "'" | number | "true" | "false"
type path []chain

// chain is one alternative: where it starts, and the steps from there.
type chain struct {
	head  path // in brackets; nil = the resource
	steps []step
}

// verb is what a step does.
type verb byte

const (
	member       verb = iota // to the element of that name, or of that choice
	ofResource               // stays, if it is a resource of that type
	ofType                   // stays, if it is of that type
	nth                      // only number n
	where                    // only what meets the conditions
	extension                // to the extensions of that url
	resolve                  // to what is referred to
	repeating                // to what the path inside leads to, again and again
	resourceKey              // the id of the resource
	referenceKey             // the id that is referred to, of that type
	this                     // stays
)

type step struct {
	verb  verb
	name  string // of the element, type or extension; "" = of any type
	n     int
	conds []condition
	inner path
}

// condition is what where() asks for: one of the values of a path is a text.
type condition struct {
	path path
	text string
}

// compile reads a column. Elements that it names are added to those that are kept.
func compile(column string, n *names) (path, error) {
	s := syntax{rest: column, names: n}
	p, ok := s.union(0)
	if s.space(); !ok || s.rest != "" {
		return nil, &study.Error{Code: "fhir.path", Op: "understanding a column of the mapping as a path of elements",
			Hint: `a path is "Observation.value.ofType(Quantity).value" or "code.coding.where(system='http://loinc.org').code": the page of the format lists what it may have`}
	}
	return p, nil
}

// syntax reads a path from the left.
type syntax struct {
	rest      string
	names     *names
	repeating bool // inside repeat(): no other, and no reference, which could lead in circles
}

// The limits of a path.
const (
	maxNested = 16 // brackets inside each other
	maxSteps  = 32
)

func (s *syntax) space() { s.rest = strings.TrimLeft(s.rest, " ") }

func (s *syntax) take(token string) bool {
	s.space()
	rest, ok := strings.CutPrefix(s.rest, token)
	if ok {
		s.rest = rest
	}
	return ok
}

// word takes a name; "" if there is none.
func (s *syntax) word() string {
	s.space()
	n := 0
	for n < len(s.rest) && (letter(s.rest[n]) || n > 0 && '0' <= s.rest[n] && s.rest[n] <= '9' || n == 0 && s.rest[n] == '$') {
		n++
	}
	name := s.rest[:n]
	s.rest = s.rest[n:]
	return name
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }

func (s *syntax) union(nested int) (p path, ok bool) {
	for {
		c, ok := s.chain(nested)
		if !ok || nested > maxNested {
			return nil, false
		}
		if p = append(p, c); !s.take("|") {
			return p, true
		}
	}
}

func (s *syntax) chain(nested int) (c chain, ok bool) {
	if s.take("(") {
		if c.head, ok = s.union(nested + 1); !ok || !s.take(")") {
			return c, false
		}
	} else if ok = s.step(&c, nested); !ok {
		return c, false
	}
	for {
		switch {
		case s.take("."):
			ok = s.step(&c, nested)
		case s.take("["):
			end := strings.IndexByte(s.rest, ']')
			if end < 0 {
				return c, false
			}
			n, err := strconv.ParseUint(s.rest[:end], 10, 16)
			s.rest, ok = s.rest[end+1:], err == nil
			c.steps = append(c.steps, step{verb: nth, n: int(n)})
		default:
			return c, len(c.steps) <= maxSteps
		}
		if !ok {
			return c, false
		}
	}
}

// step adds the next step of a chain.
func (s *syntax) step(c *chain, nested int) (ok bool) {
	name := s.word()
	if name == "" {
		return false
	}
	if s.take("(") {
		st, ok := s.function(name, nested)
		c.steps = append(c.steps, st)
		return ok && s.take(")")
	}
	switch first := c.head == nil && len(c.steps) == 0; {
	case name == "$this":
		c.steps = append(c.steps, step{verb: this})
	case name[0] == '$':
		return false
	case first && 'A' <= name[0] && name[0] <= 'Z':
		c.steps = append(c.steps, step{verb: ofResource, name: name})
	default:
		s.names.ask(name)
		c.steps = append(c.steps, step{verb: member, name: name})
	}
	return true
}

// ask keeps the elements of that name.
func (n *names) ask(name string) {
	n.asked[name] = true
	n.narrate = n.narrate || name == "text"
}

func (s *syntax) function(name string, nested int) (st step, ok bool) {
	switch ok = true; name {
	case "first":
		st.verb = nth
	case "where":
		st.verb = where
		st.conds, ok = s.conditions(nested)
	case "ofType":
		st.verb, st.name = ofType, s.word()
		ok = st.name != ""
	case "extension":
		st.verb = extension
		st.name, ok = s.literal()
		s.names.ask("value")
	case "resolve":
		st.verb, s.names.inner, ok = resolve, true, !s.repeating
	case "repeat":
		st.verb = repeating
		if ok = !s.repeating; ok {
			s.repeating = true
			st.inner, ok = s.union(nested + 1)
			s.repeating = false
		}
	case "getResourceKey":
		st.verb = resourceKey
	case "getReferenceKey":
		st.verb, st.name = referenceKey, s.word()
	default:
		return st, false
	}
	return st, ok
}

func (s *syntax) conditions(nested int) (all []condition, ok bool) {
	for {
		p, ok := s.union(nested + 1)
		if !ok || !s.take("=") {
			return nil, false
		}
		text, ok := s.literal()
		if !ok {
			return nil, false
		}
		if all = append(all, condition{p, text}); !s.take("and ") {
			return all, true
		}
	}
}

// literal takes a text in quotes, a number, true or false.
func (s *syntax) literal() (text string, ok bool) {
	if s.take("'") {
		text, s.rest, ok = strings.Cut(s.rest, "'")
		return text, ok
	}
	s.space()
	n := 0
	for n < len(s.rest) && strings.IndexByte("-.0123456789truefals", s.rest[n]) >= 0 {
		n++
	}
	text, s.rest = s.rest[:n], s.rest[n:]
	_, err := strconv.ParseFloat(text, 64)
	return text, text == "true" || text == "false" || err == nil && text[0] != '.'
}
