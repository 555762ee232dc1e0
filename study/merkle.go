package study

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// Merkle computes an RFC 6962 root over leaves as they come: it keeps one hash per
// level. A salt before every leaf keeps a root from confirming a guess about one.
type Merkle struct {
	Salt   []byte
	Leaves int64

	peaks   []peak
	buf     []byte
	watched Digest // zero = none
	index   int64  // of the watched leaf, from 0
	path    []Digest
}

type peak struct {
	level int
	hash  Digest
	above bool // the watched leaf is below it
}

// Add appends one leaf: SHA-256(0x00 ‖ salt ‖ data).
func (m *Merkle) Add(data []byte) { m.AddHash(m.Hash(data)) }

// Hash is the hash of a leaf.
func (m *Merkle) Hash(data []byte) Digest {
	m.buf = append(append(append(m.buf[:0], 0), m.Salt...), data...)
	return sha256.Sum256(m.buf)
}

// AddHash appends one leaf by its hash.
func (m *Merkle) AddHash(leaf Digest) {
	p := peak{hash: leaf, above: leaf == m.watched && !m.watched.IsZero()}
	if p.above {
		m.index = m.Leaves
	}
	for n := len(m.peaks); n > 0 && m.peaks[n-1].level == p.level; n = len(m.peaks) {
		p, m.path = join(m.peaks[n-1], p, m.path)
		m.peaks = m.peaks[:n-1]
	}
	m.peaks = append(m.peaks, p)
	m.Leaves++
}

// join makes one peak of two, and adds to the path of the watched leaf the one of
// them that it is not below.
func join(left, right peak, path []Digest) (peak, []Digest) {
	switch {
	case left.above:
		path = append(path, right.hash)
	case right.above:
		path = append(path, left.hash)
	}
	return peak{right.level + 1, merkleNode(left.hash, right.hash), left.above || right.above}, path
}

// Watch has the path of the leaf of this hash kept. It is told before the leaf comes.
func (m *Merkle) Watch(leaf Digest) { m.watched = leaf }

// Path proves the watched leaf against the root of all leaves so far (RFC 6962,
// section 2.1.1): its place and the nodes beside its way up. ok is false when it
// has not come.
func (m *Merkle) Path() (index int64, path []Digest, ok bool) {
	top, path := m.fold(m.path[:len(m.path):len(m.path)])
	return m.index, path, top.above
}

func merkleNode(left, right Digest) Digest {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// Root is the Merkle tree hash of all leaves so far; of none, SHA-256 of nothing.
func (m *Merkle) Root() Digest {
	top, _ := m.fold(nil)
	return top.hash
}

// fold joins the peaks, the smallest first.
func (m *Merkle) fold(path []Digest) (peak, []Digest) {
	if len(m.peaks) == 0 {
		return peak{hash: sha256.Sum256(nil)}, path
	}
	top := m.peaks[len(m.peaks)-1]
	for i := len(m.peaks) - 2; i >= 0; i-- {
		top, path = join(m.peaks[i], top, path)
	}
	return top, path
}

// BatchTree is the tree over everything that a batch changed or refused, as it can
// be computed again from what is stored: first the versions that give a record,
// participant by participant in the order of their numbers and of one participant
// in the order of their bytes; then removals and what was refused, in the order of
// their hashes. One participant comes at once. Its salt is the keyed digest of the
// object.
type BatchTree struct {
	tree        Merkle
	participant int64
	held        [][]byte // leaves of the participant
	tail        []Digest
}

// NewBatchTree begins the tree of the batch of an object.
func NewBatchTree(object Digest) *BatchTree { return &BatchTree{tree: Merkle{Salt: object[:]}} }

// Version adds a version of a record; form is FormDigest of the shape it is packed in.
func (t *BatchTree) Version(v *RecordVersion, form Digest) {
	removed := v.Op() == 'd'
	if !removed && v.Record.Participant != t.participant {
		t.flush()
		t.participant = v.Record.Participant
	}
	n := len(t.held)
	t.held = slices.Grow(t.held, 1)[:n+1]
	t.held[n] = appendLeaf(t.held[n][:0], v, form) // over one of a participant before
	if removed {
		t.tail = append(t.tail, t.tree.Hash(t.held[n]))
		t.held = t.held[:n]
	}
}

// Watch has the path of a version's leaf kept; it is told before that participant
// comes. It answers the hash of the leaf.
func (t *BatchTree) Watch(v *RecordVersion, form Digest) Digest {
	leaf := t.tree.Hash(appendLeaf(nil, v, form))
	t.tree.Watch(leaf)
	return leaf
}

// Path is Merkle.Path, of a tree that is closed.
func (t *BatchTree) Path() (index int64, path []Digest, ok bool) { return t.tree.Path() }

// Refused adds what was put into quarantine: the digest of the thing and its row.
// The same thing of the same row is one.
func (t *BatchTree) Refused(item Digest, ordinal int64) {
	t.tail = append(t.tail, t.tree.Hash(binary.BigEndian.AppendUint64(append([]byte{'q'}, item[:]...), uint64(ordinal))))
}

func (t *BatchTree) flush() {
	slices.SortFunc(t.held, bytes.Compare)
	for _, leaf := range t.held {
		t.tree.Add(leaf)
	}
	t.held = t.held[:0]
}

// Close answers the root and the number of leaves.
func (t *BatchTree) Close() (root Digest, leaves int64) {
	t.flush()
	slices.SortFunc(t.tail, func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
	for _, h := range slices.Compact(t.tail) {
		t.tree.AddHash(h)
	}
	t.tail = nil
	return t.tree.Root(), t.tree.Leaves
}

// FormDigest is what a leaf says of the form of a record and of the order its
// answers are packed in.
func FormDigest(form string, fields []string) Digest {
	return sha256.Sum256([]byte(form + "\x1e" + strings.Join(fields, "\x1f")))
}

// Op is what a version does to its record: u gives it, d removes it. A late one
// (h) does nothing, whatever it says.
func (v *RecordVersion) Op() byte {
	switch {
	case v.Late:
		return 'h'
	case v.Record.Removed:
		return 'd'
	}
	return 'u'
}

// appendLeaf appends everything that is stored of a version, so that none of it can
// be changed unseen. The content hash stands for the values in the vault.
func appendLeaf(b []byte, v *RecordVersion, form Digest) []byte {
	r := v.Record
	b = append(b, v.Op())
	for _, n := range []int64{r.Participant, r.Ordinal, int64(v.Key.VisitNo), int64(v.Version), r.Modified.UnixMicro(), int64(r.Entered)} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(append(b, r.Hash[:]...), form[:]...)
	for _, text := range []string{v.Key.Occurrence, r.Answers, r.Missing, r.Findings} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return b
}
