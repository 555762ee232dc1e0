package risk

import (
	"math/rand/v2"
	"testing"
)

// million is a study of a million participants: age, sex, ancestry, region, site
// and visits, each with levels; one sensitive attribute.
func million() *Population {
	const n = 1_000_000
	random := rand.New(rand.NewPCG(1, 1))
	p := &Population{New: make([]bool, n), Site: make([]int32, n), Sites: make([]string, 40)}
	for a, width := range []int{90, 2, 6, 50, 40, 12} {
		fine := make([]int32, n)
		for i := range fine {
			fine[i] = int32(min(random.IntN(width), random.IntN(width)))
		}
		p.Quasi = append(p.Quasi, Attribute{Name: string(rune('a' + a)), Levels: []Level{{"0", fine}}})
		for level := 1; level < 5; level++ {
			coarse := make([]int32, n)
			for i, c := range fine {
				if coarse[i] = c >> (level + 1); level == 4 {
					coarse[i] = -1
				}
			}
			p.Quasi[a].Levels = append(p.Quasi[a].Levels, Level{"up", coarse})
		}
	}
	values := make([]int32, n)
	for i := range n {
		values[i], p.New[i], p.Site[i] = int32(random.IntN(8)), random.IntN(10) == 0, int32(random.IntN(40))
	}
	p.Sensitive = []Sensitive{{"s", values}}
	return p
}

// BenchmarkGate measures all, the new and 40 sites, and judges them. The design
// asks for 2 s.
func BenchmarkGate(b *testing.B) {
	p := million()
	for b.Loop() {
		m := Assess(p, make([]int, len(p.Quasi)), nil)
		if (Policy{K: 11, L: 2, MaxRisk: 0.09}).Unmet(m.All, p.Sensitive) == nil {
			b.Fatal("a million participants with six fine quasi-identifiers cannot be safe")
		}
	}
}

// BenchmarkRemedy searches the largest lattice, 15,625 nodes, for the same.
func BenchmarkRemedy(b *testing.B) {
	p := million()
	for b.Loop() {
		r, err := Remedy(p, Policy{K: 11, L: 2, MaxRisk: 0.09, SuppressMax: 0.05})
		if err != nil || !r.Met {
			b.Fatal(r.Why, err)
		}
		b.ReportMetric(float64(r.Nodes), "nodes")
	}
}
