package keys

import "crypto/ed25519"

// auditKey is the kind of the seed that signs checkpoints of the audit log. It is
// the deployment's, not a study's: one log tells of all of them.
const auditKey = "audit"

// deployment stands where the files of studies have the study's name.
const deployment = "deployment"

// AuditSigners gives the keys that sign the audit log's checkpoints, oldest first,
// and the id of the first, which names the log. The first is made on first use.
func (r *Ring) AuditSigners() (logID string, private []ed25519.PrivateKey, err error) {
	if _, err := r.create(auditKey, deployment, first); err != nil {
		return "", nil, err
	}
	newest, err := r.newest(auditKey, deployment)
	if err != nil {
		return "", nil, err
	}
	for version := first; version <= newest; version++ {
		id, key, err := r.signer(auditKey, deployment, version)
		if err != nil {
			return "", nil, err
		}
		if version == first {
			logID = id
		}
		private = append(private, key)
	}
	return logID, private, nil
}
