package transform

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"longitude/study"
)

// plain is the kind of a field of which most cells are packed as they stand: read
// from a column as it is, of a type whose values mostly come in canonical form.
// To see that of a cell takes one look at its bytes. All others are left to read.
type plain uint8

const (
	noPlain plain = iota
	plainNumber
	plainCode
	plainDate
)

// plainly finds the kind of f, once everything else of it is known.
func (f *fieldMap) plainly() plain {
	if !f.pick.plain || f.sealed || f.scaling != nil || f.pattern != nil {
		return noPlain
	}
	switch f.field.Type {
	case study.Integer, study.Decimal:
		var ok bool
		if f.span, ok = f.newSpan(); ok {
			return plainNumber
		}
	case study.Choice:
		for _, c := range f.codes.codes {
			if c == "" || !isASCII([]byte(c)) { // a cell is compared in NFC
				return noPlain
			}
		}
		return plainCode
	case study.DateType:
		if f.pick.layout.iso {
			return plainDate
		}
	}
	return noPlain
}

// stands reports whether text is a value of the field as it is packed and breaks
// no rule. False says nothing.
func (f *fieldMap) stands(text []byte) bool {
	switch f.plain {
	case plainNumber:
		n, ok := scaled(text, f.span.fraction)
		return ok && f.span.first <= n && n <= f.span.last
	case plainCode:
		return f.codes.has(text)
	case plainDate:
		_, ok := isoDay(text)
		return ok && f.bounds.hold(comparePrefix, text)
	}
	return false
}

// has is find for a list without an empty code: short codes of one length mostly
// differ in their last byte.
func (l *codeList) has(code []byte) bool {
	last := len(code) - 1
	if l.index != nil || last < 0 {
		_, ok := l.find(code)
		return ok
	}
	for _, c := range l.codes {
		if len(c) == len(code) && c[last] == code[last] && c == string(code) {
			return true
		}
	}
	return false
}

// span is the numbers from first to last, both included, counted in units of the
// last digit after the point.
type span struct {
	fraction    int // digits after the point
	first, last int64
}

// looseFraction is how many digits after the point a plain decimal may have where
// its type does not say.
const looseFraction = 6

// newSpan is what both the type and the range of a number hold; ok is false where
// that cannot be counted so.
func (f *fieldMap) newSpan() (s span, ok bool) {
	s = span{first: math.MinInt64, last: math.MaxInt64}
	if f.field.Type == study.Decimal {
		if s.fraction = looseFraction; f.field.Precision > 0 {
			s.fraction, s.last = f.field.Scale, 1
			for range min(f.field.Precision, maxDigits) {
				s.last *= 10
			}
			s.last--
			s.first = -s.last
		}
		if f.mark != '.' {
			return s, false
		}
	}
	if b := &f.bounds; len(b.min) > 0 {
		n, ok := scaled(b.min, s.fraction)
		if !ok {
			return s, false
		}
		if b.minOpen {
			n++
		}
		s.first = max(s.first, n)
	}
	if b := &f.bounds; len(b.max) > 0 {
		n, ok := scaled(b.max, s.fraction)
		if !ok {
			return s, false
		}
		if b.maxOpen {
			n--
		}
		s.last = min(s.last, n)
	}
	return s, true
}

// scaled reads a number in canonical form (see appendNumber), of at most fraction
// digits after the point, in units of the last of them. Not ok is all other text,
// and what has more digits than fit.
func scaled(text []byte, fraction int) (n int64, ok bool) {
	digits := text
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	i := 0
	for ; i < len(digits) && digits[i]-'0' <= 9; i++ {
		n = n*10 + int64(digits[i]-'0') // of too many digits it is anything, and not ok
	}
	if i == 0 || i+fraction > maxDigits || i > 1 && digits[0] == '0' {
		return 0, false
	}
	if i < len(digits) {
		tail := digits[i+1:]
		if digits[i] != '.' || len(tail) == 0 || len(tail) > fraction || tail[len(tail)-1] == '0' {
			return 0, false
		}
		for _, c := range tail {
			if c-'0' > 9 {
				return 0, false
			}
			n = n*10 + int64(c-'0')
		}
		fraction -= len(tail)
	}
	for range fraction {
		n *= 10
	}
	if len(digits) < len(text) {
		return -n, n != 0
	}
	return n, true
}

// wordSize is how many bytes of a cell are looked at in one step. Most cells are
// not longer: what they are is then seen without going through their bytes.
const wordSize = 8

// word is a short text, its first byte the lowest; what is beyond its size is zero.
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
	return word{binary.LittleEndian.Uint64(cell[:wordSize]) & (1<<uint(8*len(cell)) - 1), len(cell)}, true
}

// append appends w. It writes a whole word, of which what is beyond its size is
// written over by what comes next.
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
	case f.plain == plainNumber:
		return f.span.packed(w)
	case f.plain == plainCode:
		return w, f.codes.short.has(w)
	}
	return w, false
}

// The bytes of a word: the lowest bit of each, the highest, its digits as text.
const (
	eachLow  = 0x0101010101010101
	eachHigh = 0x8080808080808080
	zeros    = '0' * eachLow
)

// tens is one, counted in units of the last of so many digits after the point.
var tens = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}

// packed is the canonical form of a number without a sign, where s holds it. It
// goes through all digits at once: sizes are counted in bits, eight a character.
func (s *span) packed(w word) (word, bool) {
	size := 8 * w.size
	points := w.bytes ^ '.'*eachLow
	point := bits.TrailingZeros64((points-eachLow)&^points&eachHigh) &^ 7      // of the first one; 64 = none
	digits := (w.bytes ^ zeros ^ ('.'^'0')<<uint(point)) & (1<<uint(size) - 1) // the point is a zero for now
	whole := min(point, size)
	fraction := max(size-whole-8, 0)
	switch {
	case ((digits+(0x7f-9)*eachLow)|digits)&eachHigh != 0, // there is more than digits and a point
		whole == 0, point == size-8, // nothing before the point, or after it
		byte(digits) == 0 && whole > 8: // written with leading zeros
		return w, false
	}
	before := uint64(1)<<uint(whole) - 1
	digits = (digits&before | digits>>8&^before) << uint((64-whole-fraction)&63) // without the point, at the upper end
	unit := s.fraction - fraction/8
	if uint(unit) >= uint(len(tens)) {
		return w, false
	}
	if n := number(digits) * tens[unit]; n < s.first || n > s.last {
		return w, false
	}
	if fraction = fraction - bits.LeadingZeros64(digits)&^7; fraction > 0 {
		size = whole + 8 + fraction
	} else {
		size = whole
	}
	return word{w.bytes & (1<<uint(size) - 1), size / 8}, true
}

// number is what eight digits say, the first of them the lowest byte: neighbours
// make pairs, and pairs the number (Lemire, Number Parsing at a Gigabyte per
// Second, 2021).
func number(digits uint64) int64 {
	const pair = 0x000000ff000000ff
	digits = digits*10 + digits>>8
	return int64(((digits&pair)*(100+1_000_000<<32) + (digits>>16&pair)*(1+10_000<<32)) >> 32)
}

// shortCodes finds codes of less than wordSize bytes at one look: no two of them
// are at one place. It is empty where there is a longer code, or no such order.
type shortCodes struct {
	places []uint64
	factor uint64
	shift  int
}

// fill puts each key at its place, and is false where two have the same.
func (c *shortCodes) fill(keys []uint64, n int) bool {
	c.places = slices.Repeat(keys[:1], n)
	taken := make([]bool, n)
	for _, key := range keys {
		place := c.place(key)
		if taken[place] {
			return false
		}
		c.places[place], taken[place] = key, true
	}
	return true
}

// key is a code with its size above it.
func (w word) key() uint64 { return w.bytes | uint64(w.size)<<(8*(wordSize-1)) }

func (c *shortCodes) place(key uint64) uint64 { return key * c.factor >> c.shift }

func (c *shortCodes) has(w word) bool {
	if len(c.places) == 0 || w.size >= wordSize {
		return false
	}
	key := w.key()
	place := c.place(key)
	return place < uint64(len(c.places)) && c.places[place] == key
}

// newShortCodes tries factors until each code has a place of its own. Codes fill
// the places that are left, where nothing finds them.
func newShortCodes(codes []string) (c shortCodes) {
	const most, tries = 32, 1000
	keys := make([]uint64, len(codes))
	for i, code := range codes {
		w, ok := wordOf(append(make([]byte, 0, max(wordSize, len(code))), code...))
		if keys[i] = w.key(); !ok || w.size >= wordSize {
			return c
		}
	}
	width := bits.Len(uint(2 * len(codes)))
	for i := range tries {
		if c = (shortCodes{factor: 0x9e3779b97f4a7c15 * uint64(2*i+1), shift: 64 - width}); len(codes) > 0 && len(codes) <= most && c.fill(keys, 1<<width) {
			return c
		}
	}
	return shortCodes{}
}
