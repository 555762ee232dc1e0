package release

import (
	"longitude/study"
)

// Names of the tables that every release has; the forms' tables carry the names
// of the forms.
const (
	tableParticipants = "participants"
	tableVisits       = "visits"
	tableSchedule     = "visit_schedule"
	tableStatus       = "visit_status"
	tableDeviations   = "deviations"
	tableCodelists    = "codelists"
	tableReasons      = "missing_reasons"
	tableDictionary   = "data_dictionary"
	tableInfo         = "release_info"
	tableQuality      = "data_quality"
)

// Code lists that belong to the study model and not to a form.
const (
	listVisits         = "visits"
	listTiming         = "timing"
	listStatus         = "visit_status"
	listDeviation      = "deviation"
	listDeviationKind  = "deviation_kind"
	listDeviationState = "deviation_state"
	listReasons        = "missing_reasons"
	listOffChart       = "acuity_off_chart"
	listCheckKind      = "check_kind"
	listSeverity       = "severity"
)

// Tables describes the tables of a release of s before door 2. Those about
// participants come first, in the order in which Builder.Take gives their rows,
// then those of Builder.Static.
func Tables(s *study.Study) []*study.Table {
	participants, _ := participantsTable(s)
	tables := []*study.Table{participants, visitsTable(s), statusTable(), deviationsTable()}
	taken := map[string]bool{
		tableParticipants: true, tableVisits: true, tableSchedule: true, tableStatus: true, tableDeviations: true,
		tableCodelists: true, tableReasons: true, tableDictionary: true, tableInfo: true, tableQuality: true,
	}
	for i := range s.Forms {
		table, _ := formTable(s, i)
		for taken[table.Name] {
			table.Name = "form_" + table.Name
		}
		taken[table.Name] = true
		tables = append(tables, table)
	}
	for _, table := range analysisOf(s).tables() {
		for taken[table.Name] {
			table.Name = "analysis_" + table.Name
		}
		taken[table.Name] = true
		tables = append(tables, table)
	}
	for _, table := range []*study.Table{scheduleTable(), qualityTable(), codelistsTable(), reasonsTable(), dictionaryTable(), infoTable()} {
		for c := range table.Columns {
			table.Columns[c].Masking = "kept" // as door 2 says of what is about nobody
		}
		tables = append(tables, table)
	}
	return tables
}

// calendar reports whether releases of s carry calendar dates at all. Study days
// are always there.
func calendar(s *study.Study) bool {
	switch s.Deid.Dates {
	case "shift", "year", "keep":
		return !s.Relative
	}
	return false
}

// Columns that many tables share.
func participantColumn() study.Column {
	return study.Column{Name: "participant_id", Label: "Participant", Kind: study.TextKind, Class: study.ParticipantKey,
		Description: "The participant's id in this release series."}
}

func visitIDColumn(nullable bool) study.Column {
	return study.Column{Name: "visit_id", Label: "Visit id", Kind: study.TextKind, Class: study.OtherKey, Nullable: nullable,
		Description: "Stable id of the visit; joins with visits."}
}

func visitSeqColumn() study.Column {
	return study.Column{Name: "visit_seq", Label: "Visit order", Kind: study.Int64Kind, Class: study.Clinical,
		Description: "Order of the visit among the participant's released visits, from 1; 0 where the row belongs to none."}
}

func visitColumn() study.Column {
	return study.Column{Name: "visit", Label: "Visit type", Kind: study.TextKind, Class: study.Clinical, Nullable: true, CodeList: listVisits,
		Description: "Visit type of the protocol; NULL for an unscheduled visit."}
}

func studyDayColumn() study.Column {
	return study.Column{Name: "study_day", Label: "Study day", Kind: study.Int64Kind, Unit: "days", Class: study.StudyDate, Nullable: true,
		Description: "Day of the visit as CDISC counts: the baseline visit is day 1, the day before it -1, there is no day 0; NULL where the baseline or the visit is not known to the day.",
		Transform:   "study_day"}
}

func plain(name, label string, kind study.Kind, description string) study.Column {
	return study.Column{Name: name, Label: label, Kind: kind, Class: study.Clinical, Description: description}
}

func nullable(c study.Column) study.Column { c.Nullable = true; return c }

func coded(c study.Column, list string) study.Column { c.CodeList = list; return c }

func days(c study.Column) study.Column {
	c.Unit, c.Class, c.Nullable = "days", study.StudyDate, true
	return c
}

func date(name, label, description string) study.Column {
	return study.Column{Name: name, Label: label, Kind: study.DateKind, Class: study.DateClass, Nullable: true, Description: description}
}

func participantsTable(s *study.Study) (*study.Table, []personal) {
	t := &study.Table{Name: tableParticipants, Label: "Participants", Grain: "one row per participant", Key: []string{"participant_id"}}
	t.Columns = []study.Column{
		participantColumn(),
		{Name: "site", Label: "Site", Kind: study.TextKind, Class: study.Quasi, Nullable: true, Description: "Site code."},
		days(plain("consent_study_day", "Consent, study day", study.Int64Kind, "Study day of consent; NULL where consent is recorded outside the study's data.")),
		plain("withdrawn", "Withdrawn", study.BoolKind, "Whether the participant withdrew from follow-up."),
		days(plain("withdrawal_study_day", "Withdrawal, study day", study.Int64Kind, "Study day of withdrawal from follow-up.")),
		plain("n_visits", "Visits", study.Int64Kind, "Number of the participant's visits in this release."),
		days(plain("last_contact_study_day", "Last contact, study day", study.Int64Kind, "Study day of the last released visit.")),
		days(plain("followup_days", "Follow-up", study.Int64Kind, "Days elapsed from baseline to the last released visit.")),
		plain("all_required_visits_done", "All required visits done", study.BoolKind, "Whether every required visit of the protocol is completed."),
	}
	if calendar(s) {
		t.Columns = append(t.Columns, date("consent_date", "Consent", "Date of consent."), date("withdrawal_date", "Withdrawal", "Date of withdrawal from follow-up."))
	}
	return t, quasiColumns(s, t)
}

func visitsTable(s *study.Study) *study.Table {
	t := &study.Table{Name: tableVisits, Label: "Visits", Grain: "one row per visit that happened", Key: []string{"participant_id", "visit_seq"}}
	t.Columns = []study.Column{
		participantColumn(), visitSeqColumn(), visitIDColumn(false), visitColumn(),
		nullable(plain("visit_label", "Visit", study.TextKind, "Label of the visit type.")),
		plain("is_unscheduled", "Unscheduled", study.BoolKind, "Whether the visit matches no visit type of the protocol."),
		studyDayColumn(),
		days(plain("days_from_baseline", "Days from baseline", study.Int64Kind, "Days elapsed from the baseline visit, which is day 0.")),
		days(plain("target_day", "Target day", study.Int64Kind, "Day on which the visit was due, elapsed from baseline.")),
		days(plain("window_lo_day", "Window opens", study.Int64Kind, "First day inside the visit's window, elapsed from baseline.")),
		days(plain("window_hi_day", "Window closes", study.Int64Kind, "Last day inside the visit's window, elapsed from baseline.")),
		days(plain("days_from_target", "Days from target", study.Int64Kind, "Days from the target day; negative is before it.")),
		days(plain("days_outside_window", "Days outside window", study.Int64Kind, "Days to the nearer end of the window; 0 inside, negative is early.")),
		nullable(plain("in_window", "In window", study.BoolKind, "Whether the visit lies in its window; NULL where there is no window or it cannot be told.")),
		coded(plain("timing", "Timing", study.TextKind, "Where the visit lies against its window."), listTiming),
		plain("protocol_version", "Protocol version", study.TextKind, "Version of the protocol that judged the visit."),
		plain("deviation_codes", "Deviations", study.TextKind, "Codes of the visit's deviations that are not resolved, separated by semicolons; empty where there is none."),
	}
	if calendar(s) {
		t.Columns = append(t.Columns, date("visit_date", "Visit date", "Date of the visit."))
	}
	return t
}

func statusTable() *study.Table {
	return &study.Table{Name: tableStatus, Label: "Visit status", Grain: "one row per participant and visit type that is settled",
		Key: []string{"participant_id", "visit_order"},
		Columns: []study.Column{
			participantColumn(),
			plain("visit_order", "Visit order", study.Int64Kind, "Place of the visit type in the protocol, from 1."),
			coded(plain("visit", "Visit type", study.TextKind, "Visit type of the protocol."), listVisits),
			coded(plain("visit_status", "Status", study.TextKind, "What became of the visit. What is not completed appears only some time after its window has closed."), listStatus),
			visitIDColumn(true),
			days(plain("target_day", "Target day", study.Int64Kind, "Day on which the visit was due, elapsed from baseline.")),
		}}
}

func deviationsTable() *study.Table {
	return &study.Table{Name: tableDeviations, Label: "Deviations", Grain: "one row per deviation or violation that is not resolved",
		Key: []string{"participant_id", "deviation_seq"},
		Columns: []study.Column{
			participantColumn(),
			plain("deviation_seq", "Order", study.Int64Kind, "Order among the participant's deviations, from 1."),
			visitIDColumn(true), visitColumn(), visitSeqColumn(),
			coded(plain("deviation", "Deviation", study.TextKind, "Code of the deviation."), listDeviation),
			coded(plain("deviation_kind", "Kind", study.TextKind, "Whether the data stay usable."), listDeviationKind),
			coded(plain("deviation_state", "State", study.TextKind, "Whether a reason is recorded."), listDeviationState),
			nullable(plain("form", "Form", study.TextKind, "The form it is about, where it is about one.")),
		}}
}

func scheduleTable() *study.Table {
	return &study.Table{Name: tableSchedule, Label: "Visit schedule", Grain: "one row per visit type of each version of the protocol", Key: []string{"version_order", "visit_order"},
		Columns: []study.Column{
			plain("version_order", "Version order", study.Int64Kind, "Place of the protocol version in the order of adoption, from 1."),
			plain("protocol_version", "Protocol version", study.TextKind, "Version of the protocol; visits names the one that judged each visit."),
			plain("visit_order", "Visit order", study.Int64Kind, "Place of the visit type in the protocol, from 1."),
			coded(plain("visit", "Visit type", study.TextKind, "Visit type of the protocol."), listVisits),
			plain("visit_label", "Visit", study.TextKind, "Label of the visit type."),
			nullable(plain("protocol_day", "Protocol day", study.Int64Kind, "Target day as the protocol writes it; NULL where the visit has no target.")),
			plain("day_convention", "Day convention", study.TextKind, "How the target day is counted: elapsed from 0, or cdisc from 1."),
			nullable(plain("counts_from", "Counts from", study.TextKind, "Visit type, or form and date field, that the target day counts from; NULL is the baseline visit.")),
			days(plain("target_day", "Target day", study.Int64Kind, "Target day, elapsed from what it counts from.")),
			days(plain("window_lo_day", "Window opens", study.Int64Kind, "First day inside the window, elapsed likewise; NULL where there is no window.")),
			days(plain("window_hi_day", "Window closes", study.Int64Kind, "Last day inside the window, elapsed likewise; NULL where there is no window.")),
			plain("required", "Required", study.BoolKind, "Whether the protocol requires the visit."),
			plain("critical_forms", "Critical forms", study.TextKind, "Forms without which the visit is a violation, separated by semicolons."),
			plain("required_forms", "Required forms", study.TextKind, "Other forms expected at the visit, separated by semicolons."),
			plain("optional_forms", "Optional forms", study.TextKind, "Forms that are never missed, separated by semicolons."),
			plain("repeats", "Repeats", study.BoolKind, "Whether any number of visits may be of the type."),
		}}
}

func codelistsTable() *study.Table {
	return &study.Table{Name: tableCodelists, Label: "Code lists", Grain: "one row per code", Key: []string{"codelist", "position"},
		Columns: []study.Column{
			plain("codelist", "Code list", study.TextKind, "Name of the list, as the dictionary refers to it."),
			plain("position", "Position", study.Int64Kind, "Place of the code in its list, from 1."),
			plain("code", "Code", study.TextKind, "The code, as it stands in the data."),
			plain("label", "Meaning", study.TextKind, "What it means."),
		}}
}

func reasonsTable() *study.Table {
	return &study.Table{Name: tableReasons, Label: "Missing reasons", Grain: "one row per reason why a value is missing", Key: []string{"position"},
		Columns: []study.Column{
			plain("position", "Position", study.Int64Kind, "Place in the list, from 1."),
			coded(plain("code", "Code", study.TextKind, "The reason, as it stands in the columns that end in _missing."), listReasons),
			plain("label", "Meaning", study.TextKind, "What it means."),
		}}
}

func dictionaryTable() *study.Table {
	text := func(name, label, description string) study.Column {
		return plain(name, label, study.TextKind, description)
	}
	return &study.Table{Name: tableDictionary, Label: "Data dictionary", Grain: "one row per column of a table", Key: []string{"table_order", "column_order"},
		Columns: []study.Column{
			plain("table_order", "Table order", study.Int64Kind, "Place of the table in the dictionary, from 1."),
			plain("column_order", "Column order", study.Int64Kind, "Place of the column in its table, from 1."),
			text("table_name", "Table", "Name of the table."),
			text("column_name", "Column", "Name of the column."),
			text("label", "Label", "Short label of the column."),
			text("description", "Description", "What the column means."),
			text("data_type", "Type", "integer, decimal, number, boolean, date, string or datetime."),
			plain("is_key", "Key", study.BoolKind, "Whether the column is part of the table's key."),
			plain("is_nullable", "Nullable", study.BoolKind, "Whether the column may be NULL."),
			nullable(text("unit", "Unit", "Unit of the values.")),
			nullable(text("codelist", "Code list", "Code list of the values.")),
			nullable(text("form", "Form", "Form the value comes from; NULL where it is derived.")),
			nullable(text("field", "Field", "Field the value comes from.")),
			nullable(text("transform", "Transform", "How the value was made from the field.")),
			text("privacy_class", "Privacy class", "Class that decided what may leave."),
			text("masking", "Masking", "What was done to the values before release."),
		}}
}

func infoTable() *study.Table {
	text := func(name, label, description string) study.Column {
		return plain(name, label, study.TextKind, description)
	}
	return &study.Table{Name: tableInfo, Label: "Release information", Grain: "one row", Key: []string{"release_id"},
		Columns: []study.Column{
			text("release_id", "Release", "Id of the release."),
			text("study", "Study", "Name of the study."),
			text("title", "Title", "Title of the study."),
			nullable(text("version", "Version", "Version of the data.")),
			text("series", "Series", "Release series: ids of participants are stable within it."),
			plain("as_of", "As of", study.DateKind, "Date on which visits were judged."),
			nullable(plain("data_cutoff", "Data cut-off", study.DateKind, "Nothing collected later is in the release.")),
			text("protocol_id", "Protocol", "Id of the protocol."),
			text("protocol_version", "Protocol version", "Version of the protocol."),
			text("day_convention", "Day convention", "How the protocol writes its target days: elapsed from 0, or cdisc from 1."),
			text("claim", "Claim", "The strongest de-identification claim that the rules applied allow."),
			text("date_treatment", "Dates", "What was done to dates."),
			nullable(text("previous_release_id", "Previous release", "The release of the series before this one.")),
			plain("n_participants", "Participants", study.Int64Kind, "Number of participants."),
			plain("n_visits", "Visits", study.Int64Kind, "Number of visits."),
		}}
}
