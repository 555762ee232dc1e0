package audit

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// A Monday, at noon in Zurich.
const monday = "2026-03-02T11:00:00.000000Z"

func TestWhatIsLookedAt(t *testing.T) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	counts := func(removed string) map[string]any {
		return map[string]any{"counts": map[string]any{"records_removed": json.Number(removed)}}
	}
	for name, c := range map[string]struct {
		e    Event
		want string
	}{
		"a batch":               {Event{Action: BatchRecorded, Object: "batch/1", Detail: counts("10")}, ""},
		"a batch that removes":  {Event{Action: BatchRecorded, Object: "batch/1", Detail: counts("11")}, "removal"},
		"a batch under a lock":  {Event{Action: BatchRecorded, Object: "batch/2", Detail: counts("0")}, "edit_after_lock"},
		"a waiver":              {Event{Action: DecisionWaive}, "override"},
		"an unlock":             {Event{Action: DecisionUnlock}, "unlock"},
		"a lock":                {Event{Action: DecisionLock}, ""},
		"a harmless change":     {Event{Action: ConfigApplied, Detail: map[string]any{"class": "additive"}}, ""},
		"a destructive change":  {Event{Action: ConfigApplied, Detail: map[string]any{"class": "destructive"}}, "destructive_change"},
		"one in the night":      {Event{Action: ConfigApplied, At: "2026-03-02T18:00:00.000000Z"}, "off_hours"},
		"one before seven":      {Event{Action: ConfigApplied, At: "2026-03-02T05:59:59.000000Z"}, "off_hours"},
		"one at seven":          {Event{Action: ConfigApplied, At: "2026-03-02T06:00:00.000000Z"}, ""},
		"one on a Sunday":       {Event{Action: AccessGranted, At: "2026-03-01T11:00:00.000000Z"}, "access off_hours"},
		"a sync in the night":   {Event{Action: BatchRecorded, At: "2026-03-02T23:00:00.000000Z"}, ""},
		"denied":                {Event{Action: AccessDenied, Outcome: Denied, Detail: map[string]any{"code": "people.role_missing"}}, "denied"},
		"a wrong passphrase":    {Event{Action: AccessDenied, Outcome: Denied, Detail: map[string]any{"code": "people.passphrase"}}, "denied failed_login"},
		"a failed login":        {Event{Action: AccessLogin, Outcome: Failed}, "failed_login"},
		"a login":               {Event{Action: AccessLogin, Outcome: OK}, ""},
		"another thing denied":  {Event{Action: ReleaseApproved, Outcome: Denied}, "denied"},
		"a vault step":          {Event{Action: "vault.approved"}, "unsealed"},
		"broken glass":          {Event{Action: "vault.broke_glass"}, "break_glass"},
		"a key":                 {Event{Action: "key.rewrapped"}, "key"},
		"a release":             {Event{Action: ReleasePublished, Detail: map[string]any{"unsealed_seconds": json.Number("300")}}, ""},
		"a release, not sealed": {Event{Action: ReleasePublished, Detail: map[string]any{"unsealed_seconds": json.Number("301")}}, "release_unsealed"},
		"of long ago":           {Event{Action: DecisionExplain, At: "-"}, "explanation"},
	} {
		r := NewReviewer(zurich, func(object string) bool { return object == "batch/2" })
		if c.e.At == "" {
			c.e.At = monday
		}
		var got []string
		for _, concern := range r.Look(&c.e) {
			if Why[concern] == "" {
				t.Errorf("%s: nobody knows why %s", name, concern)
			}
			got = append(got, string(concern))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
	// A clock that goes back shows, and one that is slow by a moment does not.
	r := NewReviewer(time.UTC, func(string) bool { return false })
	for _, step := range []struct {
		at   string
		late bool
	}{{monday, false}, {"2026-03-02T10:55:00.000000Z", false}, {"2026-03-02T10:54:59.000000Z", true}, {"2026-03-02T11:00:01.000000Z", false}} {
		if got := r.Look(&Event{Action: BatchRecorded, At: step.at}); slices.Contains(got, "clock") != step.late {
			t.Errorf("at %s: %v", step.at, got)
		}
	}
	for action, c := range always {
		if Why[c] == "" {
			t.Errorf("nobody knows why %s, of %s", c, action)
		}
	}
}

func TestDecideReview(t *testing.T) {
	list := func() *Review {
		return &Review{ID: 1, Since: 2, Until: 9, Root: "aa", Zone: "UTC", Items: []Item{{2, 5, "unlock"}, {4, 7, "denied"}, {6, 9, "unlock"}}}
	}
	whole := map[Concern]string{"unlock": "as_expected", "denied": "explained"}
	for name, dispositions := range map[string]map[Concern]string{
		"none":            nil,
		"one is missing":  {"unlock": "as_expected"},
		"one is not one":  {"unlock": "as_expected", "denied": "whatever"},
		"of another list": {"unlock": "as_expected", "denied": "explained", "key": "explained"},
	} {
		var e *study.Error
		if err := list().Decide(dispositions); err == nil || !errors.As(err, &e) || e.Code != "review.disposition" {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := list()
	open := r.Digest()
	if err := r.Decide(whole); err != nil || r.Digest() == open {
		t.Errorf("closed: %v", err)
	}
	// Whatever is changed afterwards changes the digest.
	for name, change := range map[string]func(r *Review){
		"an item less":   func(r *Review) { r.Items = r.Items[1:] },
		"an item":        func(r *Review) { r.Items[0].Event = 6 },
		"the order":      func(r *Review) { r.Items[0], r.Items[1] = r.Items[1], r.Items[0] },
		"a concern":      func(r *Review) { r.Items[0].Concern = "denied" },
		"a disposition":  func(r *Review) { r.Dispositions = map[Concern]string{"unlock": "escalated", "denied": "explained"} },
		"the beginning":  func(r *Review) { r.Since = 3 },
		"the end":        func(r *Review) { r.Until = 10 },
		"the log":        func(r *Review) { r.Root = "ab" },
		"the hours":      func(r *Review) { r.Zone = "Europe/Zurich" },
		"another review": func(r *Review) { r.ID = 2 },
	} {
		other := list()
		other.Dispositions = whole
		change(other)
		if other.Digest() == r.Digest() {
			t.Errorf("%s: the digest is the same", name)
		}
	}
}
