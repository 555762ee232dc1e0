package transform

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"longitude/study"
)

// The limits of a cross-field check: nodes of its tree, characters of its text,
// and memory units of one evaluation.
const (
	maxCheckNodes  = 200
	maxCheckText   = 2000
	maxCheckMemory = 10_000
)

// CheckExpr reports what is wrong with the expression of a cross-field check
// over the named fields, "" if nothing is. It knows names only; NewMapper also
// checks types.
func CheckExpr(fields []string, expression string) string {
	names := types.Map{}
	for _, f := range fields {
		names[f] = types.Any
	}
	_, problem := compileExpr(names, expression)
	return problem
}

// check is a compiled cross-field check of one form.
type check struct {
	name     string
	severity study.Severity
	program  *vm.Program
	fields   []int // that it reads
}

// compileCheck compiles c over the fields of form. In an expression a number is
// a float, a choice, date, time or acuity its canonical text, choices a list of
// codes, and what is missing is null (or nil).
func compileCheck(form *study.Form, c study.Check) (check, string) {
	typed, names := types.Map{}, types.Map{}
	for _, f := range form.Fields {
		typed[f.Name], names[f.Name] = checkType(f.Type), types.Any
	}
	if _, problem := compileExpr(typed, c.Expr); problem != "" {
		return check{}, problem
	}
	// What runs is compiled without types: typed code assumes that no value is null.
	program, problem := compileExpr(names, c.Expr)
	if problem != "" {
		return check{}, problem
	}
	compiled := check{name: c.Name, severity: c.Severity, program: program}
	used := identifiers{}
	node := program.Node()
	ast.Walk(&node, used)
	for i := range form.Fields {
		if used[form.Fields[i].Name] {
			compiled.fields = append(compiled.fields, i)
		}
	}
	return compiled, ""
}

func checkType(t study.FieldType) types.Type {
	switch t {
	case study.Integer, study.Decimal:
		return types.Float
	case study.Boolean:
		return types.Bool
	case study.Choices:
		return types.Array(types.String)
	}
	return types.String
}

func compileExpr(names types.Map, expression string) (*vm.Program, string) {
	if len(expression) > maxCheckText {
		return nil, fmt.Sprintf("the expression is longer than %d characters", maxCheckText)
	}
	names["null"] = types.Nil
	program, err := expr.Compile(expression, expr.Env(names), expr.AsBool(),
		expr.MaxNodes(maxCheckNodes), expr.DisableBuiltin("now"))
	if err == nil {
		return program, ""
	}
	var e *file.Error
	if errors.As(err, &e) {
		return nil, fmt.Sprintf("%s (column %d of the expression)", e.Message, e.Column+1)
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return nil, first
}

// identifiers collects the names an expression uses.
type identifiers map[string]bool

func (ids identifiers) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.IdentifierNode); ok {
		ids[n.Value] = true
	}
}

// checker evaluates the checks of records, one after the other.
type checker struct {
	machine vm.VM
	env     map[string]any
}

// passes evaluates c over the canonical values of a record. A check that cannot
// be evaluated because a value it needs is missing passes; one that cannot be
// evaluated for another reason does not.
func (k *checker) passes(c *check, form *study.Form, values [][]byte) bool {
	if k.env == nil {
		k.env = map[string]any{}
		k.machine.MemoryBudget = maxCheckMemory
	}
	clear(k.env)
	missing := false
	for _, i := range c.fields {
		f := &form.Fields[i]
		k.env[f.Name] = checkValue(f.Type, values[i])
		missing = missing || values[i] == nil
	}
	result, err := k.machine.Run(c.program, k.env)
	if err != nil {
		return missing
	}
	holds, ok := result.(bool)
	return holds || !ok && missing
}

func checkValue(t study.FieldType, value []byte) any {
	if value == nil {
		return nil
	}
	switch s := string(value); t {
	case study.Integer, study.Decimal:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil
		}
		return f
	case study.Boolean:
		return s == "true"
	case study.Choices:
		return strings.Split(s, ",")
	default:
		return s
	}
}
