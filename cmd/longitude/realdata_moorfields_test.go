//go:build unix

package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"longitude/study"
)

// moorfieldsSlots are the visits of configs/studies/moorfields: target day,
// first and last day of the window.
type moorfieldsSlot struct {
	name           string
	day, low, high int
}

var moorfieldsSlots = []moorfieldsSlot{
	{"baseline", 0, 0, 0}, {"month_3", 90, 76, 111}, {"month_6", 180, 159, 210}, {"month_12", 365, 335, 410}, {"month_24", 730, 670, 790},
}

// appointment is a row of the Moorfields file.
type appointment struct {
	day                                 int
	eye, letters, injection, sex, years string
	slot                                string // "∅" = unscheduled
	tied                                bool   // with another one, for a time point
}

func TestMoorfields(t *testing.T) {
	r := newRealStudy(t, "moorfields", "moorfields-amd")
	const file = "moorfields-eyedata/data-raw/fasler/Moorfields_AMD_Database_1.csv"
	patients := moorfields(t, filepath.Join(r.data, file))

	first, syncing := r.sync()
	c := first["moorfields-file"].Counts
	equal(t, "rows", c.Read, 40_764)
	equal(t, "rows mapped", c.Mapped, 40_764)
	equal(t, "records produced", c.Produced, 2*40_764)                      // acuity and demographics
	equal(t, "records accepted", c.Accepted, int64(40_764+len(patients)))   // demographics once per patient …
	equal(t, "records unchanged", c.Unchanged, int64(40_764-len(patients))) // … and the same ever after
	r.nothingNew()

	rel, releasing := r.release()
	sources := map[string]bool{}
	for id := range patients {
		sources[id] = true
	}
	ids := r.ids(sources)
	t.Run("visits", func(t *testing.T) { moorfieldsVisits(t, rel, patients, ids) })
	t.Run("acuity", func(t *testing.T) { moorfieldsAcuity(t, rel, patients, ids) })
	t.Run("deviations", func(t *testing.T) { moorfieldsDeviations(t, r, rel, patients) })
	t.Run("demographics", func(t *testing.T) { moorfieldsDemographics(t, rel, patients, ids) })

	r.redeliver(file)
	other, _ := r.sync()
	equal(t, "records unchanged in other bytes", other["moorfields-file"].Counts.Unchanged, 2*40_764)
	equal(t, "versions in the database", r.versions(), int64(40_764+len(patients)))

	t.Logf("Moorfields: sync %.1fs, release %.1fs\n%s", syncing.Seconds(), releasing.Seconds(), accounts(first))
}

// moorfields reads the file and places each patient's appointments.
func moorfields(t *testing.T, path string) map[string][]appointment {
	t.Helper()
	patients := map[string][]appointment{}
	for _, line := range readCSV(t, path, ';') {
		day, err := strconv.Atoi(line["FollowupDays"])
		if err != nil {
			t.Fatal(err)
		}
		patients[line["Id"]] = append(patients[line["Id"]], appointment{day: day, slot: "∅",
			eye: map[string]string{"0": "R", "1": "L"}[line["Eye"]], letters: line["VA_ETDRS_Letters"], injection: line["InjectionNumber"],
			sex: map[string]string{"0": "M", "1": "F"}[line["Gender"]], years: line["BaselineAge"]})
	}
	equal(t, "patients", len(patients), 3357)
	for _, list := range patients {
		placeAppointments(list)
	}
	return patients
}

// placeAppointments gives each time point the appointment inside its window that
// is nearest to its target; of two that are equally near, neither. The windows do
// not overlap, so no appointment has a choice.
func placeAppointments(list []appointment) {
	for _, s := range moorfieldsSlots {
		var nearest []int
		distance := 0
		for i, a := range list {
			if a.day < s.low || a.day > s.high {
				continue
			}
			d := max(a.day-s.day, s.day-a.day)
			if len(nearest) == 0 || d < distance {
				nearest, distance = nil, d
			}
			if d == distance {
				nearest = append(nearest, i)
			}
		}
		for _, i := range nearest {
			list[i].tied = len(nearest) > 1
			if !list[i].tied {
				list[i].slot = s.name
			}
		}
	}
}

// withheld reports whether an appointment is kept out of releases: a time point
// after a baseline that never was.
func withheld(list []appointment, a appointment) bool {
	for _, o := range list {
		if o.slot == "baseline" {
			return false
		}
	}
	return a.slot != "∅"
}

// releasable is the appointments of a patient that a release has.
func releasable(list []appointment) (out []appointment) {
	for _, a := range list {
		if !withheld(list, a) {
			out = append(out, a)
		}
	}
	return out
}

func moorfieldsVisits(t *testing.T, rel *released, patients map[string][]appointment, ids map[string]string) {
	const format = "day %s, study day %s, %s, target %s, %s from target, %s outside: %s"
	want, got, rows, kept := map[string][]string{}, map[string][]string{}, 0, 0
	for source, list := range patients {
		out := releasable(list)
		rows, kept = rows+len(out), kept+len(list)-len(out)
		for _, a := range out {
			target, from, outside, timing := "∅", "∅", "∅", "no_window"
			if s := slices.IndexFunc(moorfieldsSlots, func(s moorfieldsSlot) bool { return s.name == a.slot }); s >= 0 {
				day := moorfieldsSlots[s].day
				target, from, outside, timing = strconv.Itoa(day), strconv.Itoa(a.day-day), "0", "in_window"
			}
			want[ids[source]] = append(want[ids[source]], fmt.Sprintf(format, strconv.Itoa(a.day), strconv.Itoa(a.day+1), a.slot, target, from, outside, timing))
		}
	}
	table := rel.table("visits")
	for _, v := range table {
		id := v.text("participant_id")
		got[id] = append(got[id], fmt.Sprintf(format, v.text("days_from_baseline"), v.text("study_day"), v.text("visit"), v.text("target_day"),
			v.text("days_from_target"), v.text("days_outside_window"), v.text("timing")))
	}
	equal(t, "rows of visits", len(table), rows)
	equal(t, "appointments released or withheld", rows+kept, 40_764)
	t.Logf("%d visits released, %d withheld for want of a first appointment", rows, kept)
	sameRows(t, "visits", got, want)
}

// moorfieldsDeviations checks that the only findings are two patients without a
// first appointment and the appointments that tie for a time point.
func moorfieldsDeviations(t *testing.T, r *realStudy, rel *released, patients map[string][]appointment) {
	want, kept := map[string]int{}, 0
	for _, list := range patients {
		kept += len(list) - len(releasable(list))
		for _, a := range list {
			if a.tied {
				want["visit_ambiguous"]++
			}
		}
		if list[0].day > 0 { // the file is in order of days
			want["visit_missed"]++
		}
	}
	got := map[string]int{}
	for _, d := range rel.table("deviations") {
		got[d.text("deviation")]++
	}
	if !maps.Equal(got, want) || want["visit_missed"] != 2 {
		t.Errorf("deviations %v, want %v", got, want)
	}
	t.Logf("deviations %v", got)
	var open []struct {
		Code string `json:"code"`
	}
	r.answer(study.ExitOK, &open, "deviation", "list", "--code", "baseline_missing", "--limit", "1000")
	equal(t, "visits without a baseline on the work list", len(open), kept)
}

func moorfieldsAcuity(t *testing.T, rel *released, patients map[string][]appointment, ids map[string]string) {
	want, got := map[string][]string{}, map[string][]string{}
	var letters, zeros, blanks, sum, zero, null int64
	for source, list := range patients {
		for _, a := range releasable(list) {
			va := a.letters
			switch va {
			case "":
				va, blanks = "∅", blanks+1
			case "0":
				zeros++
			}
			if n, err := strconv.ParseInt(va, 10, 64); err == nil {
				letters += n
			}
			want[ids[source]] = append(want[ids[source]], fmt.Sprintf("study day %d, %s %s, injection %s", a.day+1, a.eye, va, a.injection))
		}
	}
	table := rel.table("visual_acuity")
	for _, v := range table {
		switch n := v["va_letters"].(type) {
		case nil:
			null++
		case int64:
			sum += n
			if n == 0 {
				zero++
			}
		}
		got[v.text("participant_id")] = append(got[v.text("participant_id")], fmt.Sprintf("study day %s, %s %s, injection %s", v.text("study_day"),
			v.text("eye"), v.text("va_letters"), v.text("injection_number")))
	}
	equal(t, "sum of letters", sum, letters)
	equal(t, "readings of zero letters", zero, zeros)
	equal(t, "readings of zero letters in the file", zeros, 41)
	equal(t, "missing readings", null, blanks)
	equal(t, "blank readings in the file", blanks, 2)
	sameRows(t, "acuity", got, want)
}

func moorfieldsDemographics(t *testing.T, rel *released, patients map[string][]appointment, ids map[string]string) {
	want, got := map[string][]string{}, map[string][]string{}
	for source, list := range patients {
		years, err := strconv.Atoi(list[0].years)
		if err != nil {
			t.Fatal(err)
		}
		want[ids[source]] = []string{fmt.Sprintf("%s, %d years", list[0].sex, min(years, 90))} // 90 and older leave as 90
	}
	for _, d := range rel.table("participants") { // where quasi-identifiers are released
		got[d.text("participant_id")] = append(got[d.text("participant_id")], fmt.Sprintf("%s, %s years", d.text("sex"), d.text("baseline_age")))
	}
	sameRows(t, "demographics", got, want)
	equal(t, "rows of participants", len(rel.table("participants")), 3357)
}
