package landing

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"io"

	"longitude/study"
)

// Verify reads an object to its end and compares what it says with its address:
// that its bytes are those that were landed, not only that they are authentic.
func (s *Store) Verify(ctx context.Context, o study.Object) error {
	r, err := s.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	plain := sha256.New()
	size, err := io.Copy(plain, r)
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, s.address.Bytes())
	mac.Write(plain.Sum(nil))
	if size != o.Size || !hmac.Equal(mac.Sum(nil), o.Digest[:]) {
		return damaged(o)
	}
	return nil
}
