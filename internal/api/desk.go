package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"longitude/internal/advice"
	"longitude/internal/decision"
	"longitude/internal/status"
	"longitude/study"
)

// Desk is where people decide, and ask for work on what is recorded. A decision
// is signed with the study's key and answered as it is listed.
type Desk interface {
	Explain(ctx context.Context, deviation int64, why decision.Why) (status.DecisionItem, error)
	Waive(ctx context.Context, row int64, why decision.Why) (status.DecisionItem, error)
	// Lock covers a visit type, a participant by code, or with neither the study.
	Lock(ctx context.Context, study, visit, code string, why decision.Why) (status.DecisionItem, error)
	// Unlock returns before what waited has been read again.
	Unlock(ctx context.Context, lock int64, why decision.Why) (status.DecisionItem, error)
	// Recalculate answers the run that judged the participant again.
	Recalculate(ctx context.Context, study, code, actor string) (run int64, err error)
	// Replay returns once the request is taken; all is every object, not only those
	// in which rows wait.
	Replay(ctx context.Context, source string, all bool, actor string) error
}

// actor is who decides through the API, as long as its callers have no names.
const actor = "api"

func (rt routes) registerDesk(a huma.API) {
	ask := func(method, path, id, summary string, success int) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: Root + path, Summary: summary, DefaultStatus: success,
			Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict,
				http.StatusUnsupportedMediaType, http.StatusServiceUnavailable}}
	}
	huma.Register(a, ask("POST", "/deviations/{id}/explain", "explain-deviation", "Give the reason of a deviation, for the evidence it has now", 200), rt.explain)
	huma.Register(a, ask("POST", "/quarantine/{id}/waive", "waive-quarantined", "Say that a quarantined row is not wanted, and why", 200), rt.waive)
	huma.Register(a, ask("POST", "/sources/{name}/replay", "replay-source", "Read again what a source delivered, under the mapping of today", 202), rt.replay)
	huma.Register(a, ask("POST", "/studies/{study}/participants/{code}/recalculate", "recalculate-participant", "Judge a participant again as of today", 200), rt.recalculate)
	huma.Register(a, ask("POST", "/locks", "lock", "Forbid changes to a study, a visit type or a participant", 201), rt.lock)
	huma.Register(a, ask("DELETE", "/locks/{id}", "unlock", "Lift a lock and read again what it held back", 200), rt.unlock)
}

// Reason is a code of the closed list of reasons.
type Reason string

// Schema lists the reasons.
func (Reason) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: "Why"}
	for _, r := range study.Reasons {
		s.Enum = append(s.Enum, r.Code)
	}
	return s
}

// Why is what is given with a decision.
type Why struct {
	Reason Reason `json:"reason"`
	Note   string `json:"note,omitempty" maxLength:"10000" doc:"Own words, which are sealed; needed where the reason is other"`
}

func (w Why) given() decision.Why {
	return decision.Why{Reason: string(w.Reason), Note: w.Note, Actor: actor}
}

// Decided is a decision about the thing of that number.
type Decided struct {
	ID   int64 `path:"id" minimum:"1"`
	Body Why
}

// closed refuses what a process without a desk cannot do.
func (rt routes) closed() error {
	return rt.refuse(&study.Error{Code: "api.no_desk", Op: "this process takes no decisions", Exit: study.ExitEnvironment,
		Hint: "Run longitude serve, or the command of that name."})
}

func (rt routes) explain(ctx context.Context, in *Decided) (*reply[status.DecisionItem], error) {
	if rt.Desk == nil {
		return nil, rt.closed()
	}
	item, err := rt.Desk.Explain(ctx, in.ID, in.Body.given())
	return answer(rt, item, err)
}

func (rt routes) waive(ctx context.Context, in *Decided) (*reply[status.DecisionItem], error) {
	if rt.Desk == nil {
		return nil, rt.closed()
	}
	item, err := rt.Desk.Waive(ctx, in.ID, in.Body.given())
	return answer(rt, item, err)
}

func (rt routes) unlock(ctx context.Context, in *Decided) (*reply[status.DecisionItem], error) {
	if rt.Desk == nil {
		return nil, rt.closed()
	}
	item, err := rt.Desk.Unlock(ctx, in.ID, in.Body.given())
	return answer(rt, item, err)
}

// Locking says what to lock, and why.
type Locking struct {
	Why
	Study       string `json:"study" minLength:"1" maxLength:"200"`
	Visit       string `json:"visit,omitempty" maxLength:"200" doc:"Visit type; absent: all"`
	Participant string `json:"participant,omitempty" maxLength:"200" doc:"Participant code; absent: all"`
}

func (rt routes) lock(ctx context.Context, in *struct{ Body Locking }) (*reply[status.DecisionItem], error) {
	if rt.Desk == nil {
		return nil, rt.closed()
	}
	l := in.Body
	if l.Visit != "" && l.Participant != "" {
		return nil, rt.refuse(&study.Error{Code: "api.lock_scope", Op: "a lock of a visit type of one participant was asked for", Exit: study.ExitUsage,
			Hint: "Name the visit type, for all participants, or the participant, for all visits."})
	}
	item, err := rt.Desk.Lock(ctx, l.Study, l.Visit, l.Participant, l.given())
	return answer(rt, item, err)
}

func (rt routes) replay(ctx context.Context, in *struct {
	Named
	Body struct {
		All bool `json:"all,omitempty" doc:"Every object, not only those in which something waits"`
	}
}) (*reply[Accepted], error) {
	if rt.Desk == nil {
		return nil, rt.closed()
	}
	if err := rt.Desk.Replay(ctx, in.Name, in.Body.All, actor); err != nil {
		return nil, rt.refuse(err)
	}
	return answer(rt, Accepted{Source: in.Name, Watch: Root + "/runs?kind=replay&source=" + url.QueryEscape(in.Name)}, nil)
}

// Recalculated names the run that judged again.
type Recalculated struct {
	Run int64 `json:"run"`
}

func (rt routes) recalculate(ctx context.Context, in *struct {
	Study string `path:"study" maxLength:"200"`
	Code  string `path:"code" maxLength:"200" doc:"Participant code"`
}) (*reply[Recalculated], error) {
	if rt.Desk == nil {
		return nil, rt.closed()
	}
	run, err := rt.Desk.Recalculate(ctx, in.Study, in.Code, actor)
	return answer(rt, Recalculated{run}, err)
}

// QuarantinedRow is a quarantined row with what its rule means.
type QuarantinedRow struct {
	status.QuarantinedRow
	Meaning string `json:"meaning" doc:"What the rule means"`
	Fix     string `json:"fix" doc:"What to do"`
}

func (rt routes) quarantinedRow(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
}) (*reply[QuarantinedRow], error) {
	row, err := rt.Reads.QuarantinedRow(ctx, in.ID)
	rule := advice.Of(row.Rule)
	return answer(rt, QuarantinedRow{row, rule.Meaning, rule.Fix}, err)
}

// DecisionsQuery narrows the list of decisions.
type DecisionsQuery struct {
	Study       string `query:"study"`
	Participant string `query:"participant" doc:"Participant code"`
	Source      string `query:"source"`
	Kind        string `query:"kind" enum:"explain,waive,lock,unlock,accept_shape,link,unlink,withdraw"`
	Paging
}

func (rt routes) decisions(ctx context.Context, in *DecisionsQuery) (*reply[List[status.DecisionItem]], error) {
	items, err := rt.Reads.Decisions(ctx, status.DecisionFilter{Study: in.Study, Participant: in.Participant, Source: in.Source, Kind: in.Kind, Page: in.more()})
	return answer(rt, page(items, in.Limit, func(d status.DecisionItem) int64 { return d.ID }), err)
}

// LocksQuery narrows the list of locks.
type LocksQuery struct {
	Study string `query:"study"`
	Paging
}

func (rt routes) locks(ctx context.Context, in *LocksQuery) (*reply[List[status.DecisionItem]], error) {
	items, err := rt.Reads.Decisions(ctx, status.DecisionFilter{Study: in.Study, Kind: string(study.LockData), Page: in.more()})
	return answer(rt, page(items, in.Limit, func(d status.DecisionItem) int64 { return d.ID }), err)
}

// DriftQuery narrows the list of changes of shape.
type DriftQuery struct {
	Study  string `query:"study"`
	Source string `query:"source"`
	Kind   string `query:"kind" enum:"new_column,missing_column,type_change,new_choice,dialect_change,header_unknown"`
	Paging
}

func (rt routes) drift(ctx context.Context, in *DriftQuery) (*reply[List[status.DriftItem]], error) {
	items, err := rt.Reads.Drift(ctx, status.DriftFilter{Study: in.Study, Source: in.Source, Kind: in.Kind, Page: in.more()})
	return answer(rt, page(items, in.Limit, func(d status.DriftItem) int64 { return d.ID }), err)
}

func (rt routes) shape(ctx context.Context, in *Named) (*reply[status.SourceShape], error) {
	shape, err := rt.Reads.Shape(ctx, in.Name)
	return answer(rt, shape, err)
}
