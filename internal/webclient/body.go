package webclient

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// patience is how long a server may say nothing, and be slow, before it is given up.
const patience = 30 * time.Second

// An answer may be this much larger than what came, once it is large at all: more
// is a bomb and no data.
const (
	maxRatio = 200
	harmless = 32 << 20
)

// body is an answer while it is read: unpacked, not larger and not slower than
// allowed, and ended by io.EOF only if it came whole.
type body struct {
	*bufio.Reader
	raw  *paced
	stop context.CancelCauseFunc
}

func newBody(response *http.Response, l Limits, stop context.CancelCauseFunc) (*body, error) {
	raw := &paced{from: response.Body, ctx: response.Request.Context(), rate: l.MinRate, stop: stop}
	b := &body{raw: raw, stop: stop}
	var from io.Reader = raw
	switch strings.ToLower(strings.TrimSpace(response.Header.Get("Content-Encoding"))) {
	case "", "identity":
	case "gzip", "x-gzip":
		from = &unpacker{from: raw}
	default:
		_ = b.Close()
		return nil, errEncoding
	}
	b.Reader = bufio.NewReaderSize(&capped{from: from, raw: raw, most: l.MaxBytes}, 32<<10)
	return b, nil
}

// Close ends the answer, however much of it was read.
func (b *body) Close() error {
	err := b.raw.from.Close()
	b.stop(nil)
	if err != nil {
		return errTruncated
	}
	return nil
}

// unpacker unpacks gzip. It begins when it is first read: the answer to a HEAD, or
// an empty one, has nothing to begin with.
type unpacker struct {
	from *paced
	gzip *gzip.Reader
}

func (u *unpacker) Read(p []byte) (n int, err error) {
	if u.gzip == nil {
		if u.gzip, err = gzip.NewReader(u.from); err != nil {
			u.gzip = nil
			if errors.Is(err, io.EOF) && u.from.n == 0 {
				return 0, io.EOF
			}
			return 0, unpacking(err)
		}
	}
	n, err = u.gzip.Read(p)
	return n, unpacking(err)
}

// unpacking keeps errors of the transfer and of the end; any other is of content
// that is no gzip.
func unpacking(err error) error {
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated
	}
	return err
}

// capped refuses more than an answer may have. Its error stays: looking ahead
// takes it away from the reader in front.
type capped struct {
	from io.Reader
	raw  *paced
	n    int64
	most int64
	err  error
}

func (c *capped) Read(p []byte) (n int, err error) {
	if c.err != nil {
		return 0, c.err
	}
	n, c.err = c.from.Read(p)
	c.n += int64(n)
	switch {
	case c.n > c.most:
		c.err = errTooLarge
	case c.n > harmless && c.n > maxRatio*c.raw.n:
		c.err = errBomb
	}
	return n, c.err
}

// paced counts what comes, and gives up on a server that keeps a connection busy
// with hardly anything. Only the time spent waiting for the server counts.
type paced struct {
	from   io.ReadCloser
	ctx    context.Context // of the request
	rate   int64           // bytes a second
	stop   context.CancelCauseFunc
	n      int64
	waited time.Duration
}

func (p *paced) Read(b []byte) (int, error) {
	start := time.Now()
	silence := time.AfterFunc(patience, func() { p.stop(errSlow) })
	n, err := p.from.Read(b)
	silence.Stop()
	p.n += int64(n)
	p.waited += time.Since(start)
	switch {
	case err == nil && p.waited > patience && float64(p.n) < float64(p.rate)*p.waited.Seconds():
		return n, errSlow
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	}
	return n, explain(p.ctx, err)
}

// isHTML reports whether an answer is a page for people, whatever it calls itself.
func isHTML(h http.Header, b *body) bool {
	kind := strings.ToLower(h.Get("Content-Type"))
	if strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml") {
		return true
	}
	start, _ := b.Peek(512) // an error shows again when it is read
	start = bytes.ToLower(bytes.TrimLeft(start, "\xef\xbb\xbf \t\r\n"))
	return bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html")) ||
		bytes.HasPrefix(start, []byte("<?xml")) && bytes.Contains(start, []byte("<!doctype html"))
}
