package study

import (
	"math"
	"time"
)

// Participant is one person in one study, as the research schema knows them.
type Participant struct {
	ID        int64  // surrogate number, from 1, never released
	Code      string // participant code, never released either: releases carry their own
	Site      string
	Enrolled  bool
	Consented Date              // NoDate: no consent seen
	Withdrawn Date              // withdrawal from follow-up; NoDate: none
	Status    ParticipantStatus // as the source says; "" = it does not
	StatusOn  Date              // since when; NoDate: unknown
	Facts     string            // packed; see PackFacts
	Told      string            // what the rest rests on, packed; see Tellings
}

// ParticipantStatus is where a participant stands in the study.
type ParticipantStatus string

// The statuses of the study model. Screen failures expect no visits; the last
// four end participation on their date.
const (
	Screening     ParticipantStatus = "screening"
	ScreenFailure ParticipantStatus = "screen_failure"
	Enrolled      ParticipantStatus = "enrolled"
	Finished      ParticipantStatus = "completed"
	Withdrew      ParticipantStatus = "withdrawn"
	Lost          ParticipantStatus = "lost"
	Died          ParticipantStatus = "died"
)

// VisitStatus is the state of a visit on an as-of date.
type VisitStatus string

// The visit statuses of the study model.
const (
	Scheduled   VisitStatus = "scheduled"
	Completed   VisitStatus = "completed"
	Missed      VisitStatus = "missed"
	NotDone     VisitStatus = "not_done"
	Unscheduled VisitStatus = "unscheduled"
	Cancelled   VisitStatus = "cancelled"
)

// Timing places a completed visit against its window.
type Timing string

// The timings of the study model; "" for a visit that has not happened.
const (
	InWindow      Timing = "in_window"
	Early         Timing = "early"
	Late          Timing = "late"
	Indeterminate Timing = "indeterminate"
	NoAnchor      Timing = "no_anchor"
	NoWindow      Timing = "no_window"
)

// Visit is a participant's instance of a visit type, or an unscheduled visit:
// the facts as the sources gave them and the verdict as the protocol judges them.
type Visit struct {
	No   int32  // number within the participant, from 1; assigned once, never reused
	Key  string // identity within the participant; see VisitRef.Key
	Type int    // index in Study.Visits, -1 = unscheduled

	Actual   PartialDate // unknown: has not happened
	Planned  PartialDate
	Declared PartialDate // separately declared baseline date
	Reason   bool        // the source gave a reason for a deviation
	Modified time.Time   // of the row that last set the facts; orders reasons
	Told     VisitTold   // when the three dates were told

	Verdict
}

// Verdict is what Judge says of a visit on an as-of date.
type Verdict struct {
	Status        VisitStatus
	Timing        Timing
	Due           Date // NoDate where no anchor or no target
	WindowStart   Date // inclusive
	WindowEnd     Date // inclusive
	HasDistance   bool // the two distances are known (exact actual date and a window)
	FromTarget    int  // days from due, negative = before
	OutsideWindow int  // days to the nearer end, 0 inside, negative = early
	Withheld      bool // accepted, but kept out of releases (baseline missing)
	Protocol      int  // index in Study.Versions of the version that judged
}

// DeviationKind tells a deviation (data stay usable) from a violation.
type DeviationKind string

// The two kinds.
const (
	IsDeviation DeviationKind = "deviation"
	IsViolation DeviationKind = "violation"
	IsFinding   DeviationKind = "finding" // of a check across forms: about data quality, not conduct
)

// DeviationState is the life of a deviation.
type DeviationState string

// The states: explained deviations re-open when their evidence changes.
const (
	Open      DeviationState = "open"
	Explained DeviationState = "explained"
	Resolved  DeviationState = "resolved"
)

// The codes of the study model that this version detects.
const (
	VisitOutOfWindow     = "visit_out_of_window"
	PlannedOutOfWindow   = "planned_out_of_window"
	BaselineDateMismatch = "baseline_date_mismatch"
	FormMissing          = "form_missing"
	FormsMissing         = "forms_missing"
	LateEntry            = "late_entry"
	VisitMissed          = "visit_missed"
	VisitOrder           = "visit_order"
	VisitAmbiguous       = "visit_ambiguous" // placed by date, and two types or two visits tie
	AfterWithdrawal      = "after_withdrawal"
	BaselineMissing      = "baseline_missing"
	ConsentMissing       = "consent_missing"
	UnknownParticipant   = "unknown_participant"
	ChangeWithoutReason  = "change_without_reason"
	EditedAfterLock      = "edited_after_lock"
	IdentityConflict     = "identity_conflict"
	CheckFailed          = "check_failed" // Detail is form/occurrence:check
)

// DeviationKey identifies a deviation within its participant. Detail names the
// form (and occurrence) where the code is about one; it is never a participant's value.
type DeviationKey struct {
	Code    string
	VisitNo int32 // 0 = the participant
	Detail  string
}

// Deviation is one departure from the protocol, versioned in storage.
type Deviation struct {
	DeviationKey
	Kind     DeviationKind
	State    DeviationState
	Evidence string // what the verdict rests on, canonical text ("late 1 day: 2026-02-15 against 2026-01-24..2026-02-14")
}

// VersionRef is a stored version of a record, as far as judging and diffing need it.
type VersionRef struct {
	Key      RecordKey
	Version  int32
	Removed  bool // tombstone
	Late     bool // older than what was current when it arrived: history only
	Hash     [16]byte
	Modified time.Time // as the source said; zero when it did not
	BatchID  int64
	Ordinal  int64
	Entered  Date
	Landed   int64 // place of its object in order of landing: the batch that first read it

	Precedence int32 // of its source, when it was recorded

	InPart  bool // its row told only some fields
	Derived bool // no row says it, see Part
}

// Order is the version's place among the versions of its record.
func (v *VersionRef) Order() Order { return Order{v.Precedence, v.Modified, v.Landed, v.Ordinal} }

// Order is the record's place among the versions of its record.
func (r *Record) Order() Order {
	if r.Part != nil && r.Part.Rank != Unranked && r.Part.Rank != Follows {
		return r.ranked()
	}
	if r.Landed == 0 {
		return Order{r.Precedence, r.Modified, math.MaxInt64, r.Ordinal}
	}
	return Order{r.Precedence, r.Modified, r.Landed, r.Ordinal}
}

// Order says which version of a record is current: that of the source which takes
// precedence; among equals the one that the source modified last; where a source does not say, the one whose object landed last;
// within an object the later row; of one row, what the latest mapping made of it.
type Order struct {
	Precedence int32 // of the source: the higher counts whenever it comes

	Modified time.Time // zero: the source does not say
	Landed   int64
	Ordinal  int64
}

// Replaces reports whether a version at o counts instead of one at than that was
// recorded before it.
func (o Order) Replaces(than Order) bool {
	if o.Precedence != than.Precedence {
		return o.Precedence > than.Precedence
	}
	if !o.Modified.IsZero() && !than.Modified.IsZero() && !o.Modified.Equal(than.Modified) {
		return o.Modified.After(than.Modified)
	}
	if o.Landed != than.Landed {
		return o.Landed > than.Landed
	}
	return o.Ordinal >= than.Ordinal
}

// History is what is stored about one participant: the prior of Judge.
type History struct {
	Participant Participant
	Visits      []Visit      // by No
	Versions    []VersionRef // by key, then version
	Deviations  []Deviation  // current state of each key
	Holds       []Hold       // records held now
	Landing     Landing      // of the object that the new records are of
	Locks       []Lock       // in force, of the study and of this participant
	Explained   []Explanation
	InParts     bool // some of the versions are told in part
}

// Lock forbids changes to what it covers, judged by arrival.
type Lock struct {
	ID          int64
	Visit       string // visit type; "" = all
	Participant int64  // 0 = all
}

// Explanation is a person's reason for a deviation. It holds for the evidence it
// was given for and no other.
type Explanation struct {
	DeviationKey
	Evidence string
}

// Hold is a record that waits: not judged yet, or waiting for a reason.
type Hold struct {
	Key  RecordKey
	Code string // consent_missing, unknown_participant, after_withdrawal, visit_out_of_window, identity_conflict
}

// Judgement is everything that follows from a history, new records and an as-of date.
type Judgement struct {
	Participant Participant // updated facts
	Visits      []Visit     // all visits, stored, new and expected, with verdicts, by No
	VisitNo     []int32     // per new record: the visit it belongs to, 0 = none
	Blocked     []string    // per new record: the code of the rule that refuses it, "" = none
	Deviations  []Deviation // all that hold now, and those of the history that are resolved
	Holds       []Hold      // all records (stored and new) that are held now
}

// Changes is what one batch adds to storage: versions, never updates.
type Changes struct {
	Participants []Participant
	Records      []RecordVersion
	Visits       []VisitVersion
	Deviations   []DeviationVersion
	Holds        []HoldVersion
}

// RecordVersion is a new version of a record.
type RecordVersion struct {
	Key     RecordKey
	Version int32
	Late    bool // older than what is current: history only
	Record  *Record
}

// VisitVersion is a new version of a visit.
type VisitVersion struct {
	Participant int64
	Visit
}

// DeviationVersion is a new version of a deviation.
type DeviationVersion struct {
	Participant int64
	Deviation
}

// HoldVersion says that a record is held (Code) or waits no more (Code "").
type HoldVersion struct {
	Participant int64
	Hold
}

// SealedIdentity is a source identity after door 1.
type SealedIdentity struct {
	Code       string
	Namespace  string
	Blind      Digest
	Box        []byte
	KeyVersion int
	Canon      int
}

// SealedRejection is a rejection whose row is sealed.
type SealedRejection struct {
	Rejection
	Item       Digest // keyed digest of row, form, field and rule: the same rejection again is a sighting
	Box        []byte
	KeyVersion int
}

// CurrentRecord is the current version of a record as a release reads it, with
// answers in today's field order.
type CurrentRecord struct {
	Key              RecordKey
	Version          int32
	Answers, Missing string
	Findings         string         // as of the record
	Texts            []ReviewedText // that people have read; only a release reads them
}

// ReviewedText is a sealed text of a record version that two people have read so that
// it may be released.
type ReviewedText struct {
	Field   int
	Text    string
	Refused bool // one of them said that somebody can be recognised in it
}
