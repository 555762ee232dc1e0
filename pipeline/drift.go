package pipeline

import (
	"context"
	"slices"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// watch compares the shape of an object with the accepted one while it is read.
// The names of columns are known from the first batch, what values look like from
// the first rows; whatever was written until then goes with the transaction.
type watch struct {
	source   *study.Source
	asked    []string // columns that the mapping reads
	named    []string // these, and the fields of the study: names that are told
	digest   func(heading string) string
	accepted study.Shape // of no columns: the first object says
	again    bool        // the object is read again: its shape is not judged …
	sets     bool        // … but is the one accepted, where a person has said so and no object has come since
	keep     bool        // something is locked: rows are kept until they are judged, for what is refused then

	observer transform.Observer
	places   int  // of columns in the rows
	seen     int  // batches
	decided  bool // on all that is looked at
	drifts   []study.Drift
	codes    []study.Drift // codes outside their lists, once each
}

func newWatch(ctx context.Context, r *reading) (*watch, error) {
	w := &watch{source: r.feed.Config, digest: r.feed.Intake.HeadingDigest, named: fieldNames(r.feed.Study), again: r.origin > 0, keep: len(r.locks) > 0}
	accepted, ok, err := r.tx.AcceptedShape(ctx, r.feed.Config.Name)
	w.accepted, w.sets = accepted, !w.again || !ok
	w.decided = !w.sets
	return w, err
}

func (w *watch) begin(m *transform.Mapper) {
	w.asked, w.observer = m.Columns(), m.Observer()
	w.named = append(w.named, w.asked...)
	w.accepted = transform.Shown(w.accepted, w.named, w.digest)
	if w.keep {
		m.KeepRows()
	}
}

// tolerant reports whether columns of fields may be missing, by the source's
// policy. An object that is read again may lack what the accepted shape lacks too,
// because a person let that in; what it lacks of a newer shape it may not, or the
// mapping of that shape would blank what the object gave under its own.
func (w *watch) tolerant(columns []string) bool {
	if !w.again || w.source.Drift.MissingColumn == study.Evolve {
		return w.source.Drift.MissingColumn == study.Evolve
	}
	return w.sets || !slices.ContainsFunc(w.accepted.Columns, func(c study.ColumnShape) bool {
		return slices.Contains(w.asked, c.Name) && !slices.Contains(columns, c.Name)
	})
}

func (w *watch) look(rows *transform.Rows) error {
	if w.decided {
		return nil
	}
	full := w.observer.See(rows)
	w.places = len(rows.Columns)
	w.seen++
	if w.decided = full; !full && w.seen > 1 {
		return nil
	}
	return w.judge()
}

func (w *watch) end() error {
	if w.decided {
		return nil
	}
	w.decided = true
	return w.judge()
}

// shape is what the object looks like. Rows without fixed columns that hold nothing
// of what was asked may be of anything, and their names be data: these stay out.
// Once enough was seen of such rows, they have none of the columns.
func (w *watch) shape() study.Shape {
	s := w.observer.Shape()
	held := func(c study.ColumnShape) bool { return c.Kind != "" }
	switch {
	case w.decided && w.observer.Foreign():
		s.Columns = nil
	case !slices.ContainsFunc(s.Columns[:w.places], held):
		s.Columns = s.Columns[:w.places]
	}
	return transform.Shown(s, w.named, w.digest)
}

// fieldNames are the names of the study's fields.
func fieldNames(s *study.Study) (names []string) {
	for _, form := range s.Forms {
		for _, field := range form.Fields {
			names = append(names, field.Name)
		}
	}
	return names
}

// known is the shape of the object with what it shows nothing of as it was.
func (w *watch) known() study.Shape {
	s := w.shape()
	for i := range s.Columns {
		was := slices.IndexFunc(w.accepted.Columns, func(c study.ColumnShape) bool { return c.Name == s.Columns[i].Name })
		if s.Columns[i].Kind == "" && was >= 0 {
			s.Columns[i].Kind = w.accepted.Columns[was].Kind
		}
	}
	return s
}

// judge compares what was seen so far. The strictest policy that a change meets holds.
func (w *watch) judge() error {
	if w.again {
		return nil
	}
	w.drifts = transform.Drifts(w.accepted, w.shape(), w.asked, w.source.Drift)
	var aside []study.Rejection
	for _, d := range w.drifts {
		switch d.Action {
		case study.Freeze:
			return &frozen{drifts: w.drifts, why: &study.Error{Code: "drift.frozen", Exit: study.ExitBlocked, Op: changed(w.source.Name, w.drifts) + "; nothing of it was recorded",
				Hint: "correct the mapping if it reads what has changed, then run `longitude drift accept " + w.source.Name + "`"}}
		case study.QuarantineDrift:
			aside = append(aside, study.Rejection{Field: d.Column, Rule: "drift_" + string(d.Kind)})
		}
	}
	if len(aside) == 0 {
		return nil
	}
	why := &study.Error{Code: "drift.put_aside", Op: changed(w.source.Name, w.drifts) + "; it was put aside whole",
		Hint: "correct the mapping if it reads what has changed, then run `longitude drift accept " + w.source.Name + "` and `longitude quarantine replay`"}
	return &unread{why: why, rules: aside, shape: w.accepted, drifts: w.drifts}
}

// frozen is an object that stops its source. Only its changes are recorded, and
// the source does not go on behind it.
type frozen struct {
	why    *study.Error // for the operator
	drifts []study.Drift
}

func (f *frozen) Error() string { return f.why.Error() }
func (f *frozen) Unwrap() error { return f.why }

// freeze records the changes of an object that stops its source. It answers why,
// unless even that cannot be recorded.
func (in *Ingester) freeze(ctx context.Context, f *frozen, b *study.BatchRecord, studyName string) error {
	if err := in.Store.RecordFreeze(ctx, studyName, b.Actor, study.Frozen{Source: b.Source, Item: b.Item, Object: b.Object.Digest,
		RunID: b.RunID, Drifts: f.drifts}); err != nil {
		return err
	}
	return f.why
}

// shownDrifts bounds the changes that an error tells.
const shownDrifts = 5

// changed says what an object brings that those before did not.
func changed(source string, drifts []study.Drift) string {
	var told []string
	for _, d := range drifts[:min(len(drifts), shownDrifts)] {
		told = append(told, strings.TrimSpace(string(d.Kind)+" "+d.Column))
	}
	return "an object of source " + source + " is not of the expected shape: " + strings.Join(told, ", ")
}

// ruleChoice is the rule of transform that a code is not in its list.
const ruleChoice = "choice_unknown"

// choices hears of codes outside their lists.
func (w *watch) choices(rejections []study.Rejection) {
	for i := range rejections {
		r := &rejections[i]
		d := study.Drift{Kind: study.NewChoice, Column: r.Form + "." + r.Field, Mapped: true, Action: study.Evolve}
		if r.Rule == ruleChoice && !slices.Contains(w.codes, d) {
			w.codes = append(w.codes, d)
		}
	}
}

// record makes the shape of an object that was let in the accepted one, with the
// changes as events of its batch.
func (w *watch) record(ctx context.Context, r *reading) error {
	if !w.sets {
		return nil
	}
	return r.tx.RecordShape(ctx, w.source.Name, w.known(), append(w.drifts, w.codes...))
}
