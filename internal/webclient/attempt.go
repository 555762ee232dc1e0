package webclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"longitude/study"
)

// maxRedirects is how many redirects a request follows.
const maxRedirects = 5

// attempt sends a request once, and after a redirect to where that points. What it
// answers has its body still to be read.
func (c *Client) attempt(ctx context.Context, r Request) (*Answer, *body, error) {
	to, err := url.Parse(r.URL)
	if err != nil {
		return nil, nil, errAddress // the parser quotes the address
	}
	home := true
	for hop, at := 0, to; hop <= maxRedirects; hop++ {
		home = home && SameHost(at, to) // a stranger does not say what is asked for as us
		response, stop, err := c.exchange(ctx, r, at, home)
		if err != nil {
			return nil, nil, err
		}
		if next := response.Header.Get("Location"); redirects(response.StatusCode) && next != "" && !r.wants(response.StatusCode) {
			discard(response, stop)
			if at, err = r.follow(at, next); err != nil {
				return nil, nil, err
			}
			continue
		}
		return c.receive(r, at, response, stop)
	}
	return nil, nil, errRedirects
}

// receive looks at the beginning of an answer.
func (c *Client) receive(r Request, at *url.URL, response *http.Response, stop context.CancelCauseFunc) (*Answer, *body, error) {
	answer := &Answer{Status: response.StatusCode, Header: response.Header, URL: at}
	content, err := newBody(response, c.limits, stop)
	if err == nil && r.wants(answer.Status) && !r.HTML && isHTML(response.Header, content) {
		_ = content.Close()
		err = errHTML
	}
	if err != nil && !r.wants(answer.Status) {
		err = refusal(r, answer, c.rt.Now()) // however its reason is packed
	}
	if err != nil {
		return nil, nil, err
	}
	return answer, content, nil
}

// exchange sends one request to one address, within the budget of its host, and
// signs it again once if it is answered 401. home is false once a redirect has led
// to another host: that one is told nothing but what is asked for.
func (c *Client) exchange(ctx context.Context, r Request, at *url.URL, home bool) (*http.Response, context.CancelCauseFunc, error) {
	renewer, able := r.As.(Renewer)
	for again := false; ; again = true {
		sending, stop := context.WithCancelCause(ctx)
		request, err := r.build(sending, at, home)
		if err == nil {
			err = c.guard.address(at)
		}
		var response *http.Response
		if err == nil {
			response, err = c.send(sending, request)
		}
		if err != nil {
			stop(nil)
			return nil, nil, err
		}
		if response.StatusCode != http.StatusUnauthorized || !able || !home || again {
			return response, stop, nil
		}
		discard(response, stop)
		if err := renewer.Renew(ctx, request); err != nil {
			return nil, nil, err
		}
	}
}

// send waits for the turn of the host and sends a request. The time until the
// answer begins, and how it ended, are observed.
func (c *Client) send(ctx context.Context, request *http.Request) (*http.Response, error) {
	h := c.rt.Hosts.of(request.URL, c.limits.PerMinute)
	done, err := h.admit(ctx, c.rt)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	response, err := c.wire.RoundTrip(request)
	if err != nil {
		err = explain(ctx, err)
		done(err)
		c.rt.Hosts.observe(outcomeOf(err), time.Since(start))
		return nil, err
	}
	told := refusal(Request{}, &Answer{Status: response.StatusCode, Header: response.Header}, c.rt.Now())
	done(told)
	var e *study.Error
	if errors.As(told, &e) && e.RetryAfter > 0 {
		h.hold(c.rt.Now().Add(e.RetryAfter))
	}
	c.rt.Hosts.observe(outcomeOf(told), time.Since(start))
	return response, nil
}

// build makes the request to send, signed unless it leads to a stranger.
func (r Request) build(ctx context.Context, at *url.URL, home bool) (*http.Request, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	address := *at
	request := (&http.Request{Method: method, URL: &address, Host: address.Host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	if home {
		request.Header = r.Header.Clone()
	}
	if request.Header == nil {
		request.Header = http.Header{}
	}
	request.Header.Set("User-Agent", "longitude")
	request.Header.Set("Accept-Encoding", "gzip")
	if len(r.Body) > 0 && home {
		request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(r.Body)), int64(len(r.Body))
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
	}
	if r.As == nil || !home {
		return request, nil
	}
	return request, r.As.Sign(ctx, request, r.Body)
}

// follow is where a redirect leads, if the request may go there: to the same host,
// or without anything of its own to another one. Only a question without a body is
// asked again at another address.
func (r Request) follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	switch {
	case err != nil:
		return nil, errRedirected
	case r.Method != "" && r.Method != http.MethodGet && r.Method != http.MethodHead:
		return nil, errRedirected
	case from.Scheme == "https" && to.Scheme != "https":
		return nil, errRedirected
	case !SameHost(from, to) && !r.Elsewhere:
		return nil, errRedirected
	}
	return to, nil
}

func redirects(status int) bool {
	return slices.Contains([]int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}, status)
}

// SameHost reports whether two addresses are of one server, which may be told the same
// credentials.
func SameHost(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// wants reports whether answers of this status are read as what was asked for.
func (r Request) wants(status int) bool {
	return status >= 200 && status < 300 || slices.Contains(r.Answers, status)
}

// discard reads what little a server said beside the point, so that the connection
// can be used again.
func discard(response *http.Response, stop context.CancelCauseFunc) {
	_, _ = io.CopyN(io.Discard, response.Body, 16<<10)
	_ = response.Body.Close()
	stop(nil)
}
