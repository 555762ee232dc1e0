package xport

import (
	"context"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// The limits of one object. A batch holds at most maxRows rows, about maxCells
// cells and what fits the buffer, which holds two rows at least.
const (
	firstBuffer = 1 << 16
	maxRow      = 1 << 22 // bytes
	maxColumns  = 1 << 15 // what SAS itself can hold
	maxRows     = 4096
	maxCells    = 1 << 16
	maxLabel    = 1 << 12 // bytes of a long label with its name and formats; SAS stops at 256 for a label
	maxNamed    = 20      // members that an error names
)

// Format is the transform.Format of SAS transport files.
type Format struct{}

// Check reports what is wrong with the xport keys of a format spec.
func (Format) Check(spec study.FormatSpec) map[string]string {
	wrong := map[string]string{}
	if _, ok := charsets[spec.Encoding]; !ok {
		wrong["encoding"] = "must be one of auto, utf-8, windows-1252, iso-8859-1"
	}
	if len(spec.Table) > 32 {
		wrong["table"] = "the name of a member has at most 32 characters"
	}
	for key, set := range map[string]bool{"delimiter": spec.Delimiter != "", "quote": spec.Quote != "", "escape": spec.Escape != "",
		"comment": spec.Comment != "", "skip_lines": spec.SkipLines != 0, "names": len(spec.Names) > 0, "records": spec.Records != ""} {
		if set {
			wrong[key] = "a transport file has no such thing: leave the key out"
		}
	}
	if spec.DecimalMark == "," {
		wrong["decimal_mark"] = "numbers of a transport file are binary and come out with a point"
	}
	return wrong
}

// Decode yields the rows of one member: the one that spec.Table names, else the
// only one. A member without rows is one empty batch, so that its columns can be
// checked.
func (Format) Decode(ctx context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*transform.Rows, error] {
	return func(yield func(*transform.Rows, error) bool) {
		d := &decoder{stream: stream{r: r, buf: make([]byte, firstBuffer)}, charset: charsets[spec.Encoding]}
		if err := d.library(); err != nil {
			yield(nil, err)
			return
		}
		var names []string
		found := false
		for {
			more, err := d.member()
			if err != nil {
				yield(nil, err)
				return
			}
			if !more {
				break
			}
			names = append(names[:min(len(names), maxNamed)], d.name)
			wanted := spec.Table == "" && len(names) == 1 || spec.Table != "" && strings.EqualFold(d.name, spec.Table)
			if wanted && found {
				yield(nil, &study.Error{Code: "xport.members", Op: "reading a library in which two members have the name that is asked for",
					Hint: "export the members under different names; which of the two is meant cannot be guessed"})
				return
			}
			if !d.rowsOf(ctx, wanted, yield) { // to the end: only there the object is known to be whole
				return
			}
			found = found || wanted
		}
		switch {
		case len(names) > 1 && spec.Table == "":
			yield(nil, &study.Error{Code: "xport.members", Op: "reading a library of several members, none of which is asked for: " + list(names),
				Hint: "name one of them with `table:` in the source's format; one source reads one member"})
		case !found:
			yield(nil, &study.Error{Code: "xport.member_unknown", Op: "looking for the member that is asked for; the object holds " + list(names),
				Hint: "name a member that is there with `table:` in the source's format, or check that the export is complete"})
		}
	}
}

// rowsOf passes over the rows of the member whose header was read, and yields
// them if they are wanted. It reports whether to go on.
func (d *decoder) rowsOf(ctx context.Context, wanted bool, yield func(*transform.Rows, error) bool) bool {
	for first := true; ; first = false {
		if ctx.Err() != nil {
			yield(nil, &study.Error{Code: "xport.stopped", Op: "reading the object", Temporary: true, Err: ctx.Err(),
				Hint: "the run was stopped: run it again"})
			return false
		}
		n, err := d.ready()
		if err == nil && wanted && (n > 0 || first) {
			err = d.decode(n)
		}
		switch {
		case err != nil:
			yield(nil, err)
			return false
		case !wanted:
			d.pass(n)
		case (n > 0 || first) && !yield(&d.rows, nil):
			return false
		}
		if n == 0 {
			return true
		}
	}
}

var sasName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,31}$`)

// list names members in an error. What is not a SAS name may be anything, and
// is not repeated.
func list(names []string) string {
	var said []string
	for i, name := range names {
		switch {
		case i == maxNamed:
			name = "more"
		case !sasName.MatchString(name):
			name = fmt.Sprintf("member %d", i+1)
		}
		said = append(said, name)
	}
	if len(said) == 0 {
		return "no member"
	}
	return strings.Join(said, ", ")
}
