package status

import "time"

// HistoryFilter chooses changes of one participant; what is empty chooses all.
type HistoryFilter struct {
	Form, Field string
	Visit       string // type or number
}

// What became of a record with a version.
const (
	Created   = "created"
	Corrected = "corrected"
	Removed   = "removed"
	Restored  = "restored"
	Late      = "late" // it says how the record was before what was current when it came
)

// SealedWords stands for what a source gave and what is in the vault.
const SealedWords = "recorded, sealed"

// Change is one field of one version of a record that differs from the version
// before: as the source gave it, and as it was received. A blinded field has none.
type Change struct {
	Form       string `json:"form"`
	Visit      string `json:"visit,omitempty" doc:"Visit type; empty: unscheduled, or tied to no visit"`
	VisitNo    int32  `json:"visit_no,omitempty"`
	Occurrence string `json:"occurrence,omitempty"`
	Version    int32  `json:"version"`
	What       string `json:"what" enum:"created,corrected,removed,restored,late"`

	Field         string  `json:"field,omitempty" doc:"Empty where the record as a whole changed, or what is sealed of it"`
	Before        *string `json:"before,omitempty" doc:"Absent: there was no value, or it is sealed"`
	After         *string `json:"after,omitempty" doc:"Absent: there is no value, or it is sealed"`
	BeforeMissing string  `json:"before_missing,omitempty" doc:"Why there was no value"`
	AfterMissing  string  `json:"after_missing,omitempty" doc:"Why there is no value"`
	Sealed        bool    `json:"sealed,omitempty" doc:"The value is in the vault: only that it changed is told"`

	Modified *time.Time `json:"modified,omitempty" doc:"When, as the source says; absent where it does not"`
	Author   string     `json:"author,omitempty" doc:"recorded, sealed: the source says who; empty: it does not"`
	Reason   string     `json:"reason,omitempty" doc:"recorded, sealed: the source says why; empty: it does not"`

	Received time.Time `json:"received" doc:"When it was recorded here"`
	Source   string    `json:"source,omitempty"`
	Batch    int64     `json:"batch"`
	Row      int64     `json:"row,omitempty" doc:"Row within the object that brought it, from 1"`
	Run      int64     `json:"run"`
}

// RecordHistory is what became of the records of a participant, oldest first.
type RecordHistory struct {
	Study   string   `json:"study"`
	Code    string   `json:"participant" doc:"Participant code"`
	Changes []Change `json:"changes" nullable:"false"`
}
