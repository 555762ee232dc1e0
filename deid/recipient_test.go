package deid

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// visitsTable has one column of every class and kind that door 2 knows.
func visitsTable() *study.Table {
	column := func(name string, kind study.Kind, class study.Class) study.Column {
		return study.Column{Name: name, Label: name, Kind: kind, Class: class}
	}
	return &study.Table{Name: "visits", Grain: "one row per visit", Key: []string{"participant_id", "visit_id"}, Columns: []study.Column{
		column("participant_id", study.TextKind, study.ParticipantKey),
		column("visit_id", study.TextKind, study.OtherKey),
		column("surname", study.TextKind, study.DirectIdentifier),
		column("actual_date", study.DateKind, study.DateClass),
		column("seen_at", study.TimestampKind, study.DateClass),
		column("onset", study.TextKind, study.DateClass),
		column("amended_on", study.DateKind, study.StudyDate),
		column("age_years", study.Int64Kind, study.Quasi),
		{Name: "duration", Kind: study.DecimalKind, Scale: 1, Unit: "years", Class: study.Clinical, Description: "Since diagnosis."},
		column("baseline_age", study.FloatKind, study.Sensitive),
		column("stage", study.Int64Kind, study.Clinical),
		column("birth_year", study.Int64Kind, study.Quasi),
		column("arm", study.TextKind, study.Blinded),
		column("comments", study.TextKind, study.FreeText),
		column("scan", study.TextKind, study.Attachment),
		column("edited_by", study.TextKind, study.System),
		column("sex", study.TextKind, study.Quasi),
	}}
}

func day(t testing.TB, s string) study.Date {
	t.Helper()
	d, ok := study.ParseDate(s)
	if !ok {
		t.Fatalf("%q is no date", s)
	}
	return d
}

func visitsBatch(t testing.TB, table *study.Table) *study.Batch {
	actual := []study.Date{day(t, "2026-01-31"), day(t, "2025-12-31"), day(t, "2026-02-15")}
	noon := time.Date(2026, 6, 30, 23, 30, 0, 0, time.UTC).UnixMicro() // 1 July in London
	texts := func(s ...string) study.Vector { return study.Vector{Texts: s} }
	ints := func(n ...int64) study.Vector { return study.Vector{Ints: n} }
	return &study.Batch{
		Table: table, Rows: 3,
		Participants: []int64{1, 1, 2},
		Anchors:      []study.Date{day(t, "2026-01-01"), day(t, "2026-01-01"), study.NoDate},
		Vectors: []study.Vector{
			texts("AMD-A", "AMD-A", "AMD-B"), texts("AMD-A/1", "AMD-A/2", "AMD-B/1"), texts("Smith", "Smith", "Jones"),
			ints(int64(actual[0]), int64(actual[1]), int64(actual[2])),
			{Ints: []int64{noon, noon, noon}, Valid: []bool{true, false, true}},
			texts("2026-01-03", "2026-01", "2026"),
			ints(1, 2, 3), ints(89, 90, 117), ints(899, 900, 1170), {Floats: []float64{0, 89.5, 90.5}}, ints(91, 100, 0),
			ints(1936, 1936, 1990), texts("A", "A", "B"), texts("x", "", "y"), texts("a", "b", "c"), texts("n", "n", "n"),
			{Texts: []string{"f", "f", ""}, Valid: []bool{true, true, false}},
		},
	}
}

func testRecipient(t testing.TB, policy study.DeidPolicy, series string) *Recipient {
	t.Helper()
	s := testStudy()
	s.Deid = policy
	r, err := NewRecipient(s, series, testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	r.Begin(day(t, "2026-06-30"), study.NoDate, study.NoDate)
	return r
}

// surveyed is r once it has met the participants of the batches.
func surveyed(t testing.TB, r *Recipient, batches ...*study.Batch) *Recipient {
	t.Helper()
	if err := r.Survey(batches); err != nil {
		t.Fatal(err)
	}
	return r
}

// leaving applies policy to visitsTable and gives the released batch and an
// accessor of its vectors by name.
func leaving(t testing.TB, policy study.DeidPolicy) (*study.Batch, func(string) study.Vector) {
	t.Helper()
	given := visitsBatch(t, visitsTable())
	batch, err := surveyed(t, testRecipient(t, policy, "main"), given).Apply(given)
	if err != nil {
		t.Fatal(err)
	}
	return &batch.b, func(name string) study.Vector {
		t.Helper()
		for i, c := range batch.b.Table.Columns {
			if c.Name == name {
				return batch.b.Vectors[i]
			}
		}
		t.Fatalf("no column %s in the release", name)
		return study.Vector{}
	}
}

func names(t *study.Table) string {
	var all []string
	for _, c := range t.Columns {
		all = append(all, c.Name)
	}
	return strings.Join(all, " ")
}

func TestStudyDayRelease(t *testing.T) {
	b, column := leaving(t, study.DeidPolicy{Profile: "expert", Dates: "study_day"})
	if got, want := names(b.Table), "participant_id visit_id actual_date_day seen_at_day onset_day amended_on age_years age_years_topcoded duration baseline_age baseline_age_topcoded stage birth_year sex"; got != want {
		t.Fatalf("released columns\n %s, want\n %s", got, want)
	}
	for _, c := range b.Table.Columns {
		if c.Masking == "" {
			t.Errorf("%s has no masking", c.Name)
		}
	}
	if b.Participants != nil || b.Anchors != nil {
		t.Error("internal participant numbers or anchors are in the release")
	}
	check := func(name string, want study.Vector) {
		t.Helper()
		if got := column(name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	check("actual_date_day", study.Vector{Ints: []int64{30, -1, 0}, Valid: []bool{true, true, false}})
	check("seen_at_day", study.Vector{Ints: []int64{181, 0, 0}, Valid: []bool{true, false, false}})
	check("onset_day", study.Vector{Ints: []int64{2, 0, 0}, Valid: []bool{true, false, false}})
	// Participant 1 is 90 at the second visit, so the age at the first is not told.
	check("age_years", study.Vector{Ints: []int64{89, 90, 90}, Valid: []bool{false, true, true}})
	check("age_years_topcoded", study.Vector{Ints: []int64{0, 1, 1}, Valid: []bool{false, true, true}})
	check("duration", study.Vector{Ints: []int64{899, 900, 900}, Valid: []bool{false, false, false}})
	check("baseline_age", study.Vector{Floats: []float64{0, 89.5, 90}, Valid: []bool{false, false, true}})
	check("birth_year", study.Vector{Ints: []int64{1936, 1936, 1990}, Valid: []bool{false, false, false}})
	check("stage", study.Vector{Ints: []int64{91, 100, 0}})
	check("sex", study.Vector{Texts: []string{"f", "f", ""}, Valid: []bool{true, true, false}})

	ids, visits := column("participant_id").Texts, column("visit_id").Texts
	if ids[0] != ids[1] || ids[0] == ids[2] || !regexp.MustCompile(`^P[0-9A-HJKMNP-TV-Z]{20}$`).MatchString(ids[0]) {
		t.Errorf("participant ids %q", ids)
	}
	if visits[0] == visits[1] || !regexp.MustCompile(`^V[0-9A-HJKMNP-TV-Z]{25}$`).MatchString(visits[0]) {
		t.Errorf("visit ids %q", visits)
	}
	if printed := fmt.Sprintf("%+v", b.Vectors); strings.Contains(printed, "AMD") || strings.Contains(printed, "Smith") {
		t.Errorf("the release tells internal codes: %s", printed)
	}
}

func TestApplyLeavesItsInputAlone(t *testing.T) {
	given, kept := visitsBatch(t, visitsTable()), visitsBatch(t, visitsTable())
	if _, err := surveyed(t, testRecipient(t, study.DeidPolicy{Profile: "expert"}, "main"), given).Apply(given); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(given.Vectors, kept.Vectors) {
		t.Error("Apply wrote to the batch it was given")
	}
}

func TestOtherDatePolicies(t *testing.T) {
	b, column := leaving(t, study.DeidPolicy{Profile: "limited", Dates: "year"})
	if !strings.Contains(names(b.Table), "actual_date_year seen_at_year onset_year") || !strings.Contains(names(b.Table), "birth_year") {
		t.Errorf("year release has columns %s", names(b.Table))
	}
	if got := column("onset_year").Ints; !reflect.DeepEqual(got, []int64{2026, 2026, 2026}) {
		t.Errorf("onset years %v", got)
	}
	b, column = leaving(t, study.DeidPolicy{Profile: "internal", Dates: "keep"})
	if !strings.Contains(names(b.Table), " actual_date seen_at onset ") || column("onset").Texts[1] != "2026-01" {
		t.Errorf("keep release has columns %s", names(b.Table))
	}
	b, column = leaving(t, study.DeidPolicy{Profile: "expert", Dates: "shift"})
	if !strings.Contains(names(b.Table), " actual_date seen_at onset ") {
		t.Errorf("shift release has columns %s", names(b.Table))
	}
	actual, seen, onset := column("actual_date"), column("seen_at"), column("onset")
	if actual.Ints[0]-actual.Ints[1] != 31 || seen.Ints[0]-actual.Ints[0] != 151 || onset.Ints[0]-actual.Ints[0] != -28 {
		t.Error("shifting changed an interval of a participant")
	}
	if actual.Ints[0] == int64(day(t, "2026-01-31")) || onset.Valid[1] || seen.Valid[1] {
		t.Error("a date was kept, or a partial one gained a day")
	}
}

func TestShiftProperties(t *testing.T) {
	a := testRecipient(t, study.DeidPolicy{Profile: "expert"}, "a")
	b := testRecipient(t, study.DeidPolicy{Profile: "expert"}, "b")
	const n = 36_400
	var seen [365]int
	agree, relative := 0, 0
	first := a.shift("AMD-0") - b.shift("AMD-0")
	for i := range n {
		code := fmt.Sprint("AMD-", i)
		da, db := a.shift(code), b.shift(code)
		if da < 1 || da > 364 || a.shift(code) != da {
			t.Fatalf("shift of %s is %d", code, da)
		}
		seen[da]++
		if da == db {
			agree++
		}
		if da-db == first {
			relative++
		}
	}
	// χ² with 363 degrees of freedom exceeds 430 with probability 0.9 %.
	chi := 0.0
	for _, count := range seen[1:] {
		chi += float64(count-100) * float64(count-100) / 100
	}
	if chi > 430 {
		t.Errorf("shifts are not uniform: χ² = %.0f", chi)
	}
	if agree > n/100 || relative > n/100 {
		t.Errorf("shifts of two series agree for %d and differ by a constant for %d of %d", agree, relative, n)
	}
}

func TestRelativeCalendarReleasesDaysOnly(t *testing.T) {
	s := testStudy()
	s.Relative, s.Deid = true, study.DeidPolicy{Profile: "internal", Dates: "keep"}
	r, err := NewRecipient(s, "main", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	table := visitsTable()
	table.Columns = append(table.Columns, study.Column{Name: "asked", Kind: study.DateKind, Class: study.DateClass, Form: "va", Field: "seen_on"})
	out, err := r.Project(table)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(out); !strings.Contains(got, "actual_date_day amended_on") || strings.Contains(got, "asked") {
		t.Errorf("a relative study releases %s", got)
	}
}

func TestColumnsOfPrivateFieldsStay(t *testing.T) {
	s := testStudy()
	s.Forms[0].Fields[1].Class = study.Blinded
	r, err := NewRecipient(s, "main", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.Project(&study.Table{Name: "va", Columns: []study.Column{
		{Name: "eye", Kind: study.TextKind, Class: study.Clinical, Form: "va", Field: "eye"},
		{Name: "iop_missing", Kind: study.TextKind, Class: study.Clinical, Form: "va", Field: "iop"},
		{Name: "comments_length", Kind: study.Int64Kind, Class: study.Clinical, Form: "va", Field: "comments"},
	}})
	if err != nil || names(out) != "eye" {
		t.Errorf("released %q, %v", names(out), err)
	}
}

func TestSeriesShareNoIds(t *testing.T) {
	a, b := testRecipient(t, study.DeidPolicy{}, "a"), testRecipient(t, study.DeidPolicy{}, "b")
	other, err := NewRecipient(func() *study.Study { s := testStudy(); s.Name = "other"; return s }(), "a", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range 5000 {
		code := fmt.Sprint("AMD-", i)
		for _, id := range []string{a.Participant(code), b.Participant(code), other.Participant(code), a.other('V', code), b.other('V', code)} {
			if seen[id] {
				t.Fatalf("%s appears twice", id)
			}
			seen[id] = true
		}
	}
}

func TestUnclassifiedIsRefusedByName(t *testing.T) {
	s := testStudy()
	s.Forms[0].Fields[1].Class, s.Forms[0].Fields[3].Class = "", ""
	_, err := NewRecipient(s, "main", testKeys("k"))
	if code(err) != "deid.unclassified" || exit(err) != study.ExitBlocked ||
		!strings.Contains(err.Error(), "va.iop") || !strings.Contains(err.Error(), "va.comments") {
		t.Errorf("fields without a class: %v", err)
	}
	table := visitsTable()
	table.Columns[3].Class, table.Columns[10].Class = "", "nonsense"
	_, err = testRecipient(t, study.DeidPolicy{}, "main").Project(table)
	if code(err) != "deid.unclassified" || exit(err) != study.ExitBlocked ||
		!strings.Contains(err.Error(), "visits.actual_date") || !strings.Contains(err.Error(), "visits.stage") {
		t.Errorf("columns without a class: %v", err)
	}
}

func TestDoorTwoRefuses(t *testing.T) {
	tests := map[string]struct {
		code   string
		policy study.DeidPolicy
		change func(*study.Table, *study.Batch)
	}{
		"key that may not leave":   {"deid.key_dropped", study.DeidPolicy{}, func(tb *study.Table, _ *study.Batch) { tb.Key = []string{"surname"} }},
		"numeric participant key":  {"deid.no_rule", study.DeidPolicy{}, func(tb *study.Table, _ *study.Batch) { tb.Columns[0].Kind = study.Int64Kind }},
		"date that is a number":    {"deid.no_rule", study.DeidPolicy{}, func(tb *study.Table, _ *study.Batch) { tb.Columns[3].Kind = study.FloatKind }},
		"no anchors":               {"deid.no_anchor", study.DeidPolicy{}, func(_ *study.Table, b *study.Batch) { b.Anchors = nil }},
		"column short":             {"deid.shape", study.DeidPolicy{}, func(_ *study.Table, b *study.Batch) { b.Vectors = b.Vectors[1:] }},
		"shift without whose":      {"deid.no_participant", study.DeidPolicy{Dates: "shift"}, func(tb *study.Table, _ *study.Batch) { tb.Columns[0].Class = study.OtherKey }},
		"unknown policy for dates": {"deid.dates", study.DeidPolicy{Dates: "fuzzy"}, func(*study.Table, *study.Batch) {}},
	}
	for what, test := range tests {
		table := visitsTable()
		batch := visitsBatch(t, table)
		test.change(table, batch)
		if _, err := testRecipient(t, test.policy, "main").Apply(batch); code(err) != test.code {
			t.Errorf("%s: %v, want %s", what, err, test.code)
		}
	}
	if _, err := NewRecipient(testStudy(), "", testKeys("k")); code(err) != "deid.series" {
		t.Errorf("no series: %v", err)
	}
}

func TestClaimIsComputed(t *testing.T) {
	tests := []struct {
		profile, dates, document string
		claim, refused           string
	}{
		{"internal", "keep", "", "limited", ""},
		{"limited", "keep", "sha", "limited", ""},
		{"limited", "study_day", "sha", "limited", ""}, // birth_year is kept
		{"expert", "study_day", "sha", "expert", ""},
		{"expert", "shift", "sha", "expert", ""},
		{"expert", "study_day", "", "limited", ""},
		{"expert", "keep", "sha", "limited", "visits.actual_date: real dates kept (at most limited)"},
		{"safe_harbor", "study_day", "sha", "expert", "derived from the source identifier (at most expert)"},
		{"safe_harbor", "shift", "sha", "expert", "visits.seen_at: dates shifted (at most expert)"},
	}
	for _, test := range tests {
		r := testRecipient(t, study.DeidPolicy{Profile: test.profile, Dates: test.dates, Expert: study.Determination{SHA256: test.document, Date: study.NoDate, Expires: study.NoDate}}, "main")
		table := visitsTable()
		for range 2 {
			if _, err := r.Project(table); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.Claim(); got != test.claim {
			t.Errorf("%+v claims %s", test, got)
		}
		err := r.Check()
		if test.refused == "" && err != nil || test.refused != "" &&
			(code(err) != "deid.claim" || exit(err) != study.ExitBlocked || !strings.Contains(err.Error(), test.refused)) {
			t.Errorf("%+v: %v", test, err)
		}
	}
	if err := testRecipient(t, study.DeidPolicy{}, "main").Check(); code(err) != "deid.profile" {
		t.Errorf("no profile: %v", err)
	}
}

func BenchmarkApply(b *testing.B) {
	table := visitsTable()
	small, big := visitsBatch(b, table), &study.Batch{Table: table, Rows: 4096, Vectors: make([]study.Vector, len(table.Columns))}
	for i := range big.Rows {
		big.Anchors = append(big.Anchors, small.Anchors[0])
		for c := range table.Columns {
			v, to := &small.Vectors[c], &big.Vectors[c]
			switch table.Columns[c].Kind {
			case study.TextKind:
				to.AppendText(v.Texts[0])
			case study.FloatKind:
				to.AppendFloat(v.Floats[0])
			default:
				to.AppendInt(v.Ints[0])
			}
		}
		big.Vectors[0].Texts[i] = fmt.Sprint("AMD-", i/8) // eight visits each
		big.Vectors[1].Texts[i] = fmt.Sprint("AMD-", i/8, "/", i%8)
	}
	r := testRecipient(b, study.DeidPolicy{Profile: "expert", Dates: "study_day"}, "main")
	for b.Loop() {
		if _, err := r.Apply(big); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(big.Rows), "ns/row")
}
