package release

import (
	"strings"

	"longitude/deid"
	"longitude/study"
)

// notReleased is the missing reason of a text that one of its readers kept back.
const notReleased = "not_released"

// missingReasons are the reasons that the columns of a study's releases may hold.
func missingReasons(s *study.Study) []study.ChoiceItem {
	reasons := study.MissingReasons[:len(study.MissingReasons):len(study.MissingReasons)]
	if s.ReviewsTexts() {
		reasons = append(reasons, study.ChoiceItem{Code: notReleased, Label: "Text that one of its two readers kept back"})
	}
	return reasons
}

// sealedColumns are the columns of a field whose values are in the vault: of what the
// study releases of it, none by default.
func sealedColumns(form *study.Form, field *study.Field) []study.Column {
	c := study.Column{Name: field.Name, Label: label(field), Kind: study.TextKind, Nullable: true, Class: field.Class, Form: form.Name, Field: field.Name}
	switch field.Release.Action {
	case study.HasText:
		c.Name, c.Label, c.Kind, c.Nullable, c.Transform = "has_"+field.Name, "Has "+label(field), study.BoolKind, false, "has_text"
		c.Description = "Whether there was a text; the text itself is not released."
		return []study.Column{c}
	case study.DigestOnly:
		c.Name, c.Label, c.Transform = field.Name+"_digest", label(field)+": digest", "digest_only"
		c.Description = "Keyed digest of what the source gave as the attachment: equal where that is equal; NULL where there was none, or where it was recorded before digests were kept."
		return []study.Column{c}
	case study.Reviewed:
		c.Transform, c.Description = "reviewed", label(field)+", as two people have read and signed it."
		return []study.Column{c, missingColumn(form, field)}
	}
	return nil
}

// addSealed fills the columns of a field whose value is in the vault.
func (b *Builder) addSealed(batch *study.Batch, f *fieldColumns, r *study.CurrentRecord, answer string) {
	value, there := &batch.Vectors[f.first], study.IsSealed(answer)
	switch f.seal {
	case study.HasText:
		present := int64(0)
		if there {
			present = 1
		}
		value.AppendInt(present)
	case study.DigestOnly:
		if digest := strings.TrimPrefix(answer, study.SealedMark); there && digest != "" {
			value.AppendText(digest)
		} else {
			value.AppendNull(study.TextKind)
		}
	case study.Reviewed:
		why := reasonOf(r.Missing, f.field)
		text, read := textOf(r, f.field)
		switch {
		case read && !text.Refused:
			value.AppendText(text.Text)
		case read:
			why = notReleased
			fallthrough
		default:
			value.AppendNull(study.TextKind)
		}
		if there && !read {
			b.unread[r.Key.Form][f.field]++
		}
		appendReason(&batch.Vectors[f.first+1], why)
	}
}

func textOf(r *study.CurrentRecord, field int) (study.ReviewedText, bool) {
	for _, t := range r.Texts {
		if t.Field == field {
			return t, true
		}
	}
	return study.ReviewedText{}, false
}

// unreviewed refuses a release of texts that are still to be read.
func (b *Builder) unreviewed() error {
	for i, fields := range b.unread {
		for f, texts := range fields {
			if texts > 0 {
				form := &b.study.Forms[i]
				return deid.Unreviewed(form.Name+"."+form.Fields[f].Name, texts)
			}
		}
	}
	return nil
}
