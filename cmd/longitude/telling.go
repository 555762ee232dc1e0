package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"longitude/internal/openlineage"
	"longitude/internal/release"
	"longitude/study"
)

// tellEvery is how long an OpenLineage event waits while the service runs.
const tellEvery = time.Second

// tells has OpenLineage events of runs recorded with the runs, and delivered when
// the command ends: also those that a command before it left.
func (h *house) tells(ctx context.Context) {
	target := h.cfg.Service.OpenLineage
	h.closers = append(h.closers, func() {
		study.Reached(study.PointBeforeDelivery)
		if target == "" {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.store.Deliver(ctx, openlineage.Open(target).Deliver); err != nil {
			h.a.progress("lineage: %s [%s]; events wait until they are taken", err, codeOf(err))
		}
	})
	if target == "" {
		return
	}
	t := &openlineage.Teller{Software: software(), Invocation: newUUID(), Command: h.a.command}
	for _, s := range h.cfg.Studies {
		d := openlineage.Described{Study: s, Sources: h.sourcesOf(s), Tables: h.releasedTables(ctx, s)}
		t.Studies = append(t.Studies, d)
	}
	h.store.TellRuns(t.Tell)
}

// sourcesOf are the sources of a study, in the order of their documents.
func (h *house) sourcesOf(s *study.Study) (out []*study.Source) {
	for _, src := range h.cfg.Sources {
		if src.Study == s.Name {
			out = append(out, &src.Source)
		}
	}
	return out
}

// releasedTables describes the tables of a study after door 2; nil where it may
// not be released as it is written, which building a release says.
func (h *house) releasedTables(ctx context.Context, s *study.Study) (out []*study.Table) {
	in, err := h.store.Series(ctx, s.Name)
	if err != nil {
		return nil
	}
	r, err := h.recipient(s, in)
	if err != nil {
		return nil
	}
	for _, t := range release.Tables(s) {
		released, err := r.Project(t)
		if err != nil {
			return nil
		}
		out = append(out, released)
	}
	return out
}

// newUUID is a random UUID (version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// telling delivers events until ctx ends. A failure is logged once, until it is over.
func (h *house) telling(ctx context.Context) {
	if h.cfg.Service.OpenLineage == "" {
		return
	}
	receiver, failed := openlineage.Open(h.cfg.Service.OpenLineage), false
	for sleep(ctx, tellEvery) == nil {
		err := h.store.Deliver(ctx, receiver.Deliver)
		if err != nil && !failed && ctx.Err() == nil {
			h.a.log.Error("lineage events are not taken", "code", codeOf(err))
		}
		failed = err != nil
	}
}

// mapped is a release policy with the mappings of today, which the release tells
// of: another mapping is another release.
func mapped(policy study.Digest, sources []*study.Source) study.Digest {
	all := sha256.New()
	all.Write(policy[:])
	for _, src := range sources {
		all.Write(src.Digest[:])
	}
	return study.Digest(all.Sum(nil))
}
