package risk

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// invented is a population of n made-up participants: quasi-identifiers of a few
// levels each, two sensitive attributes, some missing answers, three sites.
func invented(seed uint64, n, quasi int) *Population {
	random := rand.New(rand.NewPCG(seed, 7))
	p := &Population{Sites: []string{"north", "south", "west"}}
	for a := range quasi {
		width := 2 + random.IntN(7)
		fine := make([]int32, n)
		for i := range fine {
			// Small codes are common, the last ones rare; a few are missing.
			fine[i] = int32(min(random.IntN(width), random.IntN(width)))
			if random.IntN(40) == 0 {
				fine[i] = -1
			}
		}
		p.Quasi = append(p.Quasi, Attribute{Name: fmt.Sprintf("q%d", a), Levels: ladder(fine, 1+random.IntN(4))})
	}
	for s, width := range []int{3, 6} {
		values := make([]int32, n)
		for i := range values {
			values[i] = int32(min(random.IntN(width), random.IntN(width)))
		}
		p.Sensitive = append(p.Sensitive, Sensitive{Name: fmt.Sprintf("s%d", s), Values: values})
	}
	p.New, p.Site = make([]bool, n), make([]int32, n)
	for i := range n {
		p.New[i], p.Site[i] = random.IntN(3) == 0, int32(random.IntN(4))-1
	}
	return p
}

// ladder halves the codes at every level; the fourth shows nothing.
func ladder(fine []int32, levels int) []Level {
	all := []Level{{"as is", fine}}
	for level := 1; level < levels; level++ {
		coarse := make([]int32, len(fine))
		for i, c := range fine {
			if coarse[i] = c >> level; level == 3 || c < 0 {
				coarse[i] = -1
			}
		}
		all = append(all, Level{fmt.Sprintf("level %d", level), coarse})
	}
	return all
}

// alike compares two participants as they are released: the oracle's only rule.
func alike(p *Population, levels []int, suppressed []bool, i, j int) bool {
	if suppressed != nil && (suppressed[i] || suppressed[j]) {
		return suppressed[i] == suppressed[j]
	}
	for a, level := range levels {
		if c := p.Quasi[a].Levels[level].Classes; c[i] != c[j] {
			return false
		}
	}
	return true
}

// compared measures the participants that are in by comparing each with each.
func compared(p *Population, levels []int, suppressed []bool, in func(int) bool) Group {
	g := Group{Diversity: make([]int, len(p.Sensitive))}
	counts := map[int]int{}
	for i := range p.size() {
		if !in(i) {
			continue
		}
		g.Participants++
		if suppressed != nil && suppressed[i] {
			g.Suppressed++
		}
		like, values, leads := 0, make([]map[int32]bool, len(p.Sensitive)), true
		for s := range values {
			values[s] = map[int32]bool{}
		}
		for j := range p.size() {
			if in(j) && alike(p, levels, suppressed, i, j) {
				like++
				leads = leads && j >= i
				for s := range values {
					values[s][p.Sensitive[s].Values[j]] = true
				}
			}
		}
		for s := range values {
			if g.Diversity[s] == 0 || len(values[s]) < g.Diversity[s] {
				g.Diversity[s] = len(values[s])
			}
		}
		g.AverageRisk += 1 / float64(like)
		g.MaxRisk = max(g.MaxRisk, 1/float64(like))
		if leads {
			g.Classes++
			counts[like]++
		}
	}
	for n, classes := range counts {
		g.Sizes = append(g.Sizes, Size{n, classes})
	}
	slices.SortFunc(g.Sizes, func(a, b Size) int { return a.Participants - b.Participants })
	if g.Participants > 0 {
		g.Smallest, g.Uniques = g.Sizes[0].Participants, counts[1]
		g.AverageRisk /= float64(g.Participants)
	}
	return g
}

// same compares measures; the average is a sum in another order.
func same(got, want Group) bool {
	close := got.AverageRisk-want.AverageRisk < 1e-9 && want.AverageRisk-got.AverageRisk < 1e-9
	got.AverageRisk, got.Name = want.AverageRisk, want.Name
	return close && reflect.DeepEqual(got, want)
}

func TestAssessAgainstComparingEachWithEach(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := invented(seed, 1+random.IntN(120), random.IntN(5))
		levels := make([]int, len(p.Quasi))
		for a := range levels {
			levels[a] = random.IntN(len(p.Quasi[a].Levels))
		}
		var suppressed []bool
		if seed%3 > 0 {
			suppressed = make([]bool, p.size())
			for i := range suppressed {
				suppressed[i] = random.IntN(8) == 0
			}
		}
		m := Assess(p, levels, suppressed)
		if want := compared(p, levels, suppressed, func(int) bool { return true }); !same(m.All, want) {
			t.Fatalf("seed %d: all %+v, want %+v", seed, m.All, want)
		}
		if want := compared(p, levels, suppressed, func(i int) bool { return p.New[i] }); !same(m.New, want) {
			t.Fatalf("seed %d: new %+v, want %+v", seed, m.New, want)
		}
		for s := range p.Sites {
			if want := compared(p, levels, suppressed, func(i int) bool { return p.Site[i] == int32(s) }); !same(m.Sites[s], want) || m.Sites[s].Name != p.Sites[s] {
				t.Fatalf("seed %d: site %d %+v, want %+v", seed, s, m.Sites[s], want)
			}
		}
		below := 0
		for _, s := range m.All.Sizes {
			if s.Participants < 5 {
				below += s.Participants * s.Classes
			}
		}
		if m.All.Below(5) != below || m.All.Below(1) != 0 || m.All.Below(1<<30) != p.size() {
			t.Fatalf("seed %d: %d are in classes below 5", seed, m.All.Below(5))
		}
	}
}

func TestAssessOfNobody(t *testing.T) {
	m := Assess(&Population{Quasi: []Attribute{{Name: "sex", Levels: []Level{{Name: "as is"}}}}, Sensitive: []Sensitive{{Name: "hiv"}}}, []int{0}, nil)
	if m.All.Participants != 0 || m.All.Smallest != 0 || m.All.MaxRisk != 0 || m.Sites != nil || (Policy{K: 11, L: 2}).Unmet(m.All, []Sensitive{{Name: "hiv"}}) != nil {
		t.Errorf("an empty release measures %+v", m)
	}
}

// Wide codes are hashed, narrow ones look a table up; both divide the same.
func TestRefineByTableAndByHash(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	narrow, wide := make([]int32, 5000), make([]int32, 5000)
	for i := range narrow {
		narrow[i] = int32(random.IntN(50)) - 1
		wide[i] = narrow[i]*40_000_000 + 7
	}
	start := everyone(5000).refine(pick(narrow, func() []int32 {
		shuffled := make([]int32, 5000)
		for i := range shuffled {
			shuffled[i] = int32(random.IntN(5000))
		}
		return shuffled
	}()))
	if byTable, byHash := start.refine(narrow), start.refine(wide); !reflect.DeepEqual(byTable, byHash) {
		t.Error("table and hash divide differently")
	}
}
