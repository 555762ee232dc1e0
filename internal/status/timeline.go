package status

import "longitude/study"

// Timeline is everything that is known of one participant's visits.
type Timeline struct {
	Study      string          `json:"study"`
	Code       string          `json:"participant" doc:"Participant code"`
	Site       string          `json:"site"`
	Relative   bool            `json:"relative" doc:"The source gives days from baseline instead of dates"`
	AsOf       *Day            `json:"as_of,omitempty" doc:"The date of judgement; absent in a relative calendar"`
	Enrolled   bool            `json:"enrolled"`
	Consented  *Day            `json:"consented,omitempty"`
	Withdrawn  *Day            `json:"withdrawn,omitempty"`
	Status     string          `json:"status,omitempty" doc:"As the source says: screening, screen_failure, enrolled, completed, withdrawn, lost, died"`
	StatusOn   *Day            `json:"status_on,omitempty" doc:"Since when"`
	Visits     []TimelineVisit `json:"visits" doc:"In protocol order, unscheduled visits by date"`
	LogForms   []LogForm       `json:"log_forms"`
	Deviations []DeviationItem `json:"deviations" doc:"Of the participant and of every visit"`
	Locks      []DecisionItem  `json:"locks" doc:"In force on the participant or the whole study"`
}

// TimelineVisit is one visit, expected or happened. The two distances are nil
// where they are not known.
type TimelineVisit struct {
	No          int32       `json:"no" doc:"Number within the participant"`
	Type        string      `json:"type,omitempty" doc:"Visit type; empty: unscheduled"`
	Label       string      `json:"label"`
	Due         *Day        `json:"due,omitempty"`
	WindowStart *Day        `json:"window_start,omitempty"`
	WindowEnd   *Day        `json:"window_end,omitempty"`
	Actual      *Day        `json:"actual,omitempty"`
	Status      string      `json:"status" enum:"scheduled,completed,missed,not_done,unscheduled,cancelled"`
	Timing      string      `json:"timing,omitempty" doc:"in_window, early, late, indeterminate, no_anchor, no_window"`
	FromTarget  *int        `json:"days_from_target,omitempty"`
	Outside     *int        `json:"days_outside_window,omitempty"`
	Withheld    bool        `json:"withheld"`
	Protocol    string      `json:"protocol,omitempty" doc:"Version of the protocol that judged"`
	Forms       []FormBadge `json:"forms"`
	Deviations  []string    `json:"deviations" doc:"Codes of the deviations that hold"`
}

// The states of a form at a visit.
const (
	FormPresent = "present"
	FormMissing = "missing"
	FormHeld    = "held"
)

// FormBadge is a form at a visit: there, expected and absent, or held.
type FormBadge struct {
	Form       string `json:"form"`
	Occurrence string `json:"occurrence,omitempty"`
	State      string `json:"state" enum:"present,missing,held"`
	Versions   int    `json:"versions" doc:"Stored versions; more than one means it was corrected"`
}

// LogForm counts the records of a form that is tied to no visit.
type LogForm struct {
	Form    string `json:"form"`
	Records int    `json:"records"`
	Held    int    `json:"held"`
}

// Day is a place in a participant's calendar. Date keeps the precision of the
// source ("2026-01", "2026-01-31") and is empty in a relative calendar; Day is
// the elapsed days from the anchor, nil when there is no anchor or the date is
// not exact. First and Last place it on a drawing: equal for an exact date.
type Day struct {
	First study.Date `json:"-"`
	Last  study.Date `json:"-"`
	Date  string     `json:"date,omitempty"`
	Day   *int       `json:"day,omitempty"`
}

// NewDay makes a Day of p against the participant's anchor (study.NoDate when
// unknown; ignored in a relative calendar, whose anchor is day 0). It is nil
// when p is not known.
func NewDay(p study.PartialDate, anchor study.Date, relative bool) *Day {
	if !p.Known() {
		return nil
	}
	d := &Day{First: p.First(), Last: p.Last()}
	if relative {
		anchor = 0
	} else {
		d.Date = p.String()
	}
	if p.Exact() && anchor.Known() {
		n := int(p.First() - anchor)
		d.Day = &n
	}
	return d
}
