package study

// Standing counts how participants stand: their visits by status, what of each
// code is open, and the records held.
type Standing struct {
	Participants int64                 `json:"participants"`
	Visits       map[VisitStatus]int64 `json:"visits"`
	Open         map[string]int64      `json:"open"` // deviations, violations and findings
	Held         int64                 `json:"held"`
}

// Add counts one participant.
func (s *Standing) Add(visits []Visit, deviations []Deviation, holds []Hold) {
	if s.Visits == nil {
		s.Visits, s.Open = map[VisitStatus]int64{}, map[string]int64{}
	}
	s.Participants++
	for i := range visits {
		s.Visits[visits[i].Status]++
	}
	for i := range deviations {
		if deviations[i].State == Open {
			s.Open[deviations[i].Code]++
		}
	}
	s.Held += int64(len(holds))
}
