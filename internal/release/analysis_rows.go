package release

import (
	"math"

	"longitude/study"
)

// analyse appends the rows of a participant, whose forms have been laid out, to the tables
// for analysis.
func (b *Builder) analyse(o owner, visits []happened) {
	a := b.analysis
	if len(a.parameters) == 0 {
		return
	}
	a.read(o, b.batches[atForms:a.at], visits)
	for i := range a.seen {
		b.addObservation(o, &a.seen[i])
	}
	b.addWide(o)
	if a.eyeTable {
		b.addEyes(o)
	}
}

func (l *line) float(f float64, known bool) {
	if !known || math.IsNaN(f) {
		l.null()
		return
	}
	l.next().AppendFloat(f)
}

func (b *Builder) addObservation(o owner, x *observation) {
	a, p := b.analysis, x.parameter
	from := b.batches[atForms+p.form]
	l := b.line(a.at, o)
	l.int(int64(x.order + 1))
	l.text(p.code)
	l.int(x.visit.seq)
	b.visitName(l, x.visit.Type)
	l.known(o.studyDay(exact(x.visit.Actual)))
	l.inWindow(x.visit.Timing)
	l.int(from.Vectors[p.recordSeq].Ints[x.row])
	l.textOrNull(x.eye)
	l.textOrNull(x.method)
	l.float(x.value, true)
	l.textOrNull(x.code(from))
	l.textOrNull(p.unit)
	l.textOrNull(cellOf(from, p.missing, x.row))
	l.bool(x.base >= 0 && &a.seen[x.base] == x)
	base, has := a.baseOf(x)
	l.float(base, has)
	if has {
		l.int(a.seen[x.base].visit.seq)
	} else {
		l.null()
	}
	change, has := a.change(x)
	l.float(change, has)
	l.bool(x.flag)
}

// code is the value where it is no number: a code, or what is off the chart.
func (x *observation) code(from *study.Batch) string {
	if x.parameter.number < 0 {
		return cellOf(from, x.parameter.text, x.row)
	}
	return cellOf(from, x.parameter.offChart, x.row)
}

// inWindow says whether a visit lies in its window, as far as that is known.
func (l *line) inWindow(t study.Timing) {
	switch t {
	case study.InWindow:
		l.bool(true)
	case study.Early, study.Late:
		l.bool(false)
	default:
		l.null()
	}
}

// standing is the observation that stands for a visit type, of one eye where the
// parameter has eyes; nil = there is none.
func (a *analysis) standing(order, visit int, eye string) *observation {
	if i, there := a.best[cell{order, visit, eye}]; there {
		return &a.seen[i]
	}
	return nil
}

func (b *Builder) addWide(o owner) {
	a := b.analysis
	stands := make([]bool, len(b.study.Visits))
	for at := range a.best {
		stands[at.visit] = true
	}
	for t, some := range stands {
		if !some {
			continue
		}
		l := b.line(a.at+1, o)
		l.int(int64(t + 1))
		l.text(b.study.Visits[t].Name)
		for k := range a.parameters {
			p := &a.parameters[k]
			var of []*observation
			for _, eye := range a.eyesOf(p) {
				x := a.standing(k, t, eye)
				of = append(of, x)
				b.addStanding(l, p, x)
			}
			if p.compares(a) {
				b.addBetter(l, of)
			}
		}
	}
}

// addStanding appends the columns of a parameter, of one eye; x is nil where no value
// stands for the visit.
func (b *Builder) addStanding(l *line, p *parameter, x *observation) {
	switch {
	case p.number < 0 && x == nil:
		l.null()
	case p.number < 0:
		l.textOrNull(x.code(b.batches[atForms+p.form]))
	case x == nil:
		l.null()
		l.null()
		l.null()
	default:
		base, has := b.analysis.baseOf(x)
		change, changed := b.analysis.change(x)
		l.float(x.value, true)
		l.float(base, has)
		l.float(change, changed)
	}
}

// addBetter compares two eyes by their values at baseline.
func (b *Builder) addBetter(l *line, of []*observation) {
	base := make([]float64, 2)
	for i, x := range of {
		has := false
		if x != nil {
			base[i], has = b.analysis.baseOf(x)
		}
		if !has {
			l.null()
			l.null()
			l.null()
			return
		}
	}
	better, worse := 0, 1
	if base[1] < base[0] {
		better, worse = 1, 0
	}
	l.text(b.analysis.eyes[better])
	l.float(of[better].value, true)
	l.float(of[worse].value, true)
}

func (b *Builder) addEyes(o owner) {
	a := b.analysis
	for n, eye := range a.eyes {
		count, first, last := int64(0), study.NoDate, study.NoDate
		for i := range a.seen {
			if x := &a.seen[i]; x.eye == eye && x.has {
				count++
				if day := exact(x.visit.Actual); day.Known() {
					if !first.Known() || day < first {
						first = day
					}
					last = max(last, day)
				}
			}
		}
		if count == 0 {
			continue
		}
		l := b.line(a.at+2, o)
		l.int(int64(n + 1))
		l.text(eye)
		l.int(count)
		l.known(o.studyDay(first))
		l.known(o.studyDay(last))
		for k := range a.parameters {
			if p := &a.parameters[k]; p.eye >= 0 && p.number >= 0 {
				base, has := a.eyeBase(k, eye)
				l.float(base, has)
			}
		}
	}
}

// eyeBase is the value at baseline of a parameter and eye; of several methods the first
// one observed.
func (a *analysis) eyeBase(order int, eye string) (float64, bool) {
	for i := range a.seen {
		if x := &a.seen[i]; x.order == order && x.eye == eye && x.base >= 0 {
			return a.baseOf(x)
		}
	}
	return 0, false
}
