package audit

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"longitude/study"
)

// Concern is why an event is on the work list of a review.
type Concern string

// Why are the concerns, each with why events of it are looked at. Review is by risk
// (ICH E6(R3) 4.2.3): what changes, hides, opens or lets past is looked at; what runs
// as planned is not.
var Why = map[Concern]string{
	"access":             "somebody was given or lost a role or a key",
	"break_glass":        "identities could be opened without a second person",
	"clock":              "it is dated more than five minutes before an event that was sealed before it",
	"denied":             "somebody was refused what they asked for",
	"destructive_change": "the configuration was changed so that accepted data were dropped or judged anew",
	"drift_accepted":     "a changed shape of a source was let in",
	"edit_after_lock":    "data under a lock would have changed",
	"explanation":        "a deviation was explained",
	"failed_login":       "somebody could not prove who they are",
	"identity":           "people were said to be one or two, or somebody withdrew",
	"key":                "a key came into use, was wrapped anew or replaced",
	"off_hours":          "an administrator acted at the weekend, or before 07:00 or after 19:00",
	"override":           "a quarantined row was waived",
	"redaction":          "the payload of an event was deleted",
	"release_unsealed":   "a release was published while the log had not been sealed for more than five minutes",
	"removal":            "more than ten records were removed at once",
	"retraction":         "a release was declared not to be used",
	"unlock":             "a lock was lifted",
	"unsealed":           "an identity was asked for or opened, or a row was looked at as it was landed",
}

const (
	manyRemoved           = 10
	sealedLate            = 5 * time.Minute
	clockSkew             = 5 * time.Minute
	workBegins, workEnds  = 7, 19 // o'clock
	proofFailed, doorShut = "people.passphrase", "api.unauthorized"
	reviewFormat          = "longitude.review/1"
)

// always are the concerns of actions that are looked at whatever else they say. Of
// those with a dot at the end it is every action that begins so.
var always = map[string]Concern{
	"access.granted": "access", "access.revoked": "access", "access.denied": "denied", "audit.redacted": "redaction",
	"decision.accept_shape": "drift_accepted", "schema.accepted": "drift_accepted", "decision.waive": "override", "decision.explain": "explanation",
	"decision.unlock": "unlock", "decision.distinct": "identity", "decision.link": "identity", "decision.unlink": "identity", "decision.withdraw": "identity",
	"identity.unsealed": "unsealed", "record.viewed": "unsealed", "vault.": "unsealed", "vault.broke_glass": "break_glass",
	"key.": "key", "release.retracted": "retraction",
}

// Reviewer picks the events of a work list, in the order of their places.
type Reviewer struct {
	zone      *time.Location
	afterLock func(object string) bool
	newest    time.Time
}

// NewReviewer begins a work list. zone is where office hours are counted; afterLock
// reports whether a batch, as batch/12, brought what a lock refused.
func NewReviewer(zone *time.Location, afterLock func(object string) bool) *Reviewer {
	return &Reviewer{zone: zone, afterLock: afterLock}
}

// Look answers why the next event is to be looked at; none when it is not.
func (r *Reviewer) Look(e *Event) (concerns []Concern) {
	add := func(c Concern, applies bool) {
		if applies {
			concerns = append(concerns, c)
		}
	}
	noun, _, _ := strings.Cut(string(e.Action), ".")
	general, specific := always[noun+"."], always[string(e.Action)]
	if c := cmp.Or(specific, general); c != "" {
		concerns = append(concerns, c)
	}
	code, _ := e.Detail["code"].(string)
	add("failed_login", code == proofFailed || code == doorShut || e.Action == AccessLogin && e.Outcome != OK)
	add("denied", e.Outcome == Denied && specific != "denied")
	add("destructive_change", e.Action == ConfigApplied && e.Detail["class"] == "destructive")
	add("removal", e.Action == BatchRecorded && numberIn(e.Detail["counts"], "records_removed") > manyRemoved)
	add("edit_after_lock", e.Action == BatchRecorded && r.afterLock(e.Object))
	add("release_unsealed", e.Action == ReleasePublished && numberIn(e.Detail, "unsealed_seconds") > int64(sealedLate/time.Second))
	at, err := time.Parse(timeLayout, e.At)
	if err != nil {
		return concerns // of the time before events were dated
	}
	add("clock", at.Before(r.newest.Add(-clockSkew)))
	if at.After(r.newest) {
		r.newest = at
	}
	administers := noun == "key" || noun == "config" && e.Action == ConfigApplied || slices.Contains([]Action{AccessGranted, AccessRevoked, AuditRedacted}, e.Action)
	add("off_hours", administers && offHours(at.In(r.zone)))
	slices.Sort(concerns)
	return concerns
}

func offHours(t time.Time) bool {
	return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday || t.Hour() < workBegins || t.Hour() >= workEnds
}

// numberIn is a number in what was read from JSON, 0 when there is none.
func numberIn(object any, key string) int64 {
	fields, _ := object.(map[string]any)
	n, _ := fields[key].(json.Number)
	value, _ := n.Int64()
	return value
}

// Item is an event of a work list.
type Item struct {
	Index   int64   `json:"index"`
	Event   int64   `json:"event"`
	Concern Concern `json:"concern"`
}

// Dispositions are what a review may come to, for all events of a concern.
var Dispositions = []string{"as_expected", "corrected", "escalated", "explained"}

// Review is a work list: the events of the log from one size to another that are to
// be looked at.
type Review struct {
	ID       int64     `json:"review"`
	Since    int64     `json:"since"` // places from here on
	Until    int64     `json:"until"` // before this one
	Root     string    `json:"root"`  // of the log of that size
	Zone     string    `json:"zone"`
	OpenedBy string    `json:"opened_by"`
	OpenedAt time.Time `json:"opened_at"`
	Items    []Item    `json:"items"`

	Dispositions map[Concern]string `json:"dispositions,omitempty"` // of a closed review
	Signature    int64              `json:"signature,omitempty"`    // that closed it
}

// Concerns are those of the list, in order, with how many events each has.
func (r *Review) Concerns() (order []Concern, count map[Concern]int) {
	count = map[Concern]int{}
	for _, item := range r.Items {
		count[item.Concern]++
	}
	return slices.Sorted(maps.Keys(count)), count
}

// Decide closes the list with what it came to, by concern. It refuses a concern that
// is left out, one that is not on the list, and a disposition that is none.
func (r *Review) Decide(dispositions map[Concern]string) error {
	order, _ := r.Concerns()
	refuse := func(op string) error {
		return &study.Error{Code: "review.disposition", Op: op, Exit: study.ExitUsage,
			Hint: "give each concern of the list one of: " + strings.Join(Dispositions, ", ")}
	}
	for _, c := range order {
		if !slices.Contains(Dispositions, dispositions[c]) {
			return refuse("the concern " + string(c) + " has no disposition, or one that is none")
		}
	}
	if len(dispositions) != len(order) {
		return refuse("a disposition is for no concern of the list")
	}
	r.Dispositions = dispositions
	return nil
}

// Digest is what is signed when the review is closed: the list, and what it came to.
func (r *Review) Digest() study.Digest {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n%d\n%d\n%s\n%s\n", reviewFormat, r.ID, r.Since, r.Until, r.Root, r.Zone)
	for _, item := range r.Items {
		fmt.Fprintf(h, "%d %d %s\n", item.Index, item.Event, item.Concern)
	}
	for _, c := range slices.Sorted(maps.Keys(r.Dispositions)) {
		fmt.Fprintf(h, "%s=%s\n", c, r.Dispositions[c])
	}
	return study.Digest(h.Sum(nil))
}
