//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"longitude/internal/postgres"
	"longitude/internal/postgres/postgrestest"
	"longitude/study"
)

// trial is a configured study in a folder of its own, with a database of its
// own, driven by command lines as a person would.
type trial struct {
	t    *testing.T
	dir  string // configuration, drop and data
	url  string // of the database, for its owner
	said bytes.Buffer

	tampered bool // with the audit log
}

// newTrial sets a trial up from the documents of a folder.
func newTrial(t *testing.T, documents string) *trial {
	t.Helper()
	url := postgrestest.New(t, func(ctx context.Context, url string) error {
		_, err := postgres.Migrate(ctx, url)
		return err
	})
	x := unmigrated(t, documents, url)
	t.Cleanup(x.logIsSound)
	x.run(study.ExitOK, "validate")
	return x
}

// unmigrated sets a trial up whose database is whatever url names.
func unmigrated(t *testing.T, documents, url string) *trial {
	t.Helper()
	x := &trial{t: t, dir: t.TempDir(), url: url}
	found, err := filepath.Glob(filepath.Join(documents, "*.yaml"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no documents in %s", documents)
	}
	for _, file := range found {
		text, err := os.ReadFile(file)
		x.must(err)
		x.write(filepath.Base(file), string(text))
	}
	x.write("service.yaml", "service:\n  database: ${file:database}\n  data_dir: data\n  landing: file:landing\n  keys: file:keys\n"+
		"  listen: 127.0.0.1:0\n  admin_listen: 127.0.0.1:0\n")
	x.write("database", url+"\n")
	x.must(os.Mkdir(filepath.Join(x.dir, "drop"), 0o755))
	return x
}

func (x *trial) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *trial) path(name string) string { return filepath.Join(x.dir, filepath.FromSlash(name)) }

func (x *trial) write(name, text string) {
	x.t.Helper()
	x.must(os.WriteFile(x.path(name), []byte(text), 0o600))
}

// edit replaces text in a document.
func (x *trial) edit(name, from, to string) {
	x.t.Helper()
	text, err := os.ReadFile(x.path(name))
	x.must(err)
	if !strings.Contains(string(text), from) {
		x.t.Fatalf("%s does not hold %q", name, from)
	}
	x.write(name, strings.ReplaceAll(string(text), from, to))
}

// drop delivers a file and says that it is complete.
func (x *trial) drop(name, text string) {
	x.t.Helper()
	x.write("drop/"+name, text)
	x.write("drop/"+name+".done", "")
}

// run executes a command line, expects its exit code, and answers what it wrote.
func (x *trial) run(exit int, args ...string) (out, errOut string) {
	x.t.Helper()
	return x.runWith(x.t.Context(), exit, args...)
}

func (x *trial) runWith(ctx context.Context, exit int, args ...string) (out, errOut string) {
	x.t.Helper()
	var o, e bytes.Buffer
	code := run(ctx, append(args, "--config", x.dir), &o, &e)
	x.said.Write(o.Bytes())
	x.said.Write(e.Bytes())
	if code != exit {
		x.t.Fatalf("longitude %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, exit, o.String(), e.String())
	}
	return o.String(), e.String()
}

// refused runs a command that must fail with this code, saying all of the words.
func (x *trial) refused(exit int, code string, words []string, args ...string) {
	x.t.Helper()
	_, text := x.run(exit, args...)
	for _, word := range append(words, code) {
		if !strings.Contains(text, word) {
			x.t.Errorf("longitude %s does not say %q:\n%s", strings.Join(args, " "), word, text)
		}
	}
}

// answer runs a command with JSON output and decodes it.
func (x *trial) answer(exit int, into any, args ...string) {
	x.t.Helper()
	out, _ := x.run(exit, append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		x.t.Fatalf("longitude %s answers no JSON: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// table runs a command with CSV output and reads it back.
func (x *trial) table(exit int, args ...string) [][]string {
	x.t.Helper()
	out, _ := x.run(exit, append(args, "--output", "csv")...)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		x.t.Fatalf("longitude %s answers no CSV: %v\n%s", strings.Join(args, " "), err, out)
	}
	return rows
}

// sync runs a sync of the one source and answers its counts, which must balance.
func (x *trial) sync(exit int) syncResult {
	x.t.Helper()
	var results []syncResult
	x.answer(exit, &results, "sync")
	if len(results) != 1 {
		x.t.Fatalf("%d sources answered, want one", len(results))
	}
	if rows, records := results[0].Counts.Unaccounted(); rows != 0 || records != 0 {
		x.t.Errorf("%d rows and %d records are unaccounted for", rows, records)
	}
	return results[0]
}

// query reads the database as its owner.
func (x *trial) query(sql string, args ...any) [][]any {
	x.t.Helper()
	ctx := x.t.Context()
	conn, err := pgx.Connect(ctx, x.url)
	x.must(err)
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, sql, args...)
	x.must(err)
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
	x.must(err)
	return all
}

// number is the one number that a query answers.
func (x *trial) number(sql string, args ...any) int64 {
	x.t.Helper()
	rows := x.query(sql, args...)
	if len(rows) != 1 || len(rows[0]) != 1 {
		x.t.Fatalf("%s: not one value", sql)
	}
	n, ok := rows[0][0].(int64)
	if !ok {
		x.t.Fatalf("%s: %T is no number", sql, rows[0][0])
	}
	return n
}

func (x *trial) versions() int64 {
	x.t.Helper()
	return x.number("SELECT count(*) FROM research.record_version")
}

// The columns of the small study's files.
const smallHeader = "ID,VISIT,DATE,MODIFIED,BY,CONSENT,INITIALS,EYE,VA,IOP,METHOD,ARM,NOTES\n"

// consentRow and acuityRow are rows of the small study.
func consentRow(id string) string {
	return fmt.Sprintf("%s,BL,01/03/2026,2026-03-01T10:00:00Z,nurse,01/03/2026,AB,,,,,,\n", id)
}

func acuityRow(id, visit, date, eye, va string) string {
	return fmt.Sprintf("%s,%s,%s,2026-03-02T10:00:00Z,nurse,,,%s,%s,15.0,ETDRS,active,seen by Dr Quux\n", id, visit, date, eye, va)
}

// person is a consented participant with a baseline: 3 rows, 3 records.
func person(id string) string {
	return consentRow(id) + acuityRow(id, "BL", "01/03/2026", "OD", "44") + acuityRow(id, "BL", "01/03/2026", "OS", "61")
}
