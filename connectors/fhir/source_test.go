package fhir_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/fhir"
	server "longitude/internal/edctest/fhir"
)

func TestReadme(t *testing.T) { connectortest.Readme(t, fhir.Spec()) }

// config is one that reaches a test server.
func config(at, mode string) *fhir.Config {
	c := fhir.Spec().Config().(*fhir.Config)
	host, _ := url.Parse(at)
	c.URL, c.Mode, c.Types = at, mode, []string{"Patient", "Observation"}
	c.Poll, c.Overlap, c.PageSize = time.Millisecond, time.Second, 4
	c.Web.Allow, c.Web.PerMinute, c.Web.Attempts = []string{host.Hostname()}, 0, 2
	return c
}

const token = "kestrel-token-4711"

// group is a server with a group, and who is in it.
type cohort struct {
	*server.Server
	members []string
}

func (c *cohort) put(id, value string) {
	c.Put(fmt.Sprintf(`{"resourceType":"Patient","id":%q,"maritalStatus":{"text":%q}}`, id, value))
	for _, m := range c.members {
		if m == id {
			return
		}
	}
	c.members = append(c.members, id)
	c.Group("cohort", c.members...)
}

func (c *cohort) remove(id string) {
	c.Delete("Patient", id)
	for i, m := range c.members {
		if m == id {
			c.members = append(c.members[:i:i], c.members[i+1:]...)
			break
		}
	}
	c.Group("cohort", c.members...)
}

// patients finds the Patients in lines or in a page.
func patients(content string) map[string]string {
	type patient struct {
		ResourceType  string
		ID            string
		MaritalStatus struct{ Text string }
		Entry         []struct{ Resource json.RawMessage }
	}
	found := map[string]string{}
	for line := range strings.Lines(content) {
		var p patient
		if json.Unmarshal([]byte(line), &p) != nil {
			continue
		}
		if p.ResourceType == "Patient" {
			found[p.ID] = p.MaritalStatus.Text
		}
		for _, e := range p.Entry {
			var one patient
			if json.Unmarshal(e.Resource, &one) == nil && one.ResourceType == "Patient" {
				found[one.ID] = one.MaritalStatus.Text
			}
		}
	}
	return found
}

func TestBehaviour(t *testing.T) {
	for _, mode := range []string{"bulk", "search"} {
		t.Run(mode, func(t *testing.T) {
			connectortest.RunFeed(t, connectortest.FeedHarness{Spec: fhir.Spec(), New: func(t *testing.T) connectortest.Feed {
				s := &cohort{Server: server.New()}
				s.Token = token
				s.Group("cohort")
				c := config(server.Start(t, s.Server), mode)
				c.Auth.Kind, c.Auth.Token = "bearer", connectors.NewSecret(token)
				c.Level, c.Roster = "group:cohort", "group"
				if mode == "search" {
					c.Roster = "patients"
				}
				faults := []server.Fault{server.Failing, server.Busy, server.Broken, server.Truncated, server.Login, server.Transient}
				return connectortest.Feed{Config: c, Secrets: []string{token}, Put: s.put, Remove: s.remove, Read: patients, Refuse: s.Refuse,
					Fail: func(n int) { s.Fail(n, faults[n%len(faults)]) }}
			}})
		})
	}
}
