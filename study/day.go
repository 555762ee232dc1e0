package study

// Baseline is the index in Visits of the visit type that days and windows count
// from unless it says otherwise: the one named "baseline", else the first one on
// the anchor's own day (0 elapsed, 1 in CDISC); -1 when there is none. The
// actual date of its visit is the participant's anchor.
func (s *Study) Baseline() int {
	if i := s.VisitIndex("baseline"); i >= 0 {
		return i
	}
	for i := range s.Visits {
		if v := &s.Visits[i]; v.HasWindow && v.Anchor == "" && s.Offset(v) == 0 {
			return i
		}
	}
	return -1
}

// Offset is the target day of v in days from its anchor, whichever convention it
// is written in.
func (s *Study) Offset(v *VisitType) int {
	if v.Days != "" {
		return v.Days.Elapsed(v.Day)
	}
	return s.Days.Elapsed(v.Day)
}

// Elapsed turns a target day of the protocol into days from the anchor. CDISC
// counts the anchor as day 1 and the day before it as day -1; there is no day 0.
func (c DayConvention) Elapsed(day int) int {
	if c == CDISC && day > 0 {
		return day - 1
	}
	return day
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
