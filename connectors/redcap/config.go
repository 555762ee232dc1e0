package redcap

import (
	"strings"
	"time"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// Config is what the operator says about a REDCap project.
type Config struct {
	URL       string            `yaml:"url" doc:"address of the API, like https://redcap.example.org/api/"`
	Token     connectors.Secret `yaml:"token" doc:"token of a user for this project; the right to export through the API is enough"`
	ProjectID int               `yaml:"project_id" doc:"number of the project: a token of another project is refused; 0 accepts any"`
	Timezone  string            `yaml:"timezone" doc:"IANA time zone of the server, such as Europe/Berlin: it tells when records changed without one"`
	Batch     int               `yaml:"batch" doc:"records asked for at once; halved by itself where the server runs out of memory"`
	Overlap   time.Duration     `yaml:"overlap" doc:"how much further back than the last pull is asked for changes; an hour is repeated when summer time ends"`
	Reconcile time.Duration     `yaml:"reconcile" doc:"after so long everything is pulled again, for changes that REDCap does not tell"`
	Web       webclient.Limits  `yaml:"web"`
}

// perMinute is far from the 600 requests a minute for which REDCap bans whoever
// asks, until an administrator lifts it.
const perMinute = 60

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("redcap", "records of a REDCap project", defaults, validate, open)
}

func defaults() Config {
	c := Config{Batch: 100, Overlap: 65 * time.Minute, Reconcile: 7 * 24 * time.Hour, Web: webclient.Defaults()}
	c.Web.PerMinute = perMinute
	return c
}

func validate(c Config) (found []connectors.Finding) {
	find := func(wrong bool, key, message, hint string) {
		if wrong {
			found = append(found, connectors.Finding{Key: key, Message: message, Hint: hint})
		}
	}
	for _, m := range c.Web.Check("web.", "url", c.URL) {
		found = append(found, connectors.Finding(m))
	}
	find(c.Token.IsZero(), "token", "no credential", "write token: ${file:secrets/…}")
	_, err := time.LoadLocation(c.Timezone)
	find(c.Timezone == "" || c.Timezone == "Local" || err != nil, "timezone", "not a time zone", "write the zone that the server's clock is in, like Europe/Berlin")
	find(c.ProjectID < 0, "project_id", "not a number of a project", "the project's page shows it, behind pid= in the address")
	find(c.Batch < 1, "batch", "no record at once", "write a number above zero, or leave it out")
	find(c.Overlap < 2*time.Minute, "overlap", "shorter than REDCap's times are exact", "write 2m or more")
	find(c.Reconcile < time.Hour, "reconcile", "everything at nearly every pull", "write 1h or more; 168h is a week")
	return found
}

// address is the URL of the API with the slash at its end, without which many
// servers answer with a redirection.
func (c Config) address() string { return strings.TrimSuffix(c.URL, "/") + "/" }
