//go:build unix

package main

import (
	"io"
	"path/filepath"
	"testing"
	"time"

	"longitude/internal/localpg"
)

// A command that found the private database running keeps it when the command
// that started it ends.
func TestThePrivateDatabaseOutlivesItsStarter(t *testing.T) {
	x := &trial{t: t, dir: t.TempDir()}
	x.write("service.yaml", "service:\n  data_dir: data\n  landing: file:landing\n  keys: file:keys\n  listen: 127.0.0.1:0\n  admin_listen: 127.0.0.1:0\n")
	a := &app{out: io.Discard, err: t.Output()}
	x.must(a.prepare(a.root()))
	a.dir, a.quiet = x.dir, true
	first, err := a.open(t.Context(), needDatabase)
	x.must(err)
	second, err := a.open(t.Context(), needDatabase)
	x.must(err)
	defer second.close()
	first.close()
	deadline := time.Now().Add(30 * time.Second)
	for second.store.Ping(t.Context()) != nil {
		if time.Now().After(deadline) {
			t.Fatal("the database is gone for good")
		}
		time.Sleep(100 * time.Millisecond)
	}
	third, err := localpg.Start(t.Context(), filepath.Join(x.dir, "data", "postgres"), localpg.Options{})
	x.must(err)
	if !third.Shared() {
		t.Error("nobody keeps the database")
	}
}
