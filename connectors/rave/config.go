package rave

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// The two feeds of a study.
const (
	byAudits   = "audits"
	byDatasets = "datasets"
)

// Config is what the operator says about a study in Rave.
type Config struct {
	URL         string            `yaml:"url" doc:"address of the web services, like https://mediflex.mdsol.com/RaveWebServices"`
	Project     string            `yaml:"project" doc:"the study without its environment, like Mediflex"`
	Environment string            `yaml:"environment" doc:"Prod, UAT, Dev …"`
	Feed        string            `yaml:"feed" doc:"audits: every change, in order, with removals; datasets: the clinical views. They do not share keys: choose one for a study"`
	User        string            `yaml:"user" doc:"a Rave account with the right to view; for audits with full rights. An account of single sign-on does not work"`
	Password    connectors.Secret `yaml:"password" doc:"of the account"`
	App         string            `yaml:"app" doc:"instead of an account: UUID of an application that MAuth knows"`
	Key         connectors.Secret `yaml:"key" doc:"RSA private key of the application, in PEM"`
	MAuth       int               `yaml:"mauth" doc:"version of the signature: 2, or 1 for servers that know no other"`
	PerPage     int               `yaml:"per_page" doc:"audits asked for at once"`
	Mode        string            `yaml:"mode" doc:"which audits: default, enhanced or all; empty asks for none in particular, as older servers want"`
	View        string            `yaml:"view" doc:"of the clinical views: regular, or raw for what was typed"`
	Forms       []string          `yaml:"forms" doc:"OIDs of forms whose views are pulled as CSV; empty pulls all of them as ODM"`
	Changes     bool              `yaml:"changes" doc:"asks the views only for rows changed since; they must be set to include inactive records, or what was inactivated is missed"`
	Web         webclient.Limits  `yaml:"web"`
}

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("rave", "a study in Medidata Rave, by its audits or its clinical views", defaults, validate, open)
}

func defaults() Config {
	c := Config{Environment: "Prod", MAuth: 2, PerPage: 1000, View: "regular", Web: webclient.Defaults()}
	c.Web.PerMinute, c.Web.Deadline, c.Web.MaxBytes = 60, 20*time.Minute, 2<<30 // a view of a large study takes minutes
	return c
}

// maxPage is how many audits a server gives at once.
const maxPage = 10_000

func validate(c Config) (found []connectors.Finding) {
	find := func(wrong bool, key, message, hint string) {
		if wrong {
			found = append(found, connectors.Finding{Key: key, Message: message, Hint: hint})
		}
	}
	for _, m := range c.Web.Check("web.", "url", c.URL) {
		found = append(found, connectors.Finding(m))
	}
	find(c.Project == "" || strings.Contains(c.Project, "("), "project", "not the name of a study alone", "write Mediflex, and its environment under environment")
	find(c.Environment == "" || strings.ContainsAny(c.Environment, "()"), "environment", "not the name of an environment", "write it as the list of studies shows it in brackets: Prod")
	find(c.Feed != byAudits && c.Feed != byDatasets, "feed", "neither audits nor datasets", "audits tells of every change and of removals; choose one for a study")
	account, app := c.User != "" || !c.Password.IsZero(), c.App != "" || !c.Key.IsZero()
	find(account == app, "user", "either an account or an application is needed, and not both", "write user and password, or app and key")
	find(account && (c.User == "" || c.Password.IsZero()), "password", "an account is a user and a password", "write password: ${file:secrets/…}")
	find(app && (c.App == "" || c.Key.IsZero()), "key", "an application is its UUID and its key", "write key: ${file:secrets/…}")
	find(c.MAuth != 1 && c.MAuth != 2, "mauth", "not a version of the signature", "write 2, or 1")
	find(c.PerPage < 1 || c.PerPage > maxPage, "per_page", "not from 1 to 10000", "leave it out")
	find(!slices.Contains([]string{"", "default", "enhanced", "all"}, c.Mode), "mode", "neither default, enhanced nor all", "leave it out")
	find(c.View != "regular" && c.View != "raw", "view", "neither regular nor raw", "leave it out")
	for _, form := range c.Forms {
		find(form == "" || strings.ContainsAny(form, "/."), "forms", "not the OID of a form", "write it as the form is called in Architect, without .csv")
	}
	return found
}

// study is the OID that the services know the study by.
func (c Config) study() string { return c.Project + "(" + c.Environment + ")" }

// address is that of a resource, its parts escaped.
func (c Config) address(q url.Values, parts ...string) string {
	for i := range parts {
		parts[i] = strings.NewReplacer("(", "%28", ")", "%29").Replace(url.PathEscape(parts[i]))
	}
	at := strings.TrimSuffix(c.URL, "/") + "/" + strings.Join(parts, "/")
	if len(q) > 0 {
		at += "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
	}
	return at
}
