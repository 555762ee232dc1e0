package odm

import (
	"bytes"
	"slices"
)

// Rules of a row that cannot be taken.
const (
	ruleLong      = "row_too_long"
	ruleTwice     = "odm_item_twice"    // a column has two values: groups repeat in the form, or a path is missing
	ruleJoined    = "odm_value_bar"     // one of several values has the "|" that joins them
	ruleUndefined = "odm_undefined"     // the metadata of the object do not define the item, so it has no column
	rulePartial   = "odm_partial"       // a transaction removes a group of the row: which items are in it, it does not say
	ruleAbove     = "odm_removed_above" // a transaction removes a whole subject, event or form
	rulePooled    = "odm_audit_pooled"  // the audit records come after the data and are referred to
)

// row is a row that is being read.
type row struct {
	from, line int64
	cells      []span // per column, in text
	given      []bool // per column: an item told it, even that it is empty
	text       []byte
	rule       string
	audit      audit
	change     change
	items      int
	partial    bool // something inside is not what it is itself
	inPart     bool // it tells only what has changed
	nested     bool // rows are inside
	above      bool
	long       bool
	evidence   []byte // of a row that is too long: its start
}

// openRow begins a row where the element opened last is one.
func (d *decoder) openRow() {
	l := &d.path[len(d.path)-1]
	var outer *row
	if n := len(d.rowsIn); n > 0 {
		outer = d.rowsIn[n-1]
	}
	isRow := l.is == form || l.is == group && outer == nil
	if d.groups {
		isRow = l.is == group
	}
	above := !isRow && outer == nil && l.change == deleted
	switch {
	case outer != nil && (outer.above || !isRow):
		outer.partial = outer.partial || l.change != outer.change
		if l.change == deleted && !outer.above && outer.change != deleted {
			outer.items++
			outer.fault(rulePartial)
		}
		return
	case !isRow && !above:
		return
	case outer != nil:
		outer.nested = true
	}
	d.count(d.from)
	r := d.fresh()
	r.from, r.line, r.change, r.above = d.from, d.line, l.change, above
	if above {
		r.rule = ruleAbove
	}
	for i := range d.path {
		r.audit.consider(&d.path[i].audit)
		if d.path[i].pooled && d.asked.audits != nil {
			r.rule = rulePooled
		}
	}
	d.rowsIn = append(d.rowsIn, r)
	l.endsRow = true
	d.keepRows()
}

// fresh is a row without anything in it.
func (d *decoder) fresh() *row {
	if len(d.spare) == 0 {
		n := len(d.asked.columns)
		return &row{cells: make([]span, n), given: make([]bool, n)}
	}
	r := d.spare[len(d.spare)-1]
	d.spare = d.spare[:len(d.spare)-1]
	clear(r.cells)
	clear(r.given)
	*r = row{cells: r.cells, given: r.given, text: r.text[:0], evidence: r.evidence[:0]}
	return r
}

// closeRow ends the innermost row. Of a transaction that addresses something
// inside of it, or of a group that only holds others, there is no row. One that was
// not inserted as a whole tells what it has items for, and no more.
func (d *decoder) closeRow() {
	last := len(d.rowsIn) - 1
	r := d.rowsIn[last]
	said := r.items > 0 || !r.nested
	if d.transactional && !r.above && r.change != deleted && (r.change != inserted || r.partial) {
		said, r.inPart = r.items > 0, true
	}
	if said {
		d.add(r)
	}
	d.rowsIn, d.spare = d.rowsIn[:last], append(d.spare, r)
	d.keepRows()
}

// keepRows has the scanner keep the bytes of the rows that are open.
func (d *decoder) keepRows() {
	d.keep = -1
	for _, r := range d.rowsIn {
		if !r.long {
			d.keep = r.from
			return
		}
	}
}

// measure breaks the rows that have become too long, so that their bytes need not
// be kept.
func (d *decoder) measure() {
	for d.keep >= 0 && d.at()-d.keep > maxRow {
		for _, r := range d.rowsIn {
			if r.from == d.keep {
				r.evidence = append(r.evidence[:0], d.since(r.from)[:maxRow]...)
				r.long, r.rule = true, ruleLong
			}
		}
		d.keepRows()
	}
}

// fault keeps the first rule that a row breaks.
func (r *row) fault(rule string) {
	if r.rule == "" {
		r.rule = rule
	}
}

// fill gives a sound row its cells.
func (d *decoder) fill(r *row, cells [][]byte) {
	text := d.keepBytes(r.text)
	for i, s := range r.cells {
		if s.set {
			cells[i] = text[s.from:s.to:s.to]
		} else if r.inPart && r.given[i] {
			cells[i] = []byte{}
		}
	}
	for i, s := range d.held {
		if s.set {
			cells[i] = d.keepBytes(d.around[s.from:s.to])
		}
	}
	for i, columns := range d.asked.audits {
		for _, c := range columns {
			if value := r.audit.values[i]; value != "" {
				cells[c] = d.keepBytes([]byte(value))
			}
		}
	}
	if r.change == deleted {
		for _, c := range d.asked.removed {
			cells[c] = d.keepBytes([]byte(yes))
		}
	}
}

// reading is the item that is being read.
type reading struct {
	columns []int
	text    []byte
	values  int
	typed   bool // its value is its text
	says    bool // it has a value, or says that there is none
	partial bool // a transaction does to it what it does not do to its row
	barred  bool // a value has the "|" that would join several
	rule    string
}

// openItem begins an item of the innermost row.
func (d *decoder) openItem() {
	d.item = reading{columns: d.item.columns[:0], text: d.item.text[:0], typed: len(d.name) > len("ItemData")}
	r := d.rowsIn[len(d.rowsIn)-1]
	removed := d.itemChange(r)
	oid, _ := d.value("ItemOID")
	if bytes.IndexByte(oid, '&') >= 0 {
		oid, _ = appendText(nil, oid, inAttribute)
	}
	it := d.asked.items[string(oid)]
	switch {
	case it == nil:
		if it = d.asked.learn(string(oid)); it != nil {
			d.asked.report(string(oid), it)
		}
		return
	case len(it.wants) == 0:
		d.asked.report(string(oid), it)
		return
	case it.missing:
		r.fault(ruleUndefined)
		return
	}
	for _, w := range it.wants {
		if d.lies(w.path) {
			d.item.columns = append(d.item.columns, w.column)
		}
	}
	if value, ok := d.value("Value"); ok {
		d.item.next()
		d.item.add(value, inAttribute)
	}
	if null, _ := d.value("IsNull"); removed || string(null) == yes {
		d.item.text, d.item.values = d.item.text[:0], 0
	}
}

// itemChange notes what a transaction does to the item opened last, and reports
// whether it removes it. An item without a value says something else, such as that
// there is a query; so does one that is only addressed.
func (d *decoder) itemChange(r *row) (removed bool) {
	if ref, ok := d.value("AuditRecordID"); ok && len(ref) > 0 && d.asked.audits != nil {
		r.fault(rulePooled)
	}
	d.item.says = true
	if !d.transactional {
		return false
	}
	kind, own := d.value("TransactionType")
	of := d.path[len(d.path)-1].change
	if own {
		of = changes[string(kind)]
	}
	_, valued := d.value("Value")
	null, _ := d.value("IsNull")
	removed = of == deleted
	d.item.says = (!own || of != addressed) && (valued || d.item.typed || removed || string(null) == yes)
	d.item.partial = of != r.change
	return removed
}

// lies reports whether the item opened last lies in groups and a form of these OIDs.
func (d *decoder) lies(path []string) bool {
	at := len(d.path) - 1
	for _, oid := range slices.Backward(path) {
		at--
		if at < 0 || !d.path[at].oid.set || string(d.around[d.path[at].oid.from:d.path[at].oid.to]) != oid {
			return false
		}
	}
	return true
}

// closeItem gives the row the value of the item.
func (d *decoder) closeItem() {
	it, r := &d.item, d.rowsIn[len(d.rowsIn)-1]
	if !it.says {
		return
	}
	r.items++
	r.partial = r.partial || it.partial
	if it.values > 1 && it.barred {
		it.rule = ruleJoined
	}
	if it.rule != "" {
		r.fault(it.rule)
	}
	if len(it.columns) == 0 {
		return
	}
	at := len(r.text)
	r.text = append(r.text, it.text...)
	for _, c := range it.columns {
		if r.given[c] {
			r.fault(ruleTwice)
		}
		r.given[c], r.cells[c] = true, span{at, len(r.text), len(r.text) > at}
	}
}

// next begins a value; several are joined, as choices are.
func (it *reading) next() {
	if it.values++; it.values > 1 {
		it.text = append(it.text, '|')
	}
}

// add takes in text of the value.
func (it *reading) add(raw []byte, kind kindOfText) {
	if len(it.columns) == 0 {
		return
	}
	at := len(it.text)
	text, rule := appendText(it.text, raw, kind)
	if it.text = text; rule != "" {
		it.rule = rule
	}
	it.barred = it.barred || bytes.IndexByte(text[at:], '|') >= 0
}
