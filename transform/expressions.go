package transform

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"golang.org/x/text/unicode/norm"
)

// The limits of an expression: nodes of its tree, characters of its text, and
// memory units of one evaluation.
const (
	maxExprNodes  = 200
	maxExprText   = 2000
	maxExprMemory = 10_000
)

// compileExpr compiles an expression over names. Nothing in it may depend on
// when or where it is evaluated.
func compileExpr(names types.Map, expression string, options ...expr.Option) (*vm.Program, string) {
	if len(expression) > maxExprText {
		return nil, fmt.Sprintf("the expression is longer than %d characters", maxExprText)
	}
	names["null"] = types.Nil
	options = append(options, expr.Env(names), expr.MaxNodes(maxExprNodes))
	for _, name := range []string{"now", "timezone", "keys", "values", "toPairs"} { // the last three are in no order
		options = append(options, expr.DisableBuiltin(name))
	}
	program, err := expr.Compile(expression, options...)
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

// CheckPick reports what is wrong with the expression of a pick, "" if nothing
// is. It knows no columns: those are looked for in each object.
func CheckPick(expression string) string {
	_, problem := newExpression(expression, '.')
	return problem
}

// expression computes a value from the cells of a row: col("NAME") is the text of
// a column, or null where there is none, and num(x) the number that a text is.
// num of a text that is no number, and arithmetic with null, cannot be evaluated.
type expression struct {
	program *vm.Program
	machine vm.VM
	mark    byte // decimal mark of the source
	columns []string
	index   []int // of each column in the object; absent where it has none
	row     [][]byte

	text   []byte // of the row evaluated last; nil = null
	failed bool   // it could not be evaluated
}

// emptyEnv is what expressions of picks know beside their functions.
var emptyEnv = map[string]any{}

func newExpression(text string, mark byte) (*expression, string) {
	x := &expression{mark: mark}
	x.machine.MemoryBudget = maxExprMemory
	program, problem := compileExpr(types.Map{}, text,
		expr.Function("col", x.cell, new(func(string) any)), expr.Function("num", x.number, new(func(any) any)))
	if problem != "" {
		return nil, problem
	}
	calls := columnCalls{}
	node := program.Node()
	ast.Walk(&node, &calls)
	if calls.computed {
		return nil, `col takes the name of a column in quotes: col("NAME")`
	}
	x.program, x.columns = program, calls.names
	x.index = make([]int, len(x.columns))
	return x, ""
}

// columnCalls collects the columns that an expression names.
type columnCalls struct {
	names    []string
	computed bool // the name of one is not written in it
}

func (c *columnCalls) Visit(node *ast.Node) {
	call, ok := (*node).(*ast.CallNode)
	if !ok {
		return
	}
	if callee, ok := call.Callee.(*ast.IdentifierNode); !ok || callee.Value != "col" || len(call.Arguments) != 1 {
		return
	}
	name, ok := call.Arguments[0].(*ast.StringNode)
	if !ok {
		c.computed = true
		return
	}
	if !slices.Contains(c.names, name.Value) {
		c.names = append(c.names, name.Value)
	}
}

// Errors of the functions: the row's rule says what happened, and a cell must not
// show in a text.
var (
	errNoColumn = errors.New("not a column of the expression")
	errNoNumber = errors.New("not a number")
)

func (x *expression) cell(args ...any) (any, error) {
	i := slices.Index(x.columns, args[0].(string))
	if i < 0 {
		return nil, errNoColumn
	}
	if x.index[i] == absent || len(x.row[x.index[i]]) == 0 {
		return nil, nil //nolint:nilnil // null is what the expression sees
	}
	return norm.NFC.String(string(x.row[x.index[i]])), nil
}

func (x *expression) number(args ...any) (any, error) {
	switch v := args[0].(type) {
	case nil, int, float64:
		return v, nil
	case string:
		canonical, _, _, ok := appendNumber(nil, []byte(v), x.mark)
		if !ok {
			return nil, errNoNumber
		}
		f, err := strconv.ParseFloat(string(canonical), 64)
		return f, err
	}
	return nil, errNoNumber
}

// evaluate computes the value for a row.
func (x *expression) evaluate(row [][]byte) {
	x.row = row
	result, err := x.machine.Run(x.program, emptyEnv)
	x.row, x.text, x.failed = nil, nil, err != nil
	if err == nil {
		x.text, x.failed = x.canonical(result)
	}
}

// canonical writes a result as a cell would hold it. Numbers are plain decimals
// of 15 digits, as many as survive the way into binary and back: 0.1 + 0.2 is 0.3.
func (x *expression) canonical(result any) (text []byte, failed bool) {
	switch v := result.(type) {
	case nil:
		return nil, false
	case string:
		return []byte(v), false
	case bool:
		return strconv.AppendBool(nil, v), false
	case int:
		return strconv.AppendInt(nil, int64(v), 10), false
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, true
		}
		rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 14, 64), 64)
		plain := strconv.FormatFloat(rounded, 'f', -1, 64)
		return []byte(strings.Replace(plain, ".", string(x.mark), 1)), err != nil
	}
	return nil, true
}
