package risk

import (
	"cmp"
	"slices"

	"longitude/study"
)

// mostNodes bounds the search: six quasi-identifiers of five levels.
const mostNodes = 15_625

// lattice is every choice of one level for each quasi-identifier. A node is the
// number that its levels make, the first attribute counting most, so nodes in
// order are levels in declared order.
type lattice struct {
	heights []int // levels of each attribute
	steps   []int // weight of one level up, in shares of a common denominator
	nodes   int
}

func newLattice(quasi []Attribute) (lattice, error) {
	l := lattice{nodes: 1}
	common := 1
	for _, a := range quasi {
		h := len(a.Levels)
		if l.nodes *= h; l.nodes > mostNodes {
			return l, &study.Error{Code: "risk.levels", Op: "judge the risk of a release: the levels of its quasi-identifiers combine in more than 15,625 ways",
				Hint: "declare fewer levels, or fewer quasi-identifiers with levels", Exit: study.ExitUsage}
		}
		l.heights = append(l.heights, h)
		common = lcm(common, max(h-1, 1))
	}
	for _, h := range l.heights {
		l.steps = append(l.steps, common/max(h-1, 1))
	}
	return l, nil
}

func lcm(a, b int) int {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}

// levels of a node.
func (l lattice) levels(node int) []int {
	at := make([]int, len(l.heights))
	for a := len(at) - 1; a >= 0; a-- {
		at[a], node = node%l.heights[a], node/l.heights[a]
	}
	return at
}

func (l lattice) node(levels []int) int {
	n := 0
	for a, level := range levels {
		n = n*l.heights[a] + level
	}
	return n
}

// weight is how much a node generalises: the sum of its levels, each as a share
// of its attribute's highest.
func (l lattice) weight(node int) int {
	w := 0
	for a, level := range l.levels(node) {
		w += level * l.steps[a]
	}
	return w
}

// ascending lists the nodes from the least generalised, in declared order where
// they are equal.
func (l lattice) ascending() []int {
	nodes, weights := make([]int, l.nodes), make([]int, l.nodes)
	for n := range nodes {
		nodes[n], weights[n] = n, l.weight(n)
	}
	slices.SortStableFunc(nodes, func(a, b int) int { return cmp.Compare(weights[a], weights[b]) })
	return nodes
}

// climb is a path from a node to the most general one. Each step raises the
// attribute that is least generalised so far, so that the middle of the path is
// general in everything.
func (l lattice) climb(node int) []int {
	path, at := []int{node}, l.levels(node)
	for {
		lowest := -1
		for a, level := range at {
			if level+1 < l.heights[a] && (lowest < 0 || level*l.steps[a] < at[lowest]*l.steps[lowest]) {
				lowest = a
			}
		}
		if lowest < 0 {
			return path
		}
		at[lowest]++
		path = append(path, l.node(at))
	}
}

// below calls f for every node that generalises no attribute more than node
// does, itself included.
func (l lattice) below(node int, f func(int)) {
	top := l.levels(node)
	at := make([]int, len(top))
	for {
		f(l.node(at))
		a := len(at) - 1
		for ; a >= 0 && at[a] == top[a]; a-- {
			at[a] = 0
		}
		if a < 0 {
			return
		}
		at[a]++
	}
}
