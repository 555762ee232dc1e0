package gcs

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longitude/sinks"
)

// serve lets the program find the bucket by its environment.
func (b *bucket) serve() {
	b.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res, err := b.RoundTrip(r)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), res.Header)
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	}))
	b.t.Cleanup(server.Close)
	b.t.Setenv("STORAGE_EMULATOR_HOST", server.URL)
}

// filesOf is the content of a folder, by path.
func filesOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		at, err := filepath.Rel(dir, name)
		if err == nil {
			out[filepath.ToSlash(at)], err = os.ReadFile(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFetch(t *testing.T) {
	b := newBucket(t)
	b.serve()
	for _, r := range []sinks.Release{r001, r002} {
		if err := publish(t.Context(), t, b.sink(), r); err != nil {
			t.Fatal(err)
		}
	}
	b.has(folder(r002)+"/data/", "") // the placeholder of a folder
	for location, r := range map[string]sinks.Release{
		b.sink().Location(r001): r001, b.sink().Location(r002) + "/": r002, "gs://releases/eye/amd/current": r002,
	} {
		dir := t.TempDir()
		if err := Spec().Fetch(t.Context(), location, dir, nil); err != nil {
			t.Fatal(err)
		}
		want := b.visible(r)
		delete(want, "data/")
		if !maps.EqualFunc(filesOf(t, dir), want, bytes.Equal) {
			t.Errorf("%s gives %q", location, slices.Sorted(maps.Keys(filesOf(t, dir))))
		}
	}
	dir := t.TempDir()
	err := Spec().Fetch(t.Context(), b.sink().Location(r001), dir, func(path string) bool { return strings.HasPrefix(path, "data/") })
	if got := slices.Sorted(maps.Keys(filesOf(t, dir))); err != nil || !slices.Equal(got, []string{"data/visits/part-00000.parquet"}) {
		t.Errorf("what is wanted: %q, %v", got, err)
	}
}

func TestFetchRefusals(t *testing.T) {
	t.Run("location", func(t *testing.T) {
		for _, location := range []string{"gs://", "gs://releases", "gs://releases/", "gs://releases/../amd_r001"} {
			if err := Spec().Fetch(t.Context(), location, t.TempDir(), nil); code(err) != "sink.location" {
				t.Errorf("%s: %v", location, err)
			}
		}
	})
	for name, c := range map[string]struct {
		do   func(b *bucket)
		code string
	}{
		"nothing there":    {func(*bucket) {}, "sink.no_release"},
		"not published":    {func(b *bucket) { b.has(folder(r001)+"/SHA256SUMS", "sums") }, "sink.no_release"},
		"leads elsewhere":  {func(b *bucket) { b.release(); b.has(folder(r001)+"/../../Jane", "x") }, "sink.foreign"},
		"hidden":           {func(b *bucket) { b.release(); b.has(folder(r001)+"/data/.Jane", "x") }, "sink.foreign"},
		"a file a folder":  {func(b *bucket) { b.release(); b.has(folder(r001)+"/SHA256SUMS/x", "x") }, "sink.unwritable"},
		"other bytes come": {func(b *bucket) { b.release(); b.fault = flip }, "sink.garbled"},
		"may not be read":  {func(b *bucket) { b.release(); b.fault = closed }, "objectstore.permission"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBucket(t)
			b.serve()
			c.do(b)
			err := Spec().Fetch(t.Context(), b.sink().Location(r001), t.TempDir(), nil)
			if code(err) != c.code || strings.Contains(err.Error(), "Jane") {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("no folder", func(t *testing.T) {
		b := newBucket(t)
		b.serve()
		b.release()
		if err := Spec().Fetch(t.Context(), b.sink().Location(r001), filepath.Join(t.TempDir(), "none"), nil); code(err) != "sink.unwritable" {
			t.Errorf("%v", err)
		}
	})
	t.Run("current without any", func(t *testing.T) {
		newBucket(t).serve()
		if err := Spec().Fetch(t.Context(), "gs://releases/eye/amd/current", t.TempDir(), nil); code(err) != "sink.no_release" {
			t.Errorf("%v", err)
		}
	})
}

func (b *bucket) release() {
	b.t.Helper()
	if err := publish(b.t.Context(), b.t, b.sink(), r001); err != nil {
		b.t.Fatal(err)
	}
}

// flip changes a byte of what is downloaded.
func flip(call string, _ *http.Request) action {
	if !strings.HasPrefix(call, "read ") {
		return nil
	}
	return func(r *http.Request, forward forwarding) (*http.Response, error) {
		res, err := forward(r)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(res.Body)
		body[0] ^= 1
		res.Header.Del("X-Goog-Hash") // the client would notice by itself
		res.Body = io.NopCloser(bytes.NewReader(body))
		return res, err
	}
}

// closed refuses every download.
func closed(call string, _ *http.Request) action {
	if !strings.HasPrefix(call, "read ") {
		return nil
	}
	return instead(http.StatusForbidden, "not granted")
}
