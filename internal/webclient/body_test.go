package webclient

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What answers are taken for, whole in Read and read to their end in Open.
func TestBodies(t *testing.T) {
	random := make([]byte, 200_000)
	_, _ = rand.Read(random)
	zeros := bytes.Repeat(gzipped(t, make([]byte, 1<<20)), harmless>>20+1) // gzip may be several, one behind the other
	type header map[string]string
	for _, c := range []struct {
		name   string
		header header
		body   []byte
		code   string
		want   []byte
	}{
		{"plain", header{}, random, "", random},
		{"empty", header{}, nil, "", nil},
		{"packed", header{"Content-Encoding": "gzip"}, gzipped(t, random), "", random},
		{"packed and nothing", header{"Content-Encoding": "gzip"}, nil, "", nil},
		{"packed and cut", header{"Content-Encoding": "gzip"}, gzipped(t, random)[:100_000], "web.truncated", nil},
		{"packed without its end", header{"Content-Encoding": "gzip"}, gzipped(t, random)[:len(gzipped(t, random))-6], "web.truncated", nil},
		{"said to be packed", header{"Content-Encoding": "gzip"}, []byte("plain text, quite"), "web.truncated", nil},
		{"packed otherwise", header{"Content-Encoding": "br"}, random, "web.encoding", nil},
		{"a bomb", header{"Content-Encoding": "gzip"}, zeros, "web.bomb", nil},
		{"too large", header{}, make([]byte, 1<<20+1), "web.too_large", nil},
		{"a page for people", header{"Content-Type": "text/html; charset=utf-8"}, []byte("data, really"), "web.html", nil},
		{"a page that says it is data", header{"Content-Type": "application/json"}, []byte("\n <!DOCTYPE HTML><html>"), "web.html", nil},
		{"a page of XML", header{"Content-Type": "text/xml"}, []byte(`<?xml version="1.0"?><!DOCTYPE html PUBLIC "x">`), "web.html", nil},
		{"XML", header{"Content-Type": "text/xml"}, []byte(`<?xml version="1.0"?><ODM/>`), "", []byte(`<?xml version="1.0"?><ODM/>`)},
		{"shorter than it says", header{"Content-Length": "300000"}, random, "web.truncated", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/octet-stream")
				for name, value := range c.header {
					w.Header().Set(name, value)
				}
				_, _ = w.Write(c.body)
			}))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.Start()
			defer s.Close()
			l := quick()
			l.Attempts = 2
			if l.MaxBytes = 64 << 20; c.code == "web.too_large" {
				l.MaxBytes = 1 << 20
			}
			a, err := client(t, l).Read(t.Context(), Request{URL: s.URL})
			if codeOf(err) != c.code || err == nil && !bytes.Equal(a.Body, c.want) {
				t.Errorf("Read: %v", err)
			}
			var got []byte
			_, r, err := client(t, l).Open(t.Context(), Request{URL: s.URL})
			if err == nil {
				got, err = io.ReadAll(r)
				_ = r.Close()
			}
			if codeOf(err) != c.code || err == nil && !bytes.Equal(got, c.want) {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

// dribble is a server that sends its answer in pieces, with pauses.
func dribble(piece string, pause time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		_, _ = c.Read(make([]byte, 4096))
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
		for range 100_000 / len(piece) {
			if _, err := c.Write([]byte(piece)); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}
}

// A server that keeps a connection with hardly anything is given up; one that is
// slow but comes is not; and the reader's own slowness is nobody's fault.
func TestSlowServers(t *testing.T) {
	for _, c := range []struct {
		name   string
		serve  func(net.Conn)
		reader time.Duration // between reads
		code   string
	}{
		{"a byte now and then", dribble("x", 5*time.Second), 0, "web.slow"},
		{"silence", dribble(strings.Repeat("x", 1000), time.Hour), 0, "web.slow"},
		{"slow and steady", dribble(strings.Repeat("x", 1000), 4*time.Second), 0, ""},
		{"a slow reader", dribble(strings.Repeat("x", 10_000), time.Second), 5 * time.Minute, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := quick()
				l.Deadline = time.Hour
				cl := New(l, Runtime{Hosts: &Hosts{}})
				defer cl.Close()
				cl.wire.DialContext = func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go c.serve(theirs)
					return ours, nil
				}
				_, r, err := cl.Open(t.Context(), Request{URL: "http://127.0.0.1/"})
				for buffer := make([]byte, 40_000); err == nil; time.Sleep(c.reader) {
					_, err = r.Read(buffer)
				}
				if errors.Is(err, io.EOF) {
					err = nil
				}
				if codeOf(err) != c.code {
					t.Errorf("%v", err)
				}
				if r != nil {
					_ = r.Close()
				}
				time.Sleep(2 * time.Hour) // until the server notices
			})
		})
	}
}

// An answer that is long in preparation is waited for as long as its asker says.
func TestWait(t *testing.T) {
	for _, c := range []struct {
		wait time.Duration
		code string
	}{{0, "web.timeout"}, {time.Hour, ""}} {
		synctest.Test(t, func(t *testing.T) {
			l := quick()
			l.Deadline, l.Attempts = time.Hour, 1
			cl := New(l, Runtime{Hosts: &Hosts{}, Wait: c.wait})
			defer cl.Close()
			cl.wire.DialContext = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					_, _ = theirs.Read(make([]byte, 4<<10))
					time.Sleep(30 * time.Minute)
					_, _ = io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
					_ = theirs.Close()
				}()
				return ours, nil
			}
			if a, err := cl.Read(t.Context(), Request{URL: "http://127.0.0.1/"}); codeOf(err) != c.code || err == nil && string(a.Body) != "ok" {
				t.Errorf("waiting %v: %v", c.wait, err)
			}
			time.Sleep(time.Hour) // until the server notices
		})
	}
}

// The deadline holds for all attempts together, and the caller's own end is its own.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := New(quick(), Runtime{Hosts: &Hosts{}})
		defer cl.Close()
		cl.wire.ResponseHeaderTimeout = 0
		cl.wire.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }() // listens, and says nothing
			return ours, nil
		}
		start := time.Now()
		if _, err := cl.Read(t.Context(), Request{URL: "http://127.0.0.1/"}); codeOf(err) != "web.deadline" || time.Since(start) != 5*time.Minute {
			t.Errorf("Read: %v after %v", err, time.Since(start))
		}
		start = time.Now()
		if _, _, err := cl.Open(t.Context(), Request{URL: "http://127.0.0.1/"}); codeOf(err) != "web.deadline" || time.Since(start) != 5*time.Minute {
			t.Errorf("Open: %v after %v", err, time.Since(start))
		}
		mine, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := cl.Read(mine, Request{URL: "http://127.0.0.1/"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's end: %v", err)
		}
	})
}

func TestConnections(t *testing.T) {
	quiet := func(s *httptest.Server) *httptest.Server {
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(s.Close)
		return s
	}
	l := quick()
	l.Attempts = 1
	secure := quiet(httptest.NewUnstartedServer(http.NotFoundHandler()))
	secure.StartTLS()
	old := quiet(httptest.NewUnstartedServer(http.NotFoundHandler()))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	plain := quiet(httptest.NewUnstartedServer(http.NotFoundHandler()))
	plain.Start()
	hanging := quiet(httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := http.NewResponseController(w).Hijack()
		_ = c.Close()
	})))
	hanging.Start()
	for address, want := range map[string]string{
		secure.URL: "web.certificate", old.URL: "web.certificate web.tls", strings.Replace(plain.URL, "http:", "https:", 1): "web.tls",
		"http://127.0.0.1:1/": "web.unreachable", hanging.URL: "web.broken", "https://no-such-name.invalid/": "web.unresolved",
	} {
		_, err := client(t, l).Read(t.Context(), Request{Op: "ask", URL: address + "/?token=SECRET"})
		if got := codeOf(err); got == "" || !strings.Contains(want, got) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	trusting := New(l, Runtime{Hosts: &Hosts{}, Roots: roots})
	defer trusting.Close()
	if _, err := trusting.Read(t.Context(), Request{URL: secure.URL}); codeOf(err) != "web.not_found" {
		t.Errorf("a certificate that is trusted: %v", err)
	}
	roots.AddCert(old.Certificate())
	if _, err := trusting.Read(t.Context(), Request{URL: old.URL}); codeOf(err) != "web.tls" {
		t.Errorf("TLS 1.1: %v", err)
	}
}
