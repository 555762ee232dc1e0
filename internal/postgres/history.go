package postgres

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// querier is what reading needs of a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// byKey keeps the planner of a transaction to the keys of our tables: it has no
// statistics of what the transaction itself has written. Histories are put in
// order in memory.
const byKey = `SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL work_mem = '32MB'`

// asked is the condition on the participants in $1. The planner must not see how
// many they are, or it reads the whole key in order rather than look each up.
const asked = `participant_id = ANY (ARRAY (SELECT unnest($1::bigint[])))`

// histories reads what is stored about the participants, in the order asked.
// Every query is one range scan of a primary key per participant; origins and
// decisions, which are few, are read once.
func (p *past) histories(ctx context.Context, participants []int64) ([]study.History, error) {
	out := make([]study.History, len(participants))
	at := make(map[int64]int, len(participants))
	if err := p.tell(ctx); err != nil {
		return nil, fault("read what was decided", err)
	}
	for i, id := range participants {
		out[i].Participant = study.Participant{ID: id, Consented: study.NoDate, Withdrawn: study.NoDate, StatusOn: study.NoDate}
		out[i].Locks, out[i].Explained = p.locksOn(id), p.explained[id]
		at[id] = i
	}
	r := historyReader{past: p, ids: participants, at: at, out: out}
	for _, read := range []func(context.Context) error{r.participants, r.versions, r.precedence, r.visits, r.deviations, r.holds} {
		if err := read(ctx); err != nil {
			return nil, fault("read what is stored of the participants", err)
		}
	}
	return out, nil
}

type historyReader struct {
	*past
	ids []int64
	at  map[int64]int
	out []study.History
}

func (r *historyReader) participants(ctx context.Context) error {
	rows, err := r.q.Query(ctx, `
		SELECT DISTINCT ON (p.participant_id) p.participant_id, p.code, coalesce(v.site, ''), coalesce(v.enrolled, false), v.consented, v.withdrawn,
		       coalesce(v.status, ''), v.status_on, coalesce(v.facts, ''), coalesce(v.told, '')
		FROM research.participant p
		LEFT JOIN research.participant_version v ON v.participant_id = p.participant_id AND v.batch_id <= $2
		WHERE p.`+asked+` AND p.batch_id <= $2
		ORDER BY p.participant_id, v.batch_id DESC`, r.ids, r.upTo)
	if err != nil {
		return err
	}
	var p study.Participant
	var consented, withdrawn, since dbDate
	_, err = pgx.ForEachRow(rows, []any{&p.ID, &p.Code, &p.Site, &p.Enrolled, &consented, &withdrawn, &p.Status, &since, &p.Facts, &p.Told}, func() error {
		p.Consented, p.Withdrawn, p.StatusOn = consented.date, withdrawn.date, since.date
		r.out[r.at[p.ID]].Participant = p
		return nil
	})
	return err
}

func (r *historyReader) versions(ctx context.Context) error {
	rows, err := r.q.Query(ctx, `
		SELECT participant_id, form_id, visit_no, occurrence, version, op::text, content_hash, modified, batch_id, ordinal, entered
		FROM research.record_version WHERE `+asked+` AND batch_id <= $2
		ORDER BY participant_id, form_id, visit_no, occurrence, version`, r.ids, r.upTo)
	if err != nil {
		return err
	}
	var id int64
	var form int16
	var op string
	var ordinal int32
	var modified *time.Time
	var entered dbDate
	var v study.VersionRef
	_, err = pgx.ForEachRow(rows, []any{&id, &form, &v.Key.VisitNo, &v.Key.Occurrence, &v.Version, &op, &v.Hash,
		&modified, &v.BatchID, &ordinal, &entered}, func() error {
		index, ok := r.reg.formOf[form]
		if !ok {
			return nil // the form left the study
		}
		v.Key.Form, v.Removed, v.Late = index, op == "d", op == "h"
		v.Modified, v.Ordinal, v.Entered = orZero(modified), int64(ordinal), entered.date
		v.Landed = r.landed(v.BatchID)
		h := &r.out[r.at[id]]
		h.Versions = append(h.Versions, v)
		return nil
	})
	return err
}

// precedence reads that of the sources that recorded the versions.
func (r *historyReader) precedence(ctx context.Context) error {
	batches := map[int64]bool{}
	for i := range r.out {
		for k := range r.out[i].Versions {
			batches[r.out[i].Versions[k].BatchID] = true
		}
	}
	rows, err := r.q.Query(ctx, `SELECT batch_id, precedence FROM research.batch WHERE precedence <> 0 AND batch_id = ANY($1)`, slices.Collect(maps.Keys(batches)))
	if err != nil {
		return err
	}
	of := map[int64]int32{}
	var batch int64
	var precedence int32
	if _, err = pgx.ForEachRow(rows, []any{&batch, &precedence}, func() error {
		of[batch] = precedence
		return nil
	}); err != nil || len(of) == 0 {
		return err
	}
	for i := range r.out {
		for k := range r.out[i].Versions {
			r.out[i].Versions[k].Precedence = of[r.out[i].Versions[k].BatchID]
		}
	}
	return nil
}

func (r *historyReader) visits(ctx context.Context) error {
	rows, err := r.q.Query(ctx, `
		SELECT DISTINCT ON (participant_id, visit_no) participant_id, visit_no, visit_key, visit_type, actual, planned, declared,
		       reason, modified, status, timing, due, window_start, window_end, from_target, outside_window, withheld, coalesce(protocol, ''), told
		FROM research.visit_version WHERE `+asked+` AND batch_id <= $2
		ORDER BY participant_id, visit_no, batch_id DESC`, r.ids, r.upTo)
	if err != nil {
		return err
	}
	var id int64
	var typ, actual, planned, declared, timing, told *string
	var modified *time.Time
	var due, start, end dbDate
	var target, outside *int32
	var protocol string
	var v study.Visit
	_, err = pgx.ForEachRow(rows, []any{&id, &v.No, &v.Key, &typ, &actual, &planned, &declared, &v.Reason, &modified,
		&v.Status, &timing, &due, &start, &end, &target, &outside, &v.Withheld, &protocol, &told}, func() error {
		v.Type = -1
		if typ != nil {
			if index, ok := r.reg.visitOf[*typ]; ok {
				v.Type = index
			}
		}
		v.Actual, v.Planned, v.Declared = partial(actual), partial(planned), partial(declared)
		v.Modified, v.Timing = orZero(modified), study.Timing(orEmpty(timing))
		v.Told = study.ParseVisitTold(orEmpty(told))
		if told == nil && !v.Modified.IsZero() { // stored before it was kept
			t := study.Told{At: v.Modified.UnixMicro(), Dated: true}
			v.Told = study.VisitTold{Actual: t, Planned: t, Declared: t}
		}
		v.Due, v.WindowStart, v.WindowEnd = due.date, start.date, end.date
		v.HasDistance, v.FromTarget, v.OutsideWindow = target != nil, 0, 0
		if target != nil && outside != nil {
			v.FromTarget, v.OutsideWindow = int(*target), int(*outside)
		}
		v.Protocol = r.reg.protocolIndex(protocol)
		h := &r.out[r.at[id]]
		h.Visits = append(h.Visits, v)
		return nil
	})
	return err
}

func (r *historyReader) deviations(ctx context.Context) error {
	rows, err := r.q.Query(ctx, `
		SELECT DISTINCT ON (participant_id, visit_no, code, detail) participant_id, visit_no, code, detail, kind, state, evidence
		FROM research.deviation_version WHERE `+asked+` AND batch_id <= $2
		ORDER BY participant_id, visit_no, code, detail, batch_id DESC`, r.ids, r.upTo)
	if err != nil {
		return err
	}
	var id int64
	var d study.Deviation
	_, err = pgx.ForEachRow(rows, []any{&id, &d.VisitNo, &d.Code, &d.Detail, &d.Kind, &d.State, &d.Evidence}, func() error {
		h := &r.out[r.at[id]]
		h.Deviations = append(h.Deviations, d)
		return nil
	})
	return err
}

func (r *historyReader) holds(ctx context.Context) error {
	rows, err := r.q.Query(ctx, `
		SELECT DISTINCT ON (participant_id, form_id, visit_no, occurrence) participant_id, form_id, visit_no, occurrence, code
		FROM research.hold_version WHERE `+asked+` AND batch_id <= $2
		ORDER BY participant_id, form_id, visit_no, occurrence, batch_id DESC`, r.ids, r.upTo)
	if err != nil {
		return err
	}
	var id int64
	var form int16
	var hold study.Hold
	_, err = pgx.ForEachRow(rows, []any{&id, &form, &hold.Key.VisitNo, &hold.Key.Occurrence, &hold.Code}, func() error {
		index, ok := r.reg.formOf[form]
		if !ok || hold.Code == "" {
			return nil // left the study, or waits no more
		}
		hold.Key.Form = index
		h := &r.out[r.at[id]]
		h.Holds = append(h.Holds, hold)
		return nil
	})
	return err
}

// currents reads the current records of participants, grouped in the order
// asked and by key within a participant, with answers in today's field order.
func currents(ctx context.Context, q querier, reg *registered, participants []int64, upTo int64) ([][]study.CurrentRecord, error) {
	at := make(map[int64]int, len(participants))
	for i, id := range participants {
		at[id] = i
	}
	rows, err := q.Query(ctx, `
		SELECT DISTINCT ON (participant_id, form_id, visit_no, occurrence)
		       participant_id, form_id, visit_no, occurrence, shape_id, op::text, answers, missing, findings
		FROM research.record_version
		WHERE `+asked+` AND batch_id <= $2 AND op <> 'h'
		ORDER BY participant_id, form_id, visit_no, occurrence, version DESC`, participants, upTo)
	if err != nil {
		return nil, fault("read the records", err)
	}
	out := make([][]study.CurrentRecord, len(participants))
	var id int64
	var form int16
	var shape int32
	var op string
	var missing, findings *string
	var c study.CurrentRecord
	_, err = pgx.ForEachRow(rows, []any{&id, &form, &c.Key.VisitNo, &c.Key.Occurrence, &shape, &op, &c.Answers, &missing, &findings}, func() error {
		index, ok := reg.formOf[form]
		if !ok || op == "d" {
			return nil
		}
		c.Key.Form, c.Missing, c.Findings = index, orEmpty(missing), orEmpty(findings)
		if shape != reg.shapes[index] {
			order, known := reg.orders[shape]
			if !known {
				return &study.Error{Code: "database.study_changed", Op: "study " + reg.study.Name + " has been registered with other fields since this process began",
					Hint: "start the process again", Exit: study.ExitEnvironment}
			}
			c.Answers, c.Missing = reorder(c.Answers, c.Missing, order)
		}
		out[at[id]] = append(out[at[id]], c)
		return nil
	})
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
