package deid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"syscall"
	"testing"

	"longitude/study"
)

// lines writes one line per row: enough of a file format to test Encode with.
type lines struct {
	w      io.Writer
	closed *bool
	fail   error
}

func (l lines) Write(b *study.Batch) error {
	if l.fail != nil {
		return l.fail
	}
	for i := range b.Rows {
		if _, err := fmt.Fprintln(l.w, b.Vectors[0].Texts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l lines) Close() error { *l.closed = true; return nil }

func opener(closed *bool, fail error) NewEncoder {
	return func(w io.Writer, _ *study.Table) (Encoder, error) { return lines{w, closed, fail}, nil }
}

func give(batches ...Batch) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
	}
}

const partPath = "data/visits/part-00000.parquet"

func TestEncodeWritesAndHashes(t *testing.T) {
	r := testRecipient(t, study.DeidPolicy{Profile: "expert"}, "main")
	internal := visitsTable()
	table, err := r.Project(internal)
	if err != nil {
		t.Fatal(err)
	}
	given := visitsBatch(t, internal)
	batch, err := surveyed(t, r, given).Apply(given)
	if err != nil {
		t.Fatal(err)
	}
	var closed bool
	a, err := Encode(t.Context(), opener(&closed, nil), partPath, t.TempDir(), table, give(batch, batch))
	if err != nil {
		t.Fatal(err)
	}
	file, err := a.Open()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(file)
	if err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	again, err := Document("README.md", content)
	if err != nil {
		t.Fatal(err)
	}
	if !closed || a.Path() != partPath || a.Rows() != 6 || a.Size() != int64(len(content)) || a.Digest() != again.Digest() {
		t.Errorf("artifact %s: %d rows, %d bytes, closed %v", a.Path(), a.Rows(), a.Size(), closed)
	}
	if strings.Count(string(content), "P") < 6 || strings.Contains(string(content), "AMD") {
		t.Errorf("content %q", content)
	}
}

func TestEncodeLeavesNothingOnError(t *testing.T) {
	r := testRecipient(t, study.DeidPolicy{Profile: "expert"}, "main")
	internal := visitsTable()
	table, err := r.Project(internal)
	if err != nil {
		t.Fatal(err)
	}
	given := visitsBatch(t, internal)
	batch, err := surveyed(t, r, given).Apply(given)
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	source := errors.New("source")
	tests := map[string]struct {
		ctx  context.Context
		path string
		fail error
		rows iter.Seq2[Batch, error]
		code string
		is   error
	}{
		"disk full":       {t.Context(), partPath, &os.PathError{Op: "write", Err: syscall.ENOSPC}, give(batch), "deid.disk_full", nil},
		"encoder":         {t.Context(), partPath, &study.Error{Code: "columnar.null"}, give(batch), "columnar.null", nil},
		"cancelled":       {cancelled, partPath, nil, give(batch), "", context.Canceled},
		"source":          {t.Context(), partPath, nil, func(y func(Batch, error) bool) { y(Batch{}, source) }, "deid.build", source},
		"another table":   {t.Context(), partPath, nil, give(Batch{study.Batch{Table: internal, Rows: 3}}), "deid.table", nil},
		"zero batch":      {t.Context(), partPath, nil, give(Batch{}), "deid.table", nil},
		"path outside":    {t.Context(), "../part-00000.parquet", nil, give(batch), "deid.path", nil},
		"another's path":  {t.Context(), "data/forms/part-00000.parquet", nil, give(batch), "deid.path", nil},
		"path of a shape": {t.Context(), "data/visits/smith.parquet", nil, give(batch), "deid.path", nil},
	}
	for what, test := range tests {
		dir := t.TempDir()
		var closed bool
		_, err := Encode(test.ctx, opener(&closed, test.fail), test.path, dir, table, test.rows)
		if err == nil || test.code != "" && code(err) != test.code || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %v", what, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %d files are left", what, len(left))
		}
	}
	if _, err := Encode(t.Context(), nil, partPath, t.TempDir()+"/gone", table, give()); code(err) != "deid.build" {
		t.Errorf("folder gone: %v", err)
	}
}

func TestDocumentsAreAClosedList(t *testing.T) {
	content := []byte("a")
	for _, path := range []string{"datapackage.json", "SHA256SUMS", "release.dsse.json", "reports/quality.md", "reports/risk.json"} {
		a, err := Document(path, content)
		if err != nil || a.Path() != path || a.Size() != 1 || a.Rows() != 0 || a.Digest().IsZero() {
			t.Errorf("%s: %v", path, err)
		}
	}
	a, err := Document("README.md", content)
	if err != nil {
		t.Fatal(err)
	}
	content[0] = 'b'
	file, _ := a.Open()
	if got, _ := io.ReadAll(file); string(got) != "a" {
		t.Error("an artifact changes with the slice it was made of")
	}
	for _, path := range []string{"", "rows.csv", "data/visits/part-00000.parquet", "reports/../x.md", "reports/x/y.md", "reports/x.csv", "/README.md"} {
		if _, err := Document(path, content); code(err) != "deid.document" {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, err := (Artifact{}).Open(); code(err) != "deid.no_artifact" {
		t.Error("the zero artifact opens")
	}
}
