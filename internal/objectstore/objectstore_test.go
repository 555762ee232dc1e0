package objectstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"longitude/study"
)

func open(t testing.TB) *Folder {
	t.Helper()
	f, err := Open("file:" + filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// files lists what is in the folder, uploads included.
func files(t testing.TB, f *Folder) (names []string) {
	t.Helper()
	err := filepath.WalkDir(f.dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t testing.TB, f *Folder, key string) string {
	t.Helper()
	o, err := f.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	content, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func code(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestPutOnce(t *testing.T) {
	f := open(t)
	for _, content := range []string{"", "one", strings.Repeat("x", 1<<20)} {
		key := fmt.Sprintf("a/b/%d", len(content))
		if err := f.Put(t.Context(), key, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if err := f.Put(t.Context(), key, strings.NewReader("other")); !errors.Is(err, ErrExists) {
			t.Errorf("putting twice: %v", err)
		}
		if got := read(t, f, key); got != content {
			t.Errorf("%s holds %d bytes", key, len(got))
		}
		if n, err := f.Stat(t.Context(), key); err != nil || n != int64(len(content)) {
			t.Errorf("Stat(%s) = %d, %v", key, n, err)
		}
	}
	if left := files(t, f); len(left) != 3 {
		t.Errorf("left in the folder: %q", left)
	}
	for _, name := range files(t, f) {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestUnknownKeys(t *testing.T) {
	f := open(t)
	if _, err := f.Open(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("open: %v", err)
	}
	if _, err := f.Stat(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("stat: %v", err)
	}
	for _, key := range []string{"", "/etc/passwd", "../a", "a/../../b", "a//b", "a/", ".uploads/x", "a/.b"} {
		if err := f.Put(t.Context(), key, strings.NewReader("x")); code(err) != "objectstore.key" {
			t.Errorf("key %q: %v", key, err)
		}
	}
	for _, location := range []string{"", "file:", "gs://bucket/x", "/tmp/x"} {
		if _, err := Open(location); code(err) != "objectstore.location" {
			t.Errorf("location %q: %v", location, err)
		}
	}
}

func TestOneWriterWins(t *testing.T) {
	f := open(t)
	var wait sync.WaitGroup
	results := make([]error, 16)
	for i := range results {
		wait.Go(func() {
			u, err := f.Create(context.Background())
			if err == nil {
				_, err = u.Write([]byte{byte('a' + i)})
			}
			if err == nil {
				err = u.Commit("key")
			}
			results[i] = err
		})
	}
	wait.Wait()
	won := 0
	for i, err := range results {
		switch {
		case err == nil:
			won++
			if got := read(t, f, "key"); got != string(byte('a'+i)) {
				t.Errorf("writer %d won and %q is stored", i, got)
			}
		case !errors.Is(err, ErrExists):
			t.Error(err)
		}
	}
	if won != 1 || len(files(t, f)) != 1 {
		t.Errorf("%d writers won; files %q", won, files(t, f))
	}
}

func TestFailedPutLeavesNothing(t *testing.T) {
	f := open(t)
	broken := errors.New("broken")
	if err := f.Put(t.Context(), "a", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("broken source: %v", err)
	}
	u, err := f.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u.Abort()
	u.Abort()
	if left := files(t, f); len(left) != 0 {
		t.Errorf("left in the folder: %q", left)
	}
}

// TestSweep has a process killed in the middle of an upload, by running this
// test again as that process.
func TestSweep(t *testing.T) {
	if dir := os.Getenv("OBJECTSTORE_VICTIM"); dir != "" {
		f, _ := Open("file:" + dir)
		u, _ := f.Create(t.Context())
		_, _ = u.Write([]byte("half"))
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	f := open(t)
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSweep$")
	victim.Env = append(os.Environ(), "OBJECTSTORE_VICTIM="+f.dir)
	if err := victim.Run(); err == nil || len(files(t, f)) != 1 {
		t.Fatalf("the victim lived: %v, %q", err, files(t, f))
	}
	alive, err := f.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, f); len(left) != 1 || left[0] != alive.(*upload).file.Name() {
		t.Errorf("after the sweep: %q", left)
	}
	if err := alive.Commit("key"); err != nil {
		t.Errorf("a sweep harmed a living upload: %v", err)
	}
}

func TestSweepDuringUploads(t *testing.T) {
	f := open(t)
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for n := range 50 {
				if err := f.Put(context.Background(), fmt.Sprintf("k/%d-%d", i, n), bytes.NewReader([]byte("x"))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	for {
		select {
		case <-done:
			if n := len(files(t, f)); n != 200 {
				t.Errorf("%d objects of 200", n)
			}
			return
		default:
			if err := f.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestErrorsOfTheDisk(t *testing.T) {
	if err := failed("x", &os.PathError{Op: "write", Path: "secret", Err: syscall.ENOSPC}); code(err) != "objectstore.disk_full" ||
		!errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "secret") {
		t.Errorf("disk full: %v", err)
	}
	if err := failed("x", &os.PathError{Op: "write", Path: "secret", Err: syscall.EIO}); code(err) != "objectstore.io" || strings.Contains(err.Error(), "secret") {
		t.Errorf("bad disk: %v", err)
	}
}
