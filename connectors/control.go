package connectors

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"path"
	"strconv"
	"strings"
)

// Control is the form of a control file, in which a sender says what it sent. It
// speaks of the one file that it stands beside, or it is the manifest of several
// files, of which none is ready before all are there.
type Control struct {
	File   string `yaml:"file" doc:"where the sender says what it sent: a suffix like .ctl for a file beside each file, or a name or pattern like SHA256SUMS or *.manifest for a list of files that must all be there"`
	Format string `yaml:"format" default:"sums" doc:"how it is written: sums (as sha256sum or md5sum print), pipe, csv or json"`
	Name   string `yaml:"name" doc:"where the file's name stands: a column number from 1, or the name of a column or JSON key"`
	Rows   string `yaml:"rows" doc:"where the number of rows stands; it must be the number that is read"`
	Bytes  string `yaml:"bytes" doc:"where the size in bytes stands"`
	SHA256 string `yaml:"sha256" doc:"where the SHA-256 stands, in hex"`
	MD5    string `yaml:"md5" doc:"where the MD5 stands, in hex; it shows accidents, not forgeries"`
}

// Formats of control files.
const (
	formatSums = "sums"
	formatPipe = "pipe"
	formatCSV  = "csv"
	formatJSON = "json"
)

// maxControl bounds a control file: a line for each of some ten thousand files.
const maxControl = 4 << 20

// suffix is that of a control file beside each file; "" when it is a manifest.
func (c Control) suffix() string {
	if strings.HasPrefix(c.File, ".") {
		return c.File
	}
	return ""
}

// lists reports whether a file of this name is a manifest.
func (c Control) lists(name string) bool {
	if c.File == "" || c.suffix() != "" {
		return false
	}
	ok, err := path.Match(c.File, name)
	return ok && err == nil
}

func (c Control) format() string {
	if c.Format == "" {
		return formatSums
	}
	return c.Format
}

func (c Control) check() (found []Finding) {
	if c == (Control{}) {
		return nil
	}
	find := func(wrong bool, key, message, hint string) {
		if wrong {
			found = append(found, Finding{"ready.control." + key, message, hint})
		}
	}
	_, err := path.Match(c.File, "")
	find(c.File == "" || strings.Contains(c.File, "/") || err != nil, "file", "not a suffix, a name or a pattern",
		"write file: .ctl for a file beside each file, or file: \"*.manifest\" for a list of files")
	columns := c.Name + c.Rows + c.Bytes + c.SHA256 + c.MD5
	switch c.format() {
	case formatSums:
		find(columns != "", "format", "sums has no columns to name", "remove the columns, or write format: csv")
	case formatPipe, formatCSV, formatJSON:
		find(columns == c.Name, "rows", "says nothing about a file", "name at least one of rows, bytes, sha256 and md5")
		find(c.Name == "" && c.suffix() == "", "name", "a list needs the names of its files", "write the column or key of the name, like name: 1")
		find(c.format() != formatJSON && !c.numbered() && !c.named(), "format", "columns by number and by name",
			"number all columns, or write the names of the first line for all")
	default:
		find(true, "format", "not one of sums, pipe, csv and json", "write format: csv")
	}
	return found
}

// columns are where a line says what.
func (c Control) columns() []string { return []string{c.Name, c.Rows, c.Bytes, c.SHA256, c.MD5} }

// numbered and named report whether all columns that are told are numbers, or none is.
func (c Control) numbered() bool { return c.all(func(n int) bool { return n > 0 }) }
func (c Control) named() bool    { return c.all(func(n int) bool { return n == 0 }) }

func (c Control) all(fits func(int) bool) bool {
	for _, column := range c.columns() {
		n, _ := strconv.Atoi(column)
		if column != "" && !fits(n) {
			return false
		}
	}
	return true
}

// line is what a control file says of one file.
type line struct {
	name        string // "" = the file it stands beside
	rows, bytes int64  // -1 = not told
	sum         string // hex, SHA-256 or MD5 by its length; "" = not told
}

// parse reads a control file; nil when it is not one (yet). What it says is
// believed only as a whole: one line that makes no sense, and it says nothing.
func (c Control) parse(text []byte) []line {
	var lines []line
	var ok bool
	switch c.format() {
	case formatSums:
		lines, ok = parseSums(string(text))
	case formatPipe:
		lines, ok = c.parseTable(text, '|')
	case formatCSV:
		lines, ok = c.parseTable(text, ',')
	case formatJSON:
		lines, ok = c.parseJSON(text)
	}
	seen := map[string]bool{}
	for _, l := range lines {
		ok = ok && !seen[l.name] && (l.name == "" || plain(l.name))
		seen[l.name] = true
	}
	if !ok {
		return nil
	}
	return lines
}

// about is what a control file says of the one file that it stands beside. A name
// may hold a line break, so digests are first read as one line.
func (c Control) about(name string, text []byte) (line, bool) {
	if c.format() == formatSums {
		if l, ok := parseSumLine(strings.TrimRight(string(text), "\r\n")); ok && (l.name == "" || l.name == name) {
			return l, true
		}
	}
	lines := c.parse(text)
	for _, l := range lines {
		if l.name == name || l.name == "" && len(lines) == 1 {
			return l, true
		}
	}
	return line{}, false
}

// plain reports whether a name is that of a file in the folder itself.
func plain(name string) bool {
	return name != "." && name != ".." && len(name) <= maxName && !strings.ContainsAny(name, "/\x00")
}

func (c Control) parseTable(text []byte, comma rune) (lines []line, ok bool) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = comma, -1, true
	records, err := r.ReadAll()
	if err != nil || len(records) == 0 {
		return nil, false
	}
	var header []string
	if !c.numbered() {
		header, records = records[0], records[1:]
	}
	for _, record := range records {
		l, ok := c.line(func(column string) (string, bool) {
			at, _ := strconv.Atoi(column)
			at--
			for i := range header {
				if header[i] == column {
					at = i
				}
			}
			if at < 0 || at >= len(record) {
				return "", false
			}
			return strings.TrimSpace(record[at]), true
		})
		if !ok {
			return nil, false
		}
		lines = append(lines, l)
	}
	return lines, len(lines) > 0
}

// parseJSON reads one object, a list of them, or an object with one such list.
func (c Control) parseJSON(text []byte) (lines []line, ok bool) {
	for _, object := range objectsOf(text) {
		l, ok := c.line(func(column string) (string, bool) {
			raw, there := object[column]
			var s string
			if json.Unmarshal(raw, &s) != nil {
				s = string(raw)
			}
			return s, there
		})
		if !ok {
			return nil, false
		}
		lines = append(lines, l)
	}
	return lines, len(lines) > 0
}

func objectsOf(text []byte) []map[string]json.RawMessage {
	var many []map[string]json.RawMessage
	if json.Unmarshal(text, &many) == nil {
		return many
	}
	var one map[string]json.RawMessage
	if json.Unmarshal(text, &one) != nil {
		return nil
	}
	var lists [][]map[string]json.RawMessage
	for _, value := range one {
		if json.Unmarshal(value, &many) == nil && len(many) > 0 {
			lists = append(lists, many)
			many = nil
		}
	}
	if len(lists) == 1 {
		return lists[0]
	}
	return []map[string]json.RawMessage{one}
}

// line reads the columns that the configuration names; all of them must be there
// and make sense.
func (c Control) line(value func(column string) (string, bool)) (line, bool) {
	l := line{rows: -1, bytes: -1}
	ok := true
	read := func(column string, take func(string) bool) {
		if column == "" {
			return
		}
		text, there := value(column)
		ok = ok && there && take(text)
	}
	read(c.Name, func(s string) bool { l.name = s; return s != "" })
	read(c.Rows, func(s string) bool { return count(s, &l.rows) })
	read(c.Bytes, func(s string) bool { return count(s, &l.bytes) })
	read(c.MD5, func(s string) bool { l.sum = strings.ToLower(s); return isSum(l.sum, md5Size) })
	read(c.SHA256, func(s string) bool { l.sum = strings.ToLower(s); return isSum(l.sum, sha256Size) })
	return l, ok
}

func count(s string, n *int64) bool {
	v, err := strconv.ParseInt(s, 10, 64)
	*n = v
	return err == nil && v >= 0
}

// Sizes of digests, in bytes.
const (
	md5Size    = 16
	sha256Size = 32
)

func isSum(s string, size int) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == size
}

// parseSums reads what sha256sum or md5sum print: "hex  name" or "hex *name" a line.
// A digest alone is about the file that it stands beside.
func parseSums(text string) (lines []line, ok bool) {
	for row := range strings.Lines(text) {
		row = strings.TrimRight(row, "\r\n")
		if row == "" {
			continue
		}
		l, ok := parseSumLine(row)
		if !ok {
			return nil, false
		}
		lines = append(lines, l)
	}
	return lines, len(lines) > 0
}

// unescape undoes what sha256sum does to a name with a backslash or a line break,
// after which its line begins with a backslash.
var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r")

func parseSumLine(text string) (line, bool) {
	text, escaped := strings.CutPrefix(text, `\`)
	sum, name, _ := strings.Cut(text, " ")
	if escaped {
		name = unescape.Replace(name)
	}
	if len(name) > 0 && (name[0] == ' ' || name[0] == '*') {
		name = name[1:]
	}
	sum = strings.ToLower(sum)
	if !isSum(sum, sha256Size) && !isSum(sum, md5Size) {
		return line{}, false
	}
	return line{name: name[strings.LastIndex(name, "/")+1:], rows: -1, bytes: -1, sum: sum}, true
}
