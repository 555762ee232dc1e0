package rave_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/rave"
	edc "longitude/internal/edctest/rave"
	"longitude/study"
)

const password = "s3cret-of-rave"

func TestReadme(t *testing.T) { connectortest.Readme(t, rave.Spec()) }

// config reaches a server with pages of three audits, without trying again.
func config(t *testing.T, s *edc.Server) *rave.Config {
	c := rave.Spec().Config().(*rave.Config)
	c.URL, c.Project, c.Environment, c.Feed = edc.Start(t, s), "Mediflex", "Prod", "audits"
	c.User, c.Password, c.PerPage = "longitude", connectors.NewSecret(password), 3
	c.Web.Allow, c.Web.PerMinute, c.Web.Attempts = []string{"127.0.0.1"}, 0, 1
	return c
}

func newServer() *edc.Server { return edc.NewServer("Mediflex(Prod)", "longitude", password) }

// enter records a value, and what other studies do meanwhile.
func enter(s *edc.Server, subject, value string) {
	s.Record(edc.Audit{Study: "Other(Prod)", Subject: "x", Form: "DM", Item: "DM.X", Value: edc.Text("y")})
	s.Record(edc.Audit{Subject: subject, Name: subject, Site: "1", Event: "SCREEN", Repeat: "SCREEN[1]", Form: "VS", Item: "VS.V", Value: edc.Text(value)})
}

var faults = []edc.Fault{edc.Failing, edc.Unavailable, edc.Busy, edc.Truncated, edc.Broken}

func TestBehaviour(t *testing.T) {
	connectortest.RunFeed(t, connectortest.FeedHarness{Spec: rave.Spec(), New: func(t *testing.T) connectortest.Feed {
		s := newServer()
		c := config(t, s)
		c.PerPage = 1 // more requests than the suite has fail
		return connectortest.Feed{Config: c, Secrets: []string{password}, Read: values,
			Put:    func(id, value string) { enter(s, id, value) },
			Fail:   func(n int) { s.Fail(n, faults[n%len(faults)]) },
			Refuse: func() { s.Revoke("longitude") },
		}
	}})
}

// values are the last ones of a page of audits, by subject.
func values(content string) map[string]string {
	var page struct {
		Data []struct {
			Subject struct {
				Key  string `xml:"SubjectKey,attr"`
				Item struct {
					Value string `xml:"Value,attr"`
				} `xml:"StudyEventData>FormData>ItemGroupData>ItemData"`
			} `xml:"SubjectData"`
		} `xml:"ClinicalData"`
	}
	if xml.Unmarshal([]byte(content), &page) != nil {
		return nil
	}
	out := map[string]string{}
	for _, d := range page.Data {
		out[d.Subject.Key] = d.Subject.Item.Value
	}
	return out
}

func openIt(t *testing.T, c *rave.Config) connectors.Source {
	t.Helper()
	if found := rave.Spec().Validate(c); len(found) > 0 {
		t.Fatalf("findings %v", found)
	}
	s, err := rave.Spec().Open(c, connectortest.Runtime(t.Output(), t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// pull reads everything after a state, and answers the state behind it.
func pull(t *testing.T, c *rave.Config, state []byte) (contents []string, _ []byte, err error) {
	t.Helper()
	for d, err := range openIt(t, c).Pull(t.Context(), connectors.Cursor{State: state}) {
		if err != nil {
			return contents, state, err
		}
		r, err := d.Open(t.Context())
		if err != nil {
			return contents, state, err
		}
		content, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil {
			return contents, state, err
		}
		contents, state = append(contents, string(content)), d.State
	}
	return contents, state, nil
}

func codeOf(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// An application shows who it is by its signature, of either version; a wrong key, and
// a clock that is off, are refused.
func TestMAuth(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	in := func(kind string, der []byte) connectors.Secret {
		return connectors.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	for _, c := range []struct {
		name    string
		version int
		key     connectors.Secret
		late    time.Duration
		want    string
	}{
		{"version 2", 2, in("PRIVATE KEY", pkcs8), 0, ""},
		{"version 1", 1, in("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), 0, ""},
		{"another key", 2, in("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(other)), 0, "rave.login_refused"},
		{"another key, version 1", 1, in("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(other)), 0, "rave.login_refused"},
		{"a clock that is off", 2, in("PRIVATE KEY", pkcs8), time.Hour, "rave.login_refused"},
		{"no key", 2, connectors.NewSecret("nothing"), 0, "rave.key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer()
			s.Now = func() time.Time { return time.Now().UTC().Add(c.late) }
			s.Trust("app-1", &key.PublicKey)
			enter(s, "A", "1")
			config := config(t, s)
			config.User, config.Password, config.App, config.Key, config.MAuth = "", connectors.Secret{}, "app-1", c.key, c.version
			if got := codeOf(openIt(t, config).Check(t.Context())); got != c.want {
				t.Errorf("check: %q, want %q", got, c.want)
			}
			if _, _, err := pull(t, config, nil); codeOf(err) != c.want {
				t.Errorf("pull: %v, want %q", err, c.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	s := newServer()
	c := config(t, s)
	if err := openIt(t, c).Check(t.Context()); err != nil {
		t.Error(err)
	}
	c.Environment = "UAT"
	if err := openIt(t, c).Check(t.Context()); codeOf(err) != "rave.no_study" {
		t.Errorf("another environment: %v", err)
	}
	if _, _, err := pull(t, c, nil); codeOf(err) != "rave.no_study" {
		t.Errorf("another environment: %v", err)
	}
}

// A page of exactly as many audits as were asked for, and no more, is the last; the
// next run asks behind it.
func TestPages(t *testing.T) {
	s := newServer()
	for range 3 {
		enter(s, "A", "1")
	}
	c := config(t, s)
	pages, state, err := pull(t, c, nil)
	if err != nil || len(pages) != 1 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	asked := s.Asked()
	if pages, again, err := pull(t, c, state); err != nil || len(pages) != 0 || string(again) != string(state) {
		t.Errorf("nothing new: %d pages, %v", len(pages), err)
	}
	if first := "datasets/ClinicalAuditRecords.odm?per_page=3&startid=1&studyoid=Mediflex%28Prod%29&unicode=true"; !slices.Equal(asked, []string{first}) {
		t.Errorf("asked %q", asked)
	}
	c.Project, c.Mode = "Mediflex", "all"
	if _, _, err := pull(t, c, state); err != nil || !strings.Contains(strings.Join(s.Asked(), " "), "mode=all") {
		t.Errorf("the mode was not asked for, %v", err)
	}
}

// A link that leads elsewhere, or back, is not followed; audits out of order are not
// taken in.
func TestPagesThatDoNotFollow(t *testing.T) {
	audit := func(id string) string {
		return `<ClinicalData><SubjectData SubjectKey="1"><AuditRecord><SourceID>` + id + `</SourceID></AuditRecord></SubjectData></ClinicalData>`
	}
	for _, c := range []struct{ name, link, audits, want string }{
		{"another host", `<http://other.example/RaveWebServices/datasets/ClinicalAuditRecords.odm?startid=9>; rel="next"`, audit("4"), "rave.link"},
		{"another resource", `</RaveWebServices/version?startid=9>; rel="next"`, audit("4"), "rave.link"},
		{"back", `<?startid=4>; rel="next"`, audit("4"), "rave.link"},
		{"of nothing to itself", `<?startid=1>; rel="next"`, "", "rave.link"},
		{"without a number", `<?start=9>; rel="next"`, audit("4"), "rave.link"},
		{"out of order", "", audit("5") + audit("4"), "rave.order"},
		{"no number", "", audit("x"), "rave.order"},
		{"an audit twice", "", audit("4") + audit("4"), "rave.order"},
		{"another relation", `<?startid=4>; rel="prev"`, audit("4"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/xml")
				if c.link != "" {
					w.Header().Set("Link", c.link)
				}
				_, _ = io.WriteString(w, "\ufeff<ODM>"+c.audits+"</ODM>")
			}))
			defer web.Close()
			config := config(t, newServer())
			config.URL = web.URL + "/RaveWebServices"
			pages, state, err := pull(t, config, nil)
			if codeOf(err) != c.want {
				t.Errorf("%v, want %q", err, c.want)
			}
			nothing := c.want == "rave.order" || c.audits == ""
			if nothing && (len(pages) > 0 || state != nil) || !nothing && len(pages) != 1 {
				t.Errorf("%d pages taken in", len(pages))
			}
		})
	}
}

// A view is taken in when it was rebuilt, up to where it says; not when it is not
// ready, and not when it is cut off.
func TestViews(t *testing.T) {
	s := newServer()
	now := time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)
	s.Now, s.Lagging = func() time.Time { return now }, true
	enter(s, "A", "1")
	c := config(t, s)
	c.Feed, c.Forms = "datasets", []string{"VS"}
	views, state, err := pull(t, c, nil)
	if err != nil || len(views) != 0 {
		t.Fatalf("not ready: %q, %v", views, err)
	}
	now = now.Add(time.Minute)
	s.Rebuild()
	views, state, err = pull(t, c, state)
	if err != nil || len(views) != 1 || !strings.HasSuffix(views[0], ",1,1\n") || strings.Contains(views[0], "EOF") {
		t.Fatalf("rebuilt: %q, %v", views, err)
	}
	now = now.Add(time.Hour)
	enter(s, "B", "2")
	if views, again, err := pull(t, c, state); err != nil || len(views) != 0 || string(again) != string(state) {
		t.Errorf("not rebuilt since: %q, %v", views, err)
	}
	s.Rebuild()
	s.Fail(1, edc.NoEnd)
	if _, again, err := pull(t, c, state); codeOf(err) != "rave.truncated" || string(again) != string(state) {
		t.Errorf("without its end: %v", err)
	}
	views, _, err = pull(t, c, state)
	if err != nil || len(views) != 1 || strings.Count(views[0], "\n") != 3 {
		t.Errorf("the picture of all: %q, %v", views, err)
	}
	c.Changes = true
	s.Asked()
	views, _, err = pull(t, c, state)
	if err != nil || len(views) != 1 || strings.Count(views[0], "\n") != 2 || !strings.Contains(s.Asked()[0], "VS.csv?start=2024-05-01T10%3A01%3A00") {
		t.Errorf("what changed: %q, %v", views, err)
	}
	c.Forms = []string{"NOTHING"}
	if views, _, err := pull(t, c, nil); err != nil || len(views) != 0 {
		t.Errorf("a view of nothing: %q, %v", views, err)
	}
	c.Forms, c.Changes = nil, false
	for _, fault := range []edc.Fault{edc.NoFault, edc.Truncated, edc.Broken} {
		s.Fail(1, fault)
		views, _, err := pull(t, c, nil)
		if whole := fault == edc.NoFault; whole != (err == nil) || whole && (len(views) != 1 || !strings.HasSuffix(views[0], "</ODM>")) || err != nil && !study.IsTemporary(err) {
			t.Errorf("as ODM, fault %d: %q, %v", fault, views, err)
		}
	}
}

// The newest version of the case report form is what the source says of itself.
func TestDiscover(t *testing.T) {
	s := newServer()
	source := openIt(t, config(t, s)).(connectors.Discoverer)
	if _, err := source.Discover(t.Context()); codeOf(err) != "rave.no_version" {
		t.Errorf("without a version: %v", err)
	}
	s.Metadata["9"], s.Metadata["16"] = []byte("<ODM>old</ODM>"), []byte("<ODM>new</ODM>")
	if got, err := source.Discover(t.Context()); err != nil || len(got) != 1 || string(got[0].Bytes) != "<ODM>new</ODM>" {
		t.Errorf("%q, %v", got, err)
	}
}
