//go:build unix

package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"longitude/study"
)

// answered is the current records of a form: per record its values by field, "∅"
// and the reason where one is missing.
func (x *trial) answered(form string, fields ...string) []map[string]string {
	x.t.Helper()
	var out []map[string]string
	for _, row := range x.query(`SELECT r.answers, r.missing FROM research.record_current r JOIN research.form f USING (form_id) WHERE f.name = $1 AND r.op = 'u'`, form) {
		cells := strings.Split(row[0].(string), string(study.FieldSeparator))
		equal(x.t, "fields of a record", len(cells), len(fields))
		m := map[string]string{}
		for i, field := range fields {
			if m[field] = cells[i]; cells[i] == study.MissingMark {
				m[field] = "∅"
			}
		}
		if reasons, _ := row[1].(string); reasons != "" {
			for _, pair := range strings.Split(reasons, ",") {
				place, reason, _ := strings.Cut(pair, "=")
				n, err := strconv.Atoi(place)
				x.must(err)
				m[fields[n]] += " " + reason
			}
		}
		out = append(out, m)
	}
	return out
}

// What is written NA is missing for the reason that the mapping declares, a long
// table becomes one record per visit and position, and units are converted as the
// authors of the data converted them.
func TestPharmaverse(t *testing.T) {
	r := realStudyOf(t, filepath.Join("testdata", "pharmaverse"), "pharmaverse")
	results, took := r.sync()
	ae, vs := results["pharmaverse-ae"].Counts, results["pharmaverse-vs"].Counts
	equal(t, "adverse events", ae, study.Counts{Read: 1191, Mapped: 1191, Produced: 1191, Accepted: 1191})
	equal(t, "vital signs", vs, study.Counts{Read: 29643, Mapped: 29635, Ignored: 8, Produced: 10939, Accepted: 10939})
	t.Run("adverse events", func(t *testing.T) { pharmaverseEvents(t, r) })
	t.Run("vital signs", func(t *testing.T) { pharmaverseSigns(t, r) })
	t.Logf("sync %.1fs", took.Seconds())
}

func pharmaverseEvents(t *testing.T, r *realStudy) {
	fields := []string{"severity", "related", "started_on", "ended_on", "end_day"}
	columns := []string{"AESEV", "AEREL", "AESTDTC", "AEENDTC", "AEENDY"}
	reason := map[string]string{"AEREL": "∅ unknown", "AEENDTC": "∅ not_applicable", "AEENDY": "∅ not_applicable"}
	want, got := tally{}, tally{}
	for _, row := range readCSV(t, filepath.Join(r.data, "pharmaversesdtm", "ae.csv"), ',') {
		var line []string
		for _, c := range columns {
			text := row[c]
			if text == "NA" {
				text = reason[c]
			}
			line = append(line, text)
		}
		want[strings.Join(line, "|")]++
	}
	missing := tally{}
	for _, record := range r.answered("adverse_event", fields...) {
		var line []string
		for _, f := range fields {
			line = append(line, record[f])
			if value, why, ok := strings.Cut(record[f], " "); ok && value == "∅" {
				missing[f+" "+why]++
			}
			if record[f] == "NA" {
				t.Fatal("NA is stored as a value")
			}
		}
		got[strings.Join(line, "|")]++
	}
	differ := 0
	for line, n := range want {
		if got[line] != n {
			differ++
		}
	}
	equal(t, "adverse events that say something else", differ, 0)
	missing.is(t, "missing", tally{"related unknown": 4, "ended_on not_applicable": 473, "end_day not_applicable": 473})
}

func pharmaverseSigns(t *testing.T, r *realStudy) {
	fields := []string{"systolic", "diastolic", "pulse", "temperature", "weight", "height", "temperature_metric", "weight_metric", "height_metric"}
	codes := map[string]string{"SYSBP mmHg": "systolic", "DIABP mmHg": "diastolic", "PULSE BEATS/MIN": "pulse", "TEMP F": "temperature",
		"WEIGHT LB": "weight", "HEIGHT IN": "height", "TEMP C": "temperature_metric", "WEIGHT kg": "weight_metric", "HEIGHT cm": "height_metric"}
	want, got, values := tally{}, tally{}, tally{}
	for _, row := range readCSV(t, filepath.Join(r.data, "pharmaversesdtm", "converted-from-rda", "vs.csv"), ',') {
		if row["VSSTAT"] == "NOT DONE" {
			continue
		}
		field := codes[row["VSTESTCD"]+" "+row["VSORRESU"]]
		values[field]++
		converted := rounded(t, row["VSSTRESN"], 1)
		if field == "weight" {
			exact := rounded(t, row["VSORRES"], poundInKilograms)
			if exact != converted {
				values["weight, published otherwise"]++
			}
			converted = exact
		}
		want[field+" "+converted]++
	}
	for _, record := range r.answered("vital_signs", fields...) {
		for _, f := range fields {
			if record[f] != "∅" {
				got[f+" "+rounded(t, record[f], 1)]++
			}
		}
	}
	differ := 0
	for value, n := range want {
		if got[value] != n {
			differ++
		}
	}
	equal(t, "values that are stored more or less often", differ, 0)
	values.is(t, "published values", tally{"systolic": 8205, "diastolic": 8205, "pulse": 8201, "temperature": 2713, "weight": 2049,
		"weight, published otherwise": 232, "height": 245,
		"temperature_metric": 7, "weight_metric": 1, "height_metric": 9})
}

// poundInKilograms is the international pound. The authors converted with a
// rounded factor, 0.4536, which gives another second decimal in 232 weights.
const poundInKilograms = 0.45359237

// rounded multiplies a number and writes it with two decimals, as the published
// conversions have.
func rounded(t *testing.T, text string, factor float64) string {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal("not a number")
	}
	return fmt.Sprintf("%.2f", n*factor)
}
