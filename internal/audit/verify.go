package audit

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"longitude/study"
)

// Kinds of findings: what was done to the log.
const (
	KindGap          = "gap"              // a place of the tree is missing
	KindEvent        = "event_missing"    // a place has no event
	KindLeaf         = "leaf_changed"     // the bytes of an event are not those that were sealed
	KindFormat       = "leaf_unreadable"  // the bytes are no event
	KindColumn       = "column_changed"   // a column says something else than the leaf
	KindNode         = "node_changed"     // a node of the tree is not what its leaves give
	KindNodeMissing  = "node_missing"     //
	KindNodeExtra    = "node_extra"       // nodes that no leaf gives
	KindRoot         = "history_changed"  // the leaves do not give the root that was signed
	KindForged       = "checkpoint_false" // a checkpoint is not signed by the log, or its columns say something else
	KindTail         = "tail_missing"     // a checkpoint was signed of more than is there
	KindNoCheckpoint = "tail_unsigned"    // places that no checkpoint covers
	KindUnsealed     = "unsealed"         // an event has no place, and does not wait for one
	KindCheckpoint   = "checkpoint_missing"
	KindGuard        = "guard_missing" // what keeps the log from being changed is not there
	KindPayload      = "payload_changed"
	KindPayloadGone  = "payload_missing" // and no event says that it was redacted
	KindRolledBack   = "anchor_ahead"    // an anchor is of a longer log: it was cut or restored from before
	KindRewritten    = "anchor_differs"  // the log is not the one that the anchor is of
	KindAnchor       = "anchor_false"    // an anchor is not signed by the log
	KindBatch        = "batch_changed"   // what a batch recorded is not what its event says
	KindBatchGone    = "batch_missing"
	KindBatchExtra   = "batch_unrecorded"   // a batch that no event tells of
	KindSignature    = "signature_changed"  // a signature is gone, or not what its event says
	KindPerson       = "person_changed"     // a person is gone, or not what an event says they may do
	KindDecision     = "decision_changed"   // a decision is gone, or its statement is not what its event says
	KindReview       = "review_changed"     // a closed review is gone, or not the list that was signed
	KindRedaction    = "redaction_unsigned" // nobody entitled signed that a payload was deleted
	KindTexts        = "texts_changed"      // texts that releases read are not those that two people signed
	KindUnrecorded   = "unrecorded"         // a signature, a person, a decision, a closed review or a publication that no event tells of
)

// Finding is one thing that is wrong, with its place.
type Finding struct {
	Kind  string `json:"kind"`
	Index int64  `json:"index"`           // in the tree; -1 = no place
	Event int64  `json:"event,omitempty"` // number of the event
	What  string `json:"what"`
}

// Report is what a verification came to.
type Report struct {
	Origin      string    `json:"origin"`
	Size        int64     `json:"size"` // events in the tree
	Root        string    `json:"root"`
	Checkpoints int64     `json:"checkpoints"`
	Anchors     int64     `json:"anchors"`
	Batches     int64     `json:"batches"`            // whose roots were computed again
	Older       int64     `json:"older,omitempty"`    // batches from before roots could be computed again
	Pending     int64     `json:"pending"`            // events that wait to be sealed
	Redacted    []int64   `json:"redacted,omitempty"` // events whose payload was deleted, with an event that says so
	Findings    []Finding `json:"findings"`
}

// maxFindings bounds what is told: the first is what matters.
const maxFindings = 100

// Add notes a finding.
func (r *Report) Add(kind string, index, event int64, what string) {
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, Finding{kind, index, event, what})
	}
}

// Err is nil for a log that is sound and sealed to its end.
func (r *Report) Err() error {
	switch {
	case len(r.Findings) > 0:
		return &study.Error{Code: "audit.tampered", Op: "the audit log was tampered with", Exit: study.ExitBlocked,
			Hint: "keep the database as evidence; the first finding is where to look, and an anchor or a backup says what was there"}
	case r.Pending > 0:
		return &study.Error{Code: "audit.pending", Op: strconv.FormatInt(r.Pending, 10) + " events are not sealed yet and could not be checked", Exit: study.ExitEnvironment,
			Hint: "run `longitude audit checkpoint`, then verify again"}
	}
	return nil
}

// Anchor is a checkpoint that was kept where the operator cannot change it.
type Anchor struct {
	Size int64 // as its name says
	Note []byte
}

// Row is one place of the tree as it is stored.
type Row struct {
	Index, Event int64
	LeafHash     []byte
	Leaf         []byte // nil = the event is not there
	Columns      Event  // what the columns say
	Salt         []byte
	Payload      []byte // nil = none is there
	Redacted     bool   // a sealed event says that the payload was deleted
}

// Verifier checks a log from its first place to its last, in memory that does not
// grow with it.
type Verifier struct {
	Report Report

	policy  Policy
	anchors []Checkpoint // ascending, without their notes
	size    int64
	peaks   []Hash
	broken  bool  // the tree cannot be right from here on: said once
	sound   int64 // size up to which a signed root was met

	formatted bool  // events say what they are from here on
	last      int64 // size of the newest stored checkpoint so far
	lost      int64 // size of the first anchor whose checkpoint is not stored; 0 = none
	key       int   // of the newest checkpoint: one that was replaced does not come back
}

// NewVerifier begins a verification against a policy and the anchors that are known.
func NewVerifier(policy Policy, anchors []Anchor) *Verifier {
	v := &Verifier{policy: policy, Report: Report{Origin: policy.Origin(), Findings: []Finding{}}}
	for _, a := range anchors {
		c, err := policy.Open(a.Note)
		if err != nil || c.Size != a.Size {
			v.Report.Add(KindAnchor, a.Size, 0, "the anchor of size "+strconv.FormatInt(a.Size, 10)+" is not signed by this log")
			continue
		}
		v.anchors = append(v.anchors, Checkpoint{Size: c.Size, Root: c.Root})
	}
	slices.SortFunc(v.anchors, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	v.Report.Anchors = int64(len(v.anchors))
	return v
}

// Next is the place that is expected.
func (v *Verifier) Next() int64 { return v.size }

// Row checks the next place. stored answers a node as it is stored.
func (v *Verifier) Row(r *Row, stored func(number int64) ([]byte, bool)) (e Event, ok bool) {
	if r.Index != v.size {
		if !v.broken {
			v.Report.Add(KindGap, v.size, 0, "the tree goes on at place "+strconv.FormatInt(r.Index, 10))
		}
		v.broken, v.size = true, r.Index
	}
	e, ok = v.event(r)
	hash := LeafHash(r.Leaf)
	switch {
	case r.Leaf == nil:
		v.Report.Add(KindEvent, r.Index, r.Event, "the event is gone")
		v.broken = true
	case !bytes.Equal(hash[:], r.LeafHash):
		v.Report.Add(KindLeaf, r.Index, r.Event, "the event is not the one that was sealed")
		v.broken = true
	}
	if v.broken {
		v.size++
		return e, ok
	}
	number := NodeCount(v.size)
	for i, h := range v.grow(hash) {
		was, there := stored(number + int64(i))
		switch {
		case !there:
			v.Report.Add(KindNodeMissing, r.Index, r.Event, "node "+strconv.FormatInt(number+int64(i), 10)+" of the tree is gone")
		case !bytes.Equal(h[:], was):
			v.Report.Add(KindNode, r.Index, r.Event, "node "+strconv.FormatInt(number+int64(i), 10)+" of the tree is not what its leaves give")
		}
	}
	return e, ok
}

// grow appends a leaf and answers the nodes that are complete with it.
func (v *Verifier) grow(h Hash) []Hash {
	added := []Hash{h}
	for n := v.size; n&1 == 1; n >>= 1 {
		h = tlog.NodeHash(v.peaks[len(v.peaks)-1], h)
		v.peaks = v.peaks[:len(v.peaks)-1]
		added = append(added, h)
	}
	v.peaks = append(v.peaks, h)
	v.size++
	return added
}

func (v *Verifier) root() Hash {
	if len(v.peaks) == 0 {
		return emptyRoot
	}
	h := v.peaks[len(v.peaks)-1]
	for _, left := range slices.Backward(v.peaks[:len(v.peaks)-1]) {
		h = tlog.NodeHash(left, h)
	}
	return h
}

// event checks what a place says: bytes, columns, payload.
func (v *Verifier) event(r *Row) (Event, bool) {
	if r.Leaf == nil {
		return Event{}, false
	}
	e, ok := ParseLeaf(r.Leaf)
	if !ok || v.formatted && e.Format == "" { // who leaves the format out has fewer columns compared
		v.Report.Add(KindFormat, r.Index, r.Event, "the bytes of the event cannot be read")
		return e, false
	}
	v.formatted = v.formatted || e.Format != ""
	if column := differs(&e, &r.Columns); column != "" {
		v.Report.Add(KindColumn, r.Index, r.Event, "the column "+column+" is not what the event says")
	}
	switch {
	case e.Commitment == "" && r.Payload == nil:
	case r.Payload == nil && r.Redacted:
		v.Report.Redacted = append(v.Report.Redacted, r.Event)
	case r.Payload == nil:
		v.Report.Add(KindPayloadGone, r.Index, r.Event, "the payload is gone, and no event says that it was redacted")
	case len(r.Salt) != SaltSize || Commit([SaltSize]byte(r.Salt), r.Payload) != e.Commitment:
		v.Report.Add(KindPayload, r.Index, r.Event, "the payload is not the one that the event commits to")
	}
	return e, true
}

// differs names the first column that is not what the leaf says. A leaf without a
// format says fewer things.
func differs(leaf, columns *Event) string {
	pairs := []struct {
		name         string
		leaf, column any
	}{
		{"action", leaf.Action, columns.Action}, {"actor", leaf.Actor, columns.Actor}, {"object", leaf.Object, columns.Object}, {"run_id", leaf.Run, columns.Run},
		{"event_id", leaf.ID, columns.ID}, {"recorded_at", leaf.At, columns.At}, {"study", leaf.Study, columns.Study}, {"outcome", leaf.Outcome, columns.Outcome},
		{"authority", leaf.Authority, columns.Authority}, {"reason", leaf.Reason, columns.Reason}, {"software", leaf.Software, columns.Software},
	}
	if leaf.Format == "" {
		pairs = pairs[:4]
	}
	for _, p := range pairs {
		if p.leaf != p.column {
			return p.name
		}
	}
	return ""
}

// Checkpoint checks a stored checkpoint when its size is reached: its signature, its
// columns, its root. after is the size of the one that was signed before it, -1 when
// that was not noted yet.
func (v *Verifier) Checkpoint(c Checkpoint, after int64) {
	v.Report.Checkpoints++
	if after >= 0 && after != v.last {
		v.Report.Add(KindCheckpoint, after-1, 0, "the checkpoint of size "+strconv.FormatInt(after, 10)+" is gone")
	}
	v.last = c.Size
	signed, err := v.policy.Open(c.Note)
	if err != nil || signed.Size != c.Size || signed.Root != c.Root || signed.key < v.key {
		v.Report.Add(KindForged, c.Size-1, 0, "the checkpoint of size "+strconv.FormatInt(c.Size, 10)+" is not what this log signed")
		return
	}
	v.key = signed.key
	v.meet(signed, KindRoot, "signed")
}

// meet compares the tree so far with a signed root of its size.
func (v *Verifier) meet(c Checkpoint, kind, how string) {
	if v.broken {
		return
	}
	if v.root() != c.Root {
		v.Report.Add(kind, v.sound, 0, "the events from here to place "+strconv.FormatInt(c.Size-1, 10)+" are not those that were "+how)
		v.broken = true
		return
	}
	v.sound = c.Size
}

// Anchors checks the anchors whose size is reached.
func (v *Verifier) Anchors() {
	for len(v.anchors) > 0 && v.anchors[0].Size <= v.size {
		if v.anchors[0].Size == v.size {
			v.meet(v.anchors[0], KindRewritten, "anchored")
		}
		if v.lost == 0 && v.last != v.anchors[0].Size {
			v.lost = v.anchors[0].Size
		}
		v.anchors = v.anchors[1:]
	}
}

// Finish checks the end: last is the size of the largest checkpoint, nodes how many
// nodes are stored.
func (v *Verifier) Finish(last, nodes int64) {
	v.Report.Size = v.size
	root := v.root()
	v.Report.Root = study.Digest(root).String()
	switch {
	case last > v.size:
		v.Report.Add(KindTail, v.size, 0, "a checkpoint of size "+strconv.FormatInt(last, 10)+" was signed, and the log ends here")
	case last < v.size:
		v.Report.Add(KindNoCheckpoint, last, 0, "no checkpoint covers the log from here on")
	}
	if !v.broken && nodes > NodeCount(v.size) {
		v.Report.Add(KindNodeExtra, v.size, 0, "the tree has nodes that no event gives")
	}
	if len(v.anchors) > 0 {
		v.Report.Add(KindRolledBack, v.size, 0, "an anchor of size "+strconv.FormatInt(v.anchors[len(v.anchors)-1].Size, 10)+" exists, and the log ends here")
	}
	if v.lost > 0 {
		v.Report.Add(KindCheckpoint, v.lost-1, 0, "the checkpoint of size "+strconv.FormatInt(v.lost, 10)+" is gone, and an anchor says that it was signed")
	}
}
