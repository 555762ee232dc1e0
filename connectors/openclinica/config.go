package openclinica

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// Config is what the operator says about a study in OpenClinica.
type Config struct {
	URL      string            `yaml:"url" doc:"address of the application, like https://edc.example.org/OpenClinica"`
	Version  int               `yaml:"version" doc:"3 for OpenClinica 3.x and LibreClinica, 4 for OpenClinica 4"`
	Studies  []string          `yaml:"studies" doc:"OID of the study, or of each of its sites, such as S_DEMO, in version 4 with its environment; each is asked for by itself"`
	User     string            `yaml:"user" doc:"an account with the right to view the study"`
	Password connectors.Secret `yaml:"password" doc:"of the account"`
	Login    string            `yaml:"login" doc:"page of login of version 3, below url"`
	TokenURL string            `yaml:"token_url" doc:"where version 4 gives out tokens, like https://demo.build.openclinica.io/user-service/api/oauth/token"`
	Metadata string            `yaml:"metadata" doc:"where the definitions of a study are, below url, the OID behind it"`
	Web      webclient.Limits  `yaml:"web"`
}

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("openclinica", "a study in OpenClinica 3 or 4 or LibreClinica", defaults, validate, open)
}

func defaults() Config {
	c := Config{Login: "pages/login/login", Metadata: "rest/metadata/xml/view", Web: webclient.Defaults()}
	c.Web.PerMinute, c.Web.Attempts, c.Web.Deadline, c.Web.MaxBytes = 60, 3, 45*time.Minute, 256<<20 // a large study is 20 to 30 minutes in preparation
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
	find(c.Version != 3 && c.Version != 4, "version", "neither 3 nor 4", "write 3 for LibreClinica, too")
	find(len(c.Studies) == 0, "studies", "no study is named", "write the OID of the study as its page in OpenClinica shows it: [S_DEMO]")
	for i, oid := range c.Studies {
		find(oid == "" || strings.ContainsAny(oid, "/*?#") || slices.Contains(c.Studies[:i], oid), "studies", "not the OID of a study or site, or named twice", "write it as its page in OpenClinica shows it, such as S_DEMO")
	}
	find(c.User == "", "user", "no account is named", "write the name of an account with the right to view the study")
	find(c.Password.IsZero(), "password", "the account has no password", "write password: ${file:secrets/…}")
	find(c.Version == 3 && c.TokenURL != "", "token_url", "version 3 gives out no tokens", "leave it out")
	if c.Version == 4 {
		for _, m := range c.Web.Check("", "token_url", c.TokenURL) {
			if m.Key == "token_url" {
				found = append(found, connectors.Finding(m))
			}
		}
	}
	return found
}

// below is an address below that of the application.
func (c Config) below(path string) string {
	return strings.TrimSuffix(c.URL, "/") + "/" + strings.Trim(path, "/")
}

// escaped is an OID as a part of a path.
func escaped(oid string) string {
	return strings.NewReplacer("(", "%28", ")", "%29").Replace(url.PathEscape(oid))
}

// export is where everything of a study or site is.
func (c Config) export(oid string) string {
	if c.Version == 4 {
		return c.below("pages/auth/api/clinicaldata") + "/" + escaped(oid) + "/*/*/*?includeMetadata=y&includeAudits=n&includeDNs=n&showArchived=n"
	}
	return c.below("rest/clinicaldata/xml/view") + "/" + escaped(oid) + "/*/*/*?includeAudits=n&includeDNs=n"
}

// header asks for XML, and for words of status in English: others would be those of
// whoever runs the server.
func header() http.Header {
	return http.Header{"Accept": {"application/xml"}, "Accept-Language": {"en"}}
}
