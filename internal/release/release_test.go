package release

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/deid"
	"longitude/internal/columnar"
	"longitude/study"
)

// trial is a study with every kind of field and one of each kind of visit.
func trial() *study.Study {
	s := &study.Study{
		Name: "amd-obs-01", Title: "AMD Observational Study", Protocol: study.Protocol{ID: "AMD-P2-2024", Version: "3.0"},
		CodePrefix: "AMD", Timezone: "Europe/London", Days: study.Elapsed,
		Consent:  study.Consent{Kind: "form", Form: "consent", Field: "consented_on"},
		Deid:     study.DeidPolicy{Profile: "limited", Pseudonym: "derived", Dates: "study_day", MissedLagDays: 30},
		Releases: study.ReleasePolicy{Analysis: []study.Parameter{}}, // see analysis_test.go
		Visits: []study.VisitType{
			{Name: "baseline", Label: "Baseline", HasWindow: true, Required: true, Forms: []study.VisitForm{{Form: "visual_acuity", Critical: true}}},
			{Name: "month_1", Label: "Month 1", Day: 30, Before: 7, After: 14, HasWindow: true, Required: true, Forms: []study.VisitForm{{Form: "visual_acuity"}}},
			{Name: "month_3", Label: "Month 3", Day: 90, Before: 14, After: 21, HasWindow: true, Required: true},
			{Name: "phone", Label: "Phone call", Day: 100},
		},
		Forms: []study.Form{
			{Name: "consent", Label: "Consent", Fields: []study.Field{{Name: "consented_on", Type: study.DateType, Class: study.DateClass}}},
			{Name: "visual_acuity", Label: "Visual acuity", RepeatsBy: "eye", Expect: []string{"R", "L"}, Fields: []study.Field{
				{Name: "eye", Type: study.Choice, Class: study.Clinical, Choices: []study.ChoiceItem{{Code: "R", Label: "Right"}, {Code: "L", Label: "Left"}}},
				{Name: "va", Label: "Acuity", Type: study.Acuity, Class: study.Clinical},
				{Name: "iop_mmhg", Type: study.Decimal, Precision: 4, Scale: 1, Unit: "mmHg", Class: study.Clinical},
				{Name: "comments", Type: study.Text, Class: study.FreeText},
				{Name: "injections", Type: study.Integer, Class: study.Clinical},
			}},
			{Name: "adverse_events", Label: "Adverse events", Log: true, Fields: []study.Field{
				{Name: "term", Type: study.Choice, Class: study.Clinical, Choices: []study.ChoiceItem{{Code: "fall", Label: "Fall"}}},
				{Name: "onset", Type: study.DateType, Class: study.Clinical},
				{Name: "serious", Type: study.Boolean, Class: study.Clinical},
				{Name: "seen_at", Type: study.DateTime, Class: study.DateClass},
			}},
		},
	}
	s.Digest[0] = 7
	return s
}

func day(text string) study.Date {
	d, ok := study.ParseDate(text)
	if !ok {
		panic("not a date: " + text)
	}
	return d
}

func plan(n int) Plan {
	p := Plan{Series: "main", Digests: map[string]string{"study": "d1", "writer": columnar.Writer}}
	p.ReleasePlan = study.ReleasePlan{Study: "amd-obs-01", ID: fmt.Sprintf("amd_obs_01_r%03d", n), Number: n,
		AsOf: day("2026-07-01"), Cutoff: day("2026-06-30"), Batches: 3,
		Counts: study.Counts{Read: 20, Mapped: 15, RowsQuarantined: 5, Produced: 15, Accepted: 15}}
	return p
}

func pack(answers ...string) string { return strings.Join(answers, string(study.FieldSeparator)) }

func visit(no int32, kind int, actual string, status study.VisitStatus) study.Visit {
	v := study.Visit{No: no, Key: fmt.Sprint(no), Type: kind}
	v.Status, v.Timing = status, study.NoWindow
	v.Due, v.WindowStart, v.WindowEnd = study.NoDate, study.NoDate, study.NoDate
	if actual != "" {
		v.Actual, _ = study.ParsePartialDate(actual)
	}
	return v
}

// person is one participant's history as the pipeline hands it over.
type person struct {
	study.Participant
	study.Judgement
	records []study.CurrentRecord
}

const m = study.MissingMark

// someone has a baseline, a late month 1, a missed month 3, an unscheduled visit,
// a withheld one, one after the cut-off, and one whose records are held.
func someone(n int64) person {
	w := person{Participant: study.Participant{ID: n, Code: fmt.Sprintf("AMD-%020d", n), Site: "site-a", Enrolled: true, Consented: day("2025-12-31"), Withdrawn: study.NoDate}}
	month1 := visit(2, 1, "2026-02-15", study.Completed)
	month1.Timing, month1.HasDistance, month1.FromTarget, month1.OutsideWindow = study.Late, true, 15, 1
	month1.Due, month1.WindowStart, month1.WindowEnd = day("2026-01-31"), day("2026-01-24"), day("2026-02-14")
	month3 := visit(3, 2, "", study.Missed)
	month3.Due, month3.WindowStart, month3.WindowEnd = day("2026-04-01"), day("2026-03-18"), day("2026-04-22")
	baseline := visit(1, 0, "2026-01-01", study.Completed)
	baseline.Timing, baseline.HasDistance, baseline.Due = study.InWindow, true, day("2026-01-01")
	baseline.WindowStart, baseline.WindowEnd = baseline.Due, baseline.Due
	withheld := visit(5, -1, "2026-03-02", study.Unscheduled)
	withheld.Withheld = true
	w.Visits = []study.Visit{
		baseline, month1, month3, visit(4, -1, "2026-01-20", study.Unscheduled), withheld,
		visit(6, 3, "2026-06-30", study.Completed), visit(7, -1, "2026-07-01", study.Unscheduled), visit(8, -1, "2026-03-05", study.Unscheduled),
		visit(9, 3, "", study.Scheduled),
	}
	record := func(form int, no int32, occurrence, answers, missing string) {
		w.records = append(w.records, study.CurrentRecord{Key: study.RecordKey{Form: form, VisitNo: no, Occurrence: occurrence}, Answers: answers, Missing: missing})
	}
	record(0, 1, "1", pack("2025-12-31"), "")
	record(1, 1, "R", pack("R", "logmar:0.00", "0.0", study.SealedMark, "0"), "")
	record(1, 1, "L", pack("L", "off:CF", "16.5", m, "2"), "")
	record(1, 2, "R", pack("R", "snellen:20/40", m, m, m), "2=not_done,4=refused")
	record(1, 4, "R", pack("R", "etdrs:44", "-1.5", m, m), "")
	record(1, 5, "R", pack("R", "etdrs:45", m, m, m), "")
	record(1, 6, "R", pack("R", "etdrs:46", m, m, m), "")
	record(1, 7, "R", pack("R", "etdrs:47", m, m, m), "")
	record(1, 8, "R", pack("R", "etdrs:48", m, m, m), "")
	record(1, 9, "R", pack("R", "etdrs:49", m, m, m), "")
	record(2, 0, "10", pack("fall", "2026-03", "false", m), "")
	record(2, 0, "9", pack("fall", "2026-01-31", "true", "2026-01-31T23:30:00.5Z"), "")
	w.Holds = []study.Hold{{Key: study.RecordKey{Form: 1, VisitNo: 8, Occurrence: "R"}, Code: study.AfterWithdrawal}}
	deviation := func(code string, no int32, detail string, kind study.DeviationKind, state study.DeviationState) {
		w.Deviations = append(w.Deviations, study.Deviation{DeviationKey: study.DeviationKey{Code: code, VisitNo: no, Detail: detail}, Kind: kind, State: state,
			Evidence: "late 1 day: actual 2026-02-15"})
	}
	deviation(study.FormMissing, 2, "visual_acuity/L", study.IsDeviation, study.Open)
	deviation(study.VisitOutOfWindow, 2, "", study.IsDeviation, study.Explained)
	deviation(study.LateEntry, 2, "", study.IsDeviation, study.Resolved)
	deviation(study.VisitMissed, 3, "", study.IsDeviation, study.Open)
	deviation(study.BaselineMissing, 5, "", study.IsViolation, study.Open)
	deviation(study.AfterWithdrawal, 8, "", study.IsViolation, study.Open)
	return w
}

// cells renders a batch as text, one line per row, NULL as ∅.
func cells(b *study.Batch, columns ...string) []string {
	var out []string
	for i := range b.Rows {
		var row []string
		for _, name := range columns {
			c := slices.IndexFunc(b.Table.Columns, func(c study.Column) bool { return c.Name == name })
			if c < 0 {
				panic("no column " + name)
			}
			switch v := &b.Vectors[c]; {
			case v.Null(i):
				row = append(row, "∅")
			case v.Texts != nil:
				row = append(row, v.Texts[i])
			case v.Floats != nil:
				row = append(row, fmt.Sprintf("%g", v.Floats[i]))
			default:
				row = append(row, fmt.Sprint(v.Ints[i]))
			}
		}
		out = append(out, strings.Join(row, " "))
	}
	return out
}

func built(t *testing.T, s *study.Study, p Plan, people ...person) (*Builder, map[string]*study.Batch) {
	t.Helper()
	b := NewBuilder(s, p)
	for _, w := range people {
		if err := b.Add(w.Participant, &w.Judgement, w.records); err != nil {
			t.Fatal(err)
		}
	}
	tables := map[string]*study.Batch{}
	batches := b.Take()
	static, err := b.Static(t.Context(), b.Tables(), "limited", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range append(batches, static...) {
		for c := range batch.Vectors {
			v := &batch.Vectors[c]
			if n := max(len(v.Ints), len(v.Floats), len(v.Texts)); n != batch.Rows || len(v.Valid) != n {
				t.Fatalf("%s.%s has %d values and %d marks for %d rows", batch.Table.Name, batch.Table.Columns[c].Name, n, len(v.Valid), batch.Rows)
			}
		}
		tables[batch.Table.Name] = batch
	}
	return b, tables
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

type testKeys struct{}

func (testKeys) Derive(study, purpose, domain string) (deid.Key, error) {
	h := hmac.New(sha256.New, []byte("a key for tests"))
	fmt.Fprintf(h, "%d %s %d %s %s", len(study), study, len(purpose), purpose, domain)
	return deid.NewKey([32]byte(h.Sum(nil))), nil
}

func (k testKeys) DeriveVersion(study, purpose, domain string, _ int) (deid.Key, error) {
	return k.Derive(study, purpose, domain)
}

func (testKeys) Newest(string) (int, error) { return 1, nil }

// bundle is a release built and laid out in a folder.
type bundle struct {
	dir      string
	docs     []deid.Artifact
	parts    []deid.Artifact
	manifest *Manifest
	envelope deid.Artifact
	policy   Policy
}

var (
	signer = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	signed = time.Date(2026, 7, 1, 3, 0, 0, 0, time.UTC)
)

// build takes people through door 2 into a folder named after the release.
func build(t *testing.T, s *study.Study, p Plan, people ...person) bundle {
	t.Helper()
	recipient, err := deid.NewRecipient(s, p.Series, testKeys{})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuilder(s, p)
	slices.SortFunc(people, func(a, c person) int {
		return strings.Compare(recipient.Participant(a.Participant.Code), recipient.Participant(c.Participant.Code))
	})
	for _, w := range people {
		if err := b.Add(w.Participant, &w.Judgement, w.records); err != nil {
			t.Fatal(err)
		}
	}
	var released []*study.Table
	for _, table := range b.Tables() {
		after, err := recipient.Project(table)
		if err != nil {
			t.Fatal(err)
		}
		released = append(released, after)
	}
	parts := map[string][]deid.Artifact{}
	out := bundle{dir: filepath.Join(t.TempDir(), p.ID), policy: NewPolicy("k1", signer.Public().(ed25519.PublicKey))}
	format := &columnar.Format{}
	write := func(batches []*study.Batch) {
		for _, batch := range batches {
			table, err := recipient.Project(batch.Table)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := recipient.Apply(batch)
			if err != nil {
				t.Fatal(err)
			}
			a, err := deid.Encode(t.Context(), format.NewEncoder, "data/"+table.Name+"/part-00000.parquet", t.TempDir(), table,
				func(yield func(deid.Batch, error) bool) { yield(rows, nil) })
			if err != nil {
				t.Fatal(err)
			}
			if err := format.ReadBack(t.Context(), a, table); err != nil {
				t.Fatal(err)
			}
			parts[table.Name] = append(parts[table.Name], a)
			out.parts = append(out.parts, a)
		}
	}
	write(b.Take())
	p.Claim, p.Tally = recipient.Claim(), b.Tally()
	static, err := b.Static(t.Context(), released, p.Claim, parts)
	if err != nil {
		t.Fatal(err)
	}
	write(static)
	p.Identity = b.Identity()
	if out.docs, err = Documents(p, s, released, parts); err != nil {
		t.Fatal(err)
	}
	if out.envelope, err = Envelope(p, out.docs, out.parts, signer, "k1", signed); err != nil {
		t.Fatal(err)
	}
	for _, a := range append(slices.Concat(out.docs, out.parts), out.envelope) {
		lay(t, out.dir, a)
	}
	before, err := ReadBefore(t.Context(), out.dir)
	if err != nil {
		t.Fatal(err)
	}
	out.manifest = before.Manifest
	return out
}

func lay(t *testing.T, dir string, a deid.Artifact) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(a.Path()))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content(t, a), 0o600); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, a deid.Artifact) []byte {
	t.Helper()
	r, err := a.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func doc(t *testing.T, b bundle, path string) string {
	t.Helper()
	for _, a := range b.docs {
		if a.Path() == path {
			return string(content(t, a))
		}
	}
	t.Fatalf("the release has no %s", path)
	return ""
}
