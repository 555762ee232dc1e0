package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/sftp"
	"longitude/study"
)

// These are the faults of an SFTP server that are in docs/evidence/sftp-faults.md,
// against OpenSSH; those of files that change are in the behaviour suite.

// wire is a network between us and a server, which can fail.
type wire struct {
	listener net.Listener
	server   atomic.Value // address
	left     atomic.Int64 // bytes until the connection breaks; < 0 = it does not
	breaks   atomic.Int64 // how many times it still breaks
	silent   atomic.Bool  // nothing passes
}

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l}
	w.server.Store(server)
	w.left.Store(-1)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", w.server.Load().(string))
			if err != nil {
				_ = here.Close()
				continue
			}
			go w.pass(there, here, false)
			go w.pass(here, there, true)
		}
	}()
	return w
}

// pass copies until an end closes, or the fault is due.
func (w *wire) pass(to, from net.Conn, counted bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		for w.silent.Load() {
			time.Sleep(5 * time.Millisecond)
		}
		if counted && w.left.Load() >= 0 && w.left.Add(int64(-n)) < 0 {
			if w.breaks.Add(-1) > 0 {
				w.left.Store(1 << 20)
			} else {
				w.left.Store(-1)
			}
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// lasting is what a source answers once it has noticed that its connection is gone.
func lasting(t *testing.T, source connectors.Source) (err error) {
	for range 20 {
		if err = source.Check(t.Context()); !study.IsTemporary(err) {
			return err
		}
	}
	t.Error(err)
	return err
}

// breakAfter has the connection break after n more bytes from the server, so many times.
func (w *wire) breakAfter(n int64, times int64) { w.breaks.Store(times); w.left.Store(n) }

func texts(t *testing.T, source connectors.Source) (all []string) {
	t.Helper()
	for d, err := range source.Pull(t.Context(), connectors.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := read(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

func read(ctx context.Context, d connectors.Delivery) (string, error) {
	r, err := d.Open(ctx)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

func noise(size int) string {
	text := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(text)
	return string(text)
}

func codeOf(err error) string {
	var told *study.Error
	if errors.As(err, &told) {
		return told.Code
	}
	return fmt.Sprint(err)
}

// A connection that breaks at any point of a file is made again, and the file goes
// on behind what has come.
func TestBreaks(t *testing.T) {
	const size = 6 << 20
	server, content := start(t), noise(size)
	write(t, filepath.Join(server.Root, "visits.csv"), content)
	write(t, filepath.Join(server.Root, "visits.csv.done"), "")
	for name, test := range map[string]struct{ at, times int64 }{
		"at 0 %": {0, 1}, "at 1 %": {size / 100, 1}, "at 50 %": {size / 2, 1}, "at 99 %": {size / 100 * 99, 1}, "three times": {size / 10, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, server.Address)
			config := configOf(server)
			config.Address = w.listener.Addr().String()
			for d, err := range open(t, config).Pull(t.Context(), connectors.Cursor{}) {
				if err != nil {
					t.Fatal(err)
				}
				r, err := d.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				w.breakAfter(test.at, test.times)
				got, err := io.ReadAll(r)
				if err != nil || string(got) != content {
					t.Errorf("%d of %d bytes, %v", len(got), size, err)
				}
				if w.breaks.Load() > 0 {
					t.Error("the connection did not break")
				}
				_ = r.Close()
			}
		})
	}
}

// A server that is gone for good is given up, and said to be temporary.
func TestGone(t *testing.T) {
	server := start(t)
	write(t, filepath.Join(server.Root, "visits.csv"), noise(4<<20))
	write(t, filepath.Join(server.Root, "visits.csv.done"), "")
	w := newWire(t, server.Address)
	config := configOf(server)
	config.Address = w.listener.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	for d, err := range open(t, config).Pull(ctx, connectors.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.listener.Close()
		server.Cut()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.DeadlineExceeded) && !study.IsTemporary(err) {
			t.Errorf("answered %v", err)
		}
		_ = r.Close()
	}
}

// A server that falls silent is left, and the file goes on over a new connection.
func TestStalls(t *testing.T) {
	server, content := start(t), noise(4<<20)
	write(t, filepath.Join(server.Root, "visits.csv"), content)
	write(t, filepath.Join(server.Root, "visits.csv.done"), "")
	defer sftp.Impatient(600 * time.Millisecond)()
	w := newWire(t, server.Address)
	config := configOf(server)
	config.Address = w.listener.Addr().String()
	source := open(t, config)
	for d, err := range source.Pull(t.Context(), connectors.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.silent.Store(true)
		time.AfterFunc(900*time.Millisecond, func() { w.silent.Store(false) })
		got, err := io.ReadAll(r)
		if err != nil || string(got) != content {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		_ = r.Close()
	}
	_ = source.Close()
}

// A host key that changes stops the source until a person has looked.
func TestHostKeyChanges(t *testing.T) {
	server, other := start(t), start(t)
	w := newWire(t, server.Address)
	config := configOf(server)
	config.Address = w.listener.Addr().String()
	source := open(t, config)
	if err := source.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.server.Store(other.Address)
	server.Cut()
	if err := lasting(t, source); codeOf(err) != "sftp.host_key_mismatch" {
		t.Errorf("answered %v", err)
	}
	for _, err := range source.Pull(t.Context(), connectors.Cursor{}) {
		var told *study.Error
		if !errors.As(err, &told) || told.Code != "sftp.host_key_mismatch" || told.Temporary || told.Exit != study.ExitBlocked {
			t.Errorf("answered %v", err)
		}
	}
}

// A sign-in that fails is not tried again by itself, and works again when it is let.
func TestSignInFlaps(t *testing.T) {
	server := start(t)
	source := open(t, configOf(server))
	if err := server.Forbid(true); err != nil {
		t.Fatal(err)
	}
	if err := source.Check(t.Context()); codeOf(err) != "sftp.auth_failed" || study.IsTemporary(err) {
		t.Errorf("answered %v", err)
	}
	if err := server.Forbid(false); err != nil {
		t.Fatal(err)
	}
	if err := source.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// many fills a folder with files that are ready.
func many(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n / 2 {
		for _, suffix := range []string{"", ".done"} {
			if err := os.WriteFile(fmt.Sprintf("%s/visits-%06d.csv%s", dir, i, suffix), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A listing that is cut is an error, not a short list.
func TestListingCut(t *testing.T) {
	server := start(t)
	many(t, server.Root, 4000)
	w := newWire(t, server.Address)
	config := configOf(server)
	config.Address = w.listener.Addr().String()
	source := open(t, config)
	if err := source.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.breakAfter(100_000, 1) // of some 600 kB
	for d, err := range source.Pull(t.Context(), connectors.Cursor{}) {
		if err == nil || !study.IsTemporary(err) {
			t.Fatalf("delivered %v, %v", d.Version, err)
		}
	}
	n := 0
	for _, err := range source.Pull(t.Context(), connectors.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2000 {
		t.Errorf("%d of 2000 deliveries once the network is back", n)
	}
}

// A folder of 100,000 entries is listed within bounds, and what is durable costs
// nothing more.
func TestManyEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100,000 files")
	}
	server := start(t)
	many(t, server.Root, 100_000)
	source := open(t, configOf(server))
	durable := connectors.Cursor{Known: map[string]string{}}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	for d, err := range source.Pull(t.Context(), connectors.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		durable.Known[strings.Clone(d.Item)] = strings.Clone(d.Version)
	}
	first := time.Since(begun)
	begun = time.Now()
	for _, err := range source.Pull(t.Context(), durable) {
		t.Fatal("something new: ", err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20
	t.Logf("%d files offered in %v, nothing new in %v, %d MiB held with the cursor", len(durable.Known), first, time.Since(begun), held)
	if len(durable.Known) != 50_000 || held > 100 {
		t.Errorf("%d files, %d MiB", len(durable.Known), held)
	}
}
