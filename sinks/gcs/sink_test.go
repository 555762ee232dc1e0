package gcs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"longitude/sinks"
	"longitude/sinks/sinktest"
	"longitude/study"
)

func TestReadme(t *testing.T) { sinktest.Readme(t, Spec()) }

var r001 = sinks.Release{Study: "amd", ID: "amd_r001"}

func TestBehaviour(t *testing.T) {
	buckets := map[*Sink]*bucket{}
	sinktest.Run(t, sinktest.Harness{
		CreateOnly: true,
		New: func(t *testing.T) sinks.Sink {
			b := newBucket(t)
			s := b.sink()
			buckets[s] = b
			return s
		},
		Again: func(_ *testing.T, s sinks.Sink) sinks.Sink {
			b := buckets[s.(*Sink)]
			again := b.sink()
			buckets[again] = b
			return again
		},
		Visible: func(_ *testing.T, s sinks.Sink, r sinks.Release) map[string][]byte {
			return buckets[s.(*Sink)].visible(r)
		},
		Crash: func(_ *testing.T, p sinks.Publication) { _ = p.(*publication).uploads.wait() }, // what was put is there
	})
}

// publish publishes the small release of sinktest under an id.
func publish(ctx context.Context, t *testing.T, s *Sink, r sinks.Release) error {
	t.Helper()
	files, envelope := sinktest.Files(t, r.ID)
	p, err := s.Begin(ctx, r)
	if err != nil {
		return err
	}
	for i := 0; i < len(files) && err == nil; i++ {
		err = p.Put(ctx, files[i])
	}
	if err == nil {
		err = p.Commit(ctx, envelope)
	}
	if err != nil {
		err = errors.Join(err, p.Abort(ctx))
	}
	return err
}

func code(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// TestObjects: what the bucket tells of an object helps those who read it, and says
// nothing of the study but the release's name.
func TestObjects(t *testing.T) {
	b := newBucket(t)
	if err := publish(t.Context(), t, b.sink(), r001); err != nil {
		t.Fatal(err)
	}
	files, envelope := sinktest.Files(t, r001.ID)
	for path, kind := range map[string]string{"data/visits/part-00000.parquet": "application/vnd.apache.parquet", "datapackage.json": "application/json",
		"reports/reconciliation.md": "text/markdown; charset=utf-8", "SHA256SUMS": "text/plain; charset=utf-8", sinks.Envelope: "application/json"} {
		o, err := b.server.GetObject("releases", prefix+folder(r001)+"/"+path)
		if err != nil {
			t.Fatal(err)
		}
		digest := ""
		for _, a := range append(files, envelope) {
			if a.Path() == path {
				digest = a.Digest().String()
			}
		}
		if o.ContentType != kind || o.CacheControl != "private" || o.Metadata["sha256"] != digest || o.Metadata["release"] != r001.ID || o.Metadata["longitude-upload"] == "" || len(o.Metadata) != 3 {
			t.Errorf("%s: %s, %s, %v", path, o.ContentType, o.CacheControl, o.Metadata)
		}
	}
	if last := b.calls[len(b.calls)-1]; last != "create amd/current/000001" {
		t.Errorf("the last call is %s", last)
	}
	if at := slices.Index(b.calls, "create "+folder(r001)+"/"+sinks.Envelope); at < slices.Index(b.calls, "create "+folder(r001)+"/SHA256SUMS") {
		t.Error("the envelope is not the last object of the release")
	}
}

// TestCurrent: current follows the newest release, also past r999, never goes back,
// and is put right by the next run when a crash came between envelope and pointer.
func TestCurrent(t *testing.T) {
	b := newBucket(t)
	for _, step := range []struct{ publish, current string }{
		{"amd_r002", "amd_r002"}, {"amd_r001", "amd_r002"}, {"amd_r999", "amd_r999"}, {"amd_r1000", "amd_r1000"}, {"amd_r998", "amd_r1000"},
	} {
		if err := publish(t.Context(), t, b.sink(), sinks.Release{Study: "amd", ID: step.publish}); err != nil {
			t.Fatal(err)
		}
		if at := b.current("amd"); at != step.current {
			t.Errorf("after %s current is %s, want %s", step.publish, at, step.current)
		}
	}
	if err := b.server.Backend().DeleteObject("releases", prefix+"amd/current/000003"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.sink().Begin(t.Context(), sinks.Release{Study: "amd", ID: "amd_r1000"}); !errors.Is(err, sinks.ErrPublished) {
		t.Fatal(err)
	}
	if at := b.current("amd"); at != "amd_r1000" {
		t.Errorf("current is %s after the next run", at)
	}
	b.has("amd/current/000004", "Jane Doe, born 1951")
	if _, err := b.sink().Begin(t.Context(), sinks.Release{Study: "amd", ID: "amd_r1000"}); code(err) != "sink.pointer" || strings.Contains(err.Error(), "Jane") {
		t.Errorf("a pointer that is none: %v", err)
	}
}

// TestManyMoveCurrent: whoever moves current at the same time, it ends at the
// newest release and each number names one no older than the number before.
func TestManyMoveCurrent(t *testing.T) {
	b := newBucket(t)
	store, err := b.sink().store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var movers sync.WaitGroup
	for n := range 8 {
		movers.Go(func() {
			if err := point(t.Context(), store, sinks.Release{Study: "amd", ID: fmt.Sprintf("amd_r%03d", n+1)}); err != nil {
				t.Error(err)
			}
		})
	}
	movers.Wait()
	if at := b.current("amd"); at != "amd_r008" {
		t.Errorf("current is %s", at)
	}
	pointers := b.objects("amd/current")
	for n := 2; n <= len(pointers); n++ {
		if before, at := string(pointers[fmt.Sprintf("%06d", n-1)]), string(pointers[fmt.Sprintf("%06d", n)]); before >= at {
			t.Errorf("current went from %s to %s", before, at)
		}
	}
}

// TestForeignObjects: what is below the release's prefix and not of the release
// refuses it, since verification would.
func TestForeignObjects(t *testing.T) {
	for _, c := range []struct{ name, content, code string }{
		{"data/visits/part-00001.parquet", "more rows", "sink.conflict"},
		{"SHA256SUMS", "other sums", "sink.conflict"},
		{"SHA256SUMS", "sums amd_r001", "sink.conflict"}, // the same bytes, but nobody says their digest
		{"data/", "", ""}, // the placeholder of a folder
	} {
		b := newBucket(t)
		b.has(folder(r001)+"/"+c.name, c.content)
		err := publish(t.Context(), t, b.sink(), r001)
		if code(err) != c.code || err != nil && !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v", c.name, err)
		}
		if seen := b.visible(r001) != nil; seen != (c.code == "") {
			t.Errorf("%s: visible is %t", c.name, seen)
		}
	}
}

// TestUploadsAreBounded holds every upload until as many are under way as may be.
func TestUploadsAreBounded(t *testing.T) {
	b := newBucket(t)
	full, once := make(chan struct{}), sync.Once{}
	b.fault = func(call string, _ *http.Request) action {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.busy == atOnce {
			once.Do(func() { close(full) })
		}
		if strings.HasPrefix(call, "create "+folder(r001)+"/") && !strings.HasSuffix(call, sinks.Envelope) {
			return func(r *http.Request, forward func(*http.Request) (*http.Response, error)) (*http.Response, error) {
				<-full
				return forward(r)
			}
		}
		return nil
	}
	p, err := b.sink().Begin(t.Context(), r001)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if err := p.Put(t.Context(), sinktest.Document(t, fmt.Sprintf("reports/%c.md", 'a'+n), "text")); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Commit(t.Context(), sinktest.Document(t, sinks.Envelope, "signed")); err != nil {
		t.Fatal(err)
	}
	if b.peak != atOnce || len(b.visible(r001)) != 21 {
		t.Errorf("%d uploads at once, %d objects", b.peak, len(b.visible(r001)))
	}
}

func TestCheck(t *testing.T) {
	b := newBucket(t)
	if err := b.sink().Check(t.Context()); err != nil || len(b.objects("")) != 0 {
		t.Errorf("%v", err)
	}
	b.may = enough[1:]
	if err := b.sink().Check(t.Context()); code(err) != "objectstore.permission" {
		t.Errorf("without the right to create: %v", err)
	}
	nowhere := b.sink()
	nowhere.location = "gs://nowhere"
	if err := nowhere.Check(t.Context()); code(err) != "objectstore.bucket" {
		t.Errorf("no such bucket: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for location, good := range map[string]bool{"gs://releases": true, "gs://releases/": true, "gs://releases/eye/2026": true, "": false, "gs://": false, "gs://B": false,
		"gs://releases/../x": false, "gs://releases//x": false, "gs://releases/.x": false, "file:/srv": false, "releases/eye": false} {
		found := validate(Config{Location: location})
		if (len(found) == 0) != good || !good && (found[0].Key != "location" || found[0].Hint == "") {
			t.Errorf("%q: %v", location, found)
		}
		if _, err := Spec().Open(&Config{Location: location}, sinks.Runtime{}); (err == nil) != good {
			t.Errorf("%q opens with %v", location, err)
		}
	}
}
