package postgres

import (
	"cmp"
	"context"
	"strings"

	"longitude/study"
)

// said is what a version of a record says.
type said struct {
	study.CurrentRecord
	shape   int32
	removed bool
}

const saidColumns = "shape_id, answers, missing, findings"

// saidReader collects what versions of records say, but for late ones, which are
// never current.
type saidReader struct{ grouped[said] }

func (r *saidReader) add(of int32, v *study.VersionRef, c *cells) {
	if v.Late {
		return
	}
	is := r.grouped.add(of)
	is.Key, is.Version, is.shape, is.removed = v.Key, v.Version, c.int32(), v.Removed
	is.Answers, is.Missing, is.Findings = c.text(), c.word(), c.word()
}

// currents answers the current records of each participant, by key in the order in
// which storage numbers forms, with answers in today's order of fields.
func (r *saidReader) currents(reg *registered, participants int) (out [][]study.CurrentRecord, err error) {
	out = make([][]study.CurrentRecord, participants)
	all := make([]study.CurrentRecord, 0, len(r.rows))
	r.each(participants, func(a, b *said) int {
		return cmp.Or(cmp.Compare(reg.formIDs[a.Key.Form], reg.formIDs[b.Key.Form]), cmp.Compare(a.Key.VisitNo, b.Key.VisitNo),
			cmp.Compare(a.Key.Occurrence, b.Key.Occurrence), cmp.Compare(a.Version, b.Version))
	}, func(of int, rows []int32) {
		start := len(all)
		for i, row := range rows {
			s := &r.rows[row]
			if s.removed || i+1 < len(rows) && r.rows[rows[i+1]].Key == s.Key {
				continue
			}
			if s.shape != reg.shapes[s.Key.Form] {
				order, known := reg.orders[s.shape]
				if !known {
					err = &study.Error{Code: "database.study_changed", Op: "study " + reg.study.Name + " has been registered with other fields since this process began",
						Hint: "start the process again", Exit: study.ExitEnvironment}
					return
				}
				s.Answers, s.Missing = reorder(s.Answers, s.Missing, order)
			}
			all = append(all, s.CurrentRecord)
		}
		out[of] = all[start:len(all):len(all)]
	})
	return out, err
}

// currents reads the current records of participants, grouped in the order asked.
func currents(ctx context.Context, q querier, reg *registered, participants []int64, upTo int64) ([][]study.CurrentRecord, error) {
	r := historyReader{past: &past{q: q, reg: reg, upTo: upTo}, asked: ask(participants)}
	var all saidReader
	if err := r.each(ctx, "form_id, visit_no, occurrence, version, op, "+saidColumns, "research.record_version", func(of int32, c *cells) {
		index, ok := reg.formOf[c.int16()]
		if !ok {
			return // the form left the study
		}
		v := study.VersionRef{Key: study.RecordKey{Form: index, VisitNo: c.int32(), Occurrence: c.word()}, Version: c.int32()}
		op := c.next()[0]
		v.Removed, v.Late = op == 'd', op == 'h'
		all.add(of, &v, c)
	}); err != nil {
		return nil, fault("read the records", err)
	}
	out, err := all.currents(reg, len(participants))
	return out, fault("read the records", err)
}

// reorder rewrites answers packed in an older shape into today's field order.
func reorder(answers, missing string, order []int) (string, string) {
	old := strings.Split(answers, string(study.FieldSeparator))
	values, reasons := make([]string, len(order)), []string{}
	for field, position := range order {
		values[field] = study.MissingMark
		if position >= 0 && position < len(old) {
			values[field] = old[position]
		}
	}
	for _, pair := range strings.Split(missing, ",") {
		position, reason, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		for field, p := range order {
			if itoa(p) == position {
				reasons = append(reasons, itoa(field)+"="+reason)
			}
		}
	}
	return strings.Join(values, string(study.FieldSeparator)), strings.Join(reasons, ",")
}
