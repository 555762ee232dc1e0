package transform

import (
	"math/big"
	"slices"
	"strings"

	"longitude/study"
)

// Units of measure. A value in unit u is value·factor + offset in the base unit of
// its kind. Every factor is exact: NIST Special Publication 811 (2008), appendix B
// (pound, inch, foot, temperatures, and the conventional millimetre of mercury and
// centimetre of water, which are 13.5951 g/cm³ and 1 g/cm³ times 9.80665 m/s²).
// Codes are those of UCUM and the ones that people write.
var units = []unitKind{
	{"mass", []unit{{"kg", "1000", "0"}, {"g", "1", "0"}, {"mg", "1/1000", "0"}, {"ug", "1/1000000", "0"},
		{"lb", "453.59237", "0"}, {"oz", "28.349523125", "0"}}},
	{"length", []unit{{"m", "1", "0"}, {"cm", "1/100", "0"}, {"mm", "1/1000", "0"}, {"um", "1/1000000", "0"},
		{"in", "0.0254", "0"}, {"ft", "0.3048", "0"}}},
	{"volume", []unit{{"L", "1", "0"}, {"dL", "1/10", "0"}, {"mL", "1/1000", "0"}}},
	{"pressure", []unit{{"kPa", "1000", "0"}, {"mmHg", "133.322387415", "0"}, {"cmH2O", "98.0665", "0"}}},
	{"temperature", []unit{{"C", "1", "273.15"}, {"F", "5/9", "45967/180"}, {"K", "1", "0"}}},
	{"time", []unit{{"s", "1", "0"}, {"min", "60", "0"}, {"h", "3600", "0"}, {"d", "86400", "0"}, {"wk", "604800", "0"}}},
	{massConcentration, []unit{{"g/L", "1", "0"}, {"g/dL", "10", "0"}, {"mg/L", "1/1000", "0"}, {"mg/dL", "1/100", "0"}}},
	{amountConcentration, []unit{{"mol/L", "1", "0"}, {"mmol/L", "1/1000", "0"}, {"umol/L", "1/1000000", "0"}}},
}

type unitKind struct {
	name  string
	units []unit
}

type unit struct{ code, factor, offset string }

const (
	massConcentration   = "mass concentration"
	amountConcentration = "amount concentration"
)

// molarMasses are in g/mol, of the sum formula by the abridged standard atomic
// weights of IUPAC (C 12.011, H 1.008, N 14.007, O 15.999). A unit that names its
// substance ("mg/dL glucose") is converted between the two concentrations.
var molarMasses = map[string]string{
	"glucose":     "180.156", // C6H12O6
	"cholesterol": "386.664", // C27H46O
	"creatinine":  "113.120", // C4H7N3O
}

// spellings are other ways to write a code; µ is read as u.
var spellings = map[string]string{
	"kgs": "kg", "mcg": "ug", "lbs": "lb", "[lb_av]": "lb", "[oz_av]": "oz",
	"[in_i]": "in", "inch": "in", "[ft_i]": "ft", "l": "L", "dl": "dL", "ml": "mL",
	"mm[Hg]": "mmHg", "cm[H2O]": "cmH2O", "Cel": "C", "degC": "C", "°C": "C", "[degF]": "F", "degF": "F", "°F": "F",
	"sec": "s", "hr": "h", "day": "d", "days": "d", "week": "wk", "weeks": "wk",
	"g/l": "g/L", "g/dl": "g/dL", "mg/l": "mg/L", "mg/dl": "mg/dL", "mol/l": "mol/L", "mmol/l": "mmol/L", "umol/l": "umol/L",
}

// scaling makes a value of one unit a value of another: value·factor + offset.
type scaling struct{ factor, offset *big.Rat }

// CheckUnits reports why values in unit from cannot be converted to unit to, ""
// if they can. from may be factor:N or factor:N/D, which is a unit like any other.
func CheckUnits(from, to string) string {
	_, problem := newScaling(from, to)
	return problem
}

// newScaling is nil where there is nothing to convert.
func newScaling(from, to string) (*scaling, string) {
	if text, ok := strings.CutPrefix(from, "factor:"); ok {
		factor, ok := exactNumber(text)
		if !ok || factor.Sign() == 0 {
			return nil, `a factor is written factor:N or factor:N/D with plain numbers, such as "factor:1/1000"`
		}
		return &scaling{factor, new(big.Rat)}, ""
	}
	if from == "" || from == to {
		return nil, ""
	}
	if to == "" {
		return nil, "the field has no unit that values in " + from + " could be converted to"
	}
	source, of := unitNamed(from)
	target, into := unitNamed(to)
	if of == "" {
		of = into
	}
	if into == "" {
		into = of
	}
	switch {
	case source == nil && target == nil:
		return nil, "neither " + from + " nor " + to + " is a known unit; the kinds are " + knownKinds()
	case source == nil:
		return nil, from + " is not a known unit of " + target.kind + "; those are " + codesOf(target.kind)
	case target == nil:
		return nil, to + " is not a known unit of " + source.kind + "; those are " + codesOf(source.kind)
	case of != into:
		return nil, from + " and " + to + " are of two substances"
	case source.kind == target.kind:
		return between(source, target, nil), ""
	case !source.concentration() || !target.concentration():
		return nil, from + " is a unit of " + source.kind + " (" + codesOf(source.kind) + "), " + to + " of " + target.kind + " (" + codesOf(target.kind) + ")"
	case of == "":
		return nil, from + " and " + to + ` are converted for a named substance only: "` + from + ` glucose" (or ` + knownSubstances() + ")"
	}
	mass, _ := exactNumber(molarMasses[of])
	return between(source, target, mass), ""
}

// exactUnit is a unit found in the table.
type exactUnit struct {
	kind           string
	factor, offset *big.Rat
}

func (u *exactUnit) concentration() bool {
	return u.kind == massConcentration || u.kind == amountConcentration
}

// between converts by way of the base unit; molarMass leads from amount to mass.
func between(source, target *exactUnit, molarMass *big.Rat) *scaling {
	factor := new(big.Rat).Quo(source.factor, target.factor)
	offset := new(big.Rat).Sub(source.offset, target.offset)
	offset.Quo(offset, target.factor)
	if molarMass != nil && source.kind == amountConcentration {
		factor.Mul(factor, molarMass)
	} else if molarMass != nil {
		factor.Quo(factor, molarMass)
	}
	return &scaling{factor, offset}
}

// unitNamed finds a unit and the substance that it names; nil when there is none.
func unitNamed(text string) (found *exactUnit, substance string) {
	text = strings.NewReplacer("µ", "u", "μ", "u").Replace(text)
	code, substance, named := strings.Cut(text, " ")
	if named && molarMasses[substance] == "" {
		return nil, ""
	}
	if plain, ok := spellings[code]; ok {
		code = plain
	}
	for _, k := range units {
		for _, u := range k.units {
			if u.code != code {
				continue
			}
			factor, _ := exactNumber(u.factor)
			offset, _ := exactNumber(u.offset)
			found = &exactUnit{k.name, factor, offset}
			if named && !found.concentration() {
				return nil, ""
			}
			return found, substance
		}
	}
	return nil, ""
}

// exactNumber reads a plain number or the quotient of two.
func exactNumber(text string) (*big.Rat, bool) {
	n, d, quotient := strings.Cut(text, "/")
	if !quotient {
		d = "1"
	}
	var parts [2]*big.Rat
	for i, part := range []string{n, d} {
		canonical, _, _, ok := appendNumber(nil, []byte(part), '.')
		if !ok {
			return nil, false
		}
		parts[i], _ = new(big.Rat).SetString(string(canonical))
	}
	if parts[1].Sign() == 0 {
		return nil, false
	}
	return parts[0].Quo(parts[0], parts[1]), true
}

func codesOf(kind string) string {
	i := slices.IndexFunc(units, func(k unitKind) bool { return k.name == kind })
	codes := make([]string, 0, len(units[i].units))
	for _, u := range units[i].units {
		codes = append(codes, u.code)
	}
	return strings.Join(codes, ", ")
}

func knownKinds() string {
	names := make([]string, 0, len(units))
	for _, k := range units {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

func knownSubstances() string {
	names := make([]string, 0, len(molarMasses))
	for name := range molarMasses {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// apply converts a canonical number and rounds it once, half to even, to so many
// decimals. exact says that nothing was rounded.
func (s *scaling) apply(number []byte, decimals int) (converted []byte, exact bool) {
	v, _ := new(big.Rat).SetString(string(number))
	v.Add(v.Mul(v, s.factor), s.offset)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	v.Mul(v, new(big.Rat).SetInt(power))
	whole, rest := new(big.Int).QuoRem(v.Num(), v.Denom(), new(big.Int)) // towards zero
	exact = rest.Sign() == 0
	switch twice := rest.Abs(rest).Lsh(rest, 1).Cmp(v.Denom()); {
	case twice > 0, twice == 0 && whole.Bit(0) == 1:
		whole.Add(whole, big.NewInt(int64(v.Sign())))
	}
	return appendScaled(whole, decimals), exact
}

// appendScaled writes a whole number of 10^-decimals.
func appendScaled(whole *big.Int, decimals int) []byte {
	digits := new(big.Int).Abs(whole).String()
	if missing := decimals + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	text := digits
	if decimals > 0 {
		text = digits[:len(digits)-decimals] + "." + digits[len(digits)-decimals:]
	}
	if whole.Sign() < 0 {
		text = "-" + text
	}
	return []byte(text)
}

// anyDecimals is what a decimal without a declared precision is rounded to.
const anyDecimals = 6

// converted reads a number in the source's unit as one in the field's.
func (f *fieldMap) converted(text string) (r reading) {
	decimals, invalid, whole := f.field.Scale, ruleDecimal, f.field.Type == study.Integer
	switch {
	case whole:
		decimals, invalid = 0, ruleInteger
	case f.field.Precision == 0:
		decimals = anyDecimals
	}
	number, _, _, ok := appendNumber(nil, []byte(text), f.mark)
	if !ok {
		return reading{invalid: invalid}
	}
	number, exact := f.scaling.apply(number, decimals)
	if whole && !exact {
		return reading{invalid: ruleUnitInexact}
	}
	packed, digits, _, ok := appendNumber(nil, number, '.')
	if !ok || f.field.Precision > 0 && digits > f.field.Precision-f.field.Scale {
		return reading{invalid: rulePrecision}
	}
	if !f.bounds.hold(compareNumbers, packed) {
		r.finding = ruleRange
	}
	r.packed = string(packed)
	return r
}
