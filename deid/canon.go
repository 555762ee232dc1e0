package deid

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Canon names the canonicalisation of participant identifiers: NFC, trim,
// collapse spaces, upper-case; control and format characters are refused.
// Codes depend on it, so a change of the rules is a new version, never an edit.
const Canon = "canon/1"

const canonVersion = 1

// The rules by which door 1 refuses an identifier.
const (
	IdentityEmpty   = "identity_empty"
	IdentityInvalid = "identity_invalid"
)

const maxIdentity = 256 // bytes as the source wrote it

// canonical reduces an identifier as the source wrote it to the form that codes
// are computed from, or names the rule that refuses it. Format characters (zero
// width space, byte order mark, bidirectional overrides) are refused with the
// control characters: two identifiers that look the same must be the same.
func canonical(source string) (id, rule string) {
	if len(source) > maxIdentity || !utf8.ValidString(source) {
		return "", IdentityInvalid
	}
	for _, r := range source {
		if unicode.In(r, unicode.Cc, unicode.Cf) {
			return "", IdentityInvalid
		}
	}
	id = strings.Join(strings.Fields(norm.NFC.String(source)), " ")
	if id == "" {
		return "", IdentityEmpty
	}
	// Upper-casing may leave a sequence that composes further.
	return norm.NFC.String(strings.ToUpper(id)), ""
}
