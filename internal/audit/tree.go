package audit

import (
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"longitude/study"
)

// Hash is a node of the tree: of a leaf SHA-256(0x00 ‖ leaf), of two nodes
// SHA-256(0x01 ‖ left ‖ right) (RFC 6962, section 2.1).
type Hash = tlog.Hash

// Nodes is where the nodes of the tree are stored, each under its number; see
// tlog.StoredHashIndex. ReadHashes fails when one is not there.
type Nodes = tlog.HashReader

// LeafHash is the hash of the bytes of a leaf.
func LeafHash(leaf []byte) Hash { return tlog.RecordHash(leaf) }

// NodeCount is how many nodes a tree of size leaves has stored.
func NodeCount(size int64) int64 { return tlog.StoredHashCount(size) }

// Root is the root of the tree of size leaves.
func Root(size int64, nodes Nodes) (Hash, error) {
	root, err := tlog.TreeHash(size, nodes)
	return root, nodeFault(err)
}

// Extend answers the nodes that leaves add to a tree of size leaves, in the order
// of their numbers from NodeCount(size) on, and the root of the larger tree.
func Extend(size int64, leaves []Hash, stored Nodes) (added []Hash, root Hash, err error) {
	grown := &growing{stored: stored, first: NodeCount(size), old: map[int64]Hash{}}
	for i, leaf := range leaves {
		more, err := tlog.StoredHashesForRecordHash(size+int64(i), leaf, grown)
		if err != nil {
			return nil, Hash{}, nodeFault(err)
		}
		grown.added = append(grown.added, more...)
	}
	root, err = Root(size+int64(len(leaves)), grown)
	return grown.added, root, err
}

// growing is a tree whose newest nodes are not stored yet. Of the old ones it reads
// each once.
type growing struct {
	stored Nodes
	first  int64 // number of the first that is added
	added  []Hash
	old    map[int64]Hash
}

// ReadHashes implements Nodes.
func (g *growing) ReadHashes(numbers []int64) ([]Hash, error) {
	var missing []int64
	for _, n := range numbers {
		if _, read := g.old[n]; n < g.first && !read {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		hashes, err := g.stored.ReadHashes(missing)
		if err != nil {
			return nil, err
		}
		for i, n := range missing {
			g.old[n] = hashes[i]
		}
	}
	out := make([]Hash, len(numbers))
	for i, n := range numbers {
		switch {
		case n < g.first:
			out[i] = g.old[n]
		case n-g.first < int64(len(g.added)):
			out[i] = g.added[n-g.first]
		default:
			return nil, errMissingNode
		}
	}
	return out, nil
}

var errMissingNode = &study.Error{Code: "audit.node_missing", Op: "the audit log lacks nodes of its tree", Exit: study.ExitBlocked,
	Hint: "run `longitude audit verify`, which names the place"}

// nodeFault is the fault of a store that answered something else than the nodes.
func nodeFault(err error) error {
	var known *study.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return errMissingNode
}
