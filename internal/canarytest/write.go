package canarytest

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/xuri/excelize/v2"
)

// write is a table as a file of this type.
func (t table) write(kind string) ([]byte, error) {
	switch kind {
	case "csv":
		return t.csv()
	case "json":
		return json.Marshal(map[string]any{"by": Of(Staff, 9).Text, "data": t.objects()})
	case "ndjson":
		var b bytes.Buffer
		for _, object := range t.objects() {
			if err := json.NewEncoder(&b).Encode(object); err != nil {
				return nil, err
			}
		}
		return b.Bytes(), nil
	case "xlsx":
		return t.xlsx()
	case "xport":
		return t.xport(), nil
	case "datasetjson":
		return t.datasetJSON()
	}
	return nil, fmt.Errorf("no writer of %s", kind)
}

// cells are the rows in the order of columns, with a value in every extra one.
func (t table) cells() (header []string, rows [][]string) {
	header = append(append(header, Columns...), extra()...)
	for i, row := range t {
		cells := make([]string, len(header))
		for c, name := range Columns {
			cells[c] = row[name]
		}
		for c := len(Columns); c < len(header); c++ {
			cells[c] = Of(Classes[(i+c)%len(Classes)], i%PerClass).Text
		}
		rows = append(rows, cells)
	}
	return header, rows
}

func (t table) csv() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	header, rows := t.cells()
	err := w.WriteAll(append([][]string{header}, rows...))
	return b.Bytes(), err
}

func (t table) objects() []map[string]any {
	header, rows := t.cells()
	objects := make([]map[string]any, len(rows))
	for i, cells := range rows {
		object := map[string]any{}
		for c, name := range header {
			if cells[c] != "" {
				object[name] = cells[c]
			}
		}
		object["contact"] = map[string]any{Of(Name, 11).Text: []string{Of(Phone, 11).Text}, "at": Of(Address, 11).Text}
		objects[i] = object
	}
	return objects
}

// xlsx has a second sheet, a comment, and an author that identify.
func (t table) xlsx() ([]byte, error) {
	f := excelize.NewFile()
	defer func() { _ = f.Close() }()
	header, rows := t.cells()
	for i, cells := range append([][]string{header}, rows...) {
		values := make([]any, len(cells))
		for c, cell := range cells {
			values[c] = cell
		}
		if err := f.SetSheetRow("Sheet1", fmt.Sprintf("A%d", i+1), &values); err != nil {
			return nil, err
		}
	}
	_, err := f.NewSheet(Of(Name, 12).Text)
	if err == nil {
		err = f.AddComment("Sheet1", excelize.Comment{Cell: "B2", Author: Of(Staff, 12).Text, Text: "call " + Of(Phone, 12).Text})
	}
	if err == nil {
		err = f.SetDocProps(&excelize.DocProperties{Creator: Of(Staff, 13).Text, Title: Of(Name, 13).Text})
	}
	if err != nil {
		return nil, err
	}
	b, err := f.WriteToBuffer()
	if err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (t table) datasetJSON() ([]byte, error) {
	header, rows := t.cells()
	columns := make([]map[string]any, len(header))
	for i, name := range header {
		columns[i] = map[string]any{"itemOID": "IT." + name, "name": name, "label": Of(Name, i%PerClass).Text, "dataType": "string"}
	}
	// Columns come before the rows, so that the object is written by hand.
	described, err := json.Marshal(columns)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"datasetJSONCreationDateTime":"2026-01-02T03:04:05","datasetJSONVersion":"1.1.0","originator":%q,`+
		`"itemGroupOID":"IG.VA","name":"VA","label":%q,"records":%d,"columns":%s,"rows":%s}`,
		Of(Staff, 14).Text, Of(Email, 14).Text, len(rows), described, data), nil
}

// width of every text in a transport file.
const width = 100

// xport is a SAS transport file of version 5, all columns texts; extra columns
// have plain names and labels that identify.
func (t table) xport() []byte {
	header, rows := t.cells()
	var b bytes.Buffer
	record := func(parts ...string) { fmt.Fprintf(&b, "%-80s", strings.Join(parts, "")) }
	head := func(what, text string) { record("HEADER RECORD*******", what, "HEADER RECORD!!!!!!!", text) }
	zeros := strings.Repeat("0", 30)
	head("LIBRARY ", zeros)
	record("SAS     SAS     SASLIB  9.4     Linux   ", strings.Repeat(" ", 24), "01JAN26:00:00:00")
	record("01JAN26:00:00:00")
	head("MEMBER  ", "000000000000000001600000000140")
	head("DSCRPTR ", zeros)
	record("SAS     ", "VA      ", "SASDATA 9.4     Linux   ", strings.Repeat(" ", 24), "01JAN26:00:00:00")
	record("01JAN26:00:00:00")
	head("NAMESTR ", fmt.Sprintf("%010d%020d", len(header), 0))
	for i, name := range header {
		if i >= len(Columns) {
			name = fmt.Sprintf("X%d", i)
		}
		b.Write(describe(i, name, Of(Name, i%PerClass).Text))
	}
	pad(&b)
	head("OBS     ", zeros)
	for _, cells := range rows {
		for _, cell := range cells {
			fmt.Fprintf(&b, "%-*s", width, cell)
		}
	}
	pad(&b)
	return b.Bytes()
}

// pad fills the record that has begun.
func pad(b *bytes.Buffer) {
	if over := b.Len() % 80; over > 0 {
		b.WriteString(strings.Repeat(" ", 80-over))
	}
}

// describe is the NAMESTR record of a text column.
func describe(i int, name, label string) []byte {
	b := make([]byte, 140)
	binary.BigEndian.PutUint16(b[0:], 2)
	binary.BigEndian.PutUint16(b[4:], width)
	binary.BigEndian.PutUint16(b[6:], uint16(i+1))
	binary.BigEndian.PutUint32(b[84:], uint32(i*width))
	copy(b[8:16], fmt.Sprintf("%-8s", name))
	copy(b[16:56], fmt.Sprintf("%-40s", label))
	copy(b[56:64], strings.Repeat(" ", 8))
	return b
}
