package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"longitude/internal/status"
	"longitude/internal/status/statustest"
	"longitude/study"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.yaml")

const token = "a-token-of-some-length"

func serve(t *testing.T, o Options) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(New(o))
	t.Cleanup(server.Close)
	return server
}

// ask sends a request with headers given as alternating names and values.
func ask(t *testing.T, method, url, body string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, got
}

func decode[T any](t *testing.T, body []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

func TestEveryRouteAnswers(t *testing.T) {
	server := serve(t, Options{Reads: statustest.Demo(), Version: "1.2.3"})
	for path, want := range map[string]string{
		"/health":                     `"status":"degraded","version":"1.2.3","sources":4,"failing":1,"running":1`,
		"/sources":                    `"source":"site-b-drop"`,
		"/sources/site-b-drop":        `"last_error_code":"sftp.host_key_changed"`,
		"/runs":                       `"id":140`,
		"/runs/138":                   `"rows_read":9420`,
		"/runs?state=failed":          `"error_hint":"Ask the site`,
		"/studies/amd-obs-01/summary": `"visit":"month_1"`,
		"/studies/amd-obs-01/participants/" + statustest.Dated + "/timeline":                     `"date":"2026-01-31","day":30`,
		"/studies/amd-obs-01/participants/" + statustest.Dated + "/history?form=acuity&field=va": `"form":"acuity","version":2,"what":"corrected","field":"va","before":"44","after":"49","author":"recorded, sealed"`,
		"/studies/amd-obs-01/participants/" + statustest.InDays + "/timeline":                    `"due":{"day":30}`,
		"/studies/amd-obs-01/participants?site=site-a":                                           `"participant":"` + statustest.Dated,
		"/quarantine?rule=date_invalid":                                                          `"rule":"date_invalid"`,
		"/deviations?participant=" + statustest.Dated:                                            `"code":"visit_out_of_window"`,
		"/quarantine/38":             `"fix":`,
		"/deviations?kind=finding":   `"code":"check_failed"`,
		"/decisions?kind=explain":    `"code":"consent_missing"`,
		"/locks":                     `"lifted":true`,
		"/drift?kind=type_change":    `"column":"iop_od"`,
		"/sources/site-a-drop/shape": `"name":"visit_date","kind":"date"`,
		"/releases":                  `"id":"amd_obs_01_r002"`,
		"/releases/amd_obs_01_r002":  `"state":"published"`,
		"/openapi.yaml":              `openapi: 3.1.0`,
	} {
		resp, body := ask(t, "GET", server.URL+Root+path, "")
		if resp.StatusCode != 200 || !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s answered %d without %s:\n%.600s", path, resp.StatusCode, want, body)
		}
	}
}

func TestPagesOfAListAreTheList(t *testing.T) {
	store := statustest.Demo()
	server := serve(t, Options{Reads: store})
	var ids []int64
	after := ""
	for range 20 {
		_, body := ask(t, "GET", server.URL+Root+"/runs?limit=19"+after, "")
		l := decode[List[status.Run]](t, body)
		for _, r := range l.Items {
			ids = append(ids, r.ID)
		}
		if l.Next == 0 {
			break
		}
		if len(l.Items) != 19 {
			t.Fatalf("a page before the last has %d rows", len(l.Items))
		}
		after = "&after=" + json.Number(jsonInt(l.Next)).String()
	}
	if len(ids) != len(store.RunList) {
		t.Fatalf("%d runs in pages, %d in storage", len(ids), len(store.RunList))
	}
	for i, r := range store.RunList {
		if ids[i] != r.ID {
			t.Fatalf("row %d is run %d, want %d", i, ids[i], r.ID)
		}
	}
	_, body := ask(t, "GET", server.URL+Root+"/runs?limit=140", "")
	if l := decode[List[status.Run]](t, body); l.Next != 0 || len(l.Items) != 140 {
		t.Errorf("a list that just fits has %d rows and next %d", len(l.Items), l.Next)
	}
	if _, body := ask(t, "GET", server.URL+Root+"/runs?study=none", ""); !bytes.Contains(body, []byte(`"items":[]`)) {
		t.Errorf("an empty list is %s", body)
	}
}

func jsonInt(n int64) string { b, _ := json.Marshal(n); return string(b) }

func TestProblems(t *testing.T) {
	hidden := "pq: invalid input syntax for type date: \"Mary Quincey\""
	failing := func(err error) Options {
		return Options{Reads: &statustest.Store{Err: err}, Trigger: func(context.Context, string, string) error { return err }}
	}
	ok := Options{Reads: statustest.Demo()}
	for _, c := range []struct {
		name, method, path string
		o                  Options
		code               int
		problem            string
	}{
		{"no such run", "GET", "/runs/9999", ok, 404, "status.not_found"},
		{"no such source", "GET", "/sources/Mary%20Quincey", ok, 404, "status.not_found"},
		{"no such release", "GET", "/releases/Mary%20Quincey", ok, 404, "status.not_found"},
		{"no such study", "GET", "/studies/nope/summary", ok, 404, "status.not_found"},
		{"participants of no study", "GET", "/studies/nope/participants", ok, 404, "status.not_found"},
		{"no such history", "GET", "/studies/amd-obs-01/participants/nope/history", ok, 404, "status.not_found"},
		{"no such participant", "GET", "/studies/amd-obs-01/participants/nope/timeline", ok, 404, "status.not_found"},
		{"no such route", "GET", "/participants", ok, 404, "api.no_route"},
		{"no such row", "GET", "/quarantine/9999", ok, 404, "status.not_found"},
		{"no such shape", "GET", "/sources/nope/shape", ok, 404, "status.not_found"},
		{"unknown kind", "GET", "/drift?kind=Mary+Quincey", ok, 422, "api.bad_request"},
		{"not a number", "GET", "/runs/Mary%20Quincey", ok, 422, "api.bad_request"},
		{"limit too large", "GET", "/runs?limit=1001", ok, 422, "api.bad_request"},
		{"limit zero", "GET", "/runs?limit=0", ok, 422, "api.bad_request"},
		{"unknown state", "GET", "/runs?state=Mary+Quincey", ok, 422, "api.bad_request"},
		{"unknown parameter", "GET", "/runs?offset=3", ok, 422, "api.bad_request"},
		{"no worker", "POST", "/sources/site-a-drop/sync", ok, 503, "api.no_worker"},
		{"database down", "GET", "/sources", failing(&study.Error{Code: "postgres.unreachable", Op: "reaching the database", Temporary: true, Err: errors.New(hidden)}), 503, "postgres.unreachable"},
		{"blocked", "POST", "/sources/x/sync", failing(&study.Error{Code: "source.locked", Op: "syncing", Exit: study.ExitBlocked}), 409, "source.locked"},
		{"refused", "POST", "/sources/x/sync", failing(&study.Error{Code: "source.disabled", Op: "syncing", Exit: study.ExitUsage}), 400, "source.disabled"},
		{"unexpected", "GET", "/health", failing(errors.New(hidden)), 500, "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := ask(t, c.method, serve(t, c.o).URL+Root+c.path, "{}", "Content-Type", "application/json")
			p := decode[Problem](t, body)
			if resp.StatusCode != c.code || p.Status != c.code || p.Code != c.problem || p.Type != "urn:longitude:error:"+c.problem {
				t.Errorf("answered %d: %s", resp.StatusCode, body)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if bytes.Contains(body, []byte("Quincey")) {
				t.Errorf("the problem repeats what it must not: %s", body)
			}
		})
	}
}

func TestFailuresInsideAreLogged(t *testing.T) {
	var log bytes.Buffer
	o := Options{Reads: &statustest.Store{Err: &study.Error{Code: "postgres.unreachable", Op: "reaching the database", Temporary: true}},
		Logger: slog.New(slog.NewJSONHandler(&log, nil))}
	ask(t, "GET", serve(t, o).URL+Root+"/sources", "")
	if !bytes.Contains(log.Bytes(), []byte(`"code":"postgres.unreachable"`)) {
		t.Errorf("the log does not tell: %s", &log)
	}
}

func TestSync(t *testing.T) {
	var asked, denied []string
	server := serve(t, Options{Reads: statustest.Demo(), Denied: func(code string) { denied = append(denied, code) }, Trigger: func(_ context.Context, source, actor string) error {
		asked = append(asked, actor+" asked for "+source)
		return nil
	}})
	url := server.URL + Root + "/sources/site-a-drop/sync"
	for _, c := range []struct {
		name    string
		headers []string
		code    int
	}{
		{"a program", []string{"Content-Type", "application/json"}, 202},
		{"the page itself", []string{"Content-Type", "application/json", "Origin", server.URL}, 202},
		{"another site's page", []string{"Content-Type", "application/json", "Origin", "https://evil.example"}, 403},
		{"another site's page, new browser", []string{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site"}, 403},
		{"a frame without origin", []string{"Content-Type", "application/json", "Origin", "null"}, 403},
		{"a plain text form", []string{"Content-Type", "text/plain"}, 415},
		{"no content type", nil, 415},
	} {
		before := len(asked)
		resp, body := ask(t, "POST", url, "", c.headers...)
		if resp.StatusCode != c.code {
			t.Errorf("%s: answered %d, want %d: %s", c.name, resp.StatusCode, c.code, body)
		}
		if got := len(asked) > before; got != (c.code == 202) {
			t.Errorf("%s: triggered %v", c.name, got)
		}
	}
	if asked[0] != "api asked for site-a-drop" {
		t.Errorf("triggered %q", asked[0])
	}
	if want := []string{"api.cross_origin", "api.cross_origin", "api.cross_origin"}; !slices.Equal(denied, want) {
		t.Errorf("told of %v, want %v", denied, want)
	}
}

func TestAccess(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	open := serve(t, Options{Reads: statustest.Demo(), Pages: pages}).URL
	closed := serve(t, Options{Reads: statustest.Demo(), Pages: pages, Token: token}).URL
	basic := func(password string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth("anyone", password)
		return r.Header.Get("Authorization")
	}
	for _, c := range []struct {
		name, url string
		headers   []string
		code      int
	}{
		{"this machine", open + Root + "/runs", nil, 200},
		{"this machine, by name", open + Root + "/runs", []string{"Host", "localhost:8080"}, 200},
		{"this machine, version 6", open + "/", []string{"Host", "[::1]:8080"}, 200},
		{"a name pointed at this machine", open + Root + "/runs", []string{"Host", "rebound.example:8080"}, 403},
		{"the same for pages", open + "/", []string{"Host", "rebound.example"}, 403},
		{"no token", closed + Root + "/runs", nil, 401},
		{"no token for pages", closed + "/", nil, 401},
		{"no token for the description", closed + Root + "/openapi.json", nil, 401},
		{"no token for no route", closed + "/api/x", nil, 401},
		{"wrong token", closed + Root + "/runs", []string{"Authorization", "Bearer wrong"}, 401},
		{"empty token", closed + Root + "/runs", []string{"Authorization", "Bearer "}, 401},
		{"wrong scheme", closed + Root + "/runs", []string{"Authorization", token}, 401},
		{"token", closed + Root + "/runs", []string{"Authorization", "Bearer " + token}, 200},
		{"token, any host", closed + Root + "/runs", []string{"Authorization", "Bearer " + token, "Host", "longitude.example"}, 200},
		{"password on a page", closed + "/", []string{"Authorization", basic(token)}, 200},
		{"wrong password on a page", closed + "/", []string{"Authorization", basic("wrong")}, 401},
		{"password on the API", closed + Root + "/runs", []string{"Authorization", basic(token)}, 401},
	} {
		resp, body := ask(t, "GET", c.url, "", c.headers...)
		if resp.StatusCode != c.code {
			t.Errorf("%s: answered %d, want %d: %s", c.name, resp.StatusCode, c.code, body)
		}
		for _, h := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"} {
			if resp.Header.Get(h) == "" {
				t.Errorf("%s: no %s", c.name, h)
			}
		}
		if bytes.Contains(body, []byte(token)) {
			t.Errorf("%s: the answer shows the token", c.name)
		}
	}
}

func TestCheckListen(t *testing.T) {
	for _, c := range []struct{ address, token, code string }{
		{"127.0.0.1:8080", "", ""}, {"localhost:0", "", ""}, {"[::1]:8080", "", ""}, {"127.9.9.9:1", "", ""},
		{"0.0.0.0:8080", "", "api.open_listen"}, {":8080", "", "api.open_listen"}, {"[::]:8080", "", "api.open_listen"},
		{"10.0.0.5:8080", "", "api.open_listen"}, {"service.example:80", "", "api.open_listen"},
		{"0.0.0.0:8080", token, ""}, {"8080", token, "api.listen_invalid"},
	} {
		err := CheckListen(c.address, c.token)
		var e *study.Error
		if got := errors.As(err, &e); got != (c.code != "") || got && e.Code != c.code {
			t.Errorf("CheckListen(%q) = %v, want %q", c.address, err, c.code)
		}
	}
}

func TestOpenAPI(t *testing.T) {
	const page = "../../docs/openapi.yaml"
	want, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/openapi.yaml does not describe the API; run this test with -update")
	}
}
