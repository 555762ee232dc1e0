package pipeline

import (
	"crypto/sha256"
	"encoding/binary"

	"longitude/study"
)

// merkle computes the RFC 6962 root over the leaves of a batch as they come: it
// keeps one hash per level. Leaves are salted with the object's keyed digest, so
// that a root does not confirm a guess about a record.
type merkle struct {
	salt   study.Digest
	leaves int64
	peaks  []peak
	buf    []byte
}

type peak struct {
	level int
	hash  study.Digest
}

// add appends one leaf: SHA-256(0x00 ‖ salt ‖ data).
func (m *merkle) add(data []byte) {
	m.buf = append(append(append(m.buf[:0], 0), m.salt[:]...), data...)
	p := peak{0, sha256.Sum256(m.buf)}
	for n := len(m.peaks); n > 0 && m.peaks[n-1].level == p.level; n = len(m.peaks) {
		p = peak{p.level + 1, node(m.peaks[n-1].hash, p.hash)}
		m.peaks = m.peaks[:n-1]
	}
	m.peaks = append(m.peaks, p)
	m.leaves++
}

func node(left, right study.Digest) study.Digest {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// root is the Merkle tree hash of all leaves so far; of none, SHA-256 of nothing.
func (m *merkle) root() study.Digest {
	if len(m.peaks) == 0 {
		return sha256.Sum256(nil)
	}
	h := m.peaks[len(m.peaks)-1].hash
	for i := len(m.peaks) - 2; i >= 0; i-- {
		h = node(m.peaks[i].hash, h)
	}
	return h
}

// recordLeaf is what the root commits to of one record of the batch.
func recordLeaf(buf []byte, r *study.Record, key study.RecordKey, outcome byte) []byte {
	buf = append(buf[:0], outcome)
	buf = binary.BigEndian.AppendUint64(buf, uint64(r.Participant))
	buf = binary.BigEndian.AppendUint64(buf, uint64(r.Ordinal))
	buf = binary.BigEndian.AppendUint32(buf, uint32(key.Form))
	buf = binary.BigEndian.AppendUint32(buf, uint32(key.VisitNo))
	buf = append(buf, r.Hash[:]...)
	return append(buf, key.Occurrence...)
}
