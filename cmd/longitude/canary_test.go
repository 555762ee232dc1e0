//go:build unix

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet/file"

	"longitude/internal/localpg"
	"longitude/internal/status"
	"longitude/internal/synth"
	"longitude/study"
)

// After a whole run on data full of planted identifiers, none of them may be
// anywhere but in the drops, the landing and the vault: not in what any command
// says, not in the database, its write-ahead log or its server's log, not in a
// release, not in the name of a file.
func TestNoIdentifierLeaks(t *testing.T) {
	home := t.TempDir()
	server, err := localpg.Start(t.Context(), filepath.Join(home, "pg"), localpg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Stop() }()
	if err := server.CreateDatabase(t.Context(), "longitude"); err != nil {
		t.Fatal(err)
	}
	x := unmigrated(t, smallStudy, server.URL("longitude"))
	x.must(os.Remove(x.path("study.yaml")))
	x.must(os.Remove(x.path("source.yaml")))
	x.configureSites("site-a", "site-b", "site-c")

	planted := newSearch(x.deliver(1))
	x.run(study.ExitOK, "migrate", "--debug")
	x.everything(study.ExitRejections)
	planted.add(x.deliver(2))
	x.everything(study.ExitOK)
	x.failing(planted)

	if hits := planted.files(t, x.path("drop"), true); hits == 0 {
		t.Fatal("the search finds none of the identifiers where they were planted")
	}
	planted.in(t, "what the commands said", x.said.Bytes())
	planted.database(x)
	for _, folder := range []string{x.path("data"), x.path("landing"), x.path("keys"), server.Dir()} {
		planted.files(t, folder, false)
	}
	planted.parquet(t, x.path("data/releases"))
}

// configureSites writes the example study with drops in local folders.
func (x *trial) configureSites(sites ...string) {
	x.t.Helper()
	study, err := os.ReadFile("../../configs/amd/amd-obs-01.yaml")
	x.must(err)
	x.write("amd-obs-01.yaml", string(study))
	for _, site := range sites {
		text, err := os.ReadFile("../../configs/amd/sources/" + site + ".yaml")
		x.must(err)
		from, to := strings.Index(string(text), "connector:"), strings.Index(string(text), "schedule:")
		x.write(site+".yaml", string(text[:from])+"connector: {type: folder, path: drop/"+site+"/*.csv, ready: {marker: .done}}\n"+string(text[to:]))
	}
}

// deliver writes a delivery and gives its files names that identify, too.
func (x *trial) deliver(number int) []string {
	x.t.Helper()
	truth, err := synth.Generate(x.path("drop"), synth.Options{Participants: 60, Sites: 3, Delivery: number})
	x.must(err)
	named := fmt.Sprintf("ZZCANARY-FILE-Margaret-Thompson-%d", number)
	for _, f := range truth.Files {
		path := filepath.Join(x.path("drop"), f.Site, f.Name)
		for _, suffix := range []string{"", ".done"} {
			x.must(os.Rename(path+suffix, filepath.Join(filepath.Dir(path), named+"-"+f.Name+suffix)))
		}
	}
	if len(truth.Canaries) == 0 {
		x.t.Fatal("no identifiers were planted")
	}
	return append(truth.Canaries, named)
}

// everything runs every command that could tell something, as loud as it can.
func (x *trial) everything(exit int) {
	x.t.Helper()
	x.run(study.ExitRejections, "preview", "site-a", "--objects", "7", "--limit", "1000", "--debug")
	x.run(exit, "sync", "--debug")
	x.run(study.ExitOK, "release", "build", "--as-of", "2026-05-01", "--debug")
	code := x.query("SELECT code FROM research.participant LIMIT 1")[0][0].(string)
	for _, output := range []string{"table", "json", "csv"} {
		for _, command := range []string{"status", "run list --limit 500", "quarantine list --limit 5000", "deviation list --limit 5000",
			"release list", "check", "participant timeline " + code} {
			x.run(study.ExitOK, append(strings.Fields(command), "--output", output, "--debug")...)
		}
	}
}

// failing delivers files full of identifiers that cannot be read: errors quote
// their input more readily than anything else.
func (x *trial) failing(planted *search) {
	x.t.Helper()
	canary := "ZZCANARY-NAME-broken-1"
	planted.add([]string{canary})
	delivered, err := filepath.Glob(x.path("drop/site-a/*visual_acuity*.csv"))
	if err != nil || len(delivered) == 0 {
		x.t.Fatalf("no delivered file: %v", err)
	}
	whole, err := os.ReadFile(delivered[0])
	x.must(err)
	header, _, _ := strings.Cut(string(whole), "\n")
	for _, broken := range []string{
		strings.Repeat(canary+",", strings.Count(header, ",")) + "\n" + canary + "\n",                  // no header: the first line is a row
		header + "\n" + canary + " M\xfcller" + strings.Repeat(",", strings.Count(header, ",")) + "\n", // not UTF-8
		canary,
		`"` + canary,
	} {
		x.drop("site-a/"+canary+".csv", broken)
		x.run(study.ExitFailed, "preview", "site-a", "--objects", "50", "--debug")
		x.run(study.ExitRejections, "sync", "site-a", "--debug") // put aside
	}
	x.run(study.ExitOK, "run", "list", "--output", "json")
	x.run(study.ExitOK, "drift", "list", "--output", "json")
	x.run(study.ExitOK, "drift", "show", "site-a")
	x.decide(canary)
}

// decide gives reasons in words that identify.
func (x *trial) decide(canary string) {
	x.t.Helper()
	var rows []status.QuarantineItem
	x.answer(study.ExitOK, &rows, "quarantine", "list", "--state", "open", "--limit", "2")
	var open []status.DeviationItem
	x.answer(study.ExitOK, &open, "deviation", "list", "--state", "open", "--limit", "1")
	if len(rows) != 2 || len(open) != 1 {
		x.t.Fatalf("%d rows and %d deviations to decide about", len(rows), len(open))
	}
	x.run(study.ExitOK, "deviation", "explain", strconv.FormatInt(open[0].ID, 10), "--reason", "other", "--note", canary, "--debug")
	x.run(study.ExitOK, "quarantine", "waive", strconv.FormatInt(rows[0].ID, 10), "--reason", "other", "--note", canary, "--debug")
	x.run(study.ExitOK, "quarantine", "show", strconv.FormatInt(rows[0].ID, 10))
	x.run(study.ExitOK, "quarantine", "show", strconv.FormatInt(rows[1].ID, 10), "--output", "json")
	x.run(study.ExitUsage, "deviation", "explain", canary, "--reason", "illness", "--debug")
	x.run(study.ExitUsage, "deviation", "explain", "1", "--reason", canary, "--debug")
}

// search looks for texts as they are and as they would be encoded.
type search struct{ texts [][]byte }

func newSearch(canaries []string) *search {
	s := &search{}
	s.add(canaries)
	return s
}

// add adds the encodings of each text. In base64 the middle of a text has three
// forms, by its place among its neighbours; what depends on them is cut off.
func (s *search) add(canaries []string) {
	core := map[string]bool{} // ZZCANARY-KIND-… without what is shared by all of a kind
	for _, c := range canaries {
		core[strings.Fields(c)[0]] = true
	}
	for c := range core {
		s.texts = append(s.texts, []byte(c), []byte(hex.EncodeToString([]byte(c))), []byte(strings.ToUpper(hex.EncodeToString([]byte(c)))))
		for shift := range 3 {
			padded := append(make([]byte, shift), c...)
			encoded := base64.RawStdEncoding.EncodeToString(padded)
			s.texts = append(s.texts, []byte(encoded[4:len(encoded)-4]))
		}
		reversed := []byte(c)
		slices.Reverse(reversed)
		s.texts = append(s.texts, reversed)
	}
	s.texts = append(s.texts, []byte("ZZCANARY"), []byte("zzcanary"), []byte(hex.EncodeToString([]byte("ZZCANARY"))))
}

func (s *search) hit(text []byte) bool {
	return slices.ContainsFunc(s.texts, func(c []byte) bool { return bytes.Contains(text, c) })
}

func (s *search) in(t *testing.T, place string, text []byte) {
	t.Helper()
	if s.hit(text) {
		t.Errorf("an identifier is in %s", place)
	}
}

// files searches names and contents below a folder and answers how many files
// have a hit; unless that is expected, each is an error.
func (s *search) files(t *testing.T, folder string, expected bool) (hits int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if s.hit([]byte(path)) || s.hit(text) {
			hits++
			if !expected {
				t.Errorf("an identifier is in %s", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

// database searches every column of every table, text and bytes alike; boxes of
// the vault are sealed and must not show anything either.
func (s *search) database(x *trial) {
	x.t.Helper()
	tables := x.query(`SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('research', 'vault', 'audit', 'jobs', 'public')`)
	if len(tables) < 15 {
		x.t.Fatalf("only %d tables are searched", len(tables))
	}
	var searched int
	for _, table := range tables {
		name := table[0].(string)
		for _, row := range x.query("SELECT t.* FROM " + name + " t") {
			for _, value := range row {
				searched++
				if b, ok := value.([]byte); ok && s.hit(b) || s.hit(fmt.Append(nil, value)) {
					x.t.Errorf("an identifier is in %s", name)
				}
			}
		}
	}
	if searched < 10_000 {
		x.t.Errorf("only %d values were searched", searched)
	}
}

// parquet searches what stands in the parts of the releases once decompressed.
func (s *search) parquet(t *testing.T, folder string) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(folder, "*", "*", "data", "*", "*.parquet"))
	if err != nil || len(parts) < 10 {
		t.Fatalf("%d parts found: %v", len(parts), err)
	}
	values := 0
	for _, part := range parts {
		r, err := file.OpenParquetFile(part, false)
		if err != nil {
			t.Fatal(err)
		}
		s.in(t, part, []byte(r.MetaData().String()))
		for g := range r.NumRowGroups() {
			for c := range r.MetaData().Schema.NumColumns() {
				pages, err := r.RowGroup(g).GetColumnPageReader(c)
				if err != nil {
					t.Fatal(err)
				}
				for pages.Next() {
					values++
					s.in(t, part, pages.Page().Data())
				}
				if pages.Err() != nil {
					t.Fatal(pages.Err())
				}
			}
		}
		_ = r.Close()
	}
	if values < 100 {
		t.Errorf("only %d pages were searched", values)
	}
}
