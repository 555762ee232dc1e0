package postgres

import (
	"context"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"longitude/internal/people"
	"longitude/internal/status"
	"longitude/study"
)

// textReviews reads reviews, and whether a text of each is gone.
const textReviews = `
	SELECT r.review_id, st.name, f.name, r.field, r.form_id, ` + textGone + `
	FROM audit.text_review r JOIN research.study st USING (study_id) JOIN research.form f USING (form_id)`

// readTextReview answers a review as it was shown.
func readTextReview(ctx context.Context, q querier, id int64) (r TextReview, err error) {
	var form int16
	var gone bool
	rows, err := q.Query(ctx, textReviews+` WHERE r.review_id = $1`, id)
	if err != nil {
		return r, err
	}
	n := 0
	if _, err = pgx.ForEachRow(rows, []any{&r.ID, &r.Study, &r.Form, &r.Field, &form, &gone}, func() error { n++; return nil }); err != nil {
		return r, err
	}
	if n == 0 {
		return r, status.NotFound("text_review/" + strconv.FormatInt(id, 10))
	}
	if rows, err = q.Query(ctx, textItems+`
		FROM audit.text_review_item i JOIN research.record_version v ON v.participant_id = i.participant_id AND v.form_id = $2 AND v.visit_no = i.visit_no
		  AND v.occurrence = i.occurrence AND v.version = i.version`+besideText+` WHERE i.review_id = $1 ORDER BY i.position`, id, form, r.Field); err != nil {
		return r, err
	}
	if r.Items, err = pgx.CollectRows(rows, readTextItem); err != nil {
		return r, err
	}
	if rows, err = q.Query(ctx, `SELECT signer, refused, signature_id FROM audit.text_review_answer WHERE review_id = $1 ORDER BY signature_id`, id); err != nil {
		return r, err
	}
	r.Answers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a TextAnswer, err error) {
		return a, row.Scan(&a.Signer, &a.Refused, &a.Signature)
	})
	return r, err
}

// textItems and besideText read the field $3 of record versions v, with the mark of
// item i, where there is one.
const textItems = `SELECT v.participant_id, v.visit_no, v.occurrence, v.version, coalesce(encode(i.mark, 'hex'), ''), v.content_hash, array_position(s.fields, $3) - 1,
	p.code, coalesce(t.visit_type, CASE WHEN v.visit_no = 0 THEN '' ELSE '#' || v.visit_no END)`

const besideText = ` JOIN research.shape s USING (shape_id) JOIN research.participant p ON p.participant_id = v.participant_id
	LEFT JOIN research.visit_current t ON t.participant_id = v.participant_id AND t.visit_no = v.visit_no`

func readTextItem(row pgx.CollectableRow) (x TextItem, err error) {
	return x, row.Scan(&x.Participant, &x.VisitNo, &x.Occurrence, &x.Version, &x.Mark, &x.Hash, &x.position, &x.Code, &x.Visit)
}

// TextReviewOf answers a review that was shown.
func (s *Store) TextReviewOf(ctx context.Context, id int64) (TextReview, error) {
	r, err := readTextReview(ctx, s.app, id)
	return r, fault("read the review", err)
}

// NewTextReview draws up texts of a field that nobody has drawn up yet, at most limit.
func (s *Store) NewTextReview(ctx context.Context, studyName, form, field string, limit int) (TextReview, error) {
	r := TextReview{Study: studyName, Form: form, Field: field}
	reg, index, err := s.formOf(&r)
	if err != nil {
		return r, err
	}
	rows, err := s.app.Query(ctx, textItems+awaitingTexts+` ORDER BY v.participant_id, v.visit_no, v.occurrence LIMIT $4`, reg.id, reg.formIDs[index], field, limit)
	if err != nil {
		return r, fault("draw up texts", err)
	}
	if r.Items, err = pgx.CollectRows(rows, readTextItem); err != nil || len(r.Items) == 0 {
		return r, fault("draw up texts", err)
	}
	err = s.app.QueryRow(ctx, `UPDATE research.allocation SET next = next + 1 WHERE what = 'text_review' RETURNING next - 1`).Scan(&r.ID)
	return r, fault("number the review", err)
}

// awaitingTexts finds the texts of field $3 in current records of participants who have
// not withdrawn, which no review settled and none that is open holds.
const awaitingTexts = `
	FROM (SELECT * FROM research.record_current WHERE form_id = $2) v` + besideText + `
	LEFT JOIN audit.text_review_item i ON false
	WHERE p.study_id = $1 AND v.op = 'u' AND left((string_to_array(v.answers, E'\x1f'))[array_position(s.fields, $3)], 1) = E'\x1a'
	  AND NOT EXISTS (SELECT FROM research.decision d WHERE d.kind = 'withdraw' AND d.participant_id = v.participant_id)
	  AND NOT EXISTS (SELECT FROM research.participant_link l WHERE l.participant_id = v.participant_id)
	  AND NOT EXISTS (SELECT FROM research.reviewed_text x WHERE x.participant_id = v.participant_id AND x.form_id = v.form_id AND x.visit_no = v.visit_no
	    AND x.occurrence = v.occurrence AND x.version = v.version AND x.field = $3)
	  AND NOT EXISTS (SELECT FROM audit.text_review_item o JOIN audit.text_review r USING (review_id) WHERE o.participant_id = v.participant_id AND o.visit_no = v.visit_no
	    AND o.occurrence = v.occurrence AND o.version = v.version AND r.form_id = v.form_id AND r.field = $3 AND NOT ` + textGone + `)`

// TextsToRead counts the texts of a field that nobody has drawn up yet.
func (s *Store) TextsToRead(ctx context.Context, studyName, form, field string) (n int64, err error) {
	reg, index, err := s.formOf(&TextReview{Study: studyName, Form: form, Field: field})
	if err != nil {
		return 0, err
	}
	err = s.app.QueryRow(ctx, `SELECT count(*)`+awaitingTexts, reg.id, reg.formIDs[index], field).Scan(&n)
	return n, fault("count the texts that await review", err)
}

// TextReviewState is a review as it is listed.
type TextReviewState struct {
	ID      int64    `json:"review"`
	Study   string   `json:"study"`
	Form    string   `json:"form"`
	Field   string   `json:"field"`
	Texts   int64    `json:"texts"`
	Refused int64    `json:"refused"`
	Signers []string `json:"signers"`
	State   string   `json:"state"` // open, reviewed, gone
}

// TextReviews lists the reviews of a study, oldest first.
func (s *Store) TextReviews(ctx context.Context, studyName string) ([]TextReviewState, error) {
	reg, err := s.shown(studyName)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s, "list the reviews of texts", func(row pgx.CollectableRow) (r TextReviewState, err error) {
		var gone bool
		err = row.Scan(&r.ID, &r.Study, &r.Form, &r.Field, &gone, &r.Texts, &r.Refused, &r.Signers)
		switch {
		case len(r.Signers) > 1:
			r.State = "reviewed"
		case gone:
			r.State = "gone"
		default:
			r.State = "open"
		}
		return r, err
	}, `
		SELECT r.review_id, st.name, f.name, r.field, `+textGone+`, (SELECT count(*) FROM audit.text_review_item i WHERE i.review_id = r.review_id),
		  (SELECT count(DISTINCT n) FROM audit.text_review_answer a, unnest(a.refused) n WHERE a.review_id = r.review_id),
		  ARRAY (SELECT signer FROM audit.text_review_answer a WHERE a.review_id = r.review_id ORDER BY signature_id)
		FROM audit.text_review r JOIN research.study st USING (study_id) JOIN research.form f USING (form_id) WHERE r.study_id = $1 ORDER BY r.review_id`, reg.id)
}

// SignedTexts answers for each text of a study, by its mark, who read it and
// signed that nobody can be recognised in it, by signatures that hold.
func (s *Store) SignedTexts(ctx context.Context, studyName string) (map[study.Digest][]string, error) {
	all, err := s.TextReviews(ctx, studyName)
	if err != nil {
		return nil, err
	}
	out := map[study.Digest][]string{}
	for _, state := range all {
		if state.State != "reviewed" {
			continue
		}
		r, err := s.TextReviewOf(ctx, state.ID)
		if err != nil {
			return nil, err
		}
		refused := r.refused()
		for _, a := range r.Answers {
			wrong, err := signedWrong(ctx, s.app, a.Signature, r.Record(a.Refused), a.Signer, people.Custodian)
			if err != nil {
				return nil, fault("read the signatures", err)
			}
			if wrong != "" {
				return nil, &study.Error{Code: "people.tampered", Op: "an answer to " + r.object() + " does not hold: " + wrong, Exit: study.ExitBlocked,
					Hint: "the database was changed: keep it as evidence, and run `longitude audit verify`"}
			}
			for i := range r.Items {
				if !slices.Contains(refused, i+1) {
					var mark study.Digest
					copy(mark[:], digestOf(r.Items[i].Mark))
					out[mark] = append(out[mark], a.Signer)
				}
			}
		}
	}
	return out, nil
}
