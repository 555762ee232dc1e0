//go:build unix

package main

import (
	"path/filepath"
	"testing"

	edc "longitude/internal/edctest/redcap"
	"longitude/study"
)

// The example of configs/redcap, run against a REDCap server.
func TestREDCapExample(t *testing.T) {
	p := &edc.Project{ID: 14, Title: "Eye study in REDCap", MissingCodes: "UNK, Unknown | NASK, Not asked",
		Fields: []edc.Field{{Name: "record_id", Form: "demographics", Type: "text"}, {Name: "dob", Form: "demographics", Type: "text", Validation: "date_dmy"},
			{Name: "sex", Form: "demographics", Type: "radio", Choices: "0, Female | 1, Male"}, {Name: "visit_date", Form: "vitals", Type: "text", Validation: "date_dmy"},
			{Name: "sbp", Form: "vitals", Type: "text", Validation: "integer"}, {Name: "ae_term", Form: "ae_log", Type: "notes"},
			{Name: "ae_grade", Form: "ae_log", Type: "radio", Choices: "1, mild | 2, moderate | 3, severe"}},
		Forms:    []edc.Form{{Name: "demographics"}, {Name: "vitals"}, {Name: "ae_log"}},
		Events:   []edc.Event{{Name: "Baseline", Unique: "baseline_arm_1", Arm: 1}, {Name: "Month 1", Unique: "month_1_arm_1", Arm: 1}},
		Mappings: []edc.Mapping{{Event: "baseline_arm_1", Form: "demographics"}, {Event: "baseline_arm_1", Form: "vitals"}, {Event: "month_1_arm_1", Form: "vitals"}},
		Repeats:  []edc.Repeat{{Event: "baseline_arm_1", Form: "ae_log"}}, Groups: []edc.Group{{Name: "North", Unique: "north"}}}
	p.Put("P-1", "north", edc.Row{Event: "baseline_arm_1", Values: map[string]string{"sex": "0", "dob": "UNK", "demographics_complete": "2",
		"visit_date": "2026-01-01", "sbp": "NASK", "vitals_complete": "2"}})
	p.Put("P-1", "", edc.Row{Event: "month_1_arm_1", Values: map[string]string{"visit_date": "2026-02-15", "sbp": "121", "vitals_complete": "1"}})
	p.Put("P-1", "", edc.Row{Event: "baseline_arm_1", Instrument: "ae_log", Instance: 2, Values: map[string]string{"ae_term": "rash", "ae_grade": "1"}})
	x := newTrial(t, filepath.Join("..", "..", "configs", "redcap"))
	address := edc.Start(t, edc.NewServer(p, redcapToken))
	x.edit("source.yaml", "url: https://redcap.example.org/api/", "url: "+address+"\n  web: {allow: [127.0.0.1], per_minute: 0}")
	x.edit("source.yaml", "${file:secrets/redcap_token}", "${file:token}")
	x.write("token", redcapToken+"\n")
	if got := x.sync(study.ExitOK).Counts; got.Accepted != 4 || got.Quarantined+got.RowsQuarantined != 0 {
		t.Errorf("%+v", got)
	}
	if n := x.number("SELECT count(*) FROM research.deviation_current WHERE code = 'visit_out_of_window'"); n != 1 {
		t.Errorf("%d visits are out of their windows: month 1 was one day late", n)
	}
	if n := x.number("SELECT count(*) FROM research.record_current WHERE op = 'u' AND occurrence = '2'"); n != 1 {
		t.Errorf("%d records of a second instance", n)
	}
}
