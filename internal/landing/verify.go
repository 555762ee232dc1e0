package landing

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"io"

	"longitude/study"
)

// Verify reads an object to its end and compares what it says with its address:
// that its bytes are those that were landed, not only that they are authentic. What
// is kept of an object from which something was erased is authentic at most.
func (s *Store) Verify(ctx context.Context, o study.Object) (kept bool, err error) {
	r, err := s.Open(ctx, o)
	if err != nil {
		return false, err
	}
	defer func() { _ = r.Close() }()
	plain := sha256.New()
	size, err := io.Copy(plain, r)
	if err != nil {
		return false, err
	}
	if r.(*plaintext).kept {
		return true, nil
	}
	mac := hmac.New(sha256.New, s.address.Bytes())
	mac.Write(plain.Sum(nil))
	if size != o.Size || !hmac.Equal(mac.Sum(nil), o.Digest[:]) {
		return false, damaged(o)
	}
	return false, nil
}
