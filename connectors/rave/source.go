package rave

import (
	"context"
	"encoding/json"
	"iter"
	"strings"

	"longitude/connectors"
	"longitude/internal/webclient"
	"longitude/study"
)

// source is one study.
type source struct {
	config Config
	rt     connectors.Runtime
	web    *webclient.Client // for documents, which are held in memory
	large  *webclient.Client // for views, which are not
	as     webclient.Credentials
}

func open(c Config, rt connectors.Runtime) (connectors.Source, error) {
	of, small := webclient.Runtime{Now: rt.Now, Sleep: rt.Sleep, Log: rt.Log}, c.Web
	small.MaxBytes = min(small.MaxBytes, maxDocument)
	return &source{config: c, rt: rt, as: c.credentials(rt.Now), web: webclient.New(small, of), large: webclient.New(c.Web, of)}, nil
}

// maxDocument is how large a page of audits, or a case report form, may be.
const maxDocument = 256 << 20

// Check implements connectors.Source: the account sees the study.
func (s *source) Check(ctx context.Context) error {
	list, err := s.read(ctx, "listing the studies", nil, "studies")
	if err != nil {
		return err
	}
	found, err := studiesOf(list)
	if err != nil {
		return err
	}
	for _, oid := range found { // production is often told without its environment
		if oid == s.config.study() || s.config.Environment == "Prod" && oid == s.config.Project {
			return nil
		}
	}
	return errStudy
}

// Close implements connectors.Source.
func (s *source) Close() error {
	s.web.Close()
	s.large.Close()
	return nil
}

// Pull implements connectors.Source.
func (s *source) Pull(ctx context.Context, after connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		st := s.state(after.State)
		if s.config.Feed == byAudits {
			s.pages(ctx, st, yield)
		} else {
			s.views(ctx, st, yield)
		}
	}
}

// Discover implements connectors.Discoverer: the newest version of the case report
// form.
func (s *source) Discover(ctx context.Context) ([]study.Metadata, error) {
	list, err := s.read(ctx, "listing the versions of the case report form", nil, "metadata", "studies", s.config.Project, "versions")
	if err != nil {
		return nil, err
	}
	version, err := newestVersion(list)
	if err != nil {
		return nil, err
	}
	form, err := s.read(ctx, "reading the case report form", nil, "metadata", "studies", s.config.Project, "versions", version)
	if err != nil {
		return nil, err
	}
	return []study.Metadata{{Name: "metadata", Bytes: form}}, nil
}

// stateVersion is the version of the cursor's state. Another one is no state of ours:
// everything is pulled.
const stateVersion = 1

// state is what a pull leaves for the next. It names nobody.
type state struct {
	Version int               `json:"rave"`
	Study   string            `json:"study"` // keyed digest: another study begins anew
	Feed    string            `json:"feed"`
	Next    int64             `json:"next,omitempty"`  // the first audit that is not durable
	Views   map[string]string `json:"views,omitempty"` // by form: when the view was rebuilt that is durable
}

func (s *source) state(text []byte) *state {
	fresh := &state{Version: stateVersion, Study: s.rt.Digest(s.config.URL + " " + s.config.study()), Feed: s.config.Feed, Next: 1}
	var was state
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if len(text) > 1<<16 || d.Decode(&was) != nil || was.Version != fresh.Version || was.Study != fresh.Study || was.Feed != fresh.Feed || was.Next < 1 {
		return fresh
	}
	return &was
}

func (st *state) text() []byte {
	text, _ := json.Marshal(st) // numbers and texts can always be written
	return text
}
