package rest

import (
	"time"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// Config is what the operator says about an API.
type Config struct {
	URL      string                       `yaml:"url" doc:"address that all paths are added to, like https://edc.example.org/api"`
	Check    string                       `yaml:"check" doc:"path that tells whether the account works; without it any answer but a refusal does"`
	Auth     Auth                         `yaml:"auth"`
	Headers  map[string]string            `yaml:"headers" doc:"headers of every request, like Accept: application/json"`
	Secrets  map[string]connectors.Secret `yaml:"secret_headers" doc:"headers whose values are secrets"`
	Streams  []Stream                     `yaml:"streams" doc:"what is pulled, in this order"`
	Rules    []Rule                       `yaml:"rules" doc:"what answers mean that do not mean what their status says; those of a stream come first"`
	InFlight int                          `yaml:"in_flight" doc:"how many requests may be under way at once"`
	Resume   time.Duration                `yaml:"resume_within" doc:"how long after a pull was interrupted it goes on where it was; later it begins again"`
	Web      webclient.Limits             `yaml:"web"`
}

// Auth is how the account proves itself.
type Auth struct {
	Kind     string            `yaml:"kind" doc:"none, bearer, basic, api_key, oauth2 or hmac"`
	Token    connectors.Secret `yaml:"token" doc:"bearer: the token"`
	User     string            `yaml:"user" doc:"basic: the user"`
	Password connectors.Secret `yaml:"password" doc:"basic: the password"`
	Key      connectors.Secret `yaml:"key" doc:"api_key: the key; hmac: what is signed with"`
	Name     string            `yaml:"name" doc:"api_key: the header or query parameter that takes the key; hmac: the header that takes the signature"`
	In       string            `yaml:"in" doc:"api_key: header or query"`
	Prefix   string            `yaml:"prefix" doc:"api_key and hmac: what stands before the key or signature, with its space"`

	TokenURL string            `yaml:"token_url" doc:"oauth2: where tokens are given out; a path is added to url's host"`
	ClientID connectors.Secret `yaml:"client_id" doc:"oauth2: the client"`
	Secret   connectors.Secret `yaml:"client_secret" doc:"oauth2: its secret"`
	Scope    string            `yaml:"scope" doc:"oauth2: what is asked for"`
	Send     string            `yaml:"send" doc:"oauth2: how client and secret are sent: form, json or basic"`

	Sign     string `yaml:"sign" doc:"hmac: the text that is signed, of {method} {path} {query} {time} {body} {body_sha256} and line ends as \\n"`
	Time     string `yaml:"time_header" doc:"hmac: the header that takes {time}"`
	Clock    string `yaml:"time" doc:"hmac: how {time} is written: unix, unix_ms or rfc3339"`
	Encoding string `yaml:"encoding" doc:"hmac: how the signature (HMAC-SHA-256) is written: hex or base64"`
}

// Stream is one list that the API offers.
type Stream struct {
	Name    string            `yaml:"name" doc:"what it is called here: it names its pages, and parents in other streams"`
	Path    string            `yaml:"path" doc:"added to url; may hold {value} of a parent"`
	Method  string            `yaml:"method" doc:"GET or POST; GET without it"`
	Body    string            `yaml:"body" doc:"of a POST; {value} of a parent and {name} of a paging or since parameter are filled in as JSON text, and then not put into the query"`
	Query   map[string]string `yaml:"query" doc:"parameters of every request; may hold {value} of a parent"`
	Format  string            `yaml:"format" doc:"how pages are written: json, ndjson, csv, xml, or file (not looked into); json without it"`
	Records string            `yaml:"records" doc:"where the records are in a page, as JSON pointer like /data (xml: /root/item); the page itself without it"`
	Comma   string            `yaml:"delimiter" doc:"csv: what stands between cells; a comma without it"`
	Only    bool              `yaml:"only_for_children" doc:"pulled for the streams that have it as parent, and not delivered itself"`
	Parent  Parent            `yaml:"parent"`
	Pages   Pages             `yaml:"pages"`
	Since   Since             `yaml:"since"`
	Export  Export            `yaml:"export"`
	Rules   []Rule            `yaml:"rules" doc:"for this stream; those of the source count after them"`
}

// Parent makes a stream be asked for once for each record of another one.
type Parent struct {
	Stream string            `yaml:"stream" doc:"the stream, above this one, for each record of which this one is asked"`
	Values map[string]string `yaml:"values" doc:"name for use in {braces} → where it is in a record of the parent: {study: /study_id}"`
}

// Pages is how a list goes on.
type Pages struct {
	By        string `yaml:"by" doc:"how a list goes on: none, link (header Link), next (an address in the page), cursor, page, offset, keyset (behind the last record), auto (link, next or page, whichever the page has); none without it"`
	Next      string `yaml:"next" doc:"next and cursor: where in the page it is, as JSON pointer"`
	Parameter string `yaml:"parameter" doc:"takes the number of the page, the offset or the cursor; keyset: the key of the last record"`
	Size      int    `yaml:"size" doc:"how many records a page has; a page of fewer is the last, unless the page says how many there are"`
	SizeName  string `yaml:"size_parameter" doc:"takes size"`
	First     *int   `yaml:"first" doc:"number of the first page, or the first offset; 1 and 0 without it"`
	Count     string `yaml:"count" doc:"page: where a page says how many pages there are; they are then asked for in_flight at once"`
	Total     string `yaml:"total" doc:"page and offset: where a page says how many records there are; the same"`
	Most      int    `yaml:"most" doc:"how many pages a list may have; 100000 without it"`
}

// Since asks for what has changed only.
type Since struct {
	Parameter string        `yaml:"parameter" doc:"takes the time since when changes are asked for"`
	Field     string        `yaml:"field" doc:"where a record says when it changed"`
	Key       string        `yaml:"key" doc:"keyset: where a record says which it is"`
	Layout    string        `yaml:"layout" doc:"how times are written: rfc3339, date, unix, unix_ms, or Go's reference time; rfc3339 without it"`
	Overlap   time.Duration `yaml:"overlap" doc:"how much before the newest change seen is asked for again: for changes that came late, and clocks"`
	Initial   string        `yaml:"initial" doc:"what the first pull asks with; without it that is asked without the parameter"`
}

// Export is a list that the server prepares on request.
type Export struct {
	Path   string        `yaml:"path" doc:"where an export is asked for; then the stream is what comes of it"`
	Method string        `yaml:"method" doc:"GET or POST; POST without it"`
	Body   string        `yaml:"body" doc:"what is sent; may hold {since}"`
	ID     string        `yaml:"id" doc:"where the answer says which export it is, for {export} in poll and the path of the stream; without it the header Content-Location or Location is where to ask"`
	Poll   string        `yaml:"poll" doc:"path that tells how far the export is"`
	Status string        `yaml:"status" doc:"where it tells; without it status 200 is ready and 202 is not"`
	Done   []string      `yaml:"done" doc:"the words there that mean ready"`
	Failed []string      `yaml:"failed" doc:"the words there that mean failed"`
	Files  string        `yaml:"files" doc:"where it tells the addresses of the files, like /output/*/url; without it the path of the stream is asked"`
	Every  time.Duration `yaml:"every" doc:"how long to wait before it is asked again, unless the server wants longer; 10s without it"`
	Within time.Duration `yaml:"within" doc:"how long an export may take; 1h without it"`
}

// Rule is what an answer means.
type Rule struct {
	Status []int    `yaml:"status" doc:"of the answer, any of these; none is every status"`
	At     string   `yaml:"at" doc:"and the body has something here, as JSON pointer …"`
	Is     []string `yaml:"is" doc:"… which is one of these"`
	Do     string   `yaml:"do" doc:"retry: a passing failure · skip: nothing here, the next child is asked · stop: nothing here, nor in the rest of the stream · fail: an error"`
}

// What a rule does.
const (
	doRetry = "retry"
	doSkip  = "skip"
	doStop  = "stop"
	doFail  = "fail"
)

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("rest", "any API that answers in pages, described in the configuration", defaults, validate, open)
}

func defaults() Config {
	web := webclient.Defaults()
	web.PerMinute = 300
	return Config{Auth: Auth{Kind: "none", In: "header", Send: "form", Clock: "unix", Encoding: "hex"}, InFlight: 4, Resume: 24 * time.Hour, Web: web}
}

// Where a stream says nothing.
const (
	mostPages     = 100_000
	exportEvery   = 10 * time.Second
	exportWithin  = time.Hour
	defaultLayout = "rfc3339"
)

func (s Stream) format() string { return orElse(s.Format, "json") }

func (p Pages) by() string { return orElse(p.By, "none") }

func (p Pages) most() int { return orElse(p.Most, mostPages) }

func (p Pages) first() int {
	switch {
	case p.First != nil:
		return *p.First
	case p.By == "offset":
		return 0
	}
	return 1
}

func orElse[T comparable](v, otherwise T) T {
	var none T
	if v == none {
		return otherwise
	}
	return v
}
