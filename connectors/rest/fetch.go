package rest

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"longitude/internal/webclient"
)

// chain is one list to go through: a stream, or what a stream has for one record of
// its parent.
type chain struct {
	stream Stream
	key    string            // tells chains of a stream apart; "" = the only one
	values map[string]string // for its templates
}

// question is one request for a page.
type question struct {
	address string // an address that the server gave; "" = the stream's path
	query   map[string]string
}

// ask sends a question of a chain. Answers that a rule takes for nothing are
// errSkip and errStop.
func (s *source) ask(ctx context.Context, c chain, q question) (*webclient.Answer, error) {
	r := webclient.Request{Op: "pull stream " + c.stream.Name, Method: c.stream.Method, URL: q.address,
		Judge: s.judge(c.stream), Elsewhere: c.stream.Export.Files != "", HTML: c.stream.format() == "file"}
	values := maps.Clone(c.values)
	if values == nil {
		values = map[string]string{}
	}
	maps.Copy(values, q.query)
	if r.URL == "" {
		query := q.query
		if inBody(c.stream.Body, q.query) {
			query = nil
		}
		r.URL = s.address(c.stream.Path, c.stream.Query, query, values)
	}
	if !s.atHome(r.URL) {
		r.Method = "" // a file elsewhere is fetched; nobody else is told what is asked
	} else if c.stream.Body != "" {
		r.Body = []byte(fill(c.stream.Body, values, inJSON))
	}
	return s.send(ctx, r)
}

// inBody reports whether the body takes what the query would.
func inBody(body string, query map[string]string) bool {
	for name := range query {
		if strings.Contains(body, "{"+name+"}") {
			return true
		}
	}
	return false
}

// send asks as the account, when it is this request's turn.
func (s *source) send(ctx context.Context, r webclient.Request) (*webclient.Answer, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.atHome(r.URL) { // nobody else is told who asks
		header, err := s.headers()
		if err != nil {
			return nil, err
		}
		if len(r.Body) > 0 && header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
		r.Header, r.As = header, s.as
	}
	return s.client.Read(ctx, r)
}

func (s *source) headers() (http.Header, error) {
	header := http.Header{}
	for name, value := range s.config.Headers {
		header.Set(name, value)
	}
	for name, secret := range s.config.Secrets {
		value, err := secret.Reveal()
		if err != nil {
			return nil, err
		}
		header.Set(name, value)
	}
	return header, nil
}

// address is a path of the API with its query, templates filled in.
func (s *source) address(path string, fixed, own, values map[string]string) string {
	u, err := url.Parse(strings.TrimRight(s.config.URL, "/") + fill(path, values, inPath))
	if err != nil {
		return s.config.URL + path // the client says what is wrong with it
	}
	query := u.Query()
	for name, value := range fixed {
		query.Set(name, fill(value, values, nil))
	}
	for name, value := range own {
		query.Set(name, value)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// resolve is an address that may be a path of the API's host.
func (s *source) resolve(address string) string {
	base, err := url.Parse(s.config.URL)
	if err != nil {
		return address
	}
	u, err := base.Parse(address)
	if err != nil {
		return address
	}
	return u.String()
}

// atHome reports whether an address is at the API's host: only that is told who asks.
func (s *source) atHome(address string) bool {
	base, err := url.Parse(s.config.URL)
	if err != nil {
		return false
	}
	u, err := url.Parse(address)
	return err == nil && webclient.SameHost(u, base)
}

// fill puts values where a template has their names in braces.
func fill(template string, values map[string]string, write func(string) string) string {
	if !strings.Contains(template, "{") {
		return template
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if write != nil {
			value = write(value)
		}
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(template)
}

// inPath writes a text as one element of a path.
func inPath(text string) string {
	if strings.Trim(text, ".") == "" {
		return strings.ReplaceAll(text, ".", "%2E") // no way up
	}
	return url.PathEscape(text)
}

// inJSON writes a text as it stands between the quotes of a JSON string.
func inJSON(text string) string {
	quoted, _ := json.Marshal(text) // texts always can be
	return string(quoted[1 : len(quoted)-1])
}

func (s *source) rules(of Stream) []Rule { return slices.Concat(of.Rules, s.config.Rules) }

// judge applies the rules to an answer; the first that fits counts.
func (s *source) judge(of Stream) func(int, http.Header, []byte) error {
	rules := s.rules(of)
	if len(rules) == 0 {
		return nil
	}
	return func(status int, h http.Header, body []byte) error {
		for _, r := range rules {
			if !r.fits(status, of, body) {
				continue
			}
			switch r.Do {
			case doSkip:
				return errSkip
			case doStop:
				return errStop
			case doFail:
				return errFinal
			}
			passing := *errPassing
			passing.RetryAfter = webclient.RetryAfter(h, s.rt.Now())
			return &passing
		}
		return nil
	}
}

func (r Rule) fits(status int, of Stream, body []byte) bool {
	if len(r.Status) > 0 && !slices.Contains(r.Status, status) {
		return false
	}
	if r.At == "" {
		return true
	}
	if of.format() != "xml" {
		of.Format = "json" // errors of an API that answers in CSV are JSON
	}
	value := look(of, body).value(r.At)
	return value != "" && (len(r.Is) == 0 || slices.Contains(r.Is, value))
}
