package postgres

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// maxChanged bounds the names of changed fields in the event of a batch.
const maxChanged = 500

// noteChanged notes the fields that the new versions say otherwise than the versions
// that were current before. Records that are new cost nothing.
func (in *Ingest) noteChanged(ctx context.Context, records []study.RecordVersion) error {
	var later []*study.RecordVersion
	for i := range records {
		if v := &records[i]; v.Version > 1 && v.Op() == 'u' {
			later = append(later, v)
		}
	}
	if len(later) == 0 {
		return nil
	}
	n := len(later)
	participants, forms, visits, occurrences, versions := make([]int64, n), make([]int16, n), make([]int32, n), make([]string, n), make([]int32, n)
	for i, v := range later {
		participants[i], forms[i], visits[i], occurrences[i], versions[i] = v.Record.Participant, in.reg.formIDs[v.Key.Form], v.Key.VisitNo, v.Key.Occurrence, v.Version
	}
	rows, err := in.tx.Query(ctx, `
		SELECT k.i - 1, b.shape_id, b.answers, coalesce(b.missing, '')
		FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::text[], $5::int[]) WITH ORDINALITY k(participant_id, form_id, visit_no, occurrence, version, i)
		CROSS JOIN LATERAL (SELECT shape_id, answers, missing, op FROM research.record_version v
		  WHERE v.participant_id = k.participant_id AND v.form_id = k.form_id AND v.visit_no = k.visit_no AND v.occurrence = k.occurrence COLLATE "C" AND v.version < k.version
		    AND v.op <> 'h' ORDER BY v.version DESC LIMIT 1) b
		WHERE b.op = 'u'`, participants, forms, visits, occurrences, versions)
	if err != nil {
		return fault("compare with the versions before", err)
	}
	if in.changed == nil {
		in.changed = map[string]bool{}
	}
	var i int64
	var shape int32
	var answers, missing string
	_, err = pgx.ForEachRow(rows, []any{&i, &shape, &answers, &missing}, func() error {
		v := later[i]
		if shape != in.reg.shapes[v.Key.Form] {
			if order, known := in.reg.orders[shape]; known {
				answers, missing = reorder(answers, missing, order)
			}
		}
		form := &in.reg.study.Forms[v.Key.Form]
		for _, f := range differing(answers, missing, v.Record.Answers, v.Record.Missing) {
			if f < len(form.Fields) {
				in.changed[form.Name+"."+form.Fields[f].Name] = true
			}
		}
		return nil
	})
	return fault("compare with the versions before", err)
}

// differing are the fields whose packed answers, or reasons why there is none, differ.
// Of a value in the vault only its mark is here: where nothing else differs it is one of
// those that has, and all of them are answered.
func differing(answers, missing, newAnswers, newMissing string) (fields []int) {
	before, after := strings.Split(answers, string(study.FieldSeparator)), strings.Split(newAnswers, string(study.FieldSeparator))
	var sealed []int
	for f := range min(len(before), len(after)) {
		switch {
		case before[f] != after[f], missing != newMissing && reasonAt(missing, f) != reasonAt(newMissing, f):
			fields = append(fields, f)
		case after[f] == study.SealedMark:
			sealed = append(sealed, f)
		}
	}
	if len(fields) == 0 {
		return sealed
	}
	return fields
}

// reasonAt is the reason of a field in "field=reason" pairs.
func reasonAt(missing string, field int) string {
	for pair := range strings.SplitSeq(missing, ",") {
		if at, reason, _ := strings.Cut(pair, "="); at == itoa(field) {
			return reason
		}
	}
	return ""
}

// changedNames are the names of the changed fields, as form.field, sorted, and how many
// more there are than an event takes.
func (in *Ingest) changedNames() (names []string, more int) {
	names = slices.Sorted(maps.Keys(in.changed))
	more = max(0, len(names)-maxChanged)
	return names[:len(names)-more], more
}
