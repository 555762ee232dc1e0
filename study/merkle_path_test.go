package study

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

// climb is the check of an inclusion proof as RFC 9162 writes it (section 2.1.3.2).
func climb(leaf Digest, index, size int64, path []Digest) (root Digest, ok bool) {
	fn, sn, r := index, size-1, leaf
	for _, p := range path {
		if sn == 0 {
			return r, false
		}
		if fn&1 == 1 || fn == sn {
			r = merkleNode(p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = merkleNode(r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	return r, sn == 0
}

func TestMerklePathsLeadToTheRoot(t *testing.T) {
	for size := range int64(40) {
		for watched := range size {
			var m, plain Merkle
			m.Watch(sha256.Sum256(fmt.Append(nil, watched)))
			for i := range size {
				m.AddHash(sha256.Sum256(fmt.Append(nil, i)))
				plain.AddHash(sha256.Sum256(fmt.Append(nil, i)))
			}
			index, path, ok := m.Path()
			again, pathAgain, _ := m.Path()
			if !ok || index != watched || again != index || len(path) != len(pathAgain) || m.Root() != plain.Root() {
				t.Fatalf("leaf %d of %d: found %v at %d, root as without watching %v", watched, size, ok, index, m.Root() == plain.Root())
			}
			if root, ok := climb(sha256.Sum256(fmt.Append(nil, watched)), index, size, path); !ok || root != m.Root() {
				t.Fatalf("leaf %d of %d: its path of %d does not lead to the root", watched, size, len(path))
			}
			if root, ok := climb(sha256.Sum256([]byte("other")), index, size, path); ok && root == m.Root() {
				t.Fatalf("leaf %d of %d: the path proves another leaf", watched, size)
			}
		}
	}
}

func TestALeafThatNeverCameHasNoPath(t *testing.T) {
	var m Merkle
	m.Watch(sha256.Sum256([]byte("absent")))
	for i := range 5 {
		m.Add([]byte{byte(i)})
	}
	if _, _, ok := m.Path(); ok {
		t.Error("a leaf that never came is proven")
	}
}
