package phivet

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// reason says why an expression must not be told; "" where it may.
func (v *vet) reason(e ast.Expr, seen []types.Object) string {
	e = ast.Unparen(e)
	if s, ok := e.(*ast.SelectorExpr); ok {
		if why, of := v.selected(s); of {
			return why
		}
	}
	if name := named(elementOf(v.typeOf(e))); raw[name] != nil {
		return strings.TrimPrefix(name, module)
	}
	if why := v.made(e, seen); why != "" {
		return why
	}
	if v.landed && v.bytes(e) {
		return "bytes as landed"
	}
	return ""
}

// made judges an expression by what it is made of.
func (v *vet) made(e ast.Expr, seen []types.Object) string {
	switch e := e.(type) {
	case *ast.Ident:
		return v.variable(e, seen)
	case *ast.SelectorExpr:
		return v.reason(e.X, seen)
	case *ast.IndexExpr:
		return v.reason(e.X, seen)
	case *ast.SliceExpr:
		return v.reason(e.X, seen)
	case *ast.StarExpr:
		return v.reason(e.X, seen)
	case *ast.UnaryExpr:
		return v.reason(e.X, seen)
	case *ast.BinaryExpr:
		if !v.isText(e) {
			return "" // numbers and comparisons
		}
		return v.first([]ast.Expr{e.X, e.Y}, seen)
	case *ast.KeyValueExpr:
		return v.reason(e.Value, seen)
	case *ast.CompositeLit:
		return v.first(e.Elts, seen)
	case *ast.CallExpr:
		return v.result(e, seen)
	}
	return ""
}

func (v *vet) first(all []ast.Expr, seen []types.Object) string {
	for _, e := range all {
		if why := v.reason(e, seen); why != "" {
			return why
		}
	}
	return ""
}

// selected judges a field or method of a raw type, or of a package: of says that
// nothing else needs to be looked at.
func (v *vet) selected(s *ast.SelectorExpr) (why string, of bool) {
	owner := named(v.pass.TypesInfo.TypeOf(s.X))
	fields, ok := raw[owner]
	if !ok {
		return "", false
	}
	if slices.Contains(fields, s.Sel.Name) {
		return strings.TrimPrefix(owner, module) + "." + s.Sel.Name, true
	}
	return "", true
}

func (v *vet) typeOf(e ast.Expr) types.Type {
	if t := v.pass.TypesInfo.TypeOf(e); t != nil {
		return t
	}
	return types.Typ[types.Invalid]
}

// bytes reports whether an expression is bytes, or many of them, whose number is
// not fixed as a digest's is.
func (v *vet) bytes(e ast.Expr) bool {
	t := v.typeOf(e)
	inner, ok := elementOf(t).Underlying().(*types.Basic)
	return ok && inner.Kind() == types.Byte && elementOf(t) != t && !fixed(t) && !v.pass.TypesInfo.Types[e].IsType()
}

// fixed reports whether t is an array: a digest, not a text.
func fixed(t types.Type) bool {
	_, ok := t.Underlying().(*types.Array)
	return ok
}

// elementOf is what slices, arrays, pointers and maps of a type hold.
func elementOf(t types.Type) types.Type {
	for {
		switch u := t.Underlying().(type) {
		case *types.Slice:
			t = u.Elem()
		case *types.Array:
			t = u.Elem()
		case *types.Pointer:
			t = u.Elem()
		case *types.Map:
			t = u.Elem()
		default:
			return t
		}
	}
}

// named is the full name of a type, or of what it points to.
func named(t types.Type) string {
	if t == nil {
		return ""
	}
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := types.Unalias(t).(*types.Named); ok && n.Obj().Pkg() != nil {
		return n.Obj().Pkg().Path() + "." + n.Obj().Name()
	}
	return ""
}

// variable judges a variable by what it was given: an error by what it was given
// last before here, since err is used for one after the other.
func (v *vet) variable(id *ast.Ident, seen []types.Object) string {
	object := v.pass.TypesInfo.Uses[id]
	if object == nil || slices.Contains(seen, object) {
		return ""
	}
	seen = append(slices.Clone(seen), object)
	given := v.comes[object]
	if _, basic := object.Type().Underlying().(*types.Basic); basic && !v.isText(id) {
		return ""
	}
	if isError(object.Type()) {
		before := slices.DeleteFunc(slices.Clone(given), func(e ast.Expr) bool { return e.Pos() >= id.Pos() })
		given = before[max(0, len(before)-1):]
	}
	return v.first(given, seen)
}

func (v *vet) isText(e ast.Expr) bool {
	basic, ok := v.typeOf(e).Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsString != 0
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// result judges what a call gives: a conversion and functions that pass on what
// they were given by that, a parser's by its error.
func (v *vet) result(call *ast.CallExpr, seen []types.Object) string {
	if v.pass.TypesInfo.Types[call.Fun].IsType() {
		return v.first(call.Args, seen)
	}
	name := v.called(call)
	pkg, function := split(name)
	if v.parses && slices.Contains(quoting[pkg], function) {
		return "an error of " + pkg + ", which quotes its input,"
	}
	if method, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
		if why, of := v.selected(method); of {
			return why
		}
		if slices.Contains([]string{"Error", "String", "Bytes", "Unwrap"}, method.Sel.Name) {
			return v.reason(method.X, seen)
		}
	}
	if name == "append" || slices.Contains(passing, pkg) || slices.Contains(passing, name) {
		if _, basic := v.typeOf(call).Underlying().(*types.Basic); basic && !v.isText(call) {
			return "" // a number, or whether something holds
		}
		return v.first(call.Args, seen)
	}
	return ""
}

func split(name string) (pkg, function string) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}
