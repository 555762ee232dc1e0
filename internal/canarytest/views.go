package canarytest

import (
	"bytes"
	"html"
	"slices"
)

// unescape undoes what URLs (%41), JSON (\u0041, \/) and HTML (&#65; &amp;)
// write for a letter, twice, since one is often inside another; in small letters.
func unescape(out, text []byte) []byte {
	for range 2 {
		out = slices.Grow(out[:0], len(text))
		for len(text) > 0 {
			plain := bytes.IndexAny(text, `%&\`)
			if plain < 0 {
				plain = len(text)
			}
			out, text = append(out, text[:plain]...), text[plain:]
			if len(text) > 0 {
				letter, n := unescapeOne(text)
				out, text = append(out, letter...), text[n:]
			}
		}
		text = bytes.Clone(out)
	}
	return foldCase(out[:0], out)
}

// unescapeOne answers what the beginning of a text stands for, and its length.
func unescapeOne(text []byte) (letter []byte, n int) {
	switch text[0] {
	case '%':
		if v, ok := hexValue(text, 1, 2); ok {
			return []byte{byte(v)}, 3
		}
	case '\\':
		if len(text) > 1 && (text[1] == '/' || text[1] == '"' || text[1] == '\'') {
			return text[1:2], 2
		}
		if len(text) > 1 && (text[1] == 'u' || text[1] == 'U') {
			if v, ok := hexValue(text, 2, 4); ok && v < 0x80 {
				return []byte{byte(v)}, 6
			}
		}
	case '&':
		if end := bytes.IndexByte(text[:min(len(text), 10)], ';'); end > 1 {
			if plain := html.UnescapeString(string(text[:end+1])); len(plain) <= 2 {
				return []byte(plain), end + 1
			}
		}
	}
	return text[:1], 1
}

// hexValue reads so many hexadecimal digits from a place of a text on.
func hexValue(text []byte, from, digits int) (v int, ok bool) {
	if len(text) < from+digits {
		return 0, false
	}
	for _, b := range text[from : from+digits] {
		switch {
		case '0' <= b && b <= '9':
			v = v<<4 | int(b-'0')
		case 'a' <= b && b <= 'f':
			v = v<<4 | int(b-'a'+10)
		case 'A' <= b && b <= 'F':
			v = v<<4 | int(b-'A'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// runs leaves out what people write between the digits of a number: at most
// three blanks, points, dashes, slashes and brackets.
func runs(out, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		out = append(out, text[i])
		if !isDigit(text[i]) {
			continue
		}
		j := i + 1
		for j < len(text) && j-i <= 3 && bytes.IndexByte([]byte(" .-/()"), text[j]) >= 0 {
			j++
		}
		if j < len(text) && isDigit(text[j]) {
			i = j - 1
		}
	}
	return out
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// stands reports whether a number of digits is one of its own and no part of a
// longer one, or of a word.
func stands(text []byte, from, to int) bool {
	return (from == 0 || !isWord(text[from-1])) && (to == len(text) || !isWord(text[to]))
}

func isWord(b byte) bool { return isDigit(b) || 'a' <= b && b <= 'z' }
