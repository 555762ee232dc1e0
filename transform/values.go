package transform

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/study"
)

// Rules of values. The first group says that a text is no value of the field: it
// rejects the record, unless the field's severity is another. The second flags
// the record, or rejects it, or only counts.
const (
	RuleChoice   = "choice_unknown" // also says that a code list has grown
	ruleInteger  = "integer_invalid"
	ruleDecimal  = "decimal_invalid"
	ruleBoolean  = "boolean_invalid"
	ruleDate     = "date_invalid"
	ruleDateTime = "datetime_invalid"
	ruleTime     = "time_invalid"
	ruleAcuity   = "acuity_invalid"
	ruleZip      = "zip_invalid"

	ruleUnitInexact = "unit_inexact" // an integer is none any more in the field's unit
	ruleExpr        = "expr_failed"  // an expression could not be evaluated for the row

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
	codes    codeList            // of choice and choices
	severity study.FieldSeverity // no part of it ""
	pattern  *regexp.Regexp
	bounds   bounds
	scaling  *scaling        // nil: the source measures in the field's unit
	known    memory[reading] // of dates, acuity and converted numbers, which repeat and take long to read
	picked   []int           // scratch of choices
	plain    plain           // how most cells are packed as they stand
	span     span            // of plain numbers
}

// reading is what a source text was read as.
type reading struct{ packed, invalid, finding string }

// codeList finds the place of a code. Most lists are short enough to look through.
type codeList struct {
	codes []string
	index map[string]int // nil: few
	short shortCodes
}

const fewCodes = 8

func newCodeList(choices []study.ChoiceItem) (l codeList) {
	for _, c := range choices {
		l.codes = append(l.codes, c.Code)
	}
	l.short = newShortCodes(l.codes)
	if len(l.codes) > fewCodes {
		l.index = make(map[string]int, len(l.codes))
		for i, c := range l.codes {
			l.index[c] = i
		}
	}
	return l
}

func (l *codeList) find(code []byte) (place int, ok bool) {
	if l.index != nil {
		place, ok = l.index[string(code)]
		return place, ok
	}
	for i, c := range l.codes {
		if string(code) == c {
			return i, true
		}
	}
	return 0, false
}

// bounds is a range in canonical text; an empty end is no end, an open one is
// itself outside.
type bounds struct {
	min, max         []byte
	minOpen, maxOpen bool
}

// hold reports whether v is inside.
func (b *bounds) hold(compare func(a, b []byte) int, v []byte) bool { return b.span(compare, v, v) }

// span reports whether any of the values from first to last may be inside.
func (b *bounds) span(compare func(a, b []byte) int, first, last []byte) bool {
	if len(b.min) > 0 {
		if n := compare(last, b.min); n < 0 || n == 0 && b.minOpen {
			return false
		}
	}
	if len(b.max) > 0 {
		if n := compare(first, b.max); n > 0 || n == 0 && b.maxOpen {
			return false
		}
	}
	return true
}

// severities fills in what a value does that breaks a rule of which nothing is said.
func severities(s study.FieldSeverity) study.FieldSeverity {
	for _, rejects := range []*study.Severity{&s.Type, &s.Choice} {
		*rejects = cmp.Or(*rejects, study.Reject)
	}
	for _, flags := range []*study.Severity{&s.Required, &s.Range, &s.Pattern} {
		*flags = cmp.Or(*flags, study.Flag)
	}
	return s
}

// weight is what a value does that breaks a rule.
func (f *fieldMap) weight(rule string) study.Severity {
	switch rule {
	case RuleChoice:
		return f.severity.Choice
	case ruleRequired:
		return f.severity.Required
	case ruleRange:
		return f.severity.Range
	case rulePattern:
		return f.severity.Pattern
	case rulePrecision:
		if f.field.Type == study.DateTime {
			return study.Flag
		}
	}
	return f.severity.Type
}

// bears reports whether the field has a value although it breaks the rule.
func (f *fieldMap) bears(rule string) bool {
	return rule == ruleRange || rule == rulePattern || rule == rulePrecision && f.field.Type == study.DateTime
}

// newFieldMap compiles a field; problem says what is wrong with its definition.
func newFieldMap(f *study.Field, p study.Pick, mark byte, loc *time.Location) (m fieldMap, problem string) {
	m = fieldMap{field: f, pick: newPick(p, mark), sealed: f.Sealed(), mark: mark, loc: loc, severity: severities(f.Severity),
		bounds: bounds{[]byte(f.Min), []byte(f.Max), f.MinOpen, f.MaxOpen}}
	if m.pick.problem != "" {
		return m, m.pick.problem
	}
	if f.Type == study.Choice || f.Type == study.Choices {
		m.codes = newCodeList(f.Choices)
		for _, c := range f.Choices {
			if f.Type == study.Choices && strings.ContainsAny(c.Code, ",|") {
				return m, "a code of choices holds a comma or a bar, which separate them"
			}
		}
	}
	if p.Unit != "" {
		if f.Type != study.Integer && f.Type != study.Decimal {
			return m, "only numbers are converted between units"
		}
		if m.scaling, problem = newScaling(p.Unit, f.Unit); problem != "" {
			return m, problem
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
	if f.Type == study.Integer || f.Type == study.Decimal || f.Type == study.Acuity {
		for _, end := range []*[]byte{&m.bounds.min, &m.bounds.max} {
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
	if f.Type == study.Zip && p.Format != "" && p.Format != study.NumericFormat {
		return m, "format of a ZIP code is numeric, or left out"
	}
	if l := m.pick.layout; l.text != "" && (f.Type == study.DateType || f.Type == study.DateTime) && l.precision == 0 {
		return m, `format is a Go reference layout, such as "02/01/2006"; this one has no year`
	}
	m.plain = m.plainly()
	return m, ""
}

// read appends the packed form of text to dst. invalid is the rule of a value
// that is not of the field's type, finding that of one outside its bounds.
func (f *fieldMap) read(dst, text []byte) (packed []byte, invalid, finding string) {
	start := len(dst)
	if f.scaling != nil {
		return f.recall(dst, text, f.converted)
	}
	switch f.field.Type {
	case study.Integer:
		dst, invalid = f.integer(dst, text)
		return dst, invalid, f.ranged(compareNumbers, dst[start:], invalid)
	case study.Decimal:
		dst, invalid = f.decimal(dst, text)
		return dst, invalid, f.ranged(compareNumbers, dst[start:], invalid)
	case study.Boolean:
		dst, invalid = appendBoolean(dst, text)
		return dst, invalid, ""
	case study.DateType:
		return f.recall(dst, text, f.date)
	case study.DateTime:
		dst, invalid, finding = f.datetime(dst, text)
		return dst, invalid, cmp.Or(f.ranged(comparePrefix, dst[start:], invalid), finding)
	case study.TimeType:
		dst, invalid = f.time(dst, text)
		return dst, invalid, f.ranged(comparePrefix, dst[start:], invalid)
	case study.Choice:
		if _, ok := f.codes.find(text); !ok {
			return dst, RuleChoice, ""
		}
	case study.Choices:
		dst, invalid = f.choices(dst, text)
		return dst, invalid, ""
	case study.Acuity:
		return f.recall(dst, text, f.acuity)
	case study.Zip:
		dst, invalid = appendZip(dst, text, f.pick.layout.text == study.NumericFormat)
		return dst, invalid, ""
	}
	return append(dst, text...), "", "" // text and file are sealed as they are
}

// ranged is the finding of a valid value outside the range.
func (f *fieldMap) ranged(compare func(a, b []byte) int, value []byte, invalid string) string {
	if invalid != "" || f.bounds.hold(compare, value) {
		return ""
	}
	return ruleRange
}

// matches reports whether a packed value is what the field's pattern says.
func (f *fieldMap) matches(value []byte) bool { return f.pattern == nil || f.pattern.Match(value) }

// recall appends what text was read as before, or reads it.
func (f *fieldMap) recall(dst, text []byte, read func(string) reading) (packed []byte, invalid, finding string) {
	r := f.known.recall(text, read)
	return append(dst, r.packed...), r.invalid, r.finding
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
	if n := wholeDigits(a) - wholeDigits(b); n != 0 {
		return n
	}
	return bytes.Compare(a, b)
}

// wholeDigits counts the digits before the point of an unsigned canonical number.
func wholeDigits(number []byte) int {
	for i, c := range number {
		if c == '.' {
			return i
		}
	}
	return len(number)
}

// comparePrefix orders ISO texts as far as the bound b is precise.
func comparePrefix(a, b []byte) int { return bytes.Compare(a[:min(len(a), len(b))], b) }

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

func (f *fieldMap) date(text string) reading {
	d, ok := f.pick.layout.date(text, f.loc)
	if !ok {
		return reading{invalid: ruleDate}
	}
	r := reading{packed: d.String()}
	// A partial date is out of range only if every day it could be is.
	if !f.bounds.span(comparePrefix, []byte(d.First().String()), []byte(d.Last().String())) {
		r.finding = ruleRange
	}
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
		i, ok := f.codes.find(f.pick.recode(part))
		if !ok {
			return dst, RuleChoice
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
	a, ok := study.ParseAcuity(text, f.pick.scale)
	if !ok {
		return reading{invalid: ruleAcuity}
	}
	letters, ok := a.Letters()
	if !ok && a.OffChart() == "" || ok && !f.bounds.hold(compareNumbers, strconv.AppendInt(nil, int64(letters), 10)) {
		r.finding = ruleRange // a range of acuity is in letters
	}
	r.packed = a.String()
	return r
}
