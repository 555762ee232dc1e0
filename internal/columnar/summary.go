package columnar

import (
	"fmt"
	"hash/crc32"
	"math"

	"longitude/study"
)

// Summary is what a file holds, counted independently by its writer and its
// reader.
type Summary struct {
	Rows    int64
	Columns []ColumnSummary // one per column, in dictionary order
}

// ColumnSummary sums one column, NULLs left out. Sums wrap around: they are
// compared, not read. Integers, decimals, dates and timestamps count as they
// are, true as 1, floats as their bits (so 0 and −0 differ), texts as their
// CRC-32C.
type ColumnSummary struct {
	Name  string
	Nulls int64
	Sum   int64
}

func newSummary(t *study.Table) Summary {
	s := Summary{Columns: make([]ColumnSummary, len(t.Columns))}
	for i := range t.Columns {
		s.Columns[i].Name = t.Columns[i].Name
	}
	return s
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *ColumnSummary) addInt(n int64)     { s.Sum += n }
func (s *ColumnSummary) addFloat(f float64) { s.Sum += int64(math.Float64bits(f)) }
func (s *ColumnSummary) addText(b []byte)   { s.Sum += int64(crc32.Checksum(b, castagnoli)) + 1 }
func (s *ColumnSummary) addBool(b bool) {
	if b {
		s.Sum++
	}
}

// Compare reports the first difference between what was written and what was
// read of the named file, as an error that blocks the release; nil when equal.
func (s Summary) Compare(read Summary, name string) error {
	differ := func(what string, wrote, got int64) error {
		return &study.Error{
			Code: "columnar.mismatch", Exit: study.ExitBlocked,
			Op:   fmt.Sprintf("reading back %s: %s: wrote %d, read %d", name, what, wrote, got),
			Hint: "the file does not hold what was written: check the disk and memory, then build the release again",
		}
	}
	if s.Rows != read.Rows {
		return differ("rows", s.Rows, read.Rows)
	}
	if len(s.Columns) != len(read.Columns) {
		return differ("columns", int64(len(s.Columns)), int64(len(read.Columns)))
	}
	for i, wrote := range s.Columns {
		switch got := read.Columns[i]; {
		case wrote.Name != got.Name:
			return differ("the name of column "+wrote.Name, int64(i), int64(i))
		case wrote.Nulls != got.Nulls:
			return differ("NULLs of column "+wrote.Name, wrote.Nulls, got.Nulls)
		case wrote.Sum != got.Sum:
			return differ("sum of column "+wrote.Name, wrote.Sum, got.Sum)
		}
	}
	return nil
}
