package deid

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var wants = regexp.MustCompile(`// want "(.+)"`)

// A leak does not compile: the compiler refuses each program in testdata/leaks
// where its comment says so, for the reason it says, and accepts the control.
func TestLeaksDoNotCompile(t *testing.T) {
	files, err := filepath.Glob("testdata/leaks/*/*.go")
	if err != nil || len(files) < 8 {
		t.Fatalf("only %d programs: %v", len(files), err)
	}
	leaks := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		build := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", "./"+filepath.Dir(file))
		out, buildErr := build.CombinedOutput()
		want := wants.FindStringSubmatch(string(source))
		if want == nil {
			if buildErr != nil {
				t.Errorf("%s should compile: %s", file, out)
			}
			continue
		}
		leaks++
		line := 1 + strings.Count(string(source)[:strings.Index(string(source), "// want")], "\n")
		refusal := regexp.MustCompile(regexp.QuoteMeta(filepath.Base(file)) + ":" + strconv.Itoa(line) + `:\d+: .*` + want[1])
		switch {
		case buildErr == nil:
			t.Errorf("%s compiles: identity can leave", file)
		case !refusal.Match(out):
			t.Errorf("%s is refused for another reason: %s", file, out)
		}
	}
	if leaks == len(files) {
		t.Error("no control compiles: the refusals may have another reason")
	}
}
