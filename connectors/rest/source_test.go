package rest_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/rest"
	server "longitude/internal/edctest/rest"
	"longitude/study"
)

// begin is when the records of a test begin to change, a minute apart.
var begin = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func records(n int) []server.Record {
	all := make([]server.Record, n)
	for i := range all {
		all[i] = server.Record{ID: fmt.Sprintf("r%04d", i), Site: "site " + string(rune('A'+i%3)), Value: i, Updated: begin.Add(time.Duration(i) * time.Minute)}
	}
	return all
}

// api is a server of a test and the config of one stream of it.
type api struct {
	*server.Server
	*rest.Config
	t   *testing.T
	log bytes.Buffer
}

func newAPI(t *testing.T, s *server.Server, streams ...rest.Stream) *api {
	t.Helper()
	address, closing := s.Start()
	t.Cleanup(closing)
	a := &api{Server: s, Config: configOf(address), t: t}
	a.Streams = streams
	return a
}

// open makes a source as a new process would, which hardly waits.
func (a *api) open() connectors.Source {
	a.t.Helper()
	if found := rest.Spec().Validate(a.Config); len(found) > 0 {
		a.t.Fatalf("findings: %v", found)
	}
	rt := connectortest.Runtime(&a.log, "")
	wait := rt.Sleep
	rt.Sleep = func(ctx context.Context, d time.Duration) error { return wait(ctx, min(d, server.Preparing/20)) }
	s, err := rest.Spec().Open(a.Config, rt)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = s.Close() })
	return s
}

var recordID = regexp.MustCompile(`r\d{4}`)

// pulled is what became of a pull.
type pulled struct {
	ids    []string
	pages  int
	cursor connectors.Cursor
	err    error
}

// pull takes up to most deliveries, each durable before the next, and is killed then.
func (a *api) pull(after connectors.Cursor, most int) pulled {
	a.t.Helper()
	p := pulled{cursor: connectors.Cursor{State: after.State, Known: map[string]string{}}}
	for item, version := range after.Known {
		p.cursor.Known[item] = version
	}
	if most == 0 {
		return p
	}
	s := a.open()
	defer s.Close()
	for d, err := range s.Pull(a.t.Context(), after) {
		if err != nil {
			p.err = err
			fmt.Fprintf(&a.log, "%v %+v %#v\n", err, err, err)
			return p
		}
		r, err := d.Open(a.t.Context())
		if err != nil {
			a.t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil || r.Close() != nil {
			a.t.Fatal(err)
		}
		p.ids = append(p.ids, recordID.FindAllString(string(content), -1)...)
		p.cursor.Known[d.Item], p.cursor.State = d.Version, d.State
		if p.pages++; p.pages == most {
			return p
		}
	}
	return p
}

func (a *api) all(after connectors.Cursor) pulled {
	a.t.Helper()
	p := a.pull(after, -1)
	if p.err != nil {
		a.t.Fatal(p.err)
	}
	return p
}

func codeOf(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// ways are the ways in which lists go on, as a source configures them.
func ways() map[string]rest.Stream {
	zero := 0
	return map[string]rest.Stream{
		"link":                    {Path: "/link", Pages: rest.Pages{By: "link"}},
		"next":                    {Path: "/next", Records: "/data", Pages: rest.Pages{By: "next", Next: "/next"}},
		"cursor":                  {Path: "/cursor", Records: "/data", Pages: rest.Pages{By: "cursor", Next: "/meta/next_cursor", Parameter: "cursor"}},
		"page":                    {Path: "/page", Records: "/data", Pages: rest.Pages{By: "page", Parameter: "page", Count: "/page_count"}},
		"pages until a short one": {Path: "/page", Records: "/data", Pages: rest.Pages{By: "page", Parameter: "page", Size: 10, SizeName: "size"}},
		"pages by records":        {Path: "/page", Records: "/data", Pages: rest.Pages{By: "page", Parameter: "page", Total: "/total", Size: 10, SizeName: "size"}},
		"fewer than asked for":    {Path: "/page", Records: "/data", Pages: rest.Pages{By: "page", Parameter: "page", Total: "/total", Size: 500, SizeName: "size"}},
		"offset":                  {Path: "/offset", Records: "/data", Pages: rest.Pages{By: "offset", Parameter: "offset", Total: "/total", Size: 10}},
		"offset until nothing":    {Path: "/bare", Pages: rest.Pages{By: "offset", Parameter: "offset", First: &zero}},
		"fewer by offset":         {Path: "/offset", Records: "/data", Pages: rest.Pages{By: "offset", Parameter: "offset", Total: "/total", Size: 25}},
		"keyset": {Path: "/keyset", Records: "/data", Since: rest.Since{Parameter: "since", Field: "/updated_at", Key: "/id"},
			Pages: rest.Pages{By: "keyset", Parameter: "after", Size: 10, SizeName: "size"}},
		"auto by link": {Path: "/link", Pages: rest.Pages{By: "auto"}},
		"auto by next": {Path: "/next", Records: "/data", Pages: rest.Pages{By: "auto"}},
		"auto by page": {Path: "/page", Records: "/data", Pages: rest.Pages{By: "auto", Parameter: "page"}},
		"ndjson":       {Path: "/ndjson", Format: "ndjson", Pages: rest.Pages{By: "offset", Parameter: "offset", Size: 10}},
		"csv":          {Path: "/csv", Format: "csv", Comma: ";", Pages: rest.Pages{By: "offset", Parameter: "offset", Size: 10}},
		"xml":          {Path: "/xml", Format: "xml", Records: "/list/item", Pages: rest.Pages{By: "next", Next: "/list/next/@href"}},
		"search": {Path: "/search", Method: "POST", Body: `{"filter":{"site":"{site}"},"offset":"{offset}"}`, Records: "/data",
			Parent: rest.Parent{Stream: "sites", Values: map[string]string{"site": "/site_id"}}, Pages: rest.Pages{By: "offset", Parameter: "offset", Size: 10}},
		"children": {Path: "/sites/{site}/page", Records: "/data", Parent: rest.Parent{Stream: "sites", Values: map[string]string{"site": "/site_id"}},
			Pages: rest.Pages{By: "page", Parameter: "page", Count: "/page_count"}},
	}
}

// apiOf is an API of which one stream is pulled, ten records a page.
func apiOf(t *testing.T, s *server.Server, of rest.Stream) *api {
	t.Helper()
	of.Name, s.Most = "records", 10
	streams := []rest.Stream{of}
	if of.Parent.Stream != "" {
		streams = []rest.Stream{{Name: "sites", Path: "/sites", Records: "/sites", Only: true}, of}
	}
	return newAPI(t, s, streams...)
}

// Whatever the way, every record comes once, and nothing comes when nothing is new.
func TestWays(t *testing.T) {
	for name, of := range ways() {
		for _, n := range []int{0, 1, 10, 25, 30, 131} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				a := apiOf(t, &server.Server{Records: records(n)}, of)
				p := a.all(connectors.Cursor{})
				slices.Sort(p.ids)
				if want := idsOf(records(n)); !slices.Equal(p.ids, want) {
					t.Fatalf("%d of %d records: %v\n%v", len(p.ids), n, p.ids, a.Asked())
				}
				again := a.all(p.cursor)
				if of.Since.Parameter != "" { // the overlap has come, and then nothing
					again = a.all(latest(again, p))
				}
				if again.pages != 0 {
					t.Errorf("%d pages although nothing is new", again.pages)
				}
			})
		}
	}
}

func idsOf(all []server.Record) (ids []string) {
	for _, r := range all {
		ids = append(ids, r.ID)
	}
	return ids
}

// Killed behind any page, and again behind any later one, a pull loses nothing and
// gives nothing twice; and it goes on where it was instead of beginning again.
func TestKilledAtAnyPage(t *testing.T) {
	for name, of := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := apiOf(t, &server.Server{Records: records(45)}, of)
			want := idsOf(records(45))
			whole := a.all(connectors.Cursor{})
			for first := range whole.pages - 1 {
				for _, second := range []int{1, whole.pages - 1 - first} {
					p := a.pull(connectors.Cursor{}, first)
					q := a.pull(p.cursor, second)
					before := len(a.Asked())
					r := a.all(q.cursor)
					asked := len(a.Asked()) - before
					got := slices.Sorted(slices.Values(slices.Concat(p.ids, q.ids, r.ids)))
					if !slices.Equal(got, want) {
						t.Fatalf("killed after %d and %d more pages: %d records of %d", first, second, len(got), len(want))
					}
					if done := first + second; done < whole.pages && asked > whole.pages-done+4 {
						t.Errorf("with %d of %d pages durable, %d requests were sent", done, whole.pages, asked)
					}
					again := a.all(latest(r, q))
					if of.Since.Parameter != "" {
						again = a.all(latest(again, r))
					}
					if again.pages != 0 {
						t.Errorf("killed after %d and %d more pages: %d pages came once more", first, second, again.pages)
					}
				}
			}
		})
	}
}

func latest(r, q pulled) connectors.Cursor {
	if r.pages > 0 {
		return r.cursor
	}
	return q.cursor
}

// A cursor that points behind pages that are not durable is not believed.
func TestCursorIsCompared(t *testing.T) {
	for name, of := range ways() {
		a := apiOf(t, &server.Server{Records: records(35)}, of)
		p := a.pull(connectors.Cursor{}, 2)
		p.cursor.Known = nil
		if got := a.all(p.cursor); len(got.ids) != 35 {
			t.Errorf("%s: %d of 35 records", name, len(got.ids))
		}
	}
}

// changes is a stream that asks for changes only.
func changes() rest.Stream {
	of := ways()["cursor"]
	of.Since = rest.Since{Parameter: "since", Field: "/updated_at", Overlap: 5 * time.Minute}
	return of
}

func lastSince(a *api) string {
	asked := a.Asked()
	_, since, _ := strings.Cut(asked[len(asked)-1], "since=")
	return strings.ReplaceAll(since, "%3A", ":")
}

// After a pull that came to its end only what changed is asked for, with an overlap.
func TestSince(t *testing.T) {
	s := &server.Server{Records: records(25)}
	a := apiOf(t, s, changes())
	p := a.all(connectors.Cursor{})
	if got := lastSince(a); got != "" {
		t.Errorf("the first pull asked for changes since %s", got)
	}
	quiet := a.all(p.cursor)
	if got := lastSince(a); got != "2026-03-01T08:19:00Z" || !slices.Equal(quiet.ids, idsOf(records(25)[19:])) {
		t.Errorf("asked since %s, got %v", got, quiet.ids)
	}
	if again := a.all(quiet.cursor); again.pages != 0 {
		t.Errorf("%d pages although nothing is new", again.pages)
	}
	changed := append(records(25), server.Record{ID: "r9000", Updated: begin.Add(2 * time.Hour)})
	changed[3].Updated = begin.Add(time.Hour)
	slices.SortFunc(changed, func(a, b server.Record) int { return cmp.Or(a.Updated.Compare(b.Updated), cmp.Compare(a.ID, b.ID)) })
	s.Set(changed)
	news := a.all(quiet.cursor)
	if !slices.Contains(news.ids, "r0003") || !slices.Contains(news.ids, "r9000") || slices.Contains(news.ids, "r0010") {
		t.Errorf("changes: %v", news.ids)
	}
	a.all(news.cursor)
	if got := lastSince(a); got != "2026-03-01T09:55:00Z" {
		t.Errorf("then asked since %s", got)
	}
	a.Streams[0].Since.Overlap = time.Hour // another definition: nothing is known of it
	a.all(news.cursor)
	if got := lastSince(a); got != "" {
		t.Errorf("a stream that was changed asked since %s", got)
	}
}

// A record from the future does not hide what changes until then.
func TestWrongClock(t *testing.T) {
	future := append(records(3), server.Record{ID: "r9999", Updated: time.Now().Add(1000 * time.Hour)})
	a := apiOf(t, &server.Server{Records: future}, changes())
	p := a.all(connectors.Cursor{})
	a.all(p.cursor)
	if since, err := time.Parse(time.RFC3339Nano, lastSince(a)); err != nil || since.After(time.Now()) {
		t.Errorf("asked since %v, %v", since, err)
	}
}

// Of a child that nothing is known of everything is asked, old as it may be.
func TestNewChildIsAskedInFull(t *testing.T) {
	of := ways()["children"]
	of.Since = rest.Since{Parameter: "since", Field: "/updated_at"}
	s := &server.Server{Records: records(12)}
	a := apiOf(t, s, of)
	p := a.all(connectors.Cursor{})
	s.Set(append([]server.Record{{ID: "r7000", Site: "site Z", Updated: begin.Add(-time.Hour)}}, records(12)...))
	if news := a.all(p.cursor); !slices.Contains(news.ids, "r7000") || len(news.ids) > 2 {
		t.Errorf("%v", news.ids)
	}
}

// Records of one time, more than a page holds, are told apart by their key; without
// one the pull says so instead of going round.
func TestTies(t *testing.T) {
	same := records(35)
	for i := range same {
		same[i].Updated = begin
	}
	of := ways()["keyset"]
	if p := apiOf(t, &server.Server{Records: same}, of).all(connectors.Cursor{}); !slices.Equal(p.ids, idsOf(same)) {
		t.Errorf("%v", p.ids)
	}
	of.Pages.Parameter = ""
	if p := apiOf(t, &server.Server{Records: same}, of).pull(connectors.Cursor{}, -1); codeOf(p.err) != "rest.tie" {
		t.Errorf("%v", p.err)
	}
}

// An interrupted pull goes on for a while only.
func TestResumeWithin(t *testing.T) {
	a := apiOf(t, &server.Server{Records: records(65)}, ways()["cursor"])
	p := a.pull(connectors.Cursor{}, 4)
	a.Resume = time.Nanosecond
	before := len(a.Asked())
	if r := a.all(p.cursor); len(p.ids)+len(r.ids) != 65 || len(a.Asked())-before != 7 {
		t.Errorf("%d records, %d requests", len(p.ids)+len(r.ids), len(a.Asked())-before)
	}
}

// Two streams follow one another, and a pull killed in the second does not begin
// with the first.
func TestStreams(t *testing.T) {
	one, two := ways()["link"], ways()["children"]
	one.Name, two.Name = "one", "two"
	a := newAPI(t, &server.Server{Records: records(25), Most: 10}, rest.Stream{Name: "sites", Path: "/sites", Records: "/sites", Only: true}, one, two)
	p := a.pull(connectors.Cursor{}, 4)
	before := len(a.Asked())
	r := a.all(p.cursor)
	if len(p.ids)+len(r.ids) != 50 {
		t.Errorf("%d and %d records", len(p.ids), len(r.ids))
	}
	for _, asked := range a.Asked()[before:] {
		if strings.Contains(asked, "/link") {
			t.Errorf("asked again: %s", asked)
		}
	}
}

// A child that was new in an interrupted pull is read to its end, whether the pull
// goes on or begins again: only a part of it may be durable.
func TestNewChildInAnInterruptedPull(t *testing.T) {
	for _, within := range []time.Duration{time.Hour, time.Nanosecond} {
		of := ways()["children"]
		of.Since = rest.Since{Parameter: "since", Field: "/updated_at"}
		s := &server.Server{Records: records(12)}
		a := apiOf(t, s, of)
		p := a.all(connectors.Cursor{})
		var child []server.Record
		for i := range 35 {
			child = append(child, server.Record{ID: fmt.Sprintf("r7%03d", i), Site: "site Z", Updated: begin.Add(time.Duration(i-100) * time.Minute)})
		}
		s.Set(append(slices.Clone(child), records(12)...))
		killed := a.pull(p.cursor, 2)
		a.Resume = within
		rest := a.all(killed.cursor)
		got := slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.ids, killed.ids, rest.ids))))
		if len(got) != 47 {
			t.Errorf("within %v: %d records of 47", within, len(got))
		}
	}
}
