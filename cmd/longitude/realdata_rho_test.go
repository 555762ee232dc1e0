//go:build unix

package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"longitude/deid"
	"longitude/study"
	"longitude/transform"
)

// participants answers the stored number of each source identifier.
func (r *realStudy) participants(sources []string) map[string]int64 {
	r.t.Helper()
	numbers := map[string]int64{}
	for _, row := range r.query("SELECT participant_id, code FROM research.participant_current") {
		numbers[row[1].(string)] = row[0].(int64)
	}
	out := map[string]int64{}
	r.inside(func(h *house) {
		s, err := h.study(r.name)
		r.must(err)
		intake, err := deid.NewIntake(s, &h.cfg.Sources[0].Source, h.ring, rand.Reader)
		r.must(err)
		for _, source := range sources {
			identity, refused := intake.Identify(source)
			number, ok := numbers[identity.Code]
			if refused != "" || !ok {
				r.t.Fatalf("a published identifier is not stored, refused: %q", refused)
			}
			out[source] = number
		}
	})
	return out
}

// judgeOn judges each of the participants again as of a day of their own.
func (r *realStudy) judgeOn(days map[int64]study.Date) {
	r.t.Helper()
	on := map[study.Date][]int64{}
	for participant, day := range days {
		on[day] = append(on[day], participant)
	}
	r.inside(func(h *house) {
		s, err := h.study(r.name)
		r.must(err)
		rules, in := transform.NewRules(s), h.ingester()
		for _, day := range slices.Sorted(maps.Keys(on)) {
			slices.Sort(on[day])
			_, err := in.Recalculate(r.t.Context(), s, rules, crossChecks(s), day, on[day], "test")
			r.must(err)
		}
	})
}

// rhoVisit is a visit with our verdict, the source's, and what both rest on.
type rhoVisit struct {
	type_, status, actual, participation string // ours; type_ "" = unscheduled
	windowEnd                            string
	overtaken                            bool   // a later visit of the protocol took place
	says                                 string // SVSTATUS
	asOf                                 string
}

// word is our verdict in the source's words. A visit that is missed is Overdue
// there while the participant goes on and has not been seen at a later one.
func (v *rhoVisit) word() string {
	switch {
	case v.participation == string(study.ScreenFailure):
		return "Failed"
	case v.actual != "":
		return "Completed"
	case v.status == string(study.Missed) && v.participation == string(study.Enrolled) && !v.overtaken:
		return "Overdue"
	}
	return map[string]string{string(study.Missed): "Missed", string(study.Scheduled): "Expected", string(study.Cancelled): "Terminated"}[v.status]
}

// cause says why our verdict is not the source's.
func (v *rhoVisit) cause() string {
	switch {
	case v.status == string(study.Missed) && v.says == "Missed":
		return "the same verdict, missed: the source has given the visit up, and its data state no rule for when it does"
	case v.status == string(study.Scheduled) && v.says == "Overdue" && v.windowEnd >= v.asOf:
		return "the planned day has passed, the window has not ended: due for the source, still open for the protocol"
	case v.status == string(study.Cancelled) && v.says == "Missed" && v.windowEnd == "":
		return "an optional visit without a window cannot be missed"
	case v.status == string(study.Cancelled) && v.says == "Missed" && v.windowEnd >= v.asOf:
		return "participation ended before the window did: nothing was missed by then"
	}
	return "unexplained"
}

// The simulated study states what became of every visit. Judged as of the day
// that its extract gives each participant, we say the same, but for the rows of
// the committed table.
func TestRhoStatuses(t *testing.T) {
	r := realStudyOf(t, filepath.Join("testdata", "rho"), "rho")
	const folder = "rho-data-library/sdtm"
	rhoSchedule(t, r.data)
	results, took := r.sync()
	equal(t, "rows of SV", results["rho-sv"].Counts.Read, 1202)
	equal(t, "records of SV accepted", results["rho-sv"].Counts.Accepted, 1202)
	equal(t, "records of DM accepted", results["rho-dm"].Counts.Accepted, 150)

	people := readCSV(t, filepath.Join(r.data, folder, "dm.csv"), ',')
	var sources []string
	for _, p := range people {
		sources = append(sources, p["USUBJID"])
	}
	numbers, ends := r.participants(sources), map[string]string{}
	days := map[int64]study.Date{}
	for _, p := range people {
		ends[p["USUBJID"]] = p["RFENDTC"]
		days[numbers[p["USUBJID"]]] = exactly(t, p["RFENDTC"])
	}
	r.judgeOn(days)

	visits := r.rhoVisits(readCSV(t, filepath.Join(r.data, folder, "sv.csv"), ','), numbers, ends)
	published, unscheduled := tally{}, 0
	agree, differ := tally{}, map[string][]string{}
	for i := range visits {
		v := &visits[i]
		published[v.says]++
		if v.type_ == "" {
			unscheduled++
		}
		if v.word() == v.says {
			agree[v.says]++
			continue
		}
		line := strings.Join([]string{v.says, cmp.Or(v.word(), v.status), v.status, v.cause()}, "\t")
		differ[line] = append(differ[line], strconv.Itoa(i+1))
	}
	published.is(t, "SVSTATUS", tally{"Completed": 596, "Expected": 427, "Missed": 59, "Overdue": 48, "Terminated": 56, "Failed": 16})
	equal(t, "unscheduled visits", unscheduled, 96)
	rel, _ := r.release()
	happened := 0
	for _, v := range rel.table("visits") {
		if v["days_from_baseline"] != nil {
			happened++
		}
	}
	equal(t, "released visits that took place, with the failed screenings", happened, 596+15)
	t.Logf("sync %.1fs; agree %v", took.Seconds(), agree)
	evidence(t, "rho-status.md", rhoPage(published, agree, differ))
	for line := range differ {
		if strings.Contains(line, "unexplained") {
			t.Errorf("a difference without a cause: %q", line)
		}
	}
}

// rhoSchedule checks that the windows of our study document are those of the
// published schedule.
func rhoSchedule(t *testing.T, data string) {
	t.Helper()
	var want, got []string
	for _, e := range readCSV(t, filepath.Join(data, "rho-data-library", "data-dictionaries", "schedule-of-events.csv"), ',') {
		want = append(want, fmt.Sprintf("%s: %s to %s", e["VISITNUM"], e["STDY"], e["ENDY"]))
	}
	a := &app{out: t.Output(), err: t.Output(), dir: filepath.Join("testdata", "rho")}
	h, err := a.open(t.Context(), needConfig)
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.study("rho")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.Visits {
		if v.HasWindow {
			got = append(got, fmt.Sprintf("%s: %d to %d", v.Number, v.Day-v.Before, v.Day+v.After))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("windows %v, the schedule says %v", got, want)
	}
}

// rhoVisits puts the stored verdicts beside the rows of SV.
func (r *realStudy) rhoVisits(rows []map[string]string, numbers map[string]int64, ends map[string]string) []rhoVisit {
	r.t.Helper()
	text := func(v any) string {
		if v == nil {
			return ""
		}
		return v.(string)
	}
	type place struct {
		participant int64
		key         string
	}
	stored := map[place]rhoVisit{}
	last := map[int64]string{} // the latest day that a visit of the protocol took place
	for _, row := range r.query(`SELECT v.participant_id, v.visit_key, v.visit_type, v.status, v.actual, v.window_end::text, p.status
		FROM research.visit_current v JOIN research.participant_current p USING (participant_id)`) {
		v := rhoVisit{type_: text(row[2]), status: text(row[3]), actual: text(row[4]), windowEnd: text(row[5]), participation: text(row[6])}
		at := place{row[0].(int64), text(row[1])}
		stored[at] = v
		if v.type_ != "" && v.actual != "" {
			last[at.participant] = max(last[at.participant], v.actual)
		}
	}
	equal(r.t, "stored visits", len(stored), len(rows))
	var out []rhoVisit
	for _, row := range rows {
		number := numbers[row["USUBJID"]]
		v, ok := stored[place{number, rhoKey(row)}]
		if !ok {
			r.t.Fatalf("visit %s of a participant is not stored", row["VISITNUM"])
		}
		v.says, v.asOf, v.overtaken = row["SVSTATUS"], ends[row["USUBJID"]], last[number] > row["SVDT"]
		out = append(out, v)
	}
	return out
}

// rhoKey is the key of a row's visit: its type, else its number, with its date
// once it has taken place.
func rhoKey(row map[string]string) string {
	if name, ok := rhoNames[row["VISITNUM"]]; ok {
		return name
	}
	on := ""
	if row["SVSTATUS"] == "Completed" {
		on = row["SVDT"]
	}
	return "n:" + row["VISITNUM"] + "/" + on
}

// The numbers of the visits under the names of the study document.
var rhoNames = map[string]string{"0": "screening", "1": "visit_1", "2": "visit_2", "3": "visit_3", "4": "visit_4", "5": "visit_5",
	"6": "visit_6", "6.9": "early_termination", "7": "end_of_study"}

func rhoPage(published, agree tally, differ map[string][]string) string {
	var lines [][]string
	agreed, differing := 0, 0
	for _, word := range published.sorted() {
		lines = append(lines, []string{word, strconv.Itoa(published[word]), strconv.Itoa(agree[word]), strconv.Itoa(published[word] - agree[word])})
		agreed += agree[word]
		differing += published[word] - agree[word]
	}
	lines = append(lines, []string{"all", strconv.Itoa(agreed + differing), strconv.Itoa(agreed), strconv.Itoa(differing)})
	var causes [][]string
	for _, line := range slices.Sorted(maps.Keys(differ)) {
		causes = append(causes, append(strings.Split(line, "\t"), strconv.Itoa(len(differ[line])), strings.Join(differ[line], " ")))
	}
	return `# Visit status of the simulated Rho study

Made by ` + "`cmd/longitude/realdata_rho_test.go`" + `: SV and DM of the Rho data library, with the windows of its schedule of events, through a
whole sync, and then judged as of a day of each participant's own. The extract has no one date: its statuses follow from RFENDTC, the day that a
participant ended or was last looked at.

SVDT is the day of visits that took place and the planned day of the others, so it is mapped by status. Our verdict in the source's words: a
visit that took place is Completed; missed is Overdue while the participant goes on and has not been seen at a later visit of the protocol, else
Missed; scheduled is Expected; cancelled is Terminated; every visit of a screen failure is Failed.

` + markdown([]string{"SVSTATUS", "published:", "the same:", "other:"}, lines) + `
## Differences and their causes

` + markdown([]string{"SVSTATUS", "ours in its words", "our status", "cause", "visits:", "rows of SV"}, causes)
}
