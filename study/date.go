package study

import (
	"math"
	"time"
)

// Date is a civil date: days since 1970-01-01 in the proleptic Gregorian
// calendar, without time zone. In a relative calendar (a source that gives days
// instead of dates) it is the day counted from the participant's anchor, which
// is then Date(0).
type Date int32

// NoDate marks the absence of a date. It is not the zero value on purpose of
// arithmetic: use Known to test.
const NoDate Date = math.MinInt32

// Known reports whether d is a date at all.
func (d Date) Known() bool { return d != NoDate }

// Time returns midnight UTC of d.
func (d Date) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String formats d as YYYY-MM-DD, or "" for NoDate.
func (d Date) String() string {
	if !d.Known() {
		return ""
	}
	return d.Time().Format(time.DateOnly)
}

// NewDate makes a date of year, month and day; ok is false when there is no
// such day (31 February is refused, never normalised to March).
func NewDate(year, month, day int) (d Date, ok bool) {
	if year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) {
		return NoDate, false
	}
	// Howard Hinnant, "days_from_civil": exact in the proleptic Gregorian calendar.
	y := year
	if month <= 2 {
		y--
	}
	era := y / 400
	yoe := y - era*400
	mp := (month + 9) % 12
	doy := (153*mp+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return Date(era*146097 + doe - 719468), true
}

// DateOf reduces an instant to the civil date at loc.
func DateOf(t time.Time, loc *time.Location) Date {
	y, m, d := t.In(loc).Date()
	date, _ := NewDate(y, int(m), d)
	return date
}

// ParseDate reads exactly YYYY-MM-DD.
func ParseDate(s string) (Date, bool) {
	p, ok := ParsePartialDate(s)
	if !ok || !p.Exact() {
		return NoDate, false
	}
	return p.First(), true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// PartialDate is a date as precisely as the source knows it: "2012",
// "2012-02" or "2012-02-03". It is never padded; it stands for the interval
// [First, Last] of the days it could be. The zero value is "no date".
type PartialDate struct{ first, last offsetDate }

// offsetDate is a Date shifted by one so that the zero value means "none".
type offsetDate int32

// ExactDate is a PartialDate known to the day. ExactDate(NoDate) is the zero value.
func ExactDate(d Date) PartialDate {
	if !d.Known() {
		return PartialDate{}
	}
	return PartialDate{toOffset(d), toOffset(d)}
}

func toOffset(d Date) offsetDate {
	if d >= 0 {
		return offsetDate(d) + 1
	}
	return offsetDate(d)
}

func fromOffset(d offsetDate) Date {
	switch {
	case d == 0:
		return NoDate
	case d > 0:
		return Date(d - 1)
	}
	return Date(d)
}

// ParsePartialDate reads ISO 8601 YYYY, YYYY-MM or YYYY-MM-DD and nothing else.
func ParsePartialDate(s string) (PartialDate, bool) {
	year, ok := digits(s, 0, 4)
	if !ok {
		return PartialDate{}, false
	}
	first, last := 1, 12
	if len(s) >= 7 {
		if first, ok = digits(s, 5, 7); !ok || s[4] != '-' {
			return PartialDate{}, false
		}
		last = first
	}
	switch len(s) {
	case 4, 7:
		a, okA := NewDate(year, first, 1)
		if !okA {
			return PartialDate{}, false
		}
		b, okB := NewDate(year, last, daysIn(year, last))
		return PartialDate{toOffset(a), toOffset(b)}, okB
	case 10:
		day, okD := digits(s, 8, 10)
		d, okDate := NewDate(year, first, day)
		if !okD || s[7] != '-' || !okDate {
			return PartialDate{}, false
		}
		return ExactDate(d), true
	}
	return PartialDate{}, false
}

func digits(s string, from, to int) (int, bool) {
	if len(s) < to {
		return 0, false
	}
	n := 0
	for i := from; i < to; i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// Known reports whether anything at all is known.
func (p PartialDate) Known() bool { return p.first != 0 }

// Exact reports whether p is known to the day.
func (p PartialDate) Exact() bool { return p.first != 0 && p.first == p.last }

// First and Last are the ends of the interval of days that p could be; NoDate
// when nothing is known.
func (p PartialDate) First() Date { return fromOffset(p.first) }

// Last is the latest day that p could be.
func (p PartialDate) Last() Date { return fromOffset(p.last) }

// String formats p with the precision it has: "2012", "2012-02", "2012-02-03" or "".
func (p PartialDate) String() string {
	if !p.Known() {
		return ""
	}
	s := p.First().String()
	switch n := p.Last() - p.First(); {
	case n == 0:
		return s
	case n <= 31:
		return s[:7]
	}
	return s[:4]
}
