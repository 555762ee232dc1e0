// Package sinks publishes releases. All or none of a release becomes visible,
// per sink; publishing twice is a no-op; a crash at any point is resolved by
// running again. A new sink is one new folder and one line in sinks/all.
package sinks

import (
	"context"
	"errors"

	"longitude/deid"
)

// ErrPublished is Begin's answer for a release that is visible already.
var ErrPublished = errors.New("the release is already published")

// Runtime is what the program supplies to a sink.
type Runtime struct {
	DataDir string // the service's data_dir
}

// Spec is one entry of the list of sinks, named as in releases.to.
type Spec struct {
	Type string
	Doc  string
	// Open makes a Sink. It does not reach out: Check and Begin do.
	Open func(rt Runtime) (Sink, error)
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

// Publication is one attempt at publishing one release. Nothing of it is
// visible before Commit.
type Publication interface {
	// Put writes one artifact under its path. Putting the same path with other
	// bytes is an error; with the same bytes a no-op.
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
