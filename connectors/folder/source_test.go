package folder_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/folder"
)

func TestReadme(t *testing.T) { connectortest.Readme(t, folder.Spec()) }

func TestBehaviour(t *testing.T) {
	connectortest.RunDrop(t, connectortest.DropHarness{
		Spec: folder.Spec(),
		New: func(t *testing.T) (string, func(connectors.Ready, string) any, []string) {
			dir := filepath.Join(t.TempDir(), "drop")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			return dir, func(ready connectors.Ready, after string) any {
				return &folder.Config{Path: dir + "/*.csv", Ready: ready, After: after}
			}, nil
		},
	})
}

// A relative path starts at the folder of the configuration, and the item does
// not depend on where that is.
func TestRelativePath(t *testing.T) {
	var items []string
	for range 2 {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "in"), 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "in", "visits.csv")
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-time.Hour)
		if err := os.Chtimes(file, long, long); err != nil {
			t.Fatal(err)
		}
		source, err := folder.Spec().Open(&folder.Config{Path: "in/*.csv", After: connectors.AfterKeep}, connectortest.Runtime(t.Output(), dir))
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		for d, err := range source.Pull(t.Context(), connectors.Cursor{}) {
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, d.Item)
		}
	}
	if len(items) != 2 || items[0] != items[1] {
		t.Errorf("items %v", items)
	}
}
