// Package formattest is the behaviour suite that every format must pass: what
// the contract of transform.Format says, as checks.
package formattest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"longitude/study"
	"longitude/transform"
)

// Canary stands for a participant's value. A cell of Subject.Rows holds it, and
// no error may, not even half of it.
const Canary = "Kestrel-4711"

// Absent is how Subject.Rows writes a cell that is absent (nil).
const Absent = "\x00"

// Ending is what a format can know of an object that was cut.
type Ending int

// From the strictest to the weakest.
const (
	Told     Ending = iota // every cut is an error or a broken last row
	AtRows                 // an object that ends after a whole row looks whole
	Anywhere               // a cut row can look whole too: its last cells are shorter or missing
)

// Subject is a format with objects whose content is known.
type Subject struct {
	Format transform.Format
	Spec   study.FormatSpec

	Columns []string
	Rows    [][]string        // three or more
	Good    map[string][]byte // objects that all say Columns and Rows, by a name for the test
	Empty   []byte            // an object that says Columns and has no rows
	Bad     []byte            // an object with broken rows; nil for a format that has none
	Rules   []string          // per row of Bad: the rule that it breaks, "" for a row that does not
	Ends    Ending

	// Keys are the format's own among delimiter, quote, escape, comment,
	// skip_lines, names, encoding, table and records; Check refuses the others.
	Keys []string
	// Wrong are specs that Check refuses, by the key that is wrong.
	Wrong map[string][]study.FormatSpec

	// Big is an object of BigRows rows in several batches, broken ones among them
	// where rows can be, whose raw bytes are at least twice Memory.
	Big     func() io.Reader
	BigRows int64
	Memory  uint64 // bytes that decoding Big may hold at a time; 0 = 16 MiB
}

// Run runs every check of the suite.
func Run(t *testing.T, s Subject) {
	if !holdsCanary(s.Rows) || len(s.Rows) < 3 || len(s.Good) == 0 || s.Empty == nil {
		t.Fatal("the suite needs three rows, one with the canary, in a good object, and an empty object")
	}
	for _, check := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"rows and columns are as written", asWritten},
		{"the reader's pieces do not matter", pieces},
		{"an object decodes the same twice, and beside others", sideBySide},
		{"an object without rows has columns", withoutRows},
		{"broken rows are counted and stay in their place", brokenRows},
		{"a consumer may stop early", stopsEarly},
		{"a cancelled context stops promptly", cancelled},
		{"a reader that fails is an error, up to its end", failingReader},
		{"a cut object gives a beginning of its rows", cutObject},
		{"a damaged object never panics", damagedObject},
		{"memory does not grow with the object", bounded},
		{"the spec is checked", specChecked},
	} {
		t.Run(check.name, func(t *testing.T) {
			b := &bench{t: t, Subject: s}
			before := goleak.IgnoreCurrent()
			check.run(t, b)
			goleak.VerifyNone(t, before)
			b.discreet()
		})
	}
}

func holdsCanary(rows [][]string) bool {
	return slices.ContainsFunc(rows, func(row []string) bool {
		return slices.ContainsFunc(row, func(cell string) bool { return strings.Contains(cell, Canary) })
	})
}

// bench is one check with everything that the format's errors said.
type bench struct {
	t *testing.T
	Subject
	mu   sync.Mutex
	said bytes.Buffer
}

// discreet fails when an error held a part of a cell.
func (b *bench) discreet() {
	b.t.Helper()
	for _, part := range []string{Canary[:len(Canary)/2], Canary[len(Canary)/2:]} {
		if strings.Contains(b.said.String(), part) {
			b.t.Error("the text of a cell is in an error")
		}
	}
}

// say keeps what an error says and fails unless it is one of ours.
func (b *bench) say(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var e *study.Error
	if !errors.As(err, &e) || e.Code == "" || e.Op == "" || e.Hint == "" {
		b.t.Errorf("an error of type %T; want a *study.Error with code, op and hint", err)
		return
	}
	fmt.Fprintf(&b.said, "%v\n%+v\n%#v\n", err, err, *e)
}

// got is a decoded object, copied out of its batches.
type got struct {
	Columns, Labels, Types, Unasked []string
	Dialect                         string
	Rows                            [][]string // nil for a broken one
	Rules                           []string   // per row, "" when it is not broken
	Lines                           []int64
	Raw                             []string
	err                             error
}

func (b *bench) decode(object []byte) *got {
	b.t.Helper()
	return b.read(context.Background(), bytes.NewReader(object))
}

// read decodes an object and checks what holds for every object, good or not.
func (b *bench) read(ctx context.Context, r io.Reader) *got {
	b.t.Helper()
	g := &got{}
	batches := 0
	for rows, err := range b.Format.Decode(ctx, b.Spec, r) {
		if g.err != nil {
			b.t.Fatal("the sequence goes on after an error")
		}
		if g.err = err; err != nil {
			b.say(err)
			continue
		}
		if batches++; batches == 1 {
			g.Columns = slices.Clone(rows.Columns)
		}
		b.consistent(g, rows)
		g.add(rows)
	}
	if batches == 0 && g.err == nil {
		b.t.Fatal("neither a batch nor an error")
	}
	return g
}

// good decodes an object that must not be refused.
func (b *bench) good(object []byte) *got {
	b.t.Helper()
	g := b.decode(object)
	if g.err != nil {
		b.t.Fatalf("refused: %v", g.err)
	}
	return g
}

var (
	ruleCode  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	dataTypes = []string{"", "number", "text", "date", "datetime", "time", "boolean"}
)

// consistent checks a batch in itself and against those before it.
func (b *bench) consistent(g *got, rows *transform.Rows) {
	b.t.Helper()
	n, columns := rows.Len(), len(rows.Columns)
	switch {
	case !slices.Equal(rows.Columns, g.Columns):
		b.t.Fatal("the columns of a batch are not those of the first")
	case len(rows.Cells) != n*columns || len(rows.Raw) != n:
		b.t.Fatalf("%d cells and %d raw rows for %d rows of %d columns", len(rows.Cells), len(rows.Raw), n, columns)
	case rows.First != int64(len(g.Rows))+1:
		b.t.Fatalf("a batch begins at ordinal %d after %d rows", rows.First, len(g.Rows))
	case rows.Labels != nil && len(rows.Labels) != columns, rows.Types != nil && len(rows.Types) != columns:
		b.t.Fatalf("%d labels and %d types of %d columns", len(rows.Labels), len(rows.Types), columns)
	}
	for _, kind := range rows.Types {
		if !slices.Contains(dataTypes, kind) {
			b.t.Errorf("a column's type is none of %q", dataTypes)
		}
	}
	last := -1
	for _, broken := range rows.Broken {
		if broken.Row <= last || broken.Row >= n {
			b.t.Fatalf("broken row %d after %d in a batch of %d", broken.Row, last, n)
		}
		last = broken.Row
		if !ruleCode.MatchString(broken.Rule) {
			b.t.Error("a broken row's rule is not a code")
		}
		if slices.ContainsFunc(rows.Row(last), func(cell []byte) bool { return cell != nil }) {
			b.t.Error("a broken row has cells")
		}
	}
	for i, line := range rows.Lines {
		if i > 0 && line < rows.Lines[i-1] || line < 1 {
			b.t.Errorf("row %d of a batch is on line %d", i, line)
		}
		if len(rows.Raw[i]) == 0 {
			b.t.Errorf("row %d of a batch has no bytes", i)
		}
	}
	if slices.ContainsFunc(rows.Cells, func(cell []byte) bool { return !utf8.Valid(cell) }) {
		b.t.Error("a cell is not UTF-8")
	}
}

func (g *got) add(rows *transform.Rows) {
	g.Labels, g.Types, g.Unasked = slices.Clone(rows.Labels), slices.Clone(rows.Types), slices.Clone(rows.Unasked)
	g.Dialect = rows.Dialect
	base := len(g.Rows)
	for i := range rows.Len() {
		cells := []string{}
		for _, cell := range rows.Row(i) {
			if cell == nil {
				cells = append(cells, Absent)
			} else {
				cells = append(cells, string(cell))
			}
		}
		g.Rows, g.Rules = append(g.Rows, cells), append(g.Rules, "")
		g.Lines, g.Raw = append(g.Lines, rows.Lines[i]), append(g.Raw, string(rows.Raw[i]))
	}
	for _, broken := range rows.Broken {
		g.Rows[base+broken.Row], g.Rules[base+broken.Row] = nil, broken.Rule
	}
}
