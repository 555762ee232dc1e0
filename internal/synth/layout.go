package synth

// The columns of a site's drop, in order, as configs/amd/README.md documents
// them. Every file has all of them; a row fills those of its own form.
const (
	patientID = iota
	formName
	visitName
	visitDate
	lastModified
	createdAt
	modifiedBy
	deviationReason
	withdrawnOn
	consentDate
	sex
	birthYear
	age
	initials
	diabetes
	hypertension
	smoking
	eye
	va
	iop
	method
	notes
	cst
	fluid
	aeID
	aeTerm
	aeOnset
	aeSeverity
	aeNarrative
	cmID
	cmDrug
	cmDose
	cmStart
	columns
)

var header = [columns]string{
	"PATIENT_ID", "FORM", "VISIT", "VISIT_DATE", "LAST_MODIFIED", "CREATED_AT", "MODIFIED_BY",
	"DEVIATION_REASON", "WITHDRAWN_ON", "CONSENT_DATE", "SEX", "BIRTH_YEAR", "AGE", "INITIALS",
	"DIABETES", "HYPERTENSION", "SMOKING", "EYE", "VA", "IOP", "METHOD", "NOTES", "CST", "FLUID",
	"AE_ID", "AE_TERM", "AE_ONSET", "AE_SEVERITY", "AE_NARRATIVE", "CM_ID", "CM_DRUG", "CM_DOSE", "CM_START",
}

// Forms in the order of the study document.
const (
	consentForm     = "informed_consent"
	demographics    = "demographics"
	medicalHistory  = "medical_history"
	visualAcuity    = "visual_acuity"
	octImaging      = "oct_imaging"
	adverseEvents   = "adverse_events"
	medications     = "medications"
	unscheduledName = "UNS" // matches no visit type of the protocol
)

var forms = []string{consentForm, demographics, medicalHistory, visualAcuity, octImaging, adverseEvents, medications}

// slot is a visit type of the protocol as the generator needs it.
type slot struct {
	name               string // as the sites write it
	day, before, after int
	forms              []string // per-eye and per-visit forms collected then
}

var protocol = []slot{
	{"BL", 0, 0, 0, []string{consentForm, demographics, medicalHistory, visualAcuity, octImaging}},
	{"M01", 30, 7, 14, []string{visualAcuity}},
	{"M03", 90, 14, 21, []string{visualAcuity, octImaging}},
	{"M06", 180, 21, 30, []string{visualAcuity, octImaging}},
	{"M09", 270, 21, 30, []string{visualAcuity}},
	{"M12", 365, 30, 45, []string{visualAcuity, octImaging}},
}

// lateEntryDays is the protocol's: a first entry later than this is late.
const lateEntryDays = 14

// Kinds of row that cannot be accepted, the keys of Truth.Bad.
const (
	BadDate    = "date"    // 31/02/2026 as the day of the visit
	BadChoice  = "choice"  // a code that is in no list
	BadColumns = "columns" // too few fields
	BadNumber  = "number"  // text in a numeric field
	BadForm    = "form"    // a form that no mapping takes: ignored, not quarantined
)

var badKinds = []string{BadDate, BadChoice, BadColumns, BadNumber, BadForm}
