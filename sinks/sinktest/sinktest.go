// Package sinktest is the behaviour that every sink must show.
package sinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/deid"
	"longitude/sinks"
	"longitude/study"
)

// Readme fails when the table of config keys in the sink's README.md is not the one
// its config struct says; with -update it rewrites the table. The table is that of
// connectors.
func Readme(t *testing.T, spec sinks.Spec) {
	t.Helper()
	connectortest.Readme(t, connectors.Spec{Config: spec.Config})
}

// Harness is one kind of sink under test.
type Harness struct {
	// New gives a sink that publishes into a place of its own, and Again another
	// one that publishes into the same place, as the next process does.
	New   func(t *testing.T) sinks.Sink
	Again func(t *testing.T, s sinks.Sink) sinks.Sink
	// Visible is what a reader sees of a release: content by path, nil when the
	// release is not visible.
	Visible func(t *testing.T, s sinks.Sink, r sinks.Release) map[string][]byte
	// Crash ends an attempt as a killed process does: locks are gone, files stay.
	Crash func(t *testing.T, p sinks.Publication)

	// CreateOnly is a place where the program can create and read, and neither replace
	// nor delete, as in a bucket with an account that has no more rights. There
	// left-overs of an attempt stay under the names of the release: the same bytes are
	// taken over, and other bytes refuse the release for good, since who has them built
	// another release of that name. Two attempts may be made at once: they can only
	// create the same objects, and the pipeline's lock keeps two builders apart anyway.
	// A reader tells a release from left-overs by its envelope: Visible has to.
	CreateOnly bool
}

var release = sinks.Release{Study: "amd-obs-01", ID: "amd_obs_01_r001"}

// Run exercises a sink.
func Run(t *testing.T, h Harness) {
	for name, behaves := range map[string]func(*testing.T, Harness){
		"check":                       checks,
		"nothing before commit":       nothingBeforeCommit,
		"commit twice":                commitTwice,
		"begin after commit":          beginAfterCommit,
		"crash leaves nothing behind": crashLeavesNothing,
		"put twice":                   putTwice,
		"abort":                       aborts,
		"one attempt at a time":       oneAttempt,
		"paths stay inside":           pathsStayInside,
		"bytes are compared":          bytesAreCompared,
		"cancelled":                   cancelled,
		"two releases":                twoReleases,
	} {
		t.Run(name, func(t *testing.T) { behaves(t, h) })
	}
}

// Files are the artifacts of a small release; version makes their bytes differ.
func Files(t *testing.T, version string) (files []deid.Artifact, envelope deid.Artifact) {
	t.Helper()
	files = []deid.Artifact{
		part(t, "data/visits/part-00000.parquet", "rows "+version, t.TempDir()),
		Document(t, "datapackage.json", "{} "+version),
		Document(t, "reports/reconciliation.md", "balanced "+version),
		Document(t, "SHA256SUMS", "sums "+version),
	}
	return files, Document(t, "release.dsse.json", "signed "+version)
}

// Document is one file of a release.
func Document(t *testing.T, path, content string) deid.Artifact {
	t.Helper()
	a, err := deid.Document(path, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// part is an artifact whose bytes are in a file.
func part(t *testing.T, path, content, dir string) deid.Artifact {
	t.Helper()
	none := iter.Seq2[deid.Batch, error](func(func(deid.Batch, error) bool) {})
	a, err := deid.Encode(t.Context(), func(w io.Writer, _ *study.Table) (deid.Encoder, error) {
		_, err := io.WriteString(w, content)
		return nothing{}, err
	}, path, dir, &study.Table{Name: "visits"}, none)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type nothing struct{}

func (nothing) Write(*study.Batch) error { return nil }
func (nothing) Close() error             { return nil }

func begin(t *testing.T, s sinks.Sink, r sinks.Release) sinks.Publication {
	t.Helper()
	p, err := s.Begin(t.Context(), r)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	return p
}

func putAll(t *testing.T, p sinks.Publication, files []deid.Artifact) {
	t.Helper()
	for _, a := range files {
		if err := p.Put(t.Context(), a); err != nil {
			t.Fatalf("put %s: %v", a.Path(), err)
		}
	}
}

func publish(t *testing.T, s sinks.Sink, r sinks.Release, version string) {
	t.Helper()
	if err := attempt(t, s, r, version); err != nil {
		t.Fatalf("publishing: %v", err)
	}
}

// attempt publishes a release, or gives it up at the first error.
func attempt(t *testing.T, s sinks.Sink, r sinks.Release, version string) error {
	t.Helper()
	files, envelope := Files(t, version)
	p := begin(t, s, r)
	var err error
	for i := 0; i < len(files) && err == nil; i++ {
		err = p.Put(t.Context(), files[i])
	}
	if err == nil {
		err = p.Commit(t.Context(), envelope)
	}
	if err != nil {
		err = errors.Join(err, p.Abort(t.Context()))
	}
	return err
}

// takenUp publishes after an attempt with version 1 that left some files: in its
// place, with other bytes even; or where nothing can be replaced the same bytes only.
func takenUp(t *testing.T, h Harness, s sinks.Sink, left int) {
	t.Helper()
	if !h.CreateOnly {
		publish(t, s, release, "2")
		whole(t, h, s, release, "2")
		return
	}
	if left > 0 {
		err := attempt(t, s, release, "2")
		var e *study.Error
		if !errors.As(err, &e) || e.Code != "sink.conflict" || e.Exit != study.ExitBlocked || e.Hint == "" {
			t.Errorf("other bytes beside what is left answer %v", err)
		}
		invisible(t, h, s, "after other bytes were refused")
	}
	publish(t, s, release, "1")
	whole(t, h, s, release, "1")
}

// whole fails unless exactly the files of version are visible.
func whole(t *testing.T, h Harness, s sinks.Sink, r sinks.Release, version string) {
	t.Helper()
	files, envelope := Files(t, version)
	want := map[string][]byte{}
	for _, a := range append(files, envelope) {
		content, err := a.Open()
		if err != nil {
			t.Fatal(err)
		}
		want[a.Path()], err = io.ReadAll(content)
		if err := errors.Join(err, content.Close()); err != nil {
			t.Fatal(err)
		}
	}
	got := h.Visible(t, s, r)
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("visible are %d files, want the %d of version %s", len(got), len(want), version)
	}
}

func invisible(t *testing.T, h Harness, s sinks.Sink, when string) {
	t.Helper()
	if got := h.Visible(t, s, release); got != nil {
		t.Errorf("%s: %d files are visible", when, len(got))
	}
}

func refused(t *testing.T, what string, err error) {
	t.Helper()
	var e *study.Error
	if !errors.As(err, &e) || e.Code == "" {
		t.Errorf("%s: got %v, want an error with a code", what, err)
	}
}

func checks(t *testing.T, h Harness) {
	s := h.New(t)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if s.Location(release) == "" || s.Location(release) == s.Location(sinks.Release{Study: release.Study, ID: "other"}) {
		t.Error("a release has no location of its own")
	}
}

func nothingBeforeCommit(t *testing.T, h Harness) {
	s := h.New(t)
	files, envelope := Files(t, "1")
	p := begin(t, s, release)
	invisible(t, h, s, "after begin")
	for _, a := range files {
		putAll(t, p, []deid.Artifact{a})
		invisible(t, h, s, "after "+a.Path())
	}
	if err := p.Commit(t.Context(), envelope); err != nil {
		t.Fatal(err)
	}
	whole(t, h, s, release, "1")
}

func commitTwice(t *testing.T, h Harness) {
	s := h.New(t)
	files, envelope := Files(t, "1")
	p := begin(t, s, release)
	putAll(t, p, files)
	for range 2 {
		if err := p.Commit(t.Context(), envelope); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Abort(t.Context()); err != nil {
		t.Errorf("abort after commit: %v", err)
	}
	whole(t, h, s, release, "1")
}

func beginAfterCommit(t *testing.T, h Harness) {
	s := h.New(t)
	publish(t, s, release, "1")
	_, envelope := Files(t, "1")
	for _, s := range []sinks.Sink{s, h.Again(t, s)} {
		_, err := s.Begin(t.Context(), release)
		var there *sinks.Published
		if !errors.Is(err, sinks.ErrPublished) || !errors.As(err, &there) || there.Envelope != envelope.Digest() {
			t.Errorf("begin after commit answers %v", err)
		}
		whole(t, h, s, release, "1")
	}
}

// crashLeavesNothing crashes after each artifact; the next attempt gives a whole
// release of its own.
func crashLeavesNothing(t *testing.T, h Harness) {
	for after := range 5 {
		s := h.New(t)
		files, _ := Files(t, "1")
		p := begin(t, s, release)
		putAll(t, p, files[:min(after, len(files))])
		h.Crash(t, p)
		again := h.Again(t, s)
		invisible(t, h, again, fmt.Sprintf("crash after %d files", after))
		takenUp(t, h, again, after)
	}
}

func putTwice(t *testing.T, h Harness) {
	s := h.New(t)
	files, envelope := Files(t, "1")
	others, _ := Files(t, "2")
	p := begin(t, s, release)
	putAll(t, p, files)
	putAll(t, p, files)
	for _, a := range others {
		refused(t, "other bytes for "+a.Path(), p.Put(t.Context(), a))
	}
	if err := p.Commit(t.Context(), envelope); err != nil {
		t.Fatal(err)
	}
	whole(t, h, s, release, "1")
}

func aborts(t *testing.T, h Harness) {
	s := h.New(t)
	files, envelope := Files(t, "1")
	p := begin(t, s, release)
	putAll(t, p, files)
	for range 2 {
		if err := p.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, "commit after abort", p.Commit(t.Context(), envelope))
	invisible(t, h, s, "after abort")
	if h.CreateOnly {
		return // how many files were on their way is not known: a crash is checked with each number
	}
	takenUp(t, h, s, len(files))
}

func oneAttempt(t *testing.T, h Harness) {
	s := h.New(t)
	if h.CreateOnly {
		sameAtOnce(t, h, s)
		return
	}
	p := begin(t, s, release)
	_, err := h.Again(t, s).Begin(t.Context(), release)
	refused(t, "a second attempt", err)
	if !study.IsTemporary(err) {
		t.Error("a second attempt may not be tried again")
	}
	if err := p.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, h.Again(t, s), release, "1")
}

// sameAtOnce makes two attempts at once that put the same, and one between them
// that does not.
func sameAtOnce(t *testing.T, h Harness, s sinks.Sink) {
	files, envelope := Files(t, "1")
	first, second := begin(t, s, release), begin(t, h.Again(t, s), release)
	for _, a := range files {
		putAll(t, first, []deid.Artifact{a})
		putAll(t, second, []deid.Artifact{a})
	}
	other := begin(t, h.Again(t, s), release)
	for _, p := range []sinks.Publication{first, second} {
		if err := p.Commit(t.Context(), envelope); err != nil {
			t.Error(err)
		}
		whole(t, h, s, release, "1")
	}
	others, forged := Files(t, "2")
	var err error
	for i := 0; i < len(others) && err == nil; i++ {
		err = other.Put(t.Context(), others[i])
	}
	if err == nil {
		err = other.Commit(t.Context(), forged)
	}
	refused(t, "other bytes of an attempt that began before", err)
	if err := other.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	whole(t, h, s, release, "1")
}

func pathsStayInside(t *testing.T, h Harness) {
	s := h.New(t)
	for _, r := range []sinks.Release{{Study: "../up", ID: "r001"}, {Study: "amd", ID: "../../up"}, {Study: "amd", ID: ""}, {Study: "", ID: "r001"}, {Study: "amd", ID: ".staging"}} {
		_, err := s.Begin(t.Context(), r)
		refused(t, fmt.Sprintf("release %q", r), err)
	}
	p := begin(t, s, release)
	refused(t, "the envelope as a file", p.Put(t.Context(), Document(t, "release.dsse.json", "too early")))
	refused(t, "a file as the envelope", p.Commit(t.Context(), Document(t, "README.md", "no envelope")))
	invisible(t, h, s, "after a commit without envelope")
	if err := p.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

// bytesAreCompared changes a part after it was built and hashed.
func bytesAreCompared(t *testing.T, h Harness) {
	s := h.New(t)
	dir := t.TempDir()
	a := part(t, "data/visits/part-00000.parquet", "as built", dir)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatal("the part is not one file of its own")
	}
	if err := os.WriteFile(files[0], []byte("tampered"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := begin(t, s, release)
	refused(t, "a part that changed", p.Put(t.Context(), a))
	if err := p.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

func cancelled(t *testing.T, h Harness) {
	s := h.New(t)
	files, envelope := Files(t, "1")
	p := begin(t, s, release)
	putAll(t, p, files[1:])
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Put(ctx, files[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("put answers %v", err)
	}
	if err := p.Commit(ctx, envelope); !errors.Is(err, context.Canceled) {
		t.Errorf("commit answers %v", err)
	}
	invisible(t, h, s, "after cancelled calls")
	putAll(t, p, files)
	if err := p.Commit(t.Context(), envelope); err != nil {
		t.Fatal(err)
	}
	whole(t, h, s, release, "1")
}

func twoReleases(t *testing.T, h Harness) {
	s := h.New(t)
	second := sinks.Release{Study: release.Study, ID: "amd_obs_01_r002"}
	other := sinks.Release{Study: "other", ID: "other_r001"}
	publish(t, s, release, "1")
	publish(t, s, second, "2")
	publish(t, s, other, "3")
	whole(t, h, s, release, "1")
	whole(t, h, s, second, "2")
	whole(t, h, s, other, "3")
}
