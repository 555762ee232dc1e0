package longitude

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the Markdown files of the repository and what they say.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skip(p, d.Name())
		case filepath.Ext(p) != ".md":
			return nil
		}
		text, err := os.ReadFile(p)
		found[filepath.ToSlash(p)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	inCode  = regexp.MustCompile("(?ms)^```.*?^```")
	at      = regexp.MustCompile("`([a-z0-9_/]+/[a-z0-9_]+\\.go) ([A-Za-z]+)`")
	target  = regexp.MustCompile("(?m)(?:`|^(?:\\$ )?)make ([a-z-]+)")
)

// TestLinks follows every relative link, with its heading where it names one.
func TestLinks(t *testing.T) {
	all, followed := pages(t), 0
	for page, text := range all {
		for _, l := range link.FindAllStringSubmatch(inCode.ReplaceAllString(text, ""), -1) {
			to, anchor, _ := strings.Cut(l[1], "#")
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			followed++
			file := page
			if to != "" {
				file = path.Join(path.Dir(page), to)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s leads nowhere", page, l[1])
			}
			if anchor != "" && !hasHeading(all[file], anchor) {
				t.Errorf("%s: %s names no heading", page, l[1])
			}
		}
	}
	if followed < 30 {
		t.Errorf("only %d links followed", followed)
	}
}

var noAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)

func hasHeading(text, anchor string) bool {
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

// TestReferencesToCode finds every `file.go name` of the pages in the source.
func TestReferencesToCode(t *testing.T) {
	checked := 0
	for page, text := range pages(t) {
		for _, r := range at.FindAllStringSubmatch(text, -1) {
			checked++
			code, err := os.ReadFile(r[1])
			declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type )` + r[2] + `\b`)
			if err != nil || !declared.Match(code) {
				t.Errorf("%s: there is no %s in %s", page, r[2], r[1])
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d references checked", checked)
	}
}

// TestMakeTargets finds every `make target` of the pages in the Makefile.
func TestMakeTargets(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for page, text := range pages(t) {
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
				t.Errorf("%s: there is no target %s", page, m[1])
			}
		}
	}
}

// TestCrashPointsAreTold holds the life of a record to the points in the code.
func TestCrashPointsAreTold(t *testing.T) {
	code, err := os.ReadFile("study/point.go")
	if err != nil {
		t.Fatal(err)
	}
	points := regexp.MustCompile(`(?m)^\tPoint\w+\s+= "([a-z_.]+)"`).FindAllStringSubmatch(string(code), -1)
	if len(points) < 10 {
		t.Fatalf("%d points found", len(points))
	}
	life := pages(t)["docs/life-of-a-record.md"]
	for _, p := range points {
		if !strings.Contains(life, "`"+p[1]+"`") {
			t.Errorf("docs/life-of-a-record.md does not say what happens at %s", p[1])
		}
	}
}
