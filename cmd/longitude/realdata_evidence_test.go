//go:build unix

package main

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What real data show is written down in docs/evidence: counts and causes, no
// participant and no value.
var update = flag.Bool("update", false, "write docs/evidence anew")

// evidence compares a page of docs/evidence with what the data show today.
func evidence(t *testing.T, page, text string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "evidence", page)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(committed) != text {
		t.Errorf("docs/evidence/%s says otherwise; run with -update and read what changed. Today:\n%s", page, text)
	}
}

// markdown is a table of lines; the header says after a colon which columns are
// numbers.
func markdown(header []string, lines [][]string) string {
	var b strings.Builder
	rule := make([]string, len(header))
	names := make([]string, len(header))
	for i, h := range header {
		name, number := strings.CutSuffix(h, ":")
		names[i], rule[i] = name, "---"
		if number {
			rule[i] = "--:"
		}
	}
	for _, line := range append([][]string{names, rule}, lines...) {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
	}
	return b.String()
}

// tally counts things that happened, by what they have in common.
type tally map[string]int

// sorted is the keys in order.
func (c tally) sorted() []string { return slices.Sorted(maps.Keys(c)) }

// is compares with what is expected.
func (c tally) is(t *testing.T, what string, want tally) {
	t.Helper()
	if !maps.Equal(c, want) {
		t.Errorf("%s: %v, want %v", what, c, want)
	}
}
