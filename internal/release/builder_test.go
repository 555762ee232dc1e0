package release

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"longitude/study"
)

func TestRowsOfOneParticipant(t *testing.T) {
	b, tables := built(t, trial(), plan(1), someone(1))
	same(t, "participants", cells(tables["participants"], "participant_id", "site", "consent_study_day", "withdrawn", "withdrawal_study_day", "n_visits", "last_contact_study_day", "followup_days", "all_required_visits_done"),
		"AMD-00000000000000000001 site-a -1 0 ∅ 4 181 180 0")
	same(t, "visits", cells(tables["visits"], "visit_seq", "visit_id", "visit", "is_unscheduled", "study_day", "days_from_baseline", "target_day", "window_lo_day", "window_hi_day", "days_from_target", "days_outside_window", "in_window", "timing", "deviation_codes"),
		"1 AMD-00000000000000000001/1 baseline 0 1 0 0 0 0 0 0 1 in_window ",
		"2 AMD-00000000000000000001/4 ∅ 1 20 19 ∅ ∅ ∅ ∅ ∅ ∅ no_window ",
		"3 AMD-00000000000000000001/2 month_1 0 46 45 30 23 44 15 1 0 late form_missing;visit_out_of_window",
		"4 AMD-00000000000000000001/6 phone 0 181 180 ∅ ∅ ∅ ∅ ∅ ∅ no_window ")
	same(t, "visit_status", cells(tables["visit_status"], "visit_order", "visit", "visit_status", "visit_id", "target_day"),
		"1 baseline completed AMD-00000000000000000001/1 0",
		"2 month_1 completed AMD-00000000000000000001/2 30",
		"3 month_3 missed ∅ 90",
		"4 phone completed AMD-00000000000000000001/6 ∅")
	same(t, "deviations", cells(tables["deviations"], "deviation_seq", "visit_id", "visit", "visit_seq", "deviation", "deviation_kind", "deviation_state", "form"),
		"1 AMD-00000000000000000001/2 month_1 3 form_missing deviation open visual_acuity",
		"2 AMD-00000000000000000001/2 month_1 3 visit_out_of_window deviation explained ∅",
		"3 ∅ month_3 0 visit_missed deviation open ∅")
	same(t, "visual_acuity", cells(tables["visual_acuity"], "visit_seq", "visit", "study_day", "record_seq", "eye", "va_original", "va_scale", "va_logmar", "va_letters", "va_offchart", "va_missing", "iop_mmhg", "iop_mmhg_missing", "injections", "injections_missing"),
		"1 baseline 1 1 L CF off ∅ ∅ CF ∅ 165 ∅ 2 ∅",
		"1 baseline 1 2 R 0.00 logmar 0 85 ∅ ∅ 0 ∅ 0 ∅",
		"2 ∅ 20 1 R 44 etdrs 0.82 44 ∅ ∅ -15 ∅ ∅ ∅",
		"3 month_1 46 1 R 20/40 snellen 0.301 70 ∅ ∅ ∅ not_done ∅ refused",
		"4 phone 181 1 R 46 etdrs 0.78 46 ∅ ∅ ∅ ∅ ∅ ∅")
	same(t, "adverse_events", cells(tables["adverse_events"], "record_seq", "record_id", "term", "onset", "onset_missing", "serious", "seen_at"),
		"1 AMD-00000000000000000001/0/adverse_events/9 fall "+fmt.Sprint(int64(day("2026-01-31")))+" ∅ 1 1769902200500000",
		"2 AMD-00000000000000000001/0/adverse_events/10 fall ∅ partial_date 0 ∅")
	want := Tally{Participants: 1, Visits: 4, Records: 12, Released: 8, Held: 1, Withheld: 1, NotHappened: 1, AfterCutoff: 1}
	if got := b.Tally(); got != want || got.Unaccounted() != 0 {
		t.Errorf("tally %+v, want %+v", got, want)
	}
}

func TestDatesAreDatesWhateverTheirClass(t *testing.T) {
	for _, table := range Tables(trial()) {
		for _, c := range table.Columns {
			dated := (c.Kind == study.DateKind || c.Kind == study.TimestampKind) && table.Name != "release_info"
			if dated && c.Class != study.DateClass {
				t.Errorf("%s.%s would leave as it is: class %s", table.Name, c.Name, c.Class)
			}
			if c.Field == "comments" {
				t.Errorf("%s has a column of a sealed field", table.Name)
			}
		}
	}
	for dates, has := range map[string]bool{"study_day": false, "shift": true, "keep": true, "year": true} {
		s := trial()
		s.Deid.Dates = dates
		_, tables := built(t, s, plan(1), someone(1))
		found := slices.ContainsFunc(tables["visits"].Table.Columns, func(c study.Column) bool { return c.Name == "visit_date" })
		if found != has {
			t.Errorf("dates %s: visit_date is there: %v", dates, found)
		}
	}
}

func TestMissedAppearsOnlyAfterTheLag(t *testing.T) {
	for cutoff, told := range map[string]bool{"2026-04-23": false, "2026-05-22": false, "2026-05-23": true} {
		p := plan(1)
		p.Cutoff = day(cutoff)
		_, tables := built(t, trial(), p, someone(1))
		status := cells(tables["visit_status"], "visit", "visit_status")
		deviations := cells(tables["deviations"], "deviation")
		if slices.Contains(status, "month_3 missed") != told || slices.Contains(deviations, study.VisitMissed) != told {
			t.Errorf("cut-off %s: %q, %q", cutoff, status, deviations)
		}
	}
}

func TestWhoIsReleased(t *testing.T) {
	for name, change := range map[string]func(*person){
		"not enrolled": func(w *person) { w.Enrolled = false },
		"no consent":   func(w *person) { w.Consented = study.NoDate },
	} {
		w := someone(1)
		change(&w)
		b, tables := built(t, trial(), plan(1), w)
		for _, batch := range tables {
			if batch.Participants != nil && batch.Rows > 0 {
				t.Errorf("%s: %s has %d rows", name, batch.Table.Name, batch.Rows)
			}
		}
		if got := b.Tally(); got.ParticipantsHeld != 1 || got.Held != 12 || got.Unaccounted() != 0 {
			t.Errorf("%s: tally %+v", name, got)
		}
	}
	s := trial()
	s.Consent = study.Consent{Kind: "external"}
	w := someone(1)
	w.Consented = study.NoDate
	if _, tables := built(t, s, plan(1), w); tables["participants"].Rows != 1 {
		t.Error("external consent keeps participants out")
	}
}

func TestRelativeCalendar(t *testing.T) {
	s := trial()
	s.Relative, s.Consent = true, study.Consent{Kind: "external"}
	w := person{Participant: study.Participant{ID: 1, Code: "AMD-1", Enrolled: true, Consented: study.NoDate, Withdrawn: study.NoDate}}
	v := visit(1, -1, "", study.Unscheduled)
	v.Actual = study.ExactDate(42)
	w.Visits = []study.Visit{v}
	w.records = []study.CurrentRecord{{Key: study.RecordKey{Form: 1, VisitNo: 1, Occurrence: "R"}, Answers: pack("R", "etdrs:0", m, m, m)}}
	_, tables := built(t, s, plan(1), w)
	same(t, "visits", cells(tables["visits"], "study_day", "days_from_baseline"), "43 42")
	for _, batch := range tables {
		for _, anchor := range batch.Anchors {
			if anchor.Known() {
				t.Fatalf("%s: dates of forms would be counted from 1970", batch.Table.Name)
			}
		}
	}
}

func TestPartialBaselineIsNoAnchor(t *testing.T) {
	w := someone(1)
	w.Visits[0].Actual, _ = study.ParsePartialDate("2026-01")
	_, tables := built(t, trial(), plan(1), w)
	for _, row := range cells(tables["visits"], "study_day", "days_from_baseline", "target_day") {
		if row != "∅ ∅ ∅" {
			t.Errorf("a visit has days %s without an anchor", row)
		}
	}
}

func TestMisfitStopsTheRelease(t *testing.T) {
	for name, answers := range map[string]string{
		"text for an integer": pack("R", "etdrs:1", m, m, "many"),
		"text for a decimal":  pack("R", "etdrs:1", "1e3", m, m),
		"too fine a decimal":  pack("R", "etdrs:1", "1.25", m, m),
		"no acuity":           pack("R", "44", m, m, m),
		"too few answers":     pack("R", "etdrs:1"),
	} {
		w := someone(1)
		w.records[1].Answers = answers
		b := NewBuilder(trial(), plan(1))
		err := b.Add(w.Participant, &w.Judgement, w.records)
		var e *study.Error
		if !errors.As(err, &e) || e.Code != "release.misfit" || e.Exit != study.ExitBlocked {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(e.Error(), "many") || strings.Contains(e.Error(), "1e3") || strings.Contains(e.Error(), w.Participant.Code) {
			t.Errorf("%s: the error prints data: %v", name, e)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	for _, c := range []struct {
		text  string
		scale int
		want  int64
		ok    bool
	}{
		{"0", 0, 0, true}, {"12", 1, 120, true}, {"12.5", 1, 125, true}, {"-0.05", 2, -5, true}, {"12.50", 1, 125, true}, {"0.0", 0, 0, true},
		{"", 1, 0, false}, {"-", 1, 0, false}, {".5", 1, 0, false}, {"5.", 1, 0, false}, {"1.25", 1, 0, false}, {"+1", 1, 0, false}, {"1-2", 0, 0, false}, {"--1", 0, 0, false}, {"1.-2", 2, 0, false},
		{"9223372036854775807", 0, 9223372036854775807, true}, {"9223372036854775807", 1, 0, false}, {"99999999999999999999", 0, 0, false},
	} {
		if got, ok := parseDecimal(c.text, c.scale); ok != c.ok || ok && got != c.want {
			t.Errorf("%q scale %d: %d %v, want %d %v", c.text, c.scale, got, ok, c.want, c.ok)
		}
	}
}

// FuzzAnswers: whatever is stored, a record either fits or stops the release,
// and every column keeps one value per row.
func FuzzAnswers(f *testing.F) {
	f.Add(pack("R", "etdrs:44", "1.5", m, "3"), "")
	f.Add(pack("L", "off:NLP", m, m, m), "2=not_done,4=refused")
	f.Add("", "=")
	f.Fuzz(func(t *testing.T, answers, missing string) {
		s := trial()
		for form := range s.Forms {
			b := NewBuilder(s, plan(1))
			w := someone(1)
			w.records = []study.CurrentRecord{{Key: study.RecordKey{Form: form, VisitNo: 1, Occurrence: "1"}, Answers: answers, Missing: missing}}
			if b.Add(w.Participant, &w.Judgement, w.records) != nil {
				continue
			}
			for _, batch := range b.Take() {
				for c := range batch.Vectors {
					if v := &batch.Vectors[c]; max(len(v.Ints), len(v.Floats), len(v.Texts)) != batch.Rows {
						t.Fatalf("%s.%s lost a row", batch.Table.Name, batch.Table.Columns[c].Name)
					}
				}
			}
		}
	})
}

func TestNamesDoNotCollide(t *testing.T) {
	s := trial()
	s.Forms = append(s.Forms, study.Form{Name: "visits", Fields: []study.Field{
		{Name: "visit_id", Type: study.Integer, Class: study.Clinical},
		{Name: "x", Type: study.Integer, Class: study.Clinical},
		{Name: "x_missing", Type: study.Integer, Class: study.Clinical},
	}})
	tables := map[string]bool{}
	for _, table := range Tables(s) {
		if tables[table.Name] {
			t.Errorf("two tables are called %s", table.Name)
		}
		tables[table.Name] = true
		columns := map[string]bool{}
		for _, c := range table.Columns {
			if columns[c.Name] {
				t.Errorf("%s has two columns called %s", table.Name, c.Name)
			}
			columns[c.Name] = true
			if c.Label == "" || c.Description == "" || c.Class == "" {
				t.Errorf("%s.%s is not described", table.Name, c.Name)
			}
		}
		for _, key := range table.Key {
			if !columns[key] {
				t.Errorf("%s has no key column %s", table.Name, key)
			}
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	s, w := trial(), someone(1)
	builder := NewBuilder(s, plan(1))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := builder.Add(w.Participant, &w.Judgement, w.records); err != nil {
			b.Fatal(err)
		}
		if n++; n%512 == 0 {
			builder.Take()
		}
	}
	b.ReportMetric(float64(b.N*len(w.records))/b.Elapsed().Seconds(), "records/s")
}

// A calendar date that a form asks for is a date, whatever class it was given:
// door 2 drops it in a relative calendar and counts or shifts it in another.
func TestFormDatesAreDates(t *testing.T) {
	for _, relative := range []bool{false, true} {
		for _, class := range []study.Class{study.Clinical, study.Sensitive, study.Quasi, study.StudyDate, study.DateClass} {
			s := trial()
			s.Relative = relative
			s.Forms[2].Fields[1].Class = class
			table, _ := formTable(s, 2)
			for _, c := range table.Columns {
				if c.Name == "onset" && c.Class != study.DateClass {
					t.Errorf("relative %v: a date of class %s has class %s", relative, class, c.Class)
				}
			}
		}
	}
}

// Every code of a deviation that the study model declares is in the code list.
func TestEveryDeviationIsListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../study/visit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, list := range codelists(trial()) {
		for _, item := range list.items {
			listed[list.name+" "+item.Code] = true
		}
	}
	codes := 0
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST || group.Specs[0].(*ast.ValueSpec).Names[0].Name != "VisitOutOfWindow" {
			continue
		}
		for _, spec := range group.Specs {
			code, err := strconv.Unquote(spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
			if code == study.CheckFailed {
				continue // a finding: data_quality counts it
			}
			if codes++; err != nil || !listed[listDeviation+" "+code] {
				t.Errorf("%s is in no code list", code)
			}
		}
	}
	if codes < 10 {
		t.Errorf("found %d codes in the study model", codes)
	}
}
