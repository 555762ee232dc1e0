package connectors

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/klauspost/compress/zstd"

	"longitude/study"
)

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func zstandard(text string) string {
	w, _ := zstd.NewWriter(nil)
	return string(w.EncodeAll([]byte(text), nil))
}

// zipOf makes an archive of name, content, name, content …
func zipOf(t testing.TB, members ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		f, err := w.Create(members[i])
		must(t, err)
		_, err = io.WriteString(f, members[i+1])
		must(t, err)
	}
	must(t, w.Close())
	return b.String()
}

// person is an OpenPGP key pair.
func person(t testing.TB) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("drop", "", "drop@site.example", nil)
	must(t, err)
	return e
}

func armored(t testing.TB, kind string, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	must(t, err)
	must(t, write(w))
	must(t, w.Close())
	return b.String()
}

func privateKey(t testing.TB, e *openpgp.Entity) Secret {
	return NewSecret(armored(t, openpgp.PrivateKeyType, func(w io.Writer) error { return e.SerializePrivate(w, nil) }))
}

func letterTo(t testing.TB, to, by *openpgp.Entity, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := openpgp.Encrypt(&b, []*openpgp.Entity{to}, by, nil, nil)
	must(t, err)
	_, err = io.WriteString(w, text)
	must(t, err)
	must(t, w.Close())
	return b.String()
}

// all reads everything that a drop offers: name=content, or the code of the error.
func all(t testing.TB, d *Drop, after Cursor) (said []string, given []Delivery) {
	t.Helper()
	for delivery, err := range d.Pull(t.Context(), after) {
		must(t, err)
		name := strings.TrimPrefix(delivery.Name, "/in/")
		content, err := readAll(t.Context(), delivery)
		var told *study.Error
		var refused *Refused
		switch {
		case err == nil:
			said = append(said, name+"="+content)
		case !errors.As(err, &told) || told.Hint == "":
			t.Fatal(err)
		case told.Place == "":
			t.Errorf("%s does not say which item", told.Code)
		case errors.As(err, &refused):
			said = append(said, name+" refused "+told.Code)
		default:
			said = append(said, name+" failed "+told.Code)
		}
		given = append(given, delivery)
	}
	return said, given
}

func readAll(ctx context.Context, d Delivery) (string, error) {
	r, err := d.Open(ctx)
	if err != nil {
		return "", err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	return string(content), err
}

func TestUnpack(t *testing.T) {
	me, sender, stranger := person(t), person(t), person(t)
	signers := filepath.Join(t.TempDir(), "signers.asc")
	must(t, os.WriteFile(signers, []byte(armored(t, openpgp.PublicKeyType, sender.Serialize)), 0o600))
	key := Unpack{Key: privateKey(t, me)}
	signed := key
	signed.SignedBy = signers
	letter := letterTo(t, me, nil, "visit\n")
	turned := []byte(letter)
	turned[len(turned)-30] ^= 1
	noise := string(make([]byte, 300)) // compresses well, and is below what is free
	big := strings.Repeat("0123456789abcdef", 1<<17)
	for _, test := range []struct {
		name, file, content string
		unpack              Unpack
		want                string
	}{
		{"plain", "a.csv", "visit\n", Unpack{}, "a.csv=visit\n"},
		{"gzip", "a.csv.gz", gzipped("visit\n"), Unpack{}, "a.csv.gz=visit\n"},
		{"gzip in two parts", "a.csv.gz", gzipped("visit\n") + gzipped("more\n"), Unpack{}, "a.csv.gz=visit\nmore\n"},
		{"gzip of nothing", "a.csv.gz", gzipped(""), Unpack{}, "a.csv.gz="},
		{"gzip cut off", "a.csv.gz", gzipped("visit\n")[:25], Unpack{}, "a.csv.gz refused drop.archive_corrupt"},
		{"gzip of another kind", "a.csv.gz", "visit\n", Unpack{}, "a.csv.gz refused drop.archive_corrupt"},
		{"gzip with something behind it", "a.csv.gz", gzipped("visit\n") + "more", Unpack{}, "a.csv.gz refused drop.archive_corrupt"},
		{"gzip bomb", "a.csv.gz", gzipped(big), Unpack{}, "a.csv.gz refused drop.archive_ratio"},
		{"zstd", "a.csv.zst", zstandard("visit\n"), Unpack{}, "a.csv.zst=visit\n"},
		{"zstd cut off", "a.csv.zst", zstandard("visit visit visit\n")[:12], Unpack{}, "a.csv.zst refused drop.archive_corrupt"},
		{"zstd bomb", "a.csv.zst", zstandard(big), Unpack{}, "a.csv.zst refused drop.archive_ratio"},
		{"just small enough", "a.csv.gz", gzipped(noise), Unpack{MaxBytes: 300}, "a.csv.gz=" + noise},
		{"a byte too large", "a.csv.gz", gzipped(noise + "x"), Unpack{MaxBytes: 300}, "a.csv.gz refused drop.archive_too_large"},
		{"endings in capitals", "A.CSV.GZ", gzipped("visit\n"), Unpack{}, "A.CSV.GZ=visit\n"},
		{"zip", "a.zip", zipOf(t, "a.csv", "one", "b/c.csv", "two"), Unpack{}, "a.zip!/a.csv=one|a.zip!/b/c.csv=two"},
		{"zip, some of it", "a.zip", zipOf(t, "a.csv", "one", "read me.txt", "x"), Unpack{Members: "*.csv"}, "a.zip!/a.csv=one"},
		{"zip of folders", "a.zip", zipOf(t, "a/", "", "a/b.csv", "one"), Unpack{}, "a.zip!/a/b.csv=one"},
		{"zip, just small enough", "a.zip", zipOf(t, "a", noise[:150], "b", noise[:150]), Unpack{MaxBytes: 300}, "a.zip!/a=" + noise[:150] + "|a.zip!/b=" + noise[:150]},
		{"zip, a byte too large", "a.zip", zipOf(t, "a", noise[:150], "b", noise[:151]), Unpack{MaxBytes: 300}, "a.zip refused drop.archive_too_large"},
		{"zip of just so many", "a.zip", zipOf(t, "a", "1", "b", "2"), Unpack{MaxMembers: 2}, "a.zip!/a=1|a.zip!/b=2"},
		{"zip of one too many", "a.zip", zipOf(t, "a", "1", "b", "2", "c", "3"), Unpack{MaxMembers: 2}, "a.zip refused drop.archive_members"},
		{"zip bomb", "a.zip", zipOf(t, "a.csv", big), Unpack{}, "a.zip refused drop.archive_ratio"},
		{"zip of nothing", "a.zip", zipOf(t), Unpack{}, "a.zip refused drop.archive_empty"},
		{"zip of nothing asked for", "a.zip", zipOf(t, "a.txt", "x"), Unpack{Members: "*.csv"}, "a.zip refused drop.archive_empty"},
		{"zip in a zip", "a.zip", zipOf(t, "b.zip", zipOf(t, "a.csv", "x")), Unpack{}, "a.zip refused drop.archive_nested"},
		{"gzip in a zip", "a.zip", zipOf(t, "b.csv.gz", gzipped("x")), Unpack{}, "a.zip refused drop.archive_nested"},
		{"zip cut off", "a.zip", zipOf(t, "a.csv", "one")[:60], Unpack{}, "a.zip refused drop.archive_corrupt"},
		{"no zip", "a.zip", "visit\n", Unpack{}, "a.zip refused drop.archive_corrupt"},
		{"encrypted", "a.csv.pgp", letter, key, "a.csv.pgp=visit\n"},
		{"encrypted and armored", "a.csv.asc", armored(t, "PGP MESSAGE", func(w io.Writer) error { _, err := io.WriteString(w, letter); return err }), key, "a.csv.asc=visit\n"},
		{"encrypted gzip", "a.csv.gz.gpg", letterTo(t, me, nil, gzipped("visit\n")), key, "a.csv.gz.gpg=visit\n"},
		{"encrypted zip", "a.zip.pgp", letterTo(t, me, nil, zipOf(t, "a.csv", "one")), key, "a.zip.pgp!/a.csv=one"},
		{"encrypted bomb", "a.csv.gz.pgp", letterTo(t, me, nil, gzipped(big)), key, "a.csv.gz.pgp refused drop.archive_ratio"},
		{"encrypted for somebody else", "a.csv.pgp", letterTo(t, stranger, nil, "visit\n"), key, "a.csv.pgp refused drop.decrypt"},
		{"tampered with", "a.csv.pgp", string(turned), key, "a.csv.pgp refused drop.decrypt"},
		{"encrypted and cut off", "a.csv.pgp", letter[:len(letter)-20], key, "a.csv.pgp refused drop.decrypt"},
		{"not encrypted", "a.csv.pgp", "visit\n", key, "a.csv.pgp refused drop.decrypt"},
		{"signed", "a.csv.pgp", letterTo(t, me, sender, "visit\n"), signed, "a.csv.pgp=visit\n"},
		{"signed by a stranger", "a.csv.pgp", letterTo(t, me, stranger, "visit\n"), signed, "a.csv.pgp refused drop.signature"},
		{"not signed", "a.csv.pgp", letter, signed, "a.csv.pgp refused drop.signature"},
		{"a key that is none", "a.csv.pgp", letter, Unpack{Key: NewSecret("sesame")}, "a.csv.pgp failed drop.key_unreadable"},
		{"signers that are none", "a.csv.pgp", letter, Unpack{Key: key.Key, SignedBy: "nowhere"}, "a.csv.pgp failed drop.signers_unreadable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newShelf()
			s.put(test.file, test.content, time.Hour)
			d := s.drop(Ready{StableFor: time.Second}, AfterKeep, 0)
			d.Path, d.Unpack = "/in/*", test.unpack
			if said, _ := all(t, d, Cursor{}); strings.Join(said, "|") != test.want {
				t.Errorf("gives %.200q, want %.200q", said, test.want)
			}
		})
	}
}

// TestHostileZip has archives that no ordinary program makes.
func TestHostileZip(t *testing.T) {
	link := func(h *zip.FileHeader) { h.SetMode(os.ModeSymlink | 0o777) }
	device := func(h *zip.FileHeader) { h.SetMode(os.ModeDevice | 0o600) }
	locked := func(h *zip.FileHeader) { h.Flags |= 1 }
	for name, test := range map[string]struct {
		change func(*zip.FileHeader)
		code   string
	}{
		"../../etc/passwd": {nil, "drop.archive_unsafe"}, "/etc/passwd": {nil, "drop.archive_unsafe"}, "a/../b": {nil, "drop.archive_unsafe"},
		"a/..": {nil, "drop.archive_unsafe"}, ".": {nil, "drop.archive_unsafe"}, `..\..\x`: {nil, "drop.archive_unsafe"}, `C:\x`: {nil, "drop.archive_unsafe"},
		"C:x": {nil, "drop.archive_unsafe"}, "a\x00b": {nil, "drop.archive_unsafe"}, "a\nb": {nil, "drop.archive_unsafe"}, "a//b": {nil, "drop.archive_unsafe"},
		"./a": {nil, "drop.archive_unsafe"}, strings.Repeat("x", 1025): {nil, "drop.archive_unsafe"},
		"../": {nil, "drop.archive_unsafe"}, "link.csv": {link, "drop.archive_unsafe"}, "device.csv": {device, "drop.archive_unsafe"},
		"locked.csv": {locked, "drop.archive_encrypted"}, "twice.csv": {nil, "drop.archive_unsafe"},
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			var b bytes.Buffer
			w := zip.NewWriter(&b)
			for _, n := range []string{"good.csv", name, map[bool]string{true: name, false: "also good.csv"}[name == "twice.csv"]} {
				h := &zip.FileHeader{Name: n}
				if n == name && test.change != nil {
					test.change(h)
				}
				_, err := w.CreateRaw(h)
				must(t, err)
			}
			must(t, w.Close())
			s := newShelf()
			s.put("a.zip", b.String(), time.Hour)
			d := s.drop(Ready{StableFor: time.Second}, AfterKeep, 0)
			d.Path = "/in/*.zip"
			if said, _ := all(t, d, Cursor{}); strings.Join(said, "|") != "a.zip refused "+test.code {
				t.Errorf("gives %q", said)
			}
		})
	}
}

// A damaged member is found before the first member is delivered.
func TestDamagedMember(t *testing.T) {
	content := []byte(zipOf(t, "a.csv", "one", "b.csv", "two"))
	content[bytes.LastIndex(content, []byte("two"))+1] ^= 1 // stored or deflated, its checksum is another
	s := newShelf()
	s.put("a.zip", string(content), time.Hour)
	d := s.drop(Ready{StableFor: time.Second}, AfterKeep, 0)
	d.Path = "/in/*.zip"
	if said, _ := all(t, d, Cursor{}); strings.Join(said, "|") != "a.zip refused drop.archive_corrupt" {
		t.Errorf("gives %q", said)
	}
}

// What a crash left of an archive is delivered, and nothing of it twice; the file
// goes when its last member is acknowledged.
func TestArchiveInParts(t *testing.T) {
	s := newShelf()
	s.put("a.zip", zipOf(t, "a.csv", "one", "b.csv", "two", "c.csv", "three"), time.Hour)
	d := s.drop(Ready{StableFor: time.Second}, AfterDelete, 0)
	d.Path = "/in/*.zip"
	cursor := Cursor{Known: map[string]string{}}
	for want := 3; want > 0; want-- {
		_, given := all(t, d, cursor)
		if len(given) != want {
			t.Fatalf("%d deliveries, want %d", len(given), want)
		}
		first := given[0]
		if first.Whole == nil || first.Whole.Last != (want == 1) || first.Whole.Sum == "" {
			t.Errorf("of %d: %+v", want, first.Whole)
		}
		cursor.Known[first.Item] = first.Version
		if first.Whole.Last {
			cursor.Known[first.Whole.Item] = first.Whole.Version
		}
		must(t, d.Acknowledge(t.Context(), first))
		if _, there := s.files["a.zip"]; there == (want == 1) {
			t.Errorf("the file is there: %v, with %d to come before", there, want)
		}
	}
	s.put("a.zip", s.contents["a.zip"], time.Hour)
	if said, _ := all(t, d, cursor); len(said) != 0 {
		t.Errorf("what is durable came again: %q", said)
	}
	left := 0
	for delivery, err := range d.Unacknowledged(t.Context(), cursor) {
		must(t, err)
		must(t, d.Acknowledge(t.Context(), delivery))
		left++
	}
	if _, there := s.files["a.zip"]; there || left != 1 {
		t.Errorf("left unacknowledged: %d, there %v", left, there)
	}
}

// What was refused is not read again, nor taken for durable.
func TestRefusedStays(t *testing.T) {
	s := newShelf()
	s.put("a.csv.gz", "no gzip", time.Hour)
	d := s.drop(Ready{StableFor: time.Second}, AfterDelete, 0)
	d.Path = "/in/*.gz"
	_, given := all(t, d, Cursor{})
	cursor := Cursor{Refused: map[string]string{given[0].Item: given[0].Version}}
	if said, _ := all(t, d, cursor); len(said) != 0 {
		t.Errorf("read again: %q", said)
	}
	for range d.Unacknowledged(t.Context(), cursor) {
		t.Error("what was refused is to be acknowledged")
	}
	s.put("a.csv.gz", gzipped("visit\n"), time.Minute)
	if said, _ := all(t, d, cursor); len(said) != 1 || said[0] != "a.csv.gz=visit\n" {
		t.Errorf("a new version gives %q", said)
	}
}

// A large archive is held sealed, outside memory, and what is read of it is what
// was written.
func TestSpool(t *testing.T) {
	s, err := newSpool()
	must(t, err)
	defer s.Close()
	var want bytes.Buffer
	for i := 0; want.Len() < spoolInMemory+1<<20; i++ {
		part := bytes.Repeat([]byte(fmt.Sprintf("participant %d;", i)), 1+i%977)
		want.Write(part)
		_, err := s.Write(part)
		must(t, err)
	}
	if s.Size() != int64(want.Len()) || s.file == nil {
		t.Fatalf("holds %d of %d bytes, in a file %v", s.Size(), want.Len(), s.file != nil)
	}
	disk := make([]byte, 1<<20)
	_, err = s.file.ReadAt(disk, 1<<19)
	must(t, err)
	if bytes.Contains(disk, []byte("participant")) {
		t.Error("the file can be read")
	}
	for _, at := range []int64{0, 1, 15, 16, 17, 4095, spoolInMemory - 3, s.Size() - 100} {
		got := make([]byte, 100)
		n, err := s.ReadAt(got, at)
		if n != 100 || err != nil || !bytes.Equal(got, want.Bytes()[at:at+100]) {
			t.Errorf("at %d: %d bytes, %v", at, n, err)
		}
	}
	if n, err := s.ReadAt(make([]byte, 10), s.Size()-5); n != 5 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// FuzzZip has no archive that panics, gives other bytes than it holds, or gets past
// the limits.
func FuzzZip(f *testing.F) {
	f.Add([]byte(zipOf(f, "a.csv", "one", "b.csv", "two")))
	f.Add([]byte(zipOf(f, "../a.csv", "one")))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, content []byte) {
		s := newShelf()
		s.put("a.zip", string(content), time.Hour)
		d := s.drop(Ready{StableFor: time.Second}, AfterKeep, 0)
		d.Path, d.Unpack = "/in/*.zip", Unpack{MaxBytes: 1 << 16, MaxMembers: 4}
		_, given := all(t, d, Cursor{})
		for _, g := range given {
			if g.Whole != nil && (len(given) > 4 || g.Size > 1<<16 || !safe(strings.TrimPrefix(g.Name, "/in/a.zip!/"))) {
				t.Errorf("gives %q of %d bytes", g.Name, g.Size)
			}
		}
	})
}

// FuzzStreams has no gzip, zstd or OpenPGP stream that panics or gets past the limits.
func FuzzStreams(f *testing.F) {
	me := person(f)
	key := privateKey(f, me)
	f.Add([]byte(gzipped("visit\n")))
	f.Add([]byte(zstandard("visit\n")))
	f.Add([]byte(letterTo(f, me, nil, "visit\n")))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, name := range []string{"a.csv.gz", "a.csv.zst", "a.csv.pgp", "a.csv.gz.asc"} {
			s := newShelf()
			s.put(name, string(content), time.Hour)
			d := s.drop(Ready{StableFor: time.Second}, AfterKeep, 0)
			d.Path, d.Unpack = "/in/*", Unpack{MaxBytes: 1 << 16, Key: key}
			if said, _ := all(t, d, Cursor{}); len(said) != 1 || len(said[0]) > 1<<16+len(name)+1 {
				t.Errorf("%s gives %d answers", name, len(said))
			}
		}
	})
}
