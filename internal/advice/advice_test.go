package advice

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"longitude/study"
)

var update = flag.Bool("update", false, "write docs/rules.md again")

const introduction = "# Rules of quarantine\n\n" +
	"Generated (`go test ./internal/advice -update`): every rule by which a row, a record or a whole object is refused, what it means and how it is mended. " +
	"`longitude quarantine show ID` says the same of one row. Nothing that is refused is lost: its bytes are kept, sealed, until it is replayed or waived.\n\n" +
	"After a fix of the configuration: `longitude quarantine replay`. After a fix at the source nothing: the corrected file is read when it comes, and what was refused of the one before is settled by it.\n"

// TestPage keeps docs/rules.md what the table says.
func TestPage(t *testing.T) {
	var out bytes.Buffer
	out.WriteString(introduction)
	for _, part := range []struct {
		title string
		rules []Rule
	}{{"A row cannot be read", ofRows}, {"A value or a record is refused", ofFields}, {"A whole object is put aside", ofObjects}} {
		fmt.Fprintf(&out, "\n## %s\n\n| rule | it means | what to do |\n|---|---|---|\n", part.title)
		for _, r := range part.rules {
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", r.Name, r.Meaning, r.Fix)
		}
	}
	const page = "../../docs/rules.md"
	if *update {
		if err := os.WriteFile(page, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, out.Bytes()) {
		t.Error("docs/rules.md is not what the table says: run `go test ./internal/advice -update`")
	}
}

// Every rule that the source can refuse by is explained, and no other.
func TestEveryRuleIsExplained(t *testing.T) {
	known := rulesOf(t)
	if len(known) < 40 {
		t.Fatalf("%d rules found: the collector lost sight of the source", len(known))
	}
	listed := map[string]bool{}
	for _, r := range All() {
		if listed[r.Name] {
			t.Errorf("%s is listed twice", r.Name)
		}
		listed[r.Name] = true
		if r.Meaning == "" || r.Fix == "" {
			t.Errorf("%s is listed without words", r.Name)
		}
		if !known[r.Name] {
			t.Errorf("%s is listed, and nothing refuses by it", r.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !listed[name] {
			t.Errorf("%s refuses, and is not listed", name)
		}
	}
	if Of("acuity_invalid").Fix == "" || Of("of another day").Meaning == "" {
		t.Error("a rule is without words")
	}
}

var ruleName = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

// rulesOf reads the rules off the source: what is called rule, what a row fails
// by, and what a helper that finds fault with text answers.
func rulesOf(t *testing.T) map[string]bool {
	t.Helper()
	rules := map[string]bool{study.VisitOutOfWindow: true, study.PlannedOutOfWindow: true, study.EditedAfterLock: true}
	for _, kind := range []study.DriftKind{study.NewColumn, study.MissingColumn, study.TypeChange, study.DialectChange, study.HeaderUnknown} {
		rules["drift_"+string(kind)] = true
	}
	note := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if name, err := strconv.Unquote(lit.Value); err == nil && ruleName.MatchString(name) {
				rules[name] = true
			}
		}
	}
	for _, root := range []string{"../../transform", "../../deid", "../../pipeline"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "formattest") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err == nil {
				ast.Inspect(file, func(n ast.Node) bool { collect(n, note); return true })
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return rules
}

func isRule(name string) bool {
	return strings.HasPrefix(name, "rule") || strings.HasPrefix(name, "Rule") || strings.HasPrefix(name, "Identity") || name == "textUnknown"
}

func collect(n ast.Node, note func(ast.Expr)) {
	switch n := n.(type) {
	case *ast.ValueSpec: // const ruleX = "x"
		for i, name := range n.Names {
			if i < len(n.Values) && isRule(name.Name) {
				note(n.Values[i])
			}
		}
	case *ast.AssignStmt: // rule = "x", row.rule = "x"
		for i, left := range n.Lhs {
			name := ""
			switch left := left.(type) {
			case *ast.Ident:
				name = left.Name
			case *ast.SelectorExpr:
				name = left.Sel.Name
			}
			if i < len(n.Rhs) && isRule(name) {
				note(n.Rhs[i])
			}
		}
	case *ast.CallExpr: // row.fail("x")
		if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "fail" && len(n.Args) == 1 {
			note(n.Args[0])
		}
	case *ast.FuncDecl: // func (…) (…, rule string) and func textRule(…) string
		if n.Body != nil && answersRule(n) {
			ast.Inspect(n.Body, func(m ast.Node) bool {
				if r, ok := m.(*ast.ReturnStmt); ok && len(r.Results) > 0 {
					note(r.Results[len(r.Results)-1])
				}
				return true
			})
		}
	}
}

// answersRule reports whether a function's last result is a rule: by its name, or
// because one of its returns says so.
func answersRule(f *ast.FuncDecl) bool {
	if f.Type.Results == nil {
		return false
	}
	last := f.Type.Results.List[len(f.Type.Results.List)-1]
	if len(last.Names) > 0 && isRule(last.Names[len(last.Names)-1].Name) {
		return true
	}
	found := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > 0 {
			name, ok := r.Results[len(r.Results)-1].(*ast.Ident)
			found = found || ok && isRule(name.Name)
		}
		return true
	})
	return found
}
