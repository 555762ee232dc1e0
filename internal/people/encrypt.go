package people

import (
	"io"

	"filippo.io/age"
)

// Encrypt encrypts what is written to it to the person, for only their key to open.
// Close ends it, and leaves w open.
func (p *Person) Encrypt(w io.Writer) (io.WriteCloser, error) {
	to, err := age.ParseX25519Recipient(p.Recipient)
	if err != nil {
		return nil, badKey()
	}
	return age.Encrypt(w, to)
}
