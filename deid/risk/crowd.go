package risk

import "slices"

// crowd is a population with equal participants counted together: a unit is what
// shares all quasi-identifiers at their finest levels. No choice of levels tells
// the participants of a unit apart.
type crowd struct {
	base   partition // of the participants into units
	people int
	size   []int       // participants of each unit
	codes  [][][]int32 // by attribute, level and unit
	values []mentions  // by sensitive attribute
}

// mentions are the distinct pairs of a unit and a value of a sensitive attribute.
type mentions struct{ unit, value []int32 }

func gather(p *Population) *crowd {
	c := &crowd{people: p.size(), base: everyone(p.size())}
	for _, a := range p.Quasi {
		c.base = c.base.refine(a.Levels[0].Classes)
	}
	c.size = make([]int, len(c.base.first))
	for _, unit := range c.base.of {
		c.size[unit]++
	}
	c.codes = make([][][]int32, len(p.Quasi))
	for a := range p.Quasi {
		for _, level := range p.Quasi[a].Levels {
			c.codes[a] = append(c.codes[a], pick(level.Classes, c.base.first))
		}
	}
	for _, s := range p.Sensitive {
		pairs := c.base.refine(s.Values)
		c.values = append(c.values, mentions{pick(c.base.of, pairs.first), pick(s.Values, pairs.first)})
	}
	return c
}

// pick returns what is at some places.
func pick[T any](all []T, at []int32) []T {
	picked := make([]T, len(at))
	for i, n := range at {
		picked[i] = all[n]
	}
	return picked
}

// verdict is what one choice of levels comes to.
type verdict struct {
	failing    int // participants in classes that fail; at least so many if above the budget
	suppressed int // participants to suppress
	met        bool
}

// judge says what it takes to release at the given levels, and which units are
// suppressed if that is met.
func (c *crowd) judge(levels []int, policy Policy, budget int) (verdict, []bool) {
	classes := everyone(len(c.size))
	for a, level := range levels {
		classes = classes.refine(c.codes[a][level])
	}
	size := make([]int, len(classes.first))
	for unit, class := range classes.of {
		size[class] += c.size[unit]
	}
	fails, least := make([]bool, len(size)), policy.least()
	for class, n := range size {
		fails[class] = n < least
	}
	v := verdict{failing: count(size, fails)}
	if v.failing > budget { // the values of the rest change nothing any more
		return v, nil
	}
	c.alike(classes, policy.L, fails)
	v.failing = count(size, fails)
	v.suppressed = v.failing
	if v.failing > 0 && v.failing <= budget && !c.safe(classes, fails, v.failing, policy) {
		next := c.smallest(classes, size, fails, levels)
		if next < 0 { // nobody is left for them to hide among
			return v, nil
		}
		fails[next] = true
		v.suppressed += size[next]
	}
	v.met = v.suppressed <= budget
	return v, pick(fails, classes.of)
}

// count is the number of participants in the classes that fail.
func count(size []int, fails []bool) int {
	people := 0
	for class, n := range size {
		if fails[class] {
			people += n
		}
	}
	return people
}

// alike marks the classes in which a sensitive attribute has fewer than l values.
func (c *crowd) alike(classes partition, l int, fails []bool) {
	if l <= 1 {
		return
	}
	for _, m := range c.values {
		of := partition{of: pick(classes.of, m.unit), first: classes.first}
		for class, n := range of.distinct(m.value) {
			fails[class] = fails[class] || n < l
		}
	}
}

// safe reports whether the suppressed, n participants, can hide each other.
func (c *crowd) safe(classes partition, suppressed []bool, n int, policy Policy) bool {
	if n < policy.least() {
		return false
	}
	for _, m := range c.values {
		seen := map[int32]bool{}
		for i, unit := range m.unit {
			if len(seen) < policy.L && suppressed[classes.of[unit]] {
				seen[m.value[i]] = true
			}
		}
		if len(seen) < policy.L {
			return false
		}
	}
	return true
}

// smallest is the smallest class that does not fail, or -1; of equal ones the
// one whose codes come first.
func (c *crowd) smallest(classes partition, size []int, fails []bool, levels []int) int {
	shown := func(class int) []int32 {
		all := make([]int32, len(levels))
		for a, level := range levels {
			all[a] = c.codes[a][level][classes.first[class]]
		}
		return all
	}
	best := -1
	for class, n := range size {
		if !fails[class] && (best < 0 || n < size[best] || n == size[best] && slices.Compare(shown(class), shown(best)) < 0) {
			best = class
		}
	}
	return best
}
