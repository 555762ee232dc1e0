package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/rest"
	server "longitude/internal/edctest/rest"
	"longitude/study"
)

func TestExports(t *testing.T) {
	for name, e := range map[string]rest.Export{
		"by header":     {Path: "/jobs", Files: "/output/*/url"},
		"by number":     {Path: "/jobs", ID: "/job/id", Poll: "/jobs/{export}", Status: "/state", Done: []string{"done"}, Files: "/output/*/url"},
		"with its path": {Path: "/jobs", ID: "/job/id", Poll: "/jobs/{export}", Status: "/state", Done: []string{"done"}},
	} {
		e.Every = server.Preparing
		of := rest.Stream{Path: "/jobs/{export}/0", Records: "/data", Export: e}
		n := 25
		if e.Files == "" {
			n = 10 // of which the first file is asked for
		}
		a := apiOf(t, &server.Server{Records: records(25)}, of)
		p := a.all(connectors.Cursor{})
		if !slices.Equal(p.ids, idsOf(records(n))) {
			t.Errorf("%s: %v", name, p.ids)
		}
		if again := a.all(p.cursor); again.pages != 0 {
			t.Errorf("%s: %d pages although nothing is new", name, again.pages)
		}
	}
	late := rest.Stream{Path: "/x", Export: rest.Export{Path: "/jobs", Every: time.Second, Within: time.Nanosecond}}
	if p := apiOf(t, &server.Server{}, late).pull(connectors.Cursor{}, -1); codeOf(p.err) != "rest.export_late" {
		t.Errorf("%v", p.err)
	}
	failed := rest.Stream{Path: "/x", Export: rest.Export{Path: "/jobs", ID: "/job/id", Poll: "/jobs/{export}", Status: "/state", Done: []string{"done"}, Failed: []string{"running"}}}
	if p := apiOf(t, &server.Server{}, failed).pull(connectors.Cursor{}, -1); codeOf(p.err) != "rest.export_failed" {
		t.Errorf("%v", p.err)
	}
}

// Whatever way the account proves itself, the server is satisfied, and nothing says
// the secret.
func TestAuth(t *testing.T) {
	key := connectors.NewSecret(server.Secret)
	for name, c := range map[string]struct {
		login func(*server.Server, *http.Request, []byte) bool
		auth  rest.Auth
	}{
		"bearer":      {server.Header("Authorization", "Bearer "), rest.Auth{Kind: "bearer", Token: key}},
		"basic":       {server.Basic, rest.Auth{Kind: "basic", User: server.User, Password: key}},
		"header":      {server.Header("X-Api-Key", "ApiToken "), rest.Auth{Kind: "api_key", Key: key, Name: "X-Api-Key", Prefix: "ApiToken ", In: "header"}},
		"query":       {server.Query("api_key"), rest.Auth{Kind: "api_key", Key: key, Name: "api_key", In: "query"}},
		"oauth form":  {server.OAuth, rest.Auth{Kind: "oauth2", TokenURL: "/token", ClientID: connectors.NewSecret(server.User), Secret: key, Send: "form"}},
		"oauth json":  {server.OAuth, rest.Auth{Kind: "oauth2", TokenURL: "/token", ClientID: connectors.NewSecret(server.User), Secret: key, Send: "json"}},
		"oauth basic": {server.OAuth, rest.Auth{Kind: "oauth2", TokenURL: "/token", ClientID: connectors.NewSecret(server.User), Secret: key, Send: "basic"}},
		"hmac": {server.HMAC, rest.Auth{Kind: "hmac", Key: key, Name: "X-Signature", Prefix: "v1=", Time: "X-Time", Clock: "rfc3339", Encoding: "base64",
			Sign: `{method}\n{path}\n{time}\n{body_sha256}`}},
		"secret headers": {server.Header("X-Session", ""), rest.Auth{Kind: "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := apiOf(t, &server.Server{Records: records(25), Login: c.login}, ways()["link"])
			a.Auth = c.auth
			if name == "secret headers" {
				a.Secrets = map[string]connectors.Secret{"X-Session": key}
			}
			p := a.all(connectors.Cursor{})
			if len(p.ids) != 25 {
				t.Errorf("%d records", len(p.ids))
			}
			s := a.open()
			if err := s.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
			a.Auth.Token, a.Auth.Password, a.Auth.Key, a.Auth.Secret = connectors.NewSecret("wrong"), connectors.NewSecret("wrong"), connectors.NewSecret("wrong"), connectors.NewSecret("wrong")
			a.Secrets = map[string]connectors.Secret{"X-Session": connectors.NewSecret("wrong")}
			before := len(a.Asked())
			if err := a.open().Check(t.Context()); codeOf(err) != "web.unauthorized" || study.IsTemporary(err) || len(a.Asked())-before != 1 {
				t.Errorf("Check with a wrong secret: %v", err)
			}
			if p := a.pull(connectors.Cursor{}, -1); codeOf(p.err) != "web.unauthorized" {
				t.Errorf("Pull with a wrong secret: %v", p.err)
			}
			fmt.Fprintf(&a.log, "%v %+v %#v", a.Config, a.Config, a.Config)
			if strings.Contains(a.log.String(), server.Secret) {
				t.Error("the secret was said")
			}
		})
	}
}

// A token that ends in the middle of a pull is renewed once.
func TestTokenEnds(t *testing.T) {
	var s *server.Server
	s = &server.Server{Records: records(65), Login: server.OAuth, Fault: func(n int, _ *http.Request) server.Fault {
		if n == 4 {
			s.Expire()
		}
		return server.Fault{}
	}}
	a := apiOf(t, s, ways()["cursor"])
	a.Auth = rest.Auth{Kind: "oauth2", TokenURL: "/token", ClientID: connectors.NewSecret(server.User), Secret: connectors.NewSecret(server.Secret), Send: "form"}
	if p := a.all(connectors.Cursor{}); len(p.ids) != 65 || s.Tokens() != 2 {
		t.Errorf("%d records, %d tokens", len(p.ids), s.Tokens())
	}
}

// What servers do instead of answering, once and for ever.
func TestFaults(t *testing.T) {
	page := `{"data":[{"id":"r0001"}],"meta":{"next_cursor":"again"}}`
	for name, c := range map[string]struct {
		fault server.Fault
		once  string // what becomes of a fault of the third request only
		ever  string // and of all from the third on
	}{
		"busy":                 {server.Fault{Status: 429, RetryAfter: "0"}, "", "web.busy"},
		"busy for an hour":     {server.Fault{Status: 429, RetryAfter: "3600"}, "web.busy", "web.busy"},
		"failing":              {server.Fault{Status: 500}, "", "web.server"},
		"maintenance":          {server.Fault{Status: 503, Kind: "text/html", Body: "<html>"}, "", "web.server"},
		"a page of login":      {server.Fault{Kind: "text/html", Body: "<html>login"}, "", "web.html"},
		"cut":                  {server.Fault{Body: page, Cut: true}, "", "web.truncated"},
		"another format":       {server.Fault{Body: "id,value"}, "rest.not_json", "rest.not_json"},
		"half a page":          {server.Fault{Body: page[:30]}, "rest.not_json", "rest.not_json"},
		"no list":              {server.Fault{Body: `{"data":7}`}, "rest.no_records", "rest.no_records"},
		"gone":                 {server.Fault{Status: 404}, "web.not_found", "web.not_found"},
		"forbidden":            {server.Fault{Status: 403}, "web.forbidden", "web.forbidden"},
		"an error that is 200": {server.Fault{Body: `{"status":"FAILURE","data":[]}`}, "rest.failed", "rest.failed"},
		"busy that is 200":     {server.Fault{Body: `{"status":"THROTTLED","data":[]}`}, "", "rest.retry"},
		"nothing by a rule":    {server.Fault{Status: 410}, "", ""},
		"the same for ever":    {server.Fault{Body: page}, "web.refused", "rest.loop"},
		"one record only":      {server.Fault{Body: `{"id":"r0002"}`}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for ever, want := range map[bool]string{false: c.once, true: c.ever} {
				of := ways()["cursor"]
				of.Rules = []rest.Rule{{At: "/status", Is: []string{"FAILURE"}, Do: "fail"}, {At: "/status", Is: []string{"THROTTLED"}, Do: "retry"}, {Status: []int{410}, Do: "skip"}}
				a := apiOf(t, &server.Server{Records: records(65), Fault: func(n int, _ *http.Request) server.Fault {
					if n == 3 || ever && n > 3 {
						return c.fault
					}
					return server.Fault{}
				}}, of)
				a.Web.Attempts = 3
				p := a.pull(connectors.Cursor{}, -1)
				if codeOf(p.err) != want {
					t.Errorf("for ever %v: %v, want %q", ever, p.err, want)
				}
				if p.err != nil && !ever && c.fault.RetryAfter == "" { // what came before is durable, and the rest comes later
					if r := a.all(p.cursor); len(slices.Compact(slices.Sorted(slices.Values(append(p.ids, r.ids...))))) != 65 {
						t.Errorf("%d and %d records", len(p.ids), len(r.ids))
					}
				}
			}
		})
	}
}

// A server that takes no notice of what page is asked for is found out.
func TestServerIgnoresThePage(t *testing.T) {
	for _, by := range []rest.Pages{{By: "page", Parameter: "seite"}, {By: "page", Parameter: "seite", Count: "/page_count"}, {By: "offset", Parameter: "start"}} {
		if p := apiOf(t, &server.Server{Records: records(65)}, rest.Stream{Path: "/page", Records: "/data", Pages: by}).pull(connectors.Cursor{}, -1); codeOf(p.err) != "rest.loop" {
			t.Errorf("%+v: %v", by, p.err)
		}
	}
	of := ways()["cursor"]
	of.Pages.Most = 3
	if p := apiOf(t, &server.Server{Records: records(65)}, of).pull(connectors.Cursor{}, -1); codeOf(p.err) != "rest.too_many_pages" {
		t.Errorf("%v", p.err)
	}
}

// An address that a page gives is followed at the API's own host only.
func TestNextElsewhere(t *testing.T) {
	for _, next := range []string{"https://other.example/data?page=2", "//other.example/x", "http://169.254.169.254/latest", "http://[::1"} {
		body, _ := json.Marshal(map[string]any{"data": []map[string]string{{"id": "r0001"}}, "next": next})
		a := apiOf(t, &server.Server{Fault: func(int, *http.Request) server.Fault { return server.Fault{Body: string(body)} }}, ways()["next"])
		if p := a.pull(connectors.Cursor{}, -1); codeOf(p.err) != "rest.elsewhere" {
			t.Errorf("%s: %v", next, p.err)
		}
	}
}

// Children that are not there are passed over by a rule, and a rule can end the
// stream.
func TestRules(t *testing.T) {
	for do, want := range map[string]int{"skip": 20, "stop": 10} {
		of := ways()["children"]
		of.Rules = []rest.Rule{{Status: []int{404}, At: "/error/code", Is: []string{"no_data"}, Do: do}}
		a := apiOf(t, &server.Server{Records: records(30), Fault: func(_ int, r *http.Request) server.Fault {
			if strings.Contains(r.URL.Path, "site B") {
				return server.Fault{Status: 404, Body: `{"error":{"code":"no_data"}}`}
			}
			return server.Fault{}
		}}, of)
		if p := a.all(connectors.Cursor{}); len(p.ids) != want {
			t.Errorf("%s: %d records, want %d", do, len(p.ids), want)
		}
	}
}

// What discover tells of a stream are names and types, and nothing that a record
// says.
func TestDiscover(t *testing.T) {
	of := ways()["children"]
	of.Name = "children"
	csv := ways()["csv"]
	csv.Name = "csv"
	xml := ways()["xml"]
	xml.Name = "xml"
	a := newAPI(t, &server.Server{Records: records(7)}, rest.Stream{Name: "sites", Path: "/sites", Records: "/sites", Only: true}, of, csv, xml)
	found, err := a.open().(connectors.Discoverer).Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"children": `{"stream":"children","format":"json","records":"/data","columns":[{"at":"/id","types":["text"],"empty":false},{"at":"/site","types":["text"],"empty":false},` +
			`{"at":"/updated_at","types":["datetime"],"empty":false},{"at":"/value","types":["integer"],"empty":false}]}`,
		"csv": `{"stream":"csv","format":"csv","records":"","columns":[{"at":"id","types":["text"],"empty":false},{"at":"site","types":["text"],"empty":false},` +
			`{"at":"value","types":["integer"],"empty":false},{"at":"updated_at","types":["datetime"],"empty":false}]}`,
		"xml": `{"stream":"xml","format":"xml","records":"/list/item","columns":[{"at":"value","types":["integer"],"empty":false},{"at":"changed","types":[],"empty":true}]}`,
	}
	for _, m := range found {
		if string(m.Bytes) != want[m.Name] {
			t.Errorf("%s: %s", m.Name, m.Bytes)
		}
	}
	if len(found) != 3 {
		t.Errorf("%d streams", len(found))
	}
}

// Names that could be a person's are counted instead of told.
func TestDiscoverHidesTellingNames(t *testing.T) {
	a := apiOf(t, &server.Server{Fault: func(int, *http.Request) server.Fault {
		return server.Fault{Body: `[{"id":1,"jane@example.org":2,"by":{"110-001":{"x":1.5},"list":[1]},"code":"007","day":"2026-01-02","no":null}]`}
	}}, ways()["link"])
	found, err := a.open().(connectors.Discoverer).Discover(t.Context())
	const want = `{"stream":"records","format":"json","records":"","columns":[{"at":"/by/list","types":["list"],"empty":false},{"at":"/code","types":["text"],"empty":false},` +
		`{"at":"/day","types":["date"],"empty":false},{"at":"/id","types":["integer"],"empty":false},{"at":"/no","types":[],"empty":true}],"hidden":2}`
	if err != nil || string(found[0].Bytes) != want {
		t.Errorf("%v: %s", err, found[0].Bytes)
	}
}
