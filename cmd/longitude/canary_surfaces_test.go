//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/jackc/pgx/v5"

	"longitude/internal/canarytest"
	"longitude/internal/localpg"
	"longitude/study"
)

// hunt looks for canaries on every surface and keeps count of what it looked at.
type hunt struct {
	tb      testing.TB
	scanner *canarytest.Scanner

	mu       sync.Mutex
	surfaces []surface // in the order of the first look
	found    map[canarytest.Canary]bool
}

// surface is what was looked at of one kind of place.
type surface struct {
	name  string
	looks int // files, tables, pages
	bytes int64
	hits  int
}

func newHunt(t *testing.T) *hunt {
	// Every canary of the synthetic study begins like this.
	marker := canarytest.Canary{Class: "synthetic", Text: "ZZCANARY-"}
	return &hunt{tb: t, scanner: canarytest.NewScanner(append(canarytest.All(), marker))}
}

// saw counts a look; a hit is an error that names the canary and does not say it.
func (h *hunt) saw(name, place string, size int64, hits canarytest.Hits) {
	h.tb.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.surfaces, func(s surface) bool { return s.name == name })
	if i < 0 {
		i = len(h.surfaces)
		h.surfaces = append(h.surfaces, surface{name: name})
	}
	s := &h.surfaces[i]
	s.looks, s.bytes, s.hits = s.looks+1, s.bytes+size, s.hits+len(hits)
	for hit, n := range hits {
		if h.found == nil {
			h.found = map[canarytest.Canary]bool{}
		}
		h.found[hit.Canary] = true
		h.tb.Errorf("%s, %s: %v, %d times", name, place, hit, n)
	}
}

func (h *hunt) text(name string, text []byte) {
	h.tb.Helper()
	h.saw(name, "a text", int64(len(text)), h.scanner.Text(text))
}

// below looks at the files of a folder and answers how many there are and how
// many canaries.
func (h *hunt) below(folder string) (files, found int) {
	h.tb.Helper()
	files, _, err := h.scanner.Files(folder, func(_ string, hits canarytest.Hits) { found += len(hits) })
	if err != nil {
		h.tb.Fatal(err)
	}
	return files, found
}

// files looks at the names and contents of all files below a folder.
func (h *hunt) files(name, folder string) {
	h.tb.Helper()
	hit := map[string]canarytest.Hits{}
	files, size, err := h.scanner.Files(folder, func(path string, hits canarytest.Hits) { hit[path] = hits })
	if err != nil {
		h.tb.Fatal(err)
	}
	h.saw(name, folder, size, nil)
	for path, hits := range hit {
		h.saw(name, path, 0, hits)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.surfaces[slices.IndexFunc(h.surfaces, func(s surface) bool { return s.name == name })].looks += files - 1 - len(hit)
}

// watch looks at a folder over and over while something runs, since what is
// written there for a moment is gone afterwards.
func (h *hunt) watch(folder string) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			h.glance(folder)
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return func() { close(done); running.Wait() }
}

// glance looks once at a folder whose files come and go.
func (h *hunt) glance(folder string) {
	_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // gone already
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // gone already
		}
		hits := h.scanner.Text(text)
		hits.Add(h.scanner.Text([]byte(e.Name())))
		h.saw("temporary files while it ran", e.Name(), int64(len(text)), hits)
		return nil
	})
}

// statementServer is a database server that can tell which statements it was
// given: pg_stat_statements, where the server has it.
func statementServer(t *testing.T) *localpg.Cluster {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pg")
	server, err := localpg.Start(t.Context(), dir, localpg.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.CreateDatabase(t.Context(), "longitude"); err != nil {
		t.Fatal(err)
	}
	command(t, server, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if server, err = localpg.Start(t.Context(), dir, localpg.Options{Unsafe: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	command(t, server, "CREATE EXTENSION pg_stat_statements")
	return server
}

func command(t *testing.T, server *localpg.Cluster, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("longitude"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// logStatements lets the server log every statement with its parameters, which
// ours never does.
func (l *leaks) logStatements() {
	l.t.Helper()
	for _, setting := range []string{"log_statement = 'all'", "log_min_duration_statement = 0", "log_min_error_statement = 'error'",
		"log_error_verbosity = 'verbose'", "log_parameter_max_length = -1", "log_parameter_max_length_on_error = -1"} {
		command(l.t, l.server, "ALTER DATABASE longitude SET "+setting)
	}
}

// database looks at every column of every table, the vault's boxes too, and at
// what the server remembers of statements.
func (l *leaks) database() {
	l.t.Helper()
	tables := l.query(`SELECT n.nspname || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('information_schema', 'pg_toast') AND c.relname <> 'pg_largeobject'
		AND (n.nspname <> 'pg_catalog' OR c.relname IN ('pg_description', 'pg_attribute', 'pg_class', 'pg_constraint', 'pg_statistic')) ORDER BY 1`)
	if len(tables) < 15 {
		l.t.Fatalf("only %d tables are searched", len(tables))
	}
	for _, table := range tables {
		l.copied(table[0].(string), table[0].(string))
	}
	l.copied("pg_stat_statements", "(SELECT query FROM pg_stat_statements)")
	l.blobs()
}

// copied looks at a table, or a query, as text.
func (l *leaks) copied(name, source string) {
	l.t.Helper()
	conn, err := pgx.Connect(l.t.Context(), l.url)
	l.must(err)
	defer func() { _ = conn.Close(context.WithoutCancel(l.t.Context())) }()
	r, w := io.Pipe()
	go func() {
		_, err := conn.PgConn().CopyTo(l.t.Context(), w, "COPY "+source+" TO STDOUT")
		_ = w.CloseWithError(err)
	}()
	size := &sized{r: r}
	hits, err := l.scanner.Stream(size)
	l.must(err)
	kind := "the database"
	if strings.HasPrefix(name, "audit.") {
		kind = "the audit log"
	} else if strings.Contains(name, "pg_") {
		kind = "the database's catalogue and statements"
	}
	l.saw(kind, name, size.n, hits)
}

type sized struct {
	r io.Reader
	n int64
}

func (s *sized) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.n += int64(n)
	return n, err
}

// blobs looks into every value of bytes that is long enough to be an archive:
// shorter ones are looked at in hexadecimal with their tables.
func (l *leaks) blobs() {
	l.t.Helper()
	columns := l.query(`SELECT table_schema || '.' || quote_ident(table_name), quote_ident(column_name) FROM information_schema.columns
		JOIN information_schema.tables USING (table_schema, table_name)
		WHERE data_type = 'bytea' AND table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`)
	for _, c := range columns {
		l.archives(c[0].(string), c[1].(string))
	}
}

func (l *leaks) archives(table, column string) {
	hits, size := canarytest.Hits{}, int64(0)
	// Heads of archives: gzip, zstd, zip.
	for _, row := range l.query(fmt.Sprintf(`SELECT %[2]s FROM %[1]s WHERE length(%[2]s) > 16
		AND (substr(%[2]s, 1, 2) = '\x1f8b' OR substr(%[2]s, 1, 4) IN ('\x28b52ffd', '\x504b0304'))`, table, column)) {
		hits.Add(l.scanner.Text(row[0].([]byte)))
		size += int64(len(row[0].([]byte)))
	}
	l.saw("archives in the database", table+" "+column, size, hits)
}

// parquet looks at what stands in the parts of releases once it is decompressed:
// the pages of values and of dictionaries. Statistics, the column index and the
// metadata are in the file as they are.
func (l *leaks) parquet(folder string) {
	l.t.Helper()
	parts, err := filepath.Glob(filepath.Join(folder, "*", "*", "data", "*", "*.parquet"))
	if err != nil || len(parts) < 10 {
		l.t.Fatalf("%d parts found: %v", len(parts), err)
	}
	for _, part := range parts {
		l.part("Parquet pages", part)
	}
}

func (h *hunt) part(name, part string) {
	h.tb.Helper()
	r, err := file.OpenParquetFile(part, false)
	if err != nil {
		h.tb.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	h.text("Parquet metadata", []byte(r.MetaData().String()+fmt.Sprint(r.MetaData().KeyValueMetadata())))
	for g := range r.NumRowGroups() {
		for c := range r.MetaData().Schema.NumColumns() {
			pages, err := r.RowGroup(g).GetColumnPageReader(c)
			if err != nil {
				h.tb.Fatal(err)
			}
			for pages.Next() {
				data := pages.Page().Data()
				h.saw(name, filepath.Base(part), int64(len(data)), h.scanner.Text(data))
			}
			if pages.Err() != nil {
				h.tb.Fatal(pages.Err())
			}
		}
	}
}

var link = regexp.MustCompile(`(?:href|action|src)="(/[^"#]*)"`)

// pages asks a running service for all that it shows: every page that another
// links to, every list of the API, its metrics, and answers to questions that
// identify.
func (l *leaks) pages() {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	doors, ended := make(chan string, 1), make(chan int, 1)
	errOut := &told{after: "/metrics\n", call: func(text string) { doors <- text }}
	var out bytes.Buffer
	go func() { ended <- run(ctx, []string{"serve", "--debug", "--config", l.dir}, &out, errOut) }()
	var page, admin string
	select {
	case text := <-doors:
		page, admin = addressIn(l.t, text, "status page"), strings.TrimSuffix(addressIn(l.t, text, "metrics"), "metrics")
	case code := <-ended:
		l.t.Fatalf("serve ended with %d", code)
	}
	l.crawl(strings.TrimSuffix(page, "/"))
	for _, path := range []string{"health", "sources", "runs", "files", "quarantine", "quarantine/1", "deviations", "decisions", "locks", "drift", "releases",
		"studies/canary-01/summary", "studies/canary-01/participants", "sources/canary-xlsx/shape", "sources/canary-json", "openapi.yaml"} {
		l.asked("the API", page+"api/v1/"+path)
	}
	for _, path := range []string{"metrics", "livez", "readyz"} {
		l.asked("metrics and health", admin+path)
	}
	cancel()
	if code := <-ended; code != study.ExitOK {
		l.t.Errorf("told to stop, serve ended with %d", code)
	}
	l.text("what the service said", append(errOut.text.Bytes(), out.Bytes()...))
}

// crawl follows links from the first page on.
func (l *leaks) crawl(host string) {
	l.t.Helper()
	queue, seen := []string{"/"}, map[string]bool{"/": true}
	for len(queue) > 0 && len(seen) < 400 {
		body := l.asked("pages", host+queue[0])
		queue = queue[1:]
		for _, m := range link.FindAllSubmatch(body, -1) {
			if next := strings.ReplaceAll(string(m[1]), "&amp;", "&"); !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	if len(seen) < 20 {
		l.t.Errorf("only %d pages were found", len(seen))
	}
}

// asked looks at an answer with its headers.
func (h *hunt) asked(name, url string) []byte {
	h.tb.Helper()
	req, err := http.NewRequestWithContext(h.tb.Context(), http.MethodGet, url, nil)
	if err != nil {
		h.tb.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.tb.Fatal(err)
	}
	if res.StatusCode >= http.StatusInternalServerError {
		h.tb.Errorf("%s answers %d", req.URL.Path, res.StatusCode)
	}
	var head bytes.Buffer
	_ = res.Header.Write(&head)
	hits := h.scanner.Text(body)
	hits.Add(h.scanner.Text(head.Bytes()))
	h.saw(name, req.URL.Path, int64(len(body)+head.Len()), hits)
	return body
}

// report tells what was looked at.
func (h *hunt) report() {
	h.tb.Helper()
	var b strings.Builder
	looks, size, hits := 0, int64(0), 0
	for _, s := range h.surfaces {
		fmt.Fprintf(&b, "\n  %-42s %7d looks %9.1f MB %d hits", s.name, s.looks, float64(s.bytes)/1e6, s.hits)
		looks, size, hits = looks+s.looks, size+s.bytes, hits+s.hits
	}
	h.tb.Logf("%d participants, %d canaries of %d classes in %d types of file: %d looks, %.1f MB, %d hits%s", *canaryParticipants,
		len(canarytest.All()), len(canarytest.Classes), len(canarytest.Types), looks, float64(size)/1e6, hits, b.String())
}
