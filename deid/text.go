package deid

import (
	"fmt"
	"slices"
	"strconv"

	"longitude/study"
)

// TextMarker makes the marks of free texts: keyed digests by which door 2 knows a text
// that people have read from any other. They say nothing to who has not the key.
type TextMarker struct{ texts *mac }

// NewTextMarker derives the key of the study's marks, which is the same for ever.
func NewTextMarker(k Keys, studyName string) (*TextMarker, error) {
	m, err := newMAC(At(k, 1), studyName, PurposeContent, "")
	return &TextMarker{m}, err
}

// Mark is that of a text of a participant in a field.
func (m *TextMarker) Mark(participant int64, form, field, text string) study.Digest {
	return textMark(m.texts, participant, form, field, text)
}

func textMark(m *mac, participant int64, form, field, text string) study.Digest {
	return m.of("text", strconv.FormatInt(participant, 10), form, field, text)
}

// Reviewed records that signer has read the text of a mark and signed that nobody can
// be recognised in it. Two different signers let it leave where the study releases
// reviewed texts.
func (r *Recipient) Reviewed(mark study.Digest, signer string) {
	if !slices.Contains(r.signers[mark], signer) {
		r.signers[mark] = append(r.signers[mark], signer)
	}
}

// textRule lets texts leave that two people have signed. Another text in the column is
// no text to leave out: it stops the release.
func (r *Recipient) textRule(t *study.Table, c study.Column) rule {
	return one(c, "text reviewed and signed by two people", func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		unsigned := 0
		for i := range b.Rows {
			if !v.Null(i) && len(r.signers[textMark(r.texts, b.Participants[i], c.Form, c.Field, v.Texts[i])]) < 2 {
				unsigned++
			}
		}
		if unsigned > 0 {
			return study.Vector{}, Unreviewed(c.Form+"."+c.Field, unsigned)
		}
		return *v, nil
	}).limited("expert", t.Name+"."+c.Name+": reviewed text released")
}

// Unreviewed refuses a release because of texts of a field, as form.field, that two
// people have not both read.
func Unreviewed(field string, texts int) error {
	return &study.Error{Code: "deid.unreviewed", Op: fmt.Sprintf("release refused: texts of %s that two people have not read and signed: %d", field, texts), Exit: study.ExitBlocked,
		Hint: "two custodians read them with `longitude text show` and sign with `longitude text sign`; or release whether there was a text: release: has_text"}
}
