package odm

import (
	"bytes"

	"longitude/study"
)

// element is what an element means to the rows. The levels of clinical data are
// in the order in which they lie inside each other.
type element byte

const (
	other element = iota // passed over with all that is in it
	root
	studyData
	metadata
	itemDef
	clinical
	subject
	event
	form
	group
	itemData
	itemValue
	site
	auditRecord
	auditPart
)

// change is what a transactional file does to an element.
type change byte

const (
	addressed change = iota // only said to address what is inside
	inserted
	updated
	deleted
)

var changes = map[string]change{"Context": addressed, "Insert": inserted, "Update": updated, "Upsert": updated, "Remove": deleted}

// span is a part of a byte slice; not set is nothing.
type span struct {
	from, to int
	set      bool
}

// level is an open element.
type level struct {
	is      element
	around  int  // how much of document.around lies outside of it
	undo    int  // the same of document.undo
	oid     span // of a form or group, in around
	change  change
	audit   audit
	pooled  bool // its audit record lies elsewhere
	endsRow bool
}

// document is where in the object the scanner is, and what holds there.
type document struct {
	path   []level
	around []byte // attributes of the open elements
	held   []span // per column: the attribute that holds, in around
	undo   []undo
	fixed  map[string][]byte // attributes of the root that are asked for
	rowsIn []*row            // open rows, the innermost last
	spare  []*row
	item   reading
	audit  audit // being read
	part   string

	version       string
	transactional bool
	defines       bool // the object holds metadata …
	includes      bool // … and these refer to others, which it does not hold
	begun         bool // the columns are settled
}

// undo is what held of a column before an inner element said something else.
type undo struct {
	column int
	was    span
}

// open enters an element.
func (d *decoder) open() error {
	is, err := d.element()
	if err != nil {
		return err
	}
	l := level{is: is, around: len(d.around), undo: len(d.undo)}
	if n := len(d.path); n > 0 {
		l.change = d.path[n-1].change
	}
	d.path = append(d.path, l)
	switch is {
	case root:
		d.openRoot()
	case itemDef:
		d.define()
	case clinical:
		d.begin()
		return d.beginData()
	case subject, event, form, group:
		return d.enterData()
	case site:
		return d.hold("LocationOID", "LocationOID")
	case itemData:
		d.openItem()
	case itemValue:
		d.item.says = true
		d.item.next()
	case auditRecord:
		d.audit = audit{}
		d.auditAttribute("EditPoint")
	case auditPart:
		d.openAuditPart()
	}
	return nil
}

// element tells what the element opened last is.
func (d *decoder) element() (element, error) {
	if len(d.path) == 0 {
		if string(d.name) != "ODM" || d.space == otherSpace {
			return other, &study.Error{Code: "odm.root", Place: d.place(), Op: "reading XML whose root is not the element ODM of CDISC",
				Hint: "check that the object is an ODM-XML file of version 1.1 to 2.0, and its namespace"}
		}
		return root, nil
	}
	parent := d.path[len(d.path)-1].is
	if d.space == otherSpace {
		return other, nil
	}
	name := d.name
	switch parent {
	case root:
		return pick(name, "Study", studyData, "ClinicalData", clinical), nil
	case studyData:
		return pick(name, "MetaDataVersion", metadata, "", other), nil
	case metadata:
		d.includes = d.includes || string(name) == "Include"
		return pick(name, "ItemDef", itemDef, "", other), nil
	case clinical, subject, event, form, group:
		return d.inData(parent, name)
	case itemData:
		if string(name) == "AuditRecord" {
			return d.auditElement(), nil
		}
		return pick(name, "Value", itemValue, "", other), nil
	case auditRecord:
		switch string(name) {
		case "UserRef", "DateTimeStamp", "ReasonForChange", "SourceID":
			return auditPart, nil
		}
	}
	return other, nil
}

func pick(name []byte, one string, is element, two string, orIs element) element {
	switch string(name) {
	case one:
		return is
	case two:
		return orIs
	}
	return other
}

// inData tells what an element inside clinical data is. Real files leave levels
// out: REDCap forms without an event, data sets without a subject.
func (d *decoder) inData(parent element, name []byte) (element, error) {
	var is element
	switch string(name) {
	case "SubjectData":
		is = subject
	case "StudyEventData":
		is = event
	case "FormData":
		is = form
	case "ItemGroupData":
		is = group
	case "SiteRef":
		return site, nil
	case "AuditRecord":
		return d.auditElement(), nil
	default:
		if !bytes.HasPrefix(name, []byte("ItemData")) {
			return other, nil
		}
		is = itemData
	}
	if is < parent || is == parent && is != group || is == itemData && parent != group {
		return other, &study.Error{Code: "odm.structure", Place: d.place(), Op: "reading clinical data whose elements lie inside each other in an order that ODM does not know",
			Hint: "subject, event, form, item group and item lie inside each other in this order: have the export checked"}
	}
	return is, nil
}

func (d *decoder) auditElement() element {
	if d.asked.audits == nil {
		return other
	}
	return auditRecord
}

// openRoot reads what the file says of itself.
func (d *decoder) openRoot() {
	if v, _ := d.value("ODMVersion"); version.Match(v) {
		d.version = " " + string(v)
	}
	kind, _ := d.value("FileType")
	d.transactional = string(kind) == "Transactional"
	d.fixed = map[string][]byte{}
	for _, a := range d.attributes {
		if name := string(a.name); len(d.asked.attributes[name]) > 0 && d.fixed[name] == nil {
			d.fixed[name] = bytes.Clone(a.value)
		}
	}
}

// beginData begins clinical data: what its file and itself say holds for its rows.
func (d *decoder) beginData() error {
	d.held = append(d.held[:0], make([]span, len(d.asked.columns))...)
	for name, value := range d.fixed {
		if err := d.holdValue(value, name); err != nil {
			return err
		}
	}
	return d.holdAttributes()
}

// define notes an item of the metadata.
func (d *decoder) define() {
	oid, ok := d.value("OID")
	if !ok || d.begun {
		return
	}
	d.defines = true
	kind, _ := d.value("DataType")
	label, _ := d.value("Name")
	text, rule := appendText(nil, label, inAttribute)
	if rule != "" || unreadable(label) != "" {
		text = nil
	}
	name, rule := appendText(nil, oid, inAttribute)
	if rule == "" && unreadable(oid) == "" {
		d.asked.define(string(name), types[string(kind)], string(text))
	}
}

// types are the data types of ODM; nothing is said of the others, whose values may
// be of several kinds.
var types = map[string]string{
	"integer": "number", "float": "number", "double": "number", "decimal": "number", "boolean": "boolean",
	"date": "date", "datetime": "datetime", "time": "time", "text": "text", "string": "text", "URI": "text",
}

// enterData opens a level of clinical data, and a row where it is one.
func (d *decoder) enterData() error {
	l := &d.path[len(d.path)-1]
	if kind, ok := d.value("TransactionType"); ok && d.transactional {
		l.change = changes[string(kind)]
	}
	if ref, ok := d.value("AuditRecordID"); ok {
		l.pooled = len(ref) > 0
	}
	if err := d.holdAttributes(); err != nil {
		return err
	}
	if l.is == form || l.is == group {
		oid, _ := d.value("FormOID")
		if l.is == group {
			oid, _ = d.value("ItemGroupOID")
		}
		if l.is == group && !d.inForm() {
			if err := d.holdForm(); err != nil {
				return err
			}
		}
		var err error
		if l.oid, err = d.remember(oid); err != nil {
			return err
		}
	}
	d.openRow()
	return nil
}

// inForm reports whether the innermost element lies in a form, or in the group
// that is one in ODM 2.0.
func (d *decoder) inForm() bool {
	parent := d.path[len(d.path)-2].is
	return parent == form || parent == group
}

// holdForm makes of the outermost group the form that it is since ODM 2.0.
func (d *decoder) holdForm() error {
	if err := d.hold("ItemGroupOID", "FormOID"); err != nil {
		return err
	}
	return d.hold("ItemGroupRepeatKey", "FormRepeatKey")
}

// holdAttributes makes the attributes of an element hold for the rows inside.
func (d *decoder) holdAttributes() error {
	for _, a := range d.attributes {
		if len(d.asked.attributes[string(a.name)]) == 0 && !d.asked.levels {
			continue
		}
		if _, own := d.value(string(a.name)); own && a.prefixed {
			continue
		}
		if err := d.holdValue(a.value, string(a.name)); err != nil {
			return err
		}
		if !d.asked.levels {
			continue
		}
		if err := d.holdValue(a.value, string(d.name)+"/"+string(a.name)); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) hold(attribute, as string) error {
	if value, ok := d.value(attribute); ok {
		return d.holdValue(value, as)
	}
	return nil
}

func (d *decoder) holdValue(value []byte, as string) error {
	columns := d.asked.attributes[as]
	if len(columns) == 0 {
		return nil
	}
	s, err := d.remember(value)
	for _, c := range columns {
		d.undo = append(d.undo, undo{c, d.held[c]})
		d.held[c] = s
	}
	return err
}

// remember keeps the text of an attribute until its element is closed.
func (d *decoder) remember(value []byte) (span, error) {
	at := len(d.around)
	var rule string
	if d.around, rule = appendText(d.around, value, inAttribute); rule == "" {
		rule = unreadable(value)
	}
	if rule != "" {
		return span{}, d.invalid("an attribute around the rows has characters that XML does not allow, or another encoding than it says")
	}
	return span{at, len(d.around), len(d.around) > at}, nil
}

// close leaves the innermost element.
func (d *decoder) close() error {
	last := len(d.path) - 1
	l := &d.path[last]
	switch l.is {
	case itemData:
		d.closeItem()
	case auditRecord:
		d.closeAudit(last - 1)
	}
	if l.endsRow {
		d.closeRow()
	}
	if l.is != site { // it speaks of its parent
		for len(d.undo) > l.undo {
			u := d.undo[len(d.undo)-1]
			d.held[u.column], d.undo = u.was, d.undo[:len(d.undo)-1]
		}
		d.around = d.around[:l.around]
	}
	d.path = d.path[:last]
	return nil
}

// read takes text in.
func (d *decoder) read() {
	if len(d.path) == 0 || d.cut {
		return // a row with a text in pieces is too long
	}
	switch d.path[len(d.path)-1].is {
	case itemValue:
		d.item.add(d.text, d.textKind())
	case itemData:
		if d.item.typed {
			d.item.add(d.text, d.textKind())
		}
	case auditPart:
		d.audit.add(d.part, d.text, d.textKind())
	}
}

func (d *decoder) textKind() kindOfText {
	if d.cdata {
		return inCDATA
	}
	return inText
}
