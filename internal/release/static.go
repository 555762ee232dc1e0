package release

import (
	"slices"
	"strings"

	"longitude/study"
)

// Static gives the batches of the tables that are about no participant, in the
// order of Tables. released are the tables about participants after door 2,
// claim is what door 2 computed. It is called after the last Add: release_info
// counts.
func (b *Builder) Static(released []*study.Table, claim string) []*study.Batch {
	t := b.tables[len(b.batches):]
	p := b.plan
	p.Claim = claim
	return []*study.Batch{
		scheduleBatch(t[0], b.study),
		codelistsBatch(t[1], b.study),
		reasonsBatch(t[2]),
		dictionaryBatch(t[3], append(slices.Clone(released), t...)),
		infoBatch(t[4], b.study, p, b.tally),
	}
}

func scheduleBatch(t *study.Table, s *study.Study) *study.Batch {
	batch := newBatch(t)
	for i := range s.Visits {
		v := &s.Visits[i]
		target := s.Days.Elapsed(v.Day)
		l := staticLine(batch)
		l.int(int64(i + 1))
		l.text(v.Name)
		l.text(v.Label)
		l.known(v.Day, !v.NoTarget)
		l.known(target, !v.NoTarget)
		l.known(target-v.Before, v.HasWindow)
		l.known(target+v.After, v.HasWindow)
		l.bool(v.Required)
		l.text(formsOf(v, func(f study.VisitForm) bool { return f.Critical }))
		l.text(formsOf(v, func(f study.VisitForm) bool { return !f.Critical && !f.Optional }))
		l.text(formsOf(v, func(f study.VisitForm) bool { return f.Optional }))
		l.text(s.Protocol.Version)
	}
	return batch
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
		}},
		codelist{listDeviationKind, []study.ChoiceItem{
			{Code: string(study.IsDeviation), Label: "The data stay usable"},
			{Code: string(study.IsViolation), Label: "The data are unusable or suspect"},
		}},
		codelist{listDeviationState, []study.ChoiceItem{
			{Code: string(study.Open), Label: "No reason recorded"},
			{Code: string(study.Explained), Label: "A reason is recorded"},
		}},
		codelist{listReasons, study.MissingReasons},
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

func reasonsBatch(t *study.Table) *study.Batch {
	batch := newBatch(t)
	for i, reason := range study.MissingReasons {
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
