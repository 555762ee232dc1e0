package pipeline

import (
	"slices"

	"longitude/study"
	"longitude/transform"
)

// layer is what one row tells of a record: a stored row, or a new one.
type layer struct {
	order study.Order
	new   *study.Record     // nil: it is stored
	was   *study.VersionRef // the stored version of the row, if there is one
	says  *transform.State  // nil: that the record is gone
	whole bool

	repeats bool // what another reading of the row told
}

// merged is what a record comes to, layer by layer.
type merged struct {
	*judging
	is   *transform.State // nil: there is no record
	hash [16]byte         // of the version that says so
}

// merge has the new rows of a record say what it came to with each of them. It
// answers what it comes to in the end where none of them says so.
func (j *judging) merge(h *study.History, s *saidOf, news []study.Record, refused map[int]string) (*study.Record, error) {
	var rows []*study.Record
	for _, i := range s.news {
		if refused[i] != "" {
			continue
		}
		r, part := &news[i], study.Part{}
		if r.Part != nil {
			part = *r.Part
		}
		r.Part, r.Sealed = &part, slices.Clone(r.Sealed) // they may have to be merged again
		rows = append(rows, r)
	}
	stored := current(h, s.stored)
	head, m := newest(stored), merged{judging: j}
	if len(rows) == 0 || !s.follows(news) {
		return m.layAll(h, j.layers(h, stored, rows), rows, head)
	}
	if head != nil && !head.Removed {
		m.is, m.hash = j.stored(h, head), head.Hash
	}
	for _, r := range rows {
		r.Part.Rank = study.Follows
		if err := m.lay(&layer{new: r, says: j.says(r), whole: !r.InPart()}); err != nil {
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // the last of them says it
}

// current are the versions as the history has them now: reading again may have taken
// their place in order.
func current(h *study.History, stored []study.VersionRef) []study.VersionRef {
	out := slices.Clone(stored)
	for i := range out {
		for k := range h.Versions {
			if v := &h.Versions[k]; v.Version == out[i].Version && v.Key == out[i].Key {
				out[i] = *v
			}
		}
	}
	return out
}

// says is what a new row says.
func (j *judging) says(r *study.Record) *transform.State {
	if r.Removed {
		return nil
	}
	return j.merger.Told(r)
}

// stored is what a version comes to.
func (j *judging) stored(h *study.History, v *study.VersionRef) *transform.State {
	content := j.contents[study.VersionID{Participant: h.Participant.ID, Key: v.Key, Version: v.Version}]
	return j.merger.Stored(v.Key.Form, &content)
}

// told is what the row of a version told.
func (j *judging) told(h *study.History, v *study.VersionRef) *transform.State {
	switch {
	case v.Removed:
		return nil
	case !v.InPart:
		return j.stored(h, v)
	}
	content := j.contents[study.VersionID{Participant: h.Participant.ID, Key: v.Key, Version: v.Version}]
	return j.merger.Stored(v.Key.Form, &content).Only(content.Fields)
}

// layers are the rows of a record in order: of a row that was read several times, the
// last reading; of one that gives the record no more, none.
func (j *judging) layers(h *study.History, stored []study.VersionRef, rows []*study.Record) []layer {
	type place struct{ landed, ordinal int64 }
	at := map[place]int{}
	var out []layer
	for i := range stored {
		v := &stored[i]
		if v.Derived || v.Landed == 0 {
			continue
		}
		l := layer{order: v.Order(), was: v, says: j.told(h, v), whole: !v.InPart}
		if k, again := at[place{v.Landed, v.Ordinal}]; again {
			out[k] = l
			continue
		}
		at[place{v.Landed, v.Ordinal}] = len(out)
		out = append(out, l)
	}
	for _, r := range rows {
		l := layer{order: r.Order(), new: r, says: j.says(r), whole: !r.InPart()}
		k, again := at[place{r.Landed, r.Ordinal}]
		if !again { // a transaction that comes a second time
			k = slices.IndexFunc(out, func(o layer) bool {
				return o.new == nil && !r.Modified.IsZero() && r.Modified.Equal(o.order.Modified) && l.tells(o.says, o.whole)
			})
			if again = k >= 0; again {
				l.order = out[k].order
			}
		}
		if again {
			l.was = out[k].was
			out[k] = l
			continue
		}
		out = append(out, l)
	}
	for i := range out {
		if l := &out[i]; l.new != nil && l.was != nil {
			l.repeats = l.tells(j.told(h, l.was), !l.was.InPart)
		}
	}
	slices.SortStableFunc(out, func(a, b layer) int {
		after, before := a.order.Replaces(b.order), b.order.Replaces(a.order)
		switch {
		case after && !before:
			return 1
		case before && !after:
			return -1
		}
		return 0
	})
	return out
}

// tells reports whether the layer tells what another reading of its row told. That a
// record is gone is stored of an old row as that there is nothing.
func (l *layer) tells(says *transform.State, whole bool) bool {
	if l.says == nil || says == nil {
		gone := func(s *transform.State, whole bool) bool { return s == nil || whole && s.Empty() }
		return gone(l.says, l.whole) && gone(says, whole)
	}
	return l.whole == whole && l.says.Same(says)
}

// layAll lays all rows of a record, because some come late or are read again.
func (m *merged) layAll(h *study.History, layers []layer, rows []*study.Record, head *study.VersionRef) (*study.Record, error) {
	for i := range layers {
		l := &layers[i]
		before := m.is
		if err := m.lay(l); err != nil {
			return nil, err
		}
		if l.new == nil {
			continue
		}
		again := l.was != nil || m.origin > 0
		part := l.new.Part
		switch {
		case l.repeats || again && l.was == nil && m.alike(before):
			part.Rank = study.Repeats
			continue
		case i < len(layers)-1:
			part.Rank = study.Past
		case again:
			part.Rank = study.Renews
		default:
			part.Rank = study.Current
		}
		if m.origin > 0 && m.removal != nil {
			m.removal.shared = true // what said nothing new may say something now
		}
		if part.Rank != study.Past {
			return nil, nil //nolint:nilnil // it says what there is
		}
	}
	if head == nil && m.is == nil {
		return nil, nil //nolint:nilnil // there was no such record and is none
	}
	return m.derive(h, layers, rows, head)
}

// alike reports whether the record comes to what it came to before.
func (m *merged) alike(before *transform.State) bool {
	if m.is == nil || before == nil {
		return m.is == nil && before == nil
	}
	return m.is.Same(before)
}

// lay lays one row over what the record came to before it.
func (m *merged) lay(l *layer) error {
	before := m.is
	switch {
	case l.says == nil, l.whole:
		m.is = l.says
	default:
		m.is = l.says.Over(before)
	}
	switch r := l.new; {
	case r == nil:
		m.hash = l.was.Hash
		return nil
	case l.says == nil, l.whole:
		m.hash = r.Hash
		return nil
	default:
		r.Part.Fields = study.FieldPlaces(l.says.Fields())
		if r.Change == study.ChangeUnexplained && !l.says.Changes(before) {
			r.Change = study.ChangeUnasked // nothing was there to be changed
		}
		return m.give(r)
	}
}

// give has a record say what there is now.
func (m *merged) give(r *study.Record) error {
	m.merger.Give(m.is, r)
	err := m.feed.Intake.Merged(r, m.hash)
	m.hash = r.Hash
	return err
}

// derive is what the record comes to where none of its rows says so by itself; nil
// where that is what is stored.
func (m *merged) derive(h *study.History, layers []layer, rows []*study.Record, head *study.VersionRef) (*study.Record, error) {
	d := &study.Record{Participant: h.Participant.ID, Landed: m.origin, Entered: study.NoDate, Withdrawn: study.NoDate, Consented: study.NoDate,
		StatusOn: study.NoDate, Removed: m.is == nil, KeyVersion: m.feed.Intake.KeyVersion(), Part: &study.Part{Derived: true, Rank: study.Current}}
	if len(rows) > 0 {
		last := rows[len(rows)-1]
		d.Form, d.Occurrence, d.Ordinal, d.Visit.Key = last.Form, last.Occurrence, last.Ordinal, last.Visit.Key
	} else {
		d.Form, d.Occurrence, d.Visit.Key = head.Key.Form, head.Key.Occurrence, keyOf(h, head.Key.VisitNo)
	}
	d.Visit.Type, d.Visit.Unsaid = -1, unsaid
	if n := len(layers); n > 0 {
		d.Modified, d.Precedence = layers[n-1].order.Modified, layers[n-1].order.Precedence
	}
	if d.Removed {
		d.Answers = blank(&m.feed.Study.Forms[d.Form])
	} else if err := m.give(d); err != nil {
		return nil, err
	}
	if head != nil && same(head.Hash, d.Hash, head.Removed, d.Removed) {
		return nil, nil //nolint:nilnil // it is stored
	}
	return d, nil
}
