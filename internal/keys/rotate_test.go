package keys

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func deriveAt(t *testing.T, r *Ring, version int) string {
	t.Helper()
	k, err := r.DeriveVersion("amd", "vault", "", version)
	if err != nil {
		t.Fatal(err)
	}
	return string(k.Bytes())
}

func TestVersions(t *testing.T) {
	dir := t.TempDir() + "/keys"
	r := ring(t, dir)
	code1, vault1 := derive(t, r, "amd", "pid", "amd"), deriveAt(t, r, 1)
	version, err := r.RotateRoot("amd")
	if err != nil || version != 2 {
		t.Fatalf("version %d, %v", version, err)
	}
	for _, r := range []*Ring{r, ring(t, dir)} {
		if newest, err := r.Newest("amd"); err != nil || newest != 2 {
			t.Errorf("newest %d, %v", newest, err)
		}
		if derive(t, r, "amd", "pid", "amd") != code1 || deriveAt(t, r, 1) != vault1 {
			t.Error("a rotation changed what was there before")
		}
		if deriveAt(t, r, 2) == vault1 {
			t.Error("the new version gives the old key")
		}
	}
	if _, err := r.DeriveVersion("amd", "vault", "", 3); code(err) != "keys.missing" {
		t.Errorf("a version that never was: %v", err)
	}
	if _, err := r.RotateRoot("other"); code(err) != "keys.missing" {
		t.Errorf("a study without keys: %v", err)
	}
}

func TestSignersStayVerifiable(t *testing.T) {
	r := ring(t, t.TempDir()+"/keys")
	before, _, err := r.Signer("amd")
	if err != nil {
		t.Fatal(err)
	}
	if version, err := r.RotateSigner("amd"); err != nil || version != 2 {
		t.Fatalf("version %d, %v", version, err)
	}
	after, _, err := r.Signer("amd")
	all, err2 := r.Publics("amd")
	if err != nil || err2 != nil || after == before || len(all) != 2 || all[0].ID != before || all[1].ID != after {
		t.Errorf("%s, %s, %v, %v, %v", before, after, all, err, err2)
	}
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

func TestRewrap(t *testing.T) {
	dir := t.TempDir() + "/keys"
	r := ring(t, dir)
	running := ring(t, dir) // a service that does not know of the rotation
	key := derive(t, r, "amd", "pid", "")
	for turn := 1; turn <= 2; turn++ {
		if n, err := r.Rewrap(); err != nil || n != 2 {
			t.Fatalf("%d wrapped again, %v", n, err)
		}
		if got := names(t, dir); len(got) != 3 || got[2] != "kek."+strconv.Itoa(turn+1) || got[0] != "amd.root.1.r"+strconv.Itoa(turn)+".json" {
			t.Errorf("turn %d left %q", turn, got)
		}
		if derive(t, ring(t, dir), "amd", "pid", "") != key {
			t.Error("another key after wrapping again")
		}
	}
	if derive(t, running, "amd", "pid", "") != key {
		t.Error("a running service lost the keys")
	}
	if err := running.Ensure("amd-2"); err != nil { // must not be wrapped by the KEK that is gone
		t.Fatal(err)
	}
	if err := ring(t, dir).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whatever file was the last to be written or removed, the next run ends the work.
func TestRewrapKilled(t *testing.T) {
	for kill := range 8 {
		dir := t.TempDir() + "/keys"
		r := ring(t, dir)
		key := derive(t, r, "amd", "pid", "")
		steps := 0
		err := r.exclusive(func() error { // what Rewrap does, up to the kill
			old, err := r.target()
			for _, at := range []wrapping{{rootKey, "amd", 1, 0}, {signKey, "amd", 1, 0}} {
				if steps++; err != nil || steps > kill {
					return err
				}
				secret, err := r.read(at)
				if err != nil {
					return err
				}
				next := at
				next.turn++
				if err := r.write(next, secret); err != nil {
					return err
				}
				if steps++; steps > kill {
					return nil
				}
				if err := r.remove(at.file()); err != nil {
					return err
				}
			}
			for _, name := range old {
				if steps++; steps > kill {
					return nil
				}
				if err := r.remove(name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		again := ring(t, dir)
		if derive(t, again, "amd", "pid", "") != key {
			t.Errorf("killed after %d steps: another key", kill)
		}
		if _, err := again.Rewrap(); err != nil {
			t.Errorf("killed after %d steps: %v", kill, err)
		}
		if got := names(t, dir); len(got) != 3 {
			t.Errorf("killed after %d steps: left %q", kill, got)
		}
		if derive(t, ring(t, dir), "amd", "pid", "") != key {
			t.Errorf("killed after %d steps: another key at the end", kill)
		}
	}
}

// Files of the first release are bound in another form, and go on opening.
func TestFirstFormat(t *testing.T) {
	dir := t.TempDir() + "/keys"
	r := ring(t, dir)
	root, err := r.unwrap(rootKey, "amd", 1)
	if err != nil {
		t.Fatal(err)
	}
	w := wrapped{Kind: rootKey, Study: "amd", Version: 1, Cipher: "AES-256-GCM", KEK: r.keks[0].ID()}
	if w.Box, err = r.keks[0].Wrap(t.Context(), root.Bytes(), []byte("root|amd|1")); err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(w)
	if err != nil || os.WriteFile(filepath.Join(dir, "amd.root.1.json"), content, 0o600) != nil {
		t.Fatal(err)
	}
	if derive(t, ring(t, dir), "amd", "pid", "") != derive(t, r, "amd", "pid", "") {
		t.Error("another key from a file of the first release")
	}
}

func TestList(t *testing.T) {
	r := ring(t, t.TempDir()+"/keys")
	if _, _, err := r.AuditSigners(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rewrap(); err != nil {
		t.Fatal(err)
	}
	list, err := r.List()
	kek := r.keks[0].ID()
	want := []Listed{{"amd", "root", 1, kek}, {"amd", "sign", 1, kek}, {"", "audit", 1, kek}}
	if err != nil || len(list) != 3 || list[0] != want[0] || list[1] != want[1] || list[2] != want[2] {
		t.Errorf("%v, %v", list, err)
	}
}

// A key is not removed for another that was never read back: the run that wrapped it
// again was killed, and what it left is damaged.
func TestRewrapReadsBack(t *testing.T) {
	dir := t.TempDir() + "/keys"
	r := ring(t, dir)
	derive(t, r, "amd", "pid", "")
	at := wrapping{rootKey, "amd", 1, 0}
	if err := r.exclusive(func() error { // what Rewrap does, up to the kill
		if _, err := r.target(); err != nil {
			return err
		}
		secret, err := r.read(at)
		at.turn++
		if err == nil {
			err = r.write(at, secret)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, at.file())
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var w wrapped
	if err := json.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	w.Box[20] ^= 1
	if text, err = json.Marshal(w); err == nil {
		err = os.WriteFile(name, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring(t, dir).Rewrap(); code(err) != "keys.damaged" {
		t.Errorf("%v", err)
	}
	at.turn = 0
	if _, err := os.Stat(filepath.Join(dir, at.file())); err != nil {
		t.Error("the only whole copy of the key is gone")
	}
}
