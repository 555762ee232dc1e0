package study

import (
	"slices"
	"strings"
)

// OldestAge is the age from which Safe Harbor puts all ages into one class, with
// every element of dates, the year included, that is indicative of it
// (45 CFR 164.514(b)(2)(i)(C)).
const OldestAge = 90

// perYear is how many of a unit of time are a year; ages and durations in other
// units are no ages.
var perYear = map[string]int64{"years": 1, "year": 1, "a": 1, "months": 12, "month": 12, "mo": 12, "weeks": 52, "week": 52, "wk": 52,
	"days": 365, "day": 365, "d": 365}

// AgeLimit is OldestAge in the unit of an age or duration, 0 for other numbers. Where
// no unit is declared, the name may tell it; an age is else in years.
func AgeLimit(name, unit string) int64 {
	unit = strings.ToLower(unit)
	if unit == "" && (TellsAge(name) || TellsSince(name)) {
		unit = "years"
		for _, word := range wordsOf(name) {
			if perYear[word] > 1 && len(word) > 2 {
				unit = word
			}
		}
	}
	return OldestAge * perYear[unit]
}

// TellsAge reports whether a name says that it is of an age.
func TellsAge(name string) bool { return says(name, "age", "aged") }

// TellsSince reports whether a name says that it is of a time since something.
func TellsSince(name string) bool { return says(name, "since", "duration") }

// TellsBirth reports whether a name says that it is of a birth.
func TellsBirth(name string) bool { return says(name, "birth", "dob", "yob", "birthdate", "birthday") }

func says(name string, words ...string) bool {
	return slices.ContainsFunc(wordsOf(name), func(w string) bool { return slices.Contains(words, w) })
}

func wordsOf(name string) []string { return strings.Split(strings.ToLower(name), "_") }
