// Package deid holds the only two doors through which data move away from
// identity.
//
// Door 1 (Intake) stands before storage: the participant's identifier becomes a
// code, private fields are sealed for the vault, typed answers go on.
//
// Door 2 (Recipient) stands before release: class rules are applied to plain
// batches. Only door 2 makes a Batch and only this package makes an Artifact,
// and sinks accept nothing else, so a leak does not compile.
//
//	Draft ──▶ Intake.Identify, Intake.Seal ──▶ Record            door 1
//	study.Batch ──▶ Recipient.Apply ──▶ Batch ──▶ Encode ──▶ Artifact   door 2
package deid

import (
	"encoding/binary"
	"fmt"
	"log/slog"
)

// Key is 32 bytes of key material for one purpose. It prints as [redacted]
// under every formatter. The bytes sit behind a function value, so that a
// printer that walks unexported fields by reflection does not reach them either.
type Key struct{ material func() []byte }

// NewKey wraps derived key material.
func NewKey(b [32]byte) Key { return Key{func() []byte { return b[:] }} }

// Bytes returns the key material, for the call into the cipher or MAC; nil for
// the zero Key, which every cipher refuses.
func (k Key) Bytes() []byte {
	if k.material == nil {
		return nil
	}
	return k.material()
}

const redacted = "[redacted]"

func (Key) String() string               { return redacted }
func (Key) GoString() string             { return redacted }
func (Key) Format(s fmt.State, _ rune)   { _, _ = s.Write([]byte(redacted)) }
func (Key) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Keys derives one key per purpose; internal/keys implements it. Each key is
// bound to the study, the purpose, the domain and the version of the study's
// root key.
type Keys interface {
	// Derive gives a key at the version that the study began with: what it makes,
	// participant codes above all, is the same for ever.
	Derive(study, purpose, domain string) (Key, error)
	// DeriveVersion gives a key at a version.
	DeriveVersion(study, purpose, domain string, version int) (Key, error)
	// Newest is the version that new boxes are sealed under.
	Newest(study string) (int, error)
}

// At gives keys whose Derive answers at a version: those of a release series.
func At(k Keys, version int) Keys { return pinned{k, version} }

type pinned struct {
	Keys
	version int
}

// Derive implements Keys.
func (p pinned) Derive(study, purpose, domain string) (Key, error) {
	return p.DeriveVersion(study, purpose, domain, p.version)
}

// Purposes of derived keys.
const (
	PurposeParticipant = "pid"     // participant codes
	PurposeOther       = "other"   // released visit and record ids, domain = series
	PurposeRelease     = "release" // released participant codes, domain = series
	PurposeShift       = "shift"   // date shifts, domain = series
	PurposeBlind       = "bidx"    // blind index: looking an identity up in the vault
	PurposeVault       = "vault"   // sealing
	PurposeContent     = "content" // keyed digests of private values and rows
)

// Frame joins parts so that no two different lists give the same bytes: each
// part is preceded by its length (4 bytes, big endian). Everything that is
// authenticated or derived in this system goes through it.
func Frame(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += 4 + len(p)
	}
	framed := make([]byte, 0, n)
	for _, p := range parts {
		framed = appendFrame(framed, p)
	}
	return framed
}

func appendFrame(dst []byte, part string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(part)))
	return append(dst, part...)
}
