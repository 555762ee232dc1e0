//go:build unix

package postgrestest

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

var migrations atomic.Int32

func migrate(_ context.Context, url string) error {
	migrations.Add(1)
	return execute(url, `create table migrated (n int); insert into migrated values (1)`)
}

func count(t *testing.T, url, table string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	err = conn.QueryRow(t.Context(), "select count(*) from "+table).Scan(&n)
	if err := closing(t.Context(), conn, err); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEveryTestHasItsOwnMigratedDatabase(t *testing.T) {
	var used string
	for _, name := range []string{"one", "two", "three"} {
		t.Run(name, func(t *testing.T) {
			used = New(t, migrate)
			if n := count(t, used, "migrated"); n != 1 {
				t.Errorf("%d rows of an earlier test", n)
			}
			if err := execute(used, `insert into migrated values (2)`); err != nil {
				t.Fatal(err)
			}
		})
	}
	if n := migrations.Load(); n != 1 {
		t.Errorf("migrated %d times", n)
	}
	if err := execute(used, `select 1`); err == nil {
		t.Error("a test's database outlives it")
	}
}

func TestParallelClones(t *testing.T) {
	for range 4 {
		t.Run("clone", func(t *testing.T) {
			t.Parallel()
			if n := count(t, New(t, migrate), "migrated"); n != 1 {
				t.Errorf("%d rows", n)
			}
		})
	}
}

func TestAnEmptyDatabase(t *testing.T) {
	url := URL(t)
	if n := count(t, url, "pg_tables where schemaname = 'public'"); n != 0 {
		t.Errorf("%d tables", n)
	}
}

func TestNamed(t *testing.T) {
	for admin, want := range map[string]string{
		"postgres://u@h:5432/postgres?sslmode=disable": "postgres://u@h:5432/x?sslmode=disable",
		"postgres://u@/postgres?host=%2Ftmp":           "postgres://u@/x?host=%2Ftmp",
		"host=/tmp user=u dbname=postgres":             "host=/tmp user=u dbname=postgres dbname=x",
	} {
		if got := named(admin, "x"); got != want {
			t.Errorf("named(%q) = %q, want %q", admin, got, want)
		}
	}
}
