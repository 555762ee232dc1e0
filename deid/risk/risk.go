// Package risk measures how well the participants of a release hide among each
// other, and coarsens what is released until they do: class sizes, the diversity
// of sensitive answers, generalisation, local suppression; and small counts in
// what people read. It is pure arithmetic over codes: it never sees a value.
package risk

import (
	"cmp"
	"slices"
)

// Level is one way to release an attribute: Classes[i] is what participant i
// shows, as a code. Equal codes are one class; -1 is missing, a class of its own.
type Level struct {
	Name    string
	Classes []int32
}

// Attribute is a released quasi-identifier: its levels from the finest, as it
// would be released, to the coarsest. A class of one level lies within one class
// of the next.
type Attribute struct {
	Name   string
	Levels []Level
}

// Sensitive is an attribute whose value must not follow from a class. A missing
// value is a value here, as in the reference implementations: that nobody asked
// is an answer that others of the class can stand behind.
type Sensitive struct {
	Name   string
	Values []int32
}

// Population is one row per released participant.
type Population struct {
	Quasi     []Attribute
	Sensitive []Sensitive
	New       []bool  // in no release before this one; nil if there was none
	Site      []int32 // index into Sites; -1 if unknown; nil if sites are not told apart
	Sites     []string
}

// size is the number of participants.
func (p *Population) size() int {
	n := max(len(p.New), len(p.Site))
	for _, a := range p.Quasi {
		n = max(n, len(a.Levels[0].Classes))
	}
	for _, s := range p.Sensitive {
		n = max(n, len(s.Values))
	}
	return n
}

// Group is what holds of some participants, as if they were released alone. A
// class is what share all released quasi-identifiers. Those who are suppressed
// show none and are one class, apart from those of whom nothing was known: the
// reason why a value is missing may be released, and both must be safe.
type Group struct {
	Name         string // of the site
	Participants int
	Suppressed   int
	Classes      int
	Smallest     int     // participants of the smallest class: k
	Uniques      int     // participants alone in their class
	MaxRisk      float64 // of being singled out by who knows that one is in the release: 1/Smallest
	AverageRisk  float64 // the same, of a participant taken at random: Classes/Participants
	Sizes        []Size  // of classes, ascending
	Diversity    []int   // least number of distinct values in a class, by sensitive attribute: l
}

// Size says how many classes have so many participants.
type Size struct{ Participants, Classes int }

// Below is how many participants are in classes of fewer than k.
func (g Group) Below(k int) int {
	people := 0
	for _, s := range g.Sizes {
		if s.Participants < k {
			people += s.Participants * s.Classes
		}
	}
	return people
}

// Measures is the risk of a release: of all, of those who are new since the
// release before (who can be told apart by comparing the two), and by site.
type Measures struct {
	All   Group
	New   Group
	Sites []Group
}

// Assess measures p as released at the given level of each quasi-identifier and
// with some participants suppressed; nil suppresses nobody.
func Assess(p *Population, levels []int, suppressed []bool) Measures {
	classes := everyone(p.size())
	for a := range p.Quasi {
		classes = classes.refine(p.Quasi[a].Levels[levels[a]].Classes)
	}
	classes = classes.apart(suppressed)
	m := Measures{All: p.groups(classes, make([]int32, p.size()), []string{""}, suppressed)[0]}
	m.New = Group{Diversity: make([]int, len(p.Sensitive))}
	if p.New != nil {
		m.New = p.groups(classes, p.newcomers(), []string{""}, suppressed)[0]
	}
	if p.Site != nil {
		m.Sites = p.groups(classes, p.Site, p.Sites, suppressed)
	}
	return m
}

// newcomers puts who is new in group 0 and the others in none.
func (p *Population) newcomers() []int32 {
	group := make([]int32, p.size())
	for i, isNew := range p.New {
		if !isNew {
			group[i] = -1
		}
	}
	return group
}

// groups measures the participants of each group: group[i] is an index into
// names, or -1.
func (p *Population) groups(classes partition, group []int32, names []string, suppressed []bool) []Group {
	within := classes
	if len(names) > 1 || slices.Contains(group, -1) {
		within = classes.refine(group)
	}
	sizes := make([]int, len(within.first))
	for _, c := range within.of {
		sizes[c]++
	}
	measured, counts := make([]Group, len(names)), make([]map[int]int, len(names))
	for g := range names {
		measured[g] = Group{Name: names[g], Diversity: make([]int, len(p.Sensitive))}
		counts[g] = map[int]int{}
	}
	for c, n := range sizes {
		if g := group[within.first[c]]; g >= 0 {
			measured[g].Participants += n
			measured[g].Classes++
			counts[g][n]++
		}
	}
	for i, out := range suppressed {
		if out && group[i] >= 0 {
			measured[group[i]].Suppressed++
		}
	}
	for s := range p.Sensitive {
		for c, distinct := range within.distinct(p.Sensitive[s].Values) {
			if g := group[within.first[c]]; g >= 0 && (measured[g].Diversity[s] == 0 || distinct < measured[g].Diversity[s]) {
				measured[g].Diversity[s] = distinct
			}
		}
	}
	for g := range measured {
		measured[g].summarise(counts[g])
	}
	return measured
}

// summarise derives the figures from how many classes there are of each size.
func (g *Group) summarise(counts map[int]int) {
	for n, classes := range counts {
		g.Sizes = append(g.Sizes, Size{n, classes})
	}
	if len(g.Sizes) == 0 {
		return
	}
	slices.SortFunc(g.Sizes, func(a, b Size) int { return cmp.Compare(a.Participants, b.Participants) })
	g.Smallest, g.Uniques = g.Sizes[0].Participants, counts[1]
	g.MaxRisk, g.AverageRisk = 1/float64(g.Smallest), float64(g.Classes)/float64(g.Participants)
}
