package fhir

import (
	"bytes"
	"strings"
)

// What columns with an "@" are: of every resource the same, whatever its elements
// are called. What is said of an answer is in a long table only.
const (
	colType      = "@type"
	colID        = "@id"
	colPatient   = "@patient"
	colEncounter = "@encounter"
	colRemoved   = "@removed"
	colCode      = "@code"
	colValue     = "@value"
	colUnit      = "@unit"
)

// around are those that are paths.
var around = map[string]string{
	colPatient: "(Patient.getResourceKey() | subject.getReferenceKey(Patient) | patient.getReferenceKey(Patient)" +
		" | individual.getReferenceKey(Patient)).first()",
	colEncounter: "(Encounter.getResourceKey() | encounter.getReferenceKey(Encounter) | context.getReferenceKey(Encounter)).first()",
}

// ofAnswer are paths from the answer that a row is about.
var ofAnswer = map[string]string{
	colValue: "(value | answer.value)",
	colUnit:  "(value.ofType(Quantity) | answer.value.ofType(Quantity))",
}

const answerPrefix = "%answer." // a path from the answer

// column is a column of the mapping, ready to be read.
type column struct {
	name   string
	path   path
	answer bool // the path starts at the answer
}

// ask compiles the columns of the mapping.
func ask(columns []string, n *names) (asked []column, err error) {
	for _, name := range columns {
		c := column{name: name}
		text, ok := around[name]
		if !ok {
			text, c.answer = ofAnswer[name]
		}
		if !ok && !c.answer {
			text, c.answer = strings.CutPrefix(name, answerPrefix)
		}
		switch name {
		case colCode:
			n.ask("code")
			n.ask("linkId")
		case colRemoved:
			n.ask("status")
		case colType, colID:
		default:
			if c.path, err = compile(text, n); err != nil {
				return nil, err
			}
		}
		asked = append(asked, c)
	}
	return asked, nil
}

// yes is the value of @removed.
var yes = []byte("Yes")

// cell reads one column of a row. What was entered in error is removed: it says so
// where others are deleted.
func (d *decoder) cell(c *column, t *tree, answer int32) (text []byte, rule string) {
	switch c.name {
	case colType:
		if t.root < 0 {
			text, _ = typeAndID(t.removes())
			return text, ""
		}
		return t.said(t.root, "resourceType"), ""
	case colID:
		if t.root < 0 {
			_, text = typeAndID(t.removes())
			return text, ""
		}
		return keyOf(t, t.root), ""
	case colRemoved:
		if t.removes() != nil || string(t.said(t.root, "status")) == "entered-in-error" {
			return yes, ""
		}
		return nil, ""
	case colPatient:
		if kind, id := typeAndID(t.removes()); string(kind) == "Patient" {
			return id, ""
		}
	}
	if t.root < 0 {
		return nil, ""
	}
	switch {
	case c.name == colCode:
		return d.codeOf(t, answer)
	case c.answer && answer < 0:
		return nil, ""
	case c.answer:
		return d.read(c, item{t: t, at: answer})
	}
	return d.read(c, item{t: t, at: t.root})
}

// removes is what an entry of a bundle deletes, nil if nothing.
func (t *tree) removes() []byte {
	if t.root == 0 {
		return nil
	}
	request := t.member(0, "request")
	if !bytes.EqualFold(t.said(request, "method"), []byte("DELETE")) {
		return nil
	}
	if url := t.said(request, "url"); url != nil {
		return url
	}
	return []byte{}
}

// codeOf is what an answer answers: the link id of an item, the code of an
// Observation or of its component.
func (d *decoder) codeOf(t *tree, answer int32) (text []byte, rule string) {
	if answer < 0 {
		return nil, ""
	}
	if link := t.said(answer, "linkId"); link != nil {
		return link, ""
	}
	return t.token(t.member(answer, "code"), &d.parser.arena)
}

// reading is a cell that is being put together.
type reading struct {
	unit   bool
	text   []byte
	n      int  // values so far
	absent bool // the only one is a reason
	rule   string
}

// read is what a path says as one cell: several values are joined by "|", which is
// how choices are read, and a reason is nothing beside a value.
func (d *decoder) read(c *column, from item) (text []byte, rule string) {
	d.cellRead = reading{unit: c.name == colUnit}
	d.paths.rule = ""
	d.paths.run(c.path, from, d.take)
	if d.paths.rule != "" {
		return nil, d.paths.rule
	}
	return d.cellRead.text, d.cellRead.rule
}

// takeValue adds a value to the cell; false when it breaks the row.
func (d *decoder) takeValue(it item) bool {
	r := &d.cellRead
	var said []byte
	if r.unit {
		said, r.rule = it.unit()
	} else if said, r.rule = it.words(&d.parser.arena); r.rule != "" {
		return false
	}
	switch {
	case len(said) == 0 || r.n > 0 && it.absent:
		return true
	case r.n == 0 || r.absent:
		r.text, r.n, r.absent = said, 1, it.absent
		return true
	}
	if r.n++; bytes.IndexByte(said, '|') >= 0 || bytes.IndexByte(r.text, '|') >= 0 && r.n == 2 {
		r.rule = ruleBar
		return false
	}
	r.text = join(&d.parser.arena, string(r.text)+"|", said)
	return true
}

// unit is what a Quantity is measured in: its code, else its unit in words.
func (it item) unit() (text []byte, rule string) {
	if it.at < 0 || it.absent {
		return nil, ""
	}
	if code := it.t.said(it.at, "code"); len(code) > 0 {
		return code, ""
	}
	return it.t.said(it.at, "unit"), ""
}

// answers are the places in a resource that each are a row of a long table: an
// Observation that has a value and each of its components, and every answered item
// of a QuestionnaireResponse. Of others it is none.
func (t *tree) answers(to []int32) []int32 {
	switch string(t.said(t.root, "resourceType")) {
	case "Observation":
		components := t.member(t.root, "component")
		if t.valued() || components < 0 {
			to = append(to, t.root)
		}
		for kid := t.first(components); kid > 0; kid = t.nodes[kid].next {
			to = append(to, kid)
		}
	case "QuestionnaireResponse":
		to = t.items(t.root, to)
	}
	return to
}

// valued reports whether an Observation has a value of its own, or says why not.
func (t *tree) valued() bool {
	for kid := t.nodes[t.root].kid; kid > 0; kid = t.nodes[kid].next {
		if k := t.nodes[kid].name; k.choice == "value" && k.name[0] != '_' || k.name == "dataAbsentReason" {
			return true
		}
	}
	return false
}

// items adds the answered items inside an item, an answer or the response itself.
func (t *tree) items(at int32, to []int32) []int32 {
	for kid := t.first(t.member(at, "item")); kid > 0; kid = t.nodes[kid].next {
		answers := t.member(kid, "answer")
		if answers >= 0 {
			to = append(to, kid)
		}
		to = t.items(kid, to)
		for answer := t.first(answers); answer > 0; answer = t.nodes[answer].next {
			to = t.items(answer, to)
		}
	}
	return to
}

// first is the first element of a list, 0 if there is none.
func (t *tree) first(list int32) int32 {
	if list < 0 {
		return 0
	}
	return t.nodes[list].kid
}
