package transform

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"longitude/study"
)

// wordSize is how many bytes of a cell are looked at in one step. Most cells are
// not longer: what they are is then seen without going through their bytes.
const wordSize = 8

// word is a short text, its first byte the lowest. Anything may stand in the bytes
// beyond its size.
type word struct {
	bytes uint64
	size  int // 0 to wordSize
}

// wordOf reads a cell as a word. Not ok is a longer one, and one that has nothing
// behind it to read on into.
func wordOf(cell []byte) (w word, ok bool) {
	if len(cell) > wordSize || cap(cell) < wordSize {
		return w, false
	}
	return word{binary.LittleEndian.Uint64(cell[:wordSize]), len(cell)}, true
}

// append appends w. It writes a whole word: what is beyond its size is written
// over by what comes next.
func (w word) append(to []byte) []byte {
	return binary.LittleEndian.AppendUint64(to, w.bytes)[:len(to)+w.size]
}

// nothing is how a cell without a value is packed.
var nothing = word{uint64(study.MissingMark[0]), len(study.MissingMark)}

// glance is how a short cell is packed where that can be seen at once: a value of
// the field that breaks no rule, or none. Not ok says nothing.
func (f *fieldMap) glance(cell []byte) (packed word, ok bool) {
	if len(cell) == 0 {
		return nothing, true
	}
	w, ok := wordOf(cell)
	switch {
	case !ok:
	case f.plain == plainNumber && f.span.fraction == 0:
		return w, f.span.hasWhole(w)
	case f.plain == plainNumber:
		return f.span.packed(w)
	case f.plain == plainCode:
		return w, f.codes.short.has(w)
	}
	return w, false
}

// The lowest bit of each byte of a word, the highest, and its digits as text.
const (
	eachLow  = 0x0101010101010101
	eachHigh = 0x8080808080808080
	zeros    = '0' * eachLow
)

// hasWhole reports whether w is the canonical form of a whole number without a
// sign that s holds.
func (s *span) hasWhole(w word) bool {
	digits := (w.bytes ^ zeros) << ((wordSize - w.size) * 8 & 63) // what is beyond is gone, as if zeros came before
	if !areDigits(digits) || byte(w.bytes) == '0' && w.size > 1 {
		return false
	}
	n := number(digits)
	return s.first <= n && n <= s.last
}

// packed is the canonical form of a number without a sign that s holds. Positions
// in it are counted in bits, eight a character.
func (s *span) packed(w word) (word, bool) {
	size := 8 * w.size
	points := w.bytes ^ '.'*eachLow
	point := bits.TrailingZeros64((points-eachLow)&^points&eachHigh) &^ 7 // the first one; 64 = none
	whole := min(point, size)
	fraction := max(size-whole-8, 0)
	if whole == 0 || whole == size-8 || byte(w.bytes) == '0' && whole > 8 {
		return w, false // nothing before the point or after it, or zeros lead
	}
	before := uint64(2)<<((whole-1)&63) - 1
	digits := w.bytes ^ zeros
	digits = (digits&before | digits>>8&^before) << ((64 - whole - fraction) & 63) // without the point; what is beyond is gone
	unit := s.fraction - fraction>>3
	if !areDigits(digits) || uint(unit) >= uint(len(tens)) {
		return w, false
	}
	if n := number(digits) * tens[unit]; n < s.first || n > s.last {
		return w, false
	}
	if fraction -= bits.LeadingZeros64(digits) &^ 7; fraction > 0 {
		return word{w.bytes, (whole + 8 + fraction) >> 3}, true
	}
	return word{w.bytes, whole >> 3}, true
}

// tens is one, counted in units of the last of so many digits after the point.
var tens = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}

// areDigits reports whether every byte is one digit. More than nine, and the sum
// reaches the highest bit.
func areDigits(digits uint64) bool { return (digits+(0x7f-9)*eachLow|digits)&eachHigh == 0 }

// number is what eight digits say, the first of them the lowest byte: neighbours
// make pairs, and pairs the number (Lemire, Number Parsing at a Gigabyte per
// Second, 2021).
func number(digits uint64) int64 {
	const pair = 0x000000ff000000ff
	digits = digits*10 + digits>>8
	return int64(((digits&pair)*(100+1_000_000<<32) + (digits>>16&pair)*(1+10_000<<32)) >> 32)
}

// shortCodes finds codes of less than wordSize bytes at one look: each has a place
// that no other has. The zero value finds none.
type shortCodes struct {
	places *[1 << shortBits]uint64
	factor uint64
}

// So few codes have such places, and they are found soon.
const (
	shortBits = 6
	mostShort = 16
)

// key tells words of less than wordSize bytes apart.
func (w word) key() uint64 { return w.bytes<<((wordSize-w.size)*8&63) | uint64(w.size) }

func (c *shortCodes) place(key uint64) uint64 { return key * c.factor >> (64 - shortBits) }

func (c *shortCodes) has(w word) bool {
	key := w.key()
	return c.places != nil && w.size < wordSize && c.places[c.place(key)] == key
}

// newShortCodes tries factors until each code has a place of its own. It is the
// zero value where a code is too long, or there are too many.
func newShortCodes(codes []string) (c shortCodes) {
	if len(codes) > mostShort || slices.ContainsFunc(codes, func(code string) bool { return code == "" || len(code) >= wordSize }) {
		return c
	}
	keys := make([]uint64, len(codes))
	for i, code := range codes {
		w, _ := wordOf(append(make([]byte, 0, wordSize), code...))
		keys[i] = w.key()
	}
	for c.factor = 0x9e3779b97f4a7c15; !c.fill(keys); c.factor += 0x3c6ef372fe94f82a { // odd, and far from the last
	}
	return c
}

// fill puts each key at its place, and is false where two have the same. No key is
// zero, so the places that are left hold none.
func (c *shortCodes) fill(keys []uint64) bool {
	c.places = new([1 << shortBits]uint64)
	for _, key := range keys {
		at := &c.places[c.place(key)]
		if *at != 0 && *at != key {
			return false
		}
		*at = key
	}
	return true
}
