package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"longitude/deid"
	"longitude/internal/audit"
	"longitude/study"
)

// sealedRow is a row of the vault with what its box is bound to.
type sealedRow struct {
	id          string // where the row is in its table
	box         []byte
	number      int64 // participant, quarantined row, batch or study
	blind       []byte
	form        int16
	visit       int32
	occurrence  string
	version     int32
	field       int16
	formName    string
	slot        string
	contentHash [16]byte
}

// sealedTable is a table of the vault: how its rows are read there, which of them
// are a study's as research knows it, and how a box is sealed again.
type sealedTable struct {
	name, read, whose string
	again             func(*deid.Resealer, *sealedRow) ([]byte, error)
}

// plainRead reads a table whose rows are known by one number.
func plainRead(number, more string) string {
	return `SELECT ctid::text, box, ` + number + `::bigint, ` + more + `::bytea, 0::smallint, 0, '', 0, 0::smallint FROM vault.`
}

// ofStudy finds the rows of a study among numbers.
func ofStudy(table, key string) string {
	return `SELECT i, '', '', ''::bytea FROM unnest($2::bigint[], $3::smallint[], $4::int[], $5::text[], $6::int[], $7::smallint[]) WITH ORDINALITY k(number, form, visit, occurrence, version, field, i)
		JOIN research.` + table + ` t ON t.` + key + ` = k.number WHERE t.study_id = $1`
}

var sealedTables = []sealedTable{
	{"identity", plainRead("participant_id", "blind"), ofStudy("participant", "participant_id"),
		func(r *deid.Resealer, x *sealedRow) ([]byte, error) { return r.Identity(x.box, study.Digest(x.blind)) }},
	{"uid", plainRead("study_id", "blind"), ofStudy("study", "study_id"),
		func(r *deid.Resealer, x *sealedRow) ([]byte, error) { return r.UID(x.box, study.Digest(x.blind)) }},
	{"quarantined_row", plainRead("quarantine_id", "''"), ofStudy("quarantine", "quarantine_id"),
		func(r *deid.Resealer, x *sealedRow) ([]byte, error) { return r.Row(x.box) }},
	{"object_name", plainRead("batch_id", "''"), ofStudy("batch", "batch_id"),
		func(r *deid.Resealer, x *sealedRow) ([]byte, error) { return r.Name(x.box) }},
	{"crosswalk", `SELECT ctid::text, box, participant_id, ''::bytea, 0::smallint, 0, series, 0, 0::smallint FROM vault.`, ofStudy("participant", "participant_id"),
		func(r *deid.Resealer, x *sealedRow) ([]byte, error) {
			return r.Crosswalk(x.box, x.occurrence, x.number)
		}},
	{"sealed_value", `SELECT ctid::text, box, participant_id, ''::bytea, form_id, visit_no, occurrence, version, field FROM vault.`, `
		SELECT i, f.name, CASE k.field WHEN -1 THEN '#reason' WHEN -2 THEN '#author' WHEN -3 THEN '#change_reason' ELSE s.fields[k.field + 1] END, uuid_send(v.content_hash)
		FROM unnest($2::bigint[], $3::smallint[], $4::int[], $5::text[], $6::int[], $7::smallint[]) WITH ORDINALITY k(number, form, visit, occurrence, version, field, i)
		JOIN research.record_version v ON v.participant_id = k.number AND v.form_id = k.form AND v.visit_no = k.visit AND v.occurrence = k.occurrence COLLATE "C" AND v.version = k.version
		JOIN research.shape s USING (shape_id) JOIN research.form f ON f.form_id = k.form WHERE f.study_id = $1`,
		func(r *deid.Resealer, x *sealedRow) ([]byte, error) {
			return r.Private(x.box, x.number, x.formName, x.slot, x.contentHash)
		}},
}

// resealBatch bounds the rows that are sealed again in one transaction.
const resealBatch = 2_000

// Reseal seals what the vault holds of a study under older versions of its keys
// again, under the newest: with the login of the vault, in batches, each row once.
// Whatever stops it, the next run goes on. The event is recorded at the end.
func (s *Store) Reseal(ctx context.Context, studyName string, newest int, again *deid.Resealer, actor string) (n int64, err error) {
	reg, err := s.known(studyName)
	if err != nil {
		return 0, err
	}
	vault, err := openPool(ctx, s.urls.Vault, "longitude_vault", s.software)
	if err != nil {
		return 0, err
	}
	defer vault.Close()
	for _, t := range sealedTables {
		done, err := s.resealTable(ctx, vault, reg, t, newest, again)
		n += done
		if err != nil {
			return n, fault("seal the vault again", err)
		}
	}
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		return record(ctx, tx, event{Action: audit.KeyResealed, Actor: actor, Study: studyName, Object: KeyInUse{studyName, "root", newest}.object(), Detail: map[string]any{"boxes": n}})
	})
	return n, fault("record that the vault was sealed again", err)
}

// resealTable goes through a table once, with a cursor, while other transactions
// replace the boxes of what it has read.
func (s *Store) resealTable(ctx context.Context, vault *pgxpool.Pool, reg *registered, t sealedTable, newest int, again *deid.Resealer) (n int64, err error) {
	err = pgx.BeginTxFunc(ctx, vault, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DECLARE older NO SCROLL CURSOR FOR `+t.read+t.name+` WHERE key_version < `+itoa(newest)); err != nil {
			return err
		}
		for {
			rows, err := tx.Query(ctx, `FETCH `+itoa(resealBatch)+` FROM older`)
			if err != nil {
				return err
			}
			batch, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (x sealedRow, err error) {
				err = row.Scan(&x.id, &x.box, &x.number, &x.blind, &x.form, &x.visit, &x.occurrence, &x.version, &x.field)
				return x, err
			})
			if err != nil || len(batch) == 0 {
				return err
			}
			own, err := s.own(ctx, reg, t, batch)
			if err != nil {
				return err
			}
			done, err := replaceBoxes(ctx, vault, t, own, newest, again)
			if n += done; err != nil {
				return err
			}
		}
	})
	return n, err
}

// own answers the rows of a batch that are the study's, with what else they are
// bound to.
func (s *Store) own(ctx context.Context, reg *registered, t sealedTable, batch []sealedRow) (out []*sealedRow, err error) {
	numbers, forms, visits := make([]int64, len(batch)), make([]int16, len(batch)), make([]int32, len(batch))
	occurrences, versions, fields := make([]string, len(batch)), make([]int32, len(batch)), make([]int16, len(batch))
	for i, x := range batch {
		numbers[i], forms[i], visits[i], occurrences[i], versions[i], fields[i] = x.number, x.form, x.visit, x.occurrence, x.version, x.field
	}
	rows, err := s.app.Query(ctx, t.whose, reg.id, numbers, forms, visits, occurrences, versions, fields)
	if err != nil {
		return nil, err
	}
	var i int64
	var form, slot string
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&i, &form, &slot, &hash}, func() error {
		x := &batch[i-1]
		x.formName, x.slot = form, slot
		copy(x.contentHash[:], hash)
		out = append(out, x)
		return nil
	})
	return out, err
}

func replaceBoxes(ctx context.Context, vault *pgxpool.Pool, t sealedTable, own []*sealedRow, newest int, again *deid.Resealer) (n int64, err error) {
	ids, before, after := make([]string, len(own)), make([][]byte, len(own)), make([][]byte, len(own))
	for i, x := range own {
		ids[i], before[i] = x.id, x.box
		if after[i], err = t.again(again, x); err != nil {
			return 0, err
		}
	}
	err = vault.QueryRow(ctx, `SELECT vault.reseal($1, $2, $3, $4, $5)`, t.name, newest, ids, before, after).Scan(&n)
	return n, err
}
