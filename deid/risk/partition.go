package risk

import "math/bits"

// partition divides units (participants, or classes of them) into classes,
// numbered as they first occur.
type partition struct {
	of    []int32 // class of each unit
	first []int32 // first unit of each class
}

// everyone is n units in one class.
func everyone(n int) partition {
	p := partition{of: make([]int32, n)}
	if n > 0 {
		p.first = []int32{0}
	}
	return p
}

// span is the number of cells up to which a table is used instead of hashing:
// it stays within the cache.
const span = 1 << 20

// refine divides every class by the codes of its units.
func (p partition) refine(codes []int32) partition {
	next := partition{of: make([]int32, len(p.of)), first: make([]int32, 0, len(p.first))}
	if len(codes) == 0 {
		return next
	}
	low, high := codes[0], codes[0]
	for _, c := range codes {
		low, high = min(low, c), max(high, c)
	}
	width := int64(high) - int64(low) + 1
	if cells := width * int64(len(p.first)); width <= span && cells <= span {
		next.byTable(p, codes, low, width)
	} else {
		next.byHash(p, codes)
	}
	return next
}

func (p *partition) byTable(coarse partition, codes []int32, low int32, width int64) {
	class := make([]int32, width*int64(len(coarse.first))) // +1; 0 = none yet
	for i, c := range coarse.of {
		cell := &class[int64(c)*width+int64(codes[i])-int64(low)]
		if *cell == 0 {
			p.first = append(p.first, int32(i))
			*cell = int32(len(p.first))
		}
		p.of[i] = *cell - 1
	}
}

// byHash is byTable where the cells would be too many: open addressing with
// twice as many slots as there can be classes.
func (p *partition) byHash(coarse partition, codes []int32) {
	width := bits.Len(uint(len(codes))) + 1
	keys, class := make([]uint64, 1<<width), make([]int32, 1<<width) // class+1; 0 = free
	for i, c := range coarse.of {
		key := uint64(uint32(c))<<32 | uint64(uint32(codes[i]))
		slot := key * 0x9e3779b97f4a7c15 >> (64 - width) // Fibonacci hashing
		for class[slot] != 0 && keys[slot] != key {
			slot = (slot + 1) & (1<<width - 1)
		}
		if class[slot] == 0 {
			p.first = append(p.first, int32(i))
			keys[slot], class[slot] = key, int32(len(p.first))
		}
		p.of[i] = class[slot] - 1
	}
}

// distinct counts the distinct codes in each class.
func (p partition) distinct(codes []int32) []int {
	n := make([]int, len(p.first))
	for _, unit := range p.refine(codes).first {
		n[p.of[unit]]++
	}
	return n
}

// apart puts the units that are out into one class of their own.
func (p partition) apart(out []bool) partition {
	if out == nil {
		return p
	}
	whole := everyone(len(p.of))
	codes := make([]int32, len(p.of))
	for i, c := range p.of {
		if codes[i] = c; out[i] {
			codes[i] = -1
		}
	}
	return whole.refine(codes)
}
