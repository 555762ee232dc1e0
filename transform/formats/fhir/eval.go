package fhir

import "bytes"

// item is a place in a resource that a path leads to.
type item struct {
	t      *tree
	at     int32
	choice string // the type of value[x] that the name says; "" = none
	absent bool   // there is no value, and this is the code of the reason
	text   []byte // a text that no node has; at is none then
}

// evaluation follows paths through one row.
type evaluation struct {
	follow func(reference []byte) (target *tree, ambiguous bool)
	rule   string // that following has broken
	walks  []*walk
}

// maxRepeat bounds how deep repeat() goes.
const maxRepeat = maxDepth

// run hands what a path leads to, from a start, to emit, until that says stop. It
// is false when emit did.
func (e *evaluation) run(p path, from item, emit func(item) bool) bool {
	for i := range p {
		if !e.chain(&p[i], from, emit) {
			return false
		}
	}
	return true
}

// chain is run of one alternative.
func (e *evaluation) chain(c *chain, from item, emit func(item) bool) bool {
	w := e.begin(c.steps, emit)
	if c.head == nil {
		w.on(0, from)
	} else {
		e.run(c.head, from, func(it item) bool { return w.on(0, it) })
	}
	e.walks = append(e.walks, w)
	return !w.stopped
}

// begin is a walk that nobody is on: there is one for each chain inside another.
func (e *evaluation) begin(steps []step, emit func(item) bool) *walk {
	var w *walk
	if n := len(e.walks); n > 0 {
		w, e.walks = e.walks[n-1], e.walks[:n-1]
	} else {
		w = &walk{e: e}
	}
	w.steps, w.emit, w.stopped = steps, emit, false
	clear(w.picked[:min(len(steps), maxSteps)])
	return w
}

// walk is the way along the steps of a chain.
type walk struct {
	e       *evaluation
	steps   []step
	emit    func(item) bool
	stopped bool          // by emit
	picked  [maxSteps]int // arrivals at each step that is nth
}

// on goes on from an item at step i; false when nothing more is wanted.
func (w *walk) on(i int, it item) bool {
	if i == len(w.steps) {
		w.stopped = !w.emit(it)
		return !w.stopped
	}
	st := &w.steps[i]
	if st.verb == nth {
		return w.pick(i, it)
	}
	if it.absent {
		return w.on(i+1, it) // the reason stands for what would be there
	}
	switch st.verb {
	case member:
		return w.members(i, it)
	case where:
		if !w.e.meets(st.conds, it) {
			return true
		}
	case ofResource:
		if string(it.t.said(it.at, "resourceType")) != st.name {
			return true
		}
	case ofType:
		if !it.is(st.name) {
			return true
		}
	case extension:
		return w.extensions(i, it)
	case resolve:
		if it = w.e.resolve(it); it.t == nil {
			return true
		}
	case resourceKey:
		if it = (item{t: it.t, at: none, text: keyOf(it.t, it.at)}); it.text == nil {
			return true
		}
	case referenceKey:
		if it = (item{t: it.t, at: none, text: referredKey(it.reference(), st.name)}); it.text == nil {
			return true
		}
	case repeating:
		return w.repeat(i, it, 0)
	}
	return w.on(i+1, it)
}

// pick lets only number n of what arrives pass, and wants nothing after it.
func (w *walk) pick(i int, it item) bool {
	w.picked[i]++
	if w.picked[i] <= w.steps[i].n {
		return true
	}
	w.on(i+1, it)
	return false
}

// members goes on to the elements of a name: the member itself, or that of a
// choice. Where there is none, but a reason for it, that is what there is.
func (w *walk) members(i int, it item) bool {
	if it.at < 0 || it.t.nodes[it.at].kind != '{' {
		return true
	}
	name := w.steps[i].name
	found := false
	for kid := it.t.nodes[it.at].kid; kid > 0; kid = it.t.nodes[kid].next {
		k := &it.t.nodes[kid]
		if k.kind == 'n' || k.name.name != name && (k.name.choice != name || k.name.name[0] == '_') {
			continue
		}
		found = true
		kind := ""
		if k.name.choice == name {
			kind = k.name.kind
		}
		if !w.each(i, item{t: it.t, at: kid, choice: kind}) {
			return false
		}
	}
	if found {
		return true
	}
	if reason := it.t.reason(it.at, name); reason >= 0 {
		return w.on(i+1, item{t: it.t, at: reason, absent: true})
	}
	return true
}

// each goes on to the elements of a list, or to the item itself.
func (w *walk) each(i int, it item) bool {
	if it.t.nodes[it.at].kind != '[' {
		return w.on(i+1, it)
	}
	for kid := it.t.nodes[it.at].kid; kid > 0; kid = it.t.nodes[kid].next {
		if it.t.nodes[kid].kind != 'n' && !w.on(i+1, item{t: it.t, at: kid, choice: it.choice}) {
			return false
		}
	}
	return true
}

const dataAbsent = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

// reason is where the object at says why it has no element of that name: the
// element dataAbsentReason of an Observation or a component for its value, or the
// extension of a primitive's other half; none if nowhere.
func (t *tree) reason(at int32, name string) int32 {
	if name == "value" {
		if m := t.member(at, "dataAbsentReason"); m >= 0 {
			return m
		}
	}
	for kid := t.nodes[at].kid; kid > 0; kid = t.nodes[kid].next {
		k := t.nodes[kid].name
		if k.name == "" || k.name[0] != '_' || k.name[1:] != name && k.choice != name {
			continue
		}
		if reason := t.reasonOf(kid); reason >= 0 {
			return reason
		}
	}
	return none
}

// reasonOf is the code in the extension of an element that says why it has no
// value; none if it has no such extension.
func (t *tree) reasonOf(at int32) int32 {
	list := t.member(at, "extension")
	if list < 0 || t.nodes[list].kind != '[' {
		return none
	}
	for kid := t.nodes[list].kid; kid > 0; kid = t.nodes[kid].next {
		if string(t.said(kid, "url")) == dataAbsent {
			return t.member(kid, "valueCode")
		}
	}
	return none
}

func (w *walk) extensions(i int, it item) bool {
	list := it.t.member(it.at, "extension")
	if list < 0 {
		return true
	}
	for kid := it.t.nodes[list].kid; kid > 0; kid = it.t.nodes[kid].next {
		if string(it.t.said(kid, "url")) == w.steps[i].name && !w.on(i+1, item{t: it.t, at: kid}) {
			return false
		}
	}
	return true
}

// repeat goes on to what the path inside leads to, and from there again.
func (w *walk) repeat(i int, it item, depth int) bool {
	if depth == maxRepeat {
		return true
	}
	return w.e.run(w.steps[i].inner, it, func(found item) bool {
		return w.on(i+1, found) && w.repeat(i, found, depth+1)
	})
}

// meets reports whether an item meets all conditions.
func (e *evaluation) meets(conds []condition, it item) bool {
	for _, c := range conds {
		met := false
		e.run(c.path, it, func(found item) bool {
			met = found.at >= 0 && !found.absent && string(found.t.nodes[found.at].text) == c.text || found.at < 0 && string(found.text) == c.text
			return !met
		})
		if !met {
			return false
		}
	}
	return true
}

// is reports whether an item is of a type: of a resource or of a choice.
func (it item) is(kind string) bool {
	if it.choice != "" {
		return sameType(it.choice, kind)
	}
	return it.at >= 0 && string(it.t.said(it.at, "resourceType")) == kind
}

// reference is what an item refers to: as the element of a Reference, or a canonical.
func (it item) reference() []byte {
	if it.at < 0 {
		return nil
	}
	if n := &it.t.nodes[it.at]; n.kind == '"' {
		return n.text
	}
	return it.t.said(it.at, "reference")
}

// resolve is the resource that an item refers to, in the same resource or in the
// same bundle; without a tree where it is in neither.
func (e *evaluation) resolve(it item) item {
	ref := it.reference()
	switch {
	case len(ref) == 0:
		return item{}
	case ref[0] == '#':
		return it.t.contained(ref[1:])
	case e.follow == nil:
		return item{}
	}
	target, ambiguous := e.follow(ref)
	if ambiguous {
		e.rule = ruleAmbiguous
	}
	if target == nil {
		return item{}
	}
	return item{t: target, at: target.root}
}

// contained is the resource of that id inside the resource.
func (t *tree) contained(id []byte) item {
	list := t.member(t.root, "contained")
	if list < 0 {
		return item{}
	}
	for kid := t.nodes[list].kid; kid > 0; kid = t.nodes[kid].next {
		if bytes.Equal(t.said(kid, "id"), id) {
			return item{t: t, at: kid}
		}
	}
	return item{}
}
