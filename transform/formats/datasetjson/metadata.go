package datasetjson

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"longitude/study"
)

// metadata is what is read of the members around the rows.
type metadata struct {
	Version string
	Name    string
	Records *int64
	Columns []struct{ Name, Label, DataType string }
}

// types are the data types of the standard; of an unknown one nothing is said.
var types = map[string]string{
	"string": "text", "URI": "text", "integer": "number", "float": "number", "double": "number", "decimal": "number",
	"boolean": "boolean", "date": "date", "datetime": "datetime", "time": "time",
}

var version11 = regexp.MustCompile(`^1\.1(\.[0-9]{1,3})?$`)

// open reads the metadata up to the first row.
func (d *decoder) open(table string) error {
	if err := d.fill(0); err != nil {
		return err
	}
	if d.end >= 3 && string(d.buf[:3]) == "\ufeff" {
		d.pos = 3
	}
	if err := d.take('{'); err != nil {
		return err
	}
	d.seen = map[string]bool{}
	inRows, err := d.members(true)
	if err != nil {
		return err
	}
	if d.lines = !inRows; d.lines {
		if err := d.endOfLine(); err != nil {
			return err
		}
	}
	if err := d.begin(table); err != nil {
		return err
	}
	if inRows {
		d.row = 1
	}
	return nil
}

// members reads members of the object up to its end or to the first row.
func (d *decoder) members(first bool) (inRows bool, err error) {
	for ; ; first = false {
		c, err := d.peek()
		switch {
		case err != nil:
			return false, err
		case c == '}':
			return false, d.take('}')
		case !first:
			if err := d.take(','); err != nil {
				return false, err
			}
		}
		key, err := d.key()
		if err != nil {
			return false, err
		}
		if key == "rows" {
			return true, d.take('[')
		}
		value, err := d.value()
		if err == nil {
			err = d.member(key, value)
		}
		if err != nil {
			return false, err
		}
	}
}

// key reads the name of a member, which must be new, and the colon.
func (d *decoder) key() (key string, err error) {
	c, err := d.peek()
	if err != nil {
		return "", err
	}
	if c != '"' && d.pos < d.end {
		return "", d.invalid("the name of a member is missing")
	}
	text, err := d.value()
	if err != nil {
		return "", err
	}
	if json.Unmarshal(text, &key) != nil {
		return "", d.invalid("the name of a member is no text")
	}
	if d.seen[key] {
		return "", d.invalid("a member is there twice")
	}
	d.seen[key] = true
	return key, d.take(':')
}

// member keeps what is needed of a member.
func (d *decoder) member(key string, value []byte) error {
	var into any
	switch key {
	case "datasetJSONVersion":
		into = &d.Version
	case "name":
		into = &d.Name
	case "records":
		into = &d.Records
	case "columns":
		into = &d.Columns
	}
	if !json.Valid(value) || !utf8.Valid(value) {
		return d.invalid("a member of the metadata is no JSON in UTF-8")
	}
	if into != nil && json.Unmarshal(value, into) != nil {
		return d.invalid(key + " is not what the standard says")
	}
	if key == "datasetJSONVersion" && !version11.MatchString(d.Version) {
		return &study.Error{Code: "datasetjson.version", Place: d.place(), Op: "reading Dataset-JSON of another version than 1.1",
			Hint: "export it again as Dataset-JSON 1.1; 1.0 arranges its rows differently"}
	}
	return nil
}

// endOfLine passes over the end of the line of the metadata.
func (d *decoder) endOfLine() error {
	line := d.line
	if c, err := d.peek(); err != nil || d.line > line || c == 0 && d.pos == d.end {
		return err
	}
	return d.invalid("rows begin on the line after the metadata, or are the member rows")
}

// begin checks the metadata before the first row.
func (d *decoder) begin(table string) error {
	switch {
	case d.Version == "":
		return d.invalid("datasetJSONVersion is missing before the rows")
	case len(d.Columns) == 0:
		return d.invalid("columns are missing before the rows")
	case table != "" && !strings.EqualFold(table, d.Name):
		return &study.Error{Code: "datasetjson.table", Op: "reading a data set with another name than the one that is asked for",
			Hint: "an object holds one data set: correct `table:` in the source's format, or the file pattern of the source"}
	}
	known := map[string]int{}
	for i, c := range d.Columns {
		if before, twice := known[c.Name]; twice || c.Name == "" {
			return d.invalid(fmt.Sprintf("column %d has no name, or the name of column %d", i+1, before+1))
		}
		known[c.Name] = i
		d.rows.Columns = append(d.rows.Columns, c.Name)
		d.rows.Labels = append(d.rows.Labels, c.Label)
		d.rows.Types = append(d.rows.Types, types[c.DataType])
	}
	d.limit = min(maxRows, max(1, maxCells/len(d.Columns)))
	d.rows.Dialect = d.Version + map[bool]string{true: ", lines", false: ", object"}[d.lines]
	return nil
}

// close reads what follows the rows, and checks that all of them came.
func (d *decoder) close() error {
	if !d.lines {
		if _, err := d.members(false); err != nil {
			return err
		}
		if _, err := d.peek(); err != nil {
			return err
		}
		if d.pos < d.end {
			return d.invalid("something follows the data set")
		}
	}
	if n := d.ordinal - 1; d.Records != nil && *d.Records != n {
		return &study.Error{Code: "datasetjson.records", Op: fmt.Sprintf("reading %d rows of a data set that announces %d", n, *d.Records),
			Hint: "the object is cut or was put together wrongly: export and fetch it again"}
	}
	return nil
}
