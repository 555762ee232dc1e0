package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"longitude/internal/status"
	"longitude/study"
)

// refreshEvery bounds how often scrapes ask the database.
const refreshEvery = 10 * time.Second

// Refresh sets the gauges of sources, inboxes, releases and lineage events from storage. Sources that
// are no longer configured disappear.
func (m *Metrics) Refresh(ctx context.Context, reads Reads) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refresh(ctx, reads)
}

// refreshStale refreshes what is older than refreshEvery. A failure is counted
// and leaves the gauges as they were: a scrape must answer while the database is down.
func (m *Metrics) refreshStale(ctx context.Context, reads Reads) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now().Sub(m.refreshed) < refreshEvery {
		return
	}
	if m.refresh(ctx, reads) != nil {
		m.refreshErrors.WithLabelValues().Inc()
	}
}

func (m *Metrics) refresh(ctx context.Context, reads Reads) error {
	m.refreshed = m.now() // also when it fails: a database that is down is not asked at every scrape
	sources, err := reads.Sources(ctx)
	if err != nil {
		return err
	}
	releases, err := reads.Releases(ctx, "")
	if err != nil {
		return err
	}
	events, err := reads.Outbox(ctx)
	if err != nil {
		return err
	}
	inboxes, err := reads.Inboxes(ctx)
	if err != nil {
		return err
	}
	m.setInboxes(inboxes)
	m.untold.WithLabelValues().Set(float64(events.Waiting))
	m.untoldAge.WithLabelValues().Set(events.Oldest.Seconds())
	m.refusedEvents.WithLabelValues().Set(float64(events.Refused))
	m.setSources(sources)
	m.setReleases(releases)
	return nil
}

func (m *Metrics) setSources(sources []status.SourceStatus) {
	for _, g := range []*prometheus.GaugeVec{m.sourceInfo, m.failures, m.running, m.nextDue, m.quarantine, m.held, m.drift} {
		g.Reset()
	}
	ages := map[[2]string]time.Time{}
	for _, s := range sources {
		m.sourceInfo.WithLabelValues(s.Study, s.Source, s.Connector, s.Schedule).Set(1)
		m.failures.WithLabelValues(s.Study, s.Source).Set(float64(s.ConsecutiveFailures))
		m.quarantine.WithLabelValues(s.Study, s.Source).Set(float64(s.QuarantineOpen))
		for action, n := range map[study.DriftAction]int64{study.Evolve: s.Drift.Evolve, study.QuarantineDrift: s.Drift.Quarantine, study.Freeze: s.Drift.Freeze} {
			m.drift.WithLabelValues(s.Study, s.Source, string(action)).Set(float64(n))
		}
		m.held.WithLabelValues(s.Study, s.Source).Set(float64(s.HeldRecords))
		running := 0.0
		if s.Running {
			running = 1
		}
		m.running.WithLabelValues(s.Study, s.Source).Set(running)
		if s.NextDue != nil {
			m.nextDue.WithLabelValues(s.Study, s.Source).Set(seconds(*s.NextDue))
		}
		if s.LastSuccess != nil {
			ages[[2]string{s.Study, s.Source}] = *s.LastSuccess
		}
	}
	m.freshness.set(ages)
}

// setReleases shows the newest published release of each study.
func (m *Metrics) setReleases(releases []status.Release) {
	current := map[string]status.Release{}
	for _, r := range releases {
		if best, ok := current[r.Study]; r.State == status.ReleasePublished && (!ok || r.Number > best.Number) {
			current[r.Study] = r
		}
	}
	for _, g := range []*prometheus.GaugeVec{m.releaseInfo, m.releasePublished, m.tables, m.releaseRows, m.releaseBytes} {
		g.Reset()
	}
	for _, r := range current {
		m.releaseInfo.WithLabelValues(r.Study, r.ID).Set(1)
		m.tables.WithLabelValues(r.Study).Set(float64(r.Tables))
		m.releaseRows.WithLabelValues(r.Study).Set(float64(r.Rows))
		m.releaseBytes.WithLabelValues(r.Study).Set(float64(r.Bytes))
		if r.Published != nil {
			m.releasePublished.WithLabelValues(r.Study).Set(seconds(*r.Published))
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// freshness collects the last success of each source. Ages are computed when
// asked, so that they keep growing while the database is down.
type freshness struct {
	now     func() time.Time
	at, age *prometheus.Desc
	mu      sync.Mutex
	success map[[2]string]time.Time // by study and source
}

func (m *Metrics) newFreshness() *freshness {
	labels := []string{"study", "source"}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(m.note(name, "gauge", help, labels), help, labels, nil)
	}
	f := &freshness{now: m.now,
		at:  desc("source_last_success_timestamp_seconds", "When the source was last synced; absent before the first success."),
		age: desc("source_age_seconds", "Seconds since the source was last synced; absent before the first success."),
	}
	m.registry.MustRegister(f)
	return f
}

func (f *freshness) set(success map[[2]string]time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.success = success
}

// Describe implements prometheus.Collector.
func (f *freshness) Describe(ch chan<- *prometheus.Desc) { ch <- f.at; ch <- f.age }

// Collect implements prometheus.Collector.
func (f *freshness) Collect(ch chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for k, t := range f.success {
		ch <- prometheus.MustNewConstMetric(f.at, prometheus.GaugeValue, seconds(t), k[0], k[1])
		ch <- prometheus.MustNewConstMetric(f.age, prometheus.GaugeValue, now.Sub(t).Seconds(), k[0], k[1])
	}
}
