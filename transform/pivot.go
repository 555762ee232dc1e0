package transform

import (
	"bytes"
	"hash/fnv"
	"io"

	"golang.org/x/text/unicode/norm"

	"longitude/study"
)

// Rules of long tables, in which every row is one value and a record is what the
// rows of one participant, visit and occurrence say together. A row that cannot
// be read waits in quarantine by itself, and the record is without its value.
const (
	rulePivotTwice     = "pivot_twice"     // two rows give the same field of one record: the record is rejected
	rulePivotScattered = "pivot_scattered" // rows of the participant were seen before, with others between
	rulePivotRows      = "pivot_rows"      // one participant has more rows, or longer ones, than are kept together
)

// What of one participant is kept together, to bound memory: rows, and about so
// many bytes of them and of the records that they become.
const (
	mostRows    = 100_000
	mostBytes   = 128 << 20
	fieldBytes  = 136 // of a field of a record in the making
	recordBytes = 512
)

// pivotMap says which field of its form a row is about, and what it says of it.
type pivotMap struct {
	code, value pick
	fields      map[string]int // code → index of the field
	field       int            // that the row being mapped is about
}

// newPivot compiles the pivot of a form, if it has one.
func (f *formMap) newPivot(from *study.FormMapping, picks []study.Pick, mark byte) (problems []Problem) {
	key := "map.forms." + from.Form
	pivots := from.Pivot.Code.Mapped() || from.Pivot.Value.Mapped()
	if pivots && (!from.Pivot.Code.Mapped() || !from.Pivot.Value.Mapped()) {
		problems = append(problems, Problem{key + ".pivot", "needs both: the code says which field a row is about, the value is its value"})
	}
	p := &pivotMap{code: newPick(from.Pivot.Code, mark), value: newPick(from.Pivot.Value, mark), fields: map[string]int{}}
	for i, pick := range picks {
		at := key + ".fields." + f.form.Fields[i].Name + ".code"
		code := norm.NFC.String(pick.Code)
		_, taken := p.fields[code]
		switch {
		case pick.Code == "":
			continue
		case !pivots:
			problems = append(problems, Problem{at, "has a meaning only under pivot"})
		case pick.Column != "" || pick.Const || pick.Expr != "":
			problems = append(problems, Problem{at, "is one way to feed the field, and there is another: keep one"})
		case taken:
			problems = append(problems, Problem{at, "is the code of two fields"})
		case i == f.repeats && !from.Occurrence.Mapped():
			problems = append(problems, Problem{at, "cannot be: the field tells occurrences apart, so every row must have it in a column"})
		}
		p.fields[code] = i
	}
	if pivots {
		if f.pivot = p; len(p.fields) == 0 {
			problems = append(problems, Problem{key + ".pivot", "feeds no field: give at least one field its code"})
		}
	}
	return problems
}

// takes reports whether a row is about a field of the form.
func (p *pivotMap) takes(row [][]byte) (ok bool) {
	code, _ := p.code.take(row)
	p.field, ok = p.fields[string(code)]
	return ok
}

// gathering holds the rows of the participant whose rows are being read.
type gathering struct {
	identity string
	open     bool
	lost     bool // more rows than are kept together
	rows     int
	bytes    int
	most     int // 0 = mostRows
	records  map[gatheredKey]*gathered
	order    []*gathered         // by first row
	done     map[uint64]struct{} // participants read before: hashes of their identities
}

type gatheredKey struct {
	form              int
	visit, occurrence string
}

// gathered is a record of a long table in the making.
type gathered struct {
	form       *formMap
	occurrence string
	told       told   // by the first row; when, by whom and why by the row modified last
	at         place  // of the first row; the bytes are those of all rows
	cells      []cell // by field
	rows       []place
	given      []bool
	twice      []twice
	live       bool // a row of it was not deleted
}

// twice is a row that gives a field that another has given.
type twice struct {
	field int
	at    place
}

// follows makes way for the rows of a participant; its result is the rule of a row
// that cannot be taken, "" if it can.
func (m *Mapper) follows(identity string, out *Mapped) (rule string) {
	g := &m.gathering
	most := g.most
	if most == 0 {
		most = mostRows
	}
	if !g.open || g.identity != identity {
		m.flush(out)
		if _, before := g.done[hashOf(identity)]; before {
			return rulePivotScattered
		}
		g.open, g.identity = true, identity
	}
	if g.rows++; (g.rows > most || g.bytes > mostBytes) && !g.lost {
		m.forget(out)
	}
	if g.lost {
		return rulePivotRows
	}
	return ""
}

// hashOf stands for an identity that was read before. Two that share a hash, one
// in 2⁶⁴, would be taken for one: its rows are quarantined, not lost.
func hashOf(identity string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, identity)
	return h.Sum64()
}

// gather adds a row to the record that it is part of.
func (m *Mapper) gather(f *formMap, row [][]byte, t *told, at *place, out *Mapped) {
	m.begin()
	occurrence := m.occurrenceOf(f, row, m.ownOccurrence(f, row, at, out), at, out)
	if m.record.rejected { // nobody can say of which record it is
		out.Counts.Produced++
		out.Counts.Quarantined++
		return
	}
	g := m.gatheredOf(gatheredKey{form: f.index, visit: t.visit.Key, occurrence: occurrence}, f, row, t, at)
	g.at.kept = append(append(g.at.kept, at.raw...), '\n')
	m.gathering.bytes += 2 * len(at.raw) // the row and its cell
	if t.modified.After(g.told.modified) {
		g.told.modified, g.told.change = t.modified, t.change
		g.told.author, g.told.changeReason = bytes.Clone(t.author), bytes.Clone(t.changeReason)
	}
	if t.removed {
		return
	}
	g.live = true
	here := place{ordinal: at.ordinal, line: at.line, site: at.site}
	i := f.pivot.field
	if g.given[i] {
		g.twice = append(g.twice, twice{i, here})
		return
	}
	g.given[i], g.rows[i] = true, here
	g.cells[i] = f.pivot.cell(&f.fields[i].pick, row)
}

// cell is the value of a row as the pick of its field says.
func (p *pivotMap) cell(of *pick, row [][]byte) cell {
	text, reason := p.value.take(row)
	if text != nil {
		text, reason = of.refine(text)
	}
	return cell{bytes.Clone(text), reason, p.value.failed()}
}

// gatheredOf finds the record that a row is part of. The first row begins it, and
// gives the fields that have columns of their own.
func (m *Mapper) gatheredOf(key gatheredKey, f *formMap, row [][]byte, t *told, at *place) *gathered {
	if f.form.Log {
		key.visit = ""
	}
	if g, ok := m.gathering.records[key]; ok {
		return g
	}
	n := len(f.fields)
	g := &gathered{form: f, occurrence: key.occurrence, told: *t, cells: make([]cell, n), rows: make([]place, n), given: make([]bool, n),
		at: place{ordinal: at.ordinal, line: at.line, site: at.site}}
	g.told.reason, g.told.author, g.told.changeReason = bytes.Clone(t.reason), bytes.Clone(t.author), bytes.Clone(t.changeReason)
	for i := range f.fields {
		p := &f.fields[i].pick
		text, reason := p.take(row)
		g.cells[i], g.rows[i] = cell{bytes.Clone(text), reason, p.failed()}, g.at
	}
	if m.gathering.records == nil {
		m.gathering.records = map[gatheredKey]*gathered{}
	}
	m.gathering.records[key] = g
	m.gathering.bytes += n*fieldBytes + recordBytes
	m.gathering.order = append(m.gathering.order, g)
	return g
}

// flush makes the records of the rows gathered.
func (m *Mapper) flush(out *Mapped) {
	g := &m.gathering
	if !g.open {
		return
	}
	for _, r := range g.order {
		m.endGathered(r, out)
	}
	if g.done == nil {
		g.done = map[uint64]struct{}{}
	}
	g.done[hashOf(g.identity)] = struct{}{}
	clear(g.records)
	clear(g.order)
	*g = gathering{most: g.most, records: g.records, order: g.order[:0], done: g.done}
}

// endGathered makes the record of its rows. What is rejected keeps all of them.
func (m *Mapper) endGathered(r *gathered, out *Mapped) {
	m.begin()
	if r.told.removed = !r.live; r.told.removed {
		m.record.empty(len(r.cells))
		m.end(r.form, r.occurrence, &r.told, &r.at, out)
		return
	}
	for i := range r.cells {
		r.rows[i].kept = r.at.kept
		m.mapField(r.form, i, r.cells[i], &r.rows[i], out)
	}
	for _, t := range r.twice {
		t.at.kept = r.at.kept
		m.reject(r.form, r.form.fields[t.field].field.Name, rulePivotTwice, &t.at, out)
	}
	m.end(r.form, r.occurrence, &r.told, &r.at, out)
}

// forget rejects the records gathered of a participant with too many rows, so
// that none of them is taken for whole.
func (m *Mapper) forget(out *Mapped) {
	g := &m.gathering
	for _, r := range g.order {
		m.begin()
		m.reject(r.form, "", rulePivotRows, &r.at, out)
		m.end(r.form, r.occurrence, &r.told, &r.at, out)
	}
	clear(g.records)
	clear(g.order)
	g.order, g.lost = g.order[:0], true
}
