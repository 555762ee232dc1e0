package risk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"longitude/study"
)

func TestListsHideWhatGivesASmallCountAway(t *testing.T) {
	for _, c := range []struct {
		counts []int64
		want   string
	}{
		{[]int64{95, 5}, "not shown <11 of 100"},
		{[]int64{60, 35, 5}, "60 not shown <11 of 100"},
		{[]int64{60, 33, 4, 3}, "60 33 <11 <11 of 100"},
		{[]int64{82, 9, 9}, "82 <11 <11 of 100"},
		{[]int64{80, 10, 10}, "not shown <11 <11 of 100"}, // 20 together: both would be 10
		{[]int64{70, 27, 1, 1, 1}, "70 not shown <11 <11 <11 of 100"},
		{[]int64{80, 20, 0}, "80 20 0 of 100"},
		{[]int64{7, 0}, "<11 0 of <11"},
		{[]int64{12, 0, 3}, "not shown 0 <11 of 15"},
		{[]int64{5, 11, 30}, "<11 not shown 30 of 46"},
		{[]int64{1, 11, 30}, "<11 11 not shown of 42"}, // 1 can only be more, and 11 would show if it were less
		{[]int64{5, 10, 40}, "<11 <11 40 of 55"},       // 5 can be more where 10 is less; not the other way
		{[]int64{0, 0}, "0 0 of 0"},
		{nil, "of 0"},
	} {
		l, err := NewList(c.counts, Threshold)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, p := range l.Parts {
			said = append(said, p.String())
		}
		if got := strings.Join(append(said, "of", l.Total.String()), " "); got != c.want {
			t.Errorf("%v prints as %q, want %q", c.counts, got, c.want)
		}
	}
}

func TestTablesHideInBothDirections(t *testing.T) {
	table, err := NewTable([][]int64{{5, 41, 30}, {45, 50, 60}, {70, 80, 90}}, Threshold)
	if err != nil {
		t.Fatal(err)
	}
	want := "<11 41 not shown = 76 | not shown 50 not shown = 155 | 70 80 90 = 240 | 120 171 180 = 471"
	if got := table.text(); got != want {
		t.Errorf("the table prints as\n%s, want\n%s", got, want)
	}
	if table.Cells[0][0].Percent(table.Rows[0]) != "not shown" || table.Cells[0][2].Percent(table.Total) != "not shown" || table.Cells[0][1].Percent(table.Rows[0]) != "53.9 %" {
		t.Error("a share tells a hidden count, or a shown one has none")
	}
}

func (t Table) text() string {
	line := func(cells []Cell, total Cell) string {
		var said []string
		for _, c := range cells {
			said = append(said, c.String())
		}
		return strings.Join(append(said, "=", total.String()), " ")
	}
	var lines []string
	for r := range t.Cells {
		lines = append(lines, line(t.Cells[r], t.Rows[r]))
	}
	return strings.Join(append(lines, line(t.Columns, t.Total)), " | ")
}

// range of values that a reader must take for possible, knowing the rules: what
// is hidden is not small unless "<11" itself would have said too much.
func (c Cell) reach(most int64) (int64, int64) {
	switch {
	case c.show == exact:
		return c.count, c.count
	case c.show == small:
		return 1, c.below - 1
	case c.count < c.below:
		return 1, most
	}
	return c.below, most
}

// possible collects, for each cell of a table with totals (the last row and
// column), the values it has in some table that agrees with what is printed, by
// trying all of them.
func possible(printed [][]Cell, most int64) [][]map[int64]bool {
	rows, columns := len(printed)-1, len(printed[0])-1
	values, seen := make([][]int64, rows+1), make([][]map[int64]bool, rows+1)
	for r := range printed {
		values[r], seen[r] = make([]int64, columns+1), make([]map[int64]bool, columns+1)
		for c := range printed[r] {
			seen[r][c] = map[int64]bool{}
		}
	}
	fits := func(r, c int) bool {
		low, high := printed[r][c].reach(most)
		return values[r][c] >= low && values[r][c] <= high
	}
	var try func(r, c int)
	try = func(r, c int) {
		switch {
		case r == rows: // the totals of the columns, and of all
			values[rows][columns] = 0
			for c := range columns {
				values[rows][c] = 0
				for i := range rows {
					values[rows][c] += values[i][c]
				}
				if !fits(rows, c) {
					return
				}
				values[rows][columns] += values[rows][c]
			}
			if !fits(rows, columns) {
				return
			}
			for i := range values {
				for j, v := range values[i] {
					seen[i][j][v] = true
				}
			}
		case c == columns:
			values[r][c] = 0
			for j := range columns {
				values[r][c] += values[r][j]
			}
			if fits(r, c) {
				try(r+1, 0)
			}
		default:
			low, high := printed[r][c].reach(most)
			for v := low; v <= high; v++ {
				values[r][c] = v
				try(r, c+1)
			}
		}
	}
	try(0, 0)
	return seen
}

// TestNoSmallCountFollows tries every table that a reader could think of: each
// count that is not shown can be at least two numbers. The counts are shrunk to
// keep that feasible, by a threshold that only the test may have.
func TestNoSmallCountFollows(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 5))
	const threshold, most = 4, 12
	hiddenCells := 0
	for range 1500 {
		rows, columns := 1+random.IntN(2), 1+random.IntN(3)
		counts := make([][]int64, rows)
		for r := range counts {
			counts[r] = make([]int64, columns)
			for c := range counts[r] {
				counts[r][c] = random.Int64N([]int64{2, 4, 7}[random.IntN(3)])
			}
		}
		m := tableOf(counts, threshold)
		hiddenCells += judgeTable(t, counts, m, most)
	}
	if hiddenCells < 2000 {
		t.Fatalf("only %d counts were hidden: the test tests little", hiddenCells)
	}
}

// TestNoSmallCountFollowsFromAList does the same for a list with its total.
func TestNoSmallCountFollowsFromAList(t *testing.T) {
	random := rand.New(rand.NewPCG(12, 5))
	for range 3000 {
		counts, total := make([]int64, 1+random.IntN(4)), int64(0)
		var m margins
		for i := range counts {
			counts[i] = random.Int64N([]int64{2, 4, 7}[random.IntN(3)])
			total += counts[i]
			m.add(0, 1, 1, counts[i], 4)
		}
		m.add(0, 1, -1, total, 4)
		m.protect()
		cells := m.cells()
		for i, c := range cells {
			if c.Shown() {
				continue
			}
			if n := len(listValues(cells, i)); n < 2 {
				t.Fatalf("%v prints as %v, and its count %d can only be one", counts, cells, i)
			}
		}
	}
}

// listValues are the numbers that part i of a list, its total last, can be.
func listValues(cells []Cell, i int) map[int64]bool {
	seen, values := map[int64]bool{}, make([]int64, len(cells))
	var try func(at int, sum int64)
	try = func(at int, sum int64) {
		low, high := cells[at].reach(30)
		if at == len(cells)-1 {
			if values[at] = sum; sum >= low && sum <= high {
				seen[values[i]] = true
			}
			return
		}
		for v := low; v <= min(high, 12); v++ {
			values[at] = v
			try(at+1, sum+v)
		}
	}
	try(0, 0)
	return seen
}

// tableOf prints counts by the same code as NewTable, below the least threshold.
func tableOf(counts [][]int64, threshold int64) [][]Cell {
	t := newTable(counts, threshold)
	printed := append([][]Cell{}, t.Cells...)
	for r := range printed {
		printed[r] = append(printed[r], t.Rows[r])
	}
	return append(printed, append(t.Columns, t.Total))
}

// judgeTable counts the hidden cells, after trying each.
func judgeTable(t *testing.T, counts [][]int64, printed [][]Cell, most int64) int {
	t.Helper()
	n := 0
	seen := possible(printed, 8*most)
	for r := range printed {
		for c, cell := range printed[r] {
			switch {
			case cell.Shown() && cell.count > 0 && cell.count < cell.below:
				t.Fatalf("%v: a small count is printed", counts)
			case !cell.Shown() && cell.count == 0:
				t.Fatalf("%v: zero is hidden", counts)
			case !cell.Shown():
				n++
				if len(seen[r][c]) < 2 || !seen[r][c][cell.count] {
					t.Fatalf("%v prints as %v: the count in row %d, column %d can only be %v", counts, printed, r, c, seen[r][c])
				}
			}
		}
	}
	return n
}

func TestThresholdIsNotLowered(t *testing.T) {
	for _, c := range []struct {
		code      string
		counts    [][]int64
		threshold int64
	}{
		{"risk.threshold", [][]int64{{1}}, 10}, {"risk.threshold", nil, 0},
		{"risk.table", [][]int64{{1, 2}, {3}}, 11}, {"risk.table", [][]int64{{-1}}, 11},
	} {
		_, err := NewTable(c.counts, c.threshold)
		var e *study.Error
		if !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%v at %d: %v, want %s", c.counts, c.threshold, err, c.code)
		}
	}
	l, err := NewList([]int64{19, 40, 50}, 20)
	if err != nil || fmt.Sprint(l.Parts) != "[<20 not shown 50]" {
		t.Errorf("a higher threshold prints %v, %v", l.Parts, err)
	}
}

func TestChange(t *testing.T) {
	for _, c := range []struct {
		now, was int64
		want     string
	}{
		{100, 80, "100 (80)"}, {30, 5, "30 (<11)"}, {7, 7, "<11 (as before)"}, {26, 25, "about as before (fewer than 11 differ)"},
		{3, 0, "about as before (fewer than 11 differ)"}, {0, 40, "0 (40)"},
	} {
		if got := Change(c.now, c.was, Threshold); got != c.want {
			t.Errorf("%d after %d reads %q, want %q", c.now, c.was, got, c.want)
		}
	}
	if Alone(10).String() != "<11" || Alone(11).String() != "11" || Alone(0).String() != "0" {
		t.Error("a count alone is printed wrongly")
	}
}
