package json

import (
	"bytes"
	"strconv"
)

// maxDigits bounds the plain form of a number written with an exponent.
const maxDigits = 400

// number reads a number. Its text is as written; an exponent is worked in, so
// that 1.5e3 is 1500, without passing through a float.
func (r *row) number(wanted bool) (text []byte, ok bool) {
	start := r.i
	if r.peek() == '-' {
		r.i++
	}
	if r.peek() == '0' {
		r.i++
	} else if r.digits() == 0 {
		return nil, r.invalid()
	}
	if r.peek() == '.' {
		r.i++
		if r.digits() == 0 {
			return nil, r.invalid()
		}
	}
	mantissa := r.b[start:r.i:r.i]
	if r.peek()|0x20 != 'e' {
		return mantissa, true
	}
	r.i++
	sign := r.i
	if c := r.peek(); c == '-' || c == '+' {
		r.i++
	}
	if r.digits() == 0 {
		return nil, r.invalid()
	}
	if !wanted {
		return nil, true
	}
	exponent, err := strconv.Atoi(string(r.b[sign:r.i]))
	at := len(r.arena)
	if err == nil {
		r.arena, ok = appendPlain(r.arena, mantissa, exponent)
	}
	if !ok {
		r.fail(ruleNumber)
	}
	return r.arena[at:len(r.arena):len(r.arena)], true
}

// digits passes over decimal digits and counts them.
func (r *row) digits() int {
	start := r.i
	for r.i < len(r.b) && '0' <= r.b[r.i] && r.b[r.i] <= '9' {
		r.i++
	}
	return r.i - start
}

// appendPlain appends mantissa × 10^exponent without an exponent; every digit
// written after the decimal point stays. ok is false when that takes more than
// maxDigits digits.
func appendPlain(dst, mantissa []byte, exponent int) (plain []byte, ok bool) {
	digits, negative := bytes.CutPrefix(mantissa, []byte("-"))
	whole, fraction, _ := bytes.Cut(digits, []byte("."))
	n := len(whole) + len(fraction)
	if exponent > maxDigits || exponent < -maxDigits || n > maxDigits {
		return dst, false
	}
	point := len(whole) + exponent // digits before it; the number is 0.dddd × 10^point
	first, end := min(0, point-1), max(point, n)
	if end-first > maxDigits {
		return dst, false
	}
	digit := func(i int) byte {
		switch {
		case i < 0 || i >= n:
			return '0'
		case i < len(whole):
			return whole[i]
		}
		return fraction[i-len(whole)]
	}
	if negative {
		dst = append(dst, '-')
	}
	for first < point-1 && digit(first) == '0' {
		first++
	}
	for i := first; i < end; i++ {
		if i == point {
			dst = append(dst, '.')
		}
		dst = append(dst, digit(i))
	}
	return dst, true
}
