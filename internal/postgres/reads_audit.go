package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/status"
	"longitude/study"
)

// AuditFilter chooses events; what is empty chooses all.
type AuditFilter struct {
	ID           int64  // 0 = all
	Study        string // with General also the events of no study
	General      bool
	Participant  string // code: decisions about the participant, and batches that brought it something
	Object       string
	Actor        string
	Action       audit.Action
	Since, Until time.Time // from, and before
	Limit        int       // newest first; 0 = all, oldest first
}

// eventPage is how many events are in memory at once.
const eventPage = 500

// AuditEvents hands the chosen events to each, with their places. No connection is
// held meanwhile, so that each may ask the database something.
func (s *Store) AuditEvents(ctx context.Context, f AuditFilter, each func(audit.Entry) error) error {
	objects, err := s.objectsOf(ctx, f)
	if err != nil {
		return err
	}
	for after, more := int64(0), true; more; {
		page, err := s.auditPage(ctx, f, objects, after)
		if err != nil {
			return fault("read the audit log", err)
		}
		for _, entry := range page {
			if err := each(entry); err != nil {
				return err
			}
			after = entry.Event.ID
		}
		more = f.Limit == 0 && len(page) == eventPage
	}
	return nil
}

// auditPage answers the newest events up to the limit or, without one, the first of
// those behind an event.
func (s *Store) auditPage(ctx context.Context, f AuditFilter, objects []string, after int64) ([]audit.Entry, error) {
	order := "ORDER BY e.event_id LIMIT " + strconv.Itoa(eventPage)
	if f.Limit > 0 {
		order = "ORDER BY e.event_id DESC LIMIT " + strconv.Itoa(f.Limit)
	}
	rows, err := s.app.Query(ctx, `
		SELECT e.leaf, coalesce(s.leaf_index, -1), e.recorded_at, e.event_id FROM audit.event e LEFT JOIN audit.seal s USING (event_id)
		WHERE ($1 = '' OR e.study = $1 OR $2 AND e.study = '') AND ($3::text[] IS NULL OR e.object = ANY($3)) AND ($4 = '' OR e.actor = $4)
		  AND ($5 = '' OR e.action = $5) AND ($6::timestamptz IS NULL OR e.recorded_at >= $6) AND ($7::timestamptz IS NULL OR e.recorded_at < $7)
		  AND ($8 = 0 OR e.event_id = $8) AND e.event_id > $9 `+order,
		f.Study, f.General, objects, f.Actor, f.Action, nullTime(f.Since), nullTime(f.Until), f.ID, after)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (entry audit.Entry, err error) {
		var at time.Time
		var id int64
		if err := row.Scan(&entry.Leaf, &entry.Index, &at, &id); err != nil {
			return entry, err
		}
		var ok bool
		entry.Event, ok = audit.ParseLeaf(entry.Leaf)
		if !ok || entry.Event.Format != "" && entry.Event.ID != id {
			return entry, &study.Error{Code: "audit.unreadable", Op: "event " + strconv.FormatInt(id, 10) + " of the audit log cannot be read", Exit: study.ExitBlocked,
				Hint: "run `longitude audit verify`"}
		}
		if entry.Event.Format == "" {
			entry.Event.ID, entry.Event.At = id, audit.Time(at)
		}
		return entry, nil
	})
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// objectsOf are the objects that a filter chooses; nil = all.
func (s *Store) objectsOf(ctx context.Context, f AuditFilter) ([]string, error) {
	if f.Participant == "" {
		if f.Object == "" {
			return nil, nil
		}
		return []string{f.Object}, nil
	}
	id, err := s.ParticipantByCode(ctx, f.Study, f.Participant)
	if err != nil {
		return nil, err
	}
	rows, err := s.app.Query(ctx, `
		SELECT 'participant/' || $1::bigint UNION SELECT 'batch/' || batch_id FROM (
		  SELECT batch_id FROM research.record_version WHERE participant_id = $1 UNION SELECT batch_id FROM research.visit_version WHERE participant_id = $1
		  UNION SELECT batch_id FROM research.deviation_version WHERE participant_id = $1 UNION SELECT batch_id FROM research.participant_version WHERE participant_id = $1
		  UNION SELECT batch_id FROM research.hold_version WHERE participant_id = $1) b
		UNION SELECT 'lock/' || decision_id FROM research.decision WHERE participant_id = $1 AND kind = 'lock'`, id)
	if err != nil {
		return nil, fault("read the audit log", err)
	}
	objects, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if f.Object == "" || err != nil {
		return objects, fault("read the audit log", err)
	}
	for _, o := range objects {
		if o == f.Object {
			return []string{o}, nil
		}
	}
	return []string{}, nil
}

// AuditCheckpoint answers the newest checkpoint, of size 0 when nothing is sealed.
func (s *Store) AuditCheckpoint(ctx context.Context, policy audit.Policy) (audit.Checkpoint, error) {
	c, err := newest(ctx, s.app, policy)
	return c, fault("read the newest checkpoint", err)
}

// AuditProof proves an event against a checkpoint at or behind its place.
func (s *Store) AuditProof(ctx context.Context, event int64, c audit.Checkpoint) (audit.Proof, error) {
	var leaf []byte
	var index *int64
	err := s.app.QueryRow(ctx, `SELECT e.leaf, s.leaf_index FROM audit.event e LEFT JOIN audit.seal s USING (event_id) WHERE event_id = $1`, event).Scan(&leaf, &index)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return audit.Proof{}, status.NotFound("audit event " + strconv.FormatInt(event, 10))
	case err != nil:
		return audit.Proof{}, fault("prove the event", err)
	case index == nil || *index >= c.Size:
		return audit.Proof{}, &study.Error{Code: "audit.not_sealed", Op: "event " + strconv.FormatInt(event, 10) + " is not sealed yet", Temporary: true, Exit: study.ExitEnvironment,
			Hint: "run `longitude audit checkpoint`, then try again"}
	}
	p, err := audit.Prove(leaf, *index, c, nodes{ctx, s.app})
	return p, fault("prove the event", err)
}

// AuditConsistent checks that the log of one checkpoint begins with that of an
// older one.
func (s *Store) AuditConsistent(ctx context.Context, older, newer audit.Checkpoint) error {
	return fault("compare checkpoints", audit.Consistent(older, newer, nodes{ctx, s.app}))
}
