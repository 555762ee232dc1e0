package transform

import (
	"cmp"
	"slices"
	"time"

	"longitude/study"
)

// filed is the current version of one record: stored, or new.
type filed struct {
	visit, form int32
	row         int32 // index in news, -1 = stored
	version     int32 // index in prior.Versions, -1 = never stored
	entered     study.Date
	occurrence  string
}

func (f *filed) key() study.RecordKey {
	return study.RecordKey{Form: int(f.form), VisitNo: f.visit, Occurrence: f.occurrence}
}

// change is a record whose content changed although its source, which has a place
// for reasons, gave none.
type change struct {
	record filed
	from   int32 // version that was changed
}

// file lists the live records: what is stored, overlaid with what arrived.
func (j *judging) file() {
	all := j.desk.all[:0]
	for i := range j.prior.Versions {
		v := &j.prior.Versions[i]
		all = append(all, filed{v.Key.VisitNo, int32(v.Key.Form), -1, int32(i), v.Entered, v.Key.Occurrence})
	}
	for i := range j.news {
		if j.out.Blocked[i] == "" {
			n := &j.news[i]
			all = append(all, filed{j.out.VisitNo[i], int32(n.Form), int32(i), -1, n.Entered, n.Occurrence})
		}
	}
	j.desk.all = all
	all = j.desk.sort()
	j.records, j.removed, j.changes, j.gone = all[:0], nil, nil, nil
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && compareKeys(&all[from], &all[to]) == 0 {
			to++
		}
		current := &all[from]
		if to > from+1 {
			*current = j.current(all[from:to])
		}
		if j.live(current) {
			j.records = append(j.records, *current)
		} else {
			j.removed = append(j.removed, current.key())
		}
		from = to
	}
	j.takeBack()
}

func compareKeys(a, b *filed) int {
	if a.visit != b.visit {
		return cmp.Compare(a.visit, b.visit)
	}
	if a.form != b.form {
		return cmp.Compare(a.form, b.form)
	}
	return cmp.Compare(a.occurrence, b.occurrence)
}

// current reduces several versions of one record, in order of arrival, to the one
// that counts, with the day of the first entry: the earliest that the first batch
// with one gave, for ever: whatever is said later, it was entered by then.
func (j *judging) current(versions []filed) filed {
	top := versions[0]
	at := j.numbered(top, 0)
	last, changed := at, int32(0) // the number given last, and that of the version last changed without a reason
	first := top                  // that says when it was entered
	for _, next := range versions[1:] {
		first = j.first(first, next, top)
		number := at
		if next.row < 0 || !j.alike(next, top) {
			number = j.numbered(next, last)
			last = max(last, number)
		}
		if j.replaces(next, top) {
			if j.unexplained(next, top) {
				changed = at
			}
			stored := top.version
			if top, at = next, number; top.version < 0 {
				top.version = stored
			}
		}
	}
	top.entered = first.entered
	if changed > 0 && !j.repeats(top) && j.live(&top) {
		j.changes = append(j.changes, change{top, changed})
	}
	return top
}

// first is the version that says when the record was entered, once next is seen
// too. What repeats top is not stored, nor is its day.
func (j *judging) first(first, next, top filed) filed {
	stored := first.row < 0 && first.entered.Known()
	switch {
	case stored && (next.row >= 0 || j.prior.Versions[next.version].BatchID != j.prior.Versions[first.version].BatchID):
		return first
	case next.row >= 0 && j.alike(next, top) && (j.news[next.row].Modified.IsZero() || j.news[next.row].Modified.Equal(j.order(top).Modified)):
		return first
	case earlier(first.entered, next.entered) == first.entered:
		return first
	}
	return next
}

// numbered is the version number of f, a new one being the next after last.
func (j *judging) numbered(f filed, last int32) int32 {
	if f.row < 0 {
		return j.prior.Versions[f.version].Version
	}
	return last + 1
}

// alike reports whether two versions of a record say the same.
func (j *judging) alike(a, b filed) bool {
	x, goneX := j.content(a)
	y, goneY := j.content(b)
	return x == y && goneX == goneY
}

func (j *judging) content(f filed) (hash [16]byte, removed bool) {
	if f.row >= 0 {
		return j.news[f.row].Hash, j.news[f.row].Removed
	}
	return j.prior.Versions[f.version].Hash, j.prior.Versions[f.version].Removed
}

// live reports whether f is a record and not a tombstone.
func (j *judging) live(f *filed) bool {
	if f.row >= 0 {
		return !j.news[f.row].Removed
	}
	return !j.prior.Versions[f.version].Removed
}

// replaces reports whether next counts instead of top, which arrived before it.
func (j *judging) replaces(next, top filed) bool {
	if next.row < 0 {
		return !j.prior.Versions[next.version].Late
	}
	return j.news[next.row].Order().Replaces(j.order(top))
}

func (j *judging) order(f filed) study.Order {
	if f.row >= 0 {
		return j.news[f.row].Order()
	}
	return j.prior.Versions[f.version].Order()
}

// unexplained reports whether the new row next changes top and its source says
// no reason, though it has a place for one. A removal is no change.
func (j *judging) unexplained(next, top filed) bool {
	return next.row >= 0 && j.news[next.row].Change == study.ChangeUnexplained && j.live(&next) && j.live(&top) && !j.alike(next, top)
}

// repeats reports whether f is a new row that says what is stored.
func (j *judging) repeats(f filed) bool {
	return f.row >= 0 && f.version >= 0 && j.alike(f, filed{row: -1, version: f.version})
}

// filedAt finds the live record with key.
func (j *judging) filedAt(key study.RecordKey) (*filed, bool) {
	want := filed{visit: key.VisitNo, form: int32(key.Form), occurrence: key.Occurrence}
	i, found := slices.BinarySearchFunc(j.records, want, func(a, b filed) int { return compareKeys(&a, &b) })
	if !found {
		return nil, false
	}
	return &j.records[i], true
}

// of is the live records of the visit numbered no, 0 = of none.
func (j *judging) of(no int32) []filed {
	from, _ := slices.BinarySearchFunc(j.records, no, func(f filed, no int32) int { return cmp.Compare(f.visit, no) })
	records := j.records[from:]
	return records[:run(records, func(f *filed) bool { return f.visit == no })]
}

// takeBack undoes what removed records said of their visits: a visit that had
// records and has none any more has not happened, and whatever arrives of it next
// says when it did.
func (j *judging) takeBack() {
	for _, r := range j.removed {
		again := len(j.gone) > 0 && j.gone[len(j.gone)-1] == r.VisitNo // they are in order of visits
		if r.VisitNo == 0 || again || len(j.of(r.VisitNo)) > 0 {
			continue
		}
		j.gone = append(j.gone, r.VisitNo)
		v := j.visit(r.VisitNo)
		v.Actual, v.Reason, v.Modified, v.Told.Actual = study.PartialDate{}, false, time.Time{}, study.Told{}
	}
}

// isGone reports whether v had records and has none any more.
func (j *judging) isGone(v *study.Visit) bool {
	_, gone := slices.BinarySearch(j.gone, v.No)
	return gone
}

// detail names a record of f's kind in a deviation: the form, and the occurrence
// where there can be several.
func (j *judging) detail(form int, occurrence string) string {
	if occurrence == "" || occurrence == "1" {
		return j.study.Forms[form].Name
	}
	return j.study.Forms[form].Name + "/" + occurrence
}

// earlier is the earlier of two dates, of which either may be unknown.
func earlier(a, b study.Date) study.Date {
	if !a.Known() || b.Known() && b < a {
		return b
	}
	return a
}
