package postgres

import (
	"cmp"
	"context"
	"slices"

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

// asked are the participants that are read about, with a condition that finds
// their rows by key, in no order, and its arguments after the batch.
type asked struct {
	condition string // on participant_id; $1 is the batch
	args      []any
	place     func(id int64) int32 // in the order asked; -1 = of somebody else
}

// sparse is how many numbers a range may hold for each that is asked for.
const sparse = 2

// ask asks for the range of the participants where most of it is theirs, as when an
// object is read through; else for each. There the planner must not see how many
// they are, or it reads the whole key rather than look each up.
func ask(ids []int64) asked {
	if len(ids) == 0 {
		return asked{condition: "false", place: func(int64) int32 { return -1 }}
	}
	low, high := ids[0], ids[0]
	for _, id := range ids {
		low, high = min(low, id), max(high, id)
	}
	if high-low < sparse*int64(len(ids)) {
		place := make([]int32, high-low+1)
		for i := range place {
			place[i] = -1
		}
		for i, id := range ids {
			place[id-low] = int32(i)
		}
		return asked{"participant_id BETWEEN $2 AND $3", []any{low, high}, func(id int64) int32 { return place[id-low] }}
	}
	place := make(map[int64]int32, len(ids))
	for i, id := range ids {
		place[id] = int32(i)
	}
	return asked{"participant_id = ANY (ARRAY (SELECT unnest($2::bigint[])))", []any{ids}, func(id int64) int32 {
		if i, ok := place[id]; ok {
			return i
		}
		return -1
	}}
}

// histories reads what is stored about the participants, in the order asked.
// Every query is a scan of a primary key or a part of it; origins, precedence and
// decisions, which are few, are read once.
func (p *past) histories(ctx context.Context, participants []int64) ([]study.History, error) {
	out, _, err := p.read(ctx, participants, false)
	return out, err
}

// read reads histories and, when whole, the current records, in the order asked.
func (p *past) read(ctx context.Context, participants []int64, whole bool) ([]study.History, [][]study.CurrentRecord, error) {
	out := make([]study.History, len(participants))
	if err := p.tell(ctx); err != nil {
		return nil, nil, fault("read what was decided", err)
	}
	for i, id := range participants {
		out[i].Participant = study.Participant{ID: id, Consented: study.NoDate, Withdrawn: study.NoDate, StatusOn: study.NoDate}
		out[i].Locks, out[i].Explained = p.locksOn(id), p.explained[id]
	}
	r := historyReader{past: p, asked: ask(participants), out: out}
	for _, read := range []func(context.Context) error{r.participants, r.visits, r.deviations, r.holds} {
		if err := read(ctx); err != nil {
			return nil, nil, fault("read what is stored of the participants", err)
		}
	}
	records, err := r.versions(ctx, whole)
	if err == nil {
		err = r.parts(ctx)
	}
	return out, records, fault("read what is stored of the participants", err)
}

type historyReader struct {
	*past
	asked
	out []study.History
}

// collected are rows on their way into histories.
type collected struct {
	persons    grouped[dated[study.Participant]]
	visits     grouped[dated[study.Visit]]
	deviations grouped[dated[study.Deviation]]
	holds      grouped[dated[study.Hold]]
	versions   grouped[study.VersionRef]
	said       saidReader
}

// each hands over the rows about the participants that a query finds among the
// batches in question. The query begins with participant_id.
func (r *historyReader) each(ctx context.Context, columns, table string, read func(of int32, c *cells)) error {
	sql := "SELECT participant_id, " + columns + " FROM " + table + " WHERE " + r.condition + " AND batch_id <= $1"
	return eachRow(ctx, r.q, sql, append([]any{r.upTo}, r.args...), func(c *cells) {
		if of := r.place(c.int64()); of >= 0 {
			read(of, c)
		}
	})
}

// dated is a version of something, with the batch it came with.
type dated[T any] struct {
	batch int64
	is    T
}

// latest appends the newest version of each thing to what a participant has.
func latest[T any](g *grouped[dated[T]], participants int, order func(a, b *T) int, to func(of int, things []T)) {
	all := make([]T, 0, len(g.rows))
	g.each(participants, func(a, b *dated[T]) int {
		return cmp.Or(order(&a.is, &b.is), cmp.Compare(a.batch, b.batch))
	}, func(of int, rows []int32) {
		start := len(all)
		for i, row := range rows {
			if i+1 == len(rows) || order(&g.rows[row].is, &g.rows[rows[i+1]].is) != 0 {
				all = append(all, g.rows[row].is)
			}
		}
		to(of, all[start:len(all):len(all)])
	})
}

func (r *historyReader) participants(ctx context.Context) error {
	if err := r.each(ctx, "code", "research.participant", func(of int32, c *cells) {
		r.out[of].Participant.Code = c.text()
	}); err != nil {
		return err
	}
	all := &r.collected.persons
	all.clear()
	if err := r.each(ctx, "batch_id, site, enrolled, consented, withdrawn, status, status_on, facts, told", "research.participant_version", func(of int32, c *cells) {
		row, known := all.add(of), &r.out[of].Participant
		row.batch = c.int64()
		row.is = study.Participant{ID: known.ID, Code: known.Code, Site: c.word(), Enrolled: c.bool(),
			Consented: c.date(), Withdrawn: c.date(), Status: study.ParticipantStatus(c.word()), StatusOn: c.date(), Facts: c.text(), Told: c.text()}
	}); err != nil {
		return err
	}
	latest(all, len(r.out), func(*study.Participant, *study.Participant) int { return 0 }, func(of int, p []study.Participant) {
		if p[0].Code != "" { // known as of the batch
			r.out[of].Participant = p[0]
		}
	})
	return nil
}

func (r *historyReader) visits(ctx context.Context) error {
	all := &r.collected.visits
	all.clear()
	if err := r.each(ctx, `batch_id, visit_no, visit_key, visit_type, actual, planned, declared, reason, modified, status, timing, due, window_start, window_end,
		from_target, outside_window, withheld, protocol, told`, "research.visit_version", func(of int32, c *cells) {
		row := all.add(of)
		row.batch = c.int64()
		r.visit(c, &row.is)
	}); err != nil {
		return err
	}
	latest(all, len(r.out), func(a, b *study.Visit) int { return cmp.Compare(a.No, b.No) }, func(of int, v []study.Visit) { r.out[of].Visits = v })
	return nil
}

func (r *historyReader) visit(c *cells, v *study.Visit) {
	v.No, v.Key, v.Type = c.int32(), c.word(), -1
	if index, ok := r.reg.visitOf[c.word()]; ok {
		v.Type = index
	}
	v.Actual, v.Planned, v.Declared, v.Reason, v.Modified = c.partial(), c.partial(), c.partial(), c.bool(), c.time()
	v.Status, v.Timing = study.VisitStatus(c.word()), study.Timing(c.word())
	v.Due, v.WindowStart, v.WindowEnd = c.date(), c.date(), c.date()
	target, judged := c.distance()
	outside, placed := c.distance()
	if v.HasDistance = judged; judged && placed {
		v.FromTarget, v.OutsideWindow = target, outside
	}
	v.Withheld, v.Protocol = c.bool(), r.reg.protocolIndex(c.word())
	if told := c.next(); told != nil {
		v.Told = study.ParseVisitTold(string(told))
	} else if !v.Modified.IsZero() { // stored before it was kept
		t := study.Told{At: v.Modified.UnixMicro(), Dated: true}
		v.Told = study.VisitTold{Actual: t, Planned: t, Declared: t}
	}
}

func (r *historyReader) deviations(ctx context.Context) error {
	all := &r.collected.deviations
	all.clear()
	if err := r.each(ctx, "batch_id, visit_no, code, detail, kind, state, evidence", "research.deviation_version", func(of int32, c *cells) {
		*all.add(of) = dated[study.Deviation]{c.int64(), study.Deviation{DeviationKey: study.DeviationKey{VisitNo: c.int32(), Code: c.word(), Detail: c.word()},
			Kind: study.DeviationKind(c.word()), State: study.DeviationState(c.word()), Evidence: c.text()}}
	}); err != nil {
		return err
	}
	latest(all, len(r.out), func(a, b *study.Deviation) int {
		return cmp.Or(cmp.Compare(a.VisitNo, b.VisitNo), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Detail, b.Detail))
	}, func(of int, d []study.Deviation) { r.out[of].Deviations = d })
	return nil
}

func (r *historyReader) holds(ctx context.Context) error {
	all := &r.collected.holds
	all.clear()
	if err := r.each(ctx, "batch_id, form_id, visit_no, occurrence, code", "research.hold_version", func(of int32, c *cells) {
		batch := c.int64()
		if index, ok := r.reg.formOf[c.int16()]; ok { // else the form left the study
			*all.add(of) = dated[study.Hold]{batch, study.Hold{Key: study.RecordKey{Form: index, VisitNo: c.int32(), Occurrence: c.word()}, Code: c.word()}}
		}
	}); err != nil {
		return err
	}
	latest(all, len(r.out), func(a, b *study.Hold) int { return compareKeys(&a.Key, &b.Key) }, func(of int, h []study.Hold) {
		if h = slices.DeleteFunc(h, func(h study.Hold) bool { return h.Code == "" }); len(h) > 0 { // others wait no more
			r.out[of].Holds = h
		}
	})
	return nil
}

func compareKeys(a, b *study.RecordKey) int {
	return cmp.Or(cmp.Compare(a.Form, b.Form), cmp.Compare(a.VisitNo, b.VisitNo), cmp.Compare(a.Occurrence, b.Occurrence))
}

// versions reads the versions of records and, when whole, what the current ones say.
func (r *historyReader) versions(ctx context.Context, whole bool) ([][]study.CurrentRecord, error) {
	columns := "form_id, visit_no, occurrence, version, op, content_hash, modified, batch_id, ordinal, entered"
	if whole {
		columns += ", " + saidColumns
	}
	all, said := &r.collected.versions, &r.collected.said
	all.clear()
	said.clear()
	if err := r.each(ctx, columns, "research.record_version", func(of int32, c *cells) {
		index, ok := r.reg.formOf[c.int16()]
		if !ok {
			return // the form left the study
		}
		v := all.add(of)
		v.Key, v.Version = study.RecordKey{Form: index, VisitNo: c.int32(), Occurrence: c.word()}, c.int32()
		op := c.next()[0]
		v.Removed, v.Late = op == 'd', op == 'h'
		copy(v.Hash[:], c.next())
		v.Modified, v.BatchID, v.Ordinal, v.Entered = c.time(), c.int64(), int64(c.int32()), c.date()
		v.Landed, v.Precedence = r.landed(v.BatchID), r.precedence[v.BatchID]
		if whole {
			said.add(of, v, c)
		}
	}); err != nil {
		return nil, err
	}
	versions := make([]study.VersionRef, 0, len(all.rows))
	all.each(len(r.out), func(a, b *study.VersionRef) int {
		return cmp.Or(compareKeys(&a.Key, &b.Key), cmp.Compare(a.Version, b.Version))
	}, func(of int, rows []int32) {
		start := len(versions)
		for _, row := range rows {
			versions = append(versions, all.rows[row])
		}
		r.out[of].Versions = versions[start:len(versions):len(versions)]
	})
	if !whole {
		return nil, nil
	}
	return said.currents(r.reg, len(r.out))
}
