package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
	"longitude/study"
)

// RecordHistory answers every change of a participant's records, field by field:
// as the source gave it and as it was received. Of sealed fields it tells only
// that they changed, of blinded ones nothing.
func (s *Store) RecordHistory(ctx context.Context, studyName, code string, f status.HistoryFilter) (status.RecordHistory, error) {
	reg, err := s.shown(studyName)
	if err != nil {
		return status.RecordHistory{}, err
	}
	id, err := s.ParticipantByCode(ctx, studyName, code)
	if err != nil {
		return status.RecordHistory{}, err
	}
	if err := checkHistory(reg.study, f); err != nil {
		return status.RecordHistory{}, err
	}
	past := past{q: s.app, reg: reg, upTo: math.MaxInt64}
	all, err := past.histories(ctx, []int64{id})
	if err != nil {
		return status.RecordHistory{}, err
	}
	h := changeReader{s: s, reg: reg, filter: f, visits: map[int32]string{}, out: []status.Change{}}
	for _, v := range all[0].Visits {
		if v.Type >= 0 {
			h.visits[v.No] = reg.study.Visits[v.Type].Name
		}
	}
	if err := h.read(ctx, id); err != nil {
		return status.RecordHistory{}, fault("read the history of the records", err)
	}
	slices.SortStableFunc(h.out, func(a, b status.Change) int { return cmp.Compare(a.Batch, b.Batch) })
	return status.RecordHistory{Study: studyName, Code: all[0].Participant.Code, Changes: h.out}, nil
}

// checkHistory refuses a form or field that the study does not have: an empty
// answer would read as "never changed".
func checkHistory(st *study.Study, f status.HistoryFilter) error {
	if f.Form != "" && st.FormIndex(f.Form) < 0 {
		return status.NotFound("the form")
	}
	if f.Field != "" && !slices.ContainsFunc(st.Forms, func(form study.Form) bool {
		return (f.Form == "" || form.Name == f.Form) && form.FieldIndex(f.Field) >= 0
	}) {
		return status.NotFound("the field")
	}
	return nil
}

// changeReader compares each version of a record with the one before it.
type changeReader struct {
	s      *Store
	reg    *registered
	filter status.HistoryFilter
	visits map[int32]string
	out    []status.Change
}

// version is one version on its way to changes.
type version struct {
	key     study.RecordKey
	change  status.Change // what all of its changes share
	op      string
	hash    [16]byte
	answers []string
	missing string
}

// read goes through the versions of a participant, record by record. Where words
// are sealed is known by their place; the vault itself is not read.
func (h *changeReader) read(ctx context.Context, participant int64) error {
	rows, err := h.s.app.Query(ctx, `
		SELECT r.form_id, r.visit_no, r.occurrence, r.version, r.op::text, r.shape_id, r.answers, r.missing, r.content_hash, r.modified, r.batch_id, r.ordinal,
		  b.source, b.run_id, b.recorded_at, coalesce(w.author, false), coalesce(w.reason, false)
		FROM research.record_version r JOIN research.batch b USING (batch_id)
		LEFT JOIN (SELECT form_id, visit_no, occurrence, version, bool_or(field = $2) AS author, bool_or(field = $3) AS reason FROM vault.sealed_value
		  WHERE participant_id = $1 AND field < 0 GROUP BY 1, 2, 3, 4) w USING (form_id, visit_no, occurrence, version)
		WHERE r.participant_id = $1 ORDER BY r.form_id, r.visit_no, r.occurrence, r.version`,
		participant, study.PrivateAuthor, study.PrivateChangeReason)
	if err != nil {
		return err
	}
	var form int16
	var shape int32
	var answers string
	var missing *string
	var modified *time.Time
	var author, reason bool
	var v version
	before := version{key: study.RecordKey{Form: -1}}
	_, err = pgx.ForEachRow(rows, []any{&form, &v.key.VisitNo, &v.key.Occurrence, &v.change.Version, &v.op, &shape, &answers, &missing, &v.hash, &modified,
		&v.change.Batch, &v.change.Row, &v.change.Source, &v.change.Run, &v.change.Received, &author, &reason}, func() error {
		index, ok := h.reg.formOf[form]
		if !ok {
			return nil // the form left the study
		}
		v.key.Form, v.missing = index, orEmpty(missing)
		if order, known := h.reg.orders[shape]; known && shape != h.reg.shapes[index] && v.op == "u" {
			answers, v.missing = reorder(answers, v.missing, order)
		}
		v.answers = strings.Split(answers, string(study.FieldSeparator))
		v.change.Modified, v.change.Author, v.change.Reason = modified, sealedWords(author), sealedWords(reason)
		h.describe(&v)
		if v.key != before.key {
			before = version{key: v.key}
		}
		h.compare(&before, &v)
		if v.op != "h" {
			before = v
		}
		return nil
	})
	return err
}

func sealedWords(there bool) string {
	if there {
		return status.SealedWords
	}
	return ""
}

// describe writes down what all changes of a version share.
func (h *changeReader) describe(v *version) {
	f := &h.reg.study.Forms[v.key.Form]
	v.change.Form, v.change.VisitNo, v.change.Visit, v.change.Occurrence = f.Name, v.key.VisitNo, h.visits[v.key.VisitNo], v.key.Occurrence
	if f.RepeatsBy == "" {
		v.change.Occurrence = "" // it is always the first
	}
	v.change.Received = v.change.Received.UTC()
}

// compare adds what a version changed.
func (h *changeReader) compare(before, v *version) {
	if h.filter.Form != "" && h.filter.Form != v.change.Form ||
		h.filter.Visit != "" && h.filter.Visit != v.change.Visit && h.filter.Visit != itoa(int(v.key.VisitNo)) {
		return
	}
	change := v.change
	switch {
	case v.op == "h":
		change.What = status.Late
	case v.op == "d":
		change.What = status.Removed
	case before.op == "":
		change.What = status.Created
	case before.op == "d":
		change.What = status.Restored
	default:
		change.What = status.Corrected
	}
	if v.op != "u" {
		h.out = append(h.out, change)
		return
	}
	told := h.fields(before, v, change)
	if !told && before.op == "u" && before.hash != v.hash && h.filter.Field == "" { // nothing that is in sight
		change.Sealed = true
		h.out = append(h.out, change)
	}
}

// fields adds the fields that differ and reports whether there are any.
func (h *changeReader) fields(before, v *version, change status.Change) (told bool) {
	form := &h.reg.study.Forms[v.key.Form]
	for i := range form.Fields {
		f := &form.Fields[i]
		was, wasWhy := before.at(i)
		is, isWhy := v.at(i)
		if was == is && wasWhy == isWhy {
			continue
		}
		told = true
		if f.Class == study.Blinded || h.filter.Field != "" && h.filter.Field != f.Name {
			continue
		}
		c := change
		c.Field, c.BeforeMissing, c.AfterMissing = f.Name, wasWhy, isWhy
		c.Before, c.After, c.Sealed = shownValue(was), shownValue(is), f.Sealed()
		if c.Sealed {
			c.Before, c.After = nil, nil
		}
		h.out = append(h.out, c)
	}
	return told
}

// at is the answer of a field and why there is none.
func (v *version) at(field int) (answer, why string) {
	answer = study.MissingMark
	if v.op == "u" && field < len(v.answers) {
		answer = v.answers[field]
		for pair := range strings.SplitSeq(v.missing, ",") {
			if index, reason, ok := strings.Cut(pair, "="); ok && index == itoa(field) {
				why = reason
			}
		}
	}
	return answer, why
}

// shownValue is nil where there is no value that may be seen.
func shownValue(answer string) *string {
	if answer == study.MissingMark || study.IsSealed(answer) {
		return nil
	}
	return &answer
}
