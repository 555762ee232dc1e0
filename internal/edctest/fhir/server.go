package fhir

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	NoFault   Fault = iota
	Failing         // 500 with an OperationOutcome
	Transient       // 500 with one that says that it is transient
	Busy            // 429, Retry-After: 0
	Outcome         // 200 with an OperationOutcome instead of what was asked for
	Expired         // 410
	Gone            // 404
	Truncated       // 200, and half the body
	Broken          // 200, and the connection is closed within the body
	Login           // 200 with a page to log in
)

// Server is a FHIR server. Its options may be changed between requests.
type Server struct {
	Token    string // accepted bearer; "" = none
	User     string // accepted with Password
	Password string
	Client   *Client // that may sign in; nil = none

	PageSize   int    // of searches
	FileSize   int    // resources of a file of an export
	Polls      int    // how often an export says that it is in progress
	RetryAfter string // what it says then; "" = nothing
	NoCounts   bool   // the manifest counts nothing
	NoDelete   bool   // exports cannot be deleted
	OneExport  bool   // a second export is refused while the first is there
	Complaints []Complaint
	FilesAt    string // another address that the manifest names for files; "" = its own
	Public     bool   // files need no credentials

	mu       sync.Mutex
	base     string
	clock    time.Time
	stored   []*resource
	groups   map[string][]string // ids of patients
	exports  map[string]*export
	searches map[string][]*resource
	numbers  int
	faults   map[int]Fault
	requests []string
	refusing bool
	tokens   map[string]bool // given out
	jtis     map[string]bool
}

// Complaint is an issue in the error file of each export.
type Complaint struct{ Severity, Code string }

// resource is a resource of the server, or where one was.
type resource struct {
	kind, id string
	patient  string // whom it is about
	updated  time.Time
	version  int
	content  map[string]any // nil = deleted
}

// New is a server without resources.
func New() *Server {
	return &Server{PageSize: 4, FileSize: 4, Polls: 1, clock: time.Now().UTC().Truncate(time.Millisecond), groups: map[string][]string{},
		exports: map[string]*export{}, searches: map[string][]*resource{}, faults: map[int]Fault{}, tokens: map[string]bool{}, jtis: map[string]bool{}}
}

// Start serves until the test ends and answers the base address.
func Start(t testing.TB, s *Server) string {
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = web.URL + "/fhir"
	return s.base
}

// now is later at each call.
func (s *Server) now() time.Time {
	if now := time.Now().UTC().Truncate(time.Millisecond); now.After(s.clock) {
		s.clock = now
	} else {
		s.clock = s.clock.Add(time.Millisecond)
	}
	return s.clock
}

// Put adds a resource, or a version of it. The server writes its meta.
func (s *Server) Put(text string) {
	var content map[string]any
	if err := json.Unmarshal([]byte(text), &content); err != nil {
		panic("fhir: no resource: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, _ := content["resourceType"].(string)
	id, _ := content["id"].(string)
	r := s.take(kind, id)
	r.content, r.patient = content, patientOf(content)
	content["meta"] = map[string]any{"versionId": strconv.Itoa(r.version), "lastUpdated": instant(r.updated)}
}

// Delete removes a resource.
func (s *Server) Delete(kind, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(kind, id).content = nil
}

// take is the next version of a resource, at the end of what is stored.
func (s *Server) take(kind, id string) *resource {
	r := &resource{kind: kind, id: id}
	if i := slices.IndexFunc(s.stored, func(r *resource) bool { return r.kind == kind && r.id == id }); i >= 0 {
		r.version, r.patient = s.stored[i].version, s.stored[i].patient
		s.stored = slices.Delete(s.stored, i, i+1)
	}
	r.version++
	r.updated = s.now()
	s.stored = append(s.stored, r)
	return r
}

// Group says who is in a group.
func (s *Server) Group(id string, patients ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[id] = patients
}

// Fail makes the n-th request from now on go wrong.
func (s *Server) Fail(n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[len(s.requests)+n] = f
}

// Refuse takes every credential back.
func (s *Server) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = true
}

// Forget is a restart: exports and searches are gone, and tokens.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.exports)
	clear(s.searches)
	clear(s.tokens)
}

// Asked are the requests since the last call, as method and path.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := slices.Clone(s.requests)
	for i := range s.requests {
		s.requests[i] = ""
	}
	return slices.DeleteFunc(asked, func(r string) bool { return r == "" })
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// patientOf is the id of the Patient that a resource is or is about.
func patientOf(content map[string]any) string {
	if content["resourceType"] == "Patient" {
		id, _ := content["id"].(string)
		return id
	}
	for _, name := range []string{"subject", "patient", "individual"} {
		if reference, ok := content[name].(map[string]any); ok {
			text, _ := reference["reference"].(string)
			if id, ok := strings.CutPrefix(text, "Patient/"); ok {
				return id
			}
		}
	}
	return ""
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	a := s.answer(r)
	s.spoil(a, s.faults[len(s.requests)])
	a.send(w)
}

// answer is what is sent back.
type answer struct {
	status int
	header http.Header
	body   []byte
	cut    bool // the connection breaks within the body
}

func say(status int, kind string, body []byte) *answer {
	return &answer{status: status, header: http.Header{"Content-Type": {kind}}, body: body}
}

const fhirJSON = "application/fhir+json; charset=utf-8"

func sayResource(status int, content any) *answer {
	body, err := json.Marshal(content)
	if err != nil {
		panic("fhir: " + err.Error())
	}
	return say(status, fhirJSON, body)
}

func outcome(status int, severity, code string) *answer {
	return sayResource(status, outcomeOf(severity, code))
}

func outcomeOf(severity, code string) map[string]any {
	return map[string]any{"resourceType": "OperationOutcome",
		"issue": []any{map[string]any{"severity": severity, "code": code, "diagnostics": "Patient Erika Mustermann, MRN 4711: " + code}}}
}

func (a *answer) send(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.cut {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body[:len(a.body)/2])
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// spoil makes an answer go wrong.
func (s *Server) spoil(a *answer, f Fault) {
	switch f {
	case Failing:
		*a = *outcome(http.StatusInternalServerError, "fatal", "exception")
	case Transient:
		*a = *outcome(http.StatusInternalServerError, "error", "transient")
	case Busy:
		*a = *outcome(http.StatusTooManyRequests, "error", "throttled")
		a.header.Set("Retry-After", "0")
	case Outcome:
		*a = *outcome(http.StatusOK, "error", "processing")
	case Expired:
		*a = *outcome(http.StatusGone, "error", "expired")
	case Gone:
		*a = *outcome(http.StatusNotFound, "error", "not-found")
	case Truncated:
		a.body = a.body[:len(a.body)/2]
	case Broken:
		a.cut = true
	case Login:
		*a = *say(http.StatusOK, "text/html", []byte("<!DOCTYPE html><html><body>Sign in</body></html>"))
	}
}

// answer finds what a request asks for.
func (s *Server) answer(r *http.Request) *answer {
	path, inside := strings.CutPrefix(r.URL.Path, "/fhir")
	switch {
	case r.URL.Path == "/auth/token":
		return s.signIn(r)
	case !inside:
		return say(http.StatusNotFound, "text/plain", nil)
	case path == "/metadata":
		return sayResource(http.StatusOK, s.capabilities())
	case path == "/.well-known/smart-configuration":
		return sayResource(http.StatusOK, s.configuration())
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	isFile := parts[0] == "export" && len(parts) > 2
	if open := isFile && s.Public; !open && !s.knows(r) {
		a := outcome(http.StatusUnauthorized, "error", "login")
		a.header.Set("WWW-Authenticate", "Bearer")
		return a
	}
	switch {
	case parts[0] == "export":
		return s.exported(r, parts[1:])
	case parts[len(parts)-1] == "$export":
		return s.kickOff(r, parts[:len(parts)-1])
	case r.Method != http.MethodGet:
		return outcome(http.StatusMethodNotAllowed, "error", "not-supported")
	case len(parts) == 2:
		return s.one(parts[0], parts[1])
	case len(parts) == 1:
		return s.search(r, parts[0])
	}
	return outcome(http.StatusNotFound, "error", "not-found")
}

// one is a resource by its id.
func (s *Server) one(kind, id string) *answer {
	if members, ok := s.groups[id]; ok && kind == "Group" {
		list := []any{}
		for _, m := range members {
			list = append(list, map[string]any{"entity": map[string]any{"reference": "Patient/" + m}})
		}
		return sayResource(http.StatusOK, map[string]any{"resourceType": "Group", "id": id, "type": "person", "actual": true, "member": list})
	}
	for _, r := range s.stored {
		switch {
		case r.kind != kind || r.id != id:
		case r.content == nil:
			return outcome(http.StatusGone, "error", "deleted")
		default:
			return sayResource(http.StatusOK, r.content)
		}
	}
	return outcome(http.StatusNotFound, "error", "not-found")
}

func (s *Server) capabilities() any {
	kinds := []any{}
	for _, kind := range s.kinds() {
		kinds = append(kinds, map[string]any{"type": kind, "interaction": []any{map[string]any{"code": "read"}, map[string]any{"code": "search-type"}}})
	}
	return map[string]any{"resourceType": "CapabilityStatement", "status": "active", "kind": "instance", "fhirVersion": "4.0.1", "format": []any{"json"},
		"instantiates": []any{"http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"},
		"rest":         []any{map[string]any{"mode": "server", "resource": kinds}}}
}

// kinds are the types of what is stored.
func (s *Server) kinds() (kinds []string) {
	for _, r := range s.stored {
		if !slices.Contains(kinds, r.kind) {
			kinds = append(kinds, r.kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func (s *Server) number(what string) string {
	s.numbers++
	return fmt.Sprintf("%s-%d", what, s.numbers)
}

// ForgetTokens ends every token that was given out.
func (s *Server) ForgetTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}
