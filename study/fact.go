package study

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// ConsentFact is the name of a known fact that is a day of consent, "" where the
// record gives none; no fact of a study has such a name.
const ConsentFact = "(consent)"

// KnownFact is a fact with the record that told it.
type KnownFact struct {
	Name  string // of the FactSource, or ConsentFact
	Value string
	From  RecordKey
}

// CompareFacts orders facts by name, then by the record that told them.
func CompareFacts(a, b KnownFact) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.From.Form, b.From.Form),
		cmp.Compare(a.From.VisitNo, b.From.VisitNo), cmp.Compare(a.From.Occurrence, b.From.Occurrence))
}

// Values and occurrences are a source's own text: what separates the parts of a
// packed fact is escaped in them.
var (
	escapeFact   = strings.NewReplacer("%", "%25", "@", "%40", string(FieldSeparator), "%1f")
	unescapeFact = strings.NewReplacer("%25", "%", "%40", "@", "%1f", string(FieldSeparator))
)

// PackFacts writes facts as one line, in order of name and record, so that equal
// facts are equal text: name=value@form/visit/occurrence, separated by
// FieldSeparator. Form is its name, as indexes change with the dictionary.
func (s *Study) PackFacts(facts []KnownFact) string {
	facts = slices.SortedFunc(slices.Values(facts), CompareFacts)
	var b strings.Builder
	for i, f := range facts {
		if i > 0 {
			b.WriteByte(FieldSeparator)
		}
		b.WriteString(f.Name + "=" + escapeFact.Replace(f.Value) + "@" + s.Forms[f.From.Form].Name + "/" +
			strconv.Itoa(int(f.From.VisitNo)) + "/" + escapeFact.Replace(f.From.Occurrence))
	}
	return b.String()
}

// UnpackFacts reads what PackFacts wrote. Facts of forms that left the study are
// left out.
func (s *Study) UnpackFacts(packed string) []KnownFact {
	var facts []KnownFact
	for line := range strings.SplitSeq(packed, string(FieldSeparator)) {
		name, rest, ok := strings.Cut(line, "=")
		value, from, told := strings.Cut(rest, "@")
		if !ok || !told {
			continue
		}
		form, place, _ := strings.Cut(from, "/")
		visit, occurrence, _ := strings.Cut(place, "/")
		no, err := strconv.ParseInt(visit, 10, 32)
		if index := s.FormIndex(form); index >= 0 && err == nil {
			facts = append(facts, KnownFact{name, unescapeFact.Replace(value), RecordKey{index, int32(no), unescapeFact.Replace(occurrence)}})
		}
	}
	return facts
}
