package pipeline

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"longitude/connectors"
	"longitude/study"
)

// removal finds the records that are gone because an object no longer has them:
// of a complete snapshot what its source, or objects of its name, held before, and
// of an object that is read again what only its earlier readings gave; of the
// newest snapshot both. A record that anything else ever stored a version of stays.
//
// What was refused of the object may be what is absent from it. Of a snapshot
// nobody knows whose refused rows are, so nothing of a form is taken as gone while
// records of that form, or rows, are refused. Of an object that is read again the
// row is known that gave a record.
type removal struct {
	source     string
	precedence int32                          // of the source
	alone      func(v *study.VersionRef) bool // the version is the source's, or the object's
	keeps      func(v *study.VersionRef) bool // what was refused may be this
	landed     int64                          // of an object that is read again: the batch that first read it; 0 = now
	together   map[int64]bool                 // the same of all objects that are read again with it
	whole      map[int64]bool                 // if that is the newest snapshot: the batches of all like it
	refused    map[string]bool                // forms of records that were refused of it; "" = whole rows
	limit      float64                        // share of live that may go, of a snapshot
	asserted   []int64                        // participants that may have something to lose, ascending
	batches    map[int64]bool                 // of the source, where what may go is a share of all that it has; nil = of what is looked at
	study      *study.Study

	live, gone int64
	shared     bool // something stepped back that another object may have said too
	renames    renames
}

// newRemoval prepares the removal of an object before it is judged; nil when its
// absences mean nothing.
func newRemoval(ctx context.Context, r *reading, d *door) (*removal, error) {
	if r.holds == connectors.Participants {
		return newWholeness(ctx, r, d)
	}
	kind := r.feed.Config.Snapshot.Kind
	snapshot := (kind == study.Complete || kind == study.CompleteByName) && (r.origin == 0 || r.newest)
	if r.origin == 0 && !snapshot {
		return nil, nil
	}
	item := r.item
	if snapshot && kind == study.Complete {
		item = ""
	}
	batches, err := r.tx.BatchesOf(ctx, r.feed.Config.Name, item)
	if err != nil || len(batches) == 0 {
		return nil, err
	}
	m := &removal{source: r.feed.Config.Name, precedence: r.precedence, study: r.feed.Study, landed: r.origin, together: r.together,
		limit: r.feed.Config.Snapshot.MaxRemoved, refused: d.refusedForms}
	if m.asserted, err = r.tx.Asserted(ctx, batches); err != nil {
		return nil, err
	}
	if r.origin > 0 {
		m.alone = func(v *study.VersionRef) bool { return v.Landed == 0 || m.together[v.Landed] }
		m.keeps = func(v *study.VersionRef) bool { return d.refusedRows[v.Ordinal] }
		if snapshot {
			m.whole = batches
		}
		return m, nil
	}
	m.alone = func(v *study.VersionRef) bool { return batches[v.BatchID] }
	m.keeps = m.ofRefused
	return m, m.renames.prepare(ctx, r.tx, m, d)
}

// vanished are the participants that had something and are not in the object.
func (m *removal) vanished(d *door) (out []int64) {
	for _, p := range m.asserted {
		if _, here := d.code[p]; !here {
			out = append(out, p)
		}
	}
	return out
}

// ofRefused reports whether the version is of a form of which records, or rows, are refused.
func (m *removal) ofRefused(v *study.VersionRef) bool {
	return m.refused[""] || m.refused[m.study.Forms[v.Key.Form].Name]
}

// absent makes tombstones for the participant's records that are gone: live,
// nobody else's, and not among the new ones. placed are the numbers of the visits
// that those belong to.
func (m *removal) absent(h *study.History, news []study.Record, placed []int32) []study.Record {
	here := m.keys(h, news, placed)
	stays := m.renames.stays(h)
	var out []study.Record
	m.each(h, m.alone, func(versions []study.VersionRef) {
		v := newest(versions)
		if v == nil || v.Removed || m.landed > 0 && v.Landed > 0 || inParts(versions) {
			return
		}
		m.live++
		if stays || here[v.Key] || m.keeps(v) {
			return
		}
		m.gone++
		out = append(out, m.tombstone(h, v))
	})
	if m.whole == nil {
		return out
	}
	m.each(h, func(v *study.VersionRef) bool { return m.whole[v.BatchID] }, func(versions []study.VersionRef) {
		v := newest(versions)
		if v == nil || v.Removed || v.Landed == 0 {
			return
		}
		m.live++
		if stays || here[v.Key] || m.ofRefused(v) {
			return
		}
		m.gone++
		t := m.tombstone(h, v)
		t.Ordinal = math.MaxInt32 // behind every row of the snapshot, which as a whole says so
		out = append(out, t)
	})
	return out
}

// keys are those of the new records. One that is refused is of no visit.
func (m *removal) keys(h *study.History, news []study.Record, placed []int32) map[study.RecordKey]bool {
	here := make(map[study.RecordKey]bool, len(news))
	for i := range news {
		n := &news[i]
		here[study.RecordKey{Form: n.Form, VisitNo: placed[i], Occurrence: n.Occurrence}] = true
		if no := visitOf(h, n.Visit.Key); no > 0 {
			here[study.RecordKey{Form: n.Form, VisitNo: no, Occurrence: n.Occurrence}] = true
		}
	}
	return here
}

// void takes the place in order from versions whose row, read again, gives their
// record no more: whatever else is said of it counts instead. A row of which a
// rule refuses anything may give it still.
func (m *removal) void(h *study.History, news []study.Record, verdict *study.Judgement) (any bool) {
	type origin struct {
		key     study.RecordKey
		ordinal int64
	}
	given, refused := make(map[origin]bool, len(news)), map[int64]bool{}
	for i := range news {
		if verdict.Blocked[i] != "" {
			refused[news[i].Ordinal] = true
		}
		for key := range m.keys(h, news[i:i+1], verdict.VisitNo[i:i+1]) {
			given[origin{key, news[i].Ordinal}] = true
		}
	}
	m.each(h, m.alone, func(versions []study.VersionRef) {
		for i := range versions {
			if v := &versions[i]; v.Landed == m.landed && !v.Removed && !v.Derived && !given[origin{v.Key, v.Ordinal}] && !refused[v.Ordinal] && !m.keeps(v) {
				v.Landed, v.Modified, any = 0, time.Time{}, true
				m.shared = m.shared || !v.Late
			}
		}
	})
	return any
}

// unasserted takes the place in order from tombstones that say of a record only
// that an object, read again, gives it no more: no source has removed it.
func unasserted(versions []study.VersionRef) {
	for i := range versions {
		if v := &versions[i]; v.Removed && v.Ordinal == 0 && v.Landed != v.BatchID {
			v.Landed = 0
		}
	}
}

// each calls do with the versions of every record of which all are ours.
func (m *removal) each(h *study.History, ours func(*study.VersionRef) bool, do func(versions []study.VersionRef)) {
	inOrder(h.Versions)
	for start := 0; start < len(h.Versions); {
		end, alone := start, true
		for ; end < len(h.Versions) && h.Versions[end].Key == h.Versions[start].Key; end++ {
			alone = alone && ours(&h.Versions[end])
		}
		if alone {
			do(h.Versions[start:end])
		}
		start = end
	}
}

// unsaid is what a row without any fact of its visit leaves unsaid.
const unsaid = study.UnsaidActual | study.UnsaidPlanned | study.UnsaidDeclared | study.UnsaidReason

// tombstone is a record that says of v that it is gone; no row says so.
func (m *removal) tombstone(h *study.History, v *study.VersionRef) study.Record {
	r := study.Record{Participant: h.Participant.ID, Form: v.Key.Form, Occurrence: v.Key.Occurrence, Removed: true, Landed: m.landed, Precedence: m.precedence,
		Entered: study.NoDate, Withdrawn: study.NoDate, Consented: study.NoDate, StatusOn: study.NoDate,
		Answers: blank(&m.study.Forms[v.Key.Form]), Visit: study.VisitRef{Type: -1}}
	if v.Key.VisitNo > 0 {
		r.Visit.Key = keyOf(h, v.Key.VisitNo)
		r.Visit.Unsaid = unsaid
	}
	return r
}

// blank packs answers of which none is given.
func blank(f *study.Form) string {
	marks := make([]string, len(f.Fields))
	for i := range marks {
		marks[i] = study.MissingMark
	}
	return strings.Join(marks, string(study.FieldSeparator))
}

func visitOf(h *study.History, key string) int32 {
	for i := range h.Visits {
		if key != "" && h.Visits[i].Key == key {
			return h.Visits[i].No
		}
	}
	return 0
}

func keyOf(h *study.History, no int32) string {
	i, ok := slices.BinarySearchFunc(h.Visits, no, func(v study.Visit, no int32) int { return cmp.Compare(v.No, no) })
	if !ok {
		return ""
	}
	return h.Visits[i].Key
}

// check refuses an object, or a list, from which more is missing than its source allows.
func (m *removal) check(ctx context.Context, r *reading) error {
	switch {
	case m == nil || m.landed > 0 && m.whole == nil:
		return nil
	case m.batches == nil:
		return m.tooMany("an object")
	}
	if err := m.standing(ctx, r); err != nil {
		return err
	}
	return m.tooMany("what was delivered")
}
