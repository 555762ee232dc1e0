package connectors

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"longitude/study"
)

// decrypt reads an OpenPGP message. Nothing of it counts before its end, where its
// integrity and, if a signer is configured, its signature are known.
func (d *Drop) decrypt(raw *verified) (io.Reader, func(), error) {
	ring, signers, err := d.keys()
	if err != nil {
		return nil, nil, err
	}
	from, err := unarmored(raw)
	if err != nil {
		return nil, nil, (&pack{raw: raw}).explain(err)
	}
	message, err := openpgp.ReadMessage(from, append(ring, signers...), nil, nil)
	if err != nil {
		return nil, nil, sealedBy(raw, err)
	}
	if !message.IsEncrypted {
		return nil, nil, errDecrypt
	}
	return &letter{raw, message, signers}, func() {}, nil
}

// sealedBy is what an error of decrypting means: the transfer broke, or the message
// is not for us or was tampered with. The library's text is dropped.
func sealedBy(raw *verified, _ error) error {
	if err := (&pack{raw: raw}).explain(io.ErrUnexpectedEOF); !errors.Is(err, errCorrupt) {
		return err
	}
	return errDecrypt
}

func unarmored(r io.Reader) (io.Reader, error) {
	const begin = "-----BEGIN PGP"
	b := bufio.NewReader(r)
	if start, _ := b.Peek(len(begin)); string(start) != begin {
		return b, nil
	}
	block, err := armor.Decode(b)
	if err != nil {
		return nil, err
	}
	return block.Body, nil
}

// letter is the content of a message, which ends in io.EOF only when it is whole
// and signed as asked.
type letter struct {
	raw     *verified
	message *openpgp.MessageDetails
	signers openpgp.EntityList
}

func (l *letter) Read(p []byte) (int, error) {
	n, err := l.message.UnverifiedBody.Read(p)
	switch {
	case err == nil:
	case !errors.Is(err, io.EOF):
		err = sealedBy(l.raw, err)
	case len(l.signers) > 0 && !l.signed():
		err = errSignature
	}
	return n, err
}

func (l *letter) signed() bool {
	m := l.message
	return m.IsSigned && m.SignatureError == nil && m.SignedBy != nil && len(l.signers.KeysById(m.SignedByKeyId)) > 0
}

// keys are what is decrypted with and, where asked, who must have signed.
func (d *Drop) keys() (ring, signers openpgp.EntityList, err error) {
	text, err := d.Unpack.Key.Reveal()
	if err != nil {
		return nil, nil, err
	}
	if ring, err = openpgp.ReadArmoredKeyRing(bytes.NewReader([]byte(text))); err != nil {
		return nil, nil, errKey
	}
	passphrase, err := d.Unpack.Passphrase.Reveal()
	if err != nil {
		return nil, nil, err
	}
	for _, entity := range ring {
		if entity.PrivateKey == nil || passphrase != "" && entity.DecryptPrivateKeys([]byte(passphrase)) != nil || entity.PrivateKey.Encrypted {
			return nil, nil, errKey
		}
	}
	if d.Unpack.SignedBy == "" {
		return ring, nil, nil
	}
	file := d.Unpack.SignedBy
	if !filepath.IsAbs(file) {
		file = filepath.Join(d.Runtime.Dir, file)
	}
	public, err := os.ReadFile(file)
	if err == nil {
		signers, err = openpgp.ReadArmoredKeyRing(bytes.NewReader(public))
	}
	if err != nil || len(signers) == 0 {
		return nil, nil, &study.Error{Code: "drop.signers_unreadable", Op: "read the public keys of unpack.signed_by", Exit: study.ExitEnvironment,
			Hint: "signed_by must name a readable file of armored OpenPGP public keys (gpg --armor --export)"}
	}
	return ring, signers, nil
}

var errKey = &study.Error{Code: "drop.key_unreadable", Op: "read the OpenPGP private key of the source", Exit: study.ExitEnvironment,
	Hint: "unpack.key must refer to an armored private key (gpg --armor --export-secret-keys), and unpack.passphrase to its passphrase where it has one"}
