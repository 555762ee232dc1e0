package lineage

import (
	"time"

	"longitude/study"
)

// Trace is the way back from one released row. It holds no value of the row.
type Trace struct {
	Release  string    `json:"release"`
	Study    string    `json:"study"`
	Table    string    `json:"table"`
	Key      string    `json:"key"` // as asked
	AsOf     string    `json:"as_of"`
	MaxBatch int64     `json:"max_batch"`   // the release is built from the batches up to this one
	Code     string    `json:"participant"` // internal code
	RowID    string    `json:"row_id,omitempty"`
	Made     []Version `json:"made_by"` // what the row was made of, as of the release
	Batches  []Batch   `json:"batches"` // that brought those
	Notes    []string  `json:"notes,omitempty"`
}

// Err is an error when what the walk checked does not hold: landed bytes, a version or
// an event that are not what was recorded. An event that is not sealed yet is none.
func (t *Trace) Err() error {
	sound := true
	for i := range t.Made {
		sound = sound && (t.Made[i].Proof == nil || t.Made[i].Proof.Holds)
	}
	for i := range t.Batches {
		b := &t.Batches[i]
		sound = sound && b.Landed != Damaged && b.Landed != Gone && (b.Event.Proven || b.Event.Index < 0)
	}
	if sound {
		return nil
	}
	return &study.Error{Code: "lineage.not_proven", Op: "the way back from the row does not hold: something on it is not what was recorded", Exit: study.ExitBlocked,
		Hint: "the trace says which; run `longitude audit verify --deep`, and tell who looks after the log"}
}

// The kinds of a Version.
const (
	OfRecord      = "record"
	OfVisit       = "visit"
	OfParticipant = "participant"
	OfDeviation   = "deviation"
)

// Version is one stored version that a row was made of. Only records come from a
// row of an object; the rest is judged from records, in the batch that is named.
type Version struct {
	Kind       string    `json:"kind"`
	Visit      string    `json:"visit,omitempty"` // type; "" = unscheduled or none
	VisitNo    int32     `json:"visit_no,omitempty"`
	Form       string    `json:"form,omitempty"`
	Occurrence string    `json:"occurrence,omitempty"`
	Version    int32     `json:"version,omitempty"`
	Deviation  string    `json:"deviation,omitempty"`
	Modified   time.Time `json:"modified,omitzero"` // as the source says
	Batch      int64     `json:"batch"`
	Ordinal    int64     `json:"ordinal,omitempty"` // row within the object, from 1
	Line       int64     `json:"line,omitempty"`    // where that row starts, from 1; 0 = not looked up
	Text       string    `json:"text,omitempty"`    // the row as landed, only where it was asked for
	Proof      *Proof    `json:"proof,omitempty"`
}

// Proof shows that a version is one of those that the event of its batch commits to.
type Proof struct {
	Leaf   string   `json:"leaf"`
	Index  int64    `json:"index"`
	Leaves int64    `json:"leaves"`
	Path   []string `json:"path"`
	Root   string   `json:"root"`
	Holds  bool     `json:"holds"` // the path leads from the leaf to the root that was recorded
}

// Batch is what brought versions: one object as it was read, or a judging.
type Batch struct {
	Batch      int64        `json:"batch"`
	Kind       string       `json:"kind"` // object | roster | rejudge
	Source     string       `json:"source,omitempty"`
	Object     string       `json:"object,omitempty"` // keyed digest of the landed bytes
	Size       int64        `json:"size,omitempty"`
	At         study.Object `json:"-"` // the same, to open it by
	Landed     Landed       `json:"landed,omitempty"`
	Generation int          `json:"generation,omitempty"`
	Origin     int64        `json:"origin,omitempty"` // batch that first read the object; 0 = this one
	Run        int64        `json:"run"`
	AsOf       string       `json:"as_of"`
	Mapping    string       `json:"mapping,omitempty"`
	Protocol   string       `json:"protocol"`
	Software   string       `json:"software"`
	Root       string       `json:"merkle_root"`
	Counts     study.Counts `json:"counts"`
	Recorded   time.Time    `json:"recorded"`
	Event      Event        `json:"event"`
}

// Landed says what became of the bytes of an object.
type Landed string

// What becomes of landed bytes.
const (
	Sound   Landed = "sound"   // read to the end, they have the digest that the batch names
	Reduced Landed = "reduced" // authentic, but rows of somebody who was erased are gone from them
	Damaged Landed = "damaged"
	Gone    Landed = "missing"
)

// Event is the event of the audit log that tells of a batch.
type Event struct {
	ID         int64 `json:"id"`
	Index      int64 `json:"index"`      // its leaf in the log; -1 = not sealed yet
	Checkpoint int64 `json:"checkpoint"` // size of the signed log that it was proven against
	Proven     bool  `json:"proven"`     // and it commits to the root of the batch
}
