package pipeline

import (
	"context"
	"errors"
	"slices"

	"longitude/deid"
	"longitude/sinks"
	"longitude/study"
)

// visible reports whether a sink shows the release.
func (r *Releaser) visible(ctx context.Context, plan study.ReleasePlan) (bool, error) {
	for _, name := range sortedNames(r.Sinks) {
		attempt, err := r.Sinks[name].Begin(ctx, sinks.Release{Study: r.Study.Name, ID: plan.ID})
		if errors.Is(err, sinks.ErrPublished) {
			return true, nil
		}
		if err == nil {
			err = attempt.Abort(ctx)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// publish puts everything into one sink, the envelope last.
func (r *Releaser) publish(ctx context.Context, name string, plan study.ReleasePlan, files []deid.Artifact, envelope deid.Artifact, b *built) (study.Publication, error) {
	sink, release := r.Sinks[name], sinks.Release{Study: r.Study.Name, ID: plan.ID}
	p := study.Publication{Sink: name, Location: sink.Location(release), Envelope: envelope.Digest(), Claim: b.claim, Tables: len(b.released), Sizes: b.sizes()}
	for _, a := range files {
		p.Rows += a.Rows()
		p.Bytes += a.Size()
	}
	publication, err := sink.Begin(ctx, release)
	var there *sinks.Published
	if errors.As(err, &there) { // a crash came between the envelope and our record of it
		if there.Envelope != envelope.Digest() {
			return p, another(name, plan)
		}
		return p, nil
	}
	if err != nil {
		return p, err
	}
	for i, a := range files {
		if err := publication.Put(ctx, a); err != nil {
			return p, errors.Join(err, publication.Abort(context.WithoutCancel(ctx)))
		}
		study.Reached(study.PointMidPublish)
		r.Progress("publish to "+name, i+1, len(files)+1)
	}
	if err := publication.Commit(ctx, envelope); err != nil {
		return p, errors.Join(err, publication.Abort(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// another refuses to record as ours what has another envelope.
func another(sink string, plan study.ReleasePlan) error {
	return &study.Error{Code: "release.another", Op: "publishing " + plan.ID + ": " + sink + " shows a release of that name with another envelope", Exit: study.ExitBlocked,
		Hint: "another database published there, or the signing key changed after a crash: compare the two with `longitude release verify`; then publish under another location, or move that release away"}
}

func sortedNames(m map[string]sinks.Sink) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
