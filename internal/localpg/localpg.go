//go:build unix

// Package localpg runs a private PostgreSQL cluster from binaries that are
// already installed, so that Longitude works where nobody has set up a
// database.
//
// The cluster listens on a Unix socket in a directory only its owner may enter,
// never on the network. It is durable unless Options.Unsafe says otherwise, and
// it dies with the process that started it. Several commands may use one
// cluster at the same time: the first starts it, the others connect to it, and
// only the first one stops it. When that one ends while others still work,
// their connections break with a temporary error and their open transactions
// roll back; nothing committed is lost, and the next Start brings the cluster
// back.
//
// Whether a cluster is running is asked of one lock, never of a pid file: every
// server process inherits a locked file, so the lock is free exactly when the
// last of them has gone, however it went.
package localpg

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// Owner is the superuser of a local cluster.
const Owner = "longitude_owner"

// answerWithin bounds the wait for a server that somebody else is starting or
// stopping. Recovery after a crash is part of it.
const answerWithin = 90 * time.Second

// Options of Start. The zero value is a durable cluster.
type Options struct {
	Bin    string            // folder with initdb and postgres; "" = LONGITUDE_POSTGRES_BIN, else search
	Unsafe bool              // no fsync: for tests, whose data may vanish with the machine
	Notice func(line string) // told what takes time or is unexpected; may be nil
}

// Cluster is a running local PostgreSQL.
type Cluster struct {
	home   home
	server *server // nil when another process started it
}

// Start returns the cluster that lives in dir, starting it when it is not
// running and creating it when it does not exist. It returns once the cluster
// answers. ctx bounds the start only, not the life of the cluster.
//
// As root, which PostgreSQL refuses, the server runs as the user postgres, or
// nobody, and owns dir. If that user cannot reach dir (a parent is closed to
// others, such as /root), the files live below /var/lib/longitude instead, or
// below the temporary folder when Unsafe; a file named "location" in dir says
// where, and Notice is told.
func Start(ctx context.Context, dir string, opt Options) (*Cluster, error) {
	if opt.Notice == nil {
		opt.Notice = func(string) {}
	}
	h, err := openHome(dir, opt)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for {
		lock, free, err := tryLock(h.lockFile())
		if err != nil {
			return nil, failed("lock", h, err)
		}
		if free {
			s, err := launch(ctx, h, opt, lock)
			if err != nil {
				return nil, err
			}
			return &Cluster{home: h, server: s}, nil
		}
		if ping(ctx, h) == nil {
			return &Cluster{home: h}, nil
		}
		if err := pause(ctx); err != nil {
			return nil, notAnswering(h, err)
		}
	}
}

// Running reports whether the server of the cluster that lives in dir runs,
// whoever started it.
func Running(dir string) bool {
	if elsewhere, err := os.ReadFile(filepath.Join(dir, "location")); err == nil {
		dir = strings.TrimSpace(string(elsewhere))
	}
	lock := home{dir: dir}.lockFile()
	if _, err := os.Stat(lock); err != nil {
		return false
	}
	f, free, err := tryLock(lock)
	if free {
		_ = f.Close()
	}
	return err == nil && !free
}

// Dir returns the folder that holds the cluster's files.
func (c *Cluster) Dir() string { return c.home.dir }

// Shared reports whether another process started the cluster; Stop then leaves
// it running.
func (c *Cluster) Shared() bool { return c.server == nil }

// URL returns the address of database in the cluster for its superuser.
func (c *Cluster) URL(database string) string { return c.home.url(database) }

// CreateDatabase creates database unless it exists.
func (c *Cluster) CreateDatabase(ctx context.Context, database string) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return notAnswering(c.home, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var exists bool
	err = conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, database).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, "create database "+pgx.Identifier{database}.Sanitize())
	}
	if err != nil {
		return failed("create a database in", c.home, nil)
	}
	return nil
}

// Stop ends the cluster if this process started it: sessions are cut, committed
// work is on disk. It may be called more than once.
func (c *Cluster) Stop() error {
	if c.server == nil {
		return nil
	}
	return c.server.stop()
}

// home is where a cluster's files are: data/, log, lock, and the socket.
type home struct {
	dir    string // owned by the account the server runs as, mode 0700
	socket string // folder of the socket, mode 0700
	as     account
}

func (h home) data() string     { return filepath.Join(h.dir, "data") }
func (h home) logFile() string  { return filepath.Join(h.dir, "postgres.log") }
func (h home) lockFile() string { return filepath.Join(h.dir, "lock") }

func (h home) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(Owner), Path: "/" + database}
	u.RawQuery = "host=" + strings.ReplaceAll(url.QueryEscape(h.socket), "+", "%20") // "+" is no space in a Postgres URL
	return u.String()
}

// ping reports whether the cluster takes connections.
func ping(ctx context.Context, h home) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, h.url("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// pause waits a moment between two looks, or returns why to stop looking.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(15 * time.Millisecond):
		return nil
	}
}

// failed is an error of the machine: file system, rights, or a server that
// does not start.
func failed(what string, h home, err error) error {
	return &study.Error{
		Code: "localpg.failed", Op: what + " the local database in " + h.dir,
		Hint: "check the free space and rights of that folder; the server's own log is " + h.logFile() +
			"; or set service.database to a PostgreSQL of yours",
		Exit: study.ExitEnvironment, Err: err,
	}
}

func notAnswering(h home, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &study.Error{
		Code: "localpg.not_answering", Op: "reach the local database in " + h.dir,
		Hint:      "another command may be stopping it: try again; its log is " + h.logFile(),
		Temporary: true, Exit: study.ExitEnvironment,
	}
}
