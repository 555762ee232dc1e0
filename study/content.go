package study

import (
	"encoding/binary"
	"math"
	"strings"
)

// Content is the digest of a table's rows as values, whatever file format, part
// sizes or compression they are written with: equal roots mean equal rows in the
// same order.
//
// Rows about participants hang in a tree of 1,024 branches by the first two
// characters of the released id, so that a range of participants, as a part is, has
// branches of its own, and parts that are cut elsewhere give the same root. Rows
// about nobody are one branch. A branch is an RFC 6962 tree over its rows; the root
// is one over the branches.
type Content struct {
	Branches []Branch // those with rows, in order

	tree Merkle
	row  []byte
}

// Branch is the root over the rows of a branch.
type Branch struct {
	Number int // below Branches, 0 where the table is about nobody
	Rows   int64
	Root   Digest
}

// branchBits is how many bits of a released id choose its branch.
const branchBits = 10

// Crockford is the alphabet of released ids, of 5 bits a character (base32 of
// Douglas Crockford: digits and letters without I, L, O, U).
const Crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// BranchOf is the branch of a released participant id, from 0.
func BranchOf(id string) int {
	if len(id) < 3 {
		return 0
	}
	return max(0, strings.IndexByte(Crockford, id[1]))<<5 | max(0, strings.IndexByte(Crockford, id[2]))
}

// Add appends the rows of b, a released batch of a table whose rows come in the order
// of the branches. participant is the column that holds whose row it is, -1 where it
// is nobody's.
func (c *Content) Add(b *Batch, participant int) {
	for i := range b.Rows {
		number := 0
		if participant >= 0 && !b.Vectors[participant].Null(i) {
			number = BranchOf(b.Vectors[participant].Texts[i])
		}
		c.branch(number)
		c.row = AppendRow(c.row[:0], b, i)
		c.tree.Add(c.row)
		last := &c.Branches[len(c.Branches)-1]
		last.Rows++
	}
}

// branch begins the branch of that number, unless it is the one at hand.
func (c *Content) branch(number int) {
	if n := len(c.Branches); n > 0 {
		if c.Branches[n-1].Number == number {
			return
		}
		c.Branches[n-1].Root = c.tree.Root()
	}
	c.Branches, c.tree = append(c.Branches, Branch{Number: number}), Merkle{}
}

// Close answers the branches, complete.
func (c *Content) Close() []Branch {
	if n := len(c.Branches); n > 0 {
		c.Branches[n-1].Root = c.tree.Root()
	}
	return c.Branches
}

// ContentRoot is the root of a table over the branches of all its parts, in order.
func ContentRoot(parts ...[]Branch) Digest {
	var tree Merkle
	next, none := 0, new(Merkle).Root()
	fill := func(to int) {
		for ; next < to; next++ {
			tree.AddHash(none)
		}
	}
	for _, branches := range parts {
		for _, b := range branches {
			fill(b.Number)
			tree.AddHash(b.Root)
			next++
		}
	}
	fill(1 << branchBits)
	return tree.Root()
}

// AppendRow appends row i of b in the one form that it is digested in: of each column
// 0 for NULL, or 1 and the value. Integers, dates, booleans, instants and decimals
// (as integers of the column's scale) are 8 bytes, big endian; floats their IEEE 754
// bits likewise; texts their length in 4 bytes and their bytes.
func AppendRow(dst []byte, b *Batch, i int) []byte {
	for c := range b.Vectors {
		v := &b.Vectors[c]
		if v.Null(i) {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1)
		switch b.Table.Columns[c].Kind {
		case TextKind:
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(v.Texts[i])))
			dst = append(dst, v.Texts[i]...)
		case FloatKind:
			dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(v.Floats[i]))
		default:
			dst = binary.BigEndian.AppendUint64(dst, uint64(v.Ints[i]))
		}
	}
	return dst
}
