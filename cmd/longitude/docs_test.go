package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocumentedCommands parses every `longitude …` that the documentation shows
// against the command line as it is: command, arguments and flags must exist.
func TestDocumentedCommands(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range documentedCommands(t) {
		name, err := parse(shellWords(c.line), c.mention)
		if err != nil {
			t.Errorf("%s: `longitude %s`: %v", c.page, c.line, err)
		}
		seen[name] = true
	}
	for _, name := range []string{"validate", "check", "preview", "sync", "serve", "status", "list", "timeline", "build", "verify", "migrate"} {
		if !seen[name] {
			t.Errorf("no page shows longitude … %s", name)
		}
	}
}

func TestDocumentedCommandsCanFail(t *testing.T) {
	for _, line := range []string{"snyc", "sync --sinec x", "release", "release verify", "release build a b", "status x", "participant timeline"} {
		if _, err := parse(shellWords(line), false); err == nil {
			t.Errorf("`longitude %s` passes", line)
		}
	}
}

// parse finds the command that words name, without running it. A mention need
// not have its arguments.
func parse(words []string, mention bool) (name string, err error) {
	root := (&app{out: io.Discard, err: io.Discard}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	cmd, rest, err := root.Find(words)
	if err != nil || cmd == root && len(words) == 0 {
		return "", err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return cmd.Name(), err
	}
	if !cmd.Runnable() {
		return cmd.Name(), &unfinished{cmd}
	}
	if help, _ := cmd.Flags().GetBool("help"); help || mention {
		return cmd.Name(), nil
	}
	return cmd.Name(), cmd.ValidateArgs(cmd.Flags().Args())
}

type unfinished struct{ cmd *cobra.Command }

func (u *unfinished) Error() string { return u.cmd.Name() + " needs a verb" }

var (
	fence  = regexp.MustCompile("(?ms)^```(?:sh|console)\n(.*?)^```")
	inline = regexp.MustCompile("`longitude ([^`]+)`")
	word   = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
	call   = regexp.MustCompile(`(?m)(?:^|[\s($])longitude ([^\n]*)`)
)

// documented is one longitude command line on a page: in a shell block, where it
// may stand inside another command, or mentioned in running text.
type documented struct {
	page, line string // the line without the program's name
	mention    bool
}

// documentedCommands are those of README.md, docs/ and the pages beside the code.
func documentedCommands(t *testing.T) (found []documented) {
	t.Helper()
	for _, file := range pages(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
			prompt := strings.Contains(block[1], "\n$ ") || strings.HasPrefix(block[1], "$ ")
			for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
				if prompt && !strings.HasPrefix(line, "$ ") {
					continue // output
				}
				if c := call.FindStringSubmatch(line); c != nil {
					found = append(found, documented{file, c[1], false})
				}
			}
		}
		for _, c := range inline.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
			found = append(found, documented{file, c[1], true})
		}
	}
	if len(found) < 30 {
		t.Fatalf("only %d commands found", len(found))
	}
	return found
}

// pages are the Markdown files of the repository.
func pages(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "../.." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if err == nil && filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// shellWords splits a call into words up to where the shell ends it. A list of
// alternatives (a|b) does not occur in the pages: they show what can be typed.
func shellWords(line string) []string {
	words := word.FindAllString(line, -1)
	end := slices.IndexFunc(words, func(w string) bool {
		return strings.HasPrefix(w, "#") || slices.Contains([]string{"|", "||", "&&", ";", ">", "2>", "…"}, w)
	})
	if end >= 0 {
		words = words[:end]
	}
	for i := range words {
		words[i] = strings.Trim(words[i], `"')`)
	}
	return words
}
