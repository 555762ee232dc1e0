// Package landing keeps what sources delivered, unchanged and sealed, before
// anyone reads it. An object's address is a keyed digest of its plaintext, so
// the same bytes are kept once and their address tells nothing to who has no key.
//
// A stored object is
//
//	version (1 byte) ‖ stream ‖ wrapped key (60 bytes)
//
// The stream is Tink's AES-GCM-HKDF streaming AEAD in segments of 1 MiB under a
// key of its own; that key is wrapped with AES-256-GCM, bound to study, digest
// and size. The wrapped key comes last because the digest is known only then;
// destroying those 60 bytes destroys the object.
package landing

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"strconv"
	"syscall"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"

	"longitude/deid"
	"longitude/internal/objectstore"
	"longitude/study"
)

const (
	layout      = 1 // the version byte
	kept        = 2 // of an object from which something was erased
	segment     = 1 << 20
	keySize     = 32
	wrappedSize = 12 + keySize + 16
	overhead    = 1 + 1 + keySize + subtle.AESGCMHKDFNoncePrefixSizeInBytes + subtle.AESGCMHKDFTagSizeInBytes + wrappedSize
)

// Store is the landing of one study. It is safe for concurrent use.
type Store struct {
	objects objectstore.Store
	study   string
	address deid.Key    // of the keyed digests
	wrap    cipher.AEAD // of the objects' keys
}

// New opens the landing of a study and clears what writers that died left.
func New(objects objectstore.Store, k deid.Keys, studyName string) (*Store, error) {
	address, err := k.Derive(studyName, deid.PurposeContent, "landing")
	if err != nil {
		return nil, err
	}
	key, err := k.Derive(studyName, deid.PurposeVault, "landing")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key.Bytes())
	if err != nil {
		return nil, err
	}
	wrap, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	if err := objects.Sweep(context.Background()); err != nil {
		return nil, err
	}
	return &Store{objects: objects, study: studyName, address: address, wrap: wrap}, nil
}

// Put seals what r gives and makes it durable. created is false when the same
// bytes were landed before. On any error nothing is kept.
func (s *Store) Put(ctx context.Context, r io.Reader) (o study.Object, created bool, err error) {
	upload, err := s.objects.Create(ctx)
	if err != nil {
		return o, false, failed(err)
	}
	defer upload.Abort()
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return o, false, err
	}
	if o, err = s.seal(ctx, upload, key, r); err != nil {
		return study.Object{}, false, failed(err)
	}
	nonce := make([]byte, s.wrap.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return study.Object{}, false, err
	}
	if _, err := upload.Write(s.wrap.Seal(nonce, nonce, key, s.binding(o))); err != nil {
		return study.Object{}, false, failed(err)
	}
	err = upload.Commit(s.key(o))
	if err != nil && !errors.Is(err, objectstore.ErrExists) {
		return study.Object{}, false, failed(err)
	}
	return o, err == nil, nil
}

// seal writes the version and the sealed stream of r.
func (s *Store) seal(ctx context.Context, w io.Writer, key []byte, r io.Reader) (o study.Object, err error) {
	stream, err := streamCipher(key)
	if err != nil {
		return o, err
	}
	if _, err := w.Write([]byte{layout}); err != nil {
		return o, err
	}
	sealed, err := stream.NewEncryptingWriter(w, []byte(s.study))
	if err != nil {
		return o, err
	}
	plain := sha256.New()
	buffer := make([]byte, 256<<10)
	o.Size, err = io.CopyBuffer(writer{io.MultiWriter(plain, sealed)}, reader{ctx, r}, buffer)
	if err != nil {
		return o, err
	}
	if err := sealed.Close(); err != nil {
		return o, err
	}
	mac := hmac.New(sha256.New, s.address.Bytes())
	mac.Write(plain.Sum(nil))
	mac.Sum(o.Digest[:0])
	return o, nil
}

func streamCipher(key []byte) (*subtle.AESGCMHKDF, error) {
	return subtle.NewAESGCMHKDF(key, "SHA256", keySize, segment, 0)
}

// Open reads an object back. What it gives is authentic up to the point read; a
// change or truncation of the stored bytes is an error (landing.damaged), at the
// latest where it lies.
func (s *Store) Open(ctx context.Context, o study.Object) (io.ReadCloser, error) {
	stored, err := s.objects.Open(ctx, s.key(o))
	if err != nil {
		return nil, s.missing(o, err)
	}
	r, version, err := s.open(stored, o)
	if err != nil {
		_ = stored.Close()
		return nil, damaged(o)
	}
	return &plaintext{ctx: ctx, r: r, stored: stored, object: o, kept: version == kept}, nil
}

func (s *Store) open(stored objectstore.Object, o study.Object) (r io.Reader, version byte, err error) {
	end := stored.Size() - wrappedSize
	if stored.Size() < overhead {
		return nil, 0, io.ErrUnexpectedEOF
	}
	wrapped, first := make([]byte, wrappedSize), make([]byte, 1)
	if _, err := stored.ReadAt(wrapped, end); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	if _, err := stored.ReadAt(first, 0); err != nil || first[0] != layout && first[0] != kept {
		return nil, 0, errors.New("unknown layout")
	}
	n := s.wrap.NonceSize()
	key, err := s.wrap.Open(nil, wrapped[:n], wrapped[n:], s.bindingOf(first[0], o))
	if err != nil {
		return nil, 0, err
	}
	stream, err := streamCipher(key)
	if err != nil {
		return nil, 0, err
	}
	r, err = stream.NewDecryptingReader(io.NewSectionReader(stored, 1, end-1), []byte(s.study))
	return r, first[0], err
}

// Exists reports whether an object is there, without reading it.
func (s *Store) Exists(ctx context.Context, o study.Object) (bool, error) {
	_, err := s.objects.Stat(ctx, s.key(o))
	if errors.Is(err, objectstore.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// key is where an object is kept: <study>/<aa>/<digest>.
func (s *Store) key(o study.Object) string {
	hex := o.Digest.String()
	return s.study + "/" + hex[:2] + "/" + hex
}

// binding is what an object's key is bound to.
func (s *Store) binding(o study.Object) []byte {
	return deid.Frame("landing", s.study, string(o.Digest[:]), strconv.FormatInt(o.Size, 10))
}

// plaintext is an opened object.
type plaintext struct {
	ctx    context.Context
	r      io.Reader
	stored io.Closer
	object study.Object
	kept   bool // see Kept
}

func (p *plaintext) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(p.object)
	}
	return n, err
}

func (p *plaintext) Close() error { return p.stored.Close() }

// reader stops a copy when ctx ends.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// writer hides every ability but Write, so that a copy keeps to its buffer.
type writer struct{ io.Writer }

func (s *Store) missing(o study.Object, err error) error {
	if !errors.Is(err, objectstore.ErrNotFound) {
		return err
	}
	return &study.Error{Code: "landing.missing", Op: "open landed object " + o.Digest.String()[:12] + " of study " + s.study, Exit: study.ExitEnvironment,
		Hint: "the landing folder is not the one these records came from: restore it from backup, or correct service.landing"}
}

func damaged(o study.Object) error {
	return &study.Error{Code: "landing.damaged", Op: "read landed object " + o.Digest.String()[:12], Exit: study.ExitBlocked,
		Hint: "its bytes were changed or cut, or are sealed under another key: restore the object or the key folder from backup"}
}

func failed(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &study.Error{Code: "landing.disk_full", Op: "land a delivery: no space left on the disk", Exit: study.ExitEnvironment,
			Hint: "free space in the landing folder and sync again; nothing of this delivery was kept and the source still has it"}
	}
	return err
}
