package xport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// column is one variable of a member, in the order of the row.
type column struct {
	width int // bytes in the row
	kind  kind
}

// library reads the three records that open an object.
func (d *decoder) library() error {
	name, _, err := d.header()
	if err != nil {
		return err
	}
	if name != "LIBRARY" && name != "LIBV8" {
		return &study.Error{Code: "xport.unknown", Place: "record 1",
			Op:   "reading an object that does not begin like a SAS transport file",
			Hint: "export with the XPORT engine or the macro %loc2xpt; files of PROC CPORT and .sas7bdat files are something else"}
	}
	_, err = d.take(2 * recordSize)
	return err
}

// member reads the header of the next member up to its first row; more is false
// at the end of the object.
func (d *decoder) member() (more bool, err error) {
	if d.pos == d.end {
		if err := d.fill(); err != nil || d.pos == d.end {
			return false, err
		}
	}
	name, text, err := d.header()
	if err != nil {
		return false, err
	}
	d.reset(name)
	if d.version == 0 {
		return false, d.invalid("a member begins with MEMBER or MEMBV8")
	}
	size := number(text[26:30]) // of a NAMESTR; 136 on VAX, which leaves out the last fill
	if size != 140 && size != 136 {
		return false, d.invalid("a variable is described in 140 or 136 bytes")
	}
	if err := d.descriptor(); err != nil {
		return false, err
	}
	if err := d.variables(int(size)); err != nil {
		return false, err
	}
	return true, d.observations()
}

// reset forgets the member before and settles the version of this one.
func (d *decoder) reset(header string) {
	d.version, d.length, d.count, d.done, d.last = map[string]int{"MEMBER": 5, "MEMBV8": 8}[header], 0, -1, 0, false
	d.columns = d.columns[:0]
	d.rows = transform.Rows{Cells: d.rows.Cells, Lines: d.rows.Lines, Raw: d.rows.Raw}
}

// expect reads a header record by its name in version 5 or 8.
func (d *decoder) expect(v5, v8 string) ([]byte, error) {
	name, text, err := d.header()
	if err != nil {
		return nil, err
	}
	return text, d.mustBe(name, v5, v8)
}

// mustBe refuses a header record by another name than the one of its version.
func (d *decoder) mustBe(name, v5, v8 string) error {
	want := v5
	if d.version == 8 {
		want = v8
	}
	if name != want {
		return d.invalid("a record " + want + " is missing")
	}
	return nil
}

// descriptor reads the name of the member.
func (d *decoder) descriptor() error {
	if _, err := d.expect("DSCRPTR", "DSCPTV8"); err != nil {
		return err
	}
	b, err := d.take(2 * recordSize)
	if err != nil {
		return err
	}
	if d.version == 5 {
		d.name, err = d.title(b[8:16])
	} else {
		d.name, err = d.title(b[8:40])
	}
	return err
}

// title reads a name or label. Some writers pad with NUL.
func (d *decoder) title(b []byte) (string, error) {
	text, rule := d.text(bytes.TrimRight(b, " \x00"))
	switch rule {
	case "":
		return string(text), nil
	case textUnknown:
		return "", d.unknownEncoding("the header")
	}
	return "", d.invalid("a name or label is not text in the declared encoding (" + rule + ")")
}

// variables reads the descriptions of the columns.
func (d *decoder) variables(size int) error {
	text, err := d.expect("NAMESTR", "NAMSTV8")
	if err != nil {
		return err
	}
	n := number(text[4:10])
	if n < 1 || n > maxColumns {
		return d.invalid("a member has 1 to 32768 variables")
	}
	known := map[string]bool{}
	for range n {
		b, err := d.take(size)
		if err != nil {
			return err
		}
		name, label, err := d.variable(b)
		switch {
		case err != nil:
			return err
		case name == "", known[strings.ToUpper(name)]:
			return d.invalid("a variable has no name, or the name of another one")
		}
		known[strings.ToUpper(name)] = true
		d.rows.Columns = append(d.rows.Columns, name)
		d.rows.Labels = append(d.rows.Labels, label)
	}
	_, err = d.align()
	return err
}

// variable reads one NAMESTR.
func (d *decoder) variable(b []byte) (name, label string, err error) {
	c := column{width: int(binary.BigEndian.Uint16(b[4:]))}
	switch binary.BigEndian.Uint16(b) {
	case 1:
		if c.width < 2 || c.width > 8 {
			return "", "", d.invalid("a number has 2 to 8 bytes")
		}
		c.kind = kindOf(string(bytes.TrimRight(b[56:64], " \x00")))
	case 2:
		if c.width < 1 || c.width > 1<<15 {
			return "", "", d.invalid("a text has 1 to 32767 bytes")
		}
	default:
		return "", "", d.invalid("a variable is a number or text")
	}
	if d.length += c.width; d.length > maxRow {
		return "", "", d.invalid("a row is longer than 4 MiB")
	}
	d.columns = append(d.columns, c)
	name, err = d.title(b[8:16])
	if err == nil && d.version == 8 && len(bytes.TrimRight(b[88:120], " \x00")) > 0 {
		name, err = d.title(b[88:120])
	}
	if err == nil {
		label, err = d.title(b[16:56])
	}
	return name, label, err
}

// observations reads the long labels and formats, if there are any, and the
// record before the first row, and makes room for rows.
func (d *decoder) observations() error {
	name, text, err := d.header()
	if err != nil {
		return err
	}
	if d.version == 8 && (name == "LABELV8" || name == "LABELV9") {
		if err := d.long(number(text[:5]), name == "LABELV9"); err != nil {
			return err
		}
		if name, text, err = d.header(); err != nil {
			return err
		}
	}
	if err := d.mustBe(name, "OBS", "OBSV8"); err != nil {
		return err
	}
	if d.version == 8 { // zero may also mean that the writer did not count
		if d.count = number(text[:15]); d.count == 0 {
			d.count = -1
		}
	}
	for _, c := range d.columns {
		d.rows.Types = append(d.rows.Types, c.kind.String())
	}
	d.rows.First = 1
	d.rows.Dialect = fmt.Sprintf("version %d, %s", d.version, d.charset.name)
	d.limit = min(maxRows, max(1, maxCells/len(d.columns)))
	if size := 2*d.length + 2*recordSize; size > len(d.buf) {
		d.buf = append(d.buf, make([]byte, size-len(d.buf))...)
	}
	d.scanned = d.pos
	return nil
}

// long reads the labels of more than 40 bytes, and in version 9 the formats of
// more than 8, which say their width too.
func (d *decoder) long(n int64, formats bool) error {
	at := map[string]int{}
	for i, name := range d.rows.Columns {
		at[name] = i
	}
	lengths := 3
	if formats {
		lengths = 5
	}
	for range n {
		b, err := d.take(2 * lengths)
		if err != nil {
			return err
		}
		var size [4]int // of name, label, format, informat
		total := 0
		for i := range lengths - 1 {
			size[i] = int(binary.BigEndian.Uint16(b[2*i+2:]))
			total += size[i]
		}
		if total > maxLabel {
			return d.invalid("a label is longer than 4 KiB")
		}
		if b, err = d.take(total); err != nil {
			return err
		}
		name, err := d.title(b[:size[0]])
		if err != nil {
			return err
		}
		i, known := at[name]
		if !known {
			return d.invalid("a long label is of no variable of the member")
		}
		if size[1] > 0 {
			if d.rows.Labels[i], err = d.title(b[size[0] : size[0]+size[1]]); err != nil {
				return err
			}
		}
		if size[2] > 0 && d.columns[i].kind != character {
			d.columns[i].kind = kindOf(string(b[size[0]+size[1] : size[0]+size[1]+size[2]]))
		}
	}
	_, err := d.align()
	return err
}
