package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"longitude/internal/status"
	"longitude/internal/webclient"
	"longitude/study"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

var noon = time.Date(2026, 1, 13, 12, 0, 0, 0, time.UTC)

// held is a storage that answers what it holds, or err.
type held struct {
	totals   []status.Totals
	sources  []status.SourceStatus
	releases []status.Release
	err      error
	asked    int
}

func (h *held) Totals(context.Context) ([]status.Totals, error) { return h.totals, h.err }
func (h *held) Inboxes(context.Context) ([]status.Inbox, error) {
	return []status.Inbox{{Source: "edc", Waiting: 7, Oldest: 2.5}}, h.err
}

func (h *held) Outbox(context.Context) (status.Outbox, error) {
	return status.Outbox{Waiting: 5, Oldest: 90 * time.Second, Refused: 1}, h.err
}

func (h *held) Sources(context.Context) ([]status.SourceStatus, error) {
	h.asked++
	return h.sources, h.err
}
func (h *held) Releases(context.Context, string) ([]status.Release, error) {
	return h.releases, h.err
}

func full() *held {
	hour, day := noon.Add(-time.Hour), noon.Add(-24*time.Hour)
	return &held{
		totals: []status.Totals{
			{Study: "amd", Source: "drop", Kind: status.KindSync, State: status.Succeeded, Runs: 3, Counts: balanced()},
			{Study: "amd", Kind: status.KindRelease, State: status.Succeeded, Runs: 2},
		},
		sources: []status.SourceStatus{
			{Study: "amd", Source: "drop", Connector: "sftp", Schedule: "*/15 * * * *", LastSuccess: &hour, NextDue: &noon,
				Running: true, ConsecutiveFailures: 2, QuarantineOpen: 7, HeldRecords: 4},
			{Study: "amd", Source: "new", Connector: "folder"},
		},
		releases: []status.Release{
			{ID: "amd_r002", Study: "amd", Number: 2, State: status.ReleasePublished, Published: &day, Rows: 900, Bytes: 12345, Tables: 9},
			{ID: "amd_r001", Study: "amd", Number: 1, State: status.ReleasePublished, Published: &day},
			{ID: "amd_r003", Study: "amd", Number: 3, State: status.ReleaseFailed},
		},
	}
}

func balanced() study.Counts {
	return study.Counts{Read: 10, Mapped: 8, RowsQuarantined: 1, Ignored: 1,
		Produced: 12, Accepted: 6, Unchanged: 3, Superseded: 1, Quarantined: 1, Held: 1}
}

func newMetrics(now *time.Time) *Metrics {
	return New(Build{"1.2.3", "abc"}, func() time.Time { return *now })
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics answered %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func want(t *testing.T, scraped string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(scraped, "\n"+l+"\n") {
			name, _, _ := strings.Cut(l, "{")
			var near []string
			for s := range strings.Lines(scraped) {
				if strings.HasPrefix(s, name) {
					near = append(near, s)
				}
			}
			t.Errorf("no line %q; there is\n%s", l, strings.Join(near, ""))
		}
	}
}

func ok(context.Context) error { return nil }

func TestSeedThenCount(t *testing.T) {
	now := noon
	m, reads := newMetrics(&now), full()
	if err := m.Seed(t.Context(), reads); err != nil {
		t.Fatal(err)
	}
	m.RunFinished("amd", "drop", status.KindSync, status.Succeeded, balanced(), 20*time.Second)
	m.RunFinished("amd", "drop", status.KindSync, "exploded", study.Counts{Read: 5, Mapped: 3, Produced: 1}, time.Second)
	m.ReleaseFinished("amd", status.ReleasePublished)
	m.NothingNew("amd", "drop")
	want(t, scrape(t, Admin(m, reads, Health{ok, ok, func() bool { return false }})),
		`longitude_build_info{go_version="`+runtime.Version()+`",revision="abc",version="1.2.3"} 1`,
		`longitude_runs_total{kind="sync",outcome="succeeded",source="drop",study="amd"} 4`,
		`longitude_runs_total{kind="sync",outcome="other",source="drop",study="amd"} 1`,
		`longitude_runs_total{kind="release",outcome="succeeded",source="",study="amd"} 2`,
		`longitude_rows_total{outcome="read",source="drop",study="amd"} 25`,
		`longitude_rows_total{outcome="mapped",source="drop",study="amd"} 19`,
		`longitude_rows_total{outcome="quarantined",source="drop",study="amd"} 2`,
		`longitude_records_total{outcome="superseded",source="drop",study="amd"} 2`,
		`longitude_rows_unaccounted{source="drop",study="amd"} 2`,
		`longitude_records_unaccounted{source="drop",study="amd"} 1`,
		`longitude_run_duration_seconds_count{kind="sync",outcome="succeeded"} 1`,
		`longitude_source_info{connector="sftp",schedule="*/15 * * * *",source="drop",study="amd"} 1`,
		`longitude_source_age_seconds{source="drop",study="amd"} 3600`,
		`longitude_source_runs_without_news_total{source="drop",study="amd"} 1`,
		`longitude_source_consecutive_failures{source="drop",study="amd"} 2`,
		`longitude_source_running{source="drop",study="amd"} 1`,
		`longitude_quarantine_open{source="drop",study="amd"} 7`,
		`longitude_held_records{source="drop",study="amd"} 4`,
		`longitude_releases_total{outcome="published",study="amd"} 3`,
		`longitude_releases_total{outcome="failed",study="amd"} 1`,
		`longitude_release_info{release="amd_r002",study="amd"} 1`,
		`longitude_release_rows{study="amd"} 900`,
		`longitude_release_tables{study="amd"} 9`,
		`longitude_lineage_events_waiting 5`,
		`longitude_lineage_oldest_event_seconds 90`,
		`longitude_lineage_events_refused 1`,
	)
}

func TestSourceThatNeverSucceededHasNoAge(t *testing.T) {
	now := noon
	m, reads := newMetrics(&now), full()
	if err := m.Refresh(t.Context(), reads); err != nil {
		t.Fatal(err)
	}
	if s := scrape(t, Admin(m, reads, Health{})); strings.Contains(s, `source_age_seconds{source="new"`) {
		t.Error("a source without a success has an age")
	}
}

func TestScrapeWhileTheDatabaseIsDown(t *testing.T) {
	now := noon
	m, reads := newMetrics(&now), full()
	if err := m.Seed(t.Context(), reads); err != nil {
		t.Fatal(err)
	}
	admin := Admin(m, reads, Health{})
	reads.err = errors.New("down")
	scrape(t, admin) // fresh enough: the database is not asked
	if reads.asked != 1 {
		t.Fatalf("storage asked %d times, want 1", reads.asked)
	}
	now = now.Add(time.Minute)
	want(t, scrape(t, admin),
		"longitude_refresh_errors_total 1",
		`longitude_source_age_seconds{source="drop",study="amd"} 3660`, // ages without the database
		`longitude_quarantine_open{source="drop",study="amd"} 7`)
	scrape(t, admin)
	if reads.asked != 2 {
		t.Errorf("storage asked %d times, want 2: a database that is down is left alone", reads.asked)
	}
	reads.err, reads.sources = nil, reads.sources[1:]
	now = now.Add(time.Minute)
	if s := scrape(t, admin); strings.Contains(s, `source="drop",study="amd",`) || strings.Contains(s, `quarantine_open{source="drop"`) {
		t.Error("a source that is gone still has gauges")
	}
}

func TestSeedFails(t *testing.T) {
	now := noon
	if err := newMetrics(&now).Seed(t.Context(), &held{err: errors.New("down")}); err == nil {
		t.Error("Seed without a database succeeded")
	}
}

func TestNilMetricsCountNothing(t *testing.T) {
	var m *Metrics
	m.RunFinished("amd", "drop", status.KindSync, status.Succeeded, balanced(), 0)
	m.ReleaseFinished("amd", status.ReleasePublished)
	m.NothingNew("amd", "drop")
	m.Requested("amd", "edc", "accepted", time.Millisecond)
	m.Asked(webclient.Exchange{Outcome: "ok"})
}

func TestConventions(t *testing.T) {
	now := noon
	m := newMetrics(&now)
	if err := m.Seed(t.Context(), full()); err != nil {
		t.Fatal(err)
	}
	m.RunFinished("amd", "drop", status.KindSync, status.Succeeded, balanced(), time.Second)
	m.NothingNew("amd", "drop")
	m.Requested("", "", "a sender's own words", time.Millisecond)
	m.Asked(webclient.Exchange{Outcome: "ok", Took: time.Millisecond})
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	gathered := map[string]bool{}
	for _, f := range families {
		gathered[f.GetName()] = true
		for _, l := range f.GetMetric()[0].GetLabel() {
			switch l.GetName() {
			case "participant", "file", "object", "run", "form", "field":
				t.Errorf("%s has a label %s", f.GetName(), l.GetName())
			}
		}
	}
	for _, e := range m.catalogue {
		if !gathered[e.name] {
			t.Errorf("%s is in the catalogue and nothing ever sets it", e.name)
		}
	}
}

func TestCatalogue(t *testing.T) {
	const page = "../../docs/metrics.md"
	now := noon
	var b bytes.Buffer
	if err := newMetrics(&now).WriteCatalogue(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Error("docs/metrics.md does not describe the registry; run this test with -update")
	}
}

func TestHealth(t *testing.T) {
	down := &study.Error{Code: "postgres.unreachable", Op: "reaching the database", Temporary: true}
	fail := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	for _, c := range []struct {
		name   string
		health Health
		code   int
		want   map[string]string
	}{
		{"ready", Health{ok, ok, func() bool { return false }}, 200, map[string]string{"database": "ok", "migrations": "ok", "draining": "ok"}},
		{"database down", Health{fail(down), ok, func() bool { return false }}, 503, map[string]string{"database": "postgres.unreachable", "migrations": "ok", "draining": "ok"}},
		{"old migrations", Health{ok, fail(errors.New("secret text")), func() bool { return false }}, 503, map[string]string{"database": "ok", "migrations": "failed", "draining": "ok"}},
		{"draining", Health{ok, ok, func() bool { return true }}, 503, map[string]string{"database": "ok", "migrations": "ok", "draining": "yes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := noon
			server := httptest.NewServer(Admin(newMetrics(&now), &held{}, c.health))
			defer server.Close()
			if code, _ := get(t, server.URL+"/livez"); code != 200 {
				t.Errorf("/livez answered %d", code)
			}
			code, body := get(t, server.URL+"/readyz")
			if code != c.code {
				t.Errorf("/readyz answered %d, want %d", code, c.code)
			}
			got := map[string]string{}
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			for k, v := range c.want {
				if got[k] != v {
					t.Errorf("%s is %q, want %q", k, got[k], v)
				}
			}
		})
	}
}

func get(t *testing.T, url string) (int, []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func TestLogCannotCarryWhatNobodyAllowed(t *testing.T) {
	const canary = "Mary Quincey"
	_, parse := strconv.Atoi(canary)
	var b bytes.Buffer
	log := NewLogger(&b, slog.LevelDebug)
	log.Info("run finished", "patient", canary, canary, "x", "source", "drop", "error", parse)
	log.Info("run finished", "counts", struct{ Name string }{canary}, "rows", []string{canary})
	log.Info("run finished", slog.Group("nested", "name", canary, "took", 1500*time.Millisecond))
	log.With("patient", canary).WithGroup(`g`).Info("run finished", "mrn", canary)
	log.Info("run finished", "error", &study.Error{Code: "sftp.unreachable", Op: "reaching the source drop"}, "counts", balanced())
	log.Info("run finished", "op", strings.Repeat("é", 600))
	if strings.Contains(b.String(), canary) {
		t.Errorf("the log carries a participant's name:\n%s", &b)
	}
	for _, part := range []string{`"patient":"[redacted]"`, `"source":"drop"`, `"error":"*strconv.NumError"`, `"took":"1.5s"`,
		`reaching the source drop [sftp.unreachable]`, `"rows_read":10`} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("the log lacks %s:\n%s", part, &b)
		}
	}
	for line := range strings.Lines(b.String()) {
		if !json.Valid([]byte(line)) || len(line) > 2*longValue+200 {
			t.Errorf("not one short JSON object: %s", line)
		}
	}
}

func TestLogLevel(t *testing.T) {
	var b bytes.Buffer
	NewLogger(&b, slog.LevelWarn).Info("run finished")
	if b.Len() != 0 {
		t.Errorf("an info line at level warn: %s", &b)
	}
}
