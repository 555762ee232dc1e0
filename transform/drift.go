package transform

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"longitude/study"
)

// observedRows is how many rows of an object are looked at, and typedValues how many
// values of a column it takes to say what they look like.
const (
	observedRows = 2000
	typedValues  = 3
)

// Observer finds out the shape of an object from its first rows. The zero value
// takes every cell for a value.
type Observer struct {
	rows    int
	shape   study.Shape
	seen    []kinds
	values  []int // looked at, per column
	texts   []int // of them, that are neither number nor date
	unasked []string
	held    bool                       // something of what was asked is there
	missing map[string]map[string]bool // column → codes that are no value
}

// kinds is what the values of a column look like, all together.
type kinds uint8

const (
	numberKind kinds = 1 << iota
	dateKind
	textKind
)

// String is the kind that all values have in common.
func (k kinds) String() string {
	switch k {
	case 0:
		return ""
	case numberKind:
		return "number"
	case dateKind:
		return "date"
	}
	return "text"
}

// Observer is one that knows which cells the mapping takes for missing.
func (m *Mapper) Observer() Observer {
	o := Observer{missing: map[string]map[string]bool{}}
	learn := func(column string, codes map[string]string) {
		if column == "" || len(codes) == 0 {
			return
		}
		column = norm.NFC.String(column)
		if o.missing[column] == nil {
			o.missing[column] = map[string]bool{}
		}
		for code := range codes {
			o.missing[column][code] = true
		}
	}
	m.each(func(p *pick, _ bool) { learn(p.column, p.missing) })
	for i := range m.forms {
		if p := m.forms[i].pivot; p != nil {
			for _, field := range p.fields {
				learn(p.value.column, m.forms[i].fields[field].pick.missing)
			}
		}
	}
	return o
}

// See looks at a batch. full says that it has seen as much as it wants to.
func (o *Observer) See(rows *Rows) (full bool) {
	if o.shape.Columns == nil && len(rows.Columns) > 0 {
		o.begin(rows)
	}
	if rows.Dialect != "" {
		o.shape.Dialect = rows.Dialect
	}
	if o.rows < observedRows {
		o.unasked = slices.Clone(rows.Unasked)
	}
	for i := range rows.Len() {
		if o.rows++; o.rows > observedRows {
			return true
		}
		for c, cell := range rows.Row(i) {
			o.held = o.held || len(cell) > 0
			if len(cell) > 0 && o.shape.Columns[c].Kind == "" {
				o.look(c, cell)
			}
		}
	}
	return o.rows >= observedRows
}

func (o *Observer) begin(rows *Rows) {
	o.shape.Columns = make([]study.ColumnShape, len(rows.Columns))
	o.seen, o.values, o.texts = make([]kinds, len(rows.Columns)), make([]int, len(rows.Columns)), make([]int, len(rows.Columns))
	for c, name := range rows.Columns {
		o.shape.Columns[c].Name = norm.NFC.String(name)
		if rows.Types == nil {
			continue
		}
		switch rows.Types[c] { // what the object declares it says for all its rows
		case "":
		case "number":
			o.shape.Columns[c].Kind = numberKind.String()
		case "date", "datetime":
			o.shape.Columns[c].Kind = dateKind.String()
		default:
			o.shape.Columns[c].Kind = textKind.String()
		}
	}
}

func (o *Observer) look(c int, cell []byte) {
	if codes := o.missing[o.shape.Columns[c].Name]; codes != nil && codes[string(norm.NFC.Bytes(cell))] {
		return
	}
	switch like := likeness(bytes.TrimSpace(cell)); like {
	case 0:
		return
	case textKind:
		o.texts[c]++
	default:
		o.seen[c] |= like
	}
	o.values[c]++
}

// kind is what the values of a column are: text when at least half of them are, or
// when numbers and dates are mixed. A stray text among numbers is a bad value, for
// the quarantine, and no change of the column's type. Too few values have no kind.
func (o *Observer) kind(c int) string {
	switch {
	case o.values[c] < typedValues:
		return ""
	case 2*o.texts[c] >= o.values[c]:
		return textKind.String()
	}
	return o.seen[c].String()
}

// Foreign reports whether rows without fixed columns hold other things, and nothing
// of what was asked: such an object is not the source's.
func (o *Observer) Foreign() bool { return !o.held && len(o.unasked) > 0 }

// Shape is what was seen so far. Columns without a place in the rows come last, and
// nothing is said of their values.
func (o *Observer) Shape() study.Shape {
	s := study.Shape{Dialect: o.shape.Dialect, Columns: slices.Clone(o.shape.Columns)}
	for c := range s.Columns {
		if s.Columns[c].Kind == "" {
			s.Columns[c].Kind = o.kind(c)
		}
	}
	for _, name := range o.unasked {
		if columnOf(s, name) < 0 {
			s.Columns = append(s.Columns, study.ColumnShape{Name: name})
		}
	}
	return s
}

func columnOf(s study.Shape, name string) int {
	return slices.IndexFunc(s.Columns, func(c study.ColumnShape) bool { return c.Name == name })
}

// likeness is what a text looks like: 0 when it is empty.
func likeness(text []byte) kinds {
	switch {
	case len(text) == 0:
		return 0
	case text[0] >= '0' && text[0] <= '9' && looksLikeDate(text):
		return dateKind
	case looksLikeNumber(text):
		return numberKind
	}
	return textKind
}

// looksLikeNumber takes either decimal mark, a sign and an exponent.
func looksLikeNumber(text []byte) bool {
	mantissa, exponent, scientific := bytes.Cut(bytes.ToLower(text), []byte("e"))
	if scientific && !digitsOnly(bytes.TrimLeft(exponent, "+-")) {
		return false
	}
	mantissa = bytes.TrimPrefix(bytes.TrimPrefix(mantissa, []byte("-")), []byte("+"))
	if i := bytes.IndexAny(mantissa, ".,"); i >= 0 {
		whole, fraction := mantissa[:i], mantissa[i+1:]
		return len(whole)+len(fraction) > 0 && (len(whole) == 0 || digitsOnly(whole)) && (len(fraction) == 0 || digitsOnly(fraction))
	}
	return digitsOnly(mantissa)
}

func digitsOnly(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}

// looksLikeDate takes year and month, or three parts of which one may be the name
// of a month, with a time behind them or not.
func looksLikeDate(text []byte) bool {
	if i := bytes.IndexAny(text, "T "); i > 0 && i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9' {
		text = text[:i]
	}
	i := bytes.IndexAny(text, "-/.")
	if i < 0 {
		return false
	}
	parts := bytes.Split(text, text[i:i+1])
	if len(parts) == 2 {
		return text[i] == '-' && len(parts[0]) == 4 && digitsOnly(parts[0]) && len(parts[1]) == 2 && digitsOnly(parts[1])
	}
	if len(parts) != 3 || !digitsOnly(parts[0]) || !digitsOnly(parts[2]) || len(parts[0]) > 4 || len(parts[2]) > 4 {
		return false
	}
	month := parts[1]
	return len(month) <= 2 && digitsOnly(month) || len(month) >= 3 && len(month) <= 9 && bytes.IndexFunc(month, func(r rune) bool { return !unicode.IsLetter(r) }) < 0
}

// Drifts names the changes between the accepted shape of a source's objects and
// that of one of them, and says by policy what each of them does. asked are the
// columns that the mapping reads. A source without an accepted shape drifts only
// from what is asked. What nobody reads goes on, missing or changed.
func Drifts(accepted, seen study.Shape, asked []string, policy study.DriftPolicy) []study.Drift {
	d := drifting{accepted: accepted, seen: seen, asked: map[string]bool{}, policy: policy}
	lost := 0
	for _, name := range asked {
		name = norm.NFC.String(name)
		if d.asked[name] = true; columnOf(seen, name) < 0 {
			lost++
		}
		if accepted.Columns == nil {
			d.accepted.Columns = append(d.accepted.Columns, study.ColumnShape{Name: name})
		}
	}
	if lost*2 > len(asked) { // what stands in its place may be a row of data: no names
		return []study.Drift{{Kind: study.HeaderUnknown, Mapped: true, Action: stricter(policy.MissingColumn, study.QuarantineDrift)}}
	}
	d.compare(accepted.Columns == nil)
	return d.found
}

// drifting compares two shapes.
type drifting struct {
	accepted, seen study.Shape
	asked          map[string]bool
	policy         study.DriftPolicy
	found          []study.Drift
}

// compare names what has gone, what has come and what has changed. first says
// that nothing was accepted so far, so that nothing can be new.
func (d *drifting) compare(first bool) {
	for i, c := range d.accepted.Columns {
		if columnOf(d.seen, c.Name) < 0 {
			d.add(study.Drift{Kind: study.MissingColumn, Column: toldName(c.Name, i), From: c.Kind, Mapped: d.asked[c.Name]}, d.policy.MissingColumn)
		}
	}
	for i, c := range d.seen.Columns {
		drift := study.Drift{Column: toldName(c.Name, i), To: c.Kind, Mapped: d.asked[c.Name]}
		switch was := columnOf(d.accepted, c.Name); {
		case was < 0 && !first:
			drift.Kind = study.NewColumn
			d.add(drift, d.policy.NewColumn)
		case was >= 0 && changed(d.accepted.Columns[was].Kind, c.Kind):
			drift.Kind, drift.From = study.TypeChange, d.accepted.Columns[was].Kind
			d.add(drift, d.policy.TypeChange)
		}
	}
	if from, to := d.accepted.Dialect, d.seen.Dialect; changed(from, to) {
		d.add(study.Drift{Kind: study.DialectChange, From: from, To: to, Mapped: true}, d.policy.TypeChange)
	}
}

// add notes a drift. Only what is read can stop an object, and what is new.
func (d *drifting) add(drift study.Drift, action study.DriftAction) {
	if drift.Action = action; action == "" || !drift.Mapped && drift.Kind != study.NewColumn {
		drift.Action = study.Evolve
	}
	d.found = append(d.found, drift)
}

// changed reports whether two looks differ. Of what was not seen nothing is known.
func changed(from, to string) bool { return from != to && from != "" && to != "" }

// stricter is the action that lets less pass.
func stricter(a, b study.DriftAction) study.DriftAction {
	order := []study.DriftAction{"", study.Evolve, study.QuarantineDrift, study.Freeze}
	if slices.Index(order, a) > slices.Index(order, b) {
		return a
	}
	return b
}

// Shown is a shape as it may be kept and told: of columns that no document names, a
// name that may be more than one stands by its place, and one that may be somebody's by
// its digest, which is a few letters, so that it is found wherever it stands. Showing it
// again changes nothing.
func Shown(s study.Shape, named []string, digest func(name string) string) study.Shape {
	known := make(map[string]bool, len(named))
	for _, name := range named {
		known[norm.NFC.String(name)] = true
	}
	s.Columns = slices.Clone(s.Columns)
	for i, c := range s.Columns {
		if known[c.Name] || known[strings.ToLower(c.Name)] {
			continue
		}
		if s.Columns[i].Name = plainName(c.Name, i); s.Columns[i].Name == c.Name && wordsOnly(c.Name) {
			s.Columns[i].Name = untold + digest(c.Name)
		}
	}
	return s
}

// untold begins what stands for a name that may be somebody's.
const untold = "untold_"

// toldName is plainName for an event: with its place where it is not told.
func toldName(name string, index int) string {
	name = plainName(name, index)
	if strings.HasPrefix(name, untold) {
		name += " (column " + strconv.Itoa(index+1) + ")"
	}
	return name
}

// wordsOnly reports whether a name is of letters and what stands between them in the
// names of people.
func wordsOnly(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(" .-", r) && !unicode.IsLetter(r) })
}

// mostPlain is the length of the longest name that is told, and mostDigits how many
// digits it has at most: with more it may be the number of somebody, or a date.
const (
	mostPlain  = 64
	mostDigits = 5
)

// plainName is a column's name, or its place where the name may be more than one.
func plainName(name string, index int) string {
	digits := 0
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" _-./", r) {
			return "column " + strconv.Itoa(index+1)
		}
		if unicode.IsDigit(r) {
			digits++
		}
	}
	if name == "" || len(name) > mostPlain || digits > mostDigits {
		return "column " + strconv.Itoa(index+1)
	}
	return name
}
