package transform

import (
	"math"

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
