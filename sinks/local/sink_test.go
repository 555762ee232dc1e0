package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longitude/sinks"
	"longitude/sinks/sinktest"
	"longitude/study"
)

func TestBehaviour(t *testing.T) {
	sinktest.Run(t, sinktest.Harness{
		New: func(t *testing.T) sinks.Sink { return open(t, t.TempDir()) },
		Again: func(t *testing.T, s sinks.Sink) sinks.Sink {
			return open(t, s.(*Sink).root)
		},
		Visible: visible,
		Crash:   func(_ *testing.T, p sinks.Publication) { p.(*publication).unlock() },
	})
}

func open(t *testing.T, root string) *Sink {
	t.Helper()
	s, err := New(Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visible(t *testing.T, s sinks.Sink, r sinks.Release) map[string][]byte {
	t.Helper()
	dir, found := strings.CutPrefix(s.Location(r), "file://")
	if _, err := os.Stat(dir); !found || err != nil {
		return nil
	}
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[path], err = os.ReadFile(filepath.Join(dir, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func publish(t *testing.T, s *Sink, id string) {
	t.Helper()
	files, envelope := sinktest.Files(t, id)
	p, err := s.Begin(t.Context(), sinks.Release{Study: "amd", ID: id})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range files {
		if err := p.Put(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Commit(t.Context(), envelope); err != nil {
		t.Fatal(err)
	}
}

func currentOf(t *testing.T, s *Sink) string {
	t.Helper()
	at, err := os.Readlink(filepath.Join(s.root, "amd", sinks.Current))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestCurrent: current follows the newest release, also past r999, and is put
// right by the next run when a crash came between the release and the link.
func TestCurrent(t *testing.T) {
	s := open(t, t.TempDir())
	for _, step := range []struct{ publish, current string }{
		{"amd_r002", "amd_r002"}, {"amd_r001", "amd_r002"}, {"amd_r999", "amd_r999"}, {"amd_r1000", "amd_r1000"}, {"amd_r998", "amd_r1000"},
	} {
		publish(t, s, step.publish)
		if at := currentOf(t, s); at != step.current {
			t.Errorf("after %s current is %s, want %s", step.publish, at, step.current)
		}
	}
	if err := os.Remove(filepath.Join(s.root, "amd", sinks.Current)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), sinks.Release{Study: "amd", ID: "amd_r1000"}); !errors.Is(err, sinks.ErrPublished) {
		t.Fatal(err)
	}
	if at := currentOf(t, s); at != "amd_r1000" {
		t.Errorf("current is %s after the next run", at)
	}
	left, err := os.ReadDir(filepath.Join(s.root, "amd", staging))
	if err != nil || len(left) != 0 {
		t.Errorf("staging holds %d entries after publishing, %v", len(left), err)
	}
}

// TestDiskFull writes to a device that is always full.
func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	s := open(t, t.TempDir())
	s.create = func(string) (*os.File, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }
	files, _ := sinktest.Files(t, "1")
	p, err := s.Begin(t.Context(), sinks.Release{Study: "amd", ID: "amd_r001"})
	if err != nil {
		t.Fatal(err)
	}
	var e *study.Error
	if err := p.Put(t.Context(), files[0]); !errors.As(err, &e) || e.Code != "sink.disk_full" || e.Exit != study.ExitEnvironment || e.Hint == "" {
		t.Fatalf("a full disk answers %v", err)
	}
	if strings.Contains(e.Error(), s.root) {
		t.Error("the error prints the folder")
	}
	if err := p.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Join(s.root, "amd", staging)); len(left) != 0 {
		t.Errorf("%d entries are left", len(left))
	}
	s.create = createFile
	publish(t, s, "amd_r001")
}

func TestOccupied(t *testing.T) {
	s := open(t, t.TempDir())
	if err := os.MkdirAll(filepath.Join(s.root, "amd", "amd_r001"), 0o755); err != nil {
		t.Fatal(err)
	}
	var e *study.Error
	_, err := s.Begin(t.Context(), sinks.Release{Study: "amd", ID: "amd_r001"})
	if !errors.As(err, &e) || e.Code != "sink.occupied" {
		t.Errorf("a folder that is no release answers %v", err)
	}
}

func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(file, "releases"))
	var e *study.Error
	if err := s.Check(t.Context()); !errors.As(err, &e) || e.Code != "sink.failed" || e.Exit != study.ExitEnvironment {
		t.Errorf("check answers %v", err)
	}
	if _, err := s.Begin(t.Context(), sinks.Release{Study: "amd", ID: "amd_r001"}); !errors.As(err, &e) || e.Code != "sink.failed" {
		t.Errorf("begin answers %v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a sink without a folder was opened")
	}
}
