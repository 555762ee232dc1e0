package console_test

import (
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"longitude/internal/api"
	"longitude/internal/console"
	"longitude/internal/status"
	"longitude/internal/status/statustest"
	"longitude/study"
)

var preview = flag.String("preview", "", "serve the made-up pages at this address until interrupted")

func handler(store status.Reads, trigger status.Trigger) http.Handler {
	pages := console.New(console.Options{Reads: store, Trigger: trigger, Version: "1.2.3", Now: func() time.Time { return statustest.Now }})
	return api.New(api.Options{Reads: store, Trigger: trigger, Pages: pages, Version: "1.2.3"})
}

func accept(context.Context, string, string) error { return nil }

func serve(t *testing.T, store status.Reads) string {
	t.Helper()
	server := httptest.NewServer(handler(store, accept))
	t.Cleanup(server.Close)
	return server.URL
}

// TestPreview serves the demo for a look at it with a browser.
func TestPreview(t *testing.T) {
	if *preview == "" {
		t.Skip("no -preview address")
	}
	t.Log(http.ListenAndServe(*preview, handler(statustest.Demo(), accept)))
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

var demoPages = map[string][]string{
	"/":                                {"site-b-drop", "failed 4 times", "26 h ago", "the server showed another host key", "Retry now", "amd_obs_01_r002", "not synced yet"},
	"/?asked=site-a-drop":              {"A sync of <strong>site-a-drop</strong> was asked for"},
	"/runs":                            {"/runs/140", "rejections", "?after=91"},
	"/runs?state=failed":               {"sftp.host_key_changed"},
	"/runs/138":                        {"9,420", "Quarantined", "every row is accounted for", "every record is accounted for"},
	"/runs/119":                        {"What to do", "pin the new key"},
	"/studies/amd-obs-01":              {"AMD Observational Study", "Month 1", "day 30 (−7, +14)", "95.5%", "visit out of window", "date invalid", "oct imaging", "site-e"},
	"/studies/cdisc-pilot":             {"Nobody is in this study yet", "The protocol was followed exactly"},
	"/studies/amd-obs-01/participants": {statustest.Dated, statustest.Unanchored, "site-b", "/participants/amd-obs-01/" + statustest.InDays, "?state=screen_failure", "Open deviations"},
	"/studies/amd-obs-01/participants?site=site-b":      {statustest.Unanchored, "site: site-b", "remove this filter"},
	"/studies/amd-obs-01/participants?state=died":       {"Nobody matches"},
	"/studies/amd-obs-01/participants?site=nosuch":      {"No participant matches", "site: nosuch"},
	"/quarantine?state=open":                            {"visual acuity", "batch 19, line 1507", "choice unknown"},
	"/quarantine?rule=nosuch":                           {"No row matches", "rule: nosuch"},
	"/deviations":                                       {"late 1 day: 2026-02-15", "violation"},
	"/deviations?kind=finding":                          {"check failed", "finding", "check better_than_consented"},
	"/deviations?state=explained":                       {"data entry, dm@example.org"},
	"/quarantine/38":                                    {"What to do", "more or fewer cells than the header", "longitude quarantine replay 38", "newest"},
	"/quarantine/3":                                     {"waived", "duplicate", "dm@example.org"},
	"/locks":                                            {"visit type baseline", "in force", "lifted", "the whole study"},
	"/drift":                                            {"type change", "number → text", "file put aside", "comment"},
	"/drift?source=site-a-drop":                         {"Accepted shape of site-a-drop", "visit_date", "utf-8, comma", "drift accept site-a-drop"},
	"/drift?source=site-b-drop":                         {"No change of shape matches"},
	"/releases":                                         {"amd_obs_01_r003", "not yet"},
	"/releases/amd_obs_01_r002":                         {"longitude release verify releases/amd-obs-01/amd_obs_01_r002", "limited data set", "8f14e45f"},
	"/participants/amd-obs-01/" + statustest.Dated:      {"late, 1 day outside", "early, 1 day outside", "2026-02-15", "missed", "indeterminate", "2 versions", "Apr ’26", "+15 d", "−15 d", "as of", "protocol 3.0", "Locked: visit type baseline", "since 2026-01-01"},
	"/participants/amd-obs-01/" + statustest.InDays:     {"days from baseline", "day 45", "day 23 to day 44", "day 180"},
	"/participants/amd-obs-01/" + statustest.Unanchored: {"no anchor", "withheld", "baseline missing"},
}

func TestPagesSayWhatThereIs(t *testing.T) {
	base := serve(t, statustest.Demo())
	for path, wants := range demoPages {
		code, body := get(t, base+path)
		if code != 200 {
			t.Errorf("%s answered %d", path, code)
		}
		for _, want := range wants {
			if !strings.Contains(html.UnescapeString(body), want) {
				t.Errorf("%s does not say %q", path, want)
			}
		}
		wellFormed(t, path, body)
	}
}

var void = regexp.MustCompile(`<(meta|link|input)\b([^>]*)>`)

// wellFormed parses the page as XML and checks what a screen reader needs.
func wellFormed(t *testing.T, path, body string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(void.ReplaceAllString(strings.Replace(body, "<!doctype html>", "", 1), "<$1$2/>")))
	d.Strict, d.Entity = false, xml.HTMLEntity
	ids, h1, cell := map[string]bool{}, 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attrs := map[string]string{}
		for _, a := range e.Attr {
			attrs[a.Name.Local] = a.Value
		}
		if id := attrs["id"]; id != "" && ids[id] {
			t.Errorf("%s: id %q twice", path, id)
		} else {
			ids[id] = true
		}
		switch e.Name.Local {
		case "h1":
			h1++
		case "th":
			cell++
			if attrs["scope"] == "" {
				t.Errorf("%s: a header cell without scope", path)
			}
		case "script", "style", "iframe":
			t.Errorf("%s: a %s element", path, e.Name.Local)
		}
		for name, value := range attrs {
			if name == "style" || strings.HasPrefix(name, "on") {
				t.Errorf("%s: attribute %s=%q", path, name, value)
			}
			if (name == "src" || name == "href") && !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "#") {
				t.Errorf("%s: an address elsewhere: %q", path, value)
			}
			if (name == "x" || name == "width") && strings.HasPrefix(value, "-") {
				t.Errorf("%s: %s=%q in a drawing", path, name, value)
			}
		}
	}
	if h1 != 1 {
		t.Errorf("%s: %d main headings", path, h1)
	}
}

func TestHostileTextIsText(t *testing.T) {
	store := statustest.Hostile()
	base := serve(t, store)
	study := url.PathEscape(store.SourceList[0].Study)
	for _, path := range []string{"/", "/runs", "/runs/1", "/quarantine", "/deviations", "/locks", "/drift", "/drift?source=" + study, "/releases", "/releases/" + url.PathEscape(store.Published[0].ID),
		"/studies/" + study, "/studies/" + study + "/participants", "/participants/" + study + "/X", "/runs?study=" + url.QueryEscape(`"><script>alert(1)</script>`),
		"/?asked=" + url.QueryEscape(`<script>`), "/participants/" + study + "/" + url.PathEscape(`<script>`)} {
		code, body := get(t, base+path)
		if code != 200 && code != 404 {
			t.Errorf("%s answered %d", path, code)
		}
		if strings.Contains(body, "<script") || strings.Contains(body, "<img") || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%s lets markup through", path)
		}
		wellFormed(t, path, body)
	}
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	base := serve(t, statustest.Demo())
	seen := map[string]bool{"/": true}
	link := regexp.MustCompile(`(?:href|action)="(/[^"]*)"`)
	for queue := []string{"/"}; len(queue) > 0; queue = queue[1:] {
		code, body := get(t, base+queue[0])
		if code != 200 && !strings.HasSuffix(queue[0], "/sync") && !strings.HasPrefix(queue[0], "/participants") {
			t.Errorf("%s answered %d", queue[0], code)
		}
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			to := strings.ReplaceAll(m[1], "&amp;", "&")
			if !seen[to] {
				seen[to] = true
				queue = append(queue, to)
			}
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d addresses reached", len(seen))
	}
}

func TestNothingYet(t *testing.T) {
	base := serve(t, &statustest.Store{})
	for path, want := range map[string]string{"/": "No source is configured", "/runs": "No run matches", "/quarantine": "No row matches",
		"/deviations": "No deviation matches", "/locks": "Nothing is locked", "/drift": "No change of shape matches", "/drift?source=x": "No change of shape matches", "/releases": "Nothing has been released yet"} {
		if code, body := get(t, base+path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s answered %d without %q", path, code, want)
		}
	}
}

func TestFailuresAreToldPlainly(t *testing.T) {
	down := &statustest.Store{Err: &study.Error{Code: "postgres.unreachable", Op: "reaching the database", Hint: "Start it.", Temporary: true, Err: errors.New("hidden text")}}
	unexpected := &statustest.Store{Err: errors.New("hidden text")}
	for _, c := range []struct {
		store status.Reads
		path  string
		code  int
		want  string
	}{
		{down, "/", 503, "postgres.unreachable"}, {down, "/studies/x", 503, "Start it."}, {unexpected, "/runs", 500, "the request failed inside Longitude"},
		{statustest.Demo(), "/runs/99999", 404, "Not found"}, {statustest.Demo(), "/runs/x", 404, "Not found"}, {statustest.Demo(), "/quarantine/99999", 404, "Not found"}, {statustest.Demo(), "/quarantine/x", 404, "Not found"}, {statustest.Demo(), "/nothing/here", 404, "Not found"},
		{statustest.Demo(), "/studies/x", 404, "Not found"}, {statustest.Demo(), "/studies/x/participants", 404, "Not found"}, {statustest.Demo(), "/releases/x", 404, "Not found"}, {statustest.Demo(), "/participants/x/y", 404, "Not found"},
	} {
		code, body := get(t, serve(t, c.store)+c.path)
		if code != c.code || !strings.Contains(body, c.want) || strings.Contains(body, "hidden text") {
			t.Errorf("%s answered %d: %s", c.path, code, body)
		}
		wellFormed(t, c.path, body)
	}
}

func TestSyncButton(t *testing.T) {
	var asked []string
	server := httptest.NewServer(handler(statustest.Demo(), func(_ context.Context, source, actor string) error {
		asked = append(asked, actor+": "+source)
		if source == "gone" {
			return status.NotFound("the source")
		}
		return nil
	}))
	defer server.Close()
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	press := func(source, origin string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/sources/"+source+"/sync", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin)
		resp, err := stay.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp
	}
	if r := press("site-a-drop", server.URL); r.StatusCode != 303 || r.Header.Get("Location") != "/?asked=site-a-drop" {
		t.Errorf("the button answered %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	if r := press("gone", server.URL); r.StatusCode != 404 {
		t.Errorf("a source that is gone answered %d", r.StatusCode)
	}
	if r := press("site-a-drop", "https://evil.example"); r.StatusCode != 403 {
		t.Errorf("another site's page was answered %d", r.StatusCode)
	}
	if len(asked) != 2 || asked[0] != "status page: site-a-drop" {
		t.Errorf("triggered %q", asked)
	}
}

func TestNoSyncButtonWithoutWorker(t *testing.T) {
	server := httptest.NewServer(handler(statustest.Demo(), nil))
	defer server.Close()
	if _, body := get(t, server.URL+"/"); strings.Contains(body, "<button") {
		t.Error("a button that cannot work")
	}
	resp, err := http.Post(server.URL+"/sources/x/sync", "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

func TestFindParticipant(t *testing.T) {
	base := serve(t, statustest.Demo())
	if code, body := get(t, base+"/participants?study=amd-obs-01&code=+"+statustest.Dated+"+"); code != 200 || !strings.Contains(body, "Timeline") {
		t.Errorf("the search answered %d", code)
	}
	if code, body := get(t, base+"/participants?study=amd-obs-01&code="); code != 200 || !strings.Contains(body, "AMD Observational Study") {
		t.Errorf("an empty search answered %d", code)
	}
}

// A page of participants leads to the next, under the same filters, and every one of
// them to a timeline; each is on one page.
func TestParticipantsPageByPage(t *testing.T) {
	store := statustest.Demo()
	for i := range 120 {
		code := fmt.Sprintf("AMD-%04d", i)
		store.Timelines["amd-obs-01/"+code] = status.Timeline{Study: "amd-obs-01", Code: code, Site: "site-z", Enrolled: true, Status: "enrolled"}
	}
	base := serve(t, store)
	older, seen := regexp.MustCompile(`<p class="pager"><a href="([^"]+)"`), map[string]int{}
	path := "/studies/amd-obs-01/participants?site=site-z&state=enrolled"
	for pages := 1; ; pages++ {
		code, body := get(t, base+path)
		if code != 200 {
			t.Fatalf("%s answered %d", path, code)
		}
		for _, m := range regexp.MustCompile(`href="/participants/amd-obs-01/(AMD-[0-9]+)"`).FindAllStringSubmatch(body, -1) {
			seen[m[1]]++
		}
		next := older.FindStringSubmatch(body)
		if next == nil {
			if pages != 3 || len(seen) != 120 {
				t.Errorf("%d participants on %d pages", len(seen), pages)
			}
			break
		}
		path = html.UnescapeString(next[1])
	}
	for code, n := range seen {
		if n != 1 {
			t.Errorf("%s is listed %d times", code, n)
		}
	}
}

func TestStylesheetIsServed(t *testing.T) {
	base := serve(t, statustest.Demo())
	_, body := get(t, base+"/")
	m := regexp.MustCompile(`href="(/assets/[0-9a-f]+\.css)"`).FindStringSubmatch(body)
	if m == nil {
		t.Fatal("no stylesheet")
	}
	resp, err := http.Get(base + m[1])
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("the stylesheet answered %d %v", resp.StatusCode, resp.Header)
	}
}
