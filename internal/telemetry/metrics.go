// Package telemetry tells what Longitude does: metrics that count durable work
// only, logs that cannot carry a participant's data, and the three addresses a
// supervisor asks (/metrics, /livez, /readyz).
package telemetry

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"longitude/internal/status"
	"longitude/internal/webclient"
	"longitude/study"
)

// prefix starts the name of every metric of ours.
const prefix = "longitude_"

// Reads is what the metrics take from storage: totals once, at start, and the
// state of sources, releases and lineage events at every scrape.
type Reads interface {
	Totals(ctx context.Context) ([]status.Totals, error)
	Sources(ctx context.Context) ([]status.SourceStatus, error)
	Releases(ctx context.Context, study string) ([]status.Release, error)
	Outbox(ctx context.Context) (status.Outbox, error)
	Inboxes(ctx context.Context) ([]status.Inbox, error)
}

// Metrics is the registry of one process. Labels name studies, sources and
// closed lists of outcomes: never a participant, file, run or form. A nil
// *Metrics counts nothing, so that commands without a registry need no switch.
type Metrics struct {
	registry  *prometheus.Registry
	catalogue []entry
	now       func() time.Time

	rows, records                     *prometheus.CounterVec
	rowsUnaccounted, recsUnaccounted  *prometheus.GaugeVec
	runs, releases, refreshErrors     *prometheus.CounterVec
	noNews                            *prometheus.CounterVec
	runSeconds                        *prometheus.HistogramVec
	sourceInfo, failures, running     *prometheus.GaugeVec
	nextDue, quarantine, held, drift  *prometheus.GaugeVec
	releaseInfo, releasePublished     *prometheus.GaugeVec
	releaseRows, releaseBytes, tables *prometheus.GaugeVec
	untold, untoldAge, refusedEvents  *prometheus.GaugeVec
	freshness                         *freshness
	requests                          *prometheus.CounterVec
	requestSeconds                    *prometheus.HistogramVec
	inbox, inboxAge                   *prometheus.GaugeVec
	asked                             *prometheus.CounterVec
	askedSeconds                      *prometheus.HistogramVec

	mu        sync.Mutex // serialises refreshing
	refreshed time.Time
}

// entry is a line of the catalogue: what docs/metrics.md says of a metric.
type entry struct{ name, kind, help, labels string }

// Build says which program this is.
type Build struct{ Version, Revision string }

// New makes the registry. now is the clock that ages are computed with.
func New(b Build, now func() time.Time) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), now: now}
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.gauge("build_info", "The running program; always 1.", "version", "revision", "go_version").
		WithLabelValues(b.Version, b.Revision, runtime.Version()).Set(1)

	m.rows = m.counter("rows_total", "Rows of recorded objects: read = mapped + quarantined + ignored.", "study", "source", "outcome")
	m.rowsUnaccounted = m.gauge("rows_unaccounted", "Rows read that are neither mapped, quarantined nor ignored; must be 0.", "study", "source")
	m.records = m.counter("records_total", "Records made of rows: produced = accepted + unchanged + superseded + quarantined + held.", "study", "source", "outcome")
	m.recsUnaccounted = m.gauge("records_unaccounted", "Records produced that reached none of the outcomes; must be 0.", "study", "source")

	m.runs = m.counter("runs_total", "Finished runs.", "study", "source", "kind", "outcome")
	m.noNews = m.counter("source_runs_without_news_total", "Successful runs that found nothing new, by this process.", "study", "source")
	m.runSeconds = m.histogram("run_duration_seconds", "How long finished runs of this process took.",
		[]float64{1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400}, "kind", "outcome")

	m.sourceInfo = m.gauge("source_info", "A configured source; always 1.", "study", "source", "connector", "schedule")
	m.freshness = m.newFreshness()
	m.nextDue = m.gauge("source_next_due_timestamp_seconds", "When the schedule is due next.", "study", "source")
	m.running = m.gauge("source_running", "1 while a run of the source is under way.", "study", "source")
	m.failures = m.gauge("source_consecutive_failures", "Runs that failed since the last success.", "study", "source")
	m.quarantine = m.gauge("quarantine_open", "Quarantined rows that wait for a person.", "study", "source")
	m.held = m.gauge("held_records", "Records that wait for enrolment, consent or a reason.", "study", "source")
	m.drift = m.gauge("drift_events", "Changes of what a source's files look like, so far, by what they did: evolve, quarantine, freeze.", "study", "source", "action")

	m.releases = m.counter("releases_total", "Releases by what became of them.", "study", "outcome")
	m.releaseInfo = m.gauge("release_info", "The current release of a study; always 1.", "study", "release")
	m.releasePublished = m.gauge("release_last_published_timestamp_seconds", "When the current release was published.", "study")
	m.tables = m.gauge("release_tables", "Tables of the current release.", "study")
	m.releaseRows = m.gauge("release_rows", "Rows of the current release.", "study")
	m.releaseBytes = m.gauge("release_bytes", "Bytes of the current release.", "study")

	m.untold = m.gauge("lineage_events_waiting", "OpenLineage events that the receiver has not taken yet.")
	m.untoldAge = m.gauge("lineage_oldest_event_seconds", "How long the oldest of them waits; 0 when none does.")
	m.refusedEvents = m.gauge("lineage_events_refused", "OpenLineage events that the receiver refused for good; they stay in jobs.outbox.")

	m.requests = m.counter("webhook_requests_total", "Requests that were sent to webhook sources, by what became of them; source is unknown where there is no such source.", "study", "source", "outcome")
	m.requestSeconds = m.histogram("webhook_request_seconds", "How long requests waited for their answer: a 202 is given once the request is durable.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}, "outcome")
	m.inbox = m.gauge("inbox_waiting", "Requests that are durable in the inbox of a source, and have not been recorded.", "source")
	m.inboxAge = m.gauge("inbox_oldest_seconds", "How long the oldest of them waits.", "source")

	m.asked = m.counter("upstream_requests_total", "Requests that were sent to the servers of sources, each attempt, by how it ended.", "outcome")
	m.askedSeconds = m.histogram("upstream_request_seconds", "How long the servers of sources took to begin an answer.",
		[]float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60}, "outcome")

	m.refreshErrors = m.counter("refresh_errors_total", "Scrapes that could not read the state of sources, releases and lineage events from the database.")
	m.refreshErrors.WithLabelValues()
	return m
}

// Asked counts an attempt to ask the server of a source.
func (m *Metrics) Asked(e webclient.Exchange) {
	if m == nil {
		return
	}
	m.asked.WithLabelValues(e.Outcome).Inc()
	m.askedSeconds.WithLabelValues(e.Outcome).Observe(e.Took.Seconds())
}

func (m *Metrics) note(name, kind, help string, labels []string) string {
	m.catalogue = append(m.catalogue, entry{prefix + name, kind, help, strings.Join(labels, ", ")})
	return prefix + name
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.note(name, "counter", help, labels), Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.note(name, "gauge", help, labels), Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

// histogram keeps classic buckets beside the native ones: old servers see the former.
func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: m.note(name, "histogram", help, labels), Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
	m.registry.MustRegister(v)
	return v
}

// Seed sets the counters to what storage holds, so that a restart is not a
// reset. Call it once, before any work starts.
func (m *Metrics) Seed(ctx context.Context, reads Reads) error {
	totals, err := reads.Totals(ctx)
	if err != nil {
		return err
	}
	for _, t := range totals {
		m.count(t.Study, t.Source, t.Kind, t.State, t.Counts, float64(t.Runs))
	}
	releases, err := reads.Releases(ctx, "")
	if err != nil {
		return err
	}
	for _, r := range releases {
		if r.State == status.ReleasePublished || r.State == status.ReleaseFailed {
			m.ReleaseFinished(r.Study, r.State)
		}
	}
	return m.Refresh(ctx, reads)
}

// RunFinished counts a run whose end is durable. counts are those of the
// objects it recorded; outcome is a state of status.Run.
func (m *Metrics) RunFinished(study, source, kind, outcome string, counts study.Counts, took time.Duration) {
	if m == nil {
		return
	}
	m.count(study, source, kind, outcome, counts, 1)
	m.runSeconds.WithLabelValues(among(kinds, kind), among(outcomes, outcome)).Observe(took.Seconds())
}

// NothingNew counts a successful run of a source that recorded no object.
func (m *Metrics) NothingNew(study, source string) {
	if m != nil {
		m.noNews.WithLabelValues(study, source).Inc()
	}
}

// ReleaseFinished counts a release that was published, or that failed.
func (m *Metrics) ReleaseFinished(study, outcome string) {
	if m != nil {
		m.releases.WithLabelValues(study, among(releaseOutcomes, outcome)).Inc()
	}
}

var (
	kinds           = []string{status.KindSync, status.KindRelease, status.KindRejudge}
	outcomes        = []string{status.Succeeded, status.Failed, status.Interrupted}
	releaseOutcomes = []string{status.ReleasePublished, status.ReleaseFailed}
)

// among keeps a label inside its closed list, whatever the caller says.
func among(list []string, s string) string {
	if slices.Contains(list, s) {
		return s
	}
	return "other"
}

func (m *Metrics) count(study, source, kind, outcome string, c study.Counts, runs float64) {
	m.runs.WithLabelValues(study, source, among(kinds, kind), among(outcomes, outcome)).Add(runs)
	if source == "" {
		return // a run about a whole study reads no rows
	}
	add := func(v *prometheus.CounterVec, outcome string, n int64) {
		v.WithLabelValues(study, source, outcome).Add(float64(max(n, 0)))
	}
	add(m.rows, "read", c.Read)
	add(m.rows, "mapped", c.Mapped)
	add(m.rows, "quarantined", c.RowsQuarantined)
	add(m.rows, "ignored", c.Ignored)
	add(m.records, "produced", c.Produced)
	add(m.records, "accepted", c.Accepted)
	add(m.records, "unchanged", c.Unchanged)
	add(m.records, "superseded", c.Superseded)
	add(m.records, "quarantined", c.Quarantined)
	add(m.records, "held", c.Held)
	rows, records := c.Unaccounted()
	m.rowsUnaccounted.WithLabelValues(study, source).Add(float64(rows))
	m.recsUnaccounted.WithLabelValues(study, source).Add(float64(records))
}

// WriteCatalogue writes the metrics as a Markdown table, in the order they are
// registered.
func (m *Metrics) WriteCatalogue(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Metrics\n\nGenerated from the registry (`go test ./internal/telemetry -run Catalogue -update`). " +
		"Metrics count durable work only, take their start from the database, and never name a participant, a file, a run or a form. " +
		"Besides these there are the usual `go_*` and `process_*` metrics.\n\n" +
		"| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, e := range m.catalogue {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.name, e.kind, e.labels, e.help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
