// Package phivet finds code that would tell what a participant's record says: raw
// records in a log, an error, a panic or the label of a metric, and errors of
// parsers that quote their input.
//
// It follows values within a function, through conversions and what formats or
// cuts texts. What another function returns it takes for safe: the next one is
// checked by its own.
package phivet

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
)

// Analyzer is the check, for go vet and its tests.
var Analyzer = &analysis.Analyzer{
	Name:     "phivet",
	Doc:      "forbid raw records in logs, errors, panics and labels of metrics, and parsers' errors that quote their input",
	Requires: []*analysis.Analyzer{inspect.Analyzer},
	Run:      run,
}

const module = "longitude/"

// raw are the types that hold what a source said. Of those with a list, only these
// fields and methods do, and the value as a whole.
var raw = map[string][]string{
	module + "transform.Rows":      {"Cells", "Raw", "Row", "Columns", "Labels", "Unasked"},
	module + "study.Draft":         {"Identity", "Occurrence", "Facts", "Answers", "Private", "Raw"},
	module + "study.Record":        {"Occurrence", "Facts", "Answers"},
	module + "study.Rejection":     {"Raw"},
	module + "study.Fact":          {"Value"},
	module + "study.PrivateItem":   {"Text"},
	module + "connectors.Delivery": {"Name", "State"},
	module + "connectors.Whole":    {"Name"},
}

// landed are the packages that read what sources delivered: there, bytes are it.
var landed = []string{"transform", "connectors"}

// quoting are functions and methods whose errors quote what they were given.
var quoting = map[string][]string{
	"strconv":                  {"Atoi", "ParseInt", "ParseUint", "ParseFloat", "ParseBool", "ParseComplex", "Unquote", "UnquoteChar"},
	"time":                     {"Parse", "ParseInLocation", "ParseDuration"},
	"encoding/json":            {"Unmarshal", "Decode", "Token", "Indent", "Compact", "UnmarshalJSON"},
	"encoding/csv":             {"Read", "ReadAll"},
	"encoding/xml":             {"Unmarshal", "Decode", "DecodeElement", "Token", "RawToken"},
	"encoding/hex":             {"DecodeString", "Decode"},
	"net/url":                  {"Parse", "ParseRequestURI", "QueryUnescape", "PathUnescape", "ParseQuery"},
	"net/netip":                {"ParseAddr", "ParsePrefix"},
	"github.com/goccy/go-yaml": {"Unmarshal"},
}

// parses are the packages where such errors are about records: elsewhere they are
// about configuration and arguments, which may be told.
var parses = []string{"study", "transform", "connectors", "deid", "sinks", "pipeline"}

// passing are functions that give on what they are given.
var passing = []string{"fmt", "strings", "bytes", "slices", "errors", "strconv.Quote", "strconv.AppendQuote", "maps"}

type vet struct {
	pass   *analysis.Pass
	comes  map[types.Object][]ast.Expr // what a local variable is given, in the order of the text
	landed bool
	parses bool
}

func run(pass *analysis.Pass) (any, error) {
	within := func(rooms []string) bool {
		for _, room := range rooms {
			if path := pass.Pkg.Path(); path == module+room || strings.HasPrefix(path, module+room+"/") {
				return true
			}
		}
		return false
	}
	v := &vet{pass: pass, comes: map[types.Object][]ast.Expr{}, landed: within(landed), parses: within(parses)}
	files := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	files.Preorder([]ast.Node{(*ast.AssignStmt)(nil), (*ast.ValueSpec)(nil), (*ast.RangeStmt)(nil)}, v.learn)
	files.Preorder([]ast.Node{(*ast.CallExpr)(nil), (*ast.CompositeLit)(nil)}, v.check)
	return nil, nil
}

// learn notes where local variables come from.
func (v *vet) learn(n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for i, to := range n.Lhs {
			from := n.Rhs[0] // of a call with several results each comes from it
			if len(n.Lhs) == len(n.Rhs) {
				from = n.Rhs[i]
			}
			v.note(to, from)
		}
	case *ast.ValueSpec:
		for i, to := range n.Names {
			if len(n.Values) > 0 {
				v.note(to, n.Values[min(i, len(n.Values)-1)])
			}
		}
	case *ast.RangeStmt:
		if n.Value != nil {
			v.note(n.Value, n.X)
		}
	}
}

func (v *vet) note(to, from ast.Expr) {
	id, ok := to.(*ast.Ident)
	if !ok {
		return
	}
	if object := v.pass.TypesInfo.ObjectOf(id); object != nil && object.Parent() != v.pass.Pkg.Scope() {
		v.comes[object] = append(v.comes[object], from)
	}
}

// check looks at what is told.
func (v *vet) check(n ast.Node) {
	if strings.HasSuffix(v.pass.Fset.Position(n.Pos()).Filename, "_test.go") {
		return
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		if where := v.teller(n); where != "" {
			for _, told := range n.Args {
				v.told(told, where)
			}
		}
	case *ast.CompositeLit:
		if named(v.pass.TypesInfo.TypeOf(n)) != module+"study.Error" {
			return
		}
		for _, told := range n.Elts {
			if pair, ok := told.(*ast.KeyValueExpr); ok {
				told = pair.Value
			}
			v.told(told, "an error")
		}
	}
}

func (v *vet) told(e ast.Expr, where string) {
	if what := v.reason(e, nil); what != "" {
		v.pass.Reportf(e.Pos(), "%s must not be in %s", what, where)
	}
}

// teller is where a call tells its arguments; "" where it does not.
func (v *vet) teller(call *ast.CallExpr) string {
	name := v.called(call)
	pkg, function := split(name)
	switch {
	case pkg == "log/slog", pkg == "log":
		return "a log"
	case name == "fmt.Errorf", name == "errors.New", name == "errors.Join":
		return "an error"
	case name == "panic":
		return "a panic"
	case strings.HasPrefix(pkg, "github.com/prometheus/client_golang/prometheus") && strings.Contains(function, "With"):
		return "the label of a metric"
	case pkg == module+"internal/telemetry":
		return "a metric"
	}
	return ""
}

// called is the full name of the function that a call calls, without receiver:
// "strconv.Atoi", "panic"; "" for a conversion or what cannot be known.
func (v *vet) called(call *ast.CallExpr) string {
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if s, selects := ast.Unparen(call.Fun).(*ast.SelectorExpr); selects {
		id, ok = s.Sel, true
	}
	if !ok {
		return ""
	}
	switch f := v.pass.TypesInfo.Uses[id].(type) {
	case *types.Builtin:
		return f.Name()
	case *types.Func:
		if f.Pkg() != nil {
			return f.Pkg().Path() + "." + f.Name()
		}
	}
	return ""
}
