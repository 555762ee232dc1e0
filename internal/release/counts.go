package release

import (
	"strconv"

	"longitude/deid/risk"
	"longitude/study"
)

// teller tells counts as those who read a release may see them: hidden where they are
// small or give a small one away, unless the release stays inside.
//
// Numbers of rows in the manifest, in Parquet files and in release_info are exact:
// who has the rows can count them.
type teller struct{ exact bool }

func tellerOf(s *study.Study) teller { return teller{exact: s.Deid.Profile == "internal"} }

// alone tells a count beside which no total or part of it stands.
func (t teller) alone(n int64) string {
	if t.exact {
		return strconv.FormatInt(n, 10)
	}
	return risk.Alone(n).String()
}

// small reports whether a count could tell of few people.
func small(n int64) bool { return n > 0 && n < risk.Threshold }

// rounded tells a count to the nearest multiple of twice what is small.
func rounded(n int64) string {
	const step = 2 * risk.Threshold
	if n < step {
		return "<" + strconv.Itoa(step)
	}
	return "about " + strconv.FormatInt((n+step/2)/step*step, 10)
}

// change tells a count with the one before it.
func (t teller) change(now, was int64) string {
	switch {
	case !t.exact:
		return risk.Change(now, was, risk.Threshold)
	case now == was:
		return t.alone(now) + " (as before)"
	}
	return t.alone(now) + " (" + t.alone(was) + ")"
}

// list tells counts that stand with their total.
func (t teller) list(counts []int64) (parts []string, total string, err error) {
	if t.exact {
		sum := int64(0)
		for _, n := range counts {
			parts, sum = append(parts, t.alone(n)), sum+n
		}
		return parts, t.alone(sum), nil
	}
	l, err := risk.NewList(counts, risk.Threshold)
	for _, c := range l.Parts {
		parts = append(parts, c.String())
	}
	return parts, l.Total.String(), err
}

// share tells whether some of a number may be told, and the number.
func (t teller) share(some, of int64) (someShown, ofShown bool) {
	if t.exact {
		return true, true
	}
	l, err := risk.NewList([]int64{some, max(of-some, 0)}, risk.Threshold)
	return err == nil && l.Parts[0].Shown(), err == nil && l.Total.Shown()
}
