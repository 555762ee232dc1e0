package xlsx

import (
	"bytes"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Rules of broken rows.
const (
	ruleInvalid = "cell_invalid"
	ruleNumber  = "number_invalid"
	ruleDate    = "date_invalid"
	ruleText    = "text_invalid"
	ruleControl = "text_control"
	ruleLong    = "row_too_long"
)

// holds reports whether any of the cells has a value.
func (w *workbook) holds(cells []cell) bool {
	for _, c := range cells {
		if w.valued(c) {
			return true
		}
	}
	return false
}

// valued reports whether a cell has a value. A cell that cannot be read has one.
func (w *workbook) valued(c cell) bool {
	if c.kind == "s" && len(c.text) > 0 {
		text, ok := w.sharedText(c)
		return !ok || len(text) > 0
	}
	return len(c.text) > 0 || c.formula && !c.valued
}

func (w *workbook) sharedText(c cell) ([]byte, bool) {
	i, err := strconv.Atoi(string(c.text))
	if err != nil {
		return nil, false
	}
	return w.shared.at(i)
}

// append appends a cell's value to dst, or the text as stored and the rule that
// it breaks.
func (w *workbook) append(dst []byte, c cell) (text []byte, rule string) {
	switch {
	case c.formula && !c.valued:
		return dst, "formula_without_value"
	case len(c.text) == 0:
		return dst, ""
	case c.invalid:
		return append(dst, c.text...), ruleInvalid
	}
	switch c.kind {
	case "s":
		if shared, ok := w.sharedText(c); ok {
			return appendText(dst, shared)
		}
	case "str", "inlineStr":
		return appendText(dst, c.text)
	case "", "n":
		return w.number(dst, c)
	case "d":
		return appendISO(dst, c.text)
	case "e":
		return append(dst, c.text...), "cell_error"
	case "b":
		switch string(c.text) {
		case "0":
			return append(dst, "false"...), ""
		case "1":
			return append(dst, "true"...), ""
		}
	}
	return append(dst, c.text...), ruleInvalid
}

// appendText appends a text with its escapes undone: _xHHHH_ is a UTF-16 unit
// (ECMA-376 part 1, 22.9.2.19).
func appendText(dst, text []byte) ([]byte, string) {
	at := len(dst)
	for i := 0; i < len(text); {
		unit, ok := codeUnit(text[i:])
		if !ok {
			dst = append(dst, text[i])
			i++
			continue
		}
		i += 7
		if utf16.IsSurrogate(unit) {
			low, _ := codeUnit(text[i:])
			if unit = utf16.DecodeRune(unit, low); unit == utf8.RuneError {
				return append(dst[:at], text...), ruleText
			}
			i += 7
		}
		dst = utf8.AppendRune(dst, unit)
	}
	switch plain := dst[at:]; {
	case utf8.RuneCount(plain) > maxCell:
		return dst, "cell_too_long"
	case bytes.ContainsFunc(plain, control):
		return dst, ruleControl
	}
	return dst, ""
}

// codeUnit reads the _xHHHH_ that b starts with.
func codeUnit(b []byte) (unit rune, ok bool) {
	if len(b) < 7 || b[0] != '_' || b[1] != 'x' || b[6] != '_' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

// control reports a control character other than tab and line ends.
func control(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || 0x7f < r && r < 0xa0
}

// number appends a number, or the date that a number with a date format is. The
// file has up to 17 digits of a binary number; the shortest decimal that means
// the same one is what was typed: 4.3499999999999996 is 4.35.
func (w *workbook) number(dst []byte, c cell) ([]byte, string) {
	f, err := strconv.ParseFloat(string(c.text), 64)
	if err != nil || bytes.ContainsAny(c.text, "xXpP_nN") { // Go's own notations, infinity and NaN
		return append(dst, c.text...), ruleNumber
	}
	if c.style >= 0 && c.style < len(w.styles) && w.styles[c.style] != plainNumber {
		if text, ok := w.date(dst, f, w.styles[c.style]); ok {
			return text, ""
		}
		return append(dst, c.text...), ruleDate
	}
	return strconv.AppendFloat(dst, f+0, 'f', -1, 64), "" // +0 takes the sign from zero
}

const millisPerDay = 24 * 60 * 60 * 1000

// date appends the day and time that serial stands for: whole days since the
// workbook's first day, and the part of a day gone by, to the millisecond.
func (w *workbook) date(dst []byte, serial float64, s style) (text []byte, ok bool) {
	if serial < 0 || serial >= 3e6 {
		return dst, false
	}
	days := math.Floor(serial)
	millis := math.Round((serial - days) * millisPerDay)
	if millis == millisPerDay {
		days, millis = days+1, 0
	}
	if s == timeOnly && days == 0 {
		return appendTime(dst, time.UnixMilli(int64(millis)).UTC()), true
	}
	day := time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	switch {
	case w.from1904:
	case days == 0, days == 60:
		return dst, false // day 0 and 29 February 1900 never were; Excel counts them
	case days < 60:
		day = time.Date(1899, 12, 31, 0, 0, 0, 0, time.UTC)
	default:
		day = time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	}
	t := day.AddDate(0, 0, int(days)).Add(time.Duration(millis) * time.Millisecond)
	return appendMoment(dst, t), t.Year() <= 9999
}

// appendMoment appends a date, and the time of day unless it is midnight.
func appendMoment(dst []byte, t time.Time) []byte {
	dst = t.AppendFormat(dst, time.DateOnly)
	if t.Truncate(24 * time.Hour).Equal(t) {
		return dst
	}
	return appendTime(append(dst, 'T'), t)
}

func appendTime(dst []byte, t time.Time) []byte {
	return t.AppendFormat(dst, "15:04:05.999")
}

// appendISO appends the date that a cell of type d holds as text.
func appendISO(dst, text []byte) ([]byte, string) {
	for _, form := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z"} {
		if t, err := time.Parse(form, string(text)); err == nil {
			return appendMoment(dst, t), ""
		}
	}
	return append(dst, text...), ruleDate
}
