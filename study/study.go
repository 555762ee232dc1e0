package study

import "slices"

// Study is one study document: the protocol and its forms as data. It is
// validated by internal/config before anyone else sees it.
type Study struct {
	Name       string // [a-z][a-z0-9-]*, also the folder of its releases
	Title      string
	Protocol   Protocol
	CodePrefix string // participant codes are PREFIX-XXXXXXXXXXXXXXXXXXXX
	Timezone   string // IANA name; instants are reduced to civil dates there
	Days       DayConvention
	Relative   bool // sources give days from the anchor instead of dates

	Enrolment  Enrolment
	Consent    Consent
	Deviations DeviationPolicy
	Visits     []VisitType       // every type that any version of the protocol has, in protocol order, as the newest with it defines it
	Versions   []ProtocolVersion // in order of adoption, at least one
	Forms      []Form            // in dictionary order
	Checks     []CrossCheck      // across forms
	Facts      []FactSource      // what single fields tell of the participant as a whole
	Deid       DeidPolicy
	Releases   ReleasePolicy

	Digest Digest // of the document as written: the version of protocol and dictionary
}

// Protocol names the rulebook and its newest version; its version of record is Study.Digest.
type Protocol struct{ ID, Version string }

// ProtocolVersion is the protocol as amended. The version in force at a site on a
// visit's date judges that visit: amendments are adopted site by site.
type ProtocolVersion struct {
	Version   string
	Effective Date            // NoDate: from the beginning
	Sites     map[string]Date // sites that adopted it on another day; NoDate = never
	Visits    []VisitType     // parallel to Study.Visits
}

// FactKind says what a fact is for.
type FactKind string

// An event is a date that windows may count from. Sex and birth year tell one
// person from another: a record that contradicts them is held.
const (
	EventFact     FactKind = "event"
	SexFact       FactKind = "sex"
	BirthYearFact FactKind = "birth_year"
)

// FactSource is a field whose value is a fact about the participant. Its field is
// never sealed. Several sources may tell the same fact of sex or birth year.
type FactSource struct {
	Name        string // form.field; what VisitType.Anchor says
	Kind        FactKind
	Form, Field int
}

// CrossCheck is an expression over several forms of one participant, evaluated
// for every record of On. form.field is the value of that form at the same visit
// (and of the same occurrence, where both repeat), else its latest one before
// that visit, else of its only record without a visit; else null.
type CrossCheck struct {
	Name, Expr string
	On         int      // form: a finding is about a record of it
	Severity   Severity // flag or note: what is stored is not rejected afterwards
}

// DayConvention says how the protocol writes its target days.
type DayConvention string

// Elapsed counts baseline as day 0. CDISC counts baseline as day 1, the day
// before it as -1, and has no day 0 (SDTM Implementation Guide 4.4.4).
const (
	Elapsed DayConvention = "elapsed"
	CDISC   DayConvention = "cdisc"
)

// Enrolment says when a participant is in the study: at first sight, when a
// record of Form has arrived, or by roster.
type Enrolment struct {
	Kind string // first_seen | form | roster
	Form string
}

// Consent says where the consent date comes from: a date Field of Form, or
// outside ("external"), in which case consent checks are not evaluable.
type Consent struct {
	Kind        string // form | external
	Form, Field string
}

// DeviationPolicy holds the study's choices for the rules of the study model.
type DeviationPolicy struct {
	LateEntryDays      int                      // first entry later than this many days after the visit
	FormGraceDays      int                      // absence of a form is judged only after this many days
	VisitOutOfWindow   string                   // accept | require_reason | block
	PlannedOutOfWindow string                   // flag | block
	Kinds              map[string]DeviationKind // codes that the protocol moves between deviation and violation
}

// VisitType is a slot of the protocol.
type VisitType struct {
	Name, Label string
	Number      string // event code, matched when a source maps visits by number
	Aliases     []string
	Days        DayConvention // that Day is written in; "" = the study's
	Day         int           // target day
	Before      int           // days before the target that are still inside, >= 0
	After       int           // days after the target that are still inside, >= 0
	HasWindow   bool          // false: the visit is never judged against a window
	NoTarget    bool          // no target day, so no due date either (an early-termination visit)
	Anchor      string        // visit type, or fact of kind event, that Day counts from; "" = the baseline
	Required    bool
	Repeats     bool // any number of visits may be of this type; none of them has a target day
	MaxDays     int  // placed by date also this many days outside the window, where nothing is nearer; 0 = not at all
	Absent      bool // this version of the protocol has no such visit
	Forms       []VisitForm
}

// VisitForm is a form expected at a visit type.
type VisitForm struct {
	Form     string
	Critical bool
	Optional bool // never missed
}

// Form is a case report form: a named list of fields.
type Form struct {
	Name, Label string
	Log         bool     // tied to no visit (adverse events, medication)
	RepeatsBy   string   // the field whose value is the occurrence; "" = once per visit
	Expect      []string // occurrences expected at each visit (per-eye forms: R, L)
	Fields      []Field
	Checks      []Check
}

// Check is a cross-field expression over the values of one record.
type Check struct {
	Name, Expr string
	Severity   Severity
}

// Severity says what a failed check does to the record.
type Severity string

// Reject quarantines the record, Flag stores it with a finding, Note only counts.
const (
	Reject Severity = "reject"
	Flag   Severity = "flag"
	Note   Severity = "note"
)

// FieldType is the type of a field's values.
type FieldType string

// The field types. Text and File never enter the research schema: they are sealed.
const (
	Text     FieldType = "text"
	Integer  FieldType = "integer"
	Decimal  FieldType = "decimal"
	Boolean  FieldType = "boolean"
	DateType FieldType = "date"
	DateTime FieldType = "datetime"
	TimeType FieldType = "time"
	Choice   FieldType = "choice"
	Choices  FieldType = "choices"
	Acuity   FieldType = "acuity"
	File     FieldType = "file"
	Zip      FieldType = "zip" // US ZIP code, five or nine digits
)

// Class is the privacy class of a field; it decides what may leave and how.
type Class string

// The privacy classes. Unclassified fields are never released.
const (
	Unclassified     Class = ""
	DirectIdentifier Class = "direct_identifier"
	ParticipantKey   Class = "participant_key"
	OtherKey         Class = "other_key"
	Quasi            Class = "quasi"
	DateClass        Class = "date"
	StudyDate        Class = "study_date"
	Clinical         Class = "clinical"
	Sensitive        Class = "sensitive"
	Blinded          Class = "blinded"
	FreeText         Class = "free_text"
	Attachment       Class = "attachment"
	System           Class = "system"
)

// Sealed reports whether values of class c go to the vault at door 1.
func (c Class) Sealed() bool {
	switch c {
	case DirectIdentifier, FreeText, Attachment, System:
		return true
	}
	return false
}

// Field is one question of a form.
type Field struct {
	Name, Label      string
	Type             FieldType
	Precision, Scale int // decimal(Precision, Scale)
	Required         bool
	Min, Max         string // range as decimal or ISO date text, inclusive unless said otherwise; "" = open
	MinOpen, MaxOpen bool   // the end itself is outside
	Severity         FieldSeverity
	Pattern          string // RE2, whole value
	Unit             string
	Choices          []ChoiceItem
	Class            Class
	Release          Treatment
}

// Sealed reports whether the field's values go to the vault at door 1. A field
// without a class is sealed unless its type makes it typed data.
func (f Field) Sealed() bool {
	return f.Class.Sealed() || f.Type == Text || f.Type == File
}

// Reviews reports whether texts of the form leave once two people have read them.
func (f *Form) Reviews() bool {
	return slices.ContainsFunc(f.Fields, func(field Field) bool { return field.Release.Action == Reviewed })
}

// ReviewsTexts reports whether texts of any form do.
func (s *Study) ReviewsTexts() bool {
	return slices.ContainsFunc(s.Forms, func(f Form) bool { return f.Reviews() })
}

// FieldSeverity says what a value that breaks a rule does; "" is the default:
// reject for type and choice, flag for the rest. Where type or choice do not
// reject, the value is missing with the reason "invalid".
type FieldSeverity struct{ Type, Choice, Required, Range, Pattern Severity }

// ChoiceItem is one code of a code list.
type ChoiceItem struct{ Code, Label string }

// ReleasePolicy says where releases go and who must approve.
type ReleasePolicy struct {
	Schedule string // cron; "" = by hand
	To       []string
	Analysis []Parameter // what the tables for analysis follow from visit to visit; nil = every number that leaves as it is
}

// FormIndex returns the index of the named form, or -1.
func (s *Study) FormIndex(name string) int {
	for i := range s.Forms {
		if s.Forms[i].Name == name {
			return i
		}
	}
	return -1
}

// VisitIndex returns the index of the named visit type, or -1.
func (s *Study) VisitIndex(name string) int {
	for i := range s.Visits {
		if s.Visits[i].Name == name {
			return i
		}
	}
	return -1
}

// FieldIndex returns the index of the named field, or -1.
func (f *Form) FieldIndex(name string) int {
	for i := range f.Fields {
		if f.Fields[i].Name == name {
			return i
		}
	}
	return -1
}
