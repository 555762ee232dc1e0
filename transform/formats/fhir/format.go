package fhir

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	"longitude/study"
	"longitude/transform"
)

// The limits of a batch: it ends after so many rows, cells or bytes.
const (
	maxRows  = 4096
	maxCells = 1 << 16
	maxBatch = 1 << 18
)

// What a row is.
const (
	byResource = "resource"
	byAnswer   = "answer"
)

// Format is the transform.Format of FHIR R4 in JSON.
type Format struct{}

// Check reports what is wrong with the keys of a format spec.
func (Format) Check(spec study.FormatSpec) map[string]string {
	wrong := map[string]string{}
	for key, set := range map[string]bool{"delimiter": spec.Delimiter != "", "quote": spec.Quote != "", "escape": spec.Escape != "",
		"comment": spec.Comment != "", "skip_lines": spec.SkipLines != 0, "names": len(spec.Names) > 0} {
		if set {
			wrong[key] = "means nothing to FHIR: leave it out"
		}
	}
	if spec.Table != "" {
		wrong["table"] = `means nothing to FHIR: say which resources feed a form with "when: {column: \"@type\", in: […]}"`
	}
	switch spec.Encoding {
	case "", "auto", "utf-8":
	default:
		wrong["encoding"] = "FHIR is UTF-8: leave the key out, or write utf-8"
	}
	if spec.DecimalMark != "" && spec.DecimalMark != "." {
		wrong["decimal_mark"] = `numbers in FHIR are written with "."`
	}
	switch spec.Records {
	case "", byResource, byAnswer:
	default:
		wrong["records"] = "must be resource, a row for each resource, or answer, a row for each answer of a questionnaire and each value of an observation"
	}
	return wrong
}

// Decode yields the rows of one object. An object without resources is one empty
// batch, so that its columns can be checked.
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
	ctx     context.Context
	from    source
	names   *names
	parser  *parser
	columns []column
	answers bool // a row for each answer
	paths   evaluation

	cellRead reading
	take     func(item) bool // takeValue

	tree  tree    // of the resource at hand
	parts []int32 // the answers in it
	limit int
	done  bool
	kept  []byte // what the raw rows of the batch are slices of
	rows  transform.Rows
}

// source gives resources; *resources and *followed do.
type source interface {
	next() (resource, error)
}

func newDecoder(ctx context.Context, spec study.FormatSpec, r io.Reader) (*decoder, error) {
	if ctx.Err() != nil {
		return nil, stopped(ctx)
	}
	n := newNames()
	columns, err := ask(spec.Columns, n)
	if err != nil {
		return nil, err
	}
	d := &decoder{ctx: ctx, names: n, columns: columns, answers: spec.Records == byAnswer,
		limit: min(maxRows, max(1, maxCells/max(1, len(columns))))}
	if d.answers {
		for _, name := range []string{"value", "component", "item", "answer", "linkId"} {
			n.ask(name)
		}
	}
	d.parser, d.take = newParser(n), d.takeValue
	d.rows.First, d.rows.Columns = 1, slices.Clone(spec.Columns)
	if d.rows.Columns == nil {
		d.rows.Columns = []string{}
	}
	o, err := open(ctx, r)
	if err != nil {
		return nil, err
	}
	if d.from = o; n.inner {
		f := &followed{from: o, parser: newParser(n)}
		d.from, d.paths.follow = f, f.follow
	}
	return d, nil
}

// next decodes the next batch; it has no rows at the end of the object.
func (d *decoder) next() error {
	n := d.rows.Len()
	d.rows.First += int64(n)
	d.rows.Cells, d.rows.Lines, d.rows.Raw, d.rows.Broken = d.rows.Cells[:0], d.rows.Lines[:0], d.rows.Raw[:0], d.rows.Broken[:0]
	d.kept, d.parser.arena = d.kept[:0], d.parser.arena[:0]
	for !d.done && d.rows.Len() < d.limit && len(d.kept)+len(d.parser.arena) < maxBatch {
		if d.ctx.Err() != nil {
			return stopped(d.ctx)
		}
		r, err := d.from.next()
		if errors.Is(err, io.EOF) {
			d.done = true
			break
		}
		if err != nil {
			return err
		}
		d.add(r)
	}
	d.rows.Unasked = d.names.unasked
	return nil
}

// add appends the rows of one resource to the batch.
func (d *decoder) add(r resource) {
	at := len(d.kept)
	d.kept = append(d.kept, r.raw...)
	raw := d.kept[at:len(d.kept):len(d.kept)]
	if r.rule == "" {
		r.rule = d.parser.parse(raw, r.entry, &d.tree)
	}
	if r.rule == "" {
		r.rule = d.tree.wrong()
	}
	d.parts = d.parts[:0]
	if r.rule == "" && d.answers && d.tree.root >= 0 {
		d.parts = d.tree.answers(d.parts)
	}
	if len(d.parts) == 0 {
		d.parts = append(d.parts, none)
	}
	for _, part := range d.parts {
		d.addRow(r, raw, part)
	}
}

// wrong is the rule that a tree breaks which is no resource, "" if it is one or says
// which is deleted.
func (t *tree) wrong() string {
	switch kind := t.said(t.root, "resourceType"); {
	case kind == nil && t.removes() == nil:
		return ruleNoType
	case string(kind) == "Bundle":
		return ruleBundle
	}
	return ""
}

func (d *decoder) addRow(r resource, raw []byte, part int32) {
	base := len(d.rows.Cells)
	rule := r.rule
	for i := range d.columns {
		var text []byte
		if rule == "" {
			text, rule = d.cell(&d.columns[i], &d.tree, part)
		}
		if len(text) == 0 {
			text = nil
		}
		d.rows.Cells = append(d.rows.Cells, text)
	}
	if rule != "" {
		clear(d.rows.Cells[base:])
		d.rows.Broken = append(d.rows.Broken, transform.Broken{Row: d.rows.Len(), Rule: rule})
	}
	d.rows.Lines = append(d.rows.Lines, r.line)
	d.rows.Raw = append(d.rows.Raw, raw)
}
