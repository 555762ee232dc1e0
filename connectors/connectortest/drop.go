package connectortest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longitude/connectors"
	"longitude/study"
)

// DropHarness is how the suite reaches a connector that picks up files.
type DropHarness struct {
	Spec   connectors.Spec
	Ignore []goleak.Option
	// New makes an empty drop, which this machine sees as the folder dir, and
	// configs that pick up *.csv there.
	New func(t *testing.T) (dir string, config func(connectors.Ready, string) any, secrets []string)
}

// RunDrop runs Run with markers, what depends on readiness in each other way too,
// and what else drops promise.
func RunDrop(t *testing.T, h DropHarness) {
	for name, ready := range map[string]connectors.Ready{
		"marker": {Marker: ".done"}, "checksum": {Checksum: ".sha256"}, "stable": {StableFor: 5 * time.Second},
		"control": {Control: connectors.Control{File: ".ctl"}},
	} {
		t.Run(name, func(t *testing.T) {
			checks := readiness
			if name == "marker" {
				checks = slices.Concat(readiness, endurance)
			}
			run(t, Harness{Spec: h.Spec, Ignore: h.Ignore, New: func(t *testing.T) Place {
				dir, config, secrets := h.New(t)
				return drop{t, dir, ready}.place(config, secrets)
			}}, checks)
		})
	}
	t.Run("files that change while they are read are refused", func(t *testing.T) { changedWhileRead(t, h) })
	t.Run("other bytes than the checksum says are refused", func(t *testing.T) { wrongChecksum(t, h) })
	t.Run("only files of the pattern are picked up", func(t *testing.T) { onlyThePattern(t, h) })
	t.Run("a large file arrives as it is", func(t *testing.T) { largeFile(t, h) })
	t.Run("archived files are moved with their markers", func(t *testing.T) { archives(t, h) })
	t.Run("packed files are unpacked, and go when all of them is durable", func(t *testing.T) { unpacks(t, h) })
	t.Run("files of a manifest come together", func(t *testing.T) { manifests(t, h) })
	t.Run("a missing folder is told", func(t *testing.T) { missingFolder(t, h) })
}

// drop is a folder in which the suite plays the sender.
type drop struct {
	t     *testing.T
	dir   string
	ready connectors.Ready
}

func (d drop) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d drop) file(name string) string { return filepath.Join(d.dir, name) }

func (d drop) has(name string) bool {
	_, err := os.Lstat(d.file(name))
	return err == nil
}

// begin writes a file without saying that it is complete.
func (d drop) begin(name, content string, modified time.Time) {
	d.must(os.WriteFile(d.file(name), []byte(content), 0o600))
	d.must(os.Chtimes(d.file(name), time.Time{}, modified))
}

// finish says that a file is complete.
func (d drop) finish(name string) {
	content, err := os.ReadFile(d.file(name))
	d.must(err)
	switch sum := sha256.Sum256(content); {
	case d.ready.Marker != "":
		d.must(os.WriteFile(d.file(name+d.ready.Marker), nil, 0o600))
	case d.ready.Checksum+d.ready.Control.File != "":
		d.must(os.WriteFile(d.file(name+d.ready.Checksum+d.ready.Control.File), []byte(hex.EncodeToString(sum[:])+"  "+name+"\n"), 0o600))
	default:
		info, err := os.Stat(d.file(name))
		d.must(err)
		if long := time.Now().Add(-time.Hour); info.ModTime().After(long) {
			d.must(os.Chtimes(d.file(name), time.Time{}, long))
		}
	}
}

func (d drop) put(name, content string, modified time.Time) {
	d.begin(name, content, modified)
	d.finish(name)
}

func (d drop) place(config func(connectors.Ready, string) any, secrets []string) Place {
	return Place{
		Config: config(d.ready, connectors.AfterKeep), Deleting: config(d.ready, connectors.AfterDelete), Secrets: secrets,
		Put: d.put, Begin: d.begin, Finish: d.finish, Has: d.has,
		Remove: func(name string) { d.must(os.Remove(d.file(name))) },
	}
}

// newDrop makes a drop and a bench whose config reads it.
func newDrop(t *testing.T, h DropHarness, ready connectors.Ready, after string) (*bench, drop) {
	var d drop
	b := newBench(t, Harness{Spec: h.Spec, Ignore: h.Ignore, New: func(t *testing.T) Place {
		dir, config, secrets := h.New(t)
		d = drop{t, dir, ready}
		place := d.place(config, secrets)
		place.Config = config(ready, after)
		return place
	}})
	t.Cleanup(b.finish)
	return b, d
}

// code is the stable code of an error, and whether it may be tried again.
func code(t *testing.T, err error) (string, bool) {
	t.Helper()
	var told *study.Error
	if !errors.As(err, &told) {
		t.Fatalf("not an error with a code: %v", err)
	}
	if told.Hint == "" {
		t.Errorf("%s has no hint", told.Code)
	}
	return told.Code, told.Temporary
}

// megabytes is n MB that no compression or repetition could fake.
func megabytes(n int) string {
	content := make([]byte, n<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	return string(content)
}

func changedWhileRead(t *testing.T, h DropHarness) {
	content := megabytes(10)
	for name, change := range map[string]func(drop, string) error{
		"truncated": func(d drop, file string) error { return os.Truncate(file, 4<<20) },
		"grown": func(d drop, file string) error {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			d.must(err)
			_, err = f.WriteString("more")
			return joinClose(f, err)
		},
		"rewritten": func(d drop, file string) error { return os.Chtimes(file, time.Time{}, at(77)) },
		"replaced": func(d drop, file string) error {
			d.begin("other", content, at(99))
			return os.Rename(d.file("other"), file)
		},
		"removed": func(d drop, file string) error { return os.Remove(file) },
	} {
		t.Run(name, func(t *testing.T) {
			b, d := newDrop(t, h, connectors.Ready{Marker: ".done"}, connectors.AfterKeep)
			b.put("alpha.csv", content, at(1))
			s := b.open(b.place.Config)
			for offered, err := range s.Pull(b.ctx, connectors.Cursor{}) {
				b.must(err)
				r, err := offered.Open(b.ctx)
				b.must(err)
				_, err = io.CopyN(io.Discard, r, 1000)
				b.must(err)
				d.must(change(d, d.file("alpha.csv")))
				_, err = io.Copy(io.Discard, r)
				if b.say(err) == nil {
					t.Fatal("was read as if nothing had happened")
				}
				b.must(r.Close())
				if c, temporary := code(t, err); c != "drop.changed" && c != "drop.vanished" || !temporary {
					t.Errorf("answered %s, temporary %v", c, temporary)
				}
			}
		})
	}
}

func joinClose(f *os.File, err error) error {
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

func wrongChecksum(t *testing.T, h DropHarness) {
	b, d := newDrop(t, h, connectors.Ready{Checksum: ".sha256"}, connectors.AfterKeep)
	d.begin("alpha.csv", "what arrived", at(1))
	sum := sha256.Sum256([]byte("what was sent"))
	d.must(os.WriteFile(d.file("alpha.csv.sha256"), []byte(hex.EncodeToString(sum[:])+" *alpha.csv\n"), 0o600))
	b.put("unreadable.csv", "its checksum file is not one", at(2))
	d.must(os.WriteFile(d.file("unreadable.csv.sha256"), []byte("da39"), 0o600))
	b.names = append(b.names, "alpha.csv")
	n := 0
	for offered, err := range b.open(b.place.Config).Pull(b.ctx, connectors.Cursor{}) {
		b.must(err)
		n++
		_, err = b.read(b.ctx, offered)
		if c, temporary := code(t, err); c != "drop.checksum_mismatch" || temporary {
			t.Errorf("answered %s, temporary %v", c, temporary)
		}
	}
	if n != 1 {
		t.Errorf("%d deliveries, want the one with a checksum", n)
	}
}

func onlyThePattern(t *testing.T, h DropHarness) {
	b, d := newDrop(t, h, connectors.Ready{Marker: ".done"}, connectors.AfterKeep)
	for _, name := range []string{"other.txt", ".hidden.csv", "visits.CSV", "visits.csv.part", "csv"} {
		d.put(name, "not this one", at(1))
	}
	outside := filepath.Join(t.TempDir(), "outside.csv")
	d.must(os.WriteFile(outside, []byte("not this one"), 0o600))
	d.must(os.Symlink(outside, d.file("link.csv")))
	d.finish("link.csv")
	d.must(os.Mkdir(d.file("folder.csv"), 0o700))
	d.must(os.WriteFile(d.file("folder.csv.done"), nil, 0o600))
	if all := b.pull(b.open(b.place.Config), connectors.Cursor{}); len(all) != 0 {
		t.Errorf("picked up %q", all[0].Name)
	}
	b.put("visits.csv", "this one", at(2))
	if all := b.pull(b.open(b.place.Config), connectors.Cursor{}); len(all) != 1 || all[0].content != "this one" {
		t.Errorf("%d deliveries", len(all))
	}
}

func largeFile(t *testing.T, h DropHarness) {
	content := []byte(megabytes(10))
	b, d := newDrop(t, h, connectors.Ready{Checksum: ".sha256"}, connectors.AfterKeep)
	d.put("alpha.csv", string(content), at(1))
	all := b.pull(b.open(b.place.Config), connectors.Cursor{})
	if len(all) != 1 || !bytes.Equal([]byte(all[0].content), content) {
		t.Error("other bytes arrived than were sent")
	}
}

func archives(t *testing.T, h DropHarness) {
	archive := filepath.Join(t.TempDir(), "processed")
	b, d := newDrop(t, h, connectors.Ready{Marker: ".done"}, "archive:"+archive)
	s := b.open(b.place.Config)
	for _, content := range []string{"first delivery", "second delivery"} {
		b.put("alpha.csv", content, at(len(content)))
		all := b.pull(s, connectors.Cursor{})
		if len(all) != 1 || all[0].content != content {
			t.Fatalf("pulled %q", contents(all))
		}
		for range 2 {
			b.must(s.(connectors.Acknowledger).Acknowledge(b.ctx, all[0].Delivery))
		}
		kept, err := os.ReadFile(filepath.Join(archive, "alpha.csv"))
		b.must(err)
		if string(kept) != content || d.has("alpha.csv") || d.has("alpha.csv.done") {
			t.Errorf("archived %q", kept)
		}
		if _, err := os.Stat(filepath.Join(archive, "alpha.csv.done")); err != nil {
			t.Error("the marker was not archived")
		}
	}
}

func missingFolder(t *testing.T, h DropHarness) {
	b, d := newDrop(t, h, connectors.Ready{Marker: ".done"}, connectors.AfterKeep)
	d.must(os.Remove(d.dir))
	s := b.open(b.place.Config)
	pulled := func() (err error) {
		for _, err = range s.Pull(context.Background(), connectors.Cursor{}) {
		}
		return err
	}
	for _, err := range []error{s.Check(b.ctx), pulled()} {
		if b.say(err) == nil {
			t.Fatal("a missing folder looks like an empty one")
		}
		if c, temporary := code(t, err); c != h.Spec.Type+".missing" || temporary {
			t.Errorf("answered %s, temporary %v", c, temporary)
		}
	}
	d.must(os.Mkdir(d.dir, 0o700))
}
