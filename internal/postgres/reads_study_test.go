package postgres

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"longitude/internal/status"
	"longitude/study"
)

// lived is a participant with a complete baseline, a late month 1 that lacks
// forms, a visit of no type, a log record and a record that waits.
func lived(t *testing.T, s *Store, code string, base study.Date) int64 {
	t.Helper()
	id := enrol(t, s, code)[0]
	none := study.Verdict{Due: study.NoDate, WindowStart: study.NoDate, WindowEnd: study.NoDate}
	visit := func(no int32, typ, at int, v study.Verdict) study.VisitVersion {
		return study.VisitVersion{Participant: id, Visit: study.Visit{No: no, Key: "key", Type: typ, Actual: study.ExactDate(base + study.Date(at)), Verdict: v}}
	}
	baseline := study.Verdict{Status: study.Completed, Timing: study.InWindow, Due: base, WindowStart: base, WindowEnd: base, HasDistance: true}
	month := study.Verdict{Status: study.Completed, Timing: study.Late, Due: base + 30, WindowStart: base + 23, WindowEnd: base + 44, HasDistance: true, FromTarget: 15, OutsideWindow: 1, Withheld: true}
	extra := none
	extra.Status, extra.Timing = study.Unscheduled, study.NoWindow
	future := visit(2, 2, 0, none)
	future.Status, future.Actual = study.Scheduled, study.PartialDate{}
	event, waiting, gone := packed(id, 0, "7", 1, "x"), packed(id, 2, "R", 1, "x"), packed(id, 1, "L", 1, "x")
	event.Key.Form = eventForm
	late := packed(id, 1, "R", 3, "x")
	late.Late = true
	deviation := func(code, detail, evidence string, visit int32) study.DeviationVersion {
		return study.DeviationVersion{Participant: id, Deviation: study.Deviation{DeviationKey: study.DeviationKey{Code: code, VisitNo: visit, Detail: detail},
			Kind: study.IsDeviation, State: study.Open, Evidence: evidence}}
	}
	write(t, s, "a", &study.Changes{
		Participants: []study.Participant{{ID: id, Site: "site-a", Enrolled: true, Consented: day("2025-12-30"), Withdrawn: study.NoDate}},
		Visits:       []study.VisitVersion{visit(4, 1, 45, month), visit(1, 0, 0, baseline), visit(3, -1, 60, extra), future},
		Records:      []study.RecordVersion{packed(id, 1, "R", 1, "x"), packed(id, 1, "R", 2, "x"), late, gone, event, waiting},
		Holds:        []study.HoldVersion{{Participant: id, Hold: study.Hold{Key: waiting.Key, Code: study.VisitOutOfWindow}}},
		Deviations: []study.DeviationVersion{deviation(study.VisitOutOfWindow, "", "late", 4), deviation(study.FormsMissing, "", "no acuity/L, acuity/R, imaging", 4),
			deviation(study.FormMissing, "imaging", "no imaging", 1)}})
	settled := deviation(study.FormMissing, "imaging", "no imaging", 1)
	settled.State = study.Resolved
	write(t, s, "a", &study.Changes{Deviations: []study.DeviationVersion{settled}})
	if _, err := as(t, s, "").Exec(t.Context(), `INSERT INTO research.record_version SELECT participant_id, batch_id, modified, content_hash, visit_no, 2, ordinal, shape_id, entered, form_id, 'd', occurrence, answers
		FROM research.record_version WHERE participant_id = $1 AND occurrence = 'L'`, id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSummary(t *testing.T) {
	s := open(t, amd())
	empty, err := s.Summary(t.Context(), "amd-obs")
	if err != nil || empty.AsOf != "" || empty.Participants != 0 || len(empty.Visits) != 3 || empty.Sites == nil || empty.Deviations == nil || empty.Quarantine == nil || empty.MissingForms == nil {
		t.Errorf("a study with nothing in it: %+v, %v", empty, err)
	}
	if _, err := s.Summary(t.Context(), "other"); !notFound(err) {
		t.Errorf("a study that is not there: %v", err)
	}
	lived(t, s, "A", day("2026-01-01"))
	lived(t, s, "B", day("2026-02-01"))
	rejectAs(t, s, "C")
	got, err := s.Summary(t.Context(), "amd-obs")
	if err != nil {
		t.Fatal(err)
	}
	want := status.StudySummary{Study: "amd-obs", Title: "AMD", Protocol: "AMD-1 3.0", AsOf: "2026-07-31", Participants: 3, Enrolled: 2, Consented: 2, Held: 3, Withheld: 2,
		Sites: []status.SiteRow{{Participants: 1}, {Site: "site-a", Participants: 2, Enrolled: 2}},
		Visits: []status.VisitRow{
			{Visit: "baseline", Label: "Baseline", Window: "0 (-0, +0)", Expected: 2, Completed: 2, InWindow: 2},
			{Visit: "month_1", Label: "Month 1", Window: "30 (-7, +14)", Expected: 2, Completed: 2, Late: 2},
			{Visit: "early_end", Label: "Early end", Scheduled: 2},
			{Label: "Unscheduled", Completed: 2, Undetermined: 2}},
		Deviations:   []status.CodeCount{{Code: "forms_missing", Kind: "deviation", Open: 2}, {Code: "visit_out_of_window", Kind: "deviation", Open: 2}},
		Findings:     []status.CheckCount{},
		Quarantine:   []status.RuleCount{{Rule: "date_invalid", Count: 1}, {Rule: "range", Count: 1}},
		MissingForms: []status.MissingFormAt{{Visit: "month_1", Form: "acuity", Missing: 2}, {Visit: "month_1", Form: "imaging", Missing: 2}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("summary\n%+v, want\n%+v", got, want)
	}
}

func TestTimeline(t *testing.T) {
	s := open(t, amd())
	base := day("2026-01-01")
	lived(t, s, "P", base)
	got, err := s.Timeline(t.Context(), "amd-obs", "P")
	if err != nil {
		t.Fatal(err)
	}
	if got.Code != "P" || got.Site != "site-a" || !got.Enrolled || got.Relative || got.Consented.Date != "2025-12-30" || *got.Consented.Day != -2 || got.Withdrawn != nil || got.AsOf.Date != "2026-07-31" {
		t.Errorf("participant %+v", got)
	}
	var types, forms []string
	for _, v := range got.Visits {
		types = append(types, v.Label)
		for _, f := range v.Forms {
			forms = append(forms, strings.Join([]string{v.Label, f.Form, f.Occurrence, f.State, itoa(f.Versions)}, " "))
		}
	}
	if !slices.Equal(types, []string{"Baseline", "Month 1", "Early end", "Unscheduled"}) {
		t.Errorf("visits %q", types)
	}
	if want := []string{"Baseline acuity R present 3", "Month 1 acuity L missing 0", "Month 1 acuity R missing 0", "Month 1 imaging  missing 0", "Early end acuity R held 1"}; !slices.Equal(forms, want) {
		t.Errorf("forms %q, want %q", forms, want)
	}
	month := got.Visits[1]
	if *month.FromTarget != 15 || *month.Outside != 1 || *month.Actual.Day != 45 || month.Actual.Date != "2026-02-15" || *month.WindowEnd.Day != 44 || !month.Withheld ||
		month.Timing != "late" || !slices.Equal(month.Deviations, []string{"forms_missing", "visit_out_of_window"}) {
		t.Errorf("month 1 %+v", month)
	}
	if v := got.Visits[0]; len(v.Deviations) != 0 || *v.FromTarget != 0 {
		t.Errorf("baseline %+v", v)
	}
	if v := got.Visits[2]; v.Actual != nil || v.Due != nil || v.FromTarget != nil || v.Type != "early_end" || v.Deviations == nil {
		t.Errorf("early end %+v", v)
	}
	if !reflect.DeepEqual(got.LogForms, []status.LogForm{{Form: "events", Records: 1}}) || len(got.Deviations) != 3 || got.Deviations[0].State != "resolved" {
		t.Errorf("log forms %+v, deviations %+v", got.LogForms, got.Deviations)
	}
	for _, c := range [][2]string{{"amd-obs", "Q"}, {"other", "P"}} {
		if _, err := s.Timeline(t.Context(), c[0], c[1]); !notFound(err) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// In a relative calendar places are days, and the dates of consent are dates still.
func TestTimelineOfARelativeCalendar(t *testing.T) {
	st := amd()
	st.Relative = true
	s := open(t, st)
	lived(t, s, "P", 0)
	got, err := s.Timeline(t.Context(), "amd-obs", "P")
	if err != nil {
		t.Fatal(err)
	}
	month := got.Visits[1]
	if !got.Relative || got.AsOf != nil || month.Actual.Date != "" || *month.Actual.Day != 45 || *month.WindowStart.Day != 23 || got.Consented.Date != "2025-12-30" || got.Consented.Day != nil {
		t.Errorf("%+v, consent %+v", month, got.Consented)
	}
	if !one[bool](t, s, `SELECT relative FROM research.study`) {
		t.Error("the database does not say so")
	}
}

func TestVisitsStandInProtocolOrder(t *testing.T) {
	visit := func(no int32, typ int, at study.PartialDate) study.Visit {
		return study.Visit{No: no, Type: typ, Actual: at}
	}
	on := func(d study.Date) study.PartialDate { return study.ExactDate(d) }
	visits := []study.Visit{visit(1, -1, study.PartialDate{}), visit(2, -1, on(60)), visit(3, 1, on(5)), visit(4, 0, on(9)), visit(5, -1, on(-3)), visit(6, 1, on(4)), visit(7, -1, on(60))}
	slices.SortFunc(visits, inProtocolOrder)
	var got []int32
	for _, v := range visits {
		got = append(got, v.No)
	}
	if want := []int32{4, 6, 3, 5, 2, 7, 1}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// What a check across forms has found is data quality: it stands apart from
// departures from the protocol.
func TestFindingsStandApart(t *testing.T) {
	s := open(t, amd())
	id := lived(t, s, "A", day("2026-01-01"))
	finding := func(detail string, visit int32, state study.DeviationState) study.DeviationVersion {
		return study.DeviationVersion{Participant: id, Deviation: study.Deviation{DeviationKey: study.DeviationKey{Code: study.CheckFailed, VisitNo: visit, Detail: detail},
			Kind: study.IsFinding, State: state, Evidence: "fails"}}
	}
	write(t, s, "a", &study.Changes{Deviations: []study.DeviationVersion{finding("acuity/R:iop_plausible", 1, study.Open), finding("acuity/L:iop_plausible", 1, study.Explained),
		finding("events/1:2:after_baseline", 0, study.Open), finding("events/3:after_baseline", 0, study.Resolved)}})
	got, err := s.Summary(t.Context(), "amd-obs")
	if err != nil {
		t.Fatal(err)
	}
	if want := []status.CheckCount{{Form: "acuity", Check: "iop_plausible", Open: 1, Explained: 1}, {Form: "events", Check: "after_baseline", Open: 1}}; !slices.Equal(got.Findings, want) {
		t.Errorf("findings %+v, want %+v", got.Findings, want)
	}
	if slices.ContainsFunc(got.Deviations, func(c status.CodeCount) bool { return c.Code == study.CheckFailed }) {
		t.Errorf("deviations %+v", got.Deviations)
	}
	if list, err := s.Deviations(t.Context(), status.DeviationFilter{Kind: "finding", State: "open"}); err != nil || len(list) != 2 || list[0].Kind != "finding" {
		t.Errorf("findings %+v, %v", list, err)
	}
	timeline, err := s.Timeline(t.Context(), "amd-obs", "A")
	if err != nil || slices.Contains(timeline.Visits[0].Deviations, study.CheckFailed) || len(timeline.Deviations) != 7 {
		t.Errorf("timeline %+v, %v", timeline, err)
	}
}

func TestTimelineTellsStatusProtocolLocksAndReasons(t *testing.T) {
	s := open(t, amd())
	id := lived(t, s, "A", day("2026-01-01"))
	visit := study.Visit{No: 1, Key: "key", Type: 0, Actual: study.ExactDate(day("2026-01-01")), Verdict: study.Verdict{Status: study.Completed,
		Due: study.NoDate, WindowStart: study.NoDate, WindowEnd: study.NoDate, Protocol: 1}}
	write(t, s, "a", &study.Changes{Visits: []study.VisitVersion{{Participant: id, Visit: visit}},
		Participants: []study.Participant{{ID: id, Site: "site-a", Consented: study.NoDate, Withdrawn: study.NoDate, Status: study.Lost, StatusOn: day("2026-03-02")}}})
	lock, other, lifted, unlock := decision(study.LockData), decision(study.LockData), decision(study.LockData), decision(study.UnlockData)
	lock.Visit, other.Participant = "baseline", enrol(t, s, "B")[0]
	decide(t, s, lock)
	decide(t, s, other)
	unlock.Lifts = decide(t, s, lifted)
	decide(t, s, unlock)
	decide(t, s, explain(id, study.Deviation{DeviationKey: study.DeviationKey{Code: study.VisitOutOfWindow, VisitNo: 4}, Evidence: "late"}))
	got, err := s.Timeline(t.Context(), "amd-obs", "A")
	if err != nil || got.Status != "lost" || got.StatusOn.Date != "2026-03-02" || *got.StatusOn.Day != 60 || got.Visits[0].Protocol != "3.0" || got.Visits[1].Protocol != "2.0" {
		t.Errorf("%+v, %v", got, err)
	}
	if len(got.Locks) != 1 || got.Locks[0].ID != 1 || got.Locks[0].Visit != "baseline" || got.Locks[0].Reason != "illness" {
		t.Errorf("locks %+v", got.Locks)
	}
	for _, d := range got.Deviations {
		if (d.Explanation != nil) != (d.DeviationCode == study.VisitOutOfWindow) {
			t.Errorf("%s is explained by %+v", d.DeviationCode, d.Explanation)
		}
	}
}
