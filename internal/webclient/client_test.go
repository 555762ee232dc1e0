package webclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"longitude/study"
)

// quick are limits that reach a server of a test.
func quick() Limits {
	l := Defaults()
	l.Allow, l.PerMinute = []string{"127.0.0.0/8", "::1"}, 0
	return l
}

// client is a client with budgets of its own, which does not wait.
func client(t *testing.T, l Limits) *Client {
	t.Helper()
	c := New(l, Runtime{Hosts: &Hosts{}, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	t.Cleanup(c.Close)
	return c
}

func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

// codeOf is the code of an error.
func codeOf(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestRead(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Authorization")+" "+r.Header.Get("X-Own")+" "+r.Method)
	})
	a, err := client(t, quick()).Read(t.Context(), Request{Op: "ask", URL: address, Header: http.Header{"X-Own": {"mine"}},
		As: Signed(func(_ context.Context, r *http.Request, _ []byte) error { r.SetBasicAuth("a", "b"); return nil })})
	if err != nil || string(a.Body) != "Basic YTpi mine GET" {
		t.Errorf("%q, %v", a.Body, err)
	}
}
