package datasetjson

import (
	"context"
	"errors"
	"io"
	"iter"

	"longitude/study"
	"longitude/transform"
)

// The limits of one object. A batch holds at most maxRows rows, about maxCells
// cells and what fits the buffer, which grows when one value needs it.
const (
	firstBuffer = 1 << 16
	maxRow      = 1 << 20 // bytes; a longer row is broken
	maxMember   = 1 << 23 // bytes of a member of the metadata, such as columns
	maxRows     = 4096
	maxCells    = 1 << 16
)

// Format is the transform.Format of Dataset-JSON.
type Format struct{}

// Check reports what is wrong with the datasetjson keys of a format spec.
func (Format) Check(spec study.FormatSpec) map[string]string {
	wrong := map[string]string{}
	for key, set := range map[string]bool{"delimiter": spec.Delimiter != "", "quote": spec.Quote != "", "escape": spec.Escape != "",
		"comment": spec.Comment != "", "skip_lines": spec.SkipLines != 0, "names": len(spec.Names) > 0, "records": spec.Records != ""} {
		if set {
			wrong[key] = "Dataset-JSON has no such thing: leave the key out"
		}
	}
	switch spec.Encoding {
	case "", "auto", "utf-8":
	default:
		wrong["encoding"] = "Dataset-JSON is UTF-8: leave the key out, or write utf-8"
	}
	if spec.DecimalMark == "," {
		wrong["decimal_mark"] = `numbers in JSON are written with "."`
	}
	return wrong
}

// Decode yields the rows of one object. A data set without rows is one empty
// batch, so that its columns can be checked. A number of rows other than the
// announced one is an error after the last batch.
func (Format) Decode(ctx context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*transform.Rows, error] {
	return func(yield func(*transform.Rows, error) bool) {
		d := &decoder{stream: stream{r: r, buf: make([]byte, firstBuffer), line: 1}, ordinal: 1}
		if err := d.open(spec.Table); err != nil {
			yield(nil, err)
			return
		}
		for first := true; ; first = false {
			if ctx.Err() != nil {
				yield(nil, &study.Error{Code: "datasetjson.stopped", Op: "reading the object", Temporary: true, Err: ctx.Err(),
					Hint: "the run was stopped: run it again"})
				return
			}
			err := d.next()
			switch {
			case err != nil:
				yield(nil, err)
				return
			case (d.rows.Len() > 0 || first) && !yield(&d.rows, nil):
				return
			case d.rows.Len() > 0:
				continue
			}
			if err := d.close(); err != nil {
				yield(nil, err)
			}
			return
		}
	}
}

// readError hands on an error of the reader below, which speaks of the object
// and not of its text.
func readError(err error) error {
	var known *study.Error
	if errors.As(err, &known) {
		return err
	}
	return &study.Error{Code: "datasetjson.read", Op: "reading the object", Temporary: true, Err: err,
		Hint: "the object could not be read to its end; run again"}
}
