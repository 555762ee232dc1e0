package xlsx

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// sheet streams the rows of one sheet.
type sheet struct {
	io.Closer
	xml    *xml.Decoder
	row    int64 // number of the current row, from 1
	cells  []cell
	text   []byte // of the current row's cells
	long   bool   // they are more than maxRow; the last are left out
	merges []area // met so far; they follow the rows
}

// cell is a cell as stored.
type cell struct {
	column  int    // from 0
	kind    string // n or "" (number), s (shared text), str and inlineStr (text), b, e (error), d (ISO date)
	style   int
	text    []byte
	valued  bool // it has a value, be it empty
	formula bool
	invalid bool // its place or style cannot be read
}

// area is a rectangle of cells, both ends included.
type area struct {
	top, bottom int64
	left, right int
}

const whatSheet = "the sheet"

func (w *workbook) openSheet(part string) (*sheet, error) {
	r, d, err := w.open(part, whatSheet)
	if err != nil {
		return nil, err
	}
	return &sheet{Closer: r, xml: d}, nil
}

// next goes to the next row that is stored; false at the end of the sheet. Cells
// are valid until the row after.
func (s *sheet) next() (more bool, err error) {
	for {
		token, err := s.xml.Token()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, s.damaged()
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "row":
			return true, s.readRow(e)
		case "mergeCell":
			a, ok := parseArea(attribute(e, "ref"))
			if !ok {
				return false, s.damaged()
			}
			if s.merges = append(s.merges, a); len(s.merges) > maxMerges {
				return false, tooLarge(fmt.Sprintf("reading a sheet with more than %d merged cells", maxMerges))
			}
		}
	}
}

func (s *sheet) damaged() error { return damaged(fmt.Sprintf("after row %d", s.row), whatSheet) }

func (s *sheet) readRow(start xml.StartElement) error {
	number := s.row + 1
	if text := attribute(start, "r"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n <= s.row {
			return s.damaged()
		}
		number = n
	}
	s.row, s.cells, s.text, s.long = number, s.cells[:0], s.text[:0], false
	for {
		token, err := s.xml.Token()
		if err != nil {
			return s.damaged()
		}
		switch token := token.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if token.Name.Local != "c" {
				err = s.xml.Skip()
			} else {
				err = s.readCell(token)
			}
			if err != nil || len(s.cells) > 1<<14 { // as many columns as Excel has
				return s.damaged()
			}
		}
	}
}

func (s *sheet) readCell(start xml.StartElement) error {
	c := cell{}
	if n := len(s.cells); n > 0 {
		c.column = s.cells[n-1].column + 1
	}
	for _, a := range start.Attr {
		switch a.Name.Local {
		case "r":
			column, row, ok := parsePlace(a.Value)
			if c.invalid = c.invalid || !ok || row != s.row; ok {
				c.column = column
			}
		case "t":
			c.kind = a.Value
		case "s":
			style, err := strconv.Atoi(a.Value)
			c.style, c.invalid = style, c.invalid || err != nil
		}
	}
	at := len(s.text)
	for {
		token, err := s.xml.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.EndElement:
			c.text = s.text[at:len(s.text):len(s.text)]
			if len(s.text) > maxRow {
				s.long, s.text = true, s.text[:at]
				c.text = nil
			}
			s.cells = append(s.cells, c)
			return nil
		case xml.StartElement:
			switch token.Name.Local {
			case "v":
				c.valued = true
				err = s.value()
			case "is":
				c.valued = true
				s.text, err = appendRuns(s.text, s.xml)
			case "f":
				c.formula = true
				fallthrough
			default:
				err = s.xml.Skip()
			}
			if err != nil {
				return err
			}
		}
	}
}

// value reads the text of the element just entered, which has only text.
func (s *sheet) value() error {
	for {
		token, err := s.xml.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.CharData:
			if s.text = append(s.text, token...); len(s.text) > maxRow+maxPiece {
				return errEndless
			}
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if err := s.xml.Skip(); err != nil {
				return err
			}
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// parsePlace reads a place such as "AB12".
func parsePlace(text string) (column int, row int64, ok bool) {
	i := 0
	for ; i < len(text) && i < 4 && 'A' <= text[i] && text[i] <= 'Z'; i++ {
		column = column*26 + int(text[i]-'A') + 1
	}
	row, err := strconv.ParseInt(text[i:], 10, 32)
	return column - 1, row, err == nil && i > 0 && row > 0
}

// letters is the name of a column, from 0.
func letters(column int) (name string) {
	for column++; column > 0; column = (column - 1) / 26 {
		name = string(rune('A'+(column-1)%26)) + name
	}
	return name
}
