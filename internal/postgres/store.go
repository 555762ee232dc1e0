// Package postgres holds all SQL on Longitude's own database: migrations,
// ingest transactions, release snapshots, runs and the read model.
//
// It connects with up to four logins. Each pool takes on the least role that
// does its work (SET ROLE after connecting), so that even with one login the
// application cannot change a version, read the vault or touch the audit log.
package postgres

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"longitude/internal/audit"
	"longitude/migrations"
	"longitude/study"
)

// URLs are the connection strings of the four logins; all may be the same.
type URLs struct{ Owner, App, Vault, Release string }

// Store is the database. It is safe for concurrent use.
type Store struct {
	urls     URLs
	software string
	app      *pgxpool.Pool // role longitude_app: everything but the release snapshot
	release  *pgxpool.Pool // role longitude_release: research only
	signer   *audit.Signer // of the audit log; nil = publications wait for whoever seals next
	tell     Tell          // of runs; nil = nobody is told

	mu      sync.Mutex
	studies map[string]*registered // by study name
	sources []ConfiguredSource     // by study and name
}

// Open connects. software is recorded with every batch and run.
func Open(ctx context.Context, urls URLs, software string) (*Store, error) {
	app, err := openPool(ctx, urls.App, "longitude_app", software)
	if err != nil {
		return nil, err
	}
	release, err := openPool(ctx, urls.Release, "longitude_release", software)
	if err != nil {
		app.Close()
		return nil, err
	}
	return &Store{urls: urls, software: software, app: app, release: release, studies: map[string]*registered{}}, nil
}

// poolConnections leaves room for the status page beside runs that wait for
// their turn, each in a connection. pool_max_conns in the URL says otherwise.
const poolConnections = 16

func openPool(ctx context.Context, url, role, software string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil { // the text may hold the password: it is not repeated
		return nil, &study.Error{Code: "database.url", Op: "the database URL cannot be read", Exit: study.ExitUsage,
			Hint: "write it as postgres://user:password@host:5432/name"}
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = poolConnections
	}
	// Within one transaction tables grow from nothing to millions of rows: a plan
	// kept from the start reads them from end to end.
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "SET ROLE "+role+"; SET plan_cache_mode = force_custom_plan"); err != nil {
			return err
		}
		return tellSoftware(ctx, c, software)
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "longitude"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fault("connect to the database", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fault("connect to the database", err)
	}
	return pool, nil
}

// tellSoftware lets the audit events of a connection say which program recorded them.
func tellSoftware(ctx context.Context, c *pgx.Conn, software string) error {
	_, err := c.Exec(ctx, "SELECT set_config('longitude.software', $1, false)", software)
	return err
}

// Close closes all connections.
func (s *Store) Close() {
	s.app.Close()
	s.release.Close()
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return fault("reach the database", s.app.Ping(ctx))
}

// Migrate brings the database at url to the newest version and returns the
// versions applied. It is safe to run concurrently and repeatedly.
func Migrate(ctx context.Context, url string) ([]int64, error) {
	p, closeDB, err := provider(url)
	if err != nil {
		return nil, err
	}
	defer closeDB()
	results, err := p.Up(ctx)
	if err != nil {
		return nil, fault("migrate the database", err)
	}
	var applied []int64
	for _, r := range results {
		applied = append(applied, r.Source.Version)
	}
	return applied, nil
}

// Pending reports whether migrations wait to be applied.
func Pending(ctx context.Context, url string) (bool, error) {
	p, closeDB, err := provider(url)
	if err != nil {
		return false, err
	}
	defer closeDB()
	pending, err := p.HasPending(ctx)
	return pending, fault("read the database's version", err)
}

func provider(url string) (*goose.Provider, func(), error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, nil, &study.Error{Code: "database.url", Op: "the database URL cannot be read", Exit: study.ExitUsage,
			Hint: "write it as postgres://user:password@host:5432/name"}
	}
	db := stdlib.OpenDB(*cfg)
	files, err := fs.Sub(migrations.Files, ".")
	if err != nil {
		return nil, nil, err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files)
	if err != nil {
		_ = db.Close()
		return nil, nil, fault("read the migrations", err)
	}
	return p, func() { _ = p.Close() }, nil
}

// fault turns a database error into one an operator can act on. Postgres
// messages can quote values, so only the SQLSTATE crosses.
func fault(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *study.Error
	if errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &study.Error{Code: "database.interrupted", Op: "interrupted while trying to " + op, Temporary: true,
			Exit: study.ExitEnvironment, Hint: "run it again; nothing was left half done", Err: context.Canceled}
	}
	e := &study.Error{Code: "database.failed", Op: "could not " + op, Temporary: true, Exit: study.ExitEnvironment,
		Hint: "check that Postgres runs and that the login may connect"}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		e.Op += " (SQLSTATE " + pg.Code + tableOf(pg) + ")"
		e.Temporary, e.Hint = sqlState(pg.Code)
		if !e.Temporary {
			e.Exit = study.ExitFailed
		}
	}
	return e
}

func tableOf(pg *pgconn.PgError) string {
	if pg.TableName == "" {
		return ""
	}
	return ", " + pg.SchemaName + "." + pg.TableName
}

func sqlState(code string) (temporary bool, hint string) {
	switch code[:2] {
	case "08", "57", "40", "55":
		return true, "the database was unreachable or busy; run it again"
	case "53":
		return true, "the database is out of space, memory or connections; make room and run it again"
	case "25":
		return true, "the database is read-only (a standby?); run it again when it accepts writes"
	case "28":
		return false, "the database refused the login; check the user, the password and pg_hba.conf"
	case "3D":
		return false, "create the database, or correct its name in the URL"
	case "3F", "42":
		return false, "the schema is missing or the login lacks rights; run `longitude migrate` with the owner's login"
	case "23":
		return false, "a rule of the database refused the data; this is a defect, please report it with the run's number"
	}
	return false, "see the database server's log"
}
