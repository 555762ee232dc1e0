package keys

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"longitude/study"
)

func code(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// ring opens the ring in dir with keys for study amd.
func ring(t testing.TB, dir string) *Ring {
	t.Helper()
	r, err := Open("file:" + dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ensure("amd"); err != nil {
		t.Fatal(err)
	}
	return r
}

func derive(t testing.TB, r *Ring, studyName, purpose, domain string) string {
	t.Helper()
	k, err := r.Derive(studyName, purpose, domain)
	if err != nil {
		t.Fatal(err)
	}
	return string(k.Bytes())
}

func TestKeysAreStableAndSeparate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	r := ring(t, dir)
	if err := r.Ensure("amd-2"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	inputs := [][3]string{
		{"amd", "pid", "a"}, {"amd", "pid", "b"}, {"amd", "vault", "a"}, {"amd-2", "pid", "a"},
		{"amd", "pi", "da"}, {"amd", "pida", ""}, {"amd", "", "pida"},
	}
	for _, in := range inputs {
		key := derive(t, r, in[0], in[1], in[2])
		if len(key) != 32 || seen[key] {
			t.Errorf("%v: %d bytes, seen before: %v", in, len(key), seen[key])
		}
		seen[key] = true
		if again := derive(t, ring(t, dir), in[0], in[1], in[2]); again != key {
			t.Errorf("%v: another key after opening again", in)
		}
	}
	other := ring(t, t.TempDir()+"/other")
	if derive(t, other, "amd", "pid", "a") == derive(t, r, "amd", "pid", "a") {
		t.Error("two rings give the same key")
	}
}

func TestNothingIsCreatedByReading(t *testing.T) {
	r := ring(t, t.TempDir()+"/keys")
	if _, err := r.Derive("other", "pid", ""); code(err) != "keys.missing" {
		t.Errorf("deriving without a root: %v", err)
	}
	if _, _, err := r.Public("other"); code(err) != "keys.missing" {
		t.Errorf("public key without a seed: %v", err)
	}
	for _, name := range []string{"", "../x", "A", "a|b", "a/b"} {
		if err := r.Ensure(name); code(err) != "keys.study" {
			t.Errorf("study %q: %v", name, err)
		}
	}
}

func TestSigner(t *testing.T) {
	r := ring(t, t.TempDir()+"/keys")
	id, private, err := r.Signer("amd")
	if err != nil {
		t.Fatal(err)
	}
	publicID, public, err := r.Public("amd")
	if err != nil || publicID != id || len(id) != 16 {
		t.Fatalf("ids %q and %q, %v", id, publicID, err)
	}
	if !ed25519.Verify(public, []byte("m"), ed25519.Sign(private, []byte("m"))) {
		t.Error("the public key does not verify")
	}
}

func TestFilesArePrivateAndWrapped(t *testing.T) {
	dir := t.TempDir() + "/keys"
	r := ring(t, dir)
	root, err := r.unwrap(rootKey, "amd", 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"": 0o700, "kek": 0o600, "amd.root.1.json": 0o600, "amd.sign.1.json": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
	content, err := os.ReadFile(filepath.Join(dir, "amd.root.1.json"))
	if err != nil || bytes.Contains(content, root.Bytes()) {
		t.Error("the root key lies in clear")
	}
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		code   string
		change func(dir string) error
	}{
		"KEK lost":          {"keys.kek_lost", func(dir string) error { return os.Remove(dir + "/kek") }},
		"KEK cut":           {"keys.kek_damaged", func(dir string) error { return os.WriteFile(dir+"/kek", []byte("AAAA"), 0o600) }},
		"KEK readable":      {"keys.permissions", func(dir string) error { return os.Chmod(dir+"/kek", 0o640) }},
		"folder readable":   {"keys.permissions", func(dir string) error { return os.Chmod(dir, 0o755) }},
		"another KEK":       {"keys.kek_other", swapKEK},
		"root key lost":     {"keys.missing", func(dir string) error { return os.Remove(dir + "/amd.root.1.json") }},
		"root key garbage":  {"keys.damaged", func(dir string) error { return os.WriteFile(dir+"/amd.root.1.json", []byte("{"), 0o600) }},
		"of another study":  {"keys.damaged", func(dir string) error { return os.Rename(dir+"/amd-2.root.1.json", dir+"/amd.root.1.json") }},
		"of another kind":   {"keys.damaged", func(dir string) error { return os.Rename(dir+"/amd.sign.1.json", dir+"/amd.root.1.json") }},
		"root key bit flip": {"keys.damaged", flip},
	}
	for what, test := range tests {
		dir := t.TempDir() + "/keys"
		if err := ring(t, dir).Ensure("amd-2"); err != nil {
			t.Fatal(err)
		}
		if err := test.change(dir); err != nil {
			t.Fatal(err)
		}
		r, err := Open("file:" + dir)
		if err == nil {
			_, err = r.Derive("amd", "pid", "")
		}
		var e *study.Error
		if !errors.As(err, &e) || e.Code != test.code || e.Exit != study.ExitEnvironment || e.Hint == "" {
			t.Errorf("%s: %v, want %s", what, err, test.code)
		}
	}
	for _, location := range []string{"gcp-kms://projects/p/cryptoKeys/k", "file:", "keys"} {
		if _, err := Open(location); code(err) != "keys.provider" {
			t.Errorf("%s: %v", location, err)
		}
	}
}

func swapKEK(dir string) error {
	other, err := Open("file:" + dir + "-other")
	if err != nil {
		return err
	}
	return os.Rename(other.files.Dir()+"/kek", dir+"/kek")
}

func flip(dir string) error {
	name := dir + "/amd.root.1.json"
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	i := strings.Index(string(content), `"box": "`) + len(`"box": "`) + 30
	content[i] ^= 1 // another letter of base64, or none at all
	return os.WriteFile(name, content, 0o600)
}

func TestConcurrentFirstUse(t *testing.T) {
	dir := t.TempDir() + "/keys"
	keys := make([]string, 12)
	var wait sync.WaitGroup
	for i := range keys {
		wait.Go(func() {
			r, err := Open("file:" + dir)
			if err == nil {
				err = r.Ensure("amd")
			}
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = derive(t, r, "amd", "pid", "")
		})
	}
	wait.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("two processes made different keys")
		}
	}
}

func TestRandomnessFails(t *testing.T) {
	if _, err := open("file:"+t.TempDir()+"/keys", iotest.ErrReader(errors.New("none"))); code(err) != "keys.random" {
		t.Errorf("no randomness: %v", err)
	}
}
