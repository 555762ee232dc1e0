package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"longitude/study"
)

// Health is what readiness rests on: the database, its migrations, and that the
// process is not on its way out. Sources and sinks are not here: a source that
// is down is no reason to take the status page away.
type Health struct {
	Database   func(context.Context) error // reachable
	Migrations func(context.Context) error // current
	Draining   func() bool                 // taking no new work
}

// probeTimeout bounds what a probe or a scrape waits for the database.
const probeTimeout = 3 * time.Second

// Admin serves /metrics, /livez and /readyz. They name no participant and no
// secret, but belong on an address that only the platform reaches.
func Admin(m *Metrics, reads Reads, h Health) http.Handler {
	mux := http.NewServeMux()
	scrape := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
		defer cancel()
		m.refreshStale(ctx, reads)
		scrape.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
		defer cancel()
		code, checks := h.ready(ctx)
		answer(w, code, checks)
	})
	return mux
}

// ready asks each check and says "ok" or the code of its error, by name.
func (h Health) ready(ctx context.Context) (int, map[string]string) {
	code, checks := http.StatusOK, map[string]string{}
	note := func(name, verdict string) {
		if checks[name] = verdict; verdict != "ok" {
			code = http.StatusServiceUnavailable
		}
	}
	note("database", verdict(h.Database(ctx)))
	note("migrations", verdict(h.Migrations(ctx)))
	if h.Draining() {
		note("draining", "yes")
	} else {
		note("draining", "ok")
	}
	return code, checks
}

func verdict(err error) string {
	var e *study.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return e.Code
	}
	return "failed"
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the prober has gone; nothing to do
}
