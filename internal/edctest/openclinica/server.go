package openclinica

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is how an answer goes wrong.
type Fault int

const (
	NoFault     Fault = iota
	Failing           // 500, the page of a web server
	Unavailable       // 503, likewise
	Maintenance       // 200, a page for people
	Busy              // 429, to be asked again in a second
	Truncated         // 200, and half the body
	Broken            // 200, and the connection is closed within the body
)

// Server is OpenClinica with one study. It may be changed between requests.
type Server struct {
	Study    string // "S_DEMO"
	Version  int    // 3 or 4
	Metadata string // what is in the element Study
	Form     bool   // an ended session is answered with the login form, not pointed to it
	Slow     time.Duration
	Now      func() time.Time

	mu       sync.Mutex
	users    map[string]string
	proofs   map[string]string // session or token → user
	subjects []Subject
	faults   map[int]Fault // by request from now on
	requests int
	issued   int
	asked    []string
}

// NewServer serves a study of OpenClinica 3 or 4 to a user.
func NewServer(version int, study, user, password string) *Server {
	return &Server{Study: study, Version: version, Now: func() time.Time { return time.Now().UTC() },
		users: map[string]string{user: password}, proofs: map[string]string{}, faults: map[int]Fault{}}
}

// Root is where the service is at its host, and TokenPath where OpenClinica 4 gives
// out tokens.
const (
	Root      = "/OpenClinica"
	TokenPath = "/user-service/api/oauth/token"
)

// Start serves until the test ends and answers the address of the host.
func Start(t testing.TB, s *Server) string {
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return web.URL
}

// Revoke has the service refuse a user.
func (s *Server) Revoke(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, user)
}

// Expire ends all sessions and tokens.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.proofs)
}

// Fail makes the n-th request from now on go wrong.
func (s *Server) Fail(n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[s.requests+n] = f
}

// Asked are the requests since the last call.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Slow > 0 && strings.Contains(r.URL.Path, "/clinicaldata/") {
		time.Sleep(s.Slow)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
	fault := s.faults[s.requests]
	if s.refused(w, fault) {
		return
	}
	path, ours := strings.CutPrefix(r.URL.Path, Root)
	switch {
	case s.Version == 4 && r.URL.Path == TokenPath:
		s.token(w, r)
	case !ours:
		html(w, http.StatusNotFound, "")
	case s.Version == 3 && (path == "/pages/login/login" || path == "/j_spring_security_check"):
		s.login(w, r)
	case !s.admits(w, r):
	default:
		s.answer(w, r, path, fault)
	}
}

// answer answers a request of somebody who is logged in.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, path string, fault Fault) {
	data := "/rest/clinicaldata/xml/view/"
	if s.Version == 4 {
		data = "/pages/auth/api/clinicaldata/"
	}
	q, language := r.URL.Query(), r.Header.Get("Accept-Language")
	if rest, ok := strings.CutPrefix(path, data); ok {
		parts := strings.Split(rest, "/")
		if len(parts) != 4 {
			html(w, http.StatusNotFound, "")
			return
		}
		body, known := s.export(parts, q, strings.HasPrefix(language, "de"))
		if !known { // the server stumbles over a subject that it does not have
			html(w, http.StatusInternalServerError, "")
			return
		}
		send(w, body, fault)
		return
	}
	if oid, ok := strings.CutPrefix(path, "/rest/metadata/xml/view/"); ok {
		body := ""
		if oid, _, _ = strings.Cut(oid, "/"); s.sees(oid) {
			body = s.document(s.study())
		}
		send(w, body, fault)
		return
	}
	html(w, http.StatusNotFound, "")
}

// sees reports whether an OID is the study's or one of its sites'.
func (s *Server) sees(oid string) bool {
	return oid == s.Study || slices.ContainsFunc(s.subjects, func(one Subject) bool { return one.Site == oid })
}

const formLogin = `<form action="` + Root + `/j_spring_security_check" method="post"><input name="j_username"/><input name="j_password" type="password"/></form>`

// login is the login page, and where its form leads.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: "nobody-" + strconv.Itoa(s.requests), Path: Root, HttpOnly: true})
		html(w, http.StatusOK, formLogin)
		return
	}
	user, password := r.PostFormValue("j_username"), r.PostFormValue("j_password")
	if password == "" || s.users[user] != password {
		w.Header().Set("Location", Root+"/pages/login/login?action=errorLogin")
		w.WriteHeader(http.StatusFound)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: s.issue(user), Path: Root, HttpOnly: true})
	w.Header().Set("Location", Root+"/MainMenu")
	w.WriteHeader(http.StatusFound)
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	var who struct{ Username, Password string }
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&who) != nil || who.Password == "" || s.users[who.Username] != who.Password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, _ = fmt.Fprint(w, s.issue(who.Username))
}

func (s *Server) issue(user string) string {
	s.issued++
	proof := fmt.Sprintf("proof-%d-of-%d", s.issued, s.requests)
	s.proofs[proof] = user
	return proof
}

// admits reports whether a request shows who it is from; else it is answered.
func (s *Server) admits(w http.ResponseWriter, r *http.Request) bool {
	if s.Version == 4 {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if s.known(token) {
			return true
		}
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	if c, err := r.Cookie("JSESSIONID"); err == nil && s.known(c.Value) {
		return true
	}
	if s.Form {
		html(w, http.StatusOK, formLogin)
		return false
	}
	w.Header().Set("Location", Root+"/pages/login/login")
	w.WriteHeader(http.StatusFound)
	return false
}

func (s *Server) known(proof string) bool {
	_, known := s.users[s.proofs[proof]]
	return known
}

// refused answers what goes wrong before anything is looked at.
func (s *Server) refused(w http.ResponseWriter, f Fault) bool {
	switch f {
	case Failing:
		html(w, http.StatusInternalServerError, "")
	case Unavailable:
		html(w, http.StatusServiceUnavailable, "")
	case Maintenance:
		html(w, http.StatusOK, "Back soon")
	case Busy:
		w.Header().Set("Retry-After", "1")
		html(w, http.StatusTooManyRequests, "")
	default:
		return false
	}
	return true
}

func html(w http.ResponseWriter, status int, inside string) {
	w.Header().Set("Content-Type", "text/html;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<html><head><title>OpenClinica</title></head><body>%s</body></html>", inside)
}

// send sends ODM. Nothing is what the service says of what it cannot or may not tell.
func send(w http.ResponseWriter, body string, fault Fault) {
	if body == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	switch fault {
	case Broken:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1000))
	case Truncated:
		body = body[:len(body)/2]
	}
	_, _ = w.Write([]byte(body))
	if fault == Broken {
		panic(http.ErrAbortHandler)
	}
}

// flag reports whether a parameter says yes.
func flag(q url.Values, name string) bool { return strings.HasPrefix(q.Get(name), "y") }
