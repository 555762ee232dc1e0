package pipeline

import (
	"context"

	"longitude/study"
	"longitude/transform"
)

// Layout takes judged participants as a Book does.
type Layout interface {
	Add(p study.Participant, v *study.Judgement, records []study.CurrentRecord) error
	Take() []*study.Batch
}

// Laid answers the rows of one participant as the release of the snapshot has
// them, before door 2, and how the participant was judged for it.
func Laid(ctx context.Context, s Snapshot, rules *transform.Rules, l Layout, participant int64, asOf study.Date) ([]*study.Batch, study.Judgement, error) {
	histories, records, err := s.Read(ctx, []int64{participant})
	if err != nil {
		return nil, study.Judgement{}, err
	}
	verdict := judge(rules, &histories[0], nil, asOf)
	if err := l.Add(verdict.Participant, &verdict, records[0]); err != nil {
		return nil, verdict, err
	}
	return l.Take(), verdict, nil
}
