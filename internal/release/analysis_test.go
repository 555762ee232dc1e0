package release

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// followed is a study that follows acuity by method and pressure, of each eye.
func followed() *study.Study {
	s := trial()
	s.Releases.Analysis = []study.Parameter{{Form: "visual_acuity", Field: "va"}, {Form: "visual_acuity", Field: "iop_mmhg"}, {Form: "visual_acuity", Field: "eye"}}
	return s
}

func vectorOf(b *study.Batch, name string) *study.Vector {
	return &b.Vectors[slices.IndexFunc(b.Table.Columns, func(c study.Column) bool { return c.Name == name })]
}

// text writes the cells of a row for comparison.
func text(b *study.Batch, row int, columns ...string) string {
	var cells []string
	for _, name := range columns {
		v := vectorOf(b, name)
		switch {
		case v.Null(row):
			cells = append(cells, "-")
		case len(v.Texts) > 0:
			cells = append(cells, v.Texts[row])
		case len(v.Floats) > 0:
			cells = append(cells, fmt.Sprint(v.Floats[row]))
		default:
			cells = append(cells, fmt.Sprint(v.Ints[row]))
		}
	}
	return strings.Join(cells, " ")
}

func rowsAsText(b *study.Batch, columns ...string) (rows []string) {
	for i := range b.Rows {
		rows = append(rows, text(b, i, columns...))
	}
	return rows
}

// What one participant's records give in the three tables.
func TestObservations(t *testing.T) {
	_, tables := built(t, followed(), plan(1), someone(1))
	got := rowsAsText(tables[tableObservations], "param", "visit_seq", "visit", "study_day", "eye", "value_num", "value_code", "missing_reason", "is_baseline", "base_value", "change_from_baseline", "analysis_flag")
	want := []string{
		"visual_acuity.va 1 baseline 1 L - CF - 0 - - 1", // off the chart is a value without a number
		"visual_acuity.va 1 baseline 1 R 0 - - 1 0 0 1",
		"visual_acuity.va 2 - 20 R 0.82 - - 0 0 0.82 0", // a visit of no type stands for none
		"visual_acuity.va 3 month_1 46 R 0.301 - - 0 0 0.301 1",
	}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("acuity:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	missing := slices.IndexFunc(got, func(row string) bool { return strings.HasPrefix(row, "visual_acuity.iop_mmhg 3 month_1") })
	if missing < 0 || got[missing] != "visual_acuity.iop_mmhg 3 month_1 46 R - - not_done 0 0 - 0" {
		t.Errorf("a missing value: %q", got)
	}
	if i := slices.IndexFunc(got, func(row string) bool { return strings.HasPrefix(row, "visual_acuity.eye 1 baseline") }); i < 0 || got[i] != "visual_acuity.eye 1 baseline 1 L - L - 0 - - 1" {
		t.Errorf("a code: %q", got)
	}

	wide := tables[tableWide]
	for i, want := range []string{"1 baseline - - - 0 0 0 - - -", "2 month_1 0.301 0 0.301 - - - - - -"} {
		columns := []string{"visit_order", "visit", "va_logmar_r", "va_logmar_r_bl", "va_logmar_r_chg", "va_logmar_l", "va_logmar_l_bl", "va_logmar_l_chg", "va_logmar_better_eye", "va_logmar_better", "va_logmar_worse"}
		if i == 0 {
			want = "1 baseline 0 0 0 - - - - - -"
		}
		if got := text(wide, i, columns...); got != want {
			t.Errorf("wide row %d is %q, want %q", i, got, want)
		}
	}
	if got := rowsAsText(tables[tableEyes], "eye_order", "eye", "first_study_day", "va_logmar_bl", "iop_mmhg_bl"); !slices.Equal(got, []string{"1 R 1 0 0", "2 L 1 - 16.5"}) {
		t.Errorf("eyes: %q", got)
	}
}

// A study that follows nothing has no such tables; one that says nothing follows every
// number that leaves as it is.
func TestWhatIsFollowed(t *testing.T) {
	s := trial()
	for _, table := range Tables(s) {
		if slices.Contains([]string{tableObservations, tableWide, tableEyes}, table.Name) {
			t.Errorf("%s is there", table.Name)
		}
	}
	s.Releases.Analysis = nil
	var names []string
	for _, p := range s.Parameters() {
		names = append(names, p.Form+"."+p.Field)
	}
	if !slices.Equal(names, []string{"visual_acuity.va", "visual_acuity.iop_mmhg", "visual_acuity.injections"}) {
		t.Errorf("followed are %q", names)
	}
	s.Forms[1].Fields[2].Class = study.Sensitive
	s.Deid.Risk.Quasi = []string{"visual_acuity.injections"}
	if all := s.Parameters(); len(all) != 1 || all[0].Field != "va" {
		t.Errorf("what does not leave as it is, is followed: %v", all)
	}
}

// Baselines, changes and flags equal what their rules say when they are applied one
// value at a time.
func TestAnalysisProperty(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		var visits []happened
		day := study.Date(-40)
		for n := range 1 + random.IntN(9) {
			day += study.Date(random.IntN(30))
			actual, _ := study.ParsePartialDate(day.String())
			v := study.Visit{No: int32(n + 1), Type: random.IntN(4) - 1, Actual: actual}
			v.HasDistance, v.FromTarget = random.IntN(4) > 0, random.IntN(9)-4
			visits = append(visits, happened{Visit: &v, seq: int64(n + 1)})
		}
		o := owner{anchor: 0}
		var seen []observation
		for i := range visits {
			for range random.IntN(4) {
				x := observation{visit: &visits[i], eye: []string{"R", "L"}[random.IntN(2)], method: []string{"", "a"}[random.IntN(2)], value: float64(random.IntN(5)), has: random.IntN(4) > 0, base: -1}
				if !x.has || random.IntN(5) == 0 {
					x.value = math.NaN()
				}
				seen = append(seen, x)
			}
		}
		baselines(o, seen, 0)
		flags(seen, 0)
		for i := range seen {
			base, stands := -1, seen[i].has && seen[i].visit.Type >= 0
			for k := range seen {
				same := seen[k].eye == seen[i].eye && seen[k].method == seen[i].method
				if same && !math.IsNaN(seen[k].value) && exact(seen[k].visit.Actual) <= 0 {
					base = k
				}
				if same && k != i && seen[k].has && seen[k].visit.Type == seen[i].visit.Type {
					nearer := distance(&seen[k]) < distance(&seen[i])
					stands = stands && !nearer && (distance(&seen[k]) != distance(&seen[i]) || i < k)
				}
			}
			if seen[i].base != base || seen[i].flag != stands {
				t.Fatalf("observation %d of %d: baseline %d and flag %v, want %d and %v", i, len(seen), seen[i].base, seen[i].flag, base, stands)
			}
		}
	}
}
