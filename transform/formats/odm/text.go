package odm

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// Rules of a row whose text cannot be read.
const (
	ruleInvalid = "text_invalid"
	ruleControl = "text_control"
	ruleEntity  = "text_entity" // an entity that XML does not define by itself
)

// kindOfText is where a text stands.
type kindOfText byte

const (
	inText kindOfText = iota
	inAttribute
	inCDATA
)

var entities = map[string]byte{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\''}

// appendText appends text as XML means it: entities replaced, line ends as one
// line feed, in an attribute as a space (XML 1.0, 2.11 and 3.3.3).
func appendText(dst, raw []byte, kind kindOfText) (text []byte, rule string) {
	for i := 0; i < len(raw); {
		from := i
		for i < len(raw) && raw[i] >= ' ' && raw[i] != '&' {
			i++
		}
		if dst = append(dst, raw[from:i]...); i == len(raw) {
			break
		}
		switch c := raw[i]; {
		case c == '&' && kind == inCDATA:
			dst = append(dst, '&')
		case c == '&':
			n := bytes.IndexByte(raw[i:], ';')
			if n < 0 {
				return dst, ruleEntity
			}
			if dst, rule = appendEntity(dst, raw[i+1:i+n]); rule != "" {
				return dst, rule
			}
			i += n
		case c != '\n' && c != '\r' && c != '\t':
			return dst, ruleControl
		case c == '\r' && i+1 < len(raw) && raw[i+1] == '\n':
		case kind == inAttribute:
			dst = append(dst, ' ')
		case c == '\t':
			dst = append(dst, '\t')
		default:
			dst = append(dst, '\n')
		}
		i++
	}
	return dst, ""
}

// appendEntity appends what a reference between "&" and ";" stands for.
func appendEntity(dst, name []byte) (text []byte, rule string) {
	if len(name) < 2 || name[0] != '#' {
		c, ok := entities[string(name)]
		if !ok {
			return dst, ruleEntity
		}
		return append(dst, c), ""
	}
	digits, base := string(name[1:]), 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	r := rune(n)
	switch {
	case err != nil, !utf8.ValidRune(r), r == 0xfffe, r == 0xffff:
		return dst, ruleEntity
	case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x80 && r < 0xa0:
		return dst, ruleControl
	}
	return utf8.AppendRune(dst, r), ""
}

// unreadable is the rule that bytes break by their characters alone.
func unreadable(raw []byte) (rule string) {
	if !utf8.Valid(raw) {
		return ruleInvalid
	}
	for {
		i := bytes.IndexByte(raw, 0xc2)
		if i < 0 {
			return ""
		}
		if raw[i+1] < 0xa0 { // C1: most often the encoding is another one
			return ruleControl
		}
		raw = raw[i+2:]
	}
}
