//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"longitude/internal/postgres"
	"longitude/internal/postgres/postgrestest"
	"longitude/sinks"
	"longitude/sinks/local"
	"longitude/study"
)

// The same plan built on one processor and on two, each time from the database,
// gives the same files to the byte, envelope included.
func TestSamePlanSameBytes(t *testing.T) {
	t.Setenv("DATABASE_URL", postgrestest.New(t, func(ctx context.Context, url string) error {
		_, err := postgres.Migrate(ctx, url)
		return err
	}))
	dir := filepath.Join(t.TempDir(), "demo")
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--dir", dir, "--participants", "80", "--quiet"}, &out, &errOut); code != study.ExitOK {
		t.Fatalf("demo: exit %d\n%s", code, errOut.String())
	}
	a := &app{out: &out, err: &errOut}
	if err := a.prepare(a.root()); err != nil {
		t.Fatal(err)
	}
	a.dir, a.quiet = dir, true
	h, err := a.open(t.Context(), needDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var first map[string][sha256.Size]byte
	for _, processors := range []int{1, 2, 2} {
		runtime.GOMAXPROCS(processors)
		files := buildInto(t, h, t.TempDir())
		if first == nil {
			first = files
		}
		if len(files) < 20 || len(files) != len(first) {
			t.Fatalf("%d files, then %d", len(first), len(files))
		}
		for name, digest := range files {
			if first[name] != digest {
				t.Errorf("%s differs on %d processors", name, processors)
			}
		}
	}
}

// buildInto publishes a release into a folder of its own and forgets that it
// did, so that the next build takes up the same plan.
func buildInto(t *testing.T, h *house, root string) map[string][sha256.Size]byte {
	t.Helper()
	s, err := h.study("")
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.releaser(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := local.New(local.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	r.Sinks, r.Store = map[string]sinks.Sink{"local": folder}, forgetful{storage{h.store}}
	asOf, err := h.asOf(s, "2026-06-01")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Build(t.Context(), asOf, "command"); err != nil {
		t.Fatal(err)
	}
	files := map[string][sha256.Size]byte{}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		files[name] = sha256.Sum256(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// forgetful is storage that does not record publications.
type forgetful struct{ storage }

func (forgetful) Published(context.Context, study.ReleasePlan, study.Publication, string) error {
	return nil
}
