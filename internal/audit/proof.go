package audit

import (
	"bytes"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"

	"longitude/study"
)

// Proof shows that an event is in the log: its bytes, its place, the path to the
// root and the signed checkpoint of that root. It needs nothing else.
type Proof struct {
	Index      int64
	Leaf       []byte
	Path       []Hash
	Checkpoint []byte
}

// Prove makes the proof of the leaf at index of the log up to a checkpoint.
func Prove(leaf []byte, index int64, c Checkpoint, nodes Nodes) (Proof, error) {
	path, err := tlog.ProveRecord(c.Size, index, nodes)
	if err != nil {
		return Proof{}, nodeFault(err)
	}
	return Proof{Index: index, Leaf: leaf, Path: path, Checkpoint: c.Note}, nil
}

// Marshal is the proof as a C2SP tlog-proof; the leaf is its extra data.
func (p Proof) Marshal() []byte {
	out := proof.TLogProof{Index: uint64(p.Index), Checkpoint: p.Checkpoint, ExtraData: p.Leaf}
	for _, h := range p.Path {
		out.Hashes = append(out.Hashes, h)
	}
	return out.Marshal()
}

// ParseProof reads a proof. It takes the one form only that Marshal writes.
func ParseProof(text []byte) (Proof, error) {
	var in proof.TLogProof
	if in.Unmarshal(text) != nil || in.Index > 1<<62 || !bytes.Equal(in.Marshal(), text) {
		return Proof{}, &study.Error{Code: "audit.proof_unreadable", Op: "the file is no proof of an event", Exit: study.ExitEnvironment,
			Hint: "take the file that `longitude audit prove` wrote, unchanged"}
	}
	p := Proof{Index: int64(in.Index), Leaf: in.ExtraData, Checkpoint: in.Checkpoint}
	for _, h := range in.Hashes {
		p.Path = append(p.Path, h)
	}
	return p, nil
}

// Check answers the event that a proof proves, and the checkpoint that says so. It
// needs neither database nor network.
func (p Proof) Check(policy Policy) (Event, Checkpoint, error) {
	c, err := policy.Open(p.Checkpoint)
	if err != nil {
		return Event{}, Checkpoint{}, err
	}
	if p.Index >= c.Size || tlog.CheckRecord(p.Path, c.Size, c.Root, p.Index, LeafHash(p.Leaf)) != nil {
		return Event{}, Checkpoint{}, notIncluded()
	}
	e, ok := ParseLeaf(p.Leaf)
	if !ok {
		return Event{}, Checkpoint{}, notIncluded()
	}
	return e, c, nil
}

func notIncluded() error {
	return &study.Error{Code: "audit.proof", Op: "the proof does not hold: the log that was signed does not have this event at this place", Exit: study.ExitBlocked,
		Hint: "the event or its proof was changed; ask for the proof again, and do not rely on the event meanwhile"}
}

// Consistent checks that the log of the newer checkpoint begins with the log of the
// older: nothing before was changed. nodes are those of the log as it is now.
func Consistent(older, newer Checkpoint, nodes Nodes) error {
	if older.Size <= newer.Size {
		path, err := ProveConsistency(older.Size, newer.Size, nodes)
		if err != nil {
			return err
		}
		if CheckConsistency(path, older, newer) {
			return nil
		}
	}
	return &study.Error{Code: "audit.inconsistent", Op: "the audit log does not contain the log of an earlier checkpoint: it was rewritten or rolled back", Exit: study.ExitBlocked,
		Hint: "keep both checkpoints, run `longitude audit verify` with both as anchors to find the place, and restore the database"}
}

// ProveConsistency is the path from the root of one size to the root of a larger
// one (RFC 6962, section 2.1.2).
func ProveConsistency(older, newer int64, nodes Nodes) ([]Hash, error) {
	if older == 0 || older == newer {
		return nil, nil
	}
	path, err := tlog.ProveTree(newer, older, nodes)
	return path, nodeFault(err)
}

// CheckConsistency reports whether the path leads from one checkpoint to the other.
func CheckConsistency(path []Hash, older, newer Checkpoint) bool {
	switch older.Size {
	case 0:
		return older.Root == emptyRoot && len(path) == 0
	case newer.Size:
		return older.Root == newer.Root && len(path) == 0
	}
	return older.Size < newer.Size && tlog.CheckTree(path, newer.Size, newer.Root, older.Size, older.Root) == nil
}

// emptyRoot is the root of a tree without leaves: SHA-256 of nothing.
var emptyRoot, _ = tlog.TreeHash(0, nil)

// Included reports whether the path leads from a leaf to the root of a tree of so
// many leaves. It is for the trees of batches, too.
func Included(leaf study.Digest, index, leaves int64, path []study.Digest, root study.Digest) bool {
	hashes := make(tlog.RecordProof, len(path))
	for i, h := range path {
		hashes[i] = tlog.Hash(h)
	}
	return index < leaves && tlog.CheckRecord(hashes, leaves, tlog.Hash(root), index, tlog.Hash(leaf)) == nil
}
