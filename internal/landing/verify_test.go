package landing

import (
	"os"
	"path/filepath"
	"testing"

	"longitude/study"
)

func TestVerify(t *testing.T) {
	b := open(t, t.TempDir())
	one, other := put(t, b.Store, noise(5000)), put(t, b.Store, noise(4999))
	if kept, err := b.Verify(t.Context(), one); err != nil || kept {
		t.Errorf("a sound object: %v", err)
	}
	stripped := put(t, b.Store, noise(50))
	if err := b.Rewrite(t.Context(), stripped, rewrite("rest")); err != nil {
		t.Fatal(err)
	}
	if kept, err := b.Verify(t.Context(), stripped); err != nil || !kept {
		t.Errorf("one from which something was erased: %v, kept %v", err, kept)
	}
	for name, o := range map[string]study.Object{
		"another size":   {Digest: one.Digest, Size: one.Size + 1},
		"another object": {Digest: one.Digest, Size: other.Size},
	} {
		if _, err := b.Verify(t.Context(), o); code(err) != "landing.damaged" {
			t.Errorf("%s: %v", name, err)
		}
	}
	sealed, err := os.ReadFile(b.file(one))
	if err != nil {
		t.Fatal(err)
	}
	sealed[len(sealed)/2] ^= 1
	if err := os.WriteFile(b.file(one), sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(t.Context(), one); code(err) != "landing.damaged" {
		t.Errorf("a changed byte: %v", err)
	}
	if err := os.Rename(b.file(other), filepath.Join(t.TempDir(), "gone")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(t.Context(), other); code(err) != "landing.missing" {
		t.Errorf("an object that is gone: %v", err)
	}
}
