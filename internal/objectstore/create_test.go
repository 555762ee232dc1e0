package objectstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// contentOf describes bytes that are to be stored.
func contentOf(b []byte) Content {
	sum := CRC32C()
	_, _ = sum.Write(b)
	return Content{Size: int64(len(b)), CRC32C: sum.Sum32(), Type: "text/plain", Cache: "private", Metadata: map[string]string{"sha256": "abc"},
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

func TestCreateObject(t *testing.T) {
	g, _ := bucket(t)
	c := contentOf([]byte("released"))
	if err := g.CreateObject(t.Context(), "a/b", c); err != nil {
		t.Fatal(err)
	}
	if err := g.CreateObject(t.Context(), "a/b", c); !errors.Is(err, ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	attrs, err := g.attrs(t.Context(), "a/b")
	if err != nil || attrs.ContentType != "text/plain" || attrs.CacheControl != "private" {
		t.Errorf("%+v, %v", attrs, err)
	}
	seen, err := g.Look(t.Context(), "a/b")
	listed, errList := g.Listing(t.Context(), "a/")
	if err != nil || errList != nil || len(listed) != 1 || listed[0].Key != "a/b" || listed[0].CRC32C != seen.CRC32C || !maps.Equal(listed[0].Metadata, seen.Metadata) ||
		seen.Key != "a/b" || seen.Size != 8 || seen.CRC32C != c.CRC32C || seen.Metadata["sha256"] != "abc" || seen.Metadata[uploadMark] == "" {
		t.Errorf("looked at %+v, listed %+v, %v, %v", seen, listed, err, errList)
	}
	if _, err := g.Look(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// What cannot be read, or is not what it was said to be, is not stored.
func TestCreateObjectOfOtherBytes(t *testing.T) {
	whole := contentOf([]byte("released"))
	gone, other, short, ends := whole, whole, whole, whole
	gone.Open = func() (io.ReadCloser, error) { return nil, errors.New("open /srv/secret: no such file") }
	other.Open = contentOf([]byte("changed!")).Open
	short.Open = contentOf([]byte("rele")).Open
	ends.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("rele"), broken{})), nil
	}
	for want, c := range map[string]Content{"objectstore.unreadable": gone, "objectstore.refused": other, "objectstore.refused ": short, "objectstore.unavailable": ends} {
		g, _ := bucket(t)
		err := g.CreateObject(t.Context(), "k", c)
		if code(err) != strings.TrimSpace(want) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v", want, err)
		}
		if _, err := g.Look(t.Context(), "k"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: stored all the same, %v", want, err)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("read /srv/secret: input/output error") }

// TestCreateInChunks lets each call of an upload in several chunks go wrong in each
// way: the object is absent or whole, and is created when it is tried again.
func TestCreateInChunks(t *testing.T) {
	type next = http.RoundTripper
	gone := func(cause error) error { return &net.OpError{Op: "write", Net: "tcp", Err: cause} }
	faults := map[string]func(*http.Request, next) (*http.Response, error){
		"403": func(r *http.Request, _ next) (*http.Response, error) { return answer(r, http.StatusForbidden) },
		"412": func(r *http.Request, _ next) (*http.Response, error) { return answer(r, http.StatusPreconditionFailed) },
		"503": func(r *http.Request, _ next) (*http.Response, error) { return answer(r, http.StatusServiceUnavailable) },
		"503 after it was done": func(r *http.Request, n next) (*http.Response, error) {
			return answer(r, http.StatusServiceUnavailable)
		},
		"reset": func(*http.Request, next) (*http.Response, error) { return nil, gone(syscall.ECONNRESET) },
		"done, then unreachable": func(r *http.Request, n next) (*http.Response, error) {
			if res, err := n.RoundTrip(r); err == nil {
				_ = res.Body.Close()
			}
			return nil, gone(syscall.EHOSTUNREACH)
		},
	}
	want := random(3<<18 - 100_000) // in three chunks of 256 KiB
	var each sync.WaitGroup         // most of them wait most of the time: not for a processor
	defer each.Wait()
	for name, fault := range faults {
		for nth := range int32(4) { // the session, then the chunks
			each.Go(func() {
				t.Run(fmt.Sprintf("%s/%d", name, nth), func(t *testing.T) {
					g, f := bucket(t)
					g.chunk = 256 << 10
					var uploads atomic.Int32
					var before *http.Response // to the chunk whose answer was lost: the fake would store it twice
					f.set(func(r *http.Request, n next) (res *http.Response, err error) {
						switch {
						case before != nil && r.Header.Get("Content-Range") == before.Request.Header.Get("Content-Range"):
							res, before = before, nil
							return res, nil
						case isUpload(r) && uploads.Add(1) == nth+1:
							if strings.HasSuffix(name, "after it was done") {
								if before, err = n.RoundTrip(r); err != nil {
									return nil, err
								}
							}
							return fault(r, n)
						}
						return n.RoundTrip(r)
					})
					first := g.CreateObject(t.Context(), "k", contentOf(want))
					if uploads.Load() <= nth {
						t.Fatalf("%d uploads", uploads.Load())
					}
					if first != nil && code(first) == "" {
						t.Errorf("an error without a code: %v", first)
					}
					again := g.CreateObject(t.Context(), "k", contentOf(want))
					if again != nil && !errors.Is(again, ErrExists) || first == nil && again == nil {
						t.Errorf("first %v, then %v", first, again)
					}
					if !bytes.Equal(content(t, g, "k"), want) {
						t.Error("a part of the object is stored")
					}
				})
			})
		}
	}
}

// A store that keeps a chunk twice, as the fake does of one that is sent again, is
// found out by what it says that it holds.
func TestGarbledInChunks(t *testing.T) {
	g, f := bucket(t)
	g.chunk = 256 << 10
	var uploads atomic.Int32
	f.set(func(r *http.Request, n http.RoundTripper) (*http.Response, error) {
		res, err := n.RoundTrip(r)
		if err == nil && isUpload(r) && uploads.Add(1) == 2 {
			_ = res.Body.Close()
			return answer(r, http.StatusServiceUnavailable)
		}
		return res, err
	})
	if err := g.CreateObject(t.Context(), "k", contentOf(random(3<<18-100_000))); code(err) != "objectstore.garbled" {
		t.Errorf("%v", err)
	}
}

func TestUsable(t *testing.T) {
	g, f := bucket(t)
	if err := g.Usable(t.Context()); err != nil { // the fake knows no rights
		t.Error(err)
	}
	f.set(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "/iam/") {
			return answer(r, http.StatusForbidden)
		}
		return next.RoundTrip(r)
	})
	if err := g.Usable(t.Context()); code(err) != "objectstore.permission" {
		t.Errorf("%v", err)
	}
}
