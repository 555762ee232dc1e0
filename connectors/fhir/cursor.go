package fhir

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"longitude/connectors"
)

// version of the cursor's state.
const version = 1

// maxState is how long a state can be that is ours.
const maxState = 64 << 10

// state is where a source stands: what it has taken, and what it is in the middle of.
type state struct {
	V      int    `json:"v"`
	Of     string `json:"of"`               // digest of what is pulled: of another it says nothing
	Since  string `json:"since,omitempty"`  // all that changed until then is taken
	Job    *job   `json:"job,omitempty"`    // bulk: the export that is prepared or read
	Round  *round `json:"round,omitempty"`  // search: the searches that are read
	Roster string `json:"roster,omitempty"` // digest of the participants told last
}

// job is an export at the server.
type job struct {
	URL     string    `json:"url"` // where it is asked for
	Begun   time.Time `json:"begun"`
	At      string    `json:"at,omitempty"` // its transaction time, once its files are read
	Next    int       `json:"next,omitempty"`
	Members string    `json:"members,omitempty"` // digest of the group's when it began
}

// round is one pull by searches.
type round struct {
	From string `json:"from"` // the server's time when it began
	Type int    `json:"type"` // of those configured, being read
	Page int    `json:"page"` // of them, that comes next
	URL  string `json:"url,omitempty"`
}

// read is the state of a cursor; of a cursor that is not ours the beginning.
func (s *source) read(after connectors.Cursor) state {
	fresh := state{V: version, Of: s.of}
	var st state
	if len(after.State) > maxState || json.Unmarshal(after.State, &st) != nil || st.V != version || st.Of != s.of {
		return fresh
	}
	if st.Round != nil && (st.Round.Type < 0 || st.Round.Type >= len(s.config.Types) || st.Round.Page < 0 || st.Round.From == "") {
		st.Round = nil
	}
	if st.Job != nil && (st.Job.URL == "" || st.Job.Next < 0) {
		st.Job = nil
	}
	return st
}

// bytes is a state as a cursor holds it.
func (st state) bytes() []byte {
	text, _ := json.Marshal(st) // texts and numbers always are
	return text
}

// what identifies what is pulled: an export of other types begins anew.
func (c Config) what() string {
	return strings.Join(append([]string{"fhir", strings.TrimRight(c.URL, "/"), c.Mode, c.Level, filters(c)}, c.Types...), "\x00")
}

func filters(c Config) string {
	text, _ := json.Marshal(c.Filters) // in order of types
	return string(text)
}

// mark is a delivery of no bytes: what it makes durable is the state.
func (s *source) mark(st state) connectors.Delivery {
	return s.delivery("state", s.rt.Digest(string(st.bytes())), st, nil)
}

// delivery is an object that is in memory, or with nil bytes none.
func (s *source) delivery(name, version string, st state, object []byte) connectors.Delivery {
	return connectors.Delivery{Item: s.rt.Digest("fhir/" + name), Name: name, Version: version, Size: int64(len(object)), Modified: s.rt.Now(), State: st.bytes(),
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(object)), ctx.Err()
		}}
}
