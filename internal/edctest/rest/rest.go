// Package rest is an API that offers the same records in each of the ways in which
// APIs offer lists, with the faults that their servers have. It is written from
// how such APIs are documented, not from the connector that reads it.
package rest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Record is one record of the API.
type Record struct {
	ID      string    `json:"id"`
	Site    string    `json:"site"`
	Value   int       `json:"value"`
	Updated time.Time `json:"updated_at"`
}

// Fault is what a request gets instead of its answer; the zero value is none.
type Fault struct {
	Status     int
	RetryAfter string
	Kind       string // of Content-Type
	Body       string // instead of the answer
	Cut        bool   // the connection ends in the middle of the answer
}

// Server is an API. Its fields are set before it serves.
type Server struct {
	Records []Record // ascending by time of change, then id
	Most    int      // records a page, whatever is asked for; 0 = 1000
	Latency time.Duration
	// Fault decides over the n-th request, counted from 1; nil = never.
	Fault func(n int, r *http.Request) Fault

	// Login demands what signs a request; nil = everybody may ask.
	Login func(s *Server, r *http.Request, body []byte) bool

	mu       sync.Mutex
	asked    []string
	tokens   int
	token    string
	export   time.Time
	prepared int
}

// Start serves until close is called, and answers the address.
func (s *Server) Start() (address string, closing func()) {
	web := httptest.NewServer(s)
	return web.URL, web.Close
}

// Asked are the requests so far: method, path and query.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Tokens is how many tokens were given out. Expire makes the last one worthless.
func (s *Server) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}

// Expire makes the token that was given out last worthless.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = "none"
}

// Set replaces the records.
func (s *Server) Set(records []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Records = records
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
	n := len(s.asked)
	s.mu.Unlock()
	if s.Latency > 0 {
		time.Sleep(s.Latency)
	}
	if s.Fault != nil {
		if f := s.Fault(n, r); f != (Fault{}) {
			f.answer(w)
			return
		}
	}
	if r.URL.Path == "/token" {
		s.giveToken(w, r, body)
		return
	}
	if s.Login != nil && !s.Login(s, r, body) {
		problem(w, http.StatusUnauthorized, "unauthorized")
		return
	}
	s.list(w, r, body)
}

func (f Fault) answer(w http.ResponseWriter) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	w.Header().Set("Content-Type", f.Kind)
	if f.Kind == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	if f.Cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(f.Body)+100))
	}
	if f.Status > 0 {
		w.WriteHeader(f.Status)
	}
	_, _ = io.WriteString(w, f.Body)
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%q}}`, code)
}

// The account of the API, however it has to prove itself.
const (
	User   = "account"
	Secret = "s3cr3t-0f-the-account"
)

// Header demands the secret in a header.
func Header(name, prefix string) func(*Server, *http.Request, []byte) bool {
	return func(_ *Server, r *http.Request, _ []byte) bool { return r.Header.Get(name) == prefix+Secret }
}

// Query demands the secret as a parameter.
func Query(name string) func(*Server, *http.Request, []byte) bool {
	return func(_ *Server, r *http.Request, _ []byte) bool { return r.URL.Query().Get(name) == Secret }
}

// Basic demands user and password.
func Basic(_ *Server, r *http.Request, _ []byte) bool {
	user, password, _ := r.BasicAuth()
	return user == User && password == Secret
}

// OAuth demands the token that was given out last.
func OAuth(s *Server, r *http.Request, _ []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token != "" && r.Header.Get("Authorization") == "Bearer "+s.token
}

// HMAC demands a signature of method, path, time and the digest of the body, not
// older than five minutes.
func HMAC(_ *Server, r *http.Request, body []byte) bool {
	when, err := time.Parse(time.RFC3339, r.Header.Get("X-Time"))
	if err != nil || time.Since(when).Abs() > 5*time.Minute {
		return false
	}
	sum := sha256.Sum256(body)
	mac := hmac.New(sha256.New, []byte(Secret))
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s", r.Method, r.URL.EscapedPath(), r.Header.Get("X-Time"), hex.EncodeToString(sum[:]))
	given, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.Header.Get("X-Signature"), "v1="))
	return err == nil && hmac.Equal(given, mac.Sum(nil))
}
