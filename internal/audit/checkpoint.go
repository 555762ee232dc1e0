package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"slices"
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

	key int // the newest of the policy's keys that signed it, from 0; what Open found
}

// Signer signs the checkpoints of one log. It implements note.Signer.
type Signer struct {
	origin string
	keys   []ed25519.PrivateKey // oldest first; the last signs
	policy Policy
}

// NewSigner makes the signer of the log of a deployment, with its keys from the
// oldest, which names the log, to the newest, which signs: two logs can never be
// taken for one another, and a log stays itself when its key is replaced.
func NewSigner(logID string, keys ...ed25519.PrivateKey) (*Signer, error) {
	s := &Signer{origin: "longitude-" + logID + "/audit", keys: keys}
	for _, key := range keys {
		vkey, err := note.NewEd25519VerifierKey(s.origin, key.Public().(ed25519.PublicKey))
		if err == nil {
			err = s.policy.add(vkey)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Name implements note.Signer: the origin of the log.
func (s *Signer) Name() string { return s.origin }

// KeyHash implements note.Signer.
func (s *Signer) KeyHash() uint32 { return s.policy.logs[len(s.keys)-1].KeyHash() }

// Sign implements note.Signer.
func (s *Signer) Sign(msg []byte) ([]byte, error) {
	return ed25519.Sign(s.keys[len(s.keys)-1], msg), nil
}

// Policy is the policy by which what the signer signs is checked.
func (s *Signer) Policy() Policy { return s.policy }

// before is the signer as it was before its last key.
func (s *Signer) before() *Signer {
	n := len(s.keys) - 1
	return &Signer{s.origin, s.keys[:n], Policy{s.policy.vkeys[:n], s.policy.logs[:n]}}
}

// Checkpoint signs the tree of size leaves.
func (s *Signer) Checkpoint(size int64, root Hash) (Checkpoint, error) {
	return s.checkpoint(size, root, s)
}

// Continue signs the tree of size leaves, which has grown since a checkpoint. The
// first checkpoint under a new key is signed by the key before it too: that the log
// goes on under the new one is said by the old.
func (s *Signer) Continue(last Checkpoint, size int64, root Hash) (Checkpoint, error) {
	if last.Size > 0 && last.key < len(s.keys)-1 {
		return s.checkpoint(size, root, s.before(), s)
	}
	return s.Checkpoint(size, root)
}

func (s *Signer) checkpoint(size int64, root Hash, signers ...note.Signer) (Checkpoint, error) {
	text := log.Checkpoint{Origin: s.origin, Size: uint64(size), Hash: root[:]}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, signers...)
	return Checkpoint{Size: size, Root: root, Note: signed, key: len(s.keys) - 1}, err
}

// Policy says whose checkpoints count: a C2SP tlog-policy with one log, under every
// key that it ever signed with, oldest first, and no witnesses.
type Policy struct {
	vkeys []string
	logs  []note.Verifier
}

// add trusts another key of the same log.
func (p *Policy) add(vkey string) error {
	v, err := note.NewVerifier(vkey)
	if err != nil || len(p.logs) > 0 && (v.Name() != p.Origin() || slices.Contains(p.vkeys, vkey)) {
		return badPolicy()
	}
	p.vkeys, p.logs = append(p.vkeys, vkey), append(p.logs, v)
	return nil
}

// Marshal is the policy as text.
func (p Policy) Marshal() []byte {
	text := "# Whose checkpoints of the audit log count. Keep it where the log's operator cannot change it.\n"
	for _, vkey := range p.vkeys {
		text += "log " + vkey + "\n"
	}
	return []byte(text + "quorum none\n")
}

// Origin is the name of the log.
func (p Policy) Origin() string { return p.logs[0].Name() }

// ParsePolicy reads a policy. It refuses one that asks for what is not checked.
func ParsePolicy(text []byte) (Policy, error) {
	var p Policy
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case words[0] == "log" && (len(words) == 2 || len(words) == 3):
			if err := p.add(words[1]); err != nil {
				return Policy{}, err
			}
		case words[0] == "quorum" && len(words) == 2 && words[1] == "none":
		default:
			return Policy{}, badPolicy()
		}
	}
	if len(p.logs) == 0 {
		return Policy{}, badPolicy()
	}
	return p, nil
}

// public are the log's keys, each from the last field of name+hash+key, after the
// byte of the algorithm.
func (p Policy) public() ([]ed25519.PublicKey, error) {
	var out []ed25519.PublicKey
	for _, vkey := range p.vkeys {
		parts := strings.SplitN(vkey, "+", 3) // base64 may have a "+" of its own
		key, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
		if err != nil || len(key) != 1+ed25519.PublicKeySize {
			return nil, badPolicy()
		}
		out = append(out, ed25519.PublicKey(key[1:]))
	}
	return out, nil
}

func badPolicy() error {
	return &study.Error{Code: "audit.policy", Op: "the policy is no tlog-policy with one log and no witnesses", Exit: study.ExitUsage,
		Hint: "take the file that the log's operator published: a line `log` with each of its keys, and `quorum none`"}
}

// Open reads a signed checkpoint. It fails with audit.checkpoint unless the log
// that the policy names signed exactly this, under one key, or under two that
// follow each other.
func (p Policy) Open(signed []byte) (Checkpoint, error) {
	for i, v := range slices.Backward(p.logs) {
		var before []note.Verifier
		if i > 0 {
			before = p.logs[i-1 : i]
		}
		c, rest, n, err := log.ParseCheckpoint(signed, v.Name(), v, before...)
		if err != nil {
			continue
		}
		// One text has one form: what reads the same and is written otherwise is not it.
		if len(rest) > 0 || len(c.Hash) != len(Hash{}) || c.Size > 1<<62 || !bytes.Equal(c.Marshal(), []byte(n.Text)) {
			return Checkpoint{}, forged()
		}
		if len(n.UnverifiedSigs) == 1 && n.UnverifiedSigs[0].Name == p.Origin() && i == len(p.logs)-1 {
			return Checkpoint{}, keyUnknown()
		}
		if len(n.UnverifiedSigs) != 0 {
			return Checkpoint{}, forged()
		}
		return Checkpoint{Size: int64(c.Size), Root: Hash(c.Hash), Note: signed, key: i}, nil
	}
	return Checkpoint{}, forged()
}

func keyUnknown() error {
	return &study.Error{Code: "audit.key_unknown", Op: "the audit log goes on under a key that is not known here", Exit: study.ExitBlocked,
		Hint: "its key was replaced: restart the service, or take the policy that the log's operator publishes now; if nobody replaced it, the checkpoint was tampered with"}
}

func forged() error {
	return &study.Error{Code: "audit.checkpoint", Op: "the checkpoint is not signed by the log that the policy names, or was changed", Exit: study.ExitBlocked,
		Hint: "compare the policy with the one that the log's operator published; if it is the right one, the checkpoint was tampered with"}
}
