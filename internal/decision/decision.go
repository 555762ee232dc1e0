// Package decision is how a person's decision is put into words and signed: the
// closed list of reasons, the statement that the study's key signs, and what the
// statement is about.
package decision

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"longitude/study"
)

// Why is what a person gives with a decision.
type Why struct {
	Reason string // code of study.Reasons
	Note   string // own words, sealed; "" = none
	Actor  string // who decides
}

// maxNote and maxActor bound what is kept, in bytes.
const (
	maxNote  = 10_000
	maxActor = 100
)

// Check refuses a reason that is none, a note that is too long, and a name that
// could not be read back from a list.
func (w Why) Check() error {
	if err := CheckReason(w.Reason); err != nil {
		return err
	}
	switch {
	case w.Reason == "other" && strings.TrimSpace(w.Note) == "":
		return &study.Error{Code: "decision.note", Op: "the reason is other, and no note says which", Exit: study.ExitUsage,
			Hint: "say it in a note, which is sealed; or use one of: " + Codes()}
	case len(w.Note) > maxNote:
		return &study.Error{Code: "decision.note", Op: "the note is longer than " + strconv.Itoa(maxNote) + " bytes", Exit: study.ExitUsage,
			Hint: "say what matters for this decision, and where the rest is filed"}
	}
	return CheckActor(w.Actor)
}

// CheckReason refuses a reason that is none of the list.
func CheckReason(code string) error {
	if slices.ContainsFunc(study.Reasons, func(r study.ChoiceItem) bool { return r.Code == code }) {
		return nil
	}
	op := "the reason is none of the list"
	if code == "" {
		op = "no reason is given"
	}
	return &study.Error{Code: "decision.reason", Op: op, Exit: study.ExitUsage, Hint: "use one of: " + Codes()}
}

// CheckActor refuses a name of somebody who acts that could not be read back from
// a list.
func CheckActor(actor string) error {
	if actor == "" || len(actor) > maxActor || strings.TrimSpace(actor) != actor || strings.ContainsFunc(actor, unicode.IsControl) {
		return &study.Error{Code: "decision.actor", Op: "the name of who decides is empty, too long, or not plain text", Exit: study.ExitUsage,
			Hint: "name a person with up to " + strconv.Itoa(maxActor) + " plain characters"}
	}
	return nil
}

// Codes are the reasons in one line.
func Codes() string {
	codes := make([]string, len(study.Reasons))
	for i, r := range study.Reasons {
		codes[i] = r.Code
	}
	return strings.Join(codes, ", ")
}

// About names what a decision is about, as a path: participant/12/visit/2/
// visit_out_of_window, quarantine/44, visit_type/month_1, study.
func About(d *study.Decision) string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	switch d.Kind {
	case study.Explain:
		at := "participant/" + number(d.Participant) + "/visit/" + number(int64(d.Deviation.VisitNo)) + "/" + d.Deviation.Code
		if d.Deviation.Detail != "" {
			at += "/" + d.Deviation.Detail
		}
		return at
	case study.Waive:
		return "quarantine/" + number(d.Quarantine)
	case study.UnlockData:
		return "lock/" + number(d.Lifts)
	case study.AcceptShape:
		return "source/" + d.Source
	case study.Link:
		return "participant/" + number(d.Participant) + "/same_as/" + number(d.SameAs)
	case study.Unlink:
		return "link/" + number(d.Lifts)
	case study.Withdraw:
		return "participant/" + number(d.Participant) + "/withdraw/" + d.Deviation.Detail
	}
	var covers []string
	if d.Participant != 0 {
		covers = append(covers, "participant/"+number(d.Participant))
	}
	if d.Visit != "" {
		covers = append(covers, "visit_type/"+d.Visit)
	}
	return cmp.Or(strings.Join(covers, "/"), "study")
}

// statement is what a signature covers. Its keys are in order, so that its JSON
// is the same wherever it is made.
type statement struct {
	About    string `json:"about"`
	Actor    string `json:"actor"`
	At       string `json:"at"`                        // UTC, RFC 3339
	Evidence string `json:"evidence_sha256,omitempty"` // of the evidence that an explanation is given for
	Format   string `json:"format"`
	Kind     string `json:"kind"`
	Note     string `json:"note_sha256,omitempty"` // of the sealed note
	Reason   string `json:"reason"`
	Study    string `json:"study"`
}

const format = "longitude.decision/1"

// Sign writes the statement of a decision down and signs it. A statement starts
// with a brace, which no release signed with the same key does.
func Sign(d *study.Decision, keyID string, key ed25519.PrivateKey) error {
	text, err := write(d, noteDigest(d))
	if err != nil {
		return err
	}
	d.Statement, d.Signature, d.SignedBy = text, ed25519.Sign(key, text), keyID
	return nil
}

// Verify reports whether a decision is signed by key and says what its statement
// says.
func Verify(d *study.Decision, key ed25519.PublicKey) bool {
	return verify(d, noteDigest(d), key)
}

// VerifyStored is Verify for who cannot read the sealed note: which it is, if any, is
// taken from the statement.
func VerifyStored(d *study.Decision, key ed25519.PublicKey) bool {
	var said statement
	return json.Unmarshal(d.Statement, &said) == nil && verify(d, said.Note, key)
}

func verify(d *study.Decision, note string, key ed25519.PublicKey) bool {
	text, err := write(d, note)
	return err == nil && bytes.Equal(text, d.Statement) && ed25519.Verify(key, d.Statement, d.Signature)
}

// noteDigest is that of the sealed note: that of the words would let them be guessed.
func noteDigest(d *study.Decision) string {
	if d.Note == nil {
		return ""
	}
	return digest(d.Note)
}

func write(d *study.Decision, note string) ([]byte, error) {
	s := statement{Format: format, Kind: string(d.Kind), Study: d.Study, About: About(d), Note: note, Reason: d.Reason, Actor: d.Actor,
		At: d.At.UTC().Format(time.RFC3339Nano)}
	if d.Evidence != "" {
		s.Evidence = digest([]byte(d.Evidence))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
