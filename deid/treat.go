package deid

import (
	"math/big"
	"slices"

	"longitude/study"
)

// treat applies the field's treatment of numbers to what a rule lets out.
func (r *Recipient) treat(t *study.Table, c study.Column, f *study.Field, out rule, n *Counts) (rule, error) {
	if f == nil || f.Release.Action != study.Round && f.Release.Action != study.Clip {
		return out, nil
	}
	if c.Kind != study.Int64Kind && c.Kind != study.DecimalKind {
		return rule{}, misfit(t, c)
	}
	first := &out.outlets[0]
	inner, finer := first.mask, func(int64) int64 { return 0 }
	switch f.Release.Action {
	case study.Round:
		step, ok := scaled(f.Release.Step, c)
		if !ok || step < 1 {
			return rule{}, untreatable(t, c)
		}
		finer = func(v int64) int64 { return roundTo(v, step) }
		first.column.Masking = joined(first.column.Masking, "rounded to multiples of "+f.Release.Step)
		first.mask = func(b *study.Batch, v *study.Vector) (study.Vector, error) {
			return changed(b, v, inner, finer, &n.Rounded)
		}
	case study.Clip:
		low, atLow := scaled(f.Release.Low, c)
		high, atHigh := scaled(f.Release.High, c)
		if !atLow || !atHigh || low > high {
			return rule{}, untreatable(t, c)
		}
		finer = func(v int64) int64 { return min(max(v, low), high) }
		first.column.Masking = joined(first.column.Masking, "clipped to "+f.Release.Low+" to "+f.Release.High)
		first.mask = func(b *study.Batch, v *study.Vector) (study.Vector, error) {
			return changed(b, v, inner, finer, &n.Clipped)
		}
	}
	out.why = first.column.Masking
	return out, nil
}

// joined adds what was done to what was done before.
func joined(before, more string) string {
	if before == "" || before == "kept" {
		return more
	}
	return before + "; " + more
}

// scaled is a decimal text in the units in which the column stores its numbers.
func scaled(text string, c study.Column) (int64, bool) {
	number, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, false
	}
	for range c.Scale {
		number.Mul(number, big.NewRat(10, 1))
	}
	return number.Num().Int64(), number.IsInt() && number.Num().IsInt64()
}

func untreatable(t *study.Table, c study.Column) error {
	return &study.Error{Code: "deid.treatment", Op: "release refused: " + t.Name + "." + c.Name + " cannot be rounded or clipped as the study says", Exit: study.ExitUsage,
		Hint: "write numbers that the column can hold: no more decimals than it has, the lower end first"}
}

// roundTo is the multiple of step nearest to v; of two, the even one.
func roundTo(v, step int64) int64 {
	q, rest := v/step, v%step
	if rest < 0 {
		q, rest = q-1, rest+step
	}
	if 2*rest > step || 2*rest == step && q%2 != 0 {
		q++
	}
	return q * step
}

// changed applies change to the numbers that inner lets out and counts those that
// become others.
func changed(b *study.Batch, v *study.Vector, inner mask, change func(int64) int64, count *int64) (study.Vector, error) {
	out, err := inner(b, v)
	if err != nil {
		return out, err
	}
	out.Ints = slices.Clone(out.Ints)
	for i, value := range out.Ints {
		if out.Null(i) {
			continue
		}
		if out.Ints[i] = change(value); out.Ints[i] != value {
			*count++
		}
	}
	return out, nil
}
