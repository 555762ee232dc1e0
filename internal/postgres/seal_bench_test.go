package postgres

import "testing"

// waitingEvents records events in bulk that wait to be sealed, as large as most are.
func waitingEvents(b *testing.B, s *Store, n int) {
	b.Helper()
	if _, err := as(b, s, "").Exec(b.Context(), `
		WITH added AS (INSERT INTO audit.event (action, actor, object, leaf)
		  SELECT 'export.made', 'test', 'x', convert_to('{"action":"export.made","actor":"test","object":"x","detail":{"n":' || n || ',"pad":"' || repeat('x', 400) || '"}}', 'UTF8')
		  FROM generate_series(1, $1::int) n RETURNING event_id)
		INSERT INTO jobs.unsealed SELECT event_id FROM added`, n); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSealing measures sealing alone, of events that wait already.
func BenchmarkSealing(b *testing.B) {
	s := open(b)
	const events = 50_000
	for b.Loop() {
		b.StopTimer()
		waitingEvents(b, s, events)
		b.StartTimer()
		if _, n, err := s.Seal(b.Context(), signerOf(b, "a")); err != nil || n != events {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkVerifying measures the verification of a log.
func BenchmarkVerifying(b *testing.B) {
	s := open(b)
	const events = 200_000
	waitingEvents(b, s, events)
	seal(b, s)
	if _, err := as(b, s, "").Exec(b.Context(), "ANALYZE"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if r, err := s.VerifyAudit(b.Context(), signerOf(b, "a").Policy(), nil, true); err != nil || r.Err() != nil || r.Size != events {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}
