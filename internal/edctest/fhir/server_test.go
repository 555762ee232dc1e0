package fhir

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// ask sends a request and reads the answer.
func ask(t *testing.T, method, address, prefer string) (*http.Response, map[string]any, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if prefer != "" {
		r.Header.Set("Prefer", prefer)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var content map[string]any
	_ = json.Unmarshal(text, &content)
	return answer, content, string(text)
}

// An export as the specification tells it, step by step.
func TestExport(t *testing.T) {
	s := New()
	s.RetryAfter = "5"
	base := Start(t, s)
	s.Put(`{"resourceType":"Patient","id":"1"}`)
	s.Put(`{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/1"}}`)
	s.Put(`{"resourceType":"Organization","id":"none"}`)
	if a, body, _ := ask(t, "GET", base+"/Patient/$export", ""); a.StatusCode != 400 || body["resourceType"] != "OperationOutcome" {
		t.Errorf("without Prefer: %d", a.StatusCode)
	}
	a, _, _ := ask(t, "GET", base+"/Patient/$export?_type=Patient,Observation", "respond-async")
	job := a.Header.Get("Content-Location")
	if a.StatusCode != 202 || !strings.HasPrefix(job, base) {
		t.Fatalf("kick-off: %d, %q", a.StatusCode, job)
	}
	if a, _, _ = ask(t, "GET", job, ""); a.StatusCode != 202 || a.Header.Get("Retry-After") != "5" || a.Header.Get("X-Progress") == "" {
		t.Errorf("in progress: %d", a.StatusCode)
	}
	a, m, _ := ask(t, "GET", job, "")
	output, _ := m["output"].([]any)
	if a.StatusCode != 200 || len(output) != 2 || m["transactionTime"] == "" || m["requiresAccessToken"] != true || a.Header.Get("Expires") == "" {
		t.Fatalf("manifest: %d, %v", a.StatusCode, m)
	}
	one, _ := output[0].(map[string]any)
	address, _ := one["url"].(string)
	if a, _, text := ask(t, "GET", address, ""); a.StatusCode != 200 || one["type"] != "Observation" || one["count"] != 1.0 || strings.Count(text, "\n") != 1 {
		t.Errorf("a file: %d, %q", a.StatusCode, text)
	}
	since, _ := m["transactionTime"].(string)
	if a, _, _ = ask(t, "DELETE", job, ""); a.StatusCode != 202 {
		t.Errorf("deleting: %d", a.StatusCode)
	}
	if a, _, _ = ask(t, "GET", job, ""); a.StatusCode != 404 {
		t.Errorf("what was deleted: %d", a.StatusCode)
	}
	s.Polls = 0
	s.Delete("Observation", "o")
	a, _, _ = ask(t, "GET", base+"/Patient/$export?_since="+since, "respond-async")
	if _, m, _ = ask(t, "GET", a.Header.Get("Content-Location"), ""); len(m["output"].([]any)) != 0 || len(m["deleted"].([]any)) != 1 {
		t.Errorf("since: %v", m)
	}
}

// The pages of a search are those of the moment when it began.
func TestSearch(t *testing.T) {
	s := New()
	s.PageSize = 2
	base := Start(t, s)
	for _, id := range []string{"1", "2", "3"} {
		s.Put(`{"resourceType":"Patient","id":"` + id + `"}`)
	}
	_, page, _ := ask(t, "GET", base+"/Patient?_count=10", "")
	s.Put(`{"resourceType":"Patient","id":"1","gender":"female"}`)
	links, _ := page["link"].([]any)
	next, _ := links[1].(map[string]any)
	address, _ := next["url"].(string)
	_, second, text := ask(t, "GET", address, "")
	if len(page["entry"].([]any)) != 2 || len(second["entry"].([]any)) != 1 || !strings.Contains(text, `"id":"3"`) {
		t.Errorf("%v, then %v", page, second)
	}
	s.Forget()
	if a, _, _ := ask(t, "GET", address, ""); a.StatusCode != 410 {
		t.Errorf("what was forgotten: %d", a.StatusCode)
	}
	if _, counted, _ := ask(t, "GET", base+"/Patient?_summary=count", ""); counted["total"] != 3.0 {
		t.Errorf("counted %v", counted)
	}
}

// Whoever has no credential, or one that was taken back, reads nothing but what the
// server can do.
func TestWhoAsks(t *testing.T) {
	s := New()
	s.Token = "t"
	base := Start(t, s)
	for path, want := range map[string]int{"/metadata": 200, "/.well-known/smart-configuration": 200, "/Patient": 401, "/Patient/$export": 401, "/export/job-1": 401, "/Group/1": 401} {
		if a, _, _ := ask(t, "GET", base+path, "respond-async"); a.StatusCode != want {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
}
