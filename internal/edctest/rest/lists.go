package rest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// giveToken gives out a token for client credentials, sent as a form, as JSON or as
// user and password.
func (s *Server) giveToken(w http.ResponseWriter, r *http.Request, body []byte) {
	id, secret, _ := r.BasicAuth()
	form, _ := url.ParseQuery(string(body))
	grant := form.Get("grant_type")
	var fields map[string]string
	if json.Unmarshal(body, &fields) == nil {
		id, secret, grant = fields["client_id"], fields["client_secret"], fields["grant_type"]
	} else if form.Has("client_id") {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if r.Method != http.MethodPost || grant != "client_credentials" || id != User || secret != Secret {
		problem(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens++
	s.token = fmt.Sprintf("token-%d-%s", s.tokens, Secret)
	s.write(w, map[string]any{"access_token": s.token, "token_type": "Bearer", "expires_in": 18000})
}

func (s *Server) write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// changed are the records that changed at or after the parameter since, of one site
// where the path names it.
func (s *Server) changed(q url.Values, site string) (all []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, _ := time.Parse(time.RFC3339Nano, q.Get("since"))
	first, _ := slices.BinarySearchFunc(s.Records, since, func(r Record, t time.Time) int { return r.Updated.Compare(t) })
	all = slices.Clip(s.Records[first:])
	if site == "" {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(r Record) bool { return r.Site != site })
}

// size is how many records a page has.
func (s *Server) size(q url.Values) int {
	most := cmp.Or(s.Most, 1000)
	if n, err := strconv.Atoi(q.Get("size")); err == nil && n > 0 {
		return min(n, most)
	}
	return most
}

func number(q url.Values, name string, otherwise int) int {
	if n, err := strconv.Atoi(q.Get(name)); err == nil && n >= 0 {
		return n
	}
	return otherwise
}

// list answers with a page in the way that the path names.
func (s *Server) list(w http.ResponseWriter, r *http.Request, body []byte) {
	q := r.URL.Query()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	site := ""
	if len(parts) > 1 && parts[0] == "sites" {
		site, parts = parts[1], parts[2:]
	}
	all, size := s.changed(q, site), s.size(q)
	from := func(start int) []Record {
		start = min(start, len(all))
		return all[start:min(start+size, len(all))]
	}
	to := func(name string, value any) string {
		next := *r.URL
		query := next.Query()
		query.Set(name, fmt.Sprint(value))
		next.RawQuery = query.Encode()
		return "http://" + r.Host + next.String()
	}
	offset := number(q, "offset", 0)
	more := offset+size < len(all)
	switch way := strings.Join(parts, "/"); way {
	case "sites":
		s.sites(w)
	case "page":
		page := max(number(q, "page", 1), 1)
		s.write(w, map[string]any{"data": from((page - 1) * size), "page": page, "page_count": (len(all) + size - 1) / size, "total": len(all)})
	case "offset":
		s.write(w, map[string]any{"data": from(offset), "total": len(all)})
	case "bare":
		s.write(w, from(offset))
	case "link":
		if more {
			w.Header().Add("Link", fmt.Sprintf(`<%s>; rel="first", <%s>; rel="next"; title="a, b"`, to("offset", 0), to("offset", offset+size)))
		}
		s.write(w, from(offset))
	case "next":
		page := map[string]any{"data": from(offset), "next": nil}
		if more {
			page["next"] = to("offset", offset+size)
		}
		s.write(w, page)
	case "cursor":
		s.cursor(w, q, all, size)
	case "keyset":
		s.keyset(w, q, all, size)
	case "search":
		s.search(w, body, all)
	case "ndjson":
		w.Header().Set("Content-Type", "application/x-ndjson")
		for _, one := range from(offset) {
			_ = json.NewEncoder(w).Encode(one)
		}
	case "csv":
		w.Header().Set("Content-Type", "text/csv")
		_, _ = io.WriteString(w, "id;site;value;updated_at\n")
		for _, one := range from(offset) {
			fmt.Fprintf(w, "%s;%q;%d;%s\n", one.ID, one.Site, one.Value, one.Updated.Format(time.RFC3339Nano))
		}
	case "xml":
		s.xml(w, from(offset), more, to("offset", offset+size))
	case "jobs":
		s.create(w, r)
	default:
		s.job(w, r, way, all, size)
	}
}

func (s *Server) sites(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sites []map[string]string
	seen := map[string]bool{}
	for _, one := range s.Records {
		if !seen[one.Site] {
			seen[one.Site] = true
			sites = append(sites, map[string]string{"site_id": one.Site})
		}
	}
	s.write(w, map[string]any{"sites": sites})
}

// cursor pages by an opaque word that is good only as it was given.
func (s *Server) cursor(w http.ResponseWriter, q url.Values, all []Record, size int) {
	start := 0
	if text := q.Get("cursor"); text != "" {
		n, err := strconv.ParseInt(strings.TrimPrefix(text, "c="), 36, 32)
		if err != nil || !strings.HasPrefix(text, "c=") {
			problem(w, http.StatusBadRequest, "bad_cursor")
			return
		}
		start = min(int(n), len(all))
	}
	end := min(start+size, len(all))
	page := map[string]any{"data": all[start:end], "meta": map[string]any{}}
	if end < len(all) {
		page["meta"] = map[string]any{"next_cursor": "c=" + strconv.FormatInt(int64(end), 36)}
	}
	s.write(w, page)
}

// keyset lists what changed at or after since; with the parameter after, of those
// that changed then only what has a greater id.
func (s *Server) keyset(w http.ResponseWriter, q url.Values, all []Record, size int) {
	since, _ := time.Parse(time.RFC3339Nano, q.Get("since"))
	after := q.Get("after")
	all = slices.DeleteFunc(slices.Clone(all), func(r Record) bool { return after != "" && r.Updated.Equal(since) && r.ID <= after })
	s.write(w, map[string]any{"data": all[:min(size, len(all))]})
}

// search takes its parameters in a body of JSON.
func (s *Server) search(w http.ResponseWriter, body []byte, all []Record) {
	var ask struct {
		Filter struct{ Site string }
		Offset json.Number
	}
	if json.Unmarshal(body, &ask) != nil {
		problem(w, http.StatusBadRequest, "bad_body")
		return
	}
	all = slices.DeleteFunc(slices.Clone(all), func(r Record) bool { return r.Site != ask.Filter.Site })
	start, _ := strconv.Atoi(ask.Offset.String())
	start = min(start, len(all))
	s.write(w, map[string]any{"data": all[start:min(start+s.size(nil), len(all))]})
}

func (s *Server) xml(w http.ResponseWriter, page []Record, more bool, next string) {
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><list xmlns="urn:example">`)
	if more {
		_, _ = io.WriteString(w, `<next href="`+strings.ReplaceAll(next, "&", "&amp;")+`"/>`)
	}
	for _, one := range page {
		fmt.Fprintf(w, `<item id="%s"><value>%d</value><changed><at>%s</at></changed></item>`, one.ID, one.Value, one.Updated.Format(time.RFC3339Nano))
	}
	_, _ = io.WriteString(w, `</list>`)
}

// create begins an export, one at a time.
func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPost {
		problem(w, http.StatusMethodNotAllowed, "post")
		return
	}
	s.prepared++
	s.export = time.Now()
	w.Header().Set("Content-Location", fmt.Sprintf("/jobs/%d", s.prepared))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"job":{"id":%d}}`, s.prepared)
}

// Preparing is how long an export takes.
const Preparing = 100 * time.Millisecond

// job tells how far an export is, and gives out its files.
func (s *Server) job(w http.ResponseWriter, r *http.Request, way string, all []Record, size int) {
	s.mu.Lock()
	ready, job := time.Since(s.export) >= Preparing, fmt.Sprintf("jobs/%d", s.prepared)
	s.mu.Unlock()
	file, isFile := strings.CutPrefix(way, job+"/")
	n, err := strconv.Atoi(file)
	switch {
	case way == job && !ready:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"state":"running"}`)
	case way == job:
		var files []map[string]string
		for start := 0; start < len(all); start += size {
			files = append(files, map[string]string{"url": fmt.Sprintf("http://%s/%s/%d", r.Host, job, start)})
		}
		s.write(w, map[string]any{"state": "done", "output": files})
	case isFile && err == nil && ready && n < len(all):
		s.write(w, map[string]any{"data": all[n:min(n+size, len(all))]})
	default:
		problem(w, http.StatusNotFound, "not_found")
	}
}
