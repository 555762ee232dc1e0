package json

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// scalar reads a string, number, true, false or null. The text of the last, and
// of an empty string, is nil: absent, as an empty cell of a CSV file. What is not
// wanted is only checked to be JSON.
func (r *row) scalar(wanted bool) (text []byte, ok bool) {
	switch c := r.peek(); {
	case c == '"':
		raw, escaped, ok := r.quoted()
		if !ok {
			return nil, r.invalid()
		}
		if wanted && escaped {
			raw = r.unescaped(raw)
		}
		if len(raw) == 0 {
			return nil, true
		}
		return raw, true
	case c == '-', '0' <= c && c <= '9':
		return r.number(wanted)
	}
	for _, word := range []string{"null", "true", "false"} {
		if bytes.HasPrefix(r.b[r.i:], []byte(word)) {
			text = r.b[r.i : r.i+len(word) : r.i+len(word)]
			if r.i += len(word); word == "null" {
				text = nil
			}
			return text, true
		}
	}
	return nil, r.invalid()
}

// quoted reads a string and returns what is between its quotes.
func (r *row) quoted() (raw []byte, escaped, ok bool) {
	if r.peek() != '"' {
		return nil, false, false
	}
	start := r.i + 1
	for i := start; ; {
		if i = special(r.b, i); i >= len(r.b) {
			r.i = len(r.b)
			return nil, false, false
		}
		switch r.b[i] {
		case '"':
			r.i = i + 1
			return r.b[start:i:i], escaped, true
		case '\\':
			escaped = true
			n := escape(r.b[i:])
			if i += n; n == 0 {
				r.i = i
				return nil, false, false
			}
		default: // a control character
			r.i = i
			return nil, false, false
		}
	}
}

// escape is the length of the escape that b starts with; 0 when it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] == 'u' {
		if _, ok := codeUnit(b); ok {
			return 6
		}
		return 0
	}
	if bytes.IndexByte([]byte(`"\/bfnrt`), b[1]) < 0 {
		return 0
	}
	return 2
}

// codeUnit reads the \uXXXX that b starts with.
func codeUnit(b []byte) (unit rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

// unescaped copies a string into the arena with its escapes undone.
func (r *row) unescaped(raw []byte) []byte {
	at := len(r.arena)
	arena, ok := unescape(r.arena, raw)
	text := arena[at:len(arena):len(arena)]
	if r.arena = arena; !ok {
		r.fail(ruleText)
	} else if hasControl(text) {
		r.fail(ruleControl)
	}
	return text
}

// unescape appends a string, known to have only true escapes, to dst. ok is false
// when it has half of a surrogate pair.
func unescape(dst, raw []byte) (text []byte, ok bool) {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(dst, raw...), true
		}
		dst = append(dst, raw[:i]...)
		raw = raw[i:]
		if unit, long := codeUnit(raw); long {
			raw = raw[6:]
			if utf16.IsSurrogate(unit) {
				low, _ := codeUnit(raw)
				if unit = utf16.DecodeRune(unit, low); unit == utf8.RuneError {
					return dst, false
				}
				raw = raw[6:]
			}
			dst = utf8.AppendRune(dst, unit)
			continue
		}
		c := raw[1]
		if k := bytes.IndexByte([]byte("bfnrt"), c); k >= 0 {
			c = "\b\f\n\r\t"[k]
		}
		dst, raw = append(dst, c), raw[2:]
	}
}

// hasControl reports a control character other than tab and line ends.
func hasControl(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return true
		}
	}
	return hasC1(text)
}

// hasC1 reports a control character U+0080 to U+009F in valid UTF-8.
func hasC1(b []byte) bool {
	for {
		i := bytes.IndexByte(b, 0xc2)
		if i < 0 {
			return false
		}
		if b[i+1] < 0xa0 {
			return true
		}
		b = b[i+2:]
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special is the index of the first control character, quote or backslash of b
// from i on, len(b) if there is none. Eight bytes are tested at once: a byte
// below n, or equal to a pattern, leaves its high bit set, and the lowest such
// bit is exact (Warren, Hacker's Delight, 6-1).
func special(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		q, e := x^'"'*ones, x^'\\'*ones
		found := ((x-0x20*ones)&^x | (q-ones)&^q | (e-ones)&^e) & highs
		if found != 0 {
			return i + bits.TrailingZeros64(found)>>3
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c == '"' || c == '\\' {
			return i
		}
	}
	return len(b)
}

func ascii(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b)&highs != 0 {
			return false
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
