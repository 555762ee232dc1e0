//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longitude/study"
)

// points is how many places of the visual field a test of the Rotterdam data has.
const points = 52

// rotterdamDocuments writes the study: one field per place, total deviation in
// decibel. The published file names neither visits nor days, so its tests are a
// log, told apart by eye and by sLV, which no two tests of an eye share. The last
// field reads the first place once more, with -1 declared as missing.
func rotterdamDocuments(t *testing.T) string {
	t.Helper()
	var fields, picks strings.Builder
	for i := range points {
		fmt.Fprintf(&fields, "      - {name: vf_%d, type: integer, unit: dB, range: [-40, 40], class: clinical}\n", i+1)
		fmt.Fprintf(&picks, "        vf_%d: {column: VF_%d}\n", i+1, i+1)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"study.yaml": `study: rotterdam
title: Rotterdam longitudinal visual fields
protocol: {id: rotterdam-vf, version: "1"}
code_prefix: RVF
timezone: Europe/Amsterdam
days: elapsed
enrolment: first_seen
consent: external
visits:
  - {name: baseline, day: 0, window: [0, 0], required: false, forms: {}}
forms:
  visual_field:
    label: Visual field
    log: true
    fields:
      - {name: eye, type: choice, choices: {R: Right, L: Left}, required: true, class: clinical}
      - {name: mean_deviation, type: "decimal(5,2)", unit: dB, class: clinical}
` + fields.String() + `      - {name: vf_1_coded, type: integer, unit: dB, class: clinical}
deidentification: {profile: limited, pseudonym: derived, dates: study_day}
releases: {to: [local]}
`, "source.yaml": `source: rotterdam
study: rotterdam
connector: {type: folder, path: "${env:LONGITUDE_DATA}/rotterdam-vf/RT_dataset.csv", after: keep}
format: {type: csv}
map:
  participant: {column: PATIENT ID, namespace: rotterdam}
  forms:
    visual_field:
      occurrence: {expr: 'col("EYE ID") + "-" + col("sLV")'}
      fields:
        eye: {column: EYE ID, values: {"0.0": R, "1.0": L}}
        mean_deviation: {column: MD}
` + picks.String() + `        vf_1_coded: {column: VF_1, missing: {"-1": not_done}}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A deviation of -1 dB is a value: a code is missing only for the field that
// declares it.
func TestRotterdam(t *testing.T) {
	r := realStudyOf(t, rotterdamDocuments(t), "rotterdam")
	results, took := r.sync()
	equal(t, "counts", results["rotterdam"].Counts, study.Counts{Read: 2523, Mapped: 2523, Produced: 2523, Accepted: 2523})
	r.nothingNew()

	fields := []string{"eye", "mean_deviation"}
	for i := range points {
		fields = append(fields, fmt.Sprintf("vf_%d", i+1))
	}
	got, want := tally{}, tally{}
	for _, record := range r.answered("visual_field", append(fields, "vf_1_coded")...) {
		for i := range points {
			got[fmt.Sprintf("%d: %s", i+1, record[fields[i+2]])]++
		}
		got["coded: "+record["vf_1_coded"]]++
	}
	for _, row := range readCSV(t, filepath.Join(r.data, "rotterdam-vf", "RT_dataset.csv"), ',') {
		for i := range points {
			want[fmt.Sprintf("%d: %s", i+1, row[fmt.Sprintf("VF_%d", i+1)])]++
		}
		want["coded: "+strings.Replace(row["VF_1"]+"$", "-1$", "∅ not_done$", 1)]++
	}
	for line, n := range want {
		if line = strings.TrimSuffix(line, "$"); got[line] != n {
			t.Errorf("%s: %d tests, want %d", line, got[line], n)
		}
	}
	equal(t, "tests of which the coded place is missing", got["coded: ∅ not_done"], 266)
	equal(t, "tests of which the coded place is -1", got["coded: -1"], 0)
	equal(t, "tests of which the place itself is -1", got["1: -1"], 266)
	t.Logf("sync %.1fs", took.Seconds())
}
