package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/study"
)

// signedWrong says what is wrong with a signature as that of signer over a record by
// one of the roles; "" = nothing: it was given by the key, and under the roles, that
// they had then.
func signedWrong(ctx context.Context, q querier, signature int64, r people.Record, signer string, anyOf ...people.Role) (string, error) {
	var sig people.Signature
	var version int
	err := q.QueryRow(ctx, `SELECT statement, signature, person_version FROM audit.signature WHERE signature_id = $1`, signature).Scan(&sig.Statement, &sig.Sig, &version)
	if errors.Is(err, pgx.ErrNoRows) {
		return "signature " + strconv.FormatInt(signature, 10) + " is gone", nil
	}
	if err != nil {
		return "", err
	}
	p, err := personAt(ctx, q, signer, version)
	var unknown *study.Error
	if errors.As(err, &unknown) || err == nil && version < 1 {
		return "nobody is known as who signed it", nil
	}
	if err != nil {
		return "", err
	}
	st, err := people.Verify(&p, sig)
	if err == nil {
		signed, _ := st.Signed()
		err = st.Admit(&p, r, signed, anyOf...)
	}
	if errors.As(err, &unknown) {
		return unknown.Op, nil
	}
	return "", err
}

// redaction checks that somebody entitled signed that a payload was deleted.
func (v *verification) redaction(ctx context.Context, index int64, e *audit.Event) error {
	wrong, err := v.redactedWrong(ctx, e)
	if err == nil && wrong != "" {
		v.v.Report.Add(audit.KindRedaction, index, e.ID, "nobody entitled has signed this redaction: "+wrong)
	}
	return err
}

func (v *verification) redactedWrong(ctx context.Context, e *audit.Event) (string, error) {
	target, ok := audit.Redacts(e.Object)
	if !ok {
		return "it names no event", nil
	}
	r, err := redactionRecord(ctx, v.tx, target, e.Reason, "")
	if errors.Is(err, pgx.ErrNoRows) {
		return "its event is gone", nil
	}
	if err != nil {
		return "", err
	}
	return signedWrong(ctx, v.tx, numberIn(e.Detail["signature"]), r, e.Actor, people.Admin, people.Custodian)
}

// redacted reports whether an event says, by a signature that holds, that the payload
// of event was deleted. It may still wait for its place in the tree.
func (v *verification) redacted(ctx context.Context, event int64) (bool, error) {
	rows, err := v.tx.Query(ctx, `
		SELECT leaf FROM audit.event e WHERE action = 'audit.redacted' AND object = $1
		  AND (EXISTS (SELECT FROM audit.seal s WHERE s.event_id = e.event_id) OR EXISTS (SELECT FROM jobs.unsealed u WHERE u.event_id = e.event_id))`,
		audit.RedactionOf(event))
	if err != nil {
		return false, err
	}
	leaves, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	for _, leaf := range leaves {
		e, _ := audit.ParseLeaf(leaf)
		if wrong, err := v.redactedWrong(ctx, &e); err != nil || wrong == "" {
			return err == nil, err
		}
	}
	return false, err
}

// texts compares a review of texts, and what it lets releases read, with what its
// event says: two people, each entitled, signed what was shown.
func (v *verification) texts(ctx context.Context, index int64, e *audit.Event) error {
	id := strings.TrimPrefix(e.Object, "text_review/")
	number, _ := strconv.ParseInt(id, 10, 64)
	r, err := readTextReview(ctx, v.tx, number)
	var gone *study.Error
	switch {
	case errors.As(err, &gone):
		v.v.Report.Add(audit.KindTexts, index, e.ID, "text_review/"+id+" is gone")
		return nil
	case err != nil:
		return err
	case r.Digest().String() != e.After, len(r.Answers) != 2:
		v.v.Report.Add(audit.KindTexts, index, e.ID, r.object()+" is not the one that two people answered")
		return nil
	}
	given, _ := e.Detail["signatures"].([]any)
	for i, a := range r.Answers {
		wrong, err := signedWrong(ctx, v.tx, a.Signature, r.Record(a.Refused), a.Signer, people.Custodian)
		if err != nil {
			return err
		}
		if wrong == "" && (len(given) != 2 || numberIn(given[i]) != a.Signature) {
			wrong = "the event names another signature"
		}
		if wrong != "" {
			v.v.Report.Add(audit.KindTexts, index, e.ID, "an answer to "+r.object()+" does not hold: "+wrong)
		}
	}
	return v.released(ctx, index, e, &r)
}

// released compares the texts that releases may read with the review that let them.
// What was erased is gone from both.
func (v *verification) released(ctx context.Context, index int64, e *audit.Event, r *TextReview) error {
	rows, err := v.tx.Query(ctx, `
		SELECT i.position, x.body IS NOT NULL, EXISTS (SELECT FROM vault.sealed_value b WHERE b.participant_id = i.participant_id)
		FROM audit.text_review_item i JOIN audit.text_review t USING (review_id)
		LEFT JOIN research.reviewed_text x ON x.review_id = i.review_id AND x.position = i.position AND x.participant_id = i.participant_id AND x.form_id = t.form_id
		  AND x.visit_no = i.visit_no AND x.occurrence = i.occurrence AND x.version = i.version AND x.field = t.field
		WHERE i.review_id = $1 ORDER BY i.position`, r.ID)
	if err != nil {
		return err
	}
	refused := map[int]bool{}
	for _, position := range r.refused() {
		refused[position] = true
	}
	var position int
	var text, there bool
	_, err = pgx.ForEachRow(rows, []any{&position, &text, &there}, func() error {
		if text && refused[position] || !text && !refused[position] && there {
			v.v.Report.Add(audit.KindTexts, index, e.ID, "text "+strconv.Itoa(position)+" of "+r.object()+" is not as two people answered")
		}
		return nil
	})
	return err
}

// numberIn is a number in the detail of an event, 0 when it is none.
func numberIn(detail any) int64 {
	n, _ := detail.(json.Number)
	number, _ := n.Int64()
	return number
}
