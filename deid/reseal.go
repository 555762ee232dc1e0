package deid

import (
	"io"

	"longitude/study"
)

// Resealer seals what the vault holds again, under the newest version of the
// study's keys: each box stays bound to what it was bound to.
type Resealer struct {
	study string
	vault *sealer
}

// NewResealer derives the newest key; older ones follow as boxes need them.
func NewResealer(k Keys, studyName string, random io.Reader) (*Resealer, error) {
	v, err := newSealer(k, studyName, "", random)
	return &Resealer{studyName, v}, err
}

func (r *Resealer) again(box, about []byte) ([]byte, error) {
	plain, err := r.vault.open(box, about)
	if err != nil {
		return nil, err
	}
	return r.vault.seal(plain, about), nil
}

// Identity seals Identity.Box again.
func (r *Resealer) Identity(box []byte, blind study.Digest) ([]byte, error) {
	return r.again(box, r.vault.identityBinding(r.study, blind))
}

// UID seals the number of a random code again.
func (r *Resealer) UID(box []byte, blind study.Digest) ([]byte, error) {
	return r.again(box, r.vault.uidBinding(r.study, blind))
}

// Private seals a value of a record again; see OpenPrivate.
func (r *Resealer) Private(box []byte, participant int64, form, slot string, hash [16]byte) ([]byte, error) {
	return r.again(box, r.vault.privateBinding(r.study, participant, form, slot, hash))
}

// Row seals a row as landed again.
func (r *Resealer) Row(box []byte) ([]byte, error) {
	return r.again(box, r.vault.binding("row", r.study))
}

// Name seals the name of a file again.
func (r *Resealer) Name(box []byte) ([]byte, error) {
	return r.again(box, r.vault.binding("name", r.study))
}

// Crosswalk seals the released ids of a participant in two series again.
func (r *Resealer) Crosswalk(box []byte, series string, participant int64) ([]byte, error) {
	return r.again(box, crosswalkBinding(r.vault, r.study, series, participant))
}
