package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"longitude/study"
)

// document is one YAML document of a file: its text, its parsed body, where each
// of its values stands, and what was found wrong with it.
type document struct {
	file   string
	first  int // line of the file on which the document's text begins, from 1
	lines  []string
	body   ast.Node
	digest study.Digest

	places     map[string]place // of every value read, by path ("visits[2].window")
	findings   []Finding
	literals   map[int][]string // literal secrets by line: masked where it is shown
	references []reference
	getenv     func(string) string
	opt        Options
	versions   [][]slot // of a study: the visits of each version of the protocol
}

// place is a position in a file, both from 1.
type place struct{ line, column int }

var marker = regexp.MustCompile(`^(---|\.\.\.)(\s|$)`)

// splitDocuments cuts a file at its document markers. The parser can do that too,
// but drops a document that follows one holding nothing but comments.
func splitDocuments(file, text string) []*document {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	var docs []*document
	lines := strings.Split(text, "\n")
	start := 0
	for i := 0; i <= len(lines); i++ {
		if i < len(lines) && !marker.MatchString(lines[i]) {
			continue
		}
		if d := (&document{file: file, first: start + 1, lines: lines[start:i]}); !d.blank() {
			docs = append(docs, d)
		}
		start = i + 1
	}
	return docs
}

// blank reports whether the document holds nothing but comments.
func (d *document) blank() bool {
	for _, line := range d.lines {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// parse reads the document's syntax; false when there is nothing to go on with.
// The digest is of the text between the markers, with LF line ends and without
// blank lines around it, so that neither a checkout's line ends nor a new
// neighbour in the same file make a new version.
func (d *document) parse() bool {
	text := strings.Join(d.lines, "\n")
	d.digest = sha256.Sum256([]byte(strings.Trim(text, "\n") + "\n"))
	d.places, d.literals = map[string]place{}, map[int][]string{}
	file, err := parser.ParseBytes([]byte(text+"\n"), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return false
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		d.find(Error, place{d.first, 1}, "config.syntax", "this document cannot be read as YAML", "")
		return false
	}
	d.body = file.Docs[0].Body
	return true
}

// mentions reports whether a document that cannot be read has the line that names
// a study.
func (d *document) mentions(study string) bool {
	return slices.ContainsFunc(d.lines, func(line string) bool {
		key, name, _ := strings.Cut(line, ":")
		name, _, _ = strings.Cut(name, "#")
		return key == "study" && strings.Trim(name, " \t\"'") == study
	})
}

func (d *document) syntax(err error) {
	at, message := place{d.first, 1}, "not valid YAML"
	var se *yaml.SyntaxError
	if errors.As(err, &se) && se.Token != nil {
		at = place{d.first + se.Token.Position.Line - 1, se.Token.Position.Column}
		message = "not valid YAML: " + se.Message
	}
	hint := ""
	switch line := d.line(at.line); {
	case strings.Contains(line, "\t"):
		hint = "indent with spaces: YAML does not allow tabs"
	case strings.Contains(line, "${"):
		hint = `inside { } and [ ] a reference needs quotes: "${env:NAME}"`
	}
	d.find(Error, at, "config.syntax", message, hint)
}

// line is line n of the file, "" when it is not in this document.
func (d *document) line(n int) string {
	if i := n - d.first; i >= 0 && i < len(d.lines) {
		return d.lines[i]
	}
	return ""
}

// find keeps a finding once, however many visits of a series it is about.
func (d *document) find(severity string, at place, code, message, hint string) {
	f := Finding{File: d.file, Line: at.line, Column: at.column, Severity: severity, Code: code, Message: message, Hint: hint}
	if !slices.Contains(d.findings, f) {
		d.findings = append(d.findings, f)
	}
}

// finish returns the document's findings with the lines they are about.
func (d *document) finish() []Finding {
	for i := range d.findings {
		f := &d.findings[i]
		f.Snippet = d.snippet(f.Line)
	}
	return d.findings
}

// errorf reports a mistake in the value at path, or in the nearest value around
// it where path itself was not written.
func (d *document) errorf(path, code, hint, format string, args ...any) {
	d.find(Error, d.place(path), code, fmt.Sprintf(format, args...), hint)
}

func (d *document) warnf(path, code, hint, format string, args ...any) {
	d.find(Warning, d.place(path), code, fmt.Sprintf(format, args...), hint)
}

// place is where the value at path stands.
func (d *document) place(path string) place {
	for path != "" {
		if at, ok := d.places[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return place{d.first + d.leading(), 1}
}

// leading counts the blank and comment lines before the first key.
func (d *document) leading() int {
	for i, line := range d.lines {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return i
		}
	}
	return 0
}

// has reports whether the value at path was written.
func (d *document) has(path string) bool {
	_, ok := d.places[path]
	return ok
}

// kind is the document's first key: service, study or source. It is "" after
// reporting anything else.
func (d *document) kind() string {
	kinds := []string{"service", "study", "source"}
	key := ""
	if m, ok := d.body.(*ast.MappingNode); ok && len(m.Values) > 0 {
		if key, _ = scalarText(m.Values[0].Key); slices.Contains(kinds, key) {
			return key
		}
	}
	d.find(Error, d.place(""), "config.kind", "the first key of a document says what it is: service, study or source", didYouMean(key, kinds))
	return ""
}
