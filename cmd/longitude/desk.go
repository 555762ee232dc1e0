package main

import (
	"context"

	"longitude/internal/decision"
	"longitude/internal/status"
	"longitude/study"
)

// desk takes decisions while the service runs. What is to be read again after one
// waits its turn among the requests.
type desk struct{ s *service }

func (d desk) Explain(ctx context.Context, deviation int64, why decision.Why) (status.DecisionItem, error) {
	if err := d.s.h.current(ctx); err != nil {
		return status.DecisionItem{}, err
	}
	return d.s.h.explain(ctx, deviation, why)
}

func (d desk) Waive(ctx context.Context, row int64, why decision.Why) (status.DecisionItem, error) {
	return d.s.h.waive(ctx, row, why)
}

func (d desk) Lock(ctx context.Context, studyName, visit, code string, why decision.Why) (status.DecisionItem, error) {
	s, err := d.study(studyName)
	if err != nil {
		return status.DecisionItem{}, err
	}
	return d.s.h.lock(ctx, s.Name, visit, code, why)
}

func (d desk) Unlock(ctx context.Context, lock int64, why decision.Why) (status.DecisionItem, error) {
	item, err := d.s.h.unlock(ctx, lock, why)
	if err != nil {
		return item, err
	}
	return item, d.s.ask(request{"replay", item.Study, func(ctx context.Context) error {
		objects, err := d.s.h.refusedByLock(ctx, item.Study)
		if err != nil {
			return err
		}
		return d.read(ctx, objects, item.By)
	}})
}

func (d desk) Recalculate(ctx context.Context, studyName, code, actor string) (int64, error) {
	s, err := d.study(studyName)
	if err == nil {
		err = d.s.h.current(ctx)
	}
	if err != nil {
		return 0, err
	}
	_, out, err := d.s.h.recalculateCodes(ctx, s, []string{code}, actor)
	return out.Run, err
}

// study answers a study that a request names.
func (d desk) study(name string) (*study.Study, error) {
	s, err := d.s.h.study(name)
	if err != nil || name == "" {
		return nil, status.NotFound("the study")
	}
	return s, nil
}

func (d desk) Replay(_ context.Context, source string, all bool, actor string) error {
	if _, err := d.s.h.sources([]string{source}); err != nil {
		return status.NotFound("the source")
	}
	return d.s.ask(request{"replay", source, func(ctx context.Context) error {
		objects, err := d.s.h.store.Objects(ctx, source, !all)
		if err != nil {
			return err
		}
		return d.read(ctx, map[string][]study.LandedObject{source: objects}, actor)
	}})
}

// read reads objects again. Each of their runs is recorded with what it came to.
func (d desk) read(ctx context.Context, objects map[string][]study.LandedObject, actor string) error {
	if err := d.s.h.current(ctx); err != nil {
		return err
	}
	_, err := d.s.h.replayed(ctx, objects, actor, func(error) {})
	return err
}
