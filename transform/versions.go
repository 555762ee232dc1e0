package transform

import (
	"math"

	"longitude/study"
)

// never is the day of adoption at a site that has not adopted an amendment.
const never study.Date = math.MaxInt32

// compileVersions compiles every version of the protocol; a study that declares
// none has one.
func compileVersions(s *study.Study, baseline int) [][]slot {
	if len(s.Versions) == 0 {
		return [][]slot{compileSlots(s, baseline, func(i int) (*study.VisitType, bool) { return &s.Visits[i], s.Visits[i].Absent })}
	}
	versions := make([][]slot, len(s.Versions))
	for k := range s.Versions {
		versions[k] = compileSlots(s, baseline, func(i int) (v *study.VisitType, absent bool) { return definition(s, k, i) })
	}
	return versions
}

// definition is visit type i in version k of the protocol. Where that version has
// no such type, it is that of the version before which has one, else after: the
// days on which the visit would have been due say which version is in force.
func definition(s *study.Study, k, i int) (v *study.VisitType, absent bool) {
	if v := &s.Versions[k].Visits[i]; !v.Absent {
		return v, false
	}
	for before := k - 1; before >= 0; before-- {
		if v := &s.Versions[before].Visits[i]; !v.Absent {
			return v, true
		}
	}
	for after := k + 1; after < len(s.Versions); after++ {
		if v := &s.Versions[after].Visits[i]; !v.Absent {
			return v, true
		}
	}
	return &s.Visits[i], true
}

// adopt finds when the participant's site adopted each version of the protocol.
func (j *judging) adopt(asOf study.Date) {
	if len(j.versions) == 1 {
		return
	}
	j.adopted = j.adopted[:0]
	for k := range j.study.Versions {
		v := &j.study.Versions[k]
		on := v.Effective // NoDate is before every day
		if at, own := v.Sites[j.out.Participant.Site]; own {
			if on = at; !at.Known() {
				on = never
			}
		}
		j.adopted = append(j.adopted, on)
	}
	j.newest = j.inForce(asOf)
}

// inForce is the version of the protocol in force at the participant's site on a
// day: the last that was adopted by then.
func (j *judging) inForce(day study.Date) int {
	for k := len(j.adopted) - 1; k > 0; k-- {
		if j.adopted[k] <= day {
			return k
		}
	}
	return 0
}

// version is the version of the protocol that judges v as a visit of type t. A
// visit that happened is judged by the one in force on its day, of a partial date
// the first; one that has not by the newest under which it is due once that is
// adopted; without a due date by the one in force on the as-of date, and so is
// every visit in a relative calendar, whose days do not compare with adoption.
func (j *judging) version(t int, v *study.Visit) int {
	switch {
	case len(j.versions) == 1:
		return 0
	case j.study.Relative:
		return j.newest
	case v.Actual.Known():
		return j.inForce(v.Actual.First())
	case t < 0:
		return j.newest
	}
	due := false
	for k := len(j.versions) - 1; k >= 0; k-- {
		d := j.window(&j.versions[k][t], v).Due
		if d.Known() && j.adopted[k] <= d {
			return k
		}
		due = due || d.Known()
	}
	if due {
		return 0
	}
	return j.newest
}

// slot is visit type t as the version of the protocol that judges v defines it.
func (j *judging) slot(t int, v *study.Visit) *slot { return &j.versions[j.version(t, v)][t] }

// judged is the type of v as the version of the protocol that judged it defines it.
func (j *judging) judged(v *study.Visit) *slot { return &j.versions[v.Protocol][v.Type] }
