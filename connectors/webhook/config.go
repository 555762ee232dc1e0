package webhook

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"longitude/connectors"
)

// Config is what the operator says about a sender.
type Config struct {
	Scheme       string              `yaml:"scheme" doc:"how the sender proves who it is: standard (Standard Webhooks), svix, stripe, github, token, basic or path"`
	Secrets      []connectors.Secret `yaml:"secrets" doc:"secrets shared with the sender; several while one is changed, any of them counts"`
	Header       string              `yaml:"header" default:"Authorization, after Bearer" doc:"header that holds the token; scheme token only"`
	User         string              `yaml:"user" doc:"user name; scheme basic only"`
	IDHeader     string              `yaml:"id_header" doc:"header that names a request, where the scheme has none: a request that comes again is known by it; without, by its body"`
	ReplayWindow time.Duration       `yaml:"replay_window" doc:"how far the sender's signed time may be from ours"`
	Payload      string              `yaml:"payload" doc:"data, or hint: what is sent only says that the source of pulls has something new"`
	Pulls        string              `yaml:"pulls" doc:"source that a hint has pulled"`
	Record       string              `yaml:"record" doc:"where a hint names the record that changed: a field of a form, or a JSON pointer like /data/record; without, all that is new is pulled"`
	Accept       []string            `yaml:"accept" doc:"content types that are taken"`
	Gzip         bool                `yaml:"gzip" doc:"take bodies in Content-Encoding: gzip too"`
	MaxBody      int64               `yaml:"max_body" doc:"largest request, in bytes, packed and unpacked"`
	Together     int                 `yaml:"together" doc:"how many requests may become one object, a line each, as format ndjson reads them; 1 makes each request an object of its own, byte for byte"`
	Rate         int                 `yaml:"rate" doc:"requests a second that are taken in the long run; others are answered 429"`
	Burst        int                 `yaml:"burst" doc:"requests at once that are taken above the rate"`
	MaxWaiting   int                 `yaml:"max_waiting" doc:"requests that may wait to be recorded; more are answered 503"`
	State        string              `yaml:"state" doc:"open; paused: the sender is asked to come back later; closed: it is told to stop"`
}

// What a payload is, and states of a source.
const (
	payloadData, payloadHint            = "data", "hint"
	stateOpen, statePaused, stateClosed = "open", "paused", "closed"
)

func defaults() Config {
	return Config{Scheme: "standard", ReplayWindow: 5 * time.Minute, Payload: payloadData, Accept: []string{"application/json"},
		MaxBody: 5 << 20, Together: 1000, Rate: 1000, Burst: 2000, MaxWaiting: 100_000, State: stateOpen}
}

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("webhook", "requests that a sender pushes", defaults, validate, open)
}

// Triggers is the source that a hint has pulled; "" where what is sent is the data.
func (c *Config) Triggers() string {
	if c.Payload != payloadHint {
		return ""
	}
	return c.Pulls
}

// most of what can be configured: what lies above is a mistake of unit.
const (
	mostBody   = 256 << 20
	mostReplay = time.Hour
)

func validate(c Config) (found []connectors.Finding) {
	add := func(wrong bool, key, message, hint string) {
		if wrong {
			found = append(found, connectors.Finding{Key: key, Message: message, Hint: hint})
		}
	}
	_, known := schemes[c.Scheme]
	add(!known, "scheme", "no scheme of this program", "write standard, svix, stripe, github, token, basic or path")
	add(len(c.Secrets) == 0, "secrets", "no secret: anybody could send", "write secrets: [${env:NAME}]")
	add(slices.ContainsFunc(c.Secrets, connectors.Secret.IsZero), "secrets", "an empty secret", "remove it, or refer to one: ${env:NAME}")
	add(c.Header != "" && c.Scheme != "token", "header", "only scheme token has a header of its own", "remove it")
	add((c.User != "") != (c.Scheme == "basic"), "user", "goes with scheme basic, and is needed there", "write user with scheme: basic only")
	add(c.IDHeader != "" && !schemes[c.Scheme].unnamed, "id_header", "the scheme says itself how a request is named", "remove it")
	add(c.ReplayWindow <= 0 || c.ReplayWindow > mostReplay, "replay_window", "more than 0 and at most 1h", "senders' clocks are right: 5m is enough")
	add(c.Payload != payloadData && c.Payload != payloadHint, "payload", "not one of data and hint", "write payload: data")
	add((c.Pulls != "") != (c.Payload == payloadHint), "pulls", "goes with payload: hint, and is needed there", "name the source that a hint has pulled")
	add(c.Record != "" && c.Payload != payloadHint, "record", "goes with payload: hint", "remove it")
	add(len(c.Accept) == 0, "accept", "nothing is accepted", "write accept: [application/json]")
	for _, kind := range c.Accept {
		parsed, _, err := mime.ParseMediaType(kind)
		add(err != nil || parsed != kind, "accept", "not a content type", "write it in small letters and without parameters: application/json")
	}
	add(c.MaxBody < 1 || c.MaxBody > mostBody, "max_body", "between 1 and 268435456 bytes", "write 5242880 for 5 MiB")
	add(c.Together < 1 || c.Together > 10_000, "together", "between 1 and 10000", "write together: 1000")
	add(c.Together > 1 && c.Payload == payloadData && !slices.ContainsFunc(c.Accept, isJSON), "together", "only JSON can be put on lines", "write together: 1")
	add(c.Rate < 1, "rate", "at least 1", "write rate: 1000")
	add(c.Burst < 1, "burst", "at least 1", "write burst: 2000")
	add(c.MaxWaiting < 1, "max_waiting", "at least 1", "write max_waiting: 100000")
	add(!slices.Contains([]string{stateOpen, statePaused, stateClosed}, c.State), "state", "not one of open, paused and closed", "write state: open")
	return found
}

func isJSON(kind string) bool {
	return kind == "application/json" || strings.HasSuffix(kind, "+json") || kind == "application/x-ndjson"
}

// tokenHeader is the header that holds the token, and what stands before it.
func (c *Config) tokenHeader() (name, prefix string) {
	if c.Header == "" {
		return "Authorization", "Bearer "
	}
	return http.CanonicalHeaderKey(c.Header), ""
}
