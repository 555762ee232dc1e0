package study

// Baseline is the index in Visits of the visit whose actual date is the anchor
// of a participant: the type named "baseline", else the first one on the
// protocol's first day (0 elapsed, 1 in CDISC); -1 when there is none.
func (s *Study) Baseline() int {
	if i := s.VisitIndex("baseline"); i >= 0 {
		return i
	}
	first := 0
	if s.Days == CDISC {
		first = 1
	}
	for i := range s.Visits {
		if s.Visits[i].Day == first {
			return i
		}
	}
	return -1
}

// StudyDay numbers d as CDISC does: the anchor is day 1, the day before it -1,
// and there is no day 0. Both dates must be known.
func StudyDay(d, anchor Date) int {
	n := int(d - anchor)
	if n >= 0 {
		return n + 1
	}
	return n
}
