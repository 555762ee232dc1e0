package transform

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"iter"
	"math"
	"slices"

	"longitude/study"
)

// Kept is the format of what is kept of an object from which rows were erased: the
// other rows as they were decoded, in their old places. Whatever the format of the
// object was, this reads and writes it:
//
//	columns, labels, types (count, then texts), dialect, 1 if columns follow the mapping
//	batches of rows that follow each other: count, ordinal of the first, then of each
//	  its line, its bytes as landed, what is wrong with it, and unless that is
//	  something its cells (length + 1, 0 = absent)
//	0
//
// Numbers are unsigned varints, texts are preceded by their length.
type Kept struct{}

var _ Format = Kept{}

// Check finds nothing wrong: the format is never configured.
func (Kept) Check(study.FormatSpec) map[string]string { return nil }

// Keep writes the rows but those for which gone is true. A format whose columns
// follow the mapping must be asked for all that there are (see Rows.Unasked).
func (Kept) Keep(w io.Writer, all iter.Seq2[*Rows, error], followsMapping bool, gone func(ordinal int64) bool) error {
	k := keeper{w: bufio.NewWriter(w)}
	for rows, err := range all {
		if err != nil {
			return err
		}
		if !k.begun {
			k.header(rows, followsMapping)
		}
		for from := 0; from < rows.Len(); from++ {
			to := from
			for to < rows.Len() && !gone(rows.First+int64(to)) {
				to++
			}
			if to > from {
				k.rows(rows, from, to)
			}
			from = to
		}
	}
	k.number(0)
	return k.w.Flush() // the first error of all
}

type keeper struct {
	w     *bufio.Writer
	begun bool
	buf   []byte
}

func (k *keeper) number(n uint64) {
	k.buf = binary.AppendUvarint(k.buf[:0], n)
	_, _ = k.w.Write(k.buf)
}

func (k *keeper) text(b []byte) {
	k.number(uint64(len(b)))
	_, _ = k.w.Write(b)
}

func (k *keeper) texts(list []string) {
	k.number(uint64(len(list)))
	for _, t := range list {
		k.text([]byte(t))
	}
}

func (k *keeper) header(r *Rows, followsMapping bool) {
	k.begun = true
	k.texts(r.Columns)
	k.texts(r.Labels)
	k.texts(r.Types)
	k.text([]byte(r.Dialect))
	var follows uint64
	if followsMapping {
		follows = 1
	}
	k.number(follows)
}

// rows writes the rows from … to-1.
func (k *keeper) rows(r *Rows, from, to int) {
	wrong := make(map[int]string, len(r.Broken))
	for _, b := range r.Broken {
		wrong[b.Row] = b.Rule
	}
	k.number(uint64(to - from))
	k.number(uint64(r.First + int64(from)))
	for i := from; i < to; i++ {
		k.number(uint64(r.Lines[i]))
		k.text(r.Raw[i])
		k.text([]byte(wrong[i]))
		if wrong[i] != "" {
			continue
		}
		for _, cell := range r.Row(i) {
			if cell == nil {
				k.number(0)
				continue
			}
			k.number(uint64(len(cell)) + 1)
			_, _ = k.w.Write(cell)
		}
	}
}

// Decode implements Format.
func (Kept) Decode(ctx context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*Rows, error] {
	return func(yield func(*Rows, error) bool) {
		k := keptReader{r: bufio.NewReader(r)}
		head := Rows{Columns: k.texts(), Labels: k.texts(), Types: k.texts(), Dialect: string(k.text()), First: 1}
		places := head.places(k.number() == 1, spec.Columns)
		for some := false; ; some = true {
			rows := head
			n := k.number()
			if n > 0 {
				k.batch(&rows, n, places)
			}
			switch {
			case k.failed || ctx.Err() != nil:
				yield(nil, &study.Error{Code: "kept.damaged", Op: "read an object from which rows were erased: it is cut or changed", Exit: study.ExitBlocked,
					Hint: "restore the object from backup"})
				return
			case n > 0 && !yield(&rows, nil), n == 0 && some:
				return
			case n == 0:
				yield(&rows, nil)
				return
			}
		}
	}
}

// places says where the cells of a row go, by their place in what is kept; -1 =
// nowhere. Columns that follow the mapping become those that it asks for.
func (r *Rows) places(followsMapping bool, asked []string) []int {
	places := make([]int, len(r.Columns))
	for i, name := range r.Columns {
		places[i] = i
		if followsMapping {
			if places[i] = slices.Index(asked, name); places[i] < 0 {
				r.Unasked = append(r.Unasked, name)
			}
		}
	}
	if followsMapping {
		slices.Sort(r.Unasked)
		r.Columns = slices.Clone(asked)
	}
	return places
}

// keptReader reads numbers and texts. After a failure it gives zeros.
type keptReader struct {
	r      *bufio.Reader
	failed bool
}

func (k *keptReader) number() uint64 {
	n, err := binary.ReadUvarint(k.r)
	if err != nil || k.failed {
		k.failed = true
		return 0
	}
	return n
}

func (k *keptReader) text() []byte { return k.bytes(k.number()) }

// bytes reads what is long as it comes, so that a length that is wrong takes no memory.
func (k *keptReader) bytes(n uint64) []byte {
	if n <= 1<<16 {
		b := make([]byte, n)
		if _, err := io.ReadFull(k.r, b); err != nil {
			k.failed = true
		}
		return b
	}
	b, err := io.ReadAll(io.LimitReader(k.r, int64(min(n, math.MaxInt64))))
	if err != nil || uint64(len(b)) < n {
		k.failed = true
	}
	return b
}

// texts is nil where there are none.
func (k *keptReader) texts() (list []string) {
	for n := k.number(); n > 0 && !k.failed; n-- {
		list = append(list, string(k.text()))
	}
	return list
}

// batch reads n rows.
func (k *keptReader) batch(rows *Rows, n uint64, places []int) {
	rows.First = int64(k.number())
	for ; n > 0 && !k.failed; n-- {
		rows.Lines = append(rows.Lines, int64(k.number()))
		rows.Raw = append(rows.Raw, k.text())
		start := len(rows.Cells)
		rows.Cells = append(rows.Cells, make([][]byte, len(rows.Columns))...)
		if wrong := k.text(); len(wrong) > 0 {
			rows.Broken = append(rows.Broken, Broken{Row: len(rows.Lines) - 1, Rule: string(wrong)})
			continue
		}
		for _, place := range places {
			size := k.number()
			if size == 0 {
				continue
			}
			if cell := k.bytes(size - 1); place >= 0 {
				rows.Cells[start+place] = cell
			}
		}
	}
}
