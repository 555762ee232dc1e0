// Package dsse signs bytes together with what kind of bytes they are
// (github.com/secure-systems-lab/dsse, version 1.0.2): what was signed as one
// thing is never taken for another.
package dsse

import (
	"crypto/ed25519"
	"strconv"
)

// Envelope is a signed payload, as it is written to JSON.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"` // base64 in JSON
	Signatures  []Signature `json:"signatures"`
}

// Signature is one signature of an envelope. The key id is a hint, nothing more.
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// PreAuth is what is signed of a payload: DSSE's pre-authentication encoding.
func PreAuth(kind string, payload []byte) []byte {
	b := []byte("DSSEv1 " + strconv.Itoa(len(kind)) + " " + kind + " " + strconv.Itoa(len(payload)) + " ")
	return append(b, payload...)
}

// Sign signs a payload of a kind.
func Sign(kind string, payload []byte, key ed25519.PrivateKey) []byte {
	return ed25519.Sign(key, PreAuth(kind, payload))
}

// Verify reports whether key signed this payload as this kind.
func Verify(kind string, payload, sig []byte, key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, PreAuth(kind, payload), sig)
}
