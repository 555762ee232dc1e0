package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The two severities. A config with an error is not run; one with warnings is.
const (
	Error   = "error"
	Warning = "warning"
)

// Finding is one mistake in a config file: where it is, what it is and what to do.
type Finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`   // from 1
	Column   int    `json:"column"` // from 1, in characters
	Severity string `json:"severity"`
	Code     string `json:"code"` // stable: config.unknown_key
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
	Snippet  string `json:"snippet,omitempty"` // the source line, secrets masked
}

// String prints the finding as a compiler would: place, message, the line with a
// caret under the column, and the hint.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s: %s [%s]", f.File, f.Line, f.Column, f.Severity, f.Message, f.Code)
	if f.Snippet != "" {
		fmt.Fprintf(&b, "\n    %s\n    %s^", f.Snippet, strings.Repeat(" ", max(f.Column-1, 0)))
	}
	if f.Hint != "" {
		b.WriteString("\n    hint: " + f.Hint)
	}
	return b.String()
}

// Failed reports whether any of the findings is an error.
func Failed(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}

func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code))
	})
}

// Text that could be a secret and is not a reference to one: the value of a key
// that is called like one, and the password of a URL.
var (
	secretKey = regexp.MustCompile(`(?i)(\w*(?:passw|secret|token|credential|private_key|api_key)\w*["']?\s*:\s*["']?)[^\s"'$,}][^,}]*`)
	secretURL = regexp.MustCompile(`(://[^/\s:@]*:)[^@\s]+@`)
)

// snippet is line n of the file as it may be shown.
func (d *document) snippet(n int) string {
	line := d.line(n)
	for _, text := range d.literals[n] {
		line = strings.ReplaceAll(line, text, redacted)
	}
	line = secretKey.ReplaceAllString(line, "${1}"+redacted)
	line = secretURL.ReplaceAllString(line, "${1}"+redacted+"@")
	return strings.ReplaceAll(strings.TrimRight(line, "\r \t"), "\t", " ")
}

// didYouMean is a hint naming the known word nearest to a mistyped one, or all
// of them where none is near.
func didYouMean(word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if known = slices.DeleteFunc(slices.Clone(known), func(k string) bool { return k == "" }); len(known) == 0 {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

// nearest is the known word that a mistyped one most likely stands for, or "".
func nearest(word string, known []string) string {
	best, distance := "", len(word)/3+2
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), strings.ToLower(k)); d < min(distance, len(k)) {
			best, distance = k, d
		}
	}
	return best
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
