// Package publishedtest finds the published files that nobody of this project
// wrote and that tests run against. They are not part of the project.
package publishedtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Data is the folder of the published files, shared/data beside the project, or
// what elements name below it. Where it is absent the test is skipped.
func Data(t *testing.T, elements ...string) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		data := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(filepath.Join(data, "README.md")); err == nil {
			return filepath.Join(append([]string{data}, elements...)...)
		}
		if dir == filepath.Dir(dir) {
			t.Skip("the published data are not here: no folder shared/data beside the project")
		}
	}
}
