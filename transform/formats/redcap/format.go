package redcap

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"

	"longitude/study"
	"longitude/transform"
)

// Format is the transform.Format of REDCap's records. JSON reads their rows.
type Format struct{ JSON transform.Format }

// Check implements transform.Format.
func (f Format) Check(spec study.FormatSpec) map[string]string {
	wrong := f.JSON.Check(spec)
	if spec.Records != "" {
		wrong["records"] = "the records of REDCap are the document itself: leave the key out"
	}
	return wrong
}

// Decode implements transform.Format. The columns of an object are those of its first
// row.
func (f Format) Decode(ctx context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*transform.Rows, error] {
	var read bytes.Buffer
	if columns := firstKeys(io.TeeReader(io.LimitReader(r, maxRow), &read)); len(columns) > 0 {
		spec.Columns = columns
	}
	return f.JSON.Decode(ctx, spec, io.MultiReader(&read, r))
}

// maxRow is how far the first row is looked for, in bytes: as much as a row may have.
const maxRow = 1 << 20

// firstKeys are the names of the first object's members; none where the text is
// another, which whoever reads it will tell.
func firstKeys(r io.Reader) (keys []string) {
	d := json.NewDecoder(r)
	for _, want := range []json.Token{json.Delim('['), json.Delim('{')} {
		if t, err := d.Token(); err != nil || t != want {
			return nil
		}
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil
		}
		if !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil
		}
	}
	return keys
}
