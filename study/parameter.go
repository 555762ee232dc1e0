package study

import (
	"slices"
	"strings"
)

// Parameter is a measurement that is followed over the visits of a participant.
type Parameter struct {
	Form, Field string
	Method      string // choice field of the form that tells methods apart: values of one are not compared with those of another; "" = none
}

// Parameters are what the tables for analysis follow, in dictionary order where the
// study does not say.
func (s *Study) Parameters() []Parameter {
	if s.Releases.Analysis != nil {
		return s.Releases.Analysis
	}
	var all []Parameter
	for i := range s.Forms {
		for f := range s.Forms[i].Fields {
			if field := &s.Forms[i].Fields[f]; field.Numeric() && s.Analysable(i, f) {
				all = append(all, Parameter{Form: s.Forms[i].Name, Field: field.Name})
			}
		}
	}
	return all
}

// Analysable reports whether field f of form i can be a parameter: a number, an acuity,
// a code or a yes or no that is collected at visits and leaves as it is, here. An age, a
// duration or a year of birth does not: those of the very old are hidden. Where the eye
// of a form does not leave, values of the two cannot be told apart, and none is followed.
func (s *Study) Analysable(i, f int) bool {
	form, field := &s.Forms[i], &s.Forms[i].Fields[f]
	switch field.Type {
	case Integer, Decimal, Acuity, Choice, Boolean:
	default:
		return false
	}
	if eye := form.Eye(); eye >= 0 && eye != f && !s.Analysable(i, eye) {
		return false
	}
	return !form.Log && field.Class == Clinical && !s.agesHidden(form, field) && (field.Release.Action == ByClass || field.Release.Action == Keep) &&
		!slices.Contains(s.Deid.Risk.Quasi, form.Name+"."+field.Name)
}

// agesHidden reports whether the number of a field may be hidden because of an age.
func (s *Study) agesHidden(form *Form, field *Field) bool {
	birth := slices.ContainsFunc(s.Facts, func(fact FactSource) bool {
		return fact.Kind == BirthYearFact && fact.Name == form.Name+"."+field.Name
	})
	return birth || field.Numeric() && (TellsBirth(field.Name) || AgeLimit(field.Name, field.Unit) > 0)
}

// Numeric reports whether values of the field are numbers, or give one.
func (f *Field) Numeric() bool { return f.Type == Integer || f.Type == Decimal || f.Type == Acuity }

// Eye is the field of the form whose codes are eyes, -1 where there is none.
func (f *Form) Eye() int {
	for i := range f.Fields {
		if field := &f.Fields[i]; field.Type == Choice && field.Class == Clinical && len(field.Choices) > 1 &&
			!slices.ContainsFunc(field.Choices, func(c ChoiceItem) bool { return !slices.Contains(eyeCodes, strings.ToUpper(c.Code)) }) {
			return i
		}
	}
	return -1
}

// eyeCodes are the usual codes of eyes: right, left, both, and the Latin ones.
var eyeCodes = []string{"R", "L", "B", "RIGHT", "LEFT", "BOTH", "OD", "OS", "OU"}

// BothEyes reports whether a code of an eye means the two at once.
func BothEyes(code string) bool {
	switch strings.ToUpper(code) {
	case "B", "BOTH", "OU":
		return true
	}
	return false
}
