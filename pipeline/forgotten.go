package pipeline

import (
	"context"
	"io"
	"iter"
	"slices"

	"longitude/deid"
	"longitude/study"
	"longitude/transform"
)

// forgotten finds the rows of people who were erased. They are counted as refused,
// and nothing of them is kept: not in quarantine, and not in landing once the
// object is read.
type forgotten struct {
	erased map[study.Digest]bool
	intake *deid.Intake
	mapper *transform.Mapper
	rows   map[int64]bool // theirs, by ordinal
}

// identity reports whether the identity of that blind index was erased.
func (f *forgotten) identity(blind study.Digest) bool { return f != nil && f.erased[blind] }

// find notes the rows of a batch that are theirs, and empties what was refused of
// them for other reasons.
func (f *forgotten) find(rows *transform.Rows, m *transform.Mapped) {
	f.note(rows)
	for i := range m.Rejections {
		if r := &m.Rejections[i]; f.rows[r.Ordinal] {
			r.Rule, r.Field, r.Raw = deid.IdentityErased, "", nil
		}
	}
}

// note notes the rows of a batch that are theirs.
func (f *forgotten) note(rows *transform.Rows) {
	broken := rows.Broken
	for i := range rows.Len() {
		var theirs bool
		if len(broken) > 0 && broken[0].Row == i {
			theirs = f.intake.Names(rows.Raw[i], f.erased)
			broken = broken[1:]
		} else if source := f.mapper.Identity(rows.Row(i)); source != nil {
			identity, rule := f.intake.Identify(string(source))
			theirs = rule == "" && f.erased[identity.Blind]
		} else {
			theirs = f.intake.Names(rows.Raw[i], f.erased)
		}
		if theirs {
			f.rows[rows.First+int64(i)] = true
		}
	}
}

// remember asks who of the study was erased.
func (d *door) remember(ctx context.Context) error {
	erased, err := d.tx.Erased(ctx)
	if len(erased) > 0 {
		d.forgotten = &forgotten{erased: erased, intake: d.feed.Intake, rows: map[int64]bool{}}
	}
	return err
}

// looker is l, of which the door learns the mapper where it needs that.
func (d *door) looker(l looker) looker {
	if d.heard != nil {
		l = hearing{l, d}
	}
	if d.forgotten == nil {
		return l
	}
	return learning{l, d.forgotten}
}

// learning is a looker that tells a door the mapper of the object.
type learning struct {
	looker
	forgotten *forgotten
}

func (l learning) begin(m *transform.Mapper) {
	l.forgotten.mapper = m
	l.looker.begin(m)
}

// strip erases rows from a landed object. What is there afterwards holds the others
// in their old places; nothing happens where there is nothing to erase.
func strip(ctx context.Context, f *Feed, object study.Object, gone map[int64]bool) error {
	if len(gone) == 0 {
		return nil
	}
	columns, follows, err := columnsOf(ctx, f, object)
	if err != nil {
		return err
	}
	landed, err := f.Landing.Open(ctx, object)
	if err != nil {
		return err
	}
	defer func() { _ = landed.Close() }()
	rows := rowsOf(ctx, f, landed, columns)
	return f.Landing.Rewrite(ctx, object, func(w io.Writer) error {
		return transform.Kept{}.Keep(w, rows, follows, func(ordinal int64) bool { return gone[ordinal] })
	})
}

// rowsOf decodes a landed object, asking for columns.
func rowsOf(ctx context.Context, f *Feed, landed io.Reader, columns []string) iter.Seq2[*transform.Rows, error] {
	spec, format := f.Config.Format, f.Format
	if k, ok := landed.(Kept); ok && k.Kept() {
		format = transform.Kept{}
	}
	spec.Columns = columns
	return format.Decode(ctx, spec, landed)
}

// columnsOf are all columns of an object. They follow what is asked for in formats
// whose rows have no fixed columns.
func columnsOf(ctx context.Context, f *Feed, object study.Object) (columns []string, follows bool, err error) {
	landed, err := f.Landing.Open(ctx, object)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = landed.Close() }()
	mapper, problems := transform.NewMapper(f.Study, f.Config)
	if len(problems) > 0 {
		return nil, false, mapInvalid(f)
	}
	asked := mapper.Columns()
	var unasked []string
	for rows, err := range rowsOf(ctx, f, landed, asked) {
		if err != nil {
			return nil, false, err
		}
		columns, unasked = rows.Columns, rows.Unasked
	}
	if !slices.Equal(columns, asked) {
		return columns, false, nil
	}
	return slices.Concat(asked, unasked), true, nil
}
