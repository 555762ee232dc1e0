package release

import (
	"math"
	"strings"

	"longitude/study"
)

// The tables for analysis say again, by parameter, what the tables of the forms say by
// form, with what an analysis of progression asks first: the value at baseline, the
// change since, and the one value that stands for a visit. They are computed from the
// rows of the forms as those were laid out, so they cannot say anything else.

// Names of the tables for analysis.
const (
	tableObservations = "observations"
	tableWide         = "participant_visit_wide"
	tableEyes         = "eyes"
)

const (
	listParameters = "parameters"
	listEyes       = "eyes"
)

// parameter binds a parameter to the columns of its form's table; -1 = it has no such.
type parameter struct {
	code, name, label   string // form.field; the column's name in the wide table
	form                int
	unit                string
	number, text        int // the value: one of them
	kind                study.Kind
	scale               int // decimals of differences
	missing, offChart   int
	eye, method         int
	recordSeq, visitSeq int
	lower               bool // the eye with the lower value is the better one
}

// analysis is the tables for analysis of a study.
type analysis struct {
	parameters []parameter
	eyes       []string // single eyes, in the order of the first code list that has them
	eyeTable   bool
	at         int   // of observations among the builder's tables; the others follow
	starts     []int // per form: where the rows of the participant at hand begin

	seen []observation // of the participant at hand
	best map[cell]int  // those that stand for a visit type; of several methods that of the first record
}

// cell is a place in the wide table.
type cell struct {
	parameter, visit int
	eye              string
}

// observation is one value of one parameter at one visit.
type observation struct {
	parameter   *parameter
	order       int // of the parameter
	row         int // in the batch of its form
	visit       *happened
	eye, method string
	value       float64
	has         bool // a value
	base        int  // the observation that is its baseline, -1 = none
	flag        bool
}

// analysisOf binds the parameters of s.
func analysisOf(s *study.Study) *analysis {
	a := &analysis{at: atForms + len(s.Forms), starts: make([]int, len(s.Forms)), best: map[cell]int{}}
	names := map[string]int{}
	for _, p := range s.Parameters() {
		names[p.Field]++
	}
	for _, p := range s.Parameters() {
		i := s.FormIndex(p.Form)
		form := &s.Forms[i]
		at, method, eye := form.FieldIndex(p.Field), form.FieldIndex(p.Method), form.Eye()
		field := &form.Fields[at]
		table, columns := formTable(s, i)
		b := parameter{code: form.Name + "." + field.Name, name: field.Name, label: label(field), form: i, unit: field.Unit,
			number: -1, text: -1, missing: -1, offChart: -1, eye: -1, method: -1, recordSeq: place(table, "record_seq"), visitSeq: place(table, "visit_seq")}
		if names[field.Name] > 1 {
			b.name = form.Name + "_" + field.Name
		}
		for _, c := range columns {
			if c.field == at {
				b.bind(field, c)
			}
			if c.field == eye {
				b.eye = c.first
			}
			if c.field == method {
				b.method = c.first
			}
		}
		if b.eye >= 0 {
			a.addEyes(form.Fields[eye].Choices)
		}
		a.parameters = append(a.parameters, b)
	}
	a.eyeTable = len(a.eyes) > 0
	return a
}

func place(t *study.Table, name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// bind says where the value of a field is.
func (p *parameter) bind(field *study.Field, c fieldColumns) {
	p.missing = c.first + len(c.value)
	switch field.Type {
	case study.Acuity:
		p.number, p.kind, p.scale, p.unit, p.offChart, p.lower = c.first+2, study.FloatKind, 4, "logMAR", c.first+4, true
		p.name += "_logmar"
	case study.Choice:
		p.text = c.first
	default:
		p.number, p.kind, p.scale = c.first, c.value[0].Kind, c.value[0].Scale
	}
}

func (a *analysis) addEyes(choices []study.ChoiceItem) {
	for _, c := range choices {
		known := study.BothEyes(c.Code)
		for _, eye := range a.eyes {
			known = known || eye == c.Code
		}
		if !known {
			a.eyes = append(a.eyes, c.Code)
		}
	}
}

// begin notes where the rows of the next participant begin.
func (a *analysis) begin(forms []*study.Batch) {
	for i := range a.starts {
		a.starts[i] = forms[i].Rows
	}
}

// read gathers the observations of a participant, whose rows were laid out since begin.
func (a *analysis) read(o owner, forms []*study.Batch, visits []happened) {
	a.seen = a.seen[:0]
	clear(a.best)
	for k := range a.parameters {
		p := &a.parameters[k]
		batch := forms[p.form]
		first := len(a.seen)
		for row := a.starts[p.form]; row < batch.Rows; row++ {
			seq := batch.Vectors[p.visitSeq].Ints[row]
			if seq < 1 || int(seq) > len(visits) {
				continue
			}
			x := observation{parameter: p, order: k, row: row, visit: &visits[seq-1], base: -1}
			x.value, x.has = p.valueOf(batch, row)
			if !x.has && batch.Vectors[p.missing].Null(row) {
				continue
			}
			x.eye, x.method = cellOf(batch, p.eye, row), cellOf(batch, p.method, row)
			a.seen = append(a.seen, x)
		}
		baselines(o, a.seen, first)
		flags(a.seen, first)
	}
	for i := range a.seen {
		x := &a.seen[i]
		at := cell{x.order, x.visit.Type, x.eye}
		if _, taken := a.best[at]; x.flag && !taken {
			a.best[at] = i
		}
	}
}

func cellOf(batch *study.Batch, column, row int) string {
	if column < 0 || batch.Vectors[column].Null(row) {
		return ""
	}
	return batch.Vectors[column].Texts[row]
}

// valueOf is the value in a row as a number; of a code it says only that there is one.
// A reading off the chart is a value without a number.
func (p *parameter) valueOf(batch *study.Batch, row int) (float64, bool) {
	if p.number < 0 {
		return math.NaN(), !batch.Vectors[p.text].Null(row)
	}
	v := &batch.Vectors[p.number]
	switch {
	case v.Null(row):
		return math.NaN(), p.offChart >= 0 && !batch.Vectors[p.offChart].Null(row)
	case p.kind == study.FloatKind:
		return v.Floats[row], true
	case p.kind == study.DecimalKind:
		return float64(v.Ints[row]) / math.Pow10(p.scale), true
	}
	return float64(v.Ints[row]), true
}

// series is what of a parameter is compared with each other.
type series struct{ eye, method string }

// baselines finds for each observation from first on the last one with a number on or
// before the day of the baseline visit, of the same eye and method.
func baselines(o owner, seen []observation, first int) {
	last := map[series]int{}
	for i := first; i < len(seen); i++ {
		x := &seen[i]
		if day, known := o.elapsed(exact(x.visit.Actual)); known && day <= 0 && !math.IsNaN(x.value) {
			last[series{x.eye, x.method}] = i
		}
	}
	for i := first; i < len(seen); i++ {
		if base, there := last[series{seen[i].eye, seen[i].method}]; there {
			seen[i].base = base
		}
	}
}

// flags marks the one value that stands for each visit type, eye and method: the one of
// the visit nearest its target day, of equals the earliest.
func flags(seen []observation, first int) {
	type place struct {
		series
		visit int
	}
	best := map[place]int{}
	for i := first; i < len(seen); i++ {
		x := &seen[i]
		if !x.has || x.visit.Type < 0 {
			continue
		}
		at := place{series{x.eye, x.method}, x.visit.Type}
		before, there := best[at]
		if there && distance(&seen[before]) <= distance(x) {
			continue
		}
		if there {
			seen[before].flag = false
		}
		best[at], x.flag = i, true
	}
}

func distance(x *observation) int {
	if !x.visit.HasDistance {
		return math.MaxInt
	}
	return max(x.visit.FromTarget, -x.visit.FromTarget)
}

// change is what a value is since its baseline, in the decimals that it is written with.
func (a *analysis) change(x *observation) (float64, bool) {
	if x.base < 0 || math.IsNaN(x.value) {
		return 0, false
	}
	unit := math.Pow10(x.parameter.scale)
	return math.Round((x.value-a.seen[x.base].value)*unit) / unit, true
}

// baseOf is the value at baseline.
func (a *analysis) baseOf(x *observation) (float64, bool) {
	if x.base < 0 {
		return 0, false
	}
	return a.seen[x.base].value, true
}

// suffix names an eye in a column.
func suffix(eye string) string { return "_" + strings.ToLower(eye) }
