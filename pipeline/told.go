package pipeline

import (
	"hash/maphash"
	"strconv"

	"longitude/study"
)

// A fact is kept with when it was told. Of rows that do not say when they were
// modified that is when a source first told it, not when it repeated it: an export
// that says what is known leaves no trace. So where such rows are read again, a
// fact that was repeated by an object that landed later stays; objects are read
// again from the last to the first, and what one told none before it tells again.
type told struct {
	seed  maphash.Seed
	later map[uint64]struct{} // facts told by objects that landed later and are read again too
	now   map[uint64]struct{} // by the object that is being read
}

func newTold() *told {
	return &told{seed: maphash.MakeSeed(), later: map[uint64]struct{}{}, now: map[uint64]struct{}{}}
}

// turn makes way for the object that landed before.
func (t *told) turn() {
	for fact := range t.now {
		t.later[fact] = struct{}{}
	}
	clear(t.now)
}

// silence takes from rows that are read again, and do not say when they were
// modified, the facts that an object which landed later told otherwise: one that is
// read again with them or, of what is stored, one that is not (overtaken).
func (t *told) silence(h *study.History, news []study.Record, overtaken, fresh bool) {
	for i := range news {
		n := &news[i]
		if !n.Modified.IsZero() {
			continue
		}
		silent := func(fact string, stored bool) bool {
			key := maphash.String(t.seed, strconv.FormatInt(n.Participant, 10)+"\x1f"+fact)
			t.now[key] = struct{}{}
			_, later := t.later[key]
			return later || overtaken && stored
		}
		v := &n.Visit
		stored := visitOf(h, v.Key) > 0
		for _, fact := range []struct {
			of study.Unsaid
			is *study.PartialDate
		}{{study.UnsaidActual, &v.Actual}, {study.UnsaidPlanned, &v.Planned}, {study.UnsaidDeclared, &v.Declared}} {
			if fact.is.Known() && silent(v.Key+"\x1f"+strconv.Itoa(int(fact.of)), stored) {
				*fact.is, v.Unsaid = study.PartialDate{}, v.Unsaid|fact.of
			}
		}
		if n.Site != "" && silent("site", !fresh) {
			n.Site = ""
		}
		if n.Withdrawn.Known() && silent("withdrawn", !fresh) {
			n.Withdrawn = study.NoDate
		}
		if n.Status != "" && silent("status", !fresh) {
			n.Status, n.StatusOn = "", study.NoDate
		}
	}
}
