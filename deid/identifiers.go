package deid

import (
	"slices"

	"longitude/study"
)

// Identifier is what a release does about one of the eighteen identifiers of Safe
// Harbor (45 CFR 164.514(b)(2)(i), A to R).
type Identifier struct {
	Letter  string   `json:"letter"`
	Name    string   `json:"name"`
	Status  string   `json:"status"`            // covered | not present | not evaluated
	Columns []string `json:"columns,omitempty"` // form.field or table.column
}

// The states of an identifier. Not evaluated is not a pass: something leaves in
// which the identifier could be, and no rule looked.
const (
	Covered      = "covered"
	NotPresent   = "not present"
	NotEvaluated = "not evaluated"
)

// eighteen are the identifiers and the words of names that tell of them. A field
// classed direct_identifier of which no word tells is counted under R.
var eighteen = []struct {
	letter, name string
	words        []string
}{
	{"A", "names", []string{"name", "surname", "forename", "firstname", "lastname", "initials", "mother", "father", "relative"}},
	{"B", "geographic subdivisions smaller than a state", []string{"address", "city", "town", "village", "county", "district", "municipality", "parish", "street", "postcode",
		"postal", "zip", "zipcode", "precinct", "latitude", "longitude", "lat", "lon", "geocode", "site"}},
	{"C", "dates but the year, and ages over 89", []string{"dob", "birth", "birthdate", "yob", "age", "aged"}},
	{"D", "telephone numbers", []string{"phone", "telephone", "mobile", "tel"}},
	{"E", "fax numbers", []string{"fax"}},
	{"F", "email addresses", []string{"email", "mail"}},
	{"G", "social security numbers", []string{"ssn", "nino", "nhs"}},
	{"H", "medical record numbers", []string{"mrn", "hospital", "chart"}},
	{"I", "health plan beneficiary numbers", []string{"insurance", "medicare", "medicaid", "beneficiary", "payer"}},
	{"J", "account numbers", []string{"account", "iban"}},
	{"K", "certificate and license numbers", []string{"licence", "license", "certificate", "passport"}},
	{"L", "vehicle identifiers and license plates", []string{"vehicle", "plate", "vin"}},
	{"M", "device identifiers and serial numbers", []string{"device", "serial", "udi", "implant"}},
	{"N", "web addresses", []string{"url", "web", "website", "homepage"}},
	{"O", "IP addresses", []string{"ip"}},
	{"P", "biometric identifiers", []string{"biometric", "fingerprint", "voice", "iris"}},
	{"Q", "full-face photographs and comparable images", []string{"photo", "photograph", "face", "image", "picture"}},
	{"R", "any other unique identifying number, characteristic or code", nil},
}

// Identifiers says of each of the eighteen what the tables projected so far do
// about it. A field that is sealed, dropped or changed by a rule is covered; so are
// dates and ages, by the rules for them, and ids, by keyed ones. A text that leaves
// because people reviewed it may hold any of them.
func (r *Recipient) Identifiers() []Identifier {
	told := make([][]string, len(eighteen))
	note := func(letter int, column string) {
		if !slices.Contains(told[letter], column) {
			told[letter] = append(told[letter], column)
		}
	}
	open := make([]bool, len(eighteen)) // something leaves unlooked at
	for _, form := range r.study.Forms {
		for _, f := range form.Fields {
			if letter := letterOf(f.Name, f.Class); letter >= 0 {
				note(letter, form.Name+"."+f.Name)
			}
		}
	}
	for _, p := range r.order {
		for _, c := range p.columns {
			f := r.field(c.from)
			if f != nil && f.Release.Action == study.Reviewed && len(c.released) > 0 {
				for i := range open {
					open[i] = true
				}
			}
			if letter := letterOf(c.from.Name, c.from.Class); f == nil && letter >= 0 {
				note(letter, p.from.Name+"."+c.from.Name)
				open[letter] = open[letter] || isSite(p.from, c.from) && slices.Contains(c.released, c.from.Name) && r.study.Deid.Profile != "safe_harbor"
			}
			if len(c.released) > 0 && c.limit.claim == "limited" {
				if letter := letterOf(c.from.Name, c.from.Class); letter >= 0 {
					open[letter] = true
				}
			}
		}
	}
	out := make([]Identifier, len(eighteen))
	for i, e := range eighteen {
		out[i] = Identifier{Letter: e.letter, Name: e.name, Status: NotPresent, Columns: told[i]}
		switch {
		case open[i]:
			out[i].Status = NotEvaluated
		case len(told[i]) > 0:
			out[i].Status = Covered
		}
	}
	return out
}

// letterOf is the index of the identifier that a column is about, or -1.
func letterOf(name string, class study.Class) int {
	const dates, other = 2, 17
	switch class {
	case study.DateClass:
		return dates
	case study.ParticipantKey, study.OtherKey:
		return other
	case study.DirectIdentifier, study.Quasi, study.System, study.Attachment:
		words := wordsOf(name)
		for i, e := range eighteen {
			if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(e.words, w) }) {
				return i
			}
		}
	}
	if class == study.DirectIdentifier {
		return other
	}
	return -1
}
