package redcap_test

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/redcap"
	edc "longitude/internal/edctest/redcap"
)

const token = "0123456789ABCDEF0123456789ABCDEF"

func TestReadme(t *testing.T) { connectortest.Readme(t, redcap.Spec()) }

// project is an empty project of one form.
func project() *edc.Project {
	return &edc.Project{ID: 7, Title: "Made up", Forms: []edc.Form{{Name: "vitals", Label: "Vitals"}},
		Fields: []edc.Field{{Name: "study_id", Form: "vitals", Type: "text"}, {Name: "value", Form: "vitals", Type: "text"}}}
}

// config reaches a server with pages of three records, without trying again.
func configOf(t *testing.T, s *edc.Server) *redcap.Config {
	c := redcap.Spec().Config().(*redcap.Config)
	c.URL, c.Token, c.Timezone, c.Batch = edc.Start(t, s), connectors.NewSecret(token), "UTC", 3
	c.Web.Allow, c.Web.PerMinute, c.Web.Attempts = []string{"127.0.0.1"}, 0, 1
	return c
}

func TestBehaviour(t *testing.T) {
	connectortest.RunFeed(t, connectortest.FeedHarness{Spec: redcap.Spec(), New: func(t *testing.T) connectortest.Feed {
		p := project()
		s := edc.NewServer(p, token)
		faults := []edc.Fault{edc.Failing, edc.Tabs, edc.NoDatabase, edc.Truncated, edc.Broken, edc.Unavailable}
		return connectortest.Feed{
			Config: configOf(t, s), Secrets: []string{token},
			Put:    func(id, value string) { p.Put(id, "", edc.Row{Values: map[string]string{"value": value}}) },
			Remove: p.Delete, Read: read,
			Fail:   func(n int) { s.Fail(n, faults[n%len(faults)]) },
			Refuse: func() { s.Grant(token, nil) },
		}
	}})
}

func read(content string) map[string]string {
	var rows []struct {
		ID    string `json:"study_id"`
		Value string `json:"value"`
	}
	if json.Unmarshal([]byte(content), &rows) != nil {
		return nil
	}
	out := map[string]string{}
	for _, row := range rows {
		out[row.ID] = row.Value
	}
	return out
}

// puller pulls as separate runs would, at a time that the test says.
type puller struct {
	t      *testing.T
	server *edc.Server
	config *redcap.Config
	now    time.Time
	cursor connectors.Cursor
}

func newPuller(t *testing.T) *puller {
	p := &puller{t: t, now: time.Date(2024, 7, 1, 10, 0, 0, 0, time.UTC)}
	of := project()
	of.Now = func() time.Time { return p.now }
	p.server = edc.NewServer(of, token)
	p.config = configOf(t, p.server)
	return p
}

func (p *puller) open() connectors.Source {
	rt := connectortest.Runtime(p.t.Output(), p.t.TempDir())
	rt.Now = func() time.Time { return p.now }
	s, err := redcap.Spec().Open(p.config, rt)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = s.Close() })
	return s
}

// pull answers the records that came, and the list.
func (p *puller) pull() (records []string, roster string, err error) {
	for d, err := range p.open().Pull(p.t.Context(), p.cursor) {
		if err != nil {
			return records, roster, err
		}
		content := contentOf(p.t, d)
		if p.cursor.State = d.State; d.Holds == connectors.Roster {
			roster = content
			continue
		}
		for id := range read(content) {
			records = append(records, id)
		}
	}
	slices.Sort(records)
	return records, roster, nil
}

func (p *puller) want(when string, records ...string) {
	p.t.Helper()
	if got, _, err := p.pull(); err != nil || !slices.Equal(got, records) {
		p.t.Errorf("%s: %q, %v; want %q", when, got, err, records)
	}
}

// Changes are asked for in the server's own time, with an overlap, and everything
// comes again after a week.
func TestIncremental(t *testing.T) {
	p := newPuller(t)
	p.config.Timezone, p.server.Project.Zone = "America/Indianapolis", zone(t, "America/Indianapolis")
	put := func(id string) { p.server.Project.Put(id, "", edc.Row{Values: map[string]string{"value": "x"}}) }
	put("1")
	put("2")
	p.now = p.now.Add(3 * time.Hour)
	p.want("at first", "1", "2")
	p.now = p.now.Add(time.Hour)
	p.want("nothing new")
	put("2")
	p.now = p.now.Add(time.Hour)
	p.want("one changed", "2")
	p.now = p.now.Add(time.Hour)
	p.want("within the overlap", "2")
	p.now = p.now.Add(2 * time.Hour)
	p.want("outside of it")
	p.now = p.now.Add(7 * 24 * time.Hour)
	p.want("after a week", "1", "2")
	p.server.Project.Delete("1")
	if _, roster, err := p.pull(); err != nil || roster != "2\n" {
		t.Errorf("the list after a deletion: %q, %v", roster, err)
	}
}

// Where a source is of another project from now on, nothing of that is taken for
// pulled, however old it is.
func TestAnotherProject(t *testing.T) {
	p := newPuller(t)
	p.server.Project.Put("1", "", edc.Row{Values: map[string]string{"value": "x"}})
	p.now = p.now.Add(3 * time.Hour)
	p.want("at first", "1")
	p.now = p.now.Add(3 * time.Hour)
	p.want("the same")
	p.server.Project.ID = 8
	p.want("another one", "1")
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// The hour that is repeated when summer time ends hides no change.
func TestRepeatedHour(t *testing.T) {
	p := newPuller(t)
	p.config.Timezone, p.server.Project.Zone = "Europe/Berlin", zone(t, "Europe/Berlin")
	p.now = time.Date(2024, 10, 26, 23, 0, 0, 0, time.UTC)
	p.server.Project.Put("1", "", edc.Row{Values: map[string]string{"value": "x"}})
	p.now = time.Date(2024, 10, 27, 0, 59, 0, 0, time.UTC) // 02:59 the first time
	p.want("before", "1")
	p.now = p.now.Add(2 * time.Minute) // 02:01 the second time
	p.server.Project.Put("2", "", edc.Row{Values: map[string]string{"value": "x"}})
	p.now = p.now.Add(time.Minute)
	p.want("in the repeated hour", "2")
}

// A batch that the server has not the memory for is halved until it fits.
func TestMemory(t *testing.T) {
	p := newPuller(t)
	p.config.Batch = 100
	ids := []string{"01", "02", "03", "04", "05", "06", "07"}
	for _, id := range ids {
		p.server.Project.Put(id, "", edc.Row{Values: map[string]string{"value": "x"}})
	}
	p.server.MaxCells = 7
	p.want("with little memory", ids...)
	p.server.MaxCells = 2
	p.cursor = connectors.Cursor{}
	if _, _, err := p.pull(); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("with none: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*puller)
		want  string
	}{
		"another project":  {func(p *puller) { p.config.ProjectID = 8 }, "redcap.other_project"},
		"a page to log in": {func(p *puller) { p.server.Fail(3, edc.Login) }, "redcap.page"},
		"no right":         {func(p *puller) { p.server.Grant(token, &edc.Access{NoAPI: true}) }, "redcap.token_refused"},
		"no fields":        {func(p *puller) { p.server.Grant(token, &edc.Access{Hidden: []string{"vitals"}}) }, "redcap.no_fields"},
		"banned":           {func(p *puller) { p.server.PerMinute = 2 }, "web.broken"},
		"no server":        {func(p *puller) { p.config.URL = "http://127.0.0.1:1/api/" }, "web.unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPuller(t)
			p.server.Project.Put("MRN-4711", "", edc.Row{Values: map[string]string{"value": "x"}})
			c.spoil(p)
			_, _, err := p.pull()
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "4711") || strings.Contains(err.Error(), token) {
				t.Errorf("%v; want %s", err, c.want)
			}
		})
	}
}

// A record deleted or renamed between the list and its batch is left to the list at
// the end.
func TestGoneInBetween(t *testing.T) {
	p := newPuller(t)
	for _, id := range []string{"1", "2"} {
		p.server.Project.Put(id, "", edc.Row{Values: map[string]string{"value": "x"}})
	}
	asked := 0
	p.server.BeforeEach = func(content string) {
		if content == "record" {
			if asked++; asked == 2 {
				p.server.Project.Delete("1")
				p.server.Project.Rename("2", "3")
			}
		}
	}
	records, roster, err := p.pull()
	if err != nil || len(records) != 0 || roster != "3\n" {
		t.Errorf("%q, %q, %v", records, roster, err)
	}
	p.want("the next time", "3")
}

func TestDiscover(t *testing.T) {
	p := newPuller(t)
	found, err := p.open().(connectors.Discoverer).Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range found {
		names = append(names, m.Name)
	}
	if want := []string{"project", "metadata", "instrument", "exportFieldNames", "dag", "project_xml"}; !slices.Equal(names, want) {
		t.Errorf("%q; want %q", names, want)
	}
	if asked := p.server.Asked(); slices.Contains(asked, "record") || slices.Contains(asked, "log") {
		t.Errorf("participant data were asked for: %q", asked)
	}
}
func contentOf(t *testing.T, d connectors.Delivery) string {
	t.Helper()
	r, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
