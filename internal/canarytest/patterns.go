package canarytest

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf16"
)

// pattern is how a canary looks in one encoding, in small letters.
type pattern struct {
	canary int
	as     string
	text   string
	digits bool // is looked for where the separators of numbers are left out
}

// patterns are the ways in which a canary is looked for. Texts that are escaped,
// compressed or cut are undone before, whatever is in them.
func patterns(i int, c Canary) []pattern {
	var all []pattern
	add := func(as string, texts ...string) {
		for _, text := range texts {
			if text = lower(text); len(text) >= anchor && !slices.ContainsFunc(all, func(p pattern) bool { return p.text == text }) {
				all = append(all, pattern{canary: i, as: as, text: text})
			}
		}
	}
	add("text", c.Text)
	words := strings.Fields(c.Text)
	for _, between := range []string{"", "-", "_", ".", "+", ","} {
		add("joined", strings.Join(words, between))
	}
	if last := len(words) - 1; last > 0 {
		rest := strings.Join(words[:last], " ")
		add("reversed order", words[last]+", "+rest, words[last]+" "+rest, words[last]+"_"+rest, words[last]+","+rest, words[last]+rest)
	}
	if c.Class == Moment {
		add("text", strings.Replace(c.Text, "T", " ", 1))
	}
	letters := []byte(c.Text)
	slices.Reverse(letters)
	add("backwards", string(letters))
	for _, text := range []string{c.Text, strings.ToLower(c.Text), strings.ToUpper(c.Text)} {
		add("hex", hex.EncodeToString([]byte(text)))
		add("base64", base64s(text)...)
		add("utf-16", wide(text, false), wide(text, true))
	}
	if digits := onlyDigits(c.Text); len(digits) >= 9 && c.Class != IP && c.Class != Moment {
		all = append(all, pattern{canary: i, as: "digits", text: digits, digits: true})
		if c.Class == Phone { // without the code of the country
			all = append(all, pattern{canary: i, as: "digits", text: digits[1:], digits: true})
		}
	}
	return all
}

// base64s are what stays the same of a text in base64, whatever stands before
// and after it: one form for each place among three bytes, in both alphabets.
func base64s(text string) []string {
	var all []string
	for shift, unsure := range []int{0, 2, 3} {
		padded := append(make([]byte, shift), text...)
		end := 0
		if len(padded)%3 != 0 {
			end = 1 // the last letter holds bits of what follows
		}
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := alphabet.EncodeToString(padded)
			all = append(all, encoded[unsure:len(encoded)-end])
		}
	}
	return all
}

// wide is a text in UTF-16, the low byte first or the high one.
func wide(text string, high bool) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		lo, hi := byte(unit), byte(unit>>8)
		if high {
			lo, hi = hi, lo
		}
		b.WriteByte(lo)
		b.WriteByte(hi)
	}
	return b.String()
}

func onlyDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// lower makes small letters of ASCII's and leaves every other byte as it is.
func lower(text string) string { return string(foldCase(make([]byte, 0, len(text)), []byte(text))) }

func foldCase(out, text []byte) []byte {
	for _, b := range text {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		out = append(out, b)
	}
	return out
}
