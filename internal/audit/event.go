package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"longitude/study"
)

// Format names the layout of a leaf. A leaf without one is of the time before the
// log was sealed: it says neither its number nor its time.
const Format = "longitude.audit/1"

// Outcomes of what was done.
const (
	OK     = "ok"
	Denied = "denied"
	Failed = "failed"
)

// MaxLeaf bounds the bytes of one leaf, so that its proof can be read line by line.
const MaxLeaf = 48_000

// Event is one unit of work. Its fields are in the order of their names, so that
// an event has one form only. Nothing in it may be personal but who acted: what
// could be goes into a payload beside it, of which it holds a commitment.
type Event struct {
	Action     Action         `json:"action"`
	Actor      string         `json:"actor"`                // a person's name, or schedule, command, system
	After      string         `json:"after,omitempty"`      // digest of the object after it
	At         string         `json:"at,omitempty"`         // clock of the database, UTC, RFC 3339 to the microsecond
	Authority  string         `json:"authority,omitempty"`  // role of the database under which it was done
	Before     string         `json:"before,omitempty"`     // digest of the object before it
	Changed    []string       `json:"changed,omitempty"`    // names of fields, never values
	Commitment string         `json:"commitment,omitempty"` // to the payload; see Commit
	Detail     map[string]any `json:"detail,omitempty"`     // counts, digests, names of the configuration
	Format     string         `json:"format,omitempty"`
	ID         int64          `json:"id,omitempty"`
	Object     string         `json:"object"` // what it was done to, as a path: batch/12, release/amd_r001
	Outcome    string         `json:"outcome,omitempty"`
	Reason     string         `json:"reason,omitempty"` // code of the closed list of reasons
	Run        int64          `json:"run,omitempty"`
	Software   string         `json:"software,omitempty"`
	Study      string         `json:"study,omitempty"` // "" = of none, or of all
}

// timeLayout keeps six digits, so that equal times are equal bytes.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Time writes a time as an event does.
func Time(t time.Time) string { return t.UTC().Format(timeLayout) }

// Leaf is the exact bytes that an event is recorded as. It refuses an action that
// is not in the vocabulary and an event that is too large.
func (e Event) Leaf() ([]byte, error) {
	if !e.Action.Known() {
		return nil, &study.Error{Code: "audit.action", Op: "an action outside of the log's vocabulary was to be recorded", Exit: study.ExitFailed,
			Hint: "this is a defect of Longitude: please report it"}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	leaf := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(leaf) > MaxLeaf {
		return nil, &study.Error{Code: "audit.too_large", Op: "an event of " + strconv.Itoa(len(leaf)) + " bytes is larger than the log takes", Exit: study.ExitFailed,
			Hint: "do less at once: apply documents in several steps"}
	}
	return leaf, nil
}

// ParseLeaf reads an event from its bytes. ok is false when they are no event.
func ParseLeaf(leaf []byte) (e Event, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(leaf))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if dec.Decode(&e) != nil || e.Format != "" && e.Format != Format {
		return Event{}, false
	}
	if _, err := dec.Token(); err != io.EOF {
		return Event{}, false // more behind it, if only a bracket
	}
	return e, true
}

// SaltSize is the size of the salt of a commitment, in bytes: a payload that could
// be guessed is not confirmed by its commitment.
const SaltSize = 32

// Commit is what a leaf holds of a payload: SHA-256(salt ‖ payload), in hex. The
// payload can be deleted, with an event that says so, and the tree still holds.
func Commit(salt [SaltSize]byte, payload []byte) string {
	sum := sha256.Sum256(append(salt[:], payload...))
	return hex.EncodeToString(sum[:])
}

// RedactionOf names the event whose payload an audit.redacted event deletes.
func RedactionOf(event int64) string { return "event/" + strconv.FormatInt(event, 10) }

// Redacts is the event that RedactionOf names.
func Redacts(object string) (event int64, ok bool) {
	number, ok := strings.CutPrefix(object, "event/")
	event, err := strconv.ParseInt(number, 10, 64)
	return event, ok && err == nil
}
