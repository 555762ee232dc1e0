// Package castor is a Castor EDC: the calls of its API that a study is read with,
// as its documentation and its public clients know them. Tokens for client
// credentials, HAL pages of at most 1,000, 404 for a collection without anything,
// 600 calls in ten minutes.
package castor

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Study is the study of the server, and its account.
const (
	Study        = "D234215B-D956-482D-BF17-71F2BB12A2FD"
	ClientID     = "0A1B2C3D-client"
	ClientSecret = "s3cr3t-0f-castor"
)

// The limit of the API.
const (
	calls  = 600
	within = 10 * time.Minute
)

// Record is a participant.
type Record struct {
	ID, Institute string
	Status        string // open, complete
	Archived      bool
	Points        []Point
}

// Point is one value.
type Point struct {
	Field, Value string
	Updated      time.Time // zero = never
}

// Server is a Castor EDC.
type Server struct {
	mu      sync.Mutex
	records []Record
	token   string
	tokens  int
	called  []time.Time
}

// Start serves until close is called, and answers the address.
func (s *Server) Start() (address string, closing func()) {
	web := httptest.NewServer(s)
	return web.URL, web.Close
}

// Set replaces the records.
func (s *Server) Set(records []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = records
}

// Called is how many calls there were, Tokens how many tokens were given out.
func (s *Server) Called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.called)
}

// Tokens is how many tokens were given out. Expire ends the last.
func (s *Server) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}

// Expire ends the token that was given out last.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = ""
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called = append(s.called, time.Now())
	if n := len(s.called); n > calls && s.called[n-1].Sub(s.called[n-1-calls]) < within {
		problem(w, http.StatusTooManyRequests, "Too Many Requests")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/api/study/"+Study+"/")
	switch {
	case r.URL.Path == "/oauth/token":
		s.giveToken(w, r)
	case s.token == "" || r.Header.Get("Authorization") != "Bearer "+s.token:
		problem(w, http.StatusUnauthorized, "Unauthorized")
	case !ok && strings.HasPrefix(r.URL.Path, "/api/study/"):
		problem(w, http.StatusForbidden, "You are not authorized to view this study.")
	case path == "record":
		s.list(w, r, "records", s.recordItems())
	case strings.HasPrefix(path, "record/"):
		s.points(w, r, strings.TrimPrefix(path, "record/"))
	case path == "data-point-collection/study":
		var all []any
		for _, one := range s.records {
			all = append(all, one.items()...)
		}
		s.list(w, r, "items", all)
	case path == "export/data":
		s.export(w)
	default:
		problem(w, http.StatusNotFound, "Not Found")
	}
}

func (s *Server) giveToken(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
		Grant  string `json:"grant_type"`
	}
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&ask) != nil || ask.Grant != "client_credentials" {
		problem(w, http.StatusBadRequest, "The grant type is unavailable or the request is malformed")
		return
	}
	if ask.ID != ClientID || ask.Secret != ClientSecret {
		problem(w, http.StatusUnauthorized, "Client not found or wrong secret")
		return
	}
	s.tokens++
	s.token = fmt.Sprintf("%040d", s.tokens)
	answer(w, map[string]any{"access_token": s.token, "expires_in": 18000, "token_type": "Bearer", "scope": nil})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/hal+json")
	_ = json.NewEncoder(w).Encode(v)
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "http://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html", "title": http.StatusText(status), "status": status, "detail": detail})
}

// list answers with a page of HAL. Nothing at all is a 404.
func (s *Server) list(w http.ResponseWriter, r *http.Request, plural string, all []any) {
	size := number(r, "page_size", 25)
	page := max(number(r, "page", 1), 1)
	pages := (len(all) + size - 1) / max(size, 1)
	switch {
	case size < 1 || size > 1000:
		problem(w, http.StatusBadRequest, "page_size must be between 1 and 1000")
		return
	case len(all) == 0 || page > pages:
		problem(w, http.StatusNotFound, "There are no "+plural)
		return
	}
	start := (page - 1) * size
	link := func(n int) map[string]string {
		return map[string]string{"href": fmt.Sprintf("https://data.castoredc.com%s?page=%d&page_size=%d", r.URL.Path, n, size)}
	}
	links := map[string]any{"self": link(page), "first": link(1), "last": link(pages)}
	if page < pages {
		links["next"] = link(page + 1)
	}
	answer(w, map[string]any{"_embedded": map[string]any{plural: all[start:min(start+size, len(all))]},
		"page_count": pages, "page_size": size, "total_items": len(all), "page": page, "_links": links})
}

func number(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
		return n
	}
	return otherwise
}

// recordItems are the participants. Their times have another shape than those of
// values.
func (s *Server) recordItems() (all []any) {
	created := map[string]any{"date": "2026-01-05 10:54:07.000000", "timezone_type": 3, "timezone": "Europe/Amsterdam"}
	for _, r := range s.records {
		all = append(all, map[string]any{"id": r.ID, "record_id": r.ID, "ccr_patient_id": "", "record_status": r.Status, "status": r.Status, "progress": 100,
			"locked": false, "archived": r.Archived, "archived_reason": nil, "randomized_id": nil, "created_on": created, "updated_on": created,
			"_embedded": map[string]any{"institute": map[string]any{"id": "1CFF5802", "institute_id": "1CFF5802", "name": r.Institute, "abbreviation": r.Institute, "code": r.Institute}}})
	}
	return all
}

func (r Record) items() (all []any) {
	for _, p := range r.Points {
		item := map[string]any{"field_id": p.Field, "field_value": p.Value, "record_id": r.ID, "updated_on": nil}
		if !p.Updated.IsZero() {
			item["updated_on"] = p.Updated.Format(time.DateTime)
		}
		all = append(all, item)
	}
	return all
}

// points are the values of one participant.
func (s *Server) points(w http.ResponseWriter, r *http.Request, path string) {
	id, what, _ := strings.Cut(path, "/")
	i := slices.IndexFunc(s.records, func(r Record) bool { return r.ID == id })
	if i < 0 || what != "data-point-collection/study" {
		problem(w, http.StatusNotFound, "Entity not found.")
		return
	}
	s.list(w, r, "items", s.records[i].items())
}

// export is all values as a table.
func (s *Server) export(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/csv")
	c := csv.NewWriter(w)
	c.Comma = ';'
	_ = c.Write([]string{"Study ID", "Record ID", "Form Type", "Form Instance ID", "Form Instance Name", "Field ID", "Value", "Date", "User ID"})
	for _, r := range s.records {
		for _, p := range r.Points {
			_ = c.Write([]string{Study, r.ID, "", "", "", p.Field, p.Value, p.Updated.Format(time.DateTime), "B23ABCC4"})
		}
	}
	c.Flush()
}
