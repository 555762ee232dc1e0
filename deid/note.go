package deid

import "io"

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
