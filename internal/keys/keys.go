// Package keys keeps the secrets of each study: root keys, from which every
// other key is derived, and the seeds of the keys that sign its releases. All
// are wrapped by one key encryption key (KEK), which is a file or a key of
// Google Cloud KMS that never leaves it. One folder holds
//
//	kek                       32 bytes in base64, readable by its owner only; not with KMS
//	<study>.root.<n>.json     wrapped root key, version n
//	<study>.sign.<n>.json     wrapped Ed25519 seed of releases, version n
//	deployment.audit.<n>.json wrapped Ed25519 seed of the audit log, version n
//
// and nothing in it may be lost: the codes of all participants and every sealed
// value depend on it. A missing KEK with wrapped keys beside it is an error,
// never a new KEK. A new version stands beside those before it, which go on
// opening what was sealed under them. Only wrapping a key again replaces a file
// (<study>.root.<n>.r<m>.json), and what it replaces goes when the new one was
// read back.
package keys

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"longitude/deid"
	"longitude/internal/objectstore"
	"longitude/study"
)

// Ring opens the keys of all studies in one folder. It implements deid.Keys and
// is safe for concurrent use, also by several processes.
type Ring struct {
	files  *objectstore.Folder
	local  bool // the KEK is a file of the folder
	random io.Reader

	mu     sync.Mutex
	keks   []KEK               // the first wraps; the others only open
	opened map[string]deid.Key // secrets that were unwrapped, by kind, study and version
}

var _ deid.Keys = (*Ring)(nil)

// Kinds of wrapped secrets.
const (
	rootKey = "root"
	signKey = "sign"
)

// first is the version that every key begins with.
const first = 1

// Open opens the ring at location, "file:<folder>", with the KEK in a file
// there. Folder and KEK are created on first use, readable by their owner only;
// it is an error when others can read them.
func Open(location string) (*Ring, error) { return open(location, rand.Reader) }

func open(location string, random io.Reader) (*Ring, error) {
	r, err := openFolder(location, random)
	if err != nil {
		return nil, err
	}
	r.local = true
	if err := r.loadKEKs(); err != nil {
		return nil, err
	}
	if len(r.keks) == 0 {
		err = r.exclusive(r.createKEK)
	}
	return r, err
}

// OpenWith opens the ring in a folder, "file:<folder>", with a KEK that is
// elsewhere. Keys that a file KEK of the folder wraps open too, until they are
// wrapped again.
func OpenWith(kek KEK, location string) (*Ring, error) {
	r, err := openFolder(location, rand.Reader)
	if err != nil {
		return nil, err
	}
	r.keks = []KEK{kek}
	return r, r.loadKEKs()
}

func openFolder(location string, random io.Reader) (*Ring, error) {
	files, err := objectstore.Open(location)
	var e *study.Error
	if errors.As(err, &e) && e.Code == "objectstore.location" {
		return nil, badProvider()
	}
	if err != nil {
		return nil, err
	}
	if err := private(files.Dir()); err != nil {
		return nil, err
	}
	return &Ring{files: files, random: random, opened: map[string]deid.Key{}}, nil
}

func badProvider() error {
	return &study.Error{Code: "keys.provider", Op: "open the keys: the location leads to no key encryption key", Exit: study.ExitUsage,
		Hint: "write file:<folder>, or gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K"}
}

// Format prints a ring without what is in it, under every verb.
func (r *Ring) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[keys]")) }

// Ensure creates the keys of a study where there are none yet, and answers
// which it created.
func (r *Ring) Ensure(studyName string) error {
	_, err := r.Create(studyName)
	return err
}

// Create is Ensure that answers what was created.
func (r *Ring) Create(studyName string) (created []Created, err error) {
	for _, kind := range []string{rootKey, signKey} {
		made, err := r.create(kind, studyName, first)
		if err != nil {
			return created, err
		}
		if made {
			created = append(created, Created{kind, studyName, first})
		}
	}
	return created, nil
}

// Created is a key that came into use.
type Created struct {
	Kind, Study string
	Version     int
}

// Derive gives the study's key for one purpose and domain (HKDF-SHA-256), at the
// version that the study began with: codes and digests are the same for ever. It
// never creates: without a root key it is an error (keys.missing).
func (r *Ring) Derive(studyName, purpose, domain string) (deid.Key, error) {
	return r.DeriveVersion(studyName, purpose, domain, first)
}

// DeriveVersion is Derive at a version of the root key.
func (r *Ring) DeriveVersion(studyName, purpose, domain string, version int) (deid.Key, error) {
	root, err := r.unwrap(rootKey, studyName, version)
	if err != nil {
		return deid.Key{}, err
	}
	return expand(root.Bytes(), studyName, purpose, domain, version)
}

func expand(root []byte, studyName, purpose, domain string, version int) (deid.Key, error) {
	info := deid.Frame("longitude/v1", purpose, studyName, domain, strconv.Itoa(version))
	key, err := hkdf.Expand(sha256.New, root, string(info), 32)
	if err != nil {
		return deid.Key{}, err
	}
	return deid.NewKey([32]byte(key)), nil
}

// Newest is the newest version of a study's root key: what is sealed now is
// sealed under it.
func (r *Ring) Newest(studyName string) (int, error) { return r.newest(rootKey, studyName) }

// Signer gives the newest of the keys that sign the releases of a study, and its id.
func (r *Ring) Signer(studyName string) (keyID string, private ed25519.PrivateKey, err error) {
	version, err := r.newest(signKey, studyName)
	if err != nil {
		return "", nil, err
	}
	return r.signer(signKey, studyName, version)
}

func (r *Ring) signer(kind, studyName string, version int) (keyID string, private ed25519.PrivateKey, err error) {
	seed, err := r.unwrap(kind, studyName, version)
	if err != nil {
		return "", nil, err
	}
	private = ed25519.NewKeyFromSeed(seed.Bytes())
	return keyIDOf(private.Public().(ed25519.PublicKey)), private, nil
}

// Public gives the key that verifies what the study signs now, and its id.
func (r *Ring) Public(studyName string) (keyID string, public ed25519.PublicKey, err error) {
	keyID, private, err := r.Signer(studyName)
	if err != nil {
		return "", nil, err
	}
	return keyID, private.Public().(ed25519.PublicKey), nil
}

// PublicKey is a key that verifies.
type PublicKey struct {
	ID     string
	Public ed25519.PublicKey
}

// Publics gives every key that verifies something of the study's, oldest first:
// what was signed before a rotation stays signed.
func (r *Ring) Publics(studyName string) ([]PublicKey, error) {
	newest, err := r.newest(signKey, studyName)
	if err != nil {
		return nil, err
	}
	var out []PublicKey
	for version := first; version <= newest; version++ {
		id, private, err := r.signer(signKey, studyName, version)
		if err != nil {
			return nil, err
		}
		out = append(out, PublicKey{id, private.Public().(ed25519.PublicKey)})
	}
	return out, nil
}

// keyIDOf is the first 16 hex digits of the SHA-256 of the public key.
func keyIDOf(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

func (r *Ring) fresh() ([]byte, error) {
	secret := make([]byte, 32)
	if _, err := io.ReadFull(r.random, secret); err != nil {
		return nil, noRandom()
	}
	return secret, nil
}

func noRandom() error {
	return &study.Error{Code: "keys.random", Op: "make a key: the source of randomness failed", Exit: study.ExitEnvironment,
		Hint: "this machine gives no random numbers: look at its system log before you go on"}
}

// Close ends the connection to the KEK.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	for _, k := range r.keks {
		if c, ok := k.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}
