// Package keys keeps the secrets of each study: a root key, from which every
// other key is derived, and the seed of the key that signs its releases. Both
// are wrapped by one key encryption key (KEK). With the KEK in a folder, the
// folder holds
//
//	kek                    32 bytes in base64, readable by its owner only
//	<study>.root.1.json    wrapped root key, version 1
//	<study>.sign.1.json    wrapped Ed25519 seed, version 1
//
// and nothing in it may be lost: the codes of all participants and every sealed
// value depend on it. Nothing is ever replaced: a missing KEK with wrapped keys
// beside it is an error, never a new KEK.
package keys

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"longitude/deid"
	"longitude/internal/objectstore"
	"longitude/study"
)

// Ring opens the keys of all studies at one location. It implements deid.Keys
// and is safe for concurrent use.
type Ring struct {
	files  *objectstore.Folder
	kek    cipher.AEAD
	kekID  string // recognises the KEK without telling it
	random io.Reader
}

var _ deid.Keys = (*Ring)(nil)

const (
	kekFile = "kek"
	version = 1 // of root and signing keys; a second one comes with rotation
)

// Kinds of wrapped secrets.
const (
	rootKey = "root"
	signKey = "sign"
)

// Open opens the ring at location, "file:<folder>". Folder and KEK are created
// on first use, readable by their owner only; it is an error when others can
// read them.
func Open(location string) (*Ring, error) { return open(location, rand.Reader) }

func open(location string, random io.Reader) (*Ring, error) {
	dir, ok := strings.CutPrefix(location, "file:")
	if !ok || dir == "" {
		return nil, &study.Error{Code: "keys.provider", Op: "open the keys: the location is not of the form file:<folder>", Exit: study.ExitUsage,
			Hint: "this version keeps keys in a folder only (file:<folder>); gcp-kms:// is not supported yet"}
	}
	files, err := objectstore.Open(location)
	if err != nil {
		return nil, err
	}
	r := &Ring{files: files, random: random}
	if err := private(dir); err != nil {
		return nil, err
	}
	kek, err := r.loadKEK()
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	if r.kek, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	id, err := hkdf.Expand(sha256.New, kek, "longitude/kek-id", 8)
	r.kekID = hex.EncodeToString(id)
	return r, err
}

// Version is the version of the keys that Derive gives.
func (r *Ring) Version() int { return version }

// Ensure creates the keys of a study where there are none yet.
func (r *Ring) Ensure(studyName string) error {
	for _, kind := range []string{rootKey, signKey} {
		if err := r.create(kind, studyName); err != nil {
			return err
		}
	}
	return nil
}

// Derive gives the study's key for one purpose and domain (HKDF-SHA-256). It
// never creates: without a root key it is an error (keys.missing).
func (r *Ring) Derive(studyName, purpose, domain string) (deid.Key, error) {
	root, err := r.unwrap(rootKey, studyName)
	if err != nil {
		return deid.Key{}, err
	}
	return expand(root, studyName, purpose, domain)
}

func expand(root []byte, studyName, purpose, domain string) (deid.Key, error) {
	info := deid.Frame("longitude/v1", purpose, studyName, domain, strconv.Itoa(version))
	key, err := hkdf.Expand(sha256.New, root, string(info), 32)
	if err != nil {
		return deid.Key{}, err
	}
	return deid.NewKey([32]byte(key)), nil
}

// Signer gives the key that signs the releases of a study, and its id.
func (r *Ring) Signer(studyName string) (keyID string, private ed25519.PrivateKey, err error) {
	seed, err := r.unwrap(signKey, studyName)
	if err != nil {
		return "", nil, err
	}
	private = ed25519.NewKeyFromSeed(seed)
	return keyIDOf(private.Public().(ed25519.PublicKey)), private, nil
}

// Public gives the key that verifies the releases of a study, and its id.
func (r *Ring) Public(studyName string) (keyID string, public ed25519.PublicKey, err error) {
	keyID, private, err := r.Signer(studyName)
	if err != nil {
		return "", nil, err
	}
	return keyID, private.Public().(ed25519.PublicKey), nil
}

// keyIDOf is the first 16 hex digits of the SHA-256 of the public key.
func keyIDOf(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// loadKEK reads the KEK, creating it where nothing was wrapped yet.
func (r *Ring) loadKEK() ([]byte, error) {
	name := filepath.Join(r.files.Dir(), kekFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		if err := r.createKEK(); err != nil {
			return nil, err
		}
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, &study.Error{Code: "keys.unreadable", Op: "read the key encryption key", Exit: study.ExitEnvironment,
			Hint: "run as the user who owns the key folder"}
	}
	if err := private(name); err != nil {
		return nil, err
	}
	kek, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(kek) != 32 {
		return nil, &study.Error{Code: "keys.kek_damaged", Op: "read the key encryption key: it is not 32 bytes in base64", Exit: study.ExitEnvironment,
			Hint: "restore the file kek of the key folder from backup"}
	}
	return kek, nil
}

func (r *Ring) createKEK() error {
	wrapped, err := filepath.Glob(filepath.Join(r.files.Dir(), "*.json"))
	if err != nil {
		return err
	}
	// Another process may have created the KEK and wrapped keys meanwhile.
	if _, err := os.Stat(filepath.Join(r.files.Dir(), kekFile)); len(wrapped) > 0 && err != nil {
		return &study.Error{Code: "keys.kek_lost", Op: "open the keys: the key encryption key is gone but keys wrapped by it are there", Exit: study.ExitEnvironment,
			Hint: "restore the file kek of the key folder from backup; a new one could open nothing"}
	}
	kek, err := r.fresh()
	if err != nil {
		return err
	}
	return r.put(kekFile, []byte(base64.StdEncoding.EncodeToString(kek)+"\n"))
}

// put stores a file once; when another process was first, its file stays.
func (r *Ring) put(name string, content []byte) error {
	err := r.files.Put(context.Background(), name, bytes.NewReader(content))
	if errors.Is(err, objectstore.ErrExists) {
		return nil
	}
	return err
}

func (r *Ring) fresh() ([]byte, error) {
	secret := make([]byte, 32)
	if _, err := io.ReadFull(r.random, secret); err != nil {
		return nil, &study.Error{Code: "keys.random", Op: "make a key: the source of randomness failed", Exit: study.ExitEnvironment,
			Hint: "this machine gives no random numbers: look at its system log before you go on"}
	}
	return secret, nil
}

// wrapped is the file of one wrapped secret.
type wrapped struct {
	Kind    string `json:"kind"`
	Study   string `json:"study"`
	Version int    `json:"version"`
	Cipher  string `json:"cipher"`
	KEK     string `json:"kek"`
	Box     []byte `json:"box"` // nonce ‖ ciphertext ‖ tag
}

// binding is the associated data of a wrapped secret. Study names have no '|'.
func (w wrapped) binding() []byte {
	return []byte(w.Kind + "|" + w.Study + "|" + strconv.Itoa(w.Version))
}

var studyNames = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

func fileOf(kind, studyName string) (string, error) {
	if !studyNames.MatchString(studyName) {
		return "", &study.Error{Code: "keys.study", Op: "find the keys of a study: its name is not of the form [a-z][a-z0-9-]*", Exit: study.ExitUsage,
			Hint: "rename the study"}
	}
	return studyName + "." + kind + "." + strconv.Itoa(version) + ".json", nil
}

func (r *Ring) create(kind, studyName string) error {
	name, err := fileOf(kind, studyName)
	if err != nil {
		return err
	}
	if _, err := r.files.Stat(context.Background(), name); err == nil {
		return nil
	}
	secret, err := r.fresh()
	if err != nil {
		return err
	}
	nonce := make([]byte, r.kek.NonceSize())
	if _, err := io.ReadFull(r.random, nonce); err != nil {
		return &study.Error{Code: "keys.random", Op: "wrap a key: the source of randomness failed", Exit: study.ExitEnvironment,
			Hint: "this machine gives no random numbers: look at its system log before you go on"}
	}
	w := wrapped{Kind: kind, Study: studyName, Version: version, Cipher: "AES-256-GCM", KEK: r.kekID}
	w.Box = r.kek.Seal(nonce, nonce, secret, w.binding())
	content, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return err
	}
	return r.put(name, append(content, '\n'))
}

func (r *Ring) unwrap(kind, studyName string) ([]byte, error) {
	name, err := fileOf(kind, studyName)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(r.files.Dir(), name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, &study.Error{Code: "keys.missing", Op: "open the " + kind + " key of study " + studyName + ": there is none", Exit: study.ExitEnvironment,
			Hint: "a first sync creates it; if the study has data, restore the key folder from backup"}
	}
	if err != nil {
		return nil, &study.Error{Code: "keys.unreadable", Op: "read the " + kind + " key of study " + studyName, Exit: study.ExitEnvironment,
			Hint: "run as the user who owns the key folder"}
	}
	var w wrapped
	damaged := &study.Error{Code: "keys.damaged", Op: "unwrap the " + kind + " key of study " + studyName, Exit: study.ExitEnvironment,
		Hint: "the file was changed or belongs to another study: restore the key folder from backup"}
	if json.Unmarshal(content, &w) != nil || len(w.Box) < r.kek.NonceSize() {
		return nil, damaged
	}
	if w.KEK != r.kekID {
		return nil, &study.Error{Code: "keys.kek_other", Op: "unwrap the " + kind + " key of study " + studyName + ": it was wrapped by another key encryption key", Exit: study.ExitEnvironment,
			Hint: "restore the file kek that belongs to these keys"}
	}
	// What the file should be, not what it says it is, is authenticated.
	expected := wrapped{Kind: kind, Study: studyName, Version: version}
	n := r.kek.NonceSize()
	secret, err := r.kek.Open(nil, w.Box[:n], w.Box[n:], expected.binding())
	if err != nil || len(secret) != 32 {
		return nil, damaged
	}
	return secret, nil
}

// private refuses a file or folder that others than its owner may use.
func private(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return &study.Error{Code: "keys.unreadable", Op: "look at the key folder", Exit: study.ExitEnvironment,
			Hint: "run as the user who owns the key folder"}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return &study.Error{Code: "keys.permissions", Op: "open the keys: others than their owner can read them", Exit: study.ExitEnvironment,
			Hint: "chmod 700 the key folder and 600 the file kek; if others may have read it, rotate the keys"}
	}
	return nil
}
