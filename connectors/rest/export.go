package rest

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net/http"
	"slices"
	"time"

	"longitude/internal/webclient"
)

// export has the server prepare a list, waits until it is ready, and yields its
// files.
func (s *source) export(ctx context.Context, c chain, since string) iter.Seq2[*fetched, error] {
	return func(yield func(*fetched, error) bool) {
		files, c, err := s.prepare(ctx, c, since)
		switch {
		case errors.Is(err, errSkip), errors.Is(err, errStop):
			return
		case err != nil:
			yield(nil, err)
			return
		}
		for f, err := range ahead(ctx, s.inFlight(), len(files), func(ctx context.Context, i int) (*fetched, error) {
			return s.file(ctx, c, i, files[i], since)
		}) {
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// file gets one file of an export.
func (s *source) file(ctx context.Context, c chain, i int, address, since string) (*fetched, error) {
	q := question{address: address}
	if address == "" {
		q = c.question(place{}, since)
	}
	answer, err := s.ask(ctx, c, q)
	if errors.Is(err, errSkip) || errors.Is(err, errStop) {
		return &fetched{chain: c, place: place{Page: i}}, nil
	}
	if err != nil {
		return nil, err
	}
	f, _, err := s.read(c, place{Page: i}, answer)
	if f != nil {
		f.next = nil
	}
	return f, err
}

// prepare asks for an export and waits for it. It answers the addresses of its
// files, and the chain with {export} for the stream's own path.
func (s *source) prepare(ctx context.Context, c chain, since string) ([]string, chain, error) {
	e := c.stream.Export
	values := maps.Clone(c.values)
	if values == nil {
		values = map[string]string{}
	}
	values["since"] = since
	r := webclient.Request{Op: "ask for an export of stream " + c.stream.Name, Method: orElse(e.Method, http.MethodPost), Once: true,
		URL: s.address(e.Path, nil, nil, values), Body: []byte(fill(e.Body, values, inJSON)), Judge: s.judge(c.stream)}
	answer, err := s.send(ctx, r)
	if err != nil {
		return nil, c, err
	}
	poll := answer.Header.Get("Content-Location")
	if poll == "" {
		poll = answer.Header.Get("Location")
	}
	if e.ID != "" {
		values["export"] = document(answer.Body).value(e.ID)
		poll = s.address(e.Poll, nil, nil, values)
	} else if u, err := answer.URL.Parse(poll); poll != "" && err == nil {
		poll = u.String()
	}
	if poll == "" || e.ID != "" && values["export"] == "" || !s.atHome(poll) {
		return nil, c, errExportID
	}
	c.values = values
	files, err := s.await(ctx, c, poll)
	return files, c, err
}

// await asks how far an export is until it is ready.
func (s *source) await(ctx context.Context, c chain, poll string) ([]string, error) {
	e := c.stream.Export
	end := s.rt.Now().Add(orElse(e.Within, exportWithin))
	for {
		answer, err := s.send(ctx, webclient.Request{Op: "wait for an export of stream " + c.stream.Name, URL: poll, Judge: s.judge(c.stream)})
		if err != nil {
			return nil, err
		}
		ready, err := e.ready(answer)
		if err != nil {
			return nil, err
		}
		if ready {
			return s.files(e, answer), nil
		}
		wait := max(orElse(e.Every, exportEvery), min(webclient.RetryAfter(answer.Header, s.rt.Now()), 10*time.Minute))
		if s.rt.Now().Add(wait).After(end) {
			return nil, errExportLate
		}
		if err := s.rt.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (e Export) ready(a *webclient.Answer) (bool, error) {
	if e.Status == "" {
		return a.Status == http.StatusOK, nil
	}
	status := document(a.Body).value(e.Status)
	if slices.Contains(e.Failed, status) {
		return false, errExport
	}
	return slices.Contains(e.Done, status), nil
}

// files are the addresses of an export's files; "" is the stream's own path.
func (s *source) files(e Export, a *webclient.Answer) (all []string) {
	if e.Files == "" {
		return []string{""}
	}
	for _, text := range each(a.Body, names(e.Files)) {
		if u, err := a.URL.Parse(text); err == nil {
			text = u.String()
		}
		all = append(all, text) // of one that is no address the client says so: a file is not left out
	}
	return all
}
