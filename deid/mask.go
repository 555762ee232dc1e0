package deid

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maskLength bounds a mask, so that the length of a long text does not show.
const maskLength = 12

// Mask shows the shape of a value and not the value: 9 for a digit, A for a
// letter, the punctuation of numbers and dates as it is, ? for anything else.
// It is for typed values; of identifiers and private text not even the shape is
// shown.
func Mask(value string) string {
	var b strings.Builder
	for n, r := range []rune(value) {
		switch {
		case n == maskLength:
			b.WriteRune('…')
			return b.String()
		case unicode.IsDigit(r):
			b.WriteByte('9')
		case unicode.IsLetter(r):
			b.WriteByte('A')
		case r < utf8.RuneSelf && strings.ContainsRune("-+./:, ", r):
			b.WriteRune(r)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}
