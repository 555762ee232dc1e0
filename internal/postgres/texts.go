package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/deid"
	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/study"
)

// TextReview is texts of a field that are read together. Its JSON is what the digest
// that people sign is of: the texts are in it as their marks.
type TextReview struct {
	ID      int64        `json:"review"`
	Study   string       `json:"study"`
	Form    string       `json:"form"`
	Field   string       `json:"field"`
	Items   []TextItem   `json:"items"` // in order of their positions, from 1
	Answers []TextAnswer `json:"-"`     // in order of the signers
}

// TextItem is a text of a record version.
type TextItem struct {
	Participant int64    `json:"participant"`
	VisitNo     int32    `json:"visit_no"`
	Occurrence  string   `json:"occurrence"`
	Version     int32    `json:"version"`
	Mark        string   `json:"mark"` // of deid.TextMarker, in hex
	Code        string   `json:"-"`    // of the participant
	Visit       string   `json:"-"`    // its type, or number
	Hash        [16]byte `json:"-"`    // of the record version
	position    int16    // of the field in the shape of the version
}

// TextAnswer is what somebody signed about a review.
type TextAnswer struct {
	Signer    string
	Refused   []int // positions of texts in which somebody can be recognised
	Signature int64
}

// MaxTexts bounds a review: what is longer is signed without being read.
const MaxTexts = 200

// Digest is of exactly what was shown.
func (r *TextReview) Digest() study.Digest {
	text, _ := json.Marshal(r) // numbers and strings always can be
	return sha256.Sum256(text)
}

// View is the wish to read the texts, as the record that is signed.
func (r *TextReview) View(at time.Time) people.Record {
	blind := *r
	blind.Items = slices.Clone(r.Items)
	for i := range blind.Items {
		blind.Items[i].Mark = "" // not made before they are read
	}
	return people.Record{Type: "text_view", ID: itoa(int(r.ID)), Version: audit.Time(at), Study: r.Study, SHA256: blind.Digest()}
}

// Record is the answer that nobody can be recognised in the texts but the refused, as
// the record that is signed.
func (r *TextReview) Record(refused []int) people.Record {
	parts := []string{r.Digest().String(), "refused"}
	for _, position := range refused {
		parts = append(parts, itoa(position))
	}
	return people.Record{Type: "text_review", ID: itoa(int(r.ID)), Version: "1", Study: r.Study, SHA256: sha256.Sum256(deid.Frame(parts...))}
}

func (r *TextReview) object() string { return "text_review/" + itoa(int(r.ID)) }

// refused are the positions that one of the answers refuses.
func (r *TextReview) refused() (positions []int) {
	for _, a := range r.Answers {
		positions = append(positions, a.Refused...)
	}
	slices.Sort(positions)
	return slices.Compact(positions)
}

// ViewTexts records that a custodian is about to read the texts of a review, by their
// signature over View. It is sealed before it answers: who may not, or cannot be noted,
// does not read them.
func (s *Store) ViewTexts(ctx context.Context, r *TextReview, at time.Time, sig people.Signature) error {
	said, _ := people.ReadStatement(sig)
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		id, st, err := recordSignature(ctx, tx, sig, r.View(at), people.Custodian)
		if err != nil {
			return err
		}
		return record(ctx, tx, event{Action: audit.RecordViewed, Actor: st.Signer, Study: r.Study, Object: r.object(), Reason: "text_review",
			Detail: map[string]any{"what": "texts", "form": r.Form, "field": r.Field, "texts": len(r.Items), "signature": id}})
	})
	return s.answer(ctx, said.Signer, r.Study, r.object(), fault("record who reads texts", err))
}

// SealedTexts answers the sealed texts of a review, in its order; nil for one that is
// gone, as when its participant was erased.
func (s *Store) SealedTexts(ctx context.Context, r *TextReview) (boxes [][]byte, err error) {
	reg, form, err := s.formOf(r)
	if err != nil {
		return nil, err
	}
	boxes = make([][]byte, len(r.Items))
	err = s.fromVault(ctx, func(q querier) error {
		participants, visits, occurrences, versions, fields := r.columns()
		rows, err := q.Query(ctx, `
			SELECT k.i - 1, v.box FROM unnest($2::bigint[], $3::int[], $4::text[], $5::int[], $6::smallint[]) WITH ORDINALITY k(participant_id, visit_no, occurrence, version, field, i)
			JOIN vault.sealed_value v USING (participant_id, visit_no, version, field) WHERE v.form_id = $1 AND v.occurrence = k.occurrence COLLATE "C"`,
			reg.formIDs[form], participants, visits, occurrences, versions, fields)
		if err != nil {
			return err
		}
		var i int64
		var box []byte
		_, err = pgx.ForEachRow(rows, []any{&i, &box}, func() error {
			boxes[i] = box
			return nil
		})
		return err
	})
	return boxes, err
}

// columns are the keys of the items, column by column.
func (r *TextReview) columns() (participants []int64, visits []int32, occurrences []string, versions []int32, fields []int16) {
	for i := range r.Items {
		x := &r.Items[i]
		participants, visits, occurrences = append(participants, x.Participant), append(visits, x.VisitNo), append(occurrences, x.Occurrence)
		versions, fields = append(versions, x.Version), append(fields, x.position)
	}
	return participants, visits, occurrences, versions, fields
}

func (s *Store) formOf(r *TextReview) (*registered, int, error) {
	reg, err := s.shown(r.Study)
	if err != nil {
		return nil, 0, err
	}
	form := reg.study.FormIndex(r.Form)
	if form < 0 {
		return nil, 0, &study.Error{Code: "text.field", Op: "the field of " + r.object() + " has left the study", Exit: study.ExitUsage, Hint: "`longitude text list` shows what awaits review"}
	}
	return reg, form, nil
}

// KeepTextReview keeps what was shown for the first time.
func (s *Store) KeepTextReview(ctx context.Context, r *TextReview, by string) error {
	reg, form, err := s.formOf(r)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO audit.text_review (review_id, study_id, form_id, field, drawn_by, drawn_at) VALUES ($1, $2, $3, $4, $5, clock_timestamp())`,
			r.ID, reg.id, reg.formIDs[form], r.Field, by); err != nil {
			return err
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"audit", "text_review_item"}, []string{"review_id", "position", "participant_id", "visit_no", "occurrence", "version", "mark"},
			pgx.CopyFromSlice(len(r.Items), func(i int) ([]any, error) {
				x := &r.Items[i]
				return []any{r.ID, i + 1, x.Participant, x.VisitNo, x.Occurrence, x.Version, digestOf(x.Mark)}, nil
			}))
		return err
	})
	return fault("keep what was shown", err)
}

// AnswerTexts records that a custodian who has read the texts of a review, which are
// given as they were shown, signs that nobody can be recognised in them but the
// refused. The second person's answer releases the others.
func (s *Store) AnswerTexts(ctx context.Context, id int64, refused []int, texts []string, sig people.Signature) error {
	said, _ := people.ReadStatement(sig)
	var r TextReview
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.text_review'))`); err != nil {
			return err
		}
		if r, err = readTextReview(ctx, tx, id); err != nil {
			return err
		}
		// An erasure ends first, or what it erased would be added.
		if err := s.holdIngest(ctx, tx, r.Study); err != nil {
			return err
		}
		if err := r.mayAnswer(ctx, tx, said.Signer, len(texts)); err != nil {
			return err
		}
		signature, st, err := recordSignature(ctx, tx, sig, r.Record(refused), people.Custodian)
		if err != nil {
			return err
		}
		if st.Meaning != people.Approval {
			return &study.Error{Code: "text.signature", Op: "the signature means something else", Exit: study.ExitBlocked, Hint: "sign the review itself"}
		}
		r.Answers = append(r.Answers, TextAnswer{st.Signer, refused, signature})
		if _, err := tx.Exec(ctx, `INSERT INTO audit.text_review_answer (review_id, signer, refused, signature_id) VALUES ($1, $2, coalesce($3::int[], '{}'), $4)`,
			r.ID, st.Signer, refused, signature); err != nil || len(r.Answers) < 2 {
			return err
		}
		return s.releaseTexts(ctx, tx, &r, texts)
	})
	return s.answer(ctx, said.Signer, r.Study, "text_review/"+strconv.FormatInt(id, 10), fault("record the answer", err))
}

// mayAnswer refuses who has not read the texts, or answered before, and a review that
// two people have answered or of which a text is gone.
func (r *TextReview) mayAnswer(ctx context.Context, tx pgx.Tx, who string, texts int) error {
	refuse := func(code, op, hint string) error {
		return &study.Error{Code: code, Op: op, Hint: hint, Exit: study.ExitBlocked}
	}
	show := "`longitude text show " + itoa(int(r.ID)) + "`"
	switch {
	case slices.ContainsFunc(r.Answers, func(a TextAnswer) bool { return a.Signer == who }):
		return refuse("text.same_person", who+" has answered "+r.object()+" before", "somebody else reads the texts and signs, too")
	case len(r.Answers) > 1:
		return refuse("text.answered", "two people have answered "+r.object(), "`longitude text list` shows what awaits review")
	}
	var read, whole bool
	if err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM audit.signature WHERE record_type = 'text_view' AND record_id = $1::text AND study = $2 AND signer = $3), NOT (`+textGone+`)
		FROM audit.text_review r WHERE r.review_id = $1::text::bigint`, itoa(int(r.ID)), r.Study, who).Scan(&read, &whole); err != nil {
		return err
	}
	switch {
	case !read:
		return refuse("text.unread", who+" has not read the texts of "+r.object(), "read them with "+show)
	case !whole || texts != len(r.Items):
		return refuse("text.gone", "a text of "+r.object()+" is gone: somebody was erased", "draw the others up again: `longitude text show`")
	}
	return nil
}

// textGone is SQL: whether a text of review r is not in the vault any more.
const textGone = `EXISTS (SELECT FROM audit.text_review_item i JOIN research.record_version v
	  ON v.participant_id = i.participant_id AND v.form_id = r.form_id AND v.visit_no = i.visit_no AND v.occurrence = i.occurrence AND v.version = i.version
	JOIN research.shape s USING (shape_id)
	LEFT JOIN vault.sealed_value b ON b.participant_id = i.participant_id AND b.form_id = r.form_id AND b.visit_no = i.visit_no AND b.occurrence = i.occurrence
	  AND b.version = i.version AND b.field = array_position(s.fields, r.field) - 1
	WHERE i.review_id = r.review_id AND b.field IS NULL)`

// releaseTexts lets releases read what nobody refused, and lets the log know.
func (s *Store) releaseTexts(ctx context.Context, tx pgx.Tx, r *TextReview, texts []string) error {
	reg, form, err := s.formOf(r)
	if err != nil {
		return err
	}
	refused := r.refused()
	for i := range r.Items {
		x := &r.Items[i]
		body := &texts[i]
		if slices.Contains(refused, i+1) {
			body = nil
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO research.reviewed_text (participant_id, form_id, visit_no, occurrence, version, field, review_id, position, body)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			x.Participant, reg.formIDs[form], x.VisitNo, x.Occurrence, x.Version, r.Field, r.ID, i+1, body); err != nil {
			return err
		}
	}
	first, second := r.Answers[0], r.Answers[1]
	return record(ctx, tx, event{Action: audit.TextReviewed, Actor: second.Signer, Study: r.Study, Object: r.object(), After: r.Digest(),
		Detail: map[string]any{"form": r.Form, "field": r.Field, "texts": len(r.Items), "refused": refused, "signatures": []int64{first.Signature, second.Signature}}})
}
