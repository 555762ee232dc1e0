package release

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// line appends one row to a batch, column by column in dictionary order.
type line struct {
	batch  *study.Batch
	column int
}

func newBatch(t *study.Table) *study.Batch {
	return &study.Batch{Table: t, Vectors: make([]study.Vector, len(t.Columns))}
}

// makeRoom gives an empty batch room for so many rows.
func makeRoom(b *study.Batch, rows int) {
	b.Participants, b.Anchors = make([]int64, 0, rows), make([]study.Date, 0, rows)
	for i := range b.Vectors {
		v := &b.Vectors[i]
		v.Valid = make([]bool, 0, rows)
		switch b.Table.Columns[i].Kind {
		case study.TextKind:
			v.Texts = make([]string, 0, rows)
		case study.FloatKind:
			v.Floats = make([]float64, 0, rows)
		default:
			v.Ints = make([]int64, 0, rows)
		}
	}
}

// line starts a row of table i about o.
func (b *Builder) line(i int, o owner) *line {
	batch := b.batches[i]
	batch.Rows++
	batch.Participants = append(batch.Participants, o.ID)
	batch.Anchors = append(batch.Anchors, b.dateAnchor(o))
	l := &line{batch: batch}
	l.text(o.Code)
	return l
}

// dateAnchor is what dates are counted from at door 2. Study days of a relative
// calendar are computed here; a civil date in such a study has no anchor.
func (b *Builder) dateAnchor(o owner) study.Date {
	if b.study.Relative {
		return study.NoDate
	}
	return o.anchor
}

func staticLine(batch *study.Batch) *line {
	batch.Rows++
	return &line{batch: batch}
}

func (l *line) next() *study.Vector {
	l.column++
	return &l.batch.Vectors[l.column-1]
}

func (l *line) text(s string) { l.next().AppendText(s) }
func (l *line) int(n int64)   { l.next().AppendInt(n) }
func (l *line) null()         { kind := l.batch.Table.Columns[l.column].Kind; l.next().AppendNull(kind) }

// textOrNull has NULL for "".
func (l *line) textOrNull(s string) {
	if s == "" {
		l.null()
		return
	}
	l.text(s)
}

func (l *line) bool(v bool) {
	if v {
		l.int(1)
		return
	}
	l.int(0)
}

// known has NULL where n is not known.
func (l *line) known(n int, known bool) {
	if !known {
		l.null()
		return
	}
	l.int(int64(n))
}

// percent is 100 × part / whole to two decimals, which are the same on every processor.
func (l *line) percent(part, whole int64) {
	if whole == 0 {
		l.null()
		return
	}
	l.next().AppendFloat(math.Round(float64(part)/float64(whole)*1e4) / 1e2)
}

func (l *line) date(d study.Date) { l.known(int(d), d.Known()) }

func (b *Builder) addParticipant(o owner, visits []happened, records []study.CurrentRecord) error {
	l := b.line(atParticipants, o)
	l.textOrNull(o.Site)
	l.known(o.studyDay(o.Consented))
	l.bool(o.Withdrawn.Known())
	l.known(o.studyDay(o.Withdrawn))
	l.int(int64(len(visits)))
	last := study.NoDate
	done := make([]bool, len(b.study.Visits))
	for i := range visits {
		if v := &visits[i]; v.Actual.Exact() {
			last = max(last, v.Actual.First())
		}
		if t := visits[i].Type; t >= 0 {
			done[t] = true
		}
	}
	l.known(o.studyDay(last))
	l.known(o.elapsed(last))
	all := true
	for t := range b.study.Visits {
		all = all && (done[t] || !b.study.Visits[t].Required)
	}
	l.bool(all)
	if calendar(b.study) {
		l.date(o.Consented)
		l.date(o.Withdrawn)
	}
	for _, p := range b.quasi {
		if err := b.addPersonal(l.batch, p, records); err != nil {
			return err
		}
	}
	return b.addToGate(o, visits, records)
}

// exact is the date of a visit known to the day, else NoDate.
func exact(d study.PartialDate) study.Date {
	if !d.Exact() {
		return study.NoDate
	}
	return d.First()
}

func (b *Builder) addVisit(o owner, v *happened, deviations []study.Deviation) {
	l := b.line(atVisits, o)
	l.int(v.seq)
	l.text(v.id)
	if v.Type >= 0 {
		l.text(b.study.Visits[v.Type].Name)
		l.text(b.study.Visits[v.Type].Label)
	} else {
		l.null()
		l.null()
	}
	l.bool(v.Type < 0)
	l.known(o.studyDay(exact(v.Actual)))
	l.known(o.elapsed(exact(v.Actual)))
	l.known(o.elapsed(v.Due))
	l.known(o.elapsed(v.WindowStart))
	l.known(o.elapsed(v.WindowEnd))
	l.known(v.FromTarget, v.HasDistance)
	l.known(v.OutsideWindow, v.HasDistance)
	l.inWindow(v.Timing)
	l.text(string(v.Timing))
	l.text(b.versionOf(v.Visit))
	l.text(deviationCodes(v.No, deviations))
	if calendar(b.study) {
		l.date(exact(v.Actual))
	}
}

// versionOf names the version of the protocol that judged v.
func (b *Builder) versionOf(v *study.Visit) string {
	if n := v.Protocol; n >= 0 && n < len(b.study.Versions) {
		return b.study.Versions[n].Version
	}
	return b.study.Protocol.Version
}

func deviationCodes(visit int32, deviations []study.Deviation) string {
	var codes []string
	for _, d := range deviations {
		if d.VisitNo == visit && d.State != study.Resolved && d.Kind != study.IsFinding && !slices.Contains(codes, d.Code) {
			codes = append(codes, d.Code)
		}
	}
	slices.Sort(codes)
	return strings.Join(codes, ";")
}

// addStatus appends what became of each visit type, in protocol order, and
// answers the numbers of the visits that did not happen and are settled: their
// window ended longer ago than the study's missed_lag.
func (b *Builder) addStatus(o owner, j *study.Judgement, visits []happened) (settled []int32) {
	for t := range b.study.Visits {
		status, no, id, due := study.VisitStatus(""), int32(0), "", study.NoDate
		for i := range visits {
			if visits[i].Type == t && status == "" {
				status, id, due = study.Completed, visits[i].id, visits[i].Due
			}
		}
		for i := range j.Visits {
			if v := &j.Visits[i]; v.Type == t && status == "" && b.settled(o, v) {
				status, no, due = v.Status, v.No, v.Due
			}
		}
		if status == "" {
			continue
		}
		if no != 0 {
			settled = append(settled, no)
		}
		l := b.line(atStatus, o)
		l.int(int64(t + 1))
		l.text(b.study.Visits[t].Name)
		l.text(string(status))
		l.textOrNull(id)
		l.known(o.elapsed(due))
	}
	return settled
}

// settled reports whether a visit that did not happen may be told. A relative
// calendar has no cut-off to compare with.
func (b *Builder) settled(o owner, v *study.Visit) bool {
	switch v.Status {
	case study.Missed, study.NotDone, study.Cancelled:
	default:
		return false
	}
	if b.study.Relative {
		return true
	}
	last := b.plan.AsOf
	if b.plan.Cutoff.Known() {
		last = min(last, b.plan.Cutoff)
	}
	return v.WindowEnd.Known() && o.sees(v.WindowEnd, v.WindowEnd) && v.WindowEnd+study.Date(b.study.Deid.MissedLagDays) < last
}

// addDeviations appends the deviations that are not resolved, of the participant
// and of visits that are told of.
func (b *Builder) addDeviations(o owner, j *study.Judgement, visits []happened, settled []int32) {
	seq := int64(0)
	for i := range j.Deviations {
		d := &j.Deviations[i]
		v := visitNo(visits, d.VisitNo)
		if d.State == study.Resolved || d.Kind == study.IsFinding || d.VisitNo != 0 && v == nil && !slices.Contains(settled, d.VisitNo) {
			continue
		}
		seq++
		l := b.line(atDeviations, o)
		l.int(seq)
		visitType := -1
		for n := range j.Visits {
			if j.Visits[n].No == d.VisitNo {
				visitType = j.Visits[n].Type
			}
		}
		if v != nil {
			l.text(v.id)
		} else {
			l.null()
		}
		b.visitName(l, visitType)
		if v != nil {
			l.int(v.seq)
		} else {
			l.int(0)
		}
		l.text(d.Code)
		l.text(string(d.Kind))
		l.text(string(d.State))
		form, _, _ := strings.Cut(d.Detail, "/")
		l.textOrNull(form)
	}
}

func (b *Builder) visitName(l *line, visitType int) {
	if visitType < 0 {
		l.null()
		return
	}
	l.text(b.study.Visits[visitType].Name)
}

// addRecord appends one record to the table of its form.
func (b *Builder) addRecord(o owner, r *study.CurrentRecord, v *happened, seq int64) error {
	form := &b.study.Forms[r.Key.Form]
	l := b.line(atForms+r.Key.Form, o)
	if !form.Log {
		if v != nil {
			l.int(v.seq)
			l.text(v.id)
			b.visitName(l, v.Type)
			l.known(o.studyDay(exact(v.Actual)))
		} else {
			l.int(0)
			l.null()
			l.null()
			l.null()
		}
	}
	l.int(seq)
	l.text(RecordKey(o.Code, r.Key.VisitNo, form.Name, r.Key.Occurrence))
	b.quality.record(r)
	return b.addAnswers(l.batch, r)
}

// addAnswers unpacks the answers of r into the columns of their fields.
func (b *Builder) addAnswers(batch *study.Batch, r *study.CurrentRecord) error {
	form := &b.study.Forms[r.Key.Form]
	rest, at, more := r.Answers, 0, true
	answer := ""
	fields := b.fields[r.Key.Form]
	for n := range fields {
		f := &fields[n]
		for ; at <= f.field && more; at++ {
			answer, rest, more = strings.Cut(rest, string(study.FieldSeparator))
		}
		if at <= f.field {
			return misfit(form, f.field, "a record has fewer answers than the form has fields")
		}
		if f.read == nil {
			b.addSealed(batch, f, r, answer)
			continue
		}
		columns := batch.Vectors[f.first : f.first+len(f.value)]
		why := &batch.Vectors[f.first+len(f.value)]
		if answer == study.MissingMark {
			for c := range columns {
				columns[c].AppendNull(f.value[c].Kind)
			}
			reason := reasonOf(r.Missing, f.field)
			if reason == "invalid" {
				b.quality.value(r.Key.Form, f.field)
			}
			appendReason(why, reason)
			continue
		}
		b.quality.value(r.Key.Form, f.field)
		reason, ok := f.read(columns, answer)
		if !ok {
			return misfit(form, f.field, "a stored answer is not of the field's type")
		}
		appendReason(why, reason)
	}
	return nil
}

func appendReason(v *study.Vector, reason string) {
	if reason == "" {
		v.AppendNull(study.TextKind)
		return
	}
	v.AppendText(reason)
}

// reasonOf finds the reason of a field in "field=reason" pairs.
func reasonOf(missing string, field int) string {
	for missing != "" {
		var pair string
		pair, missing, _ = strings.Cut(missing, ",")
		if index, reason, _ := strings.Cut(pair, "="); index == strconv.Itoa(field) {
			return reason
		}
	}
	return ""
}

func misfit(form *study.Form, field int, what string) error {
	return &study.Error{
		Code: "release.misfit", Op: "building table " + form.Name + ": field " + form.Fields[field].Name + ": " + what, Exit: study.ExitBlocked,
		Hint: "the study document changed under stored records: replay the sources so that they are read again, or undo the change",
	}
}
