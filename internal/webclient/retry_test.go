package webclient

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"longitude/study"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "1.5": 1500 * time.Millisecond, "-3": 0, "soon": 0, "NaN": 0, "1e300": 24 * time.Hour, "Inf": 24 * time.Hour,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second, "Sunday, 01-Mar-26 12:01:00 GMT": time.Minute, "Sun Mar  1 12:00:10 2026": 10 * time.Second,
		"Sun, 01 Mar 2026 11:59:30 GMT": 0, "Wed, 01 Mar 2076 12:00:30 GMT": 24 * time.Hour,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sun, 01 Mar 2026 12:00:30 GMT")
	f.Fuzz(func(t *testing.T, text string) {
		if d := RetryAfter(http.Header{"Retry-After": {text}}, time.Unix(1e9, 0)); d < 0 || d > maxRetryAfter {
			t.Errorf("%q: %v", text, d)
		}
	})
}

// Which statuses are tried again, and what they are in the end.
func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		asked  int
	}{
		{200, "", 1}, {204, "", 1}, {304, "web.refused", 1}, {400, "web.refused", 1}, {401, "web.unauthorized", 1}, {403, "web.forbidden", 1},
		{404, "web.not_found", 1}, {410, "web.not_found", 1}, {408, "web.timeout", 5}, {429, "web.busy", 5}, {501, "web.refused", 1},
		{500, "web.server", 5}, {502, "web.server", 5}, {503, "web.server", 5}, {504, "web.server", 5}, {599, "web.server", 5},
	} {
		asked := 0
		address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(c.status)
		})
		_, err := client(t, quick()).Read(t.Context(), Request{Op: "list the records", URL: address + "/?token=SECRET"})
		var status Status
		if codeOf(err) != c.code || asked != c.asked || err != nil && (!errors.As(err, &status) || int(status) != c.status) {
			t.Errorf("%d: %v after %d requests", c.status, err, asked)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "list the records: ") || strings.Contains(err.Error(), "SECRET")) {
			t.Errorf("%d: %v", c.status, err)
		}
	}
}

func TestAnotherAttemptHelps(t *testing.T) {
	asked := 0
	var bodies []string
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 4)
		n, _ := r.Body.Read(b)
		bodies = append(bodies, string(b[:n]))
		if asked++; asked < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	if _, err := client(t, quick()).Read(t.Context(), Request{Method: "POST", URL: address, Body: []byte("body")}); err != nil || !slices.Equal(bodies, []string{"body", "body", "body", "body"}) {
		t.Errorf("%v, bodies %q", err, bodies)
	}
}

// What would do harm a second time is sent again only if the server has not heard it.
func TestOnce(t *testing.T) {
	for _, c := range []struct{ status, asked int }{{500, 1}, {503, 1}, {408, 1}, {429, 5}} {
		asked := 0
		address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(c.status)
		})
		if _, err := client(t, quick()).Read(t.Context(), Request{Method: "POST", URL: address, Once: true}); err == nil || asked != c.asked {
			t.Errorf("%d: %v after %d requests", c.status, err, asked)
		}
	}
}

// Judge is asked first, whatever the status: an answer can be an error, and an
// error an answer's beginning.
func TestJudge(t *testing.T) {
	asked := 0
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path == "/400" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write([]byte(`{"error":"busy"}`))
	})
	judge := func(temporary bool) func(int, http.Header, []byte) error {
		return func(_ int, _ http.Header, body []byte) error {
			if strings.Contains(string(body), "busy") && asked < 3 {
				return &study.Error{Code: "test.busy", Op: "the server is busy", Temporary: temporary}
			}
			return nil
		}
	}
	if a, err := client(t, quick()).Read(t.Context(), Request{URL: address, Judge: judge(true)}); err != nil || asked != 3 || len(a.Body) == 0 {
		t.Errorf("a temporary error: %v after %d", err, asked)
	}
	asked = 0
	if _, err := client(t, quick()).Read(t.Context(), Request{Op: "ask", URL: address, Judge: judge(false)}); codeOf(err) != "test.busy" || asked != 1 || !strings.HasPrefix(err.Error(), "ask: ") {
		t.Errorf("a final error: %v after %d", err, asked)
	}
	asked = 0
	if _, _, err := client(t, quick()).Open(t.Context(), Request{URL: address + "/400", Judge: judge(false)}); codeOf(err) != "test.busy" {
		t.Errorf("the reason of a refusal in Open: %v", err)
	}
}

// The waits are uniform up to a doubling bound, and as long as the server wants.
func TestWaits(t *testing.T) {
	var bounds []int64
	var waits []time.Duration
	after := ""
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(http.StatusInternalServerError)
	})
	now := time.Now()
	l := quick()
	rt := Runtime{
		Hosts: &Hosts{}, Now: func() time.Time { return now },
		Random: func(below int64) int64 { bounds = append(bounds, below/1e6); return below / 2 },
		Sleep:  func(_ context.Context, d time.Duration) error { waits = append(waits, d); now = now.Add(d); return nil },
	}
	c := New(l, rt)
	defer func() { c.Close() }()
	_, err := c.Read(t.Context(), Request{URL: address})
	if codeOf(err) != "web.server" || !slices.Equal(bounds, []int64{500, 1000, 2000, 4000}) || waits[3] != 2*time.Second {
		t.Errorf("%v; bounds %v, waits %v", err, bounds, waits)
	}
	after, waits = "20", nil
	if _, err = c.Read(t.Context(), Request{URL: address}); codeOf(err) != "web.server" || len(waits) != 4 || waits[0] != 20*time.Second {
		t.Errorf("%v; waits %v", err, waits)
	}
	after, waits, rt.Hosts = "3600", nil, &Hosts{} // one that has not failed too often yet
	c.Close()
	c = New(l, rt)
	_, err = c.Read(t.Context(), Request{URL: address})
	var told *study.Error
	if !errors.As(err, &told) || told.RetryAfter != time.Hour || len(waits) != 0 {
		t.Errorf("what only the next run can wait for: %v, waited %v", err, waits)
	}
	_, err = c.Read(t.Context(), Request{URL: address})
	if !errors.As(err, &told) || told.Code != "web.busy" || told.RetryAfter < 59*time.Minute {
		t.Errorf("another request meanwhile: %v", err)
	}
}

// No minute has more requests than the budget, whatever the sources do.
func TestBudget(t *testing.T) {
	for _, perMinute := range []int{1, 7, 60, 119, 120, 600} {
		h := newHost()
		h.limit(perMinute)
		now := time.Unix(1e9, 0)
		var sent []time.Time
		rt := Runtime{Now: func() time.Time { return now }, Sleep: func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil }}
		for range 3*perMinute + 3 {
			if _, err := h.admit(t.Context(), rt); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, now)
		}
		for i := perMinute; i < len(sent); i++ {
			if took := sent[i].Sub(sent[i-perMinute]); took < time.Minute-time.Millisecond {
				t.Fatalf("%d a minute: %d within %v", perMinute, perMinute+1, took)
			}
		}
		if rate := float64(len(sent)) / now.Sub(sent[0]).Minutes(); rate < 0.8*float64(perMinute) {
			t.Errorf("%d a minute: only %.1f", perMinute, rate)
		}
	}
}

// A host that keeps failing is left alone, for whichever client asks, and tried
// again with one request.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := &Hosts{}
		h := hosts.of(mustURL(t, "https://edc.example.org"), 0)
		for range failures {
			done, err := h.admit(t.Context(), Runtime{Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			done(errServer)
		}
		same := hosts.of(mustURL(t, "https://EDC.example.org:443/other"), 0)
		if _, err := same.admit(t.Context(), Runtime{Now: time.Now}); codeOf(err) != "web.resting" {
			t.Errorf("after %d failures: %v", failures, err)
		}
		time.Sleep(rest + time.Second)
		done, err := same.admit(t.Context(), Runtime{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.admit(t.Context(), Runtime{Now: time.Now}); codeOf(err) != "web.resting" {
			t.Errorf("a second trial at once: %v", err)
		}
		done(nil)
		if _, err := h.admit(t.Context(), Runtime{Now: time.Now}); err != nil {
			t.Errorf("when it is well again: %v", err)
		}
	})
}

// Refusals are answers: they say nothing against the health of a server.
func TestHealthy(t *testing.T) {
	for _, err := range []error{nil, errBusy, errUnauthorized, errDenied, errMissing, errRefused, errForbidden, errCertificate} {
		if !healthy(err) {
			t.Errorf("%v", err)
		}
	}
	for _, err := range []error{errServer, errTimeout, errUnreachable, errBroken, context.DeadlineExceeded} {
		if healthy(err) {
			t.Errorf("%v", err)
		}
	}
}

// A refusal is one however its reason came: it is not asked again, which would lock
// the account.
func TestRefusalsWithoutAReason(t *testing.T) {
	for packing, broken := range map[string]bool{"br": false, "gzip": false, "": true} {
		asked := 0
		address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			if packing != "" {
				w.Header().Set("Content-Encoding", packing)
			}
			if broken {
				w.Header().Set("Content-Length", "100")
			}
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte("no"))
		})
		if _, err := client(t, quick()).Read(t.Context(), Request{URL: address}); codeOf(err) != "web.unauthorized" || asked != 1 {
			t.Errorf("%q: %v after %d", packing, err, asked)
		}
	}
}

// Whoever gives up waiting for the budget of a host leaves the turn to others.
func TestTurnIsGivenBack(t *testing.T) {
	now := time.Now()
	rt := Runtime{Now: func() time.Time { return now }, Sleep: func(context.Context, time.Duration) error { return context.Canceled }}
	h := newHost()
	h.limit(1)
	for i := range 5 {
		if _, err := h.admit(t.Context(), rt); (err == nil) != (i == 0) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if d := h.budget.ReserveN(now, 1).DelayFrom(now); d > time.Minute {
		t.Errorf("the next turn is in %s", d)
	}
}
