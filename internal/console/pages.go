package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"longitude/internal/status"
)

// perPage is how many rows a list shows at once.
const perPage = 50

type overviewPage struct {
	Sources          []status.SourceStatus
	Studies          []status.StudySummary
	Releases         []status.Release   // the newest few
	More             bool               // there are older ones
	Current          *status.Release    // the one published last
	Drift            []status.DriftItem // the newest few
	Asked            string             // the source that a sync was just asked for
	Failing, Running int
	Open, Held       int64
	CanSync          bool
}

func (c *console) overview(r *http.Request) (view, error) {
	ctx := r.Context()
	sources, err := c.Reads.Sources(ctx)
	if err != nil {
		return view{}, err
	}
	releases, err := c.Reads.Releases(ctx, "")
	if err != nil {
		return view{}, err
	}
	newest := releases[:min(len(releases), 5)]
	drift, err := c.Reads.Drift(ctx, status.DriftFilter{Page: status.Page{Limit: 3}})
	if err != nil {
		return view{}, err
	}
	p := overviewPage{Sources: sources, Drift: drift, Releases: newest, More: len(releases) > len(newest), CanSync: c.Trigger != nil}
	for i, v := range releases {
		if v.Published != nil && (p.Current == nil || v.Published.After(*p.Current.Published)) {
			p.Current = &releases[i]
		}
	}
	for _, s := range sources {
		p.Open += s.QuarantineOpen
		p.Held += s.HeldRecords
		switch {
		case s.Running:
			p.Running++
		case s.ConsecutiveFailures > 0:
			p.Failing++
		}
		if s.Source == r.FormValue("asked") {
			p.Asked = s.Source // only a name we know is shown
		}
	}
	p.Studies, err = c.studies(ctx, sources)
	return view{Title: "Overview", Section: "overview", Data: p}, err
}

// studies summarises every study that a source feeds. One that storage does not
// know yet is shown by its name.
func (c *console) studies(ctx context.Context, sources []status.SourceStatus) ([]status.StudySummary, error) {
	var out []status.StudySummary
	for _, s := range sources {
		if slices.ContainsFunc(out, func(have status.StudySummary) bool { return have.Study == s.Study }) {
			continue
		}
		summary, err := c.Reads.Summary(ctx, s.Study)
		if code, _ := status.Refusal(err); err != nil && code != http.StatusNotFound {
			return nil, err
		}
		summary.Study = s.Study
		out = append(out, summary)
	}
	return out, nil
}

// list is one page of rows with the filters that are on.
type list[T any] struct {
	Rows    []T
	Filters []filter // those that are on
	States  []choice
	Kinds   []choice
	Older   string // address of the next page, "" = none
}

type filter struct{ Name, Value, Without string }
type choice struct {
	Label, Address string
	On             bool
}

// listOf cuts rows to a page and makes the addresses of its filters. names are
// the parameters that filter, states and kinds the closed lists of the parameters
// of these names.
func listOf[T any](r *http.Request, rows []T, id func(T) int64, states, kinds []string, names ...string) list[T] {
	l := list[T]{Rows: rows}
	address := func(name, value string) string {
		q := url.Values{}
		for _, n := range append(slices.Clone(names), "state", "kind") {
			if v := r.FormValue(n); v != "" {
				q.Set(n, v)
			}
		}
		if q.Del(name); value != "" {
			q.Set(name, value)
		}
		if len(q) == 0 {
			return r.URL.Path
		}
		return r.URL.Path + "?" + q.Encode()
	}
	closed := func(name string, words []string) (all []choice) {
		if len(words) > 0 {
			all = []choice{{"all", address(name, ""), r.FormValue(name) == ""}}
		}
		for _, w := range words {
			all = append(all, choice{w, address(name, w), r.FormValue(name) == w})
		}
		return all
	}
	for _, n := range names {
		if v := r.FormValue(n); v != "" {
			l.Filters = append(l.Filters, filter{n, v, address(n, "")})
		}
	}
	l.States, l.Kinds = closed("state", states), closed("kind", kinds)
	if len(rows) > perPage {
		l.Rows = rows[:perPage]
		l.Older = address("after", strconv.FormatInt(id(rows[perPage-1]), 10))
	}
	return l
}

// paging asks for one row too many, which tells whether there are older ones.
func paging(r *http.Request) status.Page {
	after, _ := strconv.ParseInt(r.FormValue("after"), 10, 64) // not a number: from the newest
	return status.Page{Limit: perPage + 1, After: max(after, 0)}
}

func (c *console) runs(r *http.Request) (view, error) {
	rows, err := c.Reads.Runs(r.Context(), status.RunFilter{Study: r.FormValue("study"), Source: r.FormValue("source"),
		Kind: r.FormValue("kind"), State: r.FormValue("state"), Page: paging(r)})
	l := listOf(r, rows, func(v status.Run) int64 { return v.ID },
		[]string{status.Running, status.Succeeded, status.Failed, status.Interrupted},
		[]string{status.KindSync, status.KindReplay, status.KindRejudge, status.KindRelease}, "study", "source")
	return view{Title: "Runs", Section: "runs", Data: l}, err
}

type runPage struct {
	status.Run
	Rows, Records               []segment
	RowsMissing, RecordsMissing int64 // what the counts do not account for
}

func (c *console) run(r *http.Request) (view, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return view{}, status.NotFound("the run")
	}
	run, err := c.Reads.Run(r.Context(), id)
	n := run.Counts
	p := runPage{Run: run,
		Rows: bar(n.Read, part{"Mapped", "good", n.Mapped}, part{"Quarantined", "bad", n.RowsQuarantined}, part{"Ignored by mapping", "quiet", n.Ignored}),
		Records: bar(n.Produced, part{"Accepted", "good", n.Accepted}, part{"Unchanged", "calm", n.Unchanged}, part{"Superseded", "quiet", n.Superseded},
			part{"Held", "warn", n.Held}, part{"Quarantined", "bad", n.Quarantined})}
	p.RowsMissing, p.RecordsMissing = n.Unaccounted()
	return view{Title: "Run " + strconv.FormatInt(id, 10), Section: "runs", Data: p}, err
}

type studyPage struct {
	status.StudySummary
	VisitRows            []visitRow
	DeviationRows, Rules []countRow
	FindingRows          []countRow // by check
}

type visitRow struct {
	status.VisitRow
	Bar []segment
}

type countRow struct {
	Name, Kind      string
	Open, Explained int64
	Bar             []segment
}

func (c *console) study(r *http.Request) (view, error) {
	s, err := c.Reads.Summary(r.Context(), r.PathValue("study"))
	if err != nil {
		return view{}, err
	}
	p := studyPage{StudySummary: s}
	var most, mostOpen, mostRejected int64 = 1, 1, 1
	for _, v := range s.Visits {
		most = max(most, v.Completed+v.Missed+v.NotDone)
	}
	for _, v := range s.Visits { // one scale for all visits, so that their bars compare
		p.VisitRows = append(p.VisitRows, visitRow{v, bar(most, part{"in window", "good", v.InWindow}, part{"early", "early", v.Early},
			part{"late", "warn", v.Late}, part{"not judged", "calm", v.Undetermined}, part{"not done", "quiet", v.NotDone}, part{"missed", "bad", v.Missed})})
	}
	for _, d := range s.Deviations {
		mostOpen = max(mostOpen, d.Open+d.Explained)
	}
	for _, d := range s.Deviations {
		tone := "warn"
		if d.Kind == "violation" {
			tone = "bad"
		}
		p.DeviationRows = append(p.DeviationRows, countRow{d.Code, d.Kind, d.Open, d.Explained,
			bar(mostOpen, part{"open", tone, d.Open}, part{"explained", "quiet", d.Explained})})
	}
	p.FindingRows = findingRows(s.Findings)
	for _, q := range s.Quarantine {
		mostRejected = max(mostRejected, q.Count)
	}
	for _, q := range s.Quarantine {
		p.Rules = append(p.Rules, countRow{Name: q.Rule, Open: q.Count, Bar: bar(mostRejected, part{"open", "bad", q.Count})})
	}
	return view{Title: or(s.Title, s.Study), Section: "overview", Data: p}, nil
}

// findingRows draws what checks across forms have found, a row per check.
func findingRows(findings []status.CheckCount) (rows []countRow) {
	var most int64 = 1
	for _, f := range findings {
		most = max(most, f.Open+f.Explained)
	}
	for _, f := range findings {
		rows = append(rows, countRow{f.Check, f.Form, f.Open, f.Explained, bar(most, part{"open", "warn", f.Open}, part{"explained", "quiet", f.Explained})})
	}
	return rows
}

func (c *console) participant(r *http.Request) (view, error) {
	t, err := c.Reads.Timeline(r.Context(), r.PathValue("study"), r.PathValue("code"))
	return view{Title: t.Code, Section: "overview", Data: participantPage{t, draw(t)}}, err
}

type participantPage struct {
	status.Timeline
	Drawing drawing
}

func (c *console) releases(r *http.Request) (view, error) {
	rows, err := c.Reads.Releases(r.Context(), r.FormValue("study"))
	return view{Title: "Releases", Section: "releases", Data: rows}, err
}

func (c *console) release(r *http.Request) (view, error) {
	rows, err := c.Reads.Releases(r.Context(), "")
	if err != nil {
		return view{}, err
	}
	for _, v := range rows {
		if v.ID == r.PathValue("id") {
			return view{Title: v.ID, Section: "releases", Data: v}, nil
		}
	}
	return view{}, status.NotFound("the release")
}
