package pipeline

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strconv"
	"strings"

	"longitude/connectors"
	"longitude/deid"
	"longitude/study"
	"longitude/transform"
)

// Preview is what one object of a source would become, short of being judged
// against what is stored. Every value in it is masked.
type Preview struct {
	Object     int              `json:"object"` // by age, from 1
	Bytes      int64            `json:"bytes"`
	Counts     study.Counts     `json:"counts"` // of reading and mapping the whole object
	Rows       []PreviewRow     `json:"rows"`
	Rejections []PreviewRefusal `json:"rejections"` // the first ones
	Rules      map[string]int   `json:"rules"`      // all rejections, by rule
}

// PreviewRow is one row as landed and the records that came from it.
type PreviewRow struct {
	Row     int64           `json:"row"`
	Line    int64           `json:"line"`
	Landed  []PreviewCell   `json:"landed"` // cells with text
	Records []PreviewRecord `json:"records"`
}

// PreviewCell is a column with its masked text.
type PreviewCell struct {
	Column string `json:"column"`
	Text   string `json:"text"`
}

// PreviewRecord is one record of a row.
type PreviewRecord struct {
	Form   string         `json:"form"`
	Values []PreviewValue `json:"values"`
}

// PreviewValue is one thing that a record says, at each stage.
type PreviewValue struct {
	Name          string `json:"name"`
	Landed        string `json:"landed"` // "COLUMN=text"; "" where it is not from a column
	Normalised    string `json:"normalised"`
	Pseudonymised string `json:"pseudonymised"`
}

// PreviewRefusal is a rejection: where and by which rule.
type PreviewRefusal struct {
	Row   int64  `json:"row"`
	Line  int64  `json:"line"`
	Form  string `json:"form"`
	Field string `json:"field"`
	Rule  string `json:"rule"`
}

// shownRejections bounds the rejections a preview lists; it counts all of them.
const shownRejections = 50

// Show previews the oldest objects of a source, the first rows of each one side
// by side at every stage. It stores nothing; feed.Intake should have keys that
// are used for nothing else, and feed.Landing is not needed.
func Show(ctx context.Context, f *Feed, objects, rows int) ([]Preview, error) {
	var out []Preview
	for d, err := range f.Source.Pull(ctx, connectors.Cursor{}) {
		if err != nil {
			return out, err
		}
		p, err := show(ctx, f, d, rows)
		if err != nil {
			return out, err
		}
		p.Object = len(out) + 1
		if out = append(out, p); len(out) == objects {
			break
		}
	}
	return out, nil
}

// show reads one object to its end, so that its counts are whole and what the
// source promised of its bytes was checked.
func show(ctx context.Context, f *Feed, d connectors.Delivery, rows int) (Preview, error) {
	r, err := d.Open(ctx)
	if err != nil {
		return Preview{}, err
	}
	defer func() { _ = r.Close() }()
	v := &viewer{feed: f, masks: newColumnMasks(f.Study, &f.Config.Map), limit: int64(rows), numbers: map[string]int64{}, codes: map[study.Digest]string{}, Preview: Preview{Rules: map[string]int{}}}
	counted := &counting{r: r}
	err = decode(ctx, f, counted, indifferent{f.Config}, v.add)
	v.Bytes = counted.n
	return v.Preview, err
}

// indifferent is a looker that lets every shape in which can be mapped at all.
type indifferent struct{ source *study.Source }

func (indifferent) begin(*transform.Mapper)    {}
func (indifferent) look(*transform.Rows) error { return nil }
func (indifferent) end() error                 { return nil }
func (i indifferent) tolerant([]string) bool   { return i.source.Drift.MissingColumn == study.Evolve }

// counting counts what is read through it.
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// viewer collects a preview.
type viewer struct {
	Preview
	feed    *Feed
	masks   columnMasks
	limit   int64
	numbers map[string]int64 // source identifier → number in this preview
	codes   map[study.Digest]string
}

func (v *viewer) add(rows *transform.Rows, m *transform.Mapped) error {
	for i := range min(int64(rows.Len()), max(0, v.limit-rows.First+1)) {
		v.Rows = append(v.Rows, PreviewRow{Row: rows.First + i, Line: rows.Lines[i], Landed: v.landed(rows, int(i))})
	}
	refused := make([]bool, len(m.Drafts))
	for i := range m.Drafts {
		d := &m.Drafts[i]
		id, rule := v.feed.Intake.Identify(d.Identity)
		if rule != "" {
			refused[i] = true
			refuse(m, i, rule, v.feed.Study, rows)
			continue
		}
		if d.Ordinal > v.limit {
			continue
		}
		code, err := v.code(&id)
		if err == nil {
			err = v.record(d, code, rows)
		}
		if err != nil {
			return err
		}
	}
	v.Counts.Add(m.Counts)
	slices.SortStableFunc(m.Rejections, func(a, b study.Rejection) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	for i := range m.Rejections {
		r := &m.Rejections[i]
		v.Rules[r.Rule]++
		if len(v.Rejections) < shownRejections {
			v.Rejections = append(v.Rejections, PreviewRefusal{r.Ordinal, r.Line, r.Form, r.Field, r.Rule})
		}
	}
	return nil
}

// code is the participant's code. A random one is drawn for this preview.
func (v *viewer) code(id *deid.Identity) (code string, err error) {
	if !v.feed.Intake.Drawn() {
		return id.Code, nil
	}
	if code = v.codes[id.Blind]; code == "" {
		code, err = v.feed.Intake.CodeOf(id.Blind, v.feed.Intake.Draw(id.Blind))
		v.codes[id.Blind] = code
	}
	return code, err
}

func (v *viewer) landed(rows *transform.Rows, i int) []PreviewCell {
	var cells []PreviewCell
	for k, cell := range rows.Row(i) {
		if text := v.masks.cell(rows.Columns[k], cell); text != "" {
			cells = append(cells, PreviewCell{rows.Columns[k], text})
		}
	}
	return cells
}

// record takes a draft through door 1 and shows both of its sides.
func (v *viewer) record(d *study.Draft, code string, rows *transform.Rows) error {
	number := v.numbers[d.Identity]
	if number == 0 {
		number = int64(len(v.numbers) + 1)
		v.numbers[d.Identity] = number
	}
	sealed, err := v.feed.Intake.Seal(d, number)
	if err != nil {
		return err
	}
	form := &v.feed.Study.Forms[d.Form]
	from := v.mapping(form.Name)
	landed := func(p study.Pick) string { return v.from(p, rows, d.Ordinal) }
	said := &v.feed.Config.Map
	out := PreviewRecord{Form: form.Name, Values: []PreviewValue{{"participant", landed(said.Participant), hiddenIdentifier, code}}}
	same := func(name string, p study.Pick, text string) {
		if text != "" {
			out.Values = append(out.Values, PreviewValue{name, landed(p), text, text})
		}
	}
	if !form.Log {
		same("visit", said.Visit, v.visit(&d.Visit))
		same("visit date", said.VisitDate, v.date(d.Visit.Actual))
	}
	if from.Occurrence.Mapped() {
		same("occurrence", from.Occurrence, occurrence(form, d.Occurrence))
	}
	normalised, pseudonymised := answers(form, d.Answers, d.Missing, true), answers(form, sealed.Answers, sealed.Missing, false)
	for i := range form.Fields {
		if normalised[i] == "" && pseudonymised[i] == "" {
			continue
		}
		out.Values = append(out.Values, PreviewValue{form.Fields[i].Name, landed(pickOf(from, form.Fields[i].Name)), normalised[i], pseudonymised[i]})
	}
	same("findings", study.Pick{}, d.Findings)
	row := &v.Rows[d.Ordinal-1]
	row.Records = append(row.Records, out)
	return nil
}

func (v *viewer) mapping(form string) *study.FormMapping {
	forms := v.feed.Config.Map.Forms
	return &forms[slices.IndexFunc(forms, func(f study.FormMapping) bool { return f.Form == form })]
}

func pickOf(f *study.FormMapping, field string) study.Pick {
	for _, fed := range f.Fields {
		if fed.Field == field {
			return fed.Pick
		}
	}
	return study.Pick{}
}

// from shows the cell that a pick takes its value from.
func (v *viewer) from(p study.Pick, rows *transform.Rows, ordinal int64) string {
	k, i := slices.Index(rows.Columns, p.Column), ordinal-rows.First
	if p.Column == "" || k < 0 || i < 0 || i >= int64(rows.Len()) { // a record of several rows may begin in an earlier batch
		return ""
	}
	return p.Column + "=" + v.masks.cell(p.Column, rows.Row(int(i))[k])
}

func (v *viewer) visit(ref *study.VisitRef) string {
	if ref.Type < 0 {
		return "unscheduled, or placed by its date"
	}
	return v.feed.Study.Visits[ref.Type].Name
}

func (v *viewer) date(d study.PartialDate) string {
	if !d.Known() {
		return ""
	}
	if v.feed.Study.Relative {
		return "day " + deid.Mask(strconv.Itoa(int(d.First())))
	}
	return deid.Mask(d.String())
}

func occurrence(f *study.Form, text string) string {
	if i := f.FieldIndex(f.RepeatsBy); i >= 0 {
		return maskAnswer(&f.Fields[i], text)
	}
	return deid.Mask(text)
}

// answers shows the packed answers of a form, one text per field: "" where
// nothing was said. Private answers are still with the record before door 1 and
// sealed behind it.
func answers(f *study.Form, packed, missing string, inside bool) []string {
	out := make([]string, len(f.Fields))
	for i, cell := range strings.Split(packed, string(study.FieldSeparator)) {
		switch {
		case i == len(out): // a form without fields packs one empty cell
		case cell == study.MissingMark:
		case study.IsSealed(cell) && inside:
			out[i] = hiddenField(&f.Fields[i])
		case study.IsSealed(cell):
			out[i] = sealedMark
		default:
			out[i] = maskAnswer(&f.Fields[i], cell)
		}
	}
	for pair := range strings.SplitSeq(missing, ",") {
		if index, reason, ok := strings.Cut(pair, "="); ok {
			if i, err := strconv.Atoi(index); err == nil && i < len(out) {
				out[i] = "missing: " + reason
			}
		}
	}
	return out
}
