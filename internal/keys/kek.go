package keys

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"longitude/internal/objectstore"
	"longitude/study"
)

// KEK wraps the secrets of a ring. What is unwrapped is authentic: it is what
// was wrapped with the same associated data, or an error.
type KEK interface {
	ID() string // recognises the KEK without telling it
	Wrap(ctx context.Context, secret, aad []byte) (box []byte, err error)
	Unwrap(ctx context.Context, box, aad []byte) (secret []byte, err error)
}

// errBox says that a box was changed, or is of another place.
var errBox = errors.New("the box does not open")

// fileKEK is a KEK of 32 bytes in a file. A box is nonce ‖ ciphertext ‖ tag. The
// cipher is behind a function value, out of reach of printers that walk fields.
type fileKEK struct {
	id   string
	aead func() cipher.AEAD
}

func newFileKEK(secret []byte) (*fileKEK, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	id, err := hkdf.Expand(sha256.New, secret, "longitude/kek-id", 8)
	return &fileKEK{hex.EncodeToString(id), func() cipher.AEAD { return aead }}, err
}

// ID implements KEK.
func (k *fileKEK) ID() string { return k.id }

// Format prints a KEK by its id, under every verb.
func (k *fileKEK) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("kek " + k.id)) }

// Wrap implements KEK.
func (k *fileKEK) Wrap(_ context.Context, secret, aad []byte) ([]byte, error) {
	nonce := make([]byte, k.aead().NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return k.aead().Seal(nonce, nonce, secret, aad), nil
}

// Unwrap implements KEK.
func (k *fileKEK) Unwrap(_ context.Context, box, aad []byte) ([]byte, error) {
	n := k.aead().NonceSize()
	if len(box) < n {
		return nil, errBox
	}
	secret, err := k.aead().Open(nil, box[:n], box[n:], aad)
	if err != nil {
		return nil, errBox
	}
	return secret, nil
}

const kekFile = "kek"

// kekName is the name of the nth KEK of a folder. There are two only while keys
// are being wrapped again.
func kekName(n int) string {
	if n == 1 {
		return kekFile
	}
	return kekFile + "." + strconv.Itoa(n)
}

// kekNumbers are the KEKs of the folder, newest first.
func (r *Ring) kekNumbers() ([]int, error) {
	names, err := os.ReadDir(r.files.Dir())
	if err != nil {
		return nil, unreadable()
	}
	var out []int
	for _, e := range names {
		digits, more := strings.CutPrefix(e.Name(), kekFile+".")
		n, err := strconv.Atoi(digits)
		switch {
		case e.Name() == kekFile:
			out = append(out, 1)
		case more && err == nil && n > 1 && e.Name() == kekName(n):
			out = append(out, n)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out, nil
}

// loadKEKs reads the KEKs of the folder, behind the one that is elsewhere.
func (r *Ring) loadKEKs() error {
	numbers, err := r.kekNumbers()
	if err != nil {
		return err
	}
	var keks []KEK
	for _, k := range r.keks {
		if _, of := k.(*fileKEK); !of {
			keks = append(keks, k)
		}
	}
	for _, n := range numbers {
		k, err := r.readKEK(filepath.Join(r.files.Dir(), kekName(n)))
		if errors.Is(err, os.ErrNotExist) {
			continue // replaced meanwhile
		}
		if err != nil {
			return err
		}
		keks = append(keks, k)
	}
	r.keks = keks
	return nil
}

func (r *Ring) readKEK(name string) (*fileKEK, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, &study.Error{Code: "keys.unreadable", Op: "read the key encryption key", Exit: study.ExitEnvironment,
			Hint: "run as the user who owns the key folder"}
	}
	if err := private(name); err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != 32 {
		return nil, &study.Error{Code: "keys.kek_damaged", Op: "read the key encryption key: it is not 32 bytes in base64", Exit: study.ExitEnvironment,
			Hint: "restore the file kek of the key folder from backup"}
	}
	return newFileKEK(secret)
}

// createKEK makes the first KEK of a folder where nothing was wrapped yet.
func (r *Ring) createKEK() error {
	if err := r.loadKEKs(); err != nil || len(r.keks) > 0 {
		return err // another process was first
	}
	wrapped, err := filepath.Glob(filepath.Join(r.files.Dir(), "*.json"))
	if err != nil {
		return err
	}
	if len(wrapped) > 0 {
		return &study.Error{Code: "keys.kek_lost", Op: "open the keys: the key encryption key is gone but keys wrapped by it are there", Exit: study.ExitEnvironment,
			Hint: "restore the file kek of the key folder from backup, or name in service.keys what wrapped them; a new one could open nothing"}
	}
	return r.addKEK(1)
}

// addKEK makes the nth KEK, which wraps from now on.
func (r *Ring) addKEK(n int) error {
	secret, err := r.fresh()
	if err != nil {
		return err
	}
	if err := r.put(kekName(n), []byte(base64.StdEncoding.EncodeToString(secret)+"\n")); err != nil {
		return err
	}
	return r.loadKEKs()
}

// put stores a file once; when another process was first, its file stays.
func (r *Ring) put(name string, content []byte) error {
	err := r.files.Put(context.Background(), name, bytes.NewReader(content))
	if errors.Is(err, objectstore.ErrExists) {
		return nil
	}
	return err
}

// exclusive runs do while no other process creates or wraps keys in the folder:
// a key wrapped by a KEK that is just being replaced would be lost with it.
func (r *Ring) exclusive(do func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	dir, err := os.Open(r.files.Dir())
	if err != nil {
		return unreadable()
	}
	defer func() { _ = dir.Close() }()
	for {
		err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return unreadable()
		}
		return do()
	}
}

func unreadable() error {
	return &study.Error{Code: "keys.unreadable", Op: "look at the key folder", Exit: study.ExitEnvironment,
		Hint: "run as the user who owns the key folder"}
}

// private refuses a file or folder that others than its owner may use.
func private(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return unreadable()
	}
	if info.Mode().Perm()&0o077 != 0 {
		return &study.Error{Code: "keys.permissions", Op: "open the keys: others than their owner can read them", Exit: study.ExitEnvironment,
			Hint: "chmod 700 the key folder and 600 the file kek; if others may have read it, rotate the keys"}
	}
	return nil
}
