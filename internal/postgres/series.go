package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// FirstSeries is the release series that every study begins in, at version 1 of
// its keys.
const FirstSeries = "main"

// Series is a release series: within it, released ids and date shifts are stable.
type Series struct {
	Study      string    `json:"study"`
	Name       string    `json:"series"`
	KeyVersion int       `json:"key_version"`
	State      string    `json:"state"` // open, closed (another was opened since) or revoked
	OpenedAt   time.Time `json:"opened_at,omitzero"`
	OpenedBy   string    `json:"opened_by,omitempty"`
	Reason     string    `json:"reason,omitempty"` // why it was revoked
	Releases   int       `json:"releases"`
}

// States of a series.
const (
	SeriesOpen    = "open"
	SeriesClosed  = "closed"
	SeriesRevoked = "revoked"
)

// KeyCompromise is the reason of a revocation after which its keys make no series.
const KeyCompromise = "key_compromise"

// SeriesOf lists the release series of a study, oldest first.
func (s *Store) SeriesOf(ctx context.Context, studyName string) ([]Series, error) {
	reg, err := s.known(studyName)
	if err != nil {
		return nil, err
	}
	out, err := seriesOf(ctx, s.app, reg)
	return out, fault("list the release series", err)
}

func seriesOf(ctx context.Context, q querier, reg *registered) ([]Series, error) {
	rows, err := q.Query(ctx, `
		WITH all_series AS (
		  SELECT 0 AS series_id, $2::text AS name, 1 AS key_version, NULL::timestamptz AS opened_at, '' AS opened_by
		  UNION ALL SELECT series_id, name, key_version, opened_at, opened_by FROM research.release_series WHERE study_id = $1)
		SELECT a.name, a.key_version, a.opened_at, a.opened_by, coalesce(v.reason, ''),
		  CASE WHEN v.name IS NOT NULL THEN 'revoked' WHEN a.series_id = max(a.series_id) OVER () THEN 'open' ELSE 'closed' END,
		  (SELECT count(*) FROM research.release r WHERE r.study_id = $1 AND r.series = a.name)
		FROM all_series a LEFT JOIN research.release_series_revocation v ON v.study_id = $1 AND v.name = a.name ORDER BY a.series_id`, reg.id, FirstSeries)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Series, error) {
		var at *time.Time
		x := Series{Study: reg.study.Name}
		err := row.Scan(&x.Name, &x.KeyVersion, &at, &x.OpenedBy, &x.Reason, &x.State, &x.Releases)
		x.OpenedAt = orZero(at)
		return x, err
	})
}

// Series is the series that releases of a study are built in. It is an error when
// that was revoked.
func (s *Store) Series(ctx context.Context, studyName string) (Series, error) {
	all, err := s.SeriesOf(ctx, studyName)
	if err != nil {
		return Series{}, err
	}
	last := all[len(all)-1]
	if last.State == SeriesRevoked {
		return last, &study.Error{Code: "series.revoked", Op: "the release series " + last.Name + " of study " + studyName + " was revoked", Exit: study.ExitBlocked,
			Hint: "open another with `longitude series open NAME --new-keys`"}
	}
	return last, nil
}

// Link is the sealed pair of a participant's released ids in two series.
type Link struct {
	Participant int64
	KeyVersion  int
	Box         []byte
}

// seriesLock lets one change of a study's series in at a time.
const seriesLock = `SELECT pg_advisory_xact_lock(hashtext('longitude.series'), $1)`

// OpenSeries opens a series, which releases are built in from now on. links makes
// the crosswalk from the series before it, for the participants that there are.
func (s *Store) OpenSeries(ctx context.Context, next Series, links func(before Series, codes map[int64]string) ([]Link, error)) error {
	reg, err := s.known(next.Study)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, seriesLock, int32(reg.id)); err != nil {
			return err
		}
		all, err := seriesOf(ctx, tx, reg)
		if err != nil {
			return err
		}
		for _, x := range all {
			if x.Name == next.Name {
				return SeriesExists(next.Study, next.Name)
			}
			if x.Reason == KeyCompromise && x.KeyVersion >= next.KeyVersion {
				return &study.Error{Code: "series.compromised", Op: "the keys of study " + next.Study + " are those of series " + x.Name + ", which was revoked because they leaked", Exit: study.ExitBlocked,
					Hint: "open it with --new-keys"}
			}
		}
		before := all[len(all)-1]
		codes, err := codesOf(ctx, tx, reg)
		if err != nil {
			return err
		}
		sealed, err := links(before, codes)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO research.release_series (study_id, name, key_version, opened_by) VALUES ($1, $2, $3, $4)`,
			reg.id, next.Name, next.KeyVersion, next.OpenedBy); err != nil {
			return err
		}
		if err := keepLinks(ctx, tx, reg, next.Name, sealed); err != nil {
			return err
		}
		return record(ctx, tx, event{Action: audit.SeriesOpened, Actor: next.OpenedBy, Study: next.Study, Object: "series/" + next.Study + "/" + next.Name,
			Detail: map[string]any{"key_version": next.KeyVersion, "before": before.Name, "participants": len(sealed)}})
	})
	return fault("open the release series", err)
}

// SeriesExists is the error of a series that is there already.
func SeriesExists(studyName, name string) error {
	return &study.Error{Code: "series.exists", Op: "study " + studyName + " has a release series " + name + " already", Exit: study.ExitUsage,
		Hint: "name another: what was released in a series stays in it"}
}

func codesOf(ctx context.Context, tx pgx.Tx, reg *registered) (map[int64]string, error) {
	rows, err := tx.Query(ctx, `SELECT participant_id, code FROM research.participant WHERE study_id = $1`, reg.id)
	if err != nil {
		return nil, err
	}
	out := map[int64]string{}
	var id int64
	var code string
	_, err = pgx.ForEachRow(rows, []any{&id, &code}, func() error {
		out[id] = code
		return nil
	})
	return out, err
}

func keepLinks(ctx context.Context, tx pgx.Tx, reg *registered, series string, links []Link) error {
	ids, versions, boxes := make([]int64, len(links)), make([]int32, len(links)), make([][]byte, len(links))
	for i, l := range links {
		ids[i], versions[i], boxes[i] = l.Participant, int32(l.KeyVersion), l.Box
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO vault.crosswalk (study_id, series, participant_id, key_version, box)
		SELECT $1, $2, * FROM unnest($3::bigint[], $4::int[], $5::bytea[])`, reg.id, series, ids, versions, boxes)
	return err
}

// Revocation says, signed, that a series must not be used any more.
type Revocation struct {
	Study, Series, Reason, Actor string
	At                           time.Time
	SignedBy                     string
	Signature                    []byte
}

// RevokeSeries records that a series must not be used any more.
func (s *Store) RevokeSeries(ctx context.Context, r Revocation) error {
	reg, err := s.known(r.Study)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, seriesLock, int32(reg.id)); err != nil {
			return err
		}
		all, err := seriesOf(ctx, tx, reg)
		if err != nil {
			return err
		}
		if err := revocable(all, r); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO research.release_series_revocation (study_id, name, reason, revoked_at, revoked_by, signed_by, signature)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, reg.id, r.Series, r.Reason, r.At, r.Actor, r.SignedBy, r.Signature); err != nil {
			return err
		}
		return record(ctx, tx, event{Action: audit.SeriesRevoked, Actor: r.Actor, Study: r.Study, Object: "series/" + r.Study + "/" + r.Series, Reason: r.Reason,
			Detail: map[string]any{"signed_by": r.SignedBy}})
	})
	return fault("revoke the release series", err)
}

func revocable(all []Series, r Revocation) error {
	for _, x := range all {
		if x.Name == r.Series && x.State != SeriesRevoked {
			return nil
		}
		if x.Name == r.Series {
			return &study.Error{Code: "series.revoked", Op: "the release series " + x.Name + " of study " + r.Study + " was revoked", Exit: study.ExitUsage,
				Hint: "`longitude series list` says when and why"}
		}
	}
	return unknownSeries(r.Study)
}

// KeyInUse is a key that the log should tell of.
type KeyInUse struct {
	Study, Kind string
	Version     int
}

func (k KeyInUse) object() string {
	if k.Study == "" {
		return "key/" + k.Kind + "/" + itoa(k.Version)
	}
	return "key/" + k.Study + "/" + k.Kind + "/" + itoa(k.Version)
}

// RecordKeys records those of the keys that the log does not tell of yet, and so
// also what a process that was killed did not come to record.
func (s *Store) RecordKeys(ctx context.Context, actor string, keys []KeyInUse) error {
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.keys'))`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT object FROM audit.event WHERE action IN ('key.created', 'key.rotated')`)
		if err != nil {
			return err
		}
		told := map[string]bool{}
		var object string
		if _, err := pgx.ForEachRow(rows, []any{&object}, func() error { told[object] = true; return nil }); err != nil {
			return err
		}
		for _, k := range keys {
			if told[k.object()] {
				continue
			}
			action := audit.KeyCreated
			if k.Version > 1 {
				action = audit.KeyRotated
			}
			if err := record(ctx, tx, event{Action: action, Actor: actor, Study: k.Study, Object: k.object()}); err != nil {
				return err
			}
		}
		return nil
	})
	return fault("record the keys", err)
}

// SeriesOfRelease is the series that a release was built in.
func (s *Store) SeriesOfRelease(ctx context.Context, studyName, releaseID string) (Series, error) {
	all, err := s.SeriesOf(ctx, studyName)
	if err != nil {
		return Series{}, err
	}
	var name string
	if err := s.app.QueryRow(ctx, `SELECT series FROM research.release WHERE release_id = $1`, releaseID).Scan(&name); err != nil {
		return Series{}, fault("find the series of the release", err)
	}
	for _, x := range all {
		if x.Name == name {
			return x, nil
		}
	}
	return Series{}, unknownSeries(studyName)
}

func unknownSeries(studyName string) error {
	return &study.Error{Code: "series.unknown", Op: "study " + studyName + " has no such release series", Exit: study.ExitUsage,
		Hint: "`longitude series list` shows those that there are"}
}
