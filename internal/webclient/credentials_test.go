package webclient

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const secret = "s3cr3t-t0ken"

func bearer() Credentials {
	return Signed(func(_ context.Context, r *http.Request, _ []byte) error {
		r.Header.Set("Authorization", "Bearer "+secret)
		r.Header.Set("X-Api-Key", secret)
		return nil
	})
}

// Redirects are followed on the same host; elsewhere only where the asker says so,
// and without anything that says who asks.
func TestRedirects(t *testing.T) {
	var seen []string
	note := func(r *http.Request) {
		seen = append(seen, fmt.Sprint(r.URL.Path, " ", r.Header.Get("Authorization") != "" || r.Header.Get("X-Api-Key") != "" || r.Header.Get("X-Own") != ""))
	}
	home := ""
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		note(r)
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			t.Errorf("another host was told %q", body)
		}
		if r.URL.Path == "/back" {
			http.Redirect(w, r, home+"/there", http.StatusFound)
		}
	})
	home = serve(t, func(w http.ResponseWriter, r *http.Request) {
		note(r)
		switch r.URL.Path {
		case "/near":
			http.Redirect(w, r, "/there?token="+secret, http.StatusFound)
		case "/far":
			http.Redirect(w, r, other+"/stored", http.StatusTemporaryRedirect)
		case "/forth":
			http.Redirect(w, r, other+"/back", http.StatusFound)
		case "/around":
			http.Redirect(w, r, "/around", http.StatusFound)
		case "/inside":
			http.Redirect(w, r, "https://169.254.169.254/", http.StatusFound)
		case "/odd":
			w.Header().Set("Location", "http://[::1")
			w.WriteHeader(http.StatusMovedPermanently)
		case "/nowhere":
			w.WriteHeader(http.StatusMovedPermanently)
		}
	})
	for _, c := range []struct {
		path, method string
		elsewhere    bool
		code         string
		seen         []string
	}{
		{"/near", "", false, "", []string{"/near true", "/there true"}},
		{"/near", "POST", false, "web.redirected", []string{"/near true"}},
		{"/far", "", false, "web.redirected", []string{"/far true"}},
		{"/far", "", true, "", []string{"/far true", "/stored false"}},
		{"/forth", "", true, "", []string{"/forth true", "/back false", "/there false"}},
		{"/far", "POST", true, "web.redirected", []string{"/far true"}},
		{"/around", "", false, "web.redirects", slices.Repeat([]string{"/around true"}, maxRedirects+1)},
		{"/inside", "", true, "web.address_refused", []string{"/inside true"}},
		{"/odd", "", true, "web.redirected", []string{"/odd true"}},
		{"/nowhere", "", true, "web.redirected", []string{"/nowhere true"}},
	} {
		seen = nil
		_, err := client(t, quick()).Read(t.Context(), Request{Method: c.method, URL: home + c.path, As: bearer(), Body: []byte("own"), Header: http.Header{"X-Own": {"mine"}}, Elsewhere: c.elsewhere})
		if codeOf(err) != c.code || !slices.Equal(seen, c.seen) {
			t.Errorf("%s %s: %v; %v", c.method, c.path, err, seen)
		}
	}
}

// A redirect that is asked for as an answer is one, with its headers, and not followed.
func TestRedirectIsAnAnswer(t *testing.T) {
	asked := 0
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		http.Redirect(w, r, "/there", http.StatusFound)
	})
	a, err := client(t, quick()).Read(t.Context(), Request{Method: "POST", URL: address, Body: []byte("who"), Answers: []int{http.StatusFound}, HTML: true})
	if err != nil || a.Status != http.StatusFound || a.Header.Get("Location") != "/there" || a.Header.Get("Set-Cookie") == "" || asked != 1 {
		t.Errorf("%v, %+v, asked %d times", err, a, asked)
	}
}

// A token that is no longer taken is replaced once, however many requests find out
// at the same time.
func TestTokenIsRenewedOnce(t *testing.T) {
	var given atomic.Int32
	var good atomic.Value
	good.Store("token 1")
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+good.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	token := &Token{Fetch: func(context.Context) (string, time.Duration, error) {
		return fmt.Sprintf("token %d", given.Add(1)), 0, nil
	}}
	c := client(t, quick())
	ask := func() {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := c.Read(t.Context(), Request{URL: address, As: token}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	ask()
	good.Store("token 2")
	ask()
	if given.Load() != 2 {
		t.Errorf("%d tokens were asked for", given.Load())
	}
	good.Store("none")
	if _, err := c.Read(t.Context(), Request{URL: address, As: token}); codeOf(err) != "web.unauthorized" || given.Load() != 3 {
		t.Errorf("a server that takes none: %v after %d tokens", err, given.Load())
	}
}

func TestTokenEnds(t *testing.T) {
	now, given := time.Unix(1e9, 0), 0
	token := &Token{Now: func() time.Time { return now }, Put: func(r *http.Request, text string) { r.Header.Set("X-Session", text) },
		Fetch: func(context.Context) (string, time.Duration, error) {
			given++
			return "x", 5 * time.Minute, nil
		}}
	for _, c := range []struct {
		after time.Duration
		given int
	}{{0, 1}, {4 * time.Minute, 1}, {29 * time.Second, 1}, {2 * time.Second, 2}} {
		now = now.Add(c.after)
		r := &http.Request{Header: http.Header{}, URL: &url.URL{}}
		if err := token.Sign(t.Context(), r, nil); err != nil || given != c.given || r.Header.Get("X-Session") != "x" {
			t.Errorf("after %v: %v, %d tokens", c.after, err, given)
		}
	}
}

// Nothing that is said, in an error or a log, holds what proves who asks, or an
// address.
func TestNothingIsSaidOfSecrets(t *testing.T) {
	var said bytes.Buffer
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "https://other.example/?token="+secret, http.StatusFound)
		case "/cut":
			w.Header().Set("Content-Length", "100")
		case "/echo":
			w.WriteHeader(http.StatusBadRequest)
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(secret))
	})
	l := quick()
	l.Attempts = 2
	c := New(l, Runtime{Hosts: &Hosts{}, Log: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Sleep: func(context.Context, time.Duration) error { return nil }})
	defer c.Close()
	for _, at := range []string{address + "/redirect", address + "/cut", address + "/echo", address + "/busy", "http://127.0.0.1:1/", "https://" + secret + ".invalid/", "https://a b" + secret, ":" + secret, "http://127.0.0.1:" + secret} {
		_, err := c.Read(t.Context(), Request{Op: "ask", URL: at + "?token=" + secret, As: bearer()})
		if err == nil {
			t.Errorf("%s: no error", at)
		}
		fmt.Fprintf(&said, "%v %+v %#v %q\n", err, err, err, err)
	}
	if !strings.Contains(said.String(), "asking again") {
		t.Error("nothing was logged")
	}
	for _, never := range []string{secret, "127.0.0.1", "other.example"} {
		if strings.Contains(said.String(), never) {
			t.Errorf("%q was said:\n%s", never, said.String())
		}
	}
}

func TestWatch(t *testing.T) {
	answers := []int{503, 429, 401, 404, 200}
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(answers[0])
		answers = answers[1:]
	})
	hosts := &Hosts{}
	var seen []string
	hosts.Watch(func(e Exchange) {
		seen = append(seen, e.Outcome)
		if !slices.Contains(Outcomes, e.Outcome) || e.Took < 0 {
			t.Errorf("%+v", e)
		}
	})
	c := New(quick(), Runtime{Hosts: hosts, Sleep: func(context.Context, time.Duration) error { return nil }})
	defer c.Close()
	for range 3 {
		_, _ = c.Read(t.Context(), Request{URL: address})
	}
	_, _ = c.Read(t.Context(), Request{URL: "http://127.0.0.1:1"})
	if want := []string{"server_error", "busy", "unauthorized", "client_error", "ok", "unreachable"}; !slices.Equal(seen[:len(want)], want) {
		t.Errorf("%v", seen)
	}
}
