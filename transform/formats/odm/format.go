package odm

import (
	"context"
	"io"
	"iter"
	"regexp"
	"slices"

	"longitude/study"
	"longitude/transform"
)

// The limits of rows. A batch holds at most maxRows rows, about maxCells cells and
// ends after maxBatch bytes.
const (
	maxRow   = 1 << 20 // bytes; a longer row is broken
	maxRows  = 4096
	maxCells = 1 << 16
	maxBatch = 1 << 18
)

// What a row is.
const (
	byForm  = "form"
	byGroup = "group"
)

// Format is the transform.Format of ODM-XML.
type Format struct{}

// Check reports what is wrong with the odm keys of a format spec.
func (Format) Check(spec study.FormatSpec) map[string]string {
	wrong := map[string]string{}
	for key, set := range map[string]bool{"delimiter": spec.Delimiter != "", "quote": spec.Quote != "", "escape": spec.Escape != "",
		"comment": spec.Comment != "", "skip_lines": spec.SkipLines != 0, "names": len(spec.Names) > 0} {
		if set {
			wrong[key] = "means nothing to ODM: leave it out"
		}
	}
	if spec.Table != "" {
		wrong["table"] = `means nothing to ODM: say which rows feed a form with "when: {column: \"@FormOID\", in: […]}"`
	}
	if spec.Encoding != "" && spec.Encoding != "auto" {
		wrong["encoding"] = "an XML document says its own encoding: leave it out"
	}
	if spec.DecimalMark != "" && spec.DecimalMark != "." {
		wrong["decimal_mark"] = `numbers in ODM are written with "."`
	}
	switch spec.Records {
	case "", byForm, byGroup:
	default:
		wrong["records"] = "must be form, a row for each form, or group, a row for each item group"
	}
	return wrong
}

// Decode yields the rows of one object. An object without rows, such as one of
// metadata alone, is one empty batch, so that its columns can be checked.
func (Format) Decode(ctx context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*transform.Rows, error] {
	return func(yield func(*transform.Rows, error) bool) {
		d, err := newDecoder(ctx, spec, r)
		if err != nil {
			yield(nil, err)
			return
		}
		transform.Batches(&d.rows, d.next, yield)
	}
}

// decoder reads one object.
type decoder struct {
	scanner
	charset charset
	asked   *asked
	groups  bool // a row for each item group

	document
	arena []byte // what the cells of the batch are slices of
	rows  transform.Rows
	limit int
	done  bool
}

func newDecoder(ctx context.Context, spec study.FormatSpec, r io.Reader) (*decoder, error) {
	if ctx.Err() != nil {
		return nil, stopped(ctx)
	}
	a, err := ask(slices.Clone(spec.Columns))
	if err != nil {
		return nil, err
	}
	text, c, err := decodeText(r)
	if err != nil {
		return nil, err
	}
	d := &decoder{charset: c, asked: a, groups: spec.Records == byGroup, limit: min(maxRows, max(1, maxCells/max(1, len(spec.Columns))))}
	d.scanner = newScanner(ctx, text)
	d.rows.First = 1
	return d, nil
}

func newScanner(ctx context.Context, r io.Reader) scanner {
	return scanner{ctx: ctx, r: r, buf: make([]byte, firstBuffer), keep: -1, line: 1}
}

// next decodes the next batch; it has no rows at the end of the object.
func (d *decoder) next() error {
	if d.ctx.Err() != nil {
		return stopped(d.ctx)
	}
	n := d.rows.Len()
	d.rows.First += int64(n)
	d.rows.Cells, d.rows.Lines, d.rows.Raw, d.rows.Broken = d.rows.Cells[:0], d.rows.Lines[:0], d.rows.Raw[:0], d.rows.Broken[:0]
	d.rows.InPart = d.rows.InPart[:0]
	d.arena = d.arena[:0]
	for !d.done && d.rows.Len() < d.limit && len(d.arena) < maxBatch {
		t, err := d.scanner.next()
		if err != nil {
			return err
		}
		switch t {
		case ended:
			d.done = true
		case opened:
			err = d.open()
		case closed:
			err = d.close()
		case textRead:
			d.read()
		}
		if err != nil {
			return err
		}
		d.measure()
	}
	if d.done {
		d.begin()
	}
	d.rows.Unasked = d.asked.unasked
	return nil
}

var version = regexp.MustCompile(`^[0-9]{1,2}(\.[0-9]{1,2}){0,2}$`)

// begin fixes the columns, once nothing more is known before the first row.
func (d *decoder) begin() {
	if d.begun {
		return
	}
	d.begun = true
	d.asked.settle(d.defines && !d.includes)
	d.rows.Columns, d.rows.Types, d.rows.Labels = d.asked.columns, d.asked.types, d.asked.labels
	if d.rows.Columns == nil {
		d.rows.Columns = []string{}
	}
	d.rows.Dialect = "ODM" + d.version + ", " + d.charset.name
}

// add appends a row to the batch.
func (d *decoder) add(r *row) {
	base := len(d.rows.Cells)
	for range d.rows.Columns {
		d.rows.Cells = append(d.rows.Cells, nil)
	}
	raw := r.evidence
	if !r.long {
		raw = d.since(r.from)
		if rule := unreadable(raw); rule != "" {
			r.rule = rule
		}
	}
	d.rows.Lines = append(d.rows.Lines, r.line)
	d.rows.Raw = append(d.rows.Raw, d.keepBytes(d.charset.landed(raw)))
	d.rows.InPart = append(d.rows.InPart, r.inPart)
	if r.rule != "" {
		d.rows.Broken = append(d.rows.Broken, transform.Broken{Row: d.rows.Len() - 1, Rule: r.rule})
		return
	}
	d.fill(r, d.rows.Cells[base:])
}

// keepBytes copies bytes into the batch.
func (d *decoder) keepBytes(b []byte) []byte {
	at := len(d.arena)
	d.arena = append(d.arena, b...)
	return d.arena[at:len(d.arena):len(d.arena)]
}

func stopped(ctx context.Context) error {
	return &study.Error{Code: "odm.stopped", Op: "reading the object", Temporary: true, Err: ctx.Err(),
		Hint: "the run was stopped: run it again"}
}
