package fhir

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// export is a job: what it will have been is fixed when it begins.
type export struct {
	request string
	at      time.Time
	polls   int
	files   []file
}

// file is a list in a manifest and the lines in it.
type file struct {
	list  string // output, deleted or error
	kind  string
	lines []any
}

// kickOff begins an export of the system, of all patients or of a group.
func (s *Server) kickOff(r *http.Request, level []string) *answer {
	if !strings.Contains(r.Header.Get("Prefer"), "respond-async") {
		return outcome(http.StatusBadRequest, "error", "required")
	}
	q := r.URL.Query()
	if format := q.Get("_outputFormat"); format != "" && !slices.Contains([]string{"application/fhir+ndjson", "application/ndjson", "ndjson"}, format) {
		return outcome(http.StatusBadRequest, "error", "not-supported")
	}
	since, err := sinceOf(q)
	if err != nil {
		return outcome(http.StatusBadRequest, "error", "value")
	}
	var of func(*resource) bool
	isGroup := false
	if len(level) == 2 && level[0] == "Group" {
		_, isGroup = s.groups[level[1]]
	}
	switch {
	case len(level) == 0:
		of = func(*resource) bool { return true }
	case len(level) == 1 && level[0] == "Patient":
		of = func(r *resource) bool { return r.patient != "" }
	case isGroup:
		of = func(r *resource) bool { return slices.Contains(s.groups[level[1]], r.patient) }
	default:
		return outcome(http.StatusNotFound, "error", "not-found")
	}
	if s.OneExport && len(s.exports) > 0 {
		a := outcome(http.StatusTooManyRequests, "error", "throttled")
		a.header.Set("Retry-After", "3600")
		return a
	}
	e := &export{request: s.base + strings.TrimPrefix(r.URL.RequestURI(), "/fhir"), at: s.now(), polls: s.Polls}
	e.files = s.filesOf(of, since, q.Get("_type"))
	job := s.number("job")
	s.exports[job] = e
	a := outcome(http.StatusAccepted, "information", "informational")
	a.header.Set("Content-Location", s.base+"/export/"+job)
	return a
}

func sinceOf(q url.Values) (since time.Time, err error) {
	if text := q.Get("_since"); text != "" {
		return time.Parse(time.RFC3339, text)
	}
	return since, nil
}

// filesOf lays out what has changed.
func (s *Server) filesOf(of func(*resource) bool, since time.Time, kinds string) (files []file) {
	for _, kind := range s.kinds() {
		if kinds != "" && !slices.Contains(strings.Split(kinds, ","), kind) {
			continue
		}
		var lines []any
		for _, r := range s.stored {
			if r.kind == kind && r.content != nil && r.updated.After(since) && of(r) {
				lines = append(lines, r.content)
			}
		}
		for part := range slices.Chunk(lines, max(1, s.FileSize)) {
			files = append(files, file{"output", kind, slices.Clone(part)})
		}
	}
	var entries []any
	for _, r := range s.stored {
		if r.content == nil && !since.IsZero() && r.updated.After(since) && of(r) {
			entries = append(entries, map[string]any{"request": map[string]any{"method": "DELETE", "url": r.kind + "/" + r.id}})
		}
	}
	if len(entries) > 0 {
		files = append(files, file{"deleted", "Bundle", []any{map[string]any{"resourceType": "Bundle", "type": "transaction", "entry": entries}}})
	}
	if len(s.Complaints) > 0 {
		e := file{list: "error", kind: "OperationOutcome"}
		for _, c := range s.Complaints {
			e.lines = append(e.lines, outcomeOf(c.Severity, c.Code))
		}
		files = append(files, e)
	}
	return files
}

// exported answers for a job and its files.
func (s *Server) exported(r *http.Request, parts []string) *answer {
	if len(parts) == 0 || s.exports[parts[0]] == nil {
		return outcome(http.StatusNotFound, "error", "not-found")
	}
	e := s.exports[parts[0]]
	switch {
	case len(parts) == 2:
		return e.file(parts[1])
	case r.Method == http.MethodDelete && s.NoDelete:
		return outcome(http.StatusMethodNotAllowed, "error", "not-supported")
	case r.Method == http.MethodDelete:
		delete(s.exports, parts[0])
		return outcome(http.StatusAccepted, "information", "informational")
	case e.polls > 0:
		e.polls--
		a := say(http.StatusAccepted, "text/plain", nil)
		a.header.Set("X-Progress", fmt.Sprintf("%d to go", e.polls))
		if s.RetryAfter != "" {
			a.header.Set("Retry-After", s.RetryAfter)
		}
		return a
	}
	return s.manifest(parts[0], e)
}

func (s *Server) manifest(job string, e *export) *answer {
	at := s.base
	if s.FilesAt != "" {
		at = s.FilesAt + "/fhir"
	}
	lists := map[string][]any{"output": {}, "error": {}}
	for i, f := range e.files {
		entry := map[string]any{"type": f.kind, "url": at + "/export/" + job + "/" + strconv.Itoa(i)}
		if !s.NoCounts {
			entry["count"] = len(f.lines)
		}
		lists[f.list] = append(lists[f.list], entry)
	}
	content := map[string]any{"transactionTime": instant(e.at), "request": e.request, "requiresAccessToken": !s.Public}
	for name, list := range lists {
		content[name] = list
	}
	a := sayResource(http.StatusOK, content)
	a.header.Set("Content-Type", "application/json")
	a.header.Set("Expires", e.at.Add(time.Hour).Format(http.TimeFormat))
	return a
}

func (e *export) file(number string) *answer {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(e.files) {
		return outcome(http.StatusNotFound, "error", "not-found")
	}
	var body bytes.Buffer
	for _, line := range e.files[n].lines {
		if err := json.NewEncoder(&body).Encode(line); err != nil {
			panic("fhir: " + err.Error())
		}
	}
	return say(http.StatusOK, "application/fhir+ndjson", body.Bytes())
}
