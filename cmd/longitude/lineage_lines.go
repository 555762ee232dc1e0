package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"longitude/internal/landing"
	"longitude/internal/lineage"
	"longitude/internal/people"
	"longitude/internal/postgres"
	"longitude/study"
	"longitude/transform"
	formatlist "longitude/transform/formats/all"
)

// landedRow is a row of a landed object, by its batch.
type landedRow struct{ batch, ordinal int64 }

// places checks the landed objects of the trace and finds the lines of its rows.
func (t *tracer) places(ctx context.Context) error {
	objects, err := t.h.objects()
	if err != nil {
		return err
	}
	kept, err := landing.New(objects, t.h.ring, t.study.Name)
	if err != nil {
		return err
	}
	t.texts = map[landedRow]string{}
	for i := range t.trace.Batches {
		b := &t.trace.Batches[i]
		if b.Object == "" || b.Kind == "roster" { // a list of participants is not kept
			continue
		}
		reduced, err := kept.Verify(ctx, b.At)
		if b.Landed, err = landed(err); err != nil {
			return err
		}
		switch {
		case b.Landed != lineage.Sound:
			continue
		case reduced:
			b.Landed = lineage.Reduced
		}
		if err := t.lines(ctx, kept, b); err != nil {
			return err
		}
	}
	return nil
}

// landed is what an attempt to read an object to its end says of it.
func landed(err error) (lineage.Landed, error) {
	var e *study.Error
	switch {
	case err == nil:
		return lineage.Sound, nil
	case !errors.As(err, &e):
	case e.Code == "landing.missing":
		return lineage.Gone, nil
	case e.Code == "landing.damaged":
		return lineage.Damaged, nil
	}
	return "", err
}

// lines goes through an object up to the last row that is asked for.
func (t *tracer) lines(ctx context.Context, kept *landing.Store, b *lineage.Batch) error {
	var wanted []int64
	for _, v := range t.trace.Made {
		if v.Batch == b.Batch && v.Ordinal > 0 {
			wanted = append(wanted, v.Ordinal)
		}
	}
	sources, err := t.h.sources([]string{b.Source})
	switch {
	case len(wanted) == 0:
		return nil
	case err != nil:
		t.trace.Notes = append(t.trace.Notes, "source "+b.Source+" is no longer configured: the lines in its objects cannot be told")
		return nil
	case sources[0].Digest.String() != b.Mapping:
		t.trace.Notes = append(t.trace.Notes, "the document of source "+b.Source+" has changed since batch "+numbers(b.Batch)[0]+": lines are those that its format of today reads")
	}
	mapper, _ := transform.NewMapper(t.study, &sources[0].Source)
	spec := sources[0].Format
	spec.Columns = mapper.Columns()
	r, err := kept.Open(ctx, b.At)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	format := formatlist.Formats()[spec.Type]
	if b.Landed == lineage.Reduced {
		format = transform.Kept{}
	}
	last := slices.Max(wanted)
	for rows, err := range format.Decode(ctx, spec, r) {
		if err != nil {
			return err
		}
		t.keep(b.Batch, rows, wanted)
		if rows.First+int64(rows.Len()) > last {
			break
		}
	}
	return nil
}

// keep notes line and bytes of the wanted ones of some rows.
func (t *tracer) keep(batch int64, rows *transform.Rows, wanted []int64) {
	for _, ordinal := range wanted {
		i := ordinal - rows.First
		if i < 0 || i >= int64(rows.Len()) {
			continue
		}
		t.texts[landedRow{batch, ordinal}] = string(rows.Raw[i])
		for n := range t.trace.Made {
			if v := &t.trace.Made[n]; v.Batch == batch && v.Ordinal == ordinal {
				v.Line = rows.Lines[i]
			}
		}
	}
}

// show adds the rows as landed, once somebody who may see them has signed for it.
func (t *tracer) show(ctx context.Context, p *pen, reason string) error {
	look := &postgres.Look{At: t.h.now().UTC().Truncate(time.Microsecond), Study: t.study.Name, Release: t.trace.Release, Table: t.trace.Table, Participant: t.row.Participant, Reason: reason}
	for _, v := range t.trace.Made {
		if _, there := t.texts[landedRow{v.Batch, v.Ordinal}]; there {
			look.Rows = append(look.Rows, postgres.LandedRow{Batch: v.Batch, Row: v.Ordinal})
		}
	}
	if len(look.Rows) == 0 {
		return &study.Error{Code: "lineage.no_line", Op: "the row comes from no line that can be shown", Exit: study.ExitFailed,
			Hint: "trace a row of a form or of visits; what is judged from many rows names the versions it was made of"}
	}
	text := "I look at " + plural(len(look.Rows), "landed row") + " of a participant of study " + look.Study + ", for the reason: " + reason + "."
	sig, err := t.h.sign(ctx, p, people.Responsibility, look.Record(), text)
	if err != nil {
		return err
	}
	if err := t.h.store.Looked(ctx, look, *sig); err != nil {
		return err
	}
	for i := range t.trace.Made {
		v := &t.trace.Made[i]
		v.Text = t.texts[landedRow{v.Batch, v.Ordinal}]
	}
	return nil
}
