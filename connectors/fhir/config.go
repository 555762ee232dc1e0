package fhir

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// Config is what the operator says about a FHIR server.
type Config struct {
	URL      string            `yaml:"url" doc:"base address of the server, like https://ehr.example.org/fhir/r4"`
	Mode     string            `yaml:"mode" doc:"bulk: by export; search: page by page"`
	Level    string            `yaml:"level" doc:"bulk: what is exported: system, patients, or group:ID"`
	Types    []string          `yaml:"types" doc:"types of resources, like [Patient, Encounter, Observation]; search needs them, in this order; bulk exports all without them"`
	Filters  map[string]string `yaml:"filters" doc:"what else is asked of a type, as a search: {Observation: category=vital-signs}"`
	PageSize int               `yaml:"page_size" doc:"search: how many resources a page should have"`
	Overlap  time.Duration     `yaml:"overlap" doc:"search: how far before the last pull the next one begins, because servers index late"`
	Roster   string            `yaml:"roster" doc:"where all participants are listed, so that who is gone is removed: none, group (the members of level's group) or patients (all Patients)"`
	Errors   string            `yaml:"errors" doc:"bulk: what errors of an export, beside its files, mean: refuse, or accept the files"`
	Poll     time.Duration     `yaml:"poll" doc:"bulk: how often is asked whether the export is ready, where the server does not say"`
	Within   time.Duration     `yaml:"within" doc:"bulk: how long the server may prepare an export"`
	MaxFile  int64             `yaml:"max_file" doc:"bulk: how many bytes a file may have, unpacked"`
	Hosts    []string          `yaml:"hosts" doc:"other hosts where the server may say that files and pages are, like files.example.org:8443; no others are followed"`
	Auth     Auth              `yaml:"auth"`
	Web      webclient.Limits  `yaml:"web"`
}

// Auth is how the account proves itself.
type Auth struct {
	Kind     string            `yaml:"kind" doc:"none, bearer, basic, or backend: SMART Backend Services, signed by a private key"`
	Token    connectors.Secret `yaml:"token" doc:"bearer: the token"`
	User     string            `yaml:"user" doc:"basic: the user"`
	Password connectors.Secret `yaml:"password" doc:"basic: the password"`
	ClientID string            `yaml:"client_id" doc:"backend: the client, as registered at the server"`
	Key      connectors.Secret `yaml:"key" doc:"backend: its private key, RSA or P-384, in PEM or as JWK"`
	KeyID    string            `yaml:"key_id" doc:"backend: the kid of the registered key; of a JWK its own"`
	TokenURL string            `yaml:"token_url" doc:"backend: where tokens are given out; without it what the server says at .well-known/smart-configuration"`
	Scope    string            `yaml:"scope" doc:"backend: what is asked for"`
}

// The words of a config.
const (
	bulk     = "bulk"
	search   = "search"
	none     = "none"
	group    = "group"
	patients = "patients"
	system   = "system"
	refuse   = "refuse"
	accept   = "accept"
	bearer   = "bearer"
	basic    = "basic"
	backend  = "backend"
)

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("fhir", "a FHIR R4 server: bulk export or search", defaults, validate, open)
}

func defaults() Config {
	return Config{Mode: bulk, Level: patients, PageSize: 200, Overlap: 5 * time.Minute, Roster: none, Errors: refuse, Poll: 10 * time.Second,
		Within: 6 * time.Hour, MaxFile: 8 << 30, Auth: Auth{Kind: none, Scope: "system/*.read"}, Web: webclient.Defaults()}
}

var typeName = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}$`)
var idName = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

func validate(c Config) []connectors.Finding {
	var found []connectors.Finding
	find := func(wrong bool, key, message, hint string) {
		if wrong {
			found = append(found, connectors.Finding{Key: key, Message: message, Hint: hint})
		}
	}
	find(strings.ContainsAny(c.URL, "?#"), "url", "more than the base address of a server", "write url: https://ehr.example.org/fhir, without question mark")
	one := func(key, value string, words ...string) {
		find(!slices.Contains(words, value), key, "none of its words", "write "+strings.Join(words, " or "))
	}
	one("mode", c.Mode, bulk, search)
	one("roster", c.Roster, none, group, patients)
	one("errors", c.Errors, refuse, accept)
	id, of := strings.CutPrefix(c.Level, "group:")
	find(!of && c.Level != system && c.Level != patients || of && !idName.MatchString(id), "level", "not a level of export", "write system, patients or group:ID")
	find(c.Roster == group && !of, "roster", "there is no group", "write level: group:ID, or roster: patients")
	find(c.Mode == search && len(c.Types) == 0, "types", "no types to search for", "write types: [Patient, Encounter]")
	for _, t := range c.Types {
		find(!typeName.MatchString(t), "types", "not a type of resource", "write it as FHIR does, like Observation")
	}
	for t, filter := range c.Filters {
		_, err := url.ParseQuery(filter)
		find(!slices.Contains(c.Types, t) || err != nil || filter == "", "filters", "a filter of no type in types, or not a search", "write filters: {Observation: category=vital-signs}")
	}
	find(c.PageSize < 1, "page_size", "no resources a page", "write a number such as 200")
	find(c.Overlap < 0 || c.Poll <= 0 || c.Within <= 0, "within", "a time that is none: overlap, poll or within", "write times such as 5m")
	find(c.MaxFile < 1, "max_file", "no bytes a file", "leave it out, or write a number of bytes")
	for _, m := range c.Web.Check("web.", "url", c.URL) {
		found = append(found, connectors.Finding(m))
	}
	return append(found, c.Auth.validate()...)
}

func (a Auth) validate() (found []connectors.Finding) {
	find := func(wrong bool, key, message, hint string) {
		if wrong {
			found = append(found, connectors.Finding{Key: "auth." + key, Message: message, Hint: hint})
		}
	}
	find(!slices.Contains([]string{none, bearer, basic, backend}, a.Kind), "kind", "none of its words", "write none, bearer, basic or backend")
	find(a.Kind == bearer && a.Token.IsZero(), "token", "no token", "write token: ${file:secrets/…}")
	find(a.Kind == basic && (a.User == "" || a.Password.IsZero()), "password", "no user or no password", "write user, and password: ${file:secrets/…}")
	find(a.Kind == backend && (a.ClientID == "" || a.Key.IsZero()), "key", "no client_id or no key", "write client_id, and key: ${file:secrets/…}")
	find(a.Kind == backend && a.Scope == "", "scope", "nothing is asked for", "leave it out, or write scopes such as system/Observation.read")
	return found
}
