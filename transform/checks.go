package transform

import (
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"longitude/study"
)

// CheckExpr reports what is wrong with the expression of a cross-field check
// over the named fields, "" if nothing is. It knows names only; NewMapper also
// checks types.
func CheckExpr(fields []string, expression string) string {
	names := types.Map{}
	for _, f := range fields {
		names[f] = types.Any
	}
	_, problem := compileBool(names, expression)
	return problem
}

// check is a compiled cross-field check of one form.
type check struct {
	name     string
	severity study.Severity
	program  *vm.Program
	fields   []int // that it reads
	charted  bool  // it asks for letters or logMAR, which a reading off the chart does not have
}

// compileCheck compiles c over the fields of form. In an expression a number is
// a float, a choice, date, time or acuity its canonical text, choices a list of
// codes, and what is missing is null (or nil).
func compileCheck(form *study.Form, c study.Check) (check, string) {
	typed, names := types.Map{}, types.Map{}
	for _, f := range form.Fields {
		typed[f.Name], names[f.Name] = checkType(f.Type), types.Any
	}
	if _, problem := compileBool(typed, c.Expr); problem != "" {
		return check{}, problem
	}
	// What runs is compiled without types: typed code assumes that no value is null.
	program, problem := compileBool(names, c.Expr)
	if problem != "" {
		return check{}, problem
	}
	compiled := check{name: c.Name, severity: c.Severity, program: program}
	used := identifiersOf(program)
	compiled.charted = used["letters"] || used["logmar"]
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

// compileBool compiles an expression over names that is true or false. letters and
// logmar read an acuity: numbers, or null off the chart.
func compileBool(names types.Map, expression string) (*vm.Program, string) {
	options := []expr.Option{expr.AsBool()}
	for name, of := range acuityFunctions {
		if _, taken := names[name]; !taken { // a field of that name comes first
			options = append(options, expr.Function(name, of, new(func(any) any)))
		}
	}
	return compileExpr(names, expression, options...)
}

var acuityFunctions = map[string]func(...any) (any, error){
	"letters": func(args ...any) (any, error) {
		if n, ok := acuityOf(args[0]).Letters(); ok {
			return float64(n), nil
		}
		return nil, nil //nolint:nilnil // null
	},
	"logmar": func(args ...any) (any, error) {
		if v, ok := acuityOf(args[0]).LogMAR(); ok {
			return v, nil
		}
		return nil, nil //nolint:nilnil // null
	},
}

// acuityOf reads the canonical text of an acuity; anything else is none.
func acuityOf(value any) study.VisualAcuity {
	text, _ := value.(string)
	a, _ := study.ParseAcuity(text, "")
	return a
}

// identifiers collects the names an expression uses.
type identifiers map[string]bool

func identifiersOf(program *vm.Program) identifiers {
	used := identifiers{}
	node := program.Node()
	ast.Walk(&node, used)
	return used
}

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

// prepare makes k ready for the values of the next record.
func (k *checker) prepare() {
	if k.env == nil {
		k.env = map[string]any{}
		k.machine.MemoryBudget = maxExprMemory
	}
	clear(k.env)
}

// passes evaluates c over the canonical values of a record. A check that cannot
// be evaluated because a value it needs is missing passes; one that cannot be
// evaluated for another reason does not.
func (k *checker) passes(c *check, form *study.Form, values [][]byte) bool {
	k.prepare()
	missing := false
	for _, i := range c.fields {
		f := &form.Fields[i]
		k.env[f.Name] = checkValue(f.Type, values[i])
		missing = missing || values[i] == nil || c.charted && f.Type == study.Acuity && !onChart(k.env[f.Name])
	}
	return k.holds(c.program, missing)
}

// holds evaluates a program over the values set. missing says that one of them is
// not there.
func (k *checker) holds(program *vm.Program, missing bool) bool {
	result, err := k.machine.Run(program, k.env)
	if err != nil {
		return missing
	}
	holds, ok := result.(bool)
	return holds || !ok && missing
}

func onChart(acuity any) bool {
	_, ok := acuityOf(acuity).Letters()
	return ok
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
