package json

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// The limits of one object. A batch holds at most maxRows rows, about maxCells
// cells and what fits the buffer, which grows up to maxRow when a row needs it.
const (
	firstBuffer = 1 << 18
	maxRow      = 1 << 20 // bytes; a longer row is broken
	maxRows     = 4096
	maxCells    = 1 << 16
	maxDepth    = 64   // objects and arrays inside each other, the row included
	maxUnasked  = 1000 // names reported of members that nobody asked for
)

// Format is the transform.Format of JSON.
type Format struct {
	Lines bool // newline-delimited: one object a line; else one document
}

// Check reports what is wrong with the keys of a format spec.
func (f Format) Check(spec study.FormatSpec) map[string]string {
	wrong := map[string]string{}
	for key, set := range map[string]bool{"delimiter": spec.Delimiter != "", "quote": spec.Quote != "", "escape": spec.Escape != "",
		"comment": spec.Comment != "", "skip_lines": spec.SkipLines != 0, "names": len(spec.Names) > 0, "table": spec.Table != ""} {
		if set {
			wrong[key] = "means nothing to JSON: leave it out"
		}
	}
	switch spec.Encoding {
	case "", "auto", "utf-8":
	default:
		wrong["encoding"] = "JSON is UTF-8: leave the key out, or write utf-8"
	}
	if spec.DecimalMark != "" && spec.DecimalMark != "." {
		wrong["decimal_mark"] = `numbers in JSON are written with "."`
	}
	_, ok := pointer(spec.Records)
	switch {
	case f.Lines && spec.Records != "":
		wrong["records"] = "each line is a row; `records` is for type json"
	case !ok || slices.Contains(strings.Split(spec.Records, "/"), "*"):
		wrong["records"] = `must be a JSON pointer such as "/data/items": "/" before each name, "~0" for "~" and "~1" for "/" in a name; "*" is not supported`
	}
	return wrong
}

// Decode yields the rows of one object. An object without rows is one empty
// batch, so that its columns can be checked.
func (f Format) Decode(ctx context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*transform.Rows, error] {
	return func(yield func(*transform.Rows, error) bool) {
		d, err := f.open(spec, r)
		if err != nil {
			yield(nil, err)
			return
		}
		for first := true; ; first = false {
			if ctx.Err() != nil {
				yield(nil, &study.Error{Code: "json.stopped", Op: "reading the object", Temporary: true, Err: ctx.Err(),
					Hint: "the run was stopped: run it again"})
				return
			}
			more, err := d.next()
			if err != nil {
				yield(nil, err)
				return
			}
			if !more && !first || !yield(&d.rows, nil) || !more {
				return
			}
		}
	}
}

// decoder reads one object. Cells are slices of buf, or of the row's arena where
// they had to be unescaped or put together.
type decoder struct {
	r         io.Reader
	buf       []byte
	pos, end  int // buf[pos:end] is read and not yet decoded
	eof       bool
	offset    int64 // of buf[0] in the object
	line      int64 // of pos, from 1
	limit     int   // rows of a batch
	splitRows func() error

	row  row
	rows transform.Rows
}

// errPause says that bytes are wanted while rows of the batch lie in the buffer.
var errPause = errors.New("json: the batch is full")

// open prepares the columns and looks at the first bytes.
func (f Format) open(spec study.FormatSpec, r io.Reader) (*decoder, error) {
	d := &decoder{r: r, buf: make([]byte, firstBuffer), line: 1}
	d.rows.First, d.rows.Columns = 1, slices.Clone(spec.Columns)
	d.limit = min(maxRows, max(1, maxCells/max(1, len(spec.Columns))))
	if err := d.row.ask(spec.Columns); err != nil {
		return nil, err
	}
	if err := d.fill(); err != nil {
		return nil, err
	}
	start := d.buf[:d.end]
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "{\x00", "[\x00", "\x00{", "\x00["} {
		if bytes.HasPrefix(start, []byte(mark)) {
			return nil, &study.Error{Code: "json.encoding", Place: "line 1", Op: "reading an object that looks like UTF-16",
				Hint: "JSON is exchanged in UTF-8 (RFC 8259): have the source write UTF-8"}
		}
	}
	if bytes.HasPrefix(start, []byte("\xef\xbb\xbf")) {
		d.pos = 3
	}
	if f.Lines {
		d.splitRows = (&lines{decoder: d}).split
		return d, nil
	}
	names, ok := pointer(spec.Records)
	if !ok {
		return nil, pointerError("`records`")
	}
	d.splitRows = (&document{decoder: d, names: names}).split
	return d, nil
}

// next decodes the next batch; false when there are no more rows.
func (d *decoder) next() (more bool, err error) {
	n := d.rows.Len()
	d.rows = transform.Rows{Columns: d.rows.Columns, First: d.rows.First + int64(n), Cells: d.rows.Cells[:0],
		Lines: d.rows.Lines[:0], Raw: d.rows.Raw[:0], Broken: d.rows.Broken[:0]}
	d.row.arena = d.row.arena[:0]
	if err := d.splitRows(); err != nil && !errors.Is(err, errPause) {
		return false, err
	}
	d.rows.Unasked = d.row.unasked
	return d.rows.Len() > 0, nil
}

// add decodes raw, the row at pos, into the batch. Its rule is given when it is
// known to be broken before it is looked at.
func (d *decoder) add(raw []byte, rule string) {
	base := len(d.rows.Cells)
	for range d.rows.Columns {
		d.rows.Cells = append(d.rows.Cells, nil)
	}
	if rule == "" {
		rule = d.row.decode(raw, d.rows.Cells[base:])
	}
	if rule != "" {
		clear(d.rows.Cells[base:])
		d.rows.Broken = append(d.rows.Broken, transform.Broken{Row: d.rows.Len(), Rule: rule})
	}
	d.rows.Lines = append(d.rows.Lines, d.line)
	d.rows.Raw = append(d.rows.Raw, raw)
}

// full reports that the batch takes no more rows.
func (d *decoder) full() bool { return d.rows.Len() >= d.limit }

// advance passes over n bytes and counts their lines.
func (d *decoder) advance(n int) {
	d.line += int64(bytes.Count(d.buf[d.pos:d.pos+n], []byte{'\n'}))
	d.pos += n
}

// fill makes room, growing the buffer where one row fills it, and reads until
// the buffer is full or the object ends. Rows of the batch lie in the buffer:
// while there are any it is errPause instead.
func (d *decoder) fill() error {
	if d.rows.Len() > 0 {
		return errPause
	}
	if d.pos == 0 && d.end == len(d.buf) && len(d.buf) < maxRow {
		d.buf = append(d.buf, make([]byte, len(d.buf))...)
	}
	d.offset += int64(d.pos)
	d.end = copy(d.buf, d.buf[d.pos:d.end])
	d.pos = 0
	for d.end < len(d.buf) && !d.eof {
		n, err := d.r.Read(d.buf[d.end:])
		d.end += n
		if err == io.EOF {
			d.eof = true
		} else if err != nil {
			return readError(err)
		}
	}
	return nil
}

// stuck reports that a row fills the whole buffer, which grows no more.
func (d *decoder) stuck() bool { return d.pos == 0 && d.end == len(d.buf) && d.end >= maxRow }

// place is where pos is in the object.
func (d *decoder) place() string {
	return fmt.Sprintf("line %d, byte %d", d.line, d.offset+int64(d.pos)+1)
}

func (d *decoder) syntaxError(hint string) error {
	return &study.Error{Code: "json.syntax", Place: d.place(), Op: "reading text that is not JSON", Hint: hint}
}

// readError hands on an error of the reader below, which speaks of the object
// and not of its text.
func readError(err error) error {
	var known *study.Error
	if errors.As(err, &known) {
		return err
	}
	return &study.Error{Code: "json.read", Op: "reading the object", Temporary: true, Err: err,
		Hint: "the object could not be read to its end; run again"}
}
