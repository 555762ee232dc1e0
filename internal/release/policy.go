package release

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"longitude/study"
)

// Policy says whose signatures make a release valid. It is pinned out of band:
// never take it from the release that it judges.
type Policy struct {
	Keys      []PolicyKey `json:"keys"`
	Threshold int         `json:"threshold"` // how many of them must have signed
}

// PolicyKey is one Ed25519 public key.
type PolicyKey struct {
	ID     string `json:"id"`
	Public string `json:"public"` // base64
}

// NewPolicy trusts one key.
func NewPolicy(keyID string, public ed25519.PublicKey) Policy {
	return Policy{Keys: []PolicyKey{{keyID, base64.StdEncoding.EncodeToString(public)}}, Threshold: 1}
}

// And trusts another key too: what either signed is valid.
func (p Policy) And(keyID string, public ed25519.PublicKey) Policy {
	p.Keys = append(slices.Clip(p.Keys), PolicyKey{keyID, base64.StdEncoding.EncodeToString(public)})
	return p
}

// ReadPolicy reads and checks a policy file.
func ReadPolicy(file string) (Policy, error) {
	var p Policy
	content, err := os.ReadFile(file)
	if err != nil {
		return p, policyError(study.ExitEnvironment, "the file cannot be read")
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if d.Decode(&p) != nil || d.More() {
		return p, policyError(study.ExitUsage, "the file is no policy")
	}
	_, err = p.keys()
	return p, err
}

// WritePolicy writes a policy file, whole or not at all.
func WritePolicy(file string, p Policy) error {
	if _, err := p.keys(); err != nil {
		return err
	}
	content, err := encodeJSON(p)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".policy-*")
	if err != nil {
		return unwritable()
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(content)
	for _, step := range []func() error{
		func() error { return err }, func() error { return tmp.Chmod(0o644) }, tmp.Sync, tmp.Close,
		func() error { return os.Rename(tmp.Name(), file) },
	} {
		if step() != nil {
			return unwritable()
		}
	}
	return nil
}

// keys decodes the public keys: each once, and enough for the threshold.
func (p Policy) keys() ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for _, k := range p.Keys {
		raw, ok := decodeBase64(k.Public)
		if !ok || len(raw) != ed25519.PublicKeySize {
			return nil, policyError(study.ExitUsage, "key "+k.ID+" is no Ed25519 public key in base64")
		}
		for _, other := range keys {
			if other.Equal(ed25519.PublicKey(raw)) {
				return nil, policyError(study.ExitUsage, "key "+k.ID+" is there twice")
			}
		}
		keys = append(keys, raw)
	}
	if p.Threshold < 1 || p.Threshold > len(keys) {
		return nil, policyError(study.ExitUsage, "the threshold is not between 1 and the number of keys")
	}
	return keys, nil
}

// decodeBase64 reads both alphabets, padded or not, as DSSE asks of readers.
func decodeBase64(s string) ([]byte, bool) {
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := e.Strict().DecodeString(s); err == nil {
			return b, true
		}
	}
	return nil, false
}

func policyError(exit int, what string) error {
	return &study.Error{Code: "verify.policy", Op: "reading the verification policy: " + what, Exit: exit,
		Hint: `a policy is {"keys": [{"id": …, "public": base64}], "threshold": 1}; longitude release build writes one into its data folder`}
}

func unwritable() error {
	return &study.Error{Code: "release.policy", Op: "writing the verification policy into the data folder", Exit: study.ExitEnvironment,
		Hint: "make room there and let this user write to it, or set service.data_dir to another folder"}
}
