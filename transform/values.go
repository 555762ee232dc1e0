package transform

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/study"
)

// Rules of values. The first group rejects the record, the second flags it.
const (
	ruleInteger  = "integer_invalid"
	ruleDecimal  = "decimal_invalid"
	ruleBoolean  = "boolean_invalid"
	ruleDate     = "date_invalid"
	ruleDateTime = "datetime_invalid"
	ruleTime     = "time_invalid"
	ruleChoice   = "choice_unknown"
	ruleAcuity   = "acuity_invalid"

	ruleRequired = "required"
	ruleRange    = "range"
	rulePattern  = "pattern"

	rulePrecision = "precision" // rejects a decimal that its type cannot hold, flags a datetime finer than microseconds
)

// maxDigits of a number fit an int64 whatever its scale.
const maxDigits = 18

// microTime is how datetimes are packed: UTC, sortable as text.
const microTime = "2006-01-02T15:04:05.000000Z"

// fieldMap is one field of a form, ready to read the values of its column.
type fieldMap struct {
	field    *study.Field
	pick     pick // not mapped: the field is always missing
	sealed   bool
	mark     byte // decimal mark
	loc      *time.Location
	codes    map[string]int // choice code → place in the list
	pattern  *regexp.Regexp
	min, max []byte
	known    memory[reading] // of dates and acuity, which repeat and take long to read
	picked   []int           // scratch of choices
}

// reading is what a source text was read as.
type reading struct{ packed, finding string } // packed "" = invalid

// newFieldMap compiles a field; problem says what is wrong with its definition.
func newFieldMap(f *study.Field, p study.Pick, mark byte, loc *time.Location) (m fieldMap, problem string) {
	m = fieldMap{field: f, pick: newPick(p), sealed: f.Sealed(), mark: mark, loc: loc, known: memory[reading]{}}
	if f.Type == study.Choice || f.Type == study.Choices {
		m.codes = make(map[string]int, len(f.Choices))
		for i, c := range f.Choices {
			if f.Type == study.Choices && strings.ContainsAny(c.Code, ",|") {
				return m, "a code of choices holds a comma or a bar, which separate them"
			}
			m.codes[c.Code] = i
		}
	}
	if p.Scale != "" && !slices.Contains(study.AcuityScales, p.Scale) {
		return m, "scale must be one of " + strings.Join(study.AcuityScales, ", ")
	}
	if f.Pattern != "" {
		re, err := regexp.Compile(`^(?:` + f.Pattern + `)$`)
		if err != nil {
			return m, "pattern is not a regular expression (RE2)"
		}
		m.pattern = re
	}
	m.min, m.max = []byte(f.Min), []byte(f.Max)
	if f.Type == study.Integer || f.Type == study.Decimal || f.Type == study.Acuity {
		for _, end := range []*[]byte{&m.min, &m.max} {
			if len(*end) == 0 {
				continue
			}
			canonical, _, _, ok := appendNumber(nil, *end, '.')
			if !ok {
				return m, "range is not made of numbers"
			}
			*end = canonical
		}
	}
	if l := m.pick.layout; l.text != "" && (f.Type == study.DateType || f.Type == study.DateTime) && l.precision == 0 {
		return m, `format is a Go reference layout, such as "02/01/2006"; this one has no year`
	}
	return m, ""
}

// read appends the packed form of text to dst. reject is the rule of a value
// that is not of the field's type, finding that of one outside its bounds.
func (f *fieldMap) read(dst, text []byte) (packed []byte, reject, finding string) {
	start := len(dst)
	switch f.field.Type {
	case study.Integer:
		if dst, reject = f.integer(dst, text); reject == "" && !within(compareNumbers, dst[start:], f.min, f.max) {
			finding = ruleRange
		}
	case study.Decimal:
		if dst, reject = f.decimal(dst, text); reject == "" && !within(compareNumbers, dst[start:], f.min, f.max) {
			finding = ruleRange
		}
	case study.Boolean:
		dst, reject = appendBoolean(dst, text)
	case study.DateType:
		dst, reject, finding = f.recall(dst, text, f.date, ruleDate)
	case study.DateTime:
		if dst, reject, finding = f.datetime(dst, text); reject == "" && !within(comparePrefix, dst[start:], f.min, f.max) {
			finding = ruleRange
		}
	case study.TimeType:
		if dst, reject = f.time(dst, text); reject == "" && !within(comparePrefix, dst[start:], f.min, f.max) {
			finding = ruleRange
		}
	case study.Choice:
		if _, ok := f.codes[string(text)]; !ok {
			return dst, ruleChoice, ""
		}
		dst = append(dst, text...)
	case study.Choices:
		dst, reject = f.choices(dst, text)
	case study.Acuity:
		dst, reject, finding = f.recall(dst, text, f.acuity, ruleAcuity)
	default: // text and file are sealed as they are
		dst = append(dst, text...)
	}
	if reject == "" && f.pattern != nil && !f.pattern.Match(dst[start:]) {
		finding = rulePattern
	}
	return dst, reject, finding
}

// recall appends what text was read as before, or reads it.
func (f *fieldMap) recall(dst, text []byte, read func(string) reading, invalid string) (packed []byte, reject, finding string) {
	r := f.known.intern(text, read)
	if r.packed == "" {
		return dst, invalid, ""
	}
	return append(dst, r.packed...), "", r.finding
}

func (f *fieldMap) integer(dst, text []byte) ([]byte, string) {
	packed, _, _, ok := appendNumber(dst, text, 0)
	if !ok {
		return dst, ruleInteger
	}
	return packed, ""
}

// decimal reads a number that fits decimal(precision, scale). One that does not is
// not of the type: nothing downstream may round it, and no column could hold it.
func (f *fieldMap) decimal(dst, text []byte) ([]byte, string) {
	packed, whole, fraction, ok := appendNumber(dst, text, f.mark)
	switch {
	case !ok:
		return dst, ruleDecimal
	case f.field.Precision > 0 && (fraction > f.field.Scale || whole > f.field.Precision-f.field.Scale):
		return dst, rulePrecision
	}
	return packed, ""
}

// appendNumber appends the canonical form of a decimal number: no plus, no
// leading or trailing zeros, a point. mark 0 reads integers only. whole and
// fraction count the digits of the canonical form, a lone zero as none.
func appendNumber(dst, text []byte, mark byte) (canonical []byte, whole, fraction int, ok bool) {
	digits := text
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	point := len(digits)
	for i, c := range digits {
		switch {
		case c >= '0' && c <= '9':
		case c == mark && mark != 0 && point == len(digits) && i < len(digits)-1:
			point = i
		default:
			return dst, 0, 0, false
		}
	}
	if len(digits) == 0 {
		return dst, 0, 0, false
	}
	head, tail := digits[:point], digits[min(point+1, len(digits)):]
	head, tail = bytes.TrimLeft(head, "0"), bytes.TrimRight(tail, "0")
	if len(head)+len(tail) > maxDigits {
		return dst, 0, 0, false
	}
	if negative && len(head)+len(tail) > 0 {
		dst = append(dst, '-')
	}
	if len(head) == 0 {
		dst = append(dst, '0')
	}
	dst = append(dst, head...)
	if len(tail) > 0 {
		dst = append(append(dst, '.'), tail...)
	}
	return dst, len(head), len(tail), true
}

// compareNumbers orders two canonical numbers exactly.
func compareNumbers(a, b []byte) int {
	negative := a[0] == '-'
	if negative != (b[0] == '-') {
		if negative {
			return -1
		}
		return 1
	}
	if negative {
		return compareNumbers(b[1:], a[1:])
	}
	wholeA, fractionA, _ := bytes.Cut(a, []byte("."))
	wholeB, fractionB, _ := bytes.Cut(b, []byte("."))
	if n := len(wholeA) - len(wholeB); n != 0 {
		return n
	}
	if n := bytes.Compare(wholeA, wholeB); n != 0 {
		return n
	}
	return bytes.Compare(fractionA, fractionB)
}

// comparePrefix orders ISO texts as far as the bound b is precise.
func comparePrefix(a, b []byte) int { return bytes.Compare(a[:min(len(a), len(b))], b) }

// within reports low <= v <= high; an empty bound is open.
func within(compare func(a, b []byte) int, v, low, high []byte) bool {
	return (len(low) == 0 || compare(v, low) >= 0) && (len(high) == 0 || compare(v, high) <= 0)
}

func appendBoolean(dst, text []byte) ([]byte, string) {
	for _, w := range booleans {
		if bytes.EqualFold(text, w.word) {
			return append(dst, w.value...), ""
		}
	}
	return dst, ruleBoolean
}

var booleans = []struct {
	word  []byte
	value string
}{
	{[]byte("1"), "true"}, {[]byte("0"), "false"},
	{[]byte("true"), "true"}, {[]byte("false"), "false"},
	{[]byte("yes"), "true"}, {[]byte("no"), "false"},
	{[]byte("y"), "true"}, {[]byte("n"), "false"},
}

func (f *fieldMap) date(text string) (r reading) {
	d, _ := f.pick.layout.date(text, f.loc)
	first, last := d.First().String(), d.Last().String()
	// A partial date is out of range only if every day it could be is.
	if comparePrefix([]byte(last), f.min) < 0 || len(f.max) > 0 && comparePrefix([]byte(first), f.max) > 0 {
		r.finding = ruleRange
	}
	r.packed = d.String()
	return r
}

func (f *fieldMap) datetime(dst, text []byte) (packed []byte, reject, finding string) {
	t, ok := f.pick.layout.instant(text, f.loc)
	if !ok || t.Year() < 1 || t.Year() > 9999 {
		return dst, ruleDateTime, ""
	}
	if t.Nanosecond()%1000 != 0 {
		finding = rulePrecision
	}
	return t.AppendFormat(dst, microTime), "", finding
}

// time reads a time of day, HH:MM or HH:MM:SS, and keeps its precision.
func (f *fieldMap) time(dst, text []byte) ([]byte, string) {
	form := f.pick.layout.text
	if form != "" {
		t, err := time.Parse(form, string(text))
		if err != nil {
			return dst, ruleTime
		}
		return t.AppendFormat(dst, time.TimeOnly), ""
	}
	if form = time.TimeOnly; len(text) == len("15:04") {
		form = "15:04"
	}
	if _, err := time.Parse(form, string(text)); err != nil || len(text) != len(form) {
		return dst, ruleTime
	}
	return append(dst, text...), ""
}

// choices reads codes separated by "|" and packs them in the order of the code
// list, each once, joined by ",".
func (f *fieldMap) choices(dst, text []byte) ([]byte, string) {
	f.picked = f.picked[:0]
	for part := range bytes.SplitSeq(text, []byte("|")) {
		i, ok := f.codes[string(f.pick.recode(part))]
		if !ok {
			return dst, ruleChoice
		}
		f.picked = append(f.picked, i)
	}
	slices.Sort(f.picked)
	for n, i := range slices.Compact(f.picked) {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, f.field.Choices[i].Code...)
	}
	return dst, ""
}

func (f *fieldMap) acuity(text string) (r reading) {
	if f.mark == ',' {
		text = strings.ReplaceAll(text, ",", ".")
	}
	a, _ := study.ParseAcuity(text, f.pick.scale)
	letters, ok := a.Letters()
	if !ok && a.OffChart() == "" || ok && !within(compareNumbers, strconv.AppendInt(nil, int64(letters), 10), f.min, f.max) {
		r.finding = ruleRange // a range of acuity is in letters
	}
	r.packed = a.String()
	return r
}
