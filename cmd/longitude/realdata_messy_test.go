//go:build unix

package main

import (
	"path/filepath"
	"testing"

	"longitude/study"
)

// Workbooks with titles above the header, notes below the rows, a patient number
// that is used twice, numbers with the dust of arithmetic, and tables that are no
// lists at all: what can be a record is one, the rest waits with a rule.
func TestMessyWorkbooks(t *testing.T) {
	r := realStudyOf(t, filepath.Join("testdata", "messy"), "messy")
	sources := []struct {
		name   string
		exit   int
		aside  int
		counts study.Counts
	}{
		{"glucose", study.ExitRejections, 0, study.Counts{Read: 30, Mapped: 24, RowsQuarantined: 6, Produced: 24, Accepted: 20, Superseded: 1, Quarantined: 3}},
		{"strep-a", study.ExitOK, 0, study.Counts{Read: 107, Mapped: 107, Produced: 107, Accepted: 107}},
		{"strep-b", study.ExitOK, 0, study.Counts{Read: 166, Mapped: 166, Produced: 166, Accepted: 166}},
		{"strep-c", study.ExitOK, 0, study.Counts{Read: 115, Mapped: 115, Produced: 115, Accepted: 115}},
		{"cirrhosis", study.ExitRejections, 1, study.Counts{}},
		{"infarct", study.ExitRejections, 1, study.Counts{}},
	}
	for _, s := range sources {
		var results []syncResult
		r.answer(s.exit, &results, "sync", s.name)
		equal(t, "counts of "+s.name, results[0].Counts, s.counts)
		equal(t, "objects of "+s.name+" put aside", results[0].Aside, s.aside)
	}
	rules := tally{}
	for _, row := range r.table(study.ExitOK, "quarantine", "list", "--state", "open", "--limit", "500")[1:] {
		rules[row[1]+" "+row[7]+" "+row[6]]++
	}
	rules.is(t, "what waits, by rule", tally{"glucose participant_missing pat_id": 6, "glucose precision after_dose": 3,
		"cirrhosis object_unreadable xlsx.header_empty": 1, "infarct object_unreadable xlsx.header_empty": 1})

	births := 0
	for _, record := range r.answered("glucose", "race", "sex", "born_on", "before_dose", "after_dose") {
		if _, ok := study.ParseDate(record["born_on"]); ok {
			births++
		}
	}
	equal(t, "dates of birth read from day numbers", births, 20)
	equal(t, "records", r.number("SELECT count(*) FROM research.record_current WHERE op = 'u'"), 20+107+166+115)
}
