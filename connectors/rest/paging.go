package rest

import (
	"strconv"
	"time"

	"longitude/internal/webclient"
)

// place is where in a list a page is.
type place struct {
	Page   int    `json:"page"`             // how many pages of the list were before it
	Offset int    `json:"offset,omitempty"` // how many records were
	Next   string `json:"next,omitempty"`   // its address, cursor or, by keyset, the time of the record before it
	Key    string `json:"key,omitempty"`    // by keyset: that record
}

// fetched is a page that has come.
type fetched struct {
	chain  chain
	place  place
	body   []byte
	count  int       // of its records
	newest time.Time // when the newest of them changed; zero = it does not say
	dated  time.Time // when the server says that the page changed
	total  int       // pages of the list, where it says so
	next   *place    // nil = it is the last
	stop   bool      // nothing else of the stream is asked for
}

// read makes a page of an answer: what it holds, and where the next one is.
func (s *source) read(c chain, at place, a *webclient.Answer) (*fetched, []record, error) {
	p := look(c.stream, a.Body)
	records, err := p.records(c.stream.Records)
	if err != nil {
		return nil, nil, err
	}
	f := &fetched{chain: c, place: at, body: a.Body, count: len(records)}
	f.dated, _ = time.Parse(time.RFC1123, a.Header.Get("Last-Modified"))
	if f.newest, err = newest(c.stream.Since, records); err != nil {
		return nil, nil, err
	}
	if f.next, err = s.next(c.stream, f, p, records, a); err != nil {
		return nil, nil, err
	}
	return f, records, nil
}

// newest is the newest time of change among records.
func newest(since Since, records []record) (latest time.Time, err error) {
	if since.Field == "" {
		return latest, nil
	}
	for _, r := range records {
		text := r.value(since.Field)
		if text == "" {
			continue // never changed
		}
		t, err := readTime(since.Layout, text)
		if err != nil {
			return latest, err
		}
		if t.After(latest) {
			latest = t
		}
	}
	return latest, nil
}

// next is where the page after f is.
func (s *source) next(of Stream, f *fetched, p page, records []record, a *webclient.Answer) (*place, error) {
	n := place{Page: f.place.Page + 1, Offset: f.place.Offset + f.count}
	how := of.Pages
	by := how.by()
	if by == "auto" {
		by, how = guess(how, p, a)
	}
	switch by {
	case "link":
		return s.follow(n, nextLink(a.Header), a)
	case "next":
		return s.follow(n, p.value(how.Next), a)
	case "cursor":
		n.Next = p.value(how.Next)
		if n.Next == "" || f.count == 0 {
			return nil, nil
		}
	case "page":
		if f.total = number(p.value(how.Count)); f.total > 0 {
			return unless(n.Page >= f.total, n), nil
		}
		return unless(last(how, f, n, p), n), nil
	case "offset":
		return unless(last(how, f, n, p), n), nil
	case "keyset":
		return afterLast(of, f, n, records)
	default:
		return nil, nil
	}
	return &n, nil
}

func unless(last bool, n place) *place {
	if last {
		return nil
	}
	return &n
}

// last reports whether a page is the last by how many records the list says it has,
// or else by being short. How many pages that makes is known only if the server
// sends as many records a page as it was asked for.
func last(how Pages, f *fetched, n place, p page) bool {
	total := number(p.value(how.Total))
	if f.count > 0 && total > 0 && f.count == how.Size {
		f.total = (total + how.Size - 1) / how.Size
	}
	if total > 0 {
		return f.count == 0 || n.Offset >= total
	}
	return f.count == 0 || how.Size > 0 && f.count < how.Size
}

// afterLast goes on behind the last record of the page.
func afterLast(of Stream, f *fetched, n place, records []record) (*place, error) {
	if len(records) == 0 || len(records) < of.Pages.Size {
		return nil, nil
	}
	tail := records[len(records)-1]
	n.Next, n.Key = tail.value(of.Since.Field), tail.value(of.Since.Key)
	if n.Next == "" || n.Next == f.place.Next && (of.Pages.Parameter == "" || n.Key == f.place.Key) {
		return nil, errTie
	}
	return &n, nil
}

// follow goes on at an address that the server gave, if it is of the same host.
func (s *source) follow(n place, text string, a *webclient.Answer) (*place, error) {
	if text == "" {
		return nil, nil
	}
	to, err := a.URL.Parse(text)
	if err != nil || !s.atHome(to.String()) {
		return nil, errElsewhere
	}
	n.Next = to.String()
	return &n, nil
}

// Where APIs say where the next page is, most telling first.
var (
	usualNext  = []string{"/_links/next/href", "/links/next/href", "/links/next", "/next", "/next_url", "/@odata.nextLink", "/@nextLink", "/paging/next/link", "/pagination/next_url", "/meta/next"}
	usualCount = []string{"/page_count", "/pager/pageCount", "/total_pages", "/totalPages", "/meta/total_pages"}
)

// guess finds out how a list goes on by what its page says.
func guess(how Pages, p page, a *webclient.Answer) (string, Pages) {
	if nextLink(a.Header) != "" {
		return "link", how
	}
	for _, how.Next = range usualNext {
		if address := p.value(how.Next); address != "" && number(address) == 0 {
			return "next", how
		}
	}
	for _, how.Count = range usualCount {
		if number(p.value(how.Count)) > 0 && how.Parameter != "" {
			return "page", how
		}
	}
	return "none", how
}

// number is a count that a page says; 0 if it says none.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// question is how a page of a chain is asked for.
func (c chain) question(at place, since string) question {
	p := c.stream.Pages
	query := map[string]string{}
	put := func(name, value string) {
		if name != "" && value != "" {
			query[name] = value
		}
	}
	put(c.stream.Since.Parameter, since)
	if p.Size > 0 {
		put(p.SizeName, strconv.Itoa(p.Size))
	}
	switch p.by() {
	case "link", "next":
		return question{address: at.Next, query: query}
	case "auto":
		if at.Next != "" {
			return question{address: at.Next}
		}
		if at.Page > 0 {
			put(p.Parameter, strconv.Itoa(p.first()+at.Page))
		}
	case "cursor":
		put(p.Parameter, at.Next)
	case "page":
		put(p.Parameter, strconv.Itoa(p.first()+at.Page))
	case "offset":
		put(p.Parameter, strconv.Itoa(p.first()+at.Offset))
	case "keyset":
		if at.Next != "" {
			query[c.stream.Since.Parameter] = at.Next
			put(p.Parameter, at.Key)
		}
	}
	return question{query: query}
}
