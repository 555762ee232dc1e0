package fhir

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// search answers a page of what has a type. The pages after the first are those of
// the moment when the search began, by an address that says nothing of it.
func (s *Server) search(r *http.Request, kind string) *answer {
	q := r.URL.Query()
	offset := 0
	job := q.Get("_getpages")
	if job == "" {
		found, bad := s.find(q, kind)
		if bad != nil {
			return bad
		}
		if q.Get("_summary") == "count" {
			return sayResource(http.StatusOK, map[string]any{"resourceType": "Bundle", "type": "searchset", "total": len(found)})
		}
		job = s.number("search")
		s.searches[job] = found
	} else {
		offset, _ = strconv.Atoi(q.Get("_getpagesoffset"))
	}
	found, ok := s.searches[job]
	if !ok || offset < 0 || offset > len(found) {
		return outcome(http.StatusGone, "error", "expired")
	}
	size := s.PageSize
	if n, err := strconv.Atoi(q.Get("_count")); err == nil && n > 0 {
		size = min(size, n)
	}
	end := min(len(found), offset+size)
	links := []any{map[string]any{"relation": "self", "url": s.base + strings.TrimPrefix(r.URL.RequestURI(), "/fhir")}}
	if end < len(found) {
		next := url.Values{"_getpages": {job}, "_getpagesoffset": {strconv.Itoa(end)}, "_count": {strconv.Itoa(size)}}
		links = append(links, map[string]any{"relation": "next", "url": s.base + "/" + kind + "?" + next.Encode()})
	}
	entries := []any{}
	for _, one := range found[offset:end] {
		entries = append(entries, map[string]any{"fullUrl": s.base + "/" + kind + "/" + one.id, "resource": shown(one, q), "search": map[string]any{"mode": "match"}})
	}
	a := sayResource(http.StatusOK, map[string]any{"resourceType": "Bundle", "type": "searchset", "meta": map[string]any{"lastUpdated": instant(s.now())},
		"link": links, "entry": entries})
	a.header.Set("Date", s.clock.Format(http.TimeFormat))
	return a
}

// find is what a search meets, oldest change first.
func (s *Server) find(q url.Values, kind string) (found []*resource, bad *answer) {
	var from time.Time
	if text, ok := strings.CutPrefix(q.Get("_lastUpdated"), "ge"); ok {
		var err error
		if from, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, outcome(http.StatusBadRequest, "error", "value")
		}
	}
	for _, r := range s.stored {
		status, _ := r.content["status"].(string)
		if r.kind == kind && r.content != nil && !r.updated.Before(from) && (!q.Has("status") || q.Get("status") == status) {
			found = append(found, r)
		}
	}
	return found, nil
}

// shown is a resource, or what _elements leaves of it.
func shown(r *resource, q url.Values) any {
	if !q.Has("_elements") {
		return r.content
	}
	less := map[string]any{"resourceType": r.kind, "id": r.id, "meta": map[string]any{"tag": []any{map[string]any{"code": "SUBSETTED"}}}}
	for _, name := range strings.Split(q.Get("_elements"), ",") {
		if v, ok := r.content[name]; ok {
			less[name] = v
		}
	}
	return less
}
