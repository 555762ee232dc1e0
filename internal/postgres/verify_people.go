package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// signature compares a signature, and whose it is, with what its event says.
func (v *verification) signature(ctx context.Context, index int64, e *audit.Event) error {
	id, _ := e.Detail["signature"].(json.Number)
	number, _ := id.Int64()
	var statement []byte
	var signer, version string
	err := v.tx.QueryRow(ctx, `SELECT statement, signer, person_version::text FROM audit.signature WHERE signature_id = $1`, number).Scan(&statement, &signer, &version)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		v.v.Report.Add(audit.KindSignature, index, e.ID, "signature "+id.String()+" is gone")
	case err != nil:
		return err
	case study.Digest(sha256.Sum256(statement)).String() != e.Detail["statement"], signer != e.Actor, json.Number(version) != e.Detail["person_version"]:
		v.v.Report.Add(audit.KindSignature, index, e.ID, "signature "+id.String()+" is not the one that was given")
	}
	return nil
}

// decision compares the statement of a decision with what its event says.
func (v *verification) decision(ctx context.Context, index int64, e *audit.Event) error {
	id, _ := e.Detail["decision"].(json.Number)
	number, _ := id.Int64()
	var statement []byte
	err := v.tx.QueryRow(ctx, `SELECT statement FROM research.decision WHERE decision_id = $1`, number).Scan(&statement)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		v.v.Report.Add(audit.KindDecision, index, e.ID, "decision "+id.String()+" is gone")
	case err != nil:
		return err
	case e.After != "" && study.Digest(sha256.Sum256(statement)).String() != e.After: // events had none once
		v.v.Report.Add(audit.KindDecision, index, e.ID, "decision "+id.String()+" is not the one that was recorded")
	}
	return nil
}

// review compares a closed review, its list and what that came to, with what its
// event says.
func (v *verification) review(ctx context.Context, index int64, e *audit.Event) error {
	id := strings.TrimPrefix(e.Object, "audit_review/")
	number, _ := strconv.ParseInt(id, 10, 64)
	r, err := readReview(ctx, v.tx, number)
	var gone *study.Error
	switch {
	case number < 1, errors.As(err, &gone):
		v.v.Report.Add(audit.KindReview, index, e.ID, "review "+id+" is gone")
	case err != nil:
		return err
	case r.Digest().String() != e.After || json.Number(strconv.FormatInt(r.Signature, 10)) != e.Detail["signature"]:
		v.v.Report.Add(audit.KindReview, index, e.ID, "review "+id+" is not the one that was closed")
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

// unrecorded finds signatures, people, decisions, closed reviews, texts for releases
// and publications that no event tells of.
func (v *verification) unrecorded(ctx context.Context) error {
	told, err := v.toldOf(ctx)
	if err != nil {
		return err
	}
	rows, err := v.tx.Query(ctx, `
		SELECT 'signature ' || signature_id FROM audit.signature
		UNION ALL SELECT 'version ' || version || ' of person/' || person_id FROM audit.person_version
		UNION ALL SELECT 'decision ' || decision_id FROM research.decision
		UNION ALL SELECT 'the end of audit_review/' || review_id FROM audit.review_closed
		UNION ALL SELECT DISTINCT 'the texts of text_review/' || review_id FROM research.reviewed_text
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

// toldOf names what events tell of, as unrecorded does.
func (v *verification) toldOf(ctx context.Context) (map[string]bool, error) {
	rows, err := v.tx.Query(ctx, `SELECT leaf FROM audit.event 
		WHERE action IN ('signature.given', 'access.granted', 'access.revoked', 'audit.reviewed', 'text.reviewed', 'release.published') OR action LIKE 'decision.%'`)
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
		case audit.AuditReviewed:
			told["the end of "+e.Object] = true
		case audit.TextReviewed:
			told["the texts of "+e.Object] = true
		case audit.ReleasePublished:
			told[fmt.Sprint("publication ", e.Detail["envelope"], " of ", e.Object)] = true
		case audit.AccessGranted, audit.AccessRevoked:
			told[fmt.Sprint("version ", e.Detail["version"], " of ", e.Object)] = true
		default:
			told[fmt.Sprint("decision ", e.Detail["decision"])] = true
		}
		return nil
	})
	return told, err
}
