package landing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"longitude/deid"
	"longitude/internal/keys"
	"longitude/internal/objectstore"
	"longitude/study"
)

// bench is a landing with its folder and keys.
type bench struct {
	*Store
	folder *objectstore.Folder
	ring   *keys.Ring
}

func open(t testing.TB, dir string) bench {
	t.Helper()
	ring, err := keys.Open("file:" + dir + "/keys")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"amd", "other"} {
		if err := ring.Ensure(name); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := objectstore.Open("file:" + dir + "/landing")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(folder, ring, "amd")
	if err != nil {
		t.Fatal(err)
	}
	return bench{s, folder, ring}
}

func (b bench) file(o study.Object) string {
	hex := o.Digest.String()
	return filepath.Join(b.folder.Dir(), "amd", hex[:2], hex)
}

func (b bench) files(t testing.TB) (n int) {
	t.Helper()
	err := filepath.WalkDir(b.folder.Dir(), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func put(t testing.TB, s *Store, content []byte) study.Object {
	t.Helper()
	o, created, err := s.Put(t.Context(), bytes.NewReader(content))
	if err != nil || !created || o.Size != int64(len(content)) {
		t.Fatalf("landing %d bytes: %+v, created %v, %v", len(content), o, created, err)
	}
	return o
}

func read(s *Store, o study.Object) ([]byte, error) {
	r, err := s.Open(context.Background(), o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func code(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestRoundTrip(t *testing.T) {
	b := open(t, t.TempDir())
	for _, size := range []int{0, 1, 1000, segment - 57, segment - 56, segment - 55, segment, 2*segment - 72, 3 << 20} {
		content := noise(size)
		o := put(t, b.Store, content)
		if got, err := read(b.Store, o); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes came back as %d, %v", size, len(got), err)
		}
		if stored, err := os.Stat(b.file(o)); err != nil || stored.Size() < int64(size)+overhead {
			t.Errorf("%d bytes are stored as %v: %v", size, stored.Size(), err)
		}
	}
}

func TestSameBytesAreKeptOnce(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	content := []byte("PATIENT_ID,VISIT\nZZCANARY,baseline\n")
	o := put(t, b.Store, content)
	sealed, err := os.ReadFile(b.file(o))
	if err != nil {
		t.Fatal(err)
	}
	again, created, err := open(t, dir).Put(t.Context(), bytes.NewReader(content))
	if err != nil || created || again != o || b.files(t) != 1 {
		t.Errorf("landed again: %+v, created %v, %d files, %v", again, created, b.files(t), err)
	}
	after, err := os.ReadFile(b.file(o))
	if err != nil || !bytes.Equal(after, sealed) {
		t.Error("landing the same bytes again changed the stored object")
	}
	if bytes.Contains(sealed, []byte("ZZCANARY")) || o.Digest == sha256.Sum256(content) {
		t.Error("the stored object or its address tells the content")
	}
	elsewhere, err := New(b.folder, b.ring, "other")
	if err != nil {
		t.Fatal(err)
	}
	if p := put(t, elsewhere, content); p.Digest == o.Digest {
		t.Error("two studies share an address")
	}
	if _, err := read(elsewhere, o); code(err) != "landing.missing" {
		t.Errorf("another study opens it: %v", err)
	}
}

func TestTamperAndTruncation(t *testing.T) {
	b := open(t, t.TempDir())
	content := noise(2*segment + 100)
	o := put(t, b.Store, content)
	sealed, err := os.ReadFile(b.file(o))
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, stored []byte) {
		t.Helper()
		if err := os.WriteFile(b.file(o), stored, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := read(b.Store, o)
		var e *study.Error
		if !errors.As(err, &e) || e.Code != "landing.damaged" || e.Exit != study.ExitBlocked {
			t.Errorf("%s: %v", what, err)
		}
		if !bytes.HasPrefix(content, got) {
			t.Errorf("%s: wrong bytes were given before the error", what)
		}
	}
	n := len(sealed)
	for _, at := range []int{0, 1, 2, 20, 40, 50, segment - 1, segment + 1, 2 * segment, n - 100, n - 61, n - 60, n - 30, n - 1} {
		broken := bytes.Clone(sealed)
		broken[at] ^= 0x40
		try("flipped byte", broken)
	}
	for _, keep := range []int{0, 1, 60, overhead - 1, overhead, segment, segment + 1, n - 61, n - 60, n - 1} {
		try("cut", sealed[:keep])
	}
	try("grown", append(bytes.Clone(sealed), 0))
	// Whole segments removed before the wrapped key, which stays intact.
	try("segment removed", append(bytes.Clone(sealed[:1+segment]), sealed[n-wrappedSize:]...))

	other := put(t, b.Store, noise(500))
	swapped, err := os.ReadFile(b.file(other))
	if err != nil {
		t.Fatal(err)
	}
	try("another object in its place", swapped)
	if err := os.Remove(b.file(o)); err != nil {
		t.Fatal(err)
	}
	if _, err := read(b.Store, o); code(err) != "landing.missing" {
		t.Errorf("object gone: %v", err)
	}
	wrongSize := other
	wrongSize.Size++
	if _, err := read(b.Store, wrongSize); code(err) != "landing.damaged" {
		t.Errorf("another size: %v", err)
	}
}

func TestFailureKeepsNothing(t *testing.T) {
	b := open(t, t.TempDir())
	truncated := &study.Error{Code: "sftp.truncated"}
	_, _, err := b.Put(t.Context(), io.MultiReader(bytes.NewReader(noise(3<<20)), iotest.ErrReader(truncated)))
	if code(err) != "sftp.truncated" {
		t.Errorf("a failing source: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	_, _, err = b.Put(ctx, readerFunc(func(p []byte) (int, error) {
		if reads++; reads == 3 {
			cancel()
		}
		return len(p), nil
	}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	full, err := New(fullDisk{b.folder, 2 << 20}, b.ring, "amd")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = full.Put(t.Context(), bytes.NewReader(noise(5<<20)))
	var e *study.Error
	if !errors.As(err, &e) || e.Code != "landing.disk_full" || e.Exit != study.ExitEnvironment {
		t.Errorf("disk full: %v", err)
	}
	if n := b.files(t); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// fullDisk is a folder on a disk with room for some bytes per upload.
type fullDisk struct {
	*objectstore.Folder
	room int
}

func (d fullDisk) Create(ctx context.Context) (objectstore.Upload, error) {
	u, err := d.Folder.Create(ctx)
	return &fullUpload{u, d.room}, err
}

type fullUpload struct {
	objectstore.Upload
	room int
}

func (u *fullUpload) Write(p []byte) (int, error) {
	if len(p) > u.room {
		n, _ := u.Upload.Write(p[:u.room])
		u.room = 0
		return n, &os.PathError{Op: "write", Path: "upload", Err: syscall.ENOSPC}
	}
	u.room -= len(p)
	return u.Upload.Write(p)
}

// TestFullDisk does the same on a real disk that is full.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small disk here: %s", out)
	}
	defer func() { _ = exec.Command("umount", dir).Run() }()
	b := open(t, dir)
	if _, _, err := b.Put(t.Context(), bytes.NewReader(noise(5<<20))); code(err) != "landing.disk_full" {
		t.Errorf("disk full: %v", err)
	}
	if n := b.files(t); n != 0 {
		t.Errorf("%d files are left", n)
	}
	put(t, b.Store, noise(100<<10))
}

// TestKilledWhileLanding has a process killed in the middle of a delivery, by
// running this test again as that process.
func TestKilledWhileLanding(t *testing.T) {
	if dir := os.Getenv("LANDING_VICTIM"); dir != "" {
		_, _, _ = open(t, dir).Put(t.Context(), io.MultiReader(bytes.NewReader(noise(3<<20)), readerFunc(func([]byte) (int, error) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		})))
	}
	dir := t.TempDir()
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWhileLanding$")
	victim.Env = append(os.Environ(), "LANDING_VICTIM="+dir)
	if out, err := victim.CombinedOutput(); err == nil || strings.Contains(string(out), "FAIL") {
		t.Fatalf("the victim lived: %v %s", err, out)
	}
	b := open(t, dir)
	if n := b.files(t); n != 0 {
		t.Errorf("%d left-over files after opening again", n)
	}
	put(t, b.Store, noise(3<<20))
}

func TestConcurrentLanding(t *testing.T) {
	b := open(t, t.TempDir())
	content := noise(100_000)
	var wait sync.WaitGroup
	made := make(chan bool, 8)
	for range 8 {
		wait.Go(func() {
			_, created, err := b.Put(context.Background(), bytes.NewReader(content))
			if err != nil {
				t.Error(err)
			}
			made <- created
		})
	}
	wait.Wait()
	close(made)
	n := 0
	for created := range made {
		if created {
			n++
		}
	}
	if n != 1 || b.files(t) != 1 {
		t.Errorf("%d created, %d files", n, b.files(t))
	}
}

func TestNoKeysNoLanding(t *testing.T) {
	b := open(t, t.TempDir())
	if _, err := New(b.folder, b.ring, "unknown"); code(err) != "keys.missing" {
		t.Errorf("a study without keys: %v", err)
	}
	var _ deid.Keys = b.ring
}

func BenchmarkPut(b *testing.B) {
	s := open(b, b.TempDir())
	content := noise(16 << 20)
	b.SetBytes(int64(len(content)))
	for i := 0; b.Loop(); i++ {
		content[i%len(content)]++ // another object each time
		if _, _, err := s.Put(context.Background(), bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s := open(b, b.TempDir())
	content := noise(16 << 20)
	o := put(b, s.Store, content)
	b.SetBytes(o.Size)
	for b.Loop() {
		if _, err := read(s.Store, o); err != nil {
			b.Fatal(err)
		}
	}
}
