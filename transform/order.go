package transform

import (
	"slices"

	"longitude/study"
)

// desk is where the records of a participant are put in order, and those of the
// next one after them.
type desk struct {
	all, merged []filed
	told        []study.Told // by new record: when it says what it says
}

// sort sorts the records by their keys, and those of one key in order of arrival,
// which is the order they come in. They come in few ordered runs, what is stored
// and then file by file, so neighbouring runs are merged until one is left.
func (d *desk) sort() []filed {
	if ordered(d.all) == len(d.all) {
		return d.all
	}
	d.merged = slices.Grow(d.merged[:0], len(d.all))
	all, merged := d.all, d.merged
	for runs := 2; runs > 1; all, merged = merged, all[:0] {
		runs = 0
		for from := all; len(from) > 0; runs++ {
			first := ordered(from)
			second := first + ordered(from[first:])
			merged = mergeRuns(merged, from[:first], from[first:second])
			from = from[second:]
		}
	}
	return all
}

// ordered is the length of the run in order that records begin with.
func ordered(records []filed) int {
	for i := 1; i < len(records); i++ {
		if compareKeys(&records[i], &records[i-1]) < 0 {
			return i
		}
	}
	return len(records)
}

// mergeRuns appends a and b, both in order, in order: of equal keys those of a first.
func mergeRuns(to, a, b []filed) []filed {
	for len(a) > 0 && len(b) > 0 {
		if compareKeys(&b[0], &a[0]) < 0 {
			to, b = append(to, b[0]), b[1:]
		} else {
			to, a = append(to, a[0]), a[1:]
		}
	}
	return append(append(to, a...), b...)
}
