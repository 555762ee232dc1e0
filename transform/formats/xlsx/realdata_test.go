package xlsx

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"longitude/internal/publishedtest"
	"longitude/study"
)

// Every sheet of every published workbook is read without a header, and has the
// cells that the library finds in it, no more and no fewer.
func TestPublishedCells(t *testing.T) {
	var got strings.Builder
	must(t, filepath.WalkDir(publishedtest.Data(t, "medicaldata"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".xlsx" {
			return err
		}
		object, err := os.ReadFile(path)
		must(t, err)
		f, err := excelize.OpenReader(bytes.NewReader(object))
		must(t, err)
		defer f.Close()
		for i, name := range f.GetSheetList() {
			fmt.Fprintf(&got, "%s %d: %s\n", filepath.Base(path), i+1, sameCells(t, f, name, object))
		}
		return nil
	}))
	const want = `messy_cirrhosis.xlsx 1: 7 columns, 11 rows, 0 broken; 0 dates, 0 numbers shorter
messy_glucose.xlsx 1: 7 columns, 34 rows, 0 broken; 24 dates, 3 numbers shorter
messy_infarct.xlsx 1: 12 columns, 23 rows, 0 broken; 0 dates, 0 numbers shorter
tb_trial.xlsx 1: 12 columns, 5 rows, 0 broken; 0 dates, 0 numbers shorter
tb_trial.xlsx 2: 11 columns, 108 rows, 0 broken; 0 dates, 0 numbers shorter
tb_trial.xlsx 3: 10 columns, 167 rows, 0 broken; 0 dates, 0 numbers shorter
tb_trial.xlsx 4: 10 columns, 116 rows, 0 broken; 0 dates, 0 numbers shorter
tb_trial.xlsx 5: 12 columns, 433 rows, 0 broken; 0 dates, 0 numbers shorter
tb_trial.xlsx 6: 8 columns, 20 rows, 0 broken; 0 dates, 0 numbers shorter
tb_trial.xlsx 7: 1 columns, 5 rows, 0 broken; 0 dates, 0 numbers shorter
tb_trial.xlsx 8: 1 columns, 8 rows, 0 broken; 0 dates, 0 numbers shorter
`
	if got.String() != want {
		t.Errorf("found\n%s", got.String())
	}
}

// sameCells compares a sheet with the library's reading of the raw cells. In
// other words than there are only dates, and numbers with fewer digits.
func sameCells(t *testing.T, f *excelize.File, sheet string, object []byte) string {
	t.Helper()
	values, err := f.GetRows(sheet, excelize.Options{RawCellValue: true})
	must(t, err)
	columns, rows, err := decode(t, study.FormatSpec{Table: sheet}, object)
	must(t, err)
	dates, shorter, broken, left := 0, 0, 0, 0
	for _, row := range values {
		for _, value := range row {
			left += min(len(value), 1)
		}
	}
	for _, r := range rows {
		if r.rule != "" {
			broken++
		}
		for c, cell := range r.cells {
			if cell == "∅" {
				continue
			}
			left--
			raw := values[r.line-1][c]
			a, err := strconv.ParseFloat(raw, 64)
			b, err2 := strconv.ParseFloat(cell, 64)
			_, err3 := time.Parse(time.DateOnly, cell)
			switch {
			case cell == raw:
			case err == nil && err2 == nil && a == b && len(cell) < len(raw):
				shorter++
			case err == nil && err3 == nil:
				dates++
			default:
				t.Errorf("sheet row %d, column %s is another", r.line, letters(c))
			}
		}
	}
	if left != 0 {
		t.Errorf("%d cells are missing", left)
	}
	return fmt.Sprintf("%d columns, %d rows, %d broken; %d dates, %d numbers shorter", len(columns), len(rows), broken, dates, shorter)
}

// Headers over two rows, titles above and legends below: what cannot be told is
// an error that says where, and how a source document says what it is.
func TestPublishedHeaders(t *testing.T) {
	dir := filepath.Join(publishedtest.Data(t, "medicaldata"), "messy_data")
	names := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint("n", i))
		}
		return all
	}
	for _, c := range []struct {
		name          string
		spec          study.FormatSpec
		code, says    string
		columns, rows int
	}{
		{"messy_cirrhosis", study.FormatSpec{Header: true}, "xlsx.header_empty", "in column A, B, E, G", 0, 0},
		{"messy_cirrhosis", study.FormatSpec{Header: true, SkipLines: 1}, "xlsx.header_duplicate", "columns D and F", 0, 0},
		{"messy_cirrhosis", study.FormatSpec{Names: names(7), SkipLines: 3}, "", "", 7, 8},
		{"messy_glucose", study.FormatSpec{Header: true}, "xlsx.header_empty", "in column B, C, D, F, G", 0, 0},
		{"messy_glucose", study.FormatSpec{Header: true, SkipLines: 3}, "", "", 6, 30},
		{"messy_infarct", study.FormatSpec{Header: true, SkipLines: 2}, "xlsx.header_empty", "in column E, F, G, H, I, J, K, L", 0, 0},
		{"messy_infarct", study.FormatSpec{Names: names(11), SkipLines: 3}, "xlsx.names", "has 12, and `names` has 11", 0, 0},
		{"messy_infarct", study.FormatSpec{Names: names(12), SkipLines: 3}, "", "", 12, 20},
	} {
		object, err := os.ReadFile(filepath.Join(dir, c.name+".xlsx"))
		must(t, err)
		columns, rows, err := decode(t, c.spec, object)
		var e *study.Error
		if c.code != "" && (!errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Op, c.says)) {
			t.Errorf("%s: %v; want %s %s", c.name, err, c.code, c.says)
		}
		if c.code == "" && err != nil || len(columns) != c.columns || len(rows) != c.rows {
			t.Errorf("%s: %d columns and %d rows (%v); want %d and %d", c.name, len(columns), len(rows), err, c.columns, c.rows)
		}
	}
}
