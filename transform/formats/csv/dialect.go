package csv

import (
	"slices"
	"strings"

	"longitude/study"
)

// noQuote is the quote of a dialect in which quotes mean nothing.
const noQuote = -1

// dialect is how an object is written, apart from its encoding.
type dialect struct {
	delimiter byte
	quote     int  // the byte, or noQuote
	backslash bool // a backslash takes its meaning from the character after it; otherwise a quote inside quotes is doubled
	comment   []byte
	// The quote and the delimiter eight times over, for special; without quotes
	// the delimiter twice.
	quotes, delimiters uint64
}

func dialectOf(spec study.FormatSpec) dialect {
	d := dialect{delimiter: ',', quote: '"', backslash: spec.Escape == "backslash", comment: []byte(spec.Comment)}
	if spec.Delimiter != "" {
		d.delimiter = spec.Delimiter[0]
	}
	switch spec.Quote {
	case "none":
		d.quote = noQuote
	case "'":
		d.quote = '\''
	}
	d.delimiters = uint64(d.delimiter) * ones
	if d.quotes = uint64(d.quote) * ones; d.quote == noQuote {
		d.quotes = d.delimiters
	}
	return d
}

// ends reports whether c ends an unquoted cell.
func (d *dialect) ends(c byte) bool { return c == d.delimiter || c == '\n' || c == '\r' }

// Check reports what is wrong with the csv keys of a format spec.
func (Format) Check(spec study.FormatSpec) map[string]string {
	wrong := map[string]string{}
	d := dialectOf(spec)
	if s := spec.Delimiter; s != "" && (!printable(s, 1) && s != "\t" || int(s[0]) == d.quote || s[0] == '\\' && d.backslash) {
		wrong["delimiter"] = `must be one ASCII character, such as "," ";" or "\t", and neither the quote nor the escape`
	}
	if !slices.Contains([]string{"", `"`, "'", "none"}, spec.Quote) {
		wrong["quote"] = `must be "\"", "'" or none`
	}
	if !slices.Contains([]string{"", "double", "backslash"}, spec.Escape) {
		wrong["escape"] = "must be double (a quote inside quotes is written twice) or backslash"
	}
	if s := spec.Comment; s != "" && (!printable(s, maxComment) || s[0] == ' ' || s[0] == d.delimiter || int(s[0]) == d.quote) {
		wrong["comment"] = "must be one to eight ASCII characters that a line can begin with and a row cannot: no space, delimiter or quote in front"
	}
	if spec.SkipLines < 0 || spec.SkipLines > maxSkip {
		wrong["skip_lines"] = "must be from 0 to 10000"
	}
	if why := wrongNames(spec); why != "" {
		wrong["names"] = why
	}
	if _, ok := encodings[spec.Encoding]; !ok {
		wrong["encoding"] = "must be one of auto, utf-8, windows-1252, iso-8859-1, iso-8859-15, macintosh, utf-16, utf-16le, utf-16be"
	}
	if !slices.Contains([]string{"", ".", ","}, spec.DecimalMark) {
		wrong["decimal_mark"] = `must be "." or ","`
	}
	if spec.Table != "" {
		wrong["table"] = "does not apply: a CSV object is one table"
	}
	if spec.Records != "" {
		wrong["records"] = "does not apply: the records of a CSV object are its lines"
	}
	return wrong
}

// wrongNames says what is wrong with the declared names of columns.
func wrongNames(spec study.FormatSpec) string {
	names := slices.Sorted(slices.Values(spec.Names))
	switch {
	case len(names) == 0:
		return ""
	case spec.Header:
		return "are for objects whose first line is a row already: set `header: false` as well, and `skip_lines: 1` to replace a header"
	case names[0] == "":
		return "must not be empty"
	case len(slices.Compact(names)) < len(spec.Names):
		return "must differ from each other"
	case len(names) > maxColumns:
		return "must be at most 4096"
	}
	return ""
}

// printable reports whether s is one to most printable ASCII characters.
func printable(s string, most int) bool {
	return len(s) > 0 && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
