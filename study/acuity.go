package study

import (
	"math"
	"strconv"
	"strings"
)

// VisualAcuity is one reading of visual acuity as it was written, on the scale it was
// written in. Conversions are computed on demand, never stored in its place.
//
// letters = 85 − 50·logMAR holds for the ETDRS chart at its usual distance: a
// letter is 0.02 logMAR and 85 letters are 20/20 (Ferris, Kassoff, Bresnick &
// Bailey, Am J Ophthalmol 1982; the chart's geometry is Bailey & Lovie, Am J
// Optom 1976). logMAR is the common logarithm of the minimum angle of
// resolution in minutes of arc, hence log10(d/n) for Snellen n/d and −log10(v)
// for decimal v.
type VisualAcuity struct {
	scale  string
	text   string // canonical on its scale: "44", "20/40", "0.3", "CF"
	logMAR float64
}

// Scales of acuity. AcuityOff holds the readings below the chart, which are
// values and not missing: counting fingers, hand movement, light perception, no
// light perception.
const (
	AcuityETDRS   = "etdrs"
	AcuitySnellen = "snellen"
	AcuityLogMAR  = "logmar"
	AcuityDecimal = "decimal"
	AcuityOff     = "off"
)

// AcuityScales lists the scales that a source may declare.
var AcuityScales = []string{"etdrs_letters", AcuityETDRS, AcuitySnellen, AcuityLogMAR, AcuityDecimal}

// OffChart lists the readings below the chart, best first.
var OffChart = []ChoiceItem{
	{"CF", "Counting fingers"},
	{"HM", "Hand movement"},
	{"LP", "Light perception"},
	{"NLP", "No light perception"},
}

// ParseAcuity reads text on the named scale: etdrs_letters (or etdrs), snellen,
// logmar or decimal, with a decimal point. An off-chart code is read on every
// scale. Scale "" reads what names its own scale: the packed form of String, a
// Snellen fraction, an off-chart code; a bare number is refused, because 1 is
// poor vision in logMAR, perfect vision in decimal and nearly none in letters.
func ParseAcuity(text, scale string) (VisualAcuity, bool) {
	if len(text) > longestAcuity {
		return VisualAcuity{}, false // not a reading, whatever the scale
	}
	if isOffChart(text) {
		return VisualAcuity{scale: AcuityOff, text: text}, true
	}
	switch scale {
	case "etdrs_letters", AcuityETDRS:
		return parseLetters(text)
	case AcuitySnellen:
		return parseSnellen(text)
	case AcuityLogMAR, AcuityDecimal:
		return parseAcuityNumber(text, scale)
	case "":
		name, value, packed := strings.Cut(text, ":")
		switch {
		case !packed:
			return parseSnellen(text)
		case name == AcuityOff:
			return VisualAcuity{scale: AcuityOff, text: value}, isOffChart(value)
		case name != "":
			return ParseAcuity(value, name)
		}
	}
	return VisualAcuity{}, false
}

func isOffChart(text string) bool {
	for _, o := range OffChart {
		if o.Code == text {
			return true
		}
	}
	return false
}

func parseLetters(text string) (VisualAcuity, bool) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n > 100 {
		return VisualAcuity{}, false
	}
	return VisualAcuity{AcuityETDRS, strconv.FormatUint(n, 10), 1.7 - float64(n)/50}, true
}

func parseSnellen(text string) (VisualAcuity, bool) {
	n, d, ok := strings.Cut(text, "/")
	distance, okN := positiveDecimal(n)
	size, okD := positiveDecimal(d)
	if !ok || !okN || !okD {
		return VisualAcuity{}, false
	}
	return plausible(VisualAcuity{AcuitySnellen, text, math.Log10(size / distance)})
}

func parseAcuityNumber(text, scale string) (VisualAcuity, bool) {
	if scale == AcuityDecimal {
		v, ok := positiveDecimal(text)
		if !ok {
			return VisualAcuity{}, false
		}
		return plausible(VisualAcuity{scale, text, -math.Log10(v)})
	}
	v, ok := plainDecimal(strings.TrimPrefix(text, "-"))
	if !ok {
		return VisualAcuity{}, false
	}
	if text[0] == '-' && v != 0 {
		v = -v
	}
	return plausible(VisualAcuity{scale, text, v})
}

// plausible refuses what no chart shows: finer than logMAR −1 (20/2) or coarser
// than 3 (20/20000) is a misread scale, not a reading.
func plausible(a VisualAcuity) (VisualAcuity, bool) {
	if a.logMAR < -1 || a.logMAR > 3 {
		return VisualAcuity{}, false
	}
	if a.logMAR == 0 {
		a.logMAR = 0 // −log10(1) is the negative zero
	}
	return a, true
}

func positiveDecimal(s string) (float64, bool) {
	v, ok := plainDecimal(s)
	return v, ok && v > 0
}

// The longest number of a reading, and the longest reading: a packed fraction.
const (
	longestNumber = 12
	longestAcuity = len(AcuitySnellen) + len(":/") + 2*longestNumber
)

// plainDecimal reads digits with at most one point inside: no sign, no exponent.
func plainDecimal(s string) (float64, bool) {
	if s == "" || len(s) > longestNumber || s[0] == '.' || s[len(s)-1] == '.' {
		return 0, false
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && s[i] != '.' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// String is the packed form, "scale:value": "etdrs:44", "snellen:20/40",
// "logmar:0.30", "decimal:0.5", "off:CF". ParseAcuity(a.String(), "") gives a back.
func (a VisualAcuity) String() string {
	if a.scale == "" {
		return ""
	}
	return a.scale + ":" + a.text
}

// Scale is one of the Acuity… scales, "" for the zero value.
func (a VisualAcuity) Scale() string { return a.scale }

// Original is the value as written on its scale.
func (a VisualAcuity) Original() string { return a.text }

// OffChart is the off-chart code, "" for a reading on a chart.
func (a VisualAcuity) OffChart() string {
	if a.scale != AcuityOff {
		return ""
	}
	return a.text
}

// LogMAR is the reading as logMAR; false when it is off-chart.
func (a VisualAcuity) LogMAR() (float64, bool) {
	return a.logMAR, a.scale != "" && a.scale != AcuityOff
}

// Letters is the reading in ETDRS letters, rounded to the nearest; false when it
// is off-chart or outside the chart's 0 to 100.
func (a VisualAcuity) Letters() (int, bool) {
	logMAR, ok := a.LogMAR()
	n := int(math.Round(85 - 50*logMAR))
	return n, ok && n >= 0 && n <= 100
}

// Rule names the conversion that LogMAR and Letters apply, with its version; ""
// when nothing is converted.
func (a VisualAcuity) Rule() string {
	switch a.scale {
	case AcuityETDRS, AcuityLogMAR:
		return a.scale + "/85-50logmar/1"
	case AcuitySnellen:
		return "snellen/log10(d/n)/1"
	case AcuityDecimal:
		return "decimal/-log10(v)/1"
	}
	return ""
}
