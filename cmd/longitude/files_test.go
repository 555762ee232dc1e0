//go:build unix

package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"

	"longitude/internal/status"
	"longitude/study"
)

// TestFiles has a sender whose control files are sometimes wrong: what is refused
// waits beside what is not, is listed without its name, and is read when it was
// mended and asked for.
func TestFiles(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("source.yaml", "{marker: .done}", "{control: {file: .ctl, format: pipe, rows: 1, sha256: 2}}")
	x.edit("source.yaml", "*.csv", "*")
	deliver := func(name, text string, rows int) {
		t.Helper()
		sum := sha256.Sum256([]byte(text))
		x.write("drop/"+name, text)
		x.write("drop/"+name+".ctl", fmt.Sprintf("%d|%s\n", rows, hex.EncodeToString(sum[:])))
	}
	short := smallHeader + person("A1")
	deliver("smith.csv", short, 4)
	deliver("jones.csv", smallHeader+person("A2"), 3)
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for _, id := range []string{"A3", "A4"} {
		f, err := w.Create(id + ".csv")
		x.must(err)
		_, err = io.WriteString(f, smallHeader+person(id))
		x.must(err)
	}
	x.must(w.Close())
	x.write("drop/miller.zip", archive.String())
	sum := sha256.Sum256(archive.Bytes())
	x.write("drop/miller.zip.ctl", "6|"+hex.EncodeToString(sum[:])+"\n")

	if got := x.sync(study.ExitRejections); got.Objects != 3 || got.Aside != 1 || got.Counts.Accepted != 9 {
		t.Errorf("synced %+v", got)
	}
	var files []status.File
	x.answer(study.ExitOK, &files, "files", "list", "--outcome", "refused")
	if len(files) != 1 || files[0].Code != "ingest.row_count" || files[0].Size != int64(len(short)) || files[0].Batch != 0 {
		t.Fatalf("refused %+v", files)
	}
	refused := files[0].ID
	if want := sha256.Sum256([]byte(short)); files[0].SHA256 != hex.EncodeToString(want[:]) {
		t.Errorf("digest %s", files[0].SHA256)
	}
	if rows := x.table(study.ExitOK, "files", "list", "--outcome", "recorded"); len(rows) != 5 { // and the line of names
		t.Errorf("recorded %v", rows)
	}
	if got := x.sync(study.ExitOK); got.Objects+got.Aside != 0 {
		t.Errorf("again %+v", got)
	}

	sumOf := sha256.Sum256([]byte(short)) // the sender corrects its count; file and digest stay
	x.write("drop/smith.csv.ctl", "3|"+hex.EncodeToString(sumOf[:])+"\n")
	if got := x.sync(study.ExitOK); got.Objects != 0 {
		t.Errorf("read without being asked: %+v", got)
	}
	x.run(study.ExitOK, "files", "retry", fmt.Sprint(refused), "--actor", "Dana Marsh")
	if got := x.sync(study.ExitOK); got.Objects != 1 || got.Counts.Accepted != 3 {
		t.Errorf("once asked for: %+v", got)
	}
	x.refused(study.ExitUsage, status.CodeNotFound, nil, "files", "retry", "4711", "--actor", "Dana Marsh")
	if n := x.number(`SELECT count(*) FROM audit.event WHERE action IN ('file.refused', 'file.retried')`); n != 2 {
		t.Errorf("%d audit events", n)
	}
	for _, name := range []string{"smith", "jones", "miller"} {
		if strings.Contains(x.said.String(), name) {
			t.Errorf("the name of a file was said: %s", name)
		}
	}
}
