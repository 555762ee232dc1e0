package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
	"longitude/study"
)

// Participants lists participants, the newest first, each by its first code.
func (s *Store) Participants(ctx context.Context, f status.ParticipantFilter) ([]status.ParticipantItem, error) {
	if f.Study != "" {
		if _, err := s.shown(f.Study); err != nil {
			return nil, err
		}
	}
	var n narrowing
	n.equal("s.name", f.Study)
	n.equal("coalesce(v.site, '')", f.Site)
	n.equal("coalesce(nullif(v.status, ''), CASE WHEN v.enrolled THEN 'enrolled' END, '')", f.Status)
	rest := n.page("p.participant_id", f.Page)
	return collect(ctx, s, "list the participants", readParticipant, `
		SELECT p.participant_id, s.name, p.code, coalesce(v.site, ''), coalesce(v.enrolled, false), v.consented, v.withdrawn, coalesce(v.status, ''),
		       (SELECT count(*) FROM (SELECT DISTINCT ON (visit_no) status FROM research.visit_version x
		         WHERE x.participant_id = p.participant_id ORDER BY visit_no, batch_id DESC) x WHERE x.status IN ('completed', 'unscheduled')),
		       (SELECT count(*) FROM (SELECT DISTINCT ON (visit_no, code, detail) state FROM research.deviation_version x
		         WHERE x.participant_id = p.participant_id ORDER BY visit_no, code, detail, batch_id DESC) x WHERE x.state = 'open'),
		       (SELECT count(*) FROM (SELECT DISTINCT ON (form_id, visit_no, occurrence) code FROM research.hold_version x
		         WHERE x.participant_id = p.participant_id ORDER BY form_id, visit_no, occurrence, batch_id DESC) x WHERE x.code <> '')
		FROM research.participant p JOIN research.study s USING (study_id)
		LEFT JOIN LATERAL (SELECT * FROM research.participant_version v WHERE v.participant_id = p.participant_id ORDER BY batch_id DESC LIMIT 1) v ON true`+rest, n.args...)
}

func readParticipant(row pgx.CollectableRow) (p status.ParticipantItem, err error) {
	consented, withdrawn := dbDate{study.NoDate}, dbDate{study.NoDate}
	err = row.Scan(&p.ID, &p.Study, &p.Code, &p.Site, &p.Enrolled, &consented, &withdrawn, &p.Status, &p.Visits, &p.Open, &p.Held)
	on := func(d dbDate) *status.Day { return status.NewDay(study.ExactDate(d.date), study.NoDate, false) }
	p.Consented, p.Withdrawn = on(consented), on(withdrawn)
	return p, err
}
