package transform

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"longitude/study"
)

// byDate is how the key of a visit begins that the source identifies by its date
// alone: its type follows from the windows. Every other key is the source's own
// event: the name of a visit type, or something the protocol does not know.
const byDate = "d:"

// manyVisits is where looking a visit up by scanning stops being the fastest.
const manyVisits = 32

// merge puts the facts of the new records on their visits: stored ones, and new
// ones numbered in order of date and key.
func (j *judging) merge() {
	stored := len(j.prior.Visits)
	visits := append(make([]study.Visit, 0, stored+len(j.study.Visits)), j.prior.Visits...)
	next := int32(1)
	for i := range visits {
		next = max(next, visits[i].No+1)
	}
	j.out.VisitNo, j.stated, j.known = make([]int32, len(j.news)), nil, nil
	number, at := next, -1
	for i := range j.news {
		n := &j.news[i]
		if n.Visit.Key == "" || j.study.Forms[n.Form].Log {
			continue
		}
		if at < 0 || visits[at].Key != n.Visit.Key { // rows of one visit tend to stand together …
			if at++; at == len(visits) || visits[at].Key != n.Visit.Key { // … or in order of visits
				at = j.find(visits, n.Visit.Key)
			}
		}
		if at < 0 {
			if j.out.Blocked[i] != "" {
				continue // refused: the visit never came to be
			}
			at = len(visits)
			visits = append(visits, study.Visit{No: number, Key: n.Visit.Key, Type: -1})
			number++
		}
		if j.out.Blocked[i] == "" && !n.Removed {
			tell(&visits[at], n, &j.desk.told[i])
		}
		j.out.VisitNo[i] = visits[at].No
	}
	for i := range j.prior.Visits {
		if restated(&j.prior.Visits[i], &visits[i]) {
			j.stated = append(j.stated, visits[i].No)
		}
	}
	j.out.Visits = visits
	j.number(visits[stored:], next)
}

// find is the index of the visit with key, or -1.
func (j *judging) find(visits []study.Visit, key string) int {
	if len(visits) <= manyVisits {
		for i := range visits {
			if visits[i].Key == key {
				return i
			}
		}
		return -1
	}
	if j.known == nil {
		j.known = make(map[string]int32, 2*len(visits))
	}
	for i := len(j.known); i < len(visits); i++ {
		j.known[visits[i].Key] = int32(i) + 1
	}
	return int(j.known[key]) - 1
}

// newer reports whether a row modified at m replaces what was modified at than
// and arrived before it. Where either does not say, arrival decides.
func newer(m, than time.Time) bool { return m.IsZero() || than.IsZero() || !m.Before(than) }

// tell sets the facts of v from a row, each unless a later row has told it. A blank
// takes a date back only where the row is known to be newer and its source has a
// place for it: rows of one visit, and sources of one participant, say different
// things of it. The reason is of the row modified last.
func tell(v *study.Visit, n *study.Record, at *study.Told) {
	ref := &n.Visit
	changed := tellDate(&v.Actual, &v.Told.Actual, ref.Actual, at, ref.Unsaid&study.UnsaidActual == 0)
	changed = tellDate(&v.Planned, &v.Told.Planned, ref.Planned, at, ref.Unsaid&study.UnsaidPlanned == 0) || changed
	changed = tellDate(&v.Declared, &v.Told.Declared, ref.Declared, at, ref.Unsaid&study.UnsaidDeclared == 0) || changed
	if !newer(n.Modified, v.Modified) {
		return
	}
	if ref.Type >= 0 {
		v.Type = ref.Type
	}
	corrects := !v.Modified.IsZero() && n.Modified.After(v.Modified)
	v.Reason = ref.Reason || v.Reason && !changed && (!corrects || ref.Unsaid&study.UnsaidReason != 0)
	if n.Modified.After(v.Modified) && ref.Unsaid&study.UnsaidActual == 0 {
		v.Modified = n.Modified
	}
}

// tellDate sets a date from a row that says it at a time, unless a later row has
// told it, and reports whether it changed. asked: the row's source has a place for
// the date.
func tellDate(is *study.PartialDate, told *study.Told, says study.PartialDate, at *study.Told, asked bool) (changed bool) {
	switch {
	case says.Known() && says != *is:
		if !at.Replaces(*told) {
			return false
		}
	case says.Known():
		if !at.Renews(*told) {
			return false
		}
	case !asked || !at.Dated:
		return false
	case !is.Known() && !told.Known(): // it was never told that there is none
	case !told.Dated || at.At <= told.At || !at.Replaces(*told):
		return false
	}
	changed = *is != says
	*is, *told = says, *at
	return changed
}

// restated reports whether now has a reason that the visit before did not have,
// or not for these facts. The same row delivered again explains nothing anew.
func restated(before, now *study.Visit) bool {
	same := before.Reason && now.Actual == before.Actual && now.Planned == before.Planned && now.Declared == before.Declared
	return now.Reason && (!same || now.Modified.After(before.Modified))
}

// number orders new visits by date (undated ones last) and key, so that the
// order of arrival leaves no trace, and numbers them from next.
func (j *judging) number(visits []study.Visit, next int32) {
	inOrder := true
	for i := 1; i < len(visits); i++ {
		inOrder = inOrder && compareVisits(&visits[i-1], &visits[i]) <= 0
	}
	if inOrder {
		return // numbered so already
	}
	slices.SortFunc(visits, func(a, b study.Visit) int { return compareVisits(&a, &b) })
	final := make([]int32, len(visits))
	for i := range visits {
		final[visits[i].No-next] = next + int32(i)
		visits[i].No = next + int32(i)
	}
	for i, no := range j.out.VisitNo {
		if no >= next {
			j.out.VisitNo[i] = final[no-next]
		}
	}
}

func compareVisits(a, b *study.Visit) int {
	if known := a.Actual.Known(); known != b.Actual.Known() {
		if known {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Actual.First(), b.Actual.First()),
		cmp.Compare(a.Actual.Last(), b.Actual.Last()), cmp.Compare(a.Key, b.Key))
}

// place finds the type of every visit: by the name in its key, else by date. A
// visit that has not happened leaves its slot to one that has, and one that
// happened where the protocol in force had no such type is of none.
func (j *judging) place() {
	j.holders = slices.Repeat([]int{vacant}, len(j.study.Visits))
	j.tied = nil
	dated := false
	for i := range j.out.Visits {
		v := &j.out.Visits[i]
		if strings.HasPrefix(v.Key, byDate) {
			v.Type, dated = -1, true
		} else if t := j.typeOf(v.Key); t >= 0 {
			v.Type = t
		} else if v.Type >= len(j.study.Visits) {
			v.Type = -1 // the type has left the protocol
		}
		if v.Type < 0 || !v.Actual.Known() {
			continue
		}
		if j.slot(v.Type, v).absent {
			v.Type = -1
		} else if j.holders[v.Type] == vacant {
			j.holders[v.Type] = i
		}
	}
	for dated && (j.placeByDate(false) || j.reaches && j.placeByDate(true)) { // again: a visit just placed may anchor further windows
	}
	for i := range j.out.Visits {
		v := &j.out.Visits[i]
		if v.Type >= 0 && !v.Actual.Known() && j.holders[v.Type] != vacant && j.isExpected(v) && !j.study.Visits[v.Type].Repeats {
			v.Type = -1
		}
	}
}

// typeOf is the visit type that a key names, -1 if none: the whole key, or what
// stands before its first slash for a type that takes several visits.
func (j *judging) typeOf(key string) int {
	if t := j.study.VisitIndex(key); t >= 0 {
		return t
	}
	name, _, repeat := strings.Cut(key, "/")
	if !repeat {
		return -1
	}
	if t := j.study.VisitIndex(name); t >= 0 && j.study.Visits[t].Repeats {
		return t
	}
	return -1
}

// isExpected reports whether v is identified by nothing but its type.
func (j *judging) isExpected(v *study.Visit) bool { return j.study.VisitIndex(v.Key) >= 0 }

// fit is a visit that a vacant slot could take: its distance is that to the
// target inside the window, and to the nearer end of the window outside.
type fit struct{ distance, visit, slot int }

// placeByDate gives the visits that have only a date to the vacant slots whose
// window holds them, nearest to the target first; or (beyond) to those that reach
// them outside their window, nearest to its end first. Where two fit equally well,
// neither is taken: a tie is a finding, not a guess.
func (j *judging) placeByDate(beyond bool) (placed bool) {
	fits := j.fits(beyond)
	for from := 0; from < len(fits); {
		to := from
		var level []fit // the fits at one distance that are still possible
		for ; to < len(fits) && fits[to].distance == fits[from].distance; to++ {
			if f := fits[to]; j.out.Visits[f.visit].Type < 0 && j.holders[f.slot] == vacant && !j.tied[f.visit] {
				level = append(level, f)
			}
		}
		from = to
		for _, f := range level {
			rival := func(o fit) bool { return o != f && (o.visit == f.visit || o.slot == f.slot) }
			if slices.ContainsFunc(level, rival) {
				if j.tied == nil {
					j.tied = map[int]bool{}
				}
				j.tied[f.visit] = true
				j.holders[f.slot] = contested
				continue
			}
			j.out.Visits[f.visit].Type, j.holders[f.slot] = f.slot, f.visit
			placed = true
		}
	}
	return placed
}

func (j *judging) fits(beyond bool) []fit {
	var fits []fit
	for t := range j.holders {
		if j.holders[t] != vacant {
			continue
		}
		for i := range j.out.Visits {
			v := &j.out.Visits[i]
			if v.Type >= 0 || !v.Actual.Exact() || !strings.HasPrefix(v.Key, byDate) {
				continue
			}
			s := j.slot(t, v)
			if !s.windowed || s.absent {
				continue
			}
			if distance, ok := s.distance(v.Actual.First(), j.window(s, v), beyond); ok {
				fits = append(fits, fit{distance, i, t})
			}
		}
	}
	slices.SortFunc(fits, func(a, b fit) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.visit, b.visit), cmp.Compare(a.slot, b.slot))
	})
	return fits
}

// distance says how well slot s with window d takes a visit on day at, by date
// alone; ok is false where it does not.
func (s *slot) distance(at study.Date, d study.Verdict, beyond bool) (days int, ok bool) {
	if !d.Due.Known() {
		return 0, false
	}
	outside := max(int(d.WindowStart-at), int(at-d.WindowEnd))
	if beyond {
		return outside, outside > 0 && outside <= s.reach
	}
	return max(int(at-d.Due), int(d.Due-at)), outside <= 0
}

// expect adds the visits that an enrolled participant owes: one for every type
// that has an anchor and no visit, numbered in protocol order. A type that repeats
// owes none, and neither does a screen failure.
func (j *judging) expect() {
	if !j.out.Participant.Enrolled || j.out.Participant.Status == study.ScreenFailure {
		return
	}
	next := int32(1)
	for i := range j.out.Visits {
		next = max(next, j.out.Visits[i].No+1)
	}
	for t := range j.holders {
		if j.holders[t] != vacant || j.planned(t) {
			continue
		}
		v := study.Visit{No: next, Key: j.study.Visits[t].Name, Type: t}
		if s := j.slot(t, &v); !s.absent && (s.windowed || s.required) && j.anchor(s).Known() {
			j.out.Visits = append(j.out.Visits, v)
			next++
		}
	}
}

// planned reports whether there is a visit of type t already, though it has not
// happened, or one of its name that happened before the type was adopted.
func (j *judging) planned(t int) bool {
	for i := range j.out.Visits {
		if v := &j.out.Visits[i]; v.Type == t || v.Type < 0 && v.Key == j.study.Visits[t].Name {
			return true
		}
	}
	return false
}

// refuse applies the policy block: it refuses the new records of one visit that
// lies outside its window, and reports whether there was one. The anchor comes
// first, then protocol order, because a refused visit moves no other window.
func (j *judging) refuse() bool {
	if p := &j.study.Deviations; p.VisitOutOfWindow != policyBlock && p.PlannedOutOfWindow != policyBlock {
		return false
	}
	worst, code, rank := int32(0), "", len(j.holders)
	for i, no := range j.out.VisitNo {
		if no == 0 || j.out.Blocked[i] != "" {
			continue
		}
		v := j.visit(no)
		if v.Type < 0 || rank <= j.rank(v.Type) {
			continue
		}
		if c := j.outside(v); c != "" {
			worst, code, rank = no, c, j.rank(v.Type)
		}
	}
	for i, no := range j.out.VisitNo {
		if worst > 0 && no == worst {
			j.out.Blocked[i] = code
		}
	}
	return worst > 0
}

// rank is the place of a slot in protocol order, the baseline before all.
func (r *Rules) rank(t int) int {
	if t == r.baseline {
		return -1
	}
	return t
}

// outside is the code that the study blocks and that holds of v, the visit or its
// planned date; "" where nothing lies outside its window or it cannot be said.
func (j *judging) outside(v *study.Visit) string {
	at, policy, code := v.Actual, j.study.Deviations.VisitOutOfWindow, study.VisitOutOfWindow
	if !at.Known() {
		at, policy, code = v.Planned, j.study.Deviations.PlannedOutOfWindow, study.PlannedOutOfWindow
	}
	if policy != policyBlock || !at.Known() {
		return ""
	}
	if s := j.slot(v.Type, v); misplaced(timing(at, j.window(s, v), s.windowed)) {
		return code
	}
	return ""
}

// visit is the visit numbered no; there must be one.
func (j *judging) visit(no int32) *study.Visit { return &j.out.Visits[j.at(no)] }

func (j *judging) at(no int32) int {
	visits := j.out.Visits
	return sort.Search(len(visits), func(i int) bool { return visits[i].No >= no })
}
