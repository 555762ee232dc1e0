package fhir_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/fhir"
	server "longitude/internal/edctest/fhir"
	"longitude/study"
)

// client is the connector as one process after another runs it.
type client struct {
	t      *testing.T
	config *fhir.Config
	cursor connectors.Cursor
	slept  []time.Duration
}

func newClient(t *testing.T, s *server.Server, mode string) *client {
	return &client{t: t, config: config(server.Start(t, s), mode)}
}

func (c *client) open() connectors.Source {
	c.t.Helper()
	if found := fhir.Spec().Validate(c.config); len(found) > 0 {
		c.t.Fatalf("findings %v", found)
	}
	rt := connectortest.Runtime(c.t.Output(), c.t.TempDir())
	rt.Sleep = func(ctx context.Context, d time.Duration) error {
		c.slept = append(c.slept, d)
		return ctx.Err()
	}
	s, err := fhir.Spec().Open(c.config, rt)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = s.Close() })
	return s
}

// pull takes deliveries until most have something in them, and answers those.
func (c *client) pull(most int) (texts []string, err error) {
	c.t.Helper()
	for d, err := range c.open().Pull(c.t.Context(), c.cursor) {
		if err != nil {
			return texts, err
		}
		r, err := d.Open(c.t.Context())
		if err != nil {
			return texts, err
		}
		text, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil {
			return texts, err
		}
		c.cursor.State = d.State
		if len(text) > 0 {
			texts = append(texts, string(text))
		}
		if len(texts) == most {
			break
		}
	}
	return texts, nil
}

const all = 1 << 20

func (c *client) all() []string {
	c.t.Helper()
	texts, err := c.pull(all)
	if err != nil {
		c.t.Fatal(err)
	}
	return texts
}

func code(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// filled is a server with two patients and eleven observations: four files.
func filled() *server.Server {
	s := server.New()
	s.Put(`{"resourceType":"Observation","id":"0","status":"final","note":[{"text":"` + strings.Repeat("long ", 50) + `"}],"subject":{"reference":"Patient/1"}}`)
	for _, p := range []string{"1", "2"} {
		s.Put(`{"resourceType":"Patient","id":"` + p + `"}`)
		for _, o := range []string{"a", "b", "c", "d", "e"} {
			s.Put(`{"resourceType":"Observation","id":"` + p + o + `","status":"final","subject":{"reference":"Patient/` + p + `"}}`)
		}
	}
	return s
}

func count(requests []string, prefix, suffix string) (n int) {
	for _, r := range requests {
		if strings.HasPrefix(r, prefix) && strings.HasSuffix(r, suffix) {
			n++
		}
	}
	return n
}

// A run that dies while the export is prepared, or between its files, goes on with
// the same export: there is one kick-off, and each file is read once.
func TestResumesTheExport(t *testing.T) {
	s := filled()
	s.Polls = 3
	c := newClient(t, s, "bulk")
	source := c.open()
	ctx, die := context.WithCancel(t.Context())
	defer die()
	for d, err := range source.Pull(ctx, c.cursor) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			break
		}
		c.cursor.State = d.State
		die() // behind the kick-off, before the first question
	}
	for range 2 {
		if texts, err := c.pull(1); err != nil || len(texts) != 1 {
			t.Fatalf("%d files, %v", len(texts), err)
		}
	}
	if len(c.all()) != 2 {
		t.Error("not the last two files")
	}
	asked := s.Asked()
	if count(asked, "GET", "$export") != 2 || count(asked, "GET /fhir/export/job-1/", "") != 4 || count(asked, "DELETE", "") != 2 {
		t.Errorf("asked %q", asked) // the second export is of what has changed meanwhile: nothing
	}
}

// The next export is of what has changed since the transaction time of the last,
// deletions with it.
func TestSince(t *testing.T) {
	s := filled()
	c := newClient(t, s, "bulk")
	if n := len(c.all()); n != 4 {
		t.Fatalf("%d files", n)
	}
	if n := len(c.all()); n != 0 {
		t.Fatalf("%d files of nothing", n)
	}
	s.Put(`{"resourceType":"Observation","id":"1a","status":"amended","subject":{"reference":"Patient/1"}}`)
	s.Delete("Observation", "2b")
	texts := c.all()
	if len(texts) != 2 || !strings.Contains(texts[0], `"amended"`) || !strings.Contains(texts[1], `"url":"Observation/2b"`) || strings.Contains(texts[0], `"1b"`) {
		t.Errorf("%q", texts)
	}
	c.config.Types = []string{"Patient"}
	if n := len(c.all()); n != 1 {
		t.Errorf("%d files of other types: what was not pulled begins anew", n)
	}
}

func TestExportExpires(t *testing.T) {
	s := filled()
	c := newClient(t, s, "bulk")
	if _, err := c.pull(2); err != nil {
		t.Fatal(err)
	}
	s.Forget()
	if n := len(c.all()); n != 4 {
		t.Errorf("%d files of the export that came instead of the one that was gone", n)
	}
	s.Put(`{"resourceType":"Patient","id":"3"}`)
	s.Fail(4, server.Expired) // the file
	if _, err := c.pull(all); code(err) != "fhir.export_gone" || !study.IsTemporary(err) {
		t.Fatalf("of a file that is gone: %v", err)
	}
	if texts := c.all(); len(texts) != 1 {
		t.Errorf("%q", texts)
	}
	s.Put(`{"resourceType":"Patient","id":"4"}`)
	s.Fail(2, server.Gone) // the new job itself
	if _, err := c.pull(all); code(err) != "fhir.export_gone" {
		t.Fatalf("of an export that is gone: %v", err)
	}
	if texts := c.all(); len(texts) != 1 {
		t.Errorf("%q", texts)
	}
}

// What a server says of waiting is kept; an export that takes too long, or failed,
// is forgotten, so that the next run begins another.
func TestWaiting(t *testing.T) {
	s := filled()
	s.Polls, s.RetryAfter = 2, "77"
	c := newClient(t, s, "bulk")
	if n := len(c.all()); n != 4 || !slices.Equal(c.slept, []time.Duration{77 * time.Second, 77 * time.Second}) {
		t.Errorf("%d files, waited %v", n, c.slept)
	}
	s.Put(`{"resourceType":"Patient","id":"3"}`)
	c.config.Within = time.Minute
	if _, err := c.pull(all); code(err) != "fhir.export_late" || !study.IsTemporary(err) {
		t.Fatalf("of an export that takes long: %v", err)
	}
	s.RetryAfter = ""
	if n := len(c.all()); n != 1 {
		t.Errorf("%d files", n)
	}
	s.Put(`{"resourceType":"Patient","id":"4"}`)
	s.Asked()
	s.Fail(2, server.Failing)
	c.config.Web.Attempts = 1
	s.Fail(2, server.Transient)
	if _, err := c.pull(all); code(err) != "fhir.outcome_passing" {
		t.Fatalf("of a server in trouble: %v", err)
	}
	if n := len(c.all()); n != 1 || count(s.Asked(), "GET", "$export") != 2 {
		t.Errorf("%d files", n)
	}
	s.Put(`{"resourceType":"Patient","id":"5"}`)
	s.Fail(2, server.Outcome)
	if _, err := c.pull(all); code(err) != "fhir.export_failed" {
		t.Fatalf("of an export that failed: %v", err)
	}
	if n := len(c.all()); n != 1 {
		t.Errorf("%d files", n)
	}
}

// Errors beside the files refuse the export, unless they are warnings or the
// operator accepts them.
func TestComplaints(t *testing.T) {
	s := filled()
	c := newClient(t, s, "bulk")
	s.Complaints = []server.Complaint{{Severity: "warning", Code: "incomplete"}, {Severity: "error", Code: "exception"}}
	texts, err := c.pull(all)
	if code(err) != "fhir.export_errors" || study.IsTemporary(err) || len(texts) != 0 || strings.Contains(err.Error(), "Mustermann") {
		t.Errorf("%d files, %v", len(texts), err)
	}
	c.config.Errors = "accept"
	if n := len(c.all()); n != 4 {
		t.Errorf("%d files accepted", n)
	}
	c = newClient(t, s, "bulk")
	s.Complaints = s.Complaints[:1]
	if n := len(c.all()); n != 4 {
		t.Errorf("%d files beside warnings", n)
	}
}

// A file that is not what was promised is no file.
func TestFiles(t *testing.T) {
	for _, f := range []struct {
		fault    server.Fault
		noCounts bool
		code     string
	}{
		{server.Truncated, false, "fhir.truncated"}, {server.Truncated, true, "fhir.truncated"}, {server.Broken, true, "web.broken"},
		{server.Outcome, false, "fhir.outcome"}, {server.Outcome, true, "fhir.outcome"}, {server.Busy, false, "web.busy"}, {server.Failing, true, "web.server"},
		{server.Login, true, "web.html"},
	} {
		s := filled()
		s.NoCounts = f.noCounts
		c := newClient(t, s, "bulk")
		c.config.Web.Attempts = 1
		s.Fail(4, f.fault)
		if _, err := c.pull(all); code(err) != f.code {
			t.Errorf("fault %d: %v; want %s", f.fault, err, f.code)
		}
		if n := len(c.all()); n != 4 {
			t.Errorf("fault %d: %d files after it", f.fault, n)
		}
	}
}

// An address at another host is not followed unless the operator lists it, and is
// told no credentials unless the server says that it needs them.
func TestOtherHosts(t *testing.T) {
	s := filled()
	s.Token = token
	var told []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.Header.Get("Authorization"))
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(other.Close)
	s.FilesAt = other.URL
	c := newClient(t, s, "bulk")
	c.config.Auth.Kind, c.config.Auth.Token = "bearer", connectors.NewSecret(token)
	if _, err := c.pull(all); code(err) != "fhir.elsewhere" || len(told) != 0 {
		t.Fatalf("%v, asked %d times", err, len(told))
	}
	at, _ := url.Parse(other.URL)
	c.config.Hosts = []string{at.Host}
	if n := len(c.all()); n != 4 || slices.ContainsFunc(told, func(a string) bool { return a != "Bearer "+token }) {
		t.Errorf("%d files, %q", n, told)
	}
	s.Public, told = true, nil
	s.Put(`{"resourceType":"Patient","id":"3"}`)
	if n := len(c.all()); n != 1 || !slices.Equal(told, []string{""}) {
		t.Errorf("%d files, told %q", n, told)
	}
}

func TestLevels(t *testing.T) {
	for level, want := range map[string][2]int{"system": {4, 2}, "patients": {4, 2}, "group:g": {3, 1}} {
		s := filled()
		s.Group("g", "2")
		s.OneExport = true
		c := newClient(t, s, "bulk")
		c.config.Level = level
		c.config.Types = nil
		texts := strings.Join(c.all(), "")
		if n := strings.Count(texts, `"resourceType":"Patient"`); n != want[1] {
			t.Errorf("%s: %d patients", level, n)
		}
	}
	s := filled()
	c := newClient(t, s, "bulk")
	c.config.Level = "group:nobody"
	if _, err := c.pull(all); code(err) != "web.not_found" {
		t.Errorf("of a group that is not there: %v", err)
	}
}

// Who comes into a group brings what is older than the last export.
func TestGroupGrows(t *testing.T) {
	s := filled()
	s.Group("g", "1")
	c := newClient(t, s, "bulk")
	c.config.Level, c.config.Roster = "group:g", "group"
	if texts := c.all(); !slices.Contains(texts, "1") || strings.Contains(strings.Join(texts, ""), "Patient/2") {
		t.Errorf("%q", texts)
	}
	s.Group("g", "1", "2")
	if texts := c.all(); !slices.Contains(texts, "1\n2") || strings.Count(strings.Join(texts, ""), "Patient/2") != 5 {
		t.Errorf("of a group that grew: %q", texts)
	}
	s.Group("g", "2")
	if texts := c.all(); texts[len(texts)-1] != "2" {
		t.Errorf("of a group that shrank: %q", texts)
	}
	if texts := c.all(); len(texts) != 0 {
		t.Errorf("of nothing: %q", texts)
	}
}
