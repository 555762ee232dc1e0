package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
)

// ConfiguredSource is what the read model shows of a source and the database
// does not know. Cron is empty where the source is synced by hand.
type ConfiguredSource struct{ Name, Study, Connector, Cron string }

// Configure says which sources there are. Sources lists these and no others.
func (s *Store) Configure(sources []ConfiguredSource) {
	sources = slices.SortedFunc(slices.Values(sources), func(a, b ConfiguredSource) int {
		return cmp.Or(cmp.Compare(a.Study, b.Study), cmp.Compare(a.Name, b.Name))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources = sources
}

// Sources lists every configured source, by study and name.
func (s *Store) Sources(ctx context.Context) ([]status.SourceStatus, error) {
	s.mu.Lock()
	configured := s.sources
	s.mu.Unlock()
	out := make([]status.SourceStatus, len(configured))
	names, at := make([]string, len(configured)), make(map[string]*status.SourceStatus, len(configured))
	for i, c := range configured {
		out[i] = status.SourceStatus{Study: c.Study, Source: c.Name, Connector: c.Connector, Schedule: c.Cron}
		names[i], at[c.Name] = c.Name, &out[i]
	}
	for _, read := range []func(context.Context, []string, map[string]*status.SourceStatus) error{
		s.lastRuns, s.progress, s.openQuarantine, s.heldRecords, s.driftCounts} {
		if err := read(ctx, names, at); err != nil {
			return nil, fault("read the state of the sources", err)
		}
	}
	return out, nil
}

func (s *Store) lastRuns(ctx context.Context, names []string, at map[string]*status.SourceStatus) error {
	runs, err := collect(ctx, s, "read the last runs", readRun, `
		SELECT `+runColumns+` FROM unnest($1::text[]) c(name)
		CROSS JOIN LATERAL (SELECT * FROM jobs.run WHERE source = c.name ORDER BY run_id DESC LIMIT 1) r`, names)
	for i := range runs {
		source := at[runs[i].Source]
		source.LastRun, source.Running = &runs[i], runs[i].State == status.Running
	}
	return err
}

// progress reads the last success of each source and what has failed since. The
// age is told by the clock that dated the run: the database's.
func (s *Store) progress(ctx context.Context, names []string, at map[string]*status.SourceStatus) error {
	rows, err := s.app.Query(ctx, `
		SELECT c.name, ok.finished_at, coalesce(extract(epoch FROM clock_timestamp() - ok.finished_at)::bigint, 0), s.next_due,
		       coalesce(bad.failures, 0), coalesce(last.error_code, ''), coalesce(last.error_text, '')
		FROM unnest($1::text[]) c(name)
		LEFT JOIN jobs.schedule s ON s.source = c.name
		LEFT JOIN LATERAL (SELECT run_id, finished_at FROM jobs.run
		  WHERE source = c.name AND state = 'succeeded' ORDER BY run_id DESC LIMIT 1) ok ON true
		LEFT JOIN LATERAL (SELECT count(*) AS failures, max(run_id) AS run_id FROM jobs.run
		  WHERE source = c.name AND state = 'failed' AND run_id > coalesce(ok.run_id, 0)) bad ON true
		LEFT JOIN jobs.run last ON last.run_id = bad.run_id`, names)
	if err != nil {
		return err
	}
	var name, code, text string
	var success, due *time.Time
	var age int64
	var failures int
	_, err = pgx.ForEachRow(rows, []any{&name, &success, &age, &due, &failures, &code, &text}, func() error {
		source := at[name]
		source.LastSuccess, source.AgeSeconds, source.ConsecutiveFailures = utc(success), age, failures
		source.LastErrorCode, source.LastErrorText = code, text
		if source.Schedule != "" {
			source.NextDue = utc(due)
		}
		return nil
	})
	return err
}

func (s *Store) openQuarantine(ctx context.Context, _ []string, at map[string]*status.SourceStatus) error {
	return s.countBySource(ctx, `
		SELECT q.source, count(*) FROM research.quarantine q JOIN research.quarantine_current c USING (quarantine_id)
		WHERE c.state = 'open' GROUP BY q.source`, func(source string, n int64) {
		if c := at[source]; c != nil {
			c.QuarantineOpen = n
		}
	})
}

// heldRecords counts a held record for the source that its current version came
// from, whichever source brought the reason to hold it.
func (s *Store) heldRecords(ctx context.Context, _ []string, at map[string]*status.SourceStatus) error {
	return s.countBySource(ctx, `
		SELECT b.source, count(*) FROM research.hold_current h
		CROSS JOIN LATERAL (SELECT batch_id FROM research.record_version v
		  WHERE v.participant_id = h.participant_id AND v.form_id = h.form_id AND v.visit_no = h.visit_no
		    AND v.occurrence = h.occurrence AND v.op <> 'h' ORDER BY v.version DESC LIMIT 1) v
		JOIN research.batch b ON b.batch_id = v.batch_id GROUP BY b.source`, func(source string, n int64) {
		if c := at[source]; c != nil {
			c.HeldRecords = n
		}
	})
}

func (s *Store) driftCounts(ctx context.Context, names []string, at map[string]*status.SourceStatus) error {
	rows, err := s.app.Query(ctx, `
		SELECT source, count(*) FILTER (WHERE action = 'evolve'), count(*) FILTER (WHERE action = 'quarantine'), count(*) FILTER (WHERE action = 'freeze')
		FROM research.drift_event WHERE source = ANY ($1) GROUP BY source`, names)
	if err != nil {
		return err
	}
	var name string
	var n status.DriftCount
	_, err = pgx.ForEachRow(rows, []any{&name, &n.Evolve, &n.Quarantine, &n.Freeze}, func() error {
		at[name].Drift = n
		return nil
	})
	return err
}

func (s *Store) countBySource(ctx context.Context, sql string, take func(source string, n int64)) error {
	rows, err := s.app.Query(ctx, sql)
	if err != nil {
		return err
	}
	var source string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&source, &n}, func() error {
		take(source, n)
		return nil
	})
	return err
}
