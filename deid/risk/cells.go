package risk

import (
	"strconv"

	"longitude/study"
)

// Threshold is the least count that people are shown: 1 to 10 print as <11, as
// the cell size policy of the US Centers for Medicare & Medicaid Services has it.
// Zero is shown.
const Threshold = 11

// Cell is a count as people may see it.
type Cell struct {
	count int64
	show  show
	below int64 // what a small count is below
}

type show uint8

const (
	exact  show = iota
	small       // from 1 to one less than the threshold
	hidden      // any count but zero: shown, it would give a small one away
)

// String is the count, "<11" or "not shown".
func (c Cell) String() string {
	switch c.show {
	case small:
		return "<" + strconv.FormatInt(c.below, 10)
	case hidden:
		return "not shown"
	}
	return strconv.FormatInt(c.count, 10)
}

// Shown reports whether the count itself may be seen.
func (c Cell) Shown() bool { return c.show == exact }

// Percent is the share of c in a total, to a tenth. It is hidden where either of
// the two is: it would tell the count.
func (c Cell) Percent(of Cell) string {
	if !c.Shown() || !of.Shown() || of.count == 0 {
		return "not shown"
	}
	return strconv.FormatFloat(100*float64(c.count)/float64(of.count), 'f', 1, 64) + " %"
}

func newCell(n, threshold int64) Cell {
	c := Cell{count: n, below: threshold}
	if n > 0 && n < threshold {
		c.show = small
	}
	return c
}

// Alone is a count beside which no total or part of it is printed.
func Alone(n int64) Cell { return newCell(n, Threshold) }

// Change tells a count beside the one before it. Where the two differ by a small
// number, neither is shown: their difference would be a count of participants.
func Change(now, was, threshold int64) string {
	switch difference := max(now-was, was-now); {
	case difference == 0:
		return newCell(now, threshold).String() + " (as before)"
	case difference < threshold:
		return "about as before (fewer than " + strconv.FormatInt(threshold, 10) + " differ)"
	}
	return newCell(now, threshold).String() + " (" + newCell(was, threshold).String() + ")"
}

// List is counts that are printed with their total.
type List struct {
	Parts []Cell
	Total Cell
}

// NewList hides what is small among counts and what would give it away.
func NewList(counts []int64, threshold int64) (List, error) {
	if err := printable(threshold, counts); err != nil {
		return List{}, err
	}
	var m margins
	total := int64(0)
	for _, n := range counts {
		m.add(0, 1, 1, n, threshold)
		total += n
	}
	m.add(0, 1, -1, total, threshold)
	m.protect()
	cells := m.cells()
	return List{Parts: cells[:len(counts)], Total: cells[len(counts)]}, nil
}

// Table is counts in rows and columns that are printed with the totals of both.
type Table struct {
	Cells   [][]Cell
	Rows    []Cell // total of each row
	Columns []Cell
	Total   Cell
}

// NewTable hides what is small among counts, rows of equal length, or among
// their totals, and what would give it away.
func NewTable(counts [][]int64, threshold int64) (Table, error) {
	if err := printable(threshold, counts...); err != nil {
		return Table{}, err
	}
	return newTable(counts, threshold), nil
}

func newTable(counts [][]int64, threshold int64) Table {
	if len(counts) == 0 {
		return Table{Total: newCell(0, threshold)}
	}
	rows, columns := len(counts), len(counts[0])
	sums, total := make([]int64, columns), int64(0)
	var m margins
	at := func(row, column int) (int, int) { return row, rows + 1 + column }
	for r, line := range counts {
		across := int64(0)
		for c, n := range line {
			from, to := at(r, c)
			m.add(from, to, 1, n, threshold)
			across, sums[c], total = across+n, sums[c]+n, total+n
		}
		from, to := at(r, columns)
		m.add(from, to, -1, across, threshold)
	}
	for c, n := range append(sums, total) {
		from, to := at(rows, c)
		sign := int64(-1)
		if c == columns {
			sign = 1
		}
		m.add(from, to, sign, n, threshold)
	}
	m.protect()
	cells := m.cells()
	var t Table
	for r := range rows {
		line := cells[r*(columns+1) : (r+1)*(columns+1)]
		t.Cells, t.Rows = append(t.Cells, line[:columns:columns]), append(t.Rows, line[columns])
	}
	last := cells[rows*(columns+1):]
	t.Columns, t.Total = last[:columns:columns], last[columns]
	return t
}

// printable refuses what is no table of counts, and a threshold that would show
// more than the policy allows.
func printable(threshold int64, counts ...[]int64) error {
	if threshold < Threshold {
		return &study.Error{Code: "risk.threshold", Op: "print counts: the smallest count to show is below " + strconv.Itoa(Threshold),
			Hint: "it can be raised, not lowered", Exit: study.ExitUsage}
	}
	for _, line := range counts {
		negative := false
		for _, n := range line {
			negative = negative || n < 0
		}
		if negative || len(line) != len(counts[0]) {
			return &study.Error{Code: "risk.table", Op: "print counts: a count is negative, or the rows of a table are not equally long",
				Hint: "this is a mistake in the program; please report it"}
		}
	}
	return nil
}
