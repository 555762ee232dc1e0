//go:build unix

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"longitude/deid"
	"longitude/internal/publishedtest"
	"longitude/study"
)

// The tests of real data run the whole program on published files that nobody of
// this project wrote. The files are not part of the project: they are in the
// folder shared/data beside it, or the tests are skipped.

// realStudy is a trial of one of the studies of configs/studies.
type realStudy struct {
	*trial
	name string
	data string // the folder that LONGITUDE_DATA names
}

func newRealStudy(t *testing.T, folder, name string) *realStudy {
	t.Helper()
	return realStudyOf(t, filepath.Join("..", "..", "configs", "studies", folder), name)
}

// realStudyOf is a trial of a study whose documents are in a folder.
func realStudyOf(t *testing.T, documents, name string) *realStudy {
	t.Helper()
	r := &realStudy{name: name}
	t.Setenv("LONGITUDE_DATA", publishedtest.Data(t))
	r.data = os.Getenv("LONGITUDE_DATA")
	r.trial = newTrial(t, documents)
	r.run(study.ExitOK, "check")
	return r
}

// redeliver offers the file again, in other bytes that say the same: another
// file to the connector, the same records to the study.
func (r *realStudy) redeliver(name string) {
	r.t.Helper()
	from, err := os.ReadFile(filepath.Join(r.data, name))
	r.must(err)
	other := bytes.ReplaceAll(from, []byte("\r\n"), []byte("\n"))
	if bytes.Equal(other, from) {
		other = bytes.ReplaceAll(from, []byte("\n"), []byte("\r\n"))
	}
	data := r.t.TempDir()
	to := filepath.Join(data, name)
	r.must(os.MkdirAll(filepath.Dir(to), 0o755))
	r.must(os.WriteFile(to, other, 0o644))
	longAgo := time.Now().Add(-time.Hour) // nobody writes to it any more
	r.must(os.Chtimes(to, longAgo, longAgo))
	r.t.Setenv("LONGITUDE_DATA", data)
}

// sync pulls the named sources, or all, and checks that every row and record is
// accounted for.
func (r *realStudy) sync(sources ...string) (map[string]syncResult, time.Duration) {
	r.t.Helper()
	var results []syncResult
	started := time.Now()
	r.answer(study.ExitOK, &results, append([]string{"sync"}, sources...)...)
	took := time.Since(started)
	by := map[string]syncResult{}
	for _, s := range results {
		if rows, records := s.Counts.Unaccounted(); rows != 0 || records != 0 || s.Error != "" {
			r.t.Errorf("%s: %d rows and %d records unaccounted, error %q", s.Source, rows, records, s.Error)
		}
		by[s.Source] = s
	}
	return by, took
}

// nothingNew pulls again from the same files.
func (r *realStudy) nothingNew() {
	r.t.Helper()
	again, _ := r.sync()
	for name, s := range again {
		if s.Objects != 0 || s.Counts != (study.Counts{}) {
			r.t.Errorf("%s: the second sync found something new: %+v", name, s)
		}
	}
}

// release builds and verifies a release and opens its folder.
func (r *realStudy) release() (*released, time.Duration) {
	r.t.Helper()
	var answer struct {
		Publications []struct{ Location string }
	}
	started := time.Now()
	r.answer(study.ExitOK, &answer, "release", "build")
	took := time.Since(started)
	if len(answer.Publications) != 1 {
		r.t.Fatalf("published %d times, want once", len(answer.Publications))
	}
	dir := strings.TrimPrefix(answer.Publications[0].Location, "file://")
	r.run(study.ExitOK, "release", "verify", dir, "--policy", policyFile(r.path("data"), r.name))
	return &released{r.t, dir}, took
}

// ids answers the released participant id of each source identifier.
func (r *realStudy) ids(sources map[string]bool) map[string]string {
	r.t.Helper()
	a := &app{out: io.Discard, err: io.Discard, dir: r.dir}
	h, err := a.open(r.t.Context(), needDatabase)
	r.must(err)
	defer h.close()
	s, err := h.study(r.name)
	r.must(err)
	intake, err := deid.NewIntake(s, &h.cfg.Sources[0].Source, h.ring, rand.Reader)
	r.must(err)
	recipient, err := deid.NewRecipient(s, "main", h.ring)
	r.must(err)
	out := map[string]string{}
	for source := range sources {
		identity, refused := intake.Identify(source)
		if refused != "" {
			r.t.Fatalf("a published identifier is refused: %s", refused)
		}
		out[source] = recipient.Participant(identity.Code)
	}
	return out
}

// released is the folder of a release, read with arrow and nothing of ours.
type released struct {
	t   *testing.T
	dir string
}

// row is one row of a released table: column → value, nil is NULL.
type row map[string]any

// text is the value in a column as text, "∅" for NULL.
func (r row) text(column string) string {
	v, ok := r[column]
	switch {
	case !ok:
		return "no column " + column
	case v == nil:
		return "∅"
	}
	return fmt.Sprint(v)
}

func (rel *released) table(name string) []row {
	rel.t.Helper()
	parts, err := filepath.Glob(filepath.Join(rel.dir, "data", name, "*.parquet"))
	if err != nil || len(parts) == 0 {
		rel.t.Fatalf("the release has no table %s", name)
	}
	var rows []row
	for _, part := range parts {
		rows = append(rows, rel.part(part)...)
	}
	return rows
}

func (rel *released) part(path string) []row {
	rel.t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		rel.t.Fatal(err)
	}
	defer f.Close()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		rel.t.Fatal(err)
	}
	table, err := r.ReadTable(rel.t.Context())
	if err != nil {
		rel.t.Fatal(err)
	}
	defer table.Release()
	rows := make([]row, table.NumRows())
	for i := range rows {
		rows[i] = make(row, table.NumCols())
	}
	for c := range int(table.NumCols()) {
		at, column := 0, table.Column(c)
		for _, chunk := range column.Data().Chunks() {
			for i := range chunk.Len() {
				rows[at][column.Name()] = rel.cell(chunk, i)
				at++
			}
		}
	}
	return rows
}

func (rel *released) cell(a arrow.Array, i int) any {
	rel.t.Helper()
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return strings.Clone(a.Value(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.Boolean:
		return a.Value(i)
	case *array.Decimal128:
		return a.ValueStr(i)
	case *array.Date32:
		return a.Value(i).ToTime().Format(time.DateOnly)
	}
	rel.t.Fatalf("unexpected arrow type %T", a)
	return nil
}

// readCSV reads a published file with the standard library: column → text per row.
func readCSV(t *testing.T, path string, comma rune) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = comma
	header, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		m := make(map[string]string, len(header))
		for i, name := range header {
			m[name] = cells[i]
		}
		rows = append(rows, m)
	}
}

// sameRows compares two lists of lines as multisets, per participant.
func sameRows(t *testing.T, what string, got, want map[string][]string) {
	t.Helper()
	differ := 0
	for _, id := range slices.Sorted(maps.Keys(want)) {
		slices.Sort(got[id])
		slices.Sort(want[id])
		if slices.Equal(got[id], want[id]) {
			continue
		}
		if differ++; differ <= 3 {
			t.Errorf("%s of %s:\n got  %s\n want %s", what, id, strings.Join(got[id], "\n      "), strings.Join(want[id], "\n      "))
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok {
			t.Errorf("%s: participant %s is in no file", what, id)
		}
	}
	if differ > 0 {
		t.Errorf("%s: %d of %d participants differ", what, differ, len(want))
	}
}

// accounts is the table of what became of every row and record.
func accounts(results map[string]syncResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| source | rows read | mapped | quarantined | ignored | records produced | accepted | unchanged | superseded | quarantined | held |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, name := range slices.Sorted(maps.Keys(results)) {
		c := results[name].Counts
		fmt.Fprintf(&b, "| %s | %s |\n", name, strings.Join(numbers(c.Read, c.Mapped, c.RowsQuarantined, c.Ignored,
			c.Produced, c.Accepted, c.Unchanged, c.Superseded, c.Quarantined, c.Held), " | "))
	}
	return b.String()
}
