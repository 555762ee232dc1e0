package keys

import (
	"crypto/rand"
	"fmt"

	"longitude/deid"
)

// throwaway is a root key in memory that is gone with the program.
type throwaway [32]byte

// Throwaway makes keys that were never used and will never be used again: codes
// made with them lead to nobody and boxes sealed with them stay closed.
func Throwaway() deid.Keys {
	var k throwaway
	_, _ = rand.Read(k[:]) // never fails
	return &k
}

// Format prints the key without what is in it, under every verb.
func (k *throwaway) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[keys]")) }

// Derive implements deid.Keys.
func (k *throwaway) Derive(studyName, purpose, domain string) (deid.Key, error) {
	return k.DeriveVersion(studyName, purpose, domain, first)
}

// DeriveVersion implements deid.Keys.
func (k *throwaway) DeriveVersion(studyName, purpose, domain string, version int) (deid.Key, error) {
	return expand(k[:], studyName, purpose, domain, version)
}

// Newest implements deid.Keys.
func (k *throwaway) Newest(string) (int, error) { return first, nil }
