//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"longitude/study"
)

// dispositionForm goes into the pilot's study document.
const dispositionForm = `  disposition:
    label: Disposition
    log: true
    fields:
      - {name: event, type: choice, class: clinical, choices: [COMPLETED, ADVERSE EVENT, SCREEN FAILURE, WITHDRAWAL BY SUBJECT, STUDY TERMINATED BY SPONSOR,
          PROTOCOL VIOLATION, LACK OF EFFICACY, DEATH, PHYSICIAN DECISION, LOST TO FOLLOW-UP]}

`

const dispositionSource = `source: cdisc-pilot-ds
study: cdisc-pilot-01
connector: {type: folder, path: "${env:LONGITUDE_DATA}/rho-data-library/sdtm/cdisc-pilot-01/ds.csv", after: keep}
format: {type: csv}
map:
  participant: {column: USUBJID, namespace: CDISCPILOT01}
  status:
    column: DSDECOD
    values: {COMPLETED: completed, SCREEN FAILURE: screen_failure, DEATH: died, LOST TO FOLLOW-UP: lost, ADVERSE EVENT: withdrawn,
      WITHDRAWAL BY SUBJECT: withdrawn, STUDY TERMINATED BY SPONSOR: withdrawn, PROTOCOL VIOLATION: withdrawn, LACK OF EFFICACY: withdrawn,
      PHYSICIAN DECISION: withdrawn}
  status_date: {column: DSSTDTC}
  forms:
    disposition:
      occurrence: {value: "1"}
      when: {column: DSCAT, in: [DISPOSITION EVENT]}
      fields:
        event: {column: DSDECOD}
`

// Who has left the study owes no visit whose window ends on that day or later: of
// the visits that nobody had, the disposition domain tells the missed from the
// cancelled.
func TestPilotParticipation(t *testing.T) {
	documents := pilotWith(t, "cdisc")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(documents, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(documents, "cdisc-pilot-01.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write("cdisc-pilot-01.yaml", strings.Replace(string(text), "  demographics:\n", dispositionForm+"  demographics:\n", 1))
	write("ds.yaml", dispositionSource)
	r := realStudyOf(t, documents, "cdisc-pilot-01")
	results, _ := r.sync()
	equal(t, "dispositions", results["cdisc-pilot-ds"].Counts, study.Counts{Read: 596, Mapped: 306, Ignored: 290, Produced: 306, Accepted: 306})

	want, got := pilotOwed(t, filepath.Join(r.data, "rho-data-library", "sdtm", "cdisc-pilot-01")), tally{}
	for _, row := range r.query("SELECT status, count(*) FROM research.visit_current WHERE actual IS NULL GROUP BY status") {
		got[row[0].(string)] = int(row[1].(int64))
	}
	got.is(t, "visits that nobody had", want)
	held := r.number("SELECT count(*) FROM research.hold_current WHERE code = 'after_withdrawal'")
	equal(t, "visits held because they were after withdrawal", held, pilotAfterWithdrawal(t, filepath.Join(r.data, "rho-data-library", "sdtm", "cdisc-pilot-01")))
	evidence(t, "pilot-participation.md", pilotParticipationPage(got, held))
}

func pilotParticipationPage(owed tally, held int64) string {
	return `# Participation in the CDISC pilot

Made by ` + "`cmd/longitude/realdata_participation_test.go`" + `: SV and DM of CDISCPILOT01 with the windows of the protocol's prose, and the
disposition events of DS as the status of each participant. Participation ends with the event; whoever discontinued counts as withdrawn.

` + markdown([]string{"planned visits that did not take place", "visits:"}, [][]string{
		{"cancelled: participation ended on or before the end of the window", strconv.Itoa(owed["cancelled"])},
		{"missed: the window ended before", strconv.Itoa(owed["missed"])},
		{"not done: likewise, of the optional retrieval visit", strconv.Itoa(owed["not_done"])},
	}) + `
The pilot went on seeing people who had stopped their treatment: ` + strconv.FormatInt(held, 10) + ` visits lie after the day of discontinuation. With "withdrawn" as the word for
it they are held as after withdrawal of follow-up, so a study that follows such people up needs to map its dispositions with care.
`
}

// pilotAfterWithdrawal counts the visits after the day on which a participant
// discontinued: the pilot went on seeing many of them.
func pilotAfterWithdrawal(t *testing.T, folder string) (n int64) {
	t.Helper()
	left := map[string]study.Date{}
	for _, d := range readCSV(t, filepath.Join(folder, "ds.csv"), ',') {
		switch event := d["DSDECOD"]; {
		case d["DSCAT"] != "DISPOSITION EVENT", event == "COMPLETED", event == "SCREEN FAILURE", event == "DEATH", event == "LOST TO FOLLOW-UP":
		default:
			left[d["USUBJID"]] = exactly(t, d["DSSTDTC"])
		}
	}
	for _, v := range readCSV(t, filepath.Join(folder, "sv.csv"), ',') {
		if on, gone := left[v["USUBJID"]]; gone && exactly(t, v["SVSTDTC"]) > on {
			n++
		}
	}
	return n
}

// pilotOwed counts, with plain arithmetic, the required visits that anchored
// participants did not have, by whether they had left before the window ended.
func pilotOwed(t *testing.T, folder string) tally {
	t.Helper()
	had, anchors, ends := map[string]map[string]bool{}, map[string]study.Date{}, map[string]study.Date{}
	for _, v := range readCSV(t, filepath.Join(folder, "sv.csv"), ',') {
		if had[v["USUBJID"]] == nil {
			had[v["USUBJID"]] = map[string]bool{}
		}
		had[v["USUBJID"]][v["VISITNUM"]] = true
		if v["VISITNUM"] == "3" {
			anchors[v["USUBJID"]] = exactly(t, v["SVSTDTC"])
		}
	}
	for _, d := range readCSV(t, filepath.Join(folder, "ds.csv"), ',') {
		if d["DSCAT"] == "DISPOSITION EVENT" {
			ends[d["USUBJID"]] = exactly(t, d["DSSTDTC"])
		}
	}
	planned := map[string]int{}
	for _, v := range readCSV(t, filepath.Join(folder, "tv.csv"), ',') {
		if v["VISITDY"] != "NA" {
			planned[v["VISITNUM"]] = whole(t, v["VISITDY"])
		}
	}
	out := tally{}
	for participant, anchor := range anchors {
		for visit, day := range planned {
			if had[participant][visit] {
				continue
			}
			closes := anchor + study.Date(study.CDISC.Elapsed(day)+pilotWidth(visit))
			switch {
			case ends[participant] <= closes:
				out["cancelled"]++
			case visit == "201": // retrieval is optional
				out["not_done"]++
			default:
				out["missed"]++
			}
		}
	}
	return out
}

// pilotWidth is the days that a visit's window is open after its planned day.
func pilotWidth(visit string) int {
	for _, w := range pilotWindows {
		if w.number == visit {
			return w.width
		}
	}
	return ourWindow
}
