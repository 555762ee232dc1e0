package xport

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is what the cells of a column are. SAS knows numbers and text only; a
// number is a date because of the format that writes it.
type kind uint8

const (
	character kind = iota
	numeric
	date     // days since 1960-01-01
	datetime // seconds since 1960-01-01, of a clock nobody names
	instant  // the same in UTC
	clock    // seconds since midnight
)

// String is the kind as transform.Rows names types.
func (k kind) String() string {
	return [...]string{"text", "number", "date", "datetime", "datetime", "time"}[k]
}

// formats are SAS's own formats that write a whole date, datetime or time, and
// those that leave out the day of the month. Formats that write a part of a
// date alone (YEAR, MONTH, QTR, DAY, DOWNAME) leave the number a number. From
// SAS 9.4 Formats and Informats: Reference, "Formats by Category".
var formats = map[string]kind{}

func init() {
	for k, names := range map[kind]string{
		date: "DATE DDMMYY DDMMYYB DDMMYYC DDMMYYD DDMMYYN DDMMYYP DDMMYYS MMDDYY MMDDYYB MMDDYYC MMDDYYD MMDDYYN MMDDYYP MMDDYYS " +
			"YYMMDD YYMMDDB YYMMDDC YYMMDDD YYMMDDN YYMMDDP YYMMDDS E8601DA B8601DA IS8601DA JULIAN WEEKDATE WEEKDATX WORDDATE WORDDATX " +
			"MONYY MMYY MMYYC MMYYD MMYYN MMYYP MMYYS YYMM YYMMC YYMMD YYMMN YYMMP YYMMS YYMON NLDATE NLDATEL NLDATEM NLDATES NLDATEW " +
			"EURDFDD EURDFDE EURDFDN EURDFDT EURDFDWN EURDFMN EURDFMY EURDFWDX EURDFWKX",
		datetime: "DATETIME DATEAMPM MDYAMPM DTDATE DTMONYY DTWKDATX E8601DT E8601DN E8601LX B8601DT B8601DN B8601LX IS8601DT IS8601DN " +
			"NLDATM NLDATMAP NLDATML NLDATMM NLDATMS NLDATMW NLDATMTM",
		instant: "E8601DZ B8601DZ IS8601DZ E8601DX B8601DX",
		clock:   "TIME TIMEAMPM HHMM TOD E8601TM E8601TX E8601TZ E8601LZ B8601TM B8601TX B8601TZ B8601LZ IS8601TM IS8601TZ IS8601LZ NLTIME NLTIMAP",
	} {
		for name := range strings.FieldsSeq(names) {
			formats[name] = k
		}
	}
}

// kindOf tells the kind of a number from its format. Some writers leave the
// width in the name: DATE9.
func kindOf(format string) kind {
	format = strings.ToUpper(strings.TrimSpace(format))
	for _, name := range []string{format, strings.TrimRight(format, "0123456789.")} {
		if k, ok := formats[name]; ok {
			return k
		}
	}
	return numeric
}

// exponents are what the first seven bits after the sign multiply a fraction of
// 56 bits with: 16 to the power of e-64.
var exponents [128]float64

func init() {
	for e := range exponents {
		exponents[e] = math.Ldexp(1, 4*(e-64)-56)
	}
}

// appendValue appends a stored number as text: nothing for the missing value,
// ".A" for the special missing value A.
func appendValue(dst, cell []byte, k kind) []byte {
	var stored [8]byte // shorter numbers leave out the end of the fraction
	copy(stored[:], cell)
	bits := binary.BigEndian.Uint64(stored[:])
	fraction := bits & (1<<56 - 1)
	if fraction == 0 {
		switch first := stored[0]; {
		case first == '.':
			return dst
		case first == '_', first >= 'A' && first <= 'Z':
			return append(dst, '.', first)
		}
	}
	// Of the fraction's 56 bits the conversion keeps 53, rounded half to even; the
	// product is exact, for it neither overflows nor gets subnormal.
	v := float64(int64(fraction)) * exponents[bits>>56&0x7f]
	if bits>>63 != 0 {
		v = -v
	}
	if k != numeric {
		if said, ok := appendMoment(dst, v, k); ok {
			return said
		}
	}
	return appendNumber(dst, v)
}

// appendNumber appends the shortest decimal that stands for v and no other
// float64, without exponent.
func appendNumber(dst []byte, v float64) []byte {
	if math.Abs(v) < 1e11 {
		// What people measure has few decimals. A decimal of at most 15 digits that
		// stands for v is the only one of its length, and found faster like this.
		power := 1.0
		for decimals := range 5 {
			if scaled := math.RoundToEven(v * power); scaled/power == v {
				return appendScaled(dst, int64(scaled), decimals)
			}
			power *= 10
		}
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// appendScaled appends n with the point before its last decimals.
func appendScaled(dst []byte, n int64, decimals int) []byte {
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	at := len(dst)
	dst = strconv.AppendInt(dst, n, 10)
	if decimals == 0 {
		return dst
	}
	for len(dst)-at <= decimals {
		dst = slices.Insert(dst, at, '0')
	}
	return slices.Insert(dst, len(dst)-decimals, '.')
}

const (
	day      = 24 * 60 * 60
	epoch    = -3653 * day   // 1960-01-01 in Unix time
	firstDay = -719162 * day // 0001-01-01
	lastDay  = 2932897 * day // 10000-01-01
)

// layouts write no zeros at the end of a fraction of a second.
var layouts = [...]string{
	date:     time.DateOnly,
	datetime: "2006-01-02T15:04:05.999999999",
	instant:  "2006-01-02T15:04:05.999999999Z",
	clock:    "15:04:05.999999999",
}

// appendMoment appends a date, datetime or time in ISO 8601. ok is false for a
// number that is none: a date with a fraction of a day, a day outside the years
// 1 to 9999, a time outside one day, a fraction finer than nanoseconds. It stays
// a number then, which a field of that type rejects.
func appendMoment(dst []byte, v float64, k kind) (said []byte, ok bool) {
	if math.Abs(v) > 1<<40 {
		return dst, false
	}
	whole, nanos, ok := seconds(v)
	switch {
	case !ok || k == date && nanos != 0:
		return dst, false
	case k == clock:
		ok = whole >= 0 && whole < day
	default:
		if k == date {
			whole *= day
		}
		whole += epoch
		ok = whole >= firstDay && whole < lastDay
	}
	if !ok {
		return dst, false
	}
	return time.Unix(whole, nanos).UTC().AppendFormat(dst, layouts[k]), true
}

// seconds splits v at its decimal point, as the shortest decimal says it, into
// whole seconds, rounded down, and nanoseconds.
func seconds(v float64) (whole, nanos int64, ok bool) {
	whole = int64(v)
	if float64(whole) == v {
		return whole, 0, true
	}
	var digits [32]byte
	text := string(strconv.AppendFloat(digits[:0], math.Abs(v), 'f', -1, 64))
	_, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > 9 {
		return 0, 0, false
	}
	for i := range 9 {
		nanos *= 10
		if i < len(fraction) {
			nanos += int64(fraction[i] - '0')
		}
	}
	if v < 0 {
		whole, nanos = whole-1, 1e9-nanos
	}
	return whole, nanos, true
}
