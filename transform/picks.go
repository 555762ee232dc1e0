package transform

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"golang.org/x/text/unicode/norm"

	"longitude/study"
)

// pick is a study.Pick bound to the columns of an object.
type pick struct {
	column   string // "" = an expression, a constant, or nothing at all
	index    int    // of the column; absent where the object may lack it and does
	constant []byte
	expr     *expression // used where there is neither column nor constant
	partly   bool        // the object lacks some of the expression's columns
	problem  string      // with the expression; "" = none
	mapped   bool
	plain    bool // a column as it is
	trim     bool
	values   map[string][]byte // recoding of source codes
	missing  map[string]string // source code → missing reason
	layout   layout
	scale    string
	days     memory[study.PartialDate] // of visit dates; unknown = invalid
}

// absent is the index of a column that the object does not have.
const absent = -1

// newPick prepares p; mark is the decimal mark of the source.
func newPick(p study.Pick, mark byte) pick {
	b := pick{column: p.Column, mapped: p.Mapped(), trim: p.Trim, missing: normalKeys(p.Missing),
		layout: newLayout(p.Format), scale: p.Scale}
	switch {
	case p.Column != "":
	case p.Value != "":
		b.constant = norm.NFC.Bytes([]byte(p.Value))
	case p.Expr != "" && !p.Const:
		b.expr, b.problem = newExpression(p.Expr, mark)
	}
	b.plain = p.Column != "" && !p.Trim && len(p.Missing)+len(p.Values) == 0
	if len(p.Values) > 0 {
		b.values = make(map[string][]byte, len(p.Values))
		for code, value := range p.Values {
			b.values[norm.NFC.String(code)] = norm.NFC.Bytes([]byte(value))
		}
	}
	return b
}

func normalKeys(m map[string]string) map[string]string {
	normal := make(map[string]string, len(m))
	for code, reason := range m {
		normal[norm.NFC.String(code)] = reason
	}
	return normal
}

// take returns the text that the pick gives for a row, in NFC and recoded; nil
// when there is none, then with the reason if the source codes one.
func (p *pick) take(row [][]byte) (text []byte, reason string) {
	if !p.mapped {
		return nil, ""
	}
	return p.give(row)
}

// give is take of a pick that is mapped.
func (p *pick) give(row [][]byte) (text []byte, reason string) {
	switch {
	case p.index == absent:
		return nil, study.NotAsked
	case p.plain:
		if text = row[p.index]; len(text) == 0 {
			return nil, ""
		}
		if isASCII(text) {
			return text, ""
		}
	case p.column != "":
		text = row[p.index]
	case p.partly && (p.expr.failed || p.expr.text == nil):
		return nil, study.NotAsked
	case p.expr != nil:
		text = p.expr.text
	default:
		text = p.constant
	}
	return p.refine(text)
}

// failed reports whether the pick is computed and could not be, for the row
// evaluated last. Where a column is missing and that is tolerated, it is missing.
func (p *pick) failed() bool {
	return p.expr != nil && p.expr.failed && p.index != absent && !p.partly
}

// refine makes of a cell what the pick says: trimmed, in NFC, told apart from
// missing codes, recoded.
func (p *pick) refine(text []byte) (refined []byte, reason string) {
	if p.trim {
		text = bytes.TrimSpace(text)
	}
	if len(text) == 0 {
		return nil, ""
	}
	if !isASCII(text) {
		text = norm.NFC.Bytes(text) // text itself where it is NFC already
	}
	if len(p.missing) > 0 {
		if reason, ok := p.missing[string(text)]; ok {
			return nil, reason
		}
	}
	if len(p.values) > 0 {
		if text = p.recode(text); len(text) == 0 {
			return nil, ""
		}
	}
	return text, ""
}

// isASCII reports whether text is in NFC for sure, as almost all of it is.
func isASCII(text []byte) bool {
	for ; len(text) >= 8; text = text[8:] {
		if binary.LittleEndian.Uint64(text)&0x8080808080808080 != 0 {
			return false
		}
	}
	for _, c := range text {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func (p *pick) recode(text []byte) []byte {
	if len(p.values) > 0 {
		if to, ok := p.values[string(text)]; ok {
			return to
		}
	}
	return text
}

// layout is a Go reference layout together with the precision it can express, so
// that a month is never padded to its first day.
type layout struct {
	text      string
	precision int  // characters of an ISO date: 10 day, 7 month, 4 year; 0 = not even a year
	iso       bool // what is an ISO date to the day is read as that
}

func newLayout(text string) layout {
	day := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	says := func(other time.Time) bool { return day.Format(text) != other.Format(text) }
	l := layout{text: text, iso: text == "" || text == time.DateOnly}
	switch {
	case !says(day.AddDate(4, 0, 0)):
	case says(day.AddDate(0, 0, 7)): // seven days later is the same weekday
		l.precision = 10
	case says(day.AddDate(0, 1, 0)):
		l.precision = 7
	default:
		l.precision = 4
	}
	return l
}

// date reads a date by the layout, if there is one, or as an ISO 8601 date of
// whatever precision.
func (l layout) date(text string, loc *time.Location) (study.PartialDate, bool) {
	if l.text != "" && l.precision > 0 {
		if day, ok := civil(l.text, text, loc); ok {
			if !day.Known() { // package time reads the year 0000, the calendar begins with 1
				return study.PartialDate{}, false
			}
			return study.ParsePartialDate(day.String()[:l.precision])
		}
	}
	return study.ParsePartialDate(text)
}

// day is date, and also reduces an instant to the civil date at loc. A local
// date and time without an offset is at loc already.
func (l layout) day(text string, loc *time.Location) (study.PartialDate, bool) {
	if d, ok := l.date(text, loc); ok {
		return d, true
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if d, ok := civil(form, text, loc); ok {
			return study.ExactDate(d), true
		}
	}
	return study.PartialDate{}, false
}

// civil reads the civil date at loc of a text. Where the text says no offset it is
// the day written, also in zones where on some days midnight does not exist.
func civil(form, text string, loc *time.Location) (study.Date, bool) {
	t, err := time.ParseInLocation(form, text, noOffset)
	if err != nil {
		return study.NoDate, false
	}
	if t.Location() == noOffset {
		return study.DateOf(t, noOffset), true
	}
	t, err = time.ParseInLocation(form, text, loc) // loc knows the names of its offsets
	return study.DateOf(t, loc), err == nil
}

// noOffset marks what was parsed without an offset: no zone has this one.
var noOffset = time.FixedZone("", 1)

// instant reads a point in time by the layout, in loc where it says no offset,
// or as RFC 3339.
func (l layout) instant(text []byte, loc *time.Location) (time.Time, bool) {
	if l.text != "" {
		t, err := time.ParseInLocation(l.text, string(text), loc)
		return t.UTC(), err == nil
	}
	if t, ok := zulu(text); ok {
		return t, true
	}
	var t time.Time
	err := t.UnmarshalText(text)
	return t.UTC(), err == nil
}

// zulu reads the form that most instants have, 2006-01-02T15:04:05Z. Not ok says
// nothing: package time reads all the others, and says which are none.
func zulu(text []byte) (t time.Time, ok bool) {
	if len(text) != len("2006-01-02T15:04:05Z") || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z' {
		return time.Time{}, false
	}
	day, ok := isoDay(text[:10])
	h, m, s := pair(text[11:]), pair(text[14:]), pair(text[17:])
	if !ok || h > 23 || m > 59 || s > 59 {
		return time.Time{}, false
	}
	return time.Unix(int64(day)*86400+int64(h*3600+m*60+s), 0).UTC(), true
}

// isoDay reads the form that most dates have, 2006-01-02. Not ok says nothing.
func isoDay(text []byte) (study.Date, bool) {
	if len(text) != len("2006-01-02") || text[4] != '-' || text[7] != '-' {
		return study.NoDate, false
	}
	century, year, month, day := pair(text), pair(text[2:]), pair(text[5:]), pair(text[8:])
	if max(century, year) > 99 {
		return study.NoDate, false
	}
	return study.NewDate(int(century*100+year), int(month), int(day))
}

// pair is the number of two digits that text begins with, more than 99 where it
// does not.
func pair(text []byte) uint {
	tens, ones := uint(text[0]-'0'), uint(text[1]-'0')
	if max(tens, ones) > 9 {
		return 100
	}
	return tens*10 + ones
}

// memory remembers what repeats in a file, such as dates, sites and keys, so
// that it is parsed and allocated once. It forgets everything when it grows
// beyond maxMemory entries. What comes twice in a row is not even looked up.
type memory[V any] struct {
	known map[string]remembered[V]
	last  remembered[V]
}

type remembered[V any] struct {
	text  string
	value V
}

const maxMemory = 1 << 14

// recall returns what as made of b, or makes it.
func (m *memory[V]) recall(b []byte, as func(string) V) V {
	if len(b) > 0 && string(b) == m.last.text {
		return m.last.value
	}
	r, ok := m.known[string(b)]
	if !ok {
		if m.known == nil {
			m.known = map[string]remembered[V]{}
		}
		if len(m.known) >= maxMemory {
			clear(m.known)
		}
		s := string(b)
		r = remembered[V]{s, as(s)}
		m.known[s] = r
	}
	m.last = r
	return r.value
}

// texts shares equal strings.
type texts map[string]string

// intern returns b as a string that equal texts share.
func (t texts) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := t[string(b)]; ok {
		return s
	}
	if len(t) >= maxMemory {
		clear(t)
	}
	s := string(b)
	t[s] = s
	return s
}

// isCode reports whether text is short and plain enough to stand in the research
// schema as the source wrote it.
func isCode(text []byte, most int) bool {
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(text) > 0 && len(text) <= most
}

// fingerprint stands in a key for source text that must not: "u:" and the start
// of its SHA-256.
func fingerprint(dst, text []byte) []byte {
	sum := sha256.Sum256(text)
	return hex.AppendEncode(append(dst, "u:"...), sum[:6])
}

// maxCode is the length of a code in a key.
const maxCode = 40

// appendCode appends text to a key as it is where it is a code, else its fingerprint.
func appendCode(key, text []byte) []byte {
	if isCode(text, maxCode) {
		return append(key, text...)
	}
	return fingerprint(key, text)
}

// name is what rejections call the pick: its column in the object, or its key in
// the mapping.
func (p *pick) name(key string) string {
	if p.column != "" {
		return p.column
	}
	return key
}
