package xlsx

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// layout is what a first look through a sheet finds: where the rows are, which
// columns they have, and which rows are merged with others.
type layout struct {
	columns []string
	at      []int   // per column of the sheet: index in columns, -1 where there is neither name nor value
	before  int64   // rows up to this one are no data
	merged  []merge // in order, apart from each other
}

// merge is a range of rows that a merged cell covers.
type merge struct{ first, last int64 }

func (l *layout) index(column int) int {
	if column >= len(l.at) {
		return -1
	}
	return l.at[column]
}

func (l *layout) mergedRow(row int64) bool {
	i, _ := slices.BinarySearchFunc(l.merged, row, func(m merge, row int64) int { return cmp.Compare(m.last, row) })
	return i < len(l.merged) && l.merged[i].first <= row
}

// survey looks through a sheet.
func (w *workbook) survey(ctx context.Context, spec study.FormatSpec, part string) (*layout, error) {
	s, err := w.openSheet(part)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	l := &layout{before: int64(spec.SkipLines)}
	var names []string // of the header, per column of the sheet
	var used []bool    // per column of the sheet: a row has a value there
	headed := !spec.Header
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if err := stopped(ctx); err != nil {
				return nil, err
			}
		}
		more, err := s.next()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if s.row <= l.before || !w.holds(s.cells) {
			continue
		}
		if !headed {
			headed, l.before = true, s.row
			if names, err = w.header(s); err != nil {
				return nil, err
			}
			continue
		}
		if used, err = w.use(used, s); err != nil {
			return nil, err
		}
	}
	if !headed || !spec.Header && len(used) == 0 && len(spec.Names) == 0 {
		return nil, &study.Error{Code: "xlsx.empty", Op: "reading the header of a sheet without any value",
			Hint: "name the sheet with the rows in `table`, and look at `skip_lines`; check that the export finished"}
	}
	if err := l.name(spec, names, used); err != nil {
		return nil, err
	}
	l.merge(s.merges)
	return l, nil
}

// header reads the names of the columns from the current row.
func (w *workbook) header(s *sheet) (names []string, err error) {
	for _, c := range s.cells {
		text, rule := w.append(nil, c)
		place := fmt.Sprintf("row %d, column %s", s.row, letters(c.column))
		if rule != "" {
			return nil, &study.Error{Code: "xlsx.header_invalid", Place: place, Op: "reading the header (" + rule + ")",
				Hint: "the header is a row of texts; say with `skip_lines` how many rows are above it"}
		}
		if len(text) == 0 {
			continue
		}
		if err := tooWide(s.row, c.column); err != nil {
			return nil, err
		}
		for len(names) <= c.column {
			names = append(names, "")
		}
		if before := slices.Index(names, string(text)); before >= 0 {
			return nil, &study.Error{Code: "xlsx.header_duplicate", Place: fmt.Sprintf("row %d", s.row),
				Op:   fmt.Sprintf("reading the header: columns %s and %s have the same name", letters(before), letters(c.column)),
				Hint: "rename one of them at the source; which of the two is meant cannot be guessed"}
		}
		names[c.column] = string(text)
	}
	return names, nil
}

// use notes the columns of the sheet in which the current row has values.
func (w *workbook) use(used []bool, s *sheet) ([]bool, error) {
	for _, c := range s.cells {
		if c.column < len(used) && used[c.column] || !w.valued(c) {
			continue
		}
		if err := tooWide(s.row, c.column); err != nil {
			return nil, err
		}
		for len(used) <= c.column {
			used = append(used, false)
		}
		used[c.column] = true
	}
	return used, nil
}

func tooWide(row int64, column int) error {
	if column < maxColumns {
		return nil
	}
	return &study.Error{Code: "xlsx.too_wide", Place: fmt.Sprintf("row %d", row), Op: "reading a sheet with values in column " + letters(column),
		Hint: fmt.Sprintf("at most %d columns can be read", maxColumns)}
}

// name settles the columns.
func (l *layout) name(spec study.FormatSpec, names []string, used []bool) error {
	if !spec.Header {
		names = slices.Clone(spec.Names)
		if len(names) > 0 && len(used) > len(names) {
			return &study.Error{Code: "xlsx.names", Op: fmt.Sprintf("naming the columns of the sheet: it has %d, and `names` has %d", len(used), len(names)),
				Hint: "give a name to every column from A on"}
		}
		for len(names) < len(used) {
			names = append(names, "c"+strconv.Itoa(len(names)+1))
		}
	}
	for len(names) < len(used) {
		names = append(names, "")
	}
	var nameless []string
	for i, name := range names {
		l.at = append(l.at, -1)
		switch {
		case name != "":
			l.at[i] = len(l.columns)
			l.columns = append(l.columns, name)
		case i < len(used) && used[i]:
			nameless = append(nameless, letters(i))
		}
	}
	if len(nameless) == 0 {
		return nil
	}
	return &study.Error{Code: "xlsx.header_empty", Place: fmt.Sprintf("row %d", l.before),
		Op:   "reading the header: there are values below, and no name above, in column " + strings.Join(nameless[:min(len(nameless), 10)], ", "),
		Hint: "name every column that has values; `skip_lines` says how many rows are above the header, `names` with `header: false` replaces it"}
}

// merge keeps the rows of the data that a merged cell joins with others: which
// of them its value is for cannot be told.
func (l *layout) merge(areas []area) {
	for _, a := range areas {
		if a.bottom > a.top && a.bottom > l.before && a.left < len(l.at) {
			l.merged = append(l.merged, merge{a.top, a.bottom})
		}
	}
	slices.SortFunc(l.merged, func(a, b merge) int { return cmp.Compare(a.first, b.first) })
	apart := l.merged[:0]
	for _, m := range l.merged {
		if n := len(apart); n > 0 && m.first <= apart[n-1].last {
			apart[n-1].last = max(apart[n-1].last, m.last)
		} else {
			apart = append(apart, m)
		}
	}
	l.merged = apart
}

// parseArea reads an area such as "B2:C5", or one cell.
func parseArea(text string) (a area, ok bool) {
	from, to, several := strings.Cut(text, ":")
	if !several {
		to = from
	}
	ok = true
	for i, end := range []string{from, to} {
		column, row, known := parsePlace(end)
		if ok = ok && known; i == 0 {
			a = area{row, row, column, column}
			continue
		}
		a.top, a.bottom = min(a.top, row), max(a.bottom, row)
		a.left, a.right = min(a.left, column), max(a.right, column)
	}
	return a, ok
}
