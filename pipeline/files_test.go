package pipeline

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"longitude/connectors"
	"longitude/study"
)

// offers is a source that offers what it is given, whatever is known.
type offers struct {
	drop
	given []connectors.Delivery
}

func (o *offers) Pull(_ context.Context, after connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		for _, d := range o.given {
			if after.Refused[d.Item] == d.Version || d.Whole != nil && after.Refused[d.Whole.Item] == d.Whole.Version {
				continue
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

func offer(name, text string, err error) connectors.Delivery {
	return connectors.Delivery{Item: name, Name: name, Version: "1", File: func() (int64, string) { return int64(len(text)), "0a" },
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), err }}
}

func row(n string) string {
	return header + n + ",va,baseline,2026-01-01,,R,40,,2026-01-01T00:00:00Z\n"
}

// A file that is refused is recorded as refused, is not acknowledged, and does not
// stop the source; one that fails for now does.
func TestRefusedFile(t *testing.T) {
	b := newBench(t, testStudy(), testSource(false))
	why := &study.Error{Code: "drop.checksum_mismatch", Op: "compare", Hint: "ask"}
	source := &offers{given: []connectors.Delivery{offer("a", "", &connectors.Refused{Why: why}), offer("b", row("1"), nil)}}
	b.feed.Source = source
	out := b.sync()
	if out.Objects != 1 || out.Aside != 1 || len(out.Reasons) != 1 || !errors.Is(out.Reasons[0], why) {
		t.Errorf("outcome %+v", out)
	}
	if !slices.Equal(source.acks, []string{"b"}) || len(b.store.ledger) != 1 || b.store.ledger[0].Code != why.Code || len(b.store.ledger[0].SealedName) == 0 {
		t.Errorf("acknowledged %v, refused %+v", source.acks, b.store.ledger)
	}
	source.given = source.given[:1]
	if out := b.sync(); out.Aside != 0 {
		t.Errorf("refused again: %+v", out)
	}
	source.given = []connectors.Delivery{offer("c", "", &study.Error{Code: "sftp.connection_lost", Temporary: true})}
	if _, err := b.ingester.Sync(t.Context(), b.feed, "test"); err == nil {
		t.Error("a lost connection is a success")
	}
}

// A file of another number of rows than its sender says is refused, and nothing of
// it is recorded.
func TestRowCount(t *testing.T) {
	b := newBench(t, testStudy(), testSource(false))
	short, right := offer("short", row("1"), nil), offer("right", row("2"), nil)
	two, one := int64(2), int64(1)
	short.Rows, right.Rows = &two, &one
	source := &offers{given: []connectors.Delivery{short, right}}
	b.feed.Source = source
	out := b.sync()
	if out.Objects != 1 || out.Counts.Read != 1 || out.Aside != 1 || !slices.Equal(source.acks, []string{"right"}) {
		t.Errorf("outcome %+v, acknowledged %v", out, source.acks)
	}
	if len(b.store.ledger) != 1 || b.store.ledger[0].Item != "short" || b.store.ledger[0].Code != "ingest.row_count" {
		t.Errorf("refused %+v", b.store.ledger)
	}
}

// An archive of which a file is refused is refused, and the rest of it waits.
func TestRefusedArchive(t *testing.T) {
	b := newBench(t, testStudy(), testSource(false))
	two := int64(2)
	var given []connectors.Delivery
	for i, name := range []string{"a", "b", "c"} {
		d := offer(name, row(name), nil)
		d.File, d.Whole = nil, &connectors.Whole{Item: "zip", Name: "x.zip", Version: "1", Last: i == 2}
		given = append(given, d)
	}
	given[1].Rows = &two
	source := &offers{given: given}
	b.feed.Source = source
	if out := b.sync(); out.Objects != 1 || out.Aside != 1 || !slices.Equal(source.acks, []string{"a"}) {
		t.Errorf("outcome %+v, acknowledged %v", out, source.acks)
	}
	if len(b.store.ledger) != 1 || b.store.ledger[0].Item != "zip" {
		t.Errorf("refused %+v", b.store.ledger)
	}
	if out := b.sync(); out.Objects+out.Known+out.Aside != 0 {
		t.Errorf("again %+v", out)
	}
}

// The last file of an archive brings the archive's own line.
func TestLines(t *testing.T) {
	d := offer("a", "text", nil)
	if got := lines(d, 7); len(got) != 1 || got[0].Size != 4 || got[0].SHA256 != "0a" || got[0].RunID != 7 || got[0].Within != "" {
		t.Errorf("a file alone: %+v", got)
	}
	d.File, d.Size, d.Whole = nil, 9, &connectors.Whole{Item: "zip", Version: "2", Sum: "0b"}
	if got := lines(d, 7); len(got) != 1 || got[0].Within != "zip" || got[0].Size != 9 {
		t.Errorf("one of several: %+v", got)
	}
	d.Whole.Last = true
	if got := lines(d, 7); len(got) != 2 || got[1].Item != "zip" || got[1].Version != "2" || got[1].SHA256 != "0b" {
		t.Errorf("the last: %+v", got)
	}
	d.Whole = nil
	if got := lines(d, 7); len(got) != 0 {
		t.Errorf("of no file: %+v", got)
	}
}
