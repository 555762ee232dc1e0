//go:build unix

// Package postgrestest gives every test a real PostgreSQL database of its own.
//
// A test binary runs one private cluster, migrates one template database in it,
// and clones the template for each test, which takes a tenth of a second.
// LONGITUDE_TEST_DATABASE_URL names a server to use instead; its user must be a
// superuser, and one template database per test binary stays behind there.
package postgrestest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"longitude/internal/localpg"
)

// New returns the address of a fresh database, made by migrate, that is dropped
// when t ends. migrate runs once per test binary: every call there must bring
// the same one.
func New(t testing.TB, migrate func(ctx context.Context, url string) error) string {
	t.Helper()
	template.once.Do(func() { template.name, template.err = makeTemplate(migrate) })
	if template.err != nil {
		t.Fatalf("migrate the template database: %v", template.err)
	}
	return database(t, template.name)
}

// URL returns the address of a fresh, empty database that is dropped when t ends.
func URL(t testing.TB) string {
	t.Helper()
	return database(t, "template0")
}

var template struct {
	once sync.Once
	name string
	err  error
}

// server is the one that all tests of this binary use.
var server = sync.OnceValues(func() (instance, error) {
	if given := os.Getenv("LONGITUDE_TEST_DATABASE_URL"); given != "" {
		return instance{url: given}, nil
	}
	dir, err := os.MkdirTemp("/tmp", "longitude-test-")
	if err != nil {
		return instance{}, err
	}
	alive, err := removeAfterExit(dir)
	if err != nil {
		return instance{}, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the server's account passes through
		return instance{}, err
	}
	c, err := localpg.Start(context.Background(), dir+"/pg", localpg.Options{Unsafe: true})
	if err != nil {
		return instance{}, err
	}
	return instance{c.URL("postgres"), alive}, nil // the cluster dies with this process
})

// instance is a server with the address of its own database. Holding alive
// keeps the garbage collector from closing it before this process ends.
type instance struct {
	url   string
	alive io.Closer
}

// removeAfterExit deletes dir once this process has gone, however it goes: a
// child waits for the end of a pipe that only this process can write to.
func removeAfterExit(dir string) (alive io.Closer, err error) {
	cmd := exec.Command("/bin/sh", "-c", `cat >/dev/null; for i in 1 2 3 4 5; do sleep 1; rm -rf -- "$1" && exit; done`, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if alive, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return alive, cmd.Start()
}

func makeTemplate(migrate func(ctx context.Context, url string) error) (string, error) {
	admin, err := server()
	if err != nil {
		return "", err
	}
	name := "longitude_template_" + strings.ToLower(rand.Text()[:12])
	if err := execute(admin.url, create(name, "template0")); err != nil {
		return "", err
	}
	return name, migrate(context.Background(), named(admin.url, name))
}

// database clones from for one test.
func database(t testing.TB, from string) string {
	t.Helper()
	admin, err := server()
	if err != nil {
		t.Fatal(err)
	}
	name := "longitude_test_" + strings.ToLower(rand.Text()[:12])
	if err := execute(admin.url, create(name, from)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(admin.url, "drop database if exists "+name+" with (force)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return named(admin.url, name)
}

func create(name, from string) string {
	return fmt.Sprintf("create database %s template %s encoding 'UTF8' locale 'C'", name, from)
}

func execute(url, sql string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return closing(ctx, conn, err)
}

func closing(ctx context.Context, conn *pgx.Conn, err error) error {
	if closed := conn.Close(ctx); err == nil {
		err = closed
	}
	return err
}

// named returns the address of another database on the server of admin.
func named(admin, name string) string {
	u, err := url.Parse(admin)
	if err != nil || u.Scheme == "" { // the form "host=… user=…", where the last word wins
		return admin + " dbname=" + name
	}
	u.Path = "/" + name
	return u.String()
}
