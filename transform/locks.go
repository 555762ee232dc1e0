package transform

import (
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// lock refuses the new records that would change what is locked, as far as that
// can be said before visits are placed: by a lock on the study, on the participant,
// or on the type that a visit has in storage or by its key. What is refused tells
// its visit and participant nothing.
func (j *judging) lock() {
	if len(j.prior.Locks) == 0 || len(j.news) == 0 {
		return
	}
	j.locked = make([]int64, len(j.news))
	for i := range j.news {
		n, no := &j.news[i], int32(0)
		l := j.lockOn(-1)
		if n.Visit.Key != "" && !j.study.Forms[n.Form].Log {
			if at := j.find(j.prior.Visits, n.Visit.Key); at >= 0 {
				no, l = j.prior.Visits[at].No, earliest(l, j.lockOn(j.prior.Visits[at].Type))
			}
			l = earliest(l, j.lockOn(j.typeOf(n.Visit.Key)))
		}
		if l > 0 && j.changesStored(n, study.RecordKey{Form: n.Form, VisitNo: no, Occurrence: n.Occurrence}) {
			j.out.Blocked[i], j.locked[i] = study.EditedAfterLock, l
		}
	}
}

// lockPlaced refuses what only placement shows to be locked: a new record of a
// visit placed by date, a row that would move the date of a locked visit, and one
// that would change where a locked participant stands. It reports whether there
// was any.
func (j *judging) lockPlaced() (any bool) {
	if j.locked == nil {
		return false
	}
	refuse := func(row int, l int64) { j.out.Blocked[row], j.locked[row], any = study.EditedAfterLock, l, true }
	if l := j.lockOn(-1); l > 0 {
		for _, row := range j.restanding() {
			refuse(row, l)
		}
	}
	for i, no := range j.out.VisitNo {
		if no == 0 || j.out.Blocked[i] != "" {
			continue
		}
		at, n := j.at(no), &j.news[i]
		v := &j.out.Visits[at]
		l, moved := earliest(j.lockOn(-1), j.lockOn(v.Type)), false
		if at < len(j.prior.Visits) { // stored visits come first
			moved = moves(n, &j.prior.Visits[at], v)
		}
		if l > 0 && (moved || j.changesStored(n, j.keyOf(i))) {
			refuse(i, l)
		}
	}
	return any
}

// restanding are the new rows for which the participant stands otherwise than
// before: what a row says of that is no part of its record's content.
func (j *judging) restanding() (rows []int) {
	p, was := &j.out.Participant, &j.prior.Participant
	left := p.Withdrawn != was.Withdrawn
	if j.site >= 0 && p.Site != was.Site {
		rows = append(rows, j.site)
	}
	if j.withdrawn >= 0 && left {
		rows = append(rows, j.withdrawn)
	}
	if j.status >= 0 && (left || p.Status != was.Status || p.StatusOn != was.StatusOn) {
		rows = append(rows, j.status)
	}
	return rows
}

// moves reports whether the row is why the dates of a stored visit changed.
func moves(n *study.Record, before, now *study.Visit) bool {
	said := func(told, was, is study.PartialDate) bool { return was != is && told == is }
	return said(n.Visit.Actual, before.Actual, now.Actual) || said(n.Visit.Planned, before.Planned, now.Planned) ||
		said(n.Visit.Declared, before.Declared, now.Declared)
}

// lockOn is the first lock that covers a visit of type t (-1 = none) of the
// participant, 0 if there is none.
func (j *judging) lockOn(t int) (first int64) {
	for i := range j.prior.Locks {
		l := &j.prior.Locks[i]
		ours := l.Participant == 0 || l.Participant == j.prior.Participant.ID
		if ours && (l.Visit == "" || t >= 0 && l.Visit == j.study.Visits[t].Name) {
			first = earliest(first, l.ID)
		}
	}
	return first
}

// earliest is the lower number of two locks, of which 0 is none.
func earliest(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// changesStored reports whether a record says anything that is not stored under
// its key. A version that its source modified at a known time is known wherever in
// the history it stands.
func (j *judging) changesStored(n *study.Record, key study.RecordKey) bool {
	head := j.head(key)
	if head == nil || head.Removed {
		return !n.Removed
	}
	if n.Removed {
		return true
	}
	if head.Hash == n.Hash {
		return false
	}
	return n.Modified.IsZero() || !j.dated(saidAt{key, n.Hash, n.Modified.UnixMicro()})
}

// saidAt is what a record said when its source modified it.
type saidAt struct {
	key  study.RecordKey
	hash [16]byte
	at   int64 // in microseconds, as precise as times are read
}

// dated reports whether a version is stored, whatever came after it.
func (j *judging) dated(version saidAt) bool {
	if j.said == nil {
		j.said = make(map[saidAt]bool, len(j.prior.Versions))
		for i := range j.prior.Versions {
			if v := &j.prior.Versions[i]; !v.Removed {
				j.said[saidAt{v.Key, v.Hash, v.Modified.UnixMicro()}] = true
			}
		}
	}
	return j.said[version]
}

// head is the stored current version of the record with key, nil if there is none.
func (j *judging) head(key study.RecordKey) *study.VersionRef {
	if j.heads == nil {
		j.heads = make(map[study.RecordKey]int32, len(j.prior.Versions))
		for i := range j.prior.Versions {
			v := &j.prior.Versions[i]
			at, seen := j.heads[v.Key]
			if !v.Late && (!seen || j.prior.Versions[at].Version < v.Version) {
				j.heads[v.Key] = int32(i)
			}
		}
	}
	if at, ok := j.heads[key]; ok {
		return &j.prior.Versions[at]
	}
	return nil
}

// judgeLocks raises edited_after_lock for what is refused now, and keeps what was
// raised before as long as a lock covers it.
func (j *judging) judgeLocks() {
	for i, l := range j.locked {
		if l == 0 {
			continue
		}
		key := j.keyOf(i)
		j.raise(study.EditedAfterLock, j.visitOf(key.VisitNo), j.detail(key.Form, key.Occurrence), underLock(l))
	}
	for _, d := range j.stored {
		if d.Code != study.EditedAfterLock || d.State == study.Resolved {
			continue
		}
		v, l := j.visitOf(d.VisitNo), j.lockOn(-1)
		if v != nil {
			l = earliest(l, j.lockOn(v.Type))
		}
		same := func(l study.Lock) bool { return underLock(l.ID) == d.Evidence }
		if l > 0 || slices.ContainsFunc(j.prior.Locks, same) {
			j.raise(d.Code, v, d.Detail, d.Evidence)
		}
	}
}

func underLock(l int64) string { return "arrived under lock " + strconv.FormatInt(l, 10) }

// judgeChanges raises change_without_reason for what changed now, and keeps what
// was raised before as long as the record is there.
func (j *judging) judgeChanges() {
	for i := range j.changes {
		c := &j.changes[i]
		j.raise(study.ChangeWithoutReason, j.visitOf(c.record.visit), j.detail(int(c.record.form), c.record.occurrence),
			"version "+strconv.Itoa(int(c.from))+" changed without a reason")
	}
	for _, d := range j.stored {
		if d.Code != study.ChangeWithoutReason || d.State == study.Resolved {
			continue
		}
		form, occurrence, _ := strings.Cut(d.Detail, "/")
		there := func(occurrence string) bool {
			_, live := j.filedAt(study.RecordKey{Form: j.study.FormIndex(form), VisitNo: d.VisitNo, Occurrence: occurrence})
			return live
		}
		if there(occurrence) || occurrence == "" && there("1") {
			j.raise(d.Code, j.visitOf(d.VisitNo), d.Detail, d.Evidence)
		}
	}
}

// visitOf is the visit numbered no, nil for 0.
func (j *judging) visitOf(no int32) *study.Visit {
	if no == 0 {
		return nil
	}
	return j.visit(no)
}
