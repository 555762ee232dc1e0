package rest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"longitude/connectors"
)

// checker collects what is wrong with a config.
type checker struct{ found []connectors.Finding }

func (c *checker) find(wrong bool, key, message, hint string) {
	if wrong {
		c.found = append(c.found, connectors.Finding{Key: key, Message: message, Hint: hint})
	}
}

func (c *checker) oneOf(key, value string, words ...string) {
	c.find(!slices.Contains(words, value), key, "no word that is known here", "write one of "+strings.Join(words, ", "))
}

func validate(config Config) []connectors.Finding {
	c := &checker{}
	for _, m := range config.Web.Check("web.", "url", config.URL) {
		c.found = append(c.found, connectors.Finding(m))
	}
	c.auth(config.Auth)
	c.find(config.InFlight < 1 || config.InFlight > 64, "in_flight", "no number of requests that could be under way", "write a number from 1 to 64")
	c.find(config.Check != "" && !strings.HasPrefix(config.Check, "/"), "check", "not a path", "begin with a slash: it is added to url")
	c.find(len(config.Streams) == 0, "streams", "nothing to pull", "name a stream and its path: [{name: records, path: /records}]")
	c.rules("rules", config.Rules)
	only := 0
	for i, s := range config.Streams {
		c.stream(fmt.Sprintf("streams[%d]", i), s, config.Streams[:i])
		if s.Only {
			only++
		}
	}
	c.find(only > 0 && only == len(config.Streams), "streams", "none of the streams is delivered", "leave only_for_children out where records are wanted")
	return c.found
}

func (c *checker) auth(a Auth) {
	c.oneOf("auth.kind", a.Kind, "none", "bearer", "basic", "api_key", "oauth2", "hmac")
	needs := func(missing bool, key string) {
		c.find(missing, "auth."+key, "missing, and auth.kind "+a.Kind+" needs it", "write it as the API's documentation says; a secret as a reference: {file: …} or {env: …}")
	}
	switch a.Kind {
	case "bearer":
		needs(a.Token.IsZero(), "token")
	case "basic":
		needs(a.User == "", "user")
		needs(a.Password.IsZero(), "password")
	case "api_key":
		needs(a.Key.IsZero(), "key")
		needs(a.Name == "", "name")
		c.oneOf("auth.in", a.In, "header", "query")
	case "oauth2":
		needs(a.TokenURL == "", "token_url")
		needs(a.ClientID.IsZero(), "client_id")
		needs(a.Secret.IsZero(), "client_secret")
		c.oneOf("auth.send", a.Send, "form", "json", "basic")
	case "hmac":
		needs(a.Key.IsZero(), "key")
		needs(a.Name == "", "name")
		needs(a.Sign == "", "sign")
		c.oneOf("auth.time", a.Clock, "unix", "unix_ms", "rfc3339")
		c.oneOf("auth.encoding", a.Encoding, "hex", "base64")
	}
}

var streamName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (c *checker) stream(at string, s Stream, before []Stream) {
	c.find(!streamName.MatchString(s.Name), at+".name", "no name of a stream", "small letters, digits and _, a letter first")
	named := func(name string) bool {
		return slices.ContainsFunc(before, func(b Stream) bool { return b.Name == name })
	}
	c.find(named(s.Name), at+".name", "another stream is called so", "give each stream a name of its own")
	c.find(!strings.HasPrefix(s.Path, "/") && s.Export.Files == "", at+".path", "not a path", "begin with a slash: it is added to url")
	c.oneOf(at+".method", orElse(s.Method, "GET"), "GET", "POST")
	c.oneOf(at+".format", s.format(), "json", "ndjson", "csv", "xml", "file")
	c.find(s.format() == "xml" && s.Records == "", at+".records", "missing, and pages of XML need it", "write the way to an element that is a record: /root/item")
	c.find(len([]rune(s.Comma)) > 1, at+".delimiter", "more than one character", `write one character, like ";"`)
	c.find(s.Parent.Stream != "" && !named(s.Parent.Stream), at+".parent.stream", "no stream before this one is called so", "name a stream that stands above")
	c.find((s.Parent.Stream == "") != (len(s.Parent.Values) == 0), at+".parent", "parent needs both stream and values", "{stream: studies, values: {study: /study_id}}")
	c.pages(at+".pages", s)
	c.since(at+".since", s)
	c.export(at+".export", s)
	c.rules(at+".rules", s.Rules)
}

func (c *checker) pages(at string, s Stream) {
	p := s.Pages
	c.oneOf(at+".by", p.by(), "none", "auto", "link", "next", "cursor", "page", "offset", "keyset")
	c.find((p.By == "next" || p.By == "cursor") && p.Next == "", at+".next", "missing, and pages by "+p.By+" need it", "point at where a page says it, like /meta/next")
	c.find((p.By == "cursor" || p.By == "page" || p.By == "offset") && p.Parameter == "", at+".parameter", "missing, and pages by "+p.By+" need it", "name the parameter that takes it")
	c.find(p.By == "keyset" && (s.Since.Field == "" || s.Since.Parameter == "" || p.Size < 1), at, "pages by keyset need size, since.field and since.parameter", "name them; parameter and since.key tell records of one time apart")
	c.find(p.Size < 0 || p.Most < 0, at, "a negative number", "write a number above zero, or leave it out")
}

func (c *checker) since(at string, s Stream) {
	c.find((s.Since.Parameter == "") != (s.Since.Field == ""), at, "since needs both parameter and field", "{parameter: updated_since, field: /updated_at}")
	layout := orElse(s.Since.Layout, defaultLayout)
	now := time.Date(2026, 11, 5, 13, 4, 5, 0, time.UTC)
	back, err := readTime(layout, writeTime(layout, now))
	c.find(err != nil || back.Sub(now).Abs() > 24*time.Hour, at+".layout", "no layout of times", "write rfc3339, date, unix, unix_ms, or Go's reference time as the API would write it: 2006-01-02 15:04:05")
}

func (c *checker) export(at string, s Stream) {
	e := s.Export
	if e.Path == "" {
		return
	}
	c.find(!strings.HasPrefix(e.Path, "/"), at+".path", "not a path", "begin with a slash: it is added to url")
	c.find((e.ID == "") != (e.Poll == ""), at+".poll", "id and poll go together", "id points at the number of the export, poll is a path with {export}; without both the header Location says where to ask")
	c.find((e.Status == "") != (len(e.Done) == 0), at+".status", "status and done go together", "status points at a word, done lists the words that mean ready")
	c.find(s.Pages.by() != "none", at, "files of an export have no pages", "leave pages out")
}

func (c *checker) rules(at string, rules []Rule) {
	for i, r := range rules {
		key := fmt.Sprintf("%s[%d]", at, i)
		c.oneOf(key+".do", r.Do, doRetry, doSkip, doStop, doFail)
		c.find(len(r.Status) == 0 && r.At == "", key, "the rule is about every answer", "say which: {status: [404], do: skip} or {at: /error, do: fail}")
		c.find(len(r.Is) > 0 && r.At == "", key+".at", "missing, and is needs it", "point at the part of the body that is compared")
	}
}
