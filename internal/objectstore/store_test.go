package objectstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"google.golang.org/api/option"

	"longitude/study"
)

// faulty stands between the client and the fake and lets some requests go wrong.
type faulty struct {
	next http.RoundTripper
	on   atomic.Pointer[func(*http.Request, http.RoundTripper) (*http.Response, error)]
}

func (f *faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	if do := f.on.Load(); do != nil {
		return (*do)(r, f.next)
	}
	return f.next.RoundTrip(r)
}

func (f *faulty) set(do func(*http.Request, http.RoundTripper) (*http.Response, error)) {
	f.on.Store(&do)
}

func answer(r *http.Request, status int) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%d,"message":"secret words"}}`, status)
	res := w.Result()
	res.Request = r
	return res, nil
}

func bucket(t testing.TB) (*GCS, *faulty) {
	t.Helper()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", PublicHost: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "b"})
	f := &faulty{next: http.DefaultTransport}
	g, err := OpenGCS(t.Context(), "gs://b/some/prefix", t.TempDir(), option.WithEndpoint(server.URL()+"/storage/v1/"), option.WithHTTPClient(&http.Client{Transport: f}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g, f
}

// stores are those that must behave alike.
func stores(t *testing.T, behaviour func(t *testing.T, s Store)) {
	t.Run("folder", func(t *testing.T) { behaviour(t, open(t)) })
	t.Run("bucket", func(t *testing.T) {
		g, _ := bucket(t)
		behaviour(t, g)
	})
}

func content(t testing.TB, s Store, key string) []byte {
	t.Helper()
	o, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// random bytes, the same for the same n.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestBehaviour(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		for _, size := range []int{0, 1, 1 << 20, 17 << 20} { // the last in more than one chunk
			want, key := random(size), fmt.Sprintf("a/b/%d", size)
			if err := s.Put(t.Context(), key, bytes.NewReader(want)); err != nil {
				t.Fatal(err)
			}
			if err := s.Put(t.Context(), key, strings.NewReader("other")); !errors.Is(err, ErrExists) {
				t.Errorf("putting twice: %v", err)
			}
			u, err := s.Create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := u.Write([]byte("other")); err != nil {
				t.Fatal(err)
			}
			if err := u.Commit(key); !errors.Is(err, ErrExists) {
				t.Errorf("committing to a key that is taken: %v", err)
			}
			if got := content(t, s, key); !bytes.Equal(got, want) {
				t.Errorf("%s holds %d bytes", key, len(got))
			}
			if n, err := s.Stat(t.Context(), key); err != nil || n != int64(size) {
				t.Errorf("Stat(%s) = %d, %v", key, n, err)
			}
		}
		if keys, err := s.List(t.Context(), "a/b/1"); err != nil || !slices.Equal(keys, []string{"a/b/1", "a/b/1048576", "a/b/17825792"}) {
			t.Errorf("List: %q, %v", keys, err)
		}
		if _, err := s.Open(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("open: %v", err)
		}
		if _, err := s.Stat(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("stat: %v", err)
		}
		for _, key := range []string{"", "/etc/passwd", "../a", "a/../../b", "a//b", "a/", ".uploads/x", "a/.b"} {
			if err := s.Put(t.Context(), key, strings.NewReader("x")); code(err) != "objectstore.key" {
				t.Errorf("key %q: %v", key, err)
			}
		}
		if err := s.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRandomAccess(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		want := random(3 << 20)
		if err := s.Put(t.Context(), "k", bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
		o, err := s.Open(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if err := iotest.TestReader(io.NewSectionReader(o, 0, 1000), want[:1000]); err != nil {
			t.Error(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			off, n := rng.Int64N(o.Size()+10), rng.IntN(1<<16)
			p := make([]byte, n)
			got, err := o.ReadAt(p, off)
			end := min(off+int64(n), o.Size())
			if off <= end && !bytes.Equal(p[:got], want[off:end]) || off+int64(n) > o.Size() != errors.Is(err, io.EOF) {
				t.Fatalf("%d bytes at %d: %d, %v", n, off, got, err)
			}
		}
	})
}

func TestOneOfManyWins(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		var wait sync.WaitGroup
		var won, lost atomic.Int32
		for i := range 8 {
			wait.Go(func() {
				u, err := s.Create(context.Background())
				if err == nil {
					_, err = u.Write([]byte{byte('a' + i)})
				}
				if err == nil {
					err = u.Commit("key")
				}
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, ErrExists):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 || lost.Load() != 7 || len(content(t, s, "key")) != 1 {
			t.Errorf("%d won, %d lost", won.Load(), lost.Load())
		}
	})
}

func isUpload(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/upload/") }

// The answer to an upload that worked is lost; the client tries again and is told
// that the object exists. It is ours all the same.
func TestLostAnswer(t *testing.T) {
	g, f := bucket(t)
	var lost atomic.Int32
	f.set(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		res, err := next.RoundTrip(r)
		if err == nil && isUpload(r) && res.StatusCode == 200 && lost.Add(1) == 1 {
			_ = res.Body.Close()
			return answer(r, http.StatusServiceUnavailable)
		}
		return res, err
	})
	if err := g.Put(t.Context(), "k", strings.NewReader("content")); err != nil || lost.Load() == 0 {
		t.Fatalf("%d answers lost: %v", lost.Load(), err)
	}
	if got := content(t, g, "k"); string(got) != "content" {
		t.Errorf("%q", got)
	}
}

// Another writer came first while our own answers were lost: the object is not ours.
func TestLostAnswerAndAnotherWriter(t *testing.T) {
	g, f := bucket(t)
	u, err := g.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write([]byte("ours")); err != nil {
		t.Fatal(err)
	}
	if err := g.Put(t.Context(), "k", strings.NewReader("ours")); err != nil { // the same bytes even
		t.Fatal(err)
	}
	var failures atomic.Int32
	f.set(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if isUpload(r) && failures.Add(1) == 1 {
			return answer(r, http.StatusServiceUnavailable)
		}
		return next.RoundTrip(r)
	})
	if err := u.Commit("k"); !errors.Is(err, ErrExists) {
		t.Errorf("%v", err)
	}
}

func TestRefusalsOfTheBucket(t *testing.T) {
	for status, want := range map[int]string{401: "objectstore.permission", 403: "objectstore.permission", 400: "objectstore.refused"} {
		g, f := bucket(t)
		f.set(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if isUpload(r) {
				return answer(r, status)
			}
			return next.RoundTrip(r)
		})
		err := g.Put(t.Context(), "k", strings.NewReader("x"))
		if code(err) != want || strings.Contains(fmt.Sprintf("%+v", err), "secret words") {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, location := range []string{"gs://", "gs:///x", "gs://b/../c", "file:/x"} {
		if _, err := OpenGCS(t.Context(), location, "", option.WithoutAuthentication()); code(err) != "objectstore.location" {
			t.Errorf("%s: %v", location, err)
		}
	}
}

func TestGivingUp(t *testing.T) {
	g, f := bucket(t)
	f.set(func(r *http.Request, _ http.RoundTripper) (*http.Response, error) {
		return answer(r, http.StatusServiceUnavailable)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	var e *study.Error
	if _, err := g.Stat(ctx, "k"); !errors.As(err, &e) || e.Code != "objectstore.unavailable" || !e.Temporary {
		t.Errorf("no answer in time: %v", err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err := g.Stat(gone, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
}

// A download that breaks is taken up where it broke.
func TestBrokenDownload(t *testing.T) {
	g, f := bucket(t)
	want := random(1 << 20)
	if err := g.Put(t.Context(), "k", bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	var broken atomic.Int32
	f.set(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		res, err := next.RoundTrip(r)
		if err == nil && r.URL.Query().Get("alt") == "media" && broken.Add(1) <= 6 {
			res.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(res.Body, 100_000), iotest.ErrReader(io.ErrUnexpectedEOF)), res.Body}
		}
		return res, err
	})
	if got := content(t, g, "k"); !bytes.Equal(got, want) || broken.Load() < 2 {
		t.Errorf("%d bytes after %d breaks", len(got), broken.Load())
	}
}

func TestNothingIsLeftOfAnUpload(t *testing.T) {
	g, _ := bucket(t)
	u, err := g.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(g.spool, "*")); err != nil || len(left) > 0 {
		t.Errorf("a writer that is killed leaves %q, %v", left, err)
	}
	u.Abort()
	u.Abort()
}

// What must be erased is replaced, once there is something to replace.
func TestReplace(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		replace := func(key, text string) error {
			u, err := s.Create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := u.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			return u.Replace(key, 3)
		}
		if err := replace("a/b", "new"); !errors.Is(err, ErrNotFound) {
			t.Errorf("nothing to replace: %v", err)
		}
		if err := s.Put(t.Context(), "a/b", strings.NewReader("Jane")); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"new", "newer", ""} {
			if err := replace("a/b", text); err != nil {
				t.Fatal(err)
			}
			if got := content(t, s, "a/b"); string(got) != text {
				t.Errorf("%q became %q", text, got)
			}
		}
		if keys, err := s.List(t.Context(), ""); err != nil || !slices.Equal(keys, []string{"a/b"}) {
			t.Errorf("%q, %v", keys, err)
		}
	})
}

// In a bucket an object is replaced on the condition that it is the one that was
// looked at, whatever becomes of the answers, and that one is deleted.
func TestReplaceInBucket(t *testing.T) {
	g, f := bucket(t)
	if err := g.Put(t.Context(), "k", strings.NewReader("Jane")); err != nil {
		t.Fatal(err)
	}
	was, err := g.attrs(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	replace := func(text string) error {
		u, err := g.Create(t.Context())
		if err == nil {
			_, err = u.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
		return u.Replace("k", 3)
	}
	var condition, deleted string
	f.set(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		switch r.Method {
		case http.MethodPost:
			condition = r.URL.Query().Get("ifGenerationMatch")
		case http.MethodDelete:
			deleted = r.URL.Query().Get("generation")
		}
		return next.RoundTrip(r)
	})
	if err := replace("new"); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(was.Generation); condition != want || deleted != want {
		t.Errorf("replaced generation %s, deleted %s, want %s", condition, deleted, want)
	}
	// Somebody else replaces it between the look and the upload.
	f.set(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPost {
			f.set(func(r *http.Request, next http.RoundTripper) (*http.Response, error) { return next.RoundTrip(r) })
			if err := replace("theirs"); err != nil {
				t.Error(err)
			}
		}
		return next.RoundTrip(r)
	})
	if err := replace("ours"); code(err) != "objectstore.replaced" {
		t.Errorf("two at once: %v", err)
	}
	if got := content(t, g, "k"); string(got) != "theirs" {
		t.Errorf("holds %q", got)
	}
	f.set(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			return answer(r, http.StatusForbidden)
		}
		return next.RoundTrip(r)
	})
	if err := replace("refused"); code(err) != "objectstore.permission" || !strings.Contains(fmt.Sprint(err), "Cloud Storage refused") {
		t.Errorf("without the right: %v", err)
	}
}
