package transform

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// ruled is one row of the table of rules: what is delivered, and what must follow
// once it has settled.
type ruled struct {
	name   string // rule/case
	change func(*study.Study)
	asOf   string
	given  [][]study.Record
	prior  func(*study.History)  // what else is stored before the last delivery
	want   []string              // open deviations: code, or code:detail
	visits map[string]string     // key → status, or status timing
	kinds  []study.DeviationKind // of want
}

func deliveries(news ...[]study.Record) [][]study.Record { return news }

// saying is a record whose content is told apart by one byte.
func saying(r study.Record, content byte, why study.ChangeReason) []study.Record {
	r.Hash, r.Change = [16]byte{content}, why
	return []study.Record{r}
}

// telling is a record that tells a fact of its participant.
func telling(r study.Record, fact int, value string) []study.Record {
	r.Facts, r.Hash = []study.Fact{{Index: fact, Value: value}}, [16]byte{byte(len(value)), value[0]}
	return []study.Record{r}
}

func removal(r study.Record) []study.Record {
	r.Removed = true
	return []study.Record{r}
}

func standing(r study.Record, status study.ParticipantStatus, on study.Date) []study.Record {
	r.Status, r.StatusOn = status, on
	return []study.Record{r}
}

// identifying is a study that tells persons apart by sex and year of birth.
func identifying(s *study.Study) {
	s.Facts = []study.FactSource{{Name: "imaging.sex", Kind: study.SexFact, Form: imagingForm}, {Name: "events.sex", Kind: study.SexFact, Form: eventForm},
		{Name: "imaging.born", Kind: study.BirthYearFact, Form: imagingForm}, {Name: "events.born", Kind: study.BirthYearFact, Form: eventForm}}
}

func patient(s *study.Study) { s.Deviations.FormGraceDays = 10000 }

// table is every rule of the study model with cases on both sides of it.
func table(t *testing.T) []ruled {
	return slices.Concat(timingRules(t), formRules(t), placementRules(t), participationRules(t), recordRules(t))
}

func timingRules(t *testing.T) []ruled {
	baseline := seen(t, "baseline", "2026-01-01")
	month1 := func(on string) [][]study.Record { return deliveries(baseline, seen(t, "month_1", on)) }
	planned := func(on string) [][]study.Record {
		r := row("month_1", imagingForm, study.PartialDate{})
		r.Visit.Planned = partial(t, on)
		return deliveries(baseline, []study.Record{r})
	}
	declared := func(on string) [][]study.Record {
		news := seen(t, "baseline", "2026-01-01")
		for i := range news {
			news[i].Visit.Declared = partial(t, on)
		}
		return deliveries(news)
	}
	entered := func(on string) [][]study.Record {
		news := seen(t, "month_1", "2026-01-31")
		news[2].Entered = date(t, on)
		return deliveries(baseline, news)
	}
	noWindow := func(s *study.Study) { s.Visits[1].HasWindow = false }
	late, is := []string{study.VisitOutOfWindow}, func(what string) map[string]string { return map[string]string{"month_1": what} }
	return []ruled{
		{name: "visit_out_of_window/late_by_one", given: month1("2026-02-15"), want: late, visits: is("completed late"), kinds: []study.DeviationKind{study.IsDeviation}},
		{name: "visit_out_of_window/last_day", given: month1("2026-02-14"), visits: is("completed in_window")},
		{name: "visit_out_of_window/first_day", given: month1("2026-01-24"), visits: is("completed in_window")},
		{name: "visit_out_of_window/early_by_one", given: month1("2026-01-23"), want: late, visits: is("completed early")},
		{name: "visit_out_of_window/last_day_in_cdisc", change: func(s *study.Study) { s.Days, s.Visits[0].Day = study.CDISC, 1 }, given: month1("2026-02-13"), visits: is("completed in_window")},
		{name: "visit_out_of_window/late_by_one_in_cdisc", change: func(s *study.Study) { s.Days, s.Visits[0].Day = study.CDISC, 1 }, given: month1("2026-02-14"), want: late, visits: is("completed late")},
		{name: "visit_out_of_window/this_rule_in_cdisc", change: func(s *study.Study) { s.Visits[1].Days = study.CDISC }, given: month1("2026-02-14"), want: late, visits: is("completed late")},
		{name: "visit_out_of_window/partial_date_across_its_end", given: month1("2026-02"), visits: is("completed indeterminate")},
		{name: "visit_out_of_window/partial_date_outside", given: month1("2026-03"), want: late, visits: is("completed late")},
		{name: "visit_out_of_window/partial_anchor", given: deliveries(seen(t, "baseline", "2026-01"), seen(t, "month_1", "2026-05-01")), visits: is("completed no_anchor")},
		{name: "visit_out_of_window/no_window", change: noWindow, given: month1("2026-07-01"), asOf: "2026-01-02", visits: is("completed no_window")},
		{name: "visit_out_of_window/moved_to_violation", change: func(s *study.Study) {
			s.Deviations.Kinds = map[string]study.DeviationKind{study.VisitOutOfWindow: study.IsViolation}
		}, given: month1("2026-02-15"), want: late, kinds: []study.DeviationKind{study.IsViolation}},
		{name: "planned_out_of_window/late_by_one", asOf: "2026-01-02", given: planned("2026-02-15"), want: []string{study.PlannedOutOfWindow}, visits: is("scheduled")},
		{name: "planned_out_of_window/last_day", asOf: "2026-01-02", given: planned("2026-02-14"), visits: is("scheduled")},
		{name: "planned_out_of_window/partial_date_across_its_end", asOf: "2026-01-02", given: planned("2026-02"), visits: is("scheduled")},
		{name: "baseline_date_mismatch/one_day", asOf: "2026-01-02", change: func(s *study.Study) { s.Visits[0].Before, s.Visits[0].After = 3, 3 }, given: declared("2026-01-02"), want: []string{study.BaselineDateMismatch}},
		{name: "baseline_date_mismatch/the_same_day", asOf: "2026-01-02", given: declared("2026-01-01")},
		{name: "baseline_date_mismatch/partial_date_that_could_be", asOf: "2026-01-02", given: declared("2026-01")},
		{name: "late_entry/one_day", given: entered("2026-02-15"), want: []string{study.LateEntry + ":imaging"}},
		{name: "late_entry/last_day", given: entered("2026-02-14")},
		{name: "visit_missed/the_day_after", asOf: "2026-02-15", given: deliveries(baseline), want: []string{study.VisitMissed}, visits: is("missed")},
		{name: "visit_missed/last_day", asOf: "2026-02-14", given: deliveries(baseline), visits: is("scheduled")},
		{name: "visit_missed/optional", change: func(s *study.Study) { s.Visits[1].Required = false }, given: deliveries(baseline), visits: is("not_done")},
		{name: "visit_order/before_the_one_due_before", change: func(s *study.Study) { s.Visits[2].Before = 60 },
			given: deliveries(baseline, seen(t, "month_1", "2026-02-14"), seen(t, "month_3", "2026-02-13")), want: []string{study.VisitOrder}},
		{name: "visit_order/targets_without_windows", change: func(s *study.Study) { s.Visits[1].HasWindow, s.Visits[2].HasWindow = false, false },
			given: deliveries(baseline, seen(t, "month_1", "2026-02-14"), seen(t, "month_3", "2026-02-13")), want: []string{study.VisitOrder}},
		{name: "visit_order/beyond_a_partial_date", change: func(s *study.Study) { s.Visits[3].Before = 170 },
			given: deliveries(seen(t, "baseline", "2026-01-01"), seen(t, "month_1", "2026-01-31"), seen(t, "month_3", "2026"), seen(t, "month_6", "2026-01-30")),
			want:  []string{study.VisitOrder}},
		{name: "visit_order/the_same_day", change: func(s *study.Study) { s.Visits[2].Before = 60 },
			given: deliveries(baseline, seen(t, "month_1", "2026-02-14"), seen(t, "month_3", "2026-02-14"))},
	}
}

func formRules(t *testing.T) []ruled {
	month1 := seen(t, "month_1", "2026-01-31")
	lacking := func(keep ...int) [][]study.Record {
		news := seen(t, "baseline", "2026-01-01")
		for _, i := range keep {
			news = append(news, month1[i])
		}
		return deliveries(news)
	}
	optional := func(s *study.Study) {
		s.Visits[1].Forms = []study.VisitForm{{Form: "acuity"}, {Form: "imaging", Optional: true}}
	}
	return []ruled{
		{name: "form_missing/one", asOf: "2026-02-11", given: lacking(0, 1), want: []string{study.FormMissing + ":imaging"}, kinds: []study.DeviationKind{study.IsDeviation}},
		{name: "form_missing/last_day_of_grace", asOf: "2026-02-10", given: lacking(0, 1)},
		{name: "form_missing/optional", change: optional, given: lacking(0, 1)},
		{name: "form_missing/one_eye_of_little_weight", change: optional, given: lacking(0, 2), want: []string{study.FormMissing + ":acuity/L"}},
		{name: "form_missing/failed_screening", given: append(lacking(0, 1), standing(row("", eventForm, study.PartialDate{}), study.ScreenFailure, study.NoDate))},
		{name: "forms_missing/critical", given: lacking(0, 2), want: []string{study.FormsMissing}, kinds: []study.DeviationKind{study.IsViolation}},
		{name: "forms_missing/two", change: optional, given: append(lacking(), []study.Record{row("month_1", consentForm, partial(t, "2026-01-31"))}), want: []string{study.FormsMissing}},
		{name: "forms_missing/none", given: lacking(0, 1, 2)},
		{name: "baseline_missing/a_later_visit", given: deliveries(month1), want: []string{study.BaselineMissing}, visits: map[string]string{"month_1": "completed no_anchor"}},
		{name: "baseline_missing/there_it_is", given: lacking(0, 1, 2)},
		{name: "baseline_missing/removed", given: append(lacking(0, 1, 2), removals(seen(t, "baseline", "2026-01-01"))), want: []string{study.BaselineMissing}},
	}
}

// removals are the records gone.
func removals(records []study.Record) (gone []study.Record) {
	for _, r := range records {
		gone = append(gone, removal(r)...)
	}
	return gone
}

func placementRules(t *testing.T) []ruled {
	baseline := seen(t, "baseline", "2026-01-01")
	reach := func(before, after int) func(*study.Study) {
		return func(s *study.Study) {
			patient(s)
			s.Visits[1].MaxDays, s.Visits[2].MaxDays = before, after
		}
	}
	at := func(dates ...string) [][]study.Record {
		news := slices.Clone(baseline)
		for _, d := range dates {
			news = append(news, dated(t, d))
		}
		return deliveries(news)
	}
	ambiguous := []string{study.VisitAmbiguous}
	twice := row("d:2026-01-31#2", imagingForm, partial(t, "2026-01-31"))
	return []ruled{
		{name: "visit_ambiguous/two_visits_tie", change: patient, asOf: "2026-01-02", given: at("2026-01-30", "2026-02-01"), want: []string{study.VisitAmbiguous, study.VisitAmbiguous}},
		{name: "visit_ambiguous/two_on_one_day", change: patient, asOf: "2026-01-02", given: append(at("2026-01-31"), []study.Record{twice}), want: []string{study.VisitAmbiguous, study.VisitAmbiguous}},
		{name: "visit_ambiguous/one_is_nearer", change: patient, asOf: "2026-01-02", given: at("2026-01-30", "2026-01-31"),
			visits: map[string]string{"d:2026-01-31": "completed in_window", "d:2026-01-30": "unscheduled no_window"}},
		// The window of month_1 ends on 14 February, that of month_3 starts on 18 March: 2 March is 16 days from both.
		{name: "visit_ambiguous/beyond_two_windows", change: reach(20, 20), asOf: "2026-01-02", given: at("2026-03-02"), want: ambiguous, visits: map[string]string{"d:2026-03-02": "unscheduled no_window"}},
		{name: "visit_ambiguous/beyond_one_window_more_nearly", change: reach(20, 20), asOf: "2026-01-02", given: at("2026-03-01"),
			want: []string{study.VisitOutOfWindow}, visits: map[string]string{"d:2026-03-01": "completed late"}},
		{name: "visit_ambiguous/beyond_the_reach_of_the_other", change: reach(0, 20), asOf: "2026-01-02", given: at("2026-03-02"),
			want: []string{study.VisitOutOfWindow}, visits: map[string]string{"d:2026-03-02": "completed early"}},
		{name: "visit_ambiguous/beyond_every_reach", change: reach(15, 15), asOf: "2026-01-02", given: at("2026-03-02"), visits: map[string]string{"d:2026-03-02": "unscheduled no_window"}},
		{name: "visit_ambiguous/a_window_before_any_reach", change: reach(60, 60), asOf: "2026-01-02", given: at("2026-03-20", "2026-02-14", "2026-02-20"),
			visits: map[string]string{"d:2026-02-14": "completed in_window", "d:2026-03-20": "completed in_window", "d:2026-02-20": "unscheduled no_window"}},
	}
}

func participationRules(t *testing.T) []ruled {
	baseline := seen(t, "baseline", "2026-01-01")
	event := row("", eventForm, study.PartialDate{})
	withdrawn := func(on string) []study.Record {
		r := event
		r.Withdrawn = date(t, on)
		return []study.Record{r}
	}
	status := func(s study.ParticipantStatus, on string) [][]study.Record {
		d := study.NoDate
		if on != "" {
			d = date(t, on)
		}
		return deliveries(baseline, standing(event, s, d))
	}
	consent := func(s *study.Study) { *s = *consentOnly() }
	enrol := func(s *study.Study) { *s = *enrolling() }
	month1, is := seen(t, "month_1", "2026-01-31"), func(what string) map[string]string { return map[string]string{"month_1": what} }
	return []ruled{
		{name: "after_withdrawal/the_day_after", given: deliveries(baseline, withdrawn("2026-01-30"), month1), want: []string{study.AfterWithdrawal}, kinds: []study.DeviationKind{study.IsViolation}},
		{name: "after_withdrawal/the_same_day", given: deliveries(baseline, withdrawn("2026-01-31"), month1)},
		{name: "after_withdrawal/by_status", given: append(status(study.Withdrew, "2026-01-30"), month1), want: []string{study.AfterWithdrawal}},
		{name: "after_withdrawal/by_status_the_same_day", given: append(status(study.Withdrew, "2026-01-31"), month1)},
		{name: "after_withdrawal/by_status_nobody_knows_when", given: append(status(study.Withdrew, ""), month1)},
		{name: "after_withdrawal/by_another_status", given: append(status(study.Lost, "2026-01-30"), month1)},
		{name: "after_withdrawal/the_earlier_of_two", given: append(status(study.Withdrew, "2026-01-30"), withdrawn("2026-02-10"), month1), want: []string{study.AfterWithdrawal}},
		{name: "after_withdrawal/taken_back", asOf: "2026-02-01", given: deliveries(baseline, withdrawn("2026-01-30"), month1, standing(row("month_1", imagingForm, partial(t, "2026-01-31")), study.Enrolled, study.NoDate))},
		{name: "consent_missing/none", change: consent, given: deliveries(baseline), asOf: "2026-01-02", want: []string{study.ConsentMissing}},
		{name: "consent_missing/the_day_after", change: consent, asOf: "2026-01-02", given: deliveries(baseline, []study.Record{lateConsent(t, "2026-01-02")}), want: []string{study.ConsentMissing}},
		{name: "consent_missing/the_same_day", change: consent, asOf: "2026-01-02", given: deliveries(baseline, []study.Record{lateConsent(t, "2026-01-01")})},
		{name: "consent_missing/removed", change: consent, asOf: "2026-01-02", given: deliveries(baseline, []study.Record{lateConsent(t, "2026-01-01")}, removal(lateConsent(t, "2026-01-01"))), want: []string{study.ConsentMissing}},
		{name: "unknown_participant/not_enrolled", change: enrol, asOf: "2026-01-02", given: deliveries(baseline), want: []string{study.UnknownParticipant}},
		{name: "unknown_participant/enrolled", change: enrol, asOf: "2026-01-02", given: deliveries(baseline, []study.Record{consented(t, "2026-01-01")})},
		{name: "unknown_participant/enrolment_removed", change: enrol, asOf: "2026-01-02", given: deliveries(baseline, []study.Record{consented(t, "2026-01-01")}, removal(consented(t, "2026-01-01"))), want: []string{study.UnknownParticipant}},
		{name: "visit_missed/withdrawn_on_the_last_day", asOf: "2026-03-01", given: deliveries(baseline, withdrawn("2026-02-14")), visits: is("cancelled")},
		{name: "visit_missed/withdrawn_the_day_after", asOf: "2026-03-01", given: deliveries(baseline, withdrawn("2026-02-15")), want: []string{study.VisitMissed}, visits: is("missed")},
		{name: "visit_missed/died_on_the_last_day", asOf: "2026-03-01", given: status(study.Died, "2026-02-14"), visits: is("cancelled")},
		{name: "visit_missed/lost_the_day_after", asOf: "2026-03-01", given: status(study.Lost, "2026-02-15"), want: []string{study.VisitMissed}, visits: is("missed")},
		{name: "visit_missed/finished_nobody_knows_when", asOf: "2026-03-01", given: status(study.Finished, ""), want: []string{study.VisitMissed},
			visits: map[string]string{"month_1": "missed", "month_3": "cancelled"}},
		{name: "visit_missed/failed_screening", asOf: "2026-03-01", given: status(study.ScreenFailure, ""), visits: map[string]string{"baseline": "completed in_window"}},
		{name: "visit_missed/in_screening", asOf: "2026-03-01", given: status(study.Screening, ""), want: []string{study.VisitMissed}},
		{name: "visit_missed/enrolled_again", asOf: "2026-03-01", given: append(status(study.Withdrew, "2026-01-05"), standing(event, study.Enrolled, study.NoDate)), want: []string{study.VisitMissed}},
	}
}

func recordRules(t *testing.T) []ruled {
	first, again := row("baseline", imagingForm, partial(t, "2026-01-01")), row("month_1", imagingForm, partial(t, "2026-01-31"))
	log := row("", eventForm, study.PartialDate{})
	base := saying(first, 1, study.ChangeUnasked)
	stands := func(status study.ParticipantStatus, withdrawn study.Date) []study.Record {
		r := saying(log, 1, study.ChangeUnasked)[0]
		r.Status, r.StatusOn, r.Withdrawn = status, study.NoDate, withdrawn
		return []study.Record{r}
	}
	under := func(l study.Lock) func(*study.History) { return func(h *study.History) { h.Locks = []study.Lock{l} } }
	both := func(s *study.Study) { patient(s); identifying(s) }
	edited := []string{study.EditedAfterLock + ":imaging"}
	changed := []string{study.ChangeWithoutReason + ":imaging"}
	conflict := []string{study.IdentityConflict}
	rules := []ruled{
		{name: "change_without_reason/changed", given: deliveries(base, saying(first, 2, study.ChangeUnexplained)), want: changed, kinds: []study.DeviationKind{study.IsDeviation}},
		{name: "change_without_reason/in_one_delivery", given: deliveries(slices.Concat(base, saying(first, 2, study.ChangeUnexplained))), want: changed},
		{name: "change_without_reason/with_one", given: deliveries(base, saying(first, 2, study.ChangeExplained))},
		{name: "change_without_reason/source_has_no_place_for_one", given: deliveries(base, saying(first, 2, study.ChangeUnasked))},
		{name: "change_without_reason/nothing_changed", given: deliveries(base, saying(first, 1, study.ChangeUnexplained))},
		{name: "change_without_reason/first_entry", given: deliveries(saying(first, 1, study.ChangeUnexplained))},
		{name: "change_without_reason/stays", given: deliveries(base, saying(first, 2, study.ChangeUnexplained), saying(first, 3, study.ChangeExplained)), want: changed},
		{name: "change_without_reason/removed", given: deliveries(base, saying(again, 1, 0), saying(first, 2, study.ChangeUnexplained), removal(first)), want: []string{study.BaselineMissing}},
		{name: "edited_after_lock/of_the_study", given: deliveries(base, saying(first, 2, 0)), prior: under(study.Lock{ID: 7}), want: edited, kinds: []study.DeviationKind{study.IsViolation}},
		{name: "edited_after_lock/of_the_participant", given: deliveries(base, saying(first, 2, 0)), prior: under(study.Lock{ID: 7, Participant: 1}), want: edited},
		{name: "edited_after_lock/of_the_visit", given: deliveries(base, saying(first, 2, 0)), prior: under(study.Lock{ID: 7, Visit: "baseline"}), want: edited},
		{name: "edited_after_lock/removal", given: deliveries(base, removal(first)), prior: under(study.Lock{ID: 7}), want: edited},
		{name: "edited_after_lock/new_record", given: deliveries(base, saying(log, 1, 0)), prior: under(study.Lock{ID: 7}), want: []string{study.EditedAfterLock + ":events"}},
		{name: "edited_after_lock/placed_by_date", given: deliveries(base, []study.Record{dated(t, "2026-01-31")}), prior: under(study.Lock{ID: 7, Visit: "month_1"}), want: edited},
		{name: "edited_after_lock/status", given: deliveries(base, stands(study.Enrolled, study.NoDate), stands(study.Lost, study.NoDate)), prior: under(study.Lock{ID: 7}), want: []string{study.EditedAfterLock + ":events"}},
		{name: "edited_after_lock/withdrawal", given: deliveries(base, stands("", study.NoDate), stands("", date(t, "2026-01-02"))), prior: under(study.Lock{ID: 7, Participant: 1}), want: []string{study.EditedAfterLock + ":events"}},
		{name: "edited_after_lock/the_same_status", given: deliveries(base, stands(study.Lost, study.NoDate), stands(study.Lost, study.NoDate)), prior: under(study.Lock{ID: 7})},
		{name: "edited_after_lock/status_under_the_lock_of_a_visit", given: deliveries(base, stands(study.Enrolled, study.NoDate), stands(study.Lost, study.NoDate)), prior: under(study.Lock{ID: 7, Visit: "month_1"})},
		{name: "edited_after_lock/another_participant", given: deliveries(base, saying(first, 2, 0)), prior: under(study.Lock{ID: 7, Participant: 2})},
		{name: "edited_after_lock/another_visit", given: deliveries(base, saying(first, 2, 0)), prior: under(study.Lock{ID: 7, Visit: "month_1"})},
		{name: "edited_after_lock/nothing_new", given: deliveries(base, base), prior: under(study.Lock{ID: 7})},
		{name: "edited_after_lock/removed_before", given: deliveries(base, removal(first), removal(first)), prior: under(study.Lock{ID: 7})},
		{name: "identity_conflict/sex", change: both, given: deliveries(telling(first, 0, "F"), telling(again, 0, "M")), want: conflict, kinds: []study.DeviationKind{study.IsViolation}},
		{name: "identity_conflict/sex_on_a_log", change: both, given: deliveries(telling(first, 0, "F"), telling(log, 1, "M")), want: []string{study.IdentityConflict + ":events"}},
		{name: "identity_conflict/birth_year", change: both, given: deliveries(telling(first, 2, "1950"), telling(again, 2, "1951")), want: conflict},
		{name: "identity_conflict/the_same", change: both, given: deliveries(telling(first, 0, "F"), telling(again, 0, "f"))},
		{name: "identity_conflict/birth_date_and_its_year", change: both, given: deliveries(telling(first, 2, "1950"), telling(log, 3, "1950-06-30"))},
		{name: "identity_conflict/corrected_itself", change: both, given: deliveries(telling(first, 0, "F"), telling(first, 0, "M"))},
	}
	for i := range rules {
		if rules[i].change == nil {
			rules[i].change = patient
		}
		rules[i].asOf = "2026-01-02"
	}
	return rules
}

func TestRule(t *testing.T) {
	for _, c := range table(t) {
		t.Run(c.name, func(t *testing.T) {
			s := amd()
			if c.change != nil {
				c.change(s)
			}
			if c.asOf == "" {
				c.asOf = "2026-03-01"
			}
			_, j := c.judge(s, date(t, c.asOf))
			expectCodes(t, j, c.want...)
			for i, kind := range c.kinds {
				if j.Deviations[i].Kind != kind {
					t.Errorf("kind %s, want %s", j.Deviations[i].Kind, kind)
				}
			}
			for key, want := range c.visits {
				v := find(t, j.Visits, key)
				if got := strings.TrimSpace(string(v.Status) + " " + string(v.Timing)); got != want {
					t.Errorf("%s is %s, want %s: %+v", key, got, want, v)
				}
			}
		})
	}
}

// judge delivers what is given and lets it settle, then judges once more, which
// must change nothing.
func (c *ruled) judge(s *study.Study, asOf study.Date) (study.History, study.Judgement) {
	last := len(c.given) - 1
	h, _ := course(s, asOf, c.given[:last]...)
	if last == 0 {
		h = newcomer()
	}
	if c.prior != nil {
		c.prior(&h)
	}
	var j study.Judgement
	h.Landing = landing(int64(last + 1))
	for _, news := range [][]study.Record{c.given[last], nil, nil} {
		j = NewRules(s).Judge(h, news, asOf)
		h = keep(h, news, j)
	}
	return h, j
}

// Every code, status and timing of the study model has its row in the table, and
// every code a row where it is not raised.
func TestRulesAreComplete(t *testing.T) {
	codes := []string{study.VisitOutOfWindow, study.PlannedOutOfWindow, study.BaselineDateMismatch, study.FormMissing, study.FormsMissing,
		study.LateEntry, study.VisitMissed, study.VisitOrder, study.VisitAmbiguous, study.AfterWithdrawal, study.BaselineMissing,
		study.ConsentMissing, study.UnknownParticipant, study.ChangeWithoutReason, study.EditedAfterLock, study.IdentityConflict}
	raised, quiet, seen := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range table(t) {
		code, _, _ := strings.Cut(c.name, "/")
		is := slices.ContainsFunc(c.want, func(w string) bool { return strings.HasPrefix(w, code) })
		raised[code], quiet[code] = raised[code] || is, quiet[code] || !is
		for _, v := range c.visits {
			for word := range strings.FieldsSeq(v) {
				seen[word] = true
			}
		}
	}
	for _, code := range codes {
		if !raised[code] || !quiet[code] {
			t.Errorf("%s: raised %v, not raised %v", code, raised[code], quiet[code])
		}
	}
	for _, word := range []string{"scheduled", "completed", "missed", "not_done", "unscheduled", "cancelled",
		"in_window", "early", "late", "indeterminate", "no_anchor", "no_window"} {
		if !seen[word] {
			t.Errorf("no row shows %s; there are %v", word, slices.Sorted(maps.Keys(seen)))
		}
	}
}
