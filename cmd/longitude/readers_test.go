//go:build unix

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// readers are programs of other people that read releases.
var readers = []string{"duckdb==1.5.6", "pandas==3.1.1", "pyarrow==26.0.1", "frictionless==5.21.0"}

//go:embed testdata/readers.py
var readerScript string

// python is an interpreter with those readers, installed into a cache of its own, once.
func python(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	home := filepath.Join(cache, "longitude-readers", strings.NewReplacer("==", "-").Replace(strings.Join(readers, "_")))
	interpreter := filepath.Join(home, "bin", "python")
	if exec.CommandContext(t.Context(), interpreter, "-c", "import duckdb, pandas, pyarrow, frictionless").Run() == nil {
		return interpreter
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for _, args := range [][]string{{"python3", "-m", "venv", home}, append([]string{interpreter, "-m", "pip", "install", "--quiet"}, readers...)} {
		if err := exec.CommandContext(ctx, args[0], args[1:]...).Run(); err != nil {
			t.Skip("Python, or the packages of the readers, cannot be had here")
		}
	}
	return interpreter
}

// demoRelease is the second release of a small demo, and the folder of the demo.
func demoRelease(t *testing.T) (release, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "demo")
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--dir", dir, "--participants", "60", "--quiet"}, &out, &errOut); code != study.ExitOK {
		t.Fatalf("demo: exit %d\n%s", code, errOut.String())
	}
	return filepath.Join(dir, ".longitude", "releases", "amd-obs-01", "amd_obs_01_r002"), dir
}

// Readers of other people find in a release what the manifest says, and the programs
// that come with it run as they are.
func TestReadersOfOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo starts a database and an SFTP server")
	}
	interpreter := python(t)
	release, _ := demoRelease(t)
	pinned := append(os.Environ(), "LONGITUDE_RELEASE="+release)
	runs := func(name, dir string, input string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), interpreter, args...)
		cmd.Env, cmd.Dir, cmd.Stdin = pinned, dir, strings.NewReader(input)
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		return string(text)
	}
	t.Log(runs("the readers", t.TempDir(), readerScript, "-"))
	if said := runs("quickstart.py", t.TempDir(), "", filepath.Join(release, "starters", "quickstart.py")); !strings.Contains(said, "amd_obs_01_r002, version 1.1.0:") || !strings.Contains(said, "Mean change from baseline") {
		t.Errorf("the quick start says\n%s", said)
	}
	var notebook struct {
		Cells []struct {
			Type   string `json:"cell_type"`
			Source string
		}
	}
	text, err := os.ReadFile(filepath.Join(release, "starters", "quickstart.ipynb"))
	if err == nil {
		err = json.Unmarshal(text, &notebook)
	}
	if err != nil || len(notebook.Cells) < 4 || notebook.Cells[0].Type != "markdown" {
		t.Fatalf("the notebook: %v, %d cells", err, len(notebook.Cells))
	}
	var cells []string
	for _, c := range notebook.Cells[1:] {
		cells = append(cells, c.Source)
	}
	runs("the notebook's cells", filepath.Join(release, "starters"), strings.Join(cells, "\n"), "-")
	runs("queries.sql", release, "import duckdb\nduckdb.execute(open('starters/queries.sql').read())\n", "-")
}

// The page that verifies by hand accepts a release and refuses one that was changed.
func TestVerifyByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo starts a database and an SFTP server")
	}
	for _, tool := range []string{"sh", "jq", "openssl", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	page, err := os.ReadFile("../../docs/verify-by-hand.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 3 {
		t.Fatalf("the page has %d programs", len(blocks))
	}
	release, dir := demoRelease(t)
	script := blocks[1][1] + blocks[2][1]
	verify := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh")
		cmd.Env = append(os.Environ(), "RELEASE="+release, "POLICY="+policyFile(filepath.Join(dir, ".longitude"), "amd-obs-01"))
		cmd.Stdin = strings.NewReader(script)
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	if text, err := verify(); err != nil || !strings.Contains(text, "sound: amd_obs_01_r002, signed by 1") || !strings.Contains(text, `"release_id": "amd_obs_01_r001"`) {
		t.Fatalf("a sound release: %v\n%s", err, text)
	}
	for name, tamper := range map[string]func(t *testing.T){
		"a byte of a table": func(t *testing.T) { flipByte(t, filepath.Join(release, "data/visits/part-00000.parquet")) },
		"the envelope":      func(t *testing.T) { flipByte(t, filepath.Join(release, "release.dsse.json")) },
		"a file more": func(t *testing.T) {
			path := filepath.Join(release, "extra.csv")
			if err := os.WriteFile(path, []byte("a,b\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Remove(path) })
		},
		"a file less": func(t *testing.T) {
			path := filepath.Join(release, "README.md")
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Rename(path+".away", path) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			tamper(t)
			if text, err := verify(); err == nil {
				t.Errorf("it is called sound:\n%s", text)
			}
		})
	}
	if text, err := verify(); err != nil {
		t.Errorf("undone: %v\n%s", err, text)
	}
}

// flipByte changes a byte in the middle of a file for the time of the test.
func flipByte(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(content)
	changed[len(changed)/2] ^= 1
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(path, content, 0o600) })
}
