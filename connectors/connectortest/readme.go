package connectortest

import (
	"flag"
	"os"
	"strings"
	"testing"

	"longitude/connectors"
)

var update = flag.Bool("update", false, "rewrite generated parts of README files")

// The generated part of a connector's README stands between these lines.
const (
	tableBegins = "<!-- generated from the config struct: go test -update -->\n"
	tableEnds   = "<!-- end of the generated part -->\n"
)

// Readme fails when the table of config keys in the connector's README.md is not
// the one its config struct says; with -update it rewrites the table.
func Readme(t *testing.T, spec connectors.Spec) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !ok || !ends {
		t.Fatalf("README.md needs the lines\n%s%s", tableBegins, tableEnds)
	}
	want := before + tableBegins + "\n" + spec.Reference() + "\n" + tableEnds + after
	if string(text) == want {
		return
	}
	if !*update {
		t.Fatal("the table of config keys in README.md is out of date: run go test -update")
	}
	if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
