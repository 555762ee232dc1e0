package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"strings"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"longitude/study"
)

// Checkpoint says how large the log is and what its root is, signed. Whoever keeps
// one where the operator cannot change it can tell later whether the log was
// rewritten.
type Checkpoint struct {
	Size int64  // leaves
	Root Hash   // of the tree of that many
	Note []byte // the signed text
}

// Signer signs the checkpoints of one log. It implements note.Signer.
type Signer struct {
	origin   string
	key      ed25519.PrivateKey
	vkey     string
	verifier note.Verifier
}

// NewSigner makes the signer of the log of a deployment. The log is named after
// its first key: two logs can never be taken for one another.
func NewSigner(keyID string, key ed25519.PrivateKey) (*Signer, error) {
	s := &Signer{origin: "longitude-" + keyID + "/audit", key: key}
	var err error
	if s.vkey, err = note.NewEd25519VerifierKey(s.origin, key.Public().(ed25519.PublicKey)); err != nil {
		return nil, err
	}
	s.verifier, err = note.NewVerifier(s.vkey)
	return s, err
}

// Name implements note.Signer: the origin of the log.
func (s *Signer) Name() string { return s.origin }

// KeyHash implements note.Signer.
func (s *Signer) KeyHash() uint32 { return s.verifier.KeyHash() }

// Sign implements note.Signer.
func (s *Signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// Policy is the policy by which what the signer signs is checked.
func (s *Signer) Policy() Policy { return Policy{vkey: s.vkey, log: s.verifier} }

// Checkpoint signs the tree of size leaves.
func (s *Signer) Checkpoint(size int64, root Hash) (Checkpoint, error) {
	text := log.Checkpoint{Origin: s.origin, Size: uint64(size), Hash: root[:]}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, s)
	return Checkpoint{Size: size, Root: root, Note: signed}, err
}

// Policy says whose checkpoints count: a C2SP tlog-policy with one log and no
// witnesses.
type Policy struct {
	vkey string
	log  note.Verifier
}

// Marshal is the policy as text.
func (p Policy) Marshal() []byte {
	return []byte("# Whose checkpoints of the audit log count. Keep it where the log's operator cannot change it.\nlog " + p.vkey + "\nquorum none\n")
}

// Origin is the name of the log.
func (p Policy) Origin() string { return p.log.Name() }

// ParsePolicy reads a policy. It refuses one that asks for what is not checked.
func ParsePolicy(text []byte) (Policy, error) {
	var p Policy
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case words[0] == "log" && p.log == nil && (len(words) == 2 || len(words) == 3):
			var err error
			if p.log, err = note.NewVerifier(words[1]); err != nil {
				return Policy{}, badPolicy()
			}
			p.vkey = words[1]
		case words[0] == "quorum" && len(words) == 2 && words[1] == "none":
		default:
			return Policy{}, badPolicy()
		}
	}
	if p.log == nil {
		return Policy{}, badPolicy()
	}
	return p, nil
}

// public is the log's key, from the last field of name+hash+key, after the byte of
// the algorithm.
func (p Policy) public() (ed25519.PublicKey, error) {
	parts := strings.SplitN(p.vkey, "+", 3) // base64 may have a "+" of its own
	key, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(key) != 1+ed25519.PublicKeySize {
		return nil, badPolicy()
	}
	return ed25519.PublicKey(key[1:]), nil
}

func badPolicy() error {
	return &study.Error{Code: "audit.policy", Op: "the policy is no tlog-policy with one log and no witnesses", Exit: study.ExitUsage,
		Hint: "take the file that the log's operator published: one line `log` with its key, and `quorum none`"}
}

// Open reads a signed checkpoint. It fails with audit.checkpoint unless the log
// that the policy names signed exactly this.
func (p Policy) Open(signed []byte) (Checkpoint, error) {
	c, rest, n, err := log.ParseCheckpoint(signed, p.log.Name(), p.log)
	if err != nil || len(rest) > 0 || len(c.Hash) != len(Hash{}) || c.Size > 1<<62 {
		return Checkpoint{}, forged()
	}
	// One text has one form: what reads the same and is written otherwise is not it.
	if !bytes.Equal(c.Marshal(), []byte(n.Text)) || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return Checkpoint{}, forged()
	}
	return Checkpoint{Size: int64(c.Size), Root: Hash(c.Hash), Note: signed}, nil
}

func forged() error {
	return &study.Error{Code: "audit.checkpoint", Op: "the checkpoint is not signed by the log that the policy names, or was changed", Exit: study.ExitBlocked,
		Hint: "compare the policy with the one that the log's operator published; if it is the right one, the checkpoint was tampered with"}
}
