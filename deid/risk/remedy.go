package risk

import (
	"fmt"
	"slices"
	"strings"

	"longitude/study"
)

// Result is what Remedy chose.
type Result struct {
	Levels     []int  // of each quasi-identifier
	Suppressed []bool // of each participant: release no quasi-identifier at all
	Before     Measures
	After      Measures
	Nodes      int    // combinations of levels that were judged
	Met        bool   // After keeps the policy
	Why        string // what stands against it; "" when Met
}

// Remedy finds the levels that generalise least and still let p keep the policy,
// with suppression within the policy's budget: first the least sum of levels,
// each as a share of its attribute's highest; then the fewest suppressed; then
// the levels that keep the attributes declared first finer.
//
// Suppressed is whole classes, those that fail. If they are too few or too alike
// to hide each other, the smallest class that does not fail joins them, which
// always suffices; of equal ones the one whose codes come first. So the choice
// depends on what participants show and not on the order in which they come.
//
// Where nothing keeps the policy, nothing is changed and Why says what fails at
// the highest levels.
func Remedy(p *Population, policy Policy) (Result, error) {
	if err := p.check(policy); err != nil {
		return Result{}, err
	}
	l, err := newLattice(p.Quasi)
	if err != nil {
		return Result{}, err
	}
	s := &search{lattice: l, crowd: gather(p), policy: policy, known: map[int]verdict{}}
	s.budget = policy.budget(s.people)
	r := Result{Levels: make([]int, len(p.Quasi)), Suppressed: make([]bool, s.people)}
	r.Before = Assess(p, r.Levels, nil)
	best := s.best()
	r.Nodes, r.Met, r.After = len(s.known), best >= 0, r.Before
	switch {
	case best < 0:
		r.Why = s.why(p)
	case best > 0 || s.known[0].suppressed > 0:
		r.Levels = l.levels(best)
		_, units := s.crowd.judge(r.Levels, policy, s.budget)
		r.Suppressed = pick(units, s.base.of)
		r.After = Assess(p, r.Levels, r.Suppressed)
	}
	return r, nil
}

// check refuses what cannot be judged.
func (p *Population) check(policy Policy) error {
	if err := policy.check(); err != nil {
		return err
	}
	unequal := &study.Error{Code: "risk.population", Op: "judge the risk of a release: its columns are not equally long, or a quasi-identifier has no level",
		Hint: "this is a mistake in the program; please report it"}
	if slices.ContainsFunc(p.Quasi, func(a Attribute) bool { return len(a.Levels) == 0 }) {
		return unequal
	}
	n := p.size()
	fits := func(rows int) bool { return rows == n }
	if p.New != nil && !fits(len(p.New)) || p.Site != nil && !fits(len(p.Site)) {
		return unequal
	}
	for _, s := range p.Sensitive {
		if !fits(len(s.Values)) {
			return unequal
		}
	}
	for _, a := range p.Quasi {
		for level := range a.Levels {
			if !fits(len(a.Levels[level].Classes)) {
				return unequal
			}
			if level > 0 && !nested(a.Levels[level-1].Classes, a.Levels[level].Classes) {
				return &study.Error{Code: "risk.levels", Op: "judge the risk of a release: level " + a.Levels[level].Name + " of " + a.Name + " divides what level " + a.Levels[level-1].Name + " shows as one",
					Hint: "let each level join whole classes of the level before, as bands of 10 join bands of 5", Exit: study.ExitUsage}
			}
		}
	}
	return nil
}

// nested reports whether equal codes of fine have equal codes of coarse.
func nested(fine, coarse []int32) bool {
	classes := everyone(len(fine)).refine(fine)
	for i, c := range classes.of {
		if coarse[i] != coarse[classes.first[c]] {
			return false
		}
	}
	return true
}

// search looks through a lattice for the best node.
type search struct {
	lattice
	*crowd
	policy Policy
	budget int
	known  map[int]verdict
	failed []bool // nodes known to have too many participants in classes that fail
}

// best is the node to release, or -1. Generalising joins classes, so who is in a
// class that fails at some levels is in one at all finer levels too: a node with
// more of them than may be suppressed rules out every node below it.
func (s *search) best() int {
	s.failed = make([]bool, s.nodes)
	if s.judge(s.nodes-1).failing > s.budget {
		return -1
	}
	best, weight := -1, 0
	for _, node := range s.ascending() {
		if best >= 0 && s.weight(node) > weight {
			break
		}
		if best < 0 && !s.failed[node] {
			s.probe(node)
		}
		if s.failed[node] {
			continue
		}
		if v := s.judge(node); v.met && (best < 0 || v.suppressed < s.known[best].suppressed) {
			best, weight = node, s.weight(node)
		}
	}
	return best
}

// probe rules out what lies below the highest failing node on a path to the top.
func (s *search) probe(node int) {
	path := s.climb(node)
	low, high := 0, len(path)-1
	for low < high {
		middle := (low + high) / 2
		if s.failed[path[middle]] || s.judge(path[middle]).failing > s.budget {
			s.below(path[middle], func(n int) { s.failed[n] = true })
			low = middle + 1
		} else {
			high = middle
		}
	}
}

func (s *search) judge(node int) verdict {
	v, seen := s.known[node]
	if !seen {
		v, _ = s.crowd.judge(s.levels(node), s.policy, s.budget)
		s.known[node] = v
	}
	return v
}

// why says what fails at the highest levels.
func (s *search) why(p *Population) string {
	levels, failing := s.levels(s.nodes-1), s.judge(s.nodes-1).failing
	clauses := s.policy.Unmet(Assess(p, levels, nil).All, p.Sensitive)
	if failing > s.budget {
		clauses = append(clauses, fmt.Sprintf("they are more than the %s who may be suppressed", Alone(int64(s.budget))))
	} else {
		clauses = append(clauses, fmt.Sprintf("suppressed, they would be too few or too alike to hide each other, and with the next class more than the %s who may be", Alone(int64(s.budget))))
	}
	return "at the highest levels " + strings.Join(clauses, "; ")
}
