//go:build unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longitude/internal/publishedtest"
	"longitude/study"
)

// The extracts of the Rho study that its authors replaced, in order of their dates.
var rhoHistory = []string{"visits.2018-12-20.12fffae.csv", "visits.2019-06-21.2d8a267.csv", "visits.2019-08-06.280cb9d.csv"}

// drifts is the stored changes of shape of a source, oldest first: what, column,
// whether it is read, and what was done.
func (x *trial) drifts(source string) []string {
	x.t.Helper()
	var out []string
	for _, row := range x.table(study.ExitOK, "drift", "list", source)[1:] {
		out = append(out, strings.Join([]string{row[3], row[4], row[5], row[6], row[7], row[8]}, "|"))
	}
	slices.Reverse(out)
	return out
}

// A column comes and goes and the sites are renamed: each change has a name, what
// cannot be accepted waits, and a corrected mapping clears it.
func TestRhoHistory(t *testing.T) {
	data := publishedtest.Data(t)
	x := newTrial(t, filepath.Join("testdata", "rho-history"))
	deliveries := []struct {
		exit   int
		counts study.Counts
		drifts []string
	}{
		{study.ExitOK, study.Counts{Read: 1202, Mapped: 1202, Produced: 1202, Accepted: 1202},
			[]string{"missing_column|visit_abbreviation|||yes|evolve"}},
		{study.ExitOK, study.Counts{Read: 1202, Mapped: 1202, Produced: 1202, Accepted: 1095, Unchanged: 107},
			[]string{"new_column|visit_abbreviation||text|yes|evolve"}},
		{study.ExitRejections, study.Counts{Read: 1202, Mapped: 1202, Produced: 1202, Quarantined: 1202},
			[]string{"missing_column|visit_abbreviation|text||yes|evolve", "new_choice|source_visit.site_name|||yes|evolve"}},
	}
	var known []string
	var lines [][]string
	for i, d := range deliveries {
		text, err := os.ReadFile(filepath.Join(data, "rho-data-library", "history", rhoHistory[i]))
		x.must(err)
		x.drop(rhoHistory[i], string(text))
		c := x.sync(d.exit).Counts
		equal(t, "counts of "+rhoHistory[i], c, d.counts)
		known = append(known, d.drifts...)
		if got := x.drifts("rho-visits"); !slices.Equal(got, known) {
			t.Fatalf("changes of shape after %s:\n%s\nwant\n%s", rhoHistory[i], strings.Join(got, "\n"), strings.Join(known, "\n"))
		}
		lines = append(lines, append(append([]string{rhoHistory[i]}, numbers(c.Read, c.Accepted, c.Unchanged, c.Quarantined)...), rhoChanges(d.drifts)))
	}
	equal(t, "rows that wait", len(x.table(study.ExitOK, "quarantine", "list", "--rule", "choice_unknown", "--state", "open", "--limit", "5000"))-1, 1202)

	x.edit("visits.yaml", "site_name: {column: site_name}", "site_name: {column: site_name, values: {Clinical Site 01: Site 01, Clinical Site 02: Site 02, "+
		"Clinical Site 03: Site 03, Clinical Site 04: Site 04, Clinical Site 05: Site 05}}")
	x.run(study.ExitOK, "quarantine", "replay", "--source", "rho-visits")
	equal(t, "rows that wait after the correction", len(x.table(study.ExitOK, "quarantine", "list", "--state", "open", "--limit", "5000"))-1, 0)
	equal(t, "records", x.number("SELECT count(*) FROM research.record_current WHERE op = 'u'"), 1202)
	if again := x.drifts("rho-visits"); !slices.Equal(again, known) {
		t.Errorf("the replay names changes of shape once more: %v", again)
	}
	evidence(t, "rho-history.md", rhoHistoryPage(lines))
}

// A source that trusts no change: the extract that brings a column stops the
// source, the one that lacks it again is put aside, and each time a person accepts.
func TestRhoHistoryUnderAStrictPolicy(t *testing.T) {
	data := publishedtest.Data(t)
	x := newTrial(t, filepath.Join("testdata", "rho-history"))
	x.edit("visits.yaml", "new_column: evolve", "new_column: freeze")
	deliver := func(name string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(data, "rho-data-library", "history", name))
		x.must(err)
		x.drop(name, string(text))
	}
	waits := func() tally {
		t.Helper()
		rules := tally{}
		for _, row := range x.table(study.ExitOK, "quarantine", "list", "--state", "open", "--limit", "5000")[1:] {
			rules[row[7]+" "+row[6]]++
		}
		return rules
	}
	deliver(rhoHistory[0])
	x.sync(study.ExitOK)
	deliver(rhoHistory[1])
	x.refused(study.ExitBlocked, "drift.frozen", []string{"new_column visit_abbreviation"}, "sync")
	equal(t, "versions after the source froze", x.versions(), 1202)
	x.run(study.ExitOK, "drift", "accept", "rho-visits", "--note", "the column is there")
	equal(t, "new versions of the accepted extract", x.sync(study.ExitOK).Counts.Accepted, 1095)

	x.edit("visits.yaml", "missing_column: evolve", "missing_column: quarantine")
	deliver(rhoHistory[2])
	aside := x.sync(study.ExitRejections)
	equal(t, "extracts put aside", aside.Aside, 1)
	equal(t, "counts of an extract put aside", aside.Counts, study.Counts{})
	waits().is(t, "what waits", tally{"drift_missing_column visit_abbreviation": 1})
	x.run(study.ExitOK, "drift", "accept", "rho-visits", "--without", "--note", "the column has gone")
	x.run(study.ExitRejections, "quarantine", "replay", "--source", "rho-visits")
	waits().is(t, "what waits of the accepted extract", tally{"choice_unknown site_name": 1202})
}

// rhoChanges names changes of shape in words.
func rhoChanges(drifts []string) string {
	var words []string
	for _, d := range drifts {
		part := strings.Split(d, "|")
		words = append(words, part[0]+" "+part[1])
	}
	return strings.Join(words, ", ")
}

func rhoHistoryPage(lines [][]string) string {
	return `# Three extracts of one study, in order

Made by ` + "`cmd/longitude/realdata_history_test.go`" + `: the extracts that the authors of the Rho data library replaced, read in order of their
dates by one source whose columns may come and go. The second adds a column that the mapping reads; it is filled in 1,095 rows and empty in 107,
which are therefore unchanged. The third lacks it again and calls the sites by other names, which are no choices of the study: every record waits
in quarantine. A mapping that translates the names, and a replay, clear it.

` + markdown([]string{"extract", "rows:", "new or changed:", "unchanged:", "quarantined:", "changes of shape"}, lines)
}
