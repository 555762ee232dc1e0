package pipeline

import (
	"longitude/deid"
	"longitude/study"
)

// What stands where not even the shape of a value is shown.
const (
	hiddenIdentifier = "[identifier]"
	hiddenText       = "[text]"
	hiddenBlinded    = "[blinded]"
	hiddenUnmapped   = "[not mapped]"
	sealedMark       = "[sealed]"
)

// columnMasks says how much of each column of a source may be shown.
type columnMasks map[string]*columnMask

type columnMask struct {
	hidden string          // what stands for every value; "" = its shape is shown
	plain  map[string]bool // codes of configuration, shown as they are
}

// newColumnMasks takes from the mapping what a column feeds. A column that feeds
// something private is hidden whatever else it feeds, and one that feeds nothing
// is hidden because nobody said what it is.
func newColumnMasks(s *study.Study, m *study.Mapping) columnMasks {
	masks := columnMasks{}
	masks.hide(m.Participant, hiddenIdentifier)
	masks.hide(m.Author, hiddenIdentifier)
	masks.hide(m.Reason, hiddenText)
	masks.hide(m.ChangeReason, hiddenText)
	for _, p := range []study.Pick{m.Site, m.VisitRepeat, m.VisitDate, m.VisitDay, m.Planned, m.BaselineDate, m.Modified, m.Entered, m.Withdrawn, m.Status, m.StatusDate} {
		masks.show(p)
	}
	masks.show(m.Deleted, m.DeletedValues...)
	masks.show(m.Visit, visitCodes(s, m)...)
	for i := range m.Forms {
		f := &m.Forms[i]
		masks.show(f.When, f.WhenValues...)
		masks.show(f.Occurrence)
		form := &s.Forms[s.FormIndex(f.Form)]
		for _, fed := range f.Fields {
			field := &form.Fields[form.FieldIndex(fed.Field)]
			if fed.Pick.Code != "" { // a row of a long table
				masks.show(f.Pivot.Code, fed.Pick.Code)
				fed.Pick.Column = f.Pivot.Value.Column
			}
			if hidden := hiddenField(field); hidden != "" {
				masks.hide(fed.Pick, hidden)
				continue
			}
			masks.show(fed.Pick, choiceCodes(field)...)
		}
	}
	return masks
}

func (c columnMasks) of(column string) *columnMask {
	if c[column] == nil {
		c[column] = &columnMask{plain: map[string]bool{}}
	}
	return c[column]
}

func (c columnMasks) hide(p study.Pick, hidden string) {
	if p.Column != "" {
		c.of(p.Column).hidden = hidden
	}
}

func (c columnMasks) show(p study.Pick, codes ...string) {
	if p.Column == "" {
		return
	}
	m := c.of(p.Column)
	for _, code := range codes {
		m.plain[code] = true
	}
	for code := range p.Values {
		m.plain[code] = true
	}
	for code := range p.Missing {
		m.plain[code] = true
	}
}

// cell is what may be shown of a cell as landed.
func (c columnMasks) cell(column string, cell []byte) string {
	m, text := c[column], string(cell)
	switch {
	case text == "":
		return ""
	case m == nil:
		return hiddenUnmapped
	case m.hidden != "":
		return m.hidden
	case m.plain[text]:
		return text
	}
	return deid.Mask(text)
}

// hiddenField is what stands for the values of a field that are not to be shown
// at all, "" where their shape may be.
func hiddenField(f *study.Field) string {
	switch {
	case f.Class == study.DirectIdentifier || f.Class == study.ParticipantKey || f.Class == study.OtherKey:
		return hiddenIdentifier
	case f.Class == study.Blinded:
		return hiddenBlinded
	case f.Sealed():
		return hiddenText
	}
	return ""
}

func choiceCodes(f *study.Field) []string {
	codes := make([]string, len(f.Choices))
	for i, c := range f.Choices {
		codes[i] = c.Code
	}
	return codes
}

func visitCodes(s *study.Study, m *study.Mapping) (codes []string) {
	for _, v := range s.Visits {
		codes = append(append(codes, v.Name, v.Number), v.Aliases...)
	}
	for alias := range m.VisitAliases {
		codes = append(codes, alias)
	}
	return codes
}

// maskAnswer shows a packed answer of a typed field: codes as they are, of the
// rest the shape.
func maskAnswer(f *study.Field, packed string) string {
	if hidden := hiddenField(f); hidden != "" {
		return hidden
	}
	switch f.Type {
	case study.Choice, study.Choices, study.Boolean:
		return packed
	case study.Acuity:
		if a, ok := study.ParseAcuity(packed, ""); ok {
			return a.Scale() + ":" + deid.Mask(a.Original())
		}
	}
	return deid.Mask(packed)
}
