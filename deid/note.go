package deid

import (
	"io"
	"strconv"
	"strings"
)

// SealNote seals what a person wrote beside a decision: it may name somebody. The
// box is bound to what the decision is about, so that it cannot be moved to another.
func SealNote(k Keys, studyName, about, note string, random io.Reader) ([]byte, error) {
	v, err := newSealer(k, studyName, "", random)
	if err != nil {
		return nil, err
	}
	return v.seal([]byte(note), v.binding("note", studyName, about)), nil
}

// OpenNote is the inverse of SealNote.
func OpenNote(k Keys, studyName, about string, box []byte) (string, error) {
	v, err := newSealer(k, studyName, "", nil)
	if err != nil {
		return "", err
	}
	plain, err := v.open(box, v.binding("note", studyName, about))
	return string(plain), err
}

// Crosswalk seals, for a participant, the released id in one series beside that in
// another: who had releases of both can be told, with the vault, what belongs to whom.
type Crosswalk struct {
	vault         *sealer
	before, after *mac
	study, name   string
}

// NewCrosswalk derives the keys of two series: one at a version of the study's keys,
// and the next.
func NewCrosswalk(k Keys, studyName, before string, beforeVersion int, after string, afterVersion int, random io.Reader) (*Crosswalk, error) {
	c := &Crosswalk{study: studyName, name: after}
	var err error
	if c.vault, err = newSealer(k, studyName, "", random); err != nil {
		return nil, err
	}
	if c.before, err = newMAC(At(k, beforeVersion), studyName, PurposeRelease, before); err != nil {
		return nil, err
	}
	c.after, err = newMAC(At(k, afterVersion), studyName, PurposeRelease, after)
	return c, err
}

// Seal is the box of one participant, whose internal code is given, and the version
// of the key that it is sealed under.
func (c *Crosswalk) Seal(participant int64, code string) (box []byte, keyVersion int) {
	pair := released(c.before, code) + " " + released(c.after, code)
	return c.vault.seal([]byte(pair), crosswalkBinding(c.vault, c.study, c.name, participant)), int(c.vault.version)
}

func released(m *mac, code string) string { return token("P", m.of("participant", code), codeChars) }

// OpenCrosswalk opens a box of Crosswalk.Seal: the released ids before and after the
// series was opened.
func OpenCrosswalk(k Keys, studyName, series string, participant int64, box []byte) (before, after string, err error) {
	v, err := newSealer(k, studyName, "", nil)
	if err != nil {
		return "", "", err
	}
	plain, err := v.open(box, crosswalkBinding(v, studyName, series, participant))
	before, after, _ = strings.Cut(string(plain), " ")
	return before, after, err
}

func crosswalkBinding(v *sealer, studyName, series string, participant int64) []byte {
	return v.binding("crosswalk", studyName, series, strconv.FormatInt(participant, 10))
}
