// Package status is the read model of Longitude: what the status API returns,
// what the status page draws and what the command line prints about sources,
// runs, studies, participants and releases. Plain values only. Storage fills
// them (Reads), the surfaces show them.
//
// Nothing here identifies a person: participants appear by participant code,
// rejected rows by object and line, never by value.
package status

import (
	"context"
	"time"

	"longitude/study"
)

// Reads answers every question of the surfaces. Rows that carry an ID come
// newest first (ID descending). A thing that does not exist is NotFound; an
// empty list is an empty slice.
type Reads interface {
	// Sources lists every configured source, by study and name.
	Sources(ctx context.Context) ([]SourceStatus, error)
	Runs(ctx context.Context, f RunFilter) ([]Run, error)
	Run(ctx context.Context, id int64) (Run, error)
	Summary(ctx context.Context, study string) (StudySummary, error)
	// Participants lists participants, each by its first code. An unknown study is
	// NotFound.
	Participants(ctx context.Context, f ParticipantFilter) ([]ParticipantItem, error)
	Timeline(ctx context.Context, study, code string) (Timeline, error)
	RecordHistory(ctx context.Context, study, code string, f HistoryFilter) (RecordHistory, error)
	Quarantine(ctx context.Context, f QuarantineFilter) ([]QuarantineItem, error)
	QuarantinedRow(ctx context.Context, id int64) (QuarantinedRow, error)
	// Files lists what became of the files of sources, newest first.
	Files(ctx context.Context, f FileFilter) ([]File, error)
	Deviations(ctx context.Context, f DeviationFilter) ([]DeviationItem, error)
	Decisions(ctx context.Context, f DecisionFilter) ([]DecisionItem, error)
	Drift(ctx context.Context, f DriftFilter) ([]DriftItem, error)
	// Shape answers what the objects of a source look like.
	Shape(ctx context.Context, source string) (SourceShape, error)
	// Releases lists the releases of a study, newest first; "" is every study.
	Releases(ctx context.Context, study string) ([]Release, error)
}

// Trigger asks for a run of a source now, on behalf of actor. It returns once
// the request is taken, not when the run has ended. A request that a stopping
// process did not come to is forgotten; the schedule is not.
type Trigger func(ctx context.Context, source, actor string) error

// CodeNotFound is the code of the error that NotFound makes.
const CodeNotFound = "status.not_found"

// NotFound says that what was asked for does not exist. what is a noun with its
// name, as the asker gave it: "run 12", "study amd-obs-01".
func NotFound(what string) *study.Error {
	return &study.Error{Code: CodeNotFound, Op: what + " does not exist",
		Hint: "Check the name or number; the lists show what there is.", Exit: study.ExitUsage}
}

// Page bounds a list. The zero value asks for storage's own limit from the start.
type Page struct {
	Limit int   // rows at most; 0 = 100
	After int64 // only rows with a smaller ID; 0 = from the newest
}

// RunFilter narrows Runs; empty fields do not.
type RunFilter struct {
	Study, Source, State, Kind string
	Page
}

// SourceStatus is how a source is doing.
type SourceStatus struct {
	Study               string     `json:"study"`
	Source              string     `json:"source"`
	Connector           string     `json:"connector" doc:"Connector type, such as sftp"`
	Schedule            string     `json:"schedule" doc:"Cron expression; empty when the source is synced by hand"`
	Running             bool       `json:"running"`
	LastSuccess         *time.Time `json:"last_success,omitempty"`
	AgeSeconds          int64      `json:"age_seconds" doc:"Seconds since the last success; 0 when there was none"`
	NextDue             *time.Time `json:"next_due,omitempty"`
	LastRun             *Run       `json:"last_run,omitempty"`
	ConsecutiveFailures int        `json:"consecutive_failures"`
	LastErrorCode       string     `json:"last_error_code,omitempty"`
	LastErrorText       string     `json:"last_error_text,omitempty"`
	QuarantineOpen      int64      `json:"quarantine_open"`
	HeldRecords         int64      `json:"held_records"`
	Drift               DriftCount `json:"drift" doc:"Changes of shape so far, by what they did"`
}

// DriftCount counts changes of shape by the policy that they met.
type DriftCount struct {
	Evolve     int64 `json:"evolve"`
	Quarantine int64 `json:"quarantine"`
	Freeze     int64 `json:"freeze"`
}

// The kinds of a run.
const (
	KindSync    = "sync"
	KindRelease = "release"
	KindRejudge = "rejudge"
	KindReplay  = "replay" // objects read again under the mapping of today
)

// The states of a run.
const (
	Running     = "running"
	Succeeded   = "succeeded"
	Failed      = "failed"
	Interrupted = "interrupted" // the process went away; safe to run again
)

// Run is one execution of the main job, or of a part of it. Source is empty
// where a run is about a whole study.
type Run struct {
	ID        int64        `json:"id"`
	Kind      string       `json:"kind" enum:"sync,release,rejudge,replay"`
	Study     string       `json:"study"`
	Source    string       `json:"source,omitempty"`
	Trigger   string       `json:"trigger" doc:"What started it: schedule, manual, webhook, retry"`
	State     string       `json:"state" enum:"running,succeeded,failed,interrupted"`
	Outcome   string       `json:"outcome,omitempty" doc:"What it came to, such as changed, unchanged or rejections"`
	Started   *time.Time   `json:"started,omitempty"`
	Finished  *time.Time   `json:"finished,omitempty"`
	Objects   int          `json:"objects" doc:"Objects fetched and recorded"`
	Counts    study.Counts `json:"counts"`
	ErrorCode string       `json:"error_code,omitempty"`
	ErrorText string       `json:"error_text,omitempty"`
	ErrorHint string       `json:"error_hint,omitempty" doc:"What to do next"`
}

// Took is how long the run lasted; 0 while it is running.
func (r Run) Took() time.Duration {
	if r.Started == nil || r.Finished == nil {
		return 0
	}
	return r.Finished.Sub(*r.Started)
}

// Totals sums the finished runs of one study, source, kind and state, from the
// first run on.
type Totals struct {
	Study, Source, Kind, State string
	Runs                       int64
	Counts                     study.Counts
}

// Outbox is what waits to be told of runs.
type Outbox struct {
	Waiting int64         // events
	Oldest  time.Duration // that the oldest of them waits
	Refused int64         // events that are never taken
}

// Inbox is what a source was sent and has not landed.
type Inbox struct {
	Source  string
	Waiting int64   // requests
	Oldest  float64 // seconds that the oldest of them waits
}

// StudySummary is a study at a glance, on an as-of date.
type StudySummary struct {
	Study        string          `json:"study"`
	Title        string          `json:"title"`
	Protocol     string          `json:"protocol" doc:"Identifier and version of the protocol"`
	AsOf         string          `json:"as_of" doc:"The date of judgement, YYYY-MM-DD"`
	Participants int64           `json:"participants"`
	Enrolled     int64           `json:"enrolled"`
	Consented    int64           `json:"consented"`
	Withdrawn    int64           `json:"withdrawn"`
	Held         int64           `json:"held" doc:"Records that wait for enrolment, consent or a reason"`
	Withheld     int64           `json:"withheld" doc:"Visits accepted but kept out of releases"`
	Sites        []SiteRow       `json:"sites"`
	Visits       []VisitRow      `json:"visits"`
	Deviations   []CodeCount     `json:"deviations" doc:"Departures from the protocol; findings of checks are apart"`
	Findings     []CheckCount    `json:"findings" doc:"What checks across forms have found"`
	Quarantine   []RuleCount     `json:"quarantine"`
	MissingForms []MissingFormAt `json:"missing_forms"`
}

// SiteRow counts the participants of a site.
type SiteRow struct {
	Site         string `json:"site"`
	Participants int64  `json:"participants"`
	Enrolled     int64  `json:"enrolled"`
	Withdrawn    int64  `json:"withdrawn"`
}

// VisitRow counts the visits of one visit type, in protocol order. Expected is
// the number of participants who should have it by now; Completed splits into
// the timings, Undetermined being the completed ones that no window judges.
// Visits of no type come last with an empty Visit.
type VisitRow struct {
	Visit        string `json:"visit"`
	Label        string `json:"label"`
	Window       string `json:"window,omitempty" doc:"Target day and window, such as 30 (-7, +14)"`
	Expected     int64  `json:"expected"`
	Completed    int64  `json:"completed"`
	InWindow     int64  `json:"in_window"`
	Early        int64  `json:"early"`
	Late         int64  `json:"late"`
	Undetermined int64  `json:"undetermined"`
	Missed       int64  `json:"missed"`
	NotDone      int64  `json:"not_done"`
	Scheduled    int64  `json:"scheduled"`
	Cancelled    int64  `json:"cancelled"`
}

// CodeCount counts the deviations of one code that hold now.
type CodeCount struct {
	Code      string `json:"code"`
	Kind      string `json:"kind" enum:"deviation,violation"`
	Open      int64  `json:"open"`
	Explained int64  `json:"explained"`
}

// CheckCount counts the findings of one check across forms that hold now.
type CheckCount struct {
	Form      string `json:"form"`
	Check     string `json:"check"`
	Open      int64  `json:"open"`
	Explained int64  `json:"explained"`
}

// RuleCount counts the open quarantined rows of one rule.
type RuleCount struct {
	Rule  string `json:"rule"`
	Count int64  `json:"count"`
}

// MissingFormAt counts the completed visits of a type that lack an expected form.
type MissingFormAt struct {
	Visit   string `json:"visit"`
	Form    string `json:"form"`
	Missing int64  `json:"missing"`
}

// The states of a release.
const (
	ReleasePlanned   = "planned"
	ReleaseBuilt     = "built"
	ReleasePublished = "published"
	ReleaseFailed    = "failed"
)

// Place is one place where a release is published.
type Place struct {
	Sink      string    `json:"sink"`
	Location  string    `json:"location"`
	Published time.Time `json:"published"`
}

// Release is one numbered dataset of a study.
type Release struct {
	ID             string     `json:"id" doc:"Such as amd_obs_01_r001"`
	Study          string     `json:"study"`
	Number         int        `json:"number"`
	State          string     `json:"state" enum:"planned,built,published,failed"`
	AsOf           string     `json:"as_of" doc:"The date of judgement, YYYY-MM-DD"`
	Cutoff         string     `json:"data_cutoff" doc:"What was collected up to then"`
	Created        *time.Time `json:"created,omitempty"`
	Published      *time.Time `json:"published,omitempty"`
	Location       string     `json:"location,omitempty"`
	Tables         int        `json:"tables"`
	Rows           int64      `json:"rows"`
	Bytes          int64      `json:"bytes"`
	Claim          string     `json:"claim,omitempty" doc:"The de-identification claim, computed from the rules applied"`
	EnvelopeDigest string     `json:"envelope_sha256,omitempty"`
}
