package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"longitude/study"
)

// Values with a short and a long form, and those whose order is meant.

// connectorDoc keeps the connector's own keys unread until its type is known.
type connectorDoc struct {
	Type string
	keys []entry
}

func (c *connectorDoc) decode(d *document, path string, n ast.Node) {
	c.keys = d.entries(path, n)
	if i := indexOf(c.keys, "type"); i >= 0 {
		c.Type, _ = d.text(c.keys[i].path, c.keys[i].value, "text")
		c.keys = slices.Delete(c.keys, i, i+1)
	}
}

// enrolmentDoc is first_seen, roster or {form: …}.
type enrolmentDoc struct{ Kind, Form string }

func (e *enrolmentDoc) decode(d *document, path string, n ast.Node) {
	if text, ok := scalarText(n); ok {
		e.Kind = d.oneOf(path, text, "first_seen", "roster")
		return
	}
	var long struct {
		Form string `yaml:"form"`
	}
	d.read(path, n, &long)
	d.need(path+".form", long.Form)
	e.Kind, e.Form = "form", long.Form
}

// consentDoc is external or {form: …, field: …}.
type consentDoc struct{ Kind, Form, Field string }

func (c *consentDoc) decode(d *document, path string, n ast.Node) {
	if text, ok := scalarText(n); ok {
		c.Kind = d.oneOf(path, text, "external")
		return
	}
	var long struct {
		Form    string `yaml:"form"`
		Field   string `yaml:"field"`
		Version string `yaml:"version"`
		Scope   string `yaml:"scope"`
	}
	d.read(path, n, &long)
	d.need(path+".form", long.Form)
	d.need(path+".field", long.Field)
	c.Kind, c.Form, c.Field = "form", long.Form, long.Field
}

// parameterDoc is form.field or {field: form.field, method: field}.
type parameterDoc struct{ Field, Method string }

func (p *parameterDoc) decode(d *document, path string, n ast.Node) {
	if text, ok := scalarText(n); ok {
		p.Field = text
		return
	}
	var long struct {
		Field  string `yaml:"field"`
		Method string `yaml:"method"`
	}
	d.read(path, n, &long)
	d.need(path+".field", long.Field)
	p.Field, p.Method = long.Field, long.Method
}

// visitFormsDoc is a list of forms, all required, or a mapping from form to how
// much it matters.
type visitFormsDoc pairs[string]

func (v *visitFormsDoc) decode(d *document, path string, n ast.Node) {
	if n.Type() == ast.SequenceType {
		var list []string
		d.read(path, n, &list)
		for _, form := range list {
			*v = append(*v, pair[string]{form, "required"})
		}
		return
	}
	(*pairs[string])(v).decode(d, path, n)
	for _, p := range *v {
		d.oneOf(path+"."+p.Key, p.Value, "critical", "required", "optional")
	}
}

// choicesDoc is a list of codes, or a mapping from code to label.
type choicesDoc pairs[string]

func (c *choicesDoc) decode(d *document, path string, n ast.Node) {
	if n.Type() == ast.SequenceType {
		var list []string
		d.read(path, n, &list)
		for _, code := range list {
			*c = append(*c, pair[string]{code, code})
		}
		return
	}
	(*pairs[string])(c).decode(d, path, n)
}

// rangeDoc is [low, high], both inclusive, where null leaves an end open; or
// {gt: 0, le: 80}, where each end says whether it is inside.
type rangeDoc struct {
	low, high         string
	lowOpen, highOpen bool
	written           bool
}

type rangeEnds struct {
	GT string `yaml:"gt"`
	GE string `yaml:"ge"`
	LT string `yaml:"lt"`
	LE string `yaml:"le"`
}

func (r *rangeDoc) decode(d *document, path string, n ast.Node) {
	if n.Type() == ast.MappingType {
		r.ends(d, path, n)
		return
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok || len(list.Values) != 2 {
		d.errorf(path, "config.wrong_type", "[0, 80], or {gt: 0, le: 80} where an end is outside itself", "range must be a list of two ends")
		return
	}
	for i, end := range []*string{&r.low, &r.high} {
		if list.Values[i].Type() != ast.NullType {
			*end, _ = d.text(path, list.Values[i], "a list of two ends")
		}
	}
	r.written = true
}

func (r *rangeDoc) ends(d *document, path string, n ast.Node) {
	var ends rangeEnds
	before := len(d.findings)
	d.read(path, n, &ends)
	switch {
	case len(d.findings) > before:
	case ends == rangeEnds{}:
		d.errorf(path, "config.wrong_type", "{ge: 0, lt: 80}", "range names no end")
	case ends.GT != "" && ends.GE != "":
		d.errorf(path+".ge", "config.wrong_type", "gt is more than, ge is at least", "range begins twice; keep gt or ge")
	case ends.LT != "" && ends.LE != "":
		d.errorf(path+".le", "config.wrong_type", "lt is less than, le is at most", "range ends twice; keep lt or le")
	default:
		*r = rangeDoc{or(ends.GT, ends.GE), or(ends.LT, ends.LE), ends.GT != "", ends.LT != "", true}
	}
}

// severities is what a value does that breaks a rule of its field: one word for
// range, pattern and required, or a word for each rule.
type severities struct {
	Type     string `yaml:"type"`
	Choice   string `yaml:"choice"`
	Required string `yaml:"required"`
	Range    string `yaml:"range"`
	Pattern  string `yaml:"pattern"`
}

func (s *severities) decode(d *document, path string, n ast.Node) {
	if text, ok := scalarText(n); ok {
		word := d.oneOf(path, text, "reject", "flag", "note")
		s.Required, s.Range, s.Pattern = word, word, word
		return
	}
	type long severities
	d.read(path, n, (*long)(s))
	for key, word := range map[string]*string{"type": &s.Type, "choice": &s.Choice, "required": &s.Required, "range": &s.Range, "pattern": &s.Pattern} {
		if *word != "" {
			*word = d.oneOf(path+"."+key, *word, "reject", "flag", "note")
		}
	}
}

// columnDoc is the name of a column, or a pick.
type columnDoc pickDoc

func (c *columnDoc) decode(d *document, path string, n ast.Node) {
	if _, ok := scalarText(n); ok {
		d.into(path, n, reflect.ValueOf(&c.Column).Elem())
		return
	}
	d.read(path, n, (*pickDoc)(c))
}

// limitDoc is a count, or a share such as "5%".
type limitDoc study.Limit

func (l *limitDoc) decode(d *document, path string, n ast.Node) {
	text, _ := scalarText(n)
	share, isShare := percent(text)
	count, err := strconv.ParseInt(text, 10, 64)
	switch {
	case isShare && share > 0:
		l.Share = share
	case err == nil && count > 0:
		l.Count = count
	default:
		d.errorf(path, "config.wrong_type", "100 rows, or 5% of them; leave it out for no limit", "%s must be a count from 1 or a share up to 100%%", lastKey(path))
	}
}

// shareDoc is a share between 0 and 1, also written as 5%.
type shareDoc float64

func (s *shareDoc) decode(d *document, path string, n ast.Node) {
	text, _ := scalarText(n)
	share, ok := percent(text)
	if !ok {
		var err error
		share, err = strconv.ParseFloat(text, 64)
		ok = err == nil && share >= 0 && share <= 1
	}
	if !ok {
		d.errorf(path, "config.wrong_type", "0.05 is 5%", "%s must be a share between 0 and 1", lastKey(path))
		return
	}
	*s = shareDoc(share)
}

// percent reads 5% as 0.05.
func percent(text string) (share float64, ok bool) {
	number, ok := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	return share / 100, ok && err == nil && share >= 0 && share <= 100
}
