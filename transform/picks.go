package transform

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"golang.org/x/text/unicode/norm"

	"longitude/study"
)

// pick is a study.Pick bound to the columns of an object.
type pick struct {
	column   string // "" = a constant, or nothing at all
	index    int    // of the column
	constant []byte
	mapped   bool
	values   map[string][]byte // recoding of source codes
	missing  map[string]string // source code → missing reason
	layout   layout
	scale    string
	days     memory[study.PartialDate] // of visit dates; unknown = invalid
}

func newPick(p study.Pick) pick {
	b := pick{column: p.Column, mapped: p.Mapped(), missing: normalKeys(p.Missing), layout: newLayout(p.Format),
		scale: p.Scale, days: memory[study.PartialDate]{}}
	if p.Column == "" && p.Value != "" {
		b.constant = norm.NFC.Bytes([]byte(p.Value))
	}
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
	text = p.constant
	if p.column != "" {
		text = row[p.index]
	}
	if len(text) == 0 {
		return nil, ""
	}
	text = norm.NFC.Bytes(text) // text itself where it is NFC already
	if len(p.missing) > 0 {
		if reason, ok := p.missing[string(text)]; ok {
			return nil, reason
		}
	}
	return p.recode(text), ""
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
	precision int // characters of an ISO date: 10 day, 7 month, 4 year; 0 = not even a year
}

func newLayout(text string) layout {
	day := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	says := func(other time.Time) bool { return day.Format(text) != other.Format(text) }
	l := layout{text: text}
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
		if t, err := time.ParseInLocation(l.text, text, loc); err == nil {
			day := study.DateOf(t, loc)
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
		if t, err := time.ParseInLocation(form, text, loc); err == nil {
			return study.ExactDate(study.DateOf(t, loc)), true
		}
	}
	return study.PartialDate{}, false
}

// instant reads a point in time by the layout, in loc where it says no offset,
// or as RFC 3339.
func (l layout) instant(text []byte, loc *time.Location) (time.Time, bool) {
	if l.text != "" {
		t, err := time.ParseInLocation(l.text, string(text), loc)
		return t.UTC(), err == nil
	}
	var t time.Time
	err := t.UnmarshalText(text)
	return t.UTC(), err == nil
}

// memory remembers what repeats in a file, such as dates, sites and keys, so
// that it is parsed and allocated once. It forgets everything when it grows
// beyond maxMemory entries.
type memory[V any] map[string]V

const maxMemory = 1 << 14

func (m memory[V]) keep(key string, value V) V {
	if len(m) >= maxMemory {
		clear(m)
	}
	m[key] = value
	return value
}

// intern returns b as a string that equal texts share.
func (m memory[V]) intern(b []byte, as func(string) V) V {
	if v, ok := m[string(b)]; ok {
		return v
	}
	s := string(b)
	return m.keep(s, as(s))
}

func same(s string) string { return s }

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

// name is what rejections call the pick: its column in the object, or its key in
// the mapping.
func (p *pick) name(key string) string {
	if p.column != "" {
		return p.column
	}
	return key
}
