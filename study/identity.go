package study

// SealedUID is the number from which the random code of an identity follows, sealed
// and bound to the blind index of the identity.
type SealedUID struct {
	Blind      Digest
	Box        []byte
	KeyVersion int
}
