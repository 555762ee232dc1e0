package pipeline

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"longitude/study"
)

// treeHash is the definition of RFC 6962, section 2.1, as it is written there.
func treeHash(salt study.Digest, leaves [][]byte) [32]byte {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append(append([]byte{0}, salt[:]...), leaves[0]...))
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		left, right := treeHash(salt, leaves[:k]), treeHash(salt, leaves[k:])
		return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
	}
}

func TestRootIsRFC6962(t *testing.T) {
	salt := study.Digest(sha256.Sum256([]byte("object")))
	tree := &merkle{salt: salt}
	var leaves [][]byte
	for n := range 200 {
		if got, want := tree.root(), treeHash(salt, leaves); got != want || tree.leaves != int64(n) {
			t.Fatalf("root of %d leaves is %x, want %x; %d counted", n, got, want, tree.leaves)
		}
		leaf := fmt.Appendf(nil, "leaf %d", n)
		leaves = append(leaves, leaf)
		tree.add(leaf)
	}
}

// Every fact that a leaf commits to changes it, and so does the salt.
func TestLeafCommits(t *testing.T) {
	r, key := study.Record{Participant: 1, Ordinal: 2, Hash: [16]byte{3}}, study.RecordKey{Form: 4, VisitNo: 5, Occurrence: "R"}
	leaf := string(recordLeaf(nil, &r, key, 'a'))
	other := map[string][]byte{"outcome": recordLeaf(nil, &r, key, 'h')}
	change := func(what string, r study.Record, key study.RecordKey) { other[what] = recordLeaf(nil, &r, key, 'a') }
	change("participant", study.Record{Participant: 9, Ordinal: 2, Hash: r.Hash}, key)
	change("row", study.Record{Participant: 1, Ordinal: 9, Hash: r.Hash}, key)
	change("content", study.Record{Participant: 1, Ordinal: 2, Hash: [16]byte{9}}, key)
	change("form", r, study.RecordKey{Form: 9, VisitNo: 5, Occurrence: "R"})
	change("visit", r, study.RecordKey{Form: 4, VisitNo: 9, Occurrence: "R"})
	change("occurrence", r, study.RecordKey{Form: 4, VisitNo: 5, Occurrence: "L"})
	for what, bytes := range other {
		if string(bytes) == leaf {
			t.Errorf("another %s gives the same leaf", what)
		}
	}
	a, b := &merkle{salt: study.Digest{1}}, &merkle{salt: study.Digest{2}}
	a.add([]byte(leaf))
	b.add([]byte(leaf))
	if a.root() == b.root() {
		t.Error("the salt does not matter")
	}
}
