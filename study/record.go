package study

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Digest is a SHA-256 (or HMAC-SHA-256, where the field says keyed).
type Digest [sha256.Size]byte

// String is the digest in lower-case hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether the digest was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// Object is one delivery as landed: unchanged bytes under a keyed digest of
// their plaintext (sealed bytes differ at every sealing, so "is it the same?" is
// asked of this).
type Object struct {
	Digest Digest // keyed
	Size   int64  // plaintext bytes
}

// The packing of a record's answers: values in field order, joined by
// FieldSeparator; MissingMark where there is no value; SealedMark where the
// value is in the vault. In SQL: string_to_array(answers, E'\x1f', E'\x1e').
const (
	FieldSeparator = '\x1f'
	MissingMark    = "\x1e"
	SealedMark     = "\x1a" // of an attachment, with a keyed digest of it behind
)

// IsSealed reports whether a packed answer stands for a value in the vault.
func IsSealed(answer string) bool { return strings.HasPrefix(answer, SealedMark) }

// NotAsked is the reason of a field whose column the object does not have. It is
// no part of what a record says: there was no place to say anything.
const NotAsked = "not_asked"

// Missing reasons: a closed list (analysts.md §4). The empty reason means the
// source gave neither a value nor a reason.
var MissingReasons = []ChoiceItem{
	{"not_done", "Assessment not done"},
	{"not_applicable", "Not applicable (skip logic)"},
	{"unknown", "Asked but unknown"},
	{"refused", "Participant refused"},
	{NotAsked, "Not on this version of the form"},
	{"illegible", "Illegible at source"},
	{"below_lod", "Below limit of detection"},
	{"above_lod", "Above limit of detection"},
	{"device_error", "Device error"},
	{"invalid", "Value did not parse as its declared type"},
	{"partial_date", "Date known only in part"},
}

// VisitRef is what a row says of the visit it belongs to, before placement.
type VisitRef struct {
	Key      string      // the source's own event (or date): identity of the visit within its participant; "" = no visit (log form)
	Type     int         // index in Study.Visits when the key names a visit type, else -1
	Actual   PartialDate // in a relative calendar: day from the anchor
	Planned  PartialDate
	Declared PartialDate // separately declared baseline date
	Reason   bool        // the source gave a reason for a deviation
	Unsaid   Unsaid      // facts that the source has no place for
}

// Unsaid is a set of facts of a visit that a source does not carry at all: where
// it is silent, it takes nothing back of what another source says.
type Unsaid uint8

// The facts that a source may be silent on.
const (
	UnsaidActual Unsaid = 1 << iota
	UnsaidPlanned
	UnsaidDeclared
	UnsaidReason
)

// Draft is one filled-in form as mapped from a row, identity still inside.
// It lives between transform and door 1 and is never stored.
type Draft struct {
	Ordinal    int64  // row within the object, from 1
	Line       int64  // line of the row's first byte, from 1
	Identity   string // participant identifier as the source wrote it
	Site       string
	Form       int // index in Study.Forms
	Occurrence string
	Visit      VisitRef
	Modified   time.Time
	Entered    Date
	Withdrawn  Date
	Consented  Date // set on records of the consent form
	Status     ParticipantStatus
	StatusOn   Date
	Change     ChangeReason
	Extent     Extent
	Removed    bool // the source says that this record is gone; no answers
	Facts      []Fact
	Answers    string        // packed
	Missing    string        // "field=reason" pairs, comma separated, fields by index
	Findings   string        // "field:rule" pairs, comma separated, fields by name; "field:rule:note" where it only counts
	Private    []PrivateItem // values that go to the vault
	Raw        []byte        // the row as landed, kept only where a rule may still reject it
}

// PrivateItem is a value on its way to the vault. Field is the index in the
// form, or one of the negative Private… slots.
type PrivateItem struct {
	Field int
	Text  string
}

// Slots of private items that belong to no field.
const (
	PrivateReason       = -1 // reason of a deviation
	PrivateAuthor       = -2
	PrivateChangeReason = -3
)

// ChangeReason says whether a source gave a reason for a change of a record. The
// reason itself is sealed.
type ChangeReason uint8

// A source that has no place for reasons cannot be held to giving them.
const (
	ChangeUnasked ChangeReason = iota
	ChangeUnexplained
	ChangeExplained
)

// Fact is what a record says of its participant as a whole.
type Fact struct {
	Index int    // in Study.Facts
	Value string // packed as answers are: an ISO date, a code, a year
}

// Record is a draft after door 1: no identity, typed answers, sealed rest.
type Record struct {
	Participant int64
	Ordinal     int64
	Line        int64
	Site        string
	Form        int
	Occurrence  string
	Visit       VisitRef
	Modified    time.Time // zero when the source does not say
	Entered     Date
	Withdrawn   Date
	Consented   Date
	Status      ParticipantStatus
	StatusOn    Date
	Change      ChangeReason
	Removed     bool
	Facts       []Fact
	Answers     string
	Missing     string
	Findings    string
	Hash        [16]byte // content hash: values, missing reasons and a keyed digest of the sealed values
	Landed      int64    // place of its object in order of landing: the batch that first read it; 0 = now
	Precedence  int32    // of its source
	Sealed      []SealedItem
	KeyVersion  int    // of the boxes
	Part        *Part  // nil: its source tells records whole
	SealedRaw   []byte // the row, sealed, where a rule may still reject it
}

// SealedItem is a vault value: AES-256-GCM, bound to study, participant and field.
type SealedItem struct {
	Field int
	Box   []byte
}

// RecordKey identifies a record within its participant.
type RecordKey struct {
	Form       int
	VisitNo    int32 // 0 = none
	Occurrence string
}

// Rejection is a row, or a record of a row, that cannot be accepted. It never
// carries a value: the row itself travels in Raw and is sealed at door 1.
type Rejection struct {
	Ordinal int64
	Line    int64
	Site    string
	Form    string // "" = the whole row
	Field   string // or column; "" = none
	Rule    string // stable code: date_invalid, choice_unknown, column_count, …
	Records int    // how many records this rejection stands for in the second count equation (0 = row never became records)
	Raw     []byte
}

// Counts are the two equations of the study model.
//
//	Read = Mapped + RowsQuarantined + Ignored
//	Produced = Accepted + Unchanged + Superseded + Quarantined + Held
type Counts struct {
	Read            int64 `json:"rows_read"`
	Mapped          int64 `json:"rows_mapped"`
	RowsQuarantined int64 `json:"rows_quarantined"`
	Ignored         int64 `json:"rows_ignored"`

	Produced    int64 `json:"records_produced"`
	Accepted    int64 `json:"records_accepted"`
	Unchanged   int64 `json:"records_unchanged"`
	Superseded  int64 `json:"records_superseded"`
	Quarantined int64 `json:"records_quarantined"`
	Held        int64 `json:"records_held"`

	Removed int64 `json:"records_removed"` // gone from a complete snapshot: no row says so, so outside the equations
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Read += o.Read
	c.Mapped += o.Mapped
	c.RowsQuarantined += o.RowsQuarantined
	c.Ignored += o.Ignored
	c.Produced += o.Produced
	c.Accepted += o.Accepted
	c.Unchanged += o.Unchanged
	c.Superseded += o.Superseded
	c.Quarantined += o.Quarantined
	c.Held += o.Held
	c.Removed += o.Removed
}

// Unaccounted is how far the two equations are from balancing; 0, 0 is balanced.
func (c Counts) Unaccounted() (rows, records int64) {
	return c.Read - c.Mapped - c.RowsQuarantined - c.Ignored,
		c.Produced - c.Accepted - c.Unchanged - c.Superseded - c.Quarantined - c.Held
}

// BatchRecord describes the object, or the re-judging, that a batch came from.
type BatchRecord struct {
	Kind        string // object | rejudge
	Source      string
	Object      Object
	Item        string // keyed digest of the object's name; of a re-judging: "" = of everybody, else of some
	ItemVersion string
	State       []byte // the source's cursor once this batch is durable; nil = unchanged
	SealedName  []byte
	KeyVersion  int
	RunID       int64
	Actor       string
	AsOf        Date
	Origin      int64  // batch that first read the object; 0 = this one
	Precedence  int32  // of the source
	Aside       bool   // the object was put aside whole: its shape has changed
	Mapping     Digest // version of the source document
	Protocol    Digest // version of the study document
	Root        Digest // RFC 6962 root over the leaves of the batch
	Leaves      int64
	Counts      Counts
	Files       []FileRecord // that are done with
	Before      *Standing    // of the participants judged again; nil = not told
	After       *Standing
}
