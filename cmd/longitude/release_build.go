package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"strconv"

	"longitude/deid"
	"longitude/internal/columnar"
	"longitude/internal/postgres"
	"longitude/internal/release"
	"longitude/pipeline"
	"longitude/study"
	"longitude/transform"
)

// releaser makes a study ready for a release.
func (h *house) releaser(ctx context.Context, s *study.Study) (*pipeline.Releaser, error) {
	in, err := h.store.Series(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	recipient, err := h.recipient(s, in)
	if err != nil {
		return nil, err
	}
	if err := h.signedTexts(ctx, s, recipient); err != nil {
		return nil, err
	}
	targets, err := h.sinks(s)
	if err != nil {
		return nil, err
	}
	return &pipeline.Releaser{Study: s, Policy: mapped(policy(in), h.sourcesOf(s)), Store: storage{h.store}, Rules: transform.NewRules(s), Recipient: recipient,
		Book: func(plan study.ReleasePlan) (pipeline.Book, error) { return h.book(ctx, s, in.Name, plan) },
		Urgent: func(ctx context.Context, plan study.ReleasePlan) (bool, error) {
			by, err := h.signedBy(ctx, urgentRecord(plan))
			return by != "", err
		},
		Format: &columnar.Format{}, Sinks: targets, Observer: h.observer, Log: h.a.log, Now: h.now, TempDir: h.temp(),
		Progress: func(stage string, done, total int) {
			if done == total || done%16 == 0 {
				h.a.progress("%s: %s %d of %d", s.Name, stage, done, total)
			}
		}}, h.writePolicy(s)
}

// recipient is the view of those who get the releases of a series.
func (h *house) recipient(s *study.Study, in postgres.Series) (*deid.Recipient, error) {
	return deid.NewRecipient(s, in.Name, deid.At(h.ring, in.KeyVersion))
}

// policy identifies everything besides data and protocol that shapes a
// release's bytes.
func policy(in postgres.Series) study.Digest {
	return sha256.Sum256([]byte(in.Name + "|" + strconv.Itoa(in.KeyVersion) + "|" + columnar.Writer + "|" + fullVersion()))
}

// book is one release on its way: the builder of its rows and the writer of its
// documents, over the same plan.
type book struct {
	*release.Builder
	h     *house
	study *study.Study
	plan  release.Plan
}

func (h *house) book(ctx context.Context, s *study.Study, series string, plan study.ReleasePlan) (*book, error) {
	p := release.Plan{ReleasePlan: plan, Series: series, Digests: map[string]string{"study": s.Digest.String()}, Sources: h.sourcesOf(s)}
	for mapping, digest := range plan.Mappings {
		p.Digests["mapping:"+mapping] = digest
	}
	if plan.PreviousLocation != "" {
		places, err := h.store.Places(ctx, plan.Previous)
		if err != nil {
			return nil, err
		}
		dir, clear, err := fetched(ctx, cmp.Or(nearest(places), plan.PreviousLocation), h.temp(), release.ReadsBefore)
		if err != nil {
			return nil, err
		}
		defer clear()
		if p.Before, err = release.ReadBefore(ctx, dir); err != nil {
			return nil, err
		}
	}
	return &book{Builder: release.NewBuilder(s, p), h: h, study: s, plan: p}, nil
}

func (b *book) Unaccounted() int64 { return b.Tally().Unaccounted() }

func (b *book) Judge(ctx context.Context, recipient *deid.Recipient) error {
	var err error
	b.plan.Risk, err = b.Builder.Judge(ctx, recipient, func(ctx context.Context, digest study.Digest) (string, error) {
		return b.h.signedBy(ctx, waiverRecord(b.plan.ReleasePlan, digest))
	})
	return err
}

func (b *book) Documents(released []*study.Table, report deid.Report, parts map[string][]deid.Artifact) ([]deid.Artifact, error) {
	b.plan.Claim, b.plan.Tally, b.plan.Deid, b.plan.Identity = report.Claim, b.Tally(), &report, b.Identity()
	return release.Documents(b.plan, b.study, released, parts)
}

func (b *book) Envelope(claim string, documents, parts []deid.Artifact) (deid.Artifact, error) {
	keyID, signer, err := b.h.ring.Signer(b.study.Name)
	if err != nil {
		return deid.Artifact{}, err
	}
	b.plan.Claim = claim
	return release.Envelope(b.plan, documents, parts, signer, keyID, b.plan.PlannedAt)
}
