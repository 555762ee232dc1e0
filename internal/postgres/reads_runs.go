package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
	"longitude/study"
)

var _ status.Reads = (*Store)(nil)

// narrowing collects the conditions of a list. What the asker left empty does
// not narrow, and then no condition reaches the planner either.
type narrowing struct {
	conditions []string
	args       []any
}

func (n *narrowing) equal(column, value string) {
	if value != "" {
		n.add(column+" = $%d", value)
	}
}

func (n *narrowing) add(condition string, value any) {
	n.args = append(n.args, value)
	n.conditions = append(n.conditions, fmt.Sprintf(condition, len(n.args)))
}

// page is the rest of the statement: conditions, newest first, a bounded number.
func (n *narrowing) page(id string, p status.Page) string {
	if p.After > 0 {
		n.add(id+" < $%d", p.After)
	}
	limit := p.Limit
	if limit <= 0 {
		limit = 100
	}
	where := ""
	if len(n.conditions) > 0 {
		where = " WHERE " + strings.Join(n.conditions, " AND ")
	}
	return fmt.Sprintf("%s ORDER BY %s DESC LIMIT %d", where, id, limit)
}

// collect answers rows that the surfaces list; none is an empty slice.
func collect[T any](ctx context.Context, s *Store, what string, read pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := s.app.Query(ctx, sql, args...)
	if err != nil {
		return nil, fault(what, err)
	}
	out, err := pgx.AppendRows([]T{}, rows, read)
	return out, fault(what, err)
}

const (
	countColumns = `rows_read, rows_mapped, rows_quarantined, rows_ignored,
		records_produced, records_accepted, records_unchanged, records_superseded, records_quarantined, records_held, records_removed`
	runColumns = `run_id, kind, study, source, trigger, state, started_at, finished_at, objects, error_code, error_text, error_hint, ` + countColumns
)

// sumColumns adds up countColumns; nothing adds up to 0.
var sumColumns = "coalesce(sum(" + strings.Join(strings.Split(countColumns, ","), "), 0)::bigint, coalesce(sum(") + "), 0)::bigint"

// countsInto are the places for countColumns.
func countsInto(c *study.Counts) []any {
	return []any{&c.Read, &c.Mapped, &c.RowsQuarantined, &c.Ignored,
		&c.Produced, &c.Accepted, &c.Unchanged, &c.Superseded, &c.Quarantined, &c.Held, &c.Removed}
}

func readRun(row pgx.CollectableRow) (r status.Run, err error) {
	err = row.Scan(append([]any{&r.ID, &r.Kind, &r.Study, &r.Source, &r.Trigger, &r.State, &r.Started, &r.Finished, &r.Objects,
		&r.ErrorCode, &r.ErrorText, &r.ErrorHint}, countsInto(&r.Counts)...)...)
	r.Started, r.Finished, r.Outcome = utc(r.Started), utc(r.Finished), outcome(&r)
	return r, err
}

// outcome is what a finished sync, or replay, came to.
func outcome(r *status.Run) string {
	c := &r.Counts
	switch {
	case r.Kind != status.KindSync && r.Kind != status.KindReplay, r.State != status.Succeeded:
		return ""
	case c.RowsQuarantined+c.Quarantined > 0:
		return "rejections"
	case c.Accepted+c.Superseded+c.Held+c.Removed > 0:
		return "changed"
	}
	return "unchanged"
}

func utc(t *time.Time) *time.Time {
	if t != nil {
		*t = t.UTC()
	}
	return t
}

// Runs lists runs, newest first.
func (s *Store) Runs(ctx context.Context, f status.RunFilter) ([]status.Run, error) {
	var n narrowing
	n.equal("study", f.Study)
	n.equal("source", f.Source)
	n.equal("state", f.State)
	n.equal("kind", f.Kind)
	rest := n.page("run_id", f.Page)
	return collect(ctx, s, "list the runs", readRun, `SELECT `+runColumns+` FROM jobs.run`+rest, n.args...)
}

// Run answers one run.
func (s *Store) Run(ctx context.Context, id int64) (status.Run, error) {
	runs, err := collect(ctx, s, "read the run", readRun, `SELECT `+runColumns+` FROM jobs.run WHERE run_id = $1`, id)
	if err == nil && len(runs) == 0 {
		err = status.NotFound(fmt.Sprintf("run %d", id))
	}
	if err != nil {
		return status.Run{}, err
	}
	return runs[0], nil
}

// Totals sums the finished runs, so that counters carry on where the process before left off.
func (s *Store) Totals(ctx context.Context) ([]status.Totals, error) {
	read := func(row pgx.CollectableRow) (t status.Totals, err error) {
		err = row.Scan(append([]any{&t.Study, &t.Source, &t.Kind, &t.State, &t.Runs}, countsInto(&t.Counts)...)...)
		return t, err
	}
	return collect(ctx, s, "add up the runs", read, `
		SELECT study, source, kind, state, count(*), `+sumColumns+` FROM jobs.run WHERE state <> 'running'
		GROUP BY study, source, kind, state ORDER BY study, source, kind, state`)
}

// Releases lists the releases of a study, newest first; "" is every study. Where
// several sinks have it, the release is where it was published first.
func (s *Store) Releases(ctx context.Context, studyName string) ([]status.Release, error) {
	return collect(ctx, s, "list the releases", readRelease, `
		SELECT r.release_id, s.name, r.number, r.as_of, r.cutoff, r.planned_at, p.published_at, coalesce(p.location, ''),
		       coalesce(p.tables, 0), coalesce(p.rows, 0), coalesce(p.bytes, 0), coalesce(p.claim, ''), coalesce(encode(p.envelope_digest, 'hex'), '')
		FROM research.release r JOIN research.study s USING (study_id)
		LEFT JOIN LATERAL (SELECT * FROM research.release_publication p WHERE p.release_id = r.release_id ORDER BY published_at, sink LIMIT 1) p ON true
		WHERE $1 = '' OR s.name = $1
		ORDER BY r.planned_at DESC, r.number DESC, s.name`, studyName)
}

// Places lists where a release is published, in the order of that; none for a release
// that is not, or not known.
func (s *Store) Places(ctx context.Context, release string) ([]status.Place, error) {
	read := func(row pgx.CollectableRow) (p status.Place, err error) {
		err = row.Scan(&p.Sink, &p.Location, &p.Published)
		p.Published = p.Published.UTC()
		return p, err
	}
	return collect(ctx, s, "list the places of the release", read, `
		SELECT sink, location, published_at FROM research.release_publication WHERE release_id = $1 ORDER BY published_at, sink`, release)
}

func readRelease(row pgx.CollectableRow) (r status.Release, err error) {
	var asOf, cutoff dbDate
	err = row.Scan(&r.ID, &r.Study, &r.Number, &asOf, &cutoff, &r.Created, &r.Published, &r.Location,
		&r.Tables, &r.Rows, &r.Bytes, &r.Claim, &r.EnvelopeDigest)
	r.AsOf, r.Cutoff, r.Created, r.Published = asOf.date.String(), cutoff.date.String(), utc(r.Created), utc(r.Published)
	if r.State = status.ReleasePlanned; r.Published != nil {
		r.State = status.ReleasePublished
	}
	return r, err
}
