package postgres

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"longitude/internal/status"
	"longitude/study"
)

func ledgerLine(source, item, version string) study.FileRecord {
	return study.FileRecord{Source: source, Item: item, Version: version, Size: 10, Modified: time.Unix(1e9, 0), SHA256: strings.Repeat("0a", 32), RunID: 1}
}

// TestLedger follows files through refusal, retry and success, and an archive
// through its files.
func TestLedger(t *testing.T) {
	s := open(t, amd())
	refuse := func(item, version string) {
		t.Helper()
		f := ledgerLine("a", item, version)
		f.Code, f.SealedName, f.KeyVersion = "drop.checksum_mismatch", []byte("sealed"), 1
		if err := s.RefuseFile(t.Context(), "amd-obs", "test", f); err != nil {
			t.Fatal(err)
		}
	}
	deliver := func(item, version string, aside bool, files ...study.FileRecord) {
		t.Helper()
		b := batch("a", item+version, 0)
		b.Item, b.ItemVersion, b.Aside, b.Files = item, version, aside, files
		finish(t, begin(t, s, "amd-obs"), b)
	}
	known := func(want, refused map[string]string) {
		t.Helper()
		_, got, err := s.Cursor(t.Context(), "a")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("durable %v, %v; want %v", got, err, want)
		}
		if got, err := s.RefusedFiles(t.Context(), "a"); err != nil || !reflect.DeepEqual(got, refused) {
			t.Errorf("refused %v, %v; want %v", got, err, refused)
		}
	}
	outcome := func(item string) status.File {
		t.Helper()
		files, err := s.Files(t.Context(), status.FileFilter{Source: "a"})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Item == item {
				return f
			}
		}
		t.Fatalf("no line of %s", item)
		return status.File{}
	}

	none := map[string]string{}
	refuse("x", "1")
	refuse("x", "1")
	known(none, map[string]string{"x": "1"})
	f := outcome("x")
	if f.Outcome != study.FileRefused || f.Tries != 2 || f.Code != "drop.checksum_mismatch" || f.Batch != 0 || f.Size != 10 || f.SHA256 != strings.Repeat("0a", 32) {
		t.Errorf("line %+v", f)
	}
	if again, err := s.RetryFile(t.Context(), f.ID, "a person"); err != nil || again.Outcome != study.FileAgain || again.Source != "a" {
		t.Errorf("retry %+v, %v", again, err)
	}
	known(none, none)
	deliver("x", "1", false, ledgerLine("a", "x", "1"))
	known(map[string]string{"x": "1"}, none)
	if f := outcome("x"); f.Outcome != study.FileRecorded || f.Batch == 0 || f.Tries != 3 || f.Code != "" {
		t.Errorf("line %+v", f)
	}
	refuse("x", "2") // a newer version: the older stays durable
	known(map[string]string{"x": "1"}, map[string]string{"x": "2"})

	part := ledgerLine("a", "part", "1")
	part.Within = "zip"
	deliver("part", "1", true, part)
	last := ledgerLine("a", "last", "1")
	last.Within = "zip"
	deliver("last", "1", false, last, ledgerLine("a", "zip", "9"))
	known(map[string]string{"x": "1", "part": "1", "last": "1", "zip": "9"}, map[string]string{"x": "2"})
	if outcome("part").Outcome != study.FileAside || outcome("last").Outcome != study.FileRecorded || outcome("zip").Outcome != study.FileAside {
		t.Errorf("archive %+v", outcome("zip"))
	}
	if outcome("last").Within != outcome("zip").ID {
		t.Error("a file does not name its archive")
	}
	if _, err := s.RetryFile(t.Context(), outcome("part").ID, "a person"); err != nil {
		t.Fatal(err)
	}
	known(map[string]string{"x": "1", "last": "1"}, map[string]string{"x": "2"})

	if _, err := s.RetryFile(t.Context(), 4711, "a person"); err == nil {
		t.Error("a file that is not there")
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action IN ('file.refused', 'file.retried')`); n != 5 {
		t.Errorf("%d audit events", n)
	}
	if files, err := s.Files(t.Context(), status.FileFilter{Outcome: study.FileRefused}); err != nil || len(files) != 1 {
		t.Errorf("refused %+v, %v", files, err)
	}
}
