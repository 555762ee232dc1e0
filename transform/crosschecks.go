package transform

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"longitude/study"
)

// CheckCross reports what is wrong with the expression of a check across forms,
// given their fields by form, "" if nothing is. It knows names only;
// NewCrossChecks also checks types.
func CheckCross(forms map[string][]string, expression string) string {
	names := types.Map{}
	for form, fields := range forms {
		inner := types.Map{}
		for _, f := range fields {
			inner[f] = types.Any
		}
		names[form] = inner
	}
	program, problem := compileBool(names, expression)
	if problem != "" {
		return problem
	}
	_, problem = fieldsOf(program, func(form string) bool { return forms[form] != nil })
	return problem
}

// CrossChecks evaluates the checks of a study across the forms of one participant.
// One goroutine uses it.
type CrossChecks struct {
	study  *study.Study
	checks []crossCheck

	checker checker
	lives   []life // by form
	dates   map[int32]study.PartialDate
}

// crossCheck is a compiled check of a study.
type crossCheck struct {
	name, evidence string
	on             int
	charted        bool
	program        *vm.Program
	reads          []crossRead // by form
}

// crossRead is what a check reads of one form.
type crossRead struct {
	form   int
	fields []int
}

// NewCrossChecks compiles the checks of s, or says what is wrong with them.
func NewCrossChecks(s *study.Study) (*CrossChecks, []Problem) {
	c := &CrossChecks{study: s, lives: make([]life, len(s.Forms)), dates: map[int32]study.PartialDate{}}
	typed, names := types.Map{}, types.Map{}
	for i := range s.Forms {
		inner, untyped := types.Map{}, types.Map{}
		for _, f := range s.Forms[i].Fields {
			inner[f.Name], untyped[f.Name] = checkType(f.Type), types.Any
		}
		typed[s.Forms[i].Name], names[s.Forms[i].Name] = inner, untyped
	}
	var problems []Problem
	for _, check := range s.Checks {
		compiled, problem := compileCross(s, check, typed, names)
		if problem != "" {
			problems = append(problems, Problem{"checks." + check.Name, problem})
		}
		c.checks = append(c.checks, compiled)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return c, nil
}

func compileCross(s *study.Study, check study.CrossCheck, typed, names types.Map) (crossCheck, string) {
	if check.On < 0 || check.On >= len(s.Forms) {
		return crossCheck{}, "is on no form of the study"
	}
	if _, problem := compileBool(typed, check.Expr); problem != "" {
		return crossCheck{}, problem
	}
	program, problem := compileBool(names, check.Expr) // without types, see compileCheck
	if problem != "" {
		return crossCheck{}, problem
	}
	fields, problem := fieldsOf(program, func(form string) bool { return s.FormIndex(form) >= 0 })
	if problem != "" {
		return crossCheck{}, problem
	}
	used := identifiersOf(program)
	compiled := crossCheck{name: check.Name, on: check.On, program: program, charted: used["letters"] || used["logmar"]}
	for _, name := range fields {
		of, field, _ := strings.Cut(name, ".")
		form := s.FormIndex(of)
		i := s.Forms[form].FieldIndex(field)
		if s.Forms[form].Fields[i].Sealed() {
			return crossCheck{}, "reads " + name + ", which only the vault knows"
		}
		if n := len(compiled.reads); n == 0 || compiled.reads[n-1].form != form {
			compiled.reads = append(compiled.reads, crossRead{form: form})
		}
		last := &compiled.reads[len(compiled.reads)-1]
		last.fields = append(last.fields, i)
	}
	compiled.evidence = "the check does not hold: " + strings.Join(fields, ", ")
	if check.Severity == study.Note {
		compiled.evidence = "note: " + compiled.evidence
	}
	return compiled, ""
}

// fieldsOf names the fields that an expression reads, form.field, sorted. A form
// without one of its fields is no value.
func fieldsOf(program *vm.Program, isForm func(string) bool) (fields []string, problem string) {
	members := formMembers{isForm: isForm, read: map[string]bool{}, whole: map[string]int{}}
	node := program.Node()
	ast.Walk(&node, &members)
	for _, form := range slices.Sorted(maps.Keys(members.whole)) {
		if members.whole[form] > 0 {
			return nil, form + " is a form: name one of its fields, " + form + ".FIELD"
		}
	}
	for f := range members.read {
		fields = append(fields, f)
	}
	slices.Sort(fields)
	return fields, ""
}

// formMembers collects the fields of forms in an expression.
type formMembers struct {
	isForm func(string) bool
	read   map[string]bool
	whole  map[string]int // times that a form stands there without a field
}

func (m *formMembers) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if m.isForm(n.Value) {
			m.whole[n.Value]++
		}
	case *ast.MemberNode:
		form, ok := n.Node.(*ast.IdentifierNode)
		field, constant := n.Property.(*ast.StringNode)
		if ok && constant && m.isForm(form.Value) {
			m.whole[form.Value]--
			m.read[form.Value+"."+field.Value] = true
		}
	}
}

// life is the records of one form of a participant.
type life struct {
	records []*study.CurrentRecord
	answers [][]string // of each record, unpacked when first read
}

// Check evaluates every check over the current records of one participant, and
// adds a finding for each record on which one does not hold: by check, then visit
// and occurrence. One that cannot be evaluated because a value is missing holds.
func (c *CrossChecks) Check(visits []study.Visit, records []study.CurrentRecord, add func(study.Deviation)) {
	if len(c.checks) == 0 {
		return
	}
	c.load(visits, records)
	for i := range c.checks {
		check := &c.checks[i]
		for _, r := range c.lives[check.on].records {
			if !c.holds(check, r) {
				add(study.Deviation{DeviationKey: study.DeviationKey{Code: study.CheckFailed, VisitNo: r.Key.VisitNo, Detail: c.detail(check, r)},
					Kind: study.IsFinding, State: study.Open, Evidence: check.evidence})
			}
		}
	}
}

func (c *CrossChecks) detail(check *crossCheck, r *study.CurrentRecord) string {
	form := c.study.Forms[check.on].Name
	if r.Key.Occurrence != "1" {
		form += "/" + r.Key.Occurrence
	}
	return form + ":" + check.name
}

// load sorts the records by form, visit and occurrence.
func (c *CrossChecks) load(visits []study.Visit, records []study.CurrentRecord) {
	clear(c.dates)
	for i := range visits {
		c.dates[visits[i].No] = visits[i].Actual
	}
	for i := range c.lives {
		c.lives[i] = life{records: c.lives[i].records[:0], answers: c.lives[i].answers[:0]}
	}
	for i := range records {
		l := &c.lives[records[i].Key.Form]
		l.records = append(l.records, &records[i])
	}
	for i := range c.lives {
		l := &c.lives[i]
		slices.SortFunc(l.records, compareCurrent)
		for range l.records {
			l.answers = append(l.answers, nil)
		}
	}
}

// compareCurrent orders the records of one form.
func compareCurrent(a, b *study.CurrentRecord) int {
	return cmp.Or(cmp.Compare(a.Key.VisitNo, b.Key.VisitNo), cmp.Compare(a.Key.Occurrence, b.Key.Occurrence))
}

func (c *CrossChecks) holds(check *crossCheck, r *study.CurrentRecord) bool {
	k, missing := &c.checker, false
	k.prepare()
	for i := range check.reads {
		read := &check.reads[i]
		form := &c.study.Forms[read.form]
		values := make(map[string]any, len(read.fields))
		at := c.beside(r, read.form)
		for _, f := range read.fields {
			value := c.value(read.form, at, f)
			if value == nil || check.charted && form.Fields[f].Type == study.Acuity && !onChart(value) {
				missing = true
			}
			values[form.Fields[f].Name] = value
		}
		k.env[form.Name] = values
	}
	return k.holds(check.program, missing)
}

// value is the answer of field f in the record at of a form; nil = missing.
func (c *CrossChecks) value(form, at, f int) any {
	if at < 0 {
		return nil
	}
	l := &c.lives[form]
	if l.answers[at] == nil {
		l.answers[at] = strings.Split(l.records[at].Answers, string(study.FieldSeparator))
	}
	answers := l.answers[at]
	if f >= len(answers) || answers[f] == study.MissingMark || study.IsSealed(answers[f]) {
		return nil
	}
	return checkValue(c.study.Forms[form].Fields[f].Type, []byte(answers[f]))
}

// beside finds the record of a form that goes with r; -1 = none. At the same
// visit, and of the same occurrence where both forms repeat; else of the latest
// visit on an earlier day; else the only one that belongs to no visit. Where there
// are several to choose from, none is guessed.
func (c *CrossChecks) beside(r *study.CurrentRecord, form int) int {
	records := c.lives[form].records
	if r.Key.Form == form {
		own, _ := slices.BinarySearchFunc(records, r, compareCurrent)
		return own
	}
	both := c.study.Forms[form].RepeatsBy != "" && c.study.Forms[r.Key.Form].RepeatsBy != ""
	best, chosen, loose, unbound := study.NoDate, -1, -1, 0
	var visit int32
	for i, other := range records {
		no := other.Key.VisitNo
		if no == 0 {
			loose, unbound = i, unbound+1
		}
		if no == 0 || r.Key.VisitNo == 0 || both && other.Key.Occurrence != r.Key.Occurrence {
			continue
		}
		on, before := c.before(no, r.Key.VisitNo)
		switch {
		case !before || on < best || on == best && no < visit:
		case chosen != -1 && visit == no:
			chosen = several
		default:
			best, visit, chosen = on, no, i
		}
	}
	switch {
	case chosen == several:
		return -1
	case chosen >= 0:
		return chosen
	case unbound == 1:
		return loose
	}
	return -1
}

// several stands for records of one visit that a check cannot choose from.
const several = -2

// before says that visit no is this very visit or on an earlier day, and orders
// such visits: the same visit comes last.
func (c *CrossChecks) before(no, than int32) (study.Date, bool) {
	if no == than {
		return latest, true
	}
	a, b := c.dates[no], c.dates[than]
	return a.First(), a.Known() && b.Known() && a.Last() < b.First()
}

// latest is after every day.
const latest study.Date = 1<<31 - 1
