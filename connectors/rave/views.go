package rave

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// rebuilt is the header that says up to when a clinical view is complete. Without it
// the view is not ready.
const rebuilt = "X-MWS-CV-Last-Updated"

// views hands on the clinical views that were rebuilt since they were last durable.
func (s *source) views(ctx context.Context, st *state, yield func(connectors.Delivery, error) bool) {
	forms := s.config.Forms
	if len(forms) == 0 {
		forms = []string{""}
	}
	for _, form := range forms {
		since := st.Views[form]
		body, header, err := s.view(ctx, form, since)
		if err != nil {
			yield(connectors.Delivery{}, err)
			return
		}
		at := header.Get(rebuilt)
		if at == "" || at == since { // not ready, or not rebuilt: what changed is still to come
			_ = body.Close()
			continue
		}
		first, err := filled(body)
		if err != nil {
			yield(connectors.Delivery{}, err)
			return
		}
		if first == nil { // no rows, and no columns either
			continue
		}
		views := map[string]string{form: at}
		for name, known := range st.Views {
			if name != form {
				views[name] = known
			}
		}
		st.Views = views
		d := connectors.Delivery{Name: s.config.View + " view " + form, Version: s.rt.Digest(at), Size: -1, Modified: s.rt.Now(), State: st.text()}
		if !s.config.Changes { // a picture of all, which may take the place of the one before
			d.Item = s.rt.Digest(d.Name)
		}
		d.Open = func(ctx context.Context) (io.ReadCloser, error) {
			if first != nil {
				opened := first
				first = nil
				return opened, nil
			}
			again, _, err := s.view(ctx, form, since)
			return again, err
		}
		again := yield(d, nil)
		if first != nil {
			_ = first.Close()
		}
		if !again {
			return
		}
	}
}

// filled is the body of a view that holds something; nil = it holds nothing.
func filled(body io.ReadCloser) (io.ReadCloser, error) {
	r := bufio.NewReader(body)
	_, err := r.Peek(1)
	if err == nil {
		return struct {
			io.Reader
			io.Closer
		}{r, body}, nil
	}
	_ = body.Close()
	if errors.Is(err, io.EOF) {
		return nil, nil //nolint:nilnil // nothing is an answer
	}
	return nil, err
}

// view asks for a view: as CSV, or all of them as ODM.
func (s *source) view(ctx context.Context, form, since string) (io.ReadCloser, http.Header, error) {
	q, parts, end := url.Values{}, []string{"studies", s.config.study(), "datasets", s.config.View}, endOfODM
	if form != "" {
		parts, end = append(parts, form+".csv"), endOfCSV
	}
	if s.config.Changes && since != "" {
		q.Set("start", since)
	}
	a, body, err := s.large.Open(ctx, webclient.Request{Op: "reading a clinical view", URL: s.config.address(q, parts...), As: s.as, Judge: judge})
	if err != nil {
		return nil, nil, err
	}
	return &ending{body: body, is: end}, a.Header, nil
}

// ending reads an answer that says itself where it ends, and tells one that was cut
// off. It holds back as much as the end can be.
type ending struct {
	body io.ReadCloser
	is   func(tail []byte) (keep int, whole bool)
	tail []byte
	done bool
}

// longestEnd is how much is held back.
const longestEnd = 64

func (e *ending) Close() error { return e.body.Close() }

func (e *ending) Read(p []byte) (int, error) {
	for !e.done && len(e.tail) <= longestEnd {
		more := make([]byte, max(len(p), 4<<10))
		n, err := e.body.Read(more)
		e.tail = append(e.tail, more[:n]...)
		if errors.Is(err, io.EOF) {
			keep, whole := e.is(e.tail[max(0, len(e.tail)-longestEnd):])
			if !whole {
				return 0, errTruncated
			}
			e.tail, e.done = e.tail[:max(0, len(e.tail)-longestEnd)+keep], true
		} else if err != nil {
			return 0, err
		}
	}
	out := len(e.tail)
	if !e.done {
		out -= longestEnd
	} else if out == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.tail[:out])
	e.tail = e.tail[n:]
	return n, nil
}

// endOfCSV takes off the last line, which says EOF: without it the answer is cut off.
func endOfCSV(tail []byte) (keep int, whole bool) {
	text := bytes.TrimRight(tail, "\r\n")
	before, whole := bytes.CutSuffix(text, []byte("EOF"))
	whole = whole && (len(before) == 0 || before[len(before)-1] == '\n' || bytes.Equal(before, []byte("\ufeff")))
	return len(before), whole
}

func endOfODM(tail []byte) (keep int, whole bool) {
	return len(tail), bytes.HasSuffix(bytes.TrimSpace(tail), []byte("</ODM>"))
}
