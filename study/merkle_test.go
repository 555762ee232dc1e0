package study

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
)

// treeHash is the definition of RFC 6962, section 2.1, as it is written there.
func treeHash(salt []byte, leaves [][]byte) Digest {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(slices.Concat([]byte{0}, salt, leaves[0]))
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		left, right := treeHash(salt, leaves[:k]), treeHash(salt, leaves[k:])
		return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
	}
}

func TestRootIsRFC6962(t *testing.T) {
	tree := &Merkle{Salt: []byte("object")}
	var leaves [][]byte
	for n := range 200 {
		if got, want := tree.Root(), treeHash(tree.Salt, leaves); got != want || tree.Leaves != int64(n) {
			t.Fatalf("root of %d leaves is %x, want %x; %d counted", n, got, want, tree.Leaves)
		}
		leaf := fmt.Appendf(nil, "leaf %d", n)
		leaves = append(leaves, leaf)
		tree.Add(leaf)
	}
}

func version() RecordVersion {
	return RecordVersion{Key: RecordKey{Form: 4, VisitNo: 5, Occurrence: "R"}, Version: 3,
		Record: &Record{Participant: 1, Ordinal: 2, Hash: [16]byte{3}, Entered: NoDate, Answers: "1", Missing: "0=refused", Findings: "a:b"}}
}

// Every fact that is stored of a version changes its leaf, and so do form and salt.
func TestVersionIsCommitted(t *testing.T) {
	root := func(object Digest, form Digest, change func(v *RecordVersion)) Digest {
		v := version()
		change(&v)
		tree := NewBatchTree(object)
		tree.Version(&v, form)
		r, _ := tree.Close()
		return r
	}
	same := func(*RecordVersion) {}
	plain := root(Digest{1}, Digest{1}, same)
	for what, got := range map[string]Digest{
		"object":      root(Digest{2}, Digest{1}, same),
		"form":        root(Digest{1}, Digest{2}, same),
		"participant": root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Participant++ }),
		"row":         root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Ordinal++ }),
		"content":     root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Hash[0]++ }),
		"visit":       root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Key.VisitNo++ }),
		"version":     root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Version++ }),
		"occurrence":  root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Key.Occurrence = "L" }),
		"answers":     root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Answers = "2" }),
		"missing":     root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Missing = "" }),
		"findings":    root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Findings = "" }),
		"entered":     root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Entered = 0 }),
		"modified":    root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Modified = v.Record.Modified.AddDate(2000, 0, 0) }),
		"late":        root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Late = true }),
		"removed":     root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Removed = true }),
		"a border":    root(Digest{1}, Digest{1}, func(v *RecordVersion) { v.Record.Answers, v.Record.Missing = "10", "=refused" }),
	} {
		if got == plain {
			t.Errorf("another %s gives the same root", what)
		}
	}
}

// The root does not depend on the order in which removals and refusals come, nor on
// that of one participant's versions; of participants it does.
func TestOrderOfABatch(t *testing.T) {
	build := func(steps ...func(*BatchTree)) (Digest, int64) {
		tree := NewBatchTree(Digest{})
		for _, s := range steps {
			s(tree)
		}
		return tree.Close()
	}
	give := func(participant int64, visit int32, removed bool) func(*BatchTree) {
		v := version()
		v.Record.Participant, v.Key.VisitNo, v.Record.Removed = participant, visit, removed
		return func(t *BatchTree) { t.Version(&v, Digest{}) }
	}
	refuse := func(item byte, row int64) func(*BatchTree) {
		return func(t *BatchTree) { t.Refused(Digest{item}, row) }
	}
	one, n := build(give(1, 1, false), give(1, 2, false), give(1, 3, true), give(2, 1, false), refuse(1, 1), refuse(1, 2), refuse(1, 1))
	if n != 6 {
		t.Errorf("%d leaves, want 6", n)
	}
	if other, _ := build(refuse(1, 2), give(1, 2, false), give(1, 1, false), give(2, 1, false), refuse(1, 1), give(1, 3, true)); other != one {
		t.Error("the same batch in another order has another root")
	}
	if other, _ := build(give(2, 1, false), give(1, 1, false)); bytes.Equal(other[:], one[:]) {
		t.Error("another batch has the same root")
	}
}
