package redcap

import (
	"bytes"
	"encoding/json"
	"time"
)

// stateVersion is the version of the cursor's state. Another one is no state of ours:
// everything is pulled.
const stateVersion = 1

// state is what a pull leaves for the next. It names nobody.
type state struct {
	Version int       `json:"redcap"`
	Project string    `json:"project"`        // keyed digest: another project, or another server, begins anew
	Since   time.Time `json:"since,omitzero"` // when the last whole pull began: changes from then on are still to come
	Whole   time.Time `json:"whole,omitzero"` // when everything was last pulled
	Pull    *progress `json:"pull,omitempty"` // one that has begun and not ended
}

// progress is how far a pull has come.
type progress struct {
	Began time.Time `json:"began"`
	Whole bool      `json:"whole"`          // it pulls everything
	Done  string    `json:"done,omitempty"` // digest of the last record that is durable
}

// stateOf reads a state; what is none of the project's is that of its first pull.
func stateOf(text []byte, project string) *state {
	var s state
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if len(text) > 1<<16 || d.Decode(&s) != nil || s.Version != stateVersion || s.Project != project || s.Pull != nil && !s.Pull.Whole && s.Since.IsZero() {
		return &state{Version: stateVersion, Project: project}
	}
	return &s
}

// begin starts a pull: of everything at first, and again after a while.
func (s *state) begin(now time.Time, reconcile time.Duration) {
	s.Pull = &progress{Began: now.UTC().Truncate(time.Second), Whole: s.Since.IsZero() || now.Sub(s.Whole) >= reconcile}
}

// end closes the pull.
func (s *state) end() {
	s.Since = s.Pull.Began
	if s.Pull.Whole {
		s.Whole = s.Pull.Began
	}
	s.Pull = nil
}

func (s *state) text() []byte {
	text, _ := json.Marshal(s) // times and texts can always be written
	return text
}
