package redcap

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// query are the parameters of a request.
type query url.Values

func (q query) get(name string) string { return url.Values(q).Get(name) }
func (q query) flag(name string) bool  { return q.get(name) == "true" }

// format is how the answer is to be written; a REDCap that is not told writes XML.
func (q query) format() string {
	if f := q.get("format"); f == "json" || f == "csv" {
		return f
	}
	return "xml"
}

// list is an array parameter, as name[0]=a&name[1]=b or name=a,b.
func (q query) list(name string) (out []string) {
	for _, value := range q[name] {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	type item struct {
		at    int
		value string
	}
	var items []item
	for key, values := range q {
		index, ok := strings.CutPrefix(key, name+"[")
		if !ok {
			continue
		}
		at, _ := strconv.Atoi(strings.TrimSuffix(index, "]"))
		for _, value := range values {
			items = append(items, item{at, value})
		}
	}
	slices.SortStableFunc(items, func(a, b item) int { return a.at - b.at })
	for _, i := range items {
		out = append(out, i.value)
	}
	return out
}

func kindOf(format string) string {
	switch format {
	case "json":
		return "application/json; charset=utf-8"
	case "csv":
		return "text/csv; charset=utf-8"
	}
	return "text/xml; charset=utf-8"
}

// table is an answer: cells are text or numbers.
type table struct {
	root    string
	columns []string
	rows    [][]any
	single  bool // one object, not a list of them
	comma   bool // CSV whatever delimiter was asked for
}

func quote(text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // text can always be written
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func (t *table) write(b *bytes.Buffer, format, delimiter string) {
	switch format {
	case "json":
		t.writeJSON(b)
	case "csv":
		t.writeCSV(b, delimiter)
	default:
		t.writeXML(b)
	}
}

func (t *table) writeJSON(b *bytes.Buffer) {
	keys := make([][]byte, len(t.columns))
	for i, name := range t.columns {
		keys[i] = quote(name)
	}
	if !t.single {
		b.WriteByte('[')
	}
	for i, row := range t.rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('{')
		for k, cell := range row {
			if k > 0 {
				b.WriteByte(',')
			}
			b.Write(keys[k])
			b.WriteByte(':')
			if text, ok := cell.(string); ok {
				b.Write(quote(text))
			} else {
				fmt.Fprint(b, cell)
			}
		}
		b.WriteByte('}')
	}
	if !t.single {
		b.WriteByte(']')
	}
}

// writeCSV writes nothing at all where there is no row.
func (t *table) writeCSV(b *bytes.Buffer, delimiter string) {
	if len(t.rows) == 0 {
		return
	}
	w := csv.NewWriter(b)
	if delimiter == "tab" {
		delimiter = "\t"
	}
	if delimiter != "" && !t.comma {
		w.Comma = []rune(delimiter)[0]
	}
	_ = w.Write(t.columns)
	line := make([]string, len(t.columns))
	for _, row := range t.rows {
		for k, cell := range row {
			line[k] = fmt.Sprint(cell)
		}
		_ = w.Write(line)
	}
	w.Flush() // into memory: cannot fail
}

func (t *table) writeXML(b *bytes.Buffer) {
	fmt.Fprintf(b, "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<%s>\n", t.root)
	for _, row := range t.rows {
		if !t.single {
			b.WriteString("<item>")
		}
		for k, cell := range row {
			fmt.Fprintf(b, "<%s>", t.columns[k])
			_ = xml.EscapeText(b, fmt.Append(nil, cell))
			fmt.Fprintf(b, "</%s>", t.columns[k])
		}
		if !t.single {
			b.WriteString("</item>\n")
		}
	}
	fmt.Fprintf(b, "</%s>", t.root)
}
