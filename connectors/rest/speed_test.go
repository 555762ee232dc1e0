package rest_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/rest"
	server "longitude/internal/edctest/rest"
)

// distant is a server 50 ms away, with 2,000 records a page, that answers one in a
// hundred requests with 429.
func distant(n int) *server.Server {
	return &server.Server{Records: records(n), Most: 2000, Latency: 50 * time.Millisecond, Fault: func(n int, _ *http.Request) server.Fault {
		if n%100 == 50 {
			return server.Fault{Status: http.StatusTooManyRequests}
		}
		return server.Fault{}
	}}
}

func (a *api) tenInFlight() {
	a.InFlight = 10
	a.Streams = []rest.Stream{{Name: "records", Path: "/page", Records: "/data",
		Pages: rest.Pages{By: "page", Parameter: "page", Count: "/page_count", Size: 2000, SizeName: "size"}}}
}

// Under load and refusals nothing is lost and nothing comes twice.
func TestNothingIsLostUnderLoad(t *testing.T) {
	const n = 9000
	s := distant(n)
	s.Most, s.Latency = 90, time.Millisecond
	a := newAPI(t, s)
	a.tenInFlight()
	p := a.all(connectors.Cursor{})
	if !slices.Equal(p.ids, idsOf(s.Records)) || p.pages != 100 || len(a.Asked()) != 101 {
		t.Errorf("%d records in %d pages, %d requests", len(p.ids), p.pages, len(a.Asked()))
	}
}

// BenchmarkDistantServer pulls 400,000 records; the target is 50,000 records a second.
func BenchmarkDistantServer(b *testing.B) {
	const n = 400_000
	s := distant(n)
	address, closing := s.Start()
	defer closing()
	a := &api{Server: s, Config: configOf(address)}
	a.tenInFlight()
	for b.Loop() {
		source, err := rest.Spec().Open(a.Config, connectortest.Runtime(io.Discard, ""))
		if err != nil {
			b.Fatal(err)
		}
		seen, start := 0, time.Now()
		for d, err := range source.Pull(b.Context(), connectors.Cursor{}) {
			if err != nil {
				b.Fatal(err)
			}
			r, err := d.Open(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil {
				b.Fatal(err)
			}
			if want := fmt.Sprintf(`"value":%d,`, seen); !strings.Contains(string(content[:200]), want) {
				b.Fatalf("the page with record %d is not the next", seen)
			}
			seen += 2000
		}
		if seen != n {
			b.Fatalf("%d records", seen)
		}
		b.ReportMetric(n/time.Since(start).Seconds(), "records/s")
		_ = source.Close()
	}
}
