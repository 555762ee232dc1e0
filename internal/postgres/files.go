package postgres

import (
	"context"
	"encoding/hex"
	"strconv"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/status"
	"longitude/study"
)

// done adds what is durable to the ledger of files. An archive of which a file was
// put aside was put aside.
func (in *Ingest) done(ctx context.Context, b study.BatchRecord, outcome string) error {
	if b.Aside {
		outcome = study.FileAside
	}
	for i := range b.Files {
		f := &b.Files[i]
		_, err := in.tx.Exec(ctx, `
			INSERT INTO jobs.file (source, item, version, within, size, modified, sha256, outcome, batch_id, run_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN EXISTS (SELECT 1 FROM jobs.file WHERE source = $1 AND within = $2 AND within <> '' AND outcome = 'put_aside')
			  THEN 'put_aside' ELSE $8 END, $9, $10)
			ON CONFLICT (source, item) DO UPDATE SET version = EXCLUDED.version, within = EXCLUDED.within, size = EXCLUDED.size, modified = EXCLUDED.modified,
			  sha256 = EXCLUDED.sha256, outcome = EXCLUDED.outcome, code = '', batch_id = EXCLUDED.batch_id, run_id = EXCLUDED.run_id,
			  tries = CASE WHEN jobs.file.version = EXCLUDED.version THEN jobs.file.tries + 1 ELSE 1 END,
			  key_version = NULL, name = NULL, seen_at = clock_timestamp()`,
			b.Source, f.Item, f.Version, f.Within, f.Size, f.Modified, digestOf(f.SHA256), outcome, in.batch, f.RunID)
		if err != nil {
			return fault("record a file", err)
		}
	}
	return nil
}

func digestOf(text string) []byte {
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) == 0 {
		return nil
	}
	return sum
}

// RefuseFile records that a file was refused, and why.
func (s *Store) RefuseFile(ctx context.Context, studyName, actor string, f study.FileRecord) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		var id int64
		if err := tx.QueryRow(ctx, `
			INSERT INTO jobs.file (source, item, version, size, modified, sha256, outcome, code, run_id, key_version, name)
			VALUES ($1, $2, $3, $4, $5, $6, 'refused', $7, $8, $9, $10)
			ON CONFLICT (source, item) DO UPDATE SET version = EXCLUDED.version, size = EXCLUDED.size, modified = EXCLUDED.modified,
			  sha256 = EXCLUDED.sha256, outcome = 'refused', code = EXCLUDED.code, batch_id = NULL, run_id = EXCLUDED.run_id,
			  tries = CASE WHEN jobs.file.version = EXCLUDED.version THEN jobs.file.tries + 1 ELSE 1 END,
			  key_version = EXCLUDED.key_version, name = EXCLUDED.name, seen_at = clock_timestamp()
			RETURNING file_id`,
			f.Source, f.Item, f.Version, f.Size, f.Modified, digestOf(f.SHA256), f.Code, f.RunID, f.KeyVersion, f.SealedName).Scan(&id); err != nil {
			return err
		}
		return record(ctx, tx, event{Action: audit.FileRefused, Actor: actor, Study: studyName, Object: "file/" + strconv.FormatInt(id, 10), Run: f.RunID,
			Detail: map[string]any{"source": f.Source, "item": f.Item, "code": f.Code, "size": f.Size}})
	})
	return fault("record that a file was refused", err)
}

// RefusedFiles answers the versions of the source's files that wait for a person.
func (s *Store) RefusedFiles(ctx context.Context, source string) (map[string]string, error) {
	return s.versions(ctx, `SELECT item, version FROM jobs.file WHERE source = $1 AND outcome = 'refused'`, source)
}

func (s *Store) versions(ctx context.Context, sql, source string) (map[string]string, error) {
	rows, err := s.app.Query(ctx, sql, source)
	if err != nil {
		return nil, fault("read the cursor", err)
	}
	out := map[string]string{}
	var item, version string
	_, err = pgx.ForEachRow(rows, []any{&item, &version}, func() error {
		out[item] = version
		return nil
	})
	return out, fault("read the cursor", err)
}

// RetryFile has the next run of its source read a file again, whatever became of
// it; a file of an archive is read with its archive.
func (s *Store) RetryFile(ctx context.Context, id int64, actor string) (status.File, error) {
	var again status.File
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			UPDATE jobs.file SET outcome = 'again', code = ''
			WHERE file_id = $1 OR (source, item) IN (SELECT source, within FROM jobs.file WHERE file_id = $1 AND within <> '')
			RETURNING file_id`, id)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(found) == 0 {
			return err
		}
		if rows, err = tx.Query(ctx, files+` WHERE file_id = $1`, id); err != nil {
			return err
		}
		if again, err = pgx.CollectExactlyOneRow(rows, readFile); err != nil {
			return err
		}
		return record(ctx, tx, event{Action: audit.FileRetried, Actor: actor, Object: "file/" + strconv.FormatInt(id, 10),
			Detail: map[string]any{"source": again.Source}})
	})
	if err == nil && again.ID == 0 {
		return again, status.NotFound("file " + strconv.FormatInt(id, 10))
	}
	return again, fault("ask for a file again", err)
}

const files = `
	SELECT file_id, source, left(item, 12), coalesce((SELECT file_id FROM jobs.file w WHERE w.source = f.source AND w.item = f.within AND f.within <> ''), 0),
	       size, modified, coalesce(encode(sha256, 'hex'), ''), outcome, code, coalesce(batch_id, 0), run_id, tries, seen_at
	FROM jobs.file f`

// Files lists the ledger of files, newest first.
func (s *Store) Files(ctx context.Context, f status.FileFilter) ([]status.File, error) {
	var n narrowing
	n.equal("source", f.Source)
	n.equal("outcome", f.Outcome)
	rest := n.page("file_id", f.Page)
	return collect(ctx, s, "list the files", readFile, files+rest, n.args...)
}

func readFile(row pgx.CollectableRow) (f status.File, err error) {
	err = row.Scan(&f.ID, &f.Source, &f.Item, &f.Within, &f.Size, &f.Modified, &f.SHA256, &f.Outcome, &f.Code, &f.Batch, &f.Run, &f.Tries, &f.Seen)
	f.Modified, f.Seen = f.Modified.UTC(), f.Seen.UTC()
	return f, err
}
