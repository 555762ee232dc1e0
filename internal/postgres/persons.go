package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
	"longitude/study"
)

// personal refuses a decision about who somebody is, or about leaving, that would
// change nothing or leave a chain: a person has one first participant, to whom the
// links of all others lead.
func personal(ctx context.Context, tx pgx.Tx, reg *registered, d *study.Decision) error {
	switch d.Kind {
	case study.Link:
		return linkable(ctx, tx, reg, d)
	case study.Unlink:
		return undecided(ctx, tx, "link "+itoa(int(d.Lifts)), "taken back", `SELECT FROM research.decision WHERE kind = 'unlink' AND lifts = $1`, d.Lifts)
	}
	return undecided(ctx, tx, "participant "+itoa(int(d.Participant)), "withdrawn",
		`SELECT FROM research.decision WHERE kind = 'withdraw' AND participant_id = $1 AND detail = $2`, d.Participant, d.Deviation.Detail)
}

func linkable(ctx context.Context, tx pgx.Tx, reg *registered, d *study.Decision) error {
	if d.Participant == d.SameAs {
		return &study.Error{Code: "decision.link", Op: "both codes are of one participant already", Exit: study.ExitBlocked,
			Hint: "nothing to do: what either identifier brings belongs to the same participant"}
	}
	if err := exists(ctx, tx, "participant "+itoa(int(d.SameAs)),
		`SELECT FROM research.participant WHERE study_id = $1 AND participant_id = $2`, reg.id, d.SameAs); err != nil {
		return err
	}
	var chained bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM research.participant_link WHERE participant_id IN ($1, $2) OR same_as = $1)`, d.Participant, d.SameAs).Scan(&chained)
	if err == nil && chained {
		err = &study.Error{Code: "decision.link", Op: "one of the participants is linked already", Exit: study.ExitBlocked,
			Hint: "take that link back with `longitude participant unlink CODE`, and link each of them to the same first participant"}
	}
	return err
}

// ParticipantLink answers the participant that has this code of its own, and the
// link that makes it another; 0 = none.
func (s *Store) ParticipantLink(ctx context.Context, studyName, code string) (participant, sameAs, link int64, err error) {
	reg, err := s.shown(studyName)
	if err != nil {
		return 0, 0, 0, err
	}
	err = s.app.QueryRow(ctx, `
		SELECT p.participant_id, coalesce(l.same_as, 0), coalesce(l.decision_id, 0)
		FROM research.participant_identity i JOIN research.participant p USING (participant_id) LEFT JOIN research.participant_link l USING (participant_id)
		WHERE i.code = $1 AND p.study_id = $2`, code, reg.id).Scan(&participant, &sameAs, &link)
	if errors.Is(err, pgx.ErrNoRows) {
		err = status.NotFound("participant " + code)
	}
	return participant, sameAs, link, fault("find the participant", err)
}

// ObjectsOf answers the objects that said anything of the participants, by source,
// in order of landing.
func (s *Store) ObjectsOf(ctx context.Context, participants []int64) (map[string][]study.LandedObject, error) {
	return s.objects(ctx, ` WHERE o.landed IN (
		SELECT coalesce(b.origin_batch, b.batch_id) FROM research.batch b WHERE b.kind = 'object' AND b.batch_id IN (
		  SELECT batch_id FROM research.record_version WHERE participant_id = ANY($1) UNION
		  SELECT batch_id FROM research.visit_version WHERE participant_id = ANY($1)))`, participants)
}

// SamePerson answers the participants that are one person with any of these,
// themselves among them, ascending.
func (s *Store) SamePerson(ctx context.Context, participants []int64) ([]int64, error) {
	return collect(ctx, s, "find linked participants", pgx.RowTo[int64], `
		WITH first AS (SELECT coalesce(l.same_as, p.id) AS id FROM unnest($1::bigint[]) p (id) LEFT JOIN research.participant_link l ON l.participant_id = p.id)
		SELECT id FROM first UNION SELECT l.participant_id FROM research.participant_link l JOIN first ON l.same_as = first.id ORDER BY 1`, participants)
}

// CodesOf lists number and code of all participants of a study.
func (s *Store) CodesOf(ctx context.Context, studyName string) ([]study.Participant, error) {
	reg, err := s.shown(studyName)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s, "list the participants", func(row pgx.CollectableRow) (p study.Participant, err error) {
		return p, row.Scan(&p.ID, &p.Code)
	}, `SELECT participant_id, code FROM research.participant WHERE study_id = $1 ORDER BY participant_id`, reg.id)
}
