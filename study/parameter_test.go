package study

import "testing"

// What door 2 hides in the column of a field is followed in no table that has no such
// column: ages, durations, births, and values of an eye that does not leave.
func TestWhatIsHiddenIsNotFollowed(t *testing.T) {
	eye := Field{Name: "eye", Type: Choice, Class: Clinical, Choices: []ChoiceItem{{Code: "OD"}, {Code: "OS"}}}
	fields := []Field{eye, {Name: "iop", Type: Decimal, Class: Clinical, Unit: "mmHg"}, {Name: "age", Type: Integer, Class: Clinical},
		{Name: "onset", Type: Integer, Class: Clinical, Unit: "years"}, {Name: "birth_year", Type: Integer, Class: Clinical}, {Name: "born", Type: Integer, Class: Clinical}}
	s := &Study{Forms: []Form{{Name: "exam", Fields: fields}}, Facts: []FactSource{{Name: "exam.born", Kind: BirthYearFact, Field: 5}}}
	if got := s.Parameters(); len(got) != 1 || got[0] != (Parameter{Form: "exam", Field: "iop"}) {
		t.Errorf("followed: %+v", got)
	}
	s.Deid.Risk.Quasi = []string{"exam.eye"}
	if got := s.Parameters(); len(got) != 0 {
		t.Errorf("followed although the eye does not leave: %+v", got)
	}
}
