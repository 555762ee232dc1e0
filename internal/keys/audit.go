package keys

import "crypto/ed25519"

// auditKey is the kind of the seed that signs checkpoints of the audit log. It is
// the deployment's, not a study's: one log tells of all of them.
const auditKey = "audit"

// deployment stands where the files of studies have the study's name.
const deployment = "deployment"

// AuditSigner gives the key that signs the audit log's checkpoints, and its id. It
// is made on first use.
func (r *Ring) AuditSigner() (keyID string, private ed25519.PrivateKey, err error) {
	if err := r.create(auditKey, deployment); err != nil {
		return "", nil, err
	}
	seed, err := r.unwrap(auditKey, deployment)
	if err != nil {
		return "", nil, err
	}
	private = ed25519.NewKeyFromSeed(seed)
	return keyIDOf(private.Public().(ed25519.PublicKey)), private, nil
}
