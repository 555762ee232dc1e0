package people

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"filippo.io/age"

	"longitude/study"
)

// Cost is the work of trying one passphrase, as a power of two: about a second.
const Cost = 18

// MinPassphrase is the least length of a passphrase, in characters.
const MinPassphrase = 12

// keyFormat names the layout of a key file.
const keyFormat = "longitude.person-key/1"

// keyFile is a person's key as it lies on their disk. Who it belongs to can be read
// without the passphrase; the private keys cannot.
type keyFile struct {
	Format      string `json:"format"`
	ID          string `json:"id"`
	Fingerprint string `json:"fingerprint"`
	Sealed      []byte `json:"sealed"` // age, to a passphrase
}

// secrets are what is sealed in a key file.
type secrets struct {
	ID       string `json:"id"`
	Seed     []byte `json:"seed"`     // Ed25519
	Identity string `json:"identity"` // age X25519
}

// Key is a person's opened key: what it signs is theirs. It prints as nothing.
type Key struct {
	id       string
	private  ed25519.PrivateKey
	identity *age.X25519Identity
}

// NewKey makes the keys of a person and the file that keeps them under a
// passphrase. cost is Cost, but in tests.
func NewKey(id, passphrase string, cost int) (file []byte, key *Key, err error) {
	if utf8.RuneCountInString(passphrase) < MinPassphrase {
		return nil, nil, &study.Error{Code: "people.passphrase_short", Op: "the passphrase is too short", Exit: study.ExitUsage,
			Hint: "use at least " + strconv.Itoa(MinPassphrase) + " characters; a few words that nobody else would put together are good"}
	}
	key = &Key{id: id}
	if _, key.private, err = ed25519.GenerateKey(nil); err != nil {
		return nil, nil, err
	}
	if key.identity, err = age.GenerateX25519Identity(); err != nil {
		return nil, nil, err
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, nil, err
	}
	recipient.SetWorkFactor(cost)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err == nil {
		_, err = w.Write(canonical(secrets{ID: id, Seed: key.private.Seed(), Identity: key.identity.String()}))
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return nil, nil, err
	}
	file, err = json.MarshalIndent(keyFile{Format: keyFormat, ID: id, Fingerprint: key.Fingerprint(), Sealed: sealed.Bytes()}, "", "  ")
	return append(file, '\n'), key, err
}

// KeyOwner answers whose key a file says it is, without opening it.
func KeyOwner(file []byte) (id string, err error) {
	f, err := parseKeyFile(file)
	return f.ID, err
}

func parseKeyFile(file []byte) (keyFile, error) {
	var f keyFile
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if d.Decode(&f) != nil || f.Format != keyFormat || !idForm.MatchString(f.ID) {
		return keyFile{}, &study.Error{Code: "people.key_file", Op: "the file is no key of a person", Exit: study.ExitUsage,
			Hint: "name the file that `longitude person add` wrote"}
	}
	return f, nil
}

// OpenKey opens a key file. It fails with people.passphrase when the passphrase is
// not the one, or the file was changed: the two cannot be told apart.
func OpenKey(file []byte, passphrase string) (*Key, error) {
	f, err := parseKeyFile(file)
	if err != nil {
		return nil, err
	}
	wrong := &study.Error{Code: "people.passphrase", Op: "the passphrase does not open the key of " + f.ID, Exit: study.ExitBlocked,
		Hint: "try again; who has forgotten it is given a new key by an admin"}
	who, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, wrong
	}
	plain, err := age.Decrypt(bytes.NewReader(f.Sealed), who)
	if err != nil {
		return nil, wrong
	}
	content, err := io.ReadAll(plain)
	var s secrets
	if err != nil || json.Unmarshal(content, &s) != nil || len(s.Seed) != ed25519.SeedSize {
		return nil, wrong
	}
	k := &Key{id: s.ID, private: ed25519.NewKeyFromSeed(s.Seed)}
	if k.identity, err = age.ParseX25519Identity(s.Identity); err != nil || s.ID != f.ID || k.Fingerprint() != f.Fingerprint {
		return nil, wrong
	}
	return k, nil
}

// ID is whose key it is.
func (k *Key) ID() string { return k.id }

// Public is the key that checks what this one signs.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Recipient is what is encrypted to, for only this key to open.
func (k *Key) Recipient() string { return k.identity.Recipient().String() }

// Fingerprint names the public keys, as Person.Fingerprint does.
func (k *Key) Fingerprint() string { return fingerprint(k.Public(), k.Recipient()) }

// Decrypt opens what was encrypted to the person's recipient.
func (k *Key) Decrypt(r io.Reader) (io.Reader, error) {
	plain, err := age.Decrypt(r, k.identity)
	if err != nil {
		return nil, &study.Error{Code: "people.decrypt", Op: "the file is not encrypted to this person, or was changed", Exit: study.ExitBlocked,
			Hint: "ask for it again, encrypted to the person who is to read it"}
	}
	return plain, nil
}

// Format implements fmt.Formatter: a key prints as whose it is, under every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "key of "+k.id) }
