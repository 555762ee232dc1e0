// Package statustest holds a storage of made-up answers for the tests of the
// surfaces: the size and shape of a real study, a study with nothing in it, and
// one whose every text is hostile.
package statustest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"longitude/internal/status"
	"longitude/study"
)

// Now is when the made-up answers were given.
var Now = time.Date(2026, 7, 31, 9, 30, 0, 0, time.UTC)

// Store answers from memory, with the filters and the order that status.Reads asks for.
type Store struct {
	SourceList []status.SourceStatus
	RunList    []status.Run // newest first
	Summaries  map[string]status.StudySummary
	Timelines  map[string]status.Timeline // by study + "/" + code
	Rejected   []status.QuarantineItem    // newest first
	Departures []status.DeviationItem     // newest first
	Decided    []status.DecisionItem      // newest first
	Drifts     []status.DriftItem         // newest first
	Shapes     map[string]status.SourceShape
	Published  []status.Release
	Err        error // every question fails with it
}

var _ status.Reads = (*Store)(nil)

// Sources implements status.Reads.
func (s *Store) Sources(context.Context) ([]status.SourceStatus, error) { return s.SourceList, s.Err }

// Runs implements status.Reads.
func (s *Store) Runs(_ context.Context, f status.RunFilter) ([]status.Run, error) {
	return narrow(s.RunList, f.Page, func(r status.Run) (int64, bool) {
		return r.ID, is(f.Study, r.Study) && is(f.Source, r.Source) && is(f.State, r.State) && is(f.Kind, r.Kind)
	}), s.Err
}

// Run implements status.Reads.
func (s *Store) Run(_ context.Context, id int64) (status.Run, error) {
	for _, r := range s.RunList {
		if r.ID == id {
			return r, s.Err
		}
	}
	return status.Run{}, status.NotFound(fmt.Sprintf("run %d", id))
}

// Summary implements status.Reads.
func (s *Store) Summary(_ context.Context, study string) (status.StudySummary, error) {
	return found(s.Summaries, study, s.Err)
}

// Participants implements status.Reads: those that have a timeline.
func (s *Store) Participants(_ context.Context, f status.ParticipantFilter) ([]status.ParticipantItem, error) {
	if f.Study != "" {
		if _, err := found(s.Summaries, f.Study, s.Err); err != nil {
			return nil, err
		}
	}
	all := []status.ParticipantItem{}
	for _, key := range slices.Sorted(maps.Keys(s.Timelines)) {
		t := s.Timelines[key]
		if is(f.Study, t.Study) && is(f.Site, t.Site) && is(f.Status, standing(&t)) {
			all = append(all, status.ParticipantItem{ID: int64(len(all) + 1), Study: t.Study, Code: t.Code, Site: t.Site, Enrolled: t.Enrolled,
				Consented: t.Consented, Withdrawn: t.Withdrawn, Status: t.Status, Visits: int64(len(t.Visits)), Open: int64(len(t.Deviations))})
		}
	}
	slices.Reverse(all)
	return narrow(all, f.Page, func(p status.ParticipantItem) (int64, bool) { return p.ID, true }), s.Err
}

// standing is what a participant counts as.
func standing(t *status.Timeline) string {
	if t.Status == "" && t.Enrolled {
		return string(study.Enrolled)
	}
	return t.Status
}

// Timeline implements status.Reads.
func (s *Store) Timeline(_ context.Context, study, code string) (status.Timeline, error) {
	return found(s.Timelines, study+"/"+code, s.Err)
}

// RecordHistory implements status.Reads: one correction of the form and field asked for.
func (s *Store) RecordHistory(_ context.Context, study, code string, f status.HistoryFilter) (status.RecordHistory, error) {
	t, err := found(s.Timelines, study+"/"+code, s.Err)
	before, after := "44", "49"
	return status.RecordHistory{Study: t.Study, Code: t.Code, Changes: []status.Change{{Form: f.Form, Field: f.Field, Visit: f.Visit, Version: 2, What: status.Corrected,
		Before: &before, After: &after, Author: status.SealedWords, Batch: 2, Row: 7, Run: 2}}}, err
}

// Quarantine implements status.Reads.
func (s *Store) Quarantine(_ context.Context, f status.QuarantineFilter) ([]status.QuarantineItem, error) {
	return narrow(s.Rejected, f.Page, func(q status.QuarantineItem) (int64, bool) {
		return q.ID, is(f.Study, q.Study) && is(f.Source, q.Source) && is(f.State, q.State) && is(f.Rule, q.Rule)
	}), s.Err
}

// Files implements status.Reads: one file that was refused, and one that was not.
func (s *Store) Files(_ context.Context, f status.FileFilter) ([]status.File, error) {
	files := []status.File{
		{ID: 2, Source: "drop", Item: "0a0a0a0a0a0a", Size: 100, Outcome: "refused", Code: "drop.checksum_mismatch", Run: 2, Tries: 1},
		{ID: 1, Source: "drop", Item: "0b0b0b0b0b0b", Size: 200, Outcome: "recorded", Batch: 1, Run: 1, Tries: 1},
	}
	return narrow(files, f.Page, func(x status.File) (int64, bool) {
		return x.ID, is(f.Source, x.Source) && is(f.Outcome, x.Outcome)
	}), s.Err
}

// Deviations implements status.Reads.
func (s *Store) Deviations(_ context.Context, f status.DeviationFilter) ([]status.DeviationItem, error) {
	return narrow(s.Departures, f.Page, func(d status.DeviationItem) (int64, bool) {
		return d.ID, is(f.Study, d.Study) && is(f.Participant, d.Code) && is(f.Code, d.DeviationCode) && is(f.Kind, d.Kind) && is(f.State, d.State)
	}), s.Err
}

// QuarantinedRow implements status.Reads: a row as the list has it, seen where it was last.
func (s *Store) QuarantinedRow(_ context.Context, id int64) (status.QuarantinedRow, error) {
	for _, q := range s.Rejected {
		if q.ID == id {
			seen := status.Sighting{Batch: q.Batch, Object: "8f14e45fceea", Ordinal: q.Ordinal, Line: q.Line, Records: 1, Current: q.State == status.QuarantineOpen, Seen: q.FirstSeen}
			decisions := narrow(s.Decided, status.Page{}, func(d status.DecisionItem) (int64, bool) { return d.ID, d.Quarantined == id })
			return status.QuarantinedRow{QuarantineItem: q, Sightings: []status.Sighting{seen}, Decisions: decisions}, s.Err
		}
	}
	return status.QuarantinedRow{}, notFound(fmt.Sprintf("quarantined row %d", id), s.Err)
}

// Decisions implements status.Reads.
func (s *Store) Decisions(_ context.Context, f status.DecisionFilter) ([]status.DecisionItem, error) {
	return narrow(s.Decided, f.Page, func(d status.DecisionItem) (int64, bool) {
		return d.ID, is(f.Study, d.Study) && is(f.Participant, d.Code) && is(f.Source, d.Source) && is(f.Kind, d.Kind)
	}), s.Err
}

// Drift implements status.Reads.
func (s *Store) Drift(_ context.Context, f status.DriftFilter) ([]status.DriftItem, error) {
	return narrow(s.Drifts, f.Page, func(d status.DriftItem) (int64, bool) {
		return d.ID, is(f.Study, d.Study) && is(f.Source, d.Source) && is(f.Kind, d.Kind)
	}), s.Err
}

// Shape implements status.Reads.
func (s *Store) Shape(_ context.Context, source string) (status.SourceShape, error) {
	return found(s.Shapes, source, s.Err)
}

// Releases implements status.Reads.
func (s *Store) Releases(_ context.Context, study string) ([]status.Release, error) {
	return narrow(s.Published, status.Page{}, func(r status.Release) (int64, bool) { return 0, is(study, r.Study) }), s.Err
}

func is(want, got string) bool { return want == "" || want == got }

func narrow[T any](all []T, p status.Page, of func(T) (id int64, fits bool)) []T {
	out := []T{}
	for _, v := range all {
		id, fits := of(v)
		if fits && (p.After == 0 || id < p.After) && (p.Limit == 0 || len(out) < p.Limit) {
			out = append(out, v)
		}
	}
	return out
}

func found[T any](m map[string]T, key string, err error) (T, error) {
	v, ok := m[key]
	if !ok {
		err = notFound("what was asked for", err)
	}
	return v, err
}

// notFound says so, unless every question fails.
func notFound(what string, err error) error {
	if err != nil {
		return err
	}
	return status.NotFound(what)
}

// Demo is an observational study with five sites in the middle of its work: two
// good sources, one that fails, one never synced, corrections, deviations, releases.
func Demo() *Store {
	s := &Store{Summaries: map[string]status.StudySummary{}, Timelines: map[string]status.Timeline{}}
	s.addRuns()
	s.addSources()
	s.addStudy()
	s.addWorkLists()
	s.addDecisions()
	s.addReleases()
	s.addTimelines()
	return s
}

const amd = "amd-obs-01"

func ago(d time.Duration) *time.Time { t := Now.Add(-d); return &t }

func (s *Store) addRuns() {
	random := rand.New(rand.NewPCG(1, 2))
	for id := int64(140); id >= 1; id-- {
		took := time.Duration(2+random.IntN(40)) * time.Second
		start := ago(time.Duration(141-id) * 15 * time.Minute)
		end := start.Add(took)
		r := status.Run{ID: id, Kind: status.KindSync, Study: amd, Source: []string{"site-a-drop", "site-b-drop"}[id%2],
			Trigger: "schedule", State: status.Succeeded, Outcome: "unchanged", Started: start, Finished: &end, Objects: 1,
			Counts: counts(1200, 0, 0, 0, 1200)}
		switch {
		case id == 140:
			r.State, r.Outcome, r.Finished, r.Trigger, r.Counts = status.Running, "", nil, "manual", counts(800, 0, 0, 800, 0)
		case id == 138:
			r.Outcome, r.Objects, r.Counts = "rejections", 5, counts(9420, 38, 12, 8116, 1100)
			r.Counts.Held, r.Counts.Superseded = 90, 64
			r.Counts.Produced += 154
		case id%24 == 0:
			r.Kind, r.Source, r.Outcome, r.Counts = status.KindRelease, "", "published", study.Counts{}
		case id%17 == 0:
			r.State, r.Outcome, r.Counts, r.Objects = status.Failed, "", study.Counts{}, 0
			r.ErrorCode, r.ErrorText = "sftp.host_key_changed", "connecting to the source site-b-drop: the server showed another host key"
			r.ErrorHint = "Ask the site whether its server was replaced; then pin the new key in source site-b-drop, connector.host_key."
		case id%31 == 0:
			r.State, r.Outcome, r.Finished, r.Counts = status.Interrupted, "", nil, study.Counts{}
		}
		s.RunList = append(s.RunList, r)
	}
}

// counts balances: read = mapped + quarantined + ignored, one record a row.
func counts(read, quarantined, ignored, accepted, unchanged int64) study.Counts {
	mapped := read - quarantined - ignored
	return study.Counts{Read: read, Mapped: mapped, RowsQuarantined: quarantined, Ignored: ignored,
		Produced: accepted + unchanged, Accepted: accepted, Unchanged: unchanged}
}

func (s *Store) addSources() {
	last := func(id int64) *status.Run { r, _ := s.Run(context.Background(), id); return &r }
	due := Now.Add(6 * time.Minute)
	s.SourceList = []status.SourceStatus{
		{Study: amd, Source: "site-a-drop", Connector: "sftp", Schedule: "*/15 * * * *", LastSuccess: ago(9 * time.Minute),
			AgeSeconds: 540, NextDue: &due, LastRun: last(140), Running: true, QuarantineOpen: 31, HeldRecords: 90},
		{Study: amd, Source: "site-b-drop", Connector: "sftp", Schedule: "*/15 * * * *", LastSuccess: ago(26 * time.Hour),
			AgeSeconds: 26 * 3600, NextDue: &due, LastRun: last(119), ConsecutiveFailures: 4, QuarantineOpen: 7,
			LastErrorCode: "sftp.host_key_changed", LastErrorText: "connecting to the source site-b-drop: the server showed another host key"},
		{Study: amd, Source: "imaging-exports", Connector: "folder", LastSuccess: ago(3 * 24 * time.Hour), AgeSeconds: 3 * 86400, LastRun: last(138)},
		{Study: "cdisc-pilot", Source: "pilot-sv", Connector: "folder"},
	}
}

func (s *Store) addStudy() {
	row := func(name, label, window string, expected, in, early, late, missed, scheduled, cancelled int64) status.VisitRow {
		return status.VisitRow{Visit: name, Label: label, Window: window, Expected: expected, Completed: in + early + late,
			InWindow: in, Early: early, Late: late, Missed: missed, Scheduled: scheduled, Cancelled: cancelled}
	}
	s.Summaries[amd] = status.StudySummary{Study: amd, Title: "AMD Observational Study", Protocol: "AMD-P2-2024 3.0", AsOf: "2026-07-31",
		Participants: 500, Enrolled: 487, Consented: 485, Withdrawn: 21, Held: 90, Withheld: 3,
		Sites: []status.SiteRow{{Site: "site-a", Participants: 140, Enrolled: 138, Withdrawn: 4}, {Site: "site-b", Participants: 118, Enrolled: 113, Withdrawn: 6},
			{Site: "site-c", Participants: 97, Enrolled: 95, Withdrawn: 5}, {Site: "site-d", Participants: 84, Enrolled: 82, Withdrawn: 3}, {Site: "site-e", Participants: 61, Enrolled: 59, Withdrawn: 3}},
		Visits: []status.VisitRow{
			row("baseline", "Baseline", "0 (±0)", 487, 484, 0, 0, 3, 0, 0),
			row("month_1", "Month 1", "30 (−7, +14)", 470, 421, 6, 22, 18, 14, 3),
			row("month_3", "Month 3", "90 (−14, +21)", 431, 380, 9, 17, 21, 48, 8),
			row("month_6", "Month 6", "180 (−21, +30)", 312, 266, 5, 11, 24, 164, 17),
			row("month_9", "Month 9", "270 (−28, +28)", 120, 96, 0, 4, 9, 349, 19),
			row("month_12", "Month 12", "365 (−30, +30)", 0, 0, 0, 0, 0, 466, 21),
			{Label: "Unscheduled", Completed: 37, Undetermined: 37}},
		Deviations: []status.CodeCount{{Code: "visit_missed", Kind: "deviation", Open: 75}, {Code: "visit_out_of_window", Kind: "deviation", Open: 61, Explained: 13},
			{Code: "form_missing", Kind: "deviation", Open: 44, Explained: 2}, {Code: "forms_missing", Kind: "violation", Open: 9},
			{Code: "consent_missing", Kind: "violation", Open: 2}, {Code: "unknown_participant", Kind: "violation", Open: 6}},
		Findings:     []status.CheckCount{{Form: "visual_acuity", Check: "better_than_consented", Open: 4, Explained: 1}},
		Quarantine:   []status.RuleCount{{Rule: "date_invalid", Count: 19}, {Rule: "choice_unknown", Count: 11}, {Rule: "column_count", Count: 5}, {Rule: "required", Count: 3}},
		MissingForms: []status.MissingFormAt{{Visit: "month_1", Form: "medications", Missing: 21}, {Visit: "month_3", Form: "oct_imaging", Missing: 17}, {Visit: "month_6", Form: "adverse_events", Missing: 6}},
	}
	s.Summaries["cdisc-pilot"] = status.StudySummary{Study: "cdisc-pilot", Title: "CDISC pilot", AsOf: "2026-07-31"}
}

func (s *Store) addWorkLists() {
	rules := []string{"date_invalid", "choice_unknown", "column_count", "required"}
	fields := []string{"visit_date", "method", "", "eye"}
	for id := int64(38); id >= 1; id-- {
		s.Rejected = append(s.Rejected, status.QuarantineItem{ID: id, Study: amd, Source: "site-a-drop", Site: "site-a", Batch: 12 + id/5, Ordinal: 100 + id*37,
			Line: 101 + id*37, Form: "visual_acuity", Field: fields[id%4], Rule: rules[id%4], State: status.QuarantineOpen,
			FirstSeen: *ago(time.Duration(40-id) * time.Hour), Seen: 1 + id%3})
	}
	s.Rejected[34].State, s.Rejected[35].State = status.QuarantineReplayed, status.QuarantineWaived
	s.Departures = []status.DeviationItem{
		{ID: 10, Study: amd, Code: "AMD-7KQ2M8T4XW5P9RCD3FGH", Visit: "month_1", DeviationCode: "check_failed", Kind: "finding", State: "open",
			Detail: "visual_acuity/R:better_than_consented", Evidence: "check better_than_consented", Since: *ago(50 * time.Hour)},
		{ID: 9, Study: amd, Code: "AMD-7KQ2M8T4XW5P9RCD3FGH", Visit: "month_1", DeviationCode: "visit_out_of_window", Kind: "deviation", State: "open",
			Evidence: "late 1 day: 2026-02-15 against 2026-01-24..2026-02-14", Since: *ago(100 * time.Hour)},
		{ID: 8, Study: amd, Code: "AMD-7KQ2M8T4XW5P9RCD3FGH", Visit: "month_3", DeviationCode: "form_missing", Kind: "deviation", State: "open", Detail: "oct_imaging",
			Evidence: "completed 2026-03-17, grace ended 2026-03-27", Since: *ago(200 * time.Hour)},
		{ID: 7, Study: amd, Code: "AMD-2C4E6G8J0K2M4N6P8QRS", DeviationCode: "consent_missing", Kind: "violation", State: "explained",
			Evidence: "no consent seen", Since: *ago(300 * time.Hour),
			Explanation: &status.Explanation{Decision: 1, Reason: "data_entry", By: "dm@example.org", At: *ago(290 * time.Hour)}},
	}
}

func (s *Store) addDecisions() {
	decision := func(id int64, kind study.DecisionKind, reason string, hours int) status.DecisionItem {
		return status.DecisionItem{ID: id, Kind: string(kind), Study: amd, Reason: reason, By: "dm@example.org", At: Now.Add(-time.Duration(hours) * time.Hour), SignedBy: "amd-obs-01-1"}
	}
	explained, waived := decision(1, study.Explain, "data_entry", 290), decision(2, study.Waive, "duplicate", 200)
	explained.Code, explained.DeviationCode, explained.Evidence = "AMD-2C4E6G8J0K2M4N6P8QRS", "consent_missing", "no consent seen"
	waived.Quarantined = s.Rejected[35].ID
	lifted, unlock, locked := decision(3, study.LockData, "database_lock", 150), decision(4, study.UnlockData, "correction", 100), decision(5, study.LockData, "database_lock", 50)
	lifted.Lifted, unlock.Lifts, locked.Visit = true, lifted.ID, "baseline"
	s.Decided = []status.DecisionItem{locked, unlock, lifted, waived, explained}
	s.Drifts = []status.DriftItem{
		{ID: 2, Study: amd, Source: "site-a-drop", Batch: 17, Kind: string(study.TypeChange), Column: "iop_od", From: "number", To: "text", Mapped: true, Action: string(study.QuarantineDrift), At: *ago(30 * time.Hour)},
		{ID: 1, Study: amd, Source: "site-a-drop", Batch: 12, Kind: string(study.NewColumn), Column: "comment", To: "text", Action: string(study.Evolve), At: *ago(170 * time.Hour)}}
	s.Shapes = map[string]status.SourceShape{"site-a-drop": {Study: amd, Source: "site-a-drop", Batch: 12, Since: *ago(170 * time.Hour), Dialect: "utf-8, comma",
		Columns: []status.ColumnShape{{Name: "subject", Kind: "text"}, {Name: "visit_date", Kind: "date"}, {Name: "iop_od", Kind: "number"}, {Name: "comment", Kind: "text"}}}}
}

func (s *Store) addReleases() {
	for n := 3; n >= 1; n-- {
		at := ago(time.Duration(4-n) * 7 * 24 * time.Hour)
		s.Published = append(s.Published, status.Release{ID: fmt.Sprintf("amd_obs_01_r%03d", n), Study: amd, Number: n, State: status.ReleasePublished,
			AsOf: at.Format(time.DateOnly), Cutoff: at.Format(time.DateOnly), Created: at, Published: at, Location: fmt.Sprintf("releases/amd-obs-01/amd_obs_01_r%03d", n),
			Tables: 14, Rows: 61204 + int64(n)*913, Bytes: 2_400_000 + int64(n)*31_000, Claim: "limited data set",
			EnvelopeDigest: "8f14e45fceea167a5a36dedd4bea2543ffe7a1b2c3d4e5f60718293a4b5c6d7e"})
	}
	s.Published[0].State, s.Published[0].Published, s.Published[0].Location, s.Published[0].EnvelopeDigest = status.ReleaseBuilt, nil, "", ""
}
