package openlineage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"longitude/study"
)

// Receiver takes events. An error that is not Temporary means that this event is
// never taken.
type Receiver interface {
	Deliver(ctx context.Context, event []byte) error
}

// Open opens a receiver: file:PATH, one event a line, or an http or https endpoint.
func Open(target string) Receiver {
	if path, ok := strings.CutPrefix(target, "file:"); ok {
		return file{path}
	}
	return endpoint{target, &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// file appends events to a file of JSON lines.
type file struct{ path string }

// Deliver is done when the line is durable. What a writer that died left of a line
// is ended first, so that the next one is whole.
func (f file) Deliver(_ context.Context, event []byte) error {
	out, err := os.OpenFile(f.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(f.path), 0o700); err == nil {
			out, err = os.OpenFile(f.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		}
	}
	if err != nil {
		return unwritten()
	}
	line := append(bytes.Clone(event), '\n')
	if !ended(out) {
		line = append([]byte{'\n'}, line...)
	}
	_, err = out.Write(line)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return unwritten()
	}
	return nil
}

// ended reports whether a file is empty or its last line is whole.
func ended(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return true
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err != nil || last[0] == '\n'
}

func unwritten() error {
	return &study.Error{Code: "openlineage.file", Op: "could not write an OpenLineage event to its file", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "make room, and set service.lineage.openlineage to a file this user may write to; the events are kept until then"}
}

// endpoint is a receiver such as Marquez: POST /api/v1/lineage.
type endpoint struct {
	url    string
	client *http.Client
}

// Deliver is done when the receiver says so. Its words are not repeated.
func (e endpoint) Deliver(ctx context.Context, event []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(event))
	if err != nil {
		return &study.Error{Code: "openlineage.url", Op: "the address for OpenLineage events cannot be used", Temporary: true, Exit: study.ExitUsage,
			Hint: "correct service.lineage.openlineage; the events are kept until then"}
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := e.client.Do(req)
	if err != nil {
		return unreachable("cannot be reached", 0)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is used again
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusBadRequest || code == http.StatusRequestEntityTooLarge || code == http.StatusUnprocessableEntity:
		return &study.Error{Code: "openlineage.refused", Op: "the receiver of OpenLineage events refuses one (HTTP " + strconv.Itoa(code) + ")", Exit: study.ExitFailed,
			Hint: "see the receiver's log; the event stays in jobs.outbox and is not sent again"}
	default: // what a person can correct there, such as rights, does not lose events
		return unreachable("answers HTTP "+strconv.Itoa(code), after(res.Header.Get("Retry-After")))
	}
}

func unreachable(how string, wait time.Duration) error {
	return &study.Error{Code: "openlineage.unreachable", Op: "the receiver of OpenLineage events " + how, Temporary: true, RetryAfter: wait, Exit: study.ExitEnvironment,
		Hint: "check service.lineage.openlineage and the receiver; the events are kept until it takes them"}
}

// after reads Retry-After in seconds or as a date; 0 = not said. More than an hour is an hour.
func after(text string) time.Duration {
	wait := time.Duration(0)
	if n, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(max(n, 0), 3600)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = max(time.Until(at), 0)
	}
	return min(wait, time.Hour)
}
