package landing

import (
	"context"
	"crypto/rand"
	"io"

	"longitude/deid"
	"longitude/study"
)

// Rewrite puts what write writes in the place of an object, from which something
// must be erased: under the same address, so that the bytes that were delivered are
// not landed again when they come again. The key of the object as it was is
// destroyed. What is read of it from then on says so (see Kept).
func (s *Store) Rewrite(ctx context.Context, o study.Object, write func(io.Writer) error) error {
	upload, err := s.objects.Create(ctx)
	if err != nil {
		return failed(err)
	}
	defer upload.Abort()
	key, nonce := make([]byte, keySize), make([]byte, s.wrap.NonceSize())
	_, _ = rand.Read(key) // never fails
	_, _ = rand.Read(nonce)
	if err := s.sealKept(upload, key, write); err != nil {
		return failed(err)
	}
	if _, err := upload.Write(s.wrap.Seal(nonce, nonce, key, s.bindingOf(kept, o))); err != nil {
		return failed(err)
	}
	if err := upload.Replace(s.key(o), wrappedSize); err != nil {
		return s.missing(o, failed(err))
	}
	return nil
}

func (s *Store) sealKept(w io.Writer, key []byte, write func(io.Writer) error) error {
	stream, err := streamCipher(key)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte{kept}); err != nil {
		return err
	}
	sealed, err := stream.NewEncryptingWriter(w, []byte(s.study))
	if err != nil {
		return err
	}
	if err := write(sealed); err != nil {
		return err
	}
	return sealed.Close()
}

// bindingOf is what the key of an object of a layout is bound to, so that one is
// not taken for the other.
func (s *Store) bindingOf(layout byte, o study.Object) []byte {
	if layout == kept {
		return deid.Frame("landing/kept", s.study, string(o.Digest[:]))
	}
	return s.binding(o)
}

// Kept reports whether this is what is kept of an object from which something was
// erased, in the format of Rewrite's caller, rather than the object as delivered.
func (p *plaintext) Kept() bool { return p.kept }
