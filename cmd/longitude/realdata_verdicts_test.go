//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// pilotWindows are the windows that the pilot's protocol states in prose, days
// either side of the planned day, by visit number.
var pilotWindows = []struct {
	number string
	day    int
	width  int
}{{"4", 14, 3}, {"5", 28, 3}, {"7", 42, 3}, {"8", 56, 3}, {"9", 84, 4}, {"10", 112, 4}, {"11", 140, 4}, {"12", 168, 4}, {"13", 182, 3}}

// pilotWith is the documents of the pilot with those windows, their days written
// in a convention.
func pilotWith(t *testing.T, days string) (documents string) {
	t.Helper()
	documents = t.TempDir()
	for _, name := range []string{"cdisc-pilot-01.yaml", "dm.yaml", "sv.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "configs", "studies", "cdisc-pilot", name))
		if err != nil {
			t.Fatal(err)
		}
		said := string(text)
		for _, w := range pilotWindows {
			from := fmt.Sprintf("number: %q, day: %d, window: [-7, 7]", w.number, w.day)
			if name == "cdisc-pilot-01.yaml" && !strings.Contains(said, from) {
				t.Fatalf("the study does not say %q", from)
			}
			said = strings.Replace(said, from, fmt.Sprintf("number: %q, day: %d, days: %s, window: [-%d, %d]", w.number, w.day, days, w.width, w.width), 1)
		}
		if err := os.WriteFile(filepath.Join(documents, name), []byte(said), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return documents
}

// judgedVisit is a visit as it is stored; participants are numbered in order of
// arrival, so the same file gives the same numbers.
type judgedVisit struct {
	participant int64
	no          int32
}

type storedVerdict struct {
	visit, timing string
	fromTarget    int
}

// integerVisits are the stored verdicts on the visits of pilotWindows.
func (r *realStudy) integerVisits() map[judgedVisit]storedVerdict {
	r.t.Helper()
	names := map[string]bool{}
	for _, w := range pilotWindows {
		names[pilotNames[w.number]] = true
	}
	out := map[judgedVisit]storedVerdict{}
	for _, row := range r.query(`SELECT participant_id, visit_no, visit_type, timing, from_target FROM research.visit_current
		WHERE actual IS NOT NULL AND visit_type IS NOT NULL AND from_target IS NOT NULL`) {
		if name := row[2].(string); names[name] {
			out[judgedVisit{row[0].(int64), row[1].(int32)}] = storedVerdict{name, row[3].(string), int(row[4].(int32))}
		}
	}
	return out
}

// The windows of the pilot's protocol in prose do not say whether the baseline is
// day 0 or day 1. Both readings are judged; they differ in 84 of 1,567 verdicts.
func TestPilotWindowsInBothConventions(t *testing.T) {
	verdicts := map[string]map[judgedVisit]storedVerdict{}
	for _, days := range []string{"cdisc", "elapsed"} {
		r := realStudyOf(t, pilotWith(t, days), "cdisc-pilot-01")
		r.sync()
		verdicts[days] = r.integerVisits()
	}
	total := map[string]tally{"cdisc": {}, "elapsed": {}}
	each := map[string]tally{}
	for days, all := range verdicts {
		for _, v := range all {
			total[days][v.timing]++
			if each[v.visit] == nil {
				each[v.visit] = tally{}
			}
			each[v.visit][days+" "+v.timing]++
		}
	}
	total["cdisc"].is(t, "study_day", tally{"in_window": 1144, "early": 62, "late": 361})
	total["elapsed"].is(t, "elapsed_days", tally{"in_window": 1204, "early": 74, "late": 289})
	published := map[string][3]int{"4": {212, 9, 33}, "5": {183, 4, 41}, "7": {156, 3, 54}, "8": {135, 5, 50}, "9": {114, 21, 39},
		"10": {103, 6, 38}, "11": {92, 6, 34}, "12": {78, 5, 35}, "13": {71, 3, 37}}
	var perVisit [][]string
	for _, w := range pilotWindows {
		c := each[pilotNames[w.number]]
		equal(t, "in, early, late of visit "+w.number, [3]int{c["cdisc in_window"], c["cdisc early"], c["cdisc late"]}, published[w.number])
		line := []string{w.number, pilotNames[w.number], strconv.Itoa(w.day), "±" + strconv.Itoa(w.width)}
		for _, days := range []string{"cdisc", "elapsed"} {
			for _, timing := range []string{"in_window", "early", "late"} {
				line = append(line, strconv.Itoa(c[days+" "+timing]))
			}
		}
		perVisit = append(perVisit, line)
	}
	evidence(t, "pilot-windows.md", pilotWindowsPage(perVisit, pilotDiffering(t, verdicts)))
}

// pilotDiffering lists the visits whose verdict depends on the convention.
func pilotDiffering(t *testing.T, verdicts map[string]map[judgedVisit]storedVerdict) [][]string {
	t.Helper()
	equal(t, "visits judged twice", len(verdicts["elapsed"]), len(verdicts["cdisc"]))
	counts, differ := map[[4]string]int{}, 0
	for at, v := range verdicts["cdisc"] {
		other := verdicts["elapsed"][at]
		if v.visit != other.visit || v.fromTarget != other.fromTarget+1 {
			t.Fatal("the two readings are not one day apart")
		}
		if v.timing != other.timing {
			counts[[4]string{v.visit, fmt.Sprintf("%+d", v.fromTarget), v.timing, other.timing}]++
			differ++
		}
	}
	equal(t, "visits whose verdict differs", differ, 84)
	var lines [][]string
	for _, w := range pilotWindows {
		for from := -w.width; from <= w.width+1; from++ {
			for _, verdict := range [][2]string{{"in_window", "early"}, {"late", "in_window"}} {
				if n := counts[[4]string{pilotNames[w.number], fmt.Sprintf("%+d", from), verdict[0], verdict[1]}]; n > 0 {
					lines = append(lines, []string{pilotNames[w.number], fmt.Sprintf("%+d", from), verdict[0], verdict[1], strconv.Itoa(n)})
					differ -= n
				}
			}
		}
	}
	equal(t, "differing visits that no line tells", differ, 0)
	return lines
}

func pilotWindowsPage(perVisit, differing [][]string) string {
	return `# Visit windows of the CDISC pilot, in both day conventions

Made by ` + "`cmd/longitude/realdata_verdicts_test.go`" + ` from the published SV and DM domains of CDISCPILOT01, through a whole sync. The windows are
those of the protocol's prose: ± 3 days, ± 4 in weeks 12 to 24. The prose counts from the baseline visit and does not say whether that is day 1
(CDISC study day) or day 0 (elapsed days), so a rule must name its convention: 84 of 1,567 verdicts depend on it.

Participants who stopped early had their last assessments recorded under planned visits, so the share of early and late visits says nothing about
the conduct of the study.

## Verdicts

` + markdown([]string{"number:", "visit", "planned day:", "window:", "study day: in:", "early:", "late:", "elapsed: in:", "early:", "late:"}, perVisit) + `
## Visits whose verdict differs

The distance is that of the CDISC reading; by elapsed days it is one less.

` + markdown([]string{"visit", "days from target:", "by study day", "by elapsed days", "visits:"}, differing)
}
