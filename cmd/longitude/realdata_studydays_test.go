//go:build unix

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"longitude/internal/publishedtest"
	"longitude/study"
	formatlist "longitude/transform/formats/all"
)

// decoded is a published file read with one of our formats, whole.
func decoded(t *testing.T, format, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	encoding := "auto"
	if strings.HasPrefix(filepath.Base(path), "ts.") {
		encoding = "windows-1252" // one text in it is not ASCII
	}
	spec := study.FormatSpec{Type: format, Delimiter: ",", Quote: `"`, Escape: "double", Encoding: encoding, Header: true, DecimalMark: "."}
	var out []map[string]string
	for rows, err := range formatlist.Formats()[format].Decode(t.Context(), spec, f) {
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "broken rows of "+filepath.Base(path), len(rows.Broken), 0)
		for i := range rows.Len() {
			m := make(map[string]string, len(rows.Columns))
			for c, cell := range rows.Row(i) {
				m[rows.Columns[c]] = string(cell)
			}
			out = append(out, m)
		}
	}
	return out
}

// absent reports whether a cell of the published files holds nothing; NA is how
// the CSV export writes it.
func absent(cell string) bool { return cell == "" || cell == "NA" }

// dayColumns pairs each study day of a file with the date it is the day of.
// VISITDY is planned, and has none.
func dayColumns(row map[string]string) [][2]string {
	var out [][2]string
	for _, day := range slices.Sorted(maps.Keys(row)) {
		date := strings.TrimSuffix(day, "DY") + "DTC"
		if _, ok := row[date]; ok && strings.HasSuffix(day, "DY") {
			out = append(out, [2]string{day, date})
		}
	}
	return out
}

// The verdicts on a published study day.
const (
	dayEqual     = "equal"
	dayDiffers   = "differs"
	dayNone      = "neither: no date"
	dayPartial   = "neither: partial date"
	dayNoAnchor  = "neither: no reference start"
	dayUnclaimed = "ours only"
	dayUnfounded = "published only"
)

// recomputed compares a published study day with ours.
func recomputed(published, date, reference string) string {
	anchor, anchored := study.ParsePartialDate(reference)
	at, dated := study.ParsePartialDate(strings.SplitN(date, "T", 2)[0])
	computable := anchored && anchor.Exact() && dated && at.Exact()
	switch {
	case computable && absent(published):
		return dayUnclaimed
	case computable && strconv.Itoa(study.StudyDay(at.First(), anchor.First())) == published:
		return dayEqual
	case computable:
		return dayDiffers
	case !absent(published):
		return dayUnfounded
	case absent(date):
		return dayNone
	case !anchored:
		return dayNoAnchor
	}
	return dayPartial
}

// Every study day that the published domains state is the one we compute from
// the date beside it and the reference start.
func TestPublishedStudyDays(t *testing.T) {
	data := publishedtest.Data(t)
	sets := []struct{ name, format, folder, pattern string }{
		{"CDISC pilot, transport files", "xport", "phuse-sdtm/cdiscpilot01", "*.xpt"},
		{"CDISC pilot, CSV", "csv", "rho-data-library/sdtm/cdisc-pilot-01", "*.csv"},
		{"pharmaverse", "csv", "pharmaversesdtm", "*.csv"},
		{"pharmaverse, converted", "csv", "pharmaversesdtm/converted-from-rda", "vs.csv"},
	}
	verdicts := []string{dayEqual, dayDiffers, dayUnclaimed, dayUnfounded, dayNone, dayPartial, dayNoAnchor}
	var lines [][]string
	total, apart := tally{}, tally{}
	for _, set := range sets {
		files, err := filepath.Glob(filepath.Join(data, set.folder, set.pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files of %s", set.name)
		}
		references := referenceStarts(t, set.format, filepath.Join(data, set.folder))
		for _, file := range files {
			domain := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
			rows := decoded(t, set.format, file)
			daysApart(t, rows, references, domain, apart)
			for column, counts := range studyDays(rows, references) {
				line := []string{set.name, domain, column}
				for _, v := range verdicts {
					line = append(line, strconv.Itoa(counts[v]))
					total[v] += counts[v]
				}
				lines = append(lines, line)
			}
		}
	}
	slices.SortFunc(lines, slices.Compare)
	apart.is(t, "published days that differ", tally{"AESTDY of row 971 of ae, 365 days": 3, "AESTDY of row 971 of ae_ophtha, 365 days": 1})
	evidence(t, "study-days.md", studyDaysPage(lines, total, append([]string{"files", "domain", "column"}, numeric(verdicts)...)))
}

// numeric marks headers as those of numbers.
func numeric(headers []string) []string {
	out := make([]string, len(headers))
	for i, h := range headers {
		out[i] = strings.Replace(h, ":", ",", 1) + ":"
	}
	return out
}

// referenceStarts reads RFSTDTC of every participant of a folder's DM domains.
func referenceStarts(t *testing.T, format, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if filepath.Base(folder) == "converted-from-rda" {
		folder = filepath.Dir(folder)
	}
	extension := map[string]string{"xport": ".xpt", "csv": ".csv"}[format]
	for _, name := range []string{"dm_metabolic", "dm"} {
		path := filepath.Join(folder, name+extension)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		for _, p := range decoded(t, format, path) {
			out[p["USUBJID"]] = p["RFSTDTC"]
		}
	}
	return out
}

// studyDays counts the verdicts on each study day column of a domain.
func studyDays(rows []map[string]string, references map[string]string) map[string]tally {
	out := map[string]tally{}
	for _, row := range rows {
		for _, pair := range dayColumns(row) {
			if out[pair[0]] == nil {
				out[pair[0]] = tally{}
			}
			out[pair[0]][recomputed(row[pair[0]], row[pair[1]], references[row["USUBJID"]])]++
		}
	}
	return out
}

// daysApart counts the published days that are not ours: which, and by how much.
func daysApart(t *testing.T, rows []map[string]string, references map[string]string, domain string, into tally) {
	t.Helper()
	for i, row := range rows {
		for _, pair := range dayColumns(row) {
			reference := references[row["USUBJID"]]
			if recomputed(row[pair[0]], row[pair[1]], reference) != dayDiffers {
				continue
			}
			published := whole(t, row[pair[0]])
			ours := study.StudyDay(exactly(t, row[pair[1]]), exactly(t, reference))
			into[fmt.Sprintf("%s of row %d of %s, %d days", pair[0], i+1, domain, published-ours)]++
		}
	}
}

func whole(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal("not a number")
	}
	return n
}

func exactly(t *testing.T, text string) study.Date {
	t.Helper()
	d, ok := study.ParseDate(text)
	if !ok {
		t.Fatal("not a date")
	}
	return d
}

func studyDaysPage(lines [][]string, total tally, header []string) string {
	var sums []string
	for _, v := range total.sorted() {
		sums = append(sums, v+" "+strconv.Itoa(total[v]))
	}
	return `# Published study days, computed again

Made by ` + "`cmd/longitude/realdata_studydays_test.go`" + `: every --DY column of the CDISC pilot and of pharmaverse's SDTM data, against the day that
` + "`study.StudyDay`" + ` computes from the --DTC column beside it and the participant's RFSTDTC. VISITDY is a planned day and is judged with the
windows.

"Neither" means that no day is published and none can be computed. "Ours only" and "published only" are days that only one side has.

In all: ` + strings.Join(sums, "; ") + `.

The four that differ are one row, row 971 of AE, in four editions: its date is the reference start itself, which is day 1, and the published day is
365 further: a slip of a year in the published file.

` + markdown(header, lines)
}
