package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// The library's own decoder stops at the first mistake and loses the places of
// values. This one walks the parsed document once, reports every mistake and
// remembers where each value stood, so that later checks can point at it.

// decoded is a value that reads itself, such as one with a short and a long form.
type decoded interface {
	decode(d *document, path string, n ast.Node)
}

// secret is a value that must be a reference; connectors.Secret is one.
type secret interface {
	SetReference(resolve func() (string, error))
}

// pairs is a mapping whose order is meant.
type pairs[T any] []pair[T]

type pair[T any] struct {
	Key   string
	Value T
}

func (p *pairs[T]) decode(d *document, path string, n ast.Node) {
	for _, e := range d.entries(path, n) {
		var v T
		d.into(e.path, e.value, reflect.ValueOf(&v).Elem())
		*p = append(*p, pair[T]{e.key, v})
	}
}

var durationType = reflect.TypeFor[time.Duration]()

// into decodes n, the value at path, into v and reports what does not fit.
func (d *document) into(path string, n ast.Node, v reflect.Value) {
	if _, known := d.places[path]; !known {
		d.places[path] = d.at(n)
	}
	if v.CanAddr() {
		switch x := v.Addr().Interface().(type) {
		case decoded:
			x.decode(d, path, n)
			return
		case secret:
			d.secret(path, n, x)
			return
		}
	}
	switch {
	case v.Type() == durationType:
		if text, ok := d.text(path, n, "a duration such as 30s"); ok {
			v.SetInt(int64(d.duration(path, text)))
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.into(path, n, v.Elem())
	case v.Kind() == reflect.Struct:
		d.fields(path, d.entries(path, n), v)
	case v.Kind() == reflect.Slice:
		d.items(path, n, v)
	case v.Kind() == reflect.Map:
		d.mapping(path, n, v)
	default:
		d.scalar(path, n, v)
	}
}

// fields decodes a mapping into a struct by its yaml tags.
func (d *document) fields(path string, entries []entry, v reflect.Value) {
	known := make([]string, v.NumField())
	for i := range known {
		known[i], _, _ = strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
	}
	for _, e := range entries {
		if i := slices.Index(known, e.key); i >= 0 {
			d.into(e.path, e.value, v.Field(i))
			continue
		}
		if i := slices.Index(known, nearest(e.key, known)); i >= 0 && v.Field(i).CanAddr() {
			if _, is := v.Field(i).Addr().Interface().(secret); is {
				d.mask(e.at.line, e.value) // a literal under a mistyped name
			}
		}
		d.find(Error, e.at, "config.unknown_key", fmt.Sprintf("unknown key %q%s", e.key, inside(path)), didYouMean(e.key, known))
	}
}

func (d *document) items(path string, n ast.Node, v reflect.Value) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrongType(path, n, "a list")
		return
	}
	for i, item := range list.Values {
		element := reflect.New(v.Type().Elem()).Elem()
		d.into(fmt.Sprintf("%s[%d]", path, i), item, element)
		v.Set(reflect.Append(v, element))
	}
}

func (d *document) mapping(path string, n ast.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range d.entries(path, n) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.into(e.path, e.value, element)
		v.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), element)
	}
}

func (d *document) scalar(path string, n ast.Node, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if text, ok := d.text(path, n, "text"); ok {
			v.SetString(d.expand(path, text))
		}
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.wrongType(path, n, "true or false")
			return
		}
		v.SetBool(b.Value)
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(n.GetToken().Value, 10, 64)
		if err != nil || n.Type() != ast.IntegerType || v.OverflowInt(i) {
			d.wrongType(path, n, "a whole number")
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.GetToken().Value, 64)
		if err != nil || (n.Type() != ast.FloatType && n.Type() != ast.IntegerType) {
			d.wrongType(path, n, "a number")
			return
		}
		v.SetFloat(f)
	default:
		d.errorf(path, "config.unknown_key", "", "this key cannot be set here")
	}
}

// text is the scalar n as it was written. Numbers and booleans count as text:
// a code list may hold 1 or true.
func (d *document) text(path string, n ast.Node, want string) (string, bool) {
	text, ok := scalarText(n)
	if !ok {
		d.wrongType(path, n, want)
	}
	return text, ok
}

func scalarText(n ast.Node) (string, bool) {
	switch x := n.(type) {
	case *ast.LiteralNode:
		return x.Value.Value, true
	case *ast.StringNode:
		return x.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (d *document) wrongType(path string, n ast.Node, want string) {
	got := map[ast.NodeType]string{
		ast.NullType: "nothing", ast.BoolType: "true or false", ast.IntegerType: "a number", ast.FloatType: "a number",
		ast.StringType: "text", ast.LiteralType: "text", ast.MappingType: "a mapping", ast.SequenceType: "a list",
	}[n.Type()]
	if got == "" {
		d.find(Error, d.at(n), "config.syntax", "anchors, aliases, tags and merge keys are not read here", "write the value out")
		return
	}
	hint := ""
	if want == "a list" {
		hint = "write it in brackets: [first, second]"
	}
	d.find(Error, d.at(n), "config.wrong_type", fmt.Sprintf("%s must be %s, not %s", lastKey(path), want, got), hint)
}

// entry is one key of a mapping with its value.
type entry struct {
	key, path string
	value     ast.Node
	at        place // of the key
}

// entries lists the keys of a mapping and reports duplicates; nil for anything else.
func (d *document) entries(path string, n ast.Node) []entry {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.wrongType(path, n, "a mapping")
		return nil
	}
	var list []entry
	for _, kv := range joinDecimals(m.Values) {
		key, ok := kv.Key.(ast.Node)
		name, plain := scalarText(key)
		if !ok || !plain {
			d.find(Error, d.at(kv.Key), "config.syntax", "anchors, aliases, tags and merge keys are not read here", "write the value out")
			continue
		}
		e := entry{name, join(path, name), kv.Value, d.at(kv.Key)}
		if i := indexOf(list, name); i >= 0 {
			d.find(Error, e.at, "config.duplicate_key", fmt.Sprintf("key %q is given twice%s; first on line %d", name, inside(path), list[i].at.line), "keep one of them")
			continue
		}
		d.places[e.path] = d.at(e.value)
		if v, block := e.value.(*ast.MappingNode); block && !v.IsFlowStyle || e.value.Type() == ast.SequenceType || e.value.Type() == ast.NullType {
			d.places[e.path] = e.at
		}
		list = append(list, e)
	}
	return list
}

var decimalTail = regexp.MustCompile(`^\d+\)$`)

// joinDecimals mends {type: decimal(4,1)}: inside braces YAML takes the comma for
// the end of the value and leaves a key "1)" without one.
func joinDecimals(values []*ast.MappingValueNode) []*ast.MappingValueNode {
	for i := 0; i+1 < len(values); i++ {
		head, ok := values[i].Value.(*ast.StringNode)
		tail := values[i+1]
		if ok && strings.HasPrefix(head.Value, "decimal(") && tail.Value.Type() == ast.NullType && decimalTail.MatchString(tail.Key.GetToken().Value) {
			head.Value += "," + tail.Key.GetToken().Value
			return append(append([]*ast.MappingValueNode{}, values[:i+1]...), values[i+2:]...)
		}
	}
	return values
}

// at is the place of a node. A block mapping's own token is its first colon, so
// its first key stands for it.
func (d *document) at(n ast.Node) place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	p := n.GetToken().Position
	return place{d.first + p.Line - 1, p.Column}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// lastKey is the name of the value at path, for messages.
func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func inside(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

func indexOf(list []entry, key string) int {
	return slices.IndexFunc(list, func(e entry) bool { return e.key == key })
}

// duration reads 30s, 5m, 1h30m or 7d; it is never negative.
func (d *document) duration(path, text string) time.Duration {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour
		}
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		d.errorf(path, "config.duration", "write a number with its unit: 30s, 5m, 12h or 7d", "%s is not a duration", lastKey(path))
		return 0
	}
	return v
}
