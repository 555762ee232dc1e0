package longitude

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/errors.md again")

const errorsIntroduction = `# Errors

Generated from the source (` + "`go test . -run ErrorCodes -update`" + `): every error that Longitude itself reports, by its stable code. On stderr an error is one line, with its place where it has one and its code at the end, and a second line that says what to do. The API answers the same as an RFC 9457 problem. Errors never contain a participant's data.

Below, … stands for what is known only when it happens: what was being done, the name of a source, a number, a file of a release.

Two things are not errors and not listed here. Mistakes in a configuration are findings: ` + "`longitude validate`" + ` shows all of them with file, line and column. Rows and values that cannot be accepted are quarantined: ` + "`longitude quarantine list`" + ` shows them with line and rule.

| code | what happened | what to do | package |
|---|---|---|---|
`

// TestErrorCodes keeps docs/errors.md what the source says.
func TestErrorCodes(t *testing.T) {
	var out bytes.Buffer
	out.WriteString(errorsIntroduction)
	for _, e := range errorsOf(t) {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", e.code, cell(e.ops), cell(e.hints), strings.Join(e.packages, ", "))
	}
	const file = "docs/errors.md"
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, out.Bytes()) {
		t.Error(file + " is not what the source says: run `go test . -run ErrorCodes -update`")
	}
}

func cell(texts []string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(strings.Join(texts, "<br>"))
}

var dotted = regexp.MustCompile(`^[a-z]+(\.[a-z][a-z0-9_]*)*$`)

// TestErrorsSayWhatToDo holds what study.Error promises, for every error.
func TestErrorsSayWhatToDo(t *testing.T) {
	all := errorsOf(t)
	if len(all) < 50 {
		t.Fatalf("%d error codes: the collector lost sight of the source", len(all))
	}
	for _, e := range all {
		switch {
		case !dotted.MatchString(e.code):
			t.Errorf("%q (%s) is no dotted code", e.code, e.packages)
		case len(e.ops) == 0:
			t.Errorf("%s (%s) does not say what happened", e.code, e.packages)
		case len(e.hints) == 0:
			t.Errorf("%s (%s) does not say what to do", e.code, e.packages)
		}
	}
}

// told is what the source says under one code.
type told struct {
	code                 string
	ops, hints, packages []string
}

// errorsOf collects every study.Error of the production code, by code.
func errorsOf(t *testing.T) []*told {
	t.Helper()
	packages, positions := map[string][]*ast.File{}, token.NewFileSet()
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		file, err := parser.ParseFile(positions, s.path, s.text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		packages[s.pkg] = append(packages[s.pkg], file)
	}
	shared := map[string]string{} // constants by package and name
	for name, files := range packages {
		readConstants(name, files, shared)
	}
	all := map[string]*told{}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		c := collector{pkg: name, constants: shared, found: func(at token.Pos, code, op, hint string) {
			if strings.Contains(code, unknown) || code == "" {
				t.Errorf("%s: the code of this error cannot be told", positions.Position(at))
				return
			}
			if all[code] == nil {
				all[code] = &told{code: code}
			}
			e := all[code]
			e.ops, e.hints, e.packages = with(e.ops, op), with(e.hints, hint), with(e.packages, name)
		}}
		c.collect(packages[name])
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *told) int { return strings.Compare(a.code, b.code) })
}

// with adds a text, once. A text of which nothing is known stands only alone.
func with(list []string, text string) []string {
	switch {
	case text == "", slices.Contains(list, text), text == unknown && len(list) > 0:
		return list
	case slices.Equal(list, []string{unknown}):
		return []string{text}
	}
	return append(list, text)
}

func readConstants(pkg string, files []*ast.File, into map[string]string) {
	for _, file := range files {
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for i := range min(len(v.Names), len(v.Values)) {
					if text := (&collector{}).text(v.Values[i]); text != unknown {
						into[pkg+"."+v.Names[i].Name] = text
					}
				}
			}
		}
	}
}

// collector finds the errors that one package makes.
type collector struct {
	pkg       string
	constants map[string]string
	found     func(at token.Pos, code, op, hint string)

	in     *function         // being looked at
	given  map[string]string // its arguments, while a call of it is looked at
	makers []maker
}

// function is a function, or a function literal that a variable holds.
type function struct {
	name   string
	params []string
	body   ast.Node
}

// maker is a function that takes the code of the error it makes as an argument.
type maker struct {
	function
	literal map[string]ast.Expr
}

func (c *collector) collect(files []*ast.File) {
	for _, file := range files {
		c.walk(file, c.visit)
	}
	for _, m := range c.makers {
		for _, file := range files {
			c.walk(file, func(n ast.Node) {
				if call, ok := n.(*ast.CallExpr); ok && called(call) == m.name && len(call.Args) == len(m.params) {
					c.call(call, m)
				}
			})
		}
	}
}

// walk visits every node of a file, with c.in set to the function around it.
func (c *collector) walk(file *ast.File, visit func(ast.Node)) {
	around := []*function{nil} // one for each open node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			around = around[:len(around)-1]
			return true
		}
		c.in = around[len(around)-1]
		switch n := n.(type) {
		case *ast.FuncDecl:
			c.in = &function{n.Name.Name, names(n.Type), n}
		case *ast.AssignStmt:
			if f, ok := n.Rhs[0].(*ast.FuncLit); ok && len(n.Lhs) == 1 {
				c.in = &function{c.name(n.Lhs[0]), names(f.Type), f.Body}
			}
		}
		around = append(around, c.in)
		visit(n)
		return true
	})
}

func names(f *ast.FuncType) (all []string) {
	for _, field := range f.Params.List {
		for _, name := range field.Names {
			all = append(all, name.Name)
		}
	}
	return all
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

func (c *collector) name(e ast.Expr) string {
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// call reports the error of a maker as one call of it makes it.
func (c *collector) call(call *ast.CallExpr, m maker) {
	given := map[string]string{}
	for i, p := range m.params {
		given[p] = c.text(call.Args[i])
	}
	c.given, c.in = given, &m.function
	c.found(call.Pos(), c.text(m.literal["Code"]), c.text(m.literal["Op"]), c.text(m.literal["Hint"]))
	c.given = nil
}

func (c *collector) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.CompositeLit:
		if literal := c.errorLiteral(n); literal["Code"] != nil {
			c.made(n.Pos(), literal)
		}
	case *ast.BlockStmt:
		c.assigned(n.List)
	case *ast.CaseClause:
		c.assigned(n.Body)
	}
}

// errorLiteral gives the fields of a study.Error literal; nil if n is none.
func (c *collector) errorLiteral(n *ast.CompositeLit) map[string]ast.Expr {
	typ, ok := n.Type.(*ast.SelectorExpr)
	if !ok || typ.Sel.Name != "Error" || c.name(typ.X) != "study" {
		return nil
	}
	fields := map[string]ast.Expr{}
	for _, e := range n.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			fields[c.name(kv.Key)] = kv.Value
		}
	}
	return fields
}

func (c *collector) made(at token.Pos, literal map[string]ast.Expr) {
	switch code := literal["Code"].(type) {
	case *ast.Ident:
		if c.in != nil && slices.Contains(c.in.params, code.Name) {
			c.makers = append(c.makers, maker{*c.in, literal})
			return
		}
	case *ast.SelectorExpr:
		if code.Sel.Name == "Code" {
			return // a copy of another error
		}
	}
	if hints := c.hintsLater(); literal["Hint"] == nil && len(hints) > 0 {
		for _, hint := range hints {
			c.found(at, c.text(literal["Code"]), c.text(literal["Op"]), c.text(hint))
		}
		return
	}
	c.found(at, c.text(literal["Code"]), c.text(literal["Op"]), c.text(literal["Hint"]))
}

// hintsLater are the hints that the function gives an error it has begun.
func (c *collector) hintsLater() (hints []ast.Expr) {
	if c.in == nil {
		return nil
	}
	ast.Inspect(c.in.body, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == 1 {
			if field, ok := a.Lhs[0].(*ast.SelectorExpr); ok && field.Sel.Name == "Hint" {
				hints = append(hints, a.Rhs[0])
			}
		}
		return true
	})
	return hints
}

// assigned reports the errors whose code is set by one of the statements, as in
//
//	e.Code, e.Temporary = "folder.missing", false
//	e.Hint = "create the folder"
//
// What they leave alone is as in the literal that the function began with.
func (c *collector) assigned(list []ast.Stmt) {
	set := map[string]ast.Expr{}
	var at token.Pos
	for _, s := range list {
		a, ok := s.(*ast.AssignStmt)
		if !ok || a.Tok != token.ASSIGN || len(a.Lhs) != len(a.Rhs) {
			continue
		}
		for i, to := range a.Lhs {
			if field, ok := to.(*ast.SelectorExpr); ok {
				set[field.Sel.Name] = a.Rhs[i]
				if _, literal := a.Rhs[i].(*ast.BasicLit); field.Sel.Name == "Code" && (literal || c.constant(a.Rhs[i]) != "") {
					at = a.Pos()
				}
			}
		}
	}
	if code := c.text(set["Code"]); at.IsValid() && dotted.MatchString(code) && strings.Contains(code, ".") {
		begun := c.begun()
		c.found(at, code, c.text(or(set["Op"], begun["Op"])), c.text(or(set["Hint"], begun["Hint"])))
	}
}

func or(e, otherwise ast.Expr) ast.Expr {
	if e == nil {
		return otherwise
	}
	return e
}

// begun is the first error literal of the function.
func (c *collector) begun() (literal map[string]ast.Expr) {
	ast.Inspect(c.in.body, func(n ast.Node) bool {
		if l, ok := n.(*ast.CompositeLit); ok && literal == nil {
			literal = c.errorLiteral(l)
		}
		return literal == nil
	})
	return literal
}

const unknown = "…"

var verb = regexp.MustCompile(`%[-+# 0-9.*\[\]]*[a-zA-Z]`)

// text is what is known of a text while nothing runs, with … for the rest.
func (c *collector) text(e ast.Expr) string {
	switch e := e.(type) {
	case nil:
		return ""
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.ParenExpr:
		return c.text(e.X)
	case *ast.BinaryExpr:
		return strings.ReplaceAll(c.text(e.X)+c.text(e.Y), unknown+unknown, unknown)
	case *ast.CallExpr:
		if called(e) == "Sprintf" {
			return verb.ReplaceAllString(c.text(e.Args[0]), unknown)
		}
	case *ast.Ident, *ast.SelectorExpr:
		if text := c.constant(e); text != "" {
			return text
		}
		return c.variable(c.name(e))
	}
	return unknown
}

// constant is the value of a constant of this or of another package.
func (c *collector) constant(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return c.constants[c.pkg+"."+e.Name]
	case *ast.SelectorExpr:
		for name, value := range c.constants {
			if strings.HasSuffix("/"+name, "/"+c.name(e.X)+"."+e.Sel.Name) {
				return value
			}
		}
	}
	return ""
}

// variable is an argument of the call being looked at, or the first text that
// the function gives the variable.
func (c *collector) variable(name string) string {
	if text, ok := c.given[name]; ok {
		return text
	}
	text := unknown
	if c.in == nil || name == "" {
		return text
	}
	ast.Inspect(c.in.body, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok || len(a.Lhs) != len(a.Rhs) {
			return true
		}
		for i, to := range a.Lhs {
			_, variable := a.Rhs[i].(*ast.Ident)
			switch {
			case c.name(to) != name || variable:
			case text == unknown:
				text = c.text(a.Rhs[i])
			case a.Tok == token.ADD_ASSIGN && !strings.HasSuffix(text, unknown):
				text += " " + unknown
			}
		}
		return true
	})
	return text
}
