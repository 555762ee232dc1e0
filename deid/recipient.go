package deid

import (
	"fmt"
	"slices"
	"time"

	"longitude/study"
)

// Recipient is door 2 for one release series: the view that those who get its
// releases have. It is for one goroutine; two Recipients of the same study,
// series and keys give the same values.
type Recipient struct {
	study *study.Study
	zone  *time.Location

	ids, others, shifts *mac

	tables map[*study.Table]*projection
	limits []limit // what bounds the claim, in the order met
}

// Batch is a batch of rows after door 2. Its contents are unexported and only
// Recipient.Apply makes one.
type Batch struct{ b study.Batch }

// Rows is the number of rows.
func (b Batch) Rows() int { return b.b.Rows }

// projection is a table compiled once: the released table and one mask per
// column of it.
type projection struct {
	from  *study.Table
	table *study.Table
	masks []masked
}

type masked struct {
	column int // in the table before door 2
	mask   mask
}

// mask makes the released vector of one column. Vectors are never written in
// place: a released vector is the one it was given or a new one.
type mask func(b *study.Batch, v *study.Vector) (study.Vector, error)

// NewRecipient derives the keys of the series. Every field of the study must
// have a class: one error names all that have none.
func NewRecipient(s *study.Study, series string, k Keys) (*Recipient, error) {
	if series == "" {
		return nil, &study.Error{Code: "deid.series", Op: "set up the released codes of study " + s.Name,
			Hint: "a release belongs to a named series: it is the domain of its codes", Exit: study.ExitUsage}
	}
	var without []string
	for _, form := range s.Forms {
		for _, field := range form.Fields {
			if field.Class == study.Unclassified {
				without = append(without, form.Name+"."+field.Name)
			}
		}
	}
	if len(without) > 0 {
		return nil, unclassified(without)
	}
	zone, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return nil, &study.Error{Code: "deid.timezone", Op: "load the time zone of study " + s.Name,
			Hint: "install the time zone database or correct timezone", Exit: study.ExitEnvironment}
	}
	r := &Recipient{study: s, zone: zone, tables: map[*study.Table]*projection{}, limits: []limit{derivedCodes}}
	for _, m := range []struct {
		mac     **mac
		purpose string
	}{{&r.ids, PurposeRelease}, {&r.others, PurposeOther}, {&r.shifts, PurposeShift}} {
		if *m.mac, err = newMAC(k, s.Name, m.purpose, series); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Participant is the released id of the participant with the internal code.
func (r *Recipient) Participant(code string) string {
	return token("P", r.ids.of("participant", code), codeChars)
}

// other is the released form of an internal visit or record id: 26 characters,
// the first of them initial.
func (r *Recipient) other(initial byte, key string) string {
	return token(string(initial), r.others.of(key), 25)
}

// shift is how many days into the past all dates of a participant move in this
// series: 1…364, uniform by rejection sampling, the same for all of them, so
// that intervals are preserved exactly.
func (r *Recipient) shift(code string) study.Date {
	const width = 364
	const fair = 1<<16 - (1<<16)%width // values at or above would favour small shifts
	for round := byte('0'); ; round++ {
		sum := r.shifts.of("shift", code, string(round))
		for i := 0; i < len(sum); i += 2 {
			if n := int(sum[i])<<8 | int(sum[i+1]); n < fair {
				return study.Date(1 + n%width)
			}
		}
	}
}

// Project gives the released form of t: columns without a right to leave are
// gone, others are renamed where their meaning changes, and Masking and
// Description say what was done. The result is the same at every call.
func (r *Recipient) Project(t *study.Table) (*study.Table, error) {
	p, err := r.projection(t)
	if err != nil {
		return nil, err
	}
	return p.table, nil
}

func (r *Recipient) projection(t *study.Table) (*projection, error) {
	if p, ok := r.tables[t]; ok {
		return p, nil
	}
	p := &projection{from: t, table: &study.Table{Name: t.Name, Label: t.Label, Grain: t.Grain}}
	renamed := map[string]string{}
	var without []string
	for i, column := range t.Columns {
		rule, err := r.rule(t, column)
		if err != nil {
			return nil, err
		}
		switch {
		case rule.unclassified:
			without = append(without, t.Name+"."+column.Name)
		case rule.mask != nil:
			p.table.Columns = append(p.table.Columns, rule.column)
			p.masks = append(p.masks, masked{i, rule.mask})
			renamed[column.Name] = rule.column.Name
			if rule.limit.claim != "" && !slices.Contains(r.limits, rule.limit) {
				r.limits = append(r.limits, rule.limit)
			}
		}
	}
	if len(without) > 0 {
		return nil, unclassified(without)
	}
	for _, name := range t.Key {
		key, kept := renamed[name]
		if !kept {
			return nil, &study.Error{Code: "deid.key_dropped", Op: "release table " + t.Name + ": its key column " + name + " may not leave",
				Hint: "give the table a key of ids, or release the column under another class", Exit: study.ExitBlocked}
		}
		p.table.Key = append(p.table.Key, key)
	}
	r.tables[t] = p
	return p, nil
}

// Apply takes a batch through door 2. The result shares memory with b where
// nothing had to change, so b must not be written to afterwards.
func (r *Recipient) Apply(b *study.Batch) (Batch, error) {
	p, err := r.projection(b.Table)
	if err != nil {
		return Batch{}, err
	}
	if len(b.Vectors) != len(p.from.Columns) {
		return Batch{}, &study.Error{Code: "deid.shape",
			Op:   fmt.Sprintf("release table %s: a batch has %d columns, the table %d", p.from.Name, len(b.Vectors), len(p.from.Columns)),
			Hint: "this is a fault of the program: report it with the code"}
	}
	// The internal numbers and anchors of the participants stay behind.
	out := study.Batch{Table: p.table, Rows: b.Rows, Vectors: make([]study.Vector, len(p.masks))}
	for i, m := range p.masks {
		if out.Vectors[i], err = m.mask(b, &b.Vectors[m.column]); err != nil {
			return Batch{}, err
		}
	}
	return Batch{out}, nil
}
