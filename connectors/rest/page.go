package rest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// page is an answer, as far as it is looked into.
type page interface {
	// value is the text that a pointer leads to; "" when it leads nowhere.
	value(pointer string) string
	// records are those that the stream points at; an error is that of a text that
	// is not what the stream says.
	records(pointer string) ([]record, error)
}

// record is one record of a page.
type record interface {
	value(pointer string) string
	// columns calls with where each of its values is and of what type that is.
	columns(with func(at, kind string))
}

// look reads an answer as the stream says that it is written.
func look(s Stream, body []byte) page {
	switch s.format() {
	case "json":
		return document(body)
	case "ndjson":
		return lines(body)
	case "csv":
		comma, _ := utf8.DecodeRuneInString(orElse(s.Comma, ","))
		return table{body, comma}
	case "xml":
		return tree(body)
	}
	return file(body)
}

// document is a page of JSON.
type document json.RawMessage

func (d document) value(pointer string) string { return scalar(at(json.RawMessage(d), pointer)) }

func (d document) records(pointer string) ([]record, error) {
	if len(bytes.TrimSpace(d)) == 0 {
		return nil, nil
	}
	if !json.Valid(d) {
		return nil, errNotJSON
	}
	text := bytes.TrimSpace(at(json.RawMessage(d), pointer))
	if len(text) == 0 || string(text) == "null" {
		return nil, nil // many APIs leave out an empty list
	}
	if text[0] == '{' && pointer == "" {
		return []record{document(text)}, nil // one record
	}
	var elements []json.RawMessage
	if json.Unmarshal(text, &elements) != nil {
		return nil, errNoRecords
	}
	all := make([]record, len(elements))
	for i, e := range elements {
		all[i] = document(e)
	}
	return all, nil
}

// lines is a page of one JSON value a line.
type lines []byte

func (lines) value(string) string { return "" }

func (l lines) records(string) (all []record, err error) {
	for line := range bytes.Lines(l) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if !json.Valid(line) {
			return nil, errNotJSON
		}
		all = append(all, document(line))
	}
	return all, nil
}

// table is a page of CSV with a header.
type table struct {
	text  []byte
	comma rune
}

func (table) value(string) string { return "" }

func (t table) records(string) (all []record, err error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(t.text, []byte("\xef\xbb\xbf"))))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = t.comma, true, -1
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	for err == nil {
		var cells []string
		if cells, err = r.Read(); err == nil {
			all = append(all, row{header, cells})
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, errNotCSV // what the parser says quotes the row
	}
	return all, nil
}

// row is one line of a table; a pointer is the name of its column.
type row struct{ header, cells []string }

func (r row) value(pointer string) string {
	name := strings.TrimPrefix(pointer, "/")
	for i, h := range r.header {
		if h == name && i < len(r.cells) {
			return r.cells[i]
		}
	}
	return ""
}

// tree is a page of XML. A pointer is the way of local names from the root on, the
// last may be @attribute; a record's own begins inside of it.
type tree []byte

func (t tree) value(pointer string) string {
	found := ""
	_ = t.walk(pointer, func(text string, _ element) bool {
		found = text
		return found == ""
	})
	return found
}

func (t tree) records(pointer string) (all []record, err error) {
	if len(bytes.TrimSpace(t)) == 0 {
		return nil, nil
	}
	err = t.walk(pointer, func(_ string, e element) bool {
		all = append(all, e)
		return true
	})
	return all, err
}

// element is one record of a page of XML: its own bytes.
type element tree

func (e element) value(pointer string) string {
	name := ""
	decoder := xml.NewDecoder(bytes.NewReader(e))
	for name == "" {
		token, err := decoder.RawToken()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok {
			name = start.Name.Local
		}
	}
	return tree(e).value("/" + name + "/" + strings.TrimPrefix(pointer, "/"))
}

// children are the names of the elements directly inside the root, each once.
func (t tree) children() (all []string) {
	decoder := xml.NewDecoder(bytes.NewReader(t))
	for depth := 0; ; {
		token, err := decoder.RawToken()
		if err != nil {
			return all
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth++; depth == 2 && !slices.Contains(all, token.Name.Local) {
				all = append(all, token.Name.Local)
			}
		case xml.EndElement:
			depth--
		}
	}
}

// walk calls found with the text and the bytes of each element (or the value of the
// attribute) at the pointer, until it answers false.
func (t tree) walk(pointer string, found func(string, element) bool) error {
	steps, attribute := names(pointer), ""
	if n := len(steps); n > 0 && strings.HasPrefix(steps[n-1], "@") {
		steps, attribute = steps[:n-1], steps[n-1][1:]
	}
	decoder := xml.NewDecoder(bytes.NewReader(t))
	decoder.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // names and numbers are ASCII in all that occur
	var open []string
	var text strings.Builder
	var begin int64
	for {
		before := decoder.InputOffset()
		token, err := decoder.Token()
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
			if !slices.Equal(open, steps) {
				break
			}
			begin = before
			text.Reset()
			if value := attributeOf(token, attribute); attribute != "" && value != "" && !found(value, nil) {
				return nil
			}
		case xml.CharData:
			if slices.Equal(open, steps) {
				text.Write(token)
			}
		case xml.EndElement:
			if attribute == "" && slices.Equal(open, steps) && !found(strings.TrimSpace(text.String()), element(t[begin:decoder.InputOffset()])) {
				return nil
			}
			open = open[:len(open)-1]
		case xml.Directive:
			return errNotXML // a document type can define what a text means
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errNotXML
		}
	}
}

func attributeOf(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// file is an answer that is not looked into: one record, whatever it holds.
type file []byte

func (file) value(string) string { return "" }

func (f file) records(string) ([]record, error) { return []record{f}, nil }
