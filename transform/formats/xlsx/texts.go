package xlsx

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// shared are the texts that cells refer to by number.
type shared struct {
	text []byte
	ends []int // of each in text
}

func (s *shared) at(i int) (text []byte, ok bool) {
	if i < 0 || i >= len(s.ends) {
		return nil, false
	}
	start := 0
	if i > 0 {
		start = s.ends[i-1]
	}
	return s.text[start:s.ends[i]], true
}

// readShared reads the shared texts; a workbook of numbers has none.
func (w *workbook) readShared(part string) error {
	const what = "the texts"
	if part == "" {
		return nil
	}
	r, d, err := w.open(part, what)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged("", what)
		}
		item, ok := token.(xml.StartElement)
		if !ok || item.Name.Local != "si" {
			continue
		}
		if w.shared.text, err = appendRuns(w.shared.text, d); err != nil {
			return damaged("", what)
		}
		w.shared.ends = append(w.shared.ends, len(w.shared.text))
		if len(w.shared.text)+8*len(w.shared.ends) > maxShared {
			return tooLarge(fmt.Sprintf("reading more than %d MiB of text of a workbook", maxShared>>20))
		}
	}
}

// appendRuns appends the text of the element that d has just entered: all its
// runs, without how they look and without readings of East Asian text.
func appendRuns(dst []byte, d *xml.Decoder) ([]byte, error) {
	start := len(dst)
	for depth, inText := 1, false; depth > 0; {
		token, err := d.Token()
		if err != nil {
			return dst, err
		}
		if len(dst)-start > maxPiece {
			return dst, errEndless
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "rPh" {
				if err := d.Skip(); err != nil {
					return dst, err
				}
				continue
			}
			depth++
			inText = token.Name.Local == "t"
		case xml.EndElement:
			depth--
			inText = false
		case xml.CharData:
			if inText {
				dst = append(dst, token...)
			}
		}
	}
	return dst, nil
}
