package keys

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAuditSigner(t *testing.T) {
	dir := t.TempDir()
	open := func() *Ring {
		t.Helper()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		r, err := Open("file:" + dir)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	id, all, err := open().AuditSigners()
	if err != nil || len(id) != 16 || len(all) != 1 {
		t.Fatalf("%q, %v", id, err)
	}
	if again, same, err := open().AuditSigners(); err != nil || again != id || !all[0].Equal(same[0]) {
		t.Errorf("opened again: %q, %v", again, err)
	}
	r := open()
	if err := r.Ensure("deployment"); err != nil { // a study of that name has keys of its own
		t.Fatal(err)
	}
	if other, _, err := r.Signer("deployment"); err != nil || other == id {
		t.Errorf("a study signs with the log's key: %q, %v", other, err)
	}
	if version, err := r.RotateAudit(); err != nil || version != 2 {
		t.Fatalf("version %d, %v", version, err)
	}
	if again, both, err := open().AuditSigners(); err != nil || again != id || len(both) != 2 || !both[0].Equal(all[0]) || both[1].Equal(all[0]) {
		t.Errorf("after a rotation: %d keys of log %q, %v", len(both), again, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "deployment.audit.1.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := open().AuditSigners(); err == nil {
		t.Error("a damaged key signs")
	}
}
