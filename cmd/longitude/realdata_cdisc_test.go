//go:build unix

package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// pilotVisit is a row of the pilot's SV with what the protocol says of it,
// computed from the published files with plain time arithmetic.
type pilotVisit struct {
	participant, number string
	on                  time.Time
	day, ended          string // days from the baseline visit; "∅" without one
	planned             string // VISITDY as published, "∅" for NA
	target, low, high   string // days from the baseline visit
	fromTarget, outside string
	inWindow            string
	timing              string
}

// ourWindow is what configs/studies/cdisc-pilot says: the published protocol
// states no windows.
const ourWindow = 7

// pilot reads SV and DM and judges every visit.
func pilot(t *testing.T, dir string) (visits []pilotVisit, anchors map[string]time.Time, people []map[string]string) {
	t.Helper()
	sv, people := readCSV(t, filepath.Join(dir, "sv.csv"), ','), readCSV(t, filepath.Join(dir, "dm.csv"), ',')
	inProtocol := map[string]string{}
	for _, v := range readCSV(t, filepath.Join(dir, "tv.csv"), ',') {
		inProtocol[v["VISITNUM"]] = v["VISITDY"]
	}
	anchors = map[string]time.Time{}
	for _, v := range sv {
		if v["VISITNUM"] == "3" {
			anchors[v["USUBJID"]] = civil(t, v["SVSTDTC"])
		}
	}
	for _, v := range sv {
		day, isPlanned := inProtocol[v["VISITNUM"]]
		if isPlanned && day != v["VISITDY"] || !isPlanned && v["VISITDY"] != "NA" {
			t.Errorf("visit %s has planned day %s in SV and %s in TV", v["VISITNUM"], v["VISITDY"], day)
		}
		anchor, anchored := anchors[v["USUBJID"]]
		visits = append(visits, judged(t, v, anchor, anchored, isPlanned))
	}
	return visits, anchors, people
}

func judged(t *testing.T, v map[string]string, anchor time.Time, anchored, isPlanned bool) pilotVisit {
	t.Helper()
	p := pilotVisit{participant: v["USUBJID"], number: v["VISITNUM"], on: civil(t, v["SVSTDTC"]), planned: "∅",
		day: "∅", ended: "∅", target: "∅", low: "∅", high: "∅", fromTarget: "∅", outside: "∅", inWindow: "∅", timing: "no_window"}
	if v["VISITDY"] != "NA" {
		p.planned = v["VISITDY"]
	}
	if !anchored {
		if p.planned != "∅" || !isPlanned { // an unscheduled visit might be any, once there is an anchor
			p.timing = "no_anchor"
		}
		return p
	}
	elapsed := func(to time.Time) int { return int(to.Sub(anchor) / (24 * time.Hour)) }
	day := elapsed(p.on)
	p.day, p.ended = strconv.Itoa(day), strconv.Itoa(elapsed(civil(t, v["SVENDTC"])))
	if p.planned == "∅" {
		return p
	}
	target, err := strconv.Atoi(p.planned)
	if err != nil {
		t.Fatal(err)
	}
	if target > 0 { // CDISC: the baseline is day 1, the day before it -1
		target--
	}
	from, outside := day-target, 0
	p.timing = "in_window"
	switch {
	case from < -ourWindow:
		p.timing, outside = "early", from+ourWindow
	case from > ourWindow:
		p.timing, outside = "late", from-ourWindow
	}
	p.inWindow = strconv.FormatBool(outside == 0)
	p.target, p.low, p.high = strconv.Itoa(target), strconv.Itoa(target-ourWindow), strconv.Itoa(target+ourWindow)
	p.fromTarget, p.outside = strconv.Itoa(from), strconv.Itoa(outside)
	return p
}

func civil(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// studyDay numbers an elapsed day as CDISC does.
func studyDay(t *testing.T, elapsed string) string {
	t.Helper()
	if elapsed == "∅" {
		return elapsed
	}
	n, err := strconv.Atoi(elapsed)
	if err != nil {
		t.Fatal(err)
	}
	if n >= 0 {
		n++
	}
	return strconv.Itoa(n)
}

// The pilot's visit numbers under the names of our study document; every other
// number is in no protocol.
var pilotNames = map[string]string{
	"1": "screening_1", "2": "screening_2", "3": "baseline", "3.5": "ambul_ecg_placement", "4": "week_2", "5": "week_4",
	"6": "ambul_ecg_removal", "7": "week_6", "8": "week_8", "8.1": "week_10", "9": "week_12", "9.1": "week_14", "10": "week_16",
	"10.1": "week_18", "11": "week_20", "11.1": "week_22", "12": "week_24", "13": "week_26", "101": "ae_follow_up", "201": "retrieval",
}

func TestCDISCPilot(t *testing.T) {
	r := newRealStudy(t, "cdisc-pilot", "cdisc-pilot-01")
	const folder = "rho-data-library/sdtm/cdisc-pilot-01"
	visits, anchors, people := pilot(t, filepath.Join(r.data, folder))

	first, syncing := r.sync()
	sv, dm := first["cdisc-pilot-sv"].Counts, first["cdisc-pilot-dm"].Counts
	equal(t, "rows of SV", sv.Read, 3559)
	equal(t, "rows of SV mapped", sv.Mapped, 3559)
	equal(t, "records of SV accepted", sv.Accepted, 3559)
	equal(t, "rows of DM", dm.Read, 306)
	equal(t, "records of DM accepted", dm.Accepted, 306)
	r.nothingNew()

	rel, releasing := r.release()
	sources := map[string]bool{}
	for _, p := range people {
		sources[p["USUBJID"]] = true
	}
	ids := r.ids(sources)
	t.Run("anchor", func(t *testing.T) { pilotAnchors(t, anchors, people) })
	t.Run("visits", func(t *testing.T) { pilotVisits(t, rel, visits, ids) })
	t.Run("what is odd", func(t *testing.T) { pilotOddities(t, rel, visits, ids) })
	t.Run("deviations", func(t *testing.T) { pilotDeviations(t, rel, visits, ids) })
	t.Run("demographics", func(t *testing.T) { pilotDemographics(t, rel, people, anchors, ids) })

	r.redeliver(folder + "/sv.csv")
	other, _ := r.sync("cdisc-pilot-sv")
	equal(t, "records of SV unchanged in other bytes", other["cdisc-pilot-sv"].Counts.Unchanged, 3559)
	equal(t, "versions in the database", r.versions(), 3559+306)

	t.Logf("CDISC pilot: sync %.1fs, release %.1fs (windows of ±%d days are ours)\n%s%s", syncing.Seconds(), releasing.Seconds(), ourWindow,
		accounts(first), verdicts(visits))
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// pilotAnchors checks that the baseline visit is the day of the first treatment,
// which DM gives as the reference start, and that screen failures have neither.
func pilotAnchors(t *testing.T, anchors map[string]time.Time, people []map[string]string) {
	failures := 0
	for _, p := range people {
		anchor, anchored := anchors[p["USUBJID"]]
		switch {
		case p["RFSTDTC"] == "NA":
			failures++
			if anchored || p["ARMCD"] != "Scrnfail" {
				t.Error("a participant without a reference start has a baseline visit, or an arm")
			}
		case !anchored || !anchor.Equal(civil(t, p["RFSTDTC"])):
			t.Error("a reference start is not the day of the baseline visit")
		}
	}
	equal(t, "screen failures", failures, 52)
	equal(t, "anchors", len(anchors), 254)
}

// pilotVisits compares verdict, both distances and the days of all visits.
func pilotVisits(t *testing.T, rel *released, visits []pilotVisit, ids map[string]string) {
	format := "%-20s study day %s, day %s, target %s in %s…%s, %s from target, %s outside: %s %s; planned %s, ended %s"
	want, before, planned := map[string][]string{}, 0, 0
	for _, v := range visits {
		name := "∅"
		if known, ok := pilotNames[v.number]; ok {
			name = known
		}
		id := ids[v.participant]
		want[id] = append(want[id], fmt.Sprintf(format, name, studyDay(t, v.day), v.day, v.target, v.low, v.high, v.fromTarget, v.outside,
			v.inWindow, v.timing, v.planned, v.ended))
		if v.day[0] == '-' {
			before++
		}
		if v.planned != "∅" {
			planned++
		}
	}
	equal(t, "visits before baseline in SV", before, 570)
	equal(t, "visits with a planned day in SV", planned, 3363)

	forms := map[string]row{}
	for _, f := range rel.table("subject_visit") {
		forms[f.text("visit_id")] = f
	}
	got, negative := map[string][]string{}, 0
	table := rel.table("visits")
	for _, v := range table {
		f := forms[v.text("visit_id")]
		got[v.text("participant_id")] = append(got[v.text("participant_id")], fmt.Sprintf(format, v.text("visit"), v.text("study_day"),
			v.text("days_from_baseline"), v.text("target_day"), v.text("window_lo_day"), v.text("window_hi_day"), v.text("days_from_target"),
			v.text("days_outside_window"), v.text("in_window"), v.text("timing"), f.text("planned_day"), f.text("ended_on_day")))
		if day, ok := v["days_from_baseline"].(int64); ok && day < 0 {
			negative++
		}
	}
	equal(t, "rows of visits", len(table), 3559)
	equal(t, "rows of subject_visit", len(forms), 3559)
	equal(t, "released visits with negative days", negative, 570)
	sameRows(t, "visits", got, want)
}

// pilotOddities checks that nothing is lost where the visits are unusual.
func pilotOddities(t *testing.T, rel *released, visits []pilotVisit, ids map[string]string) {
	type place struct{ participant, on string }
	sameDay := map[place]int{}
	twice := map[place]int{} // by number instead of date
	for _, v := range visits {
		sameDay[place{ids[v.participant], v.day}]++
		twice[place{ids[v.participant], v.number}]++
	}
	onDay, unscheduled := map[place]int{}, map[string]int{}
	for _, v := range rel.table("visits") {
		onDay[place{v.text("participant_id"), v.text("days_from_baseline")}]++
		if v["is_unscheduled"] == true {
			unscheduled[v.text("participant_id")]++
		}
	}
	three := 0
	for at, n := range sameDay {
		if at.on == "∅" || n < 3 {
			continue
		}
		three++
		equal(t, "visits on the day of three visits", onDay[at], n)
	}
	equal(t, "days with three visits", three, 1)
	repeated := 0
	for at, n := range twice {
		if n > 1 {
			repeated++
			equal(t, "number of the repeated visit", at.on, "9.2")
			if unscheduled[at.participant] < n {
				t.Errorf("a participant with %d visits of one unscheduled number has %d unscheduled visits", n, unscheduled[at.participant])
			}
		}
	}
	equal(t, "repeated visit numbers", repeated, 1)
	total := 0
	for _, n := range unscheduled {
		total += n
	}
	equal(t, "unscheduled visits", total, 122)
}

// pilotDeviations checks that a deviation stands for every visit outside its
// window, for every one missed or out of order, and for nothing else.
func pilotDeviations(t *testing.T, rel *released, visits []pilotVisit, ids map[string]string) {
	want, got, counts := map[string][]string{}, map[string][]string{}, map[string]int{}
	for _, v := range visits {
		if v.timing == "early" || v.timing == "late" {
			want[ids[v.participant]] = append(want[ids[v.participant]], pilotNames[v.number])
		}
	}
	for _, d := range rel.table("deviations") {
		counts[d.text("deviation")]++
		if d.text("deviation") == "visit_out_of_window" {
			got[d.text("participant_id")] = append(got[d.text("participant_id")], d.text("visit"))
		}
	}
	sameRows(t, "visits out of their window", got, want)
	missed, disordered := pilotAbsences(visits)
	expected := map[string]int{"visit_out_of_window": 332, "visit_missed": missed, "visit_order": disordered}
	if !maps.Equal(counts, expected) {
		t.Errorf("deviations %v, want %v", counts, expected)
	}
}

// pilotAbsences counts the required visits that anchored participants did not
// have (as of today all windows have ended; no source says who left the study),
// and the visits that were before the one that is due before them.
func pilotAbsences(visits []pilotVisit) (missed, disordered int) {
	seen, anchored := map[string]map[string]time.Time{}, map[string]bool{}
	for _, v := range visits {
		if seen[v.participant] == nil {
			seen[v.participant] = map[string]time.Time{}
		}
		seen[v.participant][v.number] = v.on
		anchored[v.participant] = anchored[v.participant] || v.number == "3"
	}
	for participant, on := range seen {
		var before time.Time
		for _, number := range pilotRequired {
			at, was := on[number]
			switch {
			case was && at.Before(before):
				disordered++
			case !was && anchored[participant]:
				missed++
			}
			if was {
				before = at
			}
		}
	}
	return missed, disordered
}

// pilotRequired is the numbers of the required visits in the order of their days.
var pilotRequired = []string{"1", "2", "3", "3.5", "4", "5", "6", "7", "8", "8.1", "9", "9.1", "10", "10.1", "11", "11.1", "12", "13"}

// pilotDemographics checks the facts of the participants.
func pilotDemographics(t *testing.T, rel *released, people []map[string]string, anchors map[string]time.Time, ids map[string]string) {
	want, got := map[string][]string{}, map[string][]string{}
	days := func(p map[string]string, column string) string {
		anchor, anchored := anchors[p["USUBJID"]]
		if !anchored || p[column] == "NA" {
			return "∅"
		}
		return strconv.Itoa(int(civil(t, p[column]).Sub(anchor) / (24 * time.Hour)))
	}
	for _, p := range people {
		id := ids[p["USUBJID"]]
		want[id] = append(want[id], fmt.Sprint(p["AGE"], p["SEX"], p["RACE"], p["ETHNIC"], p["COUNTRY"], p["ARMCD"],
			days(p, "RFSTDTC"), days(p, "RFENDTC"), days(p, "DMDTC"), days(p, "DTHDTC")))
	}
	participants := rel.table("participants")
	quasi := map[string]row{} // released there and not in demographics
	for _, p := range participants {
		quasi[p.text("participant_id")] = p
	}
	for _, d := range rel.table("demographics") {
		id := d.text("participant_id")
		q := quasi[id]
		got[id] = append(got[id], fmt.Sprint(q.text("age"), q.text("sex"), q.text("race"), q.text("ethnicity"), q.text("country"), d.text("arm"),
			d.text("reference_start_day"), d.text("reference_end_day"), d.text("collected_on_day"), d.text("died_on_day")))
	}
	sameRows(t, "demographics", got, want)
	equal(t, "rows of participants", len(participants), 306)
	sites := map[string]int{}
	for _, p := range participants {
		sites[p.text("site")]++
	}
	published := map[string]int{}
	for _, p := range people {
		published[p["SITEID"]]++
	}
	if !maps.Equal(sites, published) {
		t.Errorf("sites %v, want %v", sites, published)
	}
}

// verdicts is the table of what became of the visits.
func verdicts(visits []pilotVisit) string {
	counts := map[string]int{}
	for _, v := range visits {
		verdict := v.timing
		if _, planned := pilotNames[v.number]; !planned {
			verdict = "unscheduled, " + verdict
		}
		counts[verdict]++
	}
	text := "| verdict | visits |\n|---|--:|\n"
	for _, verdict := range slices.Sorted(maps.Keys(counts)) {
		text += fmt.Sprintf("| %s | %d |\n", verdict, counts[verdict])
	}
	return text
}
