package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"longitude/internal/status"
	"longitude/study"
)

type routes struct{ Options }

func (rt routes) register(a huma.API) {
	get := func(path, id, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: Root + path, Summary: summary,
			Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusServiceUnavailable}}
	}
	huma.Register(a, get("/health", "health", "How the service is doing, in one line"), rt.health)
	huma.Register(a, get("/sources", "list-sources", "Every source and its last run"), rt.sources)
	huma.Register(a, get("/sources/{name}", "get-source", "One source"), rt.source)
	sync := get("/sources/{name}/sync", "sync-source", "Sync a source now")
	sync.Method, sync.DefaultStatus = http.MethodPost, http.StatusAccepted
	sync.Errors = append(sync.Errors, http.StatusConflict, http.StatusUnsupportedMediaType)
	huma.Register(a, sync, rt.sync)
	huma.Register(a, get("/runs", "list-runs", "Runs, newest first"), rt.runs)
	huma.Register(a, get("/runs/{id}", "get-run", "One run"), rt.run)
	huma.Register(a, get("/studies/{study}/summary", "get-study-summary", "Enrolment, visits, deviations and quarantine of a study"), rt.summary)
	huma.Register(a, get("/studies/{study}/participants", "list-participants", "Participants at a glance, the newest first"), rt.participants)
	huma.Register(a, get("/studies/{study}/participants/{code}/timeline", "get-timeline", "Visits of a participant against their windows"), rt.timeline)
	huma.Register(a, get("/studies/{study}/participants/{code}/history", "get-history", "What became of a participant's records, field by field"), rt.history)
	huma.Register(a, get("/quarantine", "list-quarantine", "Rejected rows, newest first"), rt.quarantine)
	huma.Register(a, get("/quarantine/{id}", "get-quarantined", "One rejected row: where it is and what its rule means, never what it says"), rt.quarantinedRow)
	huma.Register(a, get("/files", "list-files", "What became of the files of sources, newest first"), rt.files)
	huma.Register(a, get("/deviations", "list-deviations", "Departures from the protocol, newest first"), rt.deviations)
	huma.Register(a, get("/decisions", "list-decisions", "What people decided, newest first"), rt.decisions)
	huma.Register(a, get("/locks", "list-locks", "Locks, newest first; one that was lifted says so"), rt.locks)
	huma.Register(a, get("/drift", "list-drift", "Changes of what the files of sources look like, newest first"), rt.drift)
	huma.Register(a, get("/sources/{name}/shape", "get-shape", "What the files of a source look like, as accepted last"), rt.shape)
	huma.Register(a, get("/releases", "list-releases", "Releases, newest first"), rt.releases)
	huma.Register(a, get("/releases/{id}", "get-release", "One release"), rt.release)
	rt.registerDesk(a)
}

// reply is a response with a body and nothing else.
type reply[T any] struct{ Body T }

// List is one page of a list.
type List[T any] struct {
	Items []T   `json:"items" nullable:"false"`
	Next  int64 `json:"next,omitempty" doc:"Pass it as after to get the next page; absent on the last one"`
}

func answer[T any](rt routes, v T, err error) (*reply[T], error) {
	if err != nil {
		return nil, rt.refuse(err)
	}
	return &reply[T]{v}, nil
}

// refuse tells the caller what it may know of err, and the log what it was.
func (rt routes) refuse(err error) *Problem {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError && rt.Logger != nil {
		rt.Logger.Error("status API request failed", "error", err, "code", p.Code)
	}
	return p
}

// page cuts what storage gave for limit+1 rows to limit, and says where the
// next page starts.
func page[T any](items []T, limit int, id func(T) int64) List[T] {
	l := List[T]{Items: append([]T{}, items...)}
	if limit > 0 && len(items) > limit {
		l.Items = l.Items[:limit]
		l.Next = id(l.Items[limit-1])
	}
	return l
}

// Paging is the part of a request that walks through a list.
type Paging struct {
	Limit int   `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Rows at most"`
	After int64 `query:"after" minimum:"0" doc:"The next of the previous page"`
}

// more asks for one row too many, which tells whether there is a next page.
func (p Paging) more() status.Page { return status.Page{Limit: p.Limit + 1, After: p.After} }

// Health is the state of the service in one line.
type Health struct {
	Status         string `json:"status" enum:"ok,degraded" doc:"degraded: a source is failing"`
	Version        string `json:"version"`
	Sources        int    `json:"sources"`
	Failing        int    `json:"failing" doc:"Sources whose last run failed"`
	Running        int    `json:"running"`
	QuarantineOpen int64  `json:"quarantine_open"`
	HeldRecords    int64  `json:"held_records"`
}

func (rt routes) health(ctx context.Context, _ *struct{}) (*reply[Health], error) {
	sources, err := rt.Reads.Sources(ctx)
	h := Health{Status: "ok", Version: rt.Version, Sources: len(sources)}
	for _, s := range sources {
		h.QuarantineOpen += s.QuarantineOpen
		h.HeldRecords += s.HeldRecords
		if s.Running {
			h.Running++
		}
		if s.ConsecutiveFailures > 0 {
			h.Failing++
			h.Status = "degraded"
		}
	}
	return answer(rt, h, err)
}

func (rt routes) sources(ctx context.Context, _ *struct{}) (*reply[List[status.SourceStatus]], error) {
	sources, err := rt.Reads.Sources(ctx)
	return answer(rt, page(sources, 0, nil), err)
}

// Named names one thing in the path.
type Named struct {
	Name string `path:"name" maxLength:"200"`
}

func (rt routes) source(ctx context.Context, in *Named) (*reply[status.SourceStatus], error) {
	sources, err := rt.Reads.Sources(ctx)
	if err != nil {
		return nil, rt.refuse(err)
	}
	for _, s := range sources {
		if s.Source == in.Name {
			return answer(rt, s, nil)
		}
	}
	return nil, rt.refuse(status.NotFound("the source"))
}

// Accepted says that a request is kept and will be worked on.
type Accepted struct {
	Source string `json:"source"`
	Watch  string `json:"watch" doc:"Where to see how it goes"`
}

func (rt routes) sync(ctx context.Context, in *Named) (*reply[Accepted], error) {
	if rt.Trigger == nil {
		return nil, rt.refuse(&study.Error{Code: "api.no_worker", Op: "this process takes no requests to sync",
			Hint: "Run longitude serve, or longitude sync.", Exit: study.ExitEnvironment})
	}
	if err := rt.Trigger(ctx, in.Name, "api"); err != nil {
		return nil, rt.refuse(err)
	}
	return answer(rt, Accepted{Source: in.Name, Watch: Root + "/sources/" + url.PathEscape(in.Name)}, nil)
}

// RunsQuery narrows the list of runs.
type RunsQuery struct {
	Study  string `query:"study"`
	Source string `query:"source"`
	State  string `query:"state" enum:"running,succeeded,failed,interrupted"`
	Kind   string `query:"kind" enum:"sync,release,rejudge,replay"`
	Paging
}

func (rt routes) runs(ctx context.Context, in *RunsQuery) (*reply[List[status.Run]], error) {
	runs, err := rt.Reads.Runs(ctx, status.RunFilter{Study: in.Study, Source: in.Source, State: in.State, Kind: in.Kind, Page: in.more()})
	return answer(rt, page(runs, in.Limit, func(r status.Run) int64 { return r.ID }), err)
}

func (rt routes) run(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
}) (*reply[status.Run], error) {
	run, err := rt.Reads.Run(ctx, in.ID)
	return answer(rt, run, err)
}

func (rt routes) summary(ctx context.Context, in *struct {
	Study string `path:"study" maxLength:"200"`
}) (*reply[status.StudySummary], error) {
	s, err := rt.Reads.Summary(ctx, in.Study)
	return answer(rt, s, err)
}

// ParticipantsQuery narrows the list of participants.
type ParticipantsQuery struct {
	Study  string `path:"study" maxLength:"200"`
	Site   string `query:"site"`
	Status string `query:"status" enum:"screening,screen_failure,enrolled,completed,withdrawn,lost,died"`
	Paging
}

func (rt routes) participants(ctx context.Context, in *ParticipantsQuery) (*reply[List[status.ParticipantItem]], error) {
	items, err := rt.Reads.Participants(ctx, status.ParticipantFilter{Study: in.Study, Site: in.Site, Status: in.Status, Page: in.more()})
	return answer(rt, page(items, in.Limit, func(p status.ParticipantItem) int64 { return p.ID }), err)
}

func (rt routes) timeline(ctx context.Context, in *struct {
	Study string `path:"study" maxLength:"200"`
	Code  string `path:"code" maxLength:"200" doc:"Participant code"`
}) (*reply[status.Timeline], error) {
	t, err := rt.Reads.Timeline(ctx, in.Study, in.Code)
	return answer(rt, t, err)
}

func (rt routes) history(ctx context.Context, in *struct {
	Study string `path:"study" maxLength:"200"`
	Code  string `path:"code" maxLength:"200" doc:"Participant code"`
	Form  string `query:"form" maxLength:"200" doc:"Only this form"`
	Field string `query:"field" maxLength:"200" doc:"Only this field"`
	Visit string `query:"visit" maxLength:"200" doc:"Only this visit, by type or number"`
}) (*reply[status.RecordHistory], error) {
	h, err := rt.Reads.RecordHistory(ctx, in.Study, in.Code, status.HistoryFilter{Form: in.Form, Field: in.Field, Visit: in.Visit})
	return answer(rt, h, err)
}

// QuarantineQuery narrows the list of rejected rows.
type QuarantineQuery struct {
	Study  string `query:"study"`
	Source string `query:"source"`
	State  string `query:"state" enum:"open,waived,replayed"`
	Rule   string `query:"rule"`
	Paging
}

func (rt routes) quarantine(ctx context.Context, in *QuarantineQuery) (*reply[List[status.QuarantineItem]], error) {
	items, err := rt.Reads.Quarantine(ctx, status.QuarantineFilter{Study: in.Study, Source: in.Source, State: in.State, Rule: in.Rule, Page: in.more()})
	return answer(rt, page(items, in.Limit, func(q status.QuarantineItem) int64 { return q.ID }), err)
}

// FilesQuery narrows the list of files.
type FilesQuery struct {
	Source  string `query:"source"`
	Outcome string `query:"outcome" enum:"recorded,known,put_aside,refused,again"`
	Paging
}

func (rt routes) files(ctx context.Context, in *FilesQuery) (*reply[List[status.File]], error) {
	files, err := rt.Reads.Files(ctx, status.FileFilter{Source: in.Source, Outcome: in.Outcome, Page: in.more()})
	return answer(rt, page(files, in.Limit, func(f status.File) int64 { return f.ID }), err)
}

// DeviationsQuery narrows the list of deviations.
type DeviationsQuery struct {
	Study       string `query:"study"`
	Participant string `query:"participant" doc:"Participant code"`
	Code        string `query:"code"`
	Kind        string `query:"kind" enum:"deviation,violation,finding"`
	State       string `query:"state" enum:"open,explained,resolved"`
	Paging
}

func (rt routes) deviations(ctx context.Context, in *DeviationsQuery) (*reply[List[status.DeviationItem]], error) {
	items, err := rt.Reads.Deviations(ctx, status.DeviationFilter{Study: in.Study, Participant: in.Participant, Code: in.Code, Kind: in.Kind, State: in.State, Page: in.more()})
	return answer(rt, page(items, in.Limit, func(d status.DeviationItem) int64 { return d.ID }), err)
}

func (rt routes) releases(ctx context.Context, in *struct {
	Study string `query:"study"`
}) (*reply[List[status.Release]], error) {
	releases, err := rt.Reads.Releases(ctx, in.Study)
	return answer(rt, page(releases, 0, nil), err)
}

func (rt routes) release(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"200"`
}) (*reply[status.Release], error) {
	releases, err := rt.Reads.Releases(ctx, "")
	if err != nil {
		return nil, rt.refuse(err)
	}
	for _, r := range releases {
		if r.ID == in.ID {
			return answer(rt, r, nil)
		}
	}
	return nil, rt.refuse(status.NotFound("the release"))
}
