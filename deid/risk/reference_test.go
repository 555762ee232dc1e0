package risk

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

var update = flag.Bool("update", false, "write the invented sets and the page again; then run testdata/reference.py")

const sets = 20

// referenceSet is an invented population and who of it is suppressed.
func referenceSet(n int) (*Population, []bool) {
	random := rand.New(rand.NewPCG(uint64(n), 42))
	p := invented(1000+uint64(n), 40+random.IntN(160), 1+n%5)
	suppressed := make([]bool, p.size())
	for i := range suppressed {
		suppressed[i] = random.IntN(10) == 0
	}
	return p, suppressed
}

func setFile(n int) string { return filepath.Join("testdata", fmt.Sprintf("set-%02d.csv", n)) }

// written is the file of a set, as testdata/reference.py reads it.
func written(p *Population, suppressed []bool) []byte {
	number := func(c int32) string { return strconv.Itoa(int(c)) }
	yes := map[bool]string{false: "0", true: "1"}
	head := []string{"new", "site", "suppressed"}
	var columns [][]int32
	for _, a := range p.Quasi {
		for level, l := range a.Levels {
			head, columns = append(head, fmt.Sprintf("%s.%d", a.Name, level)), append(columns, l.Classes)
		}
	}
	for _, s := range p.Sensitive {
		head, columns = append(head, s.Name), append(columns, s.Values)
	}
	rows := [][]string{head}
	for i := range p.size() {
		row := []string{yes[p.New[i]], number(p.Site[i]), yes[suppressed[i]]}
		for _, c := range columns {
			row = append(row, number(c[i]))
		}
		rows = append(rows, row)
	}
	var b bytes.Buffer
	_ = csv.NewWriter(&b).WriteAll(rows) // a buffer does not fail
	return b.Bytes()
}

// measured is what pyCANON says of a group.
type measured struct {
	Participants, Suppressed, K int
	L                           []int
	MaxRisk                     float64 `json:"max_risk"`
	Sizes                       [][2]int
}

// differences counts the figures that differ between a group and its reference.
func (want measured) differences(got Group) (compared, differ int) {
	if want.Participants == 0 {
		return 1, btoi(got.Participants != 0)
	}
	sizes := make([][2]int, 0, len(got.Sizes))
	classes, uniques := 0, 0
	for _, s := range got.Sizes {
		sizes = append(sizes, [2]int{s.Participants, s.Classes})
	}
	for _, s := range want.Sizes {
		classes += s[1]
		if s[0] == 1 {
			uniques = s[1]
		}
	}
	for _, wrong := range []bool{
		got.Participants != want.Participants, got.Suppressed != want.Suppressed, got.Smallest != want.K, !slices.Equal(got.Diversity, want.L),
		math.Abs(got.MaxRisk-want.MaxRisk) > 1e-12, !slices.Equal(sizes, want.Sizes), got.Classes != classes, got.Uniques != uniques,
		math.Abs(got.AverageRisk-float64(classes)/float64(want.Participants)) > 1e-12,
	} {
		compared, differ = compared+1, differ+btoi(wrong)
	}
	return compared, differ
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

const page = "../../docs/evidence/risk-reference.md"

// TestReference compares every measure with those of an independent
// implementation, and keeps the page that says so.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("testdata/reference.json")
	if err != nil && !*update {
		t.Fatal(err)
	}
	var reference []struct {
		Set      string
		Levels   []int
		Suppress bool
		All, New measured
		Sites    []measured
	}
	if err := json.Unmarshal(text, &reference); err != nil && !*update {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString(introduction)
	at, groups, figures := 0, 0, 0
	for n := range sets {
		p, suppressed := referenceSet(n)
		file := written(p, suppressed)
		if *update {
			if err := os.WriteFile(setFile(n), file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if onDisk, err := os.ReadFile(setFile(n)); err != nil || !bytes.Equal(onDisk, file) {
			t.Fatalf("%s is not what the generator makes", setFile(n))
		}
		compared, differ, levels := 0, 0, 0
		for ; at < len(reference) && reference[at].Set == filepath.Base(setFile(n)); at++ {
			r, out := reference[at], suppressed
			if !r.Suppress {
				out = nil
			}
			got := Assess(p, r.Levels, out)
			for i, g := range append([]Group{got.All, got.New}, got.Sites...) {
				c, d := append([]measured{r.All, r.New}, r.Sites...)[i].differences(g)
				if d > 0 {
					t.Errorf("%s at levels %v, group %d: %d figures differ: %+v", r.Set, r.Levels, i, d, g)
				}
				compared, differ, groups = compared+c, differ+d, groups+1
			}
		}
		for _, a := range p.Quasi {
			levels += len(a.Levels)
		}
		figures += compared
		m := Assess(p, make([]int, len(p.Quasi)), nil).All
		fmt.Fprintf(&out, "| %02d | %d | %d | %d | %d | %d | %d | %d | %d |\n", n, p.size(), len(p.Quasi), levels, m.Smallest, m.Uniques, slices.Min(m.Diversity), compared, differ)
	}
	if !*update && (at != len(reference) || groups != sets*6*5) {
		t.Errorf("%d of %d references used, %d groups", at, len(reference), groups)
	}
	fmt.Fprintf(&out, "\nTogether %d figures of %d groups.\n", figures, groups)
	if *update {
		if err := os.WriteFile(page, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if onDisk, err := os.ReadFile(page); err != nil || !bytes.Equal(onDisk, out.Bytes()) {
		t.Error(page + " is not what the test finds: run it with -update")
	}
}

const introduction = `# The risk measures against an independent implementation

Made by ` + "`deid/risk/reference_test.go`" + `: class sizes, k, uniques, l of two sensitive attributes, greatest and average risk of 20 invented populations,
against those that [pyCANON](https://pypi.org/project/pycanon/) 1.3.6 computes (` + "`deid/risk/testdata/reference.py`" + `; its answers are committed, so the test needs no
Python). Each population is measured at its finest, middle and coarsest levels, with and without suppressed participants, for all, for the new, and
for each of three sites: 30 groups. k, uniques and l are those of all at the finest levels. The populations come from a seeded generator and
describe nobody.

A missing answer is a code like any other in both. Average risk is classes by participants; the one of pyCANON's own that weighs classes instead of
participants is not compared.

| set | participants | quasi-identifiers | levels | k | uniques | l | figures compared | differ |
| --- | --: | --: | --: | --: | --: | --: | --: | --: |
`
