package deid

import (
	"io"
	"strings"

	"longitude/study"
)

// The ways in which a study makes participant codes (deidentification.pseudonym).
const (
	// Derived codes follow from the key and the source identity: an empty database
	// gives the same ones. Whoever has the key can make them from a list of
	// identifiers, so that nobody can be forgotten.
	Derived = "derived"
	// Random codes follow from the key and a number drawn once for an identity and
	// kept in the vault. Without its row in the vault a code leads to nobody.
	Random = "random"
)

// IdentityErased is the rule by which door 1 refuses a row of somebody who was
// erased.
const IdentityErased = "erased"

const uidSize = 16 // bytes: 128 bits

// Drawn reports whether codes are random: Identify then gives none, and CodeOf
// makes it from what the vault keeps for the identity.
func (in *Intake) Drawn() bool { return in.drawn }

// Draw draws the number of an identity that was not seen before, sealed and bound
// to its blind index. The vault keeps the first one that it is given.
func (in *Intake) Draw(blind study.Digest) []byte {
	var uid [uidSize]byte
	if _, err := io.ReadFull(in.vault.random, uid[:]); err != nil {
		panic("deid: the source of randomness failed") // see sealer.seal
	}
	return in.vault.seal(uid[:], in.vault.uidBinding(in.study, blind))
}

// CodeOf makes the participant code of the identity whose sealed number the vault
// keeps.
func (in *Intake) CodeOf(blind study.Digest, box []byte) (string, error) {
	uid, err := in.vault.open(box, in.vault.uidBinding(in.study, blind))
	if err != nil {
		return "", err
	}
	return token(in.prefix, in.codes.of(in.study, string(uid)), codeChars), nil
}

func (s *sealer) uidBinding(studyName string, blind study.Digest) []byte {
	return s.binding("uid", studyName, string(blind[:]))
}

// Collision is the error of two identities with one code. It names neither.
func Collision(studyName string) error {
	return &study.Error{Code: "deid.collision", Exit: study.ExitBlocked,
		Op:   "two identities of study " + studyName + " have one participant code; nothing of the object was recorded",
		Hint: "by chance this does not happen: check that the key folder is the study's own, then report it"}
}

// separators are what stands around an identifier in a row that could not be split.
const separators = ",;|:=\t\"'<>[]{}()\n\r\x00\x1f"

// Names reports whether raw, the bytes of a row that could not be split or read,
// holds one of the identities, each between separators.
func (in *Intake) Names(raw []byte, identities map[study.Digest]bool) bool {
	for part := range strings.FieldsFuncSeq(string(raw), func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if canon, rule := canonical(part); rule == "" && identities[in.blind.of(in.namespace, canon)] {
			return true
		}
	}
	return false
}
