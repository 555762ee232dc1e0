package deid

import (
	"sort"
	"strconv"
	"strings"

	"longitude/study"
)

// formGuard knows what the packed answers of one form may hold: typed or
// nothing. Values were parsed long before; this is the lock on the door, so it
// checks what a text that slipped through could not satisfy.
type formGuard struct {
	name   string
	form   *study.Form
	fields []fieldGuard
	byName []int // field indexes in the order of their names

	attaches bool // one of the fields is attached
}

type fieldGuard struct {
	name     string
	frame    []byte // the framed name, for the content hash
	sealed   bool
	attached bool // a keyed digest of it stays with the record
	typ      study.FieldType
	codes    map[string]bool // of choice and choices
}

func newFormGuard(f *study.Form) formGuard {
	g := formGuard{name: f.Name, form: f, fields: make([]fieldGuard, len(f.Fields)), byName: make([]int, len(f.Fields))}
	for i, field := range f.Fields {
		g.fields[i] = fieldGuard{name: field.Name, frame: Frame(field.Name), sealed: field.Sealed(), attached: field.Class == study.Attachment, typ: field.Type}
		g.attaches = g.attaches || g.fields[i].attached
		if len(field.Choices) > 0 {
			g.fields[i].codes = map[string]bool{}
			for _, c := range field.Choices {
				g.fields[i].codes[c.Code] = true
			}
		}
		g.byName[i] = i
	}
	sort.Slice(g.byName, func(a, b int) bool { return f.Fields[g.byName[a]].Name < f.Fields[g.byName[b]].Name })
	return g
}

func (f *formGuard) slot(field int) string { return Slot(f.form, field) }

// holds reports whether cell is a value of the field's type. It accepts every
// canonical form of a value and no running text.
func (f *fieldGuard) holds(cell string) bool {
	switch f.typ {
	case study.Choice:
		return f.codes[cell]
	case study.Choices:
		for code := range strings.SplitSeq(cell, ",") {
			if !f.codes[code] {
				return false
			}
		}
		return true
	case study.Integer:
		return made(cell, "0123456789-")
	case study.Decimal:
		return made(cell, "0123456789-.")
	case study.Boolean:
		return cell == "1" || cell == "0" || cell == "true" || cell == "false"
	case study.DateType:
		return made(cell, "0123456789-")
	case study.DateTime, study.TimeType:
		return made(cell, "0123456789-+:.TZ")
	case study.Zip:
		return (len(cell) == 5 || len(cell) == 10) && made(cell, "0123456789-")
	case study.Acuity:
		_, ok := study.ParseAcuity(cell, "")
		return ok
	}
	return false
}

// made reports whether s is not empty and made of the characters of alphabet.
func made(s, alphabet string) bool {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(alphabet, s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// check unpacks d into the scratch of in and verifies that every cell is typed,
// sealed or missing. It names the field at fault and why, never the value.
func (in *Intake) check(f *formGuard, d *study.Draft) (field, why string) {
	n := len(f.fields)
	in.private, in.reasons = grow(in.private, n), grow(in.reasons, n)
	if !in.unpack(d.Answers, n) {
		return "", "the number of answers is not the number of fields"
	}
	for i, p := range d.Private {
		switch {
		case p.Field == study.PrivateReason, p.Field == study.PrivateAuthor, p.Field == study.PrivateChangeReason:
		case p.Field < 0 || p.Field >= n || !f.fields[p.Field].sealed || in.private[p.Field] > 0:
			return "", "a private value has no sealed field of its own"
		default:
			in.private[p.Field] = i + 1
		}
	}
	if !in.unpackReasons(d.Missing, n) {
		return "", "the missing reasons are not field=reason pairs of the closed list"
	}
	for i := range f.fields {
		guard, cell := &f.fields[i], in.cells[i]
		switch sealed := cell == study.SealedMark; {
		case sealed != (in.private[i] > 0):
			return guard.name, "sealed mark and private value do not go together"
		case cell == study.MissingMark, sealed, d.Extent == study.ToldInPart && cell == study.UntoldMark:
		case guard.sealed:
			return guard.name, "a private field holds a value in clear"
		case !guard.holds(cell):
			return guard.name, "the answer is not of its declared type"
		}
	}
	for _, told := range d.Facts {
		if told.Index < 0 || told.Index >= len(in.facts) || in.facts[told.Index].Form != d.Form {
			return "", "a fact of the participant is not one that the form tells"
		}
		guard := &f.fields[in.facts[told.Index].Field]
		if guard.sealed || !guard.holds(told.Value) {
			return guard.name, "a fact of the participant is private or not of its declared type"
		}
	}
	return "", ""
}

// unpack splits the packed answers into in.cells and reports whether there are n.
func (in *Intake) unpack(answers string, n int) bool {
	in.cells = in.cells[:0]
	for {
		end := strings.IndexByte(answers, study.FieldSeparator)
		if end < 0 {
			break
		}
		in.cells = append(in.cells, answers[:end])
		answers = answers[end+1:]
	}
	if n > 0 || answers != "" {
		in.cells = append(in.cells, answers)
	}
	return len(in.cells) == n
}

var missingReasons = func() map[string]bool {
	m := map[string]bool{}
	for _, r := range study.MissingReasons {
		m[r.Code] = true
	}
	return m
}()

// unpackReasons reads "field=reason" pairs into in.reasons.
func (in *Intake) unpackReasons(missing string, n int) bool {
	for rest := missing; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, ",")
		index, reason, ok := strings.Cut(pair, "=")
		i, err := strconv.Atoi(index)
		if !ok || err != nil || i < 0 || i >= n || !missingReasons[reason] {
			return false
		}
		in.reasons[i] = reason
	}
	return true
}
