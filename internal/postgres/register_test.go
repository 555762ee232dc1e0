package postgres

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// What a process registers at each start, it registers once.
func TestRegisteringAgainChangesNothing(t *testing.T) {
	s := open(t)
	docs := []Document{{Kind: "study", Name: "amd-obs", Body: "study: amd-obs", Digest: sha256.Sum256([]byte("study"))}}
	var views []string
	for range 3 {
		if err := s.Register(t.Context(), amd(), docs); err != nil {
			t.Fatal(err)
		}
		views = append(views, one[string](t, s, `SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM pg_class WHERE relkind = 'v' AND relname LIKE 'amd_obs%'`))
	}
	if views[0] == "" || views[0] != views[2] {
		t.Errorf("views %q were made anew", views)
	}
	other := amd()
	other.Name = "other"
	if err := s.Register(t.Context(), other, docs); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]int{
		`SELECT max(study_id) FROM research.study`:                             2,
		`SELECT max(form_id) FROM research.form`:                               6,
		`SELECT max(shape_id) FROM research.shape`:                             6,
		`SELECT count(*) FROM research.document`:                               1,
		`SELECT count(*) FROM audit.event WHERE action = 'config.recorded'`:    1,
		`SELECT count(*) FROM pg_class WHERE relkind = 'v' AND relname ~ '__'`: 6,
	} {
		if got := one[int](t, s, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}

// Records keep the order of fields they were written in; they are read in today's.
func TestOldAnswersAreReadInTodaysOrder(t *testing.T) {
	s := open(t, amd())
	id := enrol(t, s, "A")[0]
	old := packed(id, 1, "R", 1, "R\x1f44\x1f15.5\x1ftrue\x1f\x1e\x1f2012-02\x1f\x1a\x1f7")
	old.Record.Missing = "4=unknown"
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{old}})

	now := amd()
	f := &now.Forms[acuityForm]
	added := study.Field{Name: "added", Type: study.Integer}
	f.Fields = append([]study.Field{added, f.Fields[4], f.Fields[1]}, slices.Concat(f.Fields[:1], f.Fields[2:4], f.Fields[5:7])...) // "visit" is gone
	if err := s.Register(t.Context(), now, nil); err != nil {
		t.Fatal(err)
	}
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{packed(id, 2, "R", 1, "1\x1f\x1e\x1f45\x1fR\x1f16.0\x1ffalse\x1f2013\x1f\x1e")}})
	reg, err := s.known("amd-obs")
	if err != nil {
		t.Fatal(err)
	}
	records, err := currents(t.Context(), s.app, reg, []int64{id}, 1<<62)
	if err != nil || len(records[0]) != 2 {
		t.Fatalf("%+v, %v", records, err)
	}
	if got, want := records[0][0].Answers, "\x1e\x1f\x1e\x1f44\x1fR\x1f15.5\x1ftrue\x1f2012-02\x1f\x1a"; got != want || records[0][0].Missing != "1=unknown" {
		t.Errorf("answers %q, missing %q", got, records[0][0].Missing)
	}
	rows, err := as(t, s, "longitude_release").Query(t.Context(), `SELECT visit_no, added, letters, iop::text, dilated, onset, note FROM research.amd_obs__acuity ORDER BY visit_no`)
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		Visit   int32
		Added   *int64
		Letters int64
		IOP     string
		Dilated bool
		Onset   string
		Note    bool
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[line])
	if err != nil || len(got) != 2 || got[0].Added != nil || got[1].Added == nil || *got[1].Added != 1 {
		t.Fatalf("view %+v, %v", got, err)
	}
	got[1].Added = nil
	if want := []line{{1, nil, 44, "15.5", true, "2012-02", true}, {2, nil, 45, "16.0", false, "2013", false}}; !slices.Equal(got, want) {
		t.Errorf("view %+v, want %+v", got, want)
	}

	stale := connect(t, s.urls.App) // knows only the first shape, as a process that has not been restarted
	if err := stale.Register(t.Context(), amd(), nil); err != nil {
		t.Fatal(err)
	}
	later := amd()
	later.Forms[acuityForm].Fields = later.Forms[acuityForm].Fields[:3]
	if err := s.Register(t.Context(), later, nil); err != nil {
		t.Fatal(err)
	}
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{packed(id, 3, "R", 1, "R\x1f46\x1f17.0")}})
	reg, err = stale.known("amd-obs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := currents(t.Context(), stale.app, reg, []int64{id}, 1<<62); err == nil || !strings.Contains(err.Error(), "database.study_changed") {
		t.Errorf("answers of a shape nobody knows are read: %v", err)
	}
}

// The views show what is current, judged and there, with typed columns.
func TestTypedViews(t *testing.T) {
	s := open(t, amd())
	id := enrol(t, s, "A")[0]
	answers := "R\x1f44\x1f15.5\x1ftrue\x1f2026-01-31T09:30:00Z\x1f2012-02\x1f\x1a\x1f7"
	corrected, held := packed(id, 1, "R", 2, answers), packed(id, 1, "L", 1, answers)
	visit := study.Visit{No: 1, Key: "month_1", Type: 1, Actual: study.ExactDate(day("2026-01-31")), Verdict: study.Verdict{Status: study.Completed,
		Due: study.NoDate, WindowStart: study.NoDate, WindowEnd: study.NoDate}}
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{packed(id, 1, "R", 1, answers), corrected, held},
		Visits: []study.VisitVersion{{Participant: id, Visit: visit}},
		Holds:  []study.HoldVersion{{Participant: id, Hold: study.Hold{Key: held.Key, Code: study.ConsentMissing}}}})
	got := one[string](t, s, `SELECT string_agg(concat_ws('|', participant, visit, visit_date, visit_no, occurrence, version, eye, letters + 1, iop * 2, NOT dilated,
		read_at AT TIME ZONE 'UTC', onset, note, "_visit"), ';') FROM research.amd_obs__acuity`)
	if want := "A|month_1|2026-01-31|1|R|2|R|45|31.0|f|2026-01-31 09:30:00|2012-02|t|7"; got != want {
		t.Errorf("view\n%s, want\n%s", got, want)
	}
	blinded := amd()
	blinded.Forms[acuityForm].Fields[1].Class = study.Blinded
	if err := s.Register(t.Context(), blinded, nil); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, s, `SELECT pg_typeof(letters) || ' ' || letters FROM research.amd_obs__acuity`); got != "boolean true" {
		t.Errorf("a blinded field is shown as %s", got)
	}
}

func TestViewNamesFitAndDiffer(t *testing.T) {
	long := strings.Repeat("s", 40)
	a, b := viewName(long, strings.Repeat("f", 39)+"a"), viewName(long, strings.Repeat("f", 39)+"b")
	if len(a) > 63 || len(b) > 63 || a == b {
		t.Errorf("views %s and %s", a, b)
	}
	if got := viewName("amd-obs-01", "acuity"); got != "amd_obs_01__acuity" {
		t.Errorf("view %s", got)
	}
}

func TestOtherKeysAreRefused(t *testing.T) {
	s := open(t, amd())
	ours, others := study.Digest(sha256.Sum256([]byte("a"))), study.Digest(sha256.Sum256([]byte("b")))
	for i, c := range []struct {
		version int
		key     study.Digest
		ok      bool
	}{{1, ours, true}, {1, ours, true}, {1, others, false}, {2, others, true}, {2, ours, false}} {
		if err := s.PinKeys(t.Context(), "amd-obs", c.version, c.key); (err == nil) != c.ok {
			t.Errorf("case %d: %v", i, err)
		}
	}
}
