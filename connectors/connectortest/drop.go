package connectortest

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"longitude/connectors"
)

// Drop is the Place of a connector that picks up the files *.csv of a folder,
// which this machine sees as dir.
func Drop(t *testing.T, dir string, ready connectors.Ready, keeping, deleting any) Place {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	begin := func(name, content string, modified time.Time) {
		must(os.WriteFile(file(name), []byte(content), 0o600))
		must(os.Chtimes(file(name), time.Time{}, modified))
	}
	finish := func(name string) {
		content, err := os.ReadFile(file(name))
		must(err)
		switch sum := sha256.Sum256(content); {
		case ready.Marker != "":
			must(os.WriteFile(file(name+ready.Marker), nil, 0o600))
		case ready.Checksum != "":
			must(os.WriteFile(file(name+ready.Checksum), []byte(hex.EncodeToString(sum[:])+"  "+name+"\n"), 0o600))
		default:
			long := time.Now().Add(-time.Hour)
			if info, err := os.Stat(file(name)); err == nil && info.ModTime().After(long) {
				must(os.Chtimes(file(name), time.Time{}, long))
			}
		}
	}
	return Place{
		Config: keeping, Deleting: deleting, Begin: begin, Finish: finish,
		Put:    func(name, content string, modified time.Time) { begin(name, content, modified); finish(name) },
		Remove: func(name string) { must(os.Remove(file(name))) },
		Has:    func(name string) bool { _, err := os.Lstat(file(name)); return err == nil },
	}
}
