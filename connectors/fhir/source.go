package fhir

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"longitude/connectors"
	"longitude/internal/webclient"
	"longitude/study"
)

// source is one FHIR server.
type source struct {
	config Config
	rt     connectors.Runtime
	base   string
	of     string            // digest of what is pulled
	web    *webclient.Client // for questions
	files  *webclient.Client // for files, which may be larger
	as     webclient.Credentials
}

func open(c Config, rt connectors.Runtime) (connectors.Source, error) {
	s := &source{config: c, rt: rt, base: strings.TrimRight(c.URL, "/"), of: rt.Digest(c.what())}
	client := webclient.Runtime{Now: rt.Now, Sleep: rt.Sleep, Log: rt.Log}
	s.web = webclient.New(c.Web, client)
	large := c.Web
	large.MaxBytes = c.MaxFile
	s.files = webclient.New(large, client)
	s.as = s.credentials()
	return s, nil
}

// Close implements connectors.Source.
func (s *source) Close() error {
	s.web.Close()
	s.files.Close()
	return nil
}

const fhirJSON = "application/fhir+json"

// answered are statuses by which a server that knows the account may refuse what
// Check asks: not every account that may export may also search.
var answered = []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
	http.StatusGone, http.StatusUnprocessableEntity, http.StatusNotImplemented}

// Check implements connectors.Source: it reads what the server can do, and has it
// count one type, for which it needs to know the account. No resource is read.
func (s *source) Check(ctx context.Context) error {
	if _, err := s.capabilities(ctx); err != nil {
		return err
	}
	kind := "Patient"
	if len(s.config.Types) > 0 {
		kind = s.config.Types[0]
	}
	_, err := s.web.Read(ctx, webclient.Request{Op: "count the resources of a type", URL: s.base + "/" + kind + "?_summary=count", As: s.as,
		Header: http.Header{"Accept": {fhirJSON}}, Answers: answered})
	return err
}

func (s *source) capabilities(ctx context.Context) ([]byte, error) {
	answer, err := s.web.Read(ctx, webclient.Request{Op: "read what the server can do", URL: s.base + "/metadata", As: s.as,
		Header: http.Header{"Accept": {fhirJSON}}, Judge: wants("CapabilityStatement")})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// wants judges an answer that should be a resource of a type.
func wants(kind string) func(int, http.Header, []byte) error {
	return func(status int, _ http.Header, body []byte) error {
		if o, ok := outcomeOf(body); ok && o.grave() && (status < 300 || o.has(passing) && status >= 500) {
			return o.err()
		}
		var r struct{ ResourceType string }
		if status < 300 && (json.Unmarshal(body, &r) != nil || r.ResourceType != kind) {
			return errNotFHIR
		}
		return nil
	}
}

// maxDefinitions is how many pages of questionnaires Discover reads.
const maxDefinitions = 50

// Discover implements connectors.Discoverer: what the server can do, and the
// questionnaires that it has, if it tells them.
func (s *source) Discover(ctx context.Context) ([]study.Metadata, error) {
	capabilities, err := s.capabilities(ctx)
	if err != nil {
		return nil, err
	}
	found := []study.Metadata{{Name: "CapabilityStatement", Bytes: capabilities}}
	for next := s.base + "/Questionnaire?_count=50"; next != "" && len(found) < maxDefinitions; {
		p, err := s.page(ctx, "read the questionnaires", next)
		if refused(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		found = append(found, study.Metadata{Name: "Questionnaire", Bytes: p.body})
		next = p.next
	}
	return found, nil
}

// refused reports whether a server does not have, or does not give, what was asked.
func refused(err error) bool {
	var status webclient.Status
	return errors.As(err, &status) && slices.Contains(answered, int(status))
}

// Pull implements connectors.Source.
func (s *source) Pull(ctx context.Context, after connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		p := &pull{source: s, ctx: ctx, state: s.read(after), durable: string(after.State), yield: yield}
		err := p.run()
		if reason := ctx.Err(); err != nil && reason != nil {
			err = reason
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(connectors.Delivery{}, err)
		}
	}
}

// errEnough says that the consumer wants no more.
var errEnough = errors.New("fhir: the consumer stopped")

// pull is one pull.
type pull struct {
	*source
	ctx      context.Context
	state    state  // where it is
	durable  string // the state of the delivery yielded last
	exported string // bulk: digest of the members when the export began
	yield    func(connectors.Delivery, error) bool
}

func (p *pull) run() error {
	read := p.export
	if p.config.Mode == search {
		read = p.searches
	}
	middle := p.state.Job != nil || p.state.Round != nil
	if err := read(); err != nil {
		return err
	}
	if middle { // that was of the time when it began: there may be more since
		if err := read(); err != nil {
			return err
		}
	}
	return p.roster()
}

// give yields a delivery, behind which the source stands at a state.
func (p *pull) give(d connectors.Delivery, st state) error {
	d.State = st.bytes()
	if !p.yield(d, nil) {
		return errEnough
	}
	p.state, p.durable = st, string(st.bytes())
	return p.ctx.Err()
}

// stand makes a state durable, if it is not.
func (p *pull) stand(st state) error {
	if string(st.bytes()) == p.durable {
		p.state = st
		return nil
	}
	return p.give(p.mark(st), st)
}

// follow is an address that the server names, if it may be followed: at the server
// itself, or at a host that the operator lists. home says which.
func (s *source) follow(address string) (at string, home bool, err error) {
	base, err := url.Parse(s.base + "/")
	if err != nil {
		return "", false, errElsewhere
	}
	to, err := base.Parse(address)
	if err != nil {
		return "", false, errElsewhere
	}
	home = to.Scheme == base.Scheme && strings.EqualFold(to.Host, base.Host)
	if !home && !slices.ContainsFunc(s.config.Hosts, func(host string) bool { return strings.EqualFold(host, to.Host) }) {
		return "", false, errElsewhere
	}
	return to.String(), home, nil
}
