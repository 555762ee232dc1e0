package synth

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

func generate(t *testing.T, o Options) (string, Truth) {
	t.Helper()
	dir := t.TempDir()
	truth, err := Generate(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir, truth
}

// digest is a hash over every file name and byte below dir.
func digest(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(h, "%s %d\n%s", rel, len(text), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestTheSameOptionsGiveTheSameBytes(t *testing.T) {
	for _, delivery := range []int{1, 2} {
		a, truthA := generate(t, Options{Participants: 80, Delivery: delivery})
		b, truthB := generate(t, Options{Participants: 80, Delivery: delivery})
		c, _ := generate(t, Options{Participants: 80, Delivery: delivery, Seed: 2})
		if digest(t, a) != digest(t, b) || fmt.Sprint(truthA) != fmt.Sprint(truthB) {
			t.Errorf("delivery %d differs between two runs", delivery)
		}
		if digest(t, a) == digest(t, c) {
			t.Errorf("delivery %d does not depend on the seed", delivery)
		}
	}
}

// read returns the rows of every file of a delivery, the header left out; rows
// of any number of fields are returned as they are.
func read(t *testing.T, dir string, truth Truth) [][]string {
	t.Helper()
	var all [][]string
	for _, f := range truth.Files {
		path := filepath.Join(dir, f.Site, f.Name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path + ".done"); err != nil {
			t.Errorf("%s has no marker", f.Name)
		}
		r := csv.NewReader(bytes.NewReader(text))
		r.FieldsPerRecord = -1
		rows, err := r.ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if len(rows)-1 != f.Rows || int64(len(text)) != f.Bytes {
			t.Errorf("%s: %d rows of %d bytes, truth says %d of %d", f.Name, len(rows)-1, len(text), f.Rows, f.Bytes)
		}
		if !slices.Equal(rows[0], header[:]) {
			t.Errorf("%s: header %q", f.Name, rows[0])
		}
		for _, row := range rows[1:] {
			if len(row) == columns && row[formName] != f.Form && row[formName] != "visual_accuity" {
				t.Errorf("%s holds a row of %s", f.Name, row[formName])
			}
		}
		all = append(all, rows[1:]...)
	}
	return all
}

func TestTheLayoutIsTheDocumentedOne(t *testing.T) {
	text, err := os.ReadFile("../../configs/amd/README.md")
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, column := range header {
		next := strings.Index(string(text[at:]), "`"+column+"`")
		if next < 0 {
			t.Fatalf("configs/amd/README.md does not list %s in this order", column)
		}
		at += next
	}
}

// TestTruthCountsWhatIsInTheFiles recounts from the bytes alone what can be.
func TestTruthCountsWhatIsInTheFiles(t *testing.T) {
	dir, truth := generate(t, Options{})
	rows := read(t, dir, truth)
	if len(rows) != truth.Rows {
		t.Errorf("%d rows, truth says %d", len(rows), truth.Rows)
	}
	bad, people, consented, lines, repeated := map[string]int{}, map[string]bool{}, map[string]bool{}, map[string]int{}, 0
	for _, row := range rows {
		people[row[patientID]] = true
		if line := strings.Join(row, "\x1f"); lines[line] > 0 {
			repeated++
		} else {
			lines[line]++
		}
		switch {
		case len(row) != columns:
			bad[BadColumns]++
		case row[formName] == "visual_accuity":
			bad[BadForm]++
		case row[visitDate] == "31/02/2026":
			bad[BadDate]++
		case row[method] == "Landolt":
			bad[BadChoice]++
		case row[iop] == "sixteen" || strings.HasPrefix(row[iop], "ZZCANARY"):
			bad[BadNumber]++
		case row[formName] == consentForm:
			consented[row[patientID]] = true
		}
	}
	if fmt.Sprint(bad) != fmt.Sprint(truth.Bad) {
		t.Errorf("faulty rows %v, truth says %v", bad, truth.Bad)
	}
	if len(people) != truth.Participants || len(people)-len(consented) != truth.Held {
		t.Errorf("%d participants, %d without consent; truth says %d and %d",
			len(people), len(people)-len(consented), truth.Participants, truth.Held)
	}
	if repeated != truth.Duplicates {
		t.Errorf("%d duplicates, truth says %d", repeated, truth.Duplicates)
	}
}

// TestTimingIsWhatTheProtocolSays judges every delivered visit again from the
// dates in the files.
func TestTimingIsWhatTheProtocolSays(t *testing.T) {
	dir, truth := generate(t, Options{})
	type key struct{ person, visit string }
	days, consented := map[key]study.Date{}, map[string]bool{}
	for _, row := range read(t, dir, truth) {
		if len(row) != columns || row[visitName] == "" || row[visitDate] == "31/02/2026" ||
			row[formName] == "visual_accuity" || row[method] == "Landolt" || strings.Contains(row[iop], "i") || strings.Contains(row[iop], "Z") {
			continue
		}
		days[key{row[patientID], row[visitName]}] = day(t, row[visitDate])
		consented[row[patientID]] = consented[row[patientID]] || row[formName] == consentForm
	}
	var visits, early, late, unscheduled int
	for k, actual := range days {
		if !consented[k.person] {
			continue
		}
		visits++
		at := slices.IndexFunc(protocol, func(s slot) bool { return s.name == k.visit })
		if at < 0 {
			unscheduled++
			continue
		}
		due := days[key{k.person, "BL"}] + study.Date(protocol[at].day)
		if actual < due-study.Date(protocol[at].before) {
			early++
		}
		if actual > due+study.Date(protocol[at].after) {
			late++
		}
	}
	got := fmt.Sprint(visits, early, late, unscheduled)
	if want := fmt.Sprint(truth.Visits, truth.Early, truth.Late, truth.Unscheduled); got != want {
		t.Errorf("visits, early, late, unscheduled = %s; truth says %s", got, want)
	}
}

func day(t *testing.T, s string) study.Date {
	t.Helper()
	parts := strings.Split(s, "/")
	slices.Reverse(parts)
	d, ok := study.ParseDate(strings.Join(parts, "-"))
	if !ok {
		t.Fatalf("%q is no day", s)
	}
	return d
}

func TestTheDemoHasEveryKindOfTrouble(t *testing.T) {
	_, first := generate(t, Options{})
	_, second := generate(t, Options{Delivery: 2})
	for what, n := range map[string]int{
		"held": first.Held, "consented late": first.ConsentLate, "withdrawn": first.Withdrawn,
		"early": first.Early, "late": first.Late, "unscheduled": first.Unscheduled, "missed": first.Missed,
		"late entries": first.LateEntries, "forms missing": first.FormsMissing, "duplicates": first.Duplicates,
		"superseded": first.Superseded, "corrections": second.Corrections, "visits later": second.Visits,
		"bad dates": first.Bad[BadDate], "bad choices": first.Bad[BadChoice], "bad columns": first.Bad[BadColumns],
		"bad numbers": first.Bad[BadNumber], "bad forms": first.Bad[BadForm], "canaries": len(first.Canaries),
	} {
		if n == 0 {
			t.Errorf("nothing %s", what)
		}
	}
	if first.Corrections != 0 {
		t.Error("the first delivery corrects something")
	}
	for _, kind := range []string{"NAME", "MRN", "PHONE", "EMAIL"} {
		if !strings.Contains(strings.Join(first.Canaries, "\n"), "ZZCANARY-"+kind) {
			t.Errorf("no planted %s", kind)
		}
	}
}

func TestTheSecondDeliveryFitsTheFirst(t *testing.T) {
	dir1, first := generate(t, Options{})
	dir2, second := generate(t, Options{Delivery: 2})
	newest, consent, people := map[string]string{}, map[string]bool{}, map[string]bool{}
	identity := func(row []string) string {
		return strings.Join([]string{row[patientID], row[formName], row[visitName], row[eye], row[aeID], row[cmID]}, "|")
	}
	for _, row := range read(t, dir1, first) {
		people[row[patientID]] = true
		if len(row) != columns {
			continue
		}
		newest[identity(row)] = max(newest[identity(row)], row[lastModified])
		consent[row[patientID]] = consent[row[patientID]] || row[formName] == consentForm
	}
	var corrected, released, enrolled int
	for _, row := range read(t, dir2, second) {
		if len(row) != columns {
			continue
		}
		if before := newest[identity(row)]; before != "" {
			corrected++
			if row[lastModified] <= before {
				t.Errorf("a row of the second delivery is not newer")
			}
		}
		if row[formName] == consentForm && people[row[patientID]] && !consent[row[patientID]] {
			released++
		}
		if !people[row[patientID]] {
			enrolled++
		}
	}
	if corrected < second.Corrections || released == 0 || enrolled == 0 {
		t.Errorf("%d corrected rows, %d consents for held participants, %d rows of new ones", corrected, released, enrolled)
	}
}

func TestCanariesAreInTheFiles(t *testing.T) {
	dir, truth := generate(t, Options{Participants: 200})
	var all strings.Builder
	for _, row := range read(t, dir, truth) {
		all.WriteString(strings.Join(row, "\n"))
	}
	for _, c := range truth.Canaries {
		if !strings.Contains(all.String(), c) {
			t.Errorf("%s is not in the files", c)
		}
	}
}

func TestOptionsThatMakeNoStudy(t *testing.T) {
	for name, o := range map[string]Options{
		"sites": {Sites: 27}, "participants": {Participants: -1}, "delivery": {Delivery: 3}, "time": {Start: 100, Until: 110},
	} {
		_, err := Generate(t.TempDir(), o)
		var e *study.Error
		if !errors.As(err, &e) || e.Code != "synth.options" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWorkload(t *testing.T) {
	dir, changedDir := t.TempDir(), t.TempDir()
	truth, err := Workload(dir, WorkloadOptions{Participants: 300, Visits: 4})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := Workload(changedDir, WorkloadOptions{Participants: 300, Visits: 4, Changed: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	if truth.Records != 300*4*3 || truth.Changed != 0 || changed.Changed == 0 {
		t.Errorf("truth %+v, changed %+v", truth, changed)
	}
	differ := 0
	for i, f := range truth.Files {
		a, b := table(t, filepath.Join(dir, f.Name)), table(t, filepath.Join(changedDir, changed.Files[i].Name))
		if len(a)-1 != f.Rows || len(a[0]) != 4+12 {
			t.Errorf("%s: %d rows of %d columns", f.Name, len(a)-1, len(a[0]))
		}
		for r := range a {
			if !slices.Equal(a[r], b[r]) {
				differ++
			}
		}
		for _, file := range []string{f.Name + ".done", "config/" + f.Form + ".yaml", "config/bench.yaml"} {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Error(err)
			}
		}
	}
	if differ != changed.Changed {
		t.Errorf("%d rows differ, truth says %d", differ, changed.Changed)
	}
}

func table(t *testing.T, path string) [][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// BenchmarkWorkload reports the speed of the generator at a tenth of the
// standard size.
func BenchmarkWorkload(b *testing.B) {
	for b.Loop() {
		truth, err := Workload(b.TempDir(), WorkloadOptions{Participants: 5_000})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(truth.Bytes)
	}
}
