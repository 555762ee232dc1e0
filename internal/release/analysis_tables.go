package release

import (
	"strings"

	"longitude/study"
)

// tables describes observations, participant_visit_wide and, where the study has eyes,
// eyes; none of them where the study follows no parameter.
func (a *analysis) tables() []*study.Table {
	if len(a.parameters) == 0 {
		return nil
	}
	tables := []*study.Table{observationsTable(), a.wideTable()}
	if a.eyeTable {
		tables = append(tables, a.eyesTable())
	}
	return tables
}

func number(name, label, unit, description string) study.Column {
	c := nullable(plain(name, label, study.FloatKind, description))
	c.Unit = unit
	return c
}

func observationsTable() *study.Table {
	return &study.Table{Name: tableObservations, Label: "Observations", Grain: "one row per value, or missing value with a reason, of a parameter at a visit",
		Key: []string{"participant_id", "param_order", "visit_seq", "record_seq"},
		Columns: []study.Column{
			participantColumn(),
			plain("param_order", "Parameter order", study.Int64Kind, "Place of the parameter in its code list, from 1."),
			coded(plain("param", "Parameter", study.TextKind, "What was observed: form and field."), listParameters),
			visitSeqColumn(), visitColumn(), studyDayColumn(),
			nullable(plain("in_window", "In window", study.BoolKind, "Whether the visit lies in its window; NULL where there is no window or it cannot be told.")),
			plain("record_seq", "Record order", study.Int64Kind, "Order of the record among the participant's records of the form at the visit; joins with the table of the form."),
			nullable(plain("eye", "Eye", study.TextKind, "The eye, as the form codes it; NULL where the form tells none.")),
			nullable(plain("method", "Method", study.TextKind, "How it was observed, as the form codes it, where the study compares values of one method only.")),
			nullable(plain("value_num", "Value", study.FloatKind, "The value as a number; acuity as logMAR, yes as 1. NULL where it is missing, a code, or off the chart.")),
			nullable(plain("value_code", "Code", study.TextKind, "The value, where it is a code, or what a reading off the chart was.")),
			nullable(plain("unit", "Unit", study.TextKind, "Unit of the value.")),
			nullable(coded(plain("missing_reason", "Why missing", study.TextKind, "Reason why the value is missing."), listReasons)),
			plain("is_baseline", "Baseline", study.BoolKind, "Whether this is the value that changes are counted from: the last number on or before the day of the baseline visit, of the same eye and method."),
			nullable(plain("base_value", "Value at baseline", study.FloatKind, "The value at baseline.")),
			nullable(plain("base_visit_seq", "Baseline's visit", study.Int64Kind, "The visit that the value at baseline is of.")),
			nullable(plain("change_from_baseline", "Change from baseline", study.FloatKind, "The value minus the value at baseline, in the decimals of the field.")),
			plain("analysis_flag", "Stands for the visit", study.BoolKind, "Whether this value stands for its visit type: the one of the visit nearest its target day, of equals the earliest; one per participant, parameter, eye, method and visit type."),
		}}
}

// wideTable has the value that stands for a visit type, the one at baseline and the
// change, for each parameter and eye.
func (a *analysis) wideTable() *study.Table {
	t := &study.Table{Name: tableWide, Label: "Participants by visit", Grain: "one row per participant and visit type with a value that stands for it",
		Key: []string{"participant_id", "visit_order"},
		Columns: []study.Column{
			participantColumn(),
			plain("visit_order", "Visit order", study.Int64Kind, "Place of the visit type in the protocol, from 1."),
			coded(plain("visit", "Visit type", study.TextKind, "Visit type of the protocol."), listVisits),
		}}
	for i := range a.parameters {
		p := &a.parameters[i]
		for _, eye := range a.eyesOf(p) {
			t.Columns = append(t.Columns, p.wide(eye)...)
		}
		if p.compares(a) {
			t.Columns = append(t.Columns,
				nullable(plain(p.name+"_better_eye", p.label+": better eye", study.TextKind, "The eye with the lower value at baseline, of equals the first of the code list; NULL unless both have one.")),
				p.of(number(p.name+"_better", p.label+": better eye", p.unit, "Value of the eye that was better at baseline."), "analysis_value"),
				p.of(number(p.name+"_worse", p.label+": worse eye", p.unit, "Value of the other eye."), "analysis_value"))
		}
	}
	return t
}

// eyesOf are the eyes that a parameter has columns for; "" where it is of none.
func (a *analysis) eyesOf(p *parameter) []string {
	if p.eye < 0 {
		return []string{""}
	}
	return a.eyes
}

// compares reports whether a parameter knows a better eye of two.
func (p *parameter) compares(a *analysis) bool { return p.lower && p.eye >= 0 && len(a.eyes) == 2 }

// wide are the columns of a parameter, of one eye where it has eyes.
func (p *parameter) wide(eye string) []study.Column {
	name, of := p.name, p.label
	if eye != "" {
		name, of = name+suffix(eye), of+", eye "+eye
	}
	if p.number < 0 {
		return []study.Column{p.of(nullable(plain(name, of, study.TextKind, "The code that stands for the visit.")), "analysis_value")}
	}
	return []study.Column{
		p.of(number(name, of, p.unit, "The value that stands for the visit."), "analysis_value"),
		p.of(number(name+"_bl", of+": at baseline", p.unit, "The value at baseline."), "baseline"),
		p.of(number(name+"_chg", of+": change", p.unit, "The value minus the value at baseline."), "change_from_baseline"),
	}
}

// of says which field a column is made of, and how.
func (p *parameter) of(c study.Column, transform string) study.Column {
	c.Form, c.Field, _ = strings.Cut(p.code, ".")
	c.Transform = transform
	return c
}

func (a *analysis) eyesTable() *study.Table {
	t := &study.Table{Name: tableEyes, Label: "Eyes", Grain: "one row per participant and eye with a value", Key: []string{"participant_id", "eye_order"},
		Columns: []study.Column{
			participantColumn(),
			plain("eye_order", "Eye order", study.Int64Kind, "Place of the eye in its code list, from 1."),
			coded(plain("eye", "Eye", study.TextKind, "The eye."), listEyes),
			plain("n_observations", "Values", study.Int64Kind, "Number of values of the eye among the observations."),
			days(plain("first_study_day", "First value, study day", study.Int64Kind, "Study day of the first visit with a value of the eye.")),
			days(plain("last_study_day", "Last value, study day", study.Int64Kind, "Study day of the last visit with a value of the eye.")),
		}}
	for i := range a.parameters {
		if p := &a.parameters[i]; p.eye >= 0 && p.number >= 0 {
			t.Columns = append(t.Columns, p.of(number(p.name+"_bl", p.label+": at baseline", p.unit, "The value at baseline."), "baseline"))
		}
	}
	return t
}

// lists are the code lists of the tables for analysis.
func (a *analysis) lists() []codelist {
	if len(a.parameters) == 0 {
		return nil
	}
	parameters := codelist{name: listParameters}
	for _, p := range a.parameters {
		parameters.items = append(parameters.items, study.ChoiceItem{Code: p.code, Label: p.label})
	}
	lists := []codelist{parameters}
	if a.eyeTable {
		eyes := codelist{name: listEyes}
		for _, eye := range a.eyes {
			eyes.items = append(eyes.items, study.ChoiceItem{Code: eye, Label: eyeName(eye)})
		}
		lists = append(lists, eyes)
	}
	return lists
}

func eyeName(code string) string {
	switch strings.ToUpper(code) {
	case "R", "RIGHT", "OD":
		return "Right"
	}
	return "Left"
}
