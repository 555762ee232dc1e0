package rest_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/rest"
)

func TestReadme(t *testing.T) { connectortest.Readme(t, rest.Spec()) }

// shelf is an API that lists files and gives them out.
type shelf struct {
	mu    sync.Mutex
	files map[string]file
}

type file struct {
	content  string
	modified time.Time
}

func (s *shelf) put(name, content string, modified time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = file{content, modified}
}

func (s *shelf) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, name)
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("X-Api-Key") != secret {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.URL.Path == "/files" {
		var index []map[string]string
		for name := range s.files {
			index = append(index, map[string]string{"name": name})
		}
		slices.SortFunc(index, func(a, b map[string]string) int {
			return cmp.Or(s.files[a["name"]].modified.Compare(s.files[b["name"]].modified), cmp.Compare(a["name"], b["name"]))
		})
		_ = json.NewEncoder(w).Encode(map[string]any{"files": index})
		return
	}
	name, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/files/"))
	f, ok := s.files[name]
	if err != nil || !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Last-Modified", f.modified.UTC().Format(http.TimeFormat))
	_, _ = w.Write([]byte(f.content))
}

const secret = "an api key that is a secret"

func TestBehaviour(t *testing.T) {
	connectortest.Run(t, connectortest.Harness{Spec: rest.Spec(), New: func(t *testing.T) connectortest.Place {
		s := &shelf{files: map[string]file{}}
		web := httptest.NewServer(s)
		t.Cleanup(web.Close)
		c := configOf(web.URL)
		c.Auth.Kind, c.Auth.Key, c.Auth.Name = "api_key", connectors.NewSecret(secret), "X-Api-Key"
		c.Streams = []rest.Stream{
			{Name: "index", Path: "/files", Records: "/files", Only: true},
			{Name: "content", Path: "/files/{name}", Format: "file", Parent: rest.Parent{Stream: "index", Values: map[string]string{"name": "/name"}}},
		}
		return connectortest.Place{Config: c, Secrets: []string{secret}, Put: s.put, Remove: s.remove, Held: true, Holds: utf8.ValidString}
	}})
}

// configOf is a config that reaches a server of a test.
func configOf(address string) *rest.Config {
	c := rest.Spec().Config().(*rest.Config)
	c.URL = address
	c.Web.Allow, c.Web.PerMinute = []string{"127.0.0.1"}, 0
	return c
}
