package transform

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"reflect"
	"testing"

	"longitude/study"
)

func keptBatches(all ...*Rows) iter.Seq2[*Rows, error] {
	return func(yield func(*Rows, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func keptCells(texts ...string) [][]byte {
	out := make([][]byte, len(texts))
	for i, t := range texts {
		if t != "-" {
			out[i] = []byte(t)
		}
	}
	return out
}

// landedRows are three batches, of which the second has a broken row.
func landedRows() []*Rows {
	head := func(first int64) Rows {
		return Rows{Columns: []string{"id", "va"}, Types: []string{"text", "number"}, Dialect: "utf-8", First: first}
	}
	a, b, c := head(1), head(3), head(5)
	a.Lines, a.Raw, a.Cells = []int64{2, 3}, keptCells("p1,1", "p2,"), keptCells("p1", "1", "p2", "-")
	b.Lines, b.Raw, b.Cells, b.Broken = []int64{4, 6}, keptCells("p1,\"", "p1,4"), keptCells("-", "-", "p1", ""), []Broken{{0, "quote_unclosed"}}
	c.Lines, c.Raw, c.Cells = []int64{7, 8}, keptCells("p3,5", "p4,6"), keptCells("p3", "5", "p4", "6")
	return []*Rows{&a, &b, &c}
}

func keepRows(t testing.TB, follows bool, rows []*Rows, gone ...int64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := (Kept{}).Keep(&b, keptBatches(rows...), follows, func(n int64) bool {
		for _, g := range gone {
			if g == n {
				return true
			}
		}
		return false
	}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// keptRow is one row as it is read back.
type keptRow struct {
	ordinal, line int64
	raw, wrong    string
	cells         [][]byte
}

func readKept(t testing.TB, kept []byte, asked ...string) (head Rows, out []keptRow) {
	t.Helper()
	for rows, err := range (Kept{}).Decode(t.Context(), study.FormatSpec{Columns: asked}, bytes.NewReader(kept)) {
		if err != nil {
			t.Fatal(err)
		}
		head = *rows
		for i := range rows.Len() {
			out = append(out, keptRow{rows.First + int64(i), rows.Lines[i], string(rows.Raw[i]), "", rows.Row(i)})
		}
		for _, b := range rows.Broken {
			out[len(out)-rows.Len()+b.Row].wrong = b.Rule
		}
	}
	return head, out
}

// Rows keep their places and all that was known of them; those that are gone leave
// nothing.
func TestKeptRows(t *testing.T) {
	kept := keepRows(t, false, landedRows(), 1, 4, 6)
	head, got := readKept(t, kept, "va")
	want := []keptRow{{2, 3, "p2,", "", keptCells("p2", "-")}, {3, 4, `p1,"`, "quote_unclosed", keptCells("-", "-")}, {5, 7, "p3,5", "", keptCells("p3", "5")}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("rows\n%v, want\n%v", got, want)
	}
	if !reflect.DeepEqual(head.Columns, []string{"id", "va"}) || head.Types[1] != "number" || head.Labels != nil || head.Dialect != "utf-8" || head.Unasked != nil {
		t.Errorf("head %+v", head)
	}
	if bytes.Contains(kept, []byte("p4")) || !bytes.Contains(kept, []byte("p3")) {
		t.Error("what is gone is there")
	}
	if _, again := readKept(t, keepRows(t, false, landedRows())); len(again) != 6 || again[3].cells[1] == nil || again[1].cells[1] != nil {
		t.Errorf("nothing is gone: %v", again)
	}
	if head, none := readKept(t, keepRows(t, false, landedRows(), 1, 2, 3, 4, 5, 6)); len(none) != 0 || len(head.Columns) != 2 {
		t.Errorf("all are gone: %v %v", head, none)
	}
}

// In formats without fixed columns each mapping asks for its own.
func TestKeptColumnsFollowTheMapping(t *testing.T) {
	kept := keepRows(t, true, landedRows(), 1)
	head, got := readKept(t, kept, "iop", "va")
	if !reflect.DeepEqual(head.Columns, []string{"iop", "va"}) || !reflect.DeepEqual(head.Unasked, []string{"id"}) || !reflect.DeepEqual(got[3].cells, keptCells("-", "5")) {
		t.Errorf("head %+v, rows %v", head, got)
	}
}

func TestKeepFails(t *testing.T) {
	lost := errors.New("lost")
	failing := func(yield func(*Rows, error) bool) { yield(nil, lost) }
	if err := (Kept{}).Keep(&bytes.Buffer{}, failing, false, nil); !errors.Is(err, lost) {
		t.Errorf("reading: %v", err)
	}
	if err := (Kept{}).Keep(full{}, keptBatches(landedRows()...), false, func(int64) bool { return false }); err == nil {
		t.Error("writing fails unseen")
	}
	kept := keepRows(t, false, landedRows())
	for n := range kept {
		var last error
		for _, err := range (Kept{}).Decode(t.Context(), study.FormatSpec{}, bytes.NewReader(kept[:n])) {
			last = err
		}
		var e *study.Error
		if !errors.As(last, &e) || e.Code != "kept.damaged" {
			t.Fatalf("cut at %d: %v", n, last)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func FuzzKept(f *testing.F) {
	f.Add(keepRows(f, false, landedRows(), 2))
	f.Add(keepRows(f, true, landedRows()))
	f.Fuzz(func(t *testing.T, kept []byte) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for rows, err := range (Kept{}).Decode(ctx, study.FormatSpec{Columns: []string{"va"}}, bytes.NewReader(kept)) {
			if err == nil && (len(rows.Cells) != rows.Len()*len(rows.Columns) || len(rows.Raw) != rows.Len()) {
				t.Fatalf("%d rows of %d cells", rows.Len(), len(rows.Cells))
			}
		}
	})
}
