//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"longitude/internal/canarytest"
)

// mute takes the errors of a hunt for leaks that were made on purpose.
type mute struct{ testing.TB }

func (mute) Errorf(string, ...any) {}
func (mute) Helper()               {}

// controls makes one leak on every surface, and each must be found: a search that
// finds nothing proves nothing unless it would have found something.
func (l *leaks) controls() {
	l.t.Helper()
	seeded := []struct {
		surface string
		leak    func(c *leaks, canary string)
	}{
		{"output of a command", func(c *leaks, s string) { c.text("", []byte("participant  "+s+"  ok\n")) }},
		{"log at debug level, text", func(c *leaks, s string) {
			c.logged(s, func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) })
		}},
		{"log at debug level, JSON", func(c *leaks, s string) {
			c.logged(s, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
		}},
		{"panic", func(c *leaks, s string) { c.text("", panicking(s)) }},
		{"error of strconv", func(c *leaks, s string) { _, err := strconv.Atoi(s); c.text("", []byte(err.Error())) }},
		{"error of time", func(c *leaks, s string) { _, err := time.Parse(time.RFC3339, s); c.text("", []byte(err.Error())) }},
		{"error of a URL", func(c *leaks, s string) { _, err := url.Parse(":" + s); c.text("", []byte(err.Error())) }},
		{"metrics, value of a label", func(c *leaks, s string) { c.served(metrics(s)) }},
		{"answer in JSON", func(c *leaks, s string) {
			c.served(body(s, func(s string) []byte { b, _ := json.Marshal(s); return b }))
		}},
		{"page in HTML", func(c *leaks, s string) {
			c.served(body(s, func(s string) []byte { return []byte(html.EscapeString(s)) }))
		}},
		{"link in a page", func(c *leaks, s string) {
			c.served(body(s, func(s string) []byte { return []byte(url.QueryEscape(s)) }))
		}},
		{"header of an answer", func(c *leaks, s string) {
			c.served(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "/?q="+url.QueryEscape(s)) }))
		}},
		{"temporary file, for a moment", (*leaks).momentary},
		{"name of a file", func(c *leaks, s string) { c.filed(url.PathEscape(s), nil) }},
		{"file of a release, as manifest.json", func(c *leaks, s string) { c.filed("manifest.json", fmt.Appendf(nil, `{"source":%q}`, s)) }},
		{"OpenLineage event", func(c *leaks, s string) {
			b, _ := json.Marshal(map[string]string{"producer": s})
			c.filed("events.ndjson", b)
		}},
		{"file in gzip", func(c *leaks, s string) {
			c.filed("a.gz", packed(s, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }))
		}},
		{"file in zstd", func(c *leaks, s string) {
			c.filed("a.zst", packed(s, func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }))
		}},
		{"text in a table", func(c *leaks, s string) { c.kept("text", s) }},
		{"list in a table", func(c *leaks, s string) { c.kept("text[]", []string{"a", s}) }},
		{"jsonb in a table", func(c *leaks, s string) { c.kept("jsonb", map[string]string{"to": s}) }},
		{"bytes in a table", func(c *leaks, s string) { c.kept("bytea", []byte("\x01\x02"+s)) }},
		{"gzip in a table", func(c *leaks, s string) {
			c.kept("bytea", packed(s, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }))
		}},
		{"payload of the audit log", func(c *leaks, s string) { c.keptIn("audit", "jsonb", map[string]string{"reason": s}) }},
		{"comment on a table", func(c *leaks, s string) {
			c.statement("COMMENT ON SCHEMA research IS " + quoted(s))
			c.copied("pg_description", "pg_description")
		}},
		{"statement, as the server counts it", func(c *leaks, s string) {
			c.statement("SET application_name TO " + quoted(s))
			c.copied("pg_stat_statements", "(SELECT query FROM pg_stat_statements)")
		}},
		{"parameter in the server's log", func(c *leaks, s string) { command(c.t, c.server, "SELECT $1::text", s); c.files("", c.server.Dir()) }},
		{"Parquet, value", func(c *leaks, s string) {
			c.part("", c.parted(s, parquet.WithDictionaryDefault(false), parquet.WithStats(false)))
		}},
		{"Parquet, dictionary", func(c *leaks, s string) {
			c.part("", c.parted(s, parquet.WithDictionaryDefault(true), parquet.WithStats(false)))
		}},
		{"Parquet, least and greatest value", func(c *leaks, s string) {
			whole, err := os.ReadFile(c.parted(s, parquet.WithStats(true)))
			c.must(err)
			c.text("", whole)
		}},
		{"Parquet, metadata of the file", func(c *leaks, s string) { c.part("", c.parted("", parquet.WithRootName(s))) }},
	}
	caught := 0
	for i, control := range seeded {
		classes := len(canarytest.Classes)
		canary := canarytest.Of(canarytest.Classes[i%classes], 17+i/classes) // of each its own
		c := &leaks{trial: l.trial, server: l.server, hunt: &hunt{tb: mute{l.t}, scanner: l.scanner}}
		control.leak(c, canary.Text)
		if !c.found[canary] {
			l.t.Errorf("control %d: %s, written on purpose, is not found as %s", i+1, canary, control.surface)
			continue
		}
		caught++
	}
	if len(seeded) < 25 {
		l.t.Errorf("only %d controls", len(seeded))
	}
	l.t.Logf("%d of %d controls are caught", caught, len(seeded))
}

func (l *leaks) logged(canary string, handler func(io.Writer) slog.Handler) {
	var b bytes.Buffer
	slog.New(handler(&b)).Info("row refused", "value", canary, "error", errors.New("of "+canary))
	l.text("", b.Bytes())
}

func panicking(canary string) (said []byte) {
	defer func() { said = fmt.Appendf(debug.Stack(), "panic: %v", recover()) }()
	panic("no participant " + canary)
}

func (l *leaks) served(handler http.Handler) {
	server := httptest.NewServer(handler)
	defer server.Close()
	l.asked("", server.URL)
}

func body(canary string, write func(string) []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(write(canary)) })
}

func metrics(canary string) http.Handler {
	registry := prometheus.NewRegistry()
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "refused"}, []string{"participant"})
	registry.MustRegister(refused)
	refused.WithLabelValues(canary).Inc()
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// momentary is a file that is there while something runs and gone afterwards.
func (l *leaks) momentary(canary string) {
	dir := l.t.TempDir()
	stop := l.watch(dir)
	path := filepath.Join(dir, "spool")
	l.must(os.WriteFile(path, []byte(canary), 0o600))
	time.Sleep(500 * time.Millisecond)
	l.must(os.Remove(path))
	stop()
}

func (l *leaks) filed(name string, text []byte) {
	dir := l.t.TempDir()
	l.must(os.WriteFile(filepath.Join(dir, name), text, 0o600))
	l.files("", dir)
}

func packed(text string, open func(io.Writer) io.WriteCloser) []byte {
	var b bytes.Buffer
	w := open(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

func (l *leaks) kept(kind string, value any) { l.keptIn("research", kind, value) }

// keptIn keeps a value in a table of its own, looks at the database, and takes
// the table away again.
func (l *leaks) keptIn(schema, kind string, value any) {
	l.statement("CREATE TABLE " + schema + ".leak (v " + kind + ")")
	command(l.t, l.server, "INSERT INTO "+schema+".leak VALUES ($1)", value)
	l.copied(schema+".leak", schema+".leak")
	if kind == "bytea" {
		l.archives(schema+".leak", "v")
	}
	l.statement("DROP TABLE " + schema + ".leak")
}

func (l *leaks) statement(sql string) { command(l.t, l.server, sql) }

func quoted(s string) string { return "$q$" + s + "$q$" }

// parted is a Parquet file with one column of this value, compressed.
func (l *leaks) parted(value string, options ...parquet.WriterProperty) string {
	path := filepath.Join(l.t.TempDir(), "leak.parquet")
	f, err := os.Create(path)
	l.must(err)
	schema := arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.BinaryTypes.String}}, nil)
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(append(options, parquet.WithCompression(compress.Codecs.Zstd))...),
		pqarrow.DefaultWriterProps())
	l.must(err)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for range 9 {
		b.Field(0).(*array.StringBuilder).Append(value)
	}
	record := b.NewRecord()
	defer record.Release()
	l.must(w.Write(record))
	l.must(w.Close())
	return path
}
