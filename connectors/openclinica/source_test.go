package openclinica_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/openclinica"
	edc "longitude/internal/edctest/openclinica"
	"longitude/study"
)

const password = "s3cret-of-openclinica"

func TestReadme(t *testing.T) { connectortest.Readme(t, openclinica.Spec()) }

// sites are so many that a pull is more requests than the suite has fail.
var sites = []string{"S_NORTH", "S_EAST", "S_WEST", "S_4", "S_5", "S_6", "S_7", "S_8"}

func newServer(version int) *edc.Server {
	s := edc.NewServer(version, "S_DEMO", "longitude", password)
	s.Metadata = `<MetaDataVersion OID="v1.0.0" Name="1"/>`
	for _, site := range sites { // whoever has nobody is still a site
		s.Put(edc.Subject{Label: "screened at " + site, Site: site})
	}
	return s
}

// config reaches a server, site by site, without trying again.
func config(t *testing.T, s *edc.Server) *openclinica.Config {
	c := openclinica.Spec().Config().(*openclinica.Config)
	at := edc.Start(t, s)
	c.URL, c.Version, c.Studies = at+edc.Root, s.Version, sites
	c.User, c.Password = "longitude", connectors.NewSecret(password)
	if s.Version == 4 {
		c.TokenURL = at + edc.TokenPath
	}
	c.Web.Allow, c.Web.PerMinute, c.Web.Attempts = []string{"127.0.0.1"}, 0, 1
	return c
}

func enter(s *edc.Server, label, value string) {
	sum := 0
	for _, c := range label {
		sum += int(c)
	}
	s.Put(edc.Subject{Label: label, Site: sites[sum%len(sites)], Events: []edc.Event{{OID: "SE_BL", Forms: []edc.Form{{OID: "F_VS_V1",
		Items: []edc.Item{{OID: "I_V", Value: value}, {Group: "IG_MORE", OID: "I_W", Null: "NASK"}}}}}}})
}

var faults = []edc.Fault{edc.Failing, edc.Unavailable, edc.Maintenance, edc.Busy, edc.Truncated, edc.Broken}

func TestBehaviour(t *testing.T) {
	for _, version := range []int{3, 4} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			connectortest.RunFeed(t, connectortest.FeedHarness{Spec: openclinica.Spec(), New: func(t *testing.T) connectortest.Feed {
				s := newServer(version)
				return connectortest.Feed{Config: config(t, s), Secrets: []string{password}, Read: values,
					Put:    func(id, value string) { enter(s, id, value) },
					Fail:   func(n int) { s.Fail(n, faults[n%len(faults)]) },
					Refuse: func() { s.Revoke("longitude") },
				}
			}})
		})
	}
}

// values are those of an export, by the label of the subject.
func values(content string) map[string]string {
	var export struct {
		Subjects []struct {
			Label string `xml:"StudySubjectID,attr"`
			Items []struct {
				Value string `xml:"Value,attr"`
			} `xml:"StudyEventData>FormData>ItemGroupData>ItemData"`
		} `xml:"ClinicalData>SubjectData"`
	}
	if xml.Unmarshal([]byte(content), &export) != nil {
		return nil
	}
	out := map[string]string{}
	for _, one := range export.Subjects {
		for _, item := range one.Items {
			if item.Value != "" {
				out[one.Label] = item.Value
			}
		}
	}
	return out
}

func openIt(t *testing.T, c *openclinica.Config) connectors.Source {
	t.Helper()
	if found := openclinica.Spec().Validate(c); len(found) > 0 {
		t.Fatalf("findings %v", found)
	}
	s, err := openclinica.Spec().Open(c, connectortest.Runtime(t.Output(), t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// pull reads everything that is new to a cursor, and moves it.
func pull(t *testing.T, s connectors.Source, cursor *connectors.Cursor) (contents []string, err error) {
	t.Helper()
	for d, err := range s.Pull(t.Context(), *cursor) {
		if err != nil {
			return contents, err
		}
		r, err := d.Open(t.Context())
		if err != nil {
			return contents, err
		}
		content, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil {
			return contents, err
		}
		if cursor.Known == nil {
			cursor.Known = map[string]string{}
		}
		cursor.State, cursor.Known[d.Item] = d.State, d.Version
		contents = append(contents, string(content))
	}
	return contents, nil
}

func codeOf(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// An export that says the same in another order, at another time, is nothing new; one
// in which a value, a status or a date has changed is, and only that one.
func TestNothingNew(t *testing.T) {
	s := newServer(3)
	one := edc.Subject{Label: "a", Site: "S_NORTH", Events: []edc.Event{{OID: "SE_BL", Start: "2026-01-05", Forms: []edc.Form{{OID: "F_VS_V1",
		Items: []edc.Item{{OID: "I_V", Value: "1"}, {Group: "IG_A", OID: "I_A", Value: "2"}, {Group: "IG_B", OID: "I_B", Value: "3"}}}}}}}
	s.Put(one)
	source, cursor := openIt(t, config(t, s)), &connectors.Cursor{}
	if got, err := pull(t, source, cursor); err != nil || len(got) != len(sites) {
		t.Fatalf("%d exports, %v", len(got), err)
	}
	for range 4 { // groups come in another order each time
		if got, err := pull(t, source, cursor); err != nil || len(got) != 0 {
			t.Fatalf("nothing is new: %d exports, %v", len(got), err)
		}
	}
	for _, change := range []func(){
		func() { one.Events[0].Forms[0].Items[0].Value = "4" },
		func() { one.Events[0].Forms[0].Items[0].Null = "NI" },
		func() { one.Events[0].Start = "2026-01-06" },
		func() { one.Status = "removed" },
	} {
		change()
		s.Put(one)
		if got, err := pull(t, source, cursor); err != nil || len(got) != 1 || !strings.Contains(got[0], "S_NORTH") {
			t.Errorf("%d exports, %v", len(got), err)
		}
	}
}

// A session or a token that has ended is begun anew, however the service tells it; one
// login is enough for a pull.
func TestEndedSession(t *testing.T) {
	for _, c := range []struct {
		version int
		form    bool
		login   string
	}{{3, false, "POST /OpenClinica/j_spring_security_check"}, {3, true, "POST /OpenClinica/j_spring_security_check"}, {4, false, "POST " + edc.TokenPath}} {
		s := newServer(c.version)
		s.Form = c.form
		source := openIt(t, config(t, s))
		for round := range 3 {
			if got, err := pull(t, source, &connectors.Cursor{}); err != nil || len(got) != len(sites) {
				t.Errorf("%+v, round %d: %d exports, %v", c, round, len(got), err)
			}
			logins := 0
			for _, asked := range s.Asked() {
				if asked == c.login {
					logins++
				}
			}
			if logins != 1 {
				t.Errorf("%+v, round %d: %d logins", c, round, logins)
			}
			s.Expire()
		}
	}
}

// A login that is refused is sent once: more would lock the account.
func TestRefusedLogin(t *testing.T) {
	for _, version := range []int{3, 4} {
		s := newServer(version)
		c := config(t, s)
		c.Web.Attempts, c.Password = 5, connectors.NewSecret("another")
		if err := openIt(t, c).Check(t.Context()); codeOf(err) != "openclinica.login_refused" || study.IsTemporary(err) {
			t.Errorf("version %d: %v", version, err)
		}
		posts := slices.DeleteFunc(s.Asked(), func(asked string) bool { return !strings.HasPrefix(asked, "POST ") })
		if len(posts) != 1 {
			t.Errorf("version %d: asked %q", version, posts)
		}
	}
}

// Nothing is no data: it is how OpenClinica refuses. What is no XML is not taken in.
func TestRefusals(t *testing.T) {
	s := newServer(3)
	c := config(t, s)
	c.Studies = []string{"S_OTHER"}
	source := openIt(t, c)
	if err := source.Check(t.Context()); codeOf(err) != "openclinica.nothing" {
		t.Errorf("check: %v", err)
	}
	if _, err := pull(t, source, &connectors.Cursor{}); codeOf(err) != "openclinica.nothing" {
		t.Errorf("pull: %v", err)
	}
	s.Metadata = `<MetaDataVersion OID="v1" Name="R&D of MRN-1"/>`
	c.Studies = []string{"S_NORTH"}
	if _, err := pull(t, openIt(t, c), &connectors.Cursor{}); codeOf(err) != "openclinica.xml" || strings.Contains(err.Error(), "MRN") {
		t.Errorf("pull: %v", err)
	}
}

// What is asked for: everything of a study and its environment, without audits and notes.
func TestRequests(t *testing.T) {
	s := edc.NewServer(4, "S_DEMO(TEST)", "longitude", password)
	s.Metadata = `<MetaDataVersion OID="v1.0.0" Name="1"/>`
	c := config(t, s)
	c.Studies = []string{"S_DEMO(TEST)"}
	source := openIt(t, c)
	if got, err := pull(t, source, &connectors.Cursor{}); err != nil || len(got) != 1 {
		t.Fatalf("%d exports, %v", len(got), err)
	}
	want := "GET /OpenClinica/pages/auth/api/clinicaldata/S_DEMO%28TEST%29/*/*/*?includeMetadata=y&includeAudits=n&includeDNs=n&showArchived=n"
	if asked := s.Asked(); !slices.Equal(asked, []string{"POST " + edc.TokenPath, want}) {
		t.Errorf("asked %q", asked)
	}
	got, err := source.(connectors.Discoverer).Discover(t.Context())
	if err != nil || len(got) != 1 || !strings.Contains(string(got[0].Bytes), "MetaDataVersion") || strings.Contains(string(got[0].Bytes), "ClinicalData") {
		t.Errorf("discover: %v", err)
	}
}

func TestFindings(t *testing.T) {
	for key, spoil := range map[string]func(*openclinica.Config){
		"url":       func(c *openclinica.Config) { c.URL = "http://edc.example.org" },
		"version":   func(c *openclinica.Config) { c.Version = 2 },
		"studies":   func(c *openclinica.Config) { c.Studies = []string{"S_A", "S_A"} },
		"user":      func(c *openclinica.Config) { c.User = "" },
		"password":  func(c *openclinica.Config) { c.Password = connectors.Secret{} },
		"token_url": func(c *openclinica.Config) { c.Version = 4 },
	} {
		c := config(t, newServer(3))
		spoil(c)
		if found := openclinica.Spec().Validate(c); len(found) != 1 || found[0].Key != key {
			t.Errorf("%s: %v", key, found)
		}
	}
}
