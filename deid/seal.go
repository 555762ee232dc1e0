package deid

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"io"
	"strconv"

	"longitude/study"
)

// sealer seals values for the vault with AES-256-GCM. A box is
//
//	key version (1 byte) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
//
// Nonces are random, so one key is good for 2^32 boxes (NIST SP 800-38D). What is
// sealed is sealed under the newest version; each box opens under its own.
type sealer struct {
	aead    cipher.AEAD
	random  io.Reader
	version byte

	keys          Keys
	study, domain string
	others        map[byte]cipher.AEAD // of boxes of other versions than the newest when this was made
}

func newSealer(k Keys, studyName, domain string, random io.Reader) (*sealer, error) {
	version, err := k.Newest(studyName)
	if err != nil {
		return nil, err
	}
	s := &sealer{random: random, version: byte(version), keys: k, study: studyName, domain: domain, others: map[byte]cipher.AEAD{}}
	s.aead, err = s.cipher(version)
	return s, err
}

func (s *sealer) cipher(version int) (cipher.AEAD, error) {
	key, err := s.keys.DeriveVersion(s.study, PurposeVault, s.domain, version)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key.Bytes())
	if err != nil {
		return nil, &study.Error{Code: "deid.key_size", Op: "set up the vault cipher of study " + s.study,
			Hint: "the key provider must give 32 bytes", Exit: study.ExitEnvironment}
	}
	return cipher.NewGCM(block)
}

// seal returns the box of plain, bound to what it is and whose. Without randomness
// nothing may be sealed at all, so a failing source panics, as crypto/rand does.
func (s *sealer) seal(plain, about []byte) []byte {
	n := s.aead.NonceSize()
	box := make([]byte, 1+n, 1+n+len(plain)+s.aead.Overhead())
	box[0] = s.version
	if _, err := io.ReadFull(s.random, box[1:]); err != nil {
		panic("deid: the source of randomness failed")
	}
	return s.aead.Seal(box, box[1:], plain, versioned(about, s.version)) //nolint:gosec // the nonce was just read from the source of randomness
}

// open returns what was sealed, or an error when the box was changed, moved to
// another row, or sealed under another key.
func (s *sealer) open(box, about []byte) ([]byte, error) {
	if n := 1 + s.aead.NonceSize(); len(box) >= n {
		aead, err := s.under(box[0])
		if err != nil {
			return nil, err
		}
		if plain, err := aead.Open(nil, box[1:n], box[n:], versioned(about, box[0])); err == nil {
			return plain, nil
		}
	}
	return nil, &study.Error{Code: "deid.box", Op: "open a sealed value",
		Hint: "it was changed, belongs to another row, or was sealed under another key; restore the row or the key folder from backup",
		Exit: study.ExitBlocked}
}

// under is the cipher of a version; a version that never was fits no box. One that
// came after this sealer was made, as when keys are rotated during a sync, fits its own.
func (s *sealer) under(version byte) (cipher.AEAD, error) {
	if version == s.version || version == 0 {
		return s.aead, nil
	}
	if s.others[version] == nil {
		if newest, err := s.keys.Newest(s.study); err != nil || int(version) > newest {
			return s.aead, err
		}
		aead, err := s.cipher(int(version))
		if err != nil {
			return nil, err
		}
		s.others[version] = aead
	}
	return s.others[version], nil
}

// binding says what a box is, and whose: seal and open add the version of the key.
func (s *sealer) binding(parts ...string) []byte { return Frame(parts...) }

// versioned is the associated data of a box.
func versioned(about []byte, version byte) []byte {
	return appendFrame(about[:len(about):len(about)], strconv.Itoa(int(version)))
}

// BoxVersion is the version of the key that a box is sealed under.
func BoxVersion(box []byte) int {
	if len(box) == 0 {
		return 0
	}
	return int(box[0])
}

// mac computes HMAC-SHA-256 under one key, reusing its state. For one goroutine.
type mac struct {
	h   hash.Hash
	buf []byte
}

func newMAC(k Keys, studyName, purpose, domain string) (*mac, error) {
	key, err := k.Derive(studyName, purpose, domain)
	if err != nil {
		return nil, err
	}
	return &mac{h: hmac.New(sha256.New, key.Bytes())}, nil
}

// of is the MAC of the framed parts.
func (m *mac) of(parts ...string) (sum study.Digest) {
	m.buf = m.buf[:0]
	for _, p := range parts {
		m.buf = appendFrame(m.buf, p)
	}
	m.h.Reset()
	m.h.Write(m.buf)
	m.buf = m.h.Sum(m.buf[:0])
	copy(sum[:], m.buf)
	return sum
}

// token writes prefix and the first 5×chars bits of sum, in an alphabet that can be read
// aloud and typed.
func token(prefix string, sum study.Digest, chars int) string {
	b := make([]byte, 0, 40)
	b = append(b, prefix...)
	var acc uint32
	bits := 0
	for i := 0; chars > 0; {
		if bits < 5 {
			acc = acc<<8 | uint32(sum[i])
			bits += 8
			i++
		}
		bits -= 5
		b = append(b, study.Crockford[acc>>bits&31])
		chars--
	}
	return string(b)
}

// codeChars is the length of a participant code without its prefix: 100 bits,
// under which a million participants collide with probability 4·10⁻¹⁹.
const codeChars = 20
