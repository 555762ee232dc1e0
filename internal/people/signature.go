package people

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"longitude/internal/dsse"
	"longitude/study"
)

// Meaning is what a signature says about what it signs.
type Meaning string

// The meanings, those of 21 CFR 11.50 and the contrary of an approval.
const (
	Approval       Meaning = "approval"
	Authorship     Meaning = "authorship" // as of a request, or a change that one makes
	Rejection      Meaning = "rejection"
	Responsibility Meaning = "responsibility"
	Review         Meaning = "review"
)

// Meanings are all meanings, in order of the alphabet.
var Meanings = []Meaning{Approval, Authorship, Rejection, Responsibility, Review}

// Record is what is signed: something that has an id, a version and a digest.
type Record struct {
	Type    string // person, vault_request, release, audit_review
	ID      string
	Version string
	Study   string // "" = of none
	SHA256  study.Digest
}

// Authn says how the signer proved at the signing who they are.
type Authn struct {
	At         string   `json:"at"`         // UTC, RFC 3339
	Components []string `json:"components"` // of which the proof consists (11.200: at least two)
	Method     string   `json:"method"`
}

// Statement is what a person signs. Its fields are in the order of their names, so
// that it has one form only; the exact bytes that were signed are what is kept.
type Statement struct {
	Authn         Authn   `json:"authn"`
	DrawnUpAt     string  `json:"drawn_up_at"` // when the record was shown to the signer; UTC, RFC 3339
	Format        string  `json:"format"`
	Fingerprint   string  `json:"key_fingerprint"`
	Meaning       Meaning `json:"meaning"`
	PrintedName   string  `json:"printed_name"`
	RecordID      string  `json:"record_id"`
	RecordSHA256  string  `json:"record_sha256"`
	RecordType    string  `json:"record_type"`
	RecordVersion string  `json:"record_version"`
	SignedAt      string  `json:"signed_at"` // UTC, RFC 3339
	Signer        string  `json:"signer"`
	Text          string  `json:"statement_text"` // what the signer was shown
	Study         string  `json:"study"`
	TZOffset      string  `json:"tz_offset"` // of the signer, as +01:00
}

// Signature is a statement with the signature over its exact bytes, as DSSE.
type Signature struct {
	Statement []byte
	Sig       []byte
}

const (
	statementFormat = "longitude.signature/1"

	// PayloadType is the kind of what is signed.
	PayloadType = "application/vnd.longitude.signature+json"

	// Window is how long a statement may be signed after it was drawn up, and how
	// long a signature may be used after it was given: who walks away from a
	// terminal does not leave a signature behind.
	Window = 10 * time.Minute

	// maxText bounds what a signer is shown, in bytes.
	maxText = 2000

	timeLayout = "2006-01-02T15:04:05.000000Z"
)

// DrawUp writes down what p is to sign about a record. now is when p is shown it.
func DrawUp(p *Person, meaning Meaning, r Record, text string, now time.Time) Statement {
	return Statement{Format: statementFormat, Signer: p.ID, PrintedName: p.PrintedName, Fingerprint: p.Fingerprint(), Meaning: meaning, RecordType: r.Type,
		RecordID: r.ID, RecordVersion: r.Version, RecordSHA256: r.SHA256.String(), Study: r.Study, Text: text, DrawnUpAt: now.UTC().Format(timeLayout)}
}

// Sign signs a statement with the key in a file, which the passphrase opens: each
// signing proves anew who signs, with the id (the first component) and the
// passphrase (the second). now is in the signer's time zone.
func Sign(file []byte, passphrase string, st Statement, now time.Time) (Signature, error) {
	key, err := OpenKey(file, passphrase)
	if err != nil {
		return Signature{}, err
	}
	return key.sign(st, now)
}

func (k *Key) sign(st Statement, now time.Time) (Signature, error) {
	if k.id != st.Signer || k.Fingerprint() != st.Fingerprint {
		return Signature{}, otherKey()
	}
	st.SignedAt, st.TZOffset = now.UTC().Format(timeLayout), now.Format("-07:00")
	st.Authn = Authn{At: st.SignedAt, Components: []string{"id", "passphrase"}, Method: "passphrase"}
	if err := st.check(); err != nil {
		return Signature{}, err
	}
	text := canonical(st)
	return Signature{Statement: text, Sig: dsse.Sign(PayloadType, text, k.private)}, nil
}

func otherKey() error {
	return &study.Error{Code: "people.other_key", Op: "the key is not that of the person who is to sign", Exit: study.ExitBlocked,
		Hint: "sign with the key that `longitude person list` shows the fingerprint of"}
}

// check refuses a statement that lacks what a signature must show, or that was
// drawn up too long before it was signed.
func (st *Statement) check() error {
	drawn, err1 := time.Parse(timeLayout, st.DrawnUpAt)
	signed, err2 := time.Parse(timeLayout, st.SignedAt)
	_, err3 := time.Parse("-07:00", st.TZOffset)
	digest, err4 := hex.DecodeString(st.RecordSHA256)
	full := !slices.Contains([]string{st.Signer, st.PrintedName, st.RecordType, st.RecordID, st.RecordVersion, st.Text}, "")
	switch {
	case err1 != nil, err2 != nil, err3 != nil, err4 != nil, len(digest) != len(study.Digest{}), !full, st.Format != statementFormat, !slices.Contains(Meanings, st.Meaning), len(st.Text) > maxText:
		return malformed()
	case signed.Sub(drawn) > Window || drawn.After(signed):
		return expired("the statement was drawn up more than ten minutes before it was signed")
	}
	return nil
}

func malformed() error {
	return &study.Error{Code: "people.signature", Op: "the signature is not by the key of its signer, or its statement was changed", Exit: study.ExitBlocked,
		Hint: "sign again; if it was stored, run `longitude audit verify`"}
}

func expired(what string) error {
	return &study.Error{Code: "people.expired", Op: what, Exit: study.ExitBlocked, Hint: "look at the record again and sign then; check that clocks agree"}
}

// Verify answers what a signature says, once it is certain that p signed it with
// the key that p has in this version.
func Verify(p *Person, s Signature) (Statement, error) {
	var st Statement
	d := json.NewDecoder(bytes.NewReader(s.Statement))
	d.DisallowUnknownFields()
	if d.Decode(&st) != nil || !bytes.Equal(canonical(st), s.Statement) || st.check() != nil || st.Signer != p.ID || st.PrintedName != p.PrintedName ||
		st.Fingerprint != p.Fingerprint() || !dsse.Verify(PayloadType, s.Statement, s.Sig, p.Public) {
		return Statement{}, malformed()
	}
	return st, nil
}

// Admit refuses a signature for a record as it is now: of another state of the
// record, of a person who may not act or has none of the roles, or given too long
// before now.
func (st *Statement) Admit(p *Person, r Record, now time.Time, anyOf ...Role) error {
	signed, err := time.Parse(timeLayout, st.SignedAt)
	switch {
	case err != nil:
		return malformed()
	case st.RecordType != r.Type || st.RecordID != r.ID || st.RecordVersion != r.Version || st.Study != r.Study || st.RecordSHA256 != r.SHA256.String():
		return &study.Error{Code: "people.other_record", Op: "what was signed is not " + r.Type + " " + r.ID + " as it is now", Exit: study.ExitBlocked,
			Hint: "look at it again and sign what is there now"}
	case !p.Active:
		return &study.Error{Code: "people.inactive", Op: p.ID + " may not act any more", Exit: study.ExitBlocked, Hint: "`longitude person list` shows who may"}
	case !p.Has(anyOf...):
		return &study.Error{Code: "people.role_missing", Op: p.ID + " has not the role that this takes (" + joined(anyOf) + ")", Exit: study.ExitBlocked,
			Hint: "ask somebody who has; an admin gives roles with `longitude person grant`"}
	case now.Sub(signed) > Window || signed.Sub(now) > Window:
		return expired("the signature was given more than ten minutes away from now")
	}
	return nil
}

func joined(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

// ReadStatement reads what a signature says, without checking it. ok is false when
// it names no signer.
func ReadStatement(s Signature) (st Statement, ok bool) {
	if json.Unmarshal(s.Statement, &st) != nil || !idForm.MatchString(st.Signer) {
		return Statement{}, false
	}
	return st, true
}

// String renders the signature as every listing and report must (11.50): printed
// name, time (UTC and the signer's own), meaning, and what was signed.
func (st Statement) String() string {
	return st.PrintedName + " (" + st.Signer + "), " + st.Times() + ", " + string(st.Meaning) + " of " + st.RecordType + " " + st.RecordID +
		" version " + st.RecordVersion + ", sha256 " + st.Prefix()
}

// Prefix is the beginning of the digest of what was signed, to compare by eye.
func (st Statement) Prefix() string { return st.RecordSHA256[:min(16, len(st.RecordSHA256))] + "…" }

// Signed is when it was signed.
func (st Statement) Signed() (time.Time, error) { return time.Parse(timeLayout, st.SignedAt) }

// Times is when it was signed: UTC and the signer's own time.
func (st Statement) Times() string {
	at, err := time.Parse(timeLayout, st.SignedAt)
	zone, err2 := time.Parse("-07:00", st.TZOffset)
	if err != nil || err2 != nil {
		return st.SignedAt
	}
	return at.Format("2006-01-02 15:04:05") + " UTC (" + at.In(zone.Location()).Format("2006-01-02 15:04:05 -07:00") + ")"
}

// Envelope is the signature as DSSE, for others to check.
func (s Signature) Envelope(keyID string) dsse.Envelope {
	return dsse.Envelope{PayloadType: PayloadType, Payload: s.Statement, Signatures: []dsse.Signature{{KeyID: keyID, Sig: s.Sig}}}
}
