package redcap

import (
	"bytes"
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

// Access is what a token may do.
type Access struct {
	Group        string   // member of this data access group: other records do not exist
	Hidden       []string // forms without export right: their columns are not there
	Deidentified bool
	NoLog        bool
	NoAPI        bool
}

// Fault is how an answer goes wrong.
type Fault int

const (
	NoFault     Fault = iota
	Failing           // 500
	Memory            // 200, PHP's words and an error that blames the memory
	Tabs              // 200, a page about several browser tabs
	Login             // 200, a page to log in
	NoDatabase        // 200, the words of a database that is down
	Truncated         // 200, and half the body
	Broken            // 200, and the connection is closed within the body
	Unavailable       // 503
)

// Server is REDCap with one project. It may be changed between requests.
type Server struct {
	Project    *Project
	Version    string // "14.7.3"; before 13.4.9 the log has no record column
	NoCodes    bool   // too old to tell the missing-data codes of the project
	NoOffsets  bool   // too old for offsets of events
	MaxCells   int    // an export of more cells runs out of memory; 0 = never
	PerMinute  int    // more requests in a minute ban whoever asks; 0 = never
	Slow       time.Duration
	BeforeEach func(content string) // called before a request is answered
	mu         sync.Mutex
	tokens     map[string]*Access
	faults     map[int]Fault // by request from now on
	requests   int
	contents   []string
	minute     time.Time
	inMinute   int
	banned     bool
}

// NewServer serves a project to the token.
func NewServer(p *Project, token string) *Server {
	return &Server{Project: p, Version: "14.7.3", tokens: map[string]*Access{token: {}}, faults: map[int]Fault{}}
}

// Start serves until the test ends and answers the address of the API.
func Start(t testing.TB, s *Server) string {
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return web.URL + "/api/"
}

// Grant gives a token other rights; nil takes them all.
func (s *Server) Grant(token string, a *Access) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = a
}

// Fail makes the n-th request from now on go wrong.
func (s *Server) Fail(n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[s.requests+n] = f
}

// Asked are the contents asked for since the last call, in order.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.contents
	s.contents = nil
	return asked
}

// refusal is an error as REDCap answers it.
type refusal struct {
	status int
	text   string
}

func bad(text string) *refusal       { return &refusal{http.StatusBadRequest, text} }
func forbidden(text string) *refusal { return &refusal{http.StatusForbidden, text} }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/api/") {
		http.Redirect(w, r, r.URL.Path+"/", http.StatusMovedPermanently)
		return
	}
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		s.refuse(w, query{}, &refusal{http.StatusNotImplemented, "The requested method is not implemented."})
		return
	}
	q := query(r.PostForm)
	if s.BeforeEach != nil {
		s.BeforeEach(q.get("content"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.overTheLimit() {
		panic(http.ErrAbortHandler)
	}
	s.requests++
	s.contents = append(s.contents, q.get("content"))
	if s.fault(w, s.faults[s.requests]) {
		return
	}
	a := s.tokens[q.get("token")]
	if a == nil || a.NoAPI {
		s.refuse(w, q, forbidden("You do not have permissions to use the API"))
		return
	}
	time.Sleep(s.Slow)
	s.answer(w, q, a)
}

// overTheLimit counts requests; whoever is banned stays banned.
func (s *Server) overTheLimit() bool {
	if now := time.Now(); now.Sub(s.minute) >= time.Minute {
		s.minute, s.inMinute = now, 0
	}
	s.inMinute++
	s.banned = s.banned || s.PerMinute > 0 && s.inMinute > s.PerMinute
	return s.banned
}

const memory = `{"error":"REDCap ran out of server memory. The request cannot be processed. Please try importing/exporting a smaller amount of data."}`

// fault answers what goes wrong before anything is looked at.
func (s *Server) fault(w http.ResponseWriter, f Fault) bool {
	var said string
	kind, status := "text/html; charset=UTF-8", http.StatusOK
	switch f {
	case Failing:
		said, status = "Internal Server Error", http.StatusInternalServerError
	case Unavailable:
		said, status = "Service Unavailable", http.StatusServiceUnavailable
	case Memory:
		said = "<br />\n<b>Fatal error</b>: Allowed memory size of 536870912 bytes exhausted\n" + memory
	case Tabs:
		said = "<html><body>unknown error: perhaps you have multiple browser tabs of the same REDCap page</body></html>"
	case Login:
		said = "<!DOCTYPE html><html><head><title>REDCap: log in</title></head><body><form method=post></form></body></html>"
	case NoDatabase:
		said = "The hostname (db) / username (redcap) / password (XXXXXX) combination could not connect to the MySQL server"
	case Truncated, Broken:
		said, kind = `[{"record_id":"1","na`, "application/json; charset=utf-8"
	default:
		return false
	}
	w.Header().Set("Content-Type", kind)
	if f == Broken {
		w.Header().Set("Content-Length", strconv.Itoa(len(said)+1000))
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(said))
	if f == Broken {
		panic(http.ErrAbortHandler)
	}
	return true
}

func (s *Server) refuse(w http.ResponseWriter, q query, no *refusal) {
	format := q.get("returnFormat")
	if format == "" {
		format = q.format()
	}
	w.Header().Set("Content-Type", kindOf(format))
	w.WriteHeader(no.status)
	switch format {
	case "json":
		fmt.Fprintf(w, `{"error":%s}`, quote(no.text))
	case "csv":
		fmt.Fprintf(w, "ERROR: %s", no.text)
	default:
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8" ?><hash><error>%s</error></hash>`, no.text)
	}
}

// answer answers one content.
func (s *Server) answer(w http.ResponseWriter, q query, a *Access) {
	s.Project.mu.Lock()
	defer s.Project.mu.Unlock()
	var t *table
	var no *refusal
	switch content, action := q.get("content"), q.get("action"); content {
	case "version":
		_, _ = w.Write([]byte(s.Version))
		return
	case "generateNextRecordName":
		_, _ = w.Write([]byte(s.Project.nextRecord()))
		return
	case "project_xml":
		w.Header().Set("Content-Type", kindOf("xml"))
		_, _ = w.Write(s.Project.metadataXML(!s.NoOffsets))
		return
	case "record":
		switch {
		case action == "delete":
			no = forbidden("You do not have Delete Record privileges")
		case action != "" && action != "export", q.get("data") != "":
			no = forbidden("You do not have API Import/Update privileges")
		default:
			t, no = s.recordsTable(q, a)
		}
	case "log":
		if a.NoLog {
			no = forbidden("You do not have permissions to view the logging page")
			break
		}
		t = s.Project.logTable(q, s.hasRecordColumn())
		s.Project.note("Manage/Design", "Export Logging (API)", "")
	default:
		t, no = s.describe(content, q, a)
	}
	if no != nil {
		s.refuse(w, q, no)
		return
	}
	if s.MaxCells > 0 && q.get("content") == "record" && len(t.rows)*len(t.columns) > s.MaxCells {
		s.fault(w, Memory)
		return
	}
	var b bytes.Buffer
	t.write(&b, q.format(), q.get("csvDelimiter"))
	w.Header().Set("Content-Type", kindOf(q.format()))
	_, _ = w.Write(b.Bytes())
}

// hasRecordColumn reports whether the log of this version names the record.
func (s *Server) hasRecordColumn() bool {
	var parts [3]int
	for i, text := range strings.SplitN(s.Version, ".", 3) {
		parts[i], _ = strconv.Atoi(text)
	}
	return slices.Compare(parts[:], []int{13, 4, 9}) >= 0
}
