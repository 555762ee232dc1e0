package gcs

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"longitude/sinks"
	"longitude/sinks/sinktest"
)

// TestLive runs the behaviour of sinks against Cloud Storage itself, below the place
// that LONGITUDE_LIVE_GCS names (gs://BUCKET/PREFIX), with the credentials of the
// environment. Use an account that may create and read and no more, and a bucket
// that deletes by age: what the test leaves it cannot delete. It costs some hundred
// small objects.
func TestLive(t *testing.T) {
	place := strings.TrimRight(os.Getenv("LONGITUDE_LIVE_GCS"), "/")
	if place == "" {
		t.Skip("LONGITUDE_LIVE_GCS names no bucket of Cloud Storage to publish into")
	}
	open := func(location string) *Sink {
		s, err := Spec().Open(&Config{Location: location}, sinks.Runtime{})
		if err != nil {
			t.Fatal(err)
		}
		return s.(*Sink)
	}
	sinktest.Run(t, sinktest.Harness{
		CreateOnly: true,
		New:        func(*testing.T) sinks.Sink { return open(place + "/test-" + strings.ToLower(rand.Text())) },
		Again:      func(_ *testing.T, s sinks.Sink) sinks.Sink { return open(s.(*Sink).location) },
		Visible: func(t *testing.T, s sinks.Sink, r sinks.Release) map[string][]byte {
			dir := t.TempDir()
			switch err := fetch(t.Context(), s.Location(r), dir, nil); {
			case code(err) == "sink.no_release":
				return nil
			case err != nil:
				t.Fatal(err)
			}
			return filesOf(t, dir)
		},
		Crash: func(_ *testing.T, p sinks.Publication) { _ = p.(*publication).uploads.wait() },
	})
}
