package telemetry

import (
	"cmp"
	"time"

	"longitude/internal/receive"
	"longitude/internal/status"
)

// Requested counts a request that was sent to a webhook source, "" where there is no
// such source, and how long its answer took.
func (m *Metrics) Requested(study, source, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	outcome = among(receive.Outcomes, outcome)
	m.requests.WithLabelValues(study, cmp.Or(source, "unknown"), outcome).Inc()
	m.requestSeconds.WithLabelValues(outcome).Observe(took.Seconds())
}

func (m *Metrics) setInboxes(all []status.Inbox) {
	m.inbox.Reset()
	m.inboxAge.Reset()
	for _, in := range all {
		m.inbox.WithLabelValues(in.Source).Set(float64(in.Waiting))
		m.inboxAge.WithLabelValues(in.Source).Set(in.Oldest)
	}
}
