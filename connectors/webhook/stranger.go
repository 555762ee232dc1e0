package webhook

import (
	"crypto/rand"
	"encoding/base64"

	"longitude/connectors"
)

// Stranger judges what is sent to sources that are not there: it has a secret that
// nobody knows, so it takes as long as a source does and admits nothing.
func Stranger(rt connectors.Runtime) connectors.Receiver {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	c := defaults()
	c.Secrets = []connectors.Secret{connectors.NewSecret(base64.StdEncoding.EncodeToString(secret[:]))}
	return newSource(c, rt)
}
