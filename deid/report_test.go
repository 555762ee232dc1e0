package deid

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

var update = flag.Bool("update", false, "rewrite golden files")

// The report of a release is data: the same tables and rows give the same bytes.
func TestReport(t *testing.T) {
	policy := study.DeidPolicy{Profile: "expert", Pseudonym: Derived, Dates: "shift",
		Expert: study.Determination{Document: "determination.pdf", Expert: "Dr A. Example", Date: day(t, "2026-01-01"), Expires: day(t, "2026-12-31"), SHA256: strings.Repeat("ab", 32)}}
	r, b := testRecipient(t, policy, "main"), visitsBatch(t, visitsTable())
	if _, err := surveyed(t, r, b).Apply(b); err != nil {
		t.Fatal(err)
	}
	content, err := r.Report().JSON()
	if err != nil {
		t.Fatal(err)
	}
	for file, got := range map[string][]byte{"testdata/report.json": content, "testdata/report.md": r.Report().Markdown()} {
		if *update {
			if err := os.WriteFile(file, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not as recorded (run with -update and compare): %v\n%s", file, err, got)
		}
	}
	var back Report
	if err := json.Unmarshal(content, &back); err != nil || back.Claim != "expert" || len(back.Identifiers) != 18 || len(back.Columns) != len(b.Table.Columns) {
		t.Errorf("the report does not read back: %v", err)
	}
	for _, value := range []string{"Smith", "AMD-A", "1936"} {
		if bytes.Contains(content, []byte(value)) {
			t.Errorf("the report holds %q", value)
		}
	}
}

func TestDeterminationHasItsTime(t *testing.T) {
	policy := study.DeidPolicy{Profile: "expert", Dates: "study_day", Expert: study.Determination{SHA256: "x", Date: day(t, "2026-01-01"), Expires: day(t, "2026-12-31")}}
	for asOf, want := range map[string]string{"2025-12-31": "limited", "2026-01-01": "expert", "2026-12-31": "expert", "2027-01-01": "limited"} {
		r := testRecipient(t, policy, "main")
		r.Begin(day(t, asOf), study.NoDate, study.NoDate)
		if got := r.Claim(); got != want {
			t.Errorf("on %s the claim is %s, want %s", asOf, got, want)
		}
		if d := r.Report().Determination; d == nil || d.InForce != (want == "expert") {
			t.Errorf("on %s the report says %+v", asOf, d)
		}
	}
	r := testRecipient(t, policy, "main")
	r.Begin(study.NoDate, study.NoDate, study.NoDate)
	if got := r.Claim(); got != "limited" {
		t.Errorf("on no day the claim is %s", got)
	}
}

// Safe Harbor can be claimed with random codes and no calendar; each thing that
// stands against it is refused by name.
func TestSafeHarbor(t *testing.T) {
	table := func(columns ...study.Column) *study.Table {
		return &study.Table{Name: "participants", Key: []string{"participant_id"}, Columns: append([]study.Column{
			{Name: "participant_id", Kind: study.TextKind, Class: study.ParticipantKey}, {Name: "site", Kind: study.TextKind, Class: study.Quasi}}, columns...)}
	}
	for _, test := range []struct {
		name, pseudonym, dates string
		column                 study.Column
		refused                string
	}{
		{"random codes and study days", Random, "study_day", study.Column{Name: "seen_on", Kind: study.DateKind, Class: study.DateClass}, ""},
		{"random codes and years", Random, "year", study.Column{Name: "seen_on", Kind: study.DateKind, Class: study.DateClass}, ""},
		{"derived codes", Derived, "study_day", study.Column{Name: "sex", Kind: study.TextKind, Class: study.Quasi}, "participant codes are derived"},
		{"shifted dates", Random, "shift", study.Column{Name: "seen_on", Kind: study.DateKind, Class: study.DateClass}, "participants.seen_on"},
		{"real dates", Random, "keep", study.Column{Name: "seen_on", Kind: study.DateKind, Class: study.DateClass}, "participants.seen_on"},
		{"a place", Random, "study_day", study.Column{Name: "home_city", Kind: study.TextKind, Class: study.Quasi}, "participants.home_city"},
	} {
		r := testRecipient(t, study.DeidPolicy{Profile: "safe_harbor", Pseudonym: test.pseudonym, Dates: test.dates}, "main")
		out, err := r.Project(table(test.column))
		if err != nil {
			t.Fatal(err)
		}
		err = r.Check()
		if test.refused == "" && (err != nil || r.Claim() != "safe_harbor") || test.refused != "" && (code(err) != "deid.claim" || exit(err) != study.ExitBlocked || !strings.Contains(err.Error(), test.refused)) {
			t.Errorf("%s: claim %s, %v", test.name, r.Claim(), err)
		}
		if i := slices.IndexFunc(out.Columns, func(c study.Column) bool { return c.Name == "site" }); !strings.Contains(out.Columns[i].Masking, "keyed") {
			t.Errorf("%s: the site leaves as it is", test.name)
		}
	}
}

func TestEighteenIdentifiers(t *testing.T) {
	s := testStudy()
	s.Deid = study.DeidPolicy{Profile: "expert", Dates: "study_day"}
	s.Forms = append(s.Forms, study.Form{Name: "contact", Fields: []study.Field{
		{Name: "mobile_phone", Type: study.Text, Class: study.DirectIdentifier}, {Name: "email", Type: study.Text, Class: study.DirectIdentifier},
		{Name: "library_card", Type: study.Text, Class: study.DirectIdentifier}, {Name: "zip", Type: study.Zip, Class: study.Quasi},
		{Name: "face_photo", Type: study.File, Class: study.Attachment}, {Name: "city", Type: study.Choice, Class: study.Quasi},
	}})
	r, err := NewRecipient(s, "main", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": Covered, "B": Covered, "C": Covered, "D": Covered, "E": NotPresent, "F": Covered, "G": NotPresent, "Q": Covered, "R": Covered}
	check := func() {
		t.Helper()
		for _, i := range r.Identifiers() {
			if status := want[i.Letter]; status != "" && i.Status != status || (i.Status == Covered) != (len(i.Columns) > 0 && i.Status != NotEvaluated) {
				t.Errorf("%s (%s) is %s: %v", i.Letter, i.Name, i.Status, i.Columns)
			}
		}
	}
	check()
	// A place that is kept is not covered, whatever the study calls it.
	if _, err := r.Project(&study.Table{Name: "contact", Columns: []study.Column{{Name: "city", Kind: study.TextKind, Class: study.Quasi, Form: "contact", Field: "city"}}}); err != nil {
		t.Fatal(err)
	}
	want["B"] = NotEvaluated
	check()
}
