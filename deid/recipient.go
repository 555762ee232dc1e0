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

	series              string
	keyVersion          int
	ids, others, shifts *mac

	asOf, first, cutoff study.Date // of the release, see Begin
	windowed            bool       // Window was asked

	texts   *mac                      // marks of texts
	signers map[study.Digest][]string // of marks, see Reviewed

	old        map[int64]bool  // participants met by Survey: whether 90 or older
	people     []int64         // of the last Population, in its order
	judged     []string        // its quasi-identifiers
	pooled     map[string]bool // sites released as one; nil: not counted
	levels     map[string]int  // chosen by the risk gate, by column
	suppressed map[int64]bool
	chosen     bool

	tables map[*study.Table]*projection
	order  []*projection // as they were projected
}

// Batch is a batch of rows after door 2. Its contents are unexported and only
// Recipient.Apply makes one.
type Batch struct{ b study.Batch }

// Rows is the number of rows.
func (b Batch) Rows() int { return b.b.Rows }

// projection is a table compiled once: the released table, one mask per column of
// it, and for the report what became of each column before.
type projection struct {
	from    *study.Table
	table   *study.Table
	masks   []masked
	columns []treated
}

type masked struct {
	column int // in the table before door 2
	mask   mask
}

// treated is what became of a column.
type treated struct {
	from     study.Column
	released []string
	why      string
	limit    limit
	counts   *Counts
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
	r := &Recipient{study: s, zone: zone, series: series, keyVersion: versionOf(k), signers: map[study.Digest][]string{}}
	if r.texts, err = newMAC(At(k, 1), s.Name, PurposeContent, ""); err != nil {
		return nil, err
	}
	r.Begin(study.NoDate, study.NoDate, study.NoDate)
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

// versionOf is the version of the study's root key that k derives from: the first,
// unless a series was pinned to another (see At).
func versionOf(k Keys) int {
	if p, later := k.(pinned); later {
		return p.version
	}
	return 1
}

// Begin starts a release, judged on asOf, of data that lie between the days first
// and cutoff; NoDate where that is not known. Ages are reckoned and the expert's
// determination is held against asOf, never against today. What an earlier release
// counted, surveyed and chose is forgotten.
func (r *Recipient) Begin(asOf, first, cutoff study.Date) {
	r.asOf, r.first, r.cutoff, r.windowed = asOf, first, cutoff, false
	if !cutoff.Known() {
		r.cutoff = asOf
	}
	r.old = map[int64]bool{}
	r.people, r.judged, r.pooled = nil, nil, nil
	r.levels, r.suppressed, r.chosen = nil, nil, false
	r.forget()
}

// forget drops what was projected.
func (r *Recipient) forget() { r.tables, r.order = map[*study.Table]*projection{}, nil }

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
		counts := new(Counts)
		rule, err := r.rule(t, column, counts)
		if err != nil {
			return nil, err
		}
		if rule.unclassified {
			without = append(without, t.Name+"."+column.Name)
			continue
		}
		became := treated{from: column, why: rule.why, limit: rule.limit, counts: counts}
		for _, out := range rule.outlets {
			p.table.Columns = append(p.table.Columns, out.column)
			p.masks = append(p.masks, masked{i, out.mask})
			became.released = append(became.released, out.column.Name)
		}
		if len(rule.outlets) > 0 {
			renamed[column.Name] = rule.outlets[0].column.Name
		}
		p.columns = append(p.columns, became)
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
	if i := slices.IndexFunc(r.order, func(before *projection) bool { return before.from == t }); i >= 0 {
		r.order[i] = p // as the risk gate chose
	} else {
		r.order = append(r.order, p)
	}
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

// gathered reports whether a quasi-identifier of a form is released in
// participants, or may not be released elsewhere because a risk gate is asked for.
func (r *Recipient) gathered(c study.Column) bool {
	if r.study.Deid.Risk.K > 0 {
		return true
	}
	return slices.ContainsFunc(r.order, func(p *projection) bool {
		return perPerson(p.from) && slices.ContainsFunc(p.from.Columns, func(own study.Column) bool { return own.Form == c.Form && own.Field == c.Field && own.Field != "" })
	})
}
