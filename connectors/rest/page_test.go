package rest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
)

func TestPointers(t *testing.T) {
	const text = `{"data":[{"id":1.50,"n":null,"s":"aé\n","b":true}],"a/b":{"m~n":"deep"},"":"empty","_links":{"next":{"href":"x"}},"big":12345678901234567890}`
	for pointer, want := range map[string]string{
		"/data/0/id": "1.50", "/data/0/n": "", "/data/0/s": "aé\n", "/data/0/b": "true", "/data/1/id": "", "/data/-1": "", "/data/x": "", "/data": "",
		"/a~1b/m~0n": "deep", "/_links/next/href": "x", "/big": "12345678901234567890", "/nothing/at/all": "", "/big/deeper": "", "/": "empty", "big": "12345678901234567890",
	} {
		if got := document(text).value(pointer); got != want {
			t.Errorf("%q: %q, want %q", pointer, got, want)
		}
	}
	if got := each(json.RawMessage(`{"o":[{"u":["a","b"]},{"u":"c"},{}]}`), names("/o/*/u")); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%q", got)
	}
}

// What pages say, in each way in which they are written.
func TestPages(t *testing.T) {
	for _, c := range []struct {
		name  string
		of    Stream
		text  string
		first string // of the records
		count int
		err   error
	}{
		{"json", Stream{Records: "/d"}, `{"d":[{"k":"v"},{"k":2}]}`, "v", 2, nil},
		{"json without a list", Stream{Records: "/d"}, `{}`, "", 0, nil},
		{"json with null", Stream{Records: "/d"}, `{"d":null}`, "", 0, nil},
		{"json, one record", Stream{}, `{"k":"v"}`, "v", 1, nil},
		{"json, nothing", Stream{}, ` `, "", 0, nil},
		{"json, text", Stream{Records: "/d"}, `{"d":"x"}`, "", 0, errNoRecords},
		{"json, cut", Stream{Records: "/d"}, `{"d":[{"k":"v"},{"k`, "", 0, errNotJSON},
		{"ndjson", Stream{Format: "ndjson"}, "{\"k\":\"v\"}\n\n{\"k\":1}", "v", 2, nil},
		{"ndjson, cut", Stream{Format: "ndjson"}, "{\"k\":\"v\"}\n{\"k", "", 0, errNotJSON},
		{"csv", Stream{Format: "csv"}, "\ufeffk,l\nv,\"a\nb\"\nw,2\n", "v", 2, nil},
		{"csv, header only", Stream{Format: "csv"}, "k,l\n", "", 0, nil},
		{"csv, nothing", Stream{Format: "csv"}, "", "", 0, nil},
		{"csv by ;", Stream{Format: "csv", Comma: ";"}, "k;l\nv;1\n", "v", 1, nil},
		{"csv by a quote", Stream{Format: "csv", Comma: `"`}, "k,l\nv,1\n", "", 0, errNotCSV},
		{"xml", Stream{Format: "xml", Records: "/r/i"}, `<r xmlns="urn:x"><i><k>v</k></i><j/><i><k>w</k></i></r>`, "v", 2, nil},
		{"xml, none", Stream{Format: "xml", Records: "/r/i"}, `<r/>`, "", 0, nil},
		{"xml, nothing", Stream{Format: "xml", Records: "/r/i"}, ``, "", 0, nil},
		{"xml, cut", Stream{Format: "xml", Records: "/r/i"}, `<r><i><k>v</k>`, "", 0, errNotXML},
		{"xml with a document type", Stream{Format: "xml", Records: "/r/i"}, `<!DOCTYPE r [<!ENTITY a "b">]><r><i><k>&a;</k></i></r>`, "", 0, errNotXML},
		{"file", Stream{Format: "file"}, "\x00anything", "", 1, nil},
	} {
		all, err := look(c.of, []byte(c.text)).records(c.of.Records)
		if err != c.err || err == nil && len(all) != c.count { //nolint:errorlint // the very error
			t.Errorf("%s: %d records, %v", c.name, len(all), err)
		}
		if err == nil && len(all) > 0 && all[0].value("/k") != c.first {
			t.Errorf("%s: the first says %q", c.name, all[0].value("/k"))
		}
	}
	if got := tree(`<r><n href="a&amp;b"/><n href="c"/></r>`).value("/r/n/@href"); got != "a&b" {
		t.Errorf("attribute %q", got)
	}
}

func FuzzPages(f *testing.F) {
	for _, text := range []string{`{"d":[{"k":"v"}]}`, "{\"k\":1}\n{\"k\":2}", "k;l\nv;1\n", `<r><i k="x"><k>v</k></i></r>`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, of := range []Stream{{Records: "/d"}, {}, {Format: "ndjson"}, {Format: "csv"}, {Format: "xml", Records: "/r/i"}, {Format: "file"}} {
			p := look(of, []byte(text))
			p.value("/d/0/k")
			all, err := p.records(of.Records)
			if err != nil && strings.Contains(err.Error(), text) && len(text) > 30 {
				t.Error("the error quotes the page")
			}
			for _, r := range all {
				r.value("/k")
				r.columns(func(at, kind string) {})
			}
		}
	})
}

func TestNextLink(t *testing.T) {
	for text, want := range map[string]string{
		`<https://a/x?p=2>; rel="next"`:                       "https://a/x?p=2",
		`<a>; rel=first, <b,c>; title="x, \"y\""; rel="next"`: "b,c",
		`<a>; rel="prev next"`:                                "a",
		`<a>; REL=Next`:                                       "a",
		`<a>; rel=prev; rel=next`:                             "",
		`<a>; rel="nextish", <b>`:                             "",
		`garbage`:                                             "",
		`<unclosed; rel=next`:                                 "",
		``:                                                    "",
		`</here?a=1&b=2>;rel=next;type="application/json"`: "/here?a=1&b=2",
	} {
		if got := nextLink(http.Header{"Link": {text}}); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if got := nextLink(http.Header{"Link": {`<a>; rel=prev`, `<b>; rel=next`}}); got != "b" {
		t.Errorf("of two headers: %q", got)
	}
}

func FuzzNextLink(f *testing.F) {
	f.Add(`<a>; rel=first, <b,c>; title="x"; rel="next"`)
	f.Fuzz(func(t *testing.T, text string) {
		if got := nextLink(http.Header{"Link": {text}}); !strings.Contains(text, got) {
			t.Errorf("%q is not in the header", got)
		}
	})
}

// A total beside no records, of pages without a size, is no length of the list.
func TestTotalWithoutRecords(t *testing.T) {
	how := Pages{By: "offset", Parameter: "offset", Total: "/total"}
	f := &fetched{}
	if !last(how, f, place{}, document(`{"total":5,"data":[]}`)) || f.total != 0 {
		t.Errorf("%+v", f)
	}
}

func TestTimes(t *testing.T) {
	when := time.Date(2026, 3, 1, 10, 30, 15, 250e6, time.UTC)
	for _, c := range []struct {
		layout, text string
		precise      time.Duration
	}{
		{"rfc3339", "2026-03-01T10:30:15.25Z", 0}, {"", "2026-03-01T11:30:15.25+01:00", 0}, {"unix", "1772361015", time.Second}, {"unix", "1772361015.25", time.Second}, {"unix_ms", "1772361015250", 0},
		{"date", "2026-03-01", 24 * time.Hour}, {"2006-01-02 15:04:05", "2026-03-01 10:30:15", time.Second},
	} {
		got, err := readTime(c.layout, c.text)
		if err != nil || got.Sub(when).Abs() > c.precise {
			t.Errorf("%s %q: %v, %v", c.layout, c.text, got, err)
		}
		if again, err := readTime(c.layout, writeTime(c.layout, got)); err != nil || again.Sub(got).Abs() > c.precise {
			t.Errorf("%s: written %q, read %v, %v", c.layout, writeTime(c.layout, got), again, err)
		}
	}
	for layout, text := range map[string]string{"rfc3339": "yesterday", "unix": "x", "unix_ms": "-1", "date": "2026-13-01"} {
		if _, err := readTime(layout, text); err != errTime { //nolint:errorlint // the very error
			t.Errorf("%s %q: %v", layout, text, err)
		}
	}
}

// Values are written where a template wants them, as it stands there.
func TestFill(t *testing.T) {
	values := map[string]string{"id": `a/../b?c "d"`, "dots": "..", "other": "{id}"}
	for _, c := range []struct {
		template string
		write    func(string) string
		want     string
	}{
		{"/x/{id}/y", inPath, `/x/a%2F..%2Fb%3Fc%20%22d%22/y`}, {"/x/{dots}/y", inPath, "/x/%2E%2E/y"}, {`{"a":"{id}"}`, inJSON, `{"a":"a/../b?c \"d\""}`},
		{"{other}", nil, "{id}"}, {"{unknown}", nil, "{unknown}"},
	} {
		if got := fill(c.template, values, c.write); got != c.want {
			t.Errorf("%s: %s, want %s", c.template, got, c.want)
		}
	}
}

// Each mistake of a config is found where it is.
func TestValidate(t *testing.T) {
	good := func() Config {
		c := defaults()
		c.URL = "https://edc.example.org/api"
		c.Streams = []Stream{{Name: "parents", Path: "/p"}, {Name: "records", Path: "/r"}}
		return c
	}
	if found := validate(good()); len(found) != 0 {
		t.Fatalf("%v", found)
	}
	key := connectors.NewSecret("x")
	for name, c := range map[string]struct {
		change func(*Config)
		key    string
	}{
		"no address":            {func(c *Config) { c.URL = "" }, "url"},
		"a private address":     {func(c *Config) { c.URL = "https://10.0.0.1" }, "url"},
		"a network":             {func(c *Config) { c.Web.Allow = []string{"http://x"} }, "web.allow"},
		"kind":                  {func(c *Config) { c.Auth.Kind = "digest" }, "auth.kind"},
		"bearer":                {func(c *Config) { c.Auth.Kind = "bearer" }, "auth.token"},
		"basic":                 {func(c *Config) { c.Auth.Kind, c.Auth.Password = "basic", key }, "auth.user"},
		"api key":               {func(c *Config) { c.Auth.Kind, c.Auth.Key = "api_key", key }, "auth.name"},
		"api key where":         {func(c *Config) { c.Auth.Kind, c.Auth.Key, c.Auth.Name, c.Auth.In = "api_key", key, "x", "cookie" }, "auth.in"},
		"oauth2":                {func(c *Config) { c.Auth.Kind, c.Auth.ClientID, c.Auth.Secret = "oauth2", key, key }, "auth.token_url"},
		"hmac":                  {func(c *Config) { c.Auth.Kind, c.Auth.Key, c.Auth.Name = "hmac", key, "x" }, "auth.sign"},
		"no streams":            {func(c *Config) { c.Streams = nil }, "streams"},
		"only parents":          {func(c *Config) { c.Streams[0].Only, c.Streams[1].Only = true, true }, "streams"},
		"name":                  {func(c *Config) { c.Streams[1].Name = "Records!" }, "streams[1].name"},
		"names":                 {func(c *Config) { c.Streams[1].Name = "parents" }, "streams[1].name"},
		"path":                  {func(c *Config) { c.Streams[1].Path = "r" }, "streams[1].path"},
		"method":                {func(c *Config) { c.Streams[1].Method = "DELETE" }, "streams[1].method"},
		"format":                {func(c *Config) { c.Streams[1].Format = "yaml" }, "streams[1].format"},
		"xml":                   {func(c *Config) { c.Streams[1].Format = "xml" }, "streams[1].records"},
		"delimiter":             {func(c *Config) { c.Streams[1].Comma = ";;" }, "streams[1].delimiter"},
		"parent after":          {func(c *Config) { c.Streams[0].Parent = Parent{"records", map[string]string{"a": "/a"}} }, "streams[0].parent.stream"},
		"parent without values": {func(c *Config) { c.Streams[1].Parent.Stream = "parents" }, "streams[1].parent"},
		"paging":                {func(c *Config) { c.Streams[1].Pages.By = "guess" }, "streams[1].pages.by"},
		"cursor":                {func(c *Config) { c.Streams[1].Pages = Pages{By: "cursor", Parameter: "c"} }, "streams[1].pages.next"},
		"page":                  {func(c *Config) { c.Streams[1].Pages = Pages{By: "page"} }, "streams[1].pages.parameter"},
		"keyset":                {func(c *Config) { c.Streams[1].Pages = Pages{By: "keyset", Size: 10} }, "streams[1].pages"},
		"since":                 {func(c *Config) { c.Streams[1].Since.Parameter = "since" }, "streams[1].since"},
		"layout":                {func(c *Config) { c.Streams[1].Since.Layout = "YYYY-MM-DD" }, "streams[1].since.layout"},
		"export":                {func(c *Config) { c.Streams[1].Export = Export{Path: "/e", ID: "/id"} }, "streams[1].export.poll"},
		"export status":         {func(c *Config) { c.Streams[1].Export = Export{Path: "/e", Status: "/s"} }, "streams[1].export.status"},
		"rule":                  {func(c *Config) { c.Rules = []Rule{{Status: []int{404}, Do: "ignore"}} }, "rules[0].do"},
		"rule for all":          {func(c *Config) { c.Streams[1].Rules = []Rule{{Do: "skip"}} }, "streams[1].rules[0]"},
		"in flight":             {func(c *Config) { c.InFlight = 0 }, "in_flight"},
	} {
		config := good()
		c.change(&config)
		found := validate(config)
		if len(found) == 0 || !slices.ContainsFunc(found, func(f connectors.Finding) bool { return f.Key == c.key && f.Message != "" && f.Hint != "" }) {
			t.Errorf("%s: %v", name, found)
		}
	}
}
