//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"longitude/internal/publishedtest"
	"longitude/study"
)

// What redcap-etl leaves of its example demographics is what a release of ours
// leaves, value for value; and what it blanks we do not release at all.
func TestPublishedDemographicsDeidentified(t *testing.T) {
	r := realStudyOf(t, "testdata/redcap-etl", "redcap-etl")
	expected := readCSV(t, filepath.Join(r.data, "redcap-etl/data/deidentified_demographics.csv"), ',')
	r.sync()
	rel, _ := r.release()
	ids := map[string]bool{}
	for _, e := range expected {
		ids[e["record_id"]] = true
	}
	codes := r.ids(ids)
	want, got := map[string][]string{}, map[string][]string{}
	for _, e := range expected {
		code := codes[e["record_id"]]
		for _, column := range []string{"ethnicity", "sex", "height", "weight", "bmi"} {
			want[code] = append(want[code], column+" "+shortest(e[column]))
		}
		for _, column := range []string{"first_name", "last_name", "address", "telephone", "email", "dob", "comments"} {
			if e[column] != "" {
				t.Errorf("redcap-etl leaves %s", column)
			}
		}
	}
	for _, table := range []string{"participants", "demographics"} {
		for _, released := range rel.table(table) {
			for column := range released {
				code := fmt.Sprint(released["participant_id"])
				switch {
				case slices.Contains([]string{"ethnicity", "sex", "height", "weight", "bmi"}, strings.TrimPrefix(column, "demographics_")):
					got[code] = append(got[code], strings.TrimPrefix(column, "demographics_")+" "+shortest(released.text(column)))
				case regexp.MustCompile(`name|address|phone|email|birth|comment`).MatchString(column):
					t.Errorf("%s.%s is released", table, column)
				}
			}
		}
	}
	if len(want) != 100 {
		t.Errorf("%d participants are expected to be published", len(want))
	}
	sameRows(t, "demographics", got, want)
}

// shortest is a number in the shortest form, and any other text as it is.
func shortest(text string) string {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return text
}

// pair is a record before and after another program de-identified it.
type pair struct{ before, after string }

// Where others keep what we drop, or drop what we keep, is a page of causes.
func TestPublishedPairsDeidentified(t *testing.T) {
	data := publishedtest.Data(t)
	page := "# What others leave of a record, and what we do\n\nMade by `go test ./cmd/longitude -run PublishedPairs -update` from pairs of FHIR " +
		"records before and after, published by the authors of two other programs. A path is a column of ours, with the class that it would be given; " +
		"*ours* is what a column of that class leaves as, at most. Counts are values, not people; no value is shown. Rows where both do the same are " +
		"counted below each table. FHIR is read here by a flattener of the test; it is no format of the product yet.\n"
	for _, from := range []struct {
		name  string
		pairs []pair
	}{{"cumulus-etl", cumulusPairs(t, filepath.Join(data, "cumulus-etl"))}, {"ms-health-anonymizer", anonymizerPairs(t, filepath.Join(data, "ms-health-anonymizer"))}} {
		if len(from.pairs) < 8 {
			t.Fatalf("only %d pairs of %s", len(from.pairs), from.name)
		}
		page += "\n## " + from.name + "\n\n" + compared(t, from.pairs)
	}
	evidence(t, "deidentified-elsewhere.md", page)
}

func cumulusPairs(t *testing.T, dir string) (pairs []pair) {
	t.Helper()
	inputs, err := filepath.Glob(filepath.Join(dir, "deid/input/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range inputs {
		pairs = append(pairs, pair{in, filepath.Join(dir, "deid/output", filepath.Base(in))})
	}
	return pairs
}

func anonymizerPairs(t *testing.T, dir string) (pairs []pair) {
	t.Helper()
	for _, pattern := range []string{"FHIR/src/*/TestResources/*-target.json", "FHIR/src/*/TestResources/*/*-target.json"} {
		targets, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range targets {
			pairs = append(pairs, pair{strings.TrimSuffix(target, "-target.json") + ".json", target})
		}
	}
	return pairs
}

// compared is a table of the paths where the other program and ours differ.
func compared(t *testing.T, pairs []pair) string {
	t.Helper()
	counts, paths := map[string]tally{}, 0
	for _, p := range pairs {
		before, after := flat(t, p.before), flat(t, p.after)
		for path, values := range before {
			if counts[path] == nil {
				counts[path] = tally{}
			}
			for _, v := range values {
				counts[path][fate(v, after[path])]++
			}
		}
		for path, values := range after {
			if before[path] == nil {
				if counts[path] == nil {
					counts[path] = tally{}
				}
				counts[path]["added"] += len(values)
			}
		}
	}
	same, lines := 0, [][]string{}
	for _, path := range slices.Sorted(maps.Keys(counts)) {
		c, class := counts[path], classOf(path)
		paths++
		if cause := class.cause(c); cause != "" {
			lines = append(lines, []string{"`" + path + "`", class.class, strconv.Itoa(c["kept"]), strconv.Itoa(c["changed"]), strconv.Itoa(c["removed"]),
				strconv.Itoa(c["added"]), class.ours, cause})
		} else {
			same++
		}
	}
	return markdown([]string{"path", "class", "kept:", "changed:", "removed:", "added:", "ours", "cause"}, lines) +
		fmt.Sprintf("\n%d pairs, %d paths: %d differ, %d are treated alike.\n", len(pairs), paths, len(lines), same)
}

func fate(before string, after []string) string {
	switch {
	case slices.Contains(after, before):
		return "kept"
	case len(after) > 0:
		return "changed"
	}
	return "removed"
}

// flat is the values of a JSON record by path; places in lists are left out.
func flat(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var record any
	if json.Unmarshal(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), &record) != nil {
		t.Fatal("a published record is no JSON")
	}
	out := map[string][]string{}
	kind := "Resource"
	if m, ok := record.(map[string]any); ok {
		if name, ok := m["resourceType"].(string); ok {
			kind = name
		}
	}
	flatten(out, kind, record)
	return out
}

func flatten(out map[string][]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if kind, ok := v["resourceType"].(string); ok && strings.Contains(path, ".") {
			path = kind
		}
		for key, inner := range v {
			if key != "resourceType" {
				flatten(out, path+"."+key, inner)
			}
		}
	case []any:
		for _, inner := range v {
			flatten(out, path, inner)
		}
	default:
		out[path] = append(out[path], fmt.Sprint(v))
	}
}

// treated is how we would treat a path: its class and what leaves of it.
type treated struct {
	class string
	ours  string // dropped, pseudonym, study day, kept
}

var treatments = []struct {
	path    *regexp.Regexp
	treated treated
}{
	{regexp.MustCompile(`\.(meta|extension|modifierExtension|implicitRules)(\.|$)|\._`), treated{"unmapped", "dropped"}},
	{regexp.MustCompile(`\.(text|note|div|comment|description|patientInstruction|conclusion|title)(\.|$)|\.(display|text)$|String$`), treated{string(study.FreeText), "dropped"}},
	{regexp.MustCompile(`\.(data|url|attachment|photo|hash)(\.|$)`), treated{string(study.Attachment), "dropped"}},
	{regexp.MustCompile(`\.(name|telecom|contact|alias|serialNumber|lotNumber|udiCarrier|deviceIdentifier|distinctIdentifier|\w*[iI]dentifier|address|position)(\.|$)`),
		treated{string(study.DirectIdentifier), "dropped"}},
	{regexp.MustCompile(`(^|\.)(id|reference|fullUrl)$`), treated{"participant_key, other_key", "pseudonym"}},
	{regexp.MustCompile(`birthDate|birthTime`), treated{"date, `release: drop`", "dropped"}},
	{regexp.MustCompile(`(?i)(date|time|instant|period\.(start|end)|issued|recorded|authoredon|start|end|created|birthdate)$`), treated{"date", "study day"}},
	{regexp.MustCompile(`\.(gender|maritalStatus|communication|multipleBirth\w*)(\.|$)`), treated{string(study.Quasi), "kept"}},
	{regexp.MustCompile(`.`), treated{string(study.Clinical), "kept"}},
}

func classOf(path string) treated {
	for _, t := range treatments {
		if t.path.MatchString(path) {
			return t.treated
		}
	}
	return treated{}
}

// cause says why another program left something else; "" where it left the same.
func (t treated) cause(c tally) string {
	kept, gone := c["kept"] > 0, c["removed"]+c["changed"] > 0
	switch {
	case c["added"] > 0 && !kept && !gone:
		return "theirs marks what it did; our report and manifest do"
	case t.ours == "kept" && gone && !kept:
		return "not on their list of what may stay; a coded clinical value of ours leaves as its class says"
	case t.ours == "kept" && gone:
		return "theirs depends on the value or system of the code; ours on the class of the field"
	case t.ours == "kept":
		return ""
	case t.class == "unmapped" && kept:
		return "theirs keeps parts of it; what no mapping asks for never reaches a record of ours"
	case t.class == string(study.FreeText) && kept:
		return "theirs keeps words beside codes; text of ours is sealed, choices are released by code and label of the study"
	case t.class == string(study.Attachment) && kept:
		return "theirs keeps addresses and types of documents; ours are sealed"
	case t.class == string(study.DirectIdentifier) && kept:
		return "theirs keeps parts that it holds not to identify; a direct identifier of ours is sealed whole"
	case strings.HasPrefix(t.class, "date,") && c["changed"] > 0:
		return "theirs shortens or shifts it; ours releases an age or a year of birth where the study asks for one"
	case strings.HasPrefix(t.class, "date,") && kept:
		return "theirs keeps it; a date of birth of ours is dropped"
	case t.ours == "pseudonym" && kept:
		return "theirs leaves identifiers of resources that are no people; every id of ours is made per release series"
	case t.ours == "pseudonym" && c["removed"] > 0:
		return "theirs removes it; ours is a code, so that rows of one participant stay together"
	case t.ours == "study day" && kept:
		return "theirs keeps the date; ours leaves as days from baseline"
	case t.ours == "study day" && gone:
		return "theirs removes, shifts or shortens it; ours leaves as days from baseline"
	}
	return ""
}
