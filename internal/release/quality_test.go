package release

import (
	"testing"

	"longitude/study"
)

// checked is trial with checks of every kind that do not refuse records.
func checked() *study.Study {
	s := trial()
	va := &s.Forms[1]
	va.Fields[1].Required = true
	va.Fields[2].Min, va.Fields[2].Max = "0", "80"
	va.Fields[4].Severity = study.FieldSeverity{Type: study.Flag, Range: study.Note}
	va.Fields[4].Max = "1"
	va.Fields = append(va.Fields, study.Field{Name: "arm", Type: study.Integer, Class: study.Blinded, Max: "1"})
	va.Checks = []study.Check{
		{Name: "method", Expr: "eye != 'R' || va != null", Severity: study.Note},
		{Name: "refuses", Expr: "va != null", Severity: study.Reject},
		{Name: "unblinds", Expr: "arm != 1 || va != null", Severity: study.Flag},
	}
	s.Checks = []study.CrossCheck{
		{Name: "fall_is_serious", Expr: "adverse_events.serious == true", On: 2, Severity: study.Flag},
		{Name: "tells_the_arm", Expr: "visual_acuity.arm == 1", On: 2, Severity: study.Flag},
	}
	return s
}

func TestDataQuality(t *testing.T) {
	w := someone(1)
	for i := range w.records {
		r := &w.records[i]
		if r.Key.Form == 1 {
			r.Answers += string(study.FieldSeparator) + m // the arm
		}
		switch r.Key {
		case study.RecordKey{Form: 1, VisitNo: 1, Occurrence: "L"}:
			r.Findings = "injections:range:note,arm:range,unblinds:check"
		case study.RecordKey{Form: 1, VisitNo: 4, Occurrence: "R"}:
			r.Findings = "iop_mmhg:range,method:check:note"
		case study.RecordKey{Form: 1, VisitNo: 6, Occurrence: "R"}:
			r.Missing, r.Findings = "4=invalid", "va:required,injections:integer_invalid"
		case study.RecordKey{Form: 1, VisitNo: 5, Occurrence: "R"}:
			r.Findings = "va:required" // withheld: not counted
		}
	}
	finding := func(no int32, detail string, state study.DeviationState) {
		w.Deviations = append(w.Deviations, study.Deviation{DeviationKey: study.DeviationKey{Code: study.CheckFailed, VisitNo: no, Detail: detail},
			Kind: study.IsFinding, State: state})
	}
	finding(0, "adverse_events/9:fall_is_serious", study.Open)
	finding(0, "adverse_events/10:fall_is_serious", study.Resolved)
	finding(0, "adverse_events/11:fall_is_serious", study.Open) // no such record is released
	finding(0, "adverse_events/9:tells_the_arm", study.Open)

	inside := checked()
	inside.Deid.Profile = "internal"
	_, tables := built(t, inside, plan(1), w)
	same(t, "data_quality", cells(tables["data_quality"], "check_order", "check_id", "table_name", "column_name", "check_kind", "severity", "n_checked", "n_failed", "pct_failed", "passed"),
		"1 visual_acuity.va.required visual_acuity va required flag 5 1 20 0",
		"2 visual_acuity.iop_mmhg.range visual_acuity iop_mmhg range flag 3 1 33.33 0",
		"3 visual_acuity.injections.type visual_acuity injections type flag 3 1 33.33 0",
		"4 visual_acuity.injections.range visual_acuity injections range note 3 1 33.33 0",
		"5 visual_acuity.method visual_acuity ∅ check note 5 1 20 0",
		"6 adverse_events.seen_at.precision adverse_events seen_at precision flag 1 0 0 1",
		"7 fall_is_serious adverse_events ∅ cross_check flag 2 1 50 0")
	for _, code := range cells(tables["deviations"], "deviation") {
		if code == study.CheckFailed {
			t.Error("a finding of a check stands among the deviations")
		}
	}
}

// What leaves the house tells neither of 1 to 10 rows that fail nor of as few that do
// not, which is the difference.
func TestSmallFindingsStayInside(t *testing.T) {
	s := checked()
	b := NewBuilder(s, plan(1))
	for i, c := range [][2]int64{{200, 5}, {200, 40}, {200, 195}, {5, 0}, {40, 0}} {
		b.quality.checks[i].failed, b.quality.checks[i].kind = c[1], "required"
		b.quality.checks[i].form = i
	}
	b.quality.records = []int64{200, 200, 200, 5, 40, 0, 0}
	for i := range b.quality.checks[5:] {
		b.quality.checks[5+i].form, b.quality.checks[5+i].field = 5, -1
	}
	batch := qualityBatch(qualityTable(), b.quality, tellerOf(s))
	same(t, "told", cells(batch, "n_checked", "n_failed", "pct_failed", "passed")[:5], "200 ∅ ∅ 0", "200 40 20 0", "200 ∅ ∅ 0", "∅ 0 ∅ 1", "40 0 0 1")
}

func TestNothingCheckedIsNoPercentage(t *testing.T) {
	_, tables := built(t, checked(), plan(1))
	same(t, "data_quality", cells(tables["data_quality"], "n_checked", "n_failed", "pct_failed", "passed")[:1], "0 0 ∅ 1")
}

// Each visit names the version of the protocol that judged it, and the schedule
// has the visits of every version.
func TestProtocolVersions(t *testing.T) {
	s := trial()
	amended := append([]study.VisitType(nil), s.Visits...)
	amended[1].After, amended[1].Days, amended[1].Day = 7, study.CDISC, 29
	amended[2].Absent = true
	s.Versions = []study.ProtocolVersion{
		{Version: "2.0", Effective: study.NoDate, Visits: s.Visits},
		{Version: "3.0", Effective: day("2026-02-01"), Visits: amended},
	}
	w := someone(1)
	w.Visits[1].Protocol = 1
	_, tables := built(t, s, plan(1), w)
	same(t, "visits", cells(tables["visits"], "visit_seq", "protocol_version"), "1 2.0", "2 2.0", "3 3.0", "4 2.0")
	same(t, "visit_schedule", cells(tables["visit_schedule"], "version_order", "protocol_version", "visit_order", "visit", "protocol_day", "day_convention", "target_day", "window_hi_day"),
		"1 2.0 1 baseline 0 elapsed 0 0", "1 2.0 2 month_1 30 elapsed 30 44", "1 2.0 3 month_3 90 elapsed 90 111", "1 2.0 4 phone 100 elapsed 100 ∅",
		"2 3.0 1 baseline 0 elapsed 0 0", "2 3.0 2 month_1 29 cdisc 28 35", "2 3.0 4 phone 100 elapsed 100 ∅")
}
