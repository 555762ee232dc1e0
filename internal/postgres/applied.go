package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// InForce answers the documents that were applied last, by kind and name.
func (s *Store) InForce(ctx context.Context) (map[[2]string]Document, error) {
	rows, err := s.app.Query(ctx, `
		SELECT a.kind, a.name, d.body, d.digest FROM (
		  SELECT DISTINCT ON (kind, name) * FROM research.applied ORDER BY kind, name, applied_id DESC) a
		JOIN research.document d ON d.digest = a.digest`)
	if err != nil {
		return nil, fault("read the documents in force", err)
	}
	out := map[[2]string]Document{}
	var d Document
	var digest []byte
	_, err = pgx.ForEachRow(rows, []any{&d.Kind, &d.Name, &d.Body, &digest}, func() error {
		copy(d.Digest[:], digest)
		out[[2]string{d.Kind, d.Name}] = d
		return nil
	})
	return out, fault("read the documents in force", err)
}

// Apply puts documents in force, with one audit event that carries the plan, the class
// of its gravest change and what it changes, in words; the words, which people wrote,
// can be redacted. A document without a digest is taken out of force.
func (s *Store) Apply(ctx context.Context, docs []Document, planHash, class, actor, diff string) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		applied := map[string]string{}
		for _, d := range docs {
			if !d.Digest.IsZero() {
				if err := registerDocument(ctx, tx, d); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(ctx, `INSERT INTO research.applied (kind, name, digest, actor, plan_hash) VALUES ($1, $2, $3, $4, $5)`,
				d.Kind, d.Name, nullDigest(d.Digest), actor, planHash); err != nil {
				return err
			}
			applied[d.Kind+"/"+d.Name] = digestOrNone(d.Digest)
		}
		return record(ctx, tx, event{Action: audit.ConfigApplied, Actor: actor, Object: "config",
			Detail: map[string]any{"plan": planHash, "class": class, "documents": applied}, Payload: []byte(diff)})
	})
	return fault("apply the configuration", err)
}

// digestOrNone is the digest in hex, "" for a document taken out.
func digestOrNone(d study.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}
