package study

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func contentBatch(ids []string, values []int64) *Batch {
	t := &Table{Name: "t", Columns: []Column{{Name: "participant_id", Kind: TextKind, Class: ParticipantKey}, {Name: "n", Kind: Int64Kind, Nullable: true}}}
	b := &Batch{Table: t, Rows: len(ids), Vectors: make([]Vector, 2)}
	for i, id := range ids {
		b.Vectors[0].AppendText(id)
		if values[i] < 0 {
			b.Vectors[1].AppendNull(Int64Kind)
		} else {
			b.Vectors[1].AppendInt(values[i])
		}
	}
	return b
}

func contentOf(b *Batch, participant int) []Branch {
	var c Content
	c.Add(b, participant)
	return c.Close()
}

// The root does not depend on where parts are cut between branches, nor on the
// batches that rows come in; it does on every value, NULL, row and their order.
func TestContentRoot(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var ids []string
	for range 500 {
		id := []byte("P")
		for range 8 {
			id = append(id, Crockford[rng.IntN(32)])
		}
		ids = append(ids, string(id), string(id))
	}
	slices.Sort(ids)
	values := make([]int64, len(ids))
	for i := range values {
		values[i] = rng.Int64N(5) - 1
	}
	whole := ContentRoot(contentOf(contentBatch(ids, values), 0))
	for bits := range branchBits + 1 {
		var parts [][]Branch
		for start := 0; start < len(ids); {
			end := start
			for end < len(ids) && BranchOf(ids[end])>>(branchBits-bits) == BranchOf(ids[start])>>(branchBits-bits) {
				end++
			}
			var c Content
			middle := (start + end) / 2
			c.Add(contentBatch(ids[start:middle], values[start:middle]), 0)
			c.Add(contentBatch(ids[middle:end], values[middle:end]), 0)
			parts = append(parts, c.Close())
			start = end
		}
		if ContentRoot(parts...) != whole {
			t.Errorf("%d bits: another root", bits)
		}
	}
	seen := map[Digest]string{whole: "whole"}
	for name, b := range map[string]*Batch{
		"a value":   contentBatch(ids, edited(values, 17, values[17]+1)),
		"a NULL":    contentBatch(ids, edited(values, slices.Index(values, 0), -1)),
		"a row":     contentBatch(ids[1:], values[1:]),
		"no row":    contentBatch(nil, nil),
		"an order":  contentBatch(ids, edited(edited(values, 0, 9), 1, 8)),
		"the other": contentBatch(ids, edited(edited(values, 0, 8), 1, 9)),
	} {
		root := ContentRoot(contentOf(b, 0))
		if other, twice := seen[root]; twice {
			t.Errorf("%s gives the root of %s", name, other)
		}
		seen[root] = name
	}
}

func edited(values []int64, i int, v int64) []int64 {
	values = slices.Clone(values)
	values[i] = v
	return values
}

// What a row is digested as tells values apart that look alike joined.
func TestAppendRow(t *testing.T) {
	table := &Table{Columns: []Column{{Kind: TextKind}, {Kind: TextKind}}}
	row := func(a, b string) string {
		batch := &Batch{Table: table, Rows: 1, Vectors: make([]Vector, 2)}
		for c, text := range []string{a, b} {
			if text == "-" {
				batch.Vectors[c].AppendNull(TextKind)
			} else {
				batch.Vectors[c].AppendText(text)
			}
		}
		return string(AppendRow(nil, batch, 0))
	}
	rows := []string{row("ab", "c"), row("a", "bc"), row("abc", ""), row("abc", "-"), row("-", "abc"), row("", "abc"), row("\x00", "-"), row("-", "\x00")}
	slices.Sort(rows)
	if len(slices.Compact(rows)) != 8 {
		t.Error("two rows have one form")
	}
	if !strings.HasPrefix(row("a", "b"), "\x01\x00\x00\x00\x01a") {
		t.Error("a text is not its length and its bytes")
	}
}
