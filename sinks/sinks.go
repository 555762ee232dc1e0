// Package sinks publishes releases. All or none of a release becomes visible,
// per sink; publishing twice is a no-op; a crash at any point is resolved by
// running again. A new sink is one new folder and one line in sinks/all.
package sinks

import (
	"context"
	"errors"
	"regexp"

	"longitude/deid"
	"longitude/study"
)

// Envelope is the file of a release that is written last: without it a folder, or
// what is below a prefix, is no release.
const Envelope = "release.dsse.json"

// Current is what leads to the newest release of a study.
const Current = "current"

// ErrPublished is what Begin answers for a release that is visible already: it is
// a *Published.
var ErrPublished = errors.New("the release is already published")

// Published says which release it is that is visible already.
type Published struct {
	Envelope study.Digest // SHA-256 of the envelope that is there
}

func (*Published) Error() string        { return ErrPublished.Error() }
func (*Published) Is(target error) bool { return target == ErrPublished }

// Runtime is what the program supplies to a sink.
type Runtime struct {
	DataDir string // the service's data_dir
}

// Spec is one entry of the list of sinks, named as in releases.to: typed inside,
// erased here once.
type Spec struct {
	Type string
	Doc  string
	// Config returns a pointer to a new config struct holding the defaults; the
	// caller decodes service.sinks.<type> into it strictly and calls Open with it.
	Config func() any
	// Validate reports every finding in a decoded config at once.
	Validate func(config any) []Finding
	// Open makes a Sink. It does not reach out: Check and Begin do. A Sink may be used
	// from several goroutines.
	Open func(config any, rt Runtime) (Sink, error)

	// Scheme begins the locations that Fetch reads, such as "gs://"; "" where a
	// location is a path that needs no fetching.
	Scheme string
	// Fetch copies those files of a published release that are wanted into an empty
	// folder, under their paths in the release.
	Fetch func(ctx context.Context, location, folder string, wanted func(path string) bool) error
}

// Finding is one mistake in a sink's config: the YAML key it is about (dotted),
// what is wrong and what to do.
type Finding struct{ Key, Message, Hint string }

// Define makes a Spec of a sink's own config type C.
func Define[C any](typ, doc string, validate func(C) []Finding, open func(C, Runtime) (Sink, error)) Spec {
	return Spec{
		Type: typ, Doc: doc,
		Config:   func() any { return new(C) },
		Validate: func(c any) []Finding { return validate(*c.(*C)) },
		Open:     func(c any, rt Runtime) (Sink, error) { return open(*c.(*C), rt) },
	}
}

// Sink is one place where releases are published.
type Sink interface {
	// Check reaches the place and reports whether a release could be written.
	Check(ctx context.Context) error
	// Begin opens a hidden attempt for the release. Left-overs of an earlier
	// attempt at the same release are taken over or cleared.
	// It answers ErrPublished when the release is already visible.
	Begin(ctx context.Context, release Release) (Publication, error)
	// Location says where readers find the release ("file:///…").
	Location(release Release) string
}

// Publication is one attempt at publishing one release, for one goroutine.
// Nothing of it is visible before Commit.
type Publication interface {
	// Put writes one artifact under its path. Putting the same path with other
	// bytes is an error; with the same bytes a no-op. The bytes may be on their way
	// when it returns: that they failed is told by a later Put, or by Commit.
	Put(ctx context.Context, a deid.Artifact) error
	// Commit writes the envelope last and makes the release visible at once,
	// then durable. Committing twice is a no-op.
	Commit(ctx context.Context, envelope deid.Artifact) error
	// Abort forgets the attempt; what became visible stays.
	Abort(ctx context.Context) error
}

// Release names what is published.
type Release struct {
	Study string
	ID    string // <study>_r<NNN>
}

var name = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// Valid refuses what could not be a folder of its own below that of its study.
func (r Release) Valid() error {
	if name.MatchString(r.Study) && name.MatchString(r.ID) && r.ID != Current {
		return nil
	}
	return &study.Error{Code: "sink.name", Op: "publishing a release: its name or its study's is no folder name", Exit: study.ExitUsage,
		Hint: "names are lower-case letters, digits, '-' and '_'"}
}

// Before orders release ids of one study: their number grows, and with it, after
// r999, their length.
func Before(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}
