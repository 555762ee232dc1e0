package deid

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"

	"longitude/study"
)

// Inbox seals what a source is sent until it lands, under a key of its own. It is
// safe for concurrent use, but for Open.
type Inbox struct {
	source string
	mac    Key
	seals  *sealer
}

// NewInbox derives the keys of a source's inbox. random feeds the nonces.
func NewInbox(studyName, source string, k Keys, random io.Reader) (*Inbox, error) {
	mac, err := k.Derive(studyName, PurposeContent, "inbox")
	if err != nil {
		return nil, err
	}
	seals, err := newSealer(k, studyName, "inbox", random)
	if err != nil {
		return nil, err
	}
	return &Inbox{source, mac, seals}, nil
}

// Digest is the keyed digest of a request's id or of its body; what says which.
func (b *Inbox) Digest(what string, text []byte) (d study.Digest) {
	mac := hmac.New(sha256.New, b.mac.Bytes())
	mac.Write(Frame(b.source, what))
	mac.Write(text)
	mac.Sum(d[:0])
	return d
}

// Seal seals the content of the request that is known by key.
func (b *Inbox) Seal(key study.Digest, content []byte) []byte {
	return b.seals.seal(content, b.about(key))
}

// Open is the inverse of Seal.
func (b *Inbox) Open(key study.Digest, box []byte) ([]byte, error) {
	return b.seals.open(box, b.about(key))
}

func (b *Inbox) about(key study.Digest) []byte {
	return b.seals.binding("inbox", b.source, string(key[:]))
}
