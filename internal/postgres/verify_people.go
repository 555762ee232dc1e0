package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// signature compares a signature with what its event says.
func (v *verification) signature(ctx context.Context, index int64, e *audit.Event) error {
	id, _ := e.Detail["signature"].(json.Number)
	number, _ := id.Int64()
	var statement []byte
	err := v.tx.QueryRow(ctx, `SELECT statement FROM audit.signature WHERE signature_id = $1`, number).Scan(&statement)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		v.v.Report.Add(audit.KindSignature, index, e.ID, "signature "+id.String()+" is gone")
	case err != nil:
		return err
	case study.Digest(sha256.Sum256(statement)).String() != e.Detail["statement"]:
		v.v.Report.Add(audit.KindSignature, index, e.ID, "signature "+id.String()+" is not the one that was given")
	}
	return nil
}

// person compares a version of a person with what its event says.
func (v *verification) person(ctx context.Context, index int64, e *audit.Event) error {
	id := strings.TrimPrefix(e.Object, "person/")
	said, _ := e.Detail["version"].(json.Number)
	version, _ := said.Int64()
	if id == e.Object || version < 1 {
		return nil // of the time before there were people
	}
	p, err := personAt(ctx, v.tx, id, int(version))
	if err != nil {
		var unknown *study.Error
		if errors.As(err, &unknown) {
			v.v.Report.Add(audit.KindPerson, index, e.ID, "version "+said.String()+" of "+e.Object+" is gone")
			return nil
		}
		return err
	}
	if p.Record().SHA256.String() != e.After {
		v.v.Report.Add(audit.KindPerson, index, e.ID, "version "+said.String()+" of "+e.Object+" is not the one that was recorded")
	}
	return nil
}

// unrecorded finds signatures, people and publications that no event tells of.
func (v *verification) unrecorded(ctx context.Context) error {
	told, err := v.toldOf(ctx)
	if err != nil {
		return err
	}
	rows, err := v.tx.Query(ctx, `
		SELECT 'signature ' || signature_id FROM audit.signature
		UNION ALL SELECT 'version ' || version || ' of person/' || person_id FROM audit.person_version
		UNION ALL SELECT 'publication ' || encode(envelope_digest, 'hex') || ' of release/' || release_id FROM research.release_publication`)
	if err != nil {
		return err
	}
	var what string
	_, err = pgx.ForEachRow(rows, []any{&what}, func() error {
		if !told[what] {
			v.v.Report.Add(audit.KindUnrecorded, -1, 0, "no event tells of "+what)
		}
		return nil
	})
	return err
}

// toldOf names what events tell of: signatures, versions of people, publications.
func (v *verification) toldOf(ctx context.Context) (map[string]bool, error) {
	rows, err := v.tx.Query(ctx, `SELECT leaf FROM audit.event WHERE action IN ('signature.given', 'access.granted', 'access.revoked', 'release.published')`)
	if err != nil {
		return nil, err
	}
	told := map[string]bool{}
	var leaf []byte
	_, err = pgx.ForEachRow(rows, []any{&leaf}, func() error {
		e, _ := audit.ParseLeaf(leaf)
		switch e.Action {
		case audit.SignatureGiven:
			told[fmt.Sprint("signature ", e.Detail["signature"])] = true
		case audit.ReleasePublished:
			told[fmt.Sprint("publication ", e.Detail["envelope"], " of ", e.Object)] = true
		default:
			told[fmt.Sprint("version ", e.Detail["version"], " of ", e.Object)] = true
		}
		return nil
	})
	return told, err
}
