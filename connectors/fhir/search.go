package fhir

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"longitude/internal/webclient"
)

// page is a page of a search: what is read of it, and its bytes.
type page struct {
	body  []byte
	next  string // address of the one after it; "" = it is the last
	found int
	ids   []string // of its resources
	at    time.Time
}

// page reads a page.
func (s *source) page(ctx context.Context, op, address string) (*page, error) {
	answer, err := s.web.Read(ctx, webclient.Request{Op: op, URL: address, As: s.as, Header: http.Header{"Accept": {fhirJSON}}, Judge: wants("Bundle")})
	if err != nil {
		return nil, err
	}
	var b struct {
		Meta  struct{ LastUpdated string }
		Link  []struct{ Relation, URL string }
		Entry []struct {
			Search   struct{ Mode string }
			Resource struct{ ResourceType, ID string }
		}
	}
	if json.Unmarshal(answer.Body, &b) != nil {
		return nil, errNotFHIR
	}
	p := &page{body: answer.Body}
	for _, e := range b.Entry {
		if e.Search.Mode != "outcome" {
			p.found++
			p.ids = append(p.ids, e.Resource.ID)
		}
	}
	for _, l := range b.Link {
		if l.Relation == "next" && l.URL != "" {
			if p.next, _, err = s.follow(l.URL); err != nil {
				return nil, err
			}
		}
	}
	if p.at, err = http.ParseTime(answer.Header.Get("Date")); err != nil {
		p.at = s.rt.Now()
	}
	return p, nil
}

// searches reads each type, in the order of the configuration, page by page.
func (p *pull) searches() error {
	resumed := p.state.Round != nil && p.state.Round.URL != ""
	if p.state.Round == nil {
		p.state.Round = &round{}
	}
	for p.state.Round != nil {
		err := p.searched()
		if resumed && refused(err) { // the server has forgotten the search: this type begins again
			r := *p.state.Round
			r.URL, r.Page = "", 0
			p.state.Round, resumed = &r, false
			continue
		}
		if err != nil {
			return err
		}
		resumed = false
	}
	return p.stand(p.state)
}

// searched reads one type from where the state is.
func (p *pull) searched() error {
	seen := map[string]bool{}
	kind := p.config.Types[p.state.Round.Type]
	for {
		at := p.state.Round.URL
		if at == "" {
			at = p.firstPage(kind)
		}
		if seen[at] {
			return errLoop
		}
		seen[at] = true
		found, err := p.page(p.ctx, "read a page", at)
		if err != nil {
			return err
		}
		name, st := kind+"/"+strconv.Itoa(p.state.Round.Page), p.behind(found)
		if found.found == 0 { // what it says of the way is worth no delivery
			p.state = st
		} else if err := p.give(p.delivery(name, p.rt.Digest(name+string(st.bytes())), st, found.body), st); err != nil {
			return err
		}
		if found.next == "" {
			return nil
		}
	}
}

// firstPage is a search for what has changed, oldest change first.
func (p *pull) firstPage(kind string) string {
	q, _ := url.ParseQuery(p.config.Filters[kind]) // checked with the configuration
	q.Set("_count", strconv.Itoa(p.config.PageSize))
	q.Set("_sort", "_lastUpdated")
	if p.state.Since != "" {
		q.Add("_lastUpdated", "ge"+p.state.Since)
	}
	return p.base + "/" + kind + "?" + q.Encode()
}

// behind is the state behind a page.
func (p *pull) behind(found *page) state {
	st, r := p.state, *p.state.Round
	if r.From == "" {
		r.From = found.at.Add(-p.config.Overlap).UTC().Format(time.RFC3339)
	}
	r.URL, r.Page = found.next, r.Page+1
	if st.Round = &r; found.next != "" {
		return st
	}
	if r.Type, r.Page = r.Type+1, 0; r.Type == len(p.config.Types) {
		st.Since, st.Round = r.From, nil
	}
	return st
}
