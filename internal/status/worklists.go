package status

import "time"

// QuarantineFilter narrows Quarantine; empty fields do not.
type QuarantineFilter struct {
	Study, Source, State, Rule string
	Page
}

// DeviationFilter narrows Deviations; empty fields do not. Participant is a
// participant code, Code a deviation code.
type DeviationFilter struct {
	Study, Participant, Code, Kind, State string
	Page
}

// DecisionFilter narrows Decisions; empty fields do not. Participant is a
// participant code.
type DecisionFilter struct {
	Study, Participant, Source, Kind string
	Page
}

// DriftFilter narrows Drift; empty fields do not.
type DriftFilter struct {
	Study, Source, Kind string
	Page
}

// ParticipantFilter narrows Participants; empty fields do not. Whoever is enrolled
// and of whom the source says no status counts as enrolled.
type ParticipantFilter struct {
	Study, Site, Status string
	Page
}

// ParticipantItem is one participant at a glance.
type ParticipantItem struct {
	ID        int64  `json:"id" doc:"Number within the database, for paging"`
	Study     string `json:"study"`
	Code      string `json:"participant" doc:"Participant code"`
	Site      string `json:"site"`
	Enrolled  bool   `json:"enrolled"`
	Consented *Day   `json:"consented,omitempty"`
	Withdrawn *Day   `json:"withdrawn,omitempty"`
	Status    string `json:"status,omitempty" doc:"As the source says"`
	Visits    int64  `json:"visits" doc:"That happened"`
	Open      int64  `json:"open" doc:"Deviations, violations and findings without a reason"`
	Held      int64  `json:"held" doc:"Records that wait"`
}

// The states of a quarantined row.
const (
	QuarantineOpen     = "open"
	QuarantineWaived   = "waived"
	QuarantineReplayed = "replayed"
)

// QuarantineItem is one rejected row or record: where it is and which rule
// refused it, never what it says.
type QuarantineItem struct {
	ID        int64     `json:"id"`
	Study     string    `json:"study"`
	Source    string    `json:"source"`
	Site      string    `json:"site,omitempty"`
	Batch     int64     `json:"batch" doc:"The object as read by one mapping"`
	Ordinal   int64     `json:"ordinal" doc:"Row within the object, from 1"`
	Line      int64     `json:"line" doc:"Line of the row's first byte, from 1"`
	Form      string    `json:"form,omitempty" doc:"Empty: the whole row"`
	Field     string    `json:"field,omitempty" doc:"Field or column"`
	Rule      string    `json:"rule"`
	State     string    `json:"state" enum:"open,waived,replayed"`
	FirstSeen time.Time `json:"first_seen"`
	Seen      int64     `json:"seen" doc:"How many times it was delivered"`
}

// QuarantinedRow is all that is known of one quarantined row, but what it says.
type QuarantinedRow struct {
	QuarantineItem
	Sightings []Sighting     `json:"sightings" doc:"Every delivery of it, the newest first"`
	Decisions []DecisionItem `json:"decisions"`
}

// Sighting is one delivery of a quarantined row.
type Sighting struct {
	Batch   int64     `json:"batch"`
	Object  string    `json:"object" doc:"First 12 hexadecimal digits of the object's keyed digest"`
	Ordinal int64     `json:"ordinal" doc:"Row within the object, from 1"`
	Line    int64     `json:"line" doc:"Line of the row's first byte, from 1"`
	Records int64     `json:"records" doc:"Records that were not accepted with it"`
	Current bool      `json:"current" doc:"The object was not read again since, and is the newest of its name"`
	Seen    time.Time `json:"seen"`
}

// DeviationItem is one departure from the protocol.
type DeviationItem struct {
	ID            int64     `json:"id"`
	Study         string    `json:"study"`
	Code          string    `json:"participant" doc:"Participant code"`
	Visit         string    `json:"visit,omitempty" doc:"Visit type or number; empty: the participant as a whole"`
	DeviationCode string    `json:"code"`
	Kind          string    `json:"kind" enum:"deviation,violation,finding"`
	State         string    `json:"state" enum:"open,explained,resolved"`
	Detail        string    `json:"detail,omitempty" doc:"The form or occurrence it is about"`
	Evidence      string    `json:"evidence,omitempty" doc:"What the verdict rests on"`
	Since         time.Time `json:"since"`

	Explanation *Explanation `json:"explanation,omitempty" doc:"A person's reason, where it holds for this evidence"`
}

// Explanation is the reason that a person gave for a deviation.
type Explanation struct {
	Decision int64     `json:"decision"`
	Reason   string    `json:"reason" doc:"Code of the reason; the words beside it are sealed"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
}

// DecisionItem is what a person decided, without the sealed words beside it.
type DecisionItem struct {
	ID            int64     `json:"id"`
	Kind          string    `json:"kind" enum:"explain,waive,lock,unlock,accept_shape,link,unlink,withdraw"`
	Study         string    `json:"study"`
	Code          string    `json:"participant,omitempty" doc:"Participant code"`
	Visit         string    `json:"visit,omitempty" doc:"Visit type of a lock, visit type or number of an explanation"`
	DeviationCode string    `json:"code,omitempty" doc:"Code of the deviation explained"`
	Detail        string    `json:"detail,omitempty" doc:"The form or occurrence it is about"`
	Evidence      string    `json:"evidence,omitempty" doc:"That the explanation is given for"`
	Source        string    `json:"source,omitempty"`
	Quarantined   int64     `json:"quarantined,omitempty" doc:"Number of the quarantined row"`
	Lifts         int64     `json:"lifts,omitempty" doc:"Number of the lock that this lifts"`
	Lifted        bool      `json:"lifted,omitempty" doc:"A later decision has lifted this lock"`
	Reason        string    `json:"reason" doc:"Code of the reason"`
	By            string    `json:"by"`
	At            time.Time `json:"at"`
	SignedBy      string    `json:"signed_by" doc:"Identifier of the signing key"`
}

// DriftItem is one named change of what the objects of a source look like.
type DriftItem struct {
	ID     int64     `json:"id"`
	Study  string    `json:"study"`
	Source string    `json:"source"`
	Batch  int64     `json:"batch,omitempty" doc:"The object that brought it"`
	Run    int64     `json:"run,omitempty" doc:"The run that it stopped; nothing of the object was recorded"`
	Kind   string    `json:"kind" enum:"new_column,missing_column,type_change,new_choice,dialect_change,header_unknown"`
	Column string    `json:"column,omitempty" doc:"Column, or form.field of a new choice; empty: the object as a whole"`
	From   string    `json:"from,omitempty"`
	To     string    `json:"to,omitempty"`
	Mapped bool      `json:"mapped" doc:"The mapping reads the column"`
	Action string    `json:"action" enum:"evolve,quarantine,freeze"`
	At     time.Time `json:"at"`
}

// SourceShape is what the objects of a source look like, as accepted last.
type SourceShape struct {
	Study   string        `json:"study"`
	Source  string        `json:"source"`
	Batch   int64         `json:"batch" doc:"The object that set it"`
	Since   time.Time     `json:"since"`
	Dialect string        `json:"dialect,omitempty" doc:"How the format found the objects to be written"`
	Columns []ColumnShape `json:"columns"`
}

// ColumnShape is a column: its name and what its values look like.
type ColumnShape struct {
	Name string `json:"name"`
	Kind string `json:"kind,omitempty" doc:"number, date or text; empty: too few values seen to say"`
}
