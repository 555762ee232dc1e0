package study

import "time"

// Source is one source document: where objects come from, how they are read
// and how their rows map onto the study.
type Source struct {
	Name        string
	Study       string
	Connector   string // type, the key of the connector list
	Schedule    Schedule
	Retry       Retry
	Format      FormatSpec
	Snapshot    Snapshot
	Drift       DriftPolicy
	Precedence  int32 // where sources disagree, the higher counts; of equals what was modified, or else landed, last
	MaxRejected Limit // of rows and records refused of one object; more stop the run before anything of it is recorded
	Map         Mapping
	Digest      Digest // of the document as written: the version of the mapping
}

// Snapshot says what the absence of a record from an object means.
type Snapshot struct {
	Kind       string  // incremental: nothing | complete: removed at the source | complete_by_name: removed, if an object of the same name had it
	MaxRemoved float64 // share of the source's live records; if more would vanish, nothing is removed and the run stops
}

// The kinds of a snapshot.
const (
	Incremental    = "incremental"
	Complete       = "complete"
	CompleteByName = "complete_by_name"
)

// DriftPolicy says what a change of an object's shape does.
type DriftPolicy struct{ NewColumn, MissingColumn, TypeChange DriftAction }

// DriftAction is what a change of shape does to the object that brings it.
type DriftAction string

// Evolve reads the object and records the event, quarantine puts the whole object
// aside and goes on, freeze stops the source until a person accepts the shape.
const (
	Evolve          DriftAction = "evolve"
	QuarantineDrift DriftAction = "quarantine"
	Freeze          DriftAction = "freeze"
)

// Limit is a count or a share; the zero value is no limit.
type Limit struct {
	Count int64
	Share float64 // of 1
}

// Exceeded reports whether n of total is more than the limit allows.
func (l Limit) Exceeded(n, total int64) bool {
	return l.Count > 0 && n > l.Count || l.Share > 0 && float64(n) > l.Share*float64(total)
}

// Schedule says when a source is pulled.
type Schedule struct {
	Cron     string // five fields, or @every; "" = by hand
	Timezone string
	Jitter   time.Duration
	CatchUp  string // latest | all | skip
}

// Retry bounds the retrying of temporary errors.
type Retry struct {
	Attempts     int
	Initial, Max time.Duration
}

// FormatSpec names the format of a source's objects and its dialect. Keys that a
// format does not know are refused by its Check.
type FormatSpec struct {
	Type        string   // csv, json, ndjson, xlsx, xport, datasetjson, odm, fhir
	Delimiter   string   // one character; csv
	Quote       string   // one character, or none: quotes mean nothing; csv
	Escape      string   // double (a quote is written twice) | backslash; csv
	Comment     string   // lines that begin with it are left out; csv
	SkipLines   int      // lines before the header; csv, xlsx
	Encoding    string   // auto | utf-8 | windows-1252 | utf-16 …; csv, xport
	Header      bool     // the first line names the columns; csv, xlsx
	Names       []string // of the columns, where there is no header; csv, xlsx
	DecimalMark string   // "." or ","
	Table       string   // the sheet (xlsx) or member (xport) to read; "" = the first sheet, the only member
	Records     string   // JSON pointer to the array of records; "" = the document itself; json. form | group: what a row is; odm. resource | answer: the same; fhir
	Columns     []string // what the mapping asks for; a format whose rows have no fixed columns yields these, in this order
}

// Mapping says which column feeds what. Pick is the zero value where nothing is mapped.
type Mapping struct {
	Participant   Pick
	Namespace     string // of the participant identifiers
	Site          Pick
	Visit         Pick
	VisitBy       string            // name | number | date
	VisitAliases  map[string]string // source value → visit type name
	VisitRepeat   Pick              // tells visits of one name or one date apart
	VisitDate     Pick
	VisitDay      Pick // relative calendar: days from the anchor
	Planned       Pick
	BaselineDate  Pick
	Reason        Pick     // reason of a deviation: sealed
	Modified      Pick     // orders versions
	Entered       Pick     // first entry, for late_entry
	Author        Pick     // sealed
	Withdrawn     Pick     // date of withdrawal from follow-up
	Status        Pick     // of the participant, recoded to a ParticipantStatus
	StatusDate    Pick     // since when
	ChangeReason  Pick     // why the source changed the record: sealed
	Deleted       Pick     // the source says that the record was removed …
	DeletedValues []string // … where this is non-empty, or one of these, when given
	Forms         []FormMapping
}

// FormMapping maps one row onto one form.
type FormMapping struct {
	Form       string
	Occurrence Pick
	When       Pick     // the row feeds this form only where this is non-empty …
	WhenValues []string // … or one of these, when given
	Pivot      Pivot
	Fields     []FieldMapping // in the order written
}

// Pivot turns a long table, one row per value, into one record per visit and
// occurrence: Code says which field a row is about, Value is the value.
type Pivot struct{ Code, Value Pick }

// FieldMapping maps one column onto one field.
type FieldMapping struct {
	Field string
	Pick  Pick
}

// Pick takes one value from a row: a column or a constant, recoded.
type Pick struct {
	Column  string
	Value   string // constant; used when Column is ""
	Const   bool   // Value is meant, even when empty
	Expr    string // over the row's columns; used when Column is "" and there is no constant
	Code    string // in a pivot: the rows whose code is this
	Trim    bool   // leading and trailing space is no part of the value
	Unit    string // that the source measures in, converted exactly and rounded once, half to even, to the field's decimals
	Format  string // Go reference layout for dates; NumericFormat for a ZIP code out of a column of numbers
	Scale   string // acuity scale of the values, e.g. etdrs_letters
	Values  map[string]string
	Missing map[string]string // source code → missing reason
}

// NumericFormat says that a column holds numbers, which have no leading zeros.
const NumericFormat = "numeric"

// Mapped reports whether the pick takes anything.
func (p Pick) Mapped() bool { return p.Column != "" || p.Const || p.Expr != "" || p.Code != "" }

// Metadata is one thing that a source says of its own shape, as it sent it: a
// dictionary, a list of events. It holds no participant data.
type Metadata struct {
	Name  string // what it is, in the source's words: metadata, event, arm
	Bytes []byte
}
