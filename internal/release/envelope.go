package release

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"time"

	"longitude/deid"
	"longitude/internal/dsse"
	"longitude/study"
)

// The envelope is DSSE (github.com/secure-systems-lab/dsse, version 1.0.2) around
// an in-toto statement (github.com/in-toto/attestation, version 1).
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "urn:longitude:release:v1"

	// A statement stays small enough to be signed by a key service: beyond this
	// many files the manifest and SHA256SUMS stand for the others.
	maxSubjects = 300
)

// signedFile is the envelope as it lies in release.dsse.json.
type signedFile struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// statement says which files belong to the release.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string        `json:"name"`
	Digest subjectDigest `json:"digest"`
}

type subjectDigest struct {
	SHA256 string `json:"sha256"`
}

type predicate struct {
	Release        string            `json:"release_id"`
	Study          string            `json:"study"`
	Series         string            `json:"series"`
	Claim          string            `json:"claim"`
	ManifestSHA256 string            `json:"manifest_sha256"`
	Previous       *previousEnvelope `json:"previous,omitempty"`
	Created        string            `json:"created_utc"`
}

// previousEnvelope makes the releases of a series a chain: one that is dropped
// or swapped shows.
type previousEnvelope struct {
	Release string `json:"release_id"`
	SHA256  string `json:"dsse_sha256"`
}

// Envelope states and signs that docs and parts are the release. It is written
// last and is the only file that carries a time.
func Envelope(p Plan, docs, parts []deid.Artifact, signer ed25519.PrivateKey, keyID string, createdAt time.Time) (deid.Artifact, error) {
	st := statement{
		Type: statementType, PredicateType: predicateType,
		Predicate: predicate{Release: p.ID, Study: p.Study, Series: p.Series, Claim: p.Claim, Created: createdAt.UTC().Format(time.RFC3339)},
	}
	if p.Before != nil {
		st.Predicate.Previous = &previousEnvelope{p.Previous, p.Before.Envelope.String()}
	}
	all := len(docs)+len(parts) <= maxSubjects
	for _, a := range docs {
		if a.Path() == manifestName {
			st.Predicate.ManifestSHA256 = a.Digest().String()
		}
		if all || a.Path() == manifestName || a.Path() == sumsName {
			st.Subject = append(st.Subject, subject{a.Path(), subjectDigest{a.Digest().String()}})
		}
	}
	if all {
		for _, a := range parts {
			st.Subject = append(st.Subject, subject{a.Path(), subjectDigest{a.Digest().String()}})
		}
	}
	if err := signable(p, st, signer); err != nil {
		return deid.Artifact{}, err
	}
	payload, err := json.Marshal(st)
	if err != nil {
		return deid.Artifact{}, err
	}
	content, err := encodeJSON(signedFile{
		PayloadType: payloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures:  []signature{{keyID, base64.StdEncoding.EncodeToString(dsse.Sign(payloadType, payload, signer))}},
	})
	if err != nil {
		return deid.Artifact{}, err
	}
	return deid.Document(envelopeName, content)
}

// signable refuses to sign what verification would refuse.
func signable(p Plan, st statement, signer ed25519.PrivateKey) error {
	refuse := func(what string) error {
		return &study.Error{Code: "release.envelope", Op: "signing release " + p.ID + ": " + what,
			Hint: "nothing was published; report this with the code if the keys are in order"}
	}
	switch {
	case len(signer) != ed25519.PrivateKeySize:
		return refuse("there is no signing key")
	case st.Predicate.ManifestSHA256 == "":
		return refuse("it has no manifest")
	case p.Previous != "" && (p.Before == nil || p.Before.Envelope.IsZero()):
		return refuse("the envelope of the release before is not known")
	}
	return nil
}
