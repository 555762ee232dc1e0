package rave

import (
	"crypto/rsa"
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
	NoEnd             // 200, CSV without its last line
)

// Server is Rave Web Services with one study. It may be changed between requests.
type Server struct {
	Study    string            // "Mediflex(Prod)"
	Metadata map[string][]byte // ODM of the versions of the case report form, by OID
	Lagging  bool              // clinical views are rebuilt only by Rebuild
	Now      func() time.Time
	PerPage  int // audits of a page, at most; 0 = 10,000

	mu       sync.Mutex
	users    map[string]string
	apps     map[string]*rsa.PublicKey
	audits   []Audit
	last     int64
	built    int // audits that the clinical views show
	rebuilt  time.Time
	faults   map[int]Fault // by request from now on
	requests int
	asked    []string
}

// NewServer serves a study, like "Mediflex(Prod)", to a user.
func NewServer(study, user, password string) *Server {
	return &Server{Study: study, Metadata: map[string][]byte{}, Now: func() time.Time { return time.Now().UTC() },
		users: map[string]string{user: password}, apps: map[string]*rsa.PublicKey{}, faults: map[int]Fault{}}
}

// Start serves until the test ends and answers the address.
func Start(t testing.TB, s *Server) string {
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return web.URL + root
}

// Revoke has the service refuse a user.
func (s *Server) Revoke(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, user)
}

// Trust lets an application in that signs with the key.
func (s *Server) Trust(app string, key *rsa.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps[app] = key
}

// Fail makes the n-th request from now on go wrong.
func (s *Server) Fail(n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[s.requests+n] = f
}

// Asked are the paths asked for since the last call, with their queries.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

const root = "/RaveWebServices/"

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.asked = append(s.asked, strings.TrimPrefix(r.URL.RequestURI(), root))
	path, ours := strings.CutPrefix(r.URL.Path, root)
	switch {
	case !ours:
		s.html(w, http.StatusNotFound)
		return
	case r.Method != http.MethodGet:
		s.html(w, http.StatusMethodNotAllowed)
		return
	case s.open(w, path):
		return
	}
	fault := s.faults[s.requests]
	if s.refused(w, fault) || !s.admits(w, r) {
		return
	}
	a := s.answer(path, r)
	if fault == NoEnd {
		a.body = []byte(strings.TrimSuffix(string(a.body), "EOF\r\n"))
	}
	s.send(w, a, fault)
}

// answer is what a request is answered.
type answer struct {
	status int
	kind   string
	header map[string]string
	body   []byte
}

func (s *Server) send(w http.ResponseWriter, a answer, fault Fault) {
	w.Header().Set("Content-Type", a.kind)
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	switch fault {
	case Broken:
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)+1000))
	case Truncated:
		a.body = a.body[:len(a.body)/2]
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
	if fault == Broken {
		panic(http.ErrAbortHandler)
	}
}

// open answers what needs no login.
func (s *Server) open(w http.ResponseWriter, path string) bool {
	text, ok := map[string]string{"version": "1.18.0", "version/build": "5.6.5.335", "version/codename": "Uakari", "twohundred": "OK", "diagnostics": "OK"}[path]
	if ok {
		s.send(w, answer{kind: "text/plain", body: []byte(text)}, NoFault)
	}
	return ok
}

// refused answers what goes wrong before anything is looked at.
func (s *Server) refused(w http.ResponseWriter, f Fault) bool {
	switch f {
	case Failing:
		s.html(w, http.StatusInternalServerError)
	case Unavailable:
		s.html(w, http.StatusServiceUnavailable)
	case Maintenance:
		s.html(w, http.StatusOK)
	case Busy:
		w.Header().Set("Retry-After", "1")
		s.html(w, http.StatusTooManyRequests)
	default:
		return false
	}
	return true
}

func (s *Server) html(w http.ResponseWriter, status int) {
	s.send(w, answer{status: status, kind: "text/html", body: []byte("<!DOCTYPE html>\r\n<html><head><title>" + http.StatusText(status) + "</title></head><body></body></html>")}, NoFault)
}

const xmlKind = "text/xml; charset=utf-8"

// refusal is an error as most of the service tells it.
func refusal(status int, code, message string) answer {
	return answer{status: status, kind: xmlKind, body: fmt.Appendf(nil, `<Response ReferenceNumber="82e942b0-48e8-4cf4-b299-51e2b6a89a1b" InboundODMFileOID="" IsTransactionSuccessful="0" ReasonCode="%s" ErrorClientResponseMessage="%s"/>`, code, message)}
}

var (
	noStudy   = refusal(http.StatusNotFound, "RWS00014", "Study does not exist")
	noVersion = refusal(http.StatusNotFound, "RWS00092", "CRF version not found")
)

// answer answers a request of somebody who is logged in.
func (s *Server) answer(path string, r *http.Request) answer {
	q, parts := r.URL.Query(), strings.Split(path, "/")
	switch {
	case path == "studies":
		return s.odm(`<Study OID="` + escape(s.Study) + `" mdsol:ProjectType="Project"><GlobalVariables><StudyName>` + escape(s.Study) + `</StudyName><StudyDescription/><ProtocolName>` + escape(s.project()) + `</ProtocolName></GlobalVariables></Study>`)
	case parts[0] == "studies" && len(parts) == 3 && parts[2] == "subjects":
		if parts[1] != s.Study {
			return noStudy
		}
		return answer{kind: xmlKind, body: s.subjects(q.Get("subjectKeyType") == "SubjectUUID")}
	case parts[0] == "studies" && len(parts) >= 4 && parts[2] == "datasets":
		if parts[1] != s.Study {
			return noStudy
		}
		return s.view(parts[3:], q)
	case path == "datasets/ClinicalAuditRecords.odm":
		if q.Get("studyoid") != s.Study {
			return noStudy
		}
		return s.auditRecords(r)
	case parts[0] == "metadata":
		return s.metadata(parts[1:])
	}
	return answer{status: http.StatusNotFound, kind: "text/html", body: []byte("<html><body>404</body></html>")}
}

func (s *Server) project() string { return strings.TrimSpace(strings.Split(s.Study, "(")[0]) }

func (s *Server) odm(inside string) answer {
	return answer{kind: xmlKind, body: fmt.Appendf(nil, `<?xml version="1.0" encoding="utf-8"?><ODM ODMVersion="1.3" Granularity="Metadata" FileType="Snapshot" FileOID="%08x-0000-4000-8000-000000000003" CreationDateTime="%s" %s>%s</ODM>`,
		s.requests, s.Now().Format(stamp), spaces, inside)}
}

// auditRecords answers a page of audits of the study, with a link to the next.
func (s *Server) auditRecords(r *http.Request) answer {
	q := r.URL.Query()
	start, size := 0, 100
	for key, to := range map[string]*int{"startid": &start, "per_page": &size} {
		if text := q.Get(key); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return refusal(http.StatusBadRequest, "RWS00010", "Invalid parameter")
			}
			*to = n
		}
	}
	most := 10_000
	if s.PerPage > 0 {
		most = s.PerPage
	}
	size = min(size, most)
	all := slices.DeleteFunc(slices.Clone(s.audits), func(a Audit) bool { return a.Study != s.Study || a.id < int64(start) })
	page := all[:min(size, len(all))]
	a := answer{kind: xmlKind, body: s.page(page)}
	if len(all) > len(page) {
		next := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path}
		q.Set("startid", strconv.FormatInt(all[len(page)].id, 10))
		next.RawQuery = q.Encode()
		a.header = map[string]string{"Link": "<" + next.String() + `>; rel="next"`}
	}
	return a
}

// view answers clinical views, up to when they are built.
func (s *Server) view(parts []string, q url.Values) answer {
	if parts[0] != "regular" && parts[0] != "raw" {
		return refusal(http.StatusNotFound, "RWS00014", "Dataset does not exist")
	}
	var since time.Time
	if text := q.Get("start"); text != "" {
		var err error
		if since, err = time.Parse(stamp, text); err != nil {
			if since, err = time.Parse(time.DateOnly, text); err != nil {
				return refusal(http.StatusBadRequest, "RWS00010", "Invalid parameter")
			}
		}
	}
	form := ""
	if len(parts) > 1 {
		form = parts[1]
	}
	a := answer{header: map[string]string{}}
	if !s.rebuilt.IsZero() {
		a.header["X-MWS-CV-Last-Updated"] = s.rebuilt.Format(stamp)
	}
	if name, ok := strings.CutSuffix(form, ".csv"); ok {
		a.kind, a.body = "text/csv; charset=utf-8", s.viewCSV(name, since, true)
		return a
	}
	a.kind, a.body = xmlKind, s.viewODM(form, since)
	return a
}

// metadata answers what the case report form is made of: its versions, and one of
// them.
func (s *Server) metadata(parts []string) answer {
	switch {
	case len(parts) < 1 || parts[0] != "studies":
		return noStudy
	case len(parts) == 1:
		return s.odm(`<Study OID="` + escape(s.project()) + `" mdsol:ProjectType="Project"><GlobalVariables><StudyName>` + escape(s.project()) + `</StudyName><StudyDescription/><ProtocolName>` + escape(s.project()) + `</ProtocolName></GlobalVariables></Study>`)
	case parts[1] != s.project():
		return noStudy
	case len(parts) == 3 && parts[2] == "versions":
		var b strings.Builder
		fmt.Fprintf(&b, `<Study OID="%s"><GlobalVariables><StudyName>%s</StudyName><StudyDescription/><ProtocolName>%s</ProtocolName></GlobalVariables>`, escape(s.project()), escape(s.project()), escape(s.project()))
		for _, oid := range s.versions() {
			fmt.Fprintf(&b, `<MetaDataVersion OID="%s" Name="Version %s"/>`, escape(oid), escape(oid))
		}
		return s.odm(b.String() + `</Study>`)
	case len(parts) == 4 && parts[2] == "versions" && s.Metadata[parts[3]] != nil:
		return answer{kind: xmlKind, body: s.Metadata[parts[3]]}
	}
	return noVersion
}

// versions are the OIDs of the case report form, the newest first.
func (s *Server) versions() (oids []string) {
	for oid := range s.Metadata {
		oids = append(oids, oid)
	}
	slices.SortFunc(oids, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return y - x
	})
	return oids
}
