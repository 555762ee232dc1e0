//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longitude/internal/lineage"
	"longitude/study"
)

// TestTraceMoorfields walks from released rows of the published file back to its
// lines, and compares the cells of each line with the row.
func TestTraceMoorfields(t *testing.T) {
	r := newRealStudy(t, "moorfields", "moorfields-amd")
	r.sync()
	rel, _ := r.release()
	table := rel.table("visual_acuity")
	text, err := os.ReadFile(filepath.Join(r.data, "moorfields-eyedata/data-raw/fasler/Moorfields_AMD_Database_1.csv"))
	r.must(err)
	lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	header := strings.Split(lines[0], ";")
	as := r.staff(map[string]string{"vera": "auditor"})
	for _, n := range []int{0, len(table) / 2, len(table) - 1} {
		released := table[n]
		var traced lineage.Trace
		r.answer(study.ExitOK, &traced, append([]string{"lineage", "trace", "moorfields_amd_r001", "visual_acuity", released.text("record_id"),
			"--show-line", "--reason", "source_verification"}, as("vera")...)...)
		v := onlyVersion(t, &traced)
		if lines[v.Line-1] != v.Text || v.Line != v.Ordinal+1 {
			t.Fatalf("row %d of the table: line %d, ordinal %d is not that line of the file", n, v.Line, v.Ordinal)
		}
		cells := map[string]string{}
		for i, cell := range strings.Split(v.Text, ";") {
			cells[header[i]] = cell
		}
		want := "day " + cells["FollowupDays"] + ", " + map[string]string{"0": "R", "1": "L"}[cells["Eye"]] + " " + cells["VA_ETDRS_Letters"] + ", injection " + cells["InjectionNumber"]
		day := released["study_day"].(int64) - 1 // counted from 0
		got := "day " + numbers(day)[0] + ", " + released.text("eye") + " " + released.text("va_letters") + ", injection " + released.text("injection_number")
		if got != want {
			t.Errorf("row %d of the table is not what its line says", n) // neither is printed: they are real
		}
		if id := r.ids(map[string]bool{cells["Id"]: true})[cells["Id"]]; id != released.text("participant_id") {
			t.Errorf("row %d of the table is of another participant than its line", n)
		}
	}
}

// onlyVersion checks a trace of a record and answers the version it names.
func onlyVersion(t *testing.T, traced *lineage.Trace) lineage.Version {
	t.Helper()
	if len(traced.Made) != 1 || len(traced.Batches) != 1 {
		t.Fatalf("%d versions in %d batches, want one in one", len(traced.Made), len(traced.Batches))
	}
	v, b := traced.Made[0], traced.Batches[0]
	if v.Kind != lineage.OfRecord || v.Proof == nil || !v.Proof.Holds || v.Proof.Root != b.Root || b.Landed != lineage.Sound || !b.Event.Proven {
		t.Fatalf("not all of it is proven: %+v, batch %+v", v.Proof, b)
	}
	return v
}
