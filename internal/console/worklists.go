package console

import (
	"net/http"
	"strconv"

	"longitude/internal/advice"
	"longitude/internal/status"
	"longitude/study"
)

// participantStates are the statuses of the study model.
var participantStates = []string{string(study.Screening), string(study.ScreenFailure), string(study.Enrolled), string(study.Finished),
	string(study.Withdrew), string(study.Lost), string(study.Died)}

type participantsPage struct {
	list[status.ParticipantItem]
	Study string
}

// participants lists the participants of a study.
func (c *console) participants(r *http.Request) (view, error) {
	name := r.PathValue("study")
	rows, err := c.Reads.Participants(r.Context(), status.ParticipantFilter{Study: name, Site: r.FormValue("site"), Status: r.FormValue("state"), Page: paging(r)})
	l := listOf(r, rows, func(v status.ParticipantItem) int64 { return v.ID }, participantStates, nil, "site")
	return view{Title: "Participants", Section: "overview", Data: participantsPage{l, name}}, err
}

func (c *console) quarantine(r *http.Request) (view, error) {
	rows, err := c.Reads.Quarantine(r.Context(), status.QuarantineFilter{Study: r.FormValue("study"), Source: r.FormValue("source"),
		Rule: r.FormValue("rule"), State: r.FormValue("state"), Page: paging(r)})
	l := listOf(r, rows, func(v status.QuarantineItem) int64 { return v.ID },
		[]string{status.QuarantineOpen, status.QuarantineReplayed, status.QuarantineWaived}, nil, "study", "source", "rule")
	return view{Title: "Quarantine", Section: "quarantine", Data: l}, err
}

type quarantinedPage struct {
	status.QuarantinedRow
	Advice advice.Rule
}

func (c *console) quarantined(r *http.Request) (view, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return view{}, status.NotFound("the quarantined row")
	}
	row, err := c.Reads.QuarantinedRow(r.Context(), id)
	return view{Title: "Quarantined row " + strconv.FormatInt(id, 10), Section: "quarantine", Data: quarantinedPage{row, advice.Of(row.Rule)}}, err
}

func (c *console) deviations(r *http.Request) (view, error) {
	rows, err := c.Reads.Deviations(r.Context(), status.DeviationFilter{Study: r.FormValue("study"), Participant: r.FormValue("participant"),
		Code: r.FormValue("code"), Kind: r.FormValue("kind"), State: r.FormValue("state"), Page: paging(r)})
	l := listOf(r, rows, func(v status.DeviationItem) int64 { return v.ID }, []string{"open", "explained", "resolved"},
		[]string{string(study.IsDeviation), string(study.IsViolation), string(study.IsFinding)}, "study", "participant", "code")
	return view{Title: "Deviations", Section: "deviations", Data: l}, err
}

// locks lists the locks, in force or lifted.
func (c *console) locks(r *http.Request) (view, error) {
	rows, err := c.Reads.Decisions(r.Context(), status.DecisionFilter{Study: r.FormValue("study"), Participant: r.FormValue("participant"),
		Kind: string(study.LockData), Page: paging(r)})
	l := listOf(r, rows, func(v status.DecisionItem) int64 { return v.ID }, nil, nil, "study", "participant")
	return view{Title: "Locks", Section: "locks", Data: l}, err
}

type driftPage struct {
	list[status.DriftItem]
	Shape *status.SourceShape // of the source that is filtered by
}

func (c *console) drift(r *http.Request) (view, error) {
	source := r.FormValue("source")
	rows, err := c.Reads.Drift(r.Context(), status.DriftFilter{Study: r.FormValue("study"), Source: source, Kind: r.FormValue("kind"), Page: paging(r)})
	if err != nil {
		return view{}, err
	}
	kinds := []string{string(study.NewColumn), string(study.MissingColumn), string(study.TypeChange), string(study.NewChoice), string(study.DialectChange), string(study.HeaderUnknown)}
	p := driftPage{list: listOf(r, rows, func(v status.DriftItem) int64 { return v.ID }, nil, kinds, "study", "source")}
	if source != "" {
		shape, err := c.Reads.Shape(r.Context(), source)
		switch code, _ := status.Refusal(err); {
		case err == nil:
			p.Shape = &shape
		case code != http.StatusNotFound: // nothing was read of it yet
			return view{}, err
		}
	}
	return view{Title: "Drift", Section: "drift", Data: p}, nil
}
