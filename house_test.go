package longitude

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A room is a set of packages and what production code there may import of this
// module. "*" is one path element, "**" any number of them; the first room
// that matches a package holds. .golangci.yml says the same to the editor.
type room struct {
	packages string
	may      []string
	why      string
}

var house = []room{
	{"study", nil, "everyone speaks the vocabulary, so it depends on nobody"},
	{"connectors/all", []string{"connectors", "connectors/*"}, "the list of connectors"},
	{"transform/formats/all", []string{"study", "transform", "transform/formats/*"}, "the list of formats"},
	{"sinks/all", []string{"sinks", "sinks/*"}, "the list of sinks"},
	{"connectors", []string{"study"}, "fetching knows nothing of judging or storing"},
	{"transform", []string{"study"}, "judging is pure"},
	{"deid", []string{"study", "deid/risk"}, "the doors depend on nothing they could leak through"},
	{"deid/*", []string{"study"}, "the risk of a release is arithmetic over codes"},
	{"sinks", []string{"study", "deid"}, "a sink sees only what has passed a door"},
	{"pipeline", []string{"study", "connectors", "transform", "deid", "sinks"}, "the order of work knows no vendor and no storage"},
	{"connectors/*", []string{"study", "connectors", "internal/webclient", "internal/objectstore"}, "a connector never needs a sibling"},
	{"transform/formats/*", []string{"study", "transform", "internal/webclient", "internal/objectstore"}, "a format never needs a sibling"},
	{"sinks/*", []string{"study", "deid", "sinks", "internal/webclient", "internal/objectstore"}, "a sink never needs a sibling"},
	{"migrations", nil, "embedded SQL"},
	{"configs", nil, "embedded examples"},
	{"internal/**", []string{"study", "deid", "deid/*", "migrations", "internal/**"}, "what the rooms stand on never looks up at them"},
	{"cmd/**", []string{"**"}, "the only place where everything meets"},
	{"bench/**", []string{"**"}, "measures the whole"},
}

// homes are the only packages that may import a library.
var homes = map[string][]string{
	"github.com/apache/arrow/":    {"internal/columnar"},
	"github.com/parquet-go/":      {"internal/columnar"},
	"github.com/jackc/pgx/":       {"internal/postgres/**", "internal/localpg", "internal/jobs", "bench/**"},
	"github.com/pkg/sftp":         {"connectors/sftp", "internal/edctest/**"},
	"github.com/goccy/go-yaml":    {"internal/config"},
	"github.com/spf13/cobra":      {"cmd/**"},
	"github.com/tink-crypto/":     {"internal/keys", "internal/landing"},
	"github.com/danielgtaylor/":   {"internal/api"},
	"github.com/expr-lang/expr/":  {"transform"},
	"cloud.google.com/go/storage": {"connectors/gcs", "internal/objectstore"},
	"cloud.google.com/go/kms":     {"internal/keys"},
	"github.com/ProtonMail/":      {"connectors"},
	"filippo.io/age":              {"internal/people"},
	"github.com/sony/gobreaker/":  {"internal/webclient"},
}

// source is one Go file of the module, its path relative to the module.
type source struct {
	path, pkg string
	test      bool // a test file, or a package that exists for tests
	text      []byte
	syntax    *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(p, d.Name())
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		s := source{path: p, pkg: path.Dir(p), text: text, syntax: file}
		s.test = strings.HasSuffix(p, "_test.go") || forTests(s.pkg)
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// skip leaves out hidden folders, test data, and nested modules.
func skip(p, name string) error {
	if p != "." && strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(p, "go.mod")); p != "." && err == nil {
		return fs.SkipDir
	}
	return nil
}

// forTests reports whether pkg exists for tests, by its name: sinktest,
// connectortest, postgrestest. The servers of edctest serve the demo too.
func forTests(pkg string) bool {
	return strings.HasSuffix(pkg, "test") && pkg != "internal/edctest"
}

// matches reports whether pkg is one of the packages that pattern describes.
func matches(pattern, pkg string) bool {
	if below, ok := strings.CutSuffix(pattern, "**"); ok {
		return strings.HasPrefix(pkg+"/", below)
	}
	ok, err := path.Match(pattern, pkg)
	return err == nil && ok
}

func anyMatches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// verdict says what is wrong with an import by production code; "" is nothing.
func verdict(pkg, imported string) string {
	own, ours := strings.CutPrefix(imported, "longitude/")
	switch {
	case imported == "longitude":
		return "the map has no code"
	case ours && forTests(own):
		return "only tests import a package that exists for tests"
	case !ours:
		for library, at := range homes {
			if strings.HasPrefix(imported+"/", library) && !anyMatches(at, pkg) {
				return "only " + strings.Join(at, ", ") + " may import it"
			}
		}
		if pkg == "study" && strings.Contains(strings.Split(imported, "/")[0], ".") {
			return "study imports the standard library only"
		}
		return ""
	}
	for _, r := range house {
		if matches(r.packages, pkg) {
			if anyMatches(r.may, own) {
				return ""
			}
			return r.packages + " may import " + strings.Join(r.may, ", ") + ": " + r.why
		}
	}
	return "no room of the house is called " + pkg
}

func TestWhoMayImportWhom(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, spec := range s.syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := verdict(s.pkg, imported); why != "" {
				t.Errorf("%s imports %s: %s", s.path, imported, why)
			}
		}
	}
}

// TestTheRulesCanFail keeps the table honest: each line is a forbidden import.
func TestTheRulesCanFail(t *testing.T) {
	for _, c := range [][2]string{
		{"study", "longitude/deid"},
		{"study", "github.com/google/uuid"},
		{"connectors/sftp", "longitude/connectors/folder"},
		{"connectors/sftp", "longitude/internal/postgres"},
		{"sinks/local", "longitude/transform"},
		{"sinks/local", "longitude/pipeline"},
		{"pipeline", "longitude/internal/postgres"},
		{"pipeline", "longitude/connectors/sftp"},
		{"deid/risk", "longitude/deid"},
		{"internal/release", "longitude/pipeline"},
		{"internal/release", "longitude/transform"},
		{"internal/api", "longitude/cmd/longitude"},
		{"internal/release", "github.com/parquet-go/parquet-go"},
		{"cmd/longitude", "github.com/jackc/pgx/v5"},
		{"cmd/longitude", "longitude/internal/postgres/postgrestest"},
		{"attic", "longitude/study"},
	} {
		if verdict(c[0], c[1]) == "" {
			t.Errorf("%s may import %s, which the architecture forbids", c[0], c[1])
		}
	}
	for _, c := range [][2]string{
		{"connectors/sftp", "longitude/connectors"}, {"connectors/all", "longitude/connectors/sftp"},
		{"internal/postgres", "longitude/migrations"}, {"internal/release", "longitude/deid/risk"}, {"cmd/longitude", "longitude/internal/postgres"},
		{"internal/columnar", "github.com/apache/arrow/go/v17/arrow"}, {"study", "time"},
	} {
		if why := verdict(c[0], c[1]); why != "" {
			t.Errorf("%s may not import %s (%s), which the architecture allows", c[0], c[1], why)
		}
	}
}

func TestEveryFolderIsOnTheMap(t *testing.T) {
	known := strings.Fields("study connectors transform deid pipeline sinks migrations internal cmd configs docs deploy bench test")
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range known {
		if !strings.Contains(string(text), name+": ") {
			t.Errorf("doc.go does not say what %s is for", name)
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "bin" && !slices.Contains(known, e.Name()) {
			t.Errorf("%s is not a room of the house: put it where it belongs, or on the map in doc.go", e.Name())
		}
	}
}

func TestNamesSayWhatIsInside(t *testing.T) {
	vague := strings.Fields("util utils common helper helpers types misc shared")
	for _, s := range sources(t) {
		parts := append(strings.Split(s.pkg, "/"), s.syntax.Name.Name, strings.TrimSuffix(path.Base(s.path), ".go"))
		for _, part := range parts {
			if slices.Contains(vague, part) {
				t.Errorf("%s: %q says nothing", s.path, part)
			}
		}
	}
}

func TestFilesStaySmall(t *testing.T) {
	for _, s := range sources(t) {
		lines := bytes.Count(s.text, []byte("\n"))
		if !s.test && lines > 500 {
			t.Errorf("%s has %d lines; 500 are enough", s.path, lines)
		}
		if s.path == "cmd/longitude/main.go" && lines >= 40 {
			t.Errorf("%s has %d lines; main only starts the command line", s.path, lines)
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if !strings.HasSuffix(s.path, "_test.go") {
			documented[s.pkg] = documented[s.pkg] || s.syntax.Doc != nil
		}
	}
	for pkg, has := range documented {
		if !has {
			t.Errorf("package %s does not say what it is for", pkg)
		}
	}
}
