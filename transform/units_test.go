package transform

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// The conversions of NIST SP 811, appendix B, and clinical examples by hand.
func TestUnits(t *testing.T) {
	tenths := study.Field{Type: study.Decimal, Precision: 6, Scale: 1}
	whole := study.Field{Type: study.Integer}
	for _, c := range []struct {
		field          study.Field
		from, to, text string
		want, rule     string
	}{
		{tenths, "lb", "kg", "150", "68", ""}, // 68.0388555
		{tenths, "[lb_av]", "kg", "165.3", "75", ""},
		{tenths, "oz", "g", "1", "28.3", ""},
		{tenths, "in", "cm", "70", "177.8", ""},
		{tenths, "[ft_i]", "m", "10", "3", ""}, // 3.048
		{tenths, "µm", "mm", "350", "0.4", ""}, // 0.35: half to even
		{tenths, "um", "mm", "250", "0.2", ""}, // 0.25
		{tenths, "um", "mm", "-250", "-0.2", ""},
		{tenths, "um", "mm", "-350.1", "-0.4", ""},
		{tenths, "kPa", "mmHg", "2", "15", ""}, // 15.0012…
		{tenths, "mmHg", "kPa", "120", "16", ""},
		{tenths, "cmH2O", "mmHg", "20", "14.7", ""},
		{tenths, "F", "C", "98.6", "37", ""},
		{tenths, "[degF]", "Cel", "-40", "-40", ""},
		{tenths, "C", "K", "-273.15", "0", ""},
		{tenths, "C", "F", "100", "212", ""},
		{tenths, "mg/dL glucose", "mmol/L", "180.156", "10", ""},
		{tenths, "mmol/L", "mg/dL glucose", "5.5", "99.1", ""}, // 99.0858
		{tenths, "mg/dL cholesterol", "mmol/L cholesterol", "200", "5.2", ""},
		{tenths, "mg/dL creatinine", "umol/L", "1", "88.4", ""},
		{tenths, "g/dL", "g/L", "14.2", "142", ""},
		{tenths, "factor:1/1000", "anything", "12345", "12.3", ""},
		{tenths, "factor:2.54", "", "10", "25.4", ""},
		{tenths, "kg", "kg", "70.25", "", rulePrecision}, // nothing to convert, so nothing is rounded
		{tenths, "g", "kg", "70250", "70.2", ""},
		{tenths, "kg", "mg", "1", "", rulePrecision},
		{tenths, "lb", "kg", "heavy", "", ruleDecimal},
		{study.Field{Type: study.Decimal}, "in", "m", "1", "0.0254", ""},
		{study.Field{Type: study.Decimal}, "um", "m", "1.5", "0.000002", ""}, // half to even at six decimals
		{whole, "wk", "d", "6", "42", ""},
		{whole, "h", "min", "1.5", "90", ""},
		{whole, "d", "wk", "10", "", ruleUnitInexact},
		{whole, "d", "wk", "x", "", ruleInteger},
		{study.Field{Type: study.Integer, Min: "0", Max: "90"}, "h", "min", "2", "120", "range"},
		{study.Field{Type: study.Integer, Min: "0", Max: "90"}, "h", "min", "1.5", "90", ""},
		{study.Field{Type: study.Integer, Max: "90", MaxOpen: true}, "h", "min", "1.5", "90", "range"},
	} {
		c.field.Unit = c.to
		m, problem := newFieldMap(&c.field, study.Pick{Unit: c.from}, '.', time.UTC)
		if problem != "" {
			t.Errorf("%s to %s: %s", c.from, c.to, problem)
			continue
		}
		packed, invalid, finding := m.read(nil, []byte(c.text))
		if string(packed) != c.want || invalid+finding != c.rule {
			t.Errorf("%s %s is %q %s, rule %q; want %q, %q", c.text, c.from, packed, c.to, invalid+finding, c.want, c.rule)
		}
	}
	german := study.Field{Type: study.Decimal, Precision: 5, Scale: 2, Unit: "kg"}
	m, _ := newFieldMap(&german, study.Pick{Unit: "g"}, ',', time.UTC)
	if packed, _, _ := m.read(nil, []byte("70250,5")); string(packed) != "70.25" {
		t.Errorf("with a decimal comma: %q", packed)
	}
}

func TestUnitProblems(t *testing.T) {
	for _, c := range []struct{ from, to, says string }{
		{"stone", "kg", "mass; those are kg, g, mg, ug, lb, oz"},
		{"kg", "furlong", "mass; those are"},
		{"kg", "cm", "unit of mass"},
		{"stone", "furlong", "kinds are mass, length"},
		{"kg", "", "no unit"},
		{"mg/dL", "mmol/L", "glucose"},
		{"mg/dL glucose", "mmol/L creatinine", "two substances"},
		{"mg/dL gold", "mmol/L", "not a known unit"},
		{"kg glucose", "g", "not a known unit"},
		{"mg/dL glucose", "kg", "mass concentration"},
		{"factor:", "kg", "factor:N"},
		{"factor:0", "kg", "factor:N"},
		{"factor:1/0", "kg", "factor:N"},
		{"factor:1e3", "kg", "factor:N"},
	} {
		if got := CheckUnits(c.from, c.to); !strings.Contains(got, c.says) {
			t.Errorf("%q to %q: %q does not say %q", c.from, c.to, got, c.says)
		}
	}
	for _, c := range [][2]string{{"kg", "lb"}, {"degF", "C"}, {"stone", "stone"}, {"factor:7/2", "drops"}, {"mmol/l", "mg/dl glucose"}} {
		if got := CheckUnits(c[0], c[1]); got != "" {
			t.Errorf("%q to %q: %s", c[0], c[1], got)
		}
	}
	text := study.Field{Type: study.Text, Unit: "kg"}
	if _, problem := newFieldMap(&text, study.Pick{Unit: "g"}, '.', time.UTC); problem == "" {
		t.Error("text is converted between units")
	}
}

// There and back is what it was, but for the two roundings: half a unit of the
// last place here, and half a unit there on the scale of here.
func TestUnitsThereAndBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	half := big.NewRat(1, 2)
	for _, k := range units {
		for _, a := range k.units {
			for _, b := range k.units {
				there, problem := newScaling(a.code, b.code)
				if a.code == b.code {
					continue
				}
				back, again := newScaling(b.code, a.code)
				if problem+again != "" {
					t.Fatal(problem, again)
				}
				for range 50 {
					decimals := rng.IntN(4)
					last := new(big.Rat).SetFrac64(1, int64(pow10(decimals)))
					start := appendScaled(big.NewInt(rng.Int64N(2_000_000)-1_000_000), decimals)
					between, _ := there.apply(start, decimals)
					end, _ := back.apply(between, decimals)
					v, _ := new(big.Rat).SetString(string(start))
					w, _ := new(big.Rat).SetString(string(end))
					most := new(big.Rat).Add(new(big.Rat).Abs(back.factor), big.NewRat(1, 1))
					most.Mul(most.Mul(most, last), half)
					if off := w.Abs(w.Sub(w, v)); off.Cmp(most) > 0 {
						t.Fatalf("%s %s is %s %s is %s %s", start, a.code, between, b.code, end, a.code)
					}
					if there.factor.Num().IsInt64() && back.factor.Cmp(big.NewRat(1, 1)) <= 0 && w.Cmp(last) > 0 {
						t.Fatalf("%s %s comes back as %s, more than a unit of the last place away", start, a.code, end)
					}
				}
			}
		}
	}
}

func pow10(n int) int {
	v, _ := strconv.Atoi("1" + strings.Repeat("0", n))
	return v
}
