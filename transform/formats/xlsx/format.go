package xlsx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"longitude/study"
	"longitude/transform"
)

// The limits of one object.
const (
	maxObject   = 64 << 20  // bytes as delivered
	maxUnzipped = 1 << 30   // bytes of all its parts
	maxShared   = 256 << 20 // bytes of the texts that cells share
	maxSmall    = 32 << 20  // bytes of a part other than texts and sheets
	maxPiece    = 4 << 20   // bytes of one text, or between two "<"
	maxMerges   = 1 << 20   // merged cells of a sheet
	maxColumns  = 4096
	maxRow      = 1 << 20 // bytes of a row's cells; a longer row is broken
	maxCell     = 32767   // characters of a cell, Excel's own limit
)

// A batch holds at most maxRows rows and ends after maxBatch bytes.
const (
	maxRows  = 4096
	maxBatch = 1 << 18
)

// Format is the transform.Format of Excel workbooks.
type Format struct{}

// Check reports what is wrong with the xlsx keys of a format spec.
func (Format) Check(spec study.FormatSpec) map[string]string {
	wrong := map[string]string{}
	for key, set := range map[string]bool{"delimiter": spec.Delimiter != "", "quote": spec.Quote != "", "escape": spec.Escape != "",
		"comment": spec.Comment != "", "records": spec.Records != ""} {
		if set {
			wrong[key] = "means nothing to an Excel workbook: leave it out"
		}
	}
	if spec.Encoding != "" && spec.Encoding != "auto" {
		wrong["encoding"] = "an Excel workbook says its own encoding: leave it out"
	}
	if spec.DecimalMark != "" && spec.DecimalMark != "." {
		wrong["decimal_mark"] = `numbers of an Excel workbook are read with "." however they are displayed`
	}
	if spec.SkipLines < 0 {
		wrong["skip_lines"] = "must be 0 or more"
	}
	seen := map[string]bool{}
	for _, name := range spec.Names {
		switch {
		case spec.Header:
			wrong["names"] = "the header names the columns: set `header: false`, or leave `names` out"
		case name == "":
			wrong["names"] = "a column needs a name"
		case seen[name]:
			wrong["names"] = "two columns have the same name"
		}
		seen[name] = true
	}
	return wrong
}

// Decode yields the rows of one sheet. Rows without any value are no rows. A
// header alone is one empty batch, so that its columns can be checked.
func (Format) Decode(ctx context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*transform.Rows, error] {
	return func(yield func(*transform.Rows, error) bool) {
		d, err := open(ctx, spec, r)
		if err != nil {
			yield(nil, err)
			return
		}
		defer d.sheet.Close()
		transform.Batches(&d.rows, func() error {
			if err := stopped(ctx); err != nil {
				return err
			}
			return d.next()
		}, yield)
	}
}

// decoder reads the rows of one sheet. All its cells are slices of arena.
type decoder struct {
	book   *workbook
	sheet  *sheet
	layout *layout

	arena []byte
	rows  transform.Rows
}

// open reads the workbook and looks through the sheet once.
func open(ctx context.Context, spec study.FormatSpec, r io.Reader) (*decoder, error) {
	object, err := readObject(ctx, r)
	if err != nil {
		return nil, err
	}
	book, err := openWorkbook(object)
	if err != nil {
		return nil, err
	}
	part, err := book.choose(spec.Table)
	if err != nil {
		return nil, err
	}
	d := &decoder{book: book}
	if d.layout, err = book.survey(ctx, spec, part); err != nil {
		return nil, err
	}
	if d.sheet, err = book.openSheet(part); err != nil {
		return nil, err
	}
	d.rows = transform.Rows{Columns: d.layout.columns, Dialect: "dates from 1900", First: 1}
	if book.from1904 {
		d.rows.Dialect = "dates from 1904"
	}
	return d, nil
}

// readObject reads the whole object: a zip's list of parts is at its end.
func readObject(ctx context.Context, r io.Reader) ([]byte, error) {
	var object []byte
	chunk := make([]byte, 1<<15)
	for {
		if err := stopped(ctx); err != nil {
			return nil, err
		}
		n, err := r.Read(chunk)
		if object = append(object, chunk[:n]...); len(object) > maxObject {
			return nil, tooLarge(fmt.Sprintf("reading an object of more than %d MiB", maxObject>>20))
		}
		if err == io.EOF {
			return object, nil
		}
		if err != nil {
			return nil, readError(err)
		}
	}
}

// next decodes the next batch; it has no rows at the end of the sheet.
func (d *decoder) next() error {
	n := d.rows.Len()
	d.rows.First += int64(n)
	d.rows.Cells, d.rows.Lines, d.rows.Raw, d.rows.Broken = d.rows.Cells[:0], d.rows.Lines[:0], d.rows.Raw[:0], d.rows.Broken[:0]
	d.arena = d.arena[:0]
	for d.rows.Len() < maxRows && len(d.arena) < maxBatch {
		more, err := d.sheet.next()
		if err != nil || !more {
			return err
		}
		if d.sheet.row > d.layout.before && (d.sheet.long || d.book.holds(d.sheet.cells)) {
			d.add()
		}
	}
	return nil
}

// add decodes the sheet's current row into the batch.
func (d *decoder) add() {
	base := len(d.rows.Cells)
	for range d.layout.columns {
		d.rows.Cells = append(d.rows.Cells, nil)
	}
	cells := d.rows.Cells[base:]
	rule, size := "", 0
	switch {
	case d.sheet.long:
		rule = ruleLong
	case d.layout.mergedRow(d.sheet.row):
		rule = "merged_cells"
	}
	for _, c := range d.sheet.cells {
		i := d.layout.index(c.column)
		if i < 0 {
			continue // it is empty: the survey has seen to that
		}
		at := len(d.arena)
		arena, broken := d.book.append(d.arena, c)
		if cells[i] != nil {
			broken = ruleInvalid // two cells in one place
		}
		if rule == "" {
			rule = broken
		}
		if size += len(arena) - at; size > maxRow {
			rule = ruleLong
			break
		}
		if d.arena = arena; len(arena) > at {
			cells[i] = arena[at:len(arena):len(arena)]
		}
	}
	d.rows.Raw = append(d.rows.Raw, d.raw(cells))
	if rule != "" {
		clear(cells)
		d.rows.Broken = append(d.rows.Broken, transform.Broken{Row: d.rows.Len(), Rule: rule})
	}
	d.rows.Lines = append(d.rows.Lines, d.sheet.row)
}

// raw is the row as a JSON array of its cells' texts: a row of a workbook has no
// bytes of its own.
func (d *decoder) raw(cells [][]byte) []byte {
	at := len(d.arena)
	b := append(d.arena, '[')
	for i, text := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		if text == nil {
			b = append(b, "null"...)
			continue
		}
		b = append(b, '"')
		for _, c := range text {
			switch {
			case c == '"', c == '\\':
				b = append(b, '\\', c)
			case c < ' ':
				b = fmt.Appendf(b, `\u%04x`, c)
			default:
				b = append(b, c)
			}
		}
		b = append(b, '"')
	}
	d.arena = append(b, ']')
	return d.arena[at:len(d.arena):len(d.arena)]
}

func stopped(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &study.Error{Code: "xlsx.stopped", Op: "reading the object", Temporary: true, Err: ctx.Err(),
		Hint: "the run was stopped: run it again"}
}

func tooLarge(op string) error {
	return &study.Error{Code: "xlsx.too_large", Op: op,
		Hint: "deliver the rows in several workbooks, or as CSV, which has no limit"}
}

func damaged(place, what string) error {
	return &study.Error{Code: "xlsx.damaged", Place: place, Op: "reading " + what + " of the workbook, which is damaged",
		Hint: "open it in Excel or LibreOffice, save it again as .xlsx and deliver that; check that the transfer was complete"}
}

// readError hands on an error of the reader below, which speaks of the object
// and not of its text.
func readError(err error) error {
	var known *study.Error
	if errors.As(err, &known) {
		return err
	}
	return &study.Error{Code: "xlsx.read", Op: "reading the object", Temporary: true, Err: err,
		Hint: "the object could not be read to its end; run again"}
}
