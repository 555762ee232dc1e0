//go:build unix

package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"longitude/study"
)

// Years since the first test become days of a relative calendar, and each day the
// visit of a series whose window holds it.
func TestYearsAsDays(t *testing.T) {
	r := realStudyOf(t, filepath.Join("testdata", "uwhvf"), "uwhvf")
	results, took := r.sync()
	equal(t, "counts", results["uwhvf"].Counts, study.Counts{Read: 7428, Mapped: 7428, Produced: 7428, Accepted: 7428})

	days := map[string]map[int]bool{} // of each participant
	missing, minusOne := 0, 0
	for _, row := range readCSV(t, filepath.Join(r.data, "uwhvf", "Series_Summary.csv"), ',') {
		years, err := strconv.ParseFloat(row["Follow_up_length"], 64)
		r.must(err)
		if days[row["PatID"]] == nil {
			days[row["PatID"]] = map[int]bool{}
		}
		days[row["PatID"]][int(math.Round(years*365.25))] = true
		if row["Slope_MS"] == "NA" {
			missing++
		}
		if row["Baseline_MTD"] == "-1" {
			minusOne++
		}
	}
	want, visits := tally{}, 0
	for _, of := range days {
		visits += len(of)
		for day := range of {
			if len(of) == 1 { // of one visit nothing else competes for a slot
				want[uwhvfVisit(day)]++
			}
		}
	}
	got := tally{}
	for _, row := range r.query(`SELECT coalesce(visit_type, 'unscheduled') FROM research.visit_current WHERE actual IS NOT NULL AND participant_id IN
		(SELECT participant_id FROM research.visit_current WHERE actual IS NOT NULL GROUP BY 1 HAVING count(*) = 1)`) {
		got[row[0].(string)]++
	}
	got.is(t, "visits of participants with one visit", want)
	equal(t, "visits", r.number("SELECT count(*) FROM research.visit_current WHERE actual IS NOT NULL"), int64(visits))

	stored := tally{}
	for _, record := range r.answered("series", "eye", "tests", "slope", "total_deviation") {
		stored["slope "+record["slope"]]++
		stored["deviation "+strings.TrimSuffix(record["total_deviation"], ".000000000")]++
	}
	equal(t, "slopes not done", stored["slope ∅ not_done"], missing)
	equal(t, "deviations of -1 dB", stored["deviation -1"], minusOne)
	t.Logf("sync %.1fs; %d visits", took.Seconds(), visits)
}

// uwhvfVisit is the visit whose window holds a day.
func uwhvfVisit(day int) string {
	year := (day + 182) / 365
	switch {
	case day == 0:
		return "baseline"
	case year == 0 || year > 21:
		return "unscheduled"
	}
	return fmt.Sprintf("year_%d", year)
}
