package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// past is what the batches up to upTo, and the decisions before that batch, say
// of participants, within one transaction. It is used by one goroutine at a time.
type past struct {
	q    querier
	reg  *registered
	upTo int64

	collected collected // of the participants read last

	told       bool                          // what follows has been read
	origins    map[int64]int64               // of batches that read an object again: the batch that first did
	precedence map[int64]int32               // of the sources that recorded batches, where it is not 0
	locks      map[int64][]study.Lock        // by participant; 0 = those of the study
	explained  map[int64][]study.Explanation // by participant
	linked     map[int64]int64               // participants that are another one, by number
	withdrawn  map[int64]bool                // from releases
	erased     map[int64]bool
	inParts    *bool // some rows told only a part of their record; nil = not asked yet
}

// tell reads origins, precedence and decisions, once.
func (p *past) tell(ctx context.Context) error {
	if p.told {
		return nil
	}
	p.origins, p.locks, p.explained = map[int64]int64{}, map[int64][]study.Lock{}, map[int64][]study.Explanation{}
	rows, err := p.q.Query(ctx, `SELECT batch_id, origin_batch FROM research.batch WHERE study_id = $1 AND batch_id <= $2 AND origin_batch IS NOT NULL`, p.reg.id, p.upTo)
	if err != nil {
		return err
	}
	var batch, origin int64
	if _, err = pgx.ForEachRow(rows, []any{&batch, &origin}, func() error {
		p.origins[batch] = origin
		return nil
	}); err != nil {
		return err
	}
	if err := p.preferred(ctx); err != nil {
		return err
	}
	if err := p.decisions(ctx); err != nil {
		return err
	}
	if err := p.persons(ctx); err != nil {
		return err
	}
	p.told = true
	return nil
}

// preferred reads which batches sources recorded that take precedence.
func (p *past) preferred(ctx context.Context) error {
	p.precedence = map[int64]int32{}
	rows, err := p.q.Query(ctx, `SELECT batch_id, precedence FROM research.batch WHERE study_id = $1 AND batch_id <= $2 AND precedence <> 0`, p.reg.id, p.upTo)
	if err != nil {
		return err
	}
	var batch int64
	var precedence int32
	_, err = pgx.ForEachRow(rows, []any{&batch, &precedence}, func() error {
		p.precedence[batch] = precedence
		return nil
	})
	return err
}

// persons reads who is whom and who has withdrawn.
func (p *past) persons(ctx context.Context) error {
	p.linked, p.withdrawn, p.erased = map[int64]int64{}, map[int64]bool{}, map[int64]bool{}
	rows, err := p.q.Query(ctx, `
		SELECT participant_id, coalesce(same_as, 0), detail FROM research.decision d
		WHERE study_id = $1 AND after_batch < $2 AND (kind = 'withdraw' OR kind = 'link' AND NOT EXISTS (
		  SELECT 1 FROM research.decision u WHERE u.kind = 'unlink' AND u.lifts = d.decision_id AND u.after_batch < $2))`, p.reg.id, p.upTo)
	if err != nil {
		return err
	}
	var participant, other int64
	var scope string
	_, err = pgx.ForEachRow(rows, []any{&participant, &other, &scope}, func() error {
		if other > 0 {
			p.linked[participant] = other
			return nil
		}
		p.withdrawn[participant] = true
		p.erased[participant] = p.erased[participant] || scope == study.Erasure
		return nil
	})
	return err
}

// person is the participant that a number stands for.
func (p *past) person(number int64) int64 {
	if other, linked := p.linked[number]; linked {
		return other
	}
	return number
}

func (p *past) decisions(ctx context.Context) error {
	rows, err := p.q.Query(ctx, `
		SELECT decision_id, coalesce(participant_id, 0), kind = 'explain', visit, code, visit_no, detail, evidence
		FROM research.decision d
		WHERE study_id = $1 AND after_batch < $2 AND (kind = 'explain' OR kind = 'lock' AND NOT EXISTS (
		  SELECT 1 FROM research.decision u WHERE u.kind = 'unlock' AND u.lifts = d.decision_id AND u.after_batch < $2))
		ORDER BY decision_id`, p.reg.id, p.upTo)
	if err != nil {
		return err
	}
	var lock study.Lock
	var explains bool
	var e study.Explanation
	_, err = pgx.ForEachRow(rows, []any{&lock.ID, &lock.Participant, &explains, &lock.Visit, &e.Code, &e.VisitNo, &e.Detail, &e.Evidence}, func() error {
		if explains {
			p.explained[lock.Participant] = append(p.explained[lock.Participant], e)
		} else {
			p.locks[lock.Participant] = append(p.locks[lock.Participant], lock)
		}
		return nil
	})
	return err
}

// Locks answers the locks in force, whomever they cover, in no order.
func (in *Ingest) Locks(ctx context.Context) ([]study.Lock, error) {
	if err := in.past.tell(ctx); err != nil {
		return nil, fault("read what was decided", err)
	}
	return slices.Concat(slices.Collect(maps.Values(in.past.locks))...), nil
}

// locksOn are the locks in force on a participant: the study's and its own.
func (p *past) locksOn(participant int64) []study.Lock {
	if own := p.locks[participant]; len(own) > 0 {
		return slices.Concat(p.locks[0], own)
	}
	return slices.Clip(p.locks[0])
}

// landed is the place of a batch's object in order of landing.
func (p *past) landed(batch int64) int64 {
	if origin, again := p.origins[batch]; again {
		return origin
	}
	return batch
}

// protocolName is the name of the protocol version at index, "" where the study
// has no versions.
func (r *registered) protocolName(index int) string {
	if index < 0 || index >= len(r.study.Versions) {
		return ""
	}
	return r.study.Versions[index].Version
}

// protocolIndex is the place of the named protocol version; one that the study
// no longer has, or that was not recorded, counts as the first.
func (r *registered) protocolIndex(name string) int {
	return max(0, slices.IndexFunc(r.study.Versions, func(v study.ProtocolVersion) bool { return v.Version == name }))
}
