package landing

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"longitude/study"
)

func rewrite(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func readBack(t *testing.T, s *Store, o study.Object) (string, bool) {
	t.Helper()
	r, err := s.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), r.(interface{ Kept() bool }).Kept()
}

// What was erased from an object does not come back when the same bytes do, and
// the bytes that were there open no more, even for who kept a copy of the file.
func TestRewrite(t *testing.T) {
	b := open(t, t.TempDir())
	delivered := []byte("1,Jane\n2,Ada\n")
	o := put(t, b.Store, delivered)
	held, err := os.Open(b.file(o)) // as a reader, or a backup that links
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	if text, kept := readBack(t, b.Store, o); text != string(delivered) || kept {
		t.Fatalf("as delivered: %q, kept %v", text, kept)
	}
	for range 2 { // again, as after a crash
		if err := b.Rewrite(t.Context(), o, rewrite("2,Ada\n")); err != nil {
			t.Fatal(err)
		}
		if text, kept := readBack(t, b.Store, o); text != "2,Ada\n" || !kept {
			t.Errorf("rewritten: %q, kept %v", text, kept)
		}
	}
	if same, created, err := b.Put(t.Context(), bytes.NewReader(delivered)); err != nil || created || same != o {
		t.Errorf("delivered again: %+v, created %v, %v", same, created, err)
	}
	if text, _ := readBack(t, b.Store, o); text != "2,Ada\n" {
		t.Errorf("after it came again: %q", text)
	}
	was, err := io.ReadAll(held)
	if err != nil || len(was) < wrappedSize || !bytes.Equal(was[len(was)-wrappedSize:], make([]byte, wrappedSize)) {
		t.Errorf("the key of what was there is not destroyed: %v", err)
	}
	if n := b.files(t); n != 1 {
		t.Errorf("%d files", n)
	}
}

// What is kept of an object is not taken for an object as delivered, or for what is
// kept of another; a rewriting that fails leaves all as it was.
func TestRewriteIsBound(t *testing.T) {
	b := open(t, t.TempDir())
	o, other := put(t, b.Store, []byte("1,Jane\n")), put(t, b.Store, []byte("2,Ada\n"))
	lost := errors.New("lost")
	if err := b.Rewrite(t.Context(), o, func(w io.Writer) error { _, _ = w.Write([]byte("half")); return lost }); !errors.Is(err, lost) {
		t.Errorf("a failure: %v", err)
	}
	if text, kept := readBack(t, b.Store, o); text != "1,Jane\n" || kept {
		t.Errorf("after a failure: %q", text)
	}
	if err := b.Rewrite(t.Context(), o, rewrite("")); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(b.file(o))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"as delivered":  func(s []byte) []byte { s[0] = layout; return s },
		"another":       func(s []byte) []byte { return s },
		"no version":    func(s []byte) []byte { s[0] = 3; return s },
		"one bit":       func(s []byte) []byte { s[40] ^= 1; return s },
		"one bit of it": func(s []byte) []byte { s[len(s)-1] ^= 1; return s },
	} {
		target := o
		if name == "another" {
			target = other
		}
		if err := os.WriteFile(b.file(target), change(bytes.Clone(stored)), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := b.Open(t.Context(), target)
		if err == nil {
			_, err = io.ReadAll(r)
			_ = r.Close()
		}
		var e *study.Error
		if !errors.As(err, &e) || e.Code != "landing.damaged" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Rewrite(t.Context(), study.Object{Digest: study.Digest{1}}, rewrite("x")); err == nil {
		t.Error("an object that is not there is rewritten")
	}
}
