package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/internal/status"
	"longitude/study"
)

// maxItems bounds a work list: one that nobody reads to its end is no review.
const maxItems = 100_000

// OpenReview makes the work list of what was sealed since the last review, up to the
// place until. It refuses while one is open, and when nothing is new.
func (s *Store) OpenReview(ctx context.Context, until int64, zone *time.Location, actor string) (*audit.Review, error) {
	r := &audit.Review{Until: until, Zone: zone.String(), OpenedBy: actor}
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.audit.review'))`); err != nil {
			return err
		}
		var open *int64
		if err := tx.QueryRow(ctx, `
			SELECT coalesce(max(review_id), 0) + 1, coalesce(max(until), 0), max(review_id) FILTER (WHERE NOT EXISTS (SELECT FROM audit.review_closed d WHERE d.review_id = r.review_id)), clock_timestamp()
			FROM audit.review r`).Scan(&r.ID, &r.Since, &open, &r.OpenedAt); err != nil {
			return err
		}
		if open != nil {
			return &study.Error{Code: "review.open", Op: "review " + strconv.FormatInt(*open, 10) + " is not closed yet", Exit: study.ExitBlocked,
				Hint: "look at it with `longitude audit review show`, and close it"}
		}
		if r.Since >= r.Until {
			return &study.Error{Code: "review.nothing", Op: "nothing was recorded since the last review", Exit: study.ExitUsage, Hint: "`longitude audit review list` shows it"}
		}
		root, err := audit.Root(r.Until, nodes{ctx, tx})
		if err != nil {
			return err
		}
		r.Root = study.Digest(root).String()
		if r.Items, err = itemsOf(ctx, tx, r, zone); err != nil {
			return err
		}
		return insertReview(ctx, tx, r)
	})
	return r, fault("open the review", err)
}

// itemsOf picks the events of a review.
func itemsOf(ctx context.Context, tx pgx.Tx, r *audit.Review, zone *time.Location) (items []audit.Item, err error) {
	refused, err := tx.Query(ctx, `SELECT DISTINCT 'batch/' || batch_id FROM research.deviation_version WHERE code = $1 AND state <> 'resolved'`, study.EditedAfterLock)
	if err != nil {
		return nil, err
	}
	locked := map[string]bool{}
	var batch string
	if _, err := pgx.ForEachRow(refused, []any{&batch}, func() error { locked[batch] = true; return nil }); err != nil {
		return nil, err
	}
	reviewer := audit.NewReviewer(zone, func(object string) bool { return locked[object] })
	rows, err := tx.Query(ctx, `
		SELECT leaf_index, event_id, leaf FROM audit.seal JOIN audit.event USING (event_id) WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index`, r.Since, r.Until)
	if err != nil {
		return nil, err
	}
	var item audit.Item
	var leaf []byte
	_, err = pgx.ForEachRow(rows, []any{&item.Index, &item.Event, &leaf}, func() error {
		e, _ := audit.ParseLeaf(leaf) // what cannot be read is for verify to find
		for _, item.Concern = range reviewer.Look(&e) {
			items = append(items, item)
		}
		if len(items) > maxItems {
			return &study.Error{Code: "review.too_long", Op: "more than " + strconv.Itoa(maxItems) + " events are to be looked at", Exit: study.ExitUsage,
				Hint: "review a part of them: name an earlier place with --until"}
		}
		return nil
	})
	return items, err
}

func insertReview(ctx context.Context, tx pgx.Tx, r *audit.Review) error {
	if _, err := tx.Exec(ctx, `INSERT INTO audit.review (review_id, since, until, root, zone, opened_by, opened_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		r.ID, r.Since, r.Until, r.Root, r.Zone, r.OpenedBy, r.OpenedAt); err != nil {
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"audit", "review_item"}, []string{"review_id", "leaf_index", "event_id", "concern"},
		pgx.CopyFromSlice(len(r.Items), func(i int) ([]any, error) {
			return []any{r.ID, r.Items[i].Index, r.Items[i].Event, string(r.Items[i].Concern)}, nil
		}))
	return err
}

// Review answers a review with its list; 0 is the newest.
func (s *Store) Review(ctx context.Context, id int64) (*audit.Review, error) {
	r, err := readReview(ctx, s.app, id)
	return r, fault("read the review", err)
}

func readReview(ctx context.Context, q querier, id int64) (*audit.Review, error) {
	var r audit.Review
	err := q.QueryRow(ctx, `
		SELECT review_id, since, until, root, zone, opened_by, opened_at, dispositions, coalesce(signature_id, 0)
		FROM audit.review LEFT JOIN audit.review_closed USING (review_id) WHERE $1 = 0 OR review_id = $1 ORDER BY review_id DESC LIMIT 1`, id).
		Scan(&r.ID, &r.Since, &r.Until, &r.Root, &r.Zone, &r.OpenedBy, &r.OpenedAt, &r.Dispositions, &r.Signature)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, status.NotFound("the review")
	}
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, `SELECT leaf_index, event_id, concern FROM audit.review_item WHERE review_id = $1 ORDER BY leaf_index, concern`, r.ID)
	if err != nil {
		return nil, err
	}
	r.Items, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (i audit.Item, err error) {
		return i, row.Scan(&i.Index, &i.Event, &i.Concern)
	})
	return &r, err
}

// Reviews answers the numbers of all reviews, the newest first.
func (s *Store) Reviews(ctx context.Context) ([]int64, error) {
	rows, err := s.app.Query(ctx, `SELECT review_id FROM audit.review ORDER BY review_id DESC`)
	if err != nil {
		return nil, fault("list the reviews", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, fault("list the reviews", err)
}

// ReviewRecord is a review, with what it came to, as the record that is signed.
func ReviewRecord(r *audit.Review) people.Record {
	return people.Record{Type: "audit_review", ID: strconv.FormatInt(r.ID, 10), Version: "1", SHA256: r.Digest()}
}

// CloseReview closes a review with what it came to, by the signature of an auditor
// over the list and the dispositions.
func (s *Store) CloseReview(ctx context.Context, id int64, dispositions map[audit.Concern]string, sig people.Signature) error {
	said, _ := people.ReadStatement(sig)
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.audit.review'))`); err != nil {
			return err
		}
		r, err := readReview(ctx, tx, id)
		if err != nil {
			return err
		}
		if r.Signature != 0 {
			return &study.Error{Code: "review.closed", Op: "the review is closed already", Hint: "open another: `longitude audit review open`", Exit: study.ExitBlocked}
		}
		if err := r.Decide(dispositions); err != nil {
			return err
		}
		signature, st, err := recordSignature(ctx, tx, sig, ReviewRecord(r), people.Auditor)
		if err != nil {
			return err
		}
		digest := r.Digest()
		if _, err := tx.Exec(ctx, `INSERT INTO audit.review_closed (review_id, dispositions, digest, signature_id) VALUES ($1, $2, $3, $4)`,
			r.ID, r.Dispositions, digest[:], signature); err != nil {
			return err
		}
		_, count := r.Concerns()
		return record(ctx, tx, event{Action: audit.AuditReviewed, Actor: st.Signer, Object: "audit_review/" + strconv.FormatInt(r.ID, 10), After: digest,
			Detail: map[string]any{"since": r.Since, "until": r.Until, "items": len(r.Items), "concerns": count, "dispositions": r.Dispositions, "signature": signature}})
	})
	return s.answer(ctx, said.Signer, "", "audit_review/"+strconv.FormatInt(id, 10), fault("close the review", err))
}
