// Package deid holds the only two doors through which data move away from
// identity.
//
// Door 1 (Intake) stands before storage: the participant's identifier becomes a
// code, private fields are sealed for the vault, typed answers go on.
//
// Door 2 (Recipient) stands before release: class rules are applied to plain
// batches. Only door 2 makes a Batch and only this package makes an Artifact,
// and sinks accept nothing else, so a leak does not compile.
package deid

import (
	"io"
	"log/slog"

	"longitude/study"
)

// Key is 32 bytes of key material for one purpose. It prints as [redacted]
// under every formatter.
type Key struct{ b [32]byte }

// NewKey wraps derived key material.
func NewKey(b [32]byte) Key { return Key{b} }

// Bytes returns the key material, for the call into the cipher or MAC.
func (k Key) Bytes() []byte { return k.b[:] }

const redacted = "[redacted]"

func (Key) String() string   { return redacted }
func (Key) GoString() string { return redacted }
func (Key) Format(w interface{ Write([]byte) (int, error) }, _ rune) {
	_, _ = w.Write([]byte(redacted))
}
func (Key) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Keys derives one key per purpose; internal/keys implements it. Each key is
// bound to the study, the purpose, the domain and the key version.
type Keys interface {
	Derive(study, purpose, domain string) (Key, error)
	Version() int
}

// Purposes of derived keys.
const (
	PurposeParticipant = "pid"     // participant codes
	PurposeOther       = "other"   // released visit and record ids
	PurposeRelease     = "release" // released participant codes, domain = series
	PurposeVault       = "vault"   // sealing
	PurposeContent     = "content" // keyed digests of private values and rows
)

// Batch is a batch of rows after door 2. Its contents are unexported and only
// Recipient.Apply makes one.
type Batch struct{ b study.Batch }

// Rows is the number of rows.
func (b Batch) Rows() int { return b.b.Rows }

// Encoder turns released batches into the bytes of one file;
// internal/columnar implements it. Write is called with batches of one table in
// key order, then Close once.
type Encoder interface {
	Write(b *study.Batch) error
	Close() error
}

// NewEncoder opens an encoder for one part of a released table.
type NewEncoder func(w io.Writer, t *study.Table) (Encoder, error)

// Artifact is a finished, hashed file of a release. Only this package makes one.
type Artifact struct {
	path   string // within the release, slash-separated
	file   string // where the bytes are; "" = content
	bytes  []byte
	size   int64
	rows   int64
	digest study.Digest
}

// Path is where the artifact belongs within the release.
func (a Artifact) Path() string { return a.path }

// Size is its length in bytes.
func (a Artifact) Size() int64 { return a.size }

// Rows is the number of table rows in it, 0 for documents.
func (a Artifact) Rows() int64 { return a.rows }

// Digest is the SHA-256 of its bytes.
func (a Artifact) Digest() study.Digest { return a.digest }
