package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"longitude/internal/people"
	"longitude/internal/status"
	"longitude/study"
)

// SignatureFilter chooses signatures; what is empty chooses all.
type SignatureFilter struct {
	ID         int64
	Signer     string
	RecordType string
	RecordID   string
	Study      string
	Limit      int // newest first; 0 = all, oldest first
}

// StoredSignature is a signature as it is kept, with the person in the version that
// counted when they signed.
type StoredSignature struct {
	ID        int64
	Person    people.Person
	Signature people.Signature
	columns   people.Statement // what it is found by
}

// Verify answers what the signature says, once it is certain that the person signed
// it and that it is found by what it says.
func (s *StoredSignature) Verify() (people.Statement, error) {
	st, err := people.Verify(&s.Person, s.Signature)
	if err != nil {
		return st, err
	}
	c := s.columns
	if c.Signer != st.Signer || c.Meaning != st.Meaning || c.RecordType != st.RecordType || c.RecordID != st.RecordID || c.RecordVersion != st.RecordVersion || c.Study != st.Study {
		return st, &study.Error{Code: "people.columns", Op: "signature " + strconv.FormatInt(s.ID, 10) + " is listed as something that it does not say", Exit: study.ExitBlocked,
			Hint: "the database was changed: run `longitude audit verify`"}
	}
	return st, nil
}

// Signatures answers the chosen signatures.
func (s *Store) Signatures(ctx context.Context, f SignatureFilter) ([]StoredSignature, error) {
	order := "ORDER BY g.signature_id"
	if f.Limit > 0 {
		order += " DESC LIMIT " + strconv.Itoa(f.Limit)
	}
	rows, err := s.app.Query(ctx, `
		SELECT g.signature_id, g.statement, g.signature, g.signer, g.meaning, g.record_type, g.record_id, g.record_version, g.study,
		  coalesce(p.person_id, ''), coalesce(p.version, 0), coalesce(p.printed_name, ''), coalesce(p.roles, '{}'), coalesce(p.public_key, ''), coalesce(p.recipient, ''), coalesce(p.active, false)
		FROM audit.signature g LEFT JOIN audit.person_version p ON p.person_id = g.signer AND p.version = g.person_version
		WHERE ($1 = 0 OR g.signature_id = $1) AND ($2 = '' OR g.signer = $2) AND ($3 = '' OR g.record_type = $3) AND ($4 = '' OR g.record_id = $4) AND ($5 = '' OR g.study = $5) `+order,
		f.ID, f.Signer, f.RecordType, f.RecordID, f.Study)
	if err != nil {
		return nil, fault("read the signatures", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g StoredSignature, err error) {
		p, c := &g.Person, &g.columns
		return g, row.Scan(&g.ID, &g.Signature.Statement, &g.Signature.Sig, &c.Signer, &c.Meaning, &c.RecordType, &c.RecordID, &c.RecordVersion, &c.Study,
			&p.ID, &p.Version, &p.PrintedName, &p.Roles, &p.Public, &p.Recipient, &p.Active)
	})
	if err == nil && f.ID != 0 && len(all) == 0 {
		err = status.NotFound("signature " + strconv.FormatInt(f.ID, 10))
	}
	return all, fault("read the signatures", err)
}

// VerifyPeople answers whoever did not come by right to what they may do, "" when
// everybody did: the first person of all is an admin and needs no signature; every
// other version carries that of somebody who was an admin then.
func (s *Store) VerifyPeople(ctx context.Context) (what string, err error) {
	rows, err := s.app.Query(ctx, `SELECT `+personColumns+`, fingerprint, coalesce(signature_id, 0) FROM audit.person_version ORDER BY coalesce(signature_id, 0)`)
	if err != nil {
		return "", fault("read the people", err)
	}
	versions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v personVersion, err error) {
		return v, row.Scan(&v.ID, &v.Version, &v.PrintedName, &v.Roles, &v.Public, &v.Recipient, &v.Active, &v.fingerprint, &v.signature)
	})
	if err != nil {
		return "", fault("read the people", err)
	}
	signatures, err := s.Signatures(ctx, SignatureFilter{RecordType: "person"})
	if err != nil {
		return "", err
	}
	byID := map[int64]*StoredSignature{}
	for i := range signatures {
		byID[signatures[i].ID] = &signatures[i]
	}
	newest := map[string]int{} // version by id, so far
	for i, v := range versions {
		if !v.byRight(i == 0, byID[v.signature], newest) {
			return "version " + strconv.Itoa(v.Version) + " of person " + v.ID, nil
		}
		newest[v.ID] = v.Version
	}
	return "", nil
}

// personVersion is a version of a person with the signature that brought it about.
type personVersion struct {
	people.Person
	fingerprint string
	signature   int64 // 0 = none
}

// byRight reports whether the version is the first of all, or carries the signature
// of somebody who was an admin in what was their newest version.
func (v *personVersion) byRight(first bool, g *StoredSignature, newest map[string]int) bool {
	if v.fingerprint != v.Fingerprint() || v.Version != newest[v.ID]+1 {
		return false
	}
	if first || g == nil {
		return first && v.signature == 0 && v.Has(people.Admin)
	}
	st, err := g.Verify()
	r := v.Record()
	return err == nil && g.Person.Has(people.Admin) && g.Person.Version == newest[g.Person.ID] &&
		st.RecordID == r.ID && st.RecordVersion == r.Version && st.RecordSHA256 == r.SHA256.String()
}
