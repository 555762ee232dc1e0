package datasetjson

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scalar is where a string, number, true, false or null ends, and what is in it.
type scalar struct {
	n        int  // bytes; 0 = there is none
	escapes  bool // of a string
	beyond   bool // characters beyond ASCII, of a string
	exponent int  // where it begins, of a number; 0 = there is none
}

// scanScalar finds the valid JSON scalar that b begins with.
func scanScalar(b []byte) (s scalar) {
	if len(b) == 0 {
		return s
	}
	if b[0] == '"' {
		return scanText(b)
	}
	for _, word := range []string{"null", "true", "false"} {
		if b[0] == word[0] {
			if bytes.HasPrefix(b, []byte(word)) {
				s.n = len(word)
			}
			return s
		}
	}
	return scanNumber(b)
}

func scanText(b []byte) (s scalar) {
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			if s.n = i + 1; s.escapes && !json.Valid(b[:s.n]) {
				s.n = 0
			}
			return s
		case c == '\\':
			s.escapes = true
			i++
		case c < ' ':
			return scalar{}
		case c >= utf8.RuneSelf:
			s.beyond = true
		}
	}
	return scalar{}
}

func scanNumber(b []byte) (s scalar) {
	i := 0
	digits := func() bool {
		start := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > start
	}
	next := func(any string) bool {
		if i < len(b) && strings.IndexByte(any, b[i]) >= 0 {
			i++
			return true
		}
		return false
	}
	next("-")
	if !next("0") && !digits() || next(".") && !digits() {
		return scalar{}
	}
	if at := i; next("eE") {
		s.exponent = at
		if next("+-"); !digits() {
			return scalar{}
		}
	}
	s.n = i
	return s
}

// cell is the text of a scalar; nil for null.
func (d *decoder) cell(b []byte, s scalar) (text []byte, rule string) {
	switch {
	case b[0] == '"' && (s.escapes || s.beyond):
		return d.text(b[1:s.n-1:s.n-1], s.escapes)
	case b[0] == '"':
		return b[1 : s.n-1 : s.n-1], ""
	case b[0] == 'n':
		return nil, ""
	case s.exponent > 0:
		return d.number(b, s.exponent)
	}
	return b, ""
}

// text undoes the escapes of what is between the quotes of a valid JSON string.
func (d *decoder) text(cell []byte, escapes bool) (text []byte, rule string) {
	if escapes {
		at := len(d.arena)
		arena, whole := unescape(d.arena, cell)
		if d.arena = arena; !whole {
			return nil, "text_invalid"
		}
		cell = arena[at:len(arena):len(arena)]
	}
	for at := 0; at < len(cell); {
		r, n := utf8.DecodeRune(cell[at:])
		switch {
		case r == utf8.RuneError && n == 1:
			return nil, "text_invalid"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x80 && r < 0xa0:
			return nil, "text_control"
		}
		at += n
	}
	return cell, ""
}

// unescape appends a string to dst; whole is false when it has half of a
// surrogate pair, which stands for no character.
func unescape(dst, text []byte) (unescaped []byte, whole bool) {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(dst, text...), true
		}
		dst = append(dst, text[:i]...)
		c := text[i+1]
		if c != 'u' {
			if k := bytes.IndexByte([]byte("bfnrt"), c); k >= 0 {
				c = "\b\f\n\r\t"[k]
			}
			dst, text = append(dst, c), text[i+2:]
			continue
		}
		r := unit(text[i:])
		text = text[i+6:]
		if utf16.IsSurrogate(r) {
			if r = utf16.DecodeRune(r, unit(text)); r == utf8.RuneError {
				return dst, false
			}
			text = text[6:]
		}
		dst = utf8.AppendRune(dst, r)
	}
}

// unit reads the \uXXXX that text starts with; -1 when it starts with something else.
func unit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

// maxDigits bounds the plain form of a number that has an exponent.
const maxDigits = 400

// number works the exponent, which begins at e, of a valid JSON number into its
// digits: 1.50e3 is 1500, 15e-1 is 1.5.
func (d *decoder) number(cell []byte, e int) (plain []byte, rule string) {
	exponent, err := strconv.Atoi(string(cell[e+1:]))
	digits, negative := bytes.CutPrefix(cell[:e], []byte("-"))
	whole, fraction, _ := bytes.Cut(digits, []byte("."))
	if err != nil || max(exponent, -exponent)+len(digits) > maxDigits {
		return nil, "number_invalid"
	}
	zeros := bytes.Repeat([]byte("0"), max(exponent, -exponent)+1)
	all := bytes.Join([][]byte{zeros, whole, fraction, zeros}, nil)
	point := len(zeros) + len(whole) + exponent
	at := len(d.arena)
	if negative {
		d.arena = append(d.arena, '-')
	}
	if whole = bytes.TrimLeft(all[:point], "0"); len(whole) == 0 {
		whole = zeros[:1]
	}
	d.arena = append(d.arena, whole...)
	if end := len(all) - len(zeros); point < end { // digits as written stay, zeros after the point too
		d.arena = append(append(d.arena, '.'), all[point:end]...)
	}
	return d.arena[at:len(d.arena):len(d.arena)], ""
}
