package deid

import (
	"longitude/study"
)

// shiftWidth is the longest shift in days: less than a year, so that the season
// is not told by the year.
const shiftWidth = 364

// shift is how many days into the past all dates of a participant move in this
// series: 1…364, uniform by rejection sampling, the same for all of them, so that
// intervals are preserved exactly. Of shifts by whole weeks there are 52.
func (r *Recipient) shift(code string) study.Date {
	width, unit := shiftWidth, 1
	if r.study.Deid.WholeWeeks {
		width, unit = shiftWidth/7, 7
	}
	fair := 1<<16 - (1<<16)%width // values at or above would favour small shifts
	for round := byte('0'); ; round++ {
		sum := r.shifts.of("shift", code, string(round))
		for i := 0; i < len(sum); i += 2 {
			if n := int(sum[i])<<8 | int(sum[i+1]); n < fair {
				return study.Date(unit * (1 + n%width))
			}
		}
	}
}

// Window gives the first and the last day of which anything of a participant may
// be released. Releases with shifted dates are truncated at both ends of the data
// (shift and truncate: Hripcsak et al., JAMIA 2016;23(6):1040): were a participant's
// last event always as old as the shift is long, it would give the shift away, and
// so would the rows that the next release adds. What remains is the same for every
// shift: shifted dates from the first day of the data to the cut-off less the
// longest shift.
//
// Who lays out a release leaves out the visits outside, with their records, before
// anything is counted of them. Days of NoDate are no bound: the policy truncates
// nothing. It is an error when Begin was not told what the data span.
func (r *Recipient) Window(code string) (first, last study.Date, err error) {
	if r.study.Deid.Dates != "shift" || !r.study.Deid.Truncate || r.study.Relative {
		return study.NoDate, study.NoDate, nil
	}
	if !r.first.Known() || !r.cutoff.Known() {
		return study.NoDate, study.NoDate, noWindow(&study.Table{Name: "visits"}, study.Column{Name: "dates"})
	}
	r.windowed = true
	days := r.shift(code)
	return r.first + days, r.cutoff - shiftWidth + days, nil
}

// beyond reports whether a shifted date lies where the ends of the data show
// through. What lies further back than a shift before the first day happened
// before the study, and its date says nothing of the shift.
func (r *Recipient) beyond(moved study.Date) bool {
	return moved > r.cutoff-shiftWidth || moved < r.first && moved >= r.first-shiftWidth
}

func noWindow(t *study.Table, c study.Column) error {
	return &study.Error{Code: "deid.no_window", Op: "release " + t.Name + "." + c.Name + ": nothing was said of the days between which the data lie, so that their ends cannot be left out", Exit: study.ExitBlocked,
		Hint: "leave out deidentification.truncate, or use dates: study_day"}
}

// Warnings says what of the policy a plan should show before anybody relies on it.
func (r *Recipient) Warnings() []string {
	p, out := r.study.Deid, []string(nil)
	if p.Dates == "shift" && !r.study.Relative {
		if p.WholeWeeks {
			out = append(out, "shifts are whole weeks: weekdays remain as they were, and there are 52 shifts instead of 364")
		} else {
			out = append(out, "where clinics keep to certain weekdays, a participant's shifted weekdays give the shift away modulo seven; whole_weeks hides that and keeps the weekdays")
		}
		if !p.Truncate {
			out = append(out, "without truncate, the rows that a release adds to the one before, and the ends of the data, tell about when they really are from")
		}
	}
	if p.Expert.SHA256 != "" && r.asOf.Known() && !p.Expert.Holds(r.asOf) {
		out = append(out, "the expert determination is not in force on the day of the release: the claim stops at limited")
	}
	return out
}
