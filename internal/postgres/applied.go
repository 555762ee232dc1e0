package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strings"

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
// of its gravest change and what it changes, in words; the words, which people wrote, can be redacted. A
// document without a digest is taken out of force. Before and after are digests of
// the documents that changed.
func (s *Store) Apply(ctx context.Context, docs []Document, planHash, class, actor, diff string) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		before, err := inForce(ctx, tx, docs)
		if err != nil {
			return err
		}
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
			Before: digestOfAll(before), After: digestOfAll(applied), Changed: slices.Sorted(maps.Keys(applied)),
			Detail: map[string]any{"plan": planHash, "class": class, "documents": applied, "before": before}, Payload: []byte(diff)})
	})
	return fault("apply the configuration", err)
}

// inForce are the digests of documents as they are in force, in hex by kind and
// name; "" = not in force.
func inForce(ctx context.Context, tx pgx.Tx, docs []Document) (map[string]string, error) {
	out := map[string]string{}
	for _, d := range docs {
		var digest []byte
		err := tx.QueryRow(ctx, `SELECT digest FROM research.applied WHERE kind = $1 AND name = $2 ORDER BY applied_id DESC LIMIT 1`, d.Kind, d.Name).Scan(&digest)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return nil, err
		}
		out[d.Kind+"/"+d.Name] = hexOf(digest)
	}
	return out, nil
}

// digestOfAll is one digest of documents: SHA-256 over their names and digests, in
// order of the names.
func digestOfAll(documents map[string]string) study.Digest {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		b.WriteString(name + " " + documents[name] + "\n")
	}
	return sha256.Sum256([]byte(b.String()))
}

// digestOrNone is the digest in hex, "" for a document taken out.
func digestOrNone(d study.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}
