package postgres

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"longitude/study"
)

func uid(n byte, box string) study.SealedUID {
	return study.SealedUID{Blind: study.Digest{n}, Box: []byte(box), KeyVersion: 1}
}

// The vault keeps the first number of an identity, whoever draws another; a
// transaction that is rolled back leaves none; studies have their own.
func TestNumbersAreDrawnOnce(t *testing.T) {
	other := amd()
	other.Name = "other"
	s := open(t, amd(), other)
	draw := func(name string, commit bool, drawn ...study.SealedUID) map[study.Digest][]byte {
		in := begin(t, s, name)
		kept, err := in.Draw(t.Context(), drawn)
		if err != nil {
			t.Fatal(err)
		}
		if commit {
			finish(t, in, batch(name, string(drawn[0].Box), day("2026-07-31")))
		} else {
			in.Rollback(t.Context())
		}
		return kept
	}
	draw("amd-obs", false, uid(1, "lost"))
	if kept := draw("amd-obs", true, uid(1, "one"), uid(2, "two"), uid(2, "twin")); string(kept[study.Digest{1}]) != "one" || string(kept[study.Digest{2}]) != "two" {
		t.Errorf("first: %q", kept)
	}
	if kept := draw("amd-obs", true, uid(2, "new"), uid(3, "three")); len(kept) != 2 || string(kept[study.Digest{2}]) != "two" || string(kept[study.Digest{3}]) != "three" {
		t.Errorf("again: %q", kept)
	}
	if kept := draw("other", true, uid(1, "elsewhere")); string(kept[study.Digest{1}]) != "elsewhere" {
		t.Errorf("another study: %q", kept)
	}
}

// A code that is another identity's, or a new code for an identity, is an error:
// nothing is merged and nobody is there twice.
func TestCodesAndIdentitiesGoTogether(t *testing.T) {
	s := open(t, amd())
	enrol(t, s, "AMD-1")
	for name, c := range map[string]struct {
		change func(*study.SealedIdentity)
		code   string
	}{
		"the same":         {func(*study.SealedIdentity) {}, ""},
		"another identity": {func(i *study.SealedIdentity) { i.Blind[0] ^= 1 }, "deid.collision"},
		"another code":     {func(i *study.SealedIdentity) { i.Code = "AMD-2" }, "deid.recoded"},
	} {
		in := begin(t, s, "amd-obs")
		id := identity("AMD-1")
		c.change(&id)
		numbers, isNew, err := in.Resolve(t.Context(), []study.SealedIdentity{id})
		if c.code == "" && (err != nil || numbers[0] != 1 || isNew[0]) || c.code != "" && !hasCode(err, c.code) {
			t.Errorf("%s: %v %v, %v", name, numbers, isNew, err)
		}
		in.Rollback(t.Context())
	}
}

// What it takes to look a few identities up does not grow with those of the vault:
// an object brings them a few at a time.
func TestIdentitiesAreLookedUpByKey(t *testing.T) {
	s := open(t, amd())
	codes := make([]string, 3000)
	for i := range codes {
		codes[i] = fmt.Sprintf("AMD-%d", i)
	}
	in := begin(t, s, "amd-obs")
	participants(t, in, codes...)
	read := func() (rows int) {
		if err := in.tx.QueryRow(t.Context(), `SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_all_tables WHERE relid = 'vault.identity'::regclass`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	before := read()
	participants(t, in, codes[100:120]...)
	if rows := read() - before; rows < 20 || rows > 100 {
		t.Errorf("%d rows are read to look 20 identities up among %d", rows, len(codes))
	}
}

// vaultTables are all tables of the schema.
func vaultTables(t *testing.T, s *Store) []string {
	t.Helper()
	rows, err := as(t, s, "").Query(t.Context(), `SELECT 'vault.' || tablename FROM pg_tables WHERE schemaname = 'vault'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 8 {
		t.Fatalf("%v, %v", tables, err)
	}
	return tables
}

// Only the vault's own role reads any table of the vault, and it reads nothing
// else; nobody but the owner runs its functions who was not given them.
func TestOnlyTheVaultReadsTheVault(t *testing.T) {
	s := open(t, amd())
	for _, table := range vaultTables(t, s) {
		for role, may := range map[string]bool{"longitude_vault": true, "longitude_app": false, "longitude_release": false} {
			for _, column := range []string{"*", "box"} {
				if column == "box" && table == "vault.erased" {
					continue
				}
				_, err := as(t, s, role).Exec(t.Context(), "SELECT "+column+" FROM "+table)
				if may && err != nil || !may && !refused(err) {
					t.Errorf("%s reads %s of %s: %v", role, column, table, err)
				}
			}
		}
	}
	for _, call := range []string{"vault.resolve(1::smallint, ARRAY['\\x00'::bytea])", "vault.clash(ARRAY['x'], ARRAY['\\x00'::bytea])", "vault.erased_of(1::smallint)",
		"vault.erase(1, 1)", "vault.erase_rows(1, ARRAY[1], ARRAY[1])", "vault.may_erase(1)"} {
		for _, role := range []string{"longitude_release", "longitude_vault"} {
			if _, err := as(t, s, role).Exec(t.Context(), "SELECT "+call); !refused(err) {
				t.Errorf("%s calls %s: %v", role, call, err)
			}
		}
	}
	for _, table := range []string{"research.record_version", "audit.event", "audit.vault_request", "jobs.run"} {
		if _, err := as(t, s, "longitude_vault").Exec(t.Context(), "SELECT 1 FROM "+table); !refused(err) {
			t.Errorf("the vault reads %s: %v", table, err)
		}
	}
}

// Nothing of the vault is deleted without an approved request, whoever calls.
func TestNothingIsErasedUnasked(t *testing.T) {
	s := open(t, amd())
	enrol(t, s, "AMD-1")
	for _, role := range []string{"longitude_app", ""} {
		c := as(t, s, role)
		for _, call := range []string{"vault.erase(1, 1)", "vault.erase_rows(1, ARRAY[1]::bigint[], ARRAY[1])"} {
			if _, err := c.Exec(t.Context(), "SELECT "+call); !refused(err) {
				t.Errorf("role %q: %s: %v", role, call, err)
			}
		}
		var pg *pgconn.PgError
		if _, err := c.Exec(t.Context(), "SELECT set_config('longitude.erasing', 'yes', false)"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exec(t.Context(), "DELETE FROM vault.identity"); role != "" && (!errors.As(err, &pg) || pg.Code != "42501") {
			t.Errorf("role %q deletes: %v", role, err)
		}
	}
}
