package formattest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"longitude/study"
)

func asWritten(t *testing.T, b *bench) {
	for name, object := range b.Good {
		g := b.good(object)
		if !slices.Equal(g.Columns, b.Columns) {
			t.Errorf("%s: columns %q; want %q", name, g.Columns, b.Columns)
		}
		if !slices.EqualFunc(g.Rows, b.Rows, slices.Equal) {
			t.Errorf("%s: rows %q %q; want %q", name, g.Rows, g.Rules, b.Rows)
		}
	}
}

func pieces(t *testing.T, b *bench) {
	objects := map[string][]byte{"empty": b.Empty, "bad": b.Bad}
	for name, object := range b.Good {
		objects["good "+name] = object
	}
	for name, object := range objects {
		want := b.decode(object)
		for how, reader := range map[string]func(io.Reader) io.Reader{
			"by byte": iotest.OneByteReader, "by half": iotest.HalfReader, "its end with the last bytes": iotest.DataErrReader,
		} {
			if g := b.read(context.Background(), reader(bytes.NewReader(object))); !g.same(want) {
				t.Errorf("%s, %s: something else is read", name, how)
			}
		}
	}
}

// same reports whether two readings say the same, their errors included.
func (g *got) same(other *got) bool {
	a, b := *g, *other
	a.err, b.err = nil, nil
	return reflect.DeepEqual(a, b) && fmt.Sprint(g.err) == fmt.Sprint(other.err)
}

func sideBySide(t *testing.T, b *bench) {
	for name, object := range b.Good {
		want := b.good(object)
		var all sync.WaitGroup
		var again [4]*got
		for i := range again {
			all.Go(func() { again[i] = b.decode(object) })
		}
		all.Wait()
		for _, g := range again {
			if g == nil || !g.same(want) {
				t.Errorf("%s: read again it says something else", name)
			}
		}
	}
}

func withoutRows(t *testing.T, b *bench) {
	if g := b.good(b.Empty); !slices.Equal(g.Columns, b.Columns) || len(g.Rows) != 0 {
		t.Errorf("columns %q and %d rows; want %q and none", g.Columns, len(g.Rows), b.Columns)
	}
}

func brokenRows(t *testing.T, b *bench) {
	if b.Bad == nil {
		t.Skip("rows of this format cannot be broken one by one")
	}
	if g := b.good(b.Bad); !slices.Equal(g.Rules, b.Rules) {
		t.Errorf("rules %q; want %q", g.Rules, b.Rules)
	}
}

func stopsEarly(t *testing.T, b *bench) {
	for name, object := range b.Good {
		for _, r := range b.with(object) {
			n := 0
			for _, err := range b.Format.Decode(context.Background(), b.Spec, r) {
				if n++; err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				break
			}
			if n != 1 {
				t.Errorf("%s: %d batches", name, n)
			}
		}
	}
}

// with is an object and, where there is one, the big object.
func (b *bench) with(object []byte) []io.Reader {
	readers := []io.Reader{bytes.NewReader(object)}
	if b.Big != nil {
		readers = append(readers, b.Big())
	}
	return readers
}

func cancelled(t *testing.T, b *bench) {
	for name, object := range b.Good {
		for _, r := range b.with(object) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			b.stopped(name+", before", b.read(ctx, r))
		}
	}
	if b.Big == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := &cancelling{Reader: b.Big(), cancel: cancel, before: 32 << 10}
	start := time.Now()
	b.stopped("in the middle", b.read(ctx, r))
	if r.after > 8<<20 || time.Since(start) > 5*time.Second {
		t.Errorf("%d bytes more were read in %v after cancelling", r.after, time.Since(start))
	}
}

func (b *bench) stopped(when string, g *got) {
	b.t.Helper()
	if !errors.Is(g.err, context.Canceled) || !study.IsTemporary(g.err) {
		b.t.Errorf("cancelled %s: %v; want a temporary error", when, g.err)
	}
}

// cancelling cancels once the first bytes were read, and counts those after.
type cancelling struct {
	io.Reader
	cancel        func()
	before, after int
}

func (c *cancelling) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.before > 0 {
		if c.before -= n; c.before <= 0 {
			c.cancel()
		}
	} else {
		c.after += n
	}
	return n, err
}

// failingReader ends an object with an error instead of its end. After the last
// byte too: there the landing store says that the bytes are not those it kept.
func failingReader(t *testing.T, b *bench) {
	causes := map[error]bool{ // may it be tried again?
		errors.New("connection lost"):                                            true,
		&study.Error{Code: "landing.refused", Op: "reading", Hint: "restore it"}: false,
	}
	for name, object := range b.Good {
		for _, n := range []int{0, 1, len(object) / 2, len(object) - 1, len(object)} {
			for cause, temporary := range causes {
				g := b.read(context.Background(), io.MultiReader(bytes.NewReader(object[:n]), iotest.ErrReader(cause)))
				if !errors.Is(g.err, cause) || study.IsTemporary(g.err) != temporary {
					t.Errorf("%s, %v after %d bytes of %d: error %v", name, cause, n, len(object), g.err)
				}
			}
		}
	}
}

const places = 300 // where an object is cut or damaged

func cutObject(t *testing.T, b *bench) {
	for name, object := range b.Good {
		for n := 0; n < len(object); n += 1 + len(object)/places {
			if wrong := b.beginning(b.decode(object[:n])); wrong != "" {
				t.Errorf("%s cut to %d bytes of %d: %s", name, n, len(object), wrong)
			}
		}
	}
}

// beginning says what is wrong with the rows of a good object that was cut.
func (b *bench) beginning(g *got) (wrong string) {
	if len(g.Rows) > len(b.Rows) {
		return "more rows than it has"
	}
	last := len(g.Rows) - 1
	for i, row := range g.Rows {
		switch {
		case g.Rules[i] != "" && i < last:
			return "a row before the cut is broken"
		case g.Rules[i] != "" || slices.Equal(row, b.Rows[i]):
		case i < last || b.Ends != Anywhere || !slices.EqualFunc(row, b.Rows[i][:min(len(row), len(b.Rows[i]))], shortened):
			return fmt.Sprintf("row %d is another", i+1)
		}
	}
	switch {
	case g.err != nil:
	case !slices.Equal(g.Columns, b.Columns) && (b.Ends != Anywhere || last > 0):
		return "other columns"
	case b.Ends == Told && len(g.Rows) < len(b.Rows) && (last < 0 || g.Rules[last] == ""):
		return "nobody is told that rows are missing"
	}
	return ""
}

func shortened(cell, whole string) bool {
	return cell == Absent || strings.HasPrefix(whole, cell)
}

func damagedObject(t *testing.T, b *bench) {
	for name, object := range b.Good {
		for n := 0; n < len(object); n += 1 + len(object)/places {
			for _, damage := range []byte{0x00, '"', 0xff, object[n] ^ 0x20} {
				damaged := slices.Clone(object)
				damaged[n] = damage
				func() {
					defer func() {
						if p := recover(); p != nil {
							t.Errorf("%s with byte %d as %#x: panic: %v\n%s", name, n, damage, p, debug.Stack())
						}
					}()
					b.decode(damaged)
				}()
			}
		}
	}
}

// bounded looks at the memory in use while a big object is decoded.
func bounded(t *testing.T, b *bench) {
	if b.Big == nil {
		t.Skip("no big object")
	}
	if b.Memory == 0 {
		b.Memory = 16 << 20
	}
	r := b.Big()
	before := inUse()
	var most, raw, next uint64
	var rows int64
	for batch, err := range b.Format.Decode(context.Background(), b.Spec, r) {
		if err != nil {
			t.Fatal(err)
		}
		if batch.First != rows+1 {
			t.Fatalf("a batch begins at ordinal %d after %d rows", batch.First, rows)
		}
		rows += int64(batch.Len())
		for _, row := range batch.Raw {
			raw += uint64(len(row))
		}
		if raw >= next {
			next = raw + b.Memory/4
			most = max(most, inUse())
		}
	}
	if rows != b.BigRows || raw < 2*b.Memory {
		t.Errorf("%d rows of %d bytes; want %d rows of at least %d bytes", rows, raw, b.BigRows, 2*b.Memory)
	}
	if most > before+b.Memory {
		t.Errorf("%d bytes in use for %d bytes of rows; want at most %d", most-before, raw, b.Memory)
	}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func specChecked(t *testing.T, b *bench) {
	// What the loader of source documents sets when nothing is said.
	for name, spec := range map[string]study.FormatSpec{"the subject's": b.Spec, "the plainest": {Encoding: "auto", Header: true, DecimalMark: "."}} {
		if wrong := b.Format.Check(spec); len(wrong) > 0 {
			t.Errorf("%s spec is refused: %v", name, wrong)
		}
	}
	for key, specs := range b.Wrong {
		for i, spec := range specs {
			if b.Format.Check(spec)[key] == "" {
				t.Errorf("nothing is found wrong with %s number %d", key, i+1)
			}
		}
	}
	for key, spec := range map[string]study.FormatSpec{
		"delimiter": {Delimiter: ";"}, "quote": {Quote: "'"}, "escape": {Escape: "backslash"}, "comment": {Comment: "#"},
		"skip_lines": {SkipLines: 1}, "names": {Names: []string{"a"}}, "encoding": {Encoding: "windows-1252"},
		"table": {Table: "T"}, "records": {Records: "/items"},
	} {
		spec.Header = key != "names"
		if refused := b.Format.Check(spec)[key] != ""; refused == slices.Contains(b.Keys, key) {
			t.Errorf("%s is refused: %v", key, refused)
		}
	}
}
