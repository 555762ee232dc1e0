package study

import "time"

// DecisionKind is what a person decided.
type DecisionKind string

// The decisions. Each is recorded for good; a later one of the same thing counts.
const (
	Explain     DecisionKind = "explain"      // a reason for a deviation, bound to its evidence
	Waive       DecisionKind = "waive"        // a quarantined row is not wanted
	LockData    DecisionKind = "lock"         // no more changes to a study, a visit type or a participant
	UnlockData  DecisionKind = "unlock"       // of a lock
	AcceptShape DecisionKind = "accept_shape" // of a source that was frozen
	Link        DecisionKind = "link"         // the participant is the same person as another
	Unlink      DecisionKind = "unlink"       // of a link
	Withdraw    DecisionKind = "withdraw"     // the participant takes part no more in what the detail says
)

// What a participant withdraws from: the detail of a withdrawal.
const (
	FutureUse = "future_use" // releases that are planned from then on
	Erasure   = "erasure"    // and everything that leads to the person is erased
)

// Reasons are the closed list that decisions give; the words of a person beside
// it are sealed.
var Reasons = []ChoiceItem{
	{"participant_request", "The participant asked for it"},
	{"illness", "Illness or admission of the participant"},
	{"travel", "Travel or absence"},
	{"site_closed", "The site was closed"},
	{"staff", "Staff or equipment were not available"},
	{"scheduling", "Error in scheduling"},
	{"data_entry", "Error in data entry, or late entry"},
	{"protocol_exception", "Exception granted by the sponsor"},
	{"duplicate", "The same data arrived otherwise"},
	{"not_study_data", "The row is no data of the study"},
	{"database_lock", "Data are cleaned and final"},
	{"correction", "A correction is needed"},
	{"other", "Other; see the note"},
}

// Decision is what a person decided, signed with the study's key.
type Decision struct {
	ID          int64
	Kind        DecisionKind
	Study       string
	Participant int64  // 0 = none
	Visit       string // visit type of a lock; "" = all
	Deviation   DeviationKey
	Evidence    string // that an explanation is given for
	Source      string
	Quarantine  int64  // number of the quarantined row
	Lifts       int64  // lock that an unlock lifts, link that an unlink takes back
	SameAs      int64  // participant that a link says Participant is
	Reason      string // code of Reasons
	Note        []byte // sealed; nil = none
	KeyVersion  int    // of the note
	Actor       string
	At          time.Time
	Statement   []byte // the exact bytes signed
	Signature   []byte // Ed25519
	SignedBy    string // key id
}

// ErasedRows are the rows of a landed object that were of people who were erased.
type ErasedRows struct {
	Ordinals []int64
	Beyond   int64 // so are all rows after this one
}

// LandedObject is an object that was read before and can be read again.
type LandedObject struct {
	Object     Object
	Batch      int64     // that first read it: its place in order of landing
	Latest     int64     // that last read it
	At         time.Time // when it landed
	Precedence int32     // of its source then
	Item       string
}
