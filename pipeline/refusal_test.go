package pipeline

import (
	"context"
	"crypto/rand"
	"testing"

	"longitude/deid"
	"longitude/study"
)

// oneKey is a key provider that has one key for everything.
type oneKey struct{}

func (oneKey) Derive(_, _, _ string) (deid.Key, error) { return deid.NewKey([32]byte{1}), nil }
func (oneKey) DeriveVersion(_, _, _ string, _ int) (deid.Key, error) {
	return deid.NewKey([32]byte{1}), nil
}
func (oneKey) Newest(string) (int, error) { return 1, nil }

// quarantined is an Ingest that keeps what is quarantined.
type quarantined struct {
	Ingest
	items []study.SealedRejection
}

func (q *quarantined) Quarantine(_ context.Context, _ string, r []study.SealedRejection) error {
	q.items = append(q.items, r...)
	return nil
}

// A record that the policy refuses is a row of its own in quarantine, whoever
// else gave the same answers; the same row again is recognised.
func TestRefusedRecordsAreToldApart(t *testing.T) {
	s := &study.Study{Name: "s", CodePrefix: "S", Timezone: "UTC", Forms: []study.Form{{Name: "acuity"}}}
	intake, err := deid.NewIntake(s, &study.Source{}, oneKey{}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := study.ParsePartialDate("2026-01-26")
	other, _ := study.ParsePartialDate("2026-01-27")
	base := study.Record{Participant: 1, Occurrence: "R", Hash: [16]byte{7}, Visit: study.VisitRef{Key: "month_1", Actual: first}}
	with := func(change func(*study.Record)) study.Record {
		r := base
		change(&r)
		return r
	}
	news := []study.Record{
		base,
		with(func(r *study.Record) { r.Participant = 2 }),
		with(func(r *study.Record) { r.Occurrence = "L" }),
		with(func(r *study.Record) { r.Visit.Key = "month_3" }),
		with(func(r *study.Record) { r.Visit.Actual = other }),
		with(func(r *study.Record) { r.Hash = [16]byte{8} }),
		with(func(r *study.Record) { r.Ordinal, r.Line = 9, 9 }),
	}
	verdict := study.Judgement{Blocked: make([]string, len(news))}
	for i := range verdict.Blocked {
		verdict.Blocked[i] = study.VisitOutOfWindow
	}
	tx := &quarantined{}
	j := &judging{reading: &reading{feed: &Feed{Study: s, Config: &study.Source{}, Intake: intake}, tx: tx, tree: study.NewBatchTree(study.Digest{}), forms: formDigests(s)}}
	if err := j.refuseBlocked(t.Context(), news, len(news), &verdict); err != nil {
		t.Fatal(err)
	}
	seen := map[study.Digest]int{}
	for i, r := range tx.items {
		if before, again := seen[r.Item]; again && (before != 0 || i != len(news)-1) {
			t.Errorf("record %d is taken for record %d", i, before)
		}
		seen[r.Item] = i
	}
	if len(seen) != len(news)-1 {
		t.Errorf("%d of %d refused records are told apart", len(seen), len(news)-1)
	}
}
