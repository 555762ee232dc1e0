package release

import (
	"context"
	"slices"
	"strings"

	"longitude/deid"
	"longitude/study"
)

// Static gives the batches of the tables that are about no participant, in the
// order of Tables. released are all tables after door 2, parts those of the tables
// about participants, claim is what door 2 computed. It is called after the last Add: release_info
// counts, and names the version that the content gives.
func (b *Builder) Static(ctx context.Context, released []*study.Table, claim string, parts map[string][]deid.Artifact) ([]*study.Batch, error) {
	t := b.tables[b.about:]
	batches := []*study.Batch{
		scheduleBatch(t[0], b.study),
		qualityBatch(t[1], b.quality, tellerOf(b.study)),
		codelistsBatch(t[2], b.study),
		reasonsBatch(t[3], b.study),
		dictionaryBatch(t[4], released),
	}
	if err := b.settle(ctx, released, parts, batches); err != nil {
		return nil, err
	}
	p := b.plan
	p.Claim = claim
	return append(batches, infoBatch(t[5], b.study, p, b.tally)), nil
}

func scheduleBatch(t *study.Table, s *study.Study) *study.Batch {
	batch := newBatch(t)
	for n, version := range versions(s) {
		for i := range version.Visits {
			if v := &version.Visits[i]; !v.Absent {
				scheduleRow(staticLine(batch), s, n, version.Version, i, v)
			}
		}
	}
	return batch
}

// versions are those of the protocol; a study made without any has the one it is.
func versions(s *study.Study) []study.ProtocolVersion {
	if len(s.Versions) > 0 {
		return s.Versions
	}
	return []study.ProtocolVersion{{Version: s.Protocol.Version, Effective: study.NoDate, Visits: s.Visits}}
}

func scheduleRow(l *line, s *study.Study, n int, version string, i int, v *study.VisitType) {
	target, convention := s.Offset(v), s.Days
	if v.Days != "" {
		convention = v.Days
	}
	l.int(int64(n + 1))
	l.text(version)
	l.int(int64(i + 1))
	l.text(v.Name)
	l.text(v.Label)
	l.known(v.Day, !v.NoTarget)
	l.text(string(convention))
	l.textOrNull(v.Anchor)
	l.known(target, !v.NoTarget)
	l.known(target-v.Before, v.HasWindow)
	l.known(target+v.After, v.HasWindow)
	l.bool(v.Required)
	l.text(formsOf(v, func(f study.VisitForm) bool { return f.Critical }))
	l.text(formsOf(v, func(f study.VisitForm) bool { return !f.Critical && !f.Optional }))
	l.text(formsOf(v, func(f study.VisitForm) bool { return f.Optional }))
	l.bool(v.Repeats)
}

func formsOf(v *study.VisitType, want func(study.VisitForm) bool) string {
	var names []string
	for _, f := range v.Forms {
		if want(f) {
			names = append(names, f.Form)
		}
	}
	return strings.Join(names, ";")
}

// codelist is a named list of codes.
type codelist struct {
	name  string
	items []study.ChoiceItem
}

// codelists are all code lists that released columns may refer to: those of the
// forms' fields, then those of the study model.
func codelists(s *study.Study) []codelist {
	var lists []codelist
	for _, form := range s.Forms {
		for _, field := range form.Fields {
			if len(field.Choices) > 0 && !field.Sealed() && field.Class != study.Blinded {
				lists = append(lists, codelist{form.Name + "." + field.Name, field.Choices})
			}
		}
	}
	visits := codelist{name: listVisits}
	for _, v := range s.Visits {
		visits.items = append(visits.items, study.ChoiceItem{Code: v.Name, Label: v.Label})
	}
	lists = append(lists, analysisOf(s).lists()...)
	return append(lists, visits,
		codelist{listTiming, []study.ChoiceItem{
			{Code: string(study.InWindow), Label: "Inside the window, ends included"},
			{Code: string(study.Early), Label: "Before the window opened"},
			{Code: string(study.Late), Label: "After the window closed"},
			{Code: string(study.Indeterminate), Label: "The date is partial and could lie on both sides of an end"},
			{Code: string(study.NoAnchor), Label: "The baseline visit is missing or not known to the day"},
			{Code: string(study.NoWindow), Label: "The visit has no window"},
		}},
		codelist{listStatus, []study.ChoiceItem{
			{Code: string(study.Completed), Label: "The visit happened"},
			{Code: string(study.Missed), Label: "Required, and its window ended unseen"},
			{Code: string(study.NotDone), Label: "Optional, and its window ended unseen"},
			{Code: string(study.Cancelled), Label: "Participation ended before its window closed"},
		}},
		codelist{listDeviation, []study.ChoiceItem{
			{Code: study.VisitOutOfWindow, Label: "The visit lies outside its window"},
			{Code: study.PlannedOutOfWindow, Label: "The visit was planned outside its window"},
			{Code: study.BaselineDateMismatch, Label: "The declared baseline date differs from the visit's"},
			{Code: study.FormMissing, Label: "One form of the visit is missing"},
			{Code: study.FormsMissing, Label: "Several forms of the visit, or a critical one, are missing"},
			{Code: study.LateEntry, Label: "Entered long after the visit"},
			{Code: study.VisitMissed, Label: "A required visit did not happen"},
			{Code: study.VisitOrder, Label: "Visits do not follow the order of the protocol"},
			{Code: study.VisitAmbiguous, Label: "Known by its date alone, which fits no one visit type best"},
			{Code: study.AfterWithdrawal, Label: "Collected after withdrawal from follow-up"},
			{Code: study.BaselineMissing, Label: "A later visit happened without the baseline visit"},
			{Code: study.ConsentMissing, Label: "Collected without consent or before it"},
			{Code: study.UnknownParticipant, Label: "The participant is not enrolled"},
			{Code: study.ChangeWithoutReason, Label: "A record changed and the source gave no reason"},
			{Code: study.EditedAfterLock, Label: "A change arrived after the data were locked; it was refused"},
			{Code: study.IdentityConflict, Label: "Records of one participant contradict each other about who it is"},
		}},
		codelist{listDeviationKind, []study.ChoiceItem{
			{Code: string(study.IsDeviation), Label: "The data stay usable"},
			{Code: string(study.IsViolation), Label: "The data are unusable or suspect"},
		}},
		codelist{listDeviationState, []study.ChoiceItem{
			{Code: string(study.Open), Label: "No reason recorded"},
			{Code: string(study.Explained), Label: "A reason is recorded"},
		}},
		codelist{listCheckKind, []study.ChoiceItem{
			{Code: "required", Label: "A value, or a reason why there is none, is expected"},
			{Code: "type", Label: "The value is of the field's type"},
			{Code: "choice", Label: "The value is in the code list"},
			{Code: "range", Label: "The value is within its range"},
			{Code: "precision", Label: "The value is no finer than is kept"},
			{Code: kindCheck, Label: "Values of one record agree"},
			{Code: kindCross, Label: "Values of several forms agree"},
		}},
		codelist{listSeverity, []study.ChoiceItem{
			{Code: string(study.Flag), Label: "Somebody should look at it"},
			{Code: string(study.Note), Label: "Worth counting, no more"},
		}},
		codelist{listReasons, missingReasons(s)},
		codelist{listOffChart, study.OffChart},
	)
}

func codelistsBatch(t *study.Table, s *study.Study) *study.Batch {
	batch := newBatch(t)
	for _, list := range codelists(s) {
		for i, item := range list.items {
			l := staticLine(batch)
			l.text(list.name)
			l.int(int64(i + 1))
			l.text(item.Code)
			l.text(item.Label)
		}
	}
	return batch
}

func reasonsBatch(t *study.Table, s *study.Study) *study.Batch {
	batch := newBatch(t)
	for i, reason := range missingReasons(s) {
		l := staticLine(batch)
		l.int(int64(i + 1))
		l.text(reason.Code)
		l.text(reason.Label)
	}
	return batch
}

func dictionaryBatch(t *study.Table, released []*study.Table) *study.Batch {
	batch := newBatch(t)
	for i, table := range released {
		for n, c := range table.Columns {
			l := staticLine(batch)
			l.int(int64(i + 1))
			l.int(int64(n + 1))
			l.text(table.Name)
			l.text(c.Name)
			l.text(c.Label)
			l.text(c.Description)
			l.text(c.Kind.String())
			l.bool(slices.Contains(table.Key, c.Name))
			l.bool(c.Nullable)
			l.textOrNull(c.Unit)
			l.textOrNull(c.CodeList)
			l.textOrNull(c.Form)
			l.textOrNull(c.Field)
			l.textOrNull(c.Transform)
			l.text(string(c.Class))
			l.text(c.Masking)
		}
	}
	return batch
}

func infoBatch(t *study.Table, s *study.Study, p Plan, tally Tally) *study.Batch {
	batch := newBatch(t)
	l := staticLine(batch)
	l.text(p.ID)
	l.text(s.Name)
	l.text(s.Title)
	l.textOrNull(p.Version)
	l.text(p.Series)
	l.date(p.AsOf)
	l.date(p.Cutoff)
	l.text(s.Protocol.ID)
	l.text(s.Protocol.Version)
	l.text(string(s.Days))
	l.text(p.Claim)
	l.text(s.Deid.Dates)
	l.textOrNull(p.Previous)
	l.int(tally.Participants)
	l.int(tally.Visits)
	return batch
}
