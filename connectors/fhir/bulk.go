package fhir

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// manifest is what an export consists of.
type manifest struct {
	At      string `json:"transactionTime"`
	Token   bool   `json:"requiresAccessToken"`
	Output  []listed
	Deleted []listed
	Error   []listed
	Link    []struct{ Relation, URL string }
}

// listed is a file of an export.
type listed struct {
	Type  string
	URL   string
	Count *int64 // of its resources; nil = nobody says
}

// export takes one export: the one that the state is in the middle of, or a new one.
func (p *pull) export() error {
	resumed := p.state.Job != nil
	for {
		if p.state.Job == nil {
			if err := p.kickOff(); err != nil {
				return err
			}
		}
		m, err := p.await()
		switch {
		case err == nil:
			return p.take(m)
		case resumed && is(err, errGone):
			p.state.Job, resumed = nil, false // a new one has all that this one had
			continue
		case is(err, errGone, errFailed, errLate):
			return p.abandon(err)
		}
		return err
	}
}

// kickOff has the server begin an export, and makes durable where it is prepared.
func (p *pull) kickOff() error {
	members, since, err := p.membersNow()
	if err != nil {
		return err
	}
	q := url.Values{"_outputFormat": {"application/fhir+ndjson"}}
	if since != "" {
		q.Set("_since", since)
	}
	if len(p.config.Types) > 0 {
		q.Set("_type", strings.Join(p.config.Types, ","))
	}
	for _, t := range p.config.Types {
		if filter := p.config.Filters[t]; filter != "" {
			q.Add("_typeFilter", t+"?"+filter)
		}
	}
	level := map[string]string{system: "", patients: "/Patient"}[p.config.Level]
	if id, ok := strings.CutPrefix(p.config.Level, "group:"); ok {
		level = "/Group/" + id
	}
	answer, err := p.web.Read(p.ctx, webclient.Request{Op: "begin an export", URL: p.base + level + "/$export?" + q.Encode(), As: p.as, Once: true,
		Header: http.Header{"Accept": {fhirJSON}, "Prefer": {"respond-async"}}})
	if err != nil {
		return err
	}
	at := answer.Header.Get("Content-Location")
	if answer.Status != http.StatusAccepted || at == "" {
		if o, ok := outcomeOf(answer.Body); ok && o.grave() {
			return o.err()
		}
		return errNoJob
	}
	if at, _, err = p.follow(at); err != nil {
		return err
	}
	st := p.state
	st.Job = &job{URL: at, Begun: p.rt.Now(), Members: members}
	return p.stand(st)
}

// membersNow is a digest of who is in the group, and since when changes are wanted:
// of a group with other members everything, because of new ones what is older counts, too.
func (p *pull) membersNow() (digest, since string, err error) {
	if p.config.Roster != group {
		return "", p.state.Since, nil
	}
	who, err := p.members(p.ctx)
	if err != nil {
		return "", "", err
	}
	if digest = p.rt.Digest(who); digest != p.state.Roster {
		return digest, "", nil
	}
	return digest, p.state.Since, nil
}

// The longest wait between two questions, whatever the server says.
const longestPoll = 10 * time.Minute

// await asks until the export is ready. What is temporary of a question is tried
// again within the question, and by the next run with the same export.
func (p *pull) await() (*manifest, error) {
	for {
		answer, err := p.web.Read(p.ctx, webclient.Request{Op: "ask whether the export is ready", URL: p.state.Job.URL, As: p.as,
			Header: http.Header{"Accept": {"application/json"}}, Judge: judgePoll})
		switch {
		case is(err, errGone):
			return nil, errGone
		case is(err, errFailed):
			return nil, errFailed
		case err != nil:
			return nil, err
		case answer.Status == http.StatusOK:
			return manifestOf(answer.Body)
		}
		wait := webclient.RetryAfter(answer.Header, p.rt.Now())
		if wait <= 0 {
			wait = p.config.Poll
		}
		wait = min(wait, longestPoll)
		if p.rt.Now().Add(wait).After(p.state.Job.Begun.Add(p.config.Within)) {
			return nil, errLate
		}
		p.rt.Log.Debug("the export is being prepared", "asked_again_in", wait)
		if err := p.rt.Sleep(p.ctx, wait); err != nil {
			return nil, err
		}
	}
}

// judgePoll tells an export that failed from a server that is in trouble for a
// while: by the code of its OperationOutcome. Without one a 5xx may pass.
func judgePoll(status int, _ http.Header, body []byte) error {
	o, is := outcomeOf(body)
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		return settled(errGone)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return nil
	case is && o.has(passing) && (status >= 500 || status == http.StatusOK):
		return errPassing
	case status >= 500 && !is:
		return nil
	case status >= 400, is && status == http.StatusOK:
		return settled(errFailed)
	}
	return nil
}

func manifestOf(body []byte) (*manifest, error) {
	m := &manifest{}
	if json.Unmarshal(body, m) != nil {
		return nil, errNotFHIR
	}
	if _, err := time.Parse(time.RFC3339, m.At); err != nil {
		return nil, errNotFHIR
	}
	if slices.ContainsFunc(m.Link, func(l struct{ Relation, URL string }) bool { return l.Relation == "next" }) {
		return nil, errParts
	}
	return m, nil
}

// take delivers the files of an export, from where the state is.
func (p *pull) take(m *manifest) error {
	if err := p.complaints(m); err != nil {
		if is(err, errComplaints) {
			err = p.abandon(err)
		}
		return err
	}
	files := slices.Concat(m.Output, m.Deleted)
	j := *p.state.Job
	if j.At != m.At || j.Next > len(files) { // it is not the export that was read before
		j.At, j.Next = m.At, 0
	}
	numbers := map[string]int{}
	for i, f := range files {
		name := fmt.Sprintf("%s.%03d.ndjson", kindOf(m, i), numbers[kindOf(m, i)])
		numbers[kindOf(m, i)]++
		if i < j.Next {
			continue
		}
		d, err := p.file(name, f, m)
		if err != nil {
			return err
		}
		j.Next = i + 1
		st, behind := p.state, j
		st.Job = &behind
		if err := p.give(d, st); err != nil {
			return err
		}
	}
	st := p.state
	st.Since, st.Job, p.exported = m.At, nil, j.Members
	if err := p.stand(st); err != nil {
		return err
	}
	p.release(j.URL)
	return nil
}

// kindOf is the type in file i, as its name says it.
func kindOf(m *manifest, i int) string {
	switch {
	case i >= len(m.Output):
		return "deleted"
	case typeName.MatchString(m.Output[i].Type):
		return m.Output[i].Type
	}
	return "file"
}

// abandon forgets an export, here and at the server, so that the next run begins
// another, and says why.
func (p *pull) abandon(why error) error {
	at := p.state.Job.URL
	st := p.state
	st.Job = nil
	if err := p.stand(st); err != nil {
		return err
	}
	p.release(at)
	return why
}

// release has the server remove an export. Servers need not be able to.
func (p *pull) release(at string) {
	_, err := p.web.Read(p.ctx, webclient.Request{Op: "remove the export", Method: http.MethodDelete, URL: at, As: p.as, Once: true})
	if err != nil {
		p.rt.Log.Debug("the export stays at the server until it expires")
	}
}

// complaints reads the errors of an export, which may accompany files. Those that
// are no more than warnings refuse nothing.
func (p *pull) complaints(m *manifest) error {
	for _, f := range m.Error {
		at, home, err := p.follow(f.URL)
		if err != nil {
			return err
		}
		answer, err := p.web.Read(p.ctx, webclient.Request{Op: "read the errors of an export", URL: at, As: p.token(m, home), Header: http.Header{"Accept": {ndjson}}})
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(answer.Body)) {
			o, ok := outcomeOf([]byte(line))
			if strings.TrimSpace(line) == "" || ok && !o.grave() {
				continue
			}
			if p.config.Errors == refuse {
				return errComplaints
			}
			p.rt.Log.Warn("the export has errors beside its files, which the configuration accepts")
			return nil
		}
	}
	return nil
}

const ndjson = "application/fhir+ndjson"

// token is what a file is asked for with. Another host is told it only where the
// manifest asks for it and the operator lists the host, which follow has made sure.
func (s *source) token(m *manifest, home bool) webclient.Credentials {
	if m.Token || home {
		return s.as
	}
	return nil
}

// file is the delivery of a file.
func (p *pull) file(name string, f listed, m *manifest) (connectors.Delivery, error) {
	at, home, err := p.follow(f.URL)
	if err != nil {
		return connectors.Delivery{}, err
	}
	d := p.delivery(name, p.rt.Digest(m.At+"\x00"+name+"\x00"+strconv.Itoa(len(m.Output))), state{}, nil)
	d.Size = -1
	d.Modified, _ = time.Parse(time.RFC3339, m.At)
	request := webclient.Request{Op: "read a file of an export", URL: at, As: p.token(m, home), Header: http.Header{"Accept": {ndjson}}, Elsewhere: len(p.config.Hosts) > 0,
		Judge: func(status int, _ http.Header, _ []byte) error {
			if status == http.StatusNotFound || status == http.StatusGone {
				return settled(errGone)
			}
			return nil
		}}
	begun := p.state.Job.URL
	d.Open = func(ctx context.Context) (io.ReadCloser, error) {
		answer, body, err := p.files.Open(ctx, request)
		if is(err, errGone) {
			p.release(begun) // so that the next run is not told of it again
			return nil, errGone
		}
		if err != nil {
			return nil, err
		}
		if _, _, err := p.follow(answer.URL.String()); err != nil {
			_ = body.Close()
			return nil, err
		}
		return newWhole(body, f), nil
	}
	return d, nil
}
